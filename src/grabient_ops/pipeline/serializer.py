"""What the journal holds: plain JSON, and our own errors by name. Never a pickle."""

import json
from typing import Any

import dbos._serialization as dbos_serialization
from dbos import Serializer
from typing_extensions import override

from grabient_ops import errors

_ERRORS: dict[str, type[errors.GrabientError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.GrabientError)
}
_MARK = "__error__"


class JournaledError(Exception):
    """An unexpected error as the journal remembers it: its kind and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


class JournalSerializer(Serializer):
    """JSON with tagged errors; what it writes reads back equal, errors with their attributes."""

    @override
    def name(self) -> str:
        return "grabient_ops_json"

    @override
    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=_encode, ensure_ascii=False)

    @override
    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data, object_hook=_decode)


def _encode(value: object) -> dict[str, Any]:
    if not isinstance(value, Exception):
        raise TypeError(f"{type(value).__name__} does not belong in the journal")
    kind = type(value).__name__
    if kind in _ERRORS:
        return {_MARK: kind, "attributes": vars(value), "text": str(value)}
    if isinstance(value, JournaledError):
        return {_MARK: value.kind, "text": value.text}
    return {_MARK: kind, "text": str(value)}


def _decode(value: dict[str, Any]) -> object:
    if _MARK not in value:
        return value
    kind, text = value[_MARK], value["text"]
    if kind not in _ERRORS:
        return JournaledError(kind, text)
    error = _ERRORS[kind].__new__(_ERRORS[kind])
    error.args = (text,)
    vars(error).update(value["attributes"])
    return error


class _NoPickle(Serializer):
    """Stands in for DBOS's default, which unpickles any row that says it is a pickle."""

    @override
    def name(self) -> str:
        return "py_pickle"

    @override
    def serialize(self, data: Any) -> str:
        raise TypeError("the journal holds no pickles")

    @override
    def deserialize(self, serialized_data: str) -> Any:
        raise TypeError("a pickle in the journal was refused")


def refuse_pickles() -> None:
    """Make DBOS refuse every pickled row; a row in the database must never run code."""
    vars(dbos_serialization)["DBOSDefaultSerializer"] = _NoPickle()
