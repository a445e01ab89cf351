"""The network of a run with a full trace: each message has a row from the moment when it leaves its node.

It does what `Network` does, in the same order and with the same random draws. A *letter* says which step sent a
message, and since when; it stays with the message over cores, cards and cuts. The row is filled in when it is known
what became of the message.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import TYPE_CHECKING, Any

from sim.engine import COMPILED
from sim.network.link import HEADER_BYTES, Held, Link, Receiver
from sim.network.links import Network
from sim.network.message_rows import NAN
from sim.plain import operations_in, plain_fields
from sim.unchanged import require_unchanged

if TYPE_CHECKING or not COMPILED:
    from sim.unchanged import Picture
else:
    from sim._unchanged import Picture

__all__ = ["FATES", "Letter", "MessageRow", "TracedNetwork"]

FATES = ("delivered", "duplicated", "released", "crashed", "lost", "corrupted", "cut", "held", "in flight")
"""The possible fates of a message; docs/trace.md explains each."""

MessageRow = list[Any]
_DELIVERED, _FATE, _ID = 4, 5, 7  # the indices of these in a row


class Letter:
    """A message on its way out of its node: the step that sent it (-1: none), and times (simulated seconds)."""

    __slots__ = ("copies", "handed", "ready", "step")

    def __init__(self, step: int, ready: float) -> None:
        self.step = step
        self.ready = ready  # since when its node may send it: what it depends on is synced
        self.handed: float | None = None  # when the link got it
        self.copies = 0


class TracedNetwork(Network):
    """A network that keeps a row for each message."""

    letter: Letter | None = None
    """Of the message that is being sent."""
    arriving: MessageRow | None = None
    """Of the message that is being delivered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept: dict[tuple[str, str], deque[Letter]] = {}
        self._last: tuple[Any, Picture, str, str] | None = None  # the last message, and its written content

    # On the way out

    def launch(self, link: Link, receiver: Receiver, message: Any, arrival: float) -> None:
        env = self.env
        picture = self.picture_of(message) if self.checking else None
        row = self._row(link, message, "in flight")
        flight = (link, receiver, message, env._now, picture, row)
        env.push((arrival, 1, env.serial(), self.arrive, flight))

    def _is_plain(self, link: Link) -> bool:
        return False

    def drop(self, link: Link, message: Any, fate: str, held: Held | None = None) -> None:
        link.lost += 1
        if fate == "crashed":  # what a stream kept over a cut, when an end of it crashed
            self.letter = self._kept[link.src, link.dst].popleft()
        self._row(link, message, fate)
        if fate == "crashed":
            self.letter = None

    def keep(self, link: Link, message: Any) -> None:
        super().keep(link, message)
        letter = self._current()
        letter.handed = self.env._now
        self._kept.setdefault((link.src, link.dst), deque()).append(letter)

    def send_kept(self, link: Link, message: Any) -> None:
        self.letter = self._kept[link.src, link.dst].popleft()
        super().send_kept(link, message)
        self.letter = None

    def _current(self) -> Letter:
        return self.letter or Letter(-1, self.env._now)

    def _row(self, link: Link, message: Any, fate: str) -> MessageRow:
        letter, now, rows = self._current(), self.env._now, self.recorder.messages
        letter.copies += 1
        content, operations = self._written(message)
        row: MessageRow = [
            *(type(message).__name__, link.src, link.dst, now, NAN, fate, HEADER_BYTES + message.wire_bytes),
            *(len(rows), letter.step, content, operations, letter.ready),
            *(now if letter.handed is None else letter.handed, letter.copies > 1),
        ]
        rows.append(row)
        return row

    def _written(self, message: Any) -> tuple[str, str]:
        """The content, and the operations that it is about; a message that goes to many is written once."""
        last = self._last
        if last is None or last[0] is not message or not last[1].is_true():
            operations = ",".join(f"[{session},{sequence}]" for session, sequence in operations_in(message))
            last = self._last = (message, Picture(message), plain_fields(message), f"[{operations}]")
        return last[2], last[3]

    # On arrival

    def arrive(self, flight: Any) -> None:
        link, receiver, message, sent, picture, row = flight
        if self._holds and self._holds_back(
            link, message, Held(link.src, link.dst, message, sent, picture, row)
        ):
            row[_FATE] = "held"
            return
        self._deliver(receiver, link.src, message, picture, row, "duplicated" if row[-1] else "delivered")

    def _copied(self, held: Held) -> Held:
        rows: list[Any] = self.recorder.messages
        row: MessageRow = [*held.row]
        row[_FATE], row[_ID], row[-1] = "held", len(rows), True
        rows.append(row)
        return dataclasses.replace(held, row=row)

    def deliver_held(self, held: Held) -> None:
        self._deliver(self._receivers[held.dst], held.src, held.message, held.picture, held.row, "released")

    def _deliver(
        self, receiver: Receiver, src: str, message: Any, picture: Picture | None, row: MessageRow, fate: str
    ) -> None:
        if picture is not None:
            require_unchanged(picture, src, receiver.name)
        row[_DELIVERED] = self.env._now
        row[_FATE] = fate if receiver.handlers else "crashed"
        self.arriving = row
        receiver.receive(src, message)
        self.arriving = None

    def lose_held(self, held: Held) -> None:
        self.links[held.src, held.dst].lost += 1
        held.row[_FATE] = "lost"

    def trace_in_flight(self) -> None:
        """At the end of a run: what happens from now on to messages under way is not recorded."""
        rows: list[Any] = self.recorder.messages
        rows[:] = [tuple(row) for row in rows]
