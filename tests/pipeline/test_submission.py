import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import Connection

from grabient_ops.errors import (
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    StoreError,
    UnavailableError,
)
from grabient_ops.pipeline import payload
from grabient_ops.pipeline.batches import _disown
from grabient_ops.pipeline.submission import Submitter
from grabient_ops.providers.base import ProviderName, Submission
from grabient_ops.store.batches import Batch, request_cancel
from grabient_ops.store.requests import Request, list_requests

if TYPE_CHECKING:
    from tests.pipeline.conftest import FakeProvider, Lab

LOST = UnavailableError("openai", "connection lost")


class KilledError(Exception):
    """Stands for a kill: nothing of ours catches it."""


NEVER_SENT = UnavailableError("openai", "connection refused", outcome_unknown=False)


def _submit(lab: "Lab", batch: Batch, *, settle_s: float | None = None) -> str | None:
    services = lab.services
    if settle_s is not None:
        services = replace(services, policy=replace(lab.policy, settle_s=lambda _: settle_s))

    async def work() -> str | None:
        submitter = Submitter(services)
        await submitter.upload(batch.id)
        return await submitter.create(batch.id)

    return lab.run(work())


def _create(lab: "Lab", batch: Batch) -> str | None:
    """Go on as another process does after a crash."""
    return lab.run(Submitter(lab.services).create(batch.id))


def _cancel(lab: "Lab", batch: Batch) -> None:
    with lab.store.write() as connection:
        request_cancel(connection, batch.id, lab.clock())


def test_a_batch_is_uploaded_created_and_written_down(lab: "Lab") -> None:
    batch = lab.reserve()
    created = _submit(lab, batch)

    stored = lab.services.batch(batch.id)
    assert (stored.provider_batch_id, stored.state, stored.is_proven) == (created, "waiting", True)
    assert stored.input_file_id == f"file-{batch.id}"
    assert stored.submit_started_at is not None
    assert lab.openai.calls == ["upload", "high_water", "create"]


def test_the_intent_is_written_before_the_provider_hears_of_it(lab: "Lab") -> None:
    batch = lab.reserve()
    intents = []
    lab.openai.on_call = lambda _: intents.append(lab.services.batch(batch.id).submit_started_at)
    _submit(lab, batch)

    assert [intent is None for intent in intents] == [True, True, False]


