import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from benchmarks.postgres import journal_url, store_url
from grabient_ops.analytics.sync import sync
from grabient_ops.analytics.warehouse import Warehouse, open_warehouse
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.pipeline.bounds import bound_of_batch
from grabient_ops.pipeline.runs import Plan, Planner
from grabient_ops.pipeline.services import Policy, Services, elapsed_s
from grabient_ops.pipeline.stages import stage_of
from grabient_ops.pipeline.tagging import request_runs
from grabient_ops.providers._openai_rows import read_row
from grabient_ops.providers._wire import read_line
from grabient_ops.providers.base import (
    BatchEnded,
    BatchState,
    Encoder,
    FoundBatch,
    ProviderName,
    Result,
    ResultFile,
    Submission,
)
from grabient_ops.providers.catalog import Catalog, Model, PictureForm, load_catalog
from grabient_ops.store.batches import Batch, list_batches
from grabient_ops.store.changes import since
from grabient_ops.store.engine import Store, open_store
from grabient_ops.store.palettes import NewPalette, add_palettes
from grabient_ops.store.requests import close_requests, list_requests
from grabient_ops.store.responses import store_responses
from grabient_ops.store.tables import palette_tags

T = TypeVar("T")
Row = dict[str, Any]
TAGS: dict[str, str | list[str]] = {
    "mood": ["calm"], "style": ["flat"], "dominant_colors": ["blue"], "harmony": [],
    "temperature": "cool", "contrast": "low", "brightness": "light", "saturation": "muted",
    "seasonal": ["winter"], "associations": ["sea"],
}  # fmt: skip
DEFAULTS: dict[ProviderName, str] = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5-20251001",
    "google": "gemini-2.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
}


@dataclass
class Script:
    """What the next calls of one method do: an error to raise, or None for the ordinary thing.

    Attributes:
        steps: the calls to come, in order; after them the ordinary thing happens.
        effective: errors after which the call has had its effect all the same.
    """

    steps: deque[Exception | None] = field(default_factory=deque)
    effective: list[Exception] = field(default_factory=list)

    def next(self) -> Exception | None:
        return self.steps.popleft() if self.steps else None


class FakeProvider:
    """A provider whose every misfortune is written down beforehand; results look like OpenAI's."""

    def __init__(self, name: ProviderName) -> None:
        self.name: ProviderName = name
        self.echoes_key = name != "anthropic"
        self.calls: list[str] = []
        self.accepted: dict[str, Submission] = {}
        self.unlisted: set[str] = set()
        self.canceled: list[str] = []
        self.states: deque[BatchState] = deque()
        self.files: dict[str, bytes] = {}
        self.scripts: dict[str, Script] = {}
        self.on_call: Callable[[str], object] = lambda _: None

    def will(self, method: str, *steps: Exception | None, effective: bool = False) -> None:
        """Have the next calls of a method raise; `effective` ones do their work before that."""
        script = self.scripts.setdefault(method, Script())
        script.steps.extend(steps)
        if effective:
            script.effective.extend(step for step in steps if step)

    def accept(self, submission: Submission) -> str:
        """Take a batch in, as `create` does."""
        batch_id = f"{self.name}-batch-{len(self.accepted) + 1}"
        self.accepted[batch_id] = submission
        return batch_id

    def encoder(
        self,
        model: Model,
        system: str,
        schema: Mapping[str, Any] | None = None,
        pictures: PictureForm | None = None,
    ) -> Encoder:
        del model, schema, pictures

        def encode(
            custom_ids: Sequence[str], users: Sequence[str], pictures: Sequence[str] = ()
        ) -> bytes:
            shown = [pictures] if any(pictures) else []
            lines = zip(custom_ids, repeat(system), users, *shown, strict=False)
            return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

        return encode

    def upload(self, submission: Submission) -> str | None:
        self._play("upload")
        return f"file-{submission.key}" if self.echoes_key else None

    def high_water(self) -> str | None:
        self._play("high_water")
        if self.echoes_key:
            return None
        return next(reversed(self.accepted), "")

    def create(self, submission: Submission) -> str:
        accepted: list[str] = []
        self._play("create", lambda: accepted.append(self.accept(submission)))
        return accepted[0]

    def find(self, submission: Submission) -> Sequence[FoundBatch]:
        self._play("find")
        ids = [batch_id for batch_id in self.accepted if batch_id not in self.unlisted]
        if self.echoes_key:
            return [FoundBatch(i, True) for i in ids if self.accepted[i].key == submission.key]
        if submission.high_water in ids:
            ids = ids[ids.index(submission.high_water) + 1 :]
        same = [i for i in ids if self.accepted[i].request_count == submission.request_count]
        return [FoundBatch(batch_id, certain=False) for batch_id in same]

    def poll(self, batch_id: str) -> BatchState:
        self._play("poll")
        if self.states:
            return self.states.popleft()
        return BatchEnded("completed", (ResultFile("output", batch_id),))

    def cancel(self, batch_id: str) -> None:
        self._play("cancel")
        self.canceled.append(batch_id)

    def download(self, batch_id: str, file: ResultFile, target: Path) -> None:
        self._play("download")
        assert batch_id in self.accepted
        target.write_bytes(self.files[file.ref] if file.ref in self.files else self._all(file.ref))

    def read(self, line: bytes) -> Result:
        return read_line(line, "custom_id", read_row)

    def _all(self, ref: str) -> bytes:
        submission = self.accepted[ref]
        return b"".join(answer(f"{submission.key}-{n}") for n in range(submission.request_count))

    def _play(self, method: str, work: Callable[[], object] = lambda: None) -> None:
        self.calls.append(method)
        self.on_call(method)
        script = self.scripts.get(method, Script())
        error = script.next()
        if error is None or error in script.effective:
            work()
        if error is not None:
            raise error


