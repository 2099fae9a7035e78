"""How shares, tags, models and plots look to people."""

from pathlib import Path
from typing import TYPE_CHECKING

from grabient_ops.cli.common import warn
from grabient_ops.cli.legible import legible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR_WIDTH = 20
_TAG_WIDTH = 48


def draw(figure: "Figure", path: Path) -> None:
    """Write a plot and say so."""
    from grabient_ops.analytics.plots import save

    save(figure, path)
    warn(f"drawn to {path}")


def bar(share: float | None) -> str:
    """Draw a share from 0 to 1."""
    return "█" * round(_BAR_WIDTH * max(share or 0, 0))


def percent(share: float | None) -> str:
    """Write a share for people."""
    return "" if share is None else f"{share:.1%}"


def label(tag: str) -> str:
    """Write a tag for people: no controls, one line, not too long."""
    return legible(tag, _TAG_WIDTH).replace("\n", "\\n")


def model_name(provider: str, model: str) -> str:
    """Write a model for people; imported ones may be called anything."""
    return legible(f"{provider}/{model}", 80)
