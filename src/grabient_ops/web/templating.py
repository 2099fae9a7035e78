"""Fills templates: everything is escaped, nothing undefined passes, numbers are for people."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2s
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grabient_ops.web.swatches import stripes
from grabient_ops.web.wording import price

FOLDER = Path(__file__).parent / "templates"


class Templates:
    """The templates of `web/templates/`.

    Attributes:
        mark: what stands before and after a `part` block in rendered text; nobody can guess it.
    """

    def __init__(self, **everywhere: object) -> None:
        self.mark = f"\0{secrets.token_hex(8)}\0"
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._environment.filters.update(
            number=number, usd=usd, percent=percent, dom_id=dom_id, iso=iso, exact=exact,
            stripes=stripes, dollars=dollars, rate=rate, price=price,
            amount=amount,
        )  # fmt: skip
        self._environment.globals.update(everywhere, part=self._part)

    def fill(self, name: str, **context: object) -> str:
        """Return a filled template."""
        return self._environment.get_template(name).render(context)

    def _part(self, element_id: str, caller: Callable[[], str]) -> Markup:
        """Mark an element as one that may change alone: `{% call part(id) %}<li id=...>`."""
        return Markup(f"{self.mark}{element_id}\n{caller()}{self.mark}")  # noqa: S704 - escaped by the caller block


def number(value: float | None) -> str:
    """Return a number with its thousands grouped; a dash without one."""
    return "–" if value is None else f"{value:,}"  # noqa: RUF001 - the dash of a cell without value


def usd(value: float | None) -> str:
    """Return an amount of dollars: cents, or as many digits as a small amount needs."""
    if value is None:
        return "unknown"
    if value >= 1 or not value:
        return f"${value:,.2f}"
    return f"${value:.4f}" if value >= 0.01 else f"${value:.6f}"


def dollars(pico: int | None) -> str:
    """Return what is stored in pico-dollars, as `usd` does."""
    return usd(None if pico is None else pico / 1e12)


def amount(value: float) -> str:
    """Return a round amount of dollars, as on a scale, without digits that say nothing."""
    return f"${value:,.10g}"


def percent(part: float, whole: float) -> str:
    """Return a share as whole percents; 100 % only when nothing is missing."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    return f"{min(int(share), 99) if part < whole else 100} %"


def rate(share: float) -> str:
    """Return a share from 0 to 1 as percents with a decimal."""
    return f"{100 * share:.1f} %"


def dom_id(value: Any) -> str:  # noqa: ANN401 - whatever names a thing
    """Return a text that is fit for an element's id, the same for the same value."""
    return blake2s(str(value).encode(errors="surrogatepass"), digest_size=6).hexdigest()


def iso(moment: datetime) -> str:
    """Return a moment as machines read it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def exact(moment: datetime) -> str:
    """Return a moment as people read it, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
