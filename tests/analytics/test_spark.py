"""Apache Spark gives the answers that DuckDB gives; needs Java, and says so where there is none."""

import shutil
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from grabient_ops.analytics import spark
from grabient_ops.analytics.answers import Answer
from grabient_ops.analytics.lake import open_lake
from grabient_ops.analytics.questions.asking import Selection
from grabient_ops.analytics.questions.consensus import all_consensus, consensus
from grabient_ops.analytics.questions.tags import top_tags
from grabient_ops.analytics.questions.versions import (
    tags_by_version,
    version_difference,
    versions,
)
from grabient_ops.analytics.refined import REFINED, ROWS
from grabient_ops.analytics.refinements import Refinement
from grabient_ops.analytics.search.writing import open_refined
from grabient_ops.analytics.spark import SparkError, open_spark_warehouse
from grabient_ops.analytics.warehouse import EmptyLakeError, Warehouse, open_warehouse
from grabient_ops.cli.analytics import app
from tests.analytics.conftest import Home
from tests.analytics.questions.conftest import PROMPTS, make_answers

Question = Callable[[Warehouse], Sequence[Any]]

_PALETTES = 830
_SEED = "seed 7 凉🌅 'بحر'"
_CHOSEN = Selection(prompts=PROMPTS[:1], models=["gemini", "claude"], runs=[1, 3])
_QUESTIONS: dict[str, Question] = {
    "consensus": lambda lake: consensus(lake, _SEED),
    "consensus of all": lambda lake: list(all_consensus(lake)),
    "consensus of some": lambda lake: list(all_consensus(lake, _CHOSEN, min_share=0.5)),
    "top tags": top_tags,
    "top tags of each": lambda lake: top_tags(lake, _CHOSEN, limit=4, per_category=True),
    "top tags of one": lambda lake: top_tags(lake, category="mood", limit=5),
    "versions": versions,
    "tags by version": lambda lake: tags_by_version(lake, category="mood", limit=9),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty thousand answers, a batch of which was replaced, under a path that is a pattern."""
    lake = tmp_path_factory.mktemp("home") / ".p[a]th {x,y} %20 k=v 凉*" / "lake"
    answers = make_answers([_SEED, *(f"seed {number}" for number in range(1, _PALETTES))])
    replaced = answers[0].batch_id
    with open_lake(lake) as writer:
        writer.add(answers)
        writer.publish()
    _refine(lake, ["first", "second"], "batch-1", 9)
    _refine(lake, ["again"], "batch-1", 10)
    _refine(lake, ["newer", "third"], "batch-2", 11)
    with open_lake(lake) as writer:
        writer.forget([replaced])
        writer.add(map(_contented, filter(lambda answer: answer.batch_id == replaced, answers)))
        writer.publish()
    return lake


def _refine(lake: Path, texts: list[str], batch: str, hour: int) -> None:
    """Publish refinements of the first palettes, in place of what this batch said before."""
    rows = [
        Refinement(hour * 10 + n, f"seed {n}", "p", "m", "v", 1, batch, '{"mood": ["凉"]}', text,
                   None, f"2026-11-22T{hour:02}:00:00+00:00", 700, 90, cost=n or None)
        for n, text in enumerate(texts)
    ]  # fmt: skip
    with open_refined(lake / REFINED) as writer:
        if writer.published.embedding != "test":
            writer.start_over("test")
        writer.forget([batch])
        writer.add(rows, np.array([[hour, n] for n in range(len(rows))], dtype=np.float32))
        writer.publish({"store": "test", "seq": hour})


def _contented(answer: Answer) -> Answer:
    return answer._replace(tags='{"mood": ["Zufrieden", "😌"]}', error_class=None)


@pytest.mark.timeout(240)  # starting Java takes 10 s on an idle machine
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pyspark closes none
def test_spark_answers_as_duckdb_does(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Short jobs are over before Java's second compiler pays off.
    quick = "--conf spark.sql.shuffle.partitions=2 --driver-java-options -XX:TieredStopAtLevel=1"
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f"{quick} pyspark-shell")
    if shutil.which("java") is None:
        with pytest.raises(SparkError, match="install Java 17"):
            open_spark_warehouse(lake)
        return

    with open_warehouse(lake) as duck, open_spark_warehouse(lake) as big:
        assert big.generation == duck.generation
        for name, ask in _QUESTIONS.items():
            expected = ask(duck)
            assert expected, name
            assert ask(big) == expected, name
        _same_differences(big, duck)
        refined = [_refined(engine) for engine in (big, duck)]
    assert refined[0] == refined[1]
    assert [row[1] for row in refined[0]] == ["newer", "third"]


def _refined(engine: Warehouse) -> list[tuple[Any, ...]]:
    query = f"SELECT seed, embed_text, {', '.join(ROWS)}, embedding, vector FROM refined ORDER BY 1"  # noqa: S608 - ours
    rows = engine.connection.execute(query).fetchall()
    return [(*row[:-1], list(row[-1])) for row in rows]


def _same_differences(big: Warehouse, duck: Warehouse) -> None:
    """Engines add fractions up in another order, so that the last digits differ."""
    ours, theirs = (
        {row[:2]: row[2:] for row in version_difference(engine, *PROMPTS)} for engine in (big, duck)
    )
    assert list(ours)[:3] == list(theirs)[:3]
    assert ours.keys() == theirs.keys()
    for tag, row in theirs.items():
        assert ours[tag] == pytest.approx(row, rel=1e-6), tag


_COMMANDS = (
    "consensus seed-1", "consensus --all --json", "top-tags", "versions", "versions p1 p2",
)  # fmt: skip


@pytest.fixture
def filled(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    home.put(home.row(1))
    monkeypatch.setenv("GRABIENT_OPS_HOME", str(home.folder))
    return home.folder


@pytest.mark.parametrize("command", _COMMANDS)
def test_without_java_a_command_says_in_one_sentence_what_is_missing(
    filled: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(filled))

    result = CliRunner().invoke(app, [*command.split(), "--engine", "spark"])

    assert isinstance(result.exception, SparkError)
    assert "install Java 17" in str(result.exception)
    assert not result.stdout


def test_without_pyspark_a_command_says_in_one_sentence_what_is_missing(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = filled / "bin" / "java"
    java.parent.mkdir()
    java.touch(mode=0o755)
    monkeypatch.setenv("JAVA_HOME", str(filled))
    monkeypatch.setattr(spark, "find_spec", lambda _name: None)

    result = CliRunner().invoke(app, ["top-tags", "--engine", "spark"])

    assert isinstance(result.exception, SparkError)
    assert "grabient-ops[spark]" in str(result.exception)


def test_a_file_is_written_by_duckdb_only(filled: Path) -> None:
    out = filled / "all.csv"

    result = CliRunner().invoke(app, ["consensus", "--all", "--out", str(out), "--engine", "spark"])

    assert result.exit_code == 2
    assert "--out" in result.stderr
    assert not out.exists()


def test_an_empty_lake_needs_no_spark_to_say_so(tmp_path: Path) -> None:
    with pytest.raises(EmptyLakeError, match="nothing has been synced"):
        open_spark_warehouse(tmp_path)


def test_the_pins_keep_to_the_bounds_of_the_extra() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    bounds = (root / "requirements" / "spark.in").read_text(encoding="utf-8").split()
    assert project["optional-dependencies"]["spark"] == bounds
