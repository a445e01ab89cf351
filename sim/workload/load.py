"""When clients issue operations: closed loops and open loops.

A client of a *closed loop* waits for each reply, thinks, and issues the next operation. An *open loop* issues each
operation when it is due, whether or not earlier ones are answered; its latency starts when it was due.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from sim.distributions import as_distribution
from sim.kernel import Streams
from sim.protocols.application import Application
from sim.protocols.client import Client, Driver, Operation, Outcome
from sim.settings import MOST_MEMBERS, MOST_ROWS, Bounds, Count, Members, Value, Wait
from sim.workload.keys import Keys
from sim.workload.mix import YCSB, Mix, Source

__all__ = [
    "ClientPlan",
    "ClosedLoop",
    "Mixed",
    "NoLoad",
    "OpenLoop",
    "SessionPool",
    "Workload",
    "check_clients",
    "check_start",
    "observe",
    "spread",
]


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """The plan of one client node: its name, the place or the member at which it is, and its driver."""

    name: str
    where: str
    driver: Driver


@dataclass(frozen=True, kw_only=True)
class Workload(Value):
    """The operations of the clients. A workload of your own overrides `kinds`, `spots` and `plan`."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of operation that its clients issue."""
        return frozenset()

    def suited_to(self, application: Application | None) -> Workload:
        """This workload for a system that replicates this application (None: it takes none)."""
        return self

    def spots(self, regions: Sequence[str]) -> list[str]:
        """The place or member of each client, in order."""
        return []

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        """The client nodes of a run."""
        return []

    def check_duration(self, duration: float) -> None:
        """Raise ValueError if a setting would have no effect in a run of ``duration`` seconds, or if the rows of the
        run would not fit in memory.
        """


@dataclass(frozen=True, kw_only=True)
class NoLoad(Workload):
    """No clients: for systems that do something interesting without requests, such as failure detectors."""


@dataclass(frozen=True, kw_only=True)
class Mixed(Workload):
    """Base of the workloads whose clients draw their operations from a mix.

    Parameters
    ----------
    clients:
        The number of client nodes, placed round robin in the network's regions; or a mapping from region, or from
        the member at which the clients are placed, to a number.
    mix:
        A `Mix`, or the letter of a YCSB workload. None: gets and puts, with shares given by ``reads``; of an
        application without gets and puts, all its operations, equally often.
    reads:
        The fraction of gets if no mix is given; None: one half.
    keys, value_bytes:
        The keys, and the bytes per written value. They replace those of the mix; None: those of the mix (without a
        mix: 1000 keys, all equally likely, and 0 bytes).
    start:
        Simulated seconds before the first operation.
    """

    clients: Members | Mapping[str, Members] = 10
    keys: Keys | None = None
    reads: float | None = None
    value_bytes: Any = None
    mix: Mix | str | None = None
    start: Wait = 0.0

    def __post_init__(self) -> None:
        check_clients(self, self.clients)
        self.resolved_mix()  # raises an error for a wrong mix now

    def resolved_mix(self) -> Mix:
        """The mix of operations, from ``mix``, ``reads``, ``keys`` and ``value_bytes``."""
        if self.mix is None:
            mix = Mix.reads(0.5 if self.reads is None else self.reads)
        elif self.reads is not None:
            raise ValueError(
                f"{type(self).__name__}: reads={self.reads!r} would have no effect: mix={self.mix!r} says what is read"
            )
        elif isinstance(self.mix, Mix):
            mix = self.mix
        elif self.mix in YCSB:
            mix = YCSB[self.mix]
        else:
            raise ValueError(f"there is no YCSB workload {self.mix!r}; there are {', '.join(YCSB)}")
        own = {"keys": self.keys, "value_bytes": self.value_bytes}
        given = {name: value for name, value in own.items() if value is not None}
        return replace(mix, **given) if given else mix

    def suited_to(self, application: Application | None) -> Workload:
        """If no mix is given, of an application without gets and puts all operations, equally often.

        Raises ValueError for a setting that would have no effect.
        """
        drawn = application is not None and type(application).draw is not Application.draw
        for name in ("keys", "value_bytes"):
            if drawn and getattr(self, name) is not None:
                raise ValueError(
                    f"{type(self).__name__}: {name}={getattr(self, name)!r} would have no effect: "
                    f"{application!r} draws its operations itself"
                )
        if application is None or self.mix is not None or {"get", "put"} <= application.operations:
            return self
        if self.reads is not None:
            raise ValueError(
                f"{type(self).__name__}: reads={self.reads!r} is the fraction of gets among gets and puts, and "
                f"{application!r} has {', '.join(sorted(application.operations))}: write mix=Mix({{kind: weight}})"
            )
        return replace(self, mix=Mix(tuple((kind, 1.0) for kind in sorted(application.operations))))

    @property
    def kinds(self) -> frozenset[str]:
        return self.resolved_mix().kinds

    def spots(self, regions: Sequence[str]) -> list[str]:
        return spread(self.clients, regions)

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        spots = self.spots(regions)
        mix = self.resolved_mix()
        return [
            ClientPlan(
                f"c{i}",
                where,
                self.driver(streams, f"c{i}", Source(mix, streams, f"c{i}", i, len(spots)), len(spots)),
            )
            for i, where in enumerate(spots)
        ]

    def check_duration(self, duration: float) -> None:
        check_start(self, self.start, duration)

    def driver(self, streams: Streams, name: str, source: Source, clients: int) -> Driver:
        """The driver of one client."""
        raise NotImplementedError


