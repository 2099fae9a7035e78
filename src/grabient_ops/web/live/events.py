"""How updates travel: server-sent events whose ids say how much a page has seen."""

import re
import time

_LINE_END = re.compile(r"\r\n|\r|\n")
PING = b": still here\n\n"


def version_of(event_id: str, epoch: str) -> int:
    """Return the version that an event id names; 0 when it is of another life, or nonsense."""
    life, _, rest = event_id.partition(":")
    number = rest.partition(":")[0]
    return int(number) if life == epoch and number.isascii() and number.isdigit() else 0


def encode_event(epoch: str, version: int, html: str) -> bytes:
    """Write an update as `<epoch>:<version>:<server ms>` and its HTML.

    A line end of any kind in the HTML becomes a line feed, as in every HTML parser.
    """
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(html))
    return f"id: {epoch}:{version}:{time.time_ns() // 1_000_000}\n{lines}\n".encode()
