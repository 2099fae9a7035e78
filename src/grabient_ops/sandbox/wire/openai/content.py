"""What a chat message may hold at OpenAI and Groq: text, and pictures where the model sees."""

import re

from grabient_ops.sandbox import limits
from grabient_ops.sandbox.dialect import JsonObject, Problem
from grabient_ops.sandbox.wire import pictures

_INVALID = "invalid_request_error"
_FORMATS = ("image/png", "image/jpeg", "image/gif", "image/webp")
_DETAILS = ("auto", "low", "high", "original")
_DATA_URL = re.compile(r"data:(?P<kind>[\w/+.-]*);base64,(?P<data>.*)", re.DOTALL)


def check_content(provider: str, model: str, message: JsonObject, where: str) -> Problem | None:
    """Say why a message's content is refused, or None.

    Args:
        provider: `openai` or `groq`.
        model: who shall read it.
        message: with a known role.
        where: its place in the request, such as `messages[1]`.
    """
    content = message.get("content")
    if isinstance(content, str):
        return None
    where += ".content"
    if not isinstance(content, list):
        text = f"Invalid type for '{where}': expected a string or an array of objects."
        return Problem(text, "invalid_type", where)
    if provider == "groq" and not limits.sees(provider, model):
        return Problem(f"{where} must be a string", _INVALID, where)
    for number, part in enumerate(content):
        problem = _check_part(provider, model, message["role"], part, f"{where}[{number}]")
        if problem:
            return problem
    return None


def _check_part(provider: str, model: str, role: str, part: object, where: str) -> Problem | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or kind not in ("text", "image_url"):
        text = f"Invalid value: '{where}.type'. Supported values are: 'text' and 'image_url'."
        return Problem(text, "invalid_value", f"{where}.type")
    if kind == "text":
        sound = isinstance(part.get("text"), str)
        missing = f"Missing required parameter: '{where}.text'."
        return None if sound else Problem(missing, "missing_required_parameter", f"{where}.text")
    if role != "user":
        text = f"Image URLs are only allowed for messages with role 'user', not '{role}'."
        return Problem(text, _INVALID, where)
    if not limits.sees(provider, model):
        text = "Invalid content type. image_url is only supported by certain models."
        return Problem(text, _INVALID, f"{where}.type")
    return _check_picture(provider, part.get("image_url"), f"{where}.image_url")


def _check_picture(provider: str, picture: object, where: str) -> Problem | None:
    if not isinstance(picture, dict) or set(picture) - {"url", "detail"}:
        text = f"Invalid type for '{where}': expected an object with 'url' and 'detail'."
        return Problem(text, "invalid_type", where)
    if picture.get("detail", "auto") not in _DETAILS:
        return Problem(f"Invalid value: '{where}.detail'.", "invalid_value", f"{where}.detail")
    url = picture.get("url")
    if isinstance(url, str) and url.startswith(("https://", "http://")):
        return None
    inline = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if inline is None:
        text = f"Invalid '{where}.url'. Expected a valid URL."
        return Problem(text, "invalid_image_url", f"{where}.url")
    return _check_inline(provider, inline["kind"], inline["data"], f"{where}.url")


def _check_inline(provider: str, kind: str, data: str, where: str) -> Problem | None:
    if kind not in _FORMATS:
        text = (
            f"Invalid '{where}'. Expected a base64-encoded data URL with an image MIME type, "
            f"but got unsupported MIME type '{kind}'."
        )
        return Problem(text, "invalid_value", where)
    decoded = pictures.decode(data)
    if decoded is None:
        return Problem("Invalid base64 image_url.", "invalid_base64", where)
    if len(data) > limits.MOST_PICTURE_BYTES[provider]:
        return Problem(f"The picture is too large: {len(data)} bytes.", "image_too_large", where)
    if pictures.media_type(decoded) not in _FORMATS:
        text = "You uploaded an unsupported image. Please make sure your image is valid."
        return Problem(text, "invalid_image_format", where)
    return None
