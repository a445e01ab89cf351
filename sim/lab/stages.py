"""Adding seeds until measures are as precise as wanted, by a rule that is fixed before the first run.

See `sim.analysis.precision` for the rule, and docs/measures.md for how often its intervals cover the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from sim.display import Displayed
from sim.lab.jobs import RunResult, refuse_all_failed
from sim.lab.seeds import seed_list
from sim.lab.work import Failure, Work
from sim.written.names import did_you_mean
from sim.written.tree import from_tree, to_tree

if TYPE_CHECKING:
    from sim.analysis.precision import Shortfall
    from sim.measure import Measure

__all__ = [
    "MOST_SEEDS",
    "Aim",
    "Precision",
    "Stages",
    "aim",
    "first_stage",
    "in_stage",
    "in_stages",
    "stages_of",
    "stages_told",
    "stages_tree",
]

MOST_SEEDS = 1000
"""The largest number of seeds if no other bound is given."""

_BY_DEFAULT = ("throughput", "p50", "p99")

Precision = float | Mapping[str, float]


@dataclass(frozen=True)
class Aim:
    """The wanted precision: measure -> half of its interval over the mean; and the largest number of seeds."""

    wanted: Mapping[str, float]
    max_seeds: int

    def __str__(self) -> str:
        return ", ".join(f"{name} ± {_percent(part)}" for name, part in self.wanted.items())


@dataclass(frozen=True)
class Stages(Displayed):
    """The result for an aim: the number of seeds after each stage, and the measures that are too imprecise."""

    aim: Aim
    sizes: tuple[int, ...]
    short: tuple[Shortfall, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether all measures are as precise as wanted."""
        return not self.short

    def __str__(self) -> str:
        wanted = str(self.aim)
        stages = f"{len(self.sizes)} stage{'s' * (len(self.sizes) > 1)} ({', '.join(map(str, self.sizes))})"
        if self.reached:
            return f"precision wanted: {wanted}; reached with {self.sizes[-1]} seeds, in {stages}"
        bound = f"max_seeds={self.aim.max_seeds}"
        missed = "; ".join(map(_missed, self.short[:3])) + ("; ..." if len(self.short) > 3 else "")
        stopped = f" at {bound}" if self.sizes[-1] >= self.aim.max_seeds else ""
        return f"precision wanted: {wanted}; NOT reached{stopped}, in {stages}: {missed}"


def stages_told(stages: Sequence[Stages]) -> list[str]:
    """The results for an aim at several points: one line for the points that reached it, one for each other point."""
    reached = [one for one in stages if one.reached]
    missed = [str(one) for one in stages if not one.reached]
    if len(reached) < 2:
        return [*map(str, reached), *missed]
    sizes = [one.sizes[-1] for one in reached]
    where = f"at {len(reached)} of {len(stages)} places " if missed else ""
    line = f"precision wanted: {reached[0].aim}; reached {where}with {min(sizes)} to {max(sizes)} seeds"
    return [line, *missed]


def in_stage(work: Work, stage: int) -> Work:
    """The settings for the runs of a stage: its progress bar names the stage."""
    title = work.get("progress")
    return work if title is None or stage == 0 else work | Work(progress=f"{title}, stage {stage + 1}")


def stages_tree(stages: Sequence[Stages]) -> list[Any]:
    """The written form of the results for an aim."""
    return [
        {
            "wanted": dict(one.aim.wanted),
            "max_seeds": one.aim.max_seeds,
            "sizes": list(one.sizes),
            "short": [to_tree([short.group, short.measure, short.relative]) for short in one.short],
        }
        for one in stages
    ]


def stages_of(trees: Sequence[Any]) -> list[Stages]:
    """The results that `stages_tree` has written."""
    from sim.analysis.precision import Shortfall

    return [
        Stages(
            Aim(tree["wanted"], tree["max_seeds"]),
            tuple(tree["sizes"]),
            tuple(Shortfall(*from_tree(short)) for short in tree["short"]),
        )
        for tree in trees
    ]


def _percent(part: float) -> str:
    return f"{100 * part:.3g} %"


def _missed(short: Shortfall) -> str:
    if math.isnan(short.relative):
        return f"no run has a value of {short.measure}"
    named = f"{short.measure} of {short.group}" if short.group else short.measure
    return (
        f"{named} ± {_percent(short.relative)}"
        if math.isfinite(short.relative)
        else f"{named} has no interval"
    )


