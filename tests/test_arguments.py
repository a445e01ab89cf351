"""No argument of a public function is ignored or bent: what does not fit is refused with its name and value."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

import sim.analysis
import sim.analysis.plots
import sim.placement
from sim import Scenario
from sim.arguments import checked, resolved_hints
from sim.lab.compare import Comparison, compare
from sim.lab.plots import ComparisonPlots, RunPlots, SweepPlots
from sim.lab.run import Run
from sim.lab.simulation import Simulation
from sim.lab.sweep import Sweep
from tests.budget import holds_for_each

CLASSES = (Scenario, Run, RunPlots, Comparison, ComparisonPlots, Sweep, SweepPlots, Simulation)


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    for cls in CLASSES:
        for name, member in vars(cls).items():
            function = member.__func__ if isinstance(member, classmethod) else member
            if not name.startswith("_") and inspect.isfunction(function):
                yield f"{cls.__name__}.{name}", function


PLACING = (sim.placement.failing, sim.placement.some_lost, sim.placement.scatter_width)


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public functions of the analysis, its charts included, and those of the lab that make several runs."""
    yield "compare", compare
    for package in (sim.analysis, sim.analysis.plots):
        for found in pkgutil.iter_modules(package.__path__):
            if found.name == "style":  # the helpers of charts
                continue
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for name in getattr(module, "__all__", ()):
                function = getattr(module, name)
                if inspect.isfunction(function) and function.__module__ == module.__name__:
                    yield f"{module.__name__}.{name}", function
    yield from ((f"sim.placement.{function.__name__}", function) for function in PLACING)


# Helpers of charts, which get what the charts have checked.
INNER = {
    *("nice_width", "role_spans", "sampled", "shade_faults", "column_of"),
    # These take open files, which have no class of their own, and refuse what is none.
    *("read_history", "frame_of_csv", "atomic"),
}


# What these check in words of their own, which say more.
OWN = {
    "compare": ("systems", "scenario", "seeds"),
    "Scenario.from_dict": ("tree", "allow"),
    "Scenario.from_json": ("allow",),
    "Scenario.from_toml": ("allow",),
    "Simulation.hold": ("matches",),
    "Simulation.release": ("chosen",),
}


def cases() -> Iterator[Any]:
    for label, function in [*methods(), *functions()]:
        own = OWN.get(label, ())
        if label.rpartition(".")[2] not in INNER:
            for name, hint in resolved_hints(inspect.unwrap(function)).items():
                if hint is not Any and hint is not object and name not in own:
                    yield f"{label}({name})", function, name


def test_a_value_that_fits_no_annotation_is_refused_with_the_name_of_its_argument() -> None:
    holds_for_each(cases(), lambda case: refuses_a_stranger(*case[1:]), lambda case: str(case[0]))


def refuses_a_stranger(function: Callable[..., Any], name: str) -> None:
    stranger = object()
    parameters = inspect.signature(function).parameters.values()
    needed = [
        p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    values: dict[str, Any] = {
        **{p.name: stranger for p in needed},
        name: stranger,
        "self": None,
        "cls": None,
    }
    first = [values.get(p.name) for p in parameters if p.kind is p.POSITIONAL_ONLY]
    rest = [p.name for p in parameters if p.name in values and p.kind is not p.POSITIONAL_ONLY]
    with pytest.raises(ValueError, match=r" must be .*, not <object object"):
        function(*first, **{one: values[one] for one in rest})


def test_arrays_are_taken_where_a_sequence_is_wanted_and_defaults_are_never_refused() -> None:
    @checked
    def joined(names: list[str], more: tuple[str, ...] = (), last: Any = None) -> list[str]:
        return [*names, *more]

    assert joined(["a"], pd.Index(["b", "c"])) == ["a", "b", "c"]
    assert joined(["a"], last=None) == ["a"]
    with pytest.raises(ValueError, match="joined: each entry of more must be a text, not 3"):
        joined(["a"], more=("b", 3))  # type: ignore[arg-type]


def test_a_frame_without_a_column_that_is_needed_is_refused_with_the_columns_that_it_has() -> None:
    with pytest.raises(
        ValueError, match="sweep_lines: summaries has no column 'p98'; its columns are run, p99"
    ):
        sim.analysis.plots.sweep_lines(pd.DataFrame({"run": ["a"], "p99": [1.0]}), "rate", "p98")
