"""`grabient-ops batches`."""

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at batches.")


@app.command("list")
def list_() -> None:
    """List batches."""


@app.command()
def show() -> None:
    """Show one."""
