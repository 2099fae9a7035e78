"""Sessions of people who have signed in: kept as digests in the store, so they survive restarts."""

import json
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from grabient_ops.store.engine import Store
from grabient_ops.store.notes import drop_note, get_note, list_notes, set_note
from grabient_ops.web.auth.credentials import Credentials, digest

LIFETIME = timedelta(days=7)
_PREFIX = "session "
_TRUSTED_S = 2.0
"""How long a session is not looked up again; a page asks for many pictures at once."""


class Sessions:
    """The open sessions of all servers on one store."""

    def __init__(self, store: Store, credentials: Credentials, now: Callable[[], datetime]) -> None:
        self._store = store
        self._credentials = credentials
        self._now = now
        self._trusted: dict[str, float] = {}

    def open(self, fingerprint: str) -> str:
        """Open a session and return its token.

        Args:
            fingerprint: of the secret that was given; the session ends with it.
        """
        token = secrets.token_urlsafe(32)
        until = (self._now() + LIFETIME).isoformat()
        with self._store.write() as connection:
            self._sweep(connection)
            set_note(connection, _key(token), json.dumps({"until": until, "by": fingerprint}))
        return token

    def was_open(self, token: str) -> bool:
        """Whether a token was that of an open session just now; asks nobody."""
        return self._trusted.get(_key(token), 0.0) > time.monotonic()

    def is_open(self, token: str) -> bool:
        """Whether a token is that of an open session."""
        key = _key(token)
        self._trusted.pop(key, None)
        with self._store.read() as connection:
            note = get_note(connection, key)
        if note is None or not self._is_valid(note):
            return False
        if len(self._trusted) > 1000:
            self._trusted.clear()
        self._trusted[key] = time.monotonic() + _TRUSTED_S
        return True

    def close(self, token: str) -> None:
        """End a session."""
        self._trusted.pop(_key(token), None)
        with self._store.write() as connection:
            drop_note(connection, _key(token))

    def _is_valid(self, note: str) -> bool:
        session = json.loads(note)
        is_current = datetime.fromisoformat(session["until"]) > self._now()
        return is_current and session["by"] in self._credentials.fingerprints()

    def _sweep(self, connection: Connection) -> None:
        for key, note in list_notes(connection, _PREFIX).items():
            if not self._is_valid(note):
                drop_note(connection, key)


def _key(token: str) -> str:
    return _PREFIX + digest(token)
