"""What every command shares: the app, one JSON document, tables, one line per error."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

if TYPE_CHECKING:
    from rich.console import Console

    from grabient_ops.app import App

_PIPE_WIDTH = 160
MOST = 2**31 - 1
"""The largest number of rows, or of a row, that an option takes; databases refuse far larger."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def group_meaning(command: str) -> type[TyperGroup]:
    """Make a group that means one of its commands when it stands alone, or with options only."""

    class Group(TyperGroup):
        @override
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
                args = [command, *args]
            return super().parse_args(ctx, args)

    return Group


def require_known(
    words: Iterable[str | None], known: Sequence[str], option: str | None = None
) -> None:
    """Refuse words that an option does not take; None is an option that was not given.

    Raises:
        typer.BadParameter: one of them is none of those that are known.
    """
    for word in words:
        if word is not None and word not in known:
            raise typer.BadParameter(f"{word!r} is none of {', '.join(known)}", param_hint=option)


def open_app() -> "App":
    """Read the settings and make the app.

    Raises:
        ConfigError: a variable holds nonsense; the message names it.
    """
    from pydantic import ValidationError

    from grabient_ops.app import App
    from grabient_ops.errors import ConfigError
    from grabient_ops.logs import configure_logs
    from grabient_ops.settings import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"GRABIENT_OPS_{name.upper()}"
        raise ConfigError(f"{variable}: {first['msg']}") from error
    configure_logs(settings.log_level, settings.log_format)
    return App(settings)


def print_json(document: object) -> None:
    """Print the one JSON document of a command."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def print_line(text: str = "") -> None:
    """Print one line of a command's result."""
    sys.stdout.write(text + "\n")


def warn(text: str) -> None:
    """Print one line beside the result, on stderr."""
    sys.stderr.write(text + "\n")


def console(*, stderr: bool = False) -> "Console":
    """Return a Rich console that takes nothing in data for markup."""
    from rich.console import Console

    # A file or a pipe has no width of its own; 80 columns would cut model names.
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else _PIPE_WIDTH
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=width)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as a table; columns whose name begins with `#` hold numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numeric = column.startswith("#")
        table.add_column(column.removeprefix("#"), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(table)


def usd(amount: float | None) -> str:
    """Return an amount for people: four decimals, or `unknown`."""
    return "unknown" if amount is None else f"${amount:,.4f}"
