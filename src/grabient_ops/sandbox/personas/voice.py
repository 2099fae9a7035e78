"""One imaginary model: from a question about a palette to what such a model would write."""

from collections.abc import Sequence
from random import Random

import orjson

from grabient_ops.sandbox.limits import picture_tokens
from grabient_ops.sandbox.personas import mistakes
from grabient_ops.sandbox.personas.consensus import read_consensus
from grabient_ops.sandbox.personas.extras import Extras
from grabient_ops.sandbox.personas.opinion import Tags, embed_text, opinion
from grabient_ops.sandbox.personas.palette import Eye, Palette
from grabient_ops.sandbox.personas.refining import refine
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
        self._picture_tokens = picture_tokens(model)
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
        reasoning = _reasoning(ask, rng)
        pictures = ask.pictures * self._picture_tokens
        if ask.max_tokens is not None:
            reasoning = min(reasoning, ask.max_tokens // 2)
            room = (ask.max_tokens - reasoning) * _CHARS_PER_TOKEN
            if len(text) > room:
                text, finish = text[:room], "length"
        return Answer(
            text=text,
            finish=finish,
            input_tokens=(ask.instruction_chars + len(ask.text)) // _CHARS_PER_TOKEN + 8 + pictures,
            picture_tokens=pictures,
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
        tags, extras = self._think(ask, palette)
        if rng.random() < _IS_EMPTY * taste.slips:
            tags = mistakes.emptied(tags)
        elif rng.random() < _SLIPS * taste.slips:
            mistakes.slip(tags, rng, typed=shape.given)
        if shape.given:
            tags = shape.fill(tags, extras, rng)
        else:
            asked = {key: extras.under(key) for key in ask.more_keys}
            tags |= {key: value for key, value in asked.items() if value is not None}
        return orjson.dumps(tags, option=orjson.OPT_INDENT_2 if taste.pretty else None).decode()

    def _think(self, ask: Ask, palette: Palette) -> tuple[Tags, Extras]:
        if said := read_consensus(ask.text):
            return refine(said, palette, self._taste, self._rng)
        tags = opinion(palette, self._taste, ask.temperature, self._rng)
        return tags, Extras(embed_text(tags))

    def _cached(self, ask: Ask) -> int:
        """Providers cache long common beginnings, in units, and not every time."""
        shared = ask.instruction_chars // _CHARS_PER_TOKEN
        if shared < _CACHE_FROM or self._rng.random() < 0.3:
            return 0
        return shared // _CACHE_UNIT * _CACHE_UNIT


def _reasoning(ask: Ask, rng: Random) -> int:
    """How many tokens the model thinks: more when it was given more."""
    if not ask.thinks:
        return 0
    luck = rng.random() ** 2
    if ask.thinking_budget:
        return int(ask.thinking_budget * (0.2 + 0.8 * luck))
    return int(80 + 600 * luck)
