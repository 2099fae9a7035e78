"""Draws palettes as PNG files: eleven hard stripes in their exact colours.

A pixel holds the number of its stripe, so the pixels of all pictures are the same bytes, packed
once; what differs is the table of eleven colours.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from grabient_ops.palettes.bulk import read_colours
from grabient_ops.palettes.gradient import STEPS

WIDTH, HEIGHT = 800, 400
"""Pixels of every picture."""

_BLOCK = 1024
"""Palettes computed at once: enough to feed NumPy, little enough to keep memory flat."""
_INDEXED = (8, 3, 0, 0, 0)
"""8 bits a pixel, colours from a table; the usual compression and filters, no interlacing."""
_SAME_AS_ABOVE = 2
_PERCEPTUAL = b"\x00"


def render_pngs(seeds: Sequence[str]) -> list[bytes]:
    """Draw palettes; the same seed gives the same bytes each time.

    Pixel column x shows colour `11 * x // 800` of the eleven, so that stripes are 72 or 73 wide.

    Returns:
        One PNG (sRGB, about 600 bytes) for each seed.

    Raises:
        InvalidSeedError: one of the texts is no seed.
    """
    blocks = (seeds[start : start + _BLOCK] for start in range(0, len(seeds), _BLOCK))
    return [_HEAD + _chunk(b"PLTE", table) + _TAIL for block in blocks for table in _tables(block)]


def _tables(seeds: Sequence[str]) -> Iterator[bytes]:
    return (palette.tobytes() for palette in read_colours(seeds))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _pixels() -> bytes:
    rows = np.zeros((HEIGHT, 1 + WIDTH), np.uint8)
    rows[0, 1:] = np.arange(WIDTH) * STEPS // WIDTH
    rows[1:, 0] = _SAME_AS_ABOVE
    return zlib.compress(rows.tobytes(), 9)


_SIZE = struct.pack(">II5B", WIDTH, HEIGHT, *_INDEXED)
_HEAD = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", _SIZE) + _chunk(b"sRGB", _PERCEPTUAL)
_TAIL = _chunk(b"IDAT", _pixels()) + _chunk(b"IEND", b"")
