"""What a piece of work costs: wall time, CPU seconds and peak memory, each in a fresh process."""

import gc
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Cost:
    """What some work took.

    Attributes:
        wall_s: by the clock on the wall.
        cpu_s: of all threads, user and kernel; on a shared machine the fairer number.
        peak_mb: most memory that the whole process ever held (MiB), imports included.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


class Meter:
    """Adds up what the work inside its blocks takes."""

    def __init__(self) -> None:
        gc.collect()  # else the first collection of all that was imported falls into the work
        self._wall_s = 0.0
        self._cpu_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the block; several blocks add up."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._wall_s += time.perf_counter() - wall
        self._cpu_s += time.process_time() - cpu

    def read(self) -> Cost:
        """Return what all blocks took, and this process's peak so far."""
        return Cost(self._wall_s, self._cpu_s, peak_mb())


def peak_mb() -> float:
    """Return this process's peak memory in MiB; unlike `ru_maxrss` it starts afresh at `exec`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [peak] = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 1024


def in_fresh_process(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a module's function in a new interpreter and return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def run_command(command: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end, output dropped; raise when it fails.

    Its children count for CPU once it has waited for them, and only the largest process for memory.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(costs: Sequence[Cost]) -> Cost:
    """Return the least of each: what the work needs when nobody disturbs it."""
    return Cost(
        min(cost.wall_s for cost in costs),
        min(cost.cpu_s for cost in costs),
        min(cost.peak_mb for cost in costs),
    )
