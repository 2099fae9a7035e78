"""Backup drills: taken in the middle of a pass, restored elsewhere; nothing is paid for twice."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.arena import Home, Sandbox, kill_hard, start_sandbox
from benchmarks.fleet import Fleet, until
from benchmarks.postgres import Server
from benchmarks.torture_oracle import find_faults
from grabient_ops.errors import InputError, StoreError
from grabient_ops.store.backup import copy_sqlite

pytestmark = pytest.mark.timeout(240)
PALETTES = 6
_MODELS = 10
_UNSENT = "SELECT count(*) FROM batches WHERE provider_batch_id IS NULL"
_BATCHES = "SELECT count(*) FROM batches"
_ANSWERS = "SELECT count(*) FROM palette_tags WHERE response IS NOT NULL"
_KEY = "prompt_version, provider, model, run_number, seed"
_TWICE = f"SELECT count(*) FROM palette_tags GROUP BY {_KEY} HAVING count(*) > 1"  # noqa: S608
# What failed would be asked again in batches that no backup from before can know.
_ASKED_ONCE = {"GRABIENT_OPS_MAX_ATTEMPTS": "1"}
_ON_SQLITE = {"GRABIENT_OPS_DATABASE_URL": "", **_ASKED_ONCE}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    sandbox = start_sandbox(latency_s=3.0)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def home(tmp_path: Path, sandbox: Sandbox) -> Home:
    home = Home(tmp_path / "home", {**sandbox.env, **_ON_SQLITE})
    home.add_palettes(PALETTES)
    return home


def test_what_was_sent_after_the_backup_is_found_and_not_bought_again(
    home: Home, sandbox: Sandbox, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    home.run("tag", "--runs", "1")
    sandbox.faults(slow=0.5)
    worker = home.start("worker")
    until(lambda: _is_half_sent(home.path))
    os.killpg(worker.pid, signal.SIGSTOP)
    copy_sqlite(home.path / "store.sqlite", copy / "store.sqlite", datetime.now(UTC))
    os.killpg(worker.pid, signal.SIGCONT)
    sandbox.faults(slow=0)
    assert _is_half_sent(copy)
    until(lambda: len(sandbox.ledger()["batches"]) == _MODELS)
    kill_hard(worker)

    _finish(replace(home, path=copy))

    _assert_paid_once(copy, sandbox)


def test_a_backup_by_the_command_can_be_a_home_at_once(
    home: Home, sandbox: Sandbox, tmp_path: Path
) -> None:
    (home.path / "models.toml").write_text("")
    home.run("tag", "--runs", "1")
    worker = home.start("worker")
    until(lambda: sandbox.ledger()["batches"])
    copy = tmp_path / "copy"
    said = home.json("db", "backup", str(copy))
    until(lambda: len(sandbox.ledger()["batches"]) == _MODELS)
    kill_hard(worker)

    assert said["files"] == ["store.sqlite", "models.toml"]
    _finish(replace(home, path=copy))
    _assert_paid_once(copy, sandbox)


def test_a_dump_of_postgresql_is_gone_on_from_once_it_is_marked(
    server: Server, sandbox: Sandbox, tmp_path: Path
) -> None:
    old, new = server.create("before_the_fire"), server.create("after_the_fire")
    fleet = Fleet(tmp_path, old, sandbox, env=_ASKED_ONCE)
    elsewhere = Fleet(tmp_path / "elsewhere", new, sandbox, env=_ASKED_ONCE)
    try:
        fleet.operator.add_palettes(PALETTES)
        fleet.operator.run("tag", "--runs", "1")
        fleet.start(1)
        until(lambda: fleet.rows(_BATCHES) == [(_MODELS,)] and fleet.rows(_UNSENT) > [(0,)])
        _dump_and_restore(server, "before_the_fire", "after_the_fire", tmp_path / "dump")
        until(lambda: len(sandbox.ledger()["batches"]) == _MODELS)
        fleet.kill(1)

        until(lambda: _is_marked(elsewhere.operator))
        elsewhere.start(2)
        until(elsewhere.is_done)
        assert find_faults(elsewhere) == []
        assert elsewhere.rows(_ANSWERS) == [(PALETTES * _MODELS,)]
    finally:
        fleet.stop()
        elsewhere.stop()


def test_a_backup_never_replaces_another(home: Home, tmp_path: Path) -> None:
    home.run("db", "backup", str(tmp_path / "copy"))

    said = home.run("db", "backup", str(tmp_path / "copy"), fails=True)

    assert "exists already" in said


def test_a_copy_that_breaks_off_leaves_nothing_that_could_be_taken_for_one(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"no database at all" * 1000)

    with pytest.raises(StoreError, match="failed"):
        copy_sqlite(broken, tmp_path / "copy", datetime.now(UTC))
    assert not (tmp_path / "copy").exists()


def test_a_copy_is_not_made_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "copy").touch()

    with pytest.raises(InputError, match="exists already"):
        copy_sqlite(tmp_path / "store.sqlite", tmp_path / "copy", datetime.now(UTC))


def _is_half_sent(home: Path) -> bool:
    return _figure(home, _BATCHES) == _MODELS and 0 < _figure(home, _UNSENT) < _MODELS


def _figure(home: Path, sql: str) -> int:
    with closing(sqlite3.connect(home / "store.sqlite")) as connection:
        row: Any = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _is_marked(home: Home) -> bool:
    """Mark it once the leases that came with the dump have run out."""
    try:
        home.run("db", "restored")
    except RuntimeError:
        return False
    return True


def _finish(home: Home) -> None:
    home.run("tag", "--runs", "1", "--wait", timeout_s=150)


def _assert_paid_once(home: Path, sandbox: Sandbox) -> None:
    ledger = sandbox.ledger()
    assert len(ledger["batches"]) == _figure(home, _BATCHES) == _MODELS
    assert ledger["requests_billed"] == _figure(home, _ANSWERS) == PALETTES * _MODELS
    assert _figure(home, _UNSENT) == 0
    assert _figure(home, _TWICE) == 0
    assert _figure(home, "SELECT count(*) FROM stray_results") == 0
    assert _figure(home, "SELECT count(*) FROM completions WHERE delivered_at IS NULL") == 0


def _dump_and_restore(server: Server, old: str, new: str, file: Path) -> None:
    place = ["-h", str(server.folder), "-U", "tester"]
    programs = (server.binaries / "initdb").resolve().parent
    dump = [str(programs / "pg_dump"), *place, "-Fc", "-f", str(file), old]
    restore = [str(programs / "pg_restore"), *place, "-d", new, "--exit-on-error", str(file)]
    for command in (dump, restore):
        subprocess.run(command, check=True, capture_output=True)
