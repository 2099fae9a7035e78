"""The other process of the live benchmark: commits at a rate, and says when each was done."""

import json
import sys
import time

from grabient_ops.app import App
from grabient_ops.settings import Settings
from grabient_ops.store.batches import reserve_batch, update_batch
from grabient_ops.store.palettes import first_seeds
from grabient_ops.store.targets import ModelTarget, Unanswered

REQUESTS = 1_000_000
"""So many every batch is said to have; the benchmark finds its marks by that."""
_MODELS = 12


def main(rate: float, first: int, count: int) -> None:
    """Commit `count` times: each counts one of twelve batches up to the number of the commit."""
    app = App(Settings())
    now = app.services.now
    with app.store.write() as connection:
        seeds = [Unanswered(seed, 1) for seed in first_seeds(connection, 10)]
        batches = [
            reserve_batch(
                connection, ModelTarget(f"p-{first}", "groq", f"model-{n}", 1), 1, seeds, {}, now()
            )
            for n in range(_MODELS)
        ]
        for batch in batches:
            update_batch(connection, batch, now(), state="waiting", request_count=REQUESTS)
    begun = time.monotonic() + 1.0
    commits = []
    for number in range(count):
        time.sleep(max(begun + number / rate - time.monotonic(), 0))
        mark = first + number
        with app.store.write() as connection:
            update_batch(connection, batches[number % _MODELS], now(), live_completed=mark)
        commits.append((mark, time.time()))
    json.dump(commits, sys.stdout)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
