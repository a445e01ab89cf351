"""When clients issue operations: closed loops, open loops, traces.

A *closed loop* waits for each reply before it thinks and goes on. An *open loop* issues operations when they
are due, whether or not earlier ones are answered; their latency starts when they were due.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sim.kernel import Streams
from sim.network.distributions import as_distribution
from sim.protocols.client import Client, Driver, Operation, Outcome
from sim.system import check_types
from sim.workload.keys import Keys
from sim.workload.mix import YCSB, Mix, Source

__all__ = ["Arrival", "ClientPlan", "ClosedLoop", "Idle", "OpenLoop", "Trace", "Workload"]


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """One client node to be made: its name, the place or member where it stands, and its driver."""

    name: str
    where: str
    driver: Driver


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What all workloads share.

    Parameters
    ----------
    clients:
        How many client nodes, spread round robin over the network's regions; or a mapping from region, or
        from the member at which they stand, to how many.
    keys, reads, value_bytes:
        Shorthand for a mix of gets and puts: which keys, the fraction of reads, bytes per written value.
    mix:
        A `Mix`, or the letter of a YCSB workload, instead of the shorthand.
    start:
        Simulated seconds before the first operation.
    """

    clients: int | Mapping[str, int] = 10
    keys: Keys | None = None
    reads: float = 0.5
    value_bytes: Any = 0.0
    mix: Mix | str | None = None
    start: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        counts = self.clients.values() if isinstance(self.clients, Mapping) else [self.clients]
        for count in counts:
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{type(self).__name__}: clients must be at least 1, not {count!r}")
        if isinstance(self.clients, Mapping):
            object.__setattr__(self, "clients", dict(self.clients))
        if not 0 <= self.start < float("inf"):
            raise ValueError(f"{type(self).__name__}: start must be at least 0 s, not {self.start!r}")
        self.resolved_mix()  # so that a wrong mix is refused now

    def resolved_mix(self) -> Mix:
        """The mix of operations, whichever way it was given."""
        if self.mix is None:
            return Mix.reads(self.reads, self.keys, self.value_bytes)
        if isinstance(self.mix, Mix):
            return self.mix
        if self.mix not in YCSB:
            raise ValueError(f"there is no YCSB workload {self.mix!r}; there are {', '.join(YCSB)}")
        mix = YCSB[self.mix]
        return mix if self.keys is None else replace(mix, keys=self.keys)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of operation that it asks for."""
        return self.resolved_mix().kinds

    def spots(self, regions: Sequence[str]) -> list[str]:
        """Where each client stands, in order."""
        if isinstance(self.clients, Mapping):
            return [where for where, count in self.clients.items() for _ in range(count)]
        return [regions[i % len(regions)] for i in range(self.clients)]

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        """The client nodes of a run."""
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

    def driver(self, streams: Streams, name: str, source: Source, clients: int) -> Driver:
        """The driver of one client."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Idle(Workload):
    """Nobody asks for anything: for systems that are worth watching by themselves."""

    clients: int | Mapping[str, int] = 1  # of no account

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset()

    def spots(self, regions: Sequence[str]) -> list[str]:
        return []


# Closed loop


@dataclass(frozen=True, kw_only=True)
class ClosedLoop(Workload):
    """Each client issues an operation, waits for its reply, thinks, and goes on.

    Parameters (besides those of `Workload`)
    ----------
    think:
        Seconds between a reply and the next operation: a number, a distribution, or samples.
    operations:
        How many operations each client issues; None: as many as it can.
    """

    think: Any = 0.0
    operations: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "think", as_distribution(self.think))
        if self.operations is not None and self.operations < 1:
            raise ValueError(f"ClosedLoop: operations must be at least 1, not {self.operations!r}")

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
        client.set_timer("wake", self._start, "go")

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
        _observe(self.source, outcome)
        if outcome.status == "info":
            self._session = None  # what it asked for may still happen, so nobody goes on under its name
        key, self._modifying = self._modifying, None
        if key is not None and self._session is not None:
            client.submit(self._session, self.source.make("put", key))
            return
        pause = self._think()
        if pause == 0.0 and not client.pending:
            self.wake(client, None)
        else:
            client.set_timer("wake", pause, "go")


def _observe(source: Source, outcome: Outcome) -> None:
    operation = outcome.operation
    if outcome.status == "ok":
        value = operation.value[1] if operation.kind == "cas" else outcome.value
        source.saw(operation.key, value)
    elif operation.kind == "cas" and outcome.status == "fail":
        source.saw(operation.key, outcome.result)


# Open loop


@dataclass(frozen=True, slots=True)
class Arrival:
    """One operation of a trace: when (seconds), what, and optionally from where and how large (bytes)."""

    time: float
    kind: str
    key: str
    region: str | None = None
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class OpenLoop(Workload):
    """Operations arrive at a rate, whether or not earlier ones are answered.

    Parameters (besides those of `Workload`; ``clients`` here is where arrivals come from, each an equal share)
    ----------
    rate:
        Operations per second, over all clients.
    arrivals:
        ``"poisson"`` or ``"constant"``.
    operations:
        How many operations in total, over all clients; None: until the run ends.
    """

    clients: int | Mapping[str, int] = 1
    rate: float = 100.0
    arrivals: str = "poisson"
    operations: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"OpenLoop: rate must be positive operations per second, not {self.rate!r}")
        if self.arrivals not in ("poisson", "constant"):
            raise ValueError(f"OpenLoop: arrivals must be 'poisson' or 'constant', not {self.arrivals!r}")

    def driver(self, streams: Streams, name: str, source: Source, clients: int) -> Driver:
        mean = clients / self.rate
        stream = streams[f"workload/{name}/arrivals"]
        gap = (lambda: stream.exponential(mean)) if self.arrivals == "poisson" else (lambda: mean)
        limit = None
        if self.operations is not None:
            index = int(name.removeprefix("c"))
            limit = self.operations // clients + (index < self.operations % clients)
        return _OpenDriver(source, gap, self.start, limit)


