"""Nodes: all that a protocol author needs.

A replica (or client, or server) is a class of *handlers* over *verbs*. A handler is one "upon receiving ..."
of the paper: ``on_prepare(self, src, msg: Prepare)`` is called for each message of class ``Prepare``. A call of a
handler is one *step*: it is atomic, and everything that it writes is one record on disk. The host of the node
(`sim.hosting.HostContract`) provides the verbs (`Node.send`, `Node.set_timer`, `Node.work`, ...). A host is the
simulator (`sim.cluster`), or a test that delivers messages itself (`sim.testing`). This module knows neither simulated
time nor the network; it imports only the standard library.

A handler that yields is a *story*: ``answer = yield self.call("n1", Ask())``. Its first part, up to the first yield,
belongs to the step of the message that it handles. Each later part is a step of its own; it runs when the event that
the story waited for has happened. Other handlers run between two parts. A crash of the node ends the story. One story
calls another by ``yield from``.

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
    """The interface of ``self.random`` (see `sim.kernel.Stream`)."""

    def random(self) -> float: ...
    def uniform(self, low: float, high: float) -> float: ...
    def exponential(self, mean: float) -> float: ...
    def below(self, n: int) -> int: ...
    def choice(self, items: Sequence[T]) -> T: ...
    def sample(self, items: Sequence[T], k: int) -> list[T]: ...
    def shuffle(self, items: MutableSequence[T]) -> None: ...
    def chance(self, probability: float) -> bool: ...


class Verbs:
    """The verbs: everything a node, or a part of a node, can do. All times are in seconds, on the node's own clocks."""

    name: str
    """The name of the node."""
    random: RandomSource
    """The node's own stream of random numbers."""
    incarnation: int
    """The number of restarts so far: 0 after the first boot, 1 more after each restart."""
    peers: tuple[str, ...]
    """The other members of its group."""
    host: HostContract
    """The host of this node; protocol code does not need it."""

    if TYPE_CHECKING:

        @property
        def now(self) -> float:
            """The time (seconds) on this node's wall clock, which may be wrong, drift, and jump in either direction.

            Use it for timestamps: times that are sent in messages, stored, or compared with times of other nodes.
            """

        @property
        def monotonic(self) -> float:
            """The time (seconds) on this node's monotonic clock: it may drift, and it never jumps.

            Use it for durations: leases, deadlines, suspicion, ages. It begins at a random value after each restart, so
            do not send it in messages and do not store it. Timers run on this clock. It continues while the process is
            paused.
            """

    else:

        @property
        def now(self):
            return self.host.clock()

        @property
        def monotonic(self):
            return self.host.monotonic()

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        """Send a message. It leaves only when everything that this node wrote before is on its disk.

        With ``hold=False`` it leaves at once; use this for messages that promise nothing about this node's disk.
        A message from a node to itself is the node's next step, at the same instant: it costs nothing and is not lost
        unless the node crashes.
        """
        self.host.send(dst, msg, hold)

    def broadcast(self, msg: Any, *, to: Iterable[str] | None = None, hold: bool = True) -> None:
        """Send a message to each node in ``to`` (default: all peers, without this node), in order."""
        for dst in self.peers if to is None else to:
            self.send(dst, msg, hold=hold)

    def reply(self, src: str, msg: Any, *, hold: bool = True) -> None:
        """Answer ``src``. If ``src`` waits in a `call`, the message ends that call; else it is a plain message."""
        self.host.reply(src, msg, hold)

    def dispatch(self, src: str, msg: Any) -> None:
        """Call this node's handler for a message, within the present step, as if the message came from ``src``.

        For layers (links, broadcasts, calls) that unpack one message from another. Raises TypeError when neither
        the node nor a part of it handles such a message.
        """
        self.host.dispatch(src, msg)

    def set_timer(self, name: str, delay: float, key: Any = None) -> None:
        """Call ``on_<name>_timeout()`` after ``delay`` seconds, or ``on_<name>_timeout(key)`` for a keyed timer.

        There is one timer per (name, key): setting it again replaces its deadline. Raises ValueError for a
        negative delay, TypeError when there is no such handler.
        """
        self.host.set_timer(self, name, delay, key)

    def cancel_timer(self, name: str, key: Any = None) -> None:
        """Cancel a timer; harmless when it is not set."""
        self.host.cancel_timer(self, name, key)

    def work(self, name: str, seconds: float, key: Any = None, *, priority: int = 0) -> None:
        """Queue ``seconds`` of work on the cores, then call ``on_<name>_done()`` or ``on_<name>_done(key)``.

        ``priority`` orders the queue on hosts with ``discipline="priority"`` (lower first).
        """
        self.host.work(self, name, seconds, key, priority)

    def cancel_work(self, name: str, key: Any = None) -> bool:
        """Remove work from the queue or the cores; False when there is no work with that name and key."""
        return bool(self.host.cancel_work(self, name, key))

    @property
    def backlog(self) -> int:
        """How many messages and pieces of `work` wait for or occupy this node's cores."""
        return int(self.host.backlog)

    def record(self, event: str, **detail: Any) -> None:
        """Append a row to the frame ``events``: the time, this node, ``event`` and its details."""
        self.host.record(event, detail)

    def barrier(self) -> None:
        """End the present disk record: a crash may then keep what this handler wrote before, and lose what follows."""
        self.host.barrier()

    # Stories: processes that read "do this, wait for that or a timeout, then ..."

    def spawn(self, story: Any) -> Any:
        """Start a story (a generator): it begins in this node's next step, at the same instant, after this handler.

        Each part between two yields is one step, as in a handler that yields. A crash of the node closes the story.
        Returns an event whose value is the return value of the story. Raises TypeError if ``story`` is not a story.
        """
        return self.host.spawn(story)

    def sleep(self, seconds: float) -> Any:
        """For a story to yield: wait ``seconds``. Raises ValueError for a time that is negative or not finite."""
        return self.host.sleep(seconds)

    def event(self) -> Any:
        """For a story to yield: an event that other code of this node triggers by ``event.succeed(value)``."""
        return self.host.event()

    def call(self, dst: str, request: Any, timeout: float | None = None) -> Any:
        """For a story to yield: send a request; the value is the reply, or None after ``timeout`` seconds."""
        return self.host.call(dst, request, timeout)

    def first_of(self, *events: Any) -> Any:
        """For a story to yield: wait until one of the events has happened."""
        return self.host.first_of(events)


