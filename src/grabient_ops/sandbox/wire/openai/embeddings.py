"""Plays OpenAI's embeddings: every word points somewhere, a text where its words point together."""

import base64
import re
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response

from grabient_ops.sandbox.core import Core
from grabient_ops.sandbox.http import ApiError, json_response, only_known, read_json

_WORD = re.compile(r"\w+")
_DIMENSIONS = 64
_MOST_TEXTS = 2048
_FIELDS = frozenset({"input", "model", "encoding_format", "dimensions", "user"})


class EmbeddingsWire:
    """Embeds one text or many; equal words give equal vectors, other words others.

    Args:
        core: whose books say how often each text was paid for.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def embeddings(self, request: Request) -> Response:
        """Answer in the order that OpenAI does not promise."""
        content = await read_json(request)
        only_known(content, _FIELDS)
        if not isinstance(content.get("model"), str):
            raise ApiError(400, "you must provide a model parameter")
        texts = _texts(content.get("input"))
        for text in texts:
            digest = blake2b(text.encode(errors="replace"), digest_size=16)
            self._core.state.count(f"embedded {digest.hexdigest()}")
        as_text = content.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": _embedding(text, as_text=as_text)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        # Order is nothing to rely on.
        answer = {"object": "list", "data": data[::-1], "model": content["model"], "usage": usage}
        return json_response(answer)


def _texts(given: object) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or len(texts) > _MOST_TEXTS:
        raise ApiError(400, "'$.input' is invalid.", param="input")
    if not all(isinstance(text, str) and text for text in texts):
        raise ApiError(400, "'$.input' is invalid.", param="input")
    return texts


def _embedding(text: str, *, as_text: bool) -> list[float] | str:
    import numpy as np  # it would double the start-up

    vector = np.zeros(_DIMENSIONS, dtype=np.float32)
    for word in _WORD.findall(text.lower()) or [""]:
        random = np.random.default_rng([*word.encode()])
        vector += random.standard_normal(_DIMENSIONS).astype(np.float32)
    vector /= np.linalg.norm(vector)
    return base64.b64encode(vector.tobytes()).decode() if as_text else vector.tolist()
