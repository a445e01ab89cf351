"""A recorded trace of operations: time, kind, key, region, client."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any

from sim.distributions import as_distribution
from sim.kernel import Streams
from sim.protocols.client import Client, Outcome
from sim.readers.tables import CsvLine, figure, read_csv
from sim.settings import MOST_ROWS, Members, Value, Wait, Whole
from sim.workload.load import ClientPlan, SessionPool, Workload, check_clients, observe, spread
from sim.workload.mix import Mix, Source, served_kinds

__all__ = ["Arrival", "Trace", "read_trace"]

_NEEDED = ("time", "op", "key")
_COLUMNS = (*_NEEDED, "region", "bytes", "client")
_SYNONYMS = {"read": "get", "write": "put", "update": "put", "insert": "put"}
_KINDS = frozenset({"get", "put", "cas", "append", "increment", "delete"})


@dataclass(frozen=True, slots=True)
class Arrival(Value):
    """One operation of a trace.

    ``time`` in seconds, ``kind`` and ``key``; optionally the ``region`` from which it comes, the ``size`` of the value
    that it writes (bytes), and the name of the ``client`` to whose session it belongs.
    """

    time: Wait
    kind: str
    key: str
    region: str | None = None
    size: Whole | None = None
    client: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in served_kinds():
            raise ValueError(
                f"Arrival: kind must be one of {', '.join(sorted(served_kinds()))}, not {self.kind!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Trace(Workload):
    """Operations from a recorded trace.

    Parameters
    ----------
    path:
        A CSV file with the columns ``time`` (seconds), ``op`` (a kind of operation; read means get; write, update and
        insert mean put) and ``key``, optionally ``region``, ``bytes`` and ``client``.
    arrivals:
        The rows, instead of a file.
    clients:
        The client nodes for rows without a region, used in turn: a number, or a mapping from place to number. Rows
        with a region come from a client node there.
    start:
        The time of the trace (seconds) at which the run begins; earlier rows are left out.
    until:
        Rows of the trace from this time (seconds) on are left out; None: the run must include every row from ``start``.
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
    start: float = 0.0
    until: float | None = None
    value_bytes: Any = 0.0
    digest: str | None = field(default=None, repr=False, compare=False)
    read_digest: str | None = field(init=False, repr=False, compare=False)
    """The SHA-256 of the file that was read."""
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
        if self.until is not None and self.until <= self.start:
            raise ValueError(f"Trace: until must be after start ({self.start!r} s), not {self.until!r}")
        found = sorted(self.arrivals or read_trace(Path(self.path)), key=lambda a: a.time)
        self._keep(read_digest=_digest(self.path) if self.path else None)
        if self.digest is not None and self.read_digest != self.digest:
            raise ValueError(
                f"Trace: {str(self.path) or 'no file'!r} is not the file that was used: "
                f"digest says SHA-256 {self.digest}"
            )
        end = float("inf") if self.until is None else self.until
        rows = tuple(a for a in found if self.start <= a.time < end)
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
        outside = [a for a in self.rows if a.time - self.start >= duration]
        if outside:
            raise ValueError(
                f"Trace: {len(outside):,} of {len(self.rows):,} rows lie outside a run of {duration!r} s from "
                f"start={self.start!r} on; {_range(self.rows)}. Set start to the time at which the run shall begin, "
                "and duration, or until, to where it ends"
            )

    def _named(self) -> list[str]:
        """The regions that rows name, in order of appearance."""
        return list(
            dict.fromkeys(place for a in self.rows if (place := _place(a, _places(self.rows))) is not None)
        )

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
                _TraceDriver(Source(mix, streams, f"c{i}", i, len(spots)), mine[i], self.start),
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

    def __init__(self, source: Source, arrivals: Sequence[Arrival], start: float) -> None:
        self.source = source
        self._arrivals = arrivals
        self._start = start
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
            due = self._arrivals[self._next].time - self._start
            client.set_timer("wake", max(0.0, due - client.now))

    def wake(self, client: Client, key: Any) -> None:
        if self.stopped:
            return
        arrival = self._arrivals[self._next]
        self._next += 1
        if arrival.client is None:
            client.submit(self._pool.take(client), self._operation(arrival), arrival.time - self._start)
        elif arrival.client in self._waiting:
            self._waiting[arrival.client].append(arrival)
        else:
            self._waiting[arrival.client] = deque()
            self._in_session(client, arrival.client, arrival, arrival.time - self._start)
        self._await(client)

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


def read_trace(path: Path) -> list[Arrival]:
    """The rows of a trace file. Raises ValueError naming the file, the line and the value."""

    def check(columns: Sequence[str]) -> None:
        missing = [name for name in _NEEDED if name not in columns]
        if missing or len(set(columns)) < len(columns):
            raise ValueError(
                f"a trace needs a header with time,op,key, each once, not {','.join(columns) or 'nothing'}"
            )
        for name in columns:  # other columns are ignored, but a misspelt name is an error
            meant = get_close_matches(name, _COLUMNS, n=1, cutoff=0.75)
            if meant and name not in _COLUMNS:
                raise ValueError(f"no column {name!r} is known; did you mean {meant[0]!r}?")

    arrivals = []
    for line in read_csv(path, check):
        arrivals.append(_arrival(line))
        if len(arrivals) > MOST_ROWS:
            raise ValueError(f"{line.where}: more than {MOST_ROWS:,} rows do not fit in memory")
    if not arrivals:
        raise ValueError(f"{path}: a trace needs a header with time,op,key and at least one row")
    return arrivals


def _arrival(line: CsvLine) -> Arrival:
    kind = _SYNONYMS.get(line["op"], line["op"])
    if kind not in _KINDS:
        raise ValueError(
            f"{line.where}: op {line['op']!r} is none of {', '.join(sorted(_KINDS | set(_SYNONYMS)))}"
        )
    if not line["key"]:
        raise ValueError(f"{line.where}: the key is missing")
    size = figure(line, "bytes") if line.get("bytes") else None
    if size is not None and size != int(size):
        raise ValueError(f"{line.where}, column 'bytes': a whole number is needed, not {line['bytes']!r}")
    return Arrival(
        figure(line, "time"),
        kind,
        line["key"],
        line.get("region") or None,
        None if size is None else int(size),
        line.get("client") or None,
    )
