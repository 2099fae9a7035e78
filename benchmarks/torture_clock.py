"""Runs `grabient-ops` with a wall clock that jumps, by as many seconds as a file says."""

import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

from grabient_ops.__main__ import main
from grabient_ops.app import App
from grabient_ops.pipeline.services import Services, utc_now


def run(file: Path) -> None:
    """Run the command line; what Python asks for the time of day gets the file's word."""
    true_time = time.time
    parts = App.services.func

    def offset_s() -> float:
        return float(file.read_text())

    def now() -> datetime:
        return utc_now() + timedelta(seconds=offset_s())

    def services(app: App) -> Services:
        return replace(parts(app), now=now)

    jumping = cached_property(services)
    jumping.__set_name__(App, "services")
    with (
        patch.object(App, "services", jumping),
        patch.object(time, "time", lambda: true_time() + offset_s()),
    ):
        main()


if __name__ == "__main__":
    clock = Path(sys.argv.pop(1))
    run(clock)
