"""Embeds texts by any API that speaks OpenAI's `/embeddings`."""

import math
from collections.abc import Sequence
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray
from openai import OpenAI, OpenAIError, Timeout

from grabient_ops.errors import UnavailableError
from grabient_ops.providers import _wire
from grabient_ops.providers._errors import Edge

_NAME = "embeddings"
_RETRIES = 4


class EndpointEmbedder:
    """An embeddings API, as `analytics.search.embedding.Embedder` wants one.

    Calls that fail for a passing reason are repeated; they change nothing.

    Args:
        url: root of the API, version included.
        model: its id there.
        api_key: None where no key is asked for.
        texts_per_call: how many texts to send at once.
    """

    def __init__(
        self, url: str, model: str, api_key: str | None, *, texts_per_call: int = 256
    ) -> None:
        self.model = model
        self.texts_per_call = texts_per_call
        key = api_key or "none"
        self._edge = Edge(_NAME, key, (OpenAIError, httpx2.HTTPError, httpx2.InvalidURL))
        with self._edge.crossing():
            self._client = OpenAI(
                api_key=key,
                base_url=url,
                max_retries=_RETRIES,
                timeout=Timeout(_wire.CREATE_S, connect=_wire.CONNECT_S),
            )

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n, d).

        Raises:
            ProviderError: the API refused, is not there, or answers with something else.
        """
        size = self.texts_per_call
        calls = range(0, len(texts), size)
        rows = [row for start in calls for row in self._call(texts[start : start + size])]
        if len({len(row) for row in rows}) > 1:
            raise UnavailableError(_NAME, f"{self.model} gave vectors of different lengths")
        vectors = np.array(rows, dtype=np.float64).reshape(len(texts), -1 if rows else 0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)

    def _call(self, texts: Sequence[str]) -> list[list[float]]:
        whole = [text.encode(errors="replace").decode() for text in texts]
        with self._edge.crossing():
            answer = self._client.embeddings.with_raw_response.create(
                input=whole, model=self.model, encoding_format="float"
            )
            body = self._edge.json(answer.http_response.content)
        found = {
            index: row
            for item in _wire.list_at(body, "data")
            if isinstance(index := _wire.at(item, "index"), int)
            and _is_vector(row := _wire.at(item, "embedding"))
        }
        if found.keys() != set(range(len(texts))):
            raise UnavailableError(_NAME, f"{self.model} did not give one vector for each text")
        return [found[index] for index in range(len(texts))]


def _is_vector(value: Any) -> bool:  # noqa: ANN401 - whatever a server sent
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(number, int | float) and math.isfinite(number) for number in value)
    )
