"""Systems: what is simulated. A system is a frozen value that names its members and what it promises.

A protocol's file defines its messages, its node class and, at the foot, its system: a frozen dataclass that
derives from `System`. Systems defined outside this package are full citizens; there is no registry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from sim.refusals import refuse_shared_state
from sim.settings import MOST_MEMBERS, Value

if TYPE_CHECKING:
    from sim.node import Node

__all__ = [
    "Invariant",
    "LivenessViolation",
    "Member",
    "SafetyViolation",
    "System",
    "Timing",
    "Violation",
    "check_administration",
    "default_of",
    "positions",
]


@dataclass(frozen=True, slots=True)
class Timing:
    """Failure-detection times, derived from the network by the same rule for every system.

    Attributes (seconds)
    --------------------
    heartbeat:
        max(50 ms, the largest median round trip between members), etcd's rule of thumb.
    detection:
        10 heartbeats; randomised timeouts draw from [detection, 2 x detection).
    """

    heartbeat: float = 0.05
    detection: float = 0.5

    @classmethod
    def of(cls, heartbeat: float) -> Timing:
        """The times that go with a heartbeat every so many seconds."""
        return cls(heartbeat, 10 * heartbeat)


_WITHOUT_NETWORK = Timing()


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a system.

    Attributes
    ----------
    name:
        Unique in the system, such as ``"n0"``.
    node_class:
        The `Node` subclass that runs there.
    group:
        Members of one group are each other's peers; other groups are known by name through ``settings``.
    settings:
        What the node finds as ``self.settings``; the system itself unless given.
    place:
        The name of a place of the network; None: the topology places replicas round robin.
    colocated_with:
        The name of another member: this one stands at its place, for services without a region of their own. A
        message between the two takes what one takes within that place (on one ``machine`` it would take nothing).
    machine:
        The name of the machine on which it runs; None: one of its own. Members on one machine stand at one place,
        share its cores, and reach each other without delay. Each has a disk and a clock of its own.
    role:
        ``"replica"``, ``"service"`` (a view service, a configuration master) or ``"balancer"``; messages
        between replicas are what `messages per operation` counts.
    off:
        A spare: declared, but off until a `Join`.
    """

    name: str
    node_class: type[Node]
    group: str = "replicas"
    settings: Any = None
    place: str | None = None
    colocated_with: str | None = None
    role: str = "replica"
    off: bool = False
    machine: str | None = None

    def __post_init__(self) -> None:
        if self.place is not None and self.colocated_with is not None:
            raise ValueError(
                f"member {self.name}: it stands at place={self.place!r} or where {self.colocated_with!r} stands "
                "(colocated_with): give one of them"
            )

    @property
    def handled(self) -> tuple[type, ...]:
        """The classes of messages that its node class and the parts of it have handlers for."""
        owners = (self.node_class, *(part.cls for part in self.node_class._parts.values()))
        return tuple(kind for owner in owners for kind in owner._handlers)


# Fields that say how many nodes there are.
_COUNTS = frozenset(
    {
        *(
            "nodes",
            "spares",
            "servers",
            "balancers",
            "groups",
            "proposers",
            "acceptors",
            "learners",
            "proxies",
        ),
        *("services", "clients", "replicas"),
    }
)


