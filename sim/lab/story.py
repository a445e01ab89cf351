"""Stories: scenario scripts that end in a chart and a conclusion.

A script in ``scenarios/`` is a module with

- a docstring, whose first line is its title;
- ``scenario``, the `Scenario` that ``sim run --set`` and ``sim sweep`` vary;
- ``tell(scenario, seed, folder) -> str``: runs it, writes charts and frames into the folder, and returns a
  two-line conclusion computed from what happened;
- perhaps ``SHORT``: fields of the scenario, and constants of the script (in capitals), with which it is told quickly;
- at the foot ``if __name__ == "__main__": main(__file__, scenario, tell)``, so that plain Python runs it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from sim.lab.scenario import Scenario
from sim.written.texts import noted

__all__ = ["main", "tell_default", "told"]

Tell = Callable[[Scenario, int, Path], str]


def main(file: str, scenario: Scenario, tell: Tell, seed: int = 1) -> None:
    """Run a scenario script as plain Python; the seed is an optional argument on the command line."""
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else seed
    folder = Path("results") / Path(file).stem
    folder.mkdir(parents=True, exist_ok=True)
    print(told(tell, scenario, chosen, folder, sys.modules["__main__"].__doc__))
    print(f"charts and frames: {folder}")


def told(tell: Tell, scenario: Scenario, seed: int, folder: Path, text: str | None = None) -> str:
    """Run ``tell``; its pictures get the title (the first line of ``text``), the seed and the settings as metadata."""
    from sim.analysis.plots import about

    title = (text or "").strip().partition("\n")[0] or scenario.name or "story"
    with about(title=title, seed=seed, settings=noted([scenario])):
        return tell(scenario, seed, folder)


def tell_default(scenario: Scenario, seed: int, folder: Path) -> str:
    """The ``tell`` of a script that has none, for `sim run`: run, judge, save frames and a timeline."""
    from sim.analysis.plots import save

    run = scenario.run(seed)
    run.save(folder)
    save(run.plot.timeline(), folder / "timeline.png")
    summary = run.summary()
    return (
        f"{run.label}, seed {seed}: {summary['throughput']:.1f} operations/s, "
        f"p50 {1e3 * summary['p50']:.1f} ms, p99 {1e3 * summary['p99']:.1f} ms\n{run.check()}"
    )
