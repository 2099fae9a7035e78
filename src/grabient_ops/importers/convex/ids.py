"""Convex's document ids: which table a document is of, and whether the id is whole."""

from functools import lru_cache

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS = {letter: number for number, letter in enumerate(_ALPHABET)}
_SHORTEST, _LONGEST = 31, 37
_INTERNAL_BYTES, _FOOTER_BYTES = 16, 2


def table_number(document_id: object) -> int | None:
    """Return the number of the table that an id is of; None when it is no id.

    An id is Crockford base32 of the table's number as a varint, sixteen bytes, and a checksum of
    the two (Fletcher-16 modulo 256, little endian).

    Source:
        Convex backend, `crates/value/src/id_v6.rs`, 2026-08.
    """
    return _table_number(document_id) if isinstance(document_id, str) else None


@lru_cache(maxsize=1024)
def _table_number(document_id: str) -> int | None:
    data = _decode(document_id) if _SHORTEST <= len(document_id) <= _LONGEST else None
    if data is None:
        return None
    body, footer = data[:-_FOOTER_BYTES], data[-_FOOTER_BYTES:]
    if _checksum(body) != footer:
        return None
    number = size = 0
    for size, byte in enumerate(body, start=1):
        number |= (byte & 0x7F) << (7 * (size - 1))
        if byte < 0x80:
            break
    return number if len(body) - size == _INTERNAL_BYTES else None


def _decode(text: str) -> bytes | None:
    number = 0
    for letter in text:
        digit = _DIGITS.get(letter)
        if digit is None:
            return None
        number = number << 5 | digit
    padding = len(text) * 5 % 8
    return (
        None if number & ((1 << padding) - 1) else (number >> padding).to_bytes(len(text) * 5 // 8)
    )


def _checksum(body: bytes) -> bytes:
    low = high = 0
    for byte in body:
        low = (low + byte) % 256
        high = (high + low) % 256
    return bytes((low, high))
