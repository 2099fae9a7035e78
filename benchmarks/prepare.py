"""From seeds to payloads of four providers, against the first system's way on node."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path
from shutil import which
from typing import Any

from benchmarks.cost import Cost, Meter, best, in_fresh_process
from benchmarks.report import Figure
from grabient_ops.palettes.bundled import bundled_seeds
from grabient_ops.palettes.colours import COLOR_NAMES
from grabient_ops.palettes.invented import invented_seeds
from grabient_ops.palettes.seed import read_seed, write_legacy
from grabient_ops.pipeline import payload
from grabient_ops.providers.base import Encoder, ProviderName
from grabient_ops.providers.catalog import Model, load_catalog
from grabient_ops.providers.registry import build_provider
from grabient_ops.tagging.message import user_messages
from grabient_ops.tagging.prompts import answer_schema, tagging_prompt

SIZES = (2_000, 20_000)
MANY = 200_000
_ROUNDS = 5
_NODE_BATCH = 2_000
_SCRIPT = Path(__file__).with_suffix(".mjs")
# Measured in the pages in which the pipeline does it.
_PAGE, _LINES = payload._PAGE, payload._LINES  # noqa: SLF001
_MODELS: Mapping[ProviderName, str] = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5-20251001",
    "google": "gemini-2.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
}


def figures() -> Iterator[Figure]:
    """Compare CPU for each size, then our memory for ten times as many palettes."""
    node = which("node")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seeds.txt"
        in_fresh_process(write_seeds, file, max(SIZES))
        few = Cost(0, 0, 0)
        for size in SIZES:
            few, theirs = _alternate(node, file, size)
            yield _compared(size, few, theirs)
        many = in_fresh_process(prepare, file, MANY)
    yield Figure(
        f"prepare {MANY:,} palettes, peak memory",
        f"{many.peak_mb:.0f} MB",
        f"{max(SIZES):,} palettes, {few.peak_mb:.0f} MB",
        f"{many.peak_mb / few.peak_mb:.2f}x",
        "flat",
    )


def _alternate(node: str | None, file: Path, size: int) -> tuple[Cost, Cost | None]:
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        ours.append(in_fresh_process(prepare, file, size))
        if node:
            theirs.append(in_fresh_process(prepare_on_node, node, file, size))
    return best(ours), best(theirs) if theirs else None


def _compared(size: int, ours: Cost, theirs: Cost | None) -> Figure:
    if theirs is None:
        other, ratio = "node is missing here", "not measured"
    else:
        other = f"the first system's steps on node, {theirs.cpu_s:.2f} s, {theirs.peak_mb:.0f} MB"
        ratio = f"{theirs.cpu_s / ours.cpu_s:.1f}x faster"
    return Figure(
        f"prepare {size:,} palettes for four models, CPU, best of {_ROUNDS}",
        f"{ours.cpu_s:.2f} s ({ours.cpu_s / size * 1e6:.0f} us a palette), {ours.peak_mb:.0f} MB",
        other,
        ratio,
        ">= 10x faster",
    )


def write_seeds(file: Path, count: int) -> None:
    """Write so many seeds, one a line, both formats in turn."""
    invented = [read_seed(seed) for seed in invented_seeds(count)]
    mixed = [
        write_legacy(palette.coeffs, palette.globals) if number % 2 else palette.seed
        for number, palette in enumerate(invented)
    ]
    file.write_text("\n".join([*bundled_seeds(), *mixed][:count]))


def read_seeds(file: Path, count: int) -> list[str]:
    """Read the first seeds of a file, and again from its start when it has too few."""
    return list(islice(cycle(file.read_text().splitlines()), count))


def prepare(file: Path, count: int) -> Cost:
    """Measure our way: messages and lines a page at a time, as `pipeline/payload.py` does it."""
    seeds = read_seeds(file, count)
    encoders = [_encoder(model) for model in _models().values()]
    meter = Meter()
    with meter.running():
        for start in range(0, count, _PAGE):
            texts = user_messages(seeds[start : start + _PAGE])
            for encode, line in product(encoders, range(0, len(texts), _LINES)):
                some = texts[line : line + _LINES]
                encode([f"abcdefghijkl-{start + line + i}" for i in range(len(some))], some)
    return meter.read()


def _models() -> dict[ProviderName, Model]:
    catalog = load_catalog()
    return {provider: catalog.get(provider, name) for provider, name in _MODELS.items()}


def _encoder(model: Model) -> Encoder:
    provider = build_provider(model.provider, api_key="bench", base_url=None)
    return provider.encoder(model, tagging_prompt().content, answer_schema())


def prepare_on_node(node: str, file: Path, count: int) -> Cost:
    """Measure the first system's way; what node takes to start is not counted.

    Raises:
        ValueError: its messages differ from ours, so the two would not do the same work.
    """
    seeds = read_seeds(file, count)
    job = {
        "seeds": seeds,
        "batch": _NODE_BATCH,
        "sample": _NODE_BATCH,
        "system": tagging_prompt().content,
        "schema": answer_schema(),
        "colorNames": COLOR_NAMES,
        "models": {name: _on_node(model) for name, model in _models().items()},
    }
    run = partial(subprocess.run, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(run([node, str(_SCRIPT)], input=json.dumps(job)).stdout)
    if told["messages"] != user_messages(seeds[:_NODE_BATCH]):
        raise ValueError("node's user messages differ from ours")
    return Cost(told["wall_s"], told["cpu_s"], told["peak_mb"])


def _on_node(model: Model) -> dict[str, object]:
    return {
        "id": model.id,
        "temperature": model.temperature,
        "maxTokens": model.max_output_tokens,
    }