def aim(precision: Precision | None, max_seeds: int | None, own: Iterable[Measure] = ()) -> Aim | None:
    """The wanted precision, checked; None if none is wanted. ValueError for ``max_seeds`` without a precision.

    ``own``: the measures of the scenarios, beside those of every run.
    """
    if precision is None:
        if max_seeds is not None:
            raise ValueError(
                f"max_seeds={max_seeds!r} bounds the seeds that precision= adds; without it, seeds= says how many"
            )
        return None
    if isinstance(precision, Mapping):
        if not precision:
            raise ValueError(
                "precision names no measure: write precision={'p50': 0.02}, or one number for all"
            )
        wanted = dict(precision)
    else:
        wanted = dict.fromkeys(_BY_DEFAULT, precision)
    known = _known() | dict.fromkeys(measure.name for measure in own)
    for name, part in wanted.items():
        if name not in known:
            raise ValueError(f"precision: there is no measure {name!r}{did_you_mean(str(name), known)}")
        if isinstance(part, bool) or not isinstance(part, Real) or not 0 < part < 1:
            raise ValueError(f"precision is a fraction of the mean, such as 0.02 for ± 2 %, not {part!r}")
    most = MOST_SEEDS if max_seeds is None else max_seeds
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(f"max_seeds must be an integer of at least 1, not {max_seeds!r}")
    return Aim({name: float(part) for name, part in wanted.items()}, most)


def _known() -> dict[str, None]:
    """The names of all measures of a run."""
    import pandas as pd

    from sim.analysis.measures import summary
    from sim.analysis.statistics import AT_LEAST
    from sim.recorder import COLUMNS

    nothing = {
        name: pd.DataFrame({column: [] for column in COLUMNS[name]}) for name in ("operations", "events")
    }
    row = summary(nothing["operations"], nothing["events"], duration=1.0)
    return dict.fromkeys(name for name in row.index if not name.endswith(AT_LEAST))


def first_stage(seeds: Any, wanted: Aim | None, by_default: Any) -> list[int]:
    """The seeds to begin with. Raises ValueError where they are too few, or too many, for a precision."""
    from sim.analysis.precision import FIRST_STAGE, LEAST_STAGE

    if wanted is None:
        return seed_list(by_default if seeds is None else seeds)
    chosen = seed_list(min(FIRST_STAGE, wanted.max_seeds) if seeds is None else seeds)
    if len(chosen) < LEAST_STAGE:
        raise ValueError(
            f"precision= needs {LEAST_STAGE} seeds to begin with, to see how much they vary, not {len(chosen)}"
        )
    if len(chosen) > wanted.max_seeds:
        raise ValueError(f"seeds= begins with {len(chosen)}, more than max_seeds={wanted.max_seeds}")
    return chosen


def in_stages(
    names: Sequence[str],
    groups: Sequence[Sequence[int]],
    first: Sequence[int],
    wanted: Aim | None,
    run: Callable[[list[tuple[int, int]], int], list[RunResult]],
) -> tuple[list[list[tuple[int, RunResult]]], list[Stages]]:
    """Run scenarios under the first seeds, then under more, until all measures are as precise as wanted.

    Parameters
    ----------
    names:
        The names of the scenarios. Scenarios are numbered from 0.
    groups:
        Numbers of scenarios that get the same seeds, so that they can be paired.
    run:
        Runs pairs (number of a scenario, seed); the second argument is the number of the stage.

    Returns each scenario's seeds with their results, and the stages of each group (none without an aim). Raises the
    error of the first run if all runs of the first stage fail.
    """
    results: list[list[tuple[int, RunResult]]] = [[] for _ in names]
    seeds: list[list[int]] = [[] for _ in groups]
    sizes: list[tuple[int, ...]] = [()] * len(groups)
    stages: dict[int, Stages] = {}
    target = [len(first)] * len(groups)
    stage = 0
    while unfinished := [g for g, size in enumerate(target) if size > len(seeds[g])]:
        tasks: list[tuple[int, int]] = []
        for g in unfinished:
            new = _further(first, seeds[g], target[g])
            tasks += [(number, seed) for number in groups[g] for seed in new]
            seeds[g] += new
            sizes[g] = (*sizes[g], len(seeds[g]))
        done = run(tasks, stage)
        if stage == 0:
            refuse_all_failed(done)
        for (number, seed), result in zip(tasks, done, strict=True):
            results[number].append((seed, result))
        stage += 1
        if wanted is None:
            break
        for g in unfinished:
            short, needed = _judged(wanted, {names[number]: results[number] for number in groups[g]})
            stages[g] = Stages(wanted, sizes[g], short)
            target[g] = min(needed, wanted.max_seeds)
    return results, [stages[g] for g in sorted(stages)]


def _judged(
    wanted: Aim, results: Mapping[str, Sequence[tuple[int, RunResult]]]
) -> tuple[tuple[Shortfall, ...], int]:
    import pandas as pd

    from sim.analysis.precision import shortfalls

    rows = [
        {"run": name}
        | {
            m: math.nan if isinstance(one, Failure) else one[0].measures().get(m, math.nan)
            for m in wanted.wanted
        }
        for name, each in results.items()
        for _, one in each
    ]
    short, needed = shortfalls(pd.DataFrame(rows), wanted.wanted)
    return tuple(short), needed


def _further(first: Sequence[int], have: Sequence[int], size: int) -> list[int]:
    """The seeds to add: first those given, then the integers above the largest of them."""
    if not have:
        return list(first)
    begin = max(have) + 1
    return list(range(begin, begin + size - len(have)))
