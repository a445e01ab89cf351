"""Many groups of replicas on the same machines: keys are spread over the groups, and each group has its own leader.

What Raft groups (`ShardedRaft`) and chains (`ShardedChain`) have in common: a group for each key, clients that
remember the leader of each group, invariants that look at one group, and on which machines each group is placed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np

from sim.node import Node
from sim.placement import Placement
from sim.protocols.balancing import hash64
from sim.protocols.client import Client, ClientSettings
from sim.protocols.command import Command
from sim.protocols.kv import KeyValueStore
from sim.protocols.system import StateMachineSystem, names
from sim.settings import Count, Whole
from sim.system import Invariant, Member, MessageHooks, StepHooks, System, Timing

__all__ = ["Leaders", "PerGroup", "ShardClient", "ShardedSystem", "client_of"]

Leaders = Literal["spread", "pinned"]
"""On which machines the groups' leaders start."""


class ShardClient(Client):
    """A client that sends a command to the group of its key, and remembers the leader of each group.

    The class is combined with the groups' own client class (`client_of`).
    """

    settings: ClientSettings

    def on_start(self) -> None:
        system = self.settings.system
        self.group = 0  # the group to which `leader` refers at present
        self.leaders: dict[int, str] = {}
        self.group_of: dict[str, int] = system.group_of
        # The machines in this client's order of contacts, which is the same for all groups.
        on = system.machine_of
        order = list(dict.fromkeys(on[name] for name in self.settings.contacts))
        self.near = [
            sorted(group.contacts(), key=lambda name: order.index(on[name])) for group in system.each
        ]
        super().on_start()

    @property
    def leader(self) -> str | None:
        """The assumed leader of the current group; None: unknown."""
        return self.leaders.get(self.group)

    @leader.setter
    def leader(self, name: str | None) -> None:
        if name is None:
            self.leaders.pop(self.group, None)
        else:
            self.leaders[self.group_of[name]] = name

    def contact(self, among: Sequence[str] | None = None) -> str:
        return super().contact(self.near[self.group] if among is None else among)

    def target(self, command: Command, attempt: int) -> str:
        self.group = self.settings.system.group_for(command.key)
        return super().target(command, attempt)

    def suspect(self, target: str) -> None:
        self.group = self.group_of[target]
        super().suspect(target)


@cache
def client_of(bases: tuple[type[Node], ...]) -> type[Node]:
    """The client class that combines what a sharded system's client does with what a group's client does."""
    return type("ShardClient", bases, {"__doc__": ShardClient.__doc__, "__module__": __name__})


@dataclass
class PerGroup(Invariant):
    """Checks each event with the invariants of its own group only, so the cost is that of one group."""

    title: ClassVar[str] = "the invariants of each group"
    system: ShardedSystem | None = None
    invariants: list[list[Invariant]] = field(default_factory=list)
    free: bool = False  # only those that are free

    def __post_init__(self) -> None:
        assert self.system is not None
        self.group_of = self.system.group_of
        self.invariants = [
            [one for one in group.invariants() if one.is_free or not self.free] for group in self.system.each
        ]
        self._on_wait, self._on_send, self._on_deliver = (
            [MessageHooks(name, invariants) for invariants in self.invariants]
            for name in ("on_wait", "on_send", "on_deliver")
        )
        self._on_step = [StepHooks(invariants) for invariants in self.invariants]
        for invariant in (invariant for invariants in self.invariants for invariant in invariants):
            invariant.now = lambda: self.now()

    def only_free(self) -> Invariant:
        return PerGroup(system=self.system, free=True)

    def begin(self, members: Iterable[Member]) -> None:
        by_group: list[list[Member]] = [[] for _ in self.invariants]
        for member in members:
            if member.name in self.group_of:
                by_group[self.group_of[member.name]].append(member)
        for invariants, mine in zip(self.invariants, by_group, strict=True):
            for invariant in invariants:
                invariant.begin(mine)

    def on_wait(self, src: str, dst: str, message: Any) -> None:
        self._tell(self._on_wait, src, dst, message)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        self._tell(self._on_send, src, dst, message)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        self._tell(self._on_deliver, src, dst, message)

    def _tell(self, hooks: list[MessageHooks], src: str, dst: str, message: Any) -> None:
        """Call the hooks of the group of ``src`` or, if that is a client, of ``dst``."""
        group = self.group_of.get(src)
        if group is None:
            group = self.group_of.get(dst)
        if group is not None:
            for hear in hooks[group][message.__class__]:
                hear(src, dst, message)

    def on_step(self, node: Node) -> None:
        group = self.group_of.get(node.name)
        if group is not None:
            for hear in self._on_step[group][node.__class__]:
                hear(node)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        group = self.group_of.get(node)
        for invariant in [] if group is None else self.invariants[group]:
            invariant.on_event(node, event, detail)

    def on_acknowledged(self, client: str, operation: Any) -> None:
        assert self.system is not None
        for invariant in self.invariants[self.system.group_for(operation.operation.key)]:
            invariant.on_acknowledged(client, operation)

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        assert self.system is not None
        for number, invariants in enumerate(self.invariants):
            mine = self.system.nodes_of(number, nodes)
            for invariant in invariants:
                invariant.at_end(mine)


