"""Search over many refined palettes: how long a query takes, and what the short cut misses."""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.report import Figure
from grabient_ops.analytics.refined import REFINED
from grabient_ops.analytics.refinements import Refinement
from grabient_ops.analytics.search import index as index_module
from grabient_ops.analytics.search.embedding import WordVectors
from grabient_ops.analytics.search.index import Hit, Index, open_index
from grabient_ops.analytics.search.writing import open_refined
from grabient_ops.tagging.embed_text import embed_text

PALETTES = int(os.environ.get("BENCH_PALETTES", "100000"))
MORE = int(os.environ.get("BENCH_MORE_PALETTES", "200000"))
_PAGE = 10_000
_LIMIT = 10
_ROUNDS = 5
_TAGS = Path(__file__).parents[1] / "tests" / "data" / "search" / "refined.jsonl"
_QUERIES = (
    "ocean", "calm misty morning", "autumn forest", "neon night city", "fire", "christmas",
    "romantic pink flowers", "desert", "coffee", "outer space", "fresh fruit", "halloween",
    "luxury gold", "snow and ice", "sweet candy", "jungle", "sunset at the beach", "church",
    "dark blue", "retro diner",
)  # fmt: skip


def figures() -> Iterator[Figure]:
    """Measure queries over as many palettes as are compared one by one, and over more."""
    embedder = WordVectors()
    for count, target in ((PALETTES, "< 100 ms"), (MORE, "recall >= 0.95")):
        with tempfile.TemporaryDirectory() as name:
            lake = Path(name)
            write_s = _write(lake, count, embedder)
            started = time.perf_counter()
            index = open_index(lake)
            open_s = time.perf_counter() - started
        yield _query_figure(
            index, embedder, f"written in {write_s:.0f} s, opened in {open_s:.1f} s", target
        )


def _write(lake: Path, count: int, embedder: WordVectors) -> float:
    """Mix the tags of our refined palettes into so many others; return the seconds it took."""
    lists = [json.loads(line)["tags"] for line in _TAGS.read_text().splitlines()]
    random = np.random.default_rng(1)
    started = time.perf_counter()
    with open_refined(lake / REFINED) as writer:
        writer.start_over(embedder.model)
        for start in range(0, count, _PAGE):
            numbers = range(start, min(start + _PAGE, count))
            texts = [_mixed(lists, random) for _ in numbers]
            rows = [
                Refinement(number, f"seed-{number:08}", "p", "m", "v", 1, f"b{number // 1000}",
                           "{}", text, None, "2026-11-22T12:00:00+00:00")
                for number, text in zip(numbers, texts, strict=True)
            ]  # fmt: skip
            writer.add(rows, embedder.embed(texts))
        writer.publish({})
    return time.perf_counter() - started


def _mixed(lists: Sequence[dict[str, list[str]]], random: np.random.Generator) -> str:
    """Take each field from one of three palettes, so that texts have topics as real ones do."""
    chosen = [lists[place] for place in random.integers(len(lists), size=3)]
    return embed_text({field: chosen[random.integers(3)][field] for field in chosen[0]})


def _query_figure(index: Index, embedder: WordVectors, how: str, target: str) -> Figure:
    times, found = _ask(index, embedder)
    usual = index_module.EXHAUSTIVE
    index_module.EXHAUSTIVE = len(index.seeds)
    all_times, exact = _ask(index, embedder)
    index_module.EXHAUSTIVE = usual
    pairs = zip(found, exact, strict=True)
    recall = np.mean([len(_seeds(one) & _seeds(other)) / _LIMIT for one, other in pairs])
    middle, slowest = np.median(times) * 1e3, np.quantile(times, 0.95) * 1e3
    return Figure(
        f"one query over {len(index.seeds):,} refined palettes, its embedding included; {how}",
        f"median {middle:.0f} ms, p95 {slowest:.0f} ms",
        f"comparing all, median {np.median(all_times) * 1e3:.0f} ms",
        f"{middle:.0f} ms, recall@{_LIMIT} {recall:.3f}",
        target,
    )


def _ask(index: Index, embedder: WordVectors) -> tuple[list[float], list[list[Hit]]]:
    index.search("warm up", embedder, _LIMIT)
    times, answers = [], []
    for query in _QUERIES * _ROUNDS:
        started = time.perf_counter()
        answers.append(index.search(query, embedder, _LIMIT))
        times.append(time.perf_counter() - started)
    return times, answers


def _seeds(hits: Sequence[Hit]) -> set[str]:
    return {hit.seed for hit in hits}
