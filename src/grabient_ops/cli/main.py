"""The command line: every command, and how errors end."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from grabient_ops.cli import (
    analytics,
    auth,
    batches,
    cost,
    db,
    demo,
    doctor,
    errors,
    images,
    imports,
    models,
    palettes,
    prompts,
    refine,
    reparse,
    sandbox,
    search,
    serve,
    status,
    sync,
    tag,
    worker,
    workflows,
)
from grabient_ops.errors import GrabientError

_debug = False

app = typer.Typer(
    name="grabient-ops",
    help="Tag colour palettes through four batch APIs; nothing paid for is lost or paid twice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo.demo)
app.command()(sandbox.sandbox)
app.add_typer(palettes.app, name="palettes")
app.add_typer(imports.app, name="import")
app.add_typer(sync.app, name="sync")
app.add_typer(images.app, name="images")
app.command()(tag.tag)
app.command()(refine.refine)
app.command()(status.status)
app.add_typer(workflows.app, name="workflows")
app.add_typer(batches.app, name="batches")
app.add_typer(errors.app, name="errors")
app.add_typer(prompts.app, name="prompts")
app.add_typer(models.app, name="models")
app.add_typer(cost.app, name="cost")
app.add_typer(db.app, name="db")
app.add_typer(analytics.app, name="analytics")
app.command()(search.search)
app.command()(reparse.reparse)
app.command()(serve.serve)
app.add_typer(auth.app, name="auth")
app.command()(worker.worker)
app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from grabient_ops import __version__

        sys.stdout.write(f"grabient-ops {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Take the options that stand before every command."""
    global _debug  # noqa: PLW0603 - read by main() after the command has failed
    _debug = debug


def main() -> None:
    """Run a command; exit 0 when done, 1 with one line on stderr when not, 2 on wrong usage."""
    _open_closed_streams()
    try:
        app()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python must not try to flush again.
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if _debug:
            raise
        known = isinstance(error, GrabientError)
        more = "" if known else f"unexpected {type(error).__name__}, --debug shows where: "
        sys.exit(_say(f"{more}{error}"))


def _open_closed_streams() -> None:
    """Lead standard streams that the caller has closed nowhere.

    Else the next file that is opened, such as the database, would get the number of one, and what
    a library writes to stderr would end up in it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good


def _say(text: str) -> int:
    from grabient_ops.logs import scrub

    sys.stderr.write(f"error: {scrub(' '.join(text.split()))}\n")
    return 1
