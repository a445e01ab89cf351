"""What members say and hear, against what they hold; declared in one line each.

>>> stands_by(lambda m: (m.view, m.op) if isinstance(m, PrepareOk) else None, holds=lambda node: (node.view, node.op))
>>> remembered(lambda message: [(u.member, u.incarnation) for u in message.updates], holds=lambda node: node.latest)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.node import Node
from sim.system import Invariant
from sim.values import shown as told

__all__ = ["Remembered", "StandsBy", "remembered", "stands_by"]

Pairs = Iterable[tuple[Any, Any]]
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
    for name, given in (("says", says), ("holds", holds)):
        if not callable(given):
            raise ValueError(f"stands_by: {name} must be a function, not {given!r}")
    return StandsBy(says=says, holds=holds)


@dataclass
class Remembered(Invariant):
    """A member that handles a message with news holds the news afterwards. Made by `remembered`."""

    title: ClassVar[str] = "news is not forgotten"
    hears_of: Callable[[Any], Pairs] = field(default=lambda message: ())
    holds: Callable[[Any], Mapping[Any, Any] | None] = field(default=lambda node: None)

    def __post_init__(self) -> None:
        self._heard: dict[
            str, dict[Any, Any]
        ] = {}  # member -> subject -> number, in the message that it handles

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
    hears_of: Callable[[Any], Pairs], *, holds: Callable[[Any], Mapping[Any, Any] | None]
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
    for name, given in (("hears_of", hears_of), ("holds", holds)):
        if not callable(given):
            raise ValueError(f"remembered: {name} must be a function, not {given!r}")
    return Remembered(hears_of=hears_of, holds=holds)
