"""What the benchmarks of `make bench` share: repeated measurements, their spread, and Markdown tables."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of CPU of this process and its ended children."""

    seconds: float
    cpu: float


@dataclass(frozen=True)
class Spread:
    """Repeated measurements, or their ratios."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, unit: str = "") -> str:
        """As "1.5 s [1.4, 1.7]": the median, the least and the greatest."""
        low, high = min(self.values), max(self.values)
        between = f" [{_short(low)}, {_short(high)}]" if len(self.values) > 1 else ""
        return f"{_short(self.median)}{unit}{between}"


def ratio(of: Sequence[float], to: Sequence[float]) -> Spread:
    """The ratios of measurements that were taken in turn."""
    return Spread(tuple(a / b for a, b in zip(of, to, strict=True)))


def in_turn(cases: Mapping[str, Callable[[], object]], times: int) -> dict[str, list[Cost]]:
    """Call all cases one after the other, and again, so that what disturbs the machine disturbs them alike."""
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    for _ in range(times):
        for name, call in cases.items():
            costs[name].append(cost_of(call))
    return costs


def cost_of(call: Callable[[], object]) -> Cost:
    cpu, begun = cpu_used(), time.perf_counter()
    call()
    return Cost(time.perf_counter() - begun, cpu_used() - cpu)


def cpu_used() -> float:
    """Seconds of CPU of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_memory() -> int:
    """Bytes: the most that this process has ever had in memory at a time."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def in_process(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> dict:
    """Run `python -m bench.MODULE ARGUMENTS` and return what it prints as JSON.

    Raises RuntimeError with the end of what it wrote when it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def markdown(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand to the right, the first column to the left."""
    marks = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (headings, marks, *rows))


def verdict(value: float, bound: float, unit: str = "times", is_least: bool = False) -> str:
    """As "at most 2 times: held", or in bold that it was missed."""
    held = value >= bound if is_least else value <= bound
    return f"at {'least' if is_least else 'most'} {bound:g} {unit}: {'held' if held else '**missed**'}"


def say(words: str) -> None:
    """Progress, for whoever waits: standard output is for the tables."""
    sys.stderr.write(f"{words}\n")  # in one piece: threads say things too


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
