"""`tag --adaptive`: what is asked for, and what is refused."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.postgres import store_url
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.pipeline.adaptive import USUAL_FLIPS, Rule, read_rule
from grabient_ops.store.engine import open_store

if TYPE_CHECKING:
    from tests.cli.conftest import Ops

_MODEL = ("groq", "openai/gpt-oss-20b")
_TAG = ("tag", "--model", _MODEL[1], "--runs", "8", "--json")


@pytest.fixture
def palettes(ops: "Ops", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "no key")
    assert ops("palettes", "import", "-", stdin="\n".join(bundled_seeds()[:3]).encode()).code == 0


def _rule(ops: "Ops", home: Path) -> Rule | None:
    version = ops("status", "--json").json()["prompt_version"]
    store = open_store(store_url(home))
    try:
        with store.read() as connection:
            return read_rule(connection, version)
    finally:
        store.close()


@pytest.mark.usefixtures("palettes")
def test_a_pass_is_adaptive_when_it_is_asked_to_be(ops: "Ops", home: Path) -> None:
    assert ops(*_TAG).code == 0
    assert _rule(ops, home) is None
    assert ops(*_TAG, "--adaptive").code == 0
    assert _rule(ops, home) == Rule(USUAL_FLIPS, [_MODEL])
    assert ops(*_TAG, "--adaptive", "--flips", "0.25").code == 0
    assert _rule(ops, home) == Rule(0.25, [_MODEL])
    assert ops(*_TAG).code == 0
    assert _rule(ops, home) is None


@pytest.mark.usefixtures("palettes")
def test_a_dry_run_changes_no_rule(ops: "Ops", home: Path) -> None:
    assert ops(*_TAG, "--adaptive", "--dry-run").code == 0
    assert _rule(ops, home) is None


@pytest.mark.usefixtures("palettes")
@pytest.mark.parametrize(
    "words",
    [["--flips", "0.5"], ["--adaptive", "--flips", "-1"], ["--adaptive", "--flips", "nan"]],
)
def test_a_threshold_needs_sense_and_an_adaptive_pass(ops: "Ops", words: list[str]) -> None:
    ran = ops(*_TAG, *words)

    assert (ran.code, ran.out) == (2, "")
    assert "--flips" in ran.err
