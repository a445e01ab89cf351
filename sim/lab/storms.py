"""Many storms, for one system or several, on all cores; what broke, and under which seed.

Each storm is drawn from its seed and demands progress afterwards (`sim.lab.storm`). With a store (``out=``) they can
be interrupted, and resumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from sim.display import Displayed
from sim.lab.jobs import Failed, RunGrid, RunTask, perform, refuse_all_failed
from sim.lab.labels import label_all
from sim.lab.run import Check, Run
from sim.lab.scenario import Scenario
from sim.lab.seeds import seed_list
from sim.lab.storm import draw_storm
from sim.lab.work import Failure, Work
from sim.system import System

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Storms", "run_storms"]

_STATUSES = ("valid", "unknown", "no claim", "invalid")


@dataclass(frozen=True)
class Storms(Displayed):
    """Storms that were run: ``runs`` and their ``checks``, and those that gave no result (``failed``)."""

    labels: tuple[str, ...]
    runs: tuple[Run, ...]
    checks: tuple[Check, ...]
    failed: tuple[Failed, ...]

    @property
    def ok(self) -> bool:
        """Whether no storm broke anything, and each ran to its end."""
        return not self.broken and not self.failed

    @property
    def broken(self) -> tuple[tuple[Run, Check], ...]:
        """The storms that broke an invariant, a promise, or progress, with what was found."""
        pairs = zip(self.runs, self.checks, strict=True)
        return tuple((run, check) for run, check in pairs if check.status == "invalid")

    def table(self) -> pd.DataFrame:
        """One row per system: ``system, storms``; how many are ``valid, unknown, no claim, invalid``; ``failed``."""
        import pandas as pd

        rows = []
        for label in self.labels:
            counts = Counter(
                c.status for r, c in zip(self.runs, self.checks, strict=True) if r.label == label
            )
            failed = sum(one.label == label for one in self.failed)
            row: dict[str, object] = {"system": label, "storms": counts.total() + failed}
            rows.append(row | {status: counts[status] for status in _STATUSES} | {"failed": failed})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        lost = f", {len(self.failed)} failed" if self.failed else ""
        return (
            f"<Storms of {', '.join(self.labels)}: {len(self.runs)} storms, {len(self.broken)} broken{lost}>"
        )

    def text(self) -> str:
        """The table, and a line for each storm that broke something or failed."""
        lines = [f"{run.label}, seed {run.seed}: {_first(run, check)}" for run, check in self.broken]
        return "\n".join([self.table().to_string(index=False), *lines, *map(str, self.failed)])


def _first(run: Run, check: Check) -> str:
    return " ".join(str(run.violation if run.violation is not None else check).split("\n", 1)[0].split())


def run_storms(
    systems: System | Iterable[System],
    *,
    seeds: int | Iterable[int] = 20,
    storm: Callable[[System, int], Scenario] = draw_storm,
    **work: Unpack[Work],
) -> Storms:
    """Run the storm of each seed for each system, and judge it.

    Parameters
    ----------
    systems:
        One system, or several.
    seeds:
        The seeds of the storms; a number n means the first n.
    storm:
        The function that makes the scenario of a system under a seed.
    work:
        See `sim.lab.work.Work`.

    Raises ValueError for no system, one given twice, no seed, and a seed given twice; if all storms fail, it raises
    what the first one raised.
    """
    chosen = [systems] if isinstance(systems, System) else list(systems)
    if not chosen:
        raise ValueError("nothing to run: give at least one system")
    each, drawn = label_all(chosen).each, seed_list(seeds)
    labels = [label for label in each for _ in drawn]
    tasks = [RunTask(storm(system, seed), seed, storm=True) for system in chosen for seed in drawn]
    results = perform(tasks, RunGrid("storms", labels), Work(progress="storms") | work)
    refuse_all_failed(results)
    runs, checks, failed = [], [], []
    for label, task, result in zip(labels, tasks, results, strict=True):
        if isinstance(result, Failure):
            failed.append(Failed(label, task.seed, task.scenario, result.reason))
            continue
        run, check = result
        run.label = label
        runs.append(run)
        checks.append(check if check is not None else run.check())
    return Storms(each, tuple(runs), tuple(checks), tuple(failed))