def answer(custom_id: str, text: str | None = None, **row: object) -> bytes:
    """One line of a result file: a good answer unless told, 100 tokens in and 20 out."""
    content = json.dumps(TAGS) if text is None else text
    body = {
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20},
    }
    line = {"custom_id": custom_id, "response": {"status_code": 200, "body": body}, **row}
    return json.dumps(line).encode() + b"\n"


class Clock:
    """The real time, which tests may move on or set."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._passed_s = 0.0

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def elapsed(self) -> float:
        """Seconds that have passed, whatever the time of day is set to."""
        return elapsed_s() + self._passed_s

    def forward(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.set(seconds)
        self._passed_s += seconds

    def set(self, seconds: float) -> None:
        """Set the time of day forth or back."""
        self.ahead += timedelta(seconds=seconds)


class Lab:
    """Everything that the pipeline works with: a real store, four scripted providers, a clock."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.url = store_url(folder)
        self.journal_url = journal_url(folder)
        self.store: Store = open_store(self.url)
        self.folder = folder
        self.providers = {name: FakeProvider(name) for name in DEFAULTS}
        self.keys_missing: dict[ProviderName, str] = {}
        self.clock = Clock()
        self.policy = Policy(
            poll_s=0.01, step_s=0.002, settle_s=lambda _: 0.05, retry_s=10.0, stall_s=3600.0,
            max_attempts=3,
        )  # fmt: skip
        self.services = Services(
            store=self.store,
            catalog=catalog,
            provider=lambda name: self.providers[name],
            missing_key=self.keys_missing.get,
            policy=self.policy,
            spool=folder / "spool",
            warehouse=self.warehouse,
            now=self.clock,
            elapsed=self.clock.elapsed,
        )
        self.answer = answer
        self.tags = TAGS

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        sync(self.folder / "lake", self.url)
        with open_warehouse(self.folder / "lake") as warehouse:
            yield warehouse

    @property
    def openai(self) -> FakeProvider:
        return self.providers["openai"]

    @property
    def anthropic(self) -> FakeProvider:
        return self.providers["anthropic"]

    def model(self, provider: ProviderName = "openai") -> Model:
        """The model of a provider that the tests use."""
        return self.services.catalog.get(provider, DEFAULTS[provider])

    def palettes(self, count: int, first: int = 0) -> list[str]:
        """Add so many palettes of a fixed list; return their seeds in the order of reservation."""
        seeds = sorted(invented_seeds(first + count)[first:])
        rows = [NewPalette(seed, "aligned", seed, "test") for seed in seeds]
        with self.store.write() as connection:
            add_palettes(connection, rows, self.clock())
        return seeds

    def forget_journal(self) -> None:
        """Lose the journal, as a restored backup of the store does."""
        for file in self.folder.glob("journal.sqlite*"):
            file.unlink()
        if not self.journal_url.startswith("sqlite"):
            with self.store.write() as connection:
                connection.execute(sa.text("DELETE FROM dbos.workflow_status"))
                connection.execute(sa.text("DELETE FROM dbos.operation_outputs"))

    def want(self, *providers: ProviderName, runs: int = 1) -> str:
        """Ask for all palettes to be tagged; return the prompt version."""
        models = [self.model(name) for name in providers or ("openai",)]
        return request_runs(self.services, models, runs, None)

    def reserve(self, count: int = 3, *providers: ProviderName, runs: int = 1) -> Batch:
        """Add palettes, ask for them, and return the first batch that the planner reserves."""
        self.palettes(count)
        self.want(*providers, runs=runs)
        return self.services.batch(self.plan().reserved[0])

    def plan(self) -> Plan:
        """Reserve what is due, as a worker that has just been started does."""
        return Planner(self.services).plan()

    def submitted(self, count: int = 3, provider: ProviderName = "openai") -> Batch:
        """A batch that the provider has accepted and that waits for its end."""
        batch = self.reserve(count, provider)
        fake = self.providers[provider]
        submission = Submission(batch.id, self.model(provider), self.folder, count)
        self.services.update(
            batch.id,
            provider_batch_id=fake.accept(submission),
            submit_started_at=self.clock(),
            submitted_at=self.clock(),
            is_proven=True,
            state="waiting",
        )
        return self.services.batch(batch.id)

    def watch_errors(self, batch: Batch) -> list[str | None]:
        """Return a list to which each call of OpenAI adds what the batch shows as its error."""
        shown: list[str | None] = []
        self.openai.on_call = lambda _: shown.append(self.services.batch(batch.id).error)
        return shown

    def bound(self, batch: Batch) -> int:
        """The most that one request of a batch may cost."""
        with self.store.read() as connection:
            bound = bound_of_batch(self.services, connection, batch)
        assert bound is not None
        return bound

    def respond(self, batch: Batch, error_class: str | None = None) -> None:
        """Store one answer, or one failure, for each request of a batch."""
        tokens = dict.fromkeys(
            ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"), 1
        )
        with self.store.write() as connection:
            requests = list_requests(connection, batch.id)
            rows = [
                {
                    **stage_of(batch).failure(error_class or "", None), "error_class": error_class,
                    **batch.same(), **tokens, "seed": request.seed, "attempt": request.attempt,
                    "batch_id": batch.id, "excused": False, "created_at": self.clock(),
                }
                for request in requests
            ]  # fmt: skip
            store_responses(connection, palette_tags, batch.same(), rows)
            positions = [request.position for request in requests]
            close_requests(
                connection, batch.id, positions, "failed" if error_class else "succeeded"
            )

    def batches(self) -> list[Batch]:
        """All batches, oldest first."""
        with self.store.read() as connection:
            return list_batches(connection)[::-1]

    def rows(self) -> list[Row]:
        """All answers and failures, oldest first."""
        with self.store.read() as connection:
            query = sa.select(palette_tags).order_by(palette_tags.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the store in plain SQL."""
        with self.store.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def announced(self, topic: str) -> list[str]:
        """The keys of all changes of a topic, in order."""
        with self.store.read() as connection:
            return [change.key for change in since(connection, 0) if change.topic == topic]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; one that hangs fails the test."""
        return asyncio.run(asyncio.wait_for(work, 10))


def for_a_while(provider: FakeProvider, act: Callable[[], object]) -> Callable[[], None]:
    """What to do at every tick; a provider that keeps all waiting ends after a minute."""
    deadline = time.monotonic() + 60

    def tick() -> None:
        if time.monotonic() > deadline:
            provider.states.clear()
        else:
            act()

    return tick


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def lab(tmp_path: Path, catalog: Catalog) -> Iterator[Lab]:
    lab = Lab(tmp_path, catalog)
    yield lab
    lab.store.close()
