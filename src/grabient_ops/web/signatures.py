"""Verifies webhooks that are signed as Standard Webhooks say (OpenAI, Gemini)."""

import hmac
import time
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256

from grabient_ops.errors import ConfigError

TOLERANCE_S = 300
_PREFIX = "whsec_"
_MOST_REMEMBERED = 10_000


class BadSignatureError(Exception):
    """A webhook is not signed with our secret, or not just now; the message says which."""


class Verifier:
    """Knows one secret, and the messages that came lately.

    Raises:
        ConfigError: the secret is not one.

    Source:
        Standard Webhooks 1.0.0, "Signature scheme".
    """

    def __init__(self, secret: str, variable: str, clock: Callable[[], float] = time.time) -> None:
        self._key = _read_key(secret, variable)
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()

    def accept(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether a message is new; one that came before is to be ignored.

        Args:
            headers: those of the request, names in lower case.
            body: as it came, byte for byte.

        Raises:
            BadSignatureError: it is not to be believed.
        """
        message_id, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not (message_id and moment.isascii() and moment.isdigit()):
            raise BadSignatureError("The headers webhook-id and webhook-timestamp are missing.")
        now = self._clock()
        if abs(now - int(moment[:20])) > TOLERANCE_S:
            raise BadSignatureError(f"It was signed more than {TOLERANCE_S} seconds ago, or later.")
        expected = sign(self._key, message_id, moment, body)
        given = headers.get("webhook-signature", "").split()
        if not any(hmac.compare_digest(expected, one.encode()) for one in given):
            raise BadSignatureError("It is not signed with the secret of this webhook.")
        return self._is_new(message_id, now)

    def _is_new(self, message_id: str, now: float) -> bool:
        # A message is believed from TOLERANCE_S before its moment to as long after it.
        while self._seen and next(iter(self._seen.values())) < now - 2 * TOLERANCE_S:
            self._seen.popitem(last=False)
        if message_id in self._seen:
            return False
        self._seen[message_id] = now
        if len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        return True


def _read_key(secret: str, variable: str) -> bytes:
    """Return what signs: base64 after the usual beginning, else the very text."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ConfigError(f"{variable} begins with {_PREFIX}, but no base64 follows")
    return key


def sign(key: bytes, message_id: str, moment: str, body: bytes) -> bytes:
    """Return the signature of a message, `v1,<base64>`."""
    text = f"{message_id}.{moment}.".encode(errors="surrogatepass") + body
    return b"v1," + b64encode(hmac.digest(key, text, sha256))
