"""A recorded trace of operations: time, kind, key, region, client."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

from sim.distributions import as_distribution
from sim.kernel import Streams
from sim.protocols.client import Client, Outcome
from sim.readers.requests import Requests, TraceLine, read_requests
from sim.readers.tables import number_at
from sim.settings import MOST_ROWS, Members, Positive, Value, Wait, Whole
from sim.workload.load import ClientPlan, SessionPool, Workload, check_clients, observe, spread
from sim.workload.mix import Mix, Source, served_kinds

__all__ = ["Arrival", "Trace"]

_SYNONYMS = {"read": "get", "write": "put", "update": "put", "insert": "put"}
_KINDS = frozenset({"get", "put", "cas", "append", "increment", "delete", "scan"})
_TWO_IN_ONE = frozenset({"read-modify-write", "readmodifywrite", "rmw"})


@dataclass(frozen=True, slots=True)
class Arrival(Value):
    """One operation of a trace.

    ``time`` in seconds, ``kind`` and ``key``; optionally the ``region`` from which it comes, the ``size`` of the value
    that it writes (bytes; the number of keys of a scan), and the name of the ``client`` to whose session it belongs.
    """

    time: Wait
    kind: str
    key: str
    region: str | None = None
    size: Whole | None = None
    client: str | None = None

    def __post_init__(self) -> None:
        # Asking all systems and applications takes longer than all else of a row.
        if self.kind not in _KINDS and self.kind not in served_kinds():
            raise ValueError(
                f"Arrival: kind must be one of {', '.join(sorted(served_kinds()))}, not {self.kind!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Trace(Workload):
    """Operations from a recorded trace.

    Parameters
    ----------
    path:
        A table with the columns ``time``, ``op`` (a kind of operation; read means get; write, update and insert mean
        put; a read-modify-write is a get and then a put in one session) and ``key``, optionally ``region``, ``bytes``,
        ``client``, and ``length`` (the number of keys of a scan); or an access log in the common or combined format.
    columns:
        Which columns of the file these are, where they have other names: ``{"time": "timestamp", "op": "operation"}``.
        An access log has host, ident, user, time, method, target, protocol, status, bytes, referer, agent; without
        ``columns``, time is time, op is method and key is target.
    unit:
        The unit of the times: ``"s"``, ``"ms"``, ``"us"``, ``"ns"``. None: seconds in the column ``time``, by the end
        of its name (``time_ms``), or by their size if they count from 1970; what else there is, is refused.
    arrivals:
        The rows, instead of a file.
    clients:
        The client nodes for rows without a region, used in turn: a number, or a mapping from place to number. Rows
        with a region come from a client node there.
    start:
        The time of the trace (seconds) at which the run begins; earlier rows are left out. ``"first"``: its first row.
    until:
        Rows of the trace from this time (seconds) on are left out; None: the run must include every row from ``start``.
    scale:
        How many times as long the trace takes in the run: 0.1 is ten times as fast.
    value_bytes:
        Bytes that a row writes if the row does not give a size.
    digest:
        The SHA-256 of the file (hexadecimal); a file with another digest is a ValueError. The written form of a trace
        (see `sim.written`) has the name of the file and its digest. None: no check.

    Rows with the same ``client`` are one session: each row is issued when it is due and the row before it is answered.
    Rows without a client are issued when they are due. Raises ValueError with the line for a row that cannot be read;
    a scenario raises ValueError, with the range of times in the trace, if rows lie outside the run.
    """

    path: str | Path = field(default="", kw_only=False)
    arrivals: tuple[Arrival, ...] = field(default=(), repr=False)
    clients: Members | Mapping[str, Members] = 1
    columns: Mapping[str, str] = field(default_factory=dict, repr=False)
    unit: Literal["s", "ms", "us", "ns"] | None = None
    start: float | Literal["first"] = 0.0
    scale: Positive = 1.0
    until: float | None = None
    value_bytes: Any = 0.0
    digest: str | None = field(default=None, repr=False, compare=False)
    read_digest: str | None = field(init=False, repr=False, compare=False)
    """The SHA-256 of the file that was read."""
    note: str = field(init=False, repr=False, compare=False)
    """A note on which parts of the file were used and which were left out; "" without a file."""
    begins: float = field(init=False, repr=False)
    """The time of the trace (seconds) at which the run begins."""
    rows: tuple[Arrival, ...] = field(init=False, repr=False)
    """The rows of the file, or of ``arrivals``, from ``start`` to ``until``, in order of time."""

    def _convert(self) -> None:
        self._keep(value_bytes=as_distribution(self.value_bytes, "Trace: value_bytes"))
        if isinstance(self.path, Path):
            self._keep(path=str(self.path))

    def made_of(self) -> dict[str, Any]:
        found = super().made_of()
        return {**found, "digest": self.read_digest} if self.path else found

    def __post_init__(self) -> None:
        check_clients(self, self.clients)
        if bool(self.path) == bool(self.arrivals):
            raise ValueError(
                f"Trace: a path or arrivals are needed, not {self.path!r} and {len(self.arrivals)} arrivals"
            )
        if not self.path and (self.columns or self.unit is not None):
            raise ValueError("Trace: columns and unit would have no effect without a file")
        read = read_requests(self.path, self.columns, self.unit) if self.path else None
        self._keep(note="" if read is None else str(read.note))
        found = sorted(self.arrivals if read is None else _arrivals(read), key=lambda a: a.time)
        self._keep(begins=found[0].time if self.start == "first" else self.start)
        if self.until is not None and self.until <= self.begins:
            raise ValueError(f"Trace: until must be after start ({self.start!r} s), not {self.until!r}")
        self._keep(read_digest=_digest(self.path) if self.path else None)
        if self.digest is not None and self.read_digest != self.digest:
            raise ValueError(
                f"Trace: {str(self.path) or 'no file'!r} is not the file that was used: "
                f"digest says SHA-256 {self.digest}"
            )
        end = float("inf") if self.until is None else self.until
        rows = tuple(a for a in found if self.begins <= a.time < end)
        if not rows:
            raise ValueError(
                f"Trace: no row lies from start={self.start!r} to until={self.until!r} s; {_range(found)}"
            )
        self._keep(rows=rows)
        _places(rows)
        if self.clients != 1 and all(a.region is not None for a in rows):
            raise ValueError(
                f"Trace: clients={self.clients!r} would have no effect: every row names its region"
            )

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(a.kind for a in self.rows)

    def check_duration(self, duration: float) -> None:
        outside = [a for a in self.rows if (a.time - self.begins) * self.scale >= duration]
        if outside:
            raise ValueError(
                f"Trace: {len(outside):,} of {len(self.rows):,} rows lie outside a run of {duration!r} s from "
                f"start={self.start!r} on; {_range(self.rows)}. Set start to the time at which the run shall begin, "
                "and duration, or until, to where it ends"
            )

    def _named(self) -> list[str]:
        """The regions that rows name, in order of appearance."""
        places = _places(self.rows)
        return list(dict.fromkeys(place for a in self.rows if (place := _place(a, places)) is not None))

    def spots(self, regions: Sequence[str]) -> list[str]:
        places = _places(self.rows)
        unplaced = any(_place(a, places) is None for a in self.rows)
        return self._named() + (spread(self.clients, regions) if unplaced else [])

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        """One client node for each region in the rows, then the nodes of ``clients`` for rows without a region."""
        spots = self.spots(regions)
        mine: list[list[Arrival]] = [[] for _ in spots]
        places, number = _places(self.rows), {place: i for i, place in enumerate(self._named())}
        turns = cycle(range(len(number), len(spots)))
        homes: dict[str, int] = {}  # client without a region -> the node that it got
        for a in self.rows:
            place = _place(a, places)
            if place is not None:
                i = number[place]
            elif a.client is None:
                i = next(turns)
            else:
                i = homes[a.client] if a.client in homes else homes.setdefault(a.client, next(turns))
            mine[i].append(a)
        mix = Mix(value_bytes=self.value_bytes)
        return [
            ClientPlan(
                f"c{i}",
                where,
                _TraceDriver(Source(mix, streams, f"c{i}", i, len(spots)), mine[i], self.begins, self.scale),
            )
            for i, where in enumerate(spots)
        ]


def _place(arrival: Arrival, places: Mapping[str, str]) -> str | None:
    """The region of a row: its own, or the region of its client's other rows; None if neither is known."""
    if arrival.region is not None or arrival.client is None:
        return arrival.region
    return places.get(arrival.client)


