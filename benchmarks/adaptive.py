"""Adaptive passes beside full ones: what they save, and how far the consensus still agrees."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import orjson

from benchmarks.arena import Home, start_sandbox
from benchmarks.report import Figure
from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.questions.stopping import Stopping, stopping
from grabient_ops.analytics.warehouse import open_warehouse
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.pipeline.adaptive import USUAL_FLIPS
from grabient_ops.providers.catalog import Model, load_catalog
from grabient_ops.sandbox.personas.shape import Shape
from grabient_ops.sandbox.personas.talk import Ask
from grabient_ops.sandbox.personas.voice import Voice
from grabient_ops.tagging.answers import parse_answer
from grabient_ops.tagging.message import user_messages
from grabient_ops.tagging.prompts import answer_schema

PALETTES, RUNS = 200, 8
_CHOSEN_ON, _REPORTED_ON = (1, 2), (11, 12, 13)
_TRIED = (0.25, USUAL_FLIPS, 1.0)
_REAL_PALETTES = 40
_TARGET = ">= 25 % at >= 0.95"

Tags = dict[str, set[tuple[str, str]]]


def figures() -> Iterator[Figure]:
    """Choose on some sandboxes, report on others, then run one pass for real."""
    for row in _mean_rows(_CHOSEN_ON, _TRIED):
        if row.flips is not None:
            yield _figure(f"{_what()}, sandboxes that the threshold was chosen on", row, "")
    rows = _mean_rows(_REPORTED_ON, [USUAL_FLIPS])
    adaptive, evenly = rows[-1], _nearest(rows)
    even = f"all palettes end after run {evenly.run}, {_told(evenly)}"
    yield _figure(f"{_what()}, other sandboxes", adaptive, even, _TARGET)
    yield _real_pass()


def _what() -> str:
    return f"stop adaptively, {PALETTES} palettes x 10 models x {RUNS} runs"


def _figure(what: str, row: Stopping, other: str, target: str = "") -> Figure:
    kept = row.requests - row.saved_requests
    ours = f"{kept:,} of {row.requests:,} requests"
    return Figure(f"{what}, below {row.flips:g} flips", ours, other, _told(row), target)


def _told(row: Stopping) -> str:
    return f"{row.saved_share:.1%} saved at agreement {row.agreement:.3f}"


def _nearest(rows: Sequence[Stopping]) -> Stopping:
    """Return the rule that stops all palettes together and saves about as much as the last one."""
    together = [row for row in rows if row.run is not None]
    return min(together, key=lambda row: abs(row.saved_requests - rows[-1].saved_requests))


def _mean_rows(sandboxes: Sequence[int], thresholds: Sequence[float]) -> list[Stopping]:
    """Try all rules on each sandbox; requests add up, agreement is the mean."""
    tried = [_try(sandbox, thresholds) for sandbox in sandboxes]
    return [
        same[0]._replace(
            agreement=fmean(row.agreement for row in same),
            requests=sum(row.requests for row in same),
            saved_requests=sum(row.saved_requests for row in same),
        )
        for same in zip(*tried, strict=True)
    ]


def _try(sandbox: int, thresholds: Sequence[float]) -> list[Stopping]:
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        with open_lake(lake) as writer:
            writer.add(answers(sandbox))
            writer.publish()
        with open_warehouse(lake) as warehouse:
            return stopping(warehouse, thresholds=thresholds)


def answers(sandbox: int) -> Iterator[Answer]:
    """Ask the personas of the ten models about palettes of their own, as the sandbox does."""
    seeds = invented_seeds(PALETTES * (sandbox + 1))[PALETTES * sandbox :]
    messages = user_messages(seeds)
    number = 0
    for place, model in enumerate(load_catalog().defaults()):
        for run in range(1, RUNS + 1):
            salt = f"{sandbox * 1000 + place * RUNS + run:x}00000"
            for seed, tags in zip(seeds, _said(model, salt, messages), strict=True):
                number += 1
                error = None if tags else "unparsable"
                yield Answer(
                    number, seed, model.provider, model.id, run, "prompt", 1, f"b{place}-{run}",
                    tags, error_class=error,
                )  # fmt: skip


def _said(model: Model, salt: str, messages: Sequence[str]) -> Iterator[bytes | None]:
    # Anthropic's scale ends at 1, and where nothing is said, the middle of every scale is meant.
    scale = 2 if model.provider == "anthropic" else 1
    temperature = 1.0 if model.temperature is None else scale * model.temperature
    shape = Shape(answer_schema())
    asks = [Ask(text, temperature=temperature, json_only=True) for text in messages]
    questions = [(place, ask, shape) for place, ask in enumerate(asks)]
    for answer in Voice(model.id, salt).answers(questions):
        tags = parse_answer(answer.text, answer.finish).tags
        yield None if tags is None else orjson.dumps(tags)


def _real_pass() -> Figure:
    """Run a pass adaptively, then ask the same home for the runs that it has saved."""
    sandbox = start_sandbox(latency_s=0.1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home", sandbox.env)
            home.add_palettes(_REAL_PALETTES)
            command = ("tag", "--runs", str(RUNS), "--wait")
            home.run(*command, "--adaptive", timeout_s=600)
            saved = home.json("status")["saved_requests"]
            some = _consensus(home)
            home.run(*command, timeout_s=600)
            whole = _consensus(home)
            asked = sum(run["expected"] for run in home.json("status")["runs"])
    finally:
        sandbox.stop()
    agreement = fmean(
        len(some[seed] & whole[seed]) / len(some[seed] | whole[seed]) for seed in whole
    )
    return Figure(
        f"`tag --runs {RUNS} --adaptive --wait` against the sandbox, {_REAL_PALETTES} palettes",
        f"{asked - saved:,} of {asked:,} requests",
        "the same home after `tag --runs 8 --wait`",
        f"{saved / asked:.1%} saved at agreement {agreement:.3f}",
        _TARGET,
    )


def _consensus(home: Home) -> Tags:
    tags: Tags = defaultdict(set)
    for row in home.json("analytics", "consensus", "--all", "--min-share", "0.5"):
        tags[row["seed"]].add((row["category"], row["tag"]))
    return tags
