"""One imaginary model: from a question about a palette to what such a model would write."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import orjson

from grabient_ops.sandbox.personas import mistakes
from grabient_ops.sandbox.personas.opinion import embed_text, opinion
from grabient_ops.sandbox.personas.palette import Eye, Palette
from grabient_ops.sandbox.personas.schema import Shape
from grabient_ops.sandbox.personas.taste import taste_of

Finish = Literal["stop", "length", "refusal"]

_REFUSES, _CHATS, _IS_CUT, _IS_EMPTY = 0.004, 0.008, 0.009, 0.004
_SLIPS, _DRESSES_UP, _THINKS_ALOUD = 0.15, 0.12, 0.15
_CHARS_PER_TOKEN = 4
_THOUGHTS = "I look at the colours and find the words that fit them."
_CACHE_FROM, _CACHE_UNIT = 1024, 128


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, as far as a persona cares.

    Attributes:
        text: the user's message; its first hex colours are the palette.
        instructions: everything else that the model reads.
        temperature: 0..2, whatever the provider's scale.
        schema: JSON schema that the answer must obey, if one was given.
        json_only: whether the provider guarantees JSON syntax.
        max_tokens: the answer is cut there.
        thinks: whether reasoning was asked for.
        shows_thoughts: whether a summary of the reasoning is wanted too.
    """

    text: str
    instructions: str = ""
    temperature: float = 1.0
    schema: dict[str, Any] | None = None
    json_only: bool = False
    max_tokens: int | None = None
    thinks: bool = False
    shows_thoughts: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out.

    Attributes:
        finish: why the model stopped.
        input_tokens: cached ones included.
        output_tokens: reasoning included.
        model: what the provider says has answered, often a dated variant.
        thoughts: summary of the reasoning; empty when there was none or none was wanted.
    """

    text: str
    finish: Finish
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    model: str
    thoughts: str


class Voice:
    """Answers one batch's questions; an answer depends on model, salt, position and question."""

    def __init__(self, model: str, salt: str) -> None:
        self._taste = taste_of(model)
        self._salt = int(salt, 16)
        self._eye = Eye()
        self._rng = Random()  # noqa: S311 - repeatable by design
        self._schema: dict[str, Any] | None = None
        self._shape = Shape(None)

    def answers(self, asks: Sequence[tuple[int, Ask]]) -> list[Answer]:
        """Answer many questions at once, each given with its position in the batch."""
        palettes = self._eye.look([ask.text for _, ask in asks])
        return [
            self._answer(place, ask, palette)
            for (place, ask), palette in zip(asks, palettes, strict=True)
        ]

    def _answer(self, place: int, ask: Ask, palette: Palette) -> Answer:
        rng = self._rng
        rng.seed(self._salt + place)
        text, finish = self._say(ask, palette)
        reasoning = int(80 + 600 * rng.random() ** 2) if ask.thinks else 0
        if ask.max_tokens is not None:
            reasoning = min(reasoning, ask.max_tokens // 2)
            room = (ask.max_tokens - reasoning) * _CHARS_PER_TOKEN
            if len(text) > room:
                text, finish = text[:room], "length"
        prompt = (len(ask.instructions) + len(ask.text)) // _CHARS_PER_TOKEN + 8
        return Answer(
            text=text,
            finish=finish,
            input_tokens=prompt,
            cached_tokens=self._cached(ask),
            output_tokens=max(len(text) // _CHARS_PER_TOKEN, 1) + reasoning,
            reasoning_tokens=reasoning,
            model=self._taste.returned,
            thoughts=_THOUGHTS if reasoning and ask.shows_thoughts else "",
        )

    def _say(self, ask: Ask, palette: Palette) -> tuple[str, Finish]:
        rng, taste = self._rng, self._taste
        free = ask.schema is None and not ask.json_only
        luck = rng.random() / taste.slips
        if luck < _REFUSES:
            return mistakes.refusal(rng), "refusal"
        if free and luck < _REFUSES + _CHATS:
            return mistakes.chatter(rng), "stop"
        text = self._json(ask, palette)
        if luck < _REFUSES + _CHATS + _IS_CUT:
            return text[: int(len(text) * (0.2 + 0.5 * rng.random()))], "length"
        if free and taste.thinks_aloud and rng.random() < _THINKS_ALOUD:
            text = mistakes.think_aloud(text, rng)
        if free and rng.random() < _DRESSES_UP * taste.slips:
            text = mistakes.dress(text, rng)
        return text, "stop"

    def _json(self, ask: Ask, palette: Palette) -> str:
        rng, taste = self._rng, self._taste
        tags = opinion(palette, taste, ask.temperature, rng)
        if "embed_text" in ask.instructions and ask.schema is None:
            tags["embed_text"] = embed_text(tags)
        if rng.random() < _IS_EMPTY * taste.slips:
            return mistakes.empty_template(tags).decode()
        if rng.random() < _SLIPS * taste.slips:
            mistakes.slip(tags, rng, closed=ask.schema is not None)
        tags = self._shape_of(ask.schema).fill(tags, rng)
        return orjson.dumps(tags, option=orjson.OPT_INDENT_2 if taste.pretty else None).decode()

    def _shape_of(self, schema: dict[str, Any] | None) -> Shape:
        if schema != self._schema:
            self._schema, self._shape = schema, Shape(schema)
        return self._shape

    def _cached(self, ask: Ask) -> int:
        """Providers cache long common beginnings, in units, and not every time."""
        shared = len(ask.instructions) // _CHARS_PER_TOKEN
        if shared < _CACHE_FROM or self._rng.random() < 0.3:
            return 0
        return shared // _CACHE_UNIT * _CACHE_UNIT
