"""`grabient-ops serve`."""

import json
import sys
from typing import Annotated

import typer

from grabient_ops.cli.common import open_app


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 4100,
    worker: Annotated[
        bool, typer.Option(help="Work on this home as well, unless another process does.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line when ready.")
    ] = False,
) -> None:
    """Serve the dashboard, the API and a worker in one process, until stopped."""
    from grabient_ops.web.auth.build import require_secret
    from grabient_ops.web.security.policy import choose_policy
    from grabient_ops.web.server import listen
    from grabient_ops.web.server import serve as serve_web

    app = open_app()
    policy = choose_policy(host, app.settings.public_url)
    require_secret(app.settings, policy)
    listener = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    serve_web(
        app, listener, policy=policy, with_worker=worker,
        on_ready=lambda: _announce(url, as_json=as_json),
    )  # fmt: skip


def _announce(url: str, *, as_json: bool) -> None:
    line = json.dumps({"url": url}) if as_json else f"dashboard ready on {url}; Ctrl-C stops it"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
