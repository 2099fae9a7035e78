"""Makes document ids as Convex does: Crockford base32 of table, random part and checksum."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_INTERNAL_BYTES = 16


def new_document_id(table_number: int) -> str:
    """Return a fresh id.

    Source:
        Convex backend, `crates/value/src/id_v6.rs`, 2026-08.
    """
    body = _varint(table_number) + secrets.token_bytes(_INTERNAL_BYTES)
    data = body + _checksum(body)
    length = -(-len(data) * 8 // 5)
    bits = int.from_bytes(data, "big") << (length * 5 - len(data) * 8)
    return "".join(_ALPHABET[bits >> (5 * place) & 31] for place in reversed(range(length)))


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _checksum(body: bytes) -> bytes:
    low = high = 0
    for byte in body:
        low = (low + byte) % 256
        high = (high + low) % 256
    return bytes((low, high))
