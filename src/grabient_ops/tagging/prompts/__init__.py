"""What the models are asked: prompts, versioned by their content, and the answer's schema."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from grabient_ops.tagging.kinds import Kind
from grabient_ops.tagging.vocabulary import CATEGORIES, FIELDS, HARMONIES


@dataclass(frozen=True, slots=True)
class Prompt:
    """One system prompt as it is sent.

    Attributes:
        version: `prompt_version(content)`; answers are compared and counted within one version.
        kind: which stage of the pipeline it belongs to.
        content: the text, verbatim.
        message: one line on what this version is about, as in a commit.
    """

    version: str
    kind: Kind
    content: str
    message: str


def prompt_version(content: str) -> str:
    """Return the identity of a prompt's text: the first 12 hex digits of its SHA-256 in UTF-8."""
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def tagging_prompt() -> Prompt:
    """Return the built-in prompt of the tagging stage (`tagging.md` beside this module)."""
    return _built_in("tagging", "built-in: ten fields")


def refinement_prompt() -> Prompt:
    """Return the built-in prompt of the refinement stage (`refinement.md` beside this module)."""
    return _built_in("refinement", "built-in: canonical tags from the consensus")


@cache
def _built_in(kind: Kind, message: str) -> Prompt:
    # Bytes, not text: reading as text would rewrite line ends, and with them the version.
    content = resources.files(__package__).joinpath(f"{kind}.md").read_bytes().decode()
    return Prompt(prompt_version(content), kind, content, message)


def answer_schema() -> dict[str, Any]:
    """Return a fresh JSON Schema of a tagging answer, for structured output.

    Only keywords that all four providers enforce are used: every key is required, none may be
    added, and there are no limits on lengths or counts (OpenAI's and Groq's strict modes and
    Anthropic refuse some of them). Moods, styles, seasons and associations stay open.

    Source:
        OpenAI, Anthropic, Gemini and Groq guides on structured outputs, read 2026-11.
    """
    return _object({field: _property(field) for field in FIELDS})


def refinement_schema() -> dict[str, Any]:
    """Return a fresh JSON Schema of a refinement, made like `answer_schema` and of the same words.

    Behind the ten fields stand `dropped`, an array of objects with the strings `tag` and `reason`,
    and the string `sentence`.
    """
    text = {"type": "string"}
    dropped = _object({"tag": text, "reason": dict(text)})
    fields = answer_schema()["properties"]
    more = {"dropped": {"type": "array", "items": dropped}, "sentence": dict(text)}
    return _object(fields | more)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _property(field: str) -> dict[str, Any]:
    if field in CATEGORIES:
        return {"type": "string", "enum": list(CATEGORIES[field])}
    words = _closed_words(field)
    items = {"type": "string", "enum": list(words)} if words else {"type": "string"}
    return {"type": "array", "items": items}


def _closed_words(field: str) -> tuple[str, ...]:
    # Imported here because NumPy comes with it, and a prompt's version is wanted without NumPy.
    from grabient_ops.palettes.theory import DOMINANT_COLORS

    return {"dominant_colors": tuple(DOMINANT_COLORS), "harmony": HARMONIES}.get(field, ())
