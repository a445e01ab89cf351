"""What a checked storm costs, against another commit: both in one process, run in turn.

    python benchmarks/bench_checking.py --against 01f9e07 --seeds 2 --storm 8
    python benchmarks/bench_checking.py --bare               # the same storms, unchecked
    python benchmarks/bench_checking.py --floor              # unchecked here, checked there: what is left to gain

Each storm is that of `draw_storm`, of every system of the library. A ratio below 1 says that this tree needs less
processor time. The events of both are counted, too: if a commit draws other storms, times are compared by event.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent.parent


class Tree:
    """One version of the package: its modules, which stand in for those of the other while it runs."""

    def __init__(self, root: Path) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._root = str(root)
        with self:
            self.lab = importlib.import_module("sim.lab")
            self.protocols = importlib.import_module("sim.protocols")
            self.system = importlib.import_module("sim.system").System

    def __enter__(self) -> Tree:
        sys.path.insert(0, self._root)
        sys.modules.update(self._modules)
        return self

    def __exit__(self, *_: object) -> None:
        sys.path.remove(self._root)
        mine = [name for name in sys.modules if name == "sim" or name.startswith("sim.")]
        self._modules = {name: sys.modules.pop(name) for name in mine}

    def systems(self) -> Iterator[str]:
        """The names of all systems that can be made without arguments."""
        for name in self.protocols.__all__:
            kind = getattr(self.protocols, name)
            if isinstance(kind, type) and issubclass(kind, self.system):
                try:
                    kind()
                except (TypeError, ValueError):
                    continue
                yield name

    def storm(self, name: str, seed: int, length: float, *, check: bool) -> tuple[float, Any]:
        """Processor seconds of one storm, and how many events it had."""
        with self:
            draw = getattr(self.lab, "draw_storm", None) or self.lab.chaos_scenario  # its name before e96e23e
            scenario = draw(getattr(self.protocols, name)(), seed, length=length)
            scenario = dataclasses.replace(scenario, check=check)
            begun = time.process_time()
            run = scenario.run(seed)
            return time.process_time() - begun, run.events_processed


def main() -> int:
    """Print a line for each system, and the ratio over all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", default="01f9e07", help="a commit (default 01f9e07)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--storm", type=float, default=8.0, help="simulated seconds")
    parser.add_argument("--bare", action="store_true", help="without checking")
    parser.add_argument("--floor", action="store_true", help="without checking in this tree only")
    parser.add_argument("--rounds", type=int, default=2, help="of each storm; the quickest counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", options.against, "sim"], cwd=HERE, check=True, capture_output=True
        )
        subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
        new, old = Tree(HERE), Tree(Path(folder))
        compare(old, new, options)
    return 0


def compare(old: Tree, new: Tree, options: argparse.Namespace) -> None:
    """Run all storms, old and new in turn."""
    with new:
        names = list(new.systems())
    totals = [0.0, 0.0]
    for name in names:
        spent, mark = [0.0, 0.0], ""
        for seed in range(1, options.seeds + 1):
            took: list[list[float]] = [[], []]
            events = [0, 0]
            for _ in range(options.rounds):
                for which, tree in enumerate((old, new)):
                    checked = not (options.bare or (options.floor and tree is new))
                    seconds, events[which] = tree.storm(name, seed, options.storm, check=checked)
                    took[which].append(seconds)
            if events[0] != events[1]:
                mark = "  by event"
            spent[0] += min(took[0]) * events[1] / events[0]
            spent[1] += min(took[1])
        for which in (0, 1):
            totals[which] += spent[which]
        print(f"{name:24} {spent[0]:7.2f} s {spent[1]:7.2f} s   {spent[1] / spent[0]:.2f}{mark}", flush=True)
    print(f"{'all':24} {totals[0]:7.2f} s {totals[1]:7.2f} s   {totals[1] / totals[0]:.2f}")


if __name__ == "__main__":
    sys.exit(main())
