"""A batch's life follows from its creation and the clock alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.sandbox.fault_names import BATCH_FAULTS
from grabient_ops.sandbox.lifecycle import Stage, progress, tally
from grabient_ops.sandbox.state import Batch

ORDER = ["validating", "running", "finalizing", "canceling"]
PROBLEM = {"code": "empty_file", "message": "", "param": None, "line": None}


def batch_of(
    total: int = 10,
    *,
    latency_s: float = 100.0,
    faults: tuple[str, ...] = (),
    cancel_at: float | None = None,
    sound: bool = True,
) -> Batch:
    return Batch(
        id="b",
        provider="openai",
        model="m",
        total=total,
        created_at=1000.0,
        latency_s=latency_s,
        input_file="f",
        faults=faults,
        cancel_at=cancel_at,
        problems=() if sound else (PROBLEM,),
        fates=b"A" * total,
    )


@pytest.mark.parametrize(
    ("age_s", "stage", "reached"),
    [
        (0, Stage.VALIDATING, 0),
        (9, Stage.VALIDATING, 0),
        (10, Stage.RUNNING, 0),
        (50, Stage.RUNNING, 5),
        (90, Stage.FINALIZING, 10),
        (100, Stage.COMPLETED, 10),
        (1e6, Stage.COMPLETED, 10),
    ],
)
def test_a_batch_is_validated_run_finalized_and_completed(
    age_s: float, stage: Stage, reached: int
) -> None:
    now = progress(batch_of(), 1000.0 + age_s)

    assert (now.stage, now.reached) == (stage, reached)


def test_a_refused_file_fails_when_its_validation_ends() -> None:
    now = progress(batch_of(sound=False), 1010.0)

    assert (now.stage, now.reached, now.ended_at) == (Stage.FAILED, 0, 1010.0)


def test_a_cancel_keeps_what_was_reached_and_ends_soon() -> None:
    batch = batch_of(cancel_at=1050.0)

    assert progress(batch, 1050.1).stage == Stage.CANCELING
    assert progress(batch, 1051.0).stage == Stage.CANCELED
    assert progress(batch, 2000.0).reached == 5


@given(
    total=st.integers(1, 1000),
    latency_s=st.floats(0, 1000),
    faults=st.lists(st.sampled_from(sorted(BATCH_FAULTS)), unique=True),
    cancel_after_s=st.none() | st.floats(0, 2000),
    ages=st.lists(st.floats(0, 5000), min_size=2).map(sorted),
    sound=st.booleans(),
)
def test_life_never_goes_back(
    *,
    total: int,
    latency_s: float,
    faults: list[str],
    cancel_after_s: float | None,
    ages: list[float],
    sound: bool,
) -> None:
    cancel_at = None if cancel_after_s is None else 1000.0 + cancel_after_s
    batch = batch_of(
        total, latency_s=latency_s, faults=tuple(faults), cancel_at=cancel_at, sound=sound
    )
    asked = [1000.0 + age for age in ages if cancel_at is None or 1000.0 + age >= cancel_at]

    looks = [progress(batch, now) for now in asked]

    assert all(a.reached <= b.reached <= total for a, b in pairwise(looks))
    ended = [look for look in looks if look.stage.ended]
    assert len(set(ended)) <= 1
    assert looks[len(looks) - len(ended) :] == ended
    assert all(look.ended_at is not None for look in ended)


@given(
    st.binary(max_size=50).map(lambda raw: bytes(b"ARFM"[value % 4] for value in raw)), st.data()
)
def test_every_line_is_counted_once(fates: bytes, data: st.DataObject) -> None:
    reached = data.draw(st.integers(0, len(fates)))
    batch = Batch(
        id="b",
        provider="groq",
        model="m",
        total=len(fates),
        created_at=0,
        latency_s=1,
        input_file="f",
        fates=fates,
    )

    count = tally(batch, reached)

    parts = (count.answered, count.rejected, count.failed, count.missing, count.unreached)
    assert sum(parts) == len(fates)
    assert count.unreached == len(fates) - reached
