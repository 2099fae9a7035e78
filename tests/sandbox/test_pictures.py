"""Pictures are taken, refused and billed by each of the four as the real APIs do it."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from grabient_ops.providers.catalog import load_catalog
from grabient_ops.sandbox.limits import picture_tokens
from grabient_ops.sandbox.wire.anthropic.lines import MessagesDialect
from grabient_ops.sandbox.wire.google.lines import GeminiDialect
from grabient_ops.sandbox.wire.openai.lines import ChatDialect

if TYPE_CHECKING:
    from benchmarks.arena import Sandbox
    from tests.sandbox.conftest import Drive, Driver, Row

URL = "https://pictures.example/palettes/a%2Bb.png"
VISION = {
    "openai": "gpt-4o-mini",
    "groq": "qwen/qwen3.8-27b",
    "anthropic": "claude-opus-4-5-20251101",
    "google": "gemini-2.5-flash-lite",
}
PALETTE = '{"hex":["#1b2a5e","#e63946","#ffd700"]}'


def drawn(form: str = "png") -> str:
    file = io.BytesIO()
    Image.new("RGB", (800, 400), "navy").save(file, form)
    return base64.b64encode(file.getvalue()).decode()


PNG, JPEG = drawn(), drawn("jpeg")


def url_part(url: object, **more: object) -> Row:
    return {"type": "image_url", "image_url": {"url": url} | more}


def block(**source: object) -> Row:
    return {"type": "image", "source": source}


def inline(data: object, kind: object = "image/png") -> Row:
    return {"inlineData": {"mimeType": kind, "data": data}}


def shown(provider: str, part: Row) -> Row:
    """The fields of a request that shows a picture and says the palette."""
    if provider == "google":
        return {"contents": [{"role": "user", "parts": [part, {"text": PALETTE}]}]}
    content = [part, {"type": "text", "text": PALETTE}]
    if provider == "anthropic":
        return {"model": VISION[provider], "messages": [{"role": "user", "content": content}]}
    messages = [{"role": "system", "content": "JSON"}, {"role": "user", "content": content}]
    return {"model": VISION[provider], "messages": messages}


SOUND = {
    "openai": [
        url_part(URL),
        url_part(URL, detail="low"),
        url_part(f"data:image/png;base64,{PNG}"),
        url_part(f"data:image/jpeg;base64,{JPEG}", detail="high"),
    ],
    "groq": [url_part(URL), url_part(f"data:image/png;base64,{PNG}")],
    "anthropic": [
        block(type="url", url=URL),
        block(type="base64", media_type="image/png", data=PNG),
        block(type="base64", media_type="image/jpeg", data=JPEG),
    ],
    "google": [
        inline(PNG),
        inline(JPEG, "image/jpeg"),
        inline(PNG.replace("+", "-").replace("/", "_").rstrip("=")),
        {"inline_data": {"mime_type": "image/png", "data": PNG}},
        {"fileData": {"fileUri": "files/abc", "mimeType": "image/png"}},
    ],
}
CHAT_WRONGS = [
    url_part("ftp://pictures.example/a.png"),
    url_part("data:image/png;base64,%%%"),
    url_part("data:image/png;base64,"),
    url_part("data:text/plain;base64," + PNG),
    url_part("data:image/png;base64," + base64.b64encode(b"<svg/>").decode()),
    url_part(URL, detail="sharp"),
    url_part(URL, size="800x400"),
    url_part(5),
    {"type": "image_url", "image_url": URL},
    {"type": "image", "source": {"type": "url", "url": URL}},
    {"type": "text"},
    "picture",
]
WRONG: dict[str, list[Any]] = {
    "openai": CHAT_WRONGS,
    "groq": [
        *CHAT_WRONGS,
        url_part("data:image/png;base64," + base64.b64encode(b"\x89PNG" * 1_100_000).decode()),
    ],
    "anthropic": [
        block(type="url", url="http://pictures.example/a.png"),
        block(type="url"),
        block(type="base64", media_type="image/bmp", data=PNG),
        block(type="base64", media_type="image/jpeg", data=PNG),
        block(type="base64", media_type="image/png", data=PNG[1:]),
        block(type="base64", media_type="image/png", data=""),
        block(type="base64", media_type="image/png", data="A" * (5 * 1024 * 1024 + 4)),
        block(type="base64", data=PNG),
        {"type": "image"},
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": ["image"]},
        {"type": "text", "text": ""},
        "picture",
    ],
    "google": [
        inline(PNG, "png"),
        inline(PNG, None),
        inline("%%%"),
        inline(None),
        inline(base64.b64encode(b"<svg/>").decode()),
        inline(PNG) | {"text": "two at once"},
        {"fileData": {"fileUri": URL}},
        {"image": PNG},
        {"thought": True},
        {"text": 5},
    ],
}


def outcome_kinds(driver: Driver, bodies: list[Row]) -> list[str]:
    """The outcomes of one batch, in the order of its requests."""
    lines = [driver.line(f"k-{i}", **body) for i, body in enumerate(bodies)]
    made: Any = driver
    batch_id = made.create(lines if driver.name == "anthropic" else made.file(lines))
    kinds = {outcome.key: outcome.kind for outcome in driver.outcomes(batch_id)}
    return [kinds[f"k-{i}"] for i in range(len(bodies))]


def test_sound_pictures_are_answered(provider: str, drive: Drive, shared_sandbox: Sandbox) -> None:
    bodies = [shown(provider, part) for part in SOUND[provider]]

    kinds = outcome_kinds(drive(provider, shared_sandbox.url), bodies)

    assert set(kinds) == {"answered"}


def test_wrong_pictures_are_rejected_one_by_one(
    provider: str, drive: Drive, shared_sandbox: Sandbox
) -> None:
    bodies = [shown(provider, part) for part in WRONG[provider]]

    kinds = outcome_kinds(
        drive(provider, shared_sandbox.url), [*bodies, shown(provider, SOUND[provider][0])]
    )

    assert kinds == ["rejected"] * len(bodies) + ["answered"]


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-3.5-turbo"), ("openai", "gpt-4"), ("groq", "openai/gpt-oss-120b")],
)
def test_a_model_without_eyes_refuses_pictures(provider: str, model: str) -> None:
    body = shown(provider, url_part(URL)) | {"model": model}

    assert ChatDialect(provider).check(body)
    assert ChatDialect(provider).check(shown(provider, url_part(URL))) is None


def test_only_users_may_show_pictures() -> None:
    chat = [{"role": "system", "content": [url_part(URL)]}, {"role": "user", "content": "x"}]
    said = [{"role": "assistant", "content": [block(type="url", url=URL)]}]

    assert ChatDialect("openai").check({"model": "gpt-4o-mini", "messages": chat})
    body = {"model": VISION["anthropic"], "max_tokens": 9, "messages": said}
    assert MessagesDialect("2026-10-21").check(body)


def input_tokens(usage: Row) -> int:
    names = ("prompt_tokens", "input_tokens", "promptTokenCount")
    return int(next(usage[name] for name in names if name in usage))


def test_a_picture_is_billed_beside_the_text(
    provider: str, drive: Drive, shared_sandbox: Sandbox
) -> None:
    driver: Any = drive(provider, shared_sandbox.url)
    text = {"type": "text", "text": PALETTE} if provider != "google" else {"text": PALETTE}
    bodies = [shown(provider, part) for part in (SOUND[provider][0], text)]
    lines = [driver.line(f"k-{i}", **body) for i, body in enumerate(bodies)]
    batch_id = driver.create(lines if provider == "anthropic" else driver.file(lines))

    read = {outcome.key: input_tokens(outcome.usage) for outcome in driver.outcomes(batch_id)}

    said_twice = len(PALETTE) // 4
    picture = read["k-0"] - read["k-1"] + said_twice
    assert abs(picture - picture_tokens(VISION[provider])) <= 2


def test_no_picture_costs_more_than_the_catalog_expects() -> None:
    seeing = [model for model in load_catalog().models if model.image_tokens is not None]

    assert len(seeing) > 5
    assert [m.id for m in seeing if picture_tokens(m.id) > (m.image_tokens or 0)] == []


def test_gemini_bills_pictures_as_a_modality_of_their_own(
    drive: Drive, shared_sandbox: Sandbox
) -> None:
    driver = drive("google", shared_sandbox.url)
    batch_id = driver.create(driver.file([driver.line("k", **shown("google", inline(PNG)))]))

    (outcome,) = driver.outcomes(batch_id)

    details = {one["modality"]: one["tokenCount"] for one in outcome.usage["promptTokensDetails"]}
    assert details["IMAGE"] == picture_tokens(VISION["google"])
    assert sum(details.values()) == outcome.usage["promptTokenCount"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from([PNG, URL]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "image_url", "url", "source", "data", "media_type", "inlineData"]
            ),
            inner | st.sampled_from(["image", "image_url", "base64", "url", "image/png"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_no_part_makes_a_reader_stumble(part: Any) -> None:  # noqa: ANN401 - any JSON
    for name in ("openai", "groq"):
        chat = ChatDialect(name)
        body = shown(name, part)
        assert chat.check(body) or chat.ask(body).text
    messages = MessagesDialect("2026-10-21")
    body = shown("anthropic", part) | {"max_tokens": 900}
    assert messages.check(body) or messages.ask(body).text
    gemini = GeminiDialect()
    body = gemini.body({"request": shown("google", part)})
    assert gemini.check(body) or gemini.ask(body).text
    json.dumps(body)
