"""Turns texts into vectors whose angles tell how close their meanings are."""

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from grabient_ops.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float32]
"""Shape (n, d); each row has length 1, or 0 for a text that says nothing."""

_PAGE = 1024


class Embedder(Protocol):
    """A way to embed texts."""

    @property
    def model(self) -> str:
        """Its identity: only vectors of the same model can be compared."""
        ...

    @property
    def texts_per_call(self) -> int | None:
        """How many texts are paid for together; None when embedding costs nothing."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts, none of them blank.

        Raises:
            GrabientError: they cannot be had; the message says why.
        """
        ...


class WordVectors:
    """WordLlama's vectors of 32,000 pieces of words, averaged over a text.

    The weights are files of its package, so nothing is ever downloaded. They know English well,
    and other European languages a little.
    """

    model = "wordllama/l2_supercat_256"
    texts_per_call = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        pages = (texts[start : start + _PAGE] for start in range(0, len(texts), _PAGE))
        return np.concatenate([self._no_vectors, *map(self._embed_page, pages)])

    def _embed_page(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch_fast(
            [plain(text) for text in texts], add_special_tokens=False
        )
        # The piece 0 has no meaning; a text without any piece needs one for its place.
        pieces = [text.ids or [0] for text in encoded]
        starts = np.cumsum([0, *map(len, pieces[:-1])])
        return unit(np.add.reduceat(self._weights[np.concatenate(pieces)], starts, axis=0))

    @property
    def _no_vectors(self) -> Vectors:
        return self._weights[:0]

    @cached_property
    def _weights(self) -> Vectors:
        from safetensors.numpy import load_file

        (weights,) = load_file(_packaged("weights/l2_supercat_256.safetensors")).values()
        return weights.astype(np.float32)

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(
            str(_packaged("tokenizers/l2_supercat_tokenizer_config.json"))
        )
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer


def plain(text: str) -> str:
    """Return a text as it is embedded and as its words are compared: NFC, lower-case, UTF-8."""
    whole = text.encode(errors="replace").decode()
    return unicodedata.normalize("NFC", whole).lower()


def unit(vectors: NDArray[np.floating[Any]]) -> Vectors:
    """Scale rows to length 1; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _packaged(name: str) -> Path:
    """Find a file of WordLlama without importing it, which sets up logging and looks online."""
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ConfigError("the package wordllama is missing; set the program up again")
    return Path(spec.origin).parent / name
