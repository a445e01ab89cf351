"""The rows of the frame ``messages``, and which messages have one: all, or a sample.

A sample is a share of the messages, and not of the operations: whether a message has a row must not depend on what is
in it, or counts could not be scaled up, and each message would have to be searched for operations, which costs as much
as a full trace.

Each message has the same chance, independently of all others. So the number of messages from one that is chosen to the
next is geometric, and only that number is drawn: a message that is not chosen costs a comparison. Eight draws have an
address (the link, and the number of the message that was chosen before them): they need no stream, and move no other
draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, log1p
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.kernel import Streams
    from sim.network.link import Link

__all__ = ["HEADER_BYTES", "NAN", "MessageRows"]

HEADER_BYTES = 54
"""Bytes of the headers: Ethernet (14), IPv4 (20) and TCP (20) without options; RFC 894, 791, 9293."""

NAN = float("nan")
"""The time of delivery of a message that was not delivered."""

_FAR = 2.0**62
"""A gap that no run is long enough for, and that a C integer holds."""


class MessageRows:
    """The rows that a run with ``trace=True``, or with a sample, has written so far.

    Parameters
    ----------
    rows:
        Those of the recorder, to which they are appended.
    share:
        The share of messages that get a row, above 0 and at most 1.
    streams:
        Those of the run.
    """

    def __init__(self, rows: Any, share: float, streams: Streams) -> None:
        self.rows = rows
        self.share = share
        self.is_complete = share == 1.0
        self._streams = streams
        self._chosen: dict[Link, Callable[[], int]] = {}  # link -> the number of its next message with a row
        self._scale = -inf if self.is_complete else log1p(-share)

    def takes(self, link: Link) -> bool:
        """Whether the message that a link counted last gets a row."""
        if self.is_complete:
            return True
        messages = link.messages
        if link.next_row < messages:
            chosen = self._chosen.get(link)
            if chosen is None:
                chosen = self._chosen[link] = self._numbers_of(link).__next__
            while link.next_row < messages:
                link.next_row = chosen()
        return link.next_row == messages

    def _numbers_of(self, link: Link) -> Iterator[int]:
        """The numbers of the messages of a link that get a row: 1 is its first message."""
        draw = self._streams.numbers(f"link/{link.src}->{link.dst}/trace/")
        row, scale = 0, self._scale
        while True:
            for number in draw(str(row)):
                gap = log1p(-number) / scale  # geometric, and at least 1 more
                row += 1 + int(gap if gap < _FAR else _FAR)
                yield row

    def size(self, link: Link, message: Any) -> Any:
        """The bytes that stand in the row of the message that a link counted last; None: it gets none."""
        return HEADER_BYTES + message.wire_bytes if self.takes(link) else None

    def note(
        self, src: str, dst: str, message: Any, sent: float, delivered: float, fate: str, size: int
    ) -> None:
        """Append a row. Times in simulated seconds."""
        self.rows.append((type(message).__name__, src, dst, sent, delivered, fate, size))
