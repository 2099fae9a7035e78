"""The sandbox refuses what the providers refuse, in the place where each of them does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai
import pytest
from google.genai import errors as google_errors
from hypothesis import given
from hypothesis import strategies as st

from grabient_ops.sandbox.dialect import Reader
from grabient_ops.sandbox.wire import fields
from grabient_ops.sandbox.wire.anthropic.lines import MessagesDialect
from grabient_ops.sandbox.wire.google.lines import GeminiDialect
from grabient_ops.sandbox.wire.openai.lines import ChatDialect
from tests.sandbox.conftest import ENDPOINT

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import AnthropicDriver, ChatDriver, Drive, GoogleDriver, Row

SCHEMA = {"name": "x", "schema": {"type": "object"}}


@pytest.fixture(params=["openai", "groq"])
def chat(request: pytest.FixtureRequest, drive: Drive, shared_sandbox: Sandbox) -> ChatDriver:
    found: ChatDriver = drive(request.param, shared_sandbox.url)
    return found


@pytest.fixture
def messages(drive: Drive, shared_sandbox: Sandbox) -> AnthropicDriver:
    found: AnthropicDriver = drive("anthropic", shared_sandbox.url)
    return found


@pytest.fixture
def gemini(drive: Drive, shared_sandbox: Sandbox) -> GoogleDriver:
    found: GoogleDriver = drive("google", shared_sandbox.url)
    return found


def failure(driver: ChatDriver, content: bytes) -> Row:
    """Create a batch whose file is refused; return the first reason."""
    batch_id = driver.create(driver.upload(content))
    assert driver.finish(batch_id) == "failed"
    raw = driver.client.batches.with_raw_response.retrieve(batch_id)
    errors = json.loads(raw.text() if driver.name == "groq" else raw.content)["errors"]
    first: Row = (errors if driver.name == "groq" else errors["data"])[0]
    return first


def jsonl(*lines: Row) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_a_sound_line_and_a_torn_one_fail_the_batch(chat: ChatDriver) -> None:
    error = failure(chat, jsonl(chat.line("a")) + b'{"custom_id": "b", "met\n')

    assert (error["code"], error["line"]) == ("invalid_json_line", 2)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "/v1/embeddings"}, "url_mismatch"),
        ({"method": "GET"}, "invalid_method"),
        ({"custom_id": 5}, "missing_required_parameter"),
        ({"extra": 1}, "unknown_parameter"),
        ({"body": {"messages": []}}, "missing_model"),
        ({"body": {"model": "unknown-model"}}, "model_not_found"),
    ],
)
def test_a_wrong_line_fails_the_batch(chat: ChatDriver, change: Row, code: str) -> None:
    assert failure(chat, jsonl(chat.line("a") | change))["code"] == code


def test_an_empty_file_fails_the_batch(chat: ChatDriver) -> None:
    assert failure(chat, b"\n\n")["code"] == "empty_file"


def test_an_id_used_twice_fails_the_batch(chat: ChatDriver) -> None:
    error = failure(chat, jsonl(chat.line("a"), chat.line("b"), chat.line("a")))

    assert (error["code"], error["line"]) == ("duplicate_custom_id", 3)


def test_two_models_in_a_file_fail_the_batch(chat: ChatDriver) -> None:
    error = failure(chat, jsonl(chat.line("a"), chat.line("b", model="gpt-4.1-mini")))

    assert error["code"] == "model_mismatch"


def test_a_retired_model_is_named_as_such_by_groq(drive: Drive, shared_sandbox: Sandbox) -> None:
    groq = drive("groq", shared_sandbox.url)

    error = failure(groq, jsonl(groq.line("a", model="llama-3.3-70b-versatile")))

    assert error["code"] == "model_decommissioned"


def test_more_than_fifty_thousand_requests_fail_the_batch(
    drive: Drive, shared_sandbox: Sandbox
) -> None:
    driver = drive("openai", shared_sandbox.url)
    line = json.dumps(driver.line("KEY"))

    error = failure(
        driver, "".join(line.replace("KEY", str(i)) + "\n" for i in range(50_001)).encode()
    )

    assert error["code"] == "too_many_tasks"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"presence_penalty": -2.1}, "presence_penalty"),
        ({"frequency_penalty": 2.1}, "frequency_penalty"),
        ({"n": 0}, "n"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"top_k": 5}, "top_k"),
        ({"stream": True}, "stream"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.name"),
        (
            {
                "response_format": {"type": "json_object"},
                "messages": [{"role": "user", "content": "x"}],
            },
            "messages",
        ),
    ],
)
def test_a_wrong_request_gets_400_in_the_error_file(
    chat: ChatDriver, body: Row, param: str
) -> None:
    batch_id = chat.create(chat.file([chat.line("good"), chat.line("bad", **body)]))
    chat.finish(batch_id)

    rows = {row["custom_id"]: row for row in map(json.loads, chat.lines(batch_id))}

    assert rows["good"]["response"]["status_code"] == 200
    assert rows["bad"]["response"]["status_code"] == 400
    assert rows["bad"]["error"] is None
    assert rows["bad"]["response"]["body"]["error"]["param"] == param


@pytest.mark.parametrize(
    ("temperature", "code"),
    [
        (-0.1, "decimal_below_min_value"),
        (2.1, "decimal_above_max_value"),
        ("1", "invalid_type"),
    ],
)
def test_a_temperature_is_refused_with_the_reason(
    chat: ChatDriver, temperature: object, code: str
) -> None:
    batch_id = chat.submit(1, temperature=temperature)
    chat.finish(batch_id)

    (row,) = map(json.loads, chat.lines(batch_id))

    assert row["response"]["body"]["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"temperature": 0.8}, "unsupported_value"),
        ({"max_tokens": 100}, "unsupported_parameter"),
        ({"temperature": 1, "max_completion_tokens": 2000}, None),
    ],
)
def test_a_reasoning_model_takes_no_temperature_and_no_max_tokens(
    drive: Drive, shared_sandbox: Sandbox, body: Row, code: str | None
) -> None:
    driver = drive("openai", shared_sandbox.url)
    batch_id = driver.create(driver.file([driver.line("a", model="gpt-5-mini", **body)]))
    driver.finish(batch_id)

    (row,) = map(json.loads, driver.lines(batch_id))

    answer = row["response"]["body"]
    assert answer.get("error", {}).get("code") == code
    if code is None:
        assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_a_creation_is_checked_at_once_where_the_api_does(chat: ChatDriver) -> None:
    file_id = chat.file([chat.line("a")])
    create: Any = chat.client.batches.create
    sound = {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }

    for wrong in (
        {"input_file_id": "file-nobody"},
        {"endpoint": "/v1/embeddings"},
        {"completion_window": "1h"},
        {"metadata": {"k": "v" * 513}},
        {"extra_body": {"surprise": 1}},
    ):
        with pytest.raises(Exception, match=r"Error code: 40[04]"):
            create(**sound | wrong)


@pytest.mark.parametrize(("window", "days"), [("24h", 1), ("7d", 7)])
def test_a_batch_of_groq_expires_at_the_end_of_its_window(
    drive: Drive, shared_sandbox: Sandbox, window: str, days: int
) -> None:
    groq = drive("groq", shared_sandbox.url)

    batch = groq.client.batches.create(
        input_file_id=groq.file([groq.line("a")]), endpoint=ENDPOINT, completion_window=window
    )

    assert batch.expires_at - batch.created_at == days * 86_400


@pytest.mark.parametrize("missing", ["input_file_id", "endpoint", "completion_window"])
def test_a_creation_that_lacks_something_says_what(chat: ChatDriver, missing: str) -> None:
    sent: Any = {"input_file_id": "file-1", "endpoint": ENDPOINT, "completion_window": "24h"}

    with pytest.raises(Exception, match=f"400.*Missing required parameter: '{missing}'"):
        chat.client.batches.create(**sent | {missing: None})


def test_files_are_listed_by_their_purpose(drive: Drive, shared_sandbox: Sandbox) -> None:
    openai = drive("openai", shared_sandbox.url)
    file_id = openai.file([openai.line("a")])

    assert file_id in [file.id for file in openai.client.files.list(purpose="batch")]
    assert list(openai.client.files.list(purpose="fine-tune")) == []


def test_an_upload_needs_purpose_batch(drive: Drive, shared_sandbox: Sandbox) -> None:
    driver = drive("openai", shared_sandbox.url)

    with pytest.raises(openai.BadRequestError):
        driver.client.files.create(file=("x", b"{}"), purpose="assistants")


def test_an_ended_batch_cannot_be_cancelled(chat: ChatDriver) -> None:
    batch_id = chat.submit(1)
    chat.finish(batch_id)

    with pytest.raises(Exception, match="409"):
        chat.cancel(batch_id)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"temperature": 0.8}, "invalid_request_error"),
        ({"max_tokens": 0}, "invalid_request_error"),
        ({"system": 5}, "invalid_request_error"),
        ({"output_config": {"effort": "extreme"}}, "invalid_request_error"),
        ({"surprise": 1}, "invalid_request_error"),
        ({"stream": True}, "invalid_request_error"),
        ({"model": "claude-3-5-haiku-latest"}, "not_found_error"),
        ({"messages": []}, "invalid_request_error"),
        ({"thinking": {"type": "enabled", "budget_tokens": 512}}, "invalid_request_error"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "invalid_request_error"),
        ({"output_config": {"format": {"type": "xml"}}}, "invalid_request_error"),
    ],
)
def test_a_wrong_message_request_is_errored_at_the_end(
    messages: AnthropicDriver, body: Row, kind: str
) -> None:
    batch_id = messages.create([messages.line("good"), messages.line("bad", **body)])
    messages.finish(batch_id)

    rows = {row["custom_id"]: row["result"] for row in map(json.loads, messages.lines(batch_id))}

    assert rows["good"]["type"] == "succeeded"
    assert rows["bad"]["type"] == "errored"
    assert rows["bad"]["error"]["error"]["type"] == kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"temperature": 0.8}, "answered"),
        ({"temperature": 1.6}, "rejected"),
        ({"temperature": -0.1}, "rejected"),
        ({"top_p": 0.9}, "answered"),
        ({"top_p": 1.1}, "rejected"),
        ({"top_k": 5}, "answered"),
        ({"top_k": -1}, "rejected"),
    ],
)
def test_the_old_api_version_takes_sampling_parameters_in_their_ranges(
    messages: AnthropicDriver, body: Row, kind: str
) -> None:
    line = messages.line("a", **body)

    batch_id = messages.create([line], anthropic_version="2023-06-01")

    assert [outcome.kind for outcome in messages.outcomes(batch_id)] == [kind]


def test_thinking_is_answered_with_a_thinking_block(messages: AnthropicDriver) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    batch_id = messages.create([messages.line("a", thinking=thinking, max_tokens=4096)])
    messages.finish(batch_id)

    (row,) = map(json.loads, messages.lines(batch_id))

    message = row["result"]["message"]
    assert message["content"][0]["type"] == "thinking"
    assert message["usage"]["output_tokens_details"]["thinking_tokens"] > 0


@pytest.mark.parametrize("key", ["", "with space", "ü", "x" * 65])
def test_an_odd_custom_id_is_refused_by_anthropic(messages: AnthropicDriver, key: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match="custom_id"):
        messages.create([messages.line(key)])


def test_anthropic_refuses_an_id_used_twice_and_an_empty_batch(messages: AnthropicDriver) -> None:
    with pytest.raises(anthropic.BadRequestError, match="more than once"):
        messages.create([messages.line("a"), messages.line("a")])
    with pytest.raises(anthropic.BadRequestError, match="at least 1 item"):
        messages.create([])


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/messages/batches", {"x-api-key": "k"}, 200),
        ("/v1/messages/batches", {"authorization": "Bearer k"}, 200),
        ("/v1/messages/batches", {}, 401),
        ("/v1/batches", {"authorization": "Bearer"}, 401),
        ("/v1/batches", {"x-goog-api-key": "k"}, 200),
        ("/v1beta/batches?key=k", {}, 200),
        ("/v1beta/batches", {}, 401),
        ("/openai/v1/batches", {"authorization": "Bearer k"}, 200),
        ("/v1/nonsense", {"authorization": "Bearer k"}, 404),
    ],
)
def test_a_key_is_needed_and_may_come_in_each_provider_s_ways(
    shared_sandbox: Sandbox, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx2.get(shared_sandbox.url + path, headers=headers)

    assert answer.status_code == status
    assert ("error" in answer.json()) == (status != 200)


def test_a_running_batch_has_no_counts_and_no_results_at_anthropic(
    messages: AnthropicDriver, shared_sandbox: Sandbox
) -> None:
    shared_sandbox.faults(stuck=1)
    batch_id = messages.submit(4)

    batch = messages.client.messages.batches.retrieve(batch_id)

    assert batch.request_counts.processing == 4
    assert batch.results_url is None
    with pytest.raises(anthropic.BadRequestError):
        messages.client.messages.batches.delete(batch_id)


def test_a_deleted_batch_is_gone_but_stays_in_the_ledger(
    messages: AnthropicDriver, shared_sandbox: Sandbox
) -> None:
    batch_id = messages.submit(1)
    messages.finish(batch_id)

    messages.client.messages.batches.delete(batch_id)

    assert batch_id not in messages.ids(100)
    assert shared_sandbox.entry(batch_id)["requests_billed"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"contents": []},
        {"contents": [{"parts": []}]},
        {"generationConfig": {"temperature": 2.5}},
        {"generationConfig": {"topP": 1.1}},
        {"generationConfig": {"max_tokens": 5}},
        {"generationConfig": {"responseSchema": {"type": "OBJECT"}}},
        {"system_instruction": "be brief"},
        {"temperature": 1},
    ],
)
def test_a_wrong_gemini_request_gets_an_error_line(gemini: GoogleDriver, body: Row) -> None:
    batch_id = gemini.create(gemini.file([gemini.line("good"), gemini.line("bad", **body)]))

    assert {outcome.key: outcome.kind for outcome in gemini.outcomes(batch_id)} == {
        "good": "answered",
        "bad": "rejected",
    }


def test_gemini_takes_snake_case_and_counts_thoughts(gemini: GoogleDriver) -> None:
    config = {"temperature": 1.5, "thinking_config": {"thinking_budget": -1}}
    batch_id = gemini.create(gemini.file([gemini.line("a", generation_config=config)]))

    (outcome,) = gemini.outcomes(batch_id)

    assert outcome.usage["thoughtsTokenCount"] > 0


def test_gemini_refuses_a_batch_at_its_creation(gemini: GoogleDriver) -> None:
    file = gemini.file([gemini.line("a")])

    for name, model in ((file, "gemini-2.0-flash"), (file, "unknown"), ("files/nobody", None)):
        with pytest.raises(google_errors.ClientError, match="404"):
            gemini.create(name, model)


def test_gemini_fails_a_batch_with_a_torn_or_repeated_line(gemini: GoogleDriver) -> None:
    torn = gemini.create(gemini.upload(b'{"key": "a", "req'))
    repeated = gemini.create(gemini.file([gemini.line("a"), gemini.line("a")]))

    assert gemini.finish(torn) == gemini.finish(repeated) == "JOB_STATE_FAILED"


def test_a_file_name_chosen_by_the_client_is_taken_only_once(gemini: GoogleDriver) -> None:
    gemini.file([gemini.line("a")], name="files/chosen-name")

    with pytest.raises(google_errors.ClientError, match="409"):
        gemini.file([gemini.line("a")], name="files/chosen-name")


def test_inline_requests_are_answered_inline_with_their_metadata(gemini: GoogleDriver) -> None:
    source: Any = [{"contents": "#ff0000", "metadata": {"key": f"k-{i}"}} for i in range(3)]
    name = gemini.client.batches.create(model=gemini.model, src=source).name or ""
    gemini.finish(name)

    dest = gemini.client.batches.get(name=name).dest

    assert dest
    keys = {(one.metadata or {})["key"] for one in dest.inlined_responses or []}
    assert keys == {"k-0", "k-1", "k-2"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 5000) | st.floats(0, 3) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "parts", "text", "json_schema", "schema"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
SOUND_MESSAGES = st.just([{"role": "user", "content": "json"}])
CASES: list[tuple[Reader, frozenset[str], dict[str, Any]]] = [
    (ChatDialect("openai"), fields.CHAT, {"model": "gpt-4o-mini"}),
    (ChatDialect("groq"), fields.GROQ_CHAT, {"model": "openai/gpt-oss-20b"}),
    (MessagesDialect("2023-06-01"), fields.MESSAGES, {"model": "claude-haiku-4-5"}),
]


@given(st.data())
def test_no_body_makes_a_chat_or_message_reader_stumble(data: st.DataObject) -> None:
    reader, names, sound = data.draw(st.sampled_from(CASES))
    body = data.draw(st.dictionaries(st.sampled_from(sorted(names)), JSON, max_size=4)) | sound
    body |= data.draw(st.fixed_dictionaries({"messages": SOUND_MESSAGES | JSON}))
    body |= data.draw(st.sampled_from([{}, {"max_tokens": 2000}]))

    if reader.check(body) is None:
        assert reader.ask(body).temperature >= 0
        assert isinstance(reader.schema(body), dict | None)


@given(
    st.dictionaries(st.sampled_from(sorted(fields.GEMINI)), JSON, max_size=3),
    st.dictionaries(st.sampled_from(sorted(fields.GEMINI_CONFIG)), JSON, max_size=3) | JSON,
)
def test_no_body_makes_the_gemini_reader_stumble(body: Row, config: Any) -> None:  # noqa: ANN401
    reader = GeminiDialect()
    request = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": config} | body
    body = reader.body({"request": request})

    if reader.check(body) is None:
        assert reader.ask(body).temperature >= 0
        assert isinstance(reader.schema(body), dict | None)