def check_clients(owner: Workload, clients: int | Mapping[str, int]) -> None:
    """Raise ValueError for an empty mapping, a number of clients below 1, or more clients than fit in memory."""
    counts = list(clients.values()) if isinstance(clients, Mapping) else [clients]
    who = type(owner).__name__
    if not counts:
        raise ValueError(f"{who}: clients names no place: {clients!r}")
    for count in counts:
        if count < 1:
            raise ValueError(f"{who}: clients must be at least 1, not {count!r}")
    if sum(counts) > MOST_MEMBERS:
        raise ValueError(
            f"{who}: {sum(counts):,} clients are too many: at most {MOST_MEMBERS:,} fit in memory"
        )


def check_start(owner: Workload, start: float, duration: float) -> None:
    """Raise ValueError unless clients start before the end of the run (both in seconds)."""
    if start >= duration:
        raise ValueError(
            f"{type(owner).__name__}: start={start!r} s is not before the end of the run, at {duration!r} s"
        )


def spread(clients: int | Mapping[str, int], regions: Sequence[str]) -> list[str]:
    """The place of each client: as the mapping says, or round robin over the regions."""
    if isinstance(clients, Mapping):
        return [where for where, count in clients.items() for _ in range(count)]
    return [regions[i % len(regions)] for i in range(clients)]


# Closed loop


@dataclass(frozen=True, kw_only=True)
class ClosedLoop(Mixed):
    """Each client issues an operation, waits for its reply, thinks, and issues the next operation.

    Besides those of `Mixed`:

    Parameters
    ----------
    think:
        Seconds between a reply and the next operation: a number, a distribution, or samples.
    operations:
        How many operations each client issues; None: as many as it can.
    """

    think: Any = 0.0
    operations: Count | None = None

    def _convert(self) -> None:
        self._keep(think=as_distribution(self.think, "ClosedLoop: think"))

    def driver(self, streams: Streams, name: str, source: Source, clients: int) -> Driver:
        think = self.think.sampler(streams.generator(f"workload/{name}/think"))
        return _ClosedDriver(source, think, self.start, self.operations)


class _ClosedDriver:
    """One session after another, one operation at a time."""

    def __init__(self, source: Source, think: Callable[[], float], start: float, limit: int | None) -> None:
        self.source = source
        self._think = think
        self._start = start
        self._left = limit
        self._session: int | None = None
        self._modifying: str | None = None  # key whose read-modify-write has read and must write
        self.stopped = False

    def begin(self, client: Client) -> None:
        client.set_timer("wake", max(0.0, self._start - client.now), "go")

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped or self._left == 0:
            return
        if self._session is None:
            self._session = client.open_session()
        if self._left is not None:
            self._left -= 1
        operation = self.source.next()
        if operation.kind == "read-modify-write":
            self._modifying = operation.key
            operation = Operation("get", operation.key)
        client.submit(self._session, operation)

    def completed(self, client: Client, outcome: Outcome) -> None:
        observe(self.source, outcome)
        if outcome.status == "info":
            self._session = None  # the operation may still take effect, so its session must not be used again
        key, self._modifying = self._modifying, None
        if key is not None and outcome.status == "ok":
            assert self._session is not None
            client.submit(self._session, self.source.make("put", key))
            return
        pause = self._think()
        if pause == 0.0 and not client.pending:
            self.wake(client, None)
        else:
            client.set_timer("wake", pause, "go")


