"""The seeds and values of a study: each only once, because duplicates would make results look more certain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from sim.lab.labels import same

__all__ = ["distinct", "seed_list"]


def distinct(what: str, values: Sequence[Any]) -> None:
    """Raise ValueError, with the value, if one of ``values`` occurs twice."""
    for i, value in enumerate(values):
        if any(same(value, other) for other in values[:i]):
            raise ValueError(
                f"{what} {getattr(value, 'label', repr(value))} is given twice; each counts once"
            )


def seed_list(seeds: int | Iterable[int]) -> list[int]:
    """The seeds to run under: the given list, or, for a number n, the first n seeds (0 to n - 1).

    Raises ValueError for no seeds, for a seed given twice, and for a seed that is not an integer >= 0.
    """
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        if seeds < 1:
            raise ValueError(f"seeds must be at least 1, or a list of seeds, not {seeds!r}")
        return list(range(int(seeds)))
    if isinstance(seeds, str | bytes | bool) or not isinstance(seeds, Iterable):
        raise ValueError(f"seeds must be a number of seeds or a list of them, not {seeds!r}")
    chosen = list(seeds)
    if not chosen:
        raise ValueError("at least one seed is needed")
    for seed in chosen:
        if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
            raise ValueError(f"a seed is an integer >= 0, not {seed!r}")
    distinct("seed", chosen)
    return [int(seed) for seed in chosen]
