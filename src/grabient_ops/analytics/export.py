"""Copies a lake to a folder or a bucket, where Spark and others read it: only what is new.

A lake is two sets of files, the answers and the refined palettes; each has a manifest of its own.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from grabient_ops.analytics.manifest import NAME, Generation
from grabient_ops.analytics.refined import REFINED, read_refined
from grabient_ops.analytics.warehouse import require_manifest
from grabient_ops.errors import GrabientError
from grabient_ops.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config  # known to type checkers only

_LAKE_FILE = re.compile(r".+-\d{6,}-[0-9a-f]{6}\.parquet")
"""Nothing else is ever removed from a target."""
_UPLOADS = 8
_RETRIES = 5
_PATIENCE = timedelta(seconds=60)


class ExportError(GrabientError):
    """The target cannot be used, or the lake changed meanwhile; the next export goes on there."""


@dataclass(frozen=True, slots=True)
class Export:
    """What an export has done.

    Attributes:
        generation: of the lake, which readers of the target now see.
        copied: files that were missing there.
        kept: files that were there.
        removed: files of former generations that are gone now.
        bytes: how many were copied.
        refined: generation of the refined palettes; 0 when there is none.
    """

    generation: int
    copied: int
    kept: int
    removed: int
    bytes: int
    refined: int = 0


def export(
    lake: Path,
    target: str,
    settings: Settings,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Export:
    """Make a target equal to a lake: same files, same manifests.

    Readers of the target see the former generation of a set of files until the last one is there,
    then this one. An export that was cut off is completed by the next one. Run one at a time for
    each target.

    Args:
        lake: the folder of the lake.
        target: a folder, or `s3://bucket/prefix`.
        settings: hold the keys to a bucket.
        on_progress: called with bytes that are copied and bytes to copy.

    Raises:
        EmptyLakeError: nothing has been synced.
        ExportError: the target cannot be used, or the lake changed meanwhile.
    """
    manifest = require_manifest(lake)
    refined = read_refined(lake / REFINED)
    with _explained(target):
        copies = [_Copy(lake, _open(lake, target, settings), manifest)]
        if refined:
            inner = _open(lake, f"{target.rstrip('/')}/{REFINED}", settings)
            copies.append(_Copy(lake / REFINED, inner, refined))
        total = left = sum(sum(copy.missing.values()) for copy in copies)
        for copy in copies:
            for size in copy.send():
                left -= size
                on_progress(total - left, total)
            copy.publish()
    return Export(
        generation=manifest.generation,
        copied=sum(len(copy.missing) for copy in copies),
        kept=sum(len(copy.wanted) - len(copy.missing) for copy in copies),
        removed=sum(len(copy.superseded) for copy in copies),
        bytes=total,
        refined=refined.generation if refined else 0,
    )


class _Copy:
    """One set of files, on its way to one place.

    Attributes:
        wanted: sizes of the files that readers need.
        missing: those of them that are not there, or not whole.
        superseded: files there that readers will need no more.
    """

    def __init__(self, folder: Path, store: ObjectStore, manifest: Generation) -> None:
        self._folder = folder
        self._store = store
        self._manifest = manifest
        there = _list(store)
        self.wanted = {name: _size(folder / name) for name in manifest.files()}
        self.missing = {n: size for n, size in self.wanted.items() if there.get(n) != size}
        old = there.keys() - self.wanted
        self.superseded = [name for name in old if _LAKE_FILE.fullmatch(name)]

    def send(self) -> Iterator[int]:
        """Copy what is missing, several files at a time; yield their sizes."""
        with ThreadPoolExecutor(_UPLOADS) as pool:
            yield from pool.map(self._put, self.missing)

    def publish(self) -> None:
        """Let readers see this generation; the lake's retired files were never there."""
        exported = msgspec.structs.replace(self._manifest, retired=[])
        obstore.put(self._store, NAME, msgspec.json.encode(exported))
        obstore.delete(self._store, self.superseded)

    def _put(self, name: str) -> int:
        path = self._folder / name
        size = _size(path)
        obstore.put(self._store, name, path)
        return size


@contextmanager
def _explained(target: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        # What follows the first line is a dump for programmers.
        reason = str(error).partition("\n")[0]
        raise ExportError(f"cannot export to {target}: {reason}") from error


def _open(lake: Path, target: str, settings: Settings) -> ObjectStore:
    url = urlsplit(target)
    if "://" not in target:
        folder = Path(target).expanduser().resolve()
        if folder == lake.resolve():
            raise ExportError(f"{target} is the lake itself")
        return LocalStore(folder, mkdir=True)
    if url.scheme != "s3" or not url.netloc:
        raise ExportError(f"{target!r} is neither a folder nor an address like s3://bucket/prefix")
    endpoint = settings.r2_endpoint
    return S3Store(
        url.netloc,
        prefix=unquote(url.path).strip("/") or None,
        config=_r2_config(settings, endpoint) if endpoint else None,
        client_options={"allow_http": True} if (endpoint or "").startswith("http:") else None,
        retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
    )


def _r2_config(settings: Settings, endpoint: str) -> "S3Config":
    """Name R2's bucket and keys as S3 does; a key that is not set is looked for in `AWS_*`."""
    config: S3Config = {"endpoint": endpoint, "region": "auto"}
    if settings.r2_access_key_id:
        config["access_key_id"] = settings.r2_access_key_id.get_secret_value()
    if settings.r2_secret_access_key:
        config["secret_access_key"] = settings.r2_secret_access_key.get_secret_value()
    return config


def _list(store: ObjectStore) -> dict[str, int]:
    """Return the names and sizes of what lies in a target, without its folders."""
    found = obstore.list_with_delimiter(store)["objects"]
    return {entry["path"]: entry["size"] for entry in found}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise ExportError("the lake changed during the export; run it again") from error
