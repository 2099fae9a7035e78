"""OpenAI's batch API, through its SDK."""

import httpx2
from openai import DefaultHttpxClient, OpenAI, OpenAIError, Timeout

from grabient_ops.providers import _wire
from grabient_ops.providers._errors import Edge
from grabient_ops.providers._openai_shape import OpenAIShape
from grabient_ops.providers.gate import through_gate


def connect(api_key: str, base_url: str | None) -> OpenAIShape:
    """Open a client that never repeats a call by itself: the SDK would create batches twice."""
    client = OpenAI(
        api_key=api_key,
        base_url=base_url,
        max_retries=0,
        timeout=_timeout(_wire.POLL_S),
        http_client=DefaultHttpxClient(event_hooks={"request": [through_gate]}),
    )
    edge = Edge("openai", api_key, (OpenAIError, httpx2.HTTPError, httpx2.InvalidURL))
    return OpenAIShape("openai", client, edge, _timeout, first_page={"limit": "100"})


def _timeout(seconds: float) -> Timeout:
    return Timeout(seconds, connect=_wire.CONNECT_S)
