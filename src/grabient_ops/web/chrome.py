"""What stands around every page and is live as well: who works on this home."""

from grabient_ops.web.live.panel import Context, Panel, Wanted
from grabient_ops.web.live.reading import Reading


def _read_worker(reading: Reading, _params: None) -> Context:
    return {"worker": reading.worker}


CHROME = Wanted(
    Panel("chrome-worker", frozenset({"worker"}), "parts/worker.html", _read_worker), None
)
"""The badge of the worker, in the header of every page."""
