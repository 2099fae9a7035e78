"""`grabient-ops sandbox`: the four batch APIs on loopback."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from grabient_ops.errors import InputError
from grabient_ops.sandbox.fault_names import FAULTS


def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 4010,
    seed: Annotated[int, typer.Option(help="Decides every answer and every fault.")] = 0,
    latency_s: Annotated[
        float, typer.Option(min=0, help="Seconds from a batch's creation to its end.")
    ] = 0.5,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=RATE",
            help=f"What goes wrong, how often (0..1): {', '.join(FAULTS)}. See docs/sandbox.md.",
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="File to remember everything in; default: forget at exit.")
    ] = None,
    webhook_url: Annotated[
        str | None,
        typer.Option(help="Tell this address (`/openai` and `/gemini` follow) of batches' ends."),
    ] = None,
    webhook_secret: Annotated[
        str, typer.Option(help="With --webhook-url: what signs webhooks, whsec_ and base64.")
    ] = "",
    watch_parent: Annotated[
        bool, typer.Option("--watch-parent", help="End when the parent process ends.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line when ready.")
    ] = False,
) -> None:
    """Play the batch APIs of OpenAI, Anthropic, Gemini and Groq, and a Convex, on loopback."""
    from grabient_ops.sandbox.faults import parse_faults
    from grabient_ops.sandbox.server import Setup, listen, serve
    from grabient_ops.sandbox.webhooks import read_receiver

    if math.isinf(latency_s):
        raise typer.BadParameter("use the fault `stuck` instead", param_hint="--latency-s")
    try:
        rates = parse_faults(fault or [])
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from error
    receiver = read_receiver(webhook_url, webhook_secret) if webhook_url else None
    listener = listen(host, port)
    url = f"http://{host}:{listener.getsockname()[1]}"
    serve(
        listener,
        Setup(seed, latency_s, rates, state, receiver),
        on_ready=lambda: _announce(url, as_json=as_json),
        watch_parent=watch_parent,
    )


def environment(url: str) -> dict[str, str]:
    """The variables that point the four SDKs, and grabient-ops, at a sandbox, and its keys."""
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "sandbox",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sandbox",
        "GOOGLE_GEMINI_BASE_URL": url,
        "GOOGLE_API_KEY": "sandbox",
        "GROQ_BASE_URL": url,
        "GROQ_API_KEY": "sandbox",
        "CONVEX_DEPLOY_KEY": "sandbox",
    }


def _announce(url: str, *, as_json: bool) -> None:
    env = environment(url)
    if as_json:
        line = json.dumps({"url": url, "port": int(url.rpartition(":")[2]), "env": env})
    else:
        line = f"sandbox ready on {url}"
        exports = "".join(f"export {name}={value}\n" for name, value in env.items())
        sys.stderr.write(exports)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
