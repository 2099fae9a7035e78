"""`kill -9` at random instants of an import: every row is there once."""

import random
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.arena import Home, kill_hard
from tests.importers.conftest import SEEDS, site, tag_row

KILLS = 6
ROWS = 6_000
COLUMNS = "seed, provider, model, run_number, prompt_version, attempt, source_id, response, error"


@pytest.mark.timeout(240)
def test_an_import_survives_kills_without_loss_or_repetition(tmp_path: Path) -> None:
    rows = [
        tag_row(number, seed=SEEDS[number % 6], run_number=number // 24 + 1)
        for number in range(ROWS)
    ]
    dump = str(site(*rows).write(tmp_path / "dump.sql"))
    whole, broken = (Home(tmp_path / name, {}) for name in ("whole", "broken"))
    started = time.monotonic()
    whole.run("import", "d1", dump)
    instants = random.Random(7)

    killed = sum(
        _is_killed(broken, dump, instants, time.monotonic() - started) for _ in range(KILLS)
    )
    broken.run("import", "d1", dump)

    query = f"SELECT {COLUMNS} FROM palette_tags ORDER BY source_id"  # noqa: S608 - constant
    assert len(broken.rows(query)) == ROWS
    assert broken.rows(query) == whole.rows(query)
    assert killed >= KILLS // 2
    announced = broken.rows("SELECT DISTINCT key FROM changes WHERE topic = 'responses'")
    assert set(announced) == set(broken.rows("SELECT DISTINCT batch_id FROM palette_tags"))


def _is_killed(home: Home, dump: str, instants: random.Random, most_s: float) -> bool:
    process = home.start("import", "d1", dump)
    try:
        process.communicate(timeout=instants.uniform(0.3, 0.6 * most_s))
    except subprocess.TimeoutExpired:
        kill_hard(process)
        return True
    return False
