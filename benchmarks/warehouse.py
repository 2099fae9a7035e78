"""The warehouse against other engines over the same answers, and a sync of a few new ones."""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import duckdb

from benchmarks import warehouse_peers as peers
from benchmarks.cost import Cost, Meter, best, in_fresh_process
from benchmarks.report import Figure
from benchmarks.warehouse_data import put_news, write_documents, write_lake
from grabient_ops.analytics.questions.asking import EVERYTHING, Selection
from grabient_ops.analytics.questions.consensus import write_consensus
from grabient_ops.analytics.questions.tags import top_tags
from grabient_ops.analytics.sync import sync
from grabient_ops.analytics.warehouse import open_warehouse

RESPONSES = int(os.environ.get("BENCH_RESPONSES", "1000000"))
FEW = 100_000
NEWS = 1_000
_MOST_COMPARED = 1_000_000  # with more, some of the others need more memory than machines have
_ROUNDS = 2
_SCRIPT = Path(__file__).with_name("consensus.mjs")
_FROM_FACTS = Selection(runs=[1])  # all answers, but a part of them is what is asked about
_OURS, _ANEW = "ours", "ours, from the facts"
_GIVEN = "polars, given what sync has counted"
_SAID = ("seed", "category", "tag", "votes", "responses")

Digest = tuple[int, int]
"""How many rows, and a hash of what they say in any order."""


