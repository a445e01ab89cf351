"""A link: the state of the path of messages from one host to another, and the interface of a host to it."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sim.distributions import Constant
from sim.engine import COMPILED
from sim.kernel import Streams
from sim.network.disturbances import Disturbance
from sim.network.message_rows import HEADER_BYTES
from sim.network.steady import latency_over_time
from sim.network.topology import LinkSpec

if TYPE_CHECKING or not COMPILED:
    from sim.network.plain_link import Counters
else:
    from sim.network._plain_link import Counters

__all__ = ["HEADER_BYTES", "Held", "Link", "Receiver", "Send"]

Send = Callable[[Any], None]
"""Sends a message over one link."""


class Receiver(Protocol):
    """The interface of a host that the links to it use."""

    name: str
    handlers: dict[type, Callable[[Any, Any], Any]]
    messages_in: int

    @property
    def direct(self) -> bool: ...

    def receive(self, src: str, message: Any) -> None: ...
    def to_self(self, message: Any) -> None: ...
    def lost_at_door(self) -> None: ...
    def follow(self, result: Any) -> None: ...
    def blame(self, error: Exception) -> None: ...


@dataclass(slots=True, eq=False)  # two copies of a message are different
class Held:
    """A message that arrived while its link was held back; `Network.release` delivers it."""

    src: str
    dst: str
    message: Any
    sent: float
    picture: Any
    row: Any = None
    """Its row of a full trace; in a trace of messages, the bytes for its row. None: it has none."""


FEW = 16
"""A link that has carried fewer messages than this keeps no function to send, and no random stream."""


def _always(latency: float, now: float) -> float:
    return latency


class Link(Counters):
    """The state of one directed link; messages are sent by its current ``send`` closure.

    A large gossip makes a link with almost every message. So a link that is hardly used is small: its first latencies
    come from a stream that is made, read and thrown away (`_draw_early`). The stream has an address, so it is the same
    when it is made again, and all draws are those of a stream that is kept.
    """

    __slots__ = (
        *("src", "dst", "spec", "free_at", "last_arrival", "cuts", "waiting", "bad", "disturbances"),
        *("_streams", "_latency", "_latency_at", "_drawn", "_block"),
        *("_loss", "_burst", "_duplicate", "_corrupt"),
    )

    def __init__(self, src: str, dst: str, spec: LinkSpec, streams: Streams) -> None:
        super().__init__()
        self.src = src
        self.dst = dst
        self.spec = spec
        self.free_at = 0.0  # time at which all queued messages will have been sent
        self.last_arrival = 0.0  # for ordered transports
        self.cuts = 0  # number of cuts in force
        self.waiting: deque[Any] | None = None  # messages of a stream, while it is cut
        self.bad = False  # state of the burst process
        self.disturbances: tuple[Disturbance, ...] = ()  # set by faults
        self._streams = streams  # of the run
        self._latency: Callable[[], float] | None = None
        self._latency_at: Callable[[float], float] | None = None
        self._drawn = 0  # latencies drawn before there is `_latency`
        self._block: array[float] | None = None  # the first latencies, from the second message on
        self._loss: Callable[[], float] | None = None
        self._burst: Callable[[], float] | None = None
        self._duplicate: Callable[[], float] | None = None
        self._corrupt: Callable[[], float] | None = None

    def queueing_delay(self, now: float, message: Any, bandwidth: float) -> float:
        """Queue a message for a bandwidth (bytes per second): the seconds until all of it is sent."""
        start = max(now, self.free_at)
        self.free_at = start + (HEADER_BYTES + message.wire_bytes) / bandwidth
        return self.free_at - now

    # Opening a stream takes 10 us and more, so each is opened when it is first needed. Streams have addresses, so
    # this changes no draw. (A cached_property would do the same, but needs a dictionary for each link.)

    @property
    def is_new(self) -> bool:
        """Whether its functions are not worth keeping: it has carried few messages, and lost none by chance."""
        return self.messages < FEW and self._latency is None and not self.spec.loss

    @property
    def draw_latency(self) -> Callable[[], float]:
        """Draws the latency (seconds) of the next message of a datagram link."""
        if self._latency is not None:
            return self._latency
        return self._draw_early if self.is_new else self.open_latency()

    @property
    def latency_at(self) -> Callable[[float], float]:
        """The latency (seconds) of an ordered link at a simulated time (seconds)."""
        if self._latency_at is None:
            spec = self.spec
            if isinstance(spec.latency, Constant):
                self._latency_at = partial(_always, spec.latency.value)
            else:
                self._latency_at = latency_over_time(spec.latency, spec.coherence_time, self._generator())
        return self._latency_at

    def open_latency(self) -> Callable[[], float]:
        """Draws the latency of the next message, from a stream that is kept."""
        if self._latency is None:
            self._latency = self._sampler()
            for _ in range(self._drawn):
                self._latency()
            self._block = None
        return self._latency

    def _draw_early(self) -> float:
        """The next latency of a link that is hardly used: many links never need more than one."""
        number = self._drawn
        if number >= FEW or self._latency is not None:
            return self.open_latency()()
        self._drawn += 1
        if self._block is None:
            draw = self._sampler()
            if number == 0:
                return draw()
            self._block = array("d", [draw() for _ in range(FEW)])
        return self._block[number]

    def _sampler(self) -> Callable[[], float]:
        latency = self.spec.latency
        if isinstance(latency, Constant):
            return repeat(latency.value).__next__  # without a stream
        return latency.sampler(self._generator())

    def _generator(self) -> np.random.Generator:
        return self._streams.generator(f"link/{self.src}->{self.dst}/latency")

    @property
    def draw_loss(self) -> Callable[[], float]:
        """A uniform number that decides whether the next message is lost."""
        if self._loss is None:
            self._loss = self._uniforms("loss")
        return self._loss

    @property
    def draw_burst(self) -> Callable[[], float]:
        """A uniform number for bursts and for the loss that faults add."""
        if self._burst is None:
            self._burst = self._uniforms("burst")
        return self._burst

    @property
    def draw_duplicate(self) -> Callable[[], float]:
        """A uniform number that decides whether the next message arrives twice."""
        if self._duplicate is None:
            self._duplicate = self._uniforms("duplicate")
        return self._duplicate

    @property
    def draw_corrupt(self) -> Callable[[], float]:
        """A uniform number that decides whether the next message is garbled."""
        if self._corrupt is None:
            self._corrupt = self._uniforms("corrupt")
        return self._corrupt

    def _uniforms(self, what: str) -> Callable[[], float]:
        return self._streams.uniforms(f"link/{self.src}->{self.dst}/{what}")
