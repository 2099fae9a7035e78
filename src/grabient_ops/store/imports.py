"""What came from other systems: stored beside our own, and recognised when it comes again."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.changes import announce
from grabient_ops.store.chunks import chunks
from grabient_ops.store.counting import one_if
from grabient_ops.store.palettes import NewPalette
from grabient_ops.store.prompts import PromptVersion, register_prompt
from grabient_ops.store.tables import imported_batches, palettes, prompt_versions
from grabient_ops.store.upsert import insert_new, insert_of

Row = dict[str, Any]

_MOVED = "movedFromRun"
_KEY = ("prompt_version", "provider", "model", "run_number", "seed")


class Stored(NamedTuple):
    """What became of some rows.

    Attributes:
        imported: how many are new.
        updated: how many were there, and are otherwise now.
        already_there: the others.
        moved: how many have another number of run than there, because that was taken.
        batches: ids of the batches whose rows have changed.
    """

    imported: int = 0
    updated: int = 0
    already_there: int = 0
    moved: int = 0
    batches: frozenset[str] = frozenset()


class SourcePalette(NamedTuple):
    """A palette, and what its source says beside the seed."""

    palette: NewPalette
    attributes: dict[str, Any]
    created_at: datetime


def store_answers(
    connection: Connection, table: sa.Table, source: str, rows: Sequence[Row]
) -> Stored:
    """Store answers and failures of another system.

    A row is recognised by its `source_id`; one whose `source_digest` has changed is replaced. Where
    a run holds a success already, a second one goes to the next run that is free.

    Args:
        connection: an open transaction.
        table: `palette_tags` or `palette_tag_refined`.
        source: where all of them come from.
        rows: all columns but `attempt`.
    """
    distinct = {row["source_id"]: row for row in rows}
    known = _known(connection, table, source, list(distinct))
    fresh = [row for source_id, row in distinct.items() if source_id not in known]
    changed = [
        row
        for source_id, row in distinct.items()
        if source_id in known and known[source_id].digest != row["source_digest"]
    ]
    replaced = [known[row["source_id"]] for row in changed]
    _remove(connection, table, [old.id for old in replaced])
    news = [*fresh, *changed]
    moved = _insert(connection, table, source, news)
    touched = {row["batch_id"] for row in news} | {old.batch_id for old in replaced}
    touched |= restore_runs(connection, table, source, {row["seed"] for row in changed})
    already_there = len(rows) - len(fresh) - len(changed)
    return Stored(len(fresh), len(changed), already_there, moved, frozenset(touched))


def store_palettes(
    connection: Connection, source: str, rows: Sequence[SourcePalette], at: datetime
) -> Stored:
    """Store palettes that are not there yet; of all of them, what the source says beside."""
    distinct = {row.palette.seed: row for row in rows}
    known = _attributes(connection, list(distinct))
    fresh = [
        {**row.palette._asdict(), "created_at": row.created_at,
         "attributes": {source: row.attributes}}
        for seed, row in distinct.items() if seed not in known
    ]  # fmt: skip
    insert_new(connection, palettes, fresh)
    changed = [
        {"its_seed": seed, "new": {**(known[seed] or {}), source: row.attributes}}
        for seed, row in distinct.items()
        if seed in known and (known[seed] or {}).get(source) != row.attributes
    ]
    if changed:
        update = sa.update(palettes).where(palettes.c.seed == sa.bindparam("its_seed"))
        connection.execute(update.values(attributes=sa.bindparam("new")), changed)
    if fresh or changed:
        announce(connection, "palettes", ["*"], at)
    return Stored(len(fresh), 0, len(rows) - len(fresh))


def store_prompt(connection: Connection, prompt: PromptVersion) -> Stored:
    """Keep a prompt; its text, once known, takes the place of an unknown one."""
    if register_prompt(connection, prompt):
        return Stored(imported=1)
    if not prompt.content:
        return Stored(already_there=1)
    learnt = connection.execute(
        sa.update(prompt_versions)
        .where(prompt_versions.c.version == prompt.version, prompt_versions.c.content == "")
        .values(**prompt._asdict())
    )
    if learnt.rowcount:
        announce(connection, "prompts", [prompt.version], prompt.created_at)
    return Stored(updated=learnt.rowcount, already_there=1 - learnt.rowcount)


def store_batches(connection: Connection, rows: Sequence[Row]) -> Stored:
    """Keep batches of the past; of one that is there, how it is now."""
    distinct = {(row["source"], row["source_id"]): row for row in rows}
    known = _documents(connection, list(distinct))
    changed = [
        row for key, row in distinct.items() if key in known and known[key] != row["document"]
    ]
    fresh = [row for key, row in distinct.items() if key not in known]
    if changed or fresh:
        insert = insert_of(connection, imported_batches)
        keep = insert.on_conflict_do_update(
            index_elements=list(imported_batches.primary_key),
            set_={"document": insert.excluded.document},
        )
        connection.execute(keep, [*fresh, *changed])
    return Stored(len(fresh), len(changed), len(rows) - len(fresh) - len(changed))


class _Known(NamedTuple):
    id: int
    digest: str | None
    batch_id: str


def _known(
    connection: Connection, table: sa.Table, source: str, source_ids: Sequence[str]
) -> dict[str, _Known]:
    columns = (table.c.source_id, table.c.id, table.c.source_digest, table.c.batch_id)
    known: dict[str, _Known] = {}
    for chunk in chunks(source_ids):
        query = sa.select(*columns).where(table.c.source == source, table.c.source_id.in_(chunk))
        known.update((row[0], _Known(*row[1:])) for row in connection.execute(query))
    return known


def _remove(connection: Connection, table: sa.Table, ids: Sequence[int]) -> None:
    for chunk in chunks(ids):
        connection.execute(sa.delete(table).where(table.c.id.in_(chunk)))


def _insert(connection: Connection, table: sa.Table, source: str, rows: Sequence[Row]) -> int:
    """Insert rows, as first attempts where nothing speaks against it; return how many moved."""
    if not rows:
        return 0
    if len({_key(row) for row in rows}) == len(rows):
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(table), [{**row, "attempt": 1} for row in rows])
        except sa.exc.IntegrityError:
            pass  # some request has had an attempt before
        else:
            return 0
    placed, moved = _place(connection, table, source, rows)
    connection.execute(sa.insert(table), placed)
    return moved


def _place(
    connection: Connection, table: sa.Table, source: str, rows: Sequence[Row]
) -> tuple[list[Row], int]:
    """Give every row its attempt, and a success that finds its run taken another run."""
    taken = _taken(connection, table, source, list({_key(row) for row in rows}))
    last_runs: dict[tuple[Any, ...], int] = {}
    placed = []
    moved = 0
    for row in rows:
        key = _key(row)
        is_success = row["error_class"] is None
        if is_success and taken.get(key, (0, False))[1]:
            group = (*key[:3], key[4])
            if group not in last_runs:
                last_runs[group] = _last_run(connection, table, source, group, rows)
            last_runs[group] += 1
            key = (*key[:3], last_runs[group], key[4])
            moved += 1
        attempts, is_answered = taken.get(key, (0, False))
        taken[key] = (attempts + 1, is_answered or is_success)
        placed.append({**_moved(row, key[3]), "attempt": attempts + 1})
    return placed, moved


def _moved(row: Row, run_number: int) -> Row:
    """Put a row into a run, and note the run that it has at its source if that is another."""
    if run_number == row["run_number"]:
        return row
    extra = {**(row["source_extra"] or {}), _MOVED: row["run_number"]}
    return {**row, "run_number": run_number, "source_extra": extra}


def restore_runs(
    connection: Connection, table: sa.Table, source: str, seeds: Collection[str]
) -> set[str]:
    """Give moved successes of some palettes their own runs back, where these are free now.

    Returns:
        The batches whose rows have changed.
    """
    names = ("id", "batch_id", "source_extra", *_KEY)
    touched = set()
    for chunk in chunks(sorted(seeds)):
        mine = (table.c.source == source, table.c.seed.in_(chunk), table.c.error_class.is_(None))
        query = sa.select(*(table.c[name] for name in names)).where(
            *mine, table.c.source_extra.is_not(None)
        )
        for row in connection.execute(query.order_by(table.c.id)).all():
            if _MOVED in row.source_extra and _restore(connection, table, source, row._asdict()):
                touched.add(row.batch_id)
    return touched


def _restore(connection: Connection, table: sa.Table, source: str, row: Row) -> bool:
    extra = dict(row["source_extra"])
    key = _key({**row, "run_number": extra.pop(_MOVED)})
    attempts, is_answered = _taken(connection, table, source, [key]).get(key, (0, False))
    if is_answered:
        return False
    update = sa.update(table).where(table.c.id == row["id"])
    connection.execute(
        update.values(run_number=key[3], attempt=attempts + 1, source_extra=extra or None)
    )
    return True


def _taken(
    connection: Connection, table: sa.Table, source: str, keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], tuple[int, bool]]:
    """Return the attempts that some requests have had, and whether one has succeeded."""
    columns = [table.c[name] for name in _KEY]
    attempts = sa.func.max(table.c.attempt)
    successes = sa.func.sum(one_if(table.c.error_class.is_(None)))
    taken: dict[tuple[Any, ...], tuple[int, bool]] = {}
    for chunk in chunks(keys):
        query = (
            sa.select(*columns, attempts, successes)
            .where(sa.tuple_(*columns).in_(chunk), table.c.source == source)
            .group_by(*columns)
        )
        taken.update((tuple(row[:5]), (row[5], bool(row[6]))) for row in connection.execute(query))
    return taken


def _last_run(
    connection: Connection,
    table: sa.Table,
    source: str,
    group: tuple[Any, ...],
    rows: Sequence[Row],
) -> int:
    """Return the highest run that a palette has of a model, stored or about to be."""
    names = ("prompt_version", "provider", "model", "seed")
    stored: int | None = connection.execute(
        sa.select(table.c.run_number)
        .filter_by(**dict(zip(names, group, strict=True)), source=source)
        .order_by(table.c.run_number.desc())
        .limit(1)
    ).scalar()
    coming = (row["run_number"] for row in rows if tuple(row[name] for name in names) == group)
    return max(coming, default=0) if stored is None else max(stored, *coming)


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def _attributes(connection: Connection, seeds: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    known: dict[str, dict[str, Any] | None] = {}
    for chunk in chunks(seeds):
        query = sa.select(palettes.c.seed, palettes.c.attributes).where(palettes.c.seed.in_(chunk))
        known.update(connection.execute(query).all())
    return known


def _documents(
    connection: Connection, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], object]:
    columns = (imported_batches.c.source, imported_batches.c.source_id)
    known: dict[tuple[str, str], object] = {}
    for chunk in chunks(keys):
        query = sa.select(*columns, imported_batches.c.document)
        found = connection.execute(query.where(sa.tuple_(*columns).in_(chunk)))
        known.update(((row[0], row[1]), row[2]) for row in found)
    return known
