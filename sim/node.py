"""Nodes: all that a protocol author needs.

A replica (or client, or server) is a class of *handlers* over *verbs*. A handler is one "upon receiving ..."
of the paper: ``on_prepare(self, src, msg: Prepare)`` is called for each message of class ``Prepare``. It is one *step*:
atomic, and what it writes is one record on disk. Verbs (`Node.send`, `Node.set_timer`, `Node.work`, ...) are injected
by whatever hosts the node (`sim.hosting.HostContract`): the simulator (`sim.cluster`), or a test that hands it
messages by hand (`sim.testing`). This module knows neither simulated time nor the network; it imports nothing but the
standard library.

A handler that yields is a *story*: ``answer = yield self.call("n1", Ask())``. Its first part, up to the first yield,
belongs to the step of what it handles; each later part is a step of its own, at the moment when what it waited for has
happened. Between two parts other handlers run. A crash ends it. One story calls another by ``yield from``.

>>> @message
... class Ping:
...     n: int
>>> class Echo(Node):
...     count = durable(0)                  # survives a crash
...     def on_ping(self, src, msg: Ping):
...         self.count += 1                 # on disk before anything that is sent after it
...         self.send(src, Ping(msg.n))
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, overload

from sim.durability import Durable, DurableLog, DurableMap, durable, durable_log, durable_map
from sim.handlers import check_parts, find_handlers
from sim.hosting import HostContract
from sim.message import message, newest
from sim.refusals import refuse_assignments, refuse_hidden, refuse_settings, refuse_shared_state
from sim.stories import mark_stories

__all__ = [
    "Caller",
    "DurableLog",
    "DurableMap",
    "Handlers",
    "Node",
    "Part",
    "RandomSource",
    "Verbs",
    "durable",
    "durable_fields",
    "durable_log",
    "durable_map",
    "message",
    "part",
]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Caller(str):
    """The name of a node that waits for a reply (`Verbs.call`), with the number of its call."""

    __slots__ = ("call_id",)
    call_id: int

    def __new__(cls, name: str, call_id: int) -> Caller:
        caller = super().__new__(cls, name)
        caller.call_id = call_id
        return caller

    def __reduce__(self) -> tuple[Any, ...]:
        return (Caller, (str(self), self.call_id))


class RandomSource(Protocol):
    """What ``self.random`` offers (see `sim.kernel.Stream`)."""

    def random(self) -> float: ...
    def uniform(self, low: float, high: float) -> float: ...
    def exponential(self, mean: float) -> float: ...
    def below(self, n: int) -> int: ...
    def choice(self, items: Sequence[T]) -> T: ...
    def sample(self, items: Sequence[T], k: int) -> list[T]: ...
    def shuffle(self, items: MutableSequence[T]) -> None: ...
    def chance(self, probability: float) -> bool: ...


class Verbs:
    """What a node, or a part of one, can do. All times are in seconds, on the node's own clocks."""

    name: str
    """The name of the node."""
    random: RandomSource
    """The node's own stream of random numbers."""
    incarnation: int
    """0 at first boot, one more at each restart."""
    peers: tuple[str, ...]
    """The other members of its group."""
    host: HostContract
    """Whatever hosts this node; protocol code has no need of it."""

    if TYPE_CHECKING:

        @property
        def now(self) -> float:
            """The time (seconds) on this node's wall clock, which may be wrong, drift, and jump in either direction.

            For timestamps: what travels in messages, is stored, or is compared with the time of other nodes.
            """

        @property
        def monotonic(self) -> float:
            """A time (seconds) that only this incarnation of this node can use: it drifts, and never jumps.

            For durations: leases, deadlines, suspicion, ages. It begins at a random value after each restart, so it
            may not travel in messages, nor be stored. Timers run by it, and it goes on while the process is paused.
            """

    else:

        @property
        def now(self):
            return self.host.clock()

        @property
        def monotonic(self):
            return self.host.monotonic()

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        """Send a message. It leaves only when everything this node wrote before is on its disk.

        With ``hold=False`` it leaves at once: for messages that promise nothing about this node's disk.
        A message to oneself is this node's next step, at the same instant: it costs nothing and is never lost.
        """
        self.host.send(dst, msg, hold)

    def broadcast(self, msg: Any, *, to: Iterable[str] | None = None, hold: bool = True) -> None:
        """Send a message to all of ``to`` (default: all peers, not itself), in order."""
        for dst in self.peers if to is None else to:
            self.send(dst, msg, hold=hold)

    def reply(self, src: str, msg: Any, *, hold: bool = True) -> None:
        """Answer ``src``: to the very call it waits in when it used `called`, else as a plain message."""
        self.host.reply(src, msg, hold)

    def dispatch(self, src: str, msg: Any) -> None:
        """Give a message to this node's handler for it, within the present step, as if it came from ``src``.

        For layers (links, broadcasts, calls) that unpack one message from another. Raises TypeError when neither
        the node nor a part of it handles such a message.
        """
        self.host.dispatch(src, msg)

    def set_timer(self, name: str, delay: float, key: Any = None) -> None:
        """In ``delay`` seconds call ``on_<name>_timeout()``, or ``on_<name>_timeout(key)`` for a keyed timer.

        There is one timer per (name, key): setting it again replaces its deadline. Raises ValueError for a
        negative delay, TypeError when there is no such handler.
        """
        self.host.set_timer(self, name, delay, key)

    def cancel_timer(self, name: str, key: Any = None) -> None:
        """Forget a timer; harmless when it is not set."""
        self.host.cancel_timer(self, name, key)

    def work(self, name: str, seconds: float, key: Any = None, *, priority: int = 0) -> None:
        """Queue ``seconds`` of work on the cores, then call ``on_<name>_done()`` or ``on_<name>_done(key)``.

        ``priority`` orders the queue on hosts with ``discipline="priority"`` (lower first).
        """
        self.host.work(self, name, seconds, key, priority)

    def cancel_work(self, name: str, key: Any = None) -> bool:
        """Take work off the queue or the cores; False when there is none of that name and key."""
        return bool(self.host.cancel_work(self, name, key))

    @property
    def backlog(self) -> int:
        """How much work (messages and `work`) waits for or occupies this node's cores."""
        return int(self.host.backlog)

    def record(self, event: str, **detail: Any) -> None:
        """Append a row to the frame ``events``: this node, now, ``event`` with its details."""
        self.host.record(event, detail)

    def barrier(self) -> None:
        """Split what this handler writes: a crash may lose what follows and keep what went before."""
        self.host.barrier()

    # Stories: processes that read "do this, wait for that or a timeout, then ..."

    def spawn(self, story: Any) -> Any:
        """Start a story (a generator): it begins in this node's next step, at the same instant, after this handler.

        Each of its parts between two yields is one step, as of a handler that yields. It is closed when the node
        crashes. What comes back is an event: its value is what the story returns. TypeError for what is no story.
        """
        return self.host.spawn(story)

    def sleep(self, seconds: float) -> Any:
        """For a story to yield: wait. ValueError for a time below 0, or without end."""
        return self.host.sleep(seconds)

    def event(self) -> Any:
        """For a story to yield: an event that someone else triggers by ``event.succeed(value)``."""
        return self.host.event()

    def call(self, dst: str, request: Any, timeout: float | None = None) -> Any:
        """For a story to yield: send a request; the value is the reply, or None after ``timeout`` seconds."""
        return self.host.call(dst, request, timeout)

    def first_of(self, *events: Any) -> Any:
        """For a story to yield: wait until one of the events has happened."""
        return self.host.first_of(events)


