"""Turns panels into HTML, and failures into something to look at."""

from grabient_ops.errors import GrabientError
from grabient_ops.logs import scrub
from grabient_ops.web.live.panel import Wanted
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.view import Pieces
from grabient_ops.web.templating import Templates


class Renderer:
    """Reads panels and fills their templates."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    def show(self, wanted: Wanted, reading: Reading) -> Pieces:
        """Return what a panel shows now."""
        panel, params = wanted
        context = panel.read(reading, params)
        text = self._templates.fill(panel.template, params=params, **context)
        return Pieces.cut(text, self._templates.mark)

    def show_failure(self, _wanted: Wanted, error: Exception) -> Pieces:
        """Return what stands in a panel's place that could not be read."""
        known = isinstance(error, GrabientError)
        reason = scrub(str(error)) if known else f"{type(error).__name__}; the log says where"
        return Pieces((self._templates.fill("parts/failure.html", reason=reason),), {})
