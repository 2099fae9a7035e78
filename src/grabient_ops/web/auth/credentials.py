"""What opens the door: the settings' secrets, and those of a file that only its owner can read."""

import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec.structs import replace

from grabient_ops.errors import ConfigError, InputError
from grabient_ops.settings import Settings
from grabient_ops.web.auth.passwords import check_hash, is_password

FILE = "web-auth.json"
TOKEN_PREFIX = "gops_"  # noqa: S105 - what tokens begin with, so that scanners find lost ones
_VARIABLE = "GRABIENT_OPS_WEB_PASSWORD_HASH"


class Kept(msgspec.Struct, frozen=True):
    """What is kept in the file.

    Attributes:
        password: hash of the password, or None.
        tokens: name -> SHA-256 of a token, in hex. A token is random, so a fast hash will do.
    """

    password: str | None = None
    tokens: dict[str, str] = {}


class Credentials:
    """The password and the tokens that are valid now; a changed file counts at once."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / FILE
        self._seen: tuple[int, int] | None = None
        self._kept = Kept()
        given = settings.web_password_hash
        self._given_hash = check_hash(given.get_secret_value(), _VARIABLE) if given else None
        token = settings.api_token
        self._given_token = digest(token.get_secret_value()) if token else None

    @property
    def password_hash(self) -> str | None:
        """The hash of the password, if there is one; the setting goes before the file."""
        return self._given_hash or self._read().password

    @property
    def tokens(self) -> Mapping[str, str]:
        """Name -> digest of every token."""
        given = {} if self._given_token is None else {"GRABIENT_OPS_API_TOKEN": self._given_token}
        return {**self._read().tokens, **given}

    @property
    def exist(self) -> bool:
        """Whether anybody can sign in at all."""
        return self.password_hash is not None or bool(self.tokens)

    def fingerprints(self) -> set[str]:
        """Return a mark of each valid secret: sessions end with the one that opened them."""
        password = self.password_hash
        return {*self.tokens.values()} | ({digest(password)} if password else set())

    def find_token(self, token: str) -> str | None:
        """Return the fingerprint of a valid token, or None; the time tells nothing about it."""
        given = digest(token)
        found = [known for known in self.tokens.values() if hmac.compare_digest(known, given)]
        return found[0] if found else None

    def find_secret(self, secret: str) -> str | None:
        """Return the fingerprint of the password, or of a token, if that is what it is."""
        password = self.password_hash
        if password is not None and is_password(secret, password):
            return digest(password)
        return self.find_token(secret)

    def _read(self) -> Kept:
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return Kept()
        seen = (state.st_ino, state.st_mtime_ns)
        if seen != self._seen:
            self._kept = read_file(self._path)
            self._seen = seen
        return self._kept


def digest(secret: str) -> str:
    """Return what is kept of a random secret."""
    return sha256(secret.encode(errors="surrogatepass")).hexdigest()


def read_file(path: Path) -> Kept:
    """Return what a file keeps; nothing when there is none.

    Raises:
        ConfigError: others can read it, or it is none of ours.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"others can read {path}; `chmod 600` it")
            kept = msgspec.json.decode(file.read(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read; remove it and set secrets anew") from error
    if kept.password is not None:
        check_hash(kept.password, str(path))
    return kept


def set_password(home: Path, password_hash: str | None) -> None:
    """Keep the hash of a password, or none; sessions that the old one opened end."""
    with _changing(home) as kept:
        _write(home, replace(kept, password=password_hash))


def add_token(home: Path, name: str) -> str:
    """Make a token and return it; only its digest is kept.

    Raises:
        InputError: there is one of this name.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with _changing(home) as kept:
        if name in kept.tokens:
            raise InputError(f"there is a token {name!r}; `grabient-ops auth revoke` ends it")
        _write(home, replace(kept, tokens={**kept.tokens, name: digest(token)}))
    return token


def revoke_token(home: Path, name: str) -> None:
    """End a token.

    Raises:
        InputError: there is none of this name.
    """
    with _changing(home) as kept:
        if name not in kept.tokens:
            raise InputError(
                f"there is no token {name!r}; there are {', '.join(kept.tokens) or 'none'}"
            )
        left = {other: kept.tokens[other] for other in kept.tokens if other != name}
        _write(home, replace(kept, tokens=left))


@contextmanager
def _changing(home: Path) -> Iterator[Kept]:
    """Let nobody else change the file in the block."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / f"{FILE}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield read_file(home / FILE)


def _write(home: Path, kept: Kept) -> None:
    partial = home / f"{FILE}.partial"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept)))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(home / FILE)