class part(Generic[T]):  # noqa: N801 - reads as a keyword in class bodies
    """Declare a part of a node: ``detector = part(PhiDetector, threshold=8.0)``.

    The keyword arguments become attributes of the part before its ``on_start`` runs. A part that refuses some of
    them does so here (`Part.check_settings`). Raises TypeError for settings that are mutable: all nodes would share
    them.
    """

    def __init__(self, cls: type[T], **settings: Any) -> None:
        if issubclass(cls, Part):
            refuse_settings(cls, settings, {**_VERBS, **dict.fromkeys(_given(cls))})
            cls.check_settings(**settings)
        self.cls = cls
        self.settings = settings

    def build(self, node: Node, name: str) -> T:
        made = self.cls(node, name)  # type: ignore[call-arg]
        made.__dict__.update(self.settings)
        return made

    @overload
    def __get__(self, node: None, owner: type) -> part[T]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> T: ...
    def __get__(self, node: Node | None, owner: type) -> Any:
        # The instance's own dictionary, where Node puts the part, goes before a descriptor without __set__.
        if node is None:
            return self
        raise AttributeError("parts are made when a host boots the node")


class Handlers(Verbs):
    """A class whose ``on_...`` methods are found when the class is defined (see `sim.handlers`).

    Mistakes that would show late, or never, are refused then, too (see `sim.refusals`).
    """

    _handlers: ClassVar[dict[type, str]] = {}  # message class -> method name
    _durables: ClassVar[dict[str, Any]] = {}  # field -> what makes its first value
    _parts: ClassVar[dict[str, part[Any]]] = {}
    _is_part: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_hidden(cls, _VERBS, _given(cls), options=not cls._is_part)
        refuse_shared_state(cls, "nodes")
        cls._handlers = find_handlers(cls)
        cls._durables = _collect(cls, Durable, "_durables")
        cls._parts = _collect(cls, part, "_parts")
        check_parts(cls, cls._parts)
        refuse_assignments(cls, _VERBS, _not_assigned(cls))
        mark_stories(cls, Handlers)

    @classmethod
    def takers(cls) -> dict[type, str]:
        """Message class -> handler name; with the newest definition of each class, if it ran again (in a notebook)."""
        again = {newest(kind): name for kind, name in cls._handlers.items()}
        return {**again, **cls._handlers}

    def on_start(self) -> None:
        """Boot, and every restart: set the volatile state here."""


