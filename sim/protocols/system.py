"""Common bases of the systems in this package: equal replicas with numbered names, and one leader.

These are bases of systems, the values in a scenario. The nodes of Paxos, Viewstamped Replication and Raft have no
common base: each file can be read beside its paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.client import Client
from sim.protocols.kv import KeyValueStore
from sim.settings import Count
from sim.system import Member, System

__all__ = [
    "KEEPS_REGISTERS",
    "LedSystem",
    "ReplicatedSystem",
    "StateMachineSystem",
    "check_member",
    "names",
    "newest",
]

N = TypeVar("N", bound=Node)

KEEPS_REGISTERS = "its replicas do not apply all commands in one order: it keeps registers, one for each key"
"""Why a register system takes no application."""


def names(letter: str, count: int) -> tuple[str, ...]:
    """``names("n", 3)`` is ``("n0", "n1", "n2")``."""
    return tuple(f"{letter}{i}" for i in range(count))


def check_member(system: System, field: str, members: tuple[str, ...]) -> None:
    """Raise ValueError unless the value of the field is None or one of ``members``."""
    if getattr(system, field) not in (None, *members):
        listed = ", ".join(members)
        raise ValueError(
            f"{type(system).__name__}: {field} must be one of {listed}, not {getattr(system, field)!r}"
        )


def newest(
    nodes: Mapping[str, Node],
    node_class: type[N],
    leads: Callable[[N], bool],
    rank: Callable[[N], Any],
) -> str | None:
    """The name of the live node of this class that leads; of several, the one with the highest rank (term, view)."""
    leaders = [node for node in nodes.values() if isinstance(node, node_class) and leads(node)]
    return max(leaders, key=rank).name if leaders else None


@dataclass(frozen=True, kw_only=True)
class ReplicatedSystem(System):
    """Replicas of one class, named n0, n1, ...; clients ask any replica and follow redirects.

    Parameters
    ----------
    nodes:
        The number of replicas.
    """

    nodes: Count = 3

    node_class: ClassVar[type[Node]]
    """The class of its replicas, unless `replica_class` selects another one."""
    outlives_minority: ClassVar[bool] = False
    """Whether it makes progress while a minority of its replicas is down for ever."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the replicas."""
        return names("n", self.nodes)

    @property
    def replica_class(self) -> type[Node]:
        """The class of its replicas for the present settings."""
        return self.node_class

    def members(self) -> tuple[Member, ...]:
        """The replicas."""
        node_class = self.replica_class
        return tuple(Member(name, node_class) for name in self.names)

    @property
    def max_gone(self) -> int:
        """A minority, if it outlives one."""
        return (self.nodes - 1) // 2 if self.outlives_minority else 0

    @property
    def client_class(self) -> type[Node]:
        """Clients that ask any replica and follow redirects."""
        return Client


@dataclass(frozen=True, kw_only=True)
class LedSystem(ReplicatedSystem):
    """Replicas with a leader.

    Parameters
    ----------
    leader:
        The name of the first leader; None: the first replica.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({"detection": (None, 0.2)})

    leader: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_member(self, "leader", self.names)

    @property
    def first_leader(self) -> str:
        """The name of the first leader."""
        return self.leader or self.names[0]

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """The live replica that leads; None while there is no leader. Raises LookupError for another role."""
        return self.leading(nodes) if role in self.leader_roles else super().holder(role, nodes)

    def leading(self, nodes: Mapping[str, Node]) -> str | None:
        """The live replica that leads now; see `newest`."""
        raise NotImplementedError(f"{type(self).__name__} does not say who leads")


@dataclass(frozen=True, kw_only=True)
class StateMachineSystem(System):
    """Replicas that apply commands in one order: they can replicate any deterministic application.

    Parameters
    ----------
    application:
        The replicated application (`sim.protocols.application`); default: a key-value store.
    """

    application: Application = field(default_factory=KeyValueStore, hash=False)

    @property
    def operations(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the application."""
        return self.application.operations

    @property
    def may_fail(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the application."""
        return self.application.may_fail
