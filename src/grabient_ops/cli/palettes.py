"""`grabient-ops palettes`."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at palettes.")


@app.command("list")
def list_() -> None:
    """List palettes."""


@app.command()
def show() -> None:
    """Show one."""