def _places(rows: Sequence[Arrival]) -> dict[str, str]:
    """Client -> its region. Raises ValueError for a client with two regions."""
    places: dict[str, str] = {}
    for a in rows:
        if (
            a.client is not None
            and a.region is not None
            and places.setdefault(a.client, a.region) != a.region
        ):
            raise ValueError(
                f"Trace: client {a.client!r} is in {places[a.client]!r} and, at {a.time!r} s, in {a.region!r}: "
                "a client has one region"
            )
    return places


def _range(rows: Sequence[Arrival]) -> str:
    return f"the {len(rows):,} rows are from {rows[0].time!r} to {rows[-1].time!r} s"


class _TraceDriver:
    """Issues the rows of a trace when they are due; the rows of one client one after the other, in its session."""

    def __init__(self, source: Source, arrivals: Sequence[Arrival], start: float, scale: float) -> None:
        self.source = source
        self._arrivals = arrivals
        self._start = start
        self._scale = scale
        self._next = 0
        self._pool = SessionPool()
        self._sessions: dict[str, int] = {}
        self._clients: dict[int, str] = {}  # session with an open operation -> its client
        self._waiting: dict[str, deque[Arrival]] = {}  # client with an open operation -> its next rows
        self.stopped = False

    def begin(self, client: Client) -> None:
        self._await(client)

    def _await(self, client: Client) -> None:
        if self._next < len(self._arrivals):
            due = self._due(self._arrivals[self._next])
            client.set_timer("wake", max(0.0, due - client.now))

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped:
            return
        arrival = self._arrivals[self._next]
        self._next += 1
        if arrival.client is None:
            client.submit(self._pool.take(client), self._operation(arrival), self._due(arrival))
        elif arrival.client in self._waiting:
            self._waiting[arrival.client].append(arrival)
        else:
            self._waiting[arrival.client] = deque()
            self._in_session(client, arrival.client, arrival, self._due(arrival))
        self._await(client)

    def _due(self, arrival: Arrival) -> float:
        return (arrival.time - self._start) * self._scale

    def _operation(self, arrival: Arrival) -> Any:
        return self.source.make(arrival.kind, arrival.key, arrival.size)

    def _in_session(self, client: Client, name: str, arrival: Arrival, called: float | None = None) -> None:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = client.open_session()
        self._clients[session] = name
        client.submit(session, self._operation(arrival), called)

    def completed(self, client: Client, outcome: Outcome) -> None:
        observe(self.source, outcome)
        name = self._clients.pop(outcome.session, None)
        if name is None:
            self._pool.give_back(outcome)
            return
        if outcome.status == "info":
            del self._sessions[
                name
            ]  # the operation may still take effect, so the client's next row gets a new session
        waiting = self._waiting[name]
        if waiting and not self.stopped:
            self._in_session(client, name, waiting.popleft())
        else:
            del self._waiting[name]