def observe(source: Source, outcome: Outcome) -> None:
    """Remember the value of a key that a client has seen in an outcome."""
    operation = outcome.operation
    if outcome.status == "ok":
        value = operation.value[1] if operation.kind == "cas" else outcome.value
        source.saw(operation.key, value)
    elif operation.kind == "cas" and outcome.status == "fail":
        source.saw(operation.key, outcome.result)


# Open loop


@dataclass(frozen=True, kw_only=True)
class OpenLoop(Mixed):
    """Operations arrive at a rate, whether or not earlier ones are answered.

    Besides those of `Mixed` (each of the ``clients`` issues an equal share of the operations):

    Parameters
    ----------
    rate:
        Operations per second, over all clients.
    arrivals:
        ``"poisson"`` or ``"constant"``.
    operations:
        How many operations in total, over all clients; None: until the run ends.
    """

    clients: Members | Mapping[str, Members] = 1
    rate: Annotated[float, Bounds("positive operations per second", above=0)] = 100.0
    arrivals: Literal["poisson", "constant"] = "poisson"
    operations: Count | None = None

    def check_duration(self, duration: float) -> None:
        super().check_duration(duration)
        due = self.rate * (duration - self.start)
        if min(due, self.operations or due) > MOST_ROWS:
            raise ValueError(
                f"OpenLoop: rate={self.rate!r} for {duration - self.start:g} s are {due:.3g} operations, each a row in "
                f"memory: at most {MOST_ROWS:,} fit"
            )

    def driver(self, streams: Streams, name: str, source: Source, clients: int) -> Driver:
        mean = clients / self.rate
        stream = streams[f"workload/{name}/arrivals"]
        gap = (lambda: stream.exponential(mean)) if self.arrivals == "poisson" else (lambda: mean)
        limit = None
        if self.operations is not None:
            index = int(name.removeprefix("c"))
            limit = self.operations // clients + (index < self.operations % clients)
        return _OpenDriver(source, gap, self.start, limit)


class SessionPool:
    """Free sessions of one client; an operation of unknown outcome retires its session."""

    def __init__(self) -> None:
        self._free: list[int] = []

    def take(self, client: Client) -> int:
        return self._free.pop() if self._free else client.open_session()

    def give_back(self, outcome: Outcome) -> None:
        if outcome.status != "info":
            self._free.append(outcome.session)


class _OpenDriver:
    """Draws the time of the next arrival when an operation has arrived."""

    def __init__(self, source: Source, gap: Callable[[], float], start: float, limit: int | None) -> None:
        self.source = source
        self._gap = gap
        self._start = start
        self._left = limit
        self._due = 0.0
        self._pool = SessionPool()
        self._modifying: dict[int, str] = {}  # session -> key whose read-modify-write has read and must write
        self.stopped = False

    def begin(self, client: Client) -> None:
        self._due = max(self._start, client.now) + self._gap()
        client.set_timer("wake", self._due - client.now)

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped or self._left == 0:
            return
        if self._left is not None:
            self._left -= 1
        operation = self.source.next()
        session = self._pool.take(client)
        if operation.kind == "read-modify-write":
            self._modifying[session] = operation.key
            operation = Operation("get", operation.key)
        client.submit(session, operation, self._due)
        gap = self._gap()
        self._due += gap
        client.set_timer("wake", gap)

    def completed(self, client: Client, outcome: Outcome) -> None:
        observe(self.source, outcome)
        key = self._modifying.pop(outcome.session, None)
        if key is not None and outcome.status == "ok":
            client.submit(outcome.session, self.source.make("put", key))
        else:
            self._pool.give_back(outcome)
