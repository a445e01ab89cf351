"""What can happen in a scenario, as far as it is known before the run: nodes, events, messages."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from types import CodeType
from typing import TYPE_CHECKING, Any

from sim.cluster.rpc import Call, Return
from sim.faults.checks import WORLD_EVENTS, Vocabulary
from sim.kernel import Streams
from sim.node import Node, Part, durable_fields
from sim.system import Member

if TYPE_CHECKING:
    from sim.lab.scenario import Scenario

__all__ = ["client_names", "recorded_events", "vocabulary_of"]


def client_names(scenario: Scenario) -> tuple[str, ...]:
    """The names of the client nodes."""
    return tuple(plan.name for plan in scenario.load.plan(scenario.network.regions, Streams(0)))


def vocabulary_of(scenario: Scenario) -> Vocabulary:
    """The nodes of a scenario, and what they can record, send and write."""
    members = scenario.resolved.members
    clients = client_names(scenario)
    classes: list[Any] = list(dict.fromkeys((*(m.node_class for m in members), scenario.system.client_class)))
    return Vocabulary(
        nodes=(*(m.name for m in members), *clients),
        writers=tuple(m.name for m in members if durable_fields(m.node_class)),
        events=WORLD_EVENTS.union(*(_events(cls) for cls in classes)),
        messages=frozenset(kind.__name__ for kind in (*_taken(members, scenario), Call, Return)),
    )


def _with_parts(node_class: Any) -> Iterator[Any]:
    yield node_class
    for declaration in node_class._parts.values():
        yield declaration.cls


def _taken(members: Iterable[Member], scenario: Scenario) -> Iterator[type]:
    """The message classes that members and clients take."""
    for member in (*members, Member("client", scenario.system.client_class)):
        yield from member.handled


@cache
def _events(node_class: Any) -> frozenset[str]:
    """The texts in the code of the packages of a node class, its bases and its parts.

    The name of an event may be computed, or recorded by an object that the node holds: so any text may be a name.
    """
    bases = [
        base for cls in _with_parts(node_class) for base in cls.__mro__ if base not in (Node, Part, object)
    ]
    packages = dict.fromkeys(_package(base.__module__) for base in bases)
    modules = [m for name, m in list(sys.modules.items()) if _package(name) in packages]
    return frozenset().union(*(_texts_of(module) for module in modules))


@cache
def recorded_events(node_class: Any) -> frozenset[str]:
    """The names of the events that the code of a node class, its bases and its parts records as constants."""
    bases = [base for cls in _with_parts(node_class) for base in cls.__mro__]
    return frozenset().union(*(_recorded_by(base) for base in bases if base not in (Node, Part, object)))


@cache  # a system with options makes many classes of the same few bases
def _recorded_by(base: type) -> frozenset[str]:
    """Those that the code in one class itself records."""
    codes = [code for member in vars(base).values() for code in _codes(member)]
    return frozenset(name for code in codes for name in _recorded(code))


def _recorded(code: CodeType) -> Iterator[str]:
    asked = False
    for instruction in dis.get_instructions(code):
        if asked and instruction.opname == "LOAD_CONST" and isinstance(instruction.argval, str):
            yield instruction.argval
        asked = instruction.opname in ("LOAD_METHOD", "LOAD_ATTR") and instruction.argval == "record"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _recorded(constant)


def _codes(member: Any) -> Iterator[CodeType]:
    """The code of a function, a property, a class method, or what a decorator has wrapped."""
    for function in (member, *(getattr(member, name, None) for name in ("fget", "__func__", "__wrapped__"))):
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _package(module: str) -> str:
    return module.rpartition(".")[0] or module


def _texts_of(module: Any) -> frozenset[str]:
    """The texts in the code of a module. Those of the library are looked for once: a user's may be loaded again."""
    ours = module.__name__.partition(".")[0] == "sim"
    return _texts_of_ours(module) if ours else frozenset(_texts(module))


@cache
def _texts_of_ours(module: Any) -> frozenset[str]:
    return frozenset(_texts(module))


def _texts(module: Any) -> Iterator[str]:
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) == module.__name__:
            members = vars(value).values() if isinstance(value, type) else [value]
            for member in members:
                for code in _codes(member):
                    yield from _in_constant(code)
        elif not name.startswith("__"):
            yield from _in_constant(value)


def _in_constant(value: Any) -> Iterator[str]:
    """The texts in a constant of a module, or in the constants of code."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, CodeType):
        yield from _in_each(value.co_consts)
    elif isinstance(value, tuple | list | frozenset):
        yield from _in_each(value)
    elif isinstance(value, dict):
        yield from _in_each(value.values())


def _in_each(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from _in_constant(value)
