"""What a message may hold at Anthropic: text and pictures; other blocks pass unread."""

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.dialect import JsonObject, Problem
from grabient_ops.sandbox.wire import pictures

_INVALID = "invalid_request_error"
_UNREAD = ("document", "redacted_thinking", "search_result", "thinking", "tool_result", "tool_use")
_FORMATS = ("image/jpeg", "image/png", "image/gif", "image/webp")


def check_content(message: JsonObject, where: str) -> Problem | None:
    """Say why a message's content is refused, or None.

    Args:
        message: with a known role.
        where: its place in the request, such as `messages.0`.
    """
    content = message.get("content")
    where += ".content"
    if not isinstance(content, str | list) or not content:
        return Problem(f"{where}: must not be empty", _INVALID, "messages")
    if isinstance(content, str):
        return None
    for number, block in enumerate(content):
        problem = _check_block(message["role"], block, f"{where}.{number}")
        if problem:
            return problem
    return None


def _check_block(role: str, block: object, where: str) -> Problem | None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or kind not in ("text", "image", *_UNREAD):
        return _problem(where, f"Input tag '{kind}' does not match any of the expected tags")
    if kind == "text":
        text = block.get("text")
        return None if isinstance(text, str) and text else _problem(where, "text: Field required")
    if kind != "image":
        return None
    if role != "user":
        return _problem(where, "image blocks are only allowed in user messages")
    source = block.get("source")
    if not isinstance(source, dict):
        return _problem(where, "image.source: Field required")
    return _check_source(source, f"{where}.image.source")


def _check_source(source: JsonObject, where: str) -> Problem | None:
    match source:
        case {"type": "url", "url": str() as url}:
            https = url.startswith("https://")
            return None if https else _problem(where, "Only HTTPS URLs are supported.")
        case {"type": "file", "file_id": str()}:
            return None
        case {"type": "base64", "media_type": str() as kind, "data": str() as data}:
            return _check_inline(kind, data, f"{where}.base64")
        case _:
            return _problem(where, "Input should be a valid source of type base64, url or file")


def _check_inline(kind: str, data: str, where: str) -> Problem | None:
    if kind not in _FORMATS:
        return _problem(f"{where}.media_type", f"Input should be one of {', '.join(_FORMATS)}")
    decoded = pictures.decode(data)
    if decoded is None:
        return _problem(f"{where}.data", "invalid base64 data")
    most = limits.MOST_PICTURE_BYTES["anthropic"]
    if len(data) > most:
        return _problem(where, f"image exceeds 5 MB maximum: {len(data)} bytes > {most} bytes")
    shown = pictures.media_type(decoded)
    if shown is None:
        return _problem(where, "Could not process image")
    if shown != kind:
        text = f"The image was specified using the {kind} media type, but appears to be {shown}"
        return _problem(where, text)
    return None


def _problem(where: str, text: str) -> Problem:
    return Problem(f"{where}: {text}", _INVALID, "messages")
