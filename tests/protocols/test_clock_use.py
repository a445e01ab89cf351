"""How all protocols use the two clocks of a node.

A reading of the monotonic clock is compared only with other readings of the same clock, in the same incarnation. It
neither travels, nor is stored, nor recorded. Durations are never measured on the wall clock, except where a system says
that it counts on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from math import isinf, isnan
from typing import Any, ClassVar

import pytest

import sim.cluster.clock
from sim.cluster import Clock, NodeHost
from sim.cluster.clock import NodeClocks
from sim.cluster.disk import SyncedDisk
from sim.distributions import Exponential
from sim.lab import draw_storm, run_storm
from sim.lab.run import Run
from sim.protocols import (
    Abd,
    Balanced,
    BasicRaft,
    BroadcastStore,
    CasPaxos,
    ChainReplication,
    Craq,
    Crdt,
    Dynamo,
    EPaxos,
    EPaxosStar,
    ExpectedArrival,
    FixedTimeout,
    Gossip,
    HeartbeatDetectors,
    LeaderLease,
    Mencius,
    MultiPaxos,
    MultiPrimary,
    OmniPaxos,
    Paxos,
    PhiAccrual,
    PrimaryBackup,
    Raft,
    RpcStore,
    ShardedChain,
    ShardedRaft,
    Swim,
    ViewstampedReplication,
)
from sim.protocols.balancing.load import PeakEwma
from sim.protocols.balancing.store import BalancedStore
from sim.system import Invariant, System

SYSTEMS: list[System] = [
    Abd(),
    Balanced(servers=3, service=Exponential(0.001), policy=PeakEwma()),
    BalancedStore(store=PrimaryBackup(nodes=3, mode="async")),
    BasicRaft(nodes=3),
    BroadcastStore(),
    CasPaxos(nodes=3),
    ChainReplication(),
    Craq(),
    Crdt(kind="lww-register"),
    Dynamo(nodes=5),
    Dynamo(nodes=5, stamps="coordinator"),
    EPaxos(nodes=3),
    EPaxosStar(nodes=3),
    Gossip(),
    HeartbeatDetectors(detector=FixedTimeout()),
    HeartbeatDetectors(detector=ExpectedArrival()),
    HeartbeatDetectors(detector=PhiAccrual()),
    LeaderLease(granters="quorum"),
    LeaderLease(granters="service"),
    Mencius(nodes=3),
    MultiPaxos(nodes=3),
    MultiPaxos(nodes=3, lease=0.45, drift=0.01, heartbeat=0.05, detection=0.5),
    OmniPaxos(nodes=3),
    MultiPrimary(clock="wall"),
    MultiPrimary(clock="hybrid"),
    Paxos(nodes=3),
    PrimaryBackup(nodes=3, mode="sync", reads="lease"),
    PrimaryBackup(nodes=3, mode="semi-sync", acks=1, fallback=0.5),
    PrimaryBackup(nodes=3, mode="async", services=3),
    PrimaryBackup(nodes=3, reads="backup", staleness=0.5),
    Raft(nodes=3, reads="lease", clock_drift=0.01, pre_vote=True, check_quorum=True),
    Raft(nodes=3, reads="lease", clock_drift=0.01, snapshot_every=20),
    Raft(nodes=3, reads="leaseguard", clock_error=0.01),
    RpcStore(),
    ShardedChain(groups=2),
    ShardedRaft(groups=2),
    Swim(),
    ViewstampedReplication(),
]
"""Each system that uses time for anything, with the options that make it do so."""


class MixedClocks(AssertionError):
    """A reading of a clock was used where it means nothing."""


class Monotonic(float):
    """A reading that knows of which clock it is."""

    clock: tuple[str, int]

    def of(self, seconds: float) -> Monotonic:
        made = Monotonic(seconds)
        made.clock = self.clock
        return made

    def same(self, other: Any, what: str) -> None:
        never = isinstance(other, float) and isinf(other)  # before, or after, all time
        if not never and getattr(other, "clock", None) != self.clock:
            raise MixedClocks(f"{self.clock}: {what} {getattr(other, 'clock', 'a number')}")

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Ahead):
            return wall(self.clock, float(self) + float(other))
        if isinstance(other, Monotonic):
            raise MixedClocks("two points in time were added")
        return self.of(float(self) + other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, Monotonic):
            self.same(other, "minus")
            return float(self) - float(other)
        return float(self) - other if isinf(other) else self.of(float(self) - other)

    def __rsub__(self, other: float) -> float:
        self.same(other, "subtracted from")
        return other - float(self)

    def _nonsense(self, *_: Any) -> Any:
        raise MixedClocks("a point in time is no duration")

    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __neg__ = __abs__ = _nonsense

    def _compared(how: Callable[[float, Any], Any]) -> Any:  # type: ignore[misc]  # noqa: N805
        def compare(self: Monotonic, other: Any) -> Any:
            self.same(other, "compared with")
            return how(float(self), float(other))

        return compare

    __lt__, __le__ = _compared(float.__lt__), _compared(float.__le__)
    __gt__, __ge__ = _compared(float.__gt__), _compared(float.__ge__)
    __hash__ = float.__hash__


class Ahead(float):
    """How far the wall clock of a node is ahead of its monotonic one: good for nothing but to be added to that."""

    def _nonsense(self, *_: Any) -> Any:
        raise MixedClocks("a reading of the monotonic clock was compared with the wall clock")

    __lt__ = __le__ = __gt__ = __ge__ = _nonsense


class Wall(float):
    """A reading of a wall clock: a timestamp. The time since an earlier one is no duration: the clock may be set."""

    clock: tuple[str, int]
    durations: ClassVar[list[str]] = []  # the functions that measured a duration with it

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, Monotonic):
            if other.clock != self.clock:
                raise MixedClocks(f"the wall clock of {self.clock} and the monotonic one of {other.clock}")
            return Ahead(float(self) - float(other))
        if isinstance(other, Wall):
            self.durations.append(self.clock[0])
            return float(self) - float(other)
        return wall(self.clock, float(self) - other)

    def __add__(self, other: Any) -> Any:
        return wall(self.clock, float(self) + other)

    __radd__ = __add__

    def _compared(how: Callable[[float, Any], Any]) -> Any:  # type: ignore[misc]  # noqa: N805
        def compare(self: Wall, other: Any) -> Any:
            if isinstance(other, Monotonic):
                raise MixedClocks(f"the wall clock of {self.clock} and the monotonic one of {other.clock}")
            return how(float(self), float(other))

        return compare

    __lt__, __le__ = _compared(float.__lt__), _compared(float.__le__)
    __gt__, __ge__ = _compared(float.__gt__), _compared(float.__ge__)
    __hash__ = float.__hash__


def wall(clock: tuple[str, int], seconds: float) -> Wall:
    made = Wall(seconds)
    made.clock = clock
    return made


def contents(value: Any) -> Iterator[Any]:
    """All that a message, or a value on disk, is made of."""
    yield value
    if isinstance(value, str | bytes | int | float):
        return
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, tuple | list | set | frozenset):
        inner = list(value)
    else:
        names = [n for c in type(value).__mro__ for n in getattr(c, "__slots__", ())]
        inner = [getattr(value, n, None) for n in [*names, *getattr(value, "__dict__", ())]]
    for item in inner:
        yield from contents(item)


def stays_here(value: Any, where: str) -> None:
    if any(isinstance(item, Monotonic) for item in contents(value)):
        raise MixedClocks(f"a reading of a monotonic clock {where}: {value!r}")


class StaysHere(Invariant):
    def on_send(self, src: str, dst: str, message: Any) -> None:
        stays_here(message, "travels")

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        stays_here(detail, f"is recorded with {event}")


def guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all readings know where they come from, and object to misuse."""
    Wall.durations.clear()
    plain_wall, plain_write = NodeHost.clock, SyncedDisk.write

    def monotonic(self: NodeHost, told: float) -> Monotonic:
        made = Monotonic(told)
        made.clock = (self.name, self.incarnation)
        return made

    def clock(self: NodeHost) -> float:
        told = plain_wall(self)
        # A client's clock is right, and says when operations were called: the harness subtracts these.
        return told if self.member.role == "client" else wall((self.name, self.incarnation), told)

    def write(self: SyncedDisk, field: str, operation: str, argument: Any) -> None:
        stays_here(argument, f"is stored in {field}")
        plain_write(self, field, operation, argument)

    monkeypatch.setattr(NodeHost, "clock", clock)
    change_monotonic(monkeypatch, monotonic)
    monkeypatch.setattr(SyncedDisk, "write", write)