@dataclass(frozen=True, kw_only=True)
class System(Value):
    """Base of all systems. Subclasses add their fields and override what differs.

    Parameters
    ----------
    heartbeat, detection:
        Failure-detection times in seconds; None: derived from the network (see `Timing`).
    unsafe:
        Accept settings that are refused for safety. Marked UNSAFE in every table and chart.
    """

    heartbeat: float | None = None
    detection: float | None = None
    unsafe: bool = False

    operations: ClassVar[frozenset[str]] = frozenset(
        {"get", "put", "cas", "append", "increment", "delete", "scan"}
    )
    """The kinds of client operation that it serves; a workload that asks for more is refused."""
    may_fail: ClassVar[frozenset[str]] = frozenset({"cas"})
    """The kinds of operation to which ``fail`` is an answer, because the state machine says so (a cas that does not
    match); for other kinds it is a refusal, and no progress."""
    label_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that its label shows even when they have their defaults."""
    leader_roles: ClassVar[tuple[str, ...]] = ("leader", "primary", "head")
    """Names under which faults may address the leader."""
    administration_options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Name of a request of an administrator -> the setting that a user needs for it, where one is needed."""
    only_key_values: ClassVar[str] = "it serves the key-value store only; Raft and Multi-Paxos take others"
    """Why it takes no ``application``."""
    title: ClassVar[str] = ""
    """What this class is called in tables and charts; the name of the class in words unless given."""

    def __new__(cls, *arguments: Any, **given: Any) -> Self:
        """Remember which fields were given: comparisons fill in what was not, alike for all."""
        if "application" in given and "application" not in getattr(cls, "__dataclass_fields__", ()):
            raise ValueError(
                f"{cls.__name__} takes no application ({given['application']!r}): {cls.only_key_values}"
            )
        made = super().__new__(cls)
        object.__setattr__(made, "_given", frozenset(given))
        return made

    @classmethod
    def of(cls, node_class: type[Node], consistency: str | None = None, **given: Any) -> System:
        """A system of equal members of one node class: ``System.of(MyNode, nodes=3, consistency="linearizable")``.

        Its members are n0, n1, ...; its clients ask any of them and follow redirects. ``nodes`` (3), ``heartbeat``,
        ``detection`` and ``unsafe`` are those of every system; any other keyword becomes a setting that nodes read:
        ``quorum=2`` is ``self.settings.quorum``. Raises ValueError for a setting that is mutable, that the node class
        never reads, or that hides what every system has.
        """
        if cls is not System:
            raise TypeError(f"write System.of(...), not {cls.__name__}.of(...)")
        # By name: this file stands below the protocols, and imports none of them.
        made: System = import_module("sim.protocols.of_node").system_of(node_class, consistency, **given)
        return made

    @property
    def given(self) -> frozenset[str]:
        """The fields that were given when this system was made, whether or not they differ from their defaults.

        `dataclasses.replace` gives every field; `changed` keeps what is known.
        """
        known: frozenset[str] = self.__dict__["_given"]
        return known

    def changed(self, **fields: Any) -> Self:
        """This system with other values for some fields; the others stay given or not given as they were."""
        made = dataclasses.replace(self, **fields)
        object.__setattr__(made, "_given", self.given | frozenset(fields))
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_shared_state(cls, "systems")

    def __post_init__(self) -> None:
        self._check_size()
        for name in ("heartbeat", "detection"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{type(self).__name__}: {name} must be positive seconds, not {value!r}")
        if self.heartbeat is not None and self.detection is not None and self.detection <= self.heartbeat:
            raise ValueError(
                f"{type(self).__name__}: detection ({self.detection} s) must be longer than "
                f"heartbeat ({self.heartbeat} s)"
            )

    def _check_size(self) -> None:
        for f in dataclasses.fields(self):
            count = getattr(self, f.name)
            if f.name in _COUNTS and isinstance(count, int) and count > MOST_MEMBERS:
                raise ValueError(
                    f"{type(self).__name__}: {f.name} must be at most {MOST_MEMBERS:,}, not {count:,}: each of them is "
                    "an object with state of its own, of some ten kilobytes"
                )

    # What a system says of itself

    def members(self) -> tuple[Member, ...]:
        """All members, in the order in which they are placed and started."""
        raise NotImplementedError(f"{type(self).__name__} names no members")

    @property
    def client_class(self) -> type[Node]:
        """The node class of its clients (see `sim.protocols.client.Client`)."""
        raise NotImplementedError(f"{type(self).__name__} names no client class")

    @property
    def consistency(self) -> str | None:
        """The consistency model it claims, a name that `sim.analysis.checks.check` knows; None: none."""
        return None

    @property
    def label(self) -> str:
        """Its name in tables and charts: the class name and the fields that differ from their defaults.

        The times that the scenario derived are left out; UNSAFE stands first where it applies.
        """
        shown = []
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name in {"heartbeat", "detection", "unsafe"} or not f.repr:
                continue
            if value != default_of(f) or f.name in self.label_fields:
                shown.append(f"{f.name}={getattr(value, 'label', getattr(value, '__name__', value))}")
        text = type(self).__name__ + (f"({', '.join(shown)})" if shown else "")
        return f"UNSAFE {text}" if self.unsafe else text

    def with_timing(self, timing: Timing) -> Self:
        """This system with the failure-detection times filled in where they were not given."""
        times = timing if self.heartbeat is None else Timing.of(self.heartbeat)
        detection = times.detection if self.detection is None else self.detection
        return dataclasses.replace(self, heartbeat=times.heartbeat, detection=detection)

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between signs of life; 50 ms where neither the user nor the scenario gave any."""
        return _WITHOUT_NETWORK.heartbeat if self.heartbeat is None else self.heartbeat

    @property
    def detection_timeout(self) -> float:
        """The shortest silence in seconds after which somebody is suspected: ten heartbeats unless given."""
        return Timing.of(self.heartbeat_interval).detection if self.detection is None else self.detection

    def contacts(self) -> tuple[str, ...]:
        """The members that clients may ask; by default all replicas that are not spares."""
        return tuple(m.name for m in self.members() if m.role == "replica" and not m.off)

    def check_machines(self, machines: Mapping[str, Any]) -> None:
        """Raise ValueError for a setting that the machine of its member cannot serve; asked when a scenario is built.

        ``machines``: member -> its machine (`sim.cluster.Machine`).
        """

    def administered_by(self, kind: type) -> tuple[str, ...]:
        """The members that an administrator may ask for requests of this class: those that have a handler for it.

        None of them: the system does not serve such requests, and a scenario that makes one is refused.
        """
        return tuple(m.name for m in self.members() if m.role != "service" and kind in m.handled)

    @property
    def administration(self) -> tuple[type, ...]:
        """The classes of administrators' requests (`sim.protocols.admin`) that it serves, by name."""
        kinds = {
            kind.__name__: kind
            for member in self.members()
            for kind in member.handled
            if getattr(kind, "is_administration", False) and self.administered_by(kind)
        }
        return tuple(kinds[name] for name in sorted(kinds))

    def with_leader(self, place: str, places: Mapping[str, str]) -> Self:
        """This system with its first leader or primary at ``place``; ``places``: member -> place.

        A system has a leader if it has a field ``leader``, the name of a replica; leaderless ones return
        themselves. Raises ValueError where no replica stands at that place.
        """
        if all(f.name != "leader" for f in dataclasses.fields(self)):
            return self
        for member in self.members():
            if member.role == "replica" and not member.off and places.get(member.name) == place:
                leader: dict[str, Any] = {"leader": member.name}
                return dataclasses.replace(self, **leader)
        raise ValueError(f"{type(self).__name__}: no replica stands in {place!r}")

    @property
    def max_down(self) -> int | None:
        """How many members may be down at once without leaving its fault model; None: any number.

        Systems that keep nothing on disk state F here, and chaos respects it.
        """
        return None

    @property
    def disks_may_be_lost(self) -> bool:
        """Whether a member may come back with an empty disk without leaving its fault model.

        False where stable storage is assumed, for safety or for progress; chaos respects it.
        """
        return False

    @property
    def max_clock_drift(self) -> float | None:
        """How wrong the rates of both clocks of a node may be without leaving its fault model; None: however wrong.

        With 0.05 they lie between 0.95 and 1.05: what leases rely on. 0: they are right. A system that uses time for
        nothing but timeouts leaves it at None. Chaos respects it.
        """
        return None

    @property
    def wall_clock_may_jump(self) -> bool:
        """Whether wall clocks (`Verbs.now`) may be set, and differ from node to node, without leaving its fault model.

        False where a claim rests on wall clocks, such as a bound on staleness that compares those of two nodes. What is
        measured on monotonic clocks (timers, leases, suspicion) does not mind. Chaos respects it.
        """
        return True

    def has_recovered(self, node: Node) -> bool:
        """Whether a live member takes part again after a restart; one that does not counts as down."""
        return True

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The live ``nodes`` that have not yet come to rest after faults have ended; chaos waits for them.

        For systems whose work is not only what clients ask for: memberships that must agree, rumours that must arrive.
        """
        return ()

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any] | None:
        """How far each of the live ``nodes`` has come that must hold what is replicated: name -> position.

        A position is a number that grows (entries applied, versions seen), or a tuple of such numbers, compared place
        by place. After a storm every replica named here must reach the furthest position in its group (`Member.group`),
        else it never caught up.
        Replicas that have left, or hold nothing, are not named. None: the system replicates nothing, or it lets
        replicas fall behind for good; it says so.
        """
        return None

    # What the rest of the simulator asks of it

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """Who holds ``role`` now, among the live ``nodes`` (name -> node); None while it is vacant.

        A leaderless system raises LookupError: the scenario then takes the replica nearest to most clients.
        """
        raise LookupError(f"{type(self).__name__} has no {role}")

    def invariants(self) -> Iterable[Invariant]:
        """Fresh invariants for one run; they are asked after every event when checking is on."""
        return ()

    @property
    def converges_within(self) -> float | None:
        """Seconds, besides what messages take, in which all replicas agree once nobody writes and nothing fails.

        None: no such promise. Systems that claim ``eventual`` state it, and show their values by `replica_values`.
        """
        return None

    def replica_values(self, nodes: Mapping[str, Node]) -> Mapping[str, Mapping[str, Any]] | None:
        """What each of the live replicas holds: name -> key -> value; None: not shown."""
        return None

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged writes no live member remembers at the end; None: not counted.

        ``acknowledged``: (session, sequence) -> command, for every write that a client saw succeed.
        """
        return None


def positions(nodes: Mapping[str, Node], node_class: type[Node], attribute: str) -> dict[str, Any]:
    """For `System.progress`: an attribute of each live node of a class, by name; lists become tuples."""
    found = {name: getattr(node, attribute) for name, node in nodes.items() if isinstance(node, node_class)}
    return {name: tuple(at) if isinstance(at, list) else at for name, at in found.items()}


def check_administration(system: System, request: Any) -> None:
    """Raise ValueError for a request of an administrator that the system does not serve."""
    if system.administered_by(type(request)):
        return
    name = type(request).__name__
    option = system.administration_options.get(name)
    served = ", ".join(kind.__name__ for kind in system.administration) or "no such requests"
    hint = f" (set {option})" if option else ""
    raise ValueError(f"{system.label} does not serve {request!r}{hint}; it serves {served}")


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a dataclass field; `dataclasses.MISSING` where it has none.

    The sentinel is known by its type: a class that came from another process by cloudpickle has a copy of it.
    """
    made: Any = field.default_factory
    return field.default if isinstance(made, type(dataclasses.MISSING)) else made()


class Violation(Exception):
    """A promise that was broken, with what is needed to see it again.

    Attributes
    ----------
    invariant: the name of the broken invariant.
    time: simulated seconds. nodes: who was involved. facts: what contradicts what.
    seed, scenario: filled in by the run; with them the same violation comes back.
    """

    def __init__(self, invariant: str, time: float, nodes: tuple[str, ...], facts: tuple[str, ...]) -> None:
        super().__init__(invariant, time, nodes, facts)
        self.invariant = invariant
        self.time = time
        self.nodes = nodes
        self.facts = facts
        self.seed: int | None = None
        self.scenario: Any = None

    def __str__(self) -> str:
        where = f" with seed {self.seed}" if self.seed is not None else ""
        facts = "; but ".join(self.facts)
        return f"{self.invariant} violated at {self.time:.6f} s on {', '.join(self.nodes)}{where}: {facts}"


class SafetyViolation(Violation):
    """Something bad happened."""


class LivenessViolation(Violation):
    """Something good did not happen in time."""


@dataclass
class Invariant:
    """Something that must hold after every event of a run. Subclasses override the hooks they need.

    Hooks are told what changed, and keep a *ghost* record of all that was ever sent, accepted or committed:
    a bug often erases its own evidence. `violated` raises the `SafetyViolation`.
    """

    title: ClassVar[str] = "an unnamed invariant"
    now: Callable[[], float] = field(default=lambda: float("nan"), repr=False)
    """Set by the run: the simulated time."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_shared_state(cls, "runs")

    def on_send(self, src: str, dst: str, message: Any) -> None:
        """A node has let go of a message: what it depends on is synced, unless it was sent with hold=False.

        A core or a card may take a while to send it, and the network may lose it.
        """

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        """A message is about to be handled by ``dst``."""

    def on_step(self, node: Node) -> None:
        """A handler of ``node`` has just run (its boot included)."""

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        """A node recorded a protocol event, or the nemesis a fault (``crash``, ``restart``)."""

    def on_acknowledged(self, client: str, operation: Any) -> None:
        """A client has seen an operation succeed (an `sim.protocols.client.Outcome`)."""

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        """The run is over; whole-state forms go here. ``nodes``: the live members."""

    def violated(self, nodes: str | Iterable[str], *facts: str, invariant: str | None = None) -> NoReturn:
        """Raise the `SafetyViolation`: which nodes, and the facts that contradict each other.

        ``nodes``: one name, or several. ``invariant``: the name of the broken one, where this class watches several;
        None: its ``title``.
        """
        who = (nodes,) if isinstance(nodes, str) else tuple(nodes)
        raise SafetyViolation(invariant or self.title, self.now(), who, facts)