def replicas_of(group: System) -> tuple[Member, ...]:
    """The members of a group that are placed on machines: all but services."""
    return tuple(member for member in group.members() if member.role != "service")


@dataclass(frozen=True, kw_only=True)
class ShardedSystem(StateMachineSystem):
    """Keys hashed over groups that share machines m0, m1, ...: server ``g2.n1`` is of group 2.

    Parameters
    ----------
    group:
        The system of each group: its options apply to all groups.
    groups:
        How many there are (>= 1).
    leaders:
        ``"spread"``: the groups' first leaders are assigned to the machines in turn; ``"pinned"``: all on one machine.
    leader:
        The machine on which the first group's leader starts; None: the first of that group.
    servers:
        How many machines there are, with ``placement``; None: as many as a group has replicas, each with one of every
        group (``g2.n1`` is on m1).
    placement:
        On which of the machines each group is: a `sim.placement.Placement` with as many replicas as a group has
        (``g2.n1`` is on the second machine of group 2).
    placement_seed:
        Another one is another draw of the placement.
    application:
        What is replicated; each group holds some of its keys. A command goes to one group: updates that touch several
        keys are refused here, and reads that do are not served (a scan).
    """

    group: Any = None
    groups: Count = 6
    leaders: Leaders = "spread"
    leader: str | None = None
    servers: Count | None = None
    placement: Placement | None = None
    placement_seed: Whole = 0

    label_fields: ClassVar[tuple[str, ...]] = ("groups", "leaders")
    group_class: ClassVar[type[StateMachineSystem]] = StateMachineSystem

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = isinstance(self.group, self.group_class)
        if not fits or self.group.prefix or self.group.leader:
            raise self._refused(
                f"group must be a {self.group_class.__name__} without a prefix and leader of its own, "
                f"not {self.group!r}"
            )
        self._check_placement()
        first = self.placed[0]  # raises ValueError for too few machines
        if self.leader is not None and self.leader not in first:
            raise self._refused(f"leader must be one of the machines {', '.join(first)}, not {self.leader!r}")
        self._check_application()
        object.__setattr__(self, "unsafe", self.unsafe or self.group.unsafe)

    def _refused(self, why: str) -> ValueError:
        return ValueError(f"{type(self).__name__}: {why}")

    def _check_placement(self) -> None:
        size = len(replicas_of(self.group))
        if self.placement is None:
            if self.servers not in (None, size):
                raise self._refused(
                    f"servers={self.servers} machines for groups of {size} need placement=, which says where each "
                    "group is"
                )
            if self.placement_seed:
                raise self._refused("placement_seed is of no use without placement=")
        elif self.servers is None:
            raise self._refused("placement= needs servers=, the number of machines")
        elif self.placement.replicas != size:
            raise self._refused(
                f"{self.placement!r} has {self.placement.replicas} replicas, but a group has {size}"
            )
        elif self.leaders == "pinned":
            raise self._refused("leaders='pinned' needs all groups on one machine, without placement=")

    def _check_application(self) -> None:
        if self.group.application != KeyValueStore():
            kind = type(self).__name__
            raise self._refused(f"write {kind}(application={self.group.application!r}), not in its group")
        wide = sorted(self.application.several_keys - self.application.reads)
        if wide:
            raise ValueError(
                f"{type(self).__name__} takes no application whose updates touch several keys, as {', '.join(wide)} of "
                f"{self.application!r} may: keys are spread over groups, and a command goes to one group"
            )

    @property
    def operations(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the application that touch one key: one command, one group."""
        return self.application.operations - self.application.several_keys

    @property
    def max_clock_drift(self) -> float | None:
        """The drift that its groups tolerate."""
        drift: float | None = self.group.max_clock_drift
        return drift

    @property
    def wall_clock_may_jump(self) -> bool:
        """Whether its groups tolerate jumps of wall clocks."""
        may: bool = self.group.wall_clock_may_jump
        return may

    @property
    def max_gone(self) -> int:
        """As many as each group can do without: they may all be of one group."""
        most: int = self.group.max_gone
        return most

    def is_stranded(self, nodes: Mapping[str, Node]) -> bool:
        """Whether any group is."""
        return any(group.is_stranded(self.nodes_of(g, nodes)) for g, group in enumerate(self.each))

    @property
    def disks_may_be_damaged(self) -> bool:
        """Whether the disks of the members of its groups may be damaged."""
        may: bool = self.group.disks_may_be_damaged
        return may

    @property
    def copies_on_disk(self) -> tuple[tuple[str, ...], ...]:
        """Those of the members of its groups."""
        copies: tuple[tuple[str, ...], ...] = self.group.copies_on_disk
        return copies

    def has_recovered(self, node: Node) -> bool:
        """As in its group."""
        recovered: bool = self.group.has_recovered(node)
        return recovered

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The members that are still busy in any group."""
        return tuple(
            name for g, group in enumerate(self.each) for name in group.unsettled(self.nodes_of(g, nodes))
        )

    def nodes_of(self, number: int, nodes: Mapping[str, Node]) -> dict[str, Node]:
        """Those of the nodes that are of a group."""
        return {name: node for name, node in nodes.items() if self.group_of.get(name) == number}

    @property
    def machines(self) -> tuple[str, ...]:
        """The names of the machines. Without placement, each runs one server (or spare) of each group."""
        return names("m", self.servers or len(replicas_of(self.group)))

    @cached_property
    def placed(self) -> tuple[tuple[str, ...], ...]:
        """The machines of each group, in the order of its replicas."""
        machines = self.machines
        if self.placement is None:
            return (machines,) * self.groups
        drawn = self.placement.draw(len(machines), self.groups, np.random.default_rng(self.placement_seed))
        return tuple(tuple(machines[i] for i in row) for row in drawn.tolist())

    @cached_property
    def machine_of(self) -> dict[str, str]:
        """Replica -> its machine."""
        return {
            member.name: machine
            for group, machines in zip(self.each, self.placed, strict=True)
            for member, machine in zip(replicas_of(group), machines, strict=True)
        }

    @cached_property
    def each(self) -> tuple[Any, ...]:
        """The groups."""
        first = 0 if self.leader is None else self.placed[0].index(self.leader)
        step = 1 if self.leaders == "spread" else 0
        return tuple(
            dataclasses.replace(
                self.group,
                prefix=f"g{g}.",
                leader=f"g{g}.n{(first + g * step) % self.group.nodes}",
                application=self.application,
                **self.of_each(),
            )
            for g in range(self.groups)
        )

    def of_each(self) -> Mapping[str, Any]:
        """Further settings of each group."""
        return {}

    def group_for(self, key: str) -> int:
        """The number of the group that holds a key."""
        return hash64(key) % self.groups

    @cached_property
    def group_of(self) -> dict[str, int]:
        """Member -> the number of its group."""
        return {member.name: g for g, group in enumerate(self.each) for member in group.members()}

    def members(self) -> tuple[Member, ...]:
        """The members, group by group."""
        return tuple(
            self._member(g, group, member) for g, group in enumerate(self.each) for member in group.members()
        )

    def _member(self, number: int, group: System, member: Member) -> Member:
        """A member of a group. Services keep to themselves, on machines of their own."""
        peers = f"g{number}" if member.role != "service" else f"g{number} {member.group}"
        return dataclasses.replace(
            member, group=peers, settings=group, machine=self.machine_of.get(member.name)
        )

    def contacts(self) -> tuple[str, ...]:
        return tuple(name for group in self.each for name in group.contacts())

    @property
    def client_class(self) -> type[Node]:
        return client_of((ShardClient, self.group.client_class))

    @property
    def consistency(self) -> str | None:
        """The claim of each group: linearizability of each key implies that of all keys (Herlihy & Wing: locality)."""
        consistency: str | None = self.group.consistency
        return consistency

    @property
    def applied(self) -> Literal["final", "tentative", "unordered"]:
        """As in each group."""
        applied: Literal["final", "tentative", "unordered"] = self.group.applied
        return applied

    def with_timing(self, timing: Timing) -> Self:
        return dataclasses.replace(super().with_timing(timing), group=self.group.with_timing(timing))

    def with_leader(self, place: str, places: Mapping[str, str]) -> Self:
        for machine, server in zip(self.placed[0], self.each[0].names, strict=False):  # spares lead nothing
            if places.get(server) == place:
                return dataclasses.replace(self, leader=machine)
        raise self._refused(f"no machine of the first group stands in {place!r}")

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """The leader of the first group that has one."""
        if role not in self.leader_roles:
            return super().holder(role, nodes)
        found = (group.holder(role, self.nodes_of(g, nodes)) for g, group in enumerate(self.each))
        return next((name for name in found if name is not None), None)

    def invariants(self) -> Iterable[Invariant]:
        """The invariants of each group."""
        return [PerGroup(system=self)]

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any]:
        """The progress of each group: replicas are compared within their group."""
        found: dict[str, Any] = {}
        for g, group in enumerate(self.each):
            found.update(group.progress(self.nodes_of(g, nodes)))
        return found

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        lost = 0
        for g, group in enumerate(self.each):
            theirs = {
                number: outcome
                for number, outcome in acknowledged.items()
                if self.group_for(outcome.operation.key) == g
            }
            count = group.acknowledged_lost(theirs, self.nodes_of(g, nodes))
            if count is None:
                return None
            lost += count
        return lost