def _collect(cls: type, kind: type, table: str) -> dict[str, Any]:
    found = {}
    for base in reversed(cls.__mro__[1:]):
        found.update(base.__dict__.get(table, {}))
    found.update({k: v for k, v in cls.__dict__.items() if isinstance(v, kind)})
    return found


_VERBS = {
    name: value
    for name, value in Verbs.__dict__.items()
    if not name.startswith("_") and (callable(value) or isinstance(value, property))
}


def _given(cls: type) -> tuple[str, ...]:
    """The attributes that a host sets in a node, or in a part of one."""
    bases = [base for base in cls.__mro__ if base.__module__ == __name__]
    return tuple(name for base in bases for name in inspect.get_annotations(base) if name[0] != "_")


def _not_assigned(cls: type[Handlers]) -> dict[str, str]:
    """The attributes that methods may not assign: each with the reason, and what to write instead."""
    refused = {name: f"{name} is a verb: give the attribute another name" for name in _VERBS}
    # Members and peers may change: `broadcast` goes to the peers that a reconfiguration has left.
    fixed = [name for name in _given(cls) if name not in ("members", "peers")]
    refused |= dict.fromkeys(fixed, "the host sets it: give the attribute another name")
    refused |= dict.fromkeys(cls._parts, "it is a part of the node: give the attribute another name")
    return refused


def durable_fields(node_class: type[Handlers]) -> tuple[str, ...]:
    """The names under which nodes of a class write to their disks; those of a part are ``part.field``."""
    own = tuple(node_class._durables)
    return own + tuple(
        f"{name}.{field}" for name, made in node_class._parts.items() for field in durable_fields(made.cls)
    )


class Node(Handlers):
    """A member of a system, or a client of one.

    The host makes it by ``cls(host)``: on the first boot with an empty disk, on a restart with what was on
    its disk. Attributes that the host provides besides the verbs:
    """

    members: tuple[str, ...]
    """The names of all members of this node's group, itself included, in order."""
    settings: Any
    """What the system gave this member to know; for most protocols the frozen system itself."""

    def __init__(self, host: Any) -> None:
        self.__dict__.update(host.identity)
        for field, declared in self._durables.items():
            self.__dict__[field] = declared.restore(host.disk, field)
        for name, declaration in self._parts.items():
            self.__dict__[name] = declaration.build(self, name)


class Part(Handlers):
    """A piece of a node (a failure detector, a broadcast) with its own handlers, timers and durable fields.

    It shares its node's identity, disk, clock and crash; ``self.node`` is the node.
    """

    _is_part = True
    node: Node
    part_name: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls._parts:
            raise TypeError(
                f"{cls.__name__}.{next(iter(cls._parts))}: a part has no parts; declare it in the node"
            )

    @classmethod
    def check_settings(cls, **settings: Any) -> None:
        """Raise ValueError, with the value, for settings of `part` that cannot work."""

    def __init__(self, node: Node, name: str) -> None:
        shared = ("host", "name", "peers", "random", "incarnation")
        self.__dict__.update({field: node.__dict__[field] for field in shared}, node=node, part_name=name)
        for field, declared in self._durables.items():
            declared_name = f"{name}.{field}"
            self.__dict__[field] = declared.restore(node.host.disk, declared_name)