def figures() -> Iterator[Figure]:
    """Ask ours and the others in turn, then sync into this lake and into a smaller one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lake, few = folder / "lake", folder / "few"
        in_fresh_process(write_lake, lake, RESPONSES)
        engines = [name for name in peers.ENGINES if find_spec(name)]
        engines = engines if RESPONSES <= _MOST_COMPARED else []
        yield from _consensus_figures(folder, lake, engines)
        yield from _top_figures(lake, engines)
        in_fresh_process(write_lake, few, FEW)
        yield _sync_figure(*(in_fresh_process(sync_news, some) for some in (few, lake)))


def _consensus_figures(folder: Path, lake: Path, engines: Sequence[str]) -> Iterator[Figure]:
    what = f"consensus of all palettes, {RESPONSES:,} answers"
    target = folder / "consensus.parquet"
    asked = {
        _OURS: partial(our_consensus, lake, target),
        _ANEW: partial(our_consensus, lake, target, _FROM_FACTS),
        **{engine: partial(peers.consensus, engine, lake, target) for engine in engines},
    }
    if "polars" in engines and peers.files_of(lake)["tallies"]:
        asked[_GIVEN] = partial(peers.consensus_on_tallies, lake, target)
    told = _ask_in_turn(asked, target)
    ours, anew = told.pop(_OURS), told.pop(_ANEW)
    given = {_GIVEN: told.pop(_GIVEN)} if _GIVEN in told else {}
    if engines and (node := which("node")):
        in_fresh_process(our_consensus, lake, target)
        told["the first system's way on node"] = _on_node(node, folder, _digest(target, *_SAID))
    yield from _compared(what, ours, told, ">= 4x CPU" if engines else "< 1,500 MB")
    yield from _compared(f"{what}, nothing counted in advance", anew, told)
    if given:
        yield from _compared(what, ours, given)


def _ask_in_turn(asked: Mapping[str, Callable[[], Cost]], target: Path) -> dict[str, Cost]:
    """Measure each several times; all must write the same rows."""
    costs: dict[str, list[Cost]] = {name: [] for name in asked}
    said = set()
    for _ in range(_ROUNDS):
        for name, work in asked.items():
            costs[name].append(in_fresh_process(work))
            said.add(_digest(target, *_SAID, "models"))
            _require_equal(name, len(said), 1)
    return {name: best(some) for name, some in costs.items()}


def our_consensus(lake: Path, target: Path, selection: Selection = EVERYTHING) -> Cost:
    """Measure how our consensus of all palettes gets to a Parquet file."""
    _finish_imports()
    meter = Meter()
    with meter.running(), open_warehouse(lake) as warehouse:
        write_consensus(warehouse, target, selection)
    return meter.read()


def _finish_imports() -> None:
    """DuckDB looks for pandas at its first parameter; what others import is not counted either."""
    with duckdb.connect() as connection:
        connection.execute("SELECT $x", {"x": 1})


def _on_node(node: str, folder: Path, right: Digest) -> Cost:
    answers, target = folder / "answers.jsonl", folder / "consensus.jsonl"
    in_fresh_process(write_documents, answers, RESPONSES)
    command = [node, "--max-old-space-size=12000", str(_SCRIPT), str(answers), str(target)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    _require_equal("node", _digest(target, *_SAID), right)
    cost: dict[str, Any] = json.loads(told.stdout)
    return Cost(**cost)


def _digest(path: Path, *columns: str) -> Digest:
    text = f"concat_ws('|', {', '.join(columns)})"
    with duckdb.connect() as connection:
        connection.execute(f"SELECT count(*), bit_xor(hash({text})) FROM '{path}'")  # noqa: S608 - ours
        [(rows, content)] = connection.fetchall()
    return rows, content


def _require_equal(engine: str, told: object, right: object) -> None:
    if told != right:
        raise ValueError(f"{engine} says something else than ours")


def _top_figures(lake: Path, engines: Sequence[str]) -> Iterator[Figure]:
    ours: list[Cost] = []
    theirs: dict[str, list[Cost]] = {engine: [] for engine in engines}
    for _ in range(_ROUNDS):
        cost, right = in_fresh_process(our_top_tags, lake)
        ours.append(cost)
        for engine in engines:
            cost, top = in_fresh_process(peers.top_tags, engine, lake)
            theirs[engine].append(cost)
            _require_equal(engine, top, right)
    others = {name: best(costs) for name, costs in theirs.items()}
    yield from _compared(f"top {peers.TOP} tags, {RESPONSES:,} answers", best(ours), others)


def our_top_tags(lake: Path) -> tuple[Cost, peers.Top]:
    """Measure how our ranking of the tags of all answers gets into Python."""
    _finish_imports()
    meter = Meter()
    with meter.running(), open_warehouse(lake) as warehouse:
        top = top_tags(warehouse, limit=peers.TOP)
    return meter.read(), [tag[1:6] for tag in top]


def _compared(
    what: str, ours: Cost, others: Mapping[str, Cost], target: str = ""
) -> Iterator[Figure]:
    if not others:
        yield Figure(what, _told(ours), "", f"{ours.peak_mb:.0f} MB", target)
    for name, theirs in others.items():
        less, faster = theirs.cpu_s / ours.cpu_s, theirs.wall_s / ours.wall_s
        ratio = f"theirs / ours: CPU {less:.1f}x, wall {faster:.1f}x"
        yield Figure(what, _told(ours), f"{name}, {_told(theirs)}", ratio, target)


def _told(cost: Cost) -> str:
    return f"{cost.cpu_s:.2f} s CPU, {cost.wall_s:.2f} s wall, {cost.peak_mb:,.0f} MB"


def sync_news(lake: Path) -> Cost:
    """Measure how new answers get from a store into a lake; the best of several commits."""
    home = lake.with_name(f"{lake.name}-store.sqlite")
    url = f"sqlite:///{home}"
    costs = []
    for number in range(_ROUNDS):
        put_news(url, number, NEWS)
        meter = Meter()
        with meter.running():
            synced = sync(lake, url)
        _require_equal("sync", synced.answers, NEWS)
        costs.append(meter.read())
    return best(costs)


def _sync_figure(few: Cost, many: Cost) -> Figure:
    return Figure(
        f"{NEWS:,} new answers into a lake of {RESPONSES:,}, wall, best of {_ROUNDS}",
        f"{many.wall_s:.2f} s, {many.peak_mb:.0f} MB",
        f"into one of {FEW:,}, {few.wall_s:.2f} s, {few.peak_mb:.0f} MB",
        f"{many.wall_s / few.wall_s:.2f}x",
        "< 1 s, independent of the total",
    )
