"""`grabient-ops errors`."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at errors.")


@app.command("list")
def list_() -> None:
    """List errors."""


@app.command()
def show() -> None:
    """Show one."""
