"""Running contenders, each in a process of its own, and comparing what they cost.

This module imports nothing big: a child's peak memory starts from what its parent held when it forked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """One contender's run, start of Python included: seconds of wall clock and CPU, peak MB, and what it printed."""

    wall: float
    cpu: float
    peak: float
    said: Any


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is the peer's measure over ours, None where nothing stands beside it."""

    benchmark: str
    measure: str
    ours: str
    peer: str
    ratio: float | None
    goal: str


def run(command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end; its children's CPU counts as its own. Raises SystemExit with its words if it fails."""
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE) as process:
        assert process.stdout
        printed = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{printed}")
    peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Run(wall, usage.ru_utime + usage.ru_stime, peak, printed)


def contender(module: str, name: str, *arguments: object) -> Run:
    """Run `python -m benchmarks.<module> <name> <arguments>`; its last line of output is JSON."""
    done = run([sys.executable, "-m", f"benchmarks.{module}", name, *map(str, arguments)])
    return Run(done.wall, done.cpu, done.peak, json.loads(done.said.splitlines()[-1]))


def typical(runs: Sequence[Run]) -> Run:
    """The medians of several runs of one contender."""
    return Run(median(r.wall for r in runs), median(r.cpu for r in runs), median(r.peak for r in runs), runs[0].said)


def ratio(peer: Sequence[Run], ours: Sequence[Run], measure: str) -> float:
    """The median over rounds of the peer's measure divided by ours in the same round."""
    return median(getattr(p, measure) / getattr(o, measure) for p, o in zip(peer, ours, strict=True))


def same(what: str, *counts: Mapping[str, int]) -> None:
    """Refuse to compare contenders that did not do the same: SystemExit naming the counts that differ."""
    if any(found != counts[0] for found in counts):
        raise SystemExit(f"{what}: the contenders made different rows, so nothing is compared: {counts}")
