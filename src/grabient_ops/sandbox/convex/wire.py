"""The HTTP of a Convex deployment, and the sandbox's own door to its documents."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from grabient_ops.sandbox.convex.legacy import document_deltas, list_snapshot
from grabient_ops.sandbox.convex.log import Log, Transaction
from grabient_ops.sandbox.convex.selection import Selection
from grabient_ops.sandbox.convex.tail import Cursor, cursor_expired, read_cursor, sync_page
from grabient_ops.sandbox.core import Core
from grabient_ops.sandbox.http import (
    ApiError,
    CutResponse,
    DroppedError,
    JsonObject,
    json_response,
    only_known,
    read_json,
)

_FORMATS = frozenset({"json", "convex_clean_json", "convex_encoded_json", "export_json"})
_CODES = {
    400: "BadRequest", 401: "BadAdminKey", 404: "NotFound", 429: "TooManyRequests",
    500: "InternalServerError", 503: "Overloaded",
}  # fmt: skip
_SYNC_FIELDS = frozenset({"cursor", "selection"})
_MUTATION_FIELDS = frozenset({"path", "args", "format"})
_STORES = "palette_tag_refined"
"""What every mutation here inserts into, unless its `idempotencyKey` is there already."""


class ConvexWire:
    """One deployment."""

    id_header = ""

    def __init__(self, core: Core) -> None:
        self._faults = core.faults
        self.log = Log(core.state.blob("convex.sqlite"))

    def routes(self) -> list[Route]:
        """Everything that it answers."""
        reads = ["GET", "POST"]
        return [
            Route("/api/v1/data/sync", self.sync, methods=["POST"]),
            Route("/api/list_snapshot", self.list_snapshot, methods=reads),
            Route("/api/document_deltas", self.document_deltas, methods=reads),
            Route("/api/test_streaming_export_connection", self.test_connection, methods=reads),
            Route("/api/mutation", self.mutation, methods=["POST"]),
        ]

    def refusal(self, error: ApiError) -> Response:
        """Put Convex's words around a refusal."""
        code = error.code if error.code and error.code[0].isupper() else _CODES.get(error.status)
        content = {"code": code or "BadRequest", "message": error.message}
        return json_response(content, error.status, error.headers)

    async def sync(self, request: Request) -> Response:
        """Answer with a page of the newer export."""
        _check_key(request)
        if not self.log.setting("knows_sync"):
            raise ApiError(404, "No matching routes found")
        body = await read_json(request)
        only_known(body, _SYNC_FIELDS)
        cursor = read_cursor(body.get("cursor"), self.log)
        if "cursor" in body and self._faults.fires("convex_expire"):
            raise cursor_expired()
        if cursor.after is None and self._faults.fires("convex_resnapshot"):
            cursor = Cursor(since=cursor.since, until=cursor.until, after=("", ""))
        page = sync_page(self.log, cursor, Selection(body.get("selection")))
        return self._sent(page)

    async def list_snapshot(self, request: Request) -> Response:
        """Answer with a page of the older export's snapshot."""
        query = await self._query(request)
        return self._sent(list_snapshot(self.log, query, Selection(query.get("selection"))))

    async def document_deltas(self, request: Request) -> Response:
        """Answer with a page of the older export's changes."""
        query = await self._query(request)
        if self._faults.fires("convex_expire"):
            code = "InvalidWindowToReadDocuments"
            raise ApiError(400, "The window of the cursor is over.", code=code)
        return self._sent(document_deltas(self.log, query, Selection(query.get("selection"))))

    async def test_connection(self, request: Request) -> Response:
        """Answer whether the export may be used with this key."""
        _check_key(request)
        return json_response({})

    async def mutation(self, request: Request) -> Response:
        """Insert the arguments, once for each `idempotencyKey`."""
        _check_key(request)
        body = await read_json(request)
        only_known(body, _MUTATION_FIELDS)
        path, args = str(body.get("path")), body.get("args")
        if ":" not in path or path.startswith("missing:"):
            text = f"Could not find public function for '{path}'."
            return json_response({"status": "error", "errorMessage": text, "logLines": []})
        if not isinstance(args, dict):
            raise ApiError(400, "args must be an object", code="BadRequest")
        value = self._store_once(args)
        if self._faults.fires("convex_drop_mutation"):
            raise DroppedError
        return json_response({"status": "success", "value": value, "logLines": []})

    async def control(self, request: Request) -> Response:
        """Change documents and settings, or show all documents as they are."""
        if request.method == "GET":
            return json_response(self._everything())
        body = await read_json(request)
        only_known(body, frozenset({"transaction", "set", "expire"}))
        self.log.change_settings(body.get("set", {}))
        if body.get("expire"):
            self.log.expire()
        with self.log.transaction() as transaction:
            ids = [_apply(transaction, step) for step in body.get("transaction", [])]
        return json_response({"ts": transaction.ts, "ids": ids})

    def _everything(self) -> JsonObject:
        tables: dict[str, list[JsonObject]] = {}
        for entry in self.log.documents():
            tables.setdefault(entry.table, []).append(entry.document)
        return {"ts": self.log.newest(), "documents": tables}

    def _store_once(self, args: JsonObject) -> str:
        key = args.get("idempotencyKey")
        for entry in self.log.documents((_STORES, "")):
            if key is not None and entry.document.get("idempotencyKey") == key:
                return entry.id
        with self.log.transaction() as transaction:
            return transaction.insert(_STORES, args)

    async def _query(self, request: Request) -> dict[str, Any]:
        _check_key(request)
        query = dict(request.query_params)
        if request.method == "POST":
            query = await read_json(request)
        wanted = query.get("format", "json")
        is_known = wanted in _FORMATS
        if not is_known or (wanted == "export_json" and not self.log.setting("knows_export_json")):
            raise ApiError(400, f"Unknown format {wanted}.", code="BadFormat")
        return query

    def _sent(self, page: JsonObject) -> Response:
        content = orjson.dumps(page)
        if self._faults.fires("convex_cut"):
            return CutResponse(content[: len(content) // 2], len(content), "application/json")
        return Response(content, media_type="application/json")


def _apply(transaction: Transaction, step: JsonObject) -> str:
    match step:
        case {"insert": str(table), "document": dict(fields)}:
            return transaction.insert(table, fields)
        case {"patch": str(document_id), "document": dict(fields)}:
            transaction.patch(document_id, fields)
            return document_id
        case {"delete": str(document_id)}:
            transaction.delete(document_id)
            return document_id
        case {"truncate": str(table)}:
            transaction.truncate(table)
            return ""
        case _:
            raise ApiError(400, "a step is an insert, a patch, a delete or a truncate")


def _check_key(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Convex" or not key or key == "wrong" or key.startswith("invalid"):
        text = "The provided deploy key was invalid for this instance"
        raise ApiError(401, text, code="BadAdminKey")
