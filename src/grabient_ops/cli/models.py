"""`grabient-ops models`."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at models.")


@app.command("list")
def list_() -> None:
    """List models."""


@app.command()
def show() -> None:
    """Show one."""
