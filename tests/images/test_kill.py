"""`kill -9` while pictures are made: the next call makes the others, and none twice."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.arena import Home, kill_hard

if TYPE_CHECKING:
    from tests.images.conftest import Bucket


def test_killed_in_the_middle_it_goes_on_where_it_was(
    home: Path, r2: dict[str, str], bucket: "Bucket"
) -> None:
    operator = Home(home, r2)
    operator.add_palettes(1500)

    for instant in (100, 600):
        making = operator.start("images", "generate")
        _wait_for(bucket, instant)
        kill_hard(making)
        assert _noted(home) <= set(bucket.objects)
        assert len(bucket.objects) < 1500
    done = operator.json("images", "generate")

    assert done["made"] + done["already_there"] == 1500
    assert _noted(home) == set(bucket.objects)
    assert len(bucket.puts) == len(set(bucket.puts)) == 1500


def _wait_for(bucket: "Bucket", puts: int) -> None:
    deadline = time.monotonic() + 60
    while len(bucket.puts) < puts:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _noted(home: Path) -> set[str]:
    rows = Home(home, {}).rows("SELECT image_key FROM palettes WHERE image_key IS NOT NULL")
    return {key for (key,) in rows}
