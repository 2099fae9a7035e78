"""A result file is made once, whoever wants it, and no poll waits for it too long."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from grabient_ops.sandbox import result_files, results
from grabient_ops.sandbox.core import Core, Draft
from grabient_ops.sandbox.faults import Faults
from grabient_ops.sandbox.intake import survey
from grabient_ops.sandbox.personas.talk import Tokens
from grabient_ops.sandbox.result_files import ResultFiles
from grabient_ops.sandbox.state import State
from grabient_ops.sandbox.wire.openai.lines import ENDPOINT, ChatDialect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grabient_ops.sandbox.state import Batch

DIALECT = ChatDialect("openai")
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "#ffd700"}]}


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    state = State(tmp_path / "state")
    yield Core(state, Faults(state, 0, {}), seed=0, latency_s=0)
    state.close()


@pytest.fixture
def batch(core: Core) -> Batch:
    """An ended batch of five requests."""
    lines = [
        json.dumps({"custom_id": f"k-{i}", "method": "POST", "url": ENDPOINT, "body": BODY})
        for i in range(5)
    ]
    blob = core.state.blob("file-1")
    blob.write_text("\n".join(lines))
    found = survey(blob, DIALECT, 100, core.digested("batch_1"))
    draft = Draft(
        id="batch_1",
        provider="openai",
        model="gpt-4o-mini",
        input_file="file-1",
        survey=found,
    )
    return core.submit(draft, ())


def test_all_who_want_a_file_at_once_get_the_same_one(
    core: Core, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Mock(wraps=results.write_results)
    monkeypatch.setattr(results, "write_results", write)
    files = ResultFiles(core)

    async def all_at_once() -> list[Path]:
        return await asyncio.gather(*(files.path(batch, DIALECT, "output") for _ in range(3)))

    paths = asyncio.run(all_at_once())

    assert write.call_count == len(set(paths)) == 1
    assert len(paths[0].read_bytes().splitlines()) == 5


def test_a_poll_waits_so_long_and_the_next_one_knows(
    core: Core, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_files, "_PATIENCE_S", 0.0)
    files = ResultFiles(core)

    async def poll_download_poll() -> tuple[Tokens | None, Tokens | None]:
        first = await files.tokens(batch, DIALECT, "output")
        await files.path(batch, DIALECT, "output")
        return first, await files.tokens(batch, DIALECT, "output")

    first, second = asyncio.run(poll_download_poll())

    assert first is None
    assert second
    assert second.output_tokens > 0


def test_a_file_that_was_left_half_made_is_made_again(core: Core, batch: Batch) -> None:
    core.state.blob(f"{batch.id}.output.0badcafe").write_bytes(b'{"id":')

    path = asyncio.run(ResultFiles(core).path(batch, DIALECT, "output"))

    assert [json.loads(line)["custom_id"] for line in path.read_bytes().splitlines()] == [
        f"k-{i}" for i in range(5)
    ]
