"""`grabient-ops errors`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from grabient_ops.cli.common import (
    MOST,
    Json,
    group_meaning,
    open_app,
    print_json,
    print_line,
    print_table,
    require_known,
    warn,
)
from grabient_ops.cli.legible import legible
from grabient_ops.errors import ConfigError
from grabient_ops.tagging.kinds import KINDS, Kind

if TYPE_CHECKING:
    from grabient_ops.app import App
    from grabient_ops.store.failures import StoredError


app = typer.Typer(
    cls=group_meaning("list"),
    rich_markup_mode=None,
    help="Look at failures, and have them asked again.",
)
Class = Annotated[str | None, typer.Option("--class", help="Only this class, e.g. unparsable.")]
Model = Annotated[str | None, typer.Option(help="Only this model, by the provider's id.")]
Provider = Annotated[str | None, typer.Option(help="Only this provider.")]
Run = Annotated[int | None, typer.Option(min=1, max=MOST, help="Only this run.")]
Batch = Annotated[str | None, typer.Option(help="Only this batch; its beginning will do.")]
OfStage = Annotated[Kind | None, typer.Option(help="Only this stage. Default: both.")]

_SHOWN_ROWS = 50
_SHOWN_CHARACTERS = 2000


@app.command("list")
def list_(
    class_: Class = None,
    model: Model = None,
    provider: Provider = None,
    run: Run = None,
    batch: Batch = None,
    kind: OfStage = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="How many; default: 50, with --json all.")
    ] = None,
    after: Annotated[
        int,
        typer.Option(min=0, max=MOST, metavar="ID", help="Begin after this failure of the stage."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Count failures by class and model; with a filter, list them with what the model wrote."""
    from grabient_ops.store.failures import list_errors

    app = open_app()
    equal = _filters(app, class_, model, provider, run, batch)
    if not (as_json or limit or after or kind or any(equal.values())):
        _print_groups(app)
        return
    if limit is None and not as_json:
        limit = _SHOWN_ROWS
    found: dict[str, list[StoredError]] = {}
    for stage in _stages(kind, after):
        with app.store.read() as connection:
            found[stage] = list_errors(connection, stage, limit=limit, after=after, **equal)
    if as_json:
        print_json([{"kind": s, **error._asdict()} for s in found for error in found[s]])
        return
    for stage, errors in found.items():
        _print_errors(stage, errors, limit)


@app.command()
def retry(
    class_: Class = None,
    model: Model = None,
    provider: Provider = None,
    run: Run = None,
    batch: Batch = None,
    kind: OfStage = None,
    as_json: Json = False,
) -> None:
    """Have failed requests asked again, as if they had not been; answered ones are left alone."""
    from grabient_ops.store.failures import excuse_errors

    app = open_app()
    equal = _filters(app, class_, model, provider, run, batch)
    now = app.services.now()
    with app.store.write() as connection:
        stages = [kind] if kind else KINDS
        count = sum(excuse_errors(connection, now, stage, **equal) for stage in stages)
    if as_json:
        print_json({"requests": count})
        return
    print_line(f"{count:,} failed requests may be asked again; a running worker goes on with them")


def _filters(
    app: "App", class_: str | None, model: str | None, provider: str | None,
    run: int | None, batch: str | None,
) -> dict[str, str | int | None]:  # fmt: skip
    """Return the columns to filter by; a model may also be written `provider/id`."""
    from grabient_ops.providers.base import PROVIDERS
    from grabient_ops.tagging.outcome import ErrorClass

    require_known([class_], tuple(ErrorClass), "--class")
    require_known([provider], PROVIDERS, "--provider")
    if model is not None and provider is None:
        provider, model = _model(app, model)
    return {
        "error_class": class_,
        "model": model,
        "provider": provider,
        "run_number": run,
        "batch_id": None if batch is None else _batch_id(app, batch),
    }


def _model(app: "App", name: str) -> tuple[str | None, str]:
    """Failures outlive the catalog: a name that it does not know is taken as it is."""
    try:
        found = app.catalog.find(name)
    except ConfigError:
        return None, name
    return found.provider, found.id


def _batch_id(app: "App", text: str) -> str:
    from grabient_ops.pipeline.recovery import find_batch

    return find_batch(app.services, text).id


def _print_groups(app: "App") -> None:
    from grabient_ops.store.failures import group_errors
    from grabient_ops.store.responses import count_strays

    with app.store.read() as connection:
        groups = [(kind, group) for kind in KINDS for group in group_errors(connection, kind)]
        strays = count_strays(connection)
    rows = [
        (kind, group.error_class, f"{group.provider}/{group.model}", group.failures,
         group.unanswered)
        for kind, group in groups
    ]  # fmt: skip
    print_table(["stage", "class", "model", "#failures", "#unanswered"], rows)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(strays.items()))
    print_line(f"lines that belong to no open request: {kinds or 'none'}")


def _stages(kind: str | None, after: int) -> Sequence[str]:
    """Ids are counted by stage, so only one can be gone on with: tagging unless one is named."""
    if kind is not None:
        return [kind]
    return KINDS[:1] if after else KINDS


def _print_errors(stage: str, errors: "Sequence[StoredError]", limit: int | None) -> None:
    for error in errors:
        _print_error(error)
    more = ""
    if errors and len(errors) == limit:
        more = f"; --kind {stage} --after {errors[-1].id} shows what follows"
    warn(f"{len(errors):,} failures of {stage}{more}")


def _print_error(error: "StoredError") -> None:
    excused = ", excused" if error.excused else ""
    print_line(
        f"#{error.id} {error.error_class}{excused}: {error.provider}/{error.model}, "
        f"run {error.run_number}, attempt {error.attempt}, batch {error.batch_id}"
    )
    print_line(f"  {error.seed}")
    print_line(f"  {legible(error.error or '', _SHOWN_CHARACTERS)}")
    for line in legible(error.response or "", _SHOWN_CHARACTERS).splitlines():
        print_line(f"  | {line}")