class part(Generic[T]):  # noqa: N801 - reads as a keyword in class bodies
    """Declare a part of a node: ``detector = part(PhiDetector, threshold=8.0)``.

    The keyword arguments become attributes of the part before its ``on_start`` runs. Here the part checks them
    (`Part.check_settings`). Raises TypeError for a mutable setting, because all nodes would share it.
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
        # Node puts the part into the instance's dictionary, which Python looks up before a descriptor without __set__.
        if node is None:
            return self
        raise AttributeError("parts are made when a host boots the node")


class Handlers(Verbs):
    """A class whose ``on_...`` methods are found when the class is defined (see `sim.handlers`).

    The definition of the class also fails for mistakes that would otherwise be noticed late or never (see
    `sim.refusals`).
    """

    _handlers: ClassVar[dict[type, str]] = {}  # message class -> method name
    _durables: ClassVar[dict[str, Any]] = {}  # field -> its declaration, which makes the first value
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
        """Message class -> handler name. If a notebook ran a class definition again, the newest class is included."""
        again = {newest(kind): name for kind, name in cls._handlers.items()}
        return {**again, **cls._handlers}

    def on_start(self) -> None:
        """Called at boot and at every restart: set the volatile state here."""


def _collect(cls: type, kind: type, table: str) -> dict[str, Any]:
    found = {}
    for base in reversed(cls.__mro__[1:]):
        found.update(base.__dict__.get(table, {}))
    found.update({k: v for k, v in cls.__dict__.items() if isinstance(v, kind)})
    # A subclass may redeclare a name: a durable field that becomes a plain value is no longer on disk.
    return {k: v for k, v in found.items() if isinstance(inspect.getattr_static(cls, k, v), kind)}


_VERBS = {
    name: value
    for name, value in Verbs.__dict__.items()
    if not name.startswith("_") and (callable(value) or isinstance(value, property))
}


def _given(cls: type) -> tuple[str, ...]:
    """The names of the attributes that a host sets in a node, or in a part of a node."""
    bases = [base for base in cls.__mro__ if base.__module__ == __name__]
    return tuple(name for base in bases for name in inspect.get_annotations(base) if name[0] != "_")


def _not_assigned(cls: type[Handlers]) -> dict[str, str]:
    """The attributes that methods must not assign: name -> the reason, and what to write instead."""
    refused = {name: f"{name} is a verb: give the attribute another name" for name in _VERBS}
    # Members and peers may change: after a reconfiguration, `broadcast` goes to the peers that remain.
    fixed = [name for name in _given(cls) if name not in ("members", "peers")]
    refused |= dict.fromkeys(fixed, "the host sets it: give the attribute another name")
    refused |= dict.fromkeys(cls._parts, "it is a part of the node: give the attribute another name")
    return refused


def durable_fields(node_class: type[Handlers]) -> tuple[str, ...]:
    """The names of the durable fields of a node class; the fields of a part are named ``part.field``."""
    own = tuple(node_class._durables)
    return own + tuple(
        f"{name}.{field}" for name, made in node_class._parts.items() for field in durable_fields(made.cls)
    )


class Node(Handlers):
    """A member of a system, or a client of one.

    The host makes it by ``cls(host)``: at the first boot with an empty disk, at a restart with the contents of its
    disk. Besides the verbs, the host provides these attributes:
    """

    members: tuple[str, ...]
    """The names of all members of this node's group, itself included, in order."""
    settings: Any
    """The settings that the system gave this member; for most protocols the frozen system itself."""
    disk_damaged: tuple[str, ...]
    """The durable fields of which records were damaged, and are absent, when this incarnation booted (``on_start``).

    An incarnation that crashes before any of its writes is on the disk leaves the damage to the next one.
    """

    def __init__(self, host: Any) -> None:
        self.__dict__.update(host.identity)
        for field, declared in self._durables.items():
            self.__dict__[field] = declared.restore(host.disk, field)
        for name, declaration in self._parts.items():
            self.__dict__[name] = declaration.build(self, name)


class Part(Handlers):
    """A piece of a node (a failure detector, a broadcast) with its own handlers, timers and durable fields.

    It shares the identity, the disk and the clocks of its node, and crashes with it; ``self.node`` is the node.
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
