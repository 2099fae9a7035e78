"""Runs `grabient-ops` with a wall clock that jumps, by as many seconds as a file says."""

import sys
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

import grabient_ops.pipeline.worker  # noqa: F401 - before the patch, for it names the class
from grabient_ops.cli.main import main
from grabient_ops.pipeline import services


def run(file: Path) -> None:
    """Run the command line; what our code and DBOS take for the time of day is the file's word."""
    true_time = time.time

    def offset_s() -> float:
        return float(file.read_text())

    def now() -> datetime:
        return services.utc_now() + timedelta(seconds=offset_s())

    with (
        patch.object(services, "Services", partial(services.Services, now=now)),
        patch.object(time, "time", lambda: true_time() + offset_s()),
    ):
        main()


if __name__ == "__main__":
    clock = Path(sys.argv.pop(1))
    run(clock)
