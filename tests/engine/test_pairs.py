"""The modules that have two builds: which they are, and that both have the same names."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from sim import engine
from tests.engine.engines import FOLDER, needs_both

MOST_LINES = 1200
"""Of Cython, without blank lines."""
ONLY_COMPILED = {"Callee", "SOURCES", "quicken"}
"""What only the compiled modules offer, to each other and to `sim.message`."""


def compiled_of(pair: str) -> Path:
    path = FOLDER / pair
    return path.with_name(f"_{path.name}.pyx")


def test_each_pair_has_both_sources_and_every_cython_source_is_of_a_pair() -> None:
    assert [pair for pair in engine.PAIRS if not (FOLDER / f"{pair}.py").exists()] == []
    written = {path.with_suffix(".pyx") for path in [*FOLDER.rglob("*.pyx"), *FOLDER.rglob("*.pxd")]}
    assert written == {compiled_of(pair) for pair in engine.PAIRS}


def test_there_is_little_cython() -> None:
    sources = [*FOLDER.rglob("*.pyx"), *FOLDER.rglob("*.pxd")]
    lines = [line for path in sources for line in path.read_text(encoding="utf-8").splitlines()]
    assert len([line for line in lines if line.strip()]) <= MOST_LINES


@needs_both
@pytest.mark.parametrize("pair", engine.PAIRS)
def test_the_compiled_module_has_the_names_of_the_other(pair: str) -> None:
    """Its public names are those of the Python module, or some of them; so are the members of its classes."""
    ours = importlib.import_module(f"sim.{pair.replace('/', '.')}")
    head, _, tail = f"sim.{pair.replace('/', '.')}".rpartition(".")
    compiled = importlib.import_module(f"{head}._{tail}")
    assert set(compiled.__all__) - ONLY_COMPILED <= set(ours.__all__)
    for name in sorted(set(compiled.__all__) - ONLY_COMPILED):
        one, other = getattr(ours, name), getattr(compiled, name)
        assert inspect.isclass(one) == inspect.isclass(other), name
        if inspect.isclass(one):
            assert members(one) - members(other) - left_to_heirs(one) == set(), name
            assert members(other) - members(one) <= bound(one), name
        elif not inspect.isbuiltin(other):
            assert parameters(one) == parameters(other), name


def members(kind: type) -> set[str]:
    """The public methods and attributes of a class, its bases' too, and those that its constructor sets."""
    return {name for name in dir(kind) if not name.startswith("_")} | bound(kind)


def left_to_heirs(kind: type) -> set[str]:
    """The methods that a class only names: those that derive from it have them."""
    return {
        name
        for name, function in vars(kind).items()
        if inspect.isfunction(function) and "NotImplementedError" in function.__code__.co_names
    }


def bound(kind: type) -> set[str]:
    """The public attributes that a class or its bases declare, or that their methods set on the object."""
    found: set[str] = set()
    for base in kind.__mro__:
        found |= set(inspect.get_annotations(base))
        for function in vars(base).values():
            code = getattr(function, "__code__", None)
            if inspect.isfunction(function) and code is not None:
                lines = inspect.getsource(function)
                found |= {
                    name for name in code.co_names if f"self.{name} = " in lines or f"self.{name}: " in lines
                }
    return {name for name in found if not name.startswith("_")}


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)
