import json
from typing import Any

import pytest

from grabient_ops.providers.base import (
    Answered,
    Failed,
    Provider,
    ProviderName,
    Result,
)
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.usage import Usage

Offline = dict[ProviderName, Provider]
Json = dict[str, Any]

TEXT = '{"mood":["静か","café 🎨"]}'


def chat(content: object = TEXT, finish: str | None = "stop", **message: object) -> Json:
    return {
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": 500,
            "completion_tokens": 90,
            "prompt_tokens_details": {"cached_tokens": 128},
            "completion_tokens_details": {"reasoning_tokens": 40},
        },
    }


def chat_row(body: object = None, status: object = 200, error: object = None) -> Json:
    response = None if body is None else {"status_code": status, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": "k1-0", "response": response, "error": error}


def message_row(**result: object) -> Json:
    return {"custom_id": "k1-0", "result": result}


def message(*content: Json, stop: str = "end_turn") -> Json:
    return {
        "model": "claude-haiku-4-5-20251001",
        "content": list(content),
        "stop_reason": stop,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 300,
            "output_tokens": 90,
            "output_tokens_details": {"thinking_tokens": 40},
            "service_tier": "batch",
        },
    }


def gemini_row(*parts: Json, finish: str = "STOP") -> Json:
    return {
        "key": "k1-0",
        "response": {
            "candidates": [
                {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish}
            ],
            "usageMetadata": {
                "promptTokenCount": 500,
                "cachedContentTokenCount": 128,
                "candidatesTokenCount": 50,
                "thoughtsTokenCount": 40,
                "totalTokenCount": 590,
            },
            "modelVersion": "gemini-2.5-flash-lite",
        },
    }


def read(offline: Offline, name: ProviderName, row: object) -> Result:
    return offline[name].read(json.dumps(row, ensure_ascii=False).encode())


@pytest.mark.parametrize("name", ["openai", "groq"])
def test_a_chat_answer_is_read_with_its_usage(offline: Offline, name: ProviderName) -> None:
    assert read(offline, name, chat_row(chat())) == Answered(
        "k1-0", TEXT, "stop", "gpt-4o-mini-2024-07-18", Usage(500, 90, 128, 40)
    )


def test_an_anthropic_answer_counts_cached_input_and_skips_thinking(offline: Offline) -> None:
    row = message_row(
        type="succeeded",
        message=message(
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": TEXT[:5]},
            {"type": "text", "text": TEXT[5:]},
        ),
    )

    assert read(offline, "anthropic", row) == Answered(
        "k1-0", TEXT, "stop", "claude-haiku-4-5-20251001", Usage(330, 90, 300, 40)
    )


def test_a_gemini_answer_counts_thoughts_as_output_and_skips_their_text(
    offline: Offline,
) -> None:
    row = gemini_row({"text": "let me see", "thought": True}, {"text": TEXT})

    assert read(offline, "google", row) == Answered(
        "k1-0", TEXT, "stop", "gemini-2.5-flash-lite", Usage(500, 90, 128, 40)
    )


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("openai", chat_row(chat(finish="length")), "length"),
        ("openai", chat_row(chat(finish="content_filter")), "refusal"),
        ("openai", chat_row(chat(finish="tool_calls")), "tool_calls"),
        ("openai", chat_row(chat(finish=None)), None),
        ("anthropic", message_row(type="succeeded", message=message(stop="max_tokens")), "length"),
        ("anthropic", message_row(type="succeeded", message=message(stop="refusal")), "refusal"),
        (
            "anthropic",
            message_row(type="succeeded", message=message(stop="pause_turn")),
            "pause_turn",
        ),
        (
            "anthropic",
            message_row(type="succeeded", message=message(stop="model_context_window_exceeded")),
            "length",
        ),
        ("google", gemini_row({"text": "{"}, finish="MAX_TOKENS"), "length"),
        ("google", gemini_row(finish="SAFETY"), "refusal"),
        ("google", gemini_row(finish="PROHIBITED_CONTENT"), "refusal"),
        ("google", gemini_row(finish="OTHER"), "other"),
    ],
)
def test_the_reason_of_the_end_has_one_name_for_all(
    offline: Offline, name: ProviderName, row: Json, reason: str | None
) -> None:
    result = read(offline, name, row)

    assert isinstance(result, Answered)
    assert result.finish_reason == reason


def test_an_openai_refusal_is_an_answer_that_says_so(offline: Offline) -> None:
    result = read(offline, "openai", chat_row(chat(content=None, refusal="I cannot.")))

    assert isinstance(result, Answered)
    assert (result.text, result.finish_reason) == ("I cannot.", "refusal")


def test_a_blocked_gemini_prompt_is_a_refusal_without_text(offline: Offline) -> None:
    row = {
        "key": "k1-0",
        "response": {
            "promptFeedback": {"blockReason": "SAFETY"},
            "usageMetadata": {"promptTokenCount": 7},
        },
    }

    assert read(offline, "google", row) == Answered("k1-0", "", "refusal", None, Usage(7, 0))


