"""What faults do to links: they make them slow, late, narrow, lossy, or let them garble messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from sim.settings import Bounds, Positive, Share, Value, Wait

__all__ = ["UNDISTURBED", "Bandwidth", "Disturbance", "together"]

Bandwidth = Annotated[float, Bounds("positive bytes per second (None: no limit)", above=0)]


@dataclass(frozen=True, slots=True)
class Disturbance(Value):
    """The disturbance of a link. Several of one link act together: losses add up as independent ones do.

    Parameters
    ----------
    slowdown:
        A factor on the latency.
    delay:
        Seconds more for each message.
    loss:
        The share of messages that are lost, besides those that the link loses itself.
    corrupted:
        The share of messages that are garbled on the way: the receiver finds a wrong checksum and drops them (their
        fate is ``"corrupted"``). A stream sends them again.
    bandwidth:
        Bytes per second; None: no limit besides that of the link.
    """

    slowdown: Positive = 1.0
    delay: Wait = 0.0
    loss: Share = 0.0
    corrupted: Share = 0.0
    bandwidth: Bandwidth | None = None


UNDISTURBED = Disturbance()


def together(disturbances: Sequence[Disturbance]) -> Disturbance:
    """What several disturbances do to one link."""
    if len(disturbances) < 2:
        return disturbances[0] if disturbances else UNDISTURBED
    slowdown, delay, whole, clean = 1.0, 0.0, 1.0, 1.0
    for one in disturbances:
        slowdown *= one.slowdown
        delay += one.delay
        whole *= 1.0 - one.loss
        clean *= 1.0 - one.corrupted
    limits = [one.bandwidth for one in disturbances if one.bandwidth is not None]
    return Disturbance(slowdown, delay, 1.0 - whole, 1.0 - clean, min(limits, default=None))
