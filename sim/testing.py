"""A bench for one node: hand it messages by hand, see what it sends. No network, no simulated time.

>>> bench = Bench(RaftNode, "n0", members=("n0", "n1", "n2"), settings=Raft(nodes=3))   # doctest: +SKIP
>>> bench.deliver("n1", RequestVote(term=1, ...))                                        # doctest: +SKIP
>>> bench.sent                                                                           # doctest: +SKIP
[("n1", RequestVoteReply(term=1, granted=True))]

What a test sets up here is one sentence of a paper: a state, a message, and what must follow.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

from sim.cluster.clock import NodeClocks
from sim.cluster.profile import Clock
from sim.kernel.streams import Stream, Streams
from sim.message import check_message
from sim.node import Caller, Handlers, Node, Part

__all__ = ["Bench"]

N = TypeVar("N", bound=Node)


class _Memory:
    """A disk that keeps everything at once."""

    def __init__(self) -> None:
        self.image: dict[str, Any] = {}
        self.writes: list[tuple[str, str, Any]] = []

    def read(self, field: str, default: Any) -> Any:
        return self.image.get(field, default)

    def write(self, field: str, operation: str, argument: Any) -> None:
        self.writes.append((field, operation, argument))


class Bench(Generic[N]):
    """Hosts one node of class ``node_class`` for a test.

    Attributes
    ----------
    node: the live node. sent: ``(destination, message)`` in order, self-sends included; `take` empties it.
    timers: ``(name, key) -> deadline`` in seconds of ``time``. time: true time; set it or use `advance`. clocks: the
    node's own (`sim.cluster.clock.NodeClocks`), which `set_clock` lets jump or drift.
    records: ``(event, detail)`` in order. disk.writes: what was journalled.
    """

    def __init__(
        self,
        node_class: type[N],
        name: str = "n0",
        *,
        members: Sequence[str] = ("n0", "n1", "n2"),
        settings: Any = None,
        seed: int = 0,
        start: bool = True,
    ) -> None:
        self.node_class = node_class
        self.name = name
        self.members = tuple(members)
        self.settings = settings
        self._now = 0.0
        self.clocks = NodeClocks(self, Clock(), Streams(seed)[f"clock/{name}"])
        self.disk = _Memory()
        self.sent: list[tuple[str, Any]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.timers: dict[tuple[str, Any], float] = {}
        self.jobs: dict[tuple[str, Any], float] = {}
        self.backlog = 0
        self.incarnation = -1
        self._owners: dict[tuple[str, Any], Handlers] = {}
        self._random: Stream = Streams(seed)[f"node/{name}"]
        self.node: N
        if start:
            self.boot()

    # Life

    @property
    def time(self) -> float:
        """True time in seconds."""
        return self._now

    @time.setter
    def time(self, seconds: float) -> None:
        self._now = seconds

    @property
    def peers(self) -> tuple[str, ...]:
        """The other members."""
        return tuple(m for m in self.members if m != self.name)

    @property
    def identity(self) -> dict[str, Any]:
        """What a new node object is given."""
        return {
            "host": self,
            "name": self.name,
            "members": self.members,
            "peers": self.peers,
            "settings": self.settings,
            "random": self._random,
            "incarnation": self.incarnation,
        }

    def boot(self) -> N:
        """Start the node from what is on its disk."""
        self.incarnation += 1
        self.clocks.begin()
        self.node = self.node_class(self)
        for owner in self._all_owners():
            owner.on_start()
        return self.node

    def restart(self) -> N:
        """Crash the node, and start it again from its durable fields."""
        for owner in self._all_owners():
            prefix = f"{owner.part_name}." if isinstance(owner, Part) else ""
            for field in type(owner)._durables:
                value = owner.__dict__[field]
                items = getattr(value, "items", None)
                copied = list(items) if isinstance(items, list) else value
                self.disk.image[prefix + field] = dict(copied) if isinstance(copied, dict) else copied
        self.sent.clear()
        self.timers.clear()
        self.jobs.clear()
        return self.boot()

    def _all_owners(self) -> list[Handlers]:
        return [*(self.node.__dict__[name] for name in type(self.node)._parts), self.node]

    # What a test does

    def deliver(self, src: str, message: Any) -> list[tuple[str, Any]]:
        """Hand the node a message; returns what it sent in answer (and keeps it in ``sent``)."""
        before = len(self.sent)
        self.dispatch(src, message)
        return self.sent[before:]

    def deliver_self(self) -> None:
        """Hand the node all messages that it has sent to itself, and those that these lead to."""
        while any(dst == self.name for dst, _ in self.sent):
            index = next(i for i, (dst, _) in enumerate(self.sent) if dst == self.name)
            _, message = self.sent.pop(index)
            self.deliver(self.name, message)

    def fire(self, timer: str, key: Any = None) -> list[tuple[str, Any]]:
        """Let a timer that is set fire now; returns what the node sent. Raises KeyError if it is not set."""
        before = len(self.sent)
        deadline = self.timers.pop((timer, key))
        self.time = max(self.time, deadline)
        self._call(f"on_{timer}_timeout", (timer, key))
        return self.sent[before:]

    def finish(self, work: str, key: Any = None) -> list[tuple[str, Any]]:
        """Let a piece of work be done now; returns what the node sent."""
        before = len(self.sent)
        self.time += self.jobs.pop((work, key))
        self._call(f"on_{work}_done", (work, key))
        return self.sent[before:]

    def advance(self, seconds: float) -> None:
        """Let time pass, firing the timers that fall due, in order."""
        end = self.time + seconds
        while True:
            due = [(t, n, k) for (n, k), t in self.timers.items() if t <= end]
            if not due:
                break
            _, name, key = min(due, key=lambda d: d[0])
            self.fire(name, key)
        self.time = end

    def set_clock(self, *, offset: float | None = None, drift: float | None = None) -> None:
        """Let the wall clock jump to ``offset`` seconds ahead of true time, or both clocks drift from now on."""
        factor = self.clocks.set(offset=offset, drift=drift)
        self.timers = {key: self.time + factor * (due - self.time) for key, due in self.timers.items()}

    def take(self, dst: str | None = None, kind: type | None = None) -> list[Any]:
        """The messages sent so far (to ``dst``, of class ``kind``), taken out of ``sent``."""

        def wanted(item: tuple[str, Any]) -> bool:
            return (dst is None or item[0] == dst) and (kind is None or isinstance(item[1], kind))

        taken = [m for d, m in self.sent if wanted((d, m))]
        self.sent = [item for item in self.sent if not wanted(item)]
        return taken

    def _call(self, method: str, which: tuple[str, Any]) -> None:
        handler: Callable[..., Any] = getattr(self._owners[which], method)
        handler(*(() if which[1] is None else (which[1],)))

    # The verbs

    def clock(self) -> float:
        return self.clocks.wall()

    def monotonic(self) -> float:
        return self.clocks.monotonic()

    def send(self, dst: str, message: Any, hold: bool) -> None:
        check_message(message)
        self.sent.append((dst, message))

    def dispatch(self, src: str, message: Any) -> None:
        for owner in self._all_owners():
            name = type(owner).takers().get(message.__class__)
            if name is not None:
                getattr(owner, name)(src, message)
                return
        raise TypeError(f"{self.node_class.__name__} has no handler for {message!r}")

    def reply(self, src: str, message: Any, hold: bool) -> None:
        self.sent.append((str(src) if isinstance(src, Caller) else src, message))

    def set_timer(self, owner: Handlers, name: str, delay: float, key: Any) -> None:
        if not delay >= 0:
            raise ValueError(f"timer {name!r} cannot be set {delay!r} s ahead")
        if not hasattr(owner, f"on_{name}_timeout"):
            raise TypeError(f"{type(owner).__name__} has no handler on_{name}_timeout")
        self.timers[name, key] = self.time + delay / self.clocks.rate
        self._owners[name, key] = owner

    def cancel_timer(self, owner: Handlers, name: str, key: Any) -> None:
        self.timers.pop((name, key), None)

    def work(self, owner: Handlers, name: str, seconds: float, key: Any, priority: int) -> None:
        self.jobs[name, key] = seconds
        self._owners[name, key] = owner

    def cancel_work(self, owner: Handlers, name: str, key: Any) -> bool:
        return self.jobs.pop((name, key), None) is not None

    def record(self, event: str, detail: dict[str, Any]) -> None:
        self.records.append((event, detail))

    def barrier(self) -> None:
        """Everything is on disk at once here."""

    def spawn(self, story: Generator[Any, Any, Any]) -> None:
        raise NotImplementedError("stories need simulated time: use sim.cluster.Cluster")
