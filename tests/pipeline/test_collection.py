import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grabient_ops.errors import (
    AuthenticationError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from grabient_ops.pipeline.collection import Collector
from grabient_ops.pipeline.ingest import ForeignBatchError
from grabient_ops.pipeline.waiting import End
from grabient_ops.store.batches import Batch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

CUT_OFF = UnavailableError("openai", "the download ended early")

_COLLECT_ON_A_SMALL_DISK = """
import resource, sys, threading, time
from functools import partial
from pathlib import Path
from grabient_ops.pipeline.batches import _enduring
from grabient_ops.pipeline.collection import Collector
from tests.pipeline.conftest import Lab, load_catalog

lab = Lab(Path(sys.argv[1]), load_catalog())
batch = lab.submitted(10)
text = "x" * (int(sys.argv[2]) // 10)
lab.openai.files["f"] = b"".join(lab.answer(f"{batch.id}-{n}", text) for n in range(10))
lab.services.update(batch.id, state="collecting")

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

# No file may grow past this until half a second has passed.
wal = lab.folder / "store.sqlite-wal"
limit((wal.stat().st_size if wal.exists() else 0) + int(sys.argv[3]))
threading.Timer(0.5, limit, (resource.RLIM_INFINITY,)).start()
end = {"how": "completed", "files": [["output", "f"]], "message": None, "queue_full": False}
collect = partial(Collector(lab.services).collect, batch.id, end)
lab.run(_enduring(lab.services, collect))
print(len(lab.rows()), lab.services.batch(batch.id).error)
"""


def _end(*files: tuple[str, str]) -> End:
    return {"how": "completed", "files": [list(file) for file in files], "message": None,
            "queue_full": False}  # fmt: skip


def _collect(lab: "Lab", batch: Batch, *files: tuple[str, str]) -> None:
    lab.run(Collector(lab.services).collect(batch.id, _end(*files)))


def test_every_result_file_is_downloaded_and_stored(lab: "Lab") -> None:
    batch = lab.submitted(2)
    lab.openai.files = {"f1": lab.answer(f"{batch.id}-0"), "f2": lab.answer(f"{batch.id}-1")}
    _collect(lab, batch, ("output", "f1"), ("errors", "f2"))

    assert len(lab.rows()) == 2
    assert lab.services.batch(batch.id).state == "collecting"


def test_a_batch_without_files_is_collected(lab: "Lab") -> None:
    batch = lab.submitted(2)
    _collect(lab, batch)

    assert lab.rows() == []


@pytest.mark.parametrize(
    "error",
    [
        CUT_OFF,
        RateLimitedError("openai", "slow down", 0.0),
        NotFoundError("openai", "no such file"),
    ],
)
def test_a_download_is_repeated_and_its_failure_shown_meanwhile(
    lab: "Lab", error: ProviderError
) -> None:
    batch = lab.submitted(2)
    lab.openai.will("download", *[error] * 3)
    shown = lab.watch_errors(batch)
    _collect(lab, batch, ("output", "openai-batch-1"))

    assert shown == [None, *[f"collecting goes on later: {error}"] * 3]
    assert len(lab.rows()) == 2


def test_a_download_that_is_refused_for_good_stops_it(lab: "Lab") -> None:
    batch = lab.submitted(2)
    lab.openai.will("download", AuthenticationError("openai", "wrong key"))

    with pytest.raises(AuthenticationError):
        _collect(lab, batch, ("output", "openai-batch-1"))


def test_a_file_cut_off_half_way_is_never_read(lab: "Lab") -> None:
    batch = lab.submitted(2)
    whole = lab.answer(f"{batch.id}-0") + lab.answer(f"{batch.id}-1")

    def leave_half(method: str) -> None:
        if method == "download" and lab.openai.calls.count("download") == 1:
            (lab.services.spool_of(batch.id) / "output.part").write_bytes(whole[:-40])

    lab.openai.on_call = leave_half
    lab.openai.files["f"] = whole
    lab.openai.will("download", CUT_OFF)
    _collect(lab, batch, ("output", "f"))

    assert len(lab.rows()) == 2
    assert lab.query("SELECT * FROM stray_results") == []


def test_what_was_downloaded_before_a_kill_is_not_downloaded_again(lab: "Lab") -> None:
    batch = lab.submitted(2)
    lab.openai.files = {"f1": lab.answer(f"{batch.id}-0"), "f2": lab.answer(f"{batch.id}-1")}
    lab.openai.will("download", None, AuthenticationError("openai", "stands for a kill"))
    with pytest.raises(AuthenticationError):
        _collect(lab, batch, ("output", "f1"), ("errors", "f2"))
    _collect(lab, batch, ("output", "f1"), ("errors", "f2"))

    assert lab.openai.calls.count("download") == 3
    assert len(lab.rows()) == 2


def test_a_strangers_batch_is_reported(lab: "Lab") -> None:
    batch = lab.submitted(2)
    lab.services.update(batch.id, is_proven=False)
    lab.openai.files["f"] = lab.answer("stranger-0")

    with pytest.raises(ForeignBatchError):
        _collect(lab, batch, ("output", "f"))


@pytest.mark.parametrize(
    ("size", "room", "problem"),
    [
        (5_000_000, 500_000, "File too large"),
        (50_000, 0, "disk I/O error|disk is full|File too large"),
    ],
    ids=["no room for the file", "no room for anything"],
)
def test_a_full_disk_is_waited_for_until_there_is_room(
    tmp_path: Path, size: int, room: int, problem: str
) -> None:
    words = [_COLLECT_ON_A_SMALL_DISK, str(tmp_path), str(size), str(room)]
    done = subprocess.run(
        [sys.executable, "-c", *words], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 0, done.stderr
    assert re.search(problem, done.stdout)
    assert done.stdout.splitlines()[-1] == "10 None"


def test_a_result_file_that_stays_away_for_half_an_hour_is_given_up(lab: "Lab") -> None:
    batch = lab.submitted(1)
    gone = NotFoundError("openai", "no such file")
    lab.openai.will("download", *[gone] * 50)
    waits: list[float] = []

    async def later(seconds: float) -> None:
        waits.append(seconds)
        lab.clock.forward(seconds + 100)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grabient_ops.pipeline.collection.asyncio.sleep", later)
        with pytest.raises(NotFoundError):
            _collect(lab, batch, ("output", "f"))

    assert len(waits) > 5
