import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grabient_ops.providers.base import PROVIDERS, Provider, ProviderName
from grabient_ops.providers.catalog import Catalog, Model

ModelOf = Callable[[ProviderName], Model]
Offline = dict[ProviderName, Provider]

SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}}, "required": ["mood"]}
SYSTEM = 'You tag palettes.\nAnswer "JSON" only: {"mood": "…"} 🎨'


def encoded(provider: Provider, model: Model, schema: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    line = provider.encoder(model, SYSTEM, schema)(["k1-0"], ["hello"])
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return json.loads(line)


def test_openai_gets_a_chat_completion_line(offline: Offline, catalog: Catalog) -> None:
    line = encoded(offline["openai"], catalog.find("gpt-4o-mini"), SCHEMA)

    assert line == {
        "custom_id": "k1-0",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": "hello"},
            ],
            "max_completion_tokens": 1500,
            "temperature": 1.6,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
            },
        },
    }


def test_a_reasoning_model_gets_an_effort_and_no_temperature(
    offline: Offline, catalog: Catalog
) -> None:
    body = encoded(offline["openai"], catalog.find("gpt-6-luna"))["body"]

    assert "temperature" not in body
    assert body["reasoning_effort"] == "none"
    assert "response_format" not in body


def test_groq_falls_back_to_json_mode_where_a_model_knows_no_schema(
    offline: Offline, catalog: Catalog
) -> None:
    body = encoded(offline["groq"], catalog.find("qwen/qwen3.8-27b"), SCHEMA)["body"]

    assert body["response_format"] == {"type": "json_object"}


def test_anthropic_gets_message_parameters(offline: Offline, catalog: Catalog) -> None:
    line = encoded(offline["anthropic"], catalog.find("claude-haiku-4-5-20251001"), SCHEMA)

    assert line == {
        "custom_id": "k1-0",
        "params": {
            "model": "claude-haiku-4-5-20251001",
            "max_tokens": 1500,
            "system": SYSTEM,
            "messages": [{"role": "user", "content": "hello"}],
            "temperature": 0.8,
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        },
    }


def test_extra_parameters_join_what_is_already_there(offline: Offline, catalog: Catalog) -> None:
    params = encoded(offline["anthropic"], catalog.find("claude-opus-5-5"), SCHEMA)["params"]

    assert params["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": SCHEMA},
    }
    assert "temperature" not in params


def test_gemini_gets_a_rest_request(offline: Offline, catalog: Catalog) -> None:
    line = encoded(offline["google"], catalog.find("gemini-2.5-flash-lite"), SCHEMA)

    assert line == {
        "key": "k1-0",
        "request": {
            "systemInstruction": {"parts": [{"text": SYSTEM}]},
            "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
            "generationConfig": {
                "maxOutputTokens": 1500,
                "temperature": 1.6,
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
                "thinkingConfig": {"thinkingBudget": 0},
            },
        },
    }


@pytest.mark.parametrize("name", PROVIDERS)
def test_without_a_schema_no_form_is_asked_for(
    offline: Offline, model_of: ModelOf, name: ProviderName
) -> None:
    line = json.dumps(encoded(offline[name], model_of(name)))

    assert "json_" not in line
    assert "responseMimeType" not in line


@pytest.mark.parametrize("name", PROVIDERS)
def test_encoding_leaves_the_catalog_as_it_was(
    offline: Offline, model_of: ModelOf, name: ProviderName
) -> None:
    model = model_of(name)
    before = json.dumps(model.extra)

    encoded(offline[name], model, SCHEMA)

    assert json.dumps(model.extra) == before


@pytest.mark.parametrize("name", PROVIDERS)
@settings(max_examples=40)
@given(
    custom_id=st.text(min_size=1),
    user=st.text(),
    system=st.text(),
    extra=st.dictionaries(st.text(), st.text()),
)
def test_any_text_arrives_in_its_place_and_nothing_else_changes(  # noqa: PLR0917 - a table
    offline: Offline,
    model_of: ModelOf,
    name: ProviderName,
    custom_id: str,
    user: str,
    system: str,
    extra: dict[str, str],
) -> None:
    model = replace(model_of(name), extra={"extra": extra})
    encode = offline[name].encoder(model, system, SCHEMA)

    line = encode([custom_id], [user])

    expected = json.loads(encode(["ID"], ["USER"]))
    assert json.loads(line) == _with_texts(expected, custom_id, user)
    assert _texts(json.loads(line)).count(system) >= 1
    assert line.count(b"\n") == 1


def _with_texts(value: Any, custom_id: str, user: str) -> Any:  # noqa: ANN401
    """`value` with the two places of the texts filled; they are known by their path's last key."""
    for field in ("custom_id", "key"):
        if field in value:
            value[field] = custom_id
    if "request" in value:
        value["request"]["contents"][0]["parts"][0]["text"] = user
    else:
        (value.get("body") or value["params"])["messages"][-1]["content"] = user
    return value


def _texts(value: Any) -> list[str]:  # noqa: ANN401
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value
    return (
        [text for child in children for text in _texts(child)]
        if isinstance(value, dict | list)
        else []
    )


@pytest.mark.parametrize("name", PROVIDERS)
@given(requests=st.lists(st.tuples(st.text(), st.text(), st.text())))
def test_many_lines_are_the_lines_of_each_alone(
    offline: Offline, model_of: ModelOf, name: ProviderName, requests: list[tuple[str, str, str]]
) -> None:
    for form in (None, "url"):
        if form and name == "google":
            continue
        encode = offline[name].encoder(model_of(name), SYSTEM, SCHEMA, form)
        columns = [[request[i] for request in requests] for i in range(3)]

        alone = [encode([custom_id], [user], [picture]) for custom_id, user, picture in requests]

        assert encode(*columns) == b"".join(alone)