# Reading


def _digest(path: str | Path) -> str:
    """The SHA-256 of a file. Raises OSError where there is none."""
    return sha256(Path(path).read_bytes()).hexdigest()


def _arrivals(found: Requests) -> list[Arrival]:
    arrivals: list[Arrival] = []
    for line in found.lines():
        arrivals += _arrival(line)
        if len(arrivals) > MOST_ROWS:
            raise ValueError(f"{line.where}: more than {MOST_ROWS:,} rows do not fit in memory")
    return arrivals


def _arrival(line: TraceLine) -> list[Arrival]:
    """The operation of a row; a read-modify-write is two, one after the other in a session."""
    cells = line.cells
    told = cells["op"]
    kind = _SYNONYMS.get(told.casefold(), told.casefold())
    if kind not in _KINDS and kind not in _TWO_IN_ONE:
        raise ValueError(
            f"{line.where}: op {told!r} is none of {', '.join(sorted({*_KINDS, *_SYNONYMS, *_TWO_IN_ONE}))}"
        )
    if not cells["key"]:
        raise ValueError(f"{line.where}: the key is missing")
    size = _whole(line, "bytes")
    length = _whole(line, "length")
    if (kind == "scan") != (length is not None):
        needs = (
            "a scan needs the number of its keys" if kind == "scan" else f"it is for scans, not for {told!r}"
        )
        raise ValueError(f"{line.where}, column 'length': {needs}, not {cells.get('length', '')!r}")
    client, region = cells.get("client") or None, cells.get("region") or None
    if kind not in _TWO_IN_ONE:
        return [Arrival(line.time, kind, cells["key"], region, length if kind == "scan" else size, client)]
    client = client or line.where
    return [
        Arrival(line.time, "get", cells["key"], region, None, client),
        Arrival(line.time, "put", cells["key"], region, size, client),
    ]


def _whole(line: TraceLine, name: str) -> int | None:
    """The whole number in a column; None if it is empty or not there."""
    if not line.cells.get(name):
        return None
    return int(
        number_at(
            f"{line.where}, column {name!r}",
            line.cells[name],
            line.separator,
            "a whole number",
            lambda value: value >= 0 and value.is_integer(),
        )
    )
