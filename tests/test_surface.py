"""The public surface is small and tested: what `sim` offers, and that every name in an `__all__` exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

import sim
from tests.budget import holds_for_each

MODULES = [
    m.name
    for m in pkgutil.walk_packages(sim.__path__, "sim.")
    if not m.name.rpartition(".")[2].startswith(
        "_"
    )  # sim.__main__, and the compiled builds of modules (sim.engine)
]


def test_the_names_of_the_top_level_are_these() -> None:
    assert sorted(sim.__all__) == [
        *(
            "Clock",
            "Comparison",
            "Disk",
            "Invariant",
            "LivenessViolation",
            "Machine",
            "Measure",
            "Member",
            "Node",
            "Part",
            "Prices",
        ),
        *("Retry", "Run", "SafetyViolation", "Scenario", "Simulation", "Sweep", "System", "compare"),
        *(
            "compare_scenarios",
            "draw_storm",
            "durable",
            "durable_log",
            "durable_map",
            "frontier",
            "load",
            "part",
        ),
        *("run_storm", "sweep"),
    ]
    for name in sim.__all__:
        assert callable(getattr(sim, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = sim.nonsense


def test_every_exported_name_exists() -> None:
    def check(name: str) -> None:
        module = importlib.import_module(name)
        assert [exported for exported in module.__all__ if not hasattr(module, exported)] == []

    holds_for_each(MODULES, check)


def _share_a_noun(one: type, other: type) -> bool:
    """Messages of different protocols, each in a folder or a file of its own, are named as their papers name them."""
    both = all(getattr(cls, "_is_message", False) for cls in (one, other))
    return (
        both
        and all(cls.__module__.startswith("sim.protocols.") for cls in (one, other))
        and (
            one.__module__.rpartition(".")[0] != other.__module__.rpartition(".")[0]
            or one.__module__.count(".") == 3
        )
    )


def test_a_name_means_one_class() -> None:
    """No two public classes share a name, except messages of different protocols: there the paper's noun wins.

    The two builds of a module (`sim.engine`) have the same classes.
    """
    classes: dict[str, dict[type, None]] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for exported in module.__all__:
            if inspect.isclass(found := getattr(module, exported)):
                classes.setdefault(exported, {})[found] = None
    assert len(classes["Prepare"]) > 1  # Paxos, Viewstamped Replication, ...
    shared = [
        f"{name}: {one.__module__} and {other.__module__}"
        for name, found in classes.items()
        for one, other in combinations(found, 2)
        if not _share_a_noun(one, other)
        and one.__module__.replace("._", ".") != other.__module__.replace("._", ".")
    ]
    assert not shared, "\n".join(shared)


def _aliases(path: Path) -> Iterator[tuple[str, str]]:
    """Name and meaning of each public type alias of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z][a-z]\w*", target.id) and value is not None:
            meaning = value.value if isinstance(value, ast.Constant) else ast.unparse(value)
            if not isinstance(value, ast.Call):
                yield target.id, str(meaning)


def test_a_name_of_a_type_means_one_thing() -> None:
    """No two type aliases of different meaning share a name, and none has the name of a public class."""
    files = sorted(Path(sim.__path__[0]).rglob("*.py"))
    meanings: dict[str, dict[str, str]] = {}
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                meanings.setdefault(node.name, {}).setdefault("a class", path.name)
        for name, meaning in _aliases(path):
            meanings.setdefault(name, {}).setdefault(meaning, path.name)
    assert {"Versions", "StoredVersion", "Play"} < set(meanings)
    shared = [f"{name}: {found}" for name, found in meanings.items() if len(found) > 1]
    assert not shared, "\n".join(shared)


def test_every_folder_with_code_is_a_package() -> None:
    """Without an ``__init__`` file a folder is left out wherever modules are listed, as in the tests above."""
    root = Path(sim.__path__[0])
    folders = {path.parent for path in root.rglob("*.py")}
    assert sorted(str(f.relative_to(root)) for f in folders if not (f / "__init__.py").exists()) == []
