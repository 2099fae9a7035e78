"""A small lake with everything in it, and the plain Python that questions are checked against."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.facts import normalise
from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.warehouse import Warehouse, open_warehouse
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.tagging.vocabulary import CATEGORIES, LIST_FIELDS

HOSTILE = (
    "凉",
    "purple'],\n \"temperature",
    "🌅",
    "café crème",
    "بحر هادئ",
    "$x$ %s {0} ; DROP TABLE facts --",
)
_WORDS = (*HOSTILE, "calm", "bold", "Dusk", "blue", "orange", "green", "analogous", "triadic")
_MODELS = (
    ("openai", "gpt-4o-mini"),
    ("google", "gemini"),
    ("groq", "openai/gpt-oss-20b"),
    ("anthropic", "claude"),
)
PROMPTS = ("aaaa11112222", "aabb33334444")
RUNS = (1, 2, 3)


class Said(NamedTuple):
    """One (answer, category, tag), as a list comprehension sees it."""

    seed: str
    prompt: str
    model: str
    run: int
    category: str
    tag: str


def said(answers: Iterable[Answer]) -> list[Said]:
    """Explode answers by hand: each tag once for an answer and category."""
    return [
        Said(a.seed, a.prompt_version, f"{a.provider}/{a.model}", a.run_number, category, tag)
        for a in answers
        if a.error_class is None and a.tags
        for category, value in json.loads(a.tags).items()
        for tag in _distinct([value] if isinstance(value, str) else value)
    ]


def _distinct(texts: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(map(normalise, texts))


def answered(answers: Iterable[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.error_class is None]


def make_answers(seeds: Sequence[str], random_seed: int = 1) -> list[Answer]:
    """Every palette, prompt, model and run, of which one in ten has failed."""
    chance = random.Random(random_seed)
    rows = [
        (seed, prompt, provider, model, run)
        for seed in seeds for prompt in PROMPTS for provider, model in _MODELS for run in RUNS
    ]  # fmt: skip
    return [_answer(number, row, chance) for number, row in enumerate(rows, 1)]


def _answer(number: int, key: tuple[str, str, str, str, int], chance: random.Random) -> Answer:
    seed, prompt, provider, model, run = key
    failed = chance.random() < 0.1
    tags: dict[str, object] = {
        field: chance.sample(_WORDS, chance.randrange(4)) for field in LIST_FIELDS
    }
    for field, words in CATEGORIES.items():
        # Models agree somewhat: most say the palette's own word.
        own = words[len(seed + field) % len(words)]
        tags[field] = own if chance.random() < 0.6 else chance.choice(words)
    if prompt == PROMPTS[1] and chance.random() < 0.8:
        tags["mood"] = [*HOSTILE[:1], "new prompt"]
    return Answer(
        number, seed, provider, model, run, prompt, 1, f"batch-{provider}-{run}-{prompt}",
        None if failed else json.dumps(tags, ensure_ascii=False),
        error_class=chance.choice(("truncated", "unparsable")) if failed else None,
        response="whatever", model_returned=f"{model}-2026" if chance.random() < 0.5 else None,
        input_tokens=chance.randrange(500, 900), output_tokens=chance.randrange(50, 200),
        cached_tokens=chance.randrange(100), reasoning_tokens=chance.randrange(40),
        created_at="2026-11-22T08:00:00+00:00",
    )  # fmt: skip


Opener = Callable[[Iterable[Answer]], Warehouse]


@pytest.fixture(scope="module")
def open_answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Publish answers as a lake of their own and open it; closed after the module."""
    opened: list[Warehouse] = []

    def publish(answers: Iterable[Answer]) -> Warehouse:
        lake = tmp_path_factory.mktemp("home") / "lake"
        write_lake(lake, answers)
        opened.append(open_warehouse(lake))
        return opened[-1]

    yield publish
    for warehouse in opened:
        warehouse.connection.close()


def write_lake(lake: Path, answers: Iterable[Answer]) -> None:
    with open_lake(lake) as writer:
        writer.add(answers)
        writer.publish()


@pytest.fixture(scope="session")
def answers() -> list[Answer]:
    """Real seeds of both formats, and one text that is no seed."""
    return make_answers([*bundled_seeds()[:11], "no seed's text"])


@pytest.fixture(scope="module")
def warehouse(open_answers: Opener, answers: list[Answer]) -> Warehouse:
    return open_answers(answers)
