"""What is sent when a picture is shown, checked by the SDKs' own types and by the sandbox."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import ImageBlockParam, TextBlockParam
from google.genai.types import Part
from groq.types.chat import ChatCompletionContentPartParam as GroqPart
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionContentPartParam as OpenAIPart
from pydantic import TypeAdapter

from grabient_ops.errors import ConfigError
from grabient_ops.images.render import render_pngs
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.providers.base import PROVIDERS, Answered, Provider, ProviderName, Submission
from grabient_ops.providers.catalog import Catalog, Model, PictureForm

Lab = Any
ModelOf = Callable[[ProviderName], Model]
Offline = dict[ProviderName, Provider]

SYSTEM = "Answer as JSON."
URL = "https://pictures.example/palettes/a%2Bb.png"
PNG = b64encode(render_pngs(bundled_seeds()[:1])[0]).decode()
FORMS: list[tuple[ProviderName, PictureForm, str]] = [
    ("openai", "url", URL), ("openai", "inline", PNG),
    ("groq", "url", URL), ("groq", "inline", PNG),
    ("anthropic", "url", URL), ("anthropic", "inline", PNG),
    ("google", "inline", PNG),
]  # fmt: skip
every_form = pytest.mark.parametrize(("name", "form", "picture"), FORMS)

PART: dict[ProviderName, TypeAdapter[Any]] = {
    "openai": TypeAdapter(OpenAIPart),
    "groq": TypeAdapter(GroqPart),
    "anthropic": TypeAdapter(ImageBlockParam | TextBlockParam),
    "google": TypeAdapter(Part),
}


SEEING: dict[ProviderName, str] = {
    "openai": "gpt-4o-mini",
    "groq": "qwen/qwen3.8-27b",
    "anthropic": "claude-opus-4-5-20251101",
    "google": "gemini-2.5-flash-lite",
}


@pytest.fixture(scope="session")
def model_of(catalog: Catalog) -> ModelOf:
    """A model of each provider that sees."""
    return lambda name: catalog.get(name, SEEING[name])


def content(line: Mapping[str, Any]) -> Any:  # noqa: ANN401 - text or a list of parts
    if "request" in line:
        return line["request"]["contents"][0]["parts"]
    return (line.get("body") or line["params"])["messages"][-1]["content"]


def shown(provider: Provider, model: Model, form: PictureForm, picture: str) -> Any:  # noqa: ANN401
    return content(
        json.loads(provider.encoder(model, SYSTEM, None, form)(["k1-0"], ["hi"], [picture]))
    )


def test_openai_and_groq_get_an_image_url_at_low_detail(
    offline: Offline, model_of: ModelOf
) -> None:
    for name in ("openai", "groq"):
        by_url = shown(offline[name], model_of(name), "url", URL)
        inline = shown(offline[name], model_of(name), "inline", PNG)

        assert by_url == [
            {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
            {"type": "text", "text": "hi"},
        ]
        assert inline[0]["image_url"]["url"] == f"data:image/png;base64,{PNG}"


def test_anthropic_gets_an_image_source(offline: Offline, model_of: ModelOf) -> None:
    by_url = shown(offline["anthropic"], model_of("anthropic"), "url", URL)
    inline = shown(offline["anthropic"], model_of("anthropic"), "inline", PNG)

    assert by_url == [
        {"type": "image", "source": {"type": "url", "url": URL}},
        {"type": "text", "text": "hi"},
    ]
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    assert inline[0] == {"type": "image", "source": source}


def test_gemini_gets_inline_data_only(offline: Offline, model_of: ModelOf) -> None:
    inline = shown(offline["google"], model_of("google"), "inline", PNG)

    assert inline == [{"inlineData": {"mimeType": "image/png", "data": PNG}}, {"text": "hi"}]
    with pytest.raises(ConfigError, match="inline"):
        offline["google"].encoder(model_of("google"), SYSTEM, None, "url")


@every_form
def test_the_sdks_own_types_know_every_part(
    offline: Offline, model_of: ModelOf, name: ProviderName, form: PictureForm, picture: str
) -> None:
    for part in shown(offline[name], model_of(name), form, picture):
        checked = PART[name].validate_python(part)

        if name != "google":  # its types are classes that forbid what they do not know
            assert checked == part


@every_form
def test_only_the_user_message_changes(
    offline: Offline, model_of: ModelOf, name: ProviderName, form: PictureForm, picture: str
) -> None:
    model = model_of(name)
    plain = json.loads(offline[name].encoder(model, SYSTEM)(["k1-0"], ["hi"]))

    line = json.loads(offline[name].encoder(model, SYSTEM, None, form)(["k1-0"], ["hi"], [picture]))

    content(line)[:] = ["parts"]
    plain_content = content(plain)
    assert json.dumps(line) == json.dumps(plain).replace(json.dumps(plain_content), '["parts"]')


@pytest.mark.parametrize("name", PROVIDERS)
def test_without_pictures_a_line_has_the_bytes_that_it_always_had(
    offline: Offline, model_of: ModelOf, name: ProviderName
) -> None:
    encode = offline[name].encoder(model_of(name), SYSTEM)

    assert encode(["k1-0"], ["hi"]) == encode(["k1-0"], ["hi"], [PNG])
    assert b"image" not in encode(["k1-0"], ["hi"])
    assert isinstance(content(json.loads(encode(["k1-0"], ["hi"]))), str | list)


@every_form
@given(user=st.text(), text=st.text())
def test_any_text_and_any_picture_arrive_in_their_places(  # noqa: PLR0917 - a table
    offline: Offline,
    model_of: ModelOf,
    name: ProviderName,
    form: PictureForm,
    picture: str,
    user: str,
    text: str,
) -> None:
    encode = offline[name].encoder(model_of(name), SYSTEM, None, form)

    line = encode(["k1-0"], [user], [text])

    assert line.count(b"\n") == 1
    image, said = content(json.loads(line))
    assert said["text"] == user
    expected = json.dumps(content(json.loads(encode(["k1-0"], [""], [picture])))[0])
    assert json.dumps(image) == expected.replace(picture, json.dumps(text)[1:-1])


@every_form
def test_the_sandbox_answers_what_is_shown(
    lab: Lab,
    model_of: ModelOf,
    tmp_path: Path,
    name: ProviderName,
    form: PictureForm,
    picture: str,
) -> None:
    provider: Provider = lab.provider(name)
    model = model_of(name)
    payload = tmp_path / "payload.jsonl"
    user = '{"hex":["#ff8800","#0044cc"]}'
    line = provider.encoder(model, SYSTEM, None, form)(["pictures0001-0"], [user], [picture])
    payload.write_bytes(line)

    batch_id = lab.created(provider, Submission("pictures0001", model, payload, 1))

    (answer,) = lab.results(provider, batch_id, tmp_path)
    assert isinstance(answer, Answered)
    assert answer.custom_id == "pictures0001-0"


def test_models_that_see_say_what_a_picture_costs_at_most(catalog: Catalog) -> None:
    patches = 25 * 13
    for model in catalog.models:
        if model.provider == "groq" and model.id != "qwen/qwen3.8-27b":
            assert model.image_tokens is None
        else:
            assert model.image_tokens is not None
            assert patches < model.image_tokens < 3000


def test_a_picture_goes_by_url_only_where_the_provider_fetches_it(model_of: ModelOf) -> None:
    models = {name: model_of(name) for name in PROVIDERS}

    assert {name: model.picture_form(public=True) for name, model in models.items()} == {
        "openai": "url",
        "anthropic": "url",
        "google": "inline",
        "groq": "inline",
    }
    assert {model.picture_form(public=False) for model in models.values()} == {"inline"}


@pytest.mark.parametrize("public", [True, False])
def test_a_model_that_cannot_see_is_shown_nothing(model_of: ModelOf, *, public: bool) -> None:
    for name in PROVIDERS:
        assert replace(model_of(name), image_tokens=None).picture_form(public=public) is None
