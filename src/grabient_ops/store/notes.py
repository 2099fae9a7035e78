"""Small facts about a home, by key."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import notes
from grabient_ops.store.upsert import insert_of


def get_note(connection: Connection, key: str) -> str | None:
    """Return the note, or None."""
    return connection.execute(sa.select(notes.c.value).where(notes.c.key == key)).scalar()


def set_note(connection: Connection, key: str, value: str) -> None:
    """Write the note, replacing an older one."""
    insert = insert_of(connection, notes).values(key=key, value=value)
    connection.execute(
        insert.on_conflict_do_update(index_elements=[notes.c.key], set_={"value": value})
    )


def drop_note(connection: Connection, key: str) -> None:
    """Forget the note."""
    connection.execute(sa.delete(notes).where(notes.c.key == key))


def list_notes(connection: Connection, prefix: str) -> dict[str, str]:
    """Return the notes whose keys begin so."""
    query = sa.select(notes.c.key, notes.c.value)
    wanted = query.where(notes.c.key.startswith(prefix, autoescape=True))
    return dict(connection.execute(wanted).all())