def change_monotonic(monkeypatch: pytest.MonkeyPatch, change: Callable[[NodeHost, float], float]) -> None:
    """Let the readings of hosts' monotonic clocks be what ``change`` makes of a host and its reading (s)."""
    plain = NodeHost.__init__

    def init(self: NodeHost, *given: Any, **options: Any) -> None:
        plain(self, *given, **options)
        told = self.monotonic
        self.monotonic = lambda: change(self, told())

    monkeypatch.setattr(NodeHost, "__init__", init)


TICKS = 2**20
"""How often the clocks tick in a second."""


def make_differences_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let monotonic clocks begin at whole seconds and tick in dyadic fractions: no difference of readings is rounded.

    Otherwise a member that was silent for exactly the detection time is late on one clock, and not yet on another.
    """
    plain_begin = NodeClocks.begin

    def begin(self: NodeClocks) -> None:
        plain_begin(self)
        self._begun += round(self.monotonic()) - self.monotonic()

    monkeypatch.setattr(NodeClocks, "begin", begin)
    change_monotonic(monkeypatch, lambda host, told: round(told * TICKS) / TICKS)


def storm(system: System, seed: int, apart: float) -> Run:
    """A storm in which wall clocks are wrong by multiples of ``apart`` seconds."""
    made = draw_storm(system, seed, length=1.5)
    machines: Any = made.machines
    clocks = [
        Clock(apart * (-1) ** i * i, machine.clock.drift) for i, machine in enumerate(machines.values())
    ]
    changed = [dataclasses.replace(h, clock=c) for h, c in zip(machines.values(), clocks, strict=True)]
    return run_storm(dataclasses.replace(made, machines=dict(zip(machines, changed, strict=True))), seed)


def rows(run: Run) -> list[tuple[Any, ...]]:
    """What was seen of a run; times to 0.1 us, since sums round differently."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return None if isnan(value) else round(float(value), 7)
        return value

    assert run.violation is None, run.violation
    seen = [run.operations, run.nodes[["node", "messages_in", "crashes"]]]
    return [tuple(map(rounded, row)) for frame in seen for row in frame.itertuples(index=False)]


