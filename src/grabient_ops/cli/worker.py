"""`grabient-ops worker`."""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.common import open_app, warn

if TYPE_CHECKING:
    from grabient_ops.app import App


def worker(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line when it has begun.")
    ] = False,
) -> None:
    """Work until stopped: submit, wait, collect. One worker per home; on PostgreSQL, any number."""
    from grabient_ops.cli.session import work_until_stopped

    app = open_app()
    warn(f"working on {app.settings.home}; Ctrl-C stops, nothing is lost")
    work_until_stopped(app, on_start=lambda: _announce(app, as_json=as_json))


def _announce(app: "App", *, as_json: bool) -> None:
    if as_json:
        document = {"home": str(app.settings.home), "pid": os.getpid()}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        sys.stdout.flush()
