"""Passwords as scrypt hashes: slow to guess, and each with a salt of its own."""

import hmac
import secrets
from base64 import b64decode, b64encode
from hashlib import scrypt
from typing import NamedTuple, Self

from grabient_ops.errors import ConfigError

LEAST_CHARACTERS = 12
_NAME = "scrypt"
_N, _R, _P = 2**15, 8, 3
"""What OWASP recommends where 32 MiB may be used (Password Storage Cheat Sheet, 2026)."""
_MOST_MEMORY = 128 << 20


class _Hash(NamedTuple):
    n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def read(cls, text: str) -> Self:
        name, *numbers, salt, key = text.split(":")
        n, r, p = map(int, numbers)
        if name != _NAME or not 2 <= n <= 2**20 or not 1 <= r * p <= 64:
            raise ValueError(text)
        return cls(n, r, p, b64decode(salt, validate=True), b64decode(key, validate=True))

    def matches(self, password: str) -> bool:
        return hmac.compare_digest(_derive(password, self.salt, self.n, self.r, self.p), self.key)


def hash_password(password: str) -> str:
    """Return what is kept of a password: `scrypt:N:r:p:salt:key`.

    Raises:
        ConfigError: it is too short.
    """
    if len(password) < LEAST_CHARACTERS:
        raise ConfigError(f"a password has at least {LEAST_CHARACTERS} characters")
    salt = secrets.token_bytes(16)
    key = _derive(password, salt, _N, _R, _P)
    return ":".join(
        [_NAME, str(_N), str(_R), str(_P), *(b64encode(b).decode() for b in (salt, key))]
    )


def check_hash(text: str, where: str) -> str:
    """Return the text of a hash.

    Raises:
        ConfigError: it is none; the message names `where` it was found.
    """
    try:
        _Hash.read(text)
    except ValueError as error:
        message = f"{where} holds no hash of a password"
        raise ConfigError(f"{message}; `grabient-ops auth password` makes one") from error
    return text


def is_password(password: str, text: str) -> bool:
    """Whether a password is the one of a hash; takes a fifth of a second."""
    return _Hash.read(text).matches(password)


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    secret = password.encode(errors="surrogatepass")
    return scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=32)
