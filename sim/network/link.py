"""A link: the state of the path of messages from one host to another, and the interface of a host to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol

from sim.distributions import Constant
from sim.engine import COMPILED
from sim.kernel import Streams
from sim.network.disturbances import Disturbance
from sim.network.steady import latency_over_time
from sim.network.topology import LinkSpec

if TYPE_CHECKING or not COMPILED:
    from sim.network.plain_link import Counters
else:
    from sim.network._plain_link import Counters

__all__ = ["HEADER_BYTES", "Held", "Link", "Receiver", "Send"]

HEADER_BYTES = 54
"""Bytes of the headers: Ethernet (14), IPv4 (20) and TCP (20) without options; RFC 894, 791, 9293."""

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
    row: Any = None  # of a full trace


class Link(Counters):
    """The state of one directed link; messages are sent by its current ``send`` closure."""

    def __init__(self, src: str, dst: str, spec: LinkSpec) -> None:
        self.src = src
        self.dst = dst
        self.spec = spec
        self.free_at = 0.0  # time at which all queued messages will have been sent
        self.last_arrival = 0.0  # for ordered transports
        self.cuts = 0  # number of cuts in force
        self.waiting: deque[Any] = deque()  # messages of a stream, while it is cut
        self.bad = False  # state of the burst process
        self.disturbances: list[Disturbance] = []  # set by faults
        self.draw_latency: Callable[[], float] = lambda: 0.0
        self.latency_at: Callable[[float], float] = lambda now: 0.0  # for ordered transports
        self._streams: Streams  # of the run
        self._loss: Callable[[], float] | None = None
        self._burst: Callable[[], float] | None = None
        self._duplicate: Callable[[], float] | None = None
        self._corrupt: Callable[[], float] | None = None

    def queueing_delay(self, now: float, message: Any, bandwidth: float) -> float:
        """Queue a message for a bandwidth (bytes per second): the seconds until all of it is sent."""
        start = max(now, self.free_at)
        self.free_at = start + (HEADER_BYTES + message.wire_bytes) / bandwidth
        return self.free_at - now

    def open_streams(self, streams: Streams) -> None:
        """Give the link its own random streams; each random decision has its own address."""
        self._streams = streams
        if isinstance(self.spec.latency, Constant):
            delay = repeat(self.spec.latency.value).__next__
            self.draw_latency = delay
            self.latency_at = lambda now: delay()
        else:
            latency = self.spec.latency
            generator = streams.generator(f"link/{self.src}->{self.dst}/latency")
            if self.spec.transport == "datagram":
                self.draw_latency = latency.sampler(generator)
            else:
                self.latency_at = latency_over_time(latency, self.spec.coherence_time, generator)

    # Opening a stream takes 40 us, and a gossip among 1,000 nodes makes a new link with almost every message: so
    # each stream is opened when it is first needed. Streams have addresses, so this changes no draw. (A
    # cached_property would do the same, but would make later access to all attributes of the link slower.)

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
