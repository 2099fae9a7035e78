"""The older export: `list_snapshot` at one time, then `document_deltas` from there."""

from itertools import islice
from typing import Any

import msgspec

from grabient_ops.sandbox.convex.log import Entry, Log
from grabient_ops.sandbox.convex.selection import Selection
from grabient_ops.sandbox.http import ApiError, JsonObject

Query = dict[str, Any]


class _Place(msgspec.Struct):
    """What a cursor of the snapshot holds."""

    tablet: str
    id: str


def list_snapshot(log: Log, query: Query, selection: Selection) -> JsonObject:
    """Return a page of all documents at a time.

    Raises:
        ApiError: the time is over, or the cursor is none (400).
    """
    snapshot = _number(query, "snapshot")
    if snapshot is not None and snapshot < log.setting("oldest_ts"):
        raise ApiError(400, "The snapshot is too old.", code="SnapshotTooOld")
    if snapshot is not None and snapshot > log.newest():
        raise ApiError(400, "The snapshot is too new.", code="SnapshotTooNew")
    at = log.newest() if snapshot is None else snapshot
    limit = log.setting("snapshot_page")
    read = log.documents(_place(query.get("cursor")), limit, at=at)
    has_more = len(read) == limit
    cursor = msgspec.json.encode(_Place(read[-1].table, read[-1].id)).decode() if has_more else None
    values = [_value(entry) for entry in read if selection.takes(entry.table)]
    return {"values": values, "snapshot": at, "cursor": cursor, "hasMore": has_more}


def document_deltas(log: Log, query: Query, selection: Selection) -> JsonObject:
    """Return whole transactions after a time; a page may be empty although there is more.

    Raises:
        ApiError: without a cursor, or with one that is too old (400).
    """
    since = _number(query, "cursor")
    if since is None:
        code = "DocumentDeltasCursorRequired"
        raise ApiError(400, "document_deltas needs a cursor.", code=code)
    if since < log.setting("oldest_ts"):
        code = "InvalidWindowToReadDocuments"
        raise ApiError(400, "The window of the cursor is over.", code=code)
    read = _transactions(log, since)
    last = read[-1].ts if read else since
    values = [
        _value(entry)
        for entry in read
        if entry.kind != "truncate" and not entry.imported and selection.takes(entry.table)
    ]
    has_more = next(log.entries(last), None) is not None
    return {"values": values, "cursor": last, "hasMore": has_more}


def _transactions(log: Log, since: int) -> list[Entry]:
    entries = log.entries(since)
    read = list(islice(entries, log.setting("deltas_page")))
    for entry in entries:
        if entry.ts != read[-1].ts:
            break
        read.append(entry)
    return read


def _place(cursor: object) -> tuple[str, str]:
    if cursor is None:
        return "", ""
    try:
        place = msgspec.json.decode(str(cursor), type=_Place)
    except msgspec.MsgspecError as error:
        code = "InvalidListSnapshotCursor"
        raise ApiError(400, "The cursor is invalid.", code=code) from error
    return place.tablet, place.id


def _number(query: Query, name: str) -> int | None:
    value = query.get(name)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError) as error:
        raise ApiError(400, f"{name} is no number.", code="BadRequest") from error


def _value(entry: Entry) -> JsonObject:
    fields: JsonObject = {"_id": entry.id} if entry.kind == "delete" else entry.document
    marks: JsonObject = {"_component": "", "_table": entry.table, "_ts": entry.ts}
    return {**fields, **marks, **({"_deleted": True} if entry.kind == "delete" else {})}
