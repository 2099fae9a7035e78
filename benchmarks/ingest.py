"""A provider's result file into the store, against inserting the same rows already parsed."""

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from benchmarks.cost import Cost, Meter, best, in_fresh_process
from benchmarks.report import Figure
from grabient_ops.app import App
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.pipeline.ingest import Ingest
from grabient_ops.pipeline.payload import wire_parameters
from grabient_ops.pipeline.process import tune_process
from grabient_ops.sandbox.dialect import Place
from grabient_ops.sandbox.personas.shape import Shape
from grabient_ops.sandbox.personas.talk import Ask
from grabient_ops.sandbox.personas.voice import Voice
from grabient_ops.sandbox.wire.openai.lines import ChatDialect
from grabient_ops.settings import Settings
from grabient_ops.store.batches import reserve_batch
from grabient_ops.store.tables import palette_tags
from grabient_ops.store.targets import ModelTarget, Unanswered
from grabient_ops.tagging.message import user_messages
from grabient_ops.tagging.prompts import answer_schema, tagging_prompt

LINES = 50_000
_ROUNDS = 3
_PAGE = 1000
_MODEL = "gpt-4o-mini"


def figures() -> Iterator[Figure]:
    """Do both in turn in fresh homes; what counts is the best of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_fresh_process(write_answers, folder / "answers.jsonl", LINES)
        pairs = [_round(folder, number) for number in range(_ROUNDS)]
    ours, bare = (best(costs) for costs in zip(*pairs, strict=True))
    what = f"{LINES:,} result lines -> committed rows"
    other = "the same rows, parsed before"
    yield Figure(
        f"{what}, CPU, best of {_ROUNDS}",
        f"{ours.cpu_s:.2f} s ({ours.cpu_s / LINES * 1e6:.0f} us a line)",
        f"{other}, {bare.cpu_s:.2f} s",
        f"{ours.cpu_s / bare.cpu_s:.2f}x",
        "<= 2x",
    )
    yield Figure(
        f"{what}, wall, best of {_ROUNDS}",
        f"{ours.wall_s:.2f} s",
        f"{other}, {bare.wall_s:.2f} s",
        f"{ours.wall_s / bare.wall_s:.2f}x",
        "<= 2x",
    )
    yield Figure(
        f"{what}, peak memory",
        f"{ours.peak_mb:.0f} MB",
        f"{other}, {bare.peak_mb:.0f} MB",
        f"{ours.peak_mb / bare.peak_mb:.2f}x",
    )


def _round(folder: Path, number: int) -> tuple[Cost, Cost]:
    home = folder / f"ingested{number}"
    ours = in_fresh_process(ingest, home, folder / "answers.jsonl", LINES)
    return ours, in_fresh_process(insert, folder / f"inserted{number}", home)


def write_answers(path: Path, count: int) -> None:
    """Write a result file as OpenAI does, answered by a persona with a real model's slips."""
    voice, shape, dialect = Voice(_MODEL, "7"), Shape(answer_schema()), ChatDialect("openai")
    instruction_chars = len(tagging_prompt().content)
    created = int(datetime.now(UTC).timestamp())
    seeds = invented_seeds(count)
    with path.open("wb") as file:
        for start in range(0, count, _PAGE):
            asks = [
                Ask(text, instruction_chars, temperature=1.6, json_only=True)
                for text in user_messages(seeds[start : start + _PAGE])
            ]
            answers = voice.answers([(start + i, ask, shape) for i, ask in enumerate(asks)])
            for index, answer in enumerate(answers, start):
                row = dialect.answered(f"-{index}", answer, Place("bench", created, index))
                file.write(orjson.dumps(row) + b"\n")


def ingest(home: Path, answers: Path, count: int) -> Cost:
    """Reserve a batch in a new home, then measure how its result file is stored."""
    app = open_home(home)
    batch_id = reserve(app, count)
    results = home / "output.jsonl"
    # The ids could not be known when the answers were written.
    mark, ours = b'"custom_id":"-', f'"custom_id":"{batch_id}-'.encode()
    with answers.open("rb") as source, results.open("wb") as target:
        target.writelines(line.replace(mark, ours, 1) for line in source)
    tune_process()
    meter = Meter()
    with meter.running():
        Ingest(app.services, batch_id).run([results])
    app.store.close()
    return meter.read()


def reserve(app: App, count: int) -> str:
    """Reserve one batch of requests for invented palettes; return its id."""
    version = tagging_prompt().version
    parameters = wire_parameters(app.catalog.get("openai", _MODEL))
    asked = [Unanswered(seed, 1) for seed in invented_seeds(count)]
    target = ModelTarget(version, "openai", _MODEL, 1)
    with app.store.write() as connection:
        return reserve_batch(connection, target, 1, asked, parameters, datetime.now(UTC))


def insert(home: Path, ingested: Path) -> Cost:
    """Measure how rows that an ingest has stored go into a new home, a thousand a transaction."""
    source, target = open_home(ingested), open_home(home)
    meter = Meter()
    for rows in stored_rows(source):
        with meter.running(), target.store.write() as connection:
            connection.execute(sa.insert(palette_tags), rows)
    source.store.close()
    target.store.close()
    return meter.read()


def stored_rows(app: App) -> Iterator[list[dict[str, Any]]]:
    """Read all answers of a home in pages of a thousand, without their ids."""
    columns = [column for column in palette_tags.columns if column.name != "id"]
    last = 0
    while True:
        page = sa.select(palette_tags.c.id, *columns).where(palette_tags.c.id > last)
        with app.store.read() as connection:
            rows = connection.execute(page.order_by(palette_tags.c.id).limit(_PAGE)).mappings()
            found = [dict(row) for row in rows]
        if not found:
            return
        last = found[-1]["id"]
        yield [{name: row[name] for name in row if name != "id"} for row in found]


def open_home(home: Path) -> App:
    """Open a home whose store is SQLite, whatever the environment says."""
    os.environ["OPENAI_API_KEY"] = "bench"
    return App(Settings(home=home, database_url=None))
