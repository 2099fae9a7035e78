"""Pictures inside requests: what the providers have in common in judging them."""

import base64
import binascii
import re

from grabient_ops.sandbox.dialect import JsonObject, parts_of

_BEGINNINGS = {
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF....WEBP",
    "image/heic": rb"....ftyp(heic|heix)",
    "image/heif": rb"....ftyp(mif1|msf1)",
}


def decode(data: str) -> bytes | None:
    """Decode base64 strictly; None when it is none, or empty."""
    try:
        return base64.b64decode(data, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def media_type(picture: bytes) -> str | None:
    """What the first bytes say that it is."""
    found = (kind for kind, start in _BEGINNINGS.items() if re.match(start, picture, re.DOTALL))
    return next(found, None)


def count(contents: list[object], *kinds: str) -> int:
    """Count the parts of these types, or with these keys, in the contents of all messages."""
    return sum(_is_one(part, kinds) for content in contents for part in parts_of(content))


def _is_one(part: JsonObject, kinds: tuple[str, ...]) -> bool:
    return part.get("type") in kinds or any(kind in part for kind in kinds)
