"""The fates of single messages: what happened to the n-th message of a class from one node to another.

A *quiet* network delivers each message after the median latency of its link, and loses and duplicates none, except for
the messages that it lists with their fates. So a schedule says all that is unusual about its messages, and nothing is
left to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sim.distributions import Constant, Distribution
from sim.network.disturbances import together
from sim.network.topology import GilbertElliott, LinkSpec, Topology, Transport
from sim.settings import Count, Value, Wait

if TYPE_CHECKING:
    from sim.network.link import Link, Receiver
    from sim.network.links import Network

__all__ = ["Fate", "FateBook", "Quiet", "fated_link"]


@dataclass(frozen=True, slots=True)
class Fate(Value):
    """The fate of one message: the ``nth`` message of the class ``kind`` that the link from ``src`` to ``dst`` gets.

    Parameters
    ----------
    lost:
        The link loses it.
    after:
        It arrives this time after it was sent (seconds). None: after the latency of the link.
    again:
        A copy of it arrives this time after it was sent (seconds). None: there is no copy.

    Raises ValueError for a fate that changes nothing, and for one that is lost and arrives.
    """

    src: str
    dst: str
    kind: str
    nth: Count = 1
    lost: bool = False
    after: Wait | None = None
    again: Wait | None = None

    def __post_init__(self) -> None:
        if self.src == self.dst:
            raise ValueError(f"Fate: no link carries a message from {self.src!r} to itself")
        if self.lost and self.after is not None:
            raise ValueError(
                f"Fate: lost=True, and after={self.after!r} says when it arrives: give one of them"
            )
        if not self.lost and self.after is None and self.again is None:
            raise ValueError("Fate: lost, after or again is needed; without them the message is as any other")

    @property
    def address(self) -> tuple[str, str, str, int]:
        """Which message it is: (src, dst, class, n-th)."""
        return self.src, self.dst, self.kind, self.nth


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet(Topology):
    """The quiet form of a network: each message takes the median latency of its link, none is lost or duplicated.

    Bandwidth and transport of ``network`` stay. ``fates``: the messages that are exceptions. A fault that makes a link
    lose a part of its messages has no effect on a quiet network, because its losses are listed; one that makes it lose
    all has.
    """

    network: Topology = field(kw_only=False)
    fates: tuple[Fate, ...] = ()
    # What it takes from the other network:
    regions: tuple[str, ...] = field(init=False, repr=False)
    loss: float = field(init=False, default=0.0, repr=False)
    duplicate: float = field(init=False, default=0.0, repr=False)
    bandwidth: float | None = field(init=False, default=None, repr=False)
    transport: Transport = field(init=False, default="datagram", repr=False)
    burst: GilbertElliott | None = field(init=False, default=None, repr=False)
    retransmit: float | None = field(init=False, default=None, repr=False)
    coherence: float | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.network, Quiet):
            raise ValueError("Quiet: the network is quiet already; give all fates to one Quiet")
        twice = _twice(fate.address for fate in self.fates)
        if twice is not None:
            raise ValueError(f"Quiet: two fates for {twice[2]} {twice[3]} from {twice[0]} to {twice[1]}")
        for name in ("regions", "bandwidth", "transport", "retransmit"):
            object.__setattr__(self, name, getattr(self.network, name))
        Topology.__post_init__(self)

    def place(self, index: int) -> str:
        return self.network.place(index)

    def resolve(self, place: str) -> str:
        return self.network.resolve(place)

    def link(self, src_place: str, dst_place: str) -> LinkSpec:
        key = (src_place, dst_place)
        spec = self._links.get(key)
        if spec is None:
            given = self.network.link(src_place, dst_place)
            spec = self._links[key] = replace(
                given,
                latency=Constant(given.latency.median()),
                loss=0.0,
                duplicate=0.0,
                burst=None,
                playback=None,
                coherence=None,
            )
        return spec

    def latency(self, src: str, dst: str) -> Distribution:
        return self.link(src, dst).latency

    def median_rtt(self, a: str, b: str) -> float:
        # That of the other network: the times that a scenario derives from its network are the same in both forms.
        return self.network.median_rtt(a, b)

    def check_duration(self, duration: float) -> None:
        self.network.check_duration(duration)

    def calmed(self) -> Topology:
        return self


def _twice(addresses: Iterable[tuple[str, str, str, int]]) -> tuple[str, str, str, int] | None:
    seen: set[tuple[str, str, str, int]] = set()
    for address in addresses:
        if address in seen:
            return address
        seen.add(address)
    return None


class FateBook:
    """The fates of a run, and how many messages of each class each link has got so far."""

    def __init__(self, fates: Iterable[Fate]) -> None:
        self._fates = {fate.address: fate for fate in fates}
        self._counts: dict[tuple[str, str, str], int] = {}
        self.met: list[Fate] = []
        """The fates whose messages were sent, in this order."""

    def next(self, src: str, dst: str, kind: str) -> Fate | None:
        """The fate of the next message of a class on a link; None: it has none of its own."""
        number = self._counts[src, dst, kind] = self._counts.get((src, dst, kind), 0) + 1
        fate = self._fates.get((src, dst, kind, number))
        if fate is not None:
            self.met.append(fate)
        return fate


def fated_link(network: Network, link: Link, receiver: Receiver, book: FateBook) -> Callable[[Any], None]:
    """A link of a quiet network."""
    env, spec = network.env, link.spec
    median, disturbed = spec.latency.median(), together(link.disturbances)
    dead = disturbed.loss == 1.0 or disturbed.corrupted == 1.0
    bandwidth = min((b for b in (spec.bandwidth, disturbed.bandwidth) if b is not None), default=None)
    in_order, stream = spec.transport in ("fifo", "stream"), spec.transport == "stream"

    def launch(message: Any, arrival: float) -> None:
        if in_order:
            arrival = link.last_arrival = max(arrival, link.last_arrival)
        network.launch(link, receiver, message, arrival)

    def send(message: Any) -> None:
        if link.cuts and stream:
            network.keep(link, message)
            return
        link.count(message)
        fate = book.next(link.src, link.dst, type(message).__name__)
        if link.cuts:
            network.drop(link, message, "cut")
            return
        now = env._now
        waited = 0.0 if bandwidth is None else link.queueing_delay(now, message, bandwidth)
        if dead or (fate is not None and fate.lost):
            network.drop(link, message, "lost")
        elif fate is not None and fate.after is not None:
            launch(message, now + fate.after)
        else:
            launch(message, now + waited + median * disturbed.slowdown + disturbed.delay)
        if fate is not None and fate.again is not None:
            link.duplicated += 1
            launch(message, now + fate.again)

    return send
