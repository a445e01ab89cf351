"""A link with all features: transports, bandwidth, bursts, faults.

It makes the same random draws as a plain link, in the same order.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from sim.message import check_message
from sim.network.disturbances import together
from sim.network.link import Link, Receiver, Send

if TYPE_CHECKING:
    from sim.network.links import Network

__all__ = ["MOST_RETRIES", "careful_link"]

MOST_RETRIES = 15
"""Linux sends a segment again at most this many times, and then closes the connection (tcp_retries2)."""


def careful_link(network: Network, link: Link, receiver: Receiver) -> Send:
    """A link with all features: transports, bandwidth, bursts, duplication, faults, tracing, checking."""
    env, spec = network.env, link.spec  # a change of the link, by a fault or a cut, makes it again
    in_order = spec.transport in ("fifo", "stream")
    stream = spec.transport == "stream"
    disturbed = together(link.disturbances)
    limits = [each for each in (spec.bandwidth, disturbed.bandwidth) if each is not None]
    bandwidth = min(limits, default=0.0)
    draw_latency = None if in_order else link.open_latency()
    put_on_its_way = network.launch

    loss, burst, played = spec.loss, spec.burst, spec.playback
    draw_loss = link.draw_loss if loss else None
    only_loss = not (played or burst or disturbed.loss)
    duplicate, slowdown, extra_delay = spec.duplicate, disturbed.slowdown, disturbed.delay
    corrupted = disturbed.corrupted
    draw_duplicate = link.draw_duplicate if duplicate else None

    def is_lost(sent: float) -> bool:
        lost = draw_loss is not None and draw_loss() < loss
        if played is not None:
            lost = link.draw_loss() < played.loss(sent) or lost
        if disturbed.loss:
            lost = link.draw_burst() < disturbed.loss or lost
        if burst is not None:
            lost = burst.is_lost(link, link.draw_burst) or lost
        return lost

    def is_corrupted() -> bool:
        return corrupted > 0 and link.draw_corrupt() < corrupted

    def retransmission_delay() -> float:
        """Seconds of retransmissions until a segment of a stream gets through; the timeout doubles at each loss
        (RFC 6298), up to 60 s. On a link that plays back, inf if it does not in as many tries as Linux makes.
        """
        timeout, delay, tries = spec.retransmission_timeout, 0.0, 0
        while is_lost(env._now + delay) or is_corrupted():
            link.lost += 1
            tries += 1
            if played is not None and tries > MOST_RETRIES:
                return inf
            delay += timeout
            timeout = min(2 * timeout, 60.0)
        return delay

    def launch(message: Any, waited: float) -> None:
        if played is not None:
            latency = played.delay(env._now + waited)  # that of the try that gets through
        else:
            latency = link.latency_at(env._now) if draw_latency is None else draw_latency()
        # An absolute time: a relative delay, added to the present time, could round to before the last arrival.
        arrival = env._now + waited + latency * slowdown + extra_delay
        if in_order:
            arrival = link.last_arrival = max(arrival, link.last_arrival)
        put_on_its_way(link, receiver, message, arrival)

    def send(message: Any) -> None:
        if link.cuts and stream:
            check_message(message)
            network.keep(link, message)
            return
        link.count(message)
        if link.cuts:
            network.drop(link, message, "cut")
            return
        waited = link.queueing_delay(env._now, message, bandwidth) if bandwidth else 0.0
        if stream:
            delay = retransmission_delay()
            if delay < inf:
                launch(message, waited + delay)
            return
        lost = (draw_loss is not None and draw_loss() < loss) if only_loss else is_lost(env._now)
        if lost:
            network.drop(link, message, "lost")
        elif corrupted and is_corrupted():
            network.drop(link, message, "corrupted")
        else:
            launch(message, waited)
        if draw_duplicate is not None and draw_duplicate() < duplicate:
            link.duplicated += 1
            launch(message, waited)

    return send
