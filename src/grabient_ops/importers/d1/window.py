"""A window that moves forward over a file, so that memory does not grow with the file."""

import re
from typing import BinaryIO

_CHUNK = 1 << 20
_BLANK = re.compile(rb"\s*+")
_BOM = b"\xef\xbb\xbf"


class Window:
    """Bytes of a file from the present position on.

    Args:
        file: only read.
        start: where to begin, in bytes.
        line: which line that is.

    Attributes:
        line: the line at the present position, from 1.
    """

    def __init__(self, file: BinaryIO, start: int = 0, line: int = 1) -> None:
        file.seek(start)
        self._file = file
        self._data = b""
        self._at = 0
        self._base = start
        self._is_whole = False
        self.line = line
        if start == 0 and self.hold(len(_BOM)) and self._data.startswith(_BOM):
            self._at = len(_BOM)

    @property
    def position(self) -> int:
        """The present position in the file, in bytes."""
        return self._base + self._at

    @property
    def is_at_end(self) -> bool:
        """Whether nothing follows."""
        return self._at == len(self._data) and not self._fill()

    def hold(self, size: int) -> bool:
        """Have so many bytes at hand; False when the file has fewer left."""
        while len(self._data) - self._at < size:
            if not self._fill():
                return False
        return True

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Match what is at hand, which may end anywhere."""
        return pattern.match(self._data, self._at)

    def match_within(self, pattern: re.Pattern[bytes], most: int) -> re.Match[bytes] | None:
        """Match a pattern with an end of its own, having up to so many bytes at hand."""
        while True:
            if found := pattern.match(self._data, self._at):
                return found
            if len(self._data) - self._at > most or not self._fill():
                return None

    def move(self, end: int) -> None:
        """Go to where a match has ended."""
        self.line += self._data.count(b"\n", self._at, end)
        self._at = end

    def forward(self, count: int) -> None:
        """Go on by so many bytes that are at hand."""
        self.move(self._at + count)

    def peek(self, count: int) -> bytes:
        """Return the next bytes that are at hand."""
        return self._data[self._at : self._at + count]

    def starts(self, text: bytes) -> bool:
        """Whether a text follows."""
        self.hold(len(text))
        return self._data.startswith(text, self._at)

    def skip_blank(self) -> bool:
        """Go behind blanks and comments; False when nothing follows them."""
        while True:
            blank = _BLANK.match(self._data, self._at)
            if blank:
                self.move(blank.end())
            if self._data[self._at : self._at + 1].isalpha():
                return True  # as nearly always: the next statement
            self.hold(2)
            if self.is_at_end:
                return False
            if not self.skip_comment() and not self.peek(1).isspace():
                return True

    def skip_comment(self) -> bool:
        """Go behind a comment; False when none is here."""
        opening = self.peek(2)
        if opening == b"--":
            self.discard(b"\n")
        elif opening == b"/*":
            self.forward(2)
            self.discard(b"*/")
        else:
            return False
        return True

    def discard(self, until: bytes) -> None:
        """Go behind a text, however far away, or to the end of the file."""
        while True:
            found = self._data.find(until, self._at)
            if found >= 0:
                self.move(found + len(until))
                return
            # The text may begin with the last bytes that are at hand.
            self.move(max(self._at, len(self._data) - len(until) + 1))
            if not self._fill():
                self.move(len(self._data))
                return

    def _fill(self) -> bool:
        """Put more at hand; False at the end of the file."""
        if self._is_whole:
            return False
        more = self._file.read(_CHUNK)
        self._is_whole = not more
        if more:
            self._base += self._at
            self._data = self._data[self._at :] + more
            self._at = 0
        return bool(more)
