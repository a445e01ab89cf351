"""Invariants that an author declares in one line each: what is exclusive, what never goes back, what happens once.

>>> exclusive("leader", per="term")                          # where: node.role == "leader", of node.term
>>> monotone("current_term", "commit_index")
>>> at_most(3, lambda node: len(node.in_flight), what="requests in flight")
>>> once(Vote, per=("term", "src"), value="dst")             # one vote for each term and voter
>>> once("chosen", per="slot", value="command")              # self.record("chosen", slot=..., command=...)

Return them from `System.invariants`, or give them to `System.of`. What crashed nodes did is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, ClassVar

from sim.durability import DurableLog, DurableMap
from sim.mentions import has_attribute, mentions
from sim.node import Node, durable_fields
from sim.system import Invariant, Member
from sim.values import is_message
from sim.values import shown as told

__all__ = [
    "AtMost",
    "Exclusive",
    "Monotone",
    "Once",
    "OnceRecorded",
    "OnceSent",
    "at_most",
    "exclusive",
    "monotone",
    "names_of",
    "once",
    "require_attributes",
    "require_functions",
    "require_message_class",
]


def names_of(where: str, given: Any) -> tuple[str, ...]:
    """A name, or several; ValueError for none, and for what is no name."""
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    if not found or not all(isinstance(name, str) and name for name in found):
        raise ValueError(f"{where} must be a name, or several, not {given!r}")
    return found


def require_functions(where: str, *, optional: bool = False, **given: Any) -> None:
    """Raise ValueError for an argument that is no function; None is taken if they are ``optional``."""
    for name, value in given.items():
        if not callable(value) and not (optional and value is None):
            raise ValueError(f"{where}: {name} must be a function, not {value!r}")


def require_message_class(where: str, given: Any) -> None:
    """Raise ValueError for what is no class of messages."""
    if not isinstance(given, type) or not is_message(given):
        raise ValueError(f"{where}: {given!r} is no class of messages: decorate it with @message")


def require_attributes(where: str, names: Iterable[str], members: Iterable[Member]) -> None:
    """Raise ValueError for an attribute that no member has, as far as the code of their classes shows it."""
    classes = dict.fromkeys(member.node_class for member in members)
    for name in names:
        if not any(has_attribute(node_class, name) for node_class in classes):
            known = ", ".join(node_class.__name__ for node_class in classes)
            fields = ", ".join(dict.fromkeys(f for kind in classes for f in durable_fields(kind))) or "none"
            raise ValueError(f"{where}: {known} has no attribute {name!r}; its durable fields are: {fields}")


@dataclass
class Exclusive(Invariant):
    """At most one member holds a role for each value of an attribute, over the whole run. Made by `exclusive`."""

    title: ClassVar[str] = "one holder"
    role: str | Callable[[Any], bool] = ""
    per: str = ""
    attribute: str = "role"

    def __post_init__(self) -> None:
        self._holders: dict[tuple[str, Any], str] = {}  # (group, value) -> the member
        self._groups: dict[str, str] = {}
        self._value = attrgetter(self.per)
        self._asked = False  # whether the function that says who has the role has ever answered
        self._failed: AttributeError | None = None

    @property
    def is_free(self) -> bool:
        return True

    def begin(self, members: Iterable[Member]) -> None:
        members = tuple(members)
        names = (self.per,) if callable(self.role) else (self.attribute, self.per)
        require_attributes("exclusive", names, members)
        self._groups = {member.name: member.group for member in members}

    def on_step(self, node: Node) -> None:
        role = self.role
        if not callable(role):
            if getattr(node, self.attribute, None) != role:
                return
        elif node.name not in self._groups or not self._holds(role, node):
            return
        if node.name not in self._groups:  # a client
            return
        value = self._value(node)
        other = self._holders.setdefault((self._groups[node.name], value), node.name)
        if other != node.name:
            what = getattr(role, "__name__", role)
            self.violated(
                (other, node.name),
                f"{other} was {what} of {self.per} {told(value)}",
                f"{node.name} is {what} of {self.per} {told(value)}",
                invariant=f"one {what} for each {self.per}",
            )

    def _holds(self, role: Callable[[Any], bool], node: Node) -> bool:
        try:
            held = role(node)
        except AttributeError as error:  # it has not started yet, or is a member of another class
            if self._failed is None:
                self._failed = error
            return False
        self._asked = True
        return bool(held)

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        if self._failed is not None and not self._asked:
            raise ValueError(f"exclusive: role is a function that fails for each node: {self._failed}")


def exclusive(role: str | Callable[[Any], bool], *, per: str, attribute: str = "role") -> Exclusive:
    """An invariant: at most one member of a group holds the role for each value of ``per``, also over crashes.

    Parameters
    ----------
    role:
        What the attribute holds while a member has the role (``self.role = "leader"``); or a function of the node that
        says whether it has it.
    per:
        The attribute of the node that the role belongs to, such as ``"term"``.
    attribute:
        The attribute that holds the role.

    Raises ValueError for an empty name; before a run, for an attribute that no member has.
    """
    if not callable(role):
        names_of("exclusive: role", role)
    elif attribute != "role":
        raise ValueError(f"exclusive: attribute={attribute!r} has no effect, as role is a function")
    for name, given in (("per", per), ("attribute", attribute)):
        if not isinstance(given, str) or not given:
            raise ValueError(f"exclusive: {name} must be the name of an attribute, not {given!r}")
    return Exclusive(role=role, per=per, attribute=attribute)


@dataclass
class Monotone(Invariant):
    """Attributes that never go back; a durable one not by a restart either. Made by `monotone`."""

    title: ClassVar[str] = "never goes back"
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._read = [(name, attrgetter(name)) for name in self.attributes]
        self._nodes: dict[str, Node] = {}  # the node objects of the last steps
        self._last: dict[tuple[str, str], Any] = {}

    @property
    def is_free(self) -> bool:
        return True

    def begin(self, members: Iterable[Member]) -> None:
        members = tuple(members)
        require_attributes("monotone", self.attributes, members)
        for member in members:
            for name in self.attributes:
                declared = _declared(member.node_class, name)
                if isinstance(getattr(declared, "empty", None), DurableLog | DurableMap | tuple | Mapping):
                    raise ValueError(f"monotone: {member.node_class.__name__}.{name} is no value that grows")

    def on_step(self, node: Node) -> None:
        who, last = node.name, self._last
        for name, read in self._read:
            try:
                value = read(node)
            except AttributeError:
                continue  # a member of another class
            key = (who, name)
            before = last.get(key)
            if value is before:
                continue
            if before is not None:
                try:
                    fell = value is None or value < before
                except TypeError:
                    raise ValueError(
                        f"monotone: {name} of {who} cannot be compared: {before!r} and {value!r}"
                    ) from None
                if fell:
                    self.violated(
                        who,
                        f"its {name} was {told(before)}",
                        f"it is {told(value)}",
                        invariant=f"{name} never goes back",
                    )
            last[key] = value
        self._nodes[who] = node

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "crash" and node in self._nodes:
            gone = self._nodes.pop(node)
            for name in self.attributes:
                declared = _declared(type(gone), name)
                if declared is None:  # a crash loses it
                    self._last.pop((node, name), None)
                elif (node, name) in self._last:
                    self._last[node, name] = gone.host.disk.durable(name, declared.empty)
        elif event == "restart" and detail.get("wiped"):
            for name in self.attributes:
                self._last.pop((node, name), None)


def _declared(node_class: type, name: str) -> Any:
    """The declaration of a durable field; None if it is not durable."""
    if "." in name:
        part, _, plain = name.rpartition(".")
        made = getattr(node_class, "_parts", {}).get(part)
        return None if made is None else made.cls._durables.get(plain)
    return getattr(node_class, "_durables", {}).get(name)


def monotone(*attributes: str) -> Monotone:
    """An invariant: these attributes of a node never go back, in the whole life of the node.

    A restart may only lose what is not durable: a durable attribute then is at least what the disk held. A node with
    an empty disk is a new one. ``"part.field"`` names an attribute of a part. Values must be comparable by ``<``.

    Raises ValueError for an empty name; before a run, for an attribute that no member has.
    """
    return Monotone(attributes=names_of("monotone: attributes", attributes))


@dataclass
class Once(Invariant):
    """Something that is made at most once for each key, or always with the same value. See `once`."""

    title: ClassVar[str] = "once"
    what: Any = ""
    per: tuple[str, ...] = ()
    value: tuple[str, ...] = ()
    when: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        self._made: dict[tuple[Any, ...], tuple[str, tuple[Any, ...]]] = {}
        self._restarts: dict[str, int] = {}

    @property
    def is_free(self) -> bool:
        return True

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "restart":
            self._restarts[node] = self._restarts.get(node, 0) + 1

    def incarnation(self, node: str) -> int:
        """How often a node has restarted."""
        return self._restarts.get(node, 0)

    def see(self, who: str, made: Any, read: Callable[[str], Any]) -> None:
        """A member has made one: ``read`` gives what it has under a name."""
        if self.when is not None and not self.when(made):
            return
        key, value = tuple(map(read, self.per)), tuple(map(read, self.value))
        if key not in self._made:
            self._made[key] = (who, value)
            return
        other, before = self._made[key]
        if self.value and value == before:
            return
        what = getattr(self.what, "__name__", self.what)
        where = ", ".join(f"{name} {told(part)}" for name, part in zip(self.per, key, strict=True))
        self.violated(
            dict.fromkeys((other, who)),
            f"{other} made {what} for {where}{self._with(before)}",
            f"{who} makes it again{self._with(value)}",
            invariant=f"one {what} for each {' and '.join(self.per)}",
        )

    def _with(self, value: tuple[Any, ...]) -> str:
        return "".join(f", {name} {told(part)}" for name, part in zip(self.value, value, strict=True))


@dataclass
class OnceSent(Once):
    """A message that is sent at most once for each key, or always with the same value. Made by `once`."""

    def is_told_of(self, kind: type) -> bool:
        return kind is self.what or hasattr(kind, "carries")

    def on_send(self, src: str, dst: str, message: Any) -> None:
        while message.__class__ is not self.what:
            inside = getattr(message.__class__, "carries", None)  # the envelope of a call or reply
            if inside is None:
                return
            message = getattr(message, inside)
        ends = {"src": src, "dst": dst, "incarnation": self.incarnation(src)}
        self.see(src, message, lambda name: ends[name] if name in ends else getattr(message, name))


@dataclass
class OnceRecorded(Once):
    """An event that is recorded at most once for each key, or always with the same value. Made by `once`."""

    def begin(self, members: Iterable[Member]) -> None:
        classes = dict.fromkeys(member.node_class for member in members)
        if not any(self.what in mentions(node_class) for node_class in classes):
            known = ", ".join(node_class.__name__ for node_class in classes)
            raise ValueError(f"once: no member records an event {self.what!r} ({known})")

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        super().on_event(node, event, detail)
        if event != self.what:
            return
        known = {**detail, "node": node, "incarnation": self.incarnation(node)}
        for name in (*self.per, *self.value):
            if name not in known:
                listed = ", ".join(known)
                raise ValueError(f"once: the event {event!r} has no detail {name!r}; it has {listed}")
        self.see(node, detail, known.__getitem__)


_OF_SENDING = ("src", "dst", "incarnation")


def once(
    what: str | type,
    *,
    per: str | Iterable[str],
    value: str | Iterable[str] = (),
    when: Callable[[Any], bool] | None = None,
) -> Once:
    """An invariant: an event is recorded, or a message sent, at most once for each key; or always with one value.

    Parameters
    ----------
    what:
        The name of an event (``self.record("chosen", slot=3, command=...)``), or a class of messages.
    per:
        The names that make the key: details of the event, and ``"node"``; or fields of the message, and ``"src"`` and
        ``"dst"``; and ``"incarnation"``: how often the node had restarted.
    value:
        The names that must be the same whenever the key is the same; none: it must not happen again. A message that is
        repeated, because the first one may be lost, needs a value. ``value=("src", "incarnation")``: a name, such as a
        ballot, is not used again after a restart.
    when:
        A function of the message, or of the details of the event, that says whether it counts; None: each one counts.

    Raises ValueError for no key, and for a name that the class of messages does not have; before a run, for an event
    that no member records, and in the run for a detail that the event does not have.
    """
    if not isinstance(what, str | type) or not what:
        raise ValueError(f"once: name an event or a class of messages, not {what!r}")
    keys = names_of("once: per", per)
    values = names_of("once: value", value) if value or isinstance(value, str) else ()
    require_functions("once", optional=True, when=when)
    if isinstance(what, str):
        return OnceRecorded(what=what, per=keys, value=values, when=when)
    if not is_message(what):
        raise ValueError(f"once: {what.__name__} is no class of messages: decorate it with @message")
    fields: tuple[str, ...] = what._fields  # type: ignore[attr-defined]
    for name in (*keys, *values):
        if name not in (*fields, *_OF_SENDING):
            raise ValueError(
                f"once: {what.__name__} has no field {name!r}; it has {', '.join((*fields, *_OF_SENDING[:-1]))} "
                f"and {_OF_SENDING[-1]}"
            )
    return OnceSent(what=what, per=keys, value=values, when=when)


@dataclass
class AtMost(Invariant):
    """A number that each node keeps at or below a bound. Made by `at_most`."""

    title: ClassVar[str] = "a bound"
    most: float = 0.0
    measure: Callable[[Any], float | None] = field(default=lambda node: None)
    what: str = ""

    @property
    def is_free(self) -> bool:
        return True

    def on_step(self, node: Node) -> None:
        number = self.measure(node)
        if number is not None and number > self.most:
            self.violated(
                node.name,
                f"at most {self.most:g} {self.what} are allowed",
                f"it has {number:g}",
                invariant=f"{self.what}: at most {self.most:g}",
            )


def at_most(most: float, measure: Callable[[Any], float | None], *, what: str) -> AtMost:
    """An invariant: after each step of a node, a number that belongs to it is at most ``most``.

    Parameters
    ----------
    most:
        The bound.
    measure:
        A function of the node that gives the number; None: the node has none, as a client.
    what:
        What the number counts, in words: ``"requests in flight"``.

    Raises ValueError for a bound that is no number, and for an empty ``what``.
    """
    if not isinstance(most, int | float) or most != most:
        raise ValueError(f"at_most: most must be a number, not {most!r}")
    if not callable(measure):
        raise ValueError(f"at_most: measure must be a function of the node, not {measure!r}")
    names_of("at_most: what", what)
    return AtMost(most=most, measure=measure, what=what)
