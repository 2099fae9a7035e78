"""Shows calls of providers as OpenTelemetry spans, within those of the workflow's steps."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from grabient_ops.providers.base import Provider

CALLS = frozenset({"upload", "high_water", "create", "find", "poll", "cancel", "download"})
"""What goes over the network."""


class _Traced:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the provider has there
        member = getattr(self._provider, name)
        return self._within_span(name, member) if name in CALLS else member

    def _within_span(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        from opentelemetry import trace

        tracer = trace.get_tracer("grabient_ops.providers")

        @wraps(call)
        def traced_call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on
            with tracer.start_as_current_span(f"{self._provider.name}.{name}"):
                return call(*arguments, **named)

        return traced_call


def traced(provider: Provider) -> Provider:
    """Return a provider whose every call makes a span; a failed one carries its error."""
    return cast("Provider", _Traced(provider))
