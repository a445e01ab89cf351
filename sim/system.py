"""Systems: what is simulated. A system is a frozen value that names its members and its guarantees.

A protocol's file defines its messages, its node class and, at the foot, its system: a frozen dataclass that
derives from `System`. Systems defined outside this package are full citizens; there is no registry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Self

from sim.display import Block, Folded, TextTable, html_of, plain_repr
from sim.refusals import refuse_shared_state
from sim.settings import MOST_MEMBERS, Seconds, Value
from sim.values import is_message

if TYPE_CHECKING:
    from sim.measure import Measure
    from sim.node import Node

__all__ = [
    "Invariant",
    "Limit",
    "LivenessViolation",
    "Member",
    "MessageHooks",
    "SafetyViolation",
    "StepHooks",
    "System",
    "Timing",
    "Violation",
    "check_administration",
    "default_of",
    "hooks_of",
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
        """The times for a heartbeat interval of ``heartbeat`` seconds: detection after ten intervals."""
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
        The name of another member: this one is at the same place. For services without a region of their own. A
        message between the two takes as long as any message within that place (on one ``machine``: no time).
    machine:
        The name of the machine on which it runs; None: a machine of its own. Members on one machine are at one place,
        share its cores, and reach each other without delay. Each member has its own disk and clocks.
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
        """The message classes for which its node class and the parts of that class have handlers."""
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

    heartbeat: Seconds | None = None
    detection: Seconds | None = None
    unsafe: bool = False

    operations: ClassVar[frozenset[str]] = frozenset(
        {"get", "put", "cas", "append", "increment", "delete", "scan"}
    )
    """The kinds of client operation that it serves; a scenario refuses a workload with other kinds."""
    may_fail: ClassVar[frozenset[str]] = frozenset({"cas"})
    """The kinds of operation for which ``fail`` is an answer of the state machine (a cas whose expected value does not
    match). For other kinds ``fail`` is a refusal, and does not count as progress."""
    label_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that its label shows also when they have their default values."""
    leader_roles: ClassVar[tuple[str, ...]] = ("leader", "primary", "head")
    """Names under which faults may address the leader."""
    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType({})
    """Field -> alternatives with which it keeps what it claims; storms draw one for each field that was not given."""
    administration_options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Class name of an administrator's request -> the setting that enables it, for requests that need a setting."""
    no_application: ClassVar[str] = "it replicates no commands"
    """The reason why it takes no ``application``, for the error message, where it has no such field."""
    product_table: ClassVar[str] = ""
    """The module that holds the settings of products for `like` (see `sim.protocols.products`); "": there are none."""
    measures: ClassVar[tuple[Measure, ...]] = ()
    """Measures of its own (`sim.measure`), which every run of it has: what its nodes record or count."""
    title: ClassVar[str] = ""
    """The name of this class in tables and charts; "" (the default): the class name, split into words."""

    def __new__(cls, *arguments: Any, **given: Any) -> Self:
        """Remember which fields were given: a comparison fills in the other fields, equally for all systems."""
        if "application" in given:
            field = getattr(cls, "__dataclass_fields__", {}).get("application")
            if field is None or not field.init:
                raise ValueError(
                    f"{cls.__name__} takes no application ({given['application']!r}): {cls.no_application}"
                )
        made = super().__new__(cls)
        object.__setattr__(made, "_given", frozenset(given))
        return made

    @classmethod
    def of(
        cls,
        node_class: type[Node],
        consistency: str | None = None,
        invariants: Iterable[Invariant] = (),
        **given: Any,
    ) -> System:
        """A system of equal members of one node class: ``System.of(MyNode, nodes=3, consistency="linearizable")``.

        Its members are n0, n1, ...; its clients send requests to any member and follow redirects. ``nodes`` (default
        3), ``heartbeat``, ``detection`` and ``unsafe`` are the fields of every system. ``max_gone`` (default 0) says
        how many members may be down for ever while it makes progress: storms then leave so many down. ``invariants``
        are those of `sim.invariants`, or of your own. Any other keyword becomes a setting for the nodes: ``quorum=2``
        is ``self.settings.quorum``. Raises ValueError for a setting that is
        mutable, that the node class never reads, or that hides an attribute of `System`.
        """
        if cls is not System:
            raise TypeError(f"write System.of(...), not {cls.__name__}.of(...)")
        # Imported by name: this module is in a layer below the protocols and must not import them.
        made: System = import_module("sim.protocols.of_node").system_of(
            node_class, consistency, invariants, **given
        )
        return made

    @classmethod
    def like(cls, product: str, **given: Any) -> Self:
        """A system with the settings that the documentation of a product states: ``Raft.like("etcd", nodes=5)``.

        ``given``: fields that replace those of the product. `sim.protocols.products.products_of` has the page of each
        value and what the model leaves out; so has docs/products.md. Raises ValueError for a product that this class
        does not know, with those that it knows.
        """
        # Imported by name: this module is in a layer below the protocols and must not import them.
        made: Self = import_module("sim.protocols.products").system_like(cls, product, given)
        return made

    @property
    def given(self) -> frozenset[str]:
        """The names of the fields that were given when this system was made, also those given with their defaults.

        `dataclasses.replace` marks every field as given; use `changed` to keep the marks.
        """
        known: frozenset[str] = self.__dict__["_given"]
        return known

    def changed(self, **fields: Any) -> Self:
        """A copy of this system with other values for some fields; these become given, the marks of the others stay."""
        made = dataclasses.replace(self, **fields)
        object.__setattr__(made, "_given", self.given | frozenset(fields))
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_shared_state(cls, "systems")

    def __post_init__(self) -> None:
        self._check_size()
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

    # Declared by each system

    def members(self) -> tuple[Member, ...]:
        """All members, in the order in which they are placed and started."""
        raise NotImplementedError(f"{type(self).__name__} names no members")

    @property
    def client_class(self) -> type[Node]:
        """The node class of its clients (see `sim.protocols.client.Client`)."""
        raise NotImplementedError(f"{type(self).__name__} names no client class")

    @property
    def consistency(self) -> str | None:
        """The consistency model that it claims, a name for `sim.analysis.checks.check`; None: it claims none."""
        return None

    def _repr_html_(self) -> str:
        claim = f"It claims to be {self.consistency}." if self.consistency else "It claims no consistency."
        settings_now = self.shown_settings()
        changed = [(name, plain_repr(value)) for name, value, usual in settings_now if value != usual]
        settings: list[Block] = []
        if changed:
            names, values = zip(*changed, strict=True)
            settings.append(TextTable([("setting", names, False), ("value", values, False)]))
        usual = [name for name, *_ in settings_now if name not in dict(changed)]
        left = [Folded("Left at their defaults", f"{', '.join(usual)}.")] if usual else []
        return html_of([self.label, claim, *settings, *left])

    @property
    def kind_name(self) -> str:
        """What kind of system it is: the name of its class."""
        return type(self).__name__

    def shown_settings(self) -> list[tuple[str, Any, Any]]:
        """Its settings for people: name, value, default."""
        fields = [f for f in dataclasses.fields(self) if f.init and f.repr]
        return [(f.name, getattr(self, f.name), default_of(f)) for f in fields]

    @property
    def label(self) -> str:
        """Its name in tables and charts: the class name and the fields that differ from their defaults.

        ``heartbeat`` and ``detection`` are left out. The label of an unsafe system begins with UNSAFE.
        """
        shown = []
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name in {"heartbeat", "detection", "unsafe"} or not f.repr:
                continue
            if value != default_of(f) or f.name in self.label_fields:
                shown.append(f"{f.name}={self._in_label(value)}")
        text = type(self).__name__ + (f"({', '.join(shown)})" if shown else "")
        return f"UNSAFE {text}" if self.unsafe else text

    def _in_label(self, value: Any) -> str:
        """The value of a field as the label shows it."""
        return str(getattr(value, "label", getattr(value, "__name__", value)))

    def with_timing(self, timing: Timing) -> Self:
        """A copy of this system in which ``timing`` fills in the failure-detection times that were not given."""
        times = timing if self.heartbeat is None else Timing.of(self.heartbeat)
        detection = times.detection if self.detection is None else self.detection
        return dataclasses.replace(self, heartbeat=times.heartbeat, detection=detection)

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between two heartbeats; 0.05 if neither the user nor the scenario set them."""
        return _WITHOUT_NETWORK.heartbeat if self.heartbeat is None else self.heartbeat

    @property
    def detection_timeout(self) -> float:
        """The shortest silence (seconds) after which a node is suspected; ten heartbeat intervals unless given."""
        return Timing.of(self.heartbeat_interval).detection if self.detection is None else self.detection

    def contacts(self) -> tuple[str, ...]:
        """The members to which clients may send requests; by default all replicas that are not spares."""
        return tuple(m.name for m in self.members() if m.role == "replica" and not m.off)

    def check_machines(self, machines: Mapping[str, Any]) -> None:
        """Raise ValueError for a setting that the machine of a member cannot support. A scenario calls this when built.

        ``machines``: member name -> its machine (`sim.cluster.Machine`).
        """

    def administered_by(self, kind: type) -> tuple[str, ...]:
        """The members that serve an administrator's request of this class: those that have a handler for it.

        Empty if the system does not serve such requests; a scenario that makes one then raises ValueError.
        """
        return tuple(m.name for m in self.members() if m.role != "service" and kind in m.handled)

    @property
    def administration(self) -> tuple[type, ...]:
        """The classes of administrators' requests (`sim.protocols.admin`) that it serves, sorted by name."""
        kinds = {
            kind.__name__: kind
            for member in self.members()
            for kind in member.handled
            if getattr(kind, "is_administration", False) and self.administered_by(kind)
        }
        return tuple(kinds[name] for name in sorted(kinds))

    def with_leader(self, place: str, places: Mapping[str, str]) -> Self:
        """A copy of this system with its first leader or primary at ``place``; ``places``: member -> place.

        A system has a leader if it has a field ``leader``, the name of a replica. A leaderless system returns itself.
        Raises ValueError if no replica is at that place.
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
        """How many members may be down at once within its fault model; None: any number.

        A system that keeps nothing on disk returns F here. Storms crash no more members at once.
        """
        return None

    @property
    def max_gone(self) -> int:
        """How many members may be down for ever while it makes progress. 0: all of them restart after a storm."""
        return 0

    def is_stranded(self, nodes: Mapping[str, Node]) -> bool:
        """Whether the members that are gone for good were the last to have what the others need to go on.

        A system that takes silent members out of its group may lose the last one that is in it, although others are
        alive: it tolerates one failure after another. ``nodes``: the live members, after a storm. Default: never.
        """
        return False

    @property
    def disks_may_be_lost(self) -> bool:
        """Whether its fault model allows a member to restart with an empty disk.

        False if the protocol needs stable storage, for safety or for progress. Storms then destroy no disk.
        """
        return False

    @property
    def disks_may_be_damaged(self) -> bool:
        """Whether its fault model allows records on a member's disk to be damaged after they were synced.

        Such a member finds out when it boots (`sim.node.Node.disk_damaged`), and must not trust the rest blindly.
        Otherwise storms damage no disk.
        """
        return False

    @property
    def copies_on_disk(self) -> tuple[tuple[str, ...], ...]:
        """Groups of durable fields that are copies of each other: a damaged one is restored from another.

        Its fault model excludes that all of a group are damaged before the member boots and writes them again, so
        faults leave at least one intact.
        """
        return ()

    @property
    def max_delay(self) -> float | None:
        """The longest time (seconds) that a message may be on its way within its fault model; None: any time.

        A system that forgets something after a time, such as that a key was deleted, relies on a bound.
        """
        return None

    @property
    def max_clock_drift(self) -> float | None:
        """The largest error of the rates of a node's clocks within its fault model; None: any error.

        With 0.05 the rates are between 0.95 and 1.05; leases rely on such a bound. 0: the rates are exact. A system
        that uses time only for timeouts leaves it at None. Storms stay within the bound.
        """
        return None

    @property
    def wall_clock_may_jump(self) -> bool:
        """Whether its fault model allows wall clocks (`Verbs.now`) to jump, and to differ from node to node.

        False if a claim depends on wall clocks, such as a bound on staleness that compares the clocks of two nodes.
        Timers, leases and suspicion use monotonic clocks and do not depend on this. Storms set no wall clock then.
        """
        return True

    def has_recovered(self, node: Node) -> bool:
        """Whether a live member takes part again after a restart; a member that does not yet counts as down."""
        return True

    def unsettled(self, nodes: Mapping[str, Node]) -> tuple[str, ...]:
        """The names of the live ``nodes`` that are still busy after the faults have ended; storms wait for them.

        For systems that work also without client requests: memberships that must agree, rumours that must arrive.
        """
        return ()

    @property
    def applied(self) -> Literal["final", "tentative", "unordered"]:
        """What it means that a replica has applied a command to the application; checked by `sim.invariants.agreement`.

        ``"final"``: every replica applies it in the same place of one order, also if this one crashes.
        ``"tentative"``: it may be taken back, as when a replica applies what others do not have yet.
        ``"unordered"``: replicas apply commands on one key in different orders.
        """
        return "final"

    def progress(self, nodes: Mapping[str, Node]) -> Mapping[str, Any] | None:
        """How far each live node that must hold the replicated data has come: name -> position.

        A position is a number that grows (entries applied, versions seen), or a tuple of such numbers, compared
        element by element. After a storm every replica in the result must reach the furthest position in its group
        (`Member.group`); a replica that does not is reported as never having caught up. Replicas that have left the
        group, or that hold no data, are not in the result. None: the system replicates nothing, or its documentation
        says that replicas may fall behind forever.
        """
        return None

    # Asked by the rest of the simulator

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        """The name of the live node that holds ``role`` now; None if no node holds it. ``nodes``: name -> node.

        A leaderless system raises LookupError; the scenario then takes the replica nearest to most clients.
        """
        raise LookupError(f"{type(self).__name__} has no {role}")

    def next_leader(self, nodes: Mapping[str, Node]) -> str | None:
        """The member that leads next, where that is fixed: leadership goes round. None: any member may."""
        return None

    def invariants(self) -> Iterable[Invariant]:
        """New invariants for one run; when checking is on, the simulator calls them after every event."""
        return ()

    def limits(self) -> Iterable[Limit]:
        """Numbers that each run keeps within limits; `sim fuzz` judges them, and reports a run that does not."""
        return ()

    @property
    def converges_within(self) -> float | None:
        """The time (seconds, without message delays) until all replicas agree, after the last write and the last fault.

        None: no such promise. Systems that claim ``eventual`` state it, and show their values by `replica_values`.
        """
        return None

    def replica_values(self, nodes: Mapping[str, Node]) -> Mapping[str, Mapping[str, Any]] | None:
        """The values that each live replica holds: name -> key -> value; None: the system does not show them."""
        return None

    @property
    def replaces(self) -> bool:
        """Whether a write replaces, for good, each value of its key that its client knew: wrote before, or had read.

        Storms check it when all replicas agree (`converges_within`, `replica_values`): what was replaced, or deleted,
        has not come back. Default: no such promise.
        """
        return False

    def keeps(self, outcome: Any) -> bool:
        """Whether a write that a client saw succeed survives: after a storm, a live replica has applied it.

        ``outcome``: what the client was told (`sim.protocols.client.Outcome`). Default: yes, if the system claims to be
        linearizable or sequential. A system that tells its clients which writes may be lost overrides it.
        """
        return self.consistency in ("linearizable", "sequential")

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """The number of acknowledged writes that no live member has at the end of the run; None: not counted.

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

    The sentinel is recognised by its type: a class that cloudpickle brought from another process has a copy of it.
    """
    made: Any = field.default_factory
    return field.default if isinstance(made, type(dataclasses.MISSING)) else made()


@dataclass(frozen=True)
class Limit:
    """A number that each run of a system keeps between ``least`` and ``most``, storms included.

    ``measure(run)`` gives the number; a run has the frames ``operations``, ``events``, ``nodes`` ... (`sim.lab.Run`).
    ``title``: what it is, in words: "leader changes a minute after calm".
    """

    title: str
    measure: Callable[[Any], float]
    least: float = -inf
    most: float = inf

    def __post_init__(self) -> None:
        if not self.least < self.most or (self.least == -inf and self.most == inf):
            raise ValueError(
                f"Limit {self.title!r}: least and most must leave a range, not {self.least!r} and {self.most!r}"
            )

    def holds(self, value: float) -> bool:
        """Whether a number is within the limit; a number that is nan (nothing was measured) is."""
        return not (value < self.least or value > self.most)

    def __str__(self) -> str:
        bounds = [f"at least {self.least:g}"] * (self.least > -inf) + [f"at most {self.most:g}"] * (
            self.most < inf
        )
        return f"{self.title}: {' and '.join(bounds)}"


class Violation(Exception):
    """A broken invariant, with everything that is needed to reproduce it.

    Attributes
    ----------
    invariant: the name of the broken invariant.
    time: simulated seconds. nodes: the names of the nodes involved. facts: the facts that contradict each other.
    seed, scenario: filled in by the run; the same scenario and seed give the same violation.
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
    """A statement that must hold after every event of a run. Subclasses override the hooks they need.

    The simulator calls the hooks with what has changed. A hook keeps a *ghost*: a record of everything that was ever
    sent, accepted or committed, because a bug often erases its own evidence. `violated` raises the `SafetyViolation`.
    """

    title: ClassVar[str] = "an unnamed invariant"
    hears: ClassVar[tuple[type, ...]] = (object,)
    """The classes of messages of which `on_wait`, `on_send` and `on_deliver` are told; by default all.

    A subclass that overrides one of these hooks is told of all messages again, unless it declares ``hears``, too.
    """
    steps_of: ClassVar[tuple[type, ...]] = (object,)
    """The classes of nodes of whose steps `on_step` is told; by default all, clients too. Inherited as ``hears`` is."""
    now: Callable[[], float] = field(default=lambda: float("nan"), repr=False)
    """Set by the run: returns the simulated time in seconds."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_shared_state(cls, "runs")
        if "hears" not in cls.__dict__ and any(hook in cls.__dict__ for hook in _MESSAGE_HOOKS):
            cls.hears = Invariant.hears
        if "steps_of" not in cls.__dict__ and "on_step" in cls.__dict__:
            cls.steps_of = Invariant.steps_of
        for name, given, what in (("hears", cls.hears, "messages"), ("steps_of", cls.steps_of, "nodes")):
            if not isinstance(given, tuple) or not all(isinstance(kind, type) for kind in given):
                raise TypeError(f"{cls.__name__}.{name} is a tuple of classes of {what}, not {given!r}")

    def is_told_of(self, kind: type) -> bool:
        """Whether its hooks are called with messages of this class; by default: with those that it ``hears``."""
        return issubclass(kind, self.hears)

    @property
    def is_free(self) -> bool:
        """Whether it is one of `sim.invariants`, free or declared in one line: ``check="free"`` asks only such ones."""
        return False

    def only_free(self) -> Invariant | None:
        """What of it is free (see `is_free`); None: nothing."""
        return self if self.is_free else None

    def begin(self, members: Iterable[Member]) -> None:
        """Called before a run with the members of the system. Raises ValueError for what none of them has."""

    def on_wait(self, src: str, dst: str, message: Any) -> None:
        """A node has asked to send a message, which waits until all that was written before it is synced.

        `on_send` follows when the message leaves, and does not follow where the node crashes first.
        """

    def on_send(self, src: str, dst: str, message: Any) -> None:
        """A message is leaving a node: the writes that it depends on are synced, unless it was sent with hold=False.

        A core or a network card may still delay it, and the network may lose it.
        """

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        """The node ``dst`` is about to handle a message."""

    def on_step(self, node: Node) -> None:
        """A handler of ``node`` has just run (its boot included)."""

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        """A node recorded a protocol event, or the nemesis a fault (``crash``, ``restart``)."""

    def on_acknowledged(self, client: str, operation: Any) -> None:
        """A client has seen an operation succeed (an `sim.protocols.client.Outcome`)."""

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        """The run is over. Checks of the whole state belong here. ``nodes``: the live members, by name."""

    def violated(self, nodes: str | Iterable[str], *facts: str, invariant: str | None = None) -> NoReturn:
        """Raise the `SafetyViolation`.

        ``nodes``: the name or names of the nodes involved. ``facts``: the facts that contradict each other.
        ``invariant``: the name of the broken invariant, if this class checks several; None: its ``title``.
        """
        who = (nodes,) if isinstance(nodes, str) else tuple(nodes)
        raise SafetyViolation(invariant or self.title, self.now(), who, facts)


_MESSAGE_HOOKS = ("on_wait", "on_send", "on_deliver")

MessageHook = Callable[[str, str, Any], None]
"""A hook for messages: (source, destination, message)."""


def hooks_of(invariants: Iterable[Invariant], name: str) -> list[Callable[..., None]]:
    """The hook ``name`` of those invariants that have one of their own: calling the others would do nothing."""
    empty = getattr(Invariant, name)
    return [getattr(each, name) for each in invariants if getattr(type(each), name) is not empty]


class StepHooks(dict[type, list[Callable[..., None]]]):
    """Class of nodes -> the `on_step` of the invariants that are told of its steps, found at its first step."""

    def __init__(self, invariants: Iterable[Invariant]) -> None:
        super().__init__()
        self._invariants = tuple(invariants)

    def __missing__(self, kind: type) -> list[Callable[..., None]]:
        told = (each for each in self._invariants if issubclass(kind, each.steps_of))
        hooks = self[kind] = hooks_of(told, "on_step")
        return hooks


class MessageHooks(dict[type, list[MessageHook]]):
    """Class of messages -> the hooks of that name of the invariants that are told of it, found at its first message."""

    def __init__(self, name: str, invariants: Iterable[Invariant] = ()) -> None:
        super().__init__()
        self._name = name
        self._listeners: list[MessageHook] = []
        self.take_from(invariants)

    def add_listener(self, hear: MessageHook) -> None:
        """Call this, too, with messages of every class."""
        self._listeners.append(hear)
        self.clear()

    def take_from(self, invariants: Iterable[Invariant]) -> None:
        """From now on, have the hooks of these invariants."""
        self._invariants = tuple(invariants)
        self.clear()

    def __missing__(self, kind: type) -> list[MessageHook]:
        if not is_message(kind):
            return []  # it is refused where it is sent
        told = hooks_of((each for each in self._invariants if each.is_told_of(kind)), self._name)
        hooks = self[kind] = [*told, *self._listeners]
        return hooks
