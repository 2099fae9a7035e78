"""Which palettes an operator wants of a D1 database: those that somebody likes, or all."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from grabient_ops.errors import InputError
from grabient_ops.importers.d1.source import D1Source, Row
from grabient_ops.importers.values import Passed, Progressed, Refused

USERS = ("auth_user", "users", "user")
"""Names that the table of users may have; the first that is there is taken."""
_ADVICE = "choose palettes with --liked-by EMAIL, or take --all"
_MADE = (
    "CREATE TABLE choosing (user PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE likes (palette PRIMARY KEY, count, chosen, found DEFAULT 0) WITHOUT ROWID",
    "BEGIN",
)
_LIKED = """INSERT INTO likes (palette, count, chosen)
VALUES (?, 1, EXISTS (SELECT 1 FROM choosing WHERE user = ?))
ON CONFLICT DO UPDATE SET count = count + 1, chosen = max(chosen, excluded.chosen)"""


@dataclass(frozen=True, slots=True)
class Choice:
    """The operator's rule.

    Attributes:
        everything: take all palettes.
        emails: take what these users like; without any, what admins like.
    """

    everything: bool = False
    emails: tuple[str, ...] = ()


class Liked(NamedTuple):
    """How a palette is liked.

    Attributes:
        users: how many like it.
        is_chosen: whether one of those does who choose.
    """

    users: int
    is_chosen: bool


class Likes:
    """Tally of the likes, on disk beyond a few megabytes.

    Args:
        choice: the operator's rule.
    """

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._tally = sqlite3.connect("", isolation_level=None)
        for statement in _MADE:
            self._tally.execute(statement)

    def read(self, source: D1Source) -> Iterator[Refused | Passed | Progressed]:
        """Read who likes what.

        Raises:
            InputError: the rule chooses nothing; the message says why, and what to do.
        """
        users = next((name for name in USERS if name in source.survey.columns), None)
        if not self._choice.everything:
            yield from self._read_users(source, users)
        yield from self._read_likes(source)
        if not self._choice.everything and not self._has("likes WHERE chosen"):
            raise InputError(f"those users like no palette; {_ADVICE}")
        for table in (users, "likes"):
            if table in source.survey.rows:
                yield Passed(table, source.survey.rows[table], "read for the likes only")

    def of(self, palette: object) -> Liked:
        """Return how a palette is liked, by what `likes` calls it; it counts as found."""
        found = self._tally.execute(
            "UPDATE likes SET found = 1 WHERE palette = ? RETURNING count, chosen", (palette,)
        )
        count, chosen = found.fetchone() or (0, 0)
        return Liked(count, self._choice.everything or bool(chosen))

    def not_found(self) -> Iterator[tuple[str, int]]:
        """Yield the chosen palettes that were not asked for, and how many users like each."""
        query = "SELECT palette, count FROM likes WHERE NOT found AND (chosen OR ?) ORDER BY 1"
        yield from self._tally.execute(query, (self._choice.everything,))

    def close(self) -> None:
        """Remove the tally."""
        self._tally.close()

    def _read_users(self, source: D1Source, users: str | None) -> Iterator[Refused | Progressed]:
        columns = source.survey.columns
        if users is None or "likes" not in columns:
            missing = "users" if users is None else "likes"
            raise InputError(f"the file has no {missing}, so nobody's likes can choose; take --all")
        wanted = "email" if self._choice.emails else "role"
        if wanted not in columns[users]:
            raise InputError(f"{users} has no column {wanted}; {_ADVICE}")
        for item in source.rows(users):
            if not isinstance(item, Row):
                yield item
            elif self._chooses(item):
                user = item.cells.get("id")
                self._tally.execute("INSERT OR IGNORE INTO choosing VALUES (?)", (user,))
        if not self._has("choosing"):
            whom = "such an e-mail address" if self._choice.emails else "the role admin"
            raise InputError(f"no user has {whom}; {_ADVICE}")

    def _chooses(self, user: Row) -> bool:
        if not self._choice.emails:
            return user.cells.get("role") == "admin"
        email = user.cells.get("email")
        return isinstance(email, str) and email.casefold() in self._choice.emails

    def _read_likes(self, source: D1Source) -> Iterator[Refused | Progressed]:
        for item in source.rows("likes"):
            if not isinstance(item, Row):
                yield item
                continue
            palette = item.cells.get("palette_id", item.cells.get("seed"))
            if isinstance(palette, str) and palette:
                self._tally.execute(_LIKED, (palette, item.cells.get("user_id")))
            else:
                yield Refused(item.place, "The like names no palette.")

    def _has(self, rows: str) -> bool:
        return bool(self._tally.execute(f"SELECT EXISTS (SELECT 1 FROM {rows})").fetchone()[0])  # noqa: S608 - words of ours
