"""Judging histories: a million register operations beside pandas reading them, and what the search costs.

The yardstick for the first is `pandas.read_json(lines=True)` on the same history in the same run: judging should
take less time than reading. The second table is the just-in-time search on a key-value history with repeated values,
against concurrency and length.

    python benchmarks/bench_checks.py [operations]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from side_by_side import progress

from sim.analysis.checks import check, synthetic
from sim.analysis.history import read_history, write_history

OPERATIONS = 1_000_000
ROUNDS = 3
MIX = {"get": 0.5, "put": 0.3, "cas": 0.1, "increment": 0.05, "delete": 0.05}


def seconds(function: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """The median CPU seconds of a call."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def judged(frame: pd.DataFrame, **options: Any) -> None:
    verdict = check(frame, **options)
    assert verdict.valid, verdict.reason


def million(operations: int) -> bool:
    """Judge against read; whether judging is quicker."""
    progress("making the history")
    frame = synthetic(operations, clients=5, keys=100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        write_history(frame, path)
        progress("pandas reads")
        reading = seconds(lambda: pd.read_json(path, lines=True))
        progress("we read")
        ours = seconds(lambda: read_history(path), 1)
        progress("judging")
        judging = seconds(lambda: judged(frame, model="register"))
        tracemalloc.start()
        judged(frame, model="register")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    progress("")
    print(f"register, unique values, {operations:,} operations, CPU seconds")
    print(f"  pandas.read_json(lines=True)   {reading:6.2f}")
    print(f"  sim check's reader             {ours:6.2f}")
    good = judging < reading
    print(f"  judged (zones)                 {judging:6.2f}   < reading {'reached' if good else 'MISSED'}")
    print(f"  peak memory while judging      {peak / operations:6.0f} bytes an operation")
    return good


def search_costs() -> None:
    """The search against concurrency and length; a cell is CPU seconds, or says that the budget was spent."""
    print("\nkey-value, 10 keys, 10 different values, 1 % unknown outcomes, CPU seconds of the search")
    lengths = (500, 1000, 2000, 4000, 8000)
    print(f"  {'clients':>8}" + "".join(f"{n:>10,}" for n in lengths))
    for clients in (5, 10, 20, 50, 100):
        cells = []
        for length in lengths:
            progress(f"{clients} clients, {length} operations")
            frame = synthetic(length, clients=clients, keys=10, values=10, mix=MIX, unknown=0.01)
            start = time.process_time()
            verdict = check(frame, model="key-value")
            cells.append(f"{time.process_time() - start:.2f}" if verdict.valid else "(budget)")
        progress("")
        print(f"  {clients:>8}" + "".join(f"{cell:>10}" for cell in cells))


def main(operations: int = OPERATIONS) -> int:
    """Print both tables; 1 when judging took longer than reading."""
    good = million(operations)
    search_costs()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
