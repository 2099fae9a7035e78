"""`grabient-ops demo`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import MOST, Json, open_app, print_json
from grabient_ops.errors import ConfigError, GrabientError

if TYPE_CHECKING:
    from grabient_ops.app import App


def demo(
    palettes: Annotated[int, typer.Option(min=1, max=MOST, help="How many palettes.")] = 24,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="How often each model tags each.")] = 2,
    seed: Annotated[int, typer.Option(help="Decides every answer of the sandbox.")] = 0,
    as_json: Json = False,
) -> None:
    """Run the whole pipeline against the built-in sandbox, then report; no key, no cost."""
    from grabient_ops.cli.demo_report import print_demo
    from grabient_ops.cli.fresh import refresh_refined
    from grabient_ops.cli.session import work_until_done
    from grabient_ops.pipeline.images import generate
    from grabient_ops.pipeline.orders import TaggingOrder, place
    from grabient_ops.pipeline.status import read_status

    started = time.monotonic()
    home = _choose_home()
    with _sandbox(home, seed) as environment:
        os.environ.update(environment)
        os.environ.setdefault("GRABIENT_OPS_POLL_SECONDS", "0.2")
        os.environ.setdefault("GRABIENT_OPS_REFINE_AFTER_TAGGING", "true")
        app = open_app()
        _claim_home(app)
        _bring_palettes(app, palettes)
        generate(app.store, app.pictures)
        place(app.services, TaggingOrder(app.catalog.defaults(), runs, palettes, None, "keep"))
        work_until_done(app)
        refresh_refined(app)
    report = _report(app, read_status(app.services), time.monotonic() - started)
    if as_json:
        print_json(report)
    else:
        print_demo(app, report)


def _choose_home() -> Path:
    """The operator's own home is never used unless the variable says so."""
    from grabient_ops.settings import Settings

    if not os.environ.get("GRABIENT_OPS_HOME"):
        os.environ["GRABIENT_OPS_HOME"] = str(Settings().home / "demo")
    home = Path(os.environ["GRABIENT_OPS_HOME"])
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"GRABIENT_OPS_HOME {home} cannot be made: {error.strerror}") from error
    return home


@contextmanager
def _sandbox(home: Path, seed: int) -> Iterator[dict[str, str]]:
    """Run the sandbox as a child; yields the variables that point to it."""
    command = [
        sys.executable, "-m", "grabient_ops", "sandbox", "--port", "0", "--json", "--watch-parent",
        "--seed", str(seed), "--state", str(home / "sandbox.sqlite"),
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    try:
        line = child.stdout.readline() if child.stdout else ""
        if not line:
            raise GrabientError(f"the sandbox did not start (exit {child.wait()})")
        yield json.loads(line)["env"]
    finally:
        child.terminate()
        child.wait()


def _claim_home(app: "App") -> None:
    """Real answers and the sandbox's must never meet in one home."""
    from grabient_ops.app import DEMO_NOTE
    from grabient_ops.store.batches import list_batches
    from grabient_ops.store.notes import set_note

    if app.is_demo():
        return
    with app.store.write() as connection:
        if list_batches(connection, limit=1):
            message = f"{app.settings.home} holds batches of its own"
            raise ConfigError(f"{message}; set GRABIENT_OPS_HOME to another folder for the demo")
        set_note(connection, DEMO_NOTE, "yes")


def _bring_palettes(app: "App", count: int) -> None:
    from grabient_ops.palettes.bundled import bundled_seeds
    from grabient_ops.palettes.invented import invented_seeds
    from grabient_ops.palettes.seed import coeff_key, read_seed
    from grabient_ops.store.palettes import NewPalette, add_palettes

    seeds = bundled_seeds()[:count]
    seeds += invented_seeds(count - len(seeds))
    rows = []
    for seed in seeds:
        palette = read_seed(seed)
        rows.append(NewPalette(seed, palette.format, coeff_key(palette), "demo"))
    with app.store.write() as connection:
        add_palettes(connection, rows, app.services.now())


def _report(app: "App", status: dict[str, Any], elapsed_s: float) -> dict[str, Any]:
    from grabient_ops.pipeline.costs import report_costs

    return {
        **status,
        "elapsed_s": round(elapsed_s, 3),
        "cost_usd": report_costs(app.services, "model", None)["total"]["cost_usd"],
        "home": str(app.settings.home.resolve()),
    }
