"""Reads a running Convex deployment: a snapshot first, then what changes, page by page.

Where the backend knows `data/sync` that is used, else `list_snapshot` and `document_deltas`. Both
become pages of one form, with a cursor that tells where the next one begins.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, assert_never

import msgspec

from grabient_ops.errors import GrabientError, NotFoundError
from grabient_ops.importers.convex.documents import TABLES, Document, read_document
from grabient_ops.importers.convex.http import ConvexHttp, RefusedError
from grabient_ops.importers.convex.ids import table_number
from grabient_ops.importers.values import Place, Record, Refused

_EXPIRED = frozenset(
    {
        "DataSyncCursorExpired", "InvalidDataSyncCursor", "InvalidWindowToReadDocuments",
        "SnapshotTooOld", "SnapshotTooNew", "InvalidListSnapshotCursor",
    }
)  # fmt: skip
"""What the deployment calls cursors that are good for nothing, those of another one included."""

_WHOLE = {"_other": "included"}
_SELECTION = {
    "_other": "excluded",
    "": {"_other": "excluded", **dict.fromkeys(TABLES, _WHOLE)},
}
"""Our tables only; those of components are noise."""

_OWN_FIELDS = frozenset({"_id", "_creationTime"})
_LOSSLESS, _LOSSY = "export_json", "json"


class CursorExpiredError(GrabientError):
    """The deployment no longer knows what has changed since; it has to be read from the start."""


class Version(NamedTuple):
    """A document as it is at a time.

    Attributes:
        source_id: its `_id`.
        ts: nanoseconds since the epoch; a smaller one is older.
        record: what it says, or why it cannot be taken; None when it is gone.
    """

    table: str
    source_id: str
    ts: int
    record: Record | None


class Page(NamedTuple):
    """What a deployment says in one answer; no transaction is spread over two.

    Attributes:
        truncated: tables that were emptied before what `versions` says.
        cursor: where the next page begins.
        is_whole: whether everything read so far is what the deployment held at one moment.
        is_current: whether there was nothing more at this moment.
    """

    truncated: tuple[str, ...]
    versions: list[Version]
    cursor: str
    is_whole: bool
    is_current: bool


class Stream(Protocol):
    """A deployment that is followed."""

    def page(self, cursor: str | None) -> Page:
        """Return the page at a cursor; the first one without.

        Raises:
            CursorExpiredError: the cursor is too old; begin again without one.
            ProviderError: the deployment does not answer, or refuses to.
        """
        ...


class _Tail(msgspec.Struct, tag="sync"):
    """A cursor of `data/sync`."""

    cursor: str


class _Snapshot(msgspec.Struct, tag="snapshot"):
    """Inside `list_snapshot`."""

    format: str
    snapshot: int | None = None
    cursor: str | None = None


class _Deltas(msgspec.Struct, tag="deltas"):
    """A cursor of `document_deltas`."""

    format: str
    cursor: int


_Cursor = _Tail | _Snapshot | _Deltas


class _Status(msgspec.Struct):
    type: str


class _Pagination(msgspec.Struct, rename="camel"):
    next_cursor: str


class _Table(msgspec.Struct):
    table: str
    component: str = ""


class _Value(msgspec.Struct):
    table: str
    ts: int
    value: dict[str, Any]
    deleted: bool = False
    component: str = ""


class _SyncAnswer(msgspec.Struct):
    status: _Status
    pagination: _Pagination
    truncates: list[_Table] = []
    values: list[_Value] = []


class _SnapshotAnswer(msgspec.Struct, rename="camel"):
    values: list[dict[str, Any]]
    snapshot: int
    has_more: bool
    cursor: str | None = None


class _DeltasAnswer(msgspec.Struct, rename="camel"):
    values: list[dict[str, Any]]
    cursor: int
    has_more: bool


class ConvexStream:
    """A deployment, read by whichever export it has."""

    def __init__(self, http: ConvexHttp) -> None:
        self._http = http

    def page(self, cursor: str | None) -> Page:
        """Return the page at a cursor; the first one without.

        Raises:
            CursorExpiredError: the cursor is too old; begin again without one.
            ProviderError: the deployment does not answer, or refuses to.
        """
        if cursor is None:
            return self._first_page()
        try:
            return self._page(_decode(cursor))
        except RefusedError as error:
            if error.code in _EXPIRED:
                raise CursorExpiredError(str(error)) from error
            raise

    def _first_page(self) -> Page:
        try:
            return self._tail(None)
        except NotFoundError:
            return self._snapshot(_Snapshot(_LOSSLESS))

    def _page(self, cursor: _Cursor) -> Page:
        match cursor:
            case _Tail():
                return self._tail(cursor.cursor)
            case _Snapshot():
                return self._snapshot(cursor)
            case _Deltas():
                return self._deltas(cursor)
            case _:
                assert_never(cursor)

    def _tail(self, cursor: str | None) -> Page:
        body = {"selection": _SELECTION, **({} if cursor is None else {"cursor": cursor})}
        answer = self._http.post("/api/v1/data/sync", body, _SyncAnswer)
        ours = (v for v in answer.values if not v.component)
        rows = ((v.table, v.ts, v.deleted, v.value) for v in ours)
        return Page(
            truncated=tuple(t.table for t in answer.truncates if not t.component),
            versions=list(_versions(rows)),
            cursor=_encode(_Tail(answer.pagination.next_cursor)),
            is_whole=answer.status.type != "snapshotting",
            is_current=answer.status.type == "upToDate",
        )

    def _snapshot(self, cursor: _Snapshot) -> Page:
        body: dict[str, Any] = {"selection": _SELECTION, "format": cursor.format}
        if cursor.snapshot is not None:
            body["snapshot"] = cursor.snapshot
        if cursor.cursor is not None:
            body["cursor"] = cursor.cursor
        try:
            answer = self._http.post("/api/list_snapshot", body, _SnapshotAnswer)
        except RefusedError as error:
            if error.code != "BadFormat" or cursor.format == _LOSSY:
                raise
            return self._snapshot(_Snapshot(_LOSSY))
        following: _Cursor = _Deltas(cursor.format, answer.snapshot)
        if answer.has_more:
            following = _Snapshot(cursor.format, answer.snapshot, answer.cursor)
        return Page(
            truncated=(),
            versions=list(_versions(map(_unmarked, answer.values))),
            cursor=_encode(following),
            is_whole=not answer.has_more,
            is_current=False,
        )

    def _deltas(self, cursor: _Deltas) -> Page:
        body = {"selection": _SELECTION, "format": cursor.format, "cursor": cursor.cursor}
        answer = self._http.post("/api/document_deltas", body, _DeltasAnswer)
        return Page(
            truncated=(),
            versions=list(_versions(map(_unmarked, answer.values))),
            cursor=_encode(_Deltas(cursor.format, answer.cursor)),
            is_whole=True,
            is_current=not answer.has_more,
        )


_Row = tuple[str, int, bool, Document]


def _unmarked(value: Document) -> _Row:
    """Take apart a document of the older export, whose marks stand among its fields."""
    fields = {
        name: inner
        for name, inner in value.items()
        if not name.startswith("_") or name in _OWN_FIELDS
    }
    ours = not value.get("_component")
    table = str(value.get("_table")) if ours else ""
    ts = value.get("_ts")
    return table, ts if isinstance(ts, int) else 0, bool(value.get("_deleted")), fields


def _versions(rows: Iterable[_Row]) -> Iterator[Version]:
    for number, (table, ts, is_gone, document) in enumerate(rows, start=1):
        if table in TABLES:
            source_id = str(document.get("_id"))
            record = None if is_gone else _record(table, document, Place(table, number))
            yield Version(table, source_id, ts, record)


def _record(table: str, document: Document, place: Place) -> Record:
    """Every document of these tables is one row."""
    given = document.get("_id")
    if table_number(given) is None:
        return Refused(place, "Its _id is no id of Convex.", str(given))
    (record,) = read_document(table, document, place)
    return record


def _encode(cursor: _Cursor) -> str:
    return msgspec.json.encode(cursor).decode()


_decode_cursor: Callable[[str], _Cursor] = msgspec.json.Decoder(_Cursor).decode


def _decode(cursor: str) -> _Cursor:
    try:
        return _decode_cursor(cursor)
    except msgspec.MsgspecError as error:
        raise CursorExpiredError("the stored cursor is of another release") from error
