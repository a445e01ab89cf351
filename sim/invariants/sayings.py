"""What members say and hear, against what they hold; declared in one line each.

>>> stands_by(lambda m: (m.view, m.op) if isinstance(m, PrepareOk) else None, holds=lambda node: (node.view, node.op))
>>> remembered(lambda message: [(u.member, u.incarnation) for u in message.updates], holds=lambda node: node.latest)
>>> backed("elected", by=Vote, on="term", when=lambda vote: vote.granted)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.invariants.declared import names_of, require_functions, require_message_class
from sim.node import Node
from sim.system import Invariant, Member
from sim.values import shown as told

__all__ = ["Backed", "Remembered", "StandsBy", "backed", "remembered", "stands_by"]

News = Iterable[tuple[Any, Any]]
"""(subject, number): the number is a version, a term, an incarnation; the higher one is the news."""


@dataclass
class StandsBy(Invariant):
    """What a member has said that it holds, it still holds, also after a restart. Made by `stands_by`."""

    title: ClassVar[str] = "a member stands by what it said"
    says: Callable[[Any], Any] = field(default=lambda message: None)
    holds: Callable[[Any], Any] = field(default=lambda node: None)

    def __post_init__(self) -> None:
        self._said: dict[str, tuple[Any, Any]] = {}  # member -> the most that it has said, and the message

    @property
    def is_free(self) -> bool:
        return True

    def on_send(self, src: str, dst: str, message: Any) -> None:
        said = self.says(message)
        if said is not None and (src not in self._said or self._said[src][0] < said):
            self._said[src] = said, message

    def on_step(self, node: Node) -> None:
        if node.name not in self._said:
            return
        held, (said, message) = self.holds(node), self._said[node.name]
        if held is not None and held < said:
            self.violated(node.name, f"it has sent {message!r}", f"it holds {told(held)}")


def stands_by(says: Callable[[Any], Any], *, holds: Callable[[Any], Any]) -> StandsBy:
    """An invariant: what a member has said that it holds, it still holds after each step, also after a restart.

    `promises` asks the same of disks; this is for members that have none, and get their state back from others.

    Parameters
    ----------
    says:
        A function of a message that gives what its sender holds, as a number, or a tuple of numbers, the most
        important first: ``(view, operations)``; None: the message says nothing.
    holds:
        A function of a node that gives what it holds; None: it cannot tell yet, as while it recovers.

    It holds over the loss of a disk, too. Raises ValueError for what is no function.
    """
    require_functions("stands_by", says=says, holds=holds)
    return StandsBy(says=says, holds=holds)


@dataclass
class Remembered(Invariant):
    """A member that handles a message with news holds the news afterwards. Made by `remembered`."""

    title: ClassVar[str] = "news is not forgotten"
    hears_of: Callable[[Any], News] = field(default=lambda message: ())
    holds: Callable[[Any], Mapping[Any, Any] | None] = field(default=lambda node: None)

    def __post_init__(self) -> None:
        # Member -> subject -> number, in the message that it handles:
        self._heard: dict[str, dict[Any, Any]] = {}

    @property
    def is_free(self) -> bool:
        return True

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        for subject, number in self.hears_of(message):
            heard = self._heard.setdefault(dst, {})
            if subject not in heard or heard[subject] < number:
                heard[subject] = number

    def on_step(self, node: Node) -> None:
        heard = self._heard.pop(node.name, None) if self._heard else None
        held = self.holds(node) if heard else None
        if held is None or heard is None:
            return
        for subject, number in heard.items():
            if subject in held and held[subject] < number:
                self.violated(
                    node.name,
                    f"it hears {told(number)} of {subject}",
                    f"afterwards it holds {told(held[subject])}",
                )


def remembered(
    hears_of: Callable[[Any], News], *, holds: Callable[[Any], Mapping[Any, Any] | None]
) -> Remembered:
    """An invariant: a member that has handled a message with news of something holds that, or later news, afterwards.

    Parameters
    ----------
    hears_of:
        A function of a message that gives the pairs (what it is about, number) in it; of other messages, nothing.
        Numbers are versions, terms, incarnations: the higher one is the news.
    holds:
        A function of a node that gives what it holds: subject -> number; None: the node holds nothing of the kind. A
        subject that is not there is left out.

    Raises ValueError for what is no function.
    """
    require_functions("remembered", hears_of=hears_of, holds=holds)
    return Remembered(hears_of=hears_of, holds=holds)


@dataclass
class Backed(Invariant):
    """An event that a member records only when enough others have told it so. Made by `backed`."""

    title: ClassVar[str] = "backed by a majority"
    event: str = ""
    by: Any = None
    on: str = ""
    when: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        self._told: dict[str, dict[Any, dict[str, None]]] = {}  # member -> value -> who has told it
        self._group: dict[str, str] = {}

    @property
    def is_free(self) -> bool:
        return True

    def is_told_of(self, kind: type) -> bool:
        return kind is self.by

    def begin(self, members: Iterable[Member]) -> None:
        self._group = {member.name: member.group for member in members}

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if src != dst and (self.when is None or self.when(message)):
            self._told.setdefault(dst, {}).setdefault(getattr(message, self.on), {})[src] = None

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event in ("crash", "restart"):
            self._told.pop(node, None)
        if event != self.event or node not in self._group:
            return
        if self.on not in detail:
            raise ValueError(f"backed: the event {event!r} has no detail {self.on!r}")
        value = detail[self.on]
        others = [*self._told.get(node, {}).get(value, ())]
        size = sum(group == self._group[node] for group in self._group.values())
        if 2 * (len(others) + 1) <= size:  # with itself
            what = f"{self.by.__name__} for {self.on} {told(value)}"
            self.violated(
                node,
                f"it has received {what} from {', '.join(others) or 'no other member'} since it started",
                f"it records {event} with {self.on} {told(value)}, and {size} members need a majority",
                invariant=f"{event} is backed by a majority",
            )


def backed(event: str, *, by: type, on: str, when: Callable[[Any], bool] | None = None) -> Backed:
    """An invariant: a member records an event only when a majority of its group, itself included, has told it so.

    ``backed("elected", by=Vote, on="term", when=lambda vote: vote.granted)``: a leader has the votes of its term.

    Parameters
    ----------
    event:
        The name of the event.
    by:
        The class of messages by which another member says so.
    on:
        What both have in common: a field of the message, and a detail of the event.
    when:
        A function of the message that says whether it counts; None: each one counts.

    What a member received before a restart does not count. Raises ValueError for an empty name, for what is no class of
    messages, and for a field that the class does not have; in the run, for a detail that the event does not have.
    """
    names_of("backed: event", event)
    names_of("backed: on", on)
    require_message_class("backed", by)
    fields: tuple[str, ...] = by._fields  # type: ignore[attr-defined]
    if on not in fields:
        raise ValueError(f"backed: {by.__name__} has no field {on!r}; it has {', '.join(fields)}")
    require_functions("backed", optional=True, when=when)
    return Backed(event=event, by=by, on=on, when=when)
