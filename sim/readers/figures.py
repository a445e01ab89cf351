"""The round trips between two places that a reader finds in a file: plain data, in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sim.readers.note import Note

__all__ = ["Latencies", "PairFigures", "PairSamples", "renamed"]


@dataclass(frozen=True, slots=True)
class PairFigures:
    """Figures of the round trips between two places.

    Attributes
    ----------
    where:
        The file and the line, for error messages.
    percentiles:
        Level (0 to 1) -> seconds; may be empty.
    mean, deviation, least, most:
        Mean, standard deviation, shortest and longest round trip in seconds; None if the file does not say.
    loss:
        The fraction of round trips that were lost.
    """

    src: str
    dst: str
    where: str
    percentiles: Mapping[float, float]
    mean: float | None = None
    deviation: float | None = None
    least: float | None = None
    most: float | None = None
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class PairSamples:
    """Single round trips between two places, in the order of the file.

    ``times``: when each was measured (seconds of the file's clock), or None if the file does not say.
    ``round_trips``: seconds; None for one that was lost.
    """

    src: str
    dst: str
    where: str
    times: tuple[float, ...] | None
    round_trips: tuple[float | None, ...]

    @property
    def answered(self) -> list[float]:
        return [trip for trip in self.round_trips if trip is not None]

    def require_answer(self) -> None:
        """Raise ValueError if no round trip was answered."""
        if not self.answered:
            raise ValueError(
                f"{self.where}: no round trip from {self.src!r} to {self.dst!r} was answered; "
                f"{len(self.round_trips):,} were lost"
            )

    @property
    def loss(self) -> float:
        """The fraction of round trips that were lost."""
        return 1.0 - len(self.answered) / len(self.round_trips)


@dataclass(frozen=True, slots=True)
class Latencies:
    """The pairs of a file (or folder), and what its reader says of it."""

    pairs: tuple[PairFigures | PairSamples, ...]
    note: Note


def renamed(found: Latencies, places: Mapping[str, str]) -> Latencies:
    """The same measurements with other names of places. Raises ValueError for a name that is not in the file."""
    names = dict.fromkeys(name for pair in found.pairs for name in (pair.src, pair.dst))
    unknown = [name for name in places if name not in names]
    if unknown:
        raise ValueError(
            f"places: {found.note.source} has no place {unknown[0]!r}; it has {', '.join(_some(names))}"
        )
    pairs = tuple(
        replace(pair, src=places.get(pair.src, pair.src), dst=places.get(pair.dst, pair.dst))
        for pair in found.pairs
    )
    return Latencies(pairs, found.note)


def _some(names: Iterable[str], most: int = 20) -> list[str]:
    listed = list(names)
    return listed if len(listed) <= most else [*listed[:most], "..."]
