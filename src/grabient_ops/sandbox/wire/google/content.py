"""What a part of a Gemini request may hold: text, pictures inside it, or uploaded files."""

import re
from collections.abc import Callable

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.dialect import JsonObject, Problem
from grabient_ops.sandbox.wire import fields, pictures

_FORMATS = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
_FILE = re.compile(
    r"(https://generativelanguage\.googleapis\.com/\w+/|http://[^/]+/\w+/)?files/\S+"
)
_UNKNOWN = "Invalid JSON payload received. Unknown name \"{0}\" at '{1}': Cannot find field."


def check_parts(content: JsonObject, where: str) -> Problem | None:
    """Say why a content's parts are refused, or None.

    Args:
        content: with a list of objects as its `parts`, all names in camelCase.
        where: its place in the request, such as `contents[0]`.
    """
    for number, part in enumerate(content["parts"]):
        problem = _check_part(part, f"{where}.parts[{number}]")
        if problem:
            return problem
    return None


def _check_part(part: JsonObject, where: str) -> Problem | None:
    unknown = [name for name in part if name not in fields.GEMINI_PART]
    if unknown:
        return _invalid(_UNKNOWN.format(unknown[0], where))
    data = [name for name in part if name in fields.GEMINI_PART_DATA]
    if len(data) != 1:
        return _invalid(f"{where}: required oneof field 'data' must have one initialized field")
    check = _CHECKS.get(data[0])
    return check(part[data[0]], f"{where}.{data[0]}") if check else None


def _check_text(text: object, where: str) -> Problem | None:
    return None if isinstance(text, str) else _invalid(f"Invalid value at '{where}' (TYPE_STRING)")


def _check_inline(blob: object, where: str) -> Problem | None:
    if not isinstance(blob, dict) or set(blob) - {"mimeType", "data", "displayName"}:
        return _invalid(f"Invalid value at '{where}'")
    data = _plain(blob.get("data"))
    decoded = pictures.decode(data)
    if decoded is None:
        return _invalid(f"Invalid value at '{where}.data' (TYPE_BYTES), Base64 decoding failed")
    if blob.get("mimeType") not in _FORMATS:
        return _invalid(f"Unsupported MIME type: {blob.get('mimeType')}")
    most = limits.MOST_PICTURE_BYTES["google"]
    if len(data) > most:
        return _invalid(f"Request payload size exceeds the limit: {most} bytes.")
    if pictures.media_type(decoded) is None:
        return _invalid("Unable to process input image. Please retry or report.")
    return None


def _plain(data: object) -> str:
    """Turn what protobuf's JSON allows, letters for URLs and no padding, into plain base64."""
    if not isinstance(data, str):
        return ""
    data = data.replace("-", "+").replace("_", "/").rstrip("=")
    return data + "=" * (-len(data) % 4)


def _check_file(file: object, where: str) -> Problem | None:
    uri = file.get("fileUri") if isinstance(file, dict) else None
    if isinstance(uri, str) and _FILE.fullmatch(uri):
        return None
    return _invalid(f"Invalid value at '{where}': Unsupported file URI.")


_CHECKS: dict[str, Callable[[object, str], Problem | None]] = {
    "text": _check_text,
    "inlineData": _check_inline,
    "fileData": _check_file,
}


def _invalid(text: str) -> Problem:
    return Problem(text, "INVALID_ARGUMENT")
