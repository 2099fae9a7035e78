"""Reading lines that nobody promised: foreign shapes, broken bytes, odd characters."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grabient_ops.providers.base import (
    PROVIDERS,
    Answered,
    Failed,
    Provider,
    ProviderName,
    Unreadable,
)
from grabient_ops.tagging.usage import Usage

Offline = dict[ProviderName, Provider]
Json = dict[str, Any]


each_provider = pytest.mark.parametrize("name", PROVIDERS)


def answer(name: ProviderName, text: str, tokens: object = 5) -> Json:
    """A minimal good row."""
    match name:
        case "openai" | "groq":
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            body = {"model": "m", "choices": [choice], "usage": {"prompt_tokens": tokens}}
            return {"custom_id": "k1-0", "response": {"status_code": 200, "body": body}}
        case "anthropic":
            content = [{"type": "text", "text": text}]
            message = {"content": content, "usage": {"input_tokens": tokens}}
            return {"custom_id": "k1-0", "result": {"type": "succeeded", "message": message}}
        case "google":
            candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
            usage = {"promptTokenCount": tokens}
            return {"key": "k1-0", "response": {"candidates": [candidate], "usageMetadata": usage}}


def failure(name: ProviderName) -> Json:
    """A minimal bad row."""
    error = {"code": 3, "type": "invalid_request_error", "message": "why"}
    match name:
        case "openai" | "groq":
            return {"custom_id": "k1-0", "response": {"status_code": 400, "body": {"error": error}}}
        case "anthropic":
            return {"custom_id": "k1-0", "result": {"type": "errored", "error": {"error": error}}}
        case "google":
            return {"key": "k1-0", "error": error}


def read(offline: Offline, name: ProviderName, row: Json) -> Any:  # noqa: ANN401
    return offline[name].read(json.dumps(row, ensure_ascii=False).encode())


@each_provider
@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"custom_id":null,"key":7}',
        b'{"custom_id":"","key":""}',
        b"[" * 5000,
        b'{"a":' * 5000,
        b"\xff\xfe",
        b"9" * 5000,
    ],
)
def test_a_line_of_nobody_is_unreadable(offline: Offline, name: ProviderName, line: bytes) -> None:
    result = offline[name].read(line)

    assert isinstance(result, Unreadable)
    assert "\n" not in result.reason
    assert len(result.reason) < 400


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@each_provider
@pytest.mark.parametrize("levels", [300, 1000])
def test_an_error_nested_too_deeply_to_be_written_is_shown_in_part(
    offline: Offline, name: ProviderName, levels: int
) -> None:
    row = b'{"custom_id":"k1-0","key":"k1-0","error":%b}' % nested(levels)

    result = offline[name].read(row)

    assert isinstance(result, Failed)
    assert result.message.startswith('{"custom_id":"k1-0","key":"k1-0","error":{"a":{"a":{')
    assert len(result.message) <= 500


@each_provider
def test_unicode_line_separators_stay_in_the_answer(offline: Offline, name: ProviderName) -> None:
    text = "A\u2028B\u2029C\x85D"

    assert read(offline, name, answer(name, text)).text == text


@each_provider
def test_a_broken_character_costs_itself_and_not_the_answer(
    offline: Offline, name: ProviderName
) -> None:
    surrogate = json.dumps(answer(name, "calm \ud83d sea")).encode()
    byte = json.dumps(answer(name, "calm X sea")).encode().replace(b"X", b"\xff")

    for result in map(offline[name].read, (surrogate, byte)):
        assert isinstance(result, Answered)
        assert result.text == "calm \ufffd sea"


@each_provider
@pytest.mark.parametrize("tokens", [-1, 2**29, 2**70, 1.5, "many", "\u0663", None, True, [], {}])
def test_a_count_that_is_none_is_zero(offline: Offline, name: ProviderName, tokens: object) -> None:
    assert read(offline, name, answer(name, "x", tokens)).usage == Usage()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mangled(draw: st.DrawFn, row: Json) -> Json:
    """`row` with the value at some path replaced by any JSON."""
    copy: Json = json.loads(json.dumps(row))
    place: Any = copy
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        child = place[key]
        if not isinstance(child, dict | list) or not child or draw(st.booleans()):
            place[key] = draw(_JSON)
            return copy
        place = child


@each_provider
@settings(max_examples=60)
@given(line=st.binary() | st.text().map(str.encode))
def test_reading_never_raises_on_bytes(offline: Offline, name: ProviderName, line: bytes) -> None:
    assert isinstance(offline[name].read(line), Answered | Failed | Unreadable)


@each_provider
@settings(max_examples=60)
@given(text=st.text())
def test_any_answer_is_read_as_it_is(offline: Offline, name: ProviderName, text: str) -> None:
    assert read(offline, name, answer(name, text)).text == text


@each_provider
@settings(max_examples=80)
@given(data=st.data())
def test_reading_never_raises_on_a_row_of_another_shape(
    offline: Offline, name: ProviderName, data: st.DataObject
) -> None:
    row = data.draw(st.sampled_from([answer(name, "text"), failure(name)]))
    line = json.dumps(data.draw(mangled(row))).encode()

    result = offline[name].read(line)

    assert isinstance(result, Answered | Failed | Unreadable)
    if isinstance(result, Answered):
        assert isinstance(result.text, str)
        assert isinstance(result.usage.input_tokens, int)
        result.text.encode()
