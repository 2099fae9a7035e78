"""Keeps vectors that were paid for from the moment they come until they are published."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np

from grabient_ops.analytics.manifest import sync_to_disk
from grabient_ops.analytics.search.embedding import Embedder, Vectors
from grabient_ops.errors import ConfigError

FOLDER = "bought"
"""Within the folder of the refined palettes; the sweeping of that leaves folders alone."""

_DIGEST = 32
_HEAD = _DIGEST + 4
_SUM = 4


@contextmanager
def keeping(embedder: Embedder, folder: Path) -> Iterator[Embedder]:
    """Return an embedder that pays for nothing twice, up to the publishing of what it made.

    What it keeps is dropped at the end, unless that is an error.

    Args:
        embedder: one that costs nothing is returned as it is.
        folder: of the refined palettes, whose lock is held.
    """
    if embedder.texts_per_call is None:
        yield embedder
        return
    with KeepingEmbedder(embedder, embedder.texts_per_call, folder) as kept:
        yield kept
        kept.forget()


class KeepingEmbedder:
    """An embedder that asks another one for each text once, whatever crashes meanwhile.

    What one call brought is on disk before the next call, in a file per model, to which records are
    only appended: the text's SHA-256, how many numbers, the vector, a checksum. Only the holder of
    the refined palettes' lock may use it.

    Args:
        embedder: the one that is paid.
        texts_per_call: how many texts it takes for one payment.
        folder: of the refined palettes.
    """

    def __init__(self, embedder: Embedder, texts_per_call: int, folder: Path) -> None:
        self.model = embedder.model
        self.texts_per_call = texts_per_call
        self._embedder = embedder
        name = sha256(embedder.model.encode(errors="replace")).hexdigest()[:16]
        self._path = folder / FOLDER / f"{name}.vectors"
        self._places: dict[bytes, int] = {}
        self._dimensions = 0

    def __enter__(self) -> Self:
        """Take up what an earlier process has kept; cut off what it could not finish."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        sync_to_disk([self._path.parent])
        self._end = self._read_all()
        os.ftruncate(self._file, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`; only what is not kept is asked for.

        Raises:
            ConfigError: the model gives vectors of another length than before.
        """
        digests = [_digest(text) for text in texts]
        given = dict(zip(digests, texts, strict=True))
        fresh = [digest for digest in given if digest not in self._places]
        for start in range(0, len(fresh), self.texts_per_call):
            some = fresh[start : start + self.texts_per_call]
            self._append(some, self._embedder.embed([given[digest] for digest in some]))
        vectors = [self._read(self._places[digest]) for digest in digests]
        return np.array(vectors, dtype=np.float32).reshape(len(texts), self._dimensions)

    def forget(self) -> None:
        """Drop what is kept: it has been published."""
        self._path.unlink(missing_ok=True)

    def _append(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        self._dimensions = self._dimensions or vectors.shape[1]
        require_dimensions(self.model, self._dimensions, vectors)
        records = [_record(digest, row) for digest, row in zip(digests, vectors, strict=True)]
        content = memoryview(b"".join(records))
        written = 0
        while written < len(content):
            written += os.pwrite(self._file, content[written:], self._end + written)
        os.fsync(self._file)
        for digest, record in zip(digests, records, strict=True):
            self._places[digest] = self._end + _HEAD
            self._end += len(record)

    def _read_all(self) -> int:
        """Find the records, and return where the last whole one ends."""
        end = 0
        with self._path.open("rb") as file:
            while (head := file.read(_HEAD)) and len(head) == _HEAD:
                size = 4 * int.from_bytes(head[_DIGEST:], "little")
                rest = file.read(size + _SUM)
                is_whole = len(rest) == size + _SUM and rest[size:] == _checksum(head + rest[:size])
                if not is_whole:
                    break
                self._dimensions = size // 4
                self._places[head[:_DIGEST]] = end + _HEAD
                end += _HEAD + len(rest)
        return end

    def _read(self, place: int) -> Vectors:
        return np.frombuffer(os.pread(self._file, 4 * self._dimensions, place), dtype="<f4")


def require_dimensions(model: str, expected: int, vectors: Vectors) -> None:
    """Refuse vectors that cannot be compared with those that are there.

    Raises:
        ConfigError: they have another length.
    """
    if vectors.shape[1] != expected:
        message = f"{model} gave vectors of {expected} numbers, now of {vectors.shape[1]}"
        raise ConfigError(f"{message}; set GRABIENT_OPS_EMBEDDING_MODEL to another model")


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


def _record(digest: bytes, vector: Vectors) -> bytes:
    content = digest + len(vector).to_bytes(4, "little") + vector.astype("<f4").tobytes()
    return content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    return crc32(content).to_bytes(_SUM, "little")
