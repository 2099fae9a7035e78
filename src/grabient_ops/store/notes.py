"""Small facts about a home, by key."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from grabient_ops.store.tables import notes


def get_note(connection: Connection, key: str) -> str | None:
    """Return the note, or None."""
    return connection.execute(sa.select(notes.c.value).where(notes.c.key == key)).scalar()


def set_note(connection: Connection, key: str, value: str) -> None:
    """Write the note, replacing an older one."""
    changed = connection.execute(sa.update(notes).where(notes.c.key == key).values(value=value))
    if not changed.rowcount:
        connection.execute(sa.insert(notes).values(key=key, value=value))


def drop_note(connection: Connection, key: str) -> None:
    """Forget the note."""
    connection.execute(sa.delete(notes).where(notes.c.key == key))


def list_notes(connection: Connection, prefix: str) -> dict[str, str]:
    """Return the notes whose keys begin so."""
    query = sa.select(notes.c.key, notes.c.value)
    wanted = query.where(notes.c.key.startswith(prefix, autoescape=True))
    return dict(connection.execute(wanted).all())
