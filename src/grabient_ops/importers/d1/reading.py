"""Reads the site's palettes, answers and refinements out of a file of Cloudflare D1."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from grabient_ops.errors import InputError
from grabient_ops.importers.d1.choice import USERS, Choice, Likes
from grabient_ops.importers.d1.rows import palette_of, read_palette, read_refinement, read_tags
from grabient_ops.importers.d1.source import D1Source, DumpSource, Row
from grabient_ops.importers.d1.sqlite_file import MAGIC, SqliteSource
from grabient_ops.importers.values import LeftOut, Passed, Place, Record, Refused

_PALETTES = ("palettes", "collections")
_ANSWERS: Mapping[str, Callable[[Row], Iterator[Record]]] = {
    "palette_tags": read_tags,
    "palette_tag_refinements": read_refinement,
}
_MIGRATIONS = "d1_migrations"


def read_d1(path: Path, choice: Choice) -> Iterator[Record]:
    """Yield everything that a dump or a SQLite file holds, in a stable order.

    Args:
        path: what `wrangler d1 export` has written, or a database file.
        choice: which palettes are wanted; answers are yielded for all of them.

    Raises:
        InputError: the file cannot be read or holds no table of the site, or the rule chooses
            nothing.
    """
    first_problem: Refused | None = None
    with _opened(path) as source, closing(Likes(choice)) as likes:
        for seen in source.look():
            first_problem = first_problem or (seen if isinstance(seen, Refused) else None)
            yield seen
        if not source.survey.columns.keys() & {*_PALETTES, *_ANSWERS, "likes"}:
            raise InputError(_explain(path, first_problem))
        yield from likes.read(source)
        yield from _palettes(source, likes)
        for table, read in _ANSWERS.items():
            for item in source.rows(table):
                if isinstance(item, Row):
                    yield from read(item)
                else:
                    yield item
        yield from _passed(source)


def _explain(path: Path, problem: Refused | None) -> str:
    if problem is None:
        return f"{path} holds no table of the site; is it a dump of its D1 database?"
    return f"{path} holds no row that can be read; line {problem.place.line}: {problem.reason}"


def _palettes(source: D1Source, likes: Likes) -> Iterator[Record]:
    table = next((name for name in _PALETTES if name in source.survey.columns), "")
    by_id = "palette_id" in source.survey.columns.get("likes", ())
    for item in source.rows(table):
        if not isinstance(item, Row):
            yield item
            continue
        key = "id" if by_id or "seed" not in item.cells else "seed"
        liked = likes.of(item.cells.get(key))
        yield read_palette(item, liked.users) if liked.is_chosen else LeftOut(item.place)
    for line, (palette, count) in enumerate(likes.not_found(), start=1):
        yield palette_of(Place("likes", line), palette, {"likes": count})


def _passed(source: D1Source) -> Iterator[Passed]:
    survey = source.survey
    read = {*_PALETTES, *_ANSWERS, "likes", *USERS}
    for table, rows in survey.rows.items():
        if table == _MIGRATIONS:
            yield Passed(table, rows, f"the newest is {_newest_migration(source)}")
        elif table not in read:
            yield Passed(table, rows, "not needed")
    for kind, count in survey.others.items():
        yield Passed(f"statement {kind}", count, "never run")


def _newest_migration(source: D1Source) -> str:
    names = [row.cells.get("name") for row in source.rows(_MIGRATIONS) if isinstance(row, Row)]
    return str(names[-1]) if names else "unknown"


@contextmanager
def _opened(path: Path) -> Iterator[D1Source]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with file:
        start = file.read(len(MAGIC))
        if start == MAGIC:
            with closing(SqliteSource(path)) as source:
                yield source
            return
        if start.startswith(b"PK"):
            raise InputError(f"{path} is a ZIP; `import convex` reads exports of Convex")
        yield DumpSource(file, path.stat().st_size)