TIMESTAMPS = {
    "Crdt": "the last writer wins, by hybrid clocks",
    "Dynamo": "the last writer wins, by the coordinator's wall clock; the age of hints counts on it, too",
    "Gossip": "the newest update wins, by the writer's wall clock",
    "MultiPrimary": "the last writer wins, by wall or hybrid clocks",
}
"""Systems that make timestamps of wall clocks: who wins depends on who is ahead."""


def sees_to_its_clocks(system: System, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with clocks that object to misuse and begin anywhere, once with plain ones that begin at 0."""
    right = type(system).__name__ in TIMESTAMPS or not system.wall_clock_may_jump
    with monkeypatch.context() as patched:
        guard(patched)
        invariants = type(system).invariants
        patched.setattr(type(system), "invariants", lambda self: [*invariants(self), StaysHere()])
        patched.setattr(sim.cluster.clock, "SPREAD", 1e4)
        guarded = rows(storm(system, seed, 0.0 if right else 1000.0))
    assert not (Wall.durations and system.wall_clock_may_jump), (
        "it counts on wall clocks, and does not say so"
    )
    with monkeypatch.context() as patched:
        patched.setattr(sim.cluster.clock, "SPREAD", 0.0)
        assert rows(storm(system, seed, 0.0)) == guarded


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.label)
def test_readings_stay_with_their_clock_and_where_clocks_begin_changes_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_differences_exact(monkeypatch)
    sees_to_its_clocks(system, 1, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.label)
def test_clocks_are_used_well_in_thirty_storms(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    make_differences_exact(monkeypatch)
    for seed in range(2, 32):
        sees_to_its_clocks(system, seed, monkeypatch)


def test_a_bound_on_staleness_counts_on_wall_clocks_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    system = PrimaryBackup(nodes=3, reads="backup", staleness=0.5)
    guard(monkeypatch)
    storm(system, 1, 0.0)
    assert Wall.durations
    assert not system.wall_clock_may_jump


def fault_model(system: System) -> tuple[object, ...]:
    """What a storm may do to a system."""
    return system.max_clock_drift, system.wall_clock_may_jump, system.disks_may_be_lost, system.max_down


@pytest.mark.parametrize(
    "store",
    [
        PrimaryBackup(mode="async"),
        PrimaryBackup(reads="backup", staleness=0.5),
        ViewstampedReplication(),
        Raft(reads="lease", clock_drift=0.05),
    ],
    ids=lambda system: system.label,
)
def test_a_system_around_another_has_the_fault_model_of_the_inner_one(store: System) -> None:
    assert fault_model(store) != fault_model(System())
    assert fault_model(BalancedStore(store=store)) == fault_model(store)
    if isinstance(store, Raft):
        around = ShardedRaft(groups=2, group=store)
        assert around.max_clock_drift == store.max_clock_drift
        assert around.wall_clock_may_jump == store.wall_clock_may_jump
