"""What a followed Convex deployment holds, as we know it, and how our rows of it go away again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.errors import StoreError
from grabient_ops.store.changes import Topic, announce
from grabient_ops.store.chunks import chunks
from grabient_ops.store.imports import restore_runs
from grabient_ops.store.notes import get_note, set_note
from grabient_ops.store.tables import (
    convex_documents,
    imported_batches,
    notes,
    palette_tag_refined,
    palette_tags,
    palettes,
    prompt_versions,
    requests,
    targets,
)
from grabient_ops.store.upsert import insert_of

SOURCE: Final = "convex"
_STATE = "convex"
_ROWS_AT_ONCE = 500
_ANSWERS: dict[str, tuple[sa.Table, Topic]] = {
    "palette_tags": (palette_tags, "responses"),
    "palette_tag_refined": (palette_tag_refined, "refinements"),
}
_BATCHES = ("tag_batches", "refinement_batches")


class Document(NamedTuple):
    """What is known of a document.

    Attributes:
        ts: of its version, in nanoseconds since the epoch.
        seed: the palette that it is, if it is one.
        generation: number of the reading of its table that last saw it.
        gone: whether it was deleted there.
    """

    source_id: str
    table_name: str
    ts: int
    seed: str | None
    generation: int
    gone: bool


def read_state(connection: Connection) -> str | None:
    """Return what a follower has noted last, or None."""
    return get_note(connection, _STATE)


def swap_state(connection: Connection, old: str | None, new: str) -> None:
    """Note where a follower is, in the transaction that stores what it has read.

    Raises:
        StoreError: the note is no longer the old one: somebody else follows too.
    """
    if old is None and get_note(connection, _STATE) is None:
        set_note(connection, _STATE, new)
        return
    mine = sa.and_(notes.c.key == _STATE, notes.c.value == old)
    if not connection.execute(sa.update(notes).where(mine).values(value=new)).rowcount:
        raise StoreError("another process follows this deployment too; stop one of the two")


def known_documents(connection: Connection, source_ids: Sequence[str]) -> dict[str, Document]:
    """Return what is known of some documents, by `source_id`."""
    known: dict[str, Document] = {}
    for chunk in chunks(source_ids):
        query = sa.select(convex_documents).where(convex_documents.c.source_id.in_(chunk))
        known.update((row.source_id, _document(row)) for row in connection.execute(query))
    return known


def remember(connection: Connection, documents: Sequence[Document]) -> None:
    """Note documents as they are now."""
    if documents:
        insert = insert_of(connection, convex_documents)
        new = {name: insert.excluded[name] for name in Document._fields[1:]}
        keep = insert.on_conflict_do_update(index_elements=["source_id"], set_=new)
        connection.execute(keep, [document._asdict() for document in documents])


def take_outdated(connection: Connection, table_name: str, generation: int) -> list[Document]:
    """Forget the documents that a whole reading of their table has not seen; return them."""
    columns = convex_documents.c
    outdated = sa.and_(columns.table_name == table_name, columns.generation < generation)
    found = connection.execute(sa.select(convex_documents).where(outdated))
    documents = [_document(row) for row in found]
    connection.execute(sa.delete(convex_documents).where(outdated))
    return documents


def forget_gone(connection: Connection) -> None:
    """Forget deleted documents, of which no older version can come any more."""
    connection.execute(sa.delete(convex_documents).where(convex_documents.c.gone))


def outdated_rivals(
    connection: Connection, table_name: str, generation: int, keys: Sequence[tuple[Any, ...]]
) -> list[str]:
    """Return documents whose answers are in the way of newer ones, and are about to go.

    Args:
        connection: an open transaction.
        table_name: of answers.
        generation: of the reading that is under way.
        keys: (prompt_version, provider, model, run_number, seed) of the newer ones.
    """
    table, _ = _ANSWERS[table_name]
    names = ("prompt_version", "provider", "model", "run_number", "seed")
    columns = [table.c[name] for name in names]
    documents = convex_documents.c
    rivals: list[str] = []
    for chunk in chunks(keys):
        query = (
            sa.select(table.c.source_id)
            .join(convex_documents, documents.source_id == table.c.source_id)
            .where(table.c.source == SOURCE, sa.tuple_(*columns).in_(chunk))
            .where(documents.table_name == table_name, documents.generation < generation)
        )
        rivals += connection.execute(query).scalars()
    return rivals


class MirroredRow(NamedTuple):
    """A row that a deployment has brought.

    Attributes:
        key: `source_id`; of a palette its seed, of a prompt its version.
        source_id: of the document, as far as a row can tell.
        content: its columns; of a palette and a batch what the deployment says.
        is_known: whether it is here because of a document that is followed.
    """

    key: str
    source_id: str
    content: Mapping[str, Any]
    is_known: bool


def mirrored_rows(connection: Connection, table_name: str) -> Iterator[MirroredRow]:
    """Yield what is here of a table of the deployment."""
    streaming = connection.execution_options(yield_per=_ROWS_AT_ONCE)
    documents = convex_documents.c
    followed = sa.select(documents.source_id).where(
        documents.table_name == table_name, ~documents.gone
    )
    if table_name in _ANSWERS:
        table, _ = _ANSWERS[table_name]
        query = sa.select(table, table.c.source_id.in_(followed).label("is_known"))
        for row in streaming.execute(query.where(table.c.source == SOURCE)).mappings():
            yield MirroredRow(row["source_id"], row["source_id"], dict(row), row["is_known"])
    elif table_name == "palettes":
        query = sa.select(palettes.c.seed, palettes.c.attributes)
        for seed, attributes in streaming.execute(query.where(palettes.c.attributes.is_not(None))):
            if said := (attributes or {}).get(SOURCE):
                yield MirroredRow(seed, str(said.get("_id")), said, is_known=True)
    elif table_name in _BATCHES:
        kind = "tagging" if table_name == "tag_batches" else "refinement"
        columns = imported_batches.c
        query = sa.select(columns.source_id, columns.document, columns.source_id.in_(followed))
        mine = query.where(columns.source == SOURCE, columns.kind == kind)
        for source_id, document, is_known in streaming.execute(mine):
            yield MirroredRow(source_id, source_id, document, is_known)
    else:
        for version in streaming.execute(sa.select(prompt_versions.c.version)).scalars():
            yield MirroredRow(version, "", {}, is_known=False)


def remove(
    connection: Connection, table_name: str, documents: Sequence[Document], at: datetime
) -> int:
    """Take away what documents of a table have brought; return how many rows that were.

    Prompts stay: answers refer to them. So does a palette that anything else refers to.
    """
    source_ids = [document.source_id for document in documents]
    if table_name in _ANSWERS:
        return remove_answers(connection, table_name, source_ids, at)
    if table_name == "palettes":
        seeds = {document.seed for document in documents if document.seed is not None}
        return remove_palettes(connection, sorted(seeds), at)
    return _remove_batches(connection, source_ids) if table_name in _BATCHES else 0


def remove_answers(
    connection: Connection, table_name: str, source_ids: Sequence[str], at: datetime
) -> int:
    """Remove the rows of some documents, and tell the warehouse; return how many."""
    table, topic = _ANSWERS[table_name]
    batches: set[str] = set()
    seeds: set[str] = set()
    count = 0
    for chunk in chunks(source_ids):
        mine = sa.and_(table.c.source == SOURCE, table.c.source_id.in_(chunk))
        query = sa.select(table.c.batch_id, table.c.seed).where(mine)
        for batch_id, seed in connection.execute(query):
            batches.add(batch_id)
            seeds.add(seed)
        count += connection.execute(sa.delete(table).where(mine)).rowcount
    # Their runs are free now for those that had to go elsewhere.
    batches |= restore_runs(connection, table, SOURCE, seeds)
    announce(connection, topic, sorted(batches), at)
    return count


def remove_palettes(connection: Connection, seeds: Sequence[str], at: datetime) -> int:
    """Remove palettes that no other document and nothing of ours speaks of; return how many.

    Of the others, only what the deployment has said beside the seed is removed.
    """
    count = 0
    for chunk in chunks(seeds):
        free = set(chunk).difference(_seeds_of_documents(connection, chunk))
        kept = _seeds_in_use(connection, sorted(free))
        _forget_attributes(connection, sorted(kept))
        mine = palettes.c.seed.in_(sorted(free - kept))
        count += connection.execute(sa.delete(palettes).where(mine)).rowcount
    if seeds:
        announce(connection, "palettes", ["*"], at)
    return count


def _remove_batches(connection: Connection, source_ids: Sequence[str]) -> int:
    columns = imported_batches.c
    count = 0
    for chunk in chunks(source_ids):
        mine = sa.and_(columns.source == SOURCE, columns.source_id.in_(chunk))
        count += connection.execute(sa.delete(imported_batches).where(mine)).rowcount
    return count


def _seeds_of_documents(connection: Connection, seeds: Sequence[str]) -> set[str]:
    columns = convex_documents.c
    query = sa.select(columns.seed).where(columns.seed.in_(seeds), ~columns.gone)
    return {seed for seed in connection.execute(query).scalars() if seed is not None}


def _seeds_in_use(connection: Connection, seeds: Sequence[str]) -> set[str]:
    """Return the palettes that came otherwise, or that were or are to be tagged by us."""
    came = sa.select(palettes.c.seed).where(palettes.c.seed.in_(seeds), palettes.c.source != SOURCE)
    queries = [came]
    queries += [sa.select(t.c.seed).where(t.c.seed.in_(seeds)) for t in (requests, targets)]
    queries += [
        sa.select(table.c.seed).where(table.c.seed.in_(seeds), table.c.source != SOURCE)
        for table, _ in _ANSWERS.values()
    ]
    return set(connection.execute(sa.union(*queries)).scalars())


def _forget_attributes(connection: Connection, seeds: Sequence[str]) -> None:
    query = sa.select(palettes.c.seed, palettes.c.attributes).where(palettes.c.seed.in_(seeds))
    for seed, attributes in connection.execute(query).all():
        rest = {name: said for name, said in (attributes or {}).items() if name != SOURCE}
        update = sa.update(palettes).where(palettes.c.seed == seed)
        connection.execute(update.values(attributes=rest or None))


def _document(row: Iterable[Any]) -> Document:
    return Document(*row)