class _Pool:
    """Free sessions of one client; an operation of unknown outcome retires its session."""

    def __init__(self) -> None:
        self._free: list[int] = []

    def take(self, client: Client) -> int:
        return self._free.pop() if self._free else client.open_session()

    def give_back(self, outcome: Outcome) -> None:
        if outcome.status != "info":
            self._free.append(outcome.session)


class _OpenDriver:
    """Draws the next arrival when one has come."""

    def __init__(self, source: Source, gap: Callable[[], float], start: float, limit: int | None) -> None:
        self.source = source
        self._gap = gap
        self._start = start
        self._left = limit
        self._due = 0.0
        self._pool = _Pool()
        self.stopped = False

    def begin(self, client: Client) -> None:
        self._due = self._start + self._gap()
        client.set_timer("wake", self._due)

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped or self._left == 0:
            return
        if self._left is not None:
            self._left -= 1
        operation = self.source.next()
        if operation.kind == "read-modify-write":
            operation = Operation(
                "get", operation.key
            )  # its write would need the reply: closed loops do that
        client.submit(self._pool.take(client), operation, self._due)
        gap = self._gap()
        self._due += gap
        client.set_timer("wake", gap)

    def completed(self, client: Client, outcome: Outcome) -> None:
        _observe(self.source, outcome)
        self._pool.give_back(outcome)


# Traces


@dataclass(frozen=True, kw_only=True)
class Trace(Workload):
    """Operations as a trace says: a CSV file with the columns ``time,op,key``, optionally ``region,bytes,client``.

    ``time`` is in seconds; ``op`` is a kind of operation (read and write stand for get and put). Rows without
    a region come from ``clients``. Raises ValueError with the line for a row that cannot be understood.
    """

    path: str | Path = ""
    clients: int | Mapping[str, int] = 1
    arrivals: tuple[Arrival, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.arrivals:
            if not self.path:
                raise ValueError("Trace: a path or arrivals are needed")
            object.__setattr__(self, "arrivals", tuple(read_trace(Path(self.path))))

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of operation that the trace holds."""
        return frozenset(a.kind for a in self.arrivals)

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        """One client for each region of the trace, or for each of ``clients``."""
        named = list(dict.fromkeys(a.region for a in self.arrivals if a.region is not None))
        spots = named or list(dict.fromkeys(self.spots(regions)))
        plans = []
        for i, where in enumerate(spots):
            mine = [a for k, a in enumerate(self.arrivals) if (a.region or spots[k % len(spots)]) == where]
            source = Source(self.resolved_mix(), streams, f"c{i}", i, len(spots))
            plans.append(ClientPlan(f"c{i}", where, _TraceDriver(source, mine, self.start)))
        return plans


class _TraceDriver:
    """Issues the rows of a trace when they are due."""

    def __init__(self, source: Source, arrivals: Sequence[Arrival], start: float) -> None:
        self.source = source
        self._arrivals = arrivals
        self._start = start
        self._next = 0
        self._pool = _Pool()
        self.stopped = False

    def begin(self, client: Client) -> None:
        self._await(client)

    def _await(self, client: Client) -> None:
        if self._next < len(self._arrivals):
            due = self._start + self._arrivals[self._next].time
            client.set_timer("wake", max(0.0, due - client.now))

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped:
            return
        arrival = self._arrivals[self._next]
        self._next += 1
        operation = self.source.make(arrival.kind, arrival.key, arrival.size)
        client.submit(self._pool.take(client), operation, self._start + arrival.time)
        self._await(client)

    def completed(self, client: Client, outcome: Outcome) -> None:
        _observe(self.source, outcome)
        self._pool.give_back(outcome)


_SYNONYMS = {"read": "get", "write": "put", "update": "put", "insert": "put"}
_TRACE_KINDS = frozenset({"get", "put", "cas", "append", "increment", "delete"})


def read_trace(path: Path) -> list[Arrival]:
    """The rows of a trace file, in order of time. Raises ValueError naming the file, the line and the value."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    if not rows or not {"time", "op", "key"} <= set(rows[0]):
        raise ValueError(f"{path}: a trace needs a header with time,op,key and at least one row")
    arrivals = [_arrival(path, line, row) for line, row in enumerate(rows, start=2)]
    return sorted(arrivals, key=lambda a: a.time)


def _arrival(path: Path, line: int, row: Mapping[str, str | None]) -> Arrival:
    kind = _SYNONYMS.get(row["op"] or "", row["op"] or "")
    if kind not in _TRACE_KINDS:
        raise ValueError(
            f"{path}, line {line}: op {row['op']!r} is none of {', '.join(sorted(_TRACE_KINDS))}"
        )
    if not row["key"]:
        raise ValueError(f"{path}, line {line}: the key is missing")
    return Arrival(
        _number(path, line, "time", row["time"]),
        kind,
        row["key"],
        row.get("region") or None,
        int(_number(path, line, "bytes", row["bytes"])) if row.get("bytes") else None,
    )


def _number(path: Path, line: int, column: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"{path}, line {line}: {column} must be a number of at least 0, not {text!r}")
    return value
