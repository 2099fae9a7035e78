"""The mathematics alone, against the books and against crowd-kit."""

import random

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # no stubs for one test
import pytest
from crowdkit.aggregation import DawidSkene
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.analytics.dawid_skene import Votes, fit
from grabient_ops.analytics.significance import adjusted, p_value, z_score


def test_p_values_are_those_of_the_normal_distribution() -> None:
    assert [p_value(z) for z in (0, 1.959964, -2.575829)] == pytest.approx([1, 0.05, 0.01])


def test_benjamini_and_hochberg_is_the_example_of_their_paper() -> None:
    # Table of section 3.2: at level 0.05 the first four of fifteen are rejected.
    found = adjusted([
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
        0.5719, 0.6528, 0.7590, 1.000,
    ])  # fmt: skip

    assert sum(value <= 0.05 for value in found) == 4
    assert found[3] == pytest.approx(0.0095 * 15 / 4)


@given(st.lists(st.floats(0, 1)))
def test_adjusted_values_keep_the_order_and_only_grow(p_values: list[float]) -> None:
    found = adjusted(p_values)

    assert all(p <= q <= 1 for p, q in zip(p_values, found, strict=True))
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [found[i] for i in order] == sorted(found)


def test_z_falls_back_on_the_binomial_where_units_show_no_spread() -> None:
    plain = z_score((10, 30), (100, 100), None)

    assert plain == pytest.approx(0.2 / (0.2 * 0.8 * 2 / 100) ** 0.5)
    assert z_score((10, 30), (100, 100), 1e-20) == plain
    assert z_score((10, 30), (100, 100), 0.01) == pytest.approx(2)
    assert z_score((100, 100), (100, 100), None) == 0


def _votes(workers: int, tasks: int, words: int, skill: float) -> tuple[Votes, list[int]]:
    """Workers of falling skill; repeated votes and gaps among them."""
    chance = random.Random(3)
    truth = [chance.randrange(words) for _ in range(tasks)]
    counts: dict[tuple[int, int, int], int] = {}
    for task, true in enumerate(truth):
        for worker in range(workers):
            for _ in range(chance.randrange(1, 3)):
                is_right = chance.random() < skill - 0.1 * worker
                key = (task, worker, true if is_right else chance.randrange(words))
                counts[key] = counts.get(key, 0) + 1
    task, worker, word = np.array([*counts]).T
    return Votes(task, worker, word, np.array([*counts.values()])), truth


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # how crowd-kit uses pandas
def test_dawid_skene_equals_crowd_kit() -> None:
    votes, _ = _votes(workers=5, tasks=120, words=4, skill=0.9)
    frame = pd.DataFrame({"task": votes.task, "worker": votes.worker, "label": votes.word})
    frame = frame.loc[frame.index.repeat(votes.times)]
    # Its loss may fall by rounding; no tolerance makes both do all steps.
    model = DawidSkene(n_iter=60, tol=-1).fit(frame)

    found = fit(votes, 4, iterations=60, tolerance=-1)

    assert model.probas_ is not None
    assert model.priors_ is not None
    assert model.errors_ is not None
    beliefs = model.probas_.sort_index()[range(4)].to_numpy()
    assert np.abs(found.belief - beliefs).max() < 1e-6
    assert np.abs(found.prior - model.priors_[range(4)].to_numpy()).max() < 1e-6
    for worker in range(5):
        errors = model.errors_.loc[worker].reindex(range(4), fill_value=0)[range(4)].to_numpy()
        assert np.abs(found.confusion[worker] - errors).max() < 1e-5


def test_dawid_skene_finds_the_truth_and_who_knows_it() -> None:
    votes, truth = _votes(workers=6, tasks=400, words=3, skill=0.95)

    found = fit(votes, 3)

    assert (found.belief.argmax(axis=1) == truth).mean() > 0.97
    assert np.all(np.diff(found.accuracy()) < 0)
    assert np.allclose(found.confusion.sum(axis=1), 1)


def test_a_single_vote_is_believed() -> None:
    zero = np.array([0])

    found = fit(Votes(zero, zero, zero + 2, zero + 1), 3)

    assert found.belief.argmax() == 2
    assert np.isfinite(found.accuracy()).all()
