"""One imaginary model: from a question about a palette to what such a model would write."""

from collections.abc import Sequence
from random import Random

import orjson

from grabient_ops.sandbox.personas import mistakes
from grabient_ops.sandbox.personas.opinion import embed_text, opinion
from grabient_ops.sandbox.personas.palette import Eye, Palette
from grabient_ops.sandbox.personas.shape import Shape
from grabient_ops.sandbox.personas.talk import Answer, Ask, Finish
from grabient_ops.sandbox.personas.taste import taste_of

_REFUSES, _CHATS, _IS_CUT, _IS_EMPTY = 0.004, 0.008, 0.010, 0.004
_SLIPS, _DRESSES_UP, _THINKS_ALOUD = 0.15, 0.12, 0.15
_CHARS_PER_TOKEN = 4
_CACHE_FROM, _CACHE_UNIT = 1024, 128
_THOUGHTS = "I look at the colours and find the words that fit them."

Question = tuple[int, Ask, Shape]
"""Position in the batch, what is asked, and the form that the answer must have."""

_eye = Eye()


class Voice:
    """Answers one batch's questions; an answer depends on model, salt, position and question."""

    def __init__(self, model: str, salt: str) -> None:
        self._taste = taste_of(model)
        self._salt = int(salt, 16)
        self._rng = Random()  # noqa: S311 - repeatable by design

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer many questions at once."""
        palettes = _eye.look([ask.text for _, ask, _ in questions])
        return [
            self._answer(question, palette)
            for question, palette in zip(questions, palettes, strict=True)
        ]

    def _answer(self, question: Question, palette: Palette) -> Answer:
        place, ask, shape = question
        rng = self._rng
        rng.seed(self._salt + place)
        text, finish = self._say(ask, shape, palette)
        reasoning = int(80 + 600 * rng.random() ** 2) if ask.thinks else 0
        if ask.max_tokens is not None:
            reasoning = min(reasoning, ask.max_tokens // 2)
            room = (ask.max_tokens - reasoning) * _CHARS_PER_TOKEN
            if len(text) > room:
                text, finish = text[:room], "length"
        return Answer(
            text=text,
            finish=finish,
            input_tokens=(ask.instruction_chars + len(ask.text)) // _CHARS_PER_TOKEN + 8,
            cached_tokens=self._cached(ask),
            output_tokens=max(len(text) // _CHARS_PER_TOKEN, 1) + reasoning,
            reasoning_tokens=reasoning,
            model=self._taste.returned,
            thoughts=_THOUGHTS if reasoning and ask.shows_thoughts else "",
        )

    def _say(self, ask: Ask, shape: Shape, palette: Palette) -> tuple[str, Finish]:
        rng, taste = self._rng, self._taste
        free = not (shape.given or ask.json_only)
        luck = rng.random() / taste.slips
        if luck < _REFUSES:
            return mistakes.refusal(rng), "refusal"
        if free and luck < _REFUSES + _CHATS:
            return mistakes.chatter(rng), "stop"
        text = self._json(ask, shape, palette)
        if luck < _REFUSES + _CHATS + _IS_CUT:
            return text[: int(len(text) * (0.2 + 0.5 * rng.random()))], "length"
        if free and taste.thinks_aloud and rng.random() < _THINKS_ALOUD:
            text = mistakes.think_aloud(text, rng)
        if free and rng.random() < _DRESSES_UP * taste.slips:
            text = mistakes.dress(text, rng)
        return text, "stop"

    def _json(self, ask: Ask, shape: Shape, palette: Palette) -> str:
        rng, taste = self._rng, self._taste
        tags = opinion(palette, taste, ask.temperature, rng)
        if ask.embeds and not shape.given:
            tags["embed_text"] = embed_text(tags)
        if rng.random() < _IS_EMPTY * taste.slips:
            tags = mistakes.emptied(tags)
        elif rng.random() < _SLIPS * taste.slips:
            mistakes.slip(tags, rng, typed=shape.given)
        tags = shape.fill(tags, rng)
        return orjson.dumps(tags, option=orjson.OPT_INDENT_2 if taste.pretty else None).decode()

    def _cached(self, ask: Ask) -> int:
        """Providers cache long common beginnings, in units, and not every time."""
        shared = ask.instruction_chars // _CHARS_PER_TOKEN
        if shared < _CACHE_FROM or self._rng.random() < 0.3:
            return 0
        return shared // _CACHE_UNIT * _CACHE_UNIT
