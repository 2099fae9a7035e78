"""Invented answers by the million: in a lake, as documents, and as news in a store."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import sqlalchemy as sa

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.lake import open_lake
from grabient_ops.store.changes import announce
from grabient_ops.store.engine import open_store
from grabient_ops.store.tables import palette_tags
from grabient_ops.tagging.vocabulary import CATEGORIES

MODELS, PROMPTS = 10, 2
TAGS_PER_FIELD = {
    "mood": 3, "style": 3, "dominant_colors": 4, "harmony": 1, "seasonal": 1, "associations": 2,
}  # fmt: skip
"""With the four fields of one word, 18 facts an answer."""

_VOCABULARY = 3_000
_POOL = 12  # words that come to mind for one field of one palette
_STEPS = (1, 5, 7, 11)
_BATCH = 10_000
_NEW_IDS = 1_000_000_000

Words = npt.NDArray[np.int64]


def answers(count: int) -> Iterator[Answer]:
    """Yield answers batch by batch, each of one model and prompt version; ids count from 1."""
    palettes = count // (MODELS * PROMPTS)
    chance = np.random.default_rng(7)
    pools = _zipf(chance, (palettes, len(TAGS_PER_FIELD), _POOL))
    number = 0
    for prompt in range(PROMPTS):
        for model in range(MODELS):
            for first in range(0, palettes, _BATCH):
                batch = f"batch-{prompt}-{model}-{first}"
                tags = _tags(chance, pools[first : first + _BATCH])
                for palette, cell in enumerate(tags, first):
                    number += 1
                    yield Answer(
                        number, seed_of(palette), "openai", f"model-{model}", 1,
                        f"prompt-{prompt}", 1, batch, cell, input_tokens=700, output_tokens=120,
                    )  # fmt: skip


def seed_of(palette: int) -> str:
    """Return a text as long and as unlike its neighbours as a seed is."""
    return f"{palette * 2654435761 % 2**32:08x}-an-invented-seed-of-{palette:08}"


def _zipf(chance: np.random.Generator, shape: tuple[int, ...]) -> Words:
    weights = 1 / np.arange(1, _VOCABULARY + 1)
    return chance.choice(_VOCABULARY, size=shape, p=weights / weights.sum())


def _tags(chance: np.random.Generator, pools: Words) -> Iterator[bytes]:
    """Yield the JSON of one answer for each pool, no tag twice in a field."""
    starts = chance.integers(_POOL, size=pools.shape[:2])
    steps = chance.choice(_STEPS, size=pools.shape[:2])
    choices = chance.integers(12, size=(len(pools), len(CATEGORIES)))
    lists: dict[str, list[list[int]]] = {}
    for field, (name, size) in enumerate(TAGS_PER_FIELD.items()):
        places = (starts[:, field, None] + steps[:, field, None] * np.arange(size)) % _POOL
        lists[name] = np.take_along_axis(pools[:, field], places.astype(np.int64), axis=1).tolist()
    for row, choice in enumerate(choices.tolist()):
        tags: dict[str, object] = {
            name: [f"tag {word}" for word in dict.fromkeys(some[row])]
            for name, some in lists.items()
        }
        for (name, words), place in zip(CATEGORIES.items(), choice, strict=True):
            tags[name] = words[place % len(words)]
        yield orjson.dumps(tags)


def write_lake(lake: Path, count: int) -> None:
    """Write a lake; it believes to have read a store up to its first change."""
    with open_lake(lake) as writer:
        writer.add(answers(count))
        writer.publish({"store": "sqlite", "seq": 0, "at": ""})


def write_documents(path: Path, count: int) -> None:
    """Write the same answers as the first system kept them, one JSON document a line."""
    with path.open("wb") as file:
        for answer in answers(count):
            document = {"seed": answer.seed, "version": answer.prompt_version}
            # The cell is JSON already.
            file.write(orjson.dumps({**document, "tags": orjson.Fragment(answer.tags or b"null")}))
            file.write(b"\n")


def put_news(url: str, number: int, count: int) -> None:
    """Commit so many answers to a store as one batch, about palettes that a lake knows."""
    at = datetime.now(UTC)
    batch = f"news-{number}"
    some = islice(answers(count * MODELS * PROMPTS), count)
    with closing(open_store(url)) as store, store.write() as connection:
        rows = [_stored(answer, number, batch, at) for answer in some]
        connection.execute(sa.insert(palette_tags), rows)
        announce(connection, "responses", [batch], at)


def _stored(answer: Answer, number: int, batch: str, at: datetime) -> dict[str, object]:
    row = answer._asdict()
    tags = orjson.loads(answer.tags or b"null")
    new = {"id": _NEW_IDS * (number + 1) + row.pop("response_id"), "run_number": number + 2}
    return {**row, **new, "batch_id": batch, "tags": tags, "excused": False, "created_at": at}
