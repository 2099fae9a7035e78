"""Follows the store from a process of its own, so that the worker's memory stays lean."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType

import structlog

from grabient_ops.analytics.manifest import Watermark, read_manifest
from grabient_ops.analytics.source import Source, open_source
from grabient_ops.analytics.sync import refresh
from grabient_ops.analytics.tallies import is_due
from grabient_ops.bell import Bell
from grabient_ops.errors import StoreError

log = structlog.get_logger(__name__)

_POLL_S = 0.25
_POLL_WITH_BELL_S = 2.0
_RETRY_S = 2.0


def start_follower(home: Path, url: str) -> "subprocess.Popen[bytes]":
    """Start a process that follows a store; it ends with this one at the latest.

    Args:
        home: whose lake is kept up to date, `<home>/lake`.
        url: the store's SQLAlchemy URL.
    """
    # By the environment: a command line is seen by everybody, and the URL may hold a password.
    environment = {
        **os.environ,
        "GRABIENT_OPS_HOME": str(home),
        "GRABIENT_OPS_DATABASE_URL": url,
    }
    command = [sys.executable, "-m", __name__, str(os.getpid())]
    return subprocess.Popen(  # noqa: S603 - our own module
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def run(lake: Path, url: str, *, parent: int | None = None) -> None:
    """Follow until SIGTERM or SIGINT, or until a parent process has ended."""
    signals: list[int] = []
    with Bell(url) as bell:

        def end(number: int, _frame: FrameType | None) -> None:
            signals.append(number)
            bell.ring()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        follow(lake, url, lambda: bool(signals) or parent not in {None, os.getppid()}, bell)


def follow(lake: Path, url: str, is_over: Callable[[], bool], bell: Bell) -> None:
    """Keep a lake within a second of its store until `is_over`, and what was committed till then.

    It looks when the bell rings, and now and then without. A store or a disk that fails is tried
    again.
    """
    while True:
        try:
            with closing(open_source(url)) as source:
                _follow(lake, source, is_over, bell)
        except StoreError as error:
            log.warning("the warehouse waits for the store", error=str(error))
        else:
            return
        if is_over():
            return
        time.sleep(_RETRY_S)


def _follow(lake: Path, source: Source, is_over: Callable[[], bool], bell: Bell) -> None:
    pause_s = _POLL_WITH_BELL_S if bell.hears else _POLL_S
    seen: Watermark | None = None
    while True:
        is_last = is_over()
        with source.snapshot() as snapshot:
            watermark = snapshot.watermark
            has_news = seen is None or snapshot.changed(seen) != []
        manifest = read_manifest(lake)
        if has_news or (manifest and is_due(manifest)):
            refresh(lake, source)
        seen = watermark
        if is_last:
            return
        if has_news:
            time.sleep(_POLL_S)  # a burst of commits is one refresh
        bell.wait(pause_s)


def _main() -> None:
    from grabient_ops.logs import configure_logs
    from grabient_ops.settings import Settings

    settings = Settings()
    configure_logs(settings.log_level, settings.log_format)
    run(settings.home / "lake", settings.store_url, parent=int(sys.argv[1]))


if __name__ == "__main__":
    _main()
