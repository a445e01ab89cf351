"""Measured round trips played back: at time t, a link has the latency and the loss that were measured at t.

Independent draws lose a property that decides elections: slow round trips and lost ones come together. A recording
keeps the samples of all pairs of a file with their times, so a disturbance hits the same links at the same times as in
the measurement.

A sample counts from its own time until the next sample of its pair; before the first one, the first one counts; the
last one counts for the median time between samples of its pair. Each way takes half of the round trip.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import median
from typing import Literal

from sim.readers import Latencies, PairSamples
from sim.settings import Value

__all__ = ["Playback", "Recording", "recording_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback(Value):
    """The recorded latencies and losses of a directed link, played back.

    Parameters
    ----------
    times:
        When each sample begins to count: seconds of the run, increasing.
    delays, losses:
        The one-way latency (seconds) of each sample, and the probability that a message is lost.
    period:
        Seconds after which the recording begins again; None: the last sample counts forever.
    """

    times: tuple[float, ...]
    delays: tuple[float, ...]
    losses: tuple[float, ...]
    period: float | None = None

    def __post_init__(self) -> None:
        if not self.times or not len(self.times) == len(self.delays) == len(self.losses):
            raise ValueError(
                f"Playback: as many times, delays and losses are needed, not {len(self.times)}, "
                f"{len(self.delays)}, {len(self.losses)}"
            )
        if any(a >= b for a, b in pairwise(self.times)):
            raise ValueError("Playback: times must increase")

    def at(self, now: float) -> int:
        """The number of the sample that counts at a time of the run (seconds)."""
        if self.period is not None:
            now %= self.period
        return max(0, bisect_right(self.times, now) - 1)

    def delay(self, now: float) -> float:
        """The one-way latency (seconds) at a time of the run."""
        return self.delays[self.at(now)]

    def loss(self, now: float) -> float:
        """The probability that a message sent at a time of the run is lost."""
        return self.losses[self.at(now)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording(Value):
    """The samples of a file, played back from ``start`` on.

    Parameters
    ----------
    pairs:
        (place, place) and the samples measured from the first one: times of the file (seconds), round trips (seconds),
        and losses (fraction of round trips).
    start:
        The time of the file at which the run begins.
    end:
        The time of the file at which the last sample ends.
    after:
        What comes after the end: ``"refuse"`` (a longer scenario is a ValueError), ``"hold"`` (the last samples count
        forever) or ``"repeat"`` (it begins again at ``start``).
    """

    pairs: tuple[
        tuple[str, str, tuple[float, ...], tuple[float, ...], tuple[float, ...]],
        ...,
    ]
    start: float
    end: float
    after: Literal["refuse", "hold", "repeat"] = "refuse"

    def __post_init__(self) -> None:
        if not self.start < self.end:
            first = min(times[0] for _, _, times, _, _ in self.pairs)
            raise ValueError(
                f"replay: start={self.start!r} is not before the end; the samples are from {first!r} to {self.end!r} s"
            )

    def check_duration(self, duration: float) -> None:
        """Raise ValueError if the run is longer than the recording, and nothing says what comes after it."""
        if self.after == "refuse" and duration > self.end - self.start:
            raise ValueError(
                f"replay: the recording ends {self.end - self.start:.6g} s after start={self.start!r}, before "
                f'the run of {duration!r} s: set duration, or after="hold" or "repeat"'
            )

    def between(self, src: str, dst: str) -> Playback | None:
        """The samples for a link: round trips measured from its source, else those measured from its other end."""
        known = {(a, b): samples for a, b, *samples in self.pairs}
        found = known.get((src, dst), known.get((dst, src)))
        if found is None:
            return None
        times, trips, losses = found
        first = max(0, bisect_right(times, self.start) - 1)
        length = self.end - self.start
        rows = [
            (max(0.0, time - self.start), trip / 2.0, 1.0 - sqrt(1.0 - loss))
            for time, trip, loss in zip(times[first:], trips[first:], losses[first:], strict=True)
            if time - self.start < length
        ]
        begun, delays, lost = zip(*rows, strict=True)
        return Playback(
            times=begun, delays=delays, losses=lost, period=length if self.after == "repeat" else None
        )


def recording_of(
    found: Latencies,
    places: dict[str, str],
    start: float | None,
    after: Literal["refuse", "hold", "repeat"],
    loss_over: float | None,
) -> Recording:
    """The recording of what a reader found. Raises ValueError where samples have no times.

    ``places``: spelling of the file -> place. ``start``: None is the first time of the file. ``loss_over``: None: a
    lost round trip means that the link loses everything until the next one; else the loss is the share of round trips
    lost among those within so many seconds around.
    """
    pairs = []
    for pair in found.pairs:
        if not isinstance(pair, PairSamples) or pair.times is None:
            raise ValueError(
                f"{pair.where}: replay needs samples with their times (columns time, src, dst, rtt_ms)"
            )
        order = sorted(range(len(pair.times)), key=pair.times.__getitem__)
        times = tuple(pair.times[i] for i in order)
        twice = next((a for a, b in pairwise(times) if a == b), None)
        if twice is not None:
            raise ValueError(f"{pair.where}: two samples from {pair.src!r} to {pair.dst!r} at {twice!r} s")
        trips = [pair.round_trips[i] for i in order]
        losses = _losses(times, trips, loss_over)
        pairs.append((places[pair.src], places[pair.dst], times, _filled(pair, trips), losses))
    first = min(times[0] for _, _, times, _, _ in pairs)
    end = max(times[-1] + _gap(times) for _, _, times, _, _ in pairs)
    return Recording(pairs=tuple(pairs), start=first if start is None else start, end=end, after=after)


def _gap(times: tuple[float, ...]) -> float:
    """The usual time between samples; one sample alone counts for a second."""
    return median(b - a for a, b in pairwise(times)) if len(times) > 1 else 1.0


def _losses(
    times: tuple[float, ...], trips: list[float | None], loss_over: float | None
) -> tuple[float, ...]:
    lost = [float(trip is None) for trip in trips]
    if loss_over is None:
        return tuple(lost)
    shares = []
    low = high = 0
    for time in times:
        while times[low] < time - loss_over / 2.0:
            low += 1
        while high < len(times) and times[high] <= time + loss_over / 2.0:
            high += 1
        shares.append(sum(lost[low:high]) / (high - low))
    return tuple(shares)


def _filled(pair: PairSamples, trips: list[float | None]) -> tuple[float, ...]:
    """The round trips; a lost one takes what the answered one before it took (the first ones: the one after them)."""
    pair.require_answer()
    filled = []
    last = next(trip for trip in trips if trip is not None)
    for trip in trips:
        last = last if trip is None else trip
        filled.append(last)
    return tuple(filled)
