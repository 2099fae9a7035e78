"""Keeps pictures as objects under stable keys: in a folder by default, in a bucket by settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from grabient_ops.errors import ConfigError, GrabientError
from grabient_ops.palettes.palette import InvalidSeedError
from grabient_ops.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config  # known to type checkers only

_PREFIX, _SUFFIX = "palettes/", ".png"
_KEYED = re.compile(r"[A-Za-z0-9+$_-]{1,200}")
"""What every seed is made of, and nothing that a path or a server could take for something else."""
_HEADERS = {"Content-Type": "image/png", "Cache-Control": "public, max-age=31536000, immutable"}
"""The picture of a seed never changes."""
_AT_ONCE = 16
_FEW = 500
"""So many are asked for one by one; more are looked up in a list of all, a thousand a page."""
_MEANINGS = {
    "status code: 404": "there is no such bucket",
    "status code: 401": "it refuses our keys",
    "status code: 403": "our keys are not allowed to do that",
    "error sending request": "it cannot be reached",
}
_RETRIES = 5
_PATIENCE = timedelta(seconds=60)


class PictureError(GrabientError):
    """Pictures cannot be kept or looked up; those already there stay."""


class PictureStore:
    """Pictures by seed; safe to use from several threads and processes.

    Args:
        objects: the folder or bucket.
        place: its name for people.
        public_url: where the public finds its objects, or None.
        headers: what is kept with each object, where objects have headers.
    """

    def __init__(
        self,
        objects: ObjectStore,
        place: str,
        public_url: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.place = place
        self._objects = objects
        self._base = public_url.rstrip("/") if public_url else None
        self._headers = headers

    @property
    def is_public(self) -> bool:
        """Whether a provider could fetch pictures: it takes https, and nothing else."""
        return self._base is not None and self._base.startswith("https://")

    def key_of(self, seed: str) -> str:
        """Return the key of a picture: the seed as it is, whatever it means in a URL.

        Raises:
            InvalidSeedError: no seed has such characters; as a key they might lead elsewhere.
        """
        if not _KEYED.fullmatch(seed):
            raise InvalidSeedError("It holds characters that no seed has, or too many.")
        return f"{_PREFIX}{seed}{_SUFFIX}"

    def url_of(self, seed: str) -> str | None:
        """Return the public address of a picture, or None where there is none.

        The seed is percent-encoded: many servers read a plain `+` as a blank.
        """
        return self._base and f"{self._base}/{quote(self.key_of(seed))}"

    def put(self, pictures: Mapping[str, bytes]) -> None:
        """Keep pictures by seed, several at a time; when it returns, all of them are there.

        Raises:
            PictureError: at least one is not there, although it was tried again.
        """
        with self._explained(), ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self._put, pictures, pictures.values()):
                pass

    def get(self, seed: str) -> bytes | None:
        """Return a picture, or None when it is not there.

        Raises:
            PictureError: the folder or bucket cannot be reached.
        """
        with self._explained():
            try:
                return bytes(obstore.get(self._objects, self.key_of(seed)).bytes())
            except (FileNotFoundError, InvalidSeedError):
                return None

    def missing(self, seeds: Sequence[str]) -> list[str]:
        """Return those seeds of which there is no picture, in their order.

        Raises:
            PictureError: the folder or bucket cannot be reached.
        """
        with self._explained():
            there = self._all() if len(seeds) > _FEW else self._those(seeds)
        return [seed for seed in seeds if seed not in there]

    def _put(self, seed: str, picture: bytes) -> None:
        key = self.key_of(seed)
        obstore.put(self._objects, key, picture, attributes=self._headers, use_multipart=False)

    def _all(self) -> set[str]:
        pages = obstore.list(self._objects, prefix=_PREFIX, chunk_size=1000)
        kept = (entry["path"] for page in pages for entry in page if entry["size"])
        return {key.removeprefix(_PREFIX).removesuffix(_SUFFIX) for key in kept}

    def _those(self, seeds: Sequence[str]) -> set[str]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(self._has, seeds)
            return {seed for seed, has in zip(seeds, found, strict=True) if has}

    def _has(self, seed: str) -> bool:
        try:
            # A power cut may leave an empty file, which is no picture.
            return obstore.head(self._objects, self.key_of(seed))["size"] > 0
        except (FileNotFoundError, InvalidSeedError):
            return False

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            message = f"pictures cannot be kept in {self.place}: {_reason(error)}"
            raise PictureError(message) from error


def open_pictures(settings: Settings) -> PictureStore:
    """Keep pictures in the bucket `R2_BUCKET` if there is one, else in the home.

    A bucket is asked nothing before it is used.

    Raises:
        ConfigError: a setting is missing or wrong.
        PictureError: the folder cannot be made.
    """
    public_url = settings.r2_public_url
    if public_url and not _is_plain_address(public_url):
        raise ConfigError(
            "R2_PUBLIC_URL must be an address such as https://host/path, nothing more"
        )
    if settings.r2_bucket is None:
        return open_folder(settings.home, public_url)
    bucket = _open_bucket(settings.r2_bucket, settings)
    return PictureStore(bucket, f"the bucket {settings.r2_bucket}", public_url, _HEADERS)


def open_folder(home: Path, public_url: str | None = None) -> PictureStore:
    """Keep pictures in the home's folder `pictures`, made when it is not there.

    Raises:
        PictureError: it cannot be made.
    """
    folder = home / "pictures"
    try:
        objects = LocalStore(folder, mkdir=True)
    except (BaseError, OSError) as error:
        raise PictureError(f"{folder} cannot be made: {_reason(error)}") from error
    return PictureStore(objects, str(folder), public_url)


def _is_plain_address(url: str) -> bool:
    """Whether keys may be appended; what is signed has a query."""
    scheme, host, _, query, fragment = urlsplit(url)
    return scheme in {"http", "https"} and bool(host) and not query and not fragment


def _open_bucket(name: str, settings: Settings) -> S3Store:
    endpoint = settings.r2_endpoint
    return S3Store(
        name,
        config=_r2_config(settings, endpoint) if endpoint else None,
        client_options={"allow_http": True} if (endpoint or "").startswith("http:") else None,
        retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
    )


def _r2_config(settings: Settings, endpoint: str) -> "S3Config":
    name, secret = settings.r2_access_key_id, settings.r2_secret_access_key
    if name is None or secret is None:
        missing = "R2_ACCESS_KEY_ID" if name is None else "R2_SECRET_ACCESS_KEY"
        raise ConfigError(f"R2_BUCKET and R2_ENDPOINT are set, {missing} is not")
    return {
        "endpoint": endpoint,
        "region": "auto",
        "access_key_id": name.get_secret_value(),
        "secret_access_key": secret.get_secret_value(),
    }


def _reason(error: Exception) -> str:
    # What follows is a dump for programmers.
    text = " ".join(str(error).partition("Debug source:")[0].split())
    return next((meaning for sign, meaning in _MEANINGS.items() if sign in text), text)
