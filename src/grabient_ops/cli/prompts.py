"""`grabient-ops prompts`."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at prompts.")


@app.command("list")
def list_() -> None:
    """List prompts."""


@app.command()
def show() -> None:
    """Show one."""