@pytest.mark.parametrize(
    "content", [None, [{"type": "text", "text": ""}], [], "", [{"type": "image"}]]
)
def test_an_answer_that_says_nothing_is_still_an_answer(offline: Offline, content: object) -> None:
    result = read(offline, "openai", chat_row(chat(content=content)))

    assert isinstance(result, Answered)
    assert (result.text, result.usage.input_tokens) == ("", 500)


def test_content_in_parts_is_joined(offline: Offline) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    result = read(offline, "groq", chat_row(chat(content=parts)))

    assert isinstance(result, Answered)
    assert result.text == "ab"


BAD = {"error": {"message": "no such parameter", "type": "invalid_request_error", "code": None}}
FILTERED = {"error": {"message": "unsafe", "code": "content_filter"}}


@pytest.mark.parametrize(
    ("row", "error_class", "message"),
    [
        (chat_row(BAD, 400), ErrorClass.INVALID_REQUEST, "no such parameter"),
        (chat_row(BAD, 200), ErrorClass.INVALID_REQUEST, "no such parameter"),
        (chat_row(FILTERED, 400), ErrorClass.REFUSED, "unsafe"),
        (chat_row(BAD, 429), ErrorClass.OVERLOADED, "no such parameter"),
        (chat_row(BAD, 500), ErrorClass.OVERLOADED, "no such parameter"),
        (chat_row({}, 0), ErrorClass.OVERLOADED, "status_code"),
        (chat_row("oops", 502), ErrorClass.OVERLOADED, "oops"),
        (
            chat_row(error={"code": "batch_expired", "message": "could not be executed"}),
            ErrorClass.EXPIRED,
            "could not be executed",
        ),
        (
            chat_row(error={"code": "batch_cancelled", "message": "was cancelled"}),
            ErrorClass.CANCELED,
            "was cancelled",
        ),
        (chat_row(error={"code": "server_error"}), ErrorClass.OVERLOADED, "server_error"),
        (chat_row(error="broken"), ErrorClass.OVERLOADED, "broken"),
        (chat_row(), ErrorClass.OVERLOADED, "batch_req_1"),
        ({"custom_id": "k1-0"}, ErrorClass.OVERLOADED, "k1-0"),
    ],
)
@pytest.mark.parametrize("name", ["openai", "groq"])
def test_a_failed_chat_row_is_classed_wherever_its_error_stands(
    offline: Offline, name: ProviderName, row: Json, error_class: ErrorClass, message: str
) -> None:
    result = read(offline, name, row)

    assert isinstance(result, Failed)
    assert (result.custom_id, result.error_class) == ("k1-0", error_class)
    assert message in result.message
    assert result.usage == Usage()


def anthropic_error(kind: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": "why"}, "request_id": "r"}


@pytest.mark.parametrize(
    ("row", "error_class", "message"),
    [
        (
            message_row(type="errored", error=anthropic_error("invalid_request_error")),
            ErrorClass.INVALID_REQUEST,
            "why",
        ),
        (
            message_row(type="errored", error=anthropic_error("overloaded_error")),
            ErrorClass.OVERLOADED,
            "why",
        ),
        (
            message_row(type="errored", error=anthropic_error("api_error")),
            ErrorClass.OVERLOADED,
            "why",
        ),
        (
            message_row(type="errored", error={"type": "not_found_error", "message": "gone"}),
            ErrorClass.INVALID_REQUEST,
            "gone",
        ),
        (message_row(type="errored", error="odd"), ErrorClass.OVERLOADED, "odd"),
        (message_row(type="errored"), ErrorClass.OVERLOADED, "errored"),
        (message_row(type="canceled"), ErrorClass.CANCELED, "cancelled"),
        (message_row(type="expired"), ErrorClass.EXPIRED, "expired"),
        (message_row(type="postponed"), ErrorClass.OVERLOADED, "postponed"),
        ({"custom_id": "k1-0", "result": None}, ErrorClass.OVERLOADED, "k1-0"),
    ],
)
def test_a_failed_anthropic_row_is_classed_by_the_text_of_its_type(
    offline: Offline, row: Json, error_class: ErrorClass, message: str
) -> None:
    result = read(offline, "anthropic", row)

    assert isinstance(result, Failed)
    assert result.error_class == error_class
    assert message in result.message


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (1, ErrorClass.OVERLOADED),
        (3, ErrorClass.INVALID_REQUEST),
        (8, ErrorClass.OVERLOADED),
        (14, ErrorClass.OVERLOADED),
        (400, ErrorClass.INVALID_REQUEST),
        (429, ErrorClass.OVERLOADED),
        (503, ErrorClass.OVERLOADED),
        (None, ErrorClass.OVERLOADED),
    ],
)
def test_a_failed_gemini_row_is_classed_by_grpc_code_or_http_status(
    offline: Offline, code: int | None, error_class: ErrorClass
) -> None:
    result = read(offline, "google", {"key": "k1-0", "error": {"code": code, "message": "why"}})

    assert result == Failed("k1-0", error_class, "why")
