"""`grabient-ops sync`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_line, warn
from grabient_ops.cli.imports import print_tables
from grabient_ops.cli.legible import legible
from grabient_ops.cli.progress import counting
from grabient_ops.errors import ConfigError, GrabientError

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.importers.convex.http import ConvexHttp
    from grabient_ops.pipeline.pushing import Pusher
    from grabient_ops.pipeline.syncing import Syncer
    from grabient_ops.pipeline.verifying import TableVerdict

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Follow another system that keeps running."
)


@app.callback()
def options() -> None:
    """Keep `convex` a word of its own although it is the only one."""


@app.command()
def convex(
    url: Annotated[str, typer.Argument(help="Address of the deployment; key: CONVEX_DEPLOY_KEY.")],
    follow: Annotated[
        bool, typer.Option("--follow/--once", help="Stay, and keep up; or catch up and end.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Read everything again; needed after a restore there.")
    ] = False,
    moved: Annotated[
        bool, typer.Option("--moved", help="What this home follows has this address now.")
    ] = False,
    push_mutation: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Give our refinements back by this mutation."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and count, but store and send nothing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare all of it with what is here; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Mirror a Convex deployment: what changes there changes here, kept apart as `convex`."""
    if follow and dry_run:
        raise typer.BadParameter("--dry-run looks once")
    if verify and (follow or again or moved or push_mutation or dry_run):
        raise typer.BadParameter("--verify only compares; leave the other options out")
    opened = open_app()
    if verify:
        _verify(opened, url, as_json=as_json)
        return
    with (
        opened.hold_convex(),
        _stopping() as (stop, received),
        _connection(opened, url, stop) as http,
    ):
        syncer = _syncer(opened, http, url, moved=moved, dry_run=dry_run)
        if again:
            syncer.begin_again()
        pusher = _pusher(opened, http, push_mutation)
        _keep_up(opened, syncer, None if dry_run else pusher, stop, follow=follow)
    report = _report(syncer, pusher, dry_run=dry_run)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if signal.SIGINT in received:
        raise KeyboardInterrupt


def _keep_up(
    opened: "App", syncer: "Syncer", pusher: "Pusher | None", stop: Event, *, follow: bool
) -> None:
    from grabient_ops.pipeline import following

    with counting("reading convex", "documents") as show:

        def tell() -> None:
            show(syncer.changes)

        if follow:
            _start_warehouse(opened)
            following.follow(syncer, pusher, stop.wait, tell)
        else:
            following.catch_up(syncer, pusher, stop.wait, tell)


def _verify(opened: "App", url: str, *, as_json: bool) -> None:
    """Say what differs; exit code 1 when something does."""
    from msgspec import to_builtins

    from grabient_ops.importers.convex.stream import ConvexStream
    from grabient_ops.pipeline.verifying import verify

    with (
        opened.hold_convex(),
        _stopping() as (stop, received),
        _connection(opened, url, stop) as http,
        counting("reading convex", "documents") as show,
    ):
        try:
            tables = verify(opened.services, ConvexStream(http), url.rstrip("/"), stop.wait, show)
        except GrabientError:
            if signal.SIGINT in received:
                raise KeyboardInterrupt from None
            raise
    is_equal = all(verdict.is_equal for verdict in tables.values())
    if as_json:
        print_json({"source": "convex", "equal": is_equal, "tables": to_builtins(tables)})
    else:
        for table, verdict in tables.items():
            _print_verdict(table, verdict)
    if not is_equal:
        raise typer.Exit(1)


def _print_verdict(table: str, verdict: "TableVerdict") -> None:
    counts = (
        f"{verdict.missing:,} missing, {verdict.different:,} different, {verdict.extra:,} extra"
    )
    unread = f", {verdict.unread:,} not read yet" if verdict.unread else ""
    print_line(legible(f"{table}: {verdict.there:,} there: {counts}{unread}"))
    for kind, ids in verdict.examples.items():
        print_line(legible(f"  {kind}: {', '.join(ids)}"))


def _syncer(opened: "App", http: "ConvexHttp", url: str, *, moved: bool, dry_run: bool) -> "Syncer":
    from grabient_ops.importers.convex.stream import ConvexStream
    from grabient_ops.pipeline.syncing import Syncer, move

    address = url.rstrip("/")
    if moved:
        move(opened.store, address)
    return Syncer(opened.services, ConvexStream(http), address, dry_run=dry_run)


def _pusher(opened: "App", http: "ConvexHttp", mutation: str | None) -> "Pusher | None":
    from grabient_ops.pipeline.pushing import Pusher

    return Pusher(opened.services, http.mutate, mutation) if mutation else None


def _start_warehouse(opened: "App") -> None:
    """Keep the warehouse within a second of the store, from a process that ends with this one."""
    from grabient_ops.analytics.follower import start_follower

    start_follower(opened.settings.home, opened.settings.store_url)


@contextmanager
def _connection(opened: "App", url: str, stop: Event) -> "Iterator[ConvexHttp]":
    from grabient_ops.importers.convex.http import ConvexHttp
    from grabient_ops.settings import check_key

    key = opened.settings.convex_deploy_key
    if key is None:
        raise ConfigError("CONVEX_DEPLOY_KEY is not set")
    check_key("CONVEX_DEPLOY_KEY", key.get_secret_value())
    http = ConvexHttp(url, key.get_secret_value(), stop.wait)
    if http.is_open_to_listeners:
        warn("the address is no https: whoever is on the way can read the deploy key")
    try:
        yield http
    finally:
        http.close()


@contextmanager
def _stopping() -> Iterator[tuple[Event, list[int]]]:
    """Turn SIGINT and SIGTERM into an event; the page that is under way is stored first."""
    stop = Event()
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        stop.set()
        # Asked twice: every instant is safe to die at.
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(syncer: "Syncer", pusher: "Pusher | None", *, dry_run: bool) -> dict[str, Any]:
    waiting = sum(1 for _ in pusher.pending()) if pusher else 0
    return {
        **syncer.report.to_json(),
        "pages": syncer.pages,
        "restarts": syncer.restarts,
        "removed": sum(syncer.removed.values()),
        "removed_by_table": {table: rows for table, rows in syncer.removed.items() if rows},
        "pushed": pusher.pushed if pusher and not dry_run else 0,
        "to_push": waiting,
    }


def _print(report: dict[str, Any]) -> None:
    print_tables(report)
    for table, rows in report["removed_by_table"].items():
        print_line(legible(f"{table}: {rows:,} removed, as there"))
    if report["pushed"] or report["to_push"]:
        print_line(f"refinements: {report['pushed']:,} given back, {report['to_push']:,} to go")
    print_line(f"{report['pages']:,} pages read")
