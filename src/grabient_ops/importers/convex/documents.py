"""Turns documents of the first system's Convex tables into domain values."""

import hashlib
import struct
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import orjson

from grabient_ops.importers.first_system import (
    judge,
    name_model,
    provider_of,
    read_known_seed,
    read_moment,
    read_number,
    read_run,
    read_usage,
)
from grabient_ops.importers.values import (
    ImportedAnswer,
    ImportedBatch,
    ImportedPalette,
    ImportedPrompt,
    Place,
    Record,
    RefinementParts,
    Refused,
)
from grabient_ops.tagging.embed_text import embed_text
from grabient_ops.tagging.kinds import KINDS, Kind
from grabient_ops.tagging.recovery import MAX_WHOLE_CHARS

Document: TypeAlias = dict[str, Any]

_ANSWER_FIELDS = frozenset(
    {
        "_id", "_creationTime", "seed", "provider", "model", "promptVersion", "tags", "error",
        "analysisIndex", "runNumber", "cycle", "sourcePromptVersions", "embedText", "inputSummary",
    }
)  # fmt: skip
_PALETTE_FIELDS = frozenset({"seed", "_creationTime"})


def read_document(table: str, document: Document, place: Place) -> Iterator[Record]:
    """Yield what a document of one of `TABLES` is; its `_id` has been checked."""
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError:
        yield Refused(place, "The document is nested too deep.")
    else:
        yield from TABLES[table](document, place)


def _palette(document: Document, place: Place) -> Iterator[Record]:
    seed = document.get("seed")
    palette = read_known_seed(seed) if isinstance(seed, str) else "It is no text."
    if isinstance(palette, str):
        yield Refused(place, palette, str(seed))
        return
    attributes = {name: value for name, value in document.items() if name not in _PALETTE_FIELDS}
    yield ImportedPalette(place, palette, attributes, _created(document))


def _prompt(document: Document, place: Place) -> Iterator[Record]:
    version, content, kind = (document.get(name) for name in ("version", "content", "type"))
    if not isinstance(version, str) or not version or not isinstance(content, str):
        yield Refused(place, "The prompt has no version, or no text.")
    elif kind not in KINDS:
        yield Refused(place, "The prompt is neither for tagging nor for refinement.", str(kind))
    else:
        message = _text(document.get("message")) or ""
        yield ImportedPrompt(place, version, _kind_of(kind), content, message, _created(document))


def _tag_batch(document: Document, place: Place) -> Iterator[Record]:
    yield ImportedBatch(place, document["_id"], "tagging", document)


def _refinement_batch(document: Document, place: Place) -> Iterator[Record]:
    yield ImportedBatch(place, document["_id"], "refinement", document)


def _answer(document: Document, place: Place) -> Iterator[Record]:
    given, model = (_text(document.get(name)) or "" for name in ("provider", "model"))
    run_number = read_run(_run_of(document))
    if not given:
        yield Refused(place, "It names no provider.")
    elif run_number is None:
        yield Refused(place, "It has neither runNumber nor analysisIndex.", str(_run_of(document)))
    else:
        renamed = name_model(given, model)
        extra = {"provider": given, "model": model} if renamed != (given, model) else {}
        yield _imported(document, place, renamed, run_number, extra, None)


def _refined(document: Document, place: Place) -> Iterator[Record]:
    model = _text(document.get("model")) or ""
    cycle = _number(document.get("cycle"))
    run_number = read_run(1.0 if cycle is None else cycle)
    if not model:
        yield Refused(place, "It names no model.")
    elif run_number is None:
        yield Refused(place, "Its cycle is no whole number from 1.", str(cycle))
    else:
        sources = document.get("sourcePromptVersions")
        parts = RefinementParts(
            [str(version) for version in sources] if isinstance(sources, list) else [],
            _text(document.get("inputSummary")) or "",
            _text(document.get("embedText")) or None,
        )
        names = (provider_of(model), model)
        yield _imported(document, place, names, run_number, {}, parts)


TABLES: Mapping[str, Callable[[Document, Place], Iterator[Record]]] = {
    "prompt_versions": _prompt,
    "palettes": _palette,
    "palette_tags": _answer,
    "palette_tag_refined": _refined,
    "tag_batches": _tag_batch,
    "refinement_batches": _refinement_batch,
}
"""The tables that are taken, in the order in which they are read best."""


def _imported(
    document: Document,
    place: Place,
    names: tuple[str, str],
    run_number: int,
    extra: dict[str, Any],
    parts: RefinementParts | None,
) -> ImportedAnswer | Refused:
    seed = document.get("seed")
    palette = read_known_seed(seed) if isinstance(seed, str) else "It names no palette."
    if isinstance(palette, str):
        return Refused(place, palette, str(seed))
    response = _text(document.get("tags"))
    is_short = len(response or "") <= MAX_WHOLE_CHARS
    outcome = judge(document.get("tags") if is_short else response, _text(document.get("error")))
    if parts and outcome.tags and parts.embed_text is None:
        parts = RefinementParts(parts.source_prompt_versions, parts.input, embed_text(outcome.tags))
    rest = {name: value for name, value in document.items() if name not in _ANSWER_FIELDS}
    return ImportedAnswer(
        place=place,
        source_id=document["_id"],
        digest=_digest(document),
        seed=palette.seed,
        provider=names[0],
        model=names[1],
        run_number=run_number,
        prompt_version=_text(document.get("promptVersion")),
        tags=outcome.tags,
        ambiguous=outcome.ambiguous,
        response=response,
        error_class=outcome.error_class,
        error=outcome.error,
        usage=read_usage({name: _number(n) for name, n in _usage(document).items()}),
        created_at=_created(document),
        extra={**rest, **extra},
        refinement=parts,
    )


def _run_of(document: Document) -> float | None:
    """The newer name counts from 0."""
    index = _number(document.get("analysisIndex"))
    return _number(document.get("runNumber")) if index is None else index + 1


def _usage(document: Document) -> dict[str, object]:
    usage = document.get("usage")
    return usage if isinstance(usage, dict) else {}


def _number(value: object) -> float | None:
    """Return a number; of what JSON has no number for, as Convex writes it, only what is finite."""
    if isinstance(value, dict) and isinstance(encoded := value.get("$float"), str):
        try:
            (value,) = struct.unpack("<d", b64decode(encoded))
        except (ValueError, struct.error):
            return None
    return read_number(value)


def _created(document: Document) -> datetime | None:
    return read_moment(_number(document.get("_creationTime")))


def _kind_of(kind: object) -> Kind:
    return "refinement" if kind == "refinement" else "tagging"


def _text(value: object) -> str | None:
    """Return a text as it is, and anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _digest(document: Document) -> str:
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
