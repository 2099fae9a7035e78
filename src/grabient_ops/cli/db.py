"""`grabient-ops db`."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_line
from grabient_ops.cli.progress import progress_bar
from grabient_ops.errors import InputError, StoreError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Care for the database.")
_OWN_FILES = ("models.toml", "web-auth.json")


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help="sqlite:////folder/store.sqlite, or PostgreSQL.")],
    target: Annotated[str, typer.Argument(help="postgresql://user@host/db, without tables.")],
    as_json: Json = False,
) -> None:
    """Move the store to another database; a worker started there goes on with all batches."""
    from grabient_ops.settings import with_driver
    from grabient_ops.store.engine import open_store
    from grabient_ops.store.moving import move_store

    with _not_worked_on(with_driver(source)), progress_bar("rows") as show:
        old, new = open_store(with_driver(source)), open_store(with_driver(target))
        counts = move_store(old, new, show)
    if as_json:
        print_json({"target": new.url, "rows": counts})
        return
    print_line(f"{sum(counts.values()):,} rows are in {new.url} now; the old store is closed")
    print_line("set GRABIENT_OPS_DATABASE_URL to it, and start the worker")


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder; it can be a home at once.")],
    as_json: Json = False,
) -> None:
    """Copy what this home cannot make anew, while others work on it; SQLite only."""
    from sqlalchemy.engine import make_url

    from grabient_ops.pipeline.services import utc_now
    from grabient_ops.store.backup import copy_sqlite

    opened = open_app()
    url = make_url(opened.store.url)
    if opened.store.is_shared or url.database is None:
        raise InputError("the store is on PostgreSQL: use pg_dump, and `db restored` on its copy")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy_sqlite(Path(url.database), folder / "store.sqlite", utc_now())
    files = ["store.sqlite", *_copy_files(opened.settings.home, folder)]
    if as_json:
        print_json({"folder": str(folder), "files": files})
        return
    print_line(f"{folder} holds {', '.join(files)}; to go on from it, stop the worker of this home")


@app.command()
def restored(as_json: Json = False) -> None:
    """Say that this database comes from a backup, before a worker starts on it.

    Batches that the backup does not know as sent are then looked for at the provider first.
    """
    from grabient_ops.pipeline.services import utc_now
    from grabient_ops.store.backup import mark_restored

    opened = open_app()
    with opened.hold_home():
        mark_restored(opened.store, utc_now())
    if as_json:
        print_json({"restored": opened.store.url})
        return
    print_line(f"marked {opened.store.url}; start one worker, and no other before it has looked")


def _copy_files(home: Path, folder: Path) -> list[str]:
    """Copy the operator's own files; return their names."""
    there = [name for name in _OWN_FILES if (home / name).is_file()]
    for name in there:
        shutil.copy2(home / name, folder / name)
    return there


@contextmanager
def _not_worked_on(url: str) -> Iterator[None]:
    """Hold the lock of the worker of a SQLite home; PostgreSQL knows its workers itself."""
    if not url.startswith("sqlite"):
        yield
        return
    file = Path(url.partition("///")[2])
    if not file.is_file():
        raise InputError(f"there is no store at {file}")
    with (file.parent / "worker.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"a worker holds {file.parent}; stop it before it is moved") from error
        yield
