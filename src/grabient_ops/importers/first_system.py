"""What the first system's words mean in ours: models, times, numbers, tags, errors."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from grabient_ops.palettes.palette import InvalidSeedError, Palette
from grabient_ops.palettes.seed import read_seed
from grabient_ops.tagging.answers import parse_answer
from grabient_ops.tagging.coercion import Tags, known_fields, object_in, to_tags
from grabient_ops.tagging.outcome import ErrorClass
from grabient_ops.tagging.recovery import MAX_WHOLE_CHARS
from grabient_ops.tagging.usage import Usage

_COMPOUND: Mapping[str, tuple[str, str]] = {
    "groq-llama3": ("groq", "llama-3.3-70b-versatile"),
    "groq-llama4": ("groq", "meta-llama/llama-4-scout-17b-16e-instruct"),
    "groq-qwen3": ("groq", "qwen/qwen3-32b"),
    "groq-gpt-oss-120b": ("groq", "openai/gpt-oss-120b"),
    "groq-gpt-oss-20b": ("groq", "openai/gpt-oss-20b"),
    "google-gemini": ("google", "gemini-2.0-flash"),
    "google-gemini-lite": ("google", "gemini-2.5-flash-lite"),
    "openai-gpt4": ("openai", "gpt-4o-mini"),
    "openai-gpt5-nano": ("openai", "gpt-5-nano"),
    "anthropic-haiku": ("anthropic", "claude-3-5-haiku-20241022"),
}
"""What its command line of 2025 called a provider, and which model that was."""

_SHORT: Mapping[str, str] = {
    "gpt-oss-20b": "openai/gpt-oss-20b",
    "gpt-oss-120b": "openai/gpt-oss-120b",
    "llama-4-scout-17b-16e-instruct": "meta-llama/llama-4-scout-17b-16e-instruct",
    "qwen3-32b": "qwen/qwen3-32b",
}
"""Models of Groq without their maker's name, as one of its migrations mended them."""

_MAKERS = {"claude": "anthropic", "gemini": "google", "gpt-": "openai", "o3": "openai"}
_HOSTED = ("openai/", "meta-llama/", "qwen/", "moonshotai/", "llama", "mixtral", "gemma", "kimi")

_CLUES: Mapping[ErrorClass, re.Pattern[str]] = {
    kind: re.compile(words, re.IGNORECASE)
    for kind, words in {
        ErrorClass.UNPARSABLE: r"pars|json|unexpected token|schema|validation",
        ErrorClass.EXPIRED: r"expired",
        ErrorClass.CANCELED: r"cancel",
        ErrorClass.REFUSED: r"refus|safety|content.filter|prohibited",
        ErrorClass.TRUNCATED: r"max_tokens|truncat|token limit",
        ErrorClass.OVERLOADED: r"\b(?:429|5\d\d)\b|overload|rate.limit|time.?out|timed out"
        r"|unavailable|server error|network|fetch failed",
        ErrorClass.INVALID_REQUEST: r"\b(?:400|404|422)\b|invalid.request|not found",
    }.items()
}
"""The first that fits counts: the text of a parser may hold any number."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_RUNS = 1_000_000
_MOST_TOKENS = (1 << 31) - 1


def name_model(provider: str, model: str) -> tuple[str, str]:
    """Return provider and model as we call them; unknown names stay as they are."""
    if provider in _COMPOUND:
        owner, usual = _COMPOUND[provider]
        is_alias = not model or f"{owner}-{model}" == provider
        return owner, usual if is_alias else _SHORT.get(model, model)
    return provider, _SHORT.get(model, model) if provider == "groq" else model


def provider_of(model: str) -> str:
    """Return who runs a model, by its name; `unknown` where that tells nothing."""
    if model.startswith(_HOSTED) or model in _SHORT:
        return "groq"
    return next((owner for name, owner in _MAKERS.items() if model.startswith(name)), "unknown")


@lru_cache(maxsize=1 << 14)
def read_known_seed(text: str) -> Palette | str:
    """Read a seed, or say why it is none; answers name few palettes many times."""
    try:
        return read_seed(text)
    except InvalidSeedError as error:
        return error.reason


def read_moment(milliseconds: object) -> datetime | None:
    """Return a time that is given in milliseconds since 1970; None when it is none."""
    number = read_number(milliseconds)
    if number is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=number)
    except OverflowError:
        return None


def read_number(value: object) -> float | None:
    """Return a finite number; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def read_run(value: object) -> int | None:
    """Return the number of a run; None when it is no whole number from 1."""
    number = read_number(value)
    if number is None or number != int(number) or not 1 <= number <= _MOST_RUNS:
        return None
    return int(number)


def read_usage(usage: object) -> Usage:
    """Return tokens; what is missing is none."""
    given = usage if isinstance(usage, dict) else {}
    tokens = (read_number(given.get(name)) for name in ("inputTokens", "outputTokens"))
    return Usage(*(int(min(max(count or 0, 0), _MOST_TOKENS)) for count in tokens))


class Outcome(NamedTuple):
    """What a row that may hold tags, an error, or both is worth."""

    tags: Tags | None
    ambiguous: tuple[str, ...]
    error_class: ErrorClass | None
    error: str | None


def judge(stored: object, error: str | None) -> Outcome:
    """Tell what a row is worth.

    An object that was stored as tags counts even with few fields: the first system has checked it.
    A text is parsed as an answer of ours would be.

    Args:
        stored: what the row holds as its tags: a text, a JSON value or None.
        error: what it says went wrong, if anything.
    """
    tags, ambiguous = _tags_in(stored)
    if tags is not None:
        return Outcome(tags, ambiguous, None, error)
    if error:
        return Outcome(None, (), classify(error), error)
    what = "nothing" if stored is None else "none of the ten fields"
    return Outcome(None, (), ErrorClass.UNPARSABLE, f"The row holds {what} as its tags.")


def classify(error: str) -> ErrorClass:
    """Return the class of an error by its words."""
    words = error[:1000]
    found = (kind for kind, clue in _CLUES.items() if clue.search(words))
    return next(found, ErrorClass.UNPARSABLE)


def _tags_in(stored: object) -> tuple[Tags | None, tuple[str, ...]]:
    value = _parsed(stored) if isinstance(stored, str) else stored
    if isinstance(value, dict):
        tags, ambiguous = to_tags(_fields(value))
        return (tags, ambiguous) if any(tags.values()) else (None, ())
    if not isinstance(stored, str):
        return None, ()
    answer = parse_answer(stored)
    found = answer.tags if answer.tags and any(answer.tags.values()) else None
    return found, answer.ambiguous if found else ()


def _fields(value: dict[str, Any]) -> dict[str, Any]:
    found = object_in(value)
    fields = known_fields(found)
    # The first three prompts asked for the colours under this name.
    if "color_family" in found:
        fields.setdefault("dominant_colors", found["color_family"])
    return fields


def _parsed(text: str) -> object:
    if len(text) > MAX_WHOLE_CHARS:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