def test_a_payload_that_was_cut_off_while_it_was_written_is_never_sent(
    lab: "Lab", monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = lab.reserve(3, "anthropic")

    def lose_the_store_half_way(
        connection: Connection, batch_id: str, start: int, limit: int
    ) -> list[Request]:
        if start == 2:
            monkeypatch.undo()
            raise StoreError("the store cannot be reached")
        return list_requests(connection, batch_id, start, limit)

    monkeypatch.setattr(payload, "_PAGE", 2)
    monkeypatch.setattr(payload, "list_requests", lose_the_store_half_way)
    with pytest.raises(StoreError):
        _create(lab, batch)
    _create(lab, batch)

    (submission,) = lab.anthropic.accepted.values()
    assert submission.payload.read_bytes().count(b"\n") == submission.request_count == 3


def test_submitting_again_changes_nothing(lab: "Lab") -> None:
    batch = lab.reserve()
    created = _submit(lab, batch)

    assert _submit(lab, batch) == created
    assert lab.openai.calls.count("create") == 1
    assert lab.openai.calls.count("upload") == 1


def test_a_lost_answer_is_looked_for_and_adopted(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", LOST, effective=True)

    assert _submit(lab, batch) == "openai-batch-1"
    assert len(lab.openai.accepted) == 1
    assert lab.services.batch(batch.id).is_proven


def test_a_batch_that_is_listed_late_is_still_adopted(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", LOST, effective=True)
    lab.openai.unlisted.add("openai-batch-1")

    def list_at_the_third_look(method: str) -> None:
        if method == "find" and lab.openai.calls.count("find") == 3:
            lab.openai.unlisted.clear()

    lab.openai.on_call = list_at_the_third_look

    assert _submit(lab, batch, settle_s=30) == "openai-batch-1"
    assert len(lab.openai.accepted) == 1


def test_after_a_500_it_is_created_again_only_when_it_has_not_turned_up(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", LOST)
    moments = []
    lab.openai.on_call = lambda method: moments.append((method, lab.clock()))

    assert _submit(lab, batch) == "openai-batch-1"
    times = {method: [at for name, at in moments if name == method] for method, _ in moments}
    first, second = times["create"]
    assert len(times["find"]) >= 2
    assert (second - first).total_seconds() >= lab.policy.settle_s("openai")
    # The last look was begun after the time in which it may turn up.
    assert (times["find"][-1] - first).total_seconds() >= lab.policy.settle_s("openai")


def test_a_creation_that_timed_out_is_looked_for_as_long_as_any_other(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", LOST, effective=True)
    lab.openai.unlisted.add("openai-batch-1")

    def time_out_and_list_late(method: str) -> None:
        if method == "create":
            lab.clock.forward(600)
        if lab.openai.calls.count("find") == 2:
            lab.openai.unlisted.clear()

    lab.openai.on_call = time_out_and_list_late

    assert _submit(lab, batch) == "openai-batch-1"
    assert lab.openai.calls.count("create") == 1


def test_a_clock_that_is_set_forth_does_not_shorten_the_search(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", LOST, effective=True)
    lab.openai.unlisted.add("openai-batch-1")

    def set_forth_and_list_late(method: str) -> None:
        if method == "find":
            lab.clock.set(3600)
        if lab.openai.calls.count("find") == 3:
            lab.openai.unlisted.clear()

    lab.openai.on_call = set_forth_and_list_late

    assert _submit(lab, batch) == "openai-batch-1"
    assert lab.openai.calls.count("create") == 1


def test_a_failed_listing_never_means_that_it_is_not_there(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", LOST, effective=True)
    lab.openai.will("find", *[LOST] * 4, AuthenticationError("openai", "key revoked"))
    shown = []
    lab.openai.on_call = lambda method: shown.append((method, lab.services.batch(batch.id).error))

    async def impatient() -> str | None:
        submitter = Submitter(
            replace(lab.services, policy=replace(lab.policy, settle_s=lambda _: 0))
        )
        await submitter.upload(batch.id)
        return await submitter.create(batch.id)

    assert lab.run(impatient()) == "openai-batch-1"
    assert lab.openai.calls.count("create") == 1
    assert ("find", "was it created? openai: connection lost") in shown
    assert lab.services.batch(batch.id).error is None


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("openai", "no such model"),
        AuthenticationError("openai", "wrong key"),
        QuotaError("openai", "no credit"),
    ],
)
def test_what_asking_again_cannot_mend_is_raised_at_once_without_an_intent(
    lab: "Lab", error: ProviderError
) -> None:
    batch = lab.reserve()
    lab.openai.will("create", error)

    with pytest.raises(type(error)):
        _submit(lab, batch)
    assert lab.openai.calls.count("create") == 1
    assert "find" not in lab.openai.calls
    assert lab.services.batch(batch.id).submit_started_at is None


@pytest.mark.parametrize("error", [RateLimitedError("openai", "slow down", 0.01), NEVER_SENT])
def test_what_had_no_effect_and_may_pass_is_repeated_without_a_search(
    lab: "Lab", error: ProviderError
) -> None:
    batch = lab.reserve()
    lab.openai.will("create", error, error)

    assert _submit(lab, batch) == "openai-batch-1"
    assert lab.openai.calls.count("create") == 3
    assert "find" not in lab.openai.calls


@pytest.mark.parametrize("error", [RateLimitedError("openai", "slow down", 0.0), LOST])
def test_after_five_creations_without_effect_it_gives_up_without_an_intent(
    lab: "Lab", error: ProviderError
) -> None:
    batch = lab.reserve()
    lab.openai.will("create", *[error] * 9)

    with pytest.raises(type(error)):
        _submit(lab, batch)
    assert lab.openai.calls.count("create") == 5
    assert lab.services.batch(batch.id).submit_started_at is None


def test_an_upload_is_repeated_until_it_succeeds(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("upload", LOST, NotFoundError("openai", "?"), RateLimitedError("openai", "", 0))

    assert _submit(lab, batch) == "openai-batch-1"
    assert lab.openai.calls.count("upload") == 4


def test_killed_between_creation_and_its_record_it_adopts_what_it_had_created(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", KilledError(), effective=True)
    with pytest.raises(KilledError):
        _submit(lab, batch)
    assert lab.services.batch(batch.id).provider_batch_id is None

    assert _create(lab, batch) == "openai-batch-1"
    assert lab.openai.calls.count("create") == 1


def test_killed_between_intent_and_creation_it_creates_after_looking(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", KilledError())
    with pytest.raises(KilledError):
        _submit(lab, batch)

    assert _create(lab, batch) == "openai-batch-1"
    assert lab.openai.calls.count("create") == 2
    assert "find" in lab.openai.calls[:-1]
    assert list(lab.openai.accepted) == ["openai-batch-1"]


def test_the_payload_is_the_same_when_it_must_be_written_again(lab: "Lab") -> None:
    batch = lab.reserve(3, "anthropic")
    path = lab.services.spool_of(batch.id) / "payload.jsonl"
    lab.anthropic.will("create", KilledError())
    with pytest.raises(KilledError):
        _submit(lab, batch)
    before = path.read_bytes()
    path.unlink()

    assert _create(lab, batch)
    assert path.read_bytes() == before
    assert before.count(b"\n") == 3


def test_surplus_batches_of_ours_are_cancelled(lab: "Lab") -> None:
    batch = lab.reserve()
    submission = Submission(batch.id, lab.model(), lab.folder, 3)
    for _ in range(3):
        lab.openai.accept(submission)
    lab.services.update(batch.id, submit_started_at=lab.clock())

    assert _create(lab, batch) == "openai-batch-1"
    assert lab.openai.canceled == ["openai-batch-2", "openai-batch-3"]


def test_a_surplus_batch_that_cannot_be_cancelled_does_not_stop_the_first(lab: "Lab") -> None:
    batch = lab.reserve()
    submission = Submission(batch.id, lab.model(), lab.folder, 3)
    for _ in range(2):
        lab.openai.accept(submission)
    lab.services.update(batch.id, submit_started_at=lab.clock())
    lab.openai.will("cancel", InvalidRequestError("openai", "already ended"))

    assert _create(lab, batch) == "openai-batch-1"
    assert lab.services.batch(batch.id).state == "waiting"


def test_a_batch_of_another_of_our_submissions_is_never_adopted(lab: "Lab") -> None:
    first, second = _two_of_anthropic(lab)
    _submit(lab, first)
    # The second one was started before the first was created, and has the same size.
    lab.services.update(second.id, submit_started_at=lab.clock(), high_water="")

    assert _create(lab, second) == "anthropic-batch-2"


def test_without_an_echo_one_creation_at_a_time_is_under_way(lab: "Lab") -> None:
    first, second = _two_of_anthropic(lab)
    fake = lab.anthropic
    fake.will("create", LOST, effective=True)
    fake.will("find", *[LOST] * 3)

    async def both() -> list[str | None]:
        submitter = Submitter(lab.services)
        await asyncio.gather(*(submitter.upload(batch.id) for batch in (first, second)))
        return await asyncio.gather(*(submitter.create(batch.id) for batch in (first, second)))

    assert lab.run(both()) == ["anthropic-batch-1", "anthropic-batch-2"]
    found = len(fake.calls) - fake.calls[::-1].index("find") - 1
    assert "create" not in fake.calls[fake.calls.index("create") + 1 : found]
    assert [fake.accepted[f"anthropic-batch-{n}"].key for n in (1, 2)] == [first.id, second.id]


@pytest.mark.parametrize(("provider", "at_once"), [("anthropic", 1), ("openai", 4)])
def test_what_is_in_doubt_is_settled_while_others_wait_for_it(
    lab: "Lab", provider: ProviderName, at_once: int
) -> None:
    batches = _eight_of(lab, provider)
    for batch in batches[:at_once]:
        lab.providers[provider].will("create", KilledError(), effective=True)
        with pytest.raises(KilledError):
            _submit(lab, batch)

    async def others_first() -> set[str | None]:
        submitter = Submitter(lab.services)
        await asyncio.gather(*(submitter.upload(batch.id) for batch in batches))
        async with asyncio.timeout(30):
            created = (submitter.create(batch.id) for batch in reversed(batches))
            return set(await asyncio.gather(*created))

    assert lab.run(others_first()) == set(lab.providers[provider].accepted)
    assert len(lab.providers[provider].accepted) == len(batches)


def test_an_uncertain_adoption_is_marked_as_unproven(lab: "Lab") -> None:
    batch = lab.reserve(3, "anthropic")
    lab.anthropic.will("create", LOST, effective=True)

    assert _submit(lab, batch) == "anthropic-batch-1"
    assert not lab.services.batch(batch.id).is_proven


def test_when_the_adopted_one_was_a_strangers_the_search_goes_on_and_finds_ours(
    lab: "Lab",
) -> None:
    batch, fake = _adopted_a_stranger(lab)
    ours = fake.accept(Submission(batch.id, lab.model("anthropic"), lab.folder, 3))

    assert _create(lab, batch) == ours
    assert lab.services.batch(batch.id).foreign_ids == ["anthropic-batch-1"]
    assert fake.calls.count("create") == 1


def test_when_only_the_strangers_batch_exists_ours_is_created(lab: "Lab") -> None:
    batch, fake = _adopted_a_stranger(lab)

    assert _create(lab, batch) == "anthropic-batch-2"
    assert fake.accepted["anthropic-batch-2"].key == batch.id
    assert fake.calls.count("create") == 2
    assert fake.canceled == []


@pytest.mark.parametrize("before", [0, 1])
def test_the_mark_below_the_first_creation_is_kept_for_the_second(lab: "Lab", before: int) -> None:
    batch = lab.reserve(3, "anthropic")
    for _ in range(before):
        lab.anthropic.accept(Submission("stranger", lab.model("anthropic"), lab.folder, 3))
    mark = lab.anthropic.high_water()
    # The first creation takes effect but is listed too late, so there is a second one.
    lab.anthropic.will("create", LOST, effective=True)
    lab.anthropic.unlisted.add(f"anthropic-batch-{before + 1}")

    assert _submit(lab, batch) == f"anthropic-batch-{before + 2}"
    assert lab.services.batch(batch.id).high_water == mark


def test_cancelled_before_anything_was_sent_nothing_is_sent(lab: "Lab") -> None:
    batch = lab.reserve()
    _cancel(lab, batch)

    assert _submit(lab, batch) is None
    assert lab.openai.calls == []


def test_cancelled_between_upload_and_creation_nothing_is_created(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.on_call = lambda method: _cancel(lab, batch) if method == "upload" else None

    assert _submit(lab, batch) is None
    assert lab.openai.accepted == {}


def test_cancelled_while_it_was_created_it_is_still_found_so_that_it_can_be_cancelled(
    lab: "Lab",
) -> None:
    batch = lab.reserve()
    lab.openai.will("create", LOST, effective=True)
    lab.openai.on_call = lambda method: _cancel(lab, batch) if method == "create" else None

    assert _submit(lab, batch) == "openai-batch-1"


def test_a_cancel_between_two_tries_leaves_no_intent(lab: "Lab") -> None:
    batch = lab.reserve()
    lab.openai.will("create", RateLimitedError("openai", "slow down", 0.01))
    lab.openai.on_call = lambda method: _cancel(lab, batch) if method == "create" else None

    assert _submit(lab, batch) is None
    assert lab.services.batch(batch.id).submit_started_at is None
    assert not lab.openai.accepted


def test_nobody_gets_between_a_creation_that_was_in_doubt_and_its_next_try(lab: "Lab") -> None:
    first, second = _two_of_anthropic(lab)
    lab.anthropic.will("create", KilledError())
    with pytest.raises(KilledError):
        _submit(lab, first)
    lab.anthropic.will("create", RateLimitedError("anthropic", "slow down", 0.2))

    async def both() -> None:
        submitter = Submitter(lab.services)
        await asyncio.gather(*(submitter.create(batch.id) for batch in (first, second)))

    lab.run(both())
    assert [batch.key for batch in lab.anthropic.accepted.values()] == [first.id, second.id]


def _eight_of(lab: "Lab", provider: ProviderName) -> list[Batch]:
    """Eight batches of one size."""
    for first in range(0, 24, 3):
        lab.palettes(3, first=first)
        lab.want(provider)
        lab.plan()
    return lab.batches()


def _two_of_anthropic(lab: "Lab") -> tuple[Batch, Batch]:
    """Two batches of one size at a provider that echoes nothing."""
    lab.reserve(3, "anthropic")
    lab.palettes(3, first=3)
    lab.want("anthropic")
    lab.plan()
    first, second = lab.batches()
    return first, second


def _adopted_a_stranger(lab: "Lab") -> "tuple[Batch, FakeProvider]":
    """Our creation had no effect, a stranger's batch of the same size was taken for it."""
    batch = lab.reserve(3, "anthropic")
    fake = lab.anthropic
    fake.will("create", LOST)
    stranger = Submission("stranger", lab.model("anthropic"), lab.folder, 3)
    fake.on_call = lambda method: fake.accept(stranger) if method == "create" else None
    assert _submit(lab, batch) == "anthropic-batch-1"
    fake.on_call = lambda _: None
    _disown(lab.services, batch.id)
    return batch, fake
