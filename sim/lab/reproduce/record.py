"""The record in a figure or saved result: scenarios in the written form, seeds, digests of the runs, and numbers."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim.lab.version import version
from sim.written.texts import parse_json
from sim.written.tree import to_dict

if TYPE_CHECKING:
    from sim.lab.run import Run

__all__ = ["FigureRecord", "GroupRecord", "environment", "record_of", "stated"]

_FORM = 1

Stated = Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True)
class GroupRecord:
    """Runs of one scenario: its ``label`` and written form, the seeds, a digest for each, and what is stated of them.

    ``storm``: progress was demanded at their end (`sim.lab.storm`).
    ``stated``: measure -> mean over the seeds, and the low and high end of its 95 % interval (NaN with one seed).
    """

    label: str
    scenario: Mapping[str, Any]
    seeds: tuple[int, ...]
    digests: tuple[str, ...]
    stated: Stated
    storm: bool = False


@dataclass(frozen=True)
class FigureRecord:
    """All runs of a figure or of a saved result, and the versions and the processor that made them."""

    versions: Mapping[str, str]
    groups: tuple[GroupRecord, ...]

    def to_json(self) -> str:
        """The record as one line of JSON, in ASCII."""
        groups = [
            {
                "label": one.label,
                "scenario": one.scenario,
                "seeds": list(one.seeds),
                "storm": one.storm,
                "digests": list(one.digests),
                "stated": {name: [_or_none(part) for part in parts] for name, parts in one.stated.items()},
            }
            for one in self.groups
        ]
        return json.dumps({"form": _FORM, "versions": dict(self.versions), "groups": groups}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> FigureRecord:
        """The record that a JSON text holds. Raises ValueError for a text that is no record."""
        tree = parse_json(text)
        if not isinstance(tree, dict) or tree.get("form") != _FORM:
            form = tree.get("form") if isinstance(tree, dict) else None
            raise ValueError(f"its record has the form {form!r}; this version reads the form {_FORM}")
        try:
            groups = tuple(_group(one) for one in tree["groups"])
            versions = {str(name): str(value) for name, value in tree["versions"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"its record says what no record says: {error!r}") from error
        if not groups:
            raise ValueError("its record names no run")
        return cls(versions, groups)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _group(tree: Mapping[str, Any]) -> GroupRecord:
    seeds, digests = tuple(tree["seeds"]), tuple(str(digest) for digest in tree["digests"])
    if not seeds or len(seeds) != len(digests) or len(set(seeds)) != len(seeds):
        raise ValueError(f"{len(seeds)} seeds and {len(digests)} digests")
    if not all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds):
        raise ValueError(f"seeds {seeds!r}")
    numbers = {}
    for name, parts in tree["stated"].items():
        mean, low, high = (math.nan if part is None else float(part) for part in parts)
        numbers[str(name)] = (mean, low, high)
    return GroupRecord(
        str(tree["label"]), dict(tree["scenario"]), seeds, digests, numbers, tree["storm"] is True
    )


def environment() -> dict[str, str]:
    """The environment that may affect results: versions of package, sources, Python, NumPy, pandas; the processor."""
    import numpy as np
    import pandas as pd

    return {
        "quorumlab": str(import_module("sim").__version__),
        "sources": version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "processor": f"{platform.machine()} {platform.system()}",
    }


def stated(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float, float]]:
    """The stated numbers of some runs: mean and 95 % interval of each measure. ``rows``: the measures of each run."""
    from sim.analysis.statistics import AT_LEAST, mean_interval

    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        if not name.endswith(AT_LEAST):
            interval = mean_interval([row.get(name, math.nan) for row in rows])
            found[name] = (interval.mean, interval.low, interval.high)
    return found


def record_of(runs: Sequence[Run]) -> FigureRecord:
    """The record of these runs, a group for each label and scenario. Raises ValueError for what has no written form."""
    groups: dict[tuple[str, str, bool], list[Run]] = {}
    written: dict[int, str] = {}
    for run in runs:
        tree = written.get(id(run.scenario)) or json.dumps(to_dict(run.scenario))
        written[id(run.scenario)] = tree
        groups.setdefault((run.label, tree, run.storm), []).append(run)
    found = tuple(
        GroupRecord(
            label,
            json.loads(tree),
            tuple(run.seed for run in each),
            tuple(run.digest() for run in each),
            stated([run.measures() for run in each]),
            storm,
        )
        for (label, tree, storm), each in groups.items()
    )
    return FigureRecord(environment(), found)
