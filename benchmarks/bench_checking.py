"""What a checked storm costs, against another commit: each in a process of its own, asked in turn.

    python benchmarks/bench_checking.py                                  # all systems that both trees have
    python benchmarks/bench_checking.py Raft EPaxos --against 01f9e07 --seeds 3 --rounds 5
    python benchmarks/bench_checking.py --bare                           # the same storms, unchecked
    python benchmarks/bench_checking.py --floor                          # unchecked here, checked there

What `draw_storm` draws for a seed is another storm in another commit. So the faults are made by hand, the same at the
same times (`checked_storm.py`, which drives both trees). Streams of random numbers have had the same names, so most
systems take the very same steps in both: the table says how many messages reached a node, in the other tree and here.
Where the counts differ, since a protocol was mended or has another option on, CPU seconds are compared by message.
A ratio below 1 says that this tree needs less; it is the median over seeds of the quickest round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from side_by_side import progress

from sim import protocols
from sim.engine import engine_in_words
from sim.system import System

HERE = Path(__file__).resolve().parent.parent


class Worker:
    """A process that plays storms with one version of the package."""

    def __init__(self, root: Path) -> None:
        script = HERE / "benchmarks" / "checked_storm.py"
        environment = {**os.environ, "PYTHONPATH": str(root)}
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=environment,
        )

    def storm(self, name: str, seed: int, length: float, *, check: bool) -> Any:
        """CPU seconds, messages, events and the broken invariant; a text: why it cannot be played."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([name, seed, length, check]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def trees(commit: str) -> Iterator[tuple[Worker, Worker]]:
    """Workers with the sources of a commit, and with those here."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", commit, "sim"], cwd=HERE, check=True, capture_output=True)
        subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
        workers = Worker(Path(folder)), Worker(HERE)
        try:
            yield workers
        finally:
            for worker in workers:
                worker.close()


def systems() -> list[str]:
    """The names of all systems that can be made without arguments."""
    found = []
    for name in protocols.__all__:
        kind = getattr(protocols, name)
        if isinstance(kind, type) and issubclass(kind, System):
            try:
                kind()
            except (TypeError, ValueError):
                continue
            found.append(name)
    return found


def ratio_of(name: str, both: tuple[Worker, Worker], options: argparse.Namespace) -> float | None:
    """Run the storms of one system, old and new in turn, and print a line. None: one of them cannot be played."""
    checked = (not options.bare, not options.bare and not options.floor)
    ratios, messages, seconds = [], [0, 0], [0.0, 0.0]
    for seed in range(1, options.seeds + 1):
        took: tuple[list[float], list[float]] = ([], [])
        count = [0, 0]
        for round_ in range(options.rounds):
            progress(f"{name}, seed {seed}, round {round_ + 1}")
            for which in (0, 1):
                answer = both[which].storm(name, seed, options.storm, check=checked[which])
                if isinstance(answer, str) or answer[3]:
                    progress("")
                    print(
                        f"{name:24} {('there', 'here')[which]}: {answer if isinstance(answer, str) else answer[3]}"
                    )
                    return None
                took[which].append(answer[0])
                count[which] = answer[1]
        old, new = min(took[0]), min(took[1])
        ratios.append(new / count[1] / (old / count[0]))
        for which in (0, 1):
            messages[which] += count[which]
            seconds[which] += min(took[which])
    progress("")
    ratio = statistics.median(ratios)
    same = "" if messages[0] == messages[1] else f"  by message: {messages[0]:,} there"
    print(
        f"{name:24} {seconds[0]:7.2f} s {seconds[1]:7.2f} s {messages[1]:>9,} {ratio:6.2f}{same}", flush=True
    )
    return ratio


def main() -> int:
    """Print a line for each system, and the median of their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", help="names in sim.protocols (default: all)")
    parser.add_argument("--against", default="01f9e07", help="a commit (default 01f9e07)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--storm", type=float, default=8.0, help="simulated seconds")
    parser.add_argument("--bare", action="store_true", help="without checking")
    parser.add_argument("--floor", action="store_true", help="without checking in this tree only")
    parser.add_argument("--rounds", type=int, default=3, help="of each storm; the quickest counts")
    options = parser.parse_args()
    print(engine_in_words())
    print(f"{'system':24} {'there':>9} {'here':>9} {'messages':>9} {'ratio':>6}")
    with trees(options.against) as both:
        found = [ratio_of(name, both, options) for name in options.systems or systems()]
    ratios = [ratio for ratio in found if ratio is not None]
    if ratios:
        print(f"{'median of the systems':24} {statistics.median(ratios):36.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
