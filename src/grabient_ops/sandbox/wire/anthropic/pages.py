"""Anthropic's lists: `after_id` goes on from the last of a page, `before_id` goes back."""

from collections.abc import Sequence

from starlette.requests import Request

from grabient_ops.sandbox.http import ApiError, JsonObject


def page_of(request: Request, ids: Sequence[str]) -> tuple[Sequence[str], bool]:
    """Cut one page out of a list of ids.

    Returns:
        The page, and whether more follow in its direction.

    Raises:
        ApiError: `limit` is out of its range, or a mark is not in the list (400).
    """
    query = request.query_params
    given = query.get("limit", "20")
    if not given.isdecimal() or not 1 <= int(given) <= 1000:
        raise ApiError(400, "limit: Input should be between 1 and 1000")
    limit = int(given)
    if "before_id" in query:
        before = ids[: _place(ids, "before_id", query["before_id"])]
        return before[-limit:], len(before) > limit
    start = _place(ids, "after_id", query["after_id"]) + 1 if "after_id" in query else 0
    return ids[start : start + limit], start + limit < len(ids)


def listing(data: Sequence[JsonObject], *, more: bool) -> JsonObject:
    """One page of a list."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": more, "first_id": first, "last_id": last}


def _place(ids: Sequence[str], mark: str, wanted: str) -> int:
    if wanted not in ids:
        raise ApiError(400, f"{mark}: {wanted} not found")
    return ids.index(wanted)
