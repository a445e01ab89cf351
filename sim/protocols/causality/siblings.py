"""Siblings: the values of a key that were written at the same time, none of them knowing of another.

One idea has two forms here. A *dotted store* keeps one causal context for all values together: a value that one side
holds and whose dot the other has seen was replaced there (Almeida, Shoker, Baquero 2018, section 7; Preguiça et al.,
"Dotted Version Vectors", 2010). In the other form each version has a *past* of its own, a version vector (Parker et
al., IEEE TSE 1983), so that one version can travel alone. `sim.protocols.causality.dots` has the joins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from sim.protocols.causality.dots import EMPTY, Context, Dot, DotFunction, join_function

__all__ = ["DottedStore", "Versioned", "past_of", "replaced_by", "siblings"]


class DottedStore(NamedTuple):
    """Values by the dots that wrote them, and the context of all dots seen."""

    store: DotFunction = ()
    context: Context = EMPTY

    @property
    def value(self) -> tuple[Any, ...]:
        """The values, in the order of their dots; usually one."""
        return tuple(value for _, value in self.store)

    def write(self, actor: str, value: Any) -> Self:
        """The delta that replaces all values held here."""
        dot = self.context.next_dot(actor)
        return type(self)(((dot, value),), Context.of([dot, *(d for d, _ in self.store)]))

    def merge(self, other: DottedStore) -> Self:
        """The values that neither side has replaced."""
        store = join_function(self.store, self.context, other.store, other.context)
        return type(self)(store, self.context.union(other.context))


class Versioned(Protocol):
    """A version with a name and a past: for each actor, the number of its last write that this version replaces."""

    @property
    def dot(self) -> Dot:
        """Which write made it."""

    @property
    def past(self) -> tuple[Dot, ...]:
        """The dots up to which it replaces what each actor wrote."""


V = TypeVar("V", bound=Versioned)


def replaced_by(version: Versioned, other: Versioned) -> bool:
    """Whether ``other`` was written in place of a version, or of one that replaced it."""
    actor, number = version.dot
    return any(name == actor and last >= number for name, last in other.past)


def siblings(versions: Iterable[V]) -> tuple[V, ...]:
    """The versions that no other one replaces, in the order of their dots."""
    all_of_them = tuple(versions)
    kept = [v for v in all_of_them if not any(replaced_by(v, other) for other in all_of_them)]
    return tuple(sorted(kept, key=lambda version: version.dot))


def past_of(versions: Iterable[Versioned]) -> tuple[Dot, ...]:
    """The past of a write that replaces all these versions."""
    last: dict[str, int] = {}
    for version in versions:
        for actor, number in (*version.past, version.dot):
            last[actor] = max(number, last.get(actor, 0))
    return tuple(sorted(last.items()))
