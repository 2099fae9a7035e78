"""What all four wires share: splicing lines, walking loose JSON, streaming files, time windows."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BufferedWriter
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from grabient_ops.providers.base import Encoder, Result, Unreadable

CONNECT_S = 5.0
POLL_S = 30.0
CREATE_S = 120.0
TRANSFER_S = 600.0
"""Time-outs: for a connection, a question, a creation, and a silence while a file moves."""

CLOCK_SKEW = timedelta(days=1)
"""How far our clock and a provider's may be apart: also a clock that is set to another time zone
must not hide a batch from those who look for it, for then it would be bought again."""

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "refusal",
    "safety": "refusal",
    "image_safety": "refusal",
    "blocklist": "refusal",
    "prohibited_content": "refusal",
    "recitation": "refusal",
    "spii": "refusal",
}
_SHOWN = 500
_LEVELS_SHOWN = 50
_LARGEST_COUNT = 2**29
"""No request has so many tokens, and PostgreSQL's integers hold the sum of four such counts."""


def splicer(line: Callable[[str, str, str], Mapping[str, Any]]) -> Encoder:
    """Encode everything that is the same in every line once; per request only what differs.

    Args:
        line: (custom_id, user text, picture) -> the line as JSON values. The id stands first, the
            picture, if it is shown, before the text; it may be a part of a longer text.
    """
    id_mark, user_mark, picture_mark = uuid4().hex, uuid4().hex, uuid4().hex
    template = orjson.dumps(line(id_mark, user_mark, picture_mark))
    head, rest = template.split(orjson.dumps(id_mark))
    middle, tail = rest.split(orjson.dumps(user_mark))
    before, shown, after = middle.partition(picture_mark.encode())
    constants = (head, before, after, tail + b"\n") if shown else (head, middle, tail + b"\n")

    def encode(
        custom_ids: Sequence[str], users: Sequence[str], pictures: Sequence[str] = ()
    ) -> bytes:
        columns: list[Iterable[bytes]] = [map(orjson.dumps, custom_ids), map(orjson.dumps, users)]
        if shown:
            columns.insert(1, [orjson.dumps(picture)[1:-1] for picture in pictures])
        return _woven(constants, columns, len(custom_ids))

    return encode


def _woven(constants: Sequence[bytes], columns: Iterable[Iterable[bytes]], count: int) -> bytes:
    """Write lines of a constant, a value, a constant ...; all in C, each byte copied once."""
    *same, last = (repeat(constant, count) for constant in constants)
    parts = chain.from_iterable(zip(same, columns, strict=True))
    return b"".join(chain.from_iterable(zip(*parts, last, strict=True)))


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, objects inside objects too."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            value = merged(under, value)  # noqa: PLW2901 - the same value, completed
        result[key] = value
    return result


def read_line(line: bytes, id_field: str, parse: Callable[[str, Any], Result]) -> Result:
    """Parse one result line and hand (id, row) on; whatever has no id is `Unreadable`."""
    row = _loads(line)
    if not isinstance(row, dict):
        return Unreadable(f"not a JSON object: {line[:80]!r}")
    custom_id = row.get(id_field)
    if not isinstance(custom_id, str) or not custom_id:
        return Unreadable(f"no {id_field}: {line[:80]!r}")
    return parse(custom_id, row)


def _loads(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    # A lone surrogate or a broken byte in an answer must not lose the answer: orjson refuses both.
    try:
        text = json.dumps(json.loads(line.decode(errors="replace")), ensure_ascii=False)
        return orjson.loads(
            text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        )
    except (ValueError, RecursionError):
        return None


def verbatim(value: object) -> str:
    """The beginning of any JSON value: a text as it is, another value as JSON; never raises."""
    if isinstance(value, str):
        return value[:_SHOWN]
    try:
        return orjson.dumps(value).decode()[:_SHOWN]
    except TypeError:  # orjson reads more levels than it writes
        return orjson.dumps(_pruned(value, _LEVELS_SHOWN)).decode()[:_SHOWN]


def _pruned(value: object, levels: int) -> object:
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return "..."
    if isinstance(value, list):
        return [_pruned(item, levels - 1) for item in value]
    return {key: _pruned(item, levels - 1) for key, item in value.items()}


def at(value: Any, *path: str | int) -> Any:  # noqa: ANN401 - JSON of any shape
    """The value at `path` inside loose JSON, or None where the shape differs."""
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        return None
    return value


def list_at(value: object, *path: str | int) -> list[Any]:
    """The list at `path`, else an empty one."""
    found = at(value, *path)
    return found if isinstance(found, list) else []


def object_at(value: object, *path: str | int) -> dict[str, Any]:
    """The object at `path`, else an empty one."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


def text_at(value: object, *path: str | int) -> str | None:
    """The non-empty text at `path`, else None."""
    return text(at(value, *path))


def text(found: object) -> str | None:
    """A non-empty text, else None."""
    return found if isinstance(found, str) and found else None


def count_at(value: object, *path: str | int) -> int:
    """The count at `path`, also when written as text (Google); 0 for anything else."""
    return count(at(value, *path))


def count(found: object) -> int:
    """A count, also when written as text (Google); 0 for anything else."""
    if isinstance(found, str) and found.isascii() and found.isdigit():
        found = int(found[:20])
    return found if type(found) is int and 0 <= found < _LARGEST_COUNT else 0


def finish_reason(value: object) -> str | None:
    """`stop`, `length`, `refusal`, or the provider's own word in lower case."""
    if not isinstance(value, str) or not value:
        return None
    word = value.lower()
    return _FINISH.get(word, word)


@contextmanager
def written(target: Path) -> Iterator[BufferedWriter]:
    """A new file at `target`; when the block ends well, its bytes are on the disk."""
    with target.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def moment(value: object) -> datetime | None:
    """A provider's time (unix seconds or ISO 8601) as an aware UTC datetime, else None."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            parsed = datetime.fromisoformat(value)
            return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def since(
    started_at: datetime | None, pages: Iterable[list[Any]], field: Callable[[object], object]
) -> Iterator[tuple[datetime, Any]]:
    """Yield (created, batch) of every listed batch that is not older than a submission.

    Stops after the first page that holds only older ones: listings go newest first, but nobody
    promises it for single entries. A batch without a readable time counts as just recent enough.

    Args:
        started_at: when the submission began; None means all time.
        pages: pages of batches, as JSON values.
        field: where a batch says when it was created.
    """
    oldest = started_at - CLOCK_SKEW if started_at else datetime.min.replace(tzinfo=UTC)
    for page in pages:
        dated = [(moment(field(batch)) or oldest, batch) for batch in page]
        fresh = [(created, batch) for created, batch in dated if created >= oldest]
        if not fresh:
            return
        yield from fresh
