"""Groq's batch API, through its SDK; the wire is OpenAI's, the transport is still httpx."""

import httpx
from groq import DefaultHttpxClient, Groq, GroqError, Timeout

from grabient_ops.providers import _wire
from grabient_ops.providers._errors import Edge
from grabient_ops.providers._openai_shape import OpenAIShape
from grabient_ops.providers.gate import through_gate


def connect(api_key: str, base_url: str | None) -> OpenAIShape:
    """Open a client that never repeats a call by itself: the SDK would create batches twice."""
    client = Groq(
        api_key=api_key,
        base_url=base_url,
        max_retries=0,
        timeout=_timeout(_wire.POLL_S),
        http_client=DefaultHttpxClient(event_hooks={"request": [through_gate]}),
    )
    edge = Edge("groq", api_key, (GroqError, httpx.HTTPError, httpx.InvalidURL))
    return OpenAIShape("groq", client, edge, _timeout, first_page={})


def _timeout(seconds: float) -> Timeout:
    return Timeout(seconds, connect=_wire.CONNECT_S)
