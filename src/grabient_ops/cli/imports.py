"""`grabient-ops import`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_line, warn
from grabient_ops.cli.legible import legible
from grabient_ops.cli.progress import progress_bar
from grabient_ops.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grabient_ops.importers.values import Record, Source

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Take over what another system holds."
)
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read everything and count, but store nothing.")
]

_SHOWN_REASONS = 20
_SHOWN_DOUBTS = 20


@app.command()
def d1(
    file: Annotated[
        Path, typer.Argument(metavar="DUMP.sql|DB.sqlite", help="What `wrangler d1 export` wrote.")
    ],
    liked_by_admins: Annotated[
        bool, typer.Option("--liked-by-admins", help="Palettes that an admin likes; the default.")
    ] = False,
    liked_by: Annotated[
        list[str] | None,
        typer.Option(metavar="EMAIL", help="Palettes that this user likes; repeatable."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All palettes.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import palettes, tags and refinements of Cloudflare D1: a dump, never run, or its file."""
    from grabient_ops.importers.d1.choice import Choice
    from grabient_ops.importers.d1.reading import read_d1

    if bool(liked_by) + liked_by_admins + everything > 1:
        raise typer.BadParameter("choose one of --liked-by-admins, --liked-by and --all")
    choice = Choice(everything, tuple(email.casefold() for email in liked_by or ()))
    _import("d1", read_d1(file, choice), dry_run=dry_run, as_json=as_json)


@app.command()
def convex(
    file: Annotated[Path, typer.Argument(metavar="EXPORT.zip", help="What `convex export` wrote.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import everything that an export of Convex holds."""
    from grabient_ops.importers.convex.export import read_export

    _refuse_older_rows()
    _import("convex", read_export(file), dry_run=dry_run, as_json=as_json)


def _refuse_older_rows() -> None:
    """An export is older than the deployment that is followed, and would undo what changed since.

    Raises:
        ConfigError: this home follows one.
    """
    from grabient_ops.store.mirror import read_state

    with open_app().store.read() as connection:
        if read_state(connection) is not None:
            message = "this home follows a Convex deployment, which an export would overwrite"
            raise ConfigError(f"{message}; import it into another home")


def _import(source: "Source", records: "Iterable[Record]", *, dry_run: bool, as_json: bool) -> None:
    from grabient_ops.pipeline.importing import Importer

    importer = Importer(open_app().services, source, dry_run=dry_run)
    with progress_bar(f"reading {source}") as show:
        report = importer.run(records, lambda now: show(*now))
    if as_json:
        print_json(report.to_json())
    else:
        print_tables(report.to_json())
    total = report.total
    if total.refused and total.refused == total.read:
        raise InputError(f"all {total.read:,} rows were refused")


def print_tables(document: dict[str, Any]) -> None:
    """Print what `--json` would, for people."""
    for refusal in document["refused"][:_SHOWN_REASONS]:
        first = refusal["examples"][0]
        place = f"{first['table']}:{first['line']}"
        value = f" {first['value']!r}" if first["value"] else ""
        warn(legible(f"refused {refusal['count']:,}: {refusal['reason']} First {place}{value}"))
    for doubt in document["doubtful"][:_SHOWN_DOUBTS]:
        warn(
            f"{doubt['table']}:{doubt['line']}: {doubt['column']} may have held other line ends; "
            "the dump does not tell"
        )
    for model in document["unknown_models"]:
        name = legible(f"{model['provider']}/{model['model']}")
        print_line(f"{name} is not in the catalog: {model['answers']:,} answers kept under it")
    for item in document["passed"]:
        print_line(legible(f"{item['what']}: {item['rows']:,} passed over, {item['reason']}"))
    for table, count in document["tables"].items():
        print_line(legible(f"{table}: {_counts(count)}"))
    if document["dry_run"]:
        print_line("nothing was written")


def _counts(count: dict[str, int]) -> str:
    words = {
        "imported": "imported", "updated": "updated", "already_there": "already there",
        "left_out": "left out by the rule", "refused": "refused",
        "moved": "moved to a further run",
    }  # fmt: skip
    always = {"imported", "already_there", "refused"}
    told = [
        f"{count[name]:,} {text}" for name, text in words.items() if count[name] or name in always
    ]
    return f"{count['read']:,} read: {', '.join(told)}"
