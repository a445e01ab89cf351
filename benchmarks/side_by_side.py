"""How benchmarks measure: peers and we take turns in one run; medians, ratios, and events beside seconds.

CPU seconds count, so that what else the machine does matters little, and each round measures every contender once,
so that what it matters, it matters to all alike. A ratio is the median over rounds of the ratio within a round.
Each table is also written to ``results/bench/<script>.json``, with facts about the machine.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from sim.engine import COMPILED, engine_in_words
from sim.lab.reproduce.record import environment

__all__ = ["Contender", "bare_loop", "by_engine", "compare", "exponential_draws", "progress"]


@dataclass(frozen=True)
class Contender:
    """Something to measure.

    Parameters
    ----------
    name:
        What the table calls it.
    run:
        Does the work and returns what it counted: units of work, and events scheduled on the way.
    """

    name: str
    run: Callable[[], tuple[int, int]]


@dataclass(frozen=True)
class _Round:
    units: int
    events: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.units / self.seconds


def compare(unit: str, contenders: list[Contender], targets: dict[str, float], rounds: int = 7) -> bool:
    """Measure all contenders in turns and print a table. The first one is ours.

    Parameters
    ----------
    unit: what is counted, in the plural.
    targets: peer -> the least ratio of our rate to its.
    rounds: how often each is measured.

    Returns whether all targets are reached.
    """
    taken: dict[str, list[_Round]] = {contender.name: [] for contender in contenders}
    for i in range(rounds):
        progress(f"round {i + 1} of {rounds}")
        for contender in contenders:
            gc.collect()
            start = time.process_time()
            units, events = contender.run()
            taken[contender.name].append(_Round(units, events, time.process_time() - start))
    progress("")
    print(engine_in_words())
    ours = taken[contenders[0].name]
    rows: list[dict[str, Any]] = []
    width = max(len(contender.name) for contender in contenders)
    print(f"{'':{width}}  {unit + '/s':>14}  {'events a unit':>13}  {'ours / this':>11}  target")
    reached = True
    for name, rounds_taken in taken.items():
        rate = statistics.median(one.rate for one in rounds_taken)
        ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, rounds_taken, strict=True))
        line = f"{name:{width}}  {rate:>14,.0f}  {rounds_taken[0].events / rounds_taken[0].units:>13.2f}  "
        rows.append({"contender": name, f"{unit} a second": rate, "ours over this": ratio})
        rows[-1] |= {
            "events": [one.events for one in rounds_taken],
            "seconds": [one.seconds for one in rounds_taken],
        }
        if rounds_taken is not ours:
            line += f"{ratio:>11.2f}"
        if name in targets:
            rows[-1]["target"] = targets[name]
            good = ratio >= targets[name]
            reached = reached and good
            line += f"  >= {targets[name]:g} {'reached' if good else 'MISSED'}"
        print(line)
    _keep(unit, rows)
    return reached


def by_engine(compiled: dict[str, float], python: dict[str, float]) -> dict[str, float]:
    """The targets for the engine that runs."""
    return compiled if COMPILED else python


def _keep(unit: str, rows: list[dict[str, Any]]) -> None:
    """Add a table to the JSON file of the script that runs; a new run of the script begins a new file."""
    script = Path(sys.argv[0]).stem
    file = Path("results", "bench", f"{script}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    _tables.append({"unit": unit, "contenders": rows})
    facts = {
        **environment(),
        "model": next(
            (line.partition(":")[2].strip() for line in _processor_lines() if "model name" in line), ""
        ),
        "cores": os.cpu_count(),
        "engine": engine_in_words(),
    }
    file.write_text(json.dumps({"machine": facts, "tables": _tables}, indent=1) + "\n", encoding="utf-8")


def _processor_lines() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


_tables: list[dict[str, Any]] = []
"""Those of the script that runs."""


def progress(text: str) -> None:
    """One line that overwrites itself, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r{text:40}", end="\r", file=sys.stderr, flush=True)


def exponential_draws(mean: float, seed: int) -> Callable[[], float]:
    """Exponential numbers drawn from NumPy in blocks, one a call."""
    generator = np.random.default_rng(seed)
    return chain.from_iterable(iter(lambda: generator.exponential(mean, 1024).tolist(), None)).__next__


def bare_loop(events: int, in_flight: int, mean: float) -> int:
    """The least that any simulation does in Python: draw a delay, push, pop, call a function. Returns events."""
    draw = exponential_draws(mean, seed=1)
    heap: list[Any] = []
    serial = 0

    def receive(argument: int) -> None:
        nonlocal serial
        serial += 1
        heappush(heap, (now + draw(), serial, receive, argument))

    now = 0.0
    for argument in range(in_flight):
        receive(argument)
    for _ in range(events):
        now, _, function, argument = heappop(heap)
        function(argument)
    return events
