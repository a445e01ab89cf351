"""The form of a famous mistake: a correct system with one thing overridden, and where the mistake happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from sim.node import Node, Part, part
from sim.system import Member, System

__all__ = ["ENTERED", "Bug", "Cost", "Mutated", "bug", "without_mistake"]

Cost = Literal["safety", "liveness", "anomaly", "performance", "accuracy", "availability", "metastable"]
"""What the mistake costs: a broken safety property, progress, a promise about data, or quality of service."""

S = TypeVar("S", bound=type[System])


@dataclass(frozen=True)
class Bug:
    """A mistake of the zoo.

    Attributes
    ----------
    id:
        Its short name, such as ``"RF3"``: also the name of its class in `sim.zoo`.
    kind:
        See `Cost`.
    happened:
        Where: the paper that warns of it, the issue of the project that had it, the post-mortem.
    mutated:
        The class of the system that has the mistake.
    """

    id: str
    kind: Cost
    happened: str
    mutated: type[System]

    @property
    def what(self) -> str:
        """What the code does instead of the right thing, in a sentence."""
        return " ".join((self.mutated.__doc__ or "").split())

    @property
    def system(self) -> System:
        """The system with the mistake, with its defaults."""
        return self.mutated()

    @property
    def correct(self) -> System:
        """The same system without the mistake: all fields are equal, but for one that is the mistake itself."""
        return without_mistake(self.system)

    @property
    def protocol(self) -> str:
        """The class of the correct system."""
        return type(self.correct).__name__


ENTERED: dict[str, Bug] = {}
"""All mistakes by id; filled as the modules of `sim.zoo` are imported."""


def bug(kind: Cost, *, happened: str) -> Callable[[S], S]:
    """Enter a class of systems into the zoo, under its name.

    Parameters
    ----------
    kind: see `Cost`.
    happened: see `Bug`.
    """

    def enter(mutated: S) -> S:
        ENTERED[mutated.__name__] = Bug(mutated.__name__, kind, happened, mutated)
        return mutated

    return enter


def without_mistake(system: System) -> System:
    """The correct form of a system of the zoo: all fields are equal, but for one that is the mistake itself."""
    whole = next(
        base
        for base in type(system).__mro__[1:]
        if base is not Mutated and dataclasses.is_dataclass(base) and not issubclass(base, Mutated)
    )
    values = {f.name: getattr(system, f.name) for f in dataclasses.fields(whole) if f.init}
    right = {"unsafe": False, **system.correct_fields}  # type: ignore[attr-defined]
    return whole(**{**values, **right})  # type: ignore[return-value]


class Mutated:
    """First base of a mistaken system: its members run mutated classes. The rest is the correct system.

    Attributes
    ----------
    mutated_nodes:
        Node classes with one thing overridden. A member whose class descends from the same class gets it on top.
    mutated_parts:
        Name of a part -> the part's class with one thing overridden, for members that have this part.
    correct_fields:
        Field -> its right value, where the mistake is the value of a field (a policy with one thing overridden).
    """

    mutated_nodes: ClassVar[tuple[type[Node], ...]] = ()
    correct_fields: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    mutated_parts: ClassVar[Mapping[str, type[Part]]] = MappingProxyType({})

    def members(self) -> tuple[Member, ...]:
        """The members of the correct system, with mutated classes."""
        members: tuple[Member, ...] = super().members()  # type: ignore[misc]
        parts = tuple(self.mutated_parts.items())
        return tuple(
            dataclasses.replace(member, node_class=_mutate(member.node_class, self.mutated_nodes, parts))  # type: ignore[arg-type]
            for member in members
        )


@cache
def _mutate(
    node_class: type[Node], nodes: tuple[type[Node], ...], parts: tuple[tuple[str, type[Part]], ...]
) -> type[Node]:
    for mutated in nodes:
        if issubclass(node_class, mutated.__bases__[0]):
            bases = (mutated,) if node_class is mutated.__bases__[0] else (mutated, node_class)
            node_class = _composed(mutated.__name__, bases, {})
    for name, mutated_part in parts:
        if name in node_class._parts:
            node_class = _composed(mutated_part.__name__, (node_class,), {name: part(mutated_part)})
    return node_class


def _composed(name: str, bases: tuple[type[Node], ...], body: dict[str, Any]) -> type[Node]:
    return type(name, bases, {**body, "__module__": __name__, "__doc__": bases[0].__doc__})
