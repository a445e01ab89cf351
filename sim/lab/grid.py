"""The grid of a sweep: every combination of the values of its fields, and the scenario at each point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from sim.lab.fairness import fair, sized
from sim.lab.labels import describe, label_all
from sim.lab.scenario import Scenario
from sim.lab.seeds import distinct
from sim.settings import field_path

__all__ = ["SYSTEM", "SweepGrid", "grid", "plain_value"]

SYSTEM = "system"
"""The field of a scenario that holds its system."""

_Values = Mapping[str, list[Any]]


@dataclass(frozen=True)
class SweepGrid:
    """The points of a sweep, the last field varying fastest, and the scenario at each.

    ``points``: field -> value. ``scenarios``: one for each point. ``groups``: numbers of points that differ only in the
    system, or one point each if no system is swept. ``labels``: the label of the runs at each point; labels of
    swept systems say how they differ.
    """

    fields: tuple[str, ...]
    points: list[dict[str, Any]]
    scenarios: list[Scenario]
    groups: list[list[int]]
    labels: list[str]

    def name(self, number: int) -> str:
        """A point in words: ``"Raft, workload.rate=20"``."""
        values = [
            f"{name.replace('__', '.')}={plain_value(value)}"
            for name, value in self.points[number].items()
            if name != SYSTEM
        ]
        return ", ".join([*([self.labels[number]] if SYSTEM in self.fields else []), *values])


def plain_value(value: Any) -> Any:
    """A value of a field as it stands in frames: a number, or words."""
    return (
        value if isinstance(value, int | float | str | bool | None) else getattr(value, "label", repr(value))
    )


def grid(scenario: Scenario, fields: Mapping[str, Iterable[Any]]) -> SweepGrid:
    """Every combination of the values. Raises ValueError for a field without values, and for one given twice."""
    values = {field_path(name): _options(name, options) for name, options in fields.items()}
    indices = list(product(*(range(len(options)) for options in values.values())))
    points = [{name: values[name][i] for name, i in zip(values, index, strict=True)} for index in indices]
    if SYSTEM not in values:
        scenarios = [_varied(scenario, point) for point in points]
        alone = [[number] for number in range(len(points))]
        labels = [describe(one.system) for one in scenarios]
        return SweepGrid(tuple(values), points, scenarios, alone, labels)
    # Systems get common sizes and times among those with the same values of all other fields.
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, index in enumerate(indices):
        outside = tuple(i for name, i in zip(values, index, strict=True) if not _of_system(name))
        groups.setdefault(outside, []).append(number)
    found: dict[int, Scenario] = {}
    for numbers in groups.values():
        systems = [_varied(scenario, points[number], _of_system).system for number in numbers]
        world = _varied(scenario, points[numbers[0]], lambda name: not _of_system(name))
        found |= dict(zip(numbers, fair(systems, world), strict=True))
    in_order = [found[number] for number in range(len(points))]
    return SweepGrid(
        tuple(values), points, in_order, list(groups.values()), _labels(scenario, values, indices)
    )


def _labels(scenario: Scenario, values: _Values, indices: list[tuple[int, ...]]) -> list[str]:
    """The labels of swept systems, which say how they differ."""
    each = label_all(sized(values[SYSTEM], scenario)).each
    at = list(values).index(SYSTEM)
    return [each[index[at]] for index in indices]


def _options(name: str, options: Any) -> list[Any]:
    if isinstance(options, str | bytes) or not isinstance(options, Iterable):
        raise ValueError(f"the values of {name} must be a list, not {options!r}; write [{options!r}]")
    listed = list(options)
    if not listed:
        raise ValueError(f"nothing to sweep: {name} has no values")
    distinct(f"{name}: the value", listed)
    return listed


def _of_system(name: str) -> bool:
    return name.partition("__")[0] == SYSTEM


def _varied(
    scenario: Scenario, point: Mapping[str, Any], wanted: Callable[[str], bool] = lambda _: True
) -> Scenario:
    return scenario.vary_all({name: value for name, value in point.items() if wanted(name)})
