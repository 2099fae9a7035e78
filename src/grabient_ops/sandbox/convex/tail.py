"""The newer export, `POST /api/v1/data/sync`: a snapshot that moves while it is read, then a tail.

The pages of the snapshot are read at different times, so they are consistent only when the tail has
caught up with the last of them, as the real one promises it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import msgspec

from grabient_ops.sandbox.convex.log import Entry, Log
from grabient_ops.sandbox.convex.selection import Selection
from grabient_ops.sandbox.http import ApiError, JsonObject


class Cursor(msgspec.Struct, frozen=True):
    """Where a reader is.

    Attributes:
        since: up to which time the tail was read.
        until: consistent from this time on: when the last page of the snapshot was read.
        after: table and id up to which the snapshot was read; None when it is over.
    """

    since: int
    until: int
    after: tuple[str, str] | None

    def encode(self) -> str:
        """Return what a reader gets to see."""
        return urlsafe_b64encode(msgspec.json.encode(self)).decode()


def read_cursor(text: object, log: Log) -> Cursor:
    """Return where a reader is.

    Raises:
        ApiError: there was no such cursor, or it is too old (400).
    """
    if text is None:
        return Cursor(since=log.newest(), until=0, after=("", ""))
    try:
        cursor = msgspec.json.decode(urlsafe_b64decode(str(text)), type=Cursor)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ApiError(400, "The cursor is invalid.", code="InvalidDataSyncCursor") from error
    if cursor.since < log.setting("oldest_ts"):
        raise cursor_expired()
    return cursor


def cursor_expired() -> ApiError:
    """Return how a cursor from before the retention is refused."""
    return ApiError(400, "The cursor has expired.", code="DataSyncCursorExpired")


def sync_page(log: Log, cursor: Cursor, selection: Selection) -> JsonObject:
    """Return one page and the cursor after it."""
    if cursor.after is None:
        truncates, entries, following = _tail(log, cursor)
    else:
        truncates = []
        entries = log.documents(cursor.after, log.setting("sync_page"))
        following = _after_documents(log, cursor, entries)
    return {
        "status": _status(log, following),
        "truncates": [{"component": "", "table": t} for t in truncates if selection.takes(t)],
        "values": [_value(entry) for entry in entries if selection.takes(entry.table)],
        "syncId": "sandbox",
        "pagination": {"hasMore": True, "nextCursor": following.encode()},
    }


def _after_documents(log: Log, cursor: Cursor, read: list[Entry]) -> Cursor:
    is_over = len(read) < log.setting("sync_page")
    after = None if is_over else (read[-1].table, read[-1].id)
    return Cursor(since=cursor.since, until=max(cursor.until, log.newest()), after=after)


def _tail(log: Log, cursor: Cursor) -> tuple[list[str], list[Entry], Cursor]:
    """Take whole transactions; one that truncates begins a page, for truncates come first."""
    truncates: list[str] = []
    taken: list[Entry] = []
    since = cursor.since
    limit = log.setting("sync_page")
    entries = log.entries(cursor.since, latest_until=cursor.until)
    for ts, group in groupby(entries, key=lambda entry: entry.ts):
        transaction = list(group)
        emptied = [entry.table for entry in transaction if entry.kind == "truncate"]
        if since > cursor.since and (emptied or len(taken) >= limit):
            break
        truncates += emptied
        taken += _told(transaction)
        since = ts
    else:
        since = max(since, cursor.until)
    return truncates, taken, Cursor(since=since, until=cursor.until, after=None)


def _told(transaction: Iterable[Entry]) -> list[Entry]:
    """Leave out what a truncate says already."""
    return [
        entry
        for entry in transaction
        if entry.kind != "truncate" and not (entry.kind == "delete" and entry.imported)
    ]


def _status(log: Log, cursor: Cursor) -> JsonObject:
    if cursor.after is not None or cursor.since < cursor.until:
        return {"type": "snapshotting"}
    is_behind = next(log.entries(cursor.since), None) is not None
    return {"type": "stale" if is_behind else "upToDate", "snapshotTs": cursor.since}


def _value(entry: Entry) -> JsonObject:
    is_gone = entry.kind == "delete"
    value: dict[str, Any] = {"_id": entry.id} if is_gone else entry.document
    return {
        "component": "", "table": entry.table, "ts": entry.ts, "deleted": is_gone, "value": value,
    }  # fmt: skip
