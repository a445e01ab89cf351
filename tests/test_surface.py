"""The public surface is small and tested: what `sim` offers, and that every name in an `__all__` exists."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import sim

MODULES = [m.name for m in pkgutil.walk_packages(sim.__path__, "sim.") if m.name != "sim.__main__"]


def test_the_names_of_the_top_level_are_these() -> None:
    assert sorted(sim.__all__) == [
        *(
            "Clock",
            "Comparison",
            "Disk",
            "Invariant",
            "LivenessViolation",
            "Machine",
            "Member",
            "Node",
            "Part",
        ),
        *("Retry", "Run", "SafetyViolation", "Scenario", "Simulation", "Sweep", "System", "chaos", "compare"),
        *("compare_scenarios", "durable", "durable_log", "durable_map", "part", "sweep"),
    ]
    for name in sim.__all__:
        assert callable(getattr(sim, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = sim.nonsense


@pytest.mark.parametrize("name", MODULES)
def test_every_exported_name_exists(name: str) -> None:
    module = importlib.import_module(name)
    assert all(hasattr(module, exported) for exported in module.__all__)
