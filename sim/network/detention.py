"""Messages of one kind that a fault keeps back for a time, such as an old message that arrives after an election."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sim.message import carried

if TYPE_CHECKING:
    from sim.network.link import Held, Link

__all__ = ["Detention"]

Nodes = Collection[str] | None


class Detention:
    """Keeps back ``count`` (None: all) arriving messages of a class from nodes ``src`` to nodes ``dst`` (None: any).

    Over a link that keeps the order, later messages wait behind those that are kept back. With ``copies`` a copy of
    each is kept, and the message itself arrives; links that keep the order duplicate nothing.
    """

    def __init__(self, kind: str, src: Nodes, dst: Nodes, count: int | None, copies: bool = False) -> None:
        made = (kind, None if src is None else tuple(src), None if dst is None else tuple(dst), count)
        self.said: tuple[Any, ...] = (*made, True) if copies else made
        """What it was made of."""
        self.copies = copies
        self._kind = kind
        self._src = src
        self._dst = dst
        self._left: int | None = count
        self.held: list[Held] = []

    def forget(self) -> None:
        """Be as new: a session that it was part of begins again."""
        self._left = self.said[3]
        self.held = []

    def takes(self, link: Link, message: Any) -> bool:
        """Whether it keeps back a message that arrives over a link, or a copy of it."""
        if self._left == 0 or not self._is_meant(link, message):
            return not self.copies and self._waits_behind(link)
        if self.copies and _is_ordered(link):
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def _is_meant(self, link: Link, message: Any) -> bool:
        if not (self._src is None or link.src in self._src) or not (
            self._dst is None or link.dst in self._dst
        ):
            return False
        return any(part.__class__.__name__ == self._kind for part in carried(message))

    def _waits_behind(self, link: Link) -> bool:
        return _is_ordered(link) and any((held.src, held.dst) == (link.src, link.dst) for held in self.held)


def _is_ordered(link: Link) -> bool:
    return link.spec.transport != "datagram"
