"""lz-string's URI form, the text packing of legacy seeds (npm `lz-string` 1.5.0), bit for bit.

The packed text is a stream of codes. A code is the number of a phrase that both sides have seen;
it is as wide as the count of known phrases needs, so the width never has to be told. Codes 0 to 2
say: a new character of 8 bits follows, one of 16 bits follows, the end.
"""

import re
from base64 import b64decode, b64encode

LONGEST = 1024
"""Packed texts longer than this are not unpacked: the output may grow with their square."""

_LITERAL_BITS = (8, 16)
_END = 2
_FIRST_WIDE = "\u0100"
_NOT_PHRASES = ["", "\0\0\0", "\1\1\1"]

_WIDTHS = [(count.bit_length(), (1 << count.bit_length()) - 1) for count in range(6 * LONGEST)]
"""Bits of the next code, and their mask, by the number of phrases known."""

_TO_BASE64 = str.maketrans("-", "/")
_FROM_BASE64 = str.maketrans("/", "-")
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Every byte with its bits the other way round."""
_FOREIGN = re.compile(r"[^A-Za-z0-9+-]")


def decompress(packed: str) -> tuple[str | None, bool]:
    """Unpack a text as `LZString.decompressFromEncodedURIComponent` does.

    Like the original it reads a blank as `+`, any foreign character as zero bits, and ignores
    what follows the end mark. So many damaged texts unpack to something: only a canonical one may
    serve as an identity.

    Returns:
        The text, `None` when there is none, and whether `packed` is canonical, that is exactly
        what `compress` makes of the text.
    """
    if len(packed) > LONGEST:
        return None, False
    bits, end = _bits_of(packed), 6 * len(packed)
    if bits & 3 > 1:
        return None, False
    width = _LITERAL_BITS[bits & 1]
    previous = chr(bits >> 2 & (1 << width) - 1)
    position = 2 + width
    canonical = bits & 1 == (previous >= _FIRST_WIDE)
    phrases = [*_NOT_PHRASES, previous]
    output = [previous]
    while position < end:
        width, mask = _WIDTHS[len(phrases)]
        code = bits >> position & mask
        position += width
        if code > _END:
            if code > len(phrases):
                break
            phrase = phrases[code] if code < len(phrases) else previous + previous[0]
        elif code == _END:
            canonical &= position // 6 + 1 == len(packed) and not bits >> position
            canonical &= len(set(phrases)) == len(phrases) and not _FOREIGN.search(packed)
            return "".join(output), canonical
        else:
            width = _LITERAL_BITS[code]
            phrase = chr(bits >> position & (1 << width) - 1)
            position += width
            canonical &= code == (phrase >= _FIRST_WIDE)
            phrases.append(phrase)
        output.append(phrase)
        phrases.append(previous + phrase[0])
        previous = phrase
    return None, False


def _bits_of(packed: str) -> int:
    """Put the stream of bits (six a character, high bit first) into a number, first bit lowest."""
    clean = _FOREIGN.sub("A", packed.replace(" ", "+")).translate(_TO_BASE64)
    octets = b64decode(clean + "A" * (-len(clean) % 4))
    return int.from_bytes(octets.translate(MIRRORED), "little")


def compress(text: str) -> str:
    """Pack a text as `LZString.compressToEncodedURIComponent` does.

    Args:
        text: characters up to U+FFFF; seeds hold ASCII.
    """
    stream = _Stream()
    codes: dict[str, int] = {}
    phrase = ""
    for character in text:
        if character not in codes:
            codes[character] = len(codes) + len(_NOT_PHRASES)
            stream.unwritten.add(character)
        longer = phrase + character
        if longer in codes:
            phrase = longer
            continue
        stream.write_phrase(phrase, codes[phrase])
        codes[longer] = len(codes) + len(_NOT_PHRASES)
        phrase = character
    if phrase:
        stream.write_phrase(phrase, codes[phrase])
    stream.write_code(_END)
    return stream.spelled()


class _Stream:
    """The bits written so far, as a number whose lowest bit is the first."""

    def __init__(self) -> None:
        self.unwritten: set[str] = set()
        self._bits = 0
        self._count = 0
        self._known = 2

    def write_phrase(self, phrase: str, code: int) -> None:
        """Write a phrase's code, or the character itself when it is met for the first time."""
        if phrase in self.unwritten:
            self.unwritten.remove(phrase)
            kind = int(phrase >= _FIRST_WIDE)
            self.write_code(kind)
            self._write(ord(phrase), _LITERAL_BITS[kind])
            self._known += 1
        else:
            self.write_code(code)
        self._known += 1

    def write_code(self, code: int) -> None:
        self._write(code, self._known.bit_length())

    def _write(self, value: int, width: int) -> None:
        self._bits |= value << self._count
        self._count += width

    def spelled(self) -> str:
        """Spell the bits; a last character is written even when no bit is left for it."""
        length = self._count // 6 + 1
        octets = self._bits.to_bytes(-(-length // 4) * 3, "little").translate(MIRRORED)
        return b64encode(octets).decode().translate(_FROM_BASE64)[:length]
