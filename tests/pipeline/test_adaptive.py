"""Adaptive passes: who is settled when, what repeating and changing one's mind does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from grabient_ops.analytics.warehouse import Warehouse
from grabient_ops.pipeline.adaptive import Rule, read_rule, settle_run
from grabient_ops.pipeline.runs import Planner
from grabient_ops.pipeline.services import RefinementChoice
from grabient_ops.pipeline.status import read_status
from grabient_ops.pipeline.tagging import request_runs
from grabient_ops.providers.catalog import Model
from grabient_ops.store.changes import announce
from grabient_ops.store.requests import close_open_requests, list_requests
from grabient_ops.store.responses import store_responses
from grabient_ops.store.tables import palette_tags

if TYPE_CHECKING:
    from tests.pipeline.conftest import Lab

_RUNS = 4
_SPLIT = ["misty", "bold", "airy"]


class Pass:
    """A pass of ten models over palettes on which they agree, and one on which they do not."""

    def __init__(self, lab: "Lab") -> None:
        self.lab = lab
        self.split, *self.clear = lab.palettes(3)
        self.models = lab.services.catalog.defaults()
        self._seeing = {model.id for model in self.models[::2]}

    def ask(
        self,
        flips: float | None = 0.5,
        runs: int = _RUNS,
        limit: int | None = None,
        models: "tuple[Model, ...] | None" = None,
    ) -> str:
        """Ask as `grabient-ops tag` does; without flips it is not adaptive."""
        chosen = models or self.models
        return request_runs(self.lab.services, chosen, runs, limit, flips=flips)

    def run(self, version: str, run_number: int) -> None:
        """Have a run planned, answered and judged."""
        self.lab.plan()
        self.answer()
        settle_run(self.lab.services, version, run_number)

    def answer(self) -> None:
        """Answer every open request: half of the models see something in the split palette."""
        for batch in self.lab.batches():
            if batch.state != "reserved":
                continue
            seen = {self.split} if batch.model in self._seeing else set()
            with self.lab.store.write() as connection:
                rows = [
                    {
                        **batch.same(), "seed": request.seed, "attempt": request.attempt,
                        "batch_id": batch.id, "excused": False, "created_at": self.lab.clock(),
                        "tags": {"mood": _SPLIT if request.seed in seen else ["calm"]},
                        "error_class": None, "input_tokens": 1, "output_tokens": 1,
                        "cached_tokens": 0, "reasoning_tokens": 0,
                    }
                    for request in list_requests(connection, batch.id)
                ]  # fmt: skip
                store_responses(connection, palette_tags, batch.same(), rows)
                close_open_requests(connection, batch.id, "succeeded")
                announce(connection, "responses", [batch.id], self.lab.clock())
            self.lab.services.update(batch.id, state="completed", ended_at=self.lab.clock())

    def after(self, *seeds: str) -> set[int | None]:
        """After which runs palettes are settled, over all models; None where one is not."""
        rows = self.lab.query("SELECT seed, settled_after FROM targets")
        return {after for seed, after in rows if seed in seeds}

    def settled(self) -> tuple[set[int | None], set[int | None]]:
        """The same of the palette that is split, and of those that are clear."""
        return self.after(self.split), self.after(*self.clear)

    def status(self) -> dict[str, Any]:
        return read_status(self.lab.services)


@pytest.fixture
def work(lab: "Lab") -> Pass:
    return Pass(lab)


def test_what_the_models_agree_on_is_left_out_of_the_next_runs(work: Pass) -> None:
    version = work.ask()
    work.run(version, 1)

    assert work.settled() == ({None}, {1})
    work.lab.plan()
    asked = [batch for batch in work.lab.batches() if batch.run_number == 2]
    assert [batch.request_count for batch in asked] == [1] * len(work.models)


def test_status_counts_only_what_is_still_wanted(work: Pass) -> None:
    version = work.ask()
    work.run(version, 1)
    saved = len(work.models) * len(work.clear) * (_RUNS - 1)

    status = work.status()

    assert [run["expected"] for run in status["runs"]] == [30, 10, 10, 10]
    assert (status["target_runs"], status["saved_requests"]) == (_RUNS, saved)
    for row in [*status["runs"], *status["models"]]:
        assert row["expected"] == row["succeeded"] + row["failed"] + row["pending"]
    for number in range(2, _RUNS + 1):
        work.run(version, number)
    assert not any(run["pending"] for run in work.status()["runs"])
    assert len(work.lab.rows()) == len(work.models) * 3 * _RUNS - saved


def test_without_a_rule_nobody_is_settled(work: Pass) -> None:
    version = work.ask(flips=None)
    work.run(version, 1)

    assert work.settled() == ({None}, {None})
    assert work.status()["saved_requests"] == 0


def test_judging_again_changes_and_announces_nothing(work: Pass) -> None:
    version = work.ask()
    work.run(version, 1)
    before, told = work.settled(), work.lab.announced("targets")

    settle_run(work.lab.services, version, 1)
    settle_run(work.lab.services, version, 2)
    work.ask()

    assert work.settled() == before
    assert work.lab.announced("targets")[: len(told)] == told
    assert len(work.lab.announced("targets")) == len(told) + 1


def test_a_palette_whose_next_run_has_begun_is_not_judged(work: Pass) -> None:
    version = work.ask(flips=0.0)
    work.run(version, 1)
    work.lab.plan()
    work.ask(flips=0.5)

    settle_run(work.lab.services, version, 1)

    assert work.settled() == ({None}, {None})
    work.answer()
    settle_run(work.lab.services, version, 2)
    assert work.settled() == ({None}, {2})


def test_a_crash_before_the_commit_settles_nobody_and_the_next_start_everybody(
    work: Pass, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = work.ask()
    work.lab.plan()
    work.answer()
    settle = "grabient_ops.pipeline.adaptive.chain_refinement"

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(settle, crash)
        with pytest.raises(KeyboardInterrupt):
            settle_run(work.lab.services, version, 1)
    assert work.settled() == ({None}, {None})

    settle_run(work.lab.services, version, 1)

    assert work.settled() == ({None}, {1})


def test_an_ordinary_pass_asks_for_all_runs_again(work: Pass) -> None:
    version = work.ask()
    work.run(version, 1)
    work.ask(flips=None)

    assert work.settled() == ({None}, {None})
    work.run(version, 2)
    assert work.settled() == ({None}, {None})
    assert work.status()["saved_requests"] == 0


def test_an_ordinary_pass_of_some_palettes_or_fewer_runs_opens_no_more(work: Pass) -> None:
    version = work.ask()
    work.run(version, 1)
    work.ask(flips=None, runs=1)
    assert work.settled() == ({None}, {1})

    work.ask(flips=None, runs=3)
    assert work.settled() == ({None}, {3})
    work.ask(flips=None, runs=_RUNS, limit=2)

    assert [work.after(seed) for seed in work.clear] == [{None}, {3}]


def test_another_threshold_judges_anew(work: Pass) -> None:
    version = work.ask(flips=99.0)
    work.run(version, 1)
    assert work.settled() == ({1}, {1})
    work.ask(flips=0.5)

    assert work.settled() == ({None}, {None})
    settle_run(work.lab.services, version, 1)
    assert work.settled() == ({None}, {1})


def test_more_runs_leave_settled_palettes_settled(work: Pass) -> None:
    version = work.ask(runs=2)
    work.run(version, 1)
    work.run(version, 2)
    work.ask(runs=3)
    settle_run(work.lab.services, version, 2)
    work.lab.plan()

    assert work.settled() == ({None}, {1})
    asked = [batch for batch in work.lab.batches() if batch.run_number == 3]
    assert sum(batch.request_count for batch in asked) == len(work.models)


def test_the_last_run_settles_nobody(work: Pass) -> None:
    version = work.ask(runs=1)
    work.run(version, 1)

    assert work.settled() == ({None}, {None})
    assert work.status()["saved_requests"] == 0


def test_palettes_added_later_are_judged_after_their_own_runs(work: Pass) -> None:
    version = work.ask()
    work.run(version, 1)
    work.run(version, 2)
    (late,) = work.lab.palettes(1, first=3)
    work.ask()
    work.run(version, 1)

    assert work.after(late) == {1}
    assert work.after(work.split) == {None}


def test_models_that_were_not_asked_adaptively_go_on(work: Pass) -> None:
    version = work.ask(models=work.models[:8])
    work.ask(flips=None, models=work.models[8:])
    work.run(version, 1)

    assert work.settled() == ({None}, {1, None})
    work.ask(flips=None, models=work.models[:2])
    with work.lab.store.read() as connection:
        rule = read_rule(connection, version)
    assert rule == Rule(0.5, [(m.provider, m.id) for m in work.models[2:8]])
    work.ask(flips=None)
    with work.lab.store.read() as connection:
        assert read_rule(connection, version) is None


def test_an_operator_who_changes_their_mind_meanwhile_is_obeyed(work: Pass) -> None:
    version = work.ask()
    work.lab.plan()
    work.answer()

    @contextmanager
    def slow() -> Iterator[Warehouse]:
        with work.lab.warehouse() as warehouse:
            yield warehouse
        work.ask(flips=None)

    settle_run(replace(work.lab.services, warehouse=slow), version, 1)

    assert work.settled() == ({None}, {None})


def test_settling_the_last_palettes_starts_the_refinement(work: Pass) -> None:
    choice = RefinementChoice(work.lab.model("anthropic"), None)
    services = replace(work.lab.services, refine_after=choice)
    version = work.ask(flips=99.0)
    work.lab.plan()
    work.answer()

    settle_run(services, version, 1)
    settle_run(services, version, 1)

    wanted = work.lab.query("SELECT prompt_version, seed FROM targets")
    refined = [seed for prompt, seed in wanted if prompt != version]
    assert sorted(refined) == sorted([work.split, *work.clear])


def test_palettes_without_an_answer_are_asked_on(work: Pass) -> None:
    version = work.ask()
    work.lab.plan()
    for batch in work.lab.batches():
        work.lab.respond(batch, error_class="refused")
        work.lab.services.update(batch.id, state="completed", ended_at=work.lab.clock())

    settle_run(work.lab.services, version, 1)

    assert work.settled() == ({None}, {None})


def test_the_planner_settles_between_the_runs_and_asks_nobody_else(work: Pass) -> None:
    planner = Planner(work.lab.services)
    work.ask()

    while planner.plan().reserved:
        work.answer()
        planner.forget()

    assert work.settled() == ({None}, {1})
    asked = {batch.run_number: batch.request_count for batch in work.lab.batches()}
    assert asked == {1: 3, 2: 1, 3: 1, 4: 1}


def test_the_planner_judges_a_run_once(work: Pass) -> None:
    opened = []

    @contextmanager
    def watched() -> Iterator[Warehouse]:
        opened.append(True)
        with work.lab.warehouse() as warehouse:
            yield warehouse

    planner = Planner(replace(work.lab.services, warehouse=watched))
    work.ask(flips=0.0, runs=2)
    planner.plan()
    work.answer()

    for _ in range(3):
        planner.plan()

    assert len(opened) == 1
