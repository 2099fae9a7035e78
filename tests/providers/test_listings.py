"""`find` and `high_water` over several pages, which a sandbox of one test never has."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from grabient_ops.errors import UnavailableError
from grabient_ops.providers.base import ProviderName, Submission

Stub = Any
Json = dict[str, Any]
SubmissionOf = Callable[..., Submission]

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def chat_batch(batch_id: str, minutes: float, **fields: object) -> Json:
    return {"id": batch_id, "created_at": int((START + minutes * M).timestamp()), **fields}


M = timedelta(minutes=1)


def queries(stub: Stub) -> list[Json]:
    return [parse_qs(urlsplit(path).query) for _, path, _ in stub.calls]


def test_openai_pages_back_by_the_last_id(stub: Stub, submission: SubmissionOf) -> None:
    provider = stub.provider("openai")
    ours = submission(provider, started_at=START)
    mark = {"grabient_submission": ours.key}
    stub.pages = [
        {"data": [chat_batch("c", 9), chat_batch("b", 8)], "has_more": True},
        {"data": [chat_batch("a", 1, metadata=mark)], "has_more": False},
    ]

    assert [found.id for found in provider.find(ours)] == ["a"]
    assert queries(stub) == [{"limit": ["100"]}, {"limit": ["100"], "after": ["b"]}]


def test_a_clock_in_another_time_zone_hides_no_batch(stub: Stub, submission: SubmissionOf) -> None:
    provider = stub.provider("openai")
    ours = submission(provider, started_at=START)
    mark = {"grabient_submission": ours.key}
    stub.pages = [{"data": [chat_batch("a", -14 * 60, metadata=mark)], "has_more": False}]

    assert [found.id for found in provider.find(ours)] == ["a"]


def test_groq_pages_back_by_a_cursor(stub: Stub, submission: SubmissionOf) -> None:
    provider = stub.provider("groq")
    ours = submission(provider, started_at=START)
    stub.pages = [
        {"data": [chat_batch("c", 9)], "paging": {"next_cursor": "n1"}},
        {"data": [chat_batch("a", 1, input_file_id=ours.input_file_id)], "paging": {}},
    ]

    assert [found.id for found in provider.find(ours)] == ["a"]
    assert queries(stub) == [{}, {"cursor": ["n1"]}]


def operation(name: str, minutes: float, **metadata: object) -> Json:
    created = (START + minutes * M).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    return {"name": name, "metadata": {"createTime": created, **metadata}}


def test_gemini_pages_back_by_a_token(stub: Stub, submission: SubmissionOf) -> None:
    provider = stub.provider("google")
    ours = submission(provider, started_at=START)
    by_file = operation("batches/a", 1, inputConfig={"fileName": ours.input_file_id})
    by_name = operation("batches/b", 2, displayName=ours.key)
    stub.pages = [
        {"operations": [operation("batches/c", 9), by_name], "nextPageToken": "t1"},
        {"operations": [by_file]},
    ]

    assert [found.id for found in provider.find(ours)] == ["batches/a", "batches/b"]
    assert queries(stub)[1] == {"pageSize": ["100"], "pageToken": ["t1"]}


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("openai", {"data": [chat_batch("x", -25 * 60)], "has_more": True}),
        ("groq", {"data": [chat_batch("x", -25 * 60)], "paging": {"next_cursor": "n1"}}),
        ("google", {"operations": [operation("batches/x", -25 * 60)], "nextPageToken": "t1"}),
        (
            "anthropic",
            {
                "data": [{"id": "x", "created_at": "2026-11-21T11:00:00Z", "request_counts": {}}],
                "has_more": True,
            },
        ),
    ],
)
def test_paging_ends_a_day_before_the_submission(
    stub: Stub, submission: SubmissionOf, name: ProviderName, page: Json
) -> None:
    provider = stub.provider(name)
    stub.answers(200, page)

    assert provider.find(submission(provider, started_at=START)) == []
    assert len(stub.calls) == 1


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("openai", {"data": [chat_batch("x", 1)], "has_more": True}),
        ("groq", {"data": [chat_batch("x", 1)], "paging": {"next_cursor": "n1"}}),
        ("google", {"operations": [operation("batches/x", 1)], "nextPageToken": "t1"}),
        (
            "anthropic",
            {
                "data": [{"id": "x", "created_at": "2026-11-22T12:01:00Z", "request_counts": {}}],
                "has_more": True,
            },
        ),
    ],
)
def test_a_listing_that_turns_in_circles_ends(
    stub: Stub, submission: SubmissionOf, name: ProviderName, page: Json
) -> None:
    provider = stub.provider(name)
    stub.answers(200, page)

    assert provider.find(submission(provider, started_at=START)) == []
    assert len(stub.calls) == 2


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("openai", {"data": [{"id": 7}, None, "odd", {"metadata": []}]}),
        ("groq", {"data": {"0": "odd"}}),
        ("openai", {"data": 7, "has_more": True}),
        ("groq", {"data": True}),
        ("google", {"operations": "odd"}),
        ("anthropic", {"data": "odd", "has_more": True}),
        ("google", {"operations": [{"name": None}, 5, {"metadata": "odd"}]}),
        ("anthropic", {"data": [{"id": None, "request_counts": "odd"}, 3, None]}),
    ],
)
def test_a_listing_of_another_shape_finds_nothing_of_ours(
    stub: Stub, submission: SubmissionOf, name: ProviderName, page: Json
) -> None:
    provider = stub.provider(name)
    stub.answers(200, page)

    assert provider.find(submission(provider, started_at=START)) == []


def message_batch(batch_id: str, minutes: float, **counts: int) -> Json:
    created = (START + minutes * M).isoformat()
    return {"id": batch_id, "created_at": created, "request_counts": counts}


def test_anthropic_looks_only_above_the_mark(stub: Stub, submission: SubmissionOf) -> None:
    provider = stub.provider("anthropic")
    ours = submission(provider, started_at=START, high_water="mark")
    stub.pages = [
        {
            "data": [message_batch("d", 3, processing=2), message_batch("c", 2, succeeded=7)],
            "has_more": True,
        },
        {
            "data": [
                message_batch("b", 1, succeeded=1, canceled=1),
                message_batch("mark", 0, succeeded=2),
                message_batch("a", -1, succeeded=2),
            ],
            "has_more": True,
        },
    ]

    found = provider.find(ours)

    assert [batch.id for batch in found] == ["b", "d"]
    assert not any(batch.certain for batch in found)
    assert queries(stub) == [{"limit": ["1000"]}, {"limit": ["1000"], "after_id": ["c"]}]


@pytest.mark.parametrize(
    ("page", "mark"),
    [
        ({"data": [message_batch("newest", 0)], "has_more": True}, "newest"),
        ({"data": [], "has_more": False}, ""),
    ],
)
def test_the_high_water_mark_is_the_newest_batch(stub: Stub, page: Json, mark: str) -> None:
    stub.answers(200, page)

    assert stub.provider("anthropic").high_water() == mark


@pytest.mark.parametrize("name", ["openai", "anthropic", "google", "groq"])
def test_a_listing_that_breaks_off_after_a_page_is_an_outage(
    stub: Stub, submission: SubmissionOf, name: ProviderName
) -> None:
    provider = stub.provider(name)
    stub.answers(200, b"<html>")

    with pytest.raises(UnavailableError):
        provider.find(submission(provider, started_at=START))
