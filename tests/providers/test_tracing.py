from pathlib import Path
from typing import cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from grabient_ops.errors import UnavailableError
from grabient_ops.providers.base import BatchRunning, Provider
from grabient_ops.providers.tracing import CALLS, traced


class Quiet:
    """A provider that does nothing, or fails."""

    name = "openai"
    echoes_key = True

    def poll(self, batch_id: str) -> BatchRunning:
        if batch_id == "bad":
            raise UnavailableError("openai", "gone")
        return BatchRunning()

    def read(self, line: bytes) -> bytes:
        return line


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Where finished spans go."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def _finished(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    return list(spans.get_finished_spans())


def test_a_call_is_a_span_and_answers_as_before(spans: InMemorySpanExporter) -> None:
    provider = traced(cast("Provider", Quiet()))

    assert (provider.name, provider.poll("batch")) == ("openai", BatchRunning())
    assert [span.name for span in _finished(spans)] == ["openai.poll"]


def test_a_failed_call_is_a_failed_span(spans: InMemorySpanExporter) -> None:
    with pytest.raises(UnavailableError):
        traced(cast("Provider", Quiet())).poll("bad")

    (span,) = _finished(spans)
    assert (span.status.is_ok, span.events[0].name) == (False, "exception")


def test_what_stays_on_this_machine_is_no_span(spans: InMemorySpanExporter) -> None:
    assert cast("Quiet", traced(cast("Provider", Quiet()))).read(b"x") == b"x"
    assert _finished(spans) == []


def test_every_call_that_is_traced_is_one_of_the_seam() -> None:
    methods = {name for name, member in vars(Provider).items() if callable(member)}

    assert {name for name in methods if not name.startswith("_")} == CALLS | {"encoder", "read"}


def test_a_path_is_passed_on(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    class Downloading(Quiet):
        def download(self, batch_id: str, file: str, target: Path) -> None:
            target.write_text(batch_id + file)

    provider = cast("Downloading", traced(cast("Provider", Downloading())))

    provider.download("a", "b", target=tmp_path / "x")

    assert (tmp_path / "x").read_text() == "ab"
    assert len(_finished(spans)) == 1
