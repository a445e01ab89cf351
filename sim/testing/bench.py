"""A bench for one node: a test delivers messages to the node and looks at what it sends. There is no network.

>>> bench = Bench(RaftNode, "n0", members=("n0", "n1", "n2"), settings=Raft(nodes=3))   # doctest: +SKIP
>>> bench.deliver("n1", RequestVote(term=1, ...))                                        # doctest: +SKIP
>>> bench.sent                                                                           # doctest: +SKIP
[("n1", RequestVoteReply(term=1, granted=True))]

A test on a bench usually checks one sentence of a paper: a state, a message, and the required reaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from simpy.events import Event

from sim.cluster.alarms import Alarms
from sim.cluster.clock import NodeClocks
from sim.cluster.dead_host import bury
from sim.cluster.disk import durable_state, durable_value
from sim.cluster.profile import Clock
from sim.cluster.rpc import Calls, Return
from sim.cluster.story import Stories
from sim.hosting import HostContract, NothingWaits, callback, require_delay, require_work
from sim.kernel import Environment, Stream, Streams
from sim.message import check_message
from sim.node import Caller, Handlers, Node, Part
from sim.stories import Called

__all__ = ["Bench"]

N = TypeVar("N", bound=Node)


class _Memory(NothingWaits):
    """A disk whose writes are durable at once."""

    def __init__(self, owners: Callable[[], list[Handlers]]) -> None:
        self._owners = owners
        self.image: dict[str, Any] = {}
        self.writes: list[tuple[str, str, Any]] = []

    def read(self, field: str, default: Any) -> Any:
        return self.image.get(field, default)

    def durable(self, field: str, default: Any = None) -> Any:
        return durable_value(self._owners(), field, default)

    def write(self, field: str, operation: str, argument: Any) -> None:
        self.writes.append((field, operation, argument))


class Bench(Generic[N]):
    """Hosts one node of class ``node_class`` for a test.

    Attributes
    ----------
    node: the live node. sent: ``(destination, message)`` in order; `take` removes messages from it. A message of the
    node to itself is its next step: the node handles it before the method that the test called returns. With
    ``keep_own`` it stays in ``sent`` until `deliver_self`, as if the disk were slow.
    timers: ``(name, key) -> deadline`` in seconds of ``time``; timers and jobs of a part are named
    ``"<part>.<name>"``. time: true time in seconds; set it, or use `advance`, which also wakes stories. clocks: the
    node's clocks (`sim.cluster.clock.NodeClocks`), which `set_clock` changes.
    records: ``(event, detail)`` in order. disk.writes: the journalled changes.
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
        keep_own: bool = False,
    ) -> None:
        self.node_class = node_class
        self.name = name
        self.members = tuple(members)
        self.settings = settings
        self.keep_own = keep_own
        self.env = Environment(0.0)  # for stories
        self.halt = None  # a bench has no pauses
        self.is_paused = False
        self.in_step = False
        self.clocks = NodeClocks(self.env, Clock(), Streams(seed)[f"clock/{name}"])
        self.disk = _Memory(self._all_owners)
        self.sent: list[tuple[str, Any]] = []
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.timers: dict[tuple[str, Any], float] = {}
        self.jobs: dict[tuple[str, Any], float] = {}
        self.backlog = 0
        self.incarnation = -1
        self.alarms = Alarms(self.env, self.clocks)
        self._owners: dict[
            tuple[str, Any], tuple[Handlers, str]
        ] = {}  # (name, key) of a timer or work -> its owner (node or part) and its name there
        self._calls = Calls(self)
        self._stories = Stories(self)
        self._random: Stream = Streams(seed)[f"node/{name}"]
        self.node: N
        if start:
            self.boot()

    # Boot and restart
    @property
    def time(self) -> float:
        """True time in seconds."""
        return float(self.env._now)

    @time.setter
    def time(self, seconds: float) -> None:
        self.env._now = seconds

    @property
    def peers(self) -> tuple[str, ...]:
        """The other members."""
        return tuple(m for m in self.members if m != self.name)

    @property
    def identity(self) -> dict[str, Any]:
        """The attributes that a new node object gets."""
        return {
            "host": self,
            "name": self.name,
            "members": self.members,
            "peers": self.peers,
            "settings": self.settings,
            "random": self._random,
            "incarnation": self.incarnation,
            "disk_damaged": (),
        }

    def boot(self) -> N:
        """Start the node with the contents of its disk."""
        self.incarnation += 1
        self.clocks.begin()
        self.node = self.node_class(self)
        for owner in self._all_owners():
            self._act(owner.on_start)
        return self.node

    def restart(self) -> N:
        """Crash the node, and start it again from its durable fields."""
        self.disk.image = durable_state(self._all_owners())
        old, self.node = self.node, None  # type: ignore[assignment]
        assert old is not None
        self.sent.clear()
        self.timers.clear()
        self.jobs.clear()
        self.alarms.clear()
        self._calls.clear()
        bury((old, *(old.__dict__[name] for name in type(old)._parts)), self)
        self._stories.close()
        return self.boot()

    def _all_owners(self) -> list[Handlers]:
        return [*(self.node.__dict__[name] for name in type(self.node)._parts), self.node]

    # Actions of a test

    def deliver(self, src: str, message: Any) -> list[tuple[str, Any]]:
        """Deliver a message to the node; returns the messages that it sent then (they are in ``sent``, too)."""
        before = len(self.sent)
        self._act(self.dispatch, src, message)
        return self.sent[before:]

    def answer(self, dst: str, reply: Any, call_id: int | None = None) -> list[tuple[str, Any]]:
        """Let ``dst`` answer a call of the node (default: the last one); returns the messages that it sent then."""
        return self.deliver(dst, Return(self._calls.last_id if call_id is None else call_id, reply))

    def deliver_self(self) -> None:
        """Deliver all messages that the node has sent to itself (`keep_own`), and further ones that follow."""
        while any(dst == self.name for dst, _ in self.sent):
            index = next(i for i, (dst, _) in enumerate(self.sent) if dst == self.name)
            _, message = self.sent.pop(index)
            self.deliver(self.name, message)

    def fire(self, timer: str, key: Any = None) -> list[tuple[str, Any]]:
        """Let a timer fire now; returns the messages that the node sent. Raises KeyError if the timer is not set.

        The name of the part may be left out if only one part has a timer of this name.
        """
        before = len(self.sent)
        which = _found(self.timers, timer, key)
        deadline = self.timers.pop(which)
        self.time = max(self.time, deadline)
        self._call("timeout", which)
        return self.sent[before:]

    def finish(self, work: str, key: Any = None) -> list[tuple[str, Any]]:
        """Finish a piece of work now; returns the messages that the node sent."""
        before = len(self.sent)
        which = _found(self.jobs, work, key)
        self.time += self.jobs.pop(which)
        self._call("done", which)
        return self.sent[before:]

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: due timers fire and stories continue, in order of time."""
        end = self.time + seconds
        while True:
            timers = [(t, n, k) for (n, k), t in self.timers.items() if t <= end]
            timer = min(timers, key=lambda d: d[0], default=None)
            wakes = self.env.peek()
            if wakes <= end and (timer is None or wakes < timer[0]):
                self.time = max(self.time, wakes)
                self._settle()
            elif timer is not None:
                self.fire(timer[1], timer[2])
            else:
                break
        self.time = end

    def set_clock(self, *, offset: float | None = None, drift: float | None = None) -> None:
        """Set the wall clock to ``offset`` seconds ahead of true time, or the drift of both clocks from now on."""
        factor = self.clocks.set(offset=offset, drift=drift)
        self.alarms.stretch(factor)
        self.timers = {key: self.time + factor * (due - self.time) for key, due in self.timers.items()}

    def take(self, dst: str | None = None, kind: type | None = None) -> list[Any]:
        """Remove the messages (to ``dst``, of class ``kind``) from ``sent`` and return them."""

        def wanted(item: tuple[str, Any]) -> bool:
            return (dst is None or item[0] == dst) and (kind is None or isinstance(item[1], kind))

        taken = [m for d, m in self.sent if wanted((d, m))]
        self.sent = [item for item in self.sent if not wanted(item)]
        return taken

    def _call(self, what: str, which: tuple[str, Any]) -> None:
        owner, name = self._owners[which]
        self._act(callback(owner, f"on_{name}_{what}"), *(() if which[1] is None else (which[1],)))

    def _act(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run one step of the node, and its own steps that follow at the same instant."""
        self.step(function, arguments)
        if not self.in_step:
            self._settle()

    def step(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Run one step: a handler, or a part of a story."""
        nested, self.in_step = self.in_step, True
        try:
            result = function(*arguments)
            if result is not None:
                self._stories.follow(result)
            if not nested:
                self._stories.refuse_unbegun()
        except Exception as error:
            self.blame(error)
            raise
        finally:
            self.in_step = nested

    def _settle(self) -> None:
        """Process everything that is due by now: messages of the node to itself, and parts of stories."""
        now = self.time
        while self.env.peek() <= now:
            self.env.step()
            self.time = now

    def blame(self, error: Exception) -> None:
        """Add a note to an exception: on which node and at what time it happened."""
        note = f"on {self.name} ({self.node_class.__name__}) at {self.time:.6f} s"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)

    # The verbs

    def clock(self) -> float:
        return self.clocks.wall()

    def monotonic(self) -> float:
        return self.clocks.monotonic()

    def send(self, dst: str, message: Any, hold: bool) -> None:
        check_message(message)
        if dst == self.name and not self.keep_own:
            self._stories.own_steps.count()
            self._stories.own_steps.add(self._from_self, (message,))
        else:
            self.sent.append((dst, message))

    def _from_self(self, message: Any) -> None:
        self.step(self.dispatch, (self.name, message))

    def dispatch(self, src: str, message: Any) -> None:
        handler = self._calls.handlers().get(message.__class__)
        for owner in () if handler is not None else self._all_owners():
            name = type(owner).takers().get(message.__class__)
            if name is not None:
                handler = getattr(owner, name)
                break
        if handler is None:
            raise TypeError(f"{self.node_class.__name__} has no handler for {message!r}")
        result = handler(src, message)
        if result is not None:
            self._stories.follow(result)

    def reply(self, src: str, message: Any, hold: bool) -> None:
        self.send(src, Return(src.call_id, message) if isinstance(src, Caller) else message, hold)

    def set_timer(self, owner: Handlers, name: str, delay: float, key: Any) -> None:
        require_delay(self.name, name, delay)
        callback(owner, f"on_{name}_timeout")
        self.timers[self._own(owner, name, key)] = self.time + delay / self.clocks.rate

    def cancel_timer(self, owner: Handlers, name: str, key: Any) -> None:
        self.timers.pop(self._own(owner, name, key), None)

    def work(self, owner: Handlers, name: str, seconds: float, key: Any, priority: int) -> None:
        require_work(self.name, name, seconds)
        callback(owner, f"on_{name}_done")
        self.jobs[self._own(owner, name, key)] = seconds

    def cancel_work(self, owner: Handlers, name: str, key: Any) -> bool:
        return self.jobs.pop(self._own(owner, name, key), None) is not None

    def _own(self, owner: Handlers, name: str, key: Any) -> tuple[str, Any]:
        """The (name, key) of a timer or a piece of work on this bench; names of a part begin with the part's name."""
        shown = f"{owner.part_name}.{name}" if isinstance(owner, Part) else name
        self._owners[shown, key] = (owner, name)
        return shown, key

    def record(self, event: str, detail: dict[str, Any]) -> None:
        self.records.append((event, detail))

    def barrier(self) -> None:
        """No effect: all writes are durable at once."""

    def spawn(self, story: Any) -> Event:
        return self._stories.spawn(story)

    def expect(self, called: Called) -> None:
        if not self.in_step:  # the test itself called the handler
            called.take().close()
            raise TypeError(
                f"{called.handler} yields: hand it in by `deliver`, `fire` or `finish`, which run it"
            )
        self._stories.expect(called)

    def sleep(self, seconds: float) -> Event:
        over = self.event()
        self.alarms.set(seconds, over.succeed)
        return over

    def event(self) -> Event:
        return self.env.event()

    def call(self, dst: str, request: Any, timeout: float | None) -> Event:
        return self._calls.start(dst, request, timeout)

    def first_of(self, events: Iterable[Event]) -> Event:
        return self.env.any_of(list(events))


def _found(table: dict[tuple[str, Any], float], name: str, key: Any) -> tuple[str, Any]:
    """The entry with this name and key: the node's, else the one of the only part that has such an entry."""
    if (name, key) in table:
        return name, key
    of_parts = [entry for entry in table if entry[1] == key and entry[0].endswith(f".{name}")]
    if len(of_parts) != 1:
        raise KeyError((name, key))
    return of_parts[0]


if TYPE_CHECKING:
    _HOST: type[HostContract] = Bench
