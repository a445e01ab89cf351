"""A stream of random numbers. ``_stream.pyx`` beside it is the compiled build, with the same behaviour."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from itertools import chain
from math import log
from typing import TypeVar

import numpy as np

__all__ = ["Stream", "blocks"]

T = TypeVar("T")

_FIRST_BLOCK = 16
_LARGEST_BLOCK = 1024
_EXACT = 2**53  # a uniform double has this many values


def blocks(generator: np.random.Generator) -> Iterator[array[float]]:
    """Uniform numbers in blocks of growing size: a rarely used stream costs little, a busy stream is fast.

    An array takes a quarter of the memory of a list, and is not slower to go through.
    """
    size = _FIRST_BLOCK
    while True:
        yield array("d", generator.random(size).tobytes())
        size = min(4 * size, _LARGEST_BLOCK)


class Stream:
    """A stream of random numbers for scalar use, drawn from NumPy in blocks.

    All draws derive from one sequence of uniform numbers, so the k-th draw does not depend on block sizes.
    The basic draw, ``random()``, gives the next uniform number in [0, 1); it is an attribute and not a method
    so that a draw costs one call of C code.
    """

    __slots__ = ("random",)

    random: Callable[[], float]

    def __init__(self, generator: np.random.Generator) -> None:
        self.random = chain.from_iterable(blocks(generator)).__next__

    def uniform(self, low: float, high: float) -> float:
        """A uniform number in [low, high); rounding may give ``high`` itself."""
        return low + (high - low) * self.random()

    def exponential(self, mean: float) -> float:
        """An exponentially distributed number with the given mean."""
        return -mean * log(1.0 - self.random())

    def below(self, n: int) -> int:
        """A uniform integer in 0 … n-1. Raises ValueError unless 1 <= n <= 2**53."""
        if not 1 <= n <= _EXACT:
            raise ValueError(f"cannot draw an integer below {n}")
        return int(self.random() * n)

    def choice(self, items: Sequence[T]) -> T:
        """One of the items, each equally likely. Raises ValueError when there are none."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """``k`` distinct items in random order. Raises ValueError when there are fewer than ``k``."""
        if not 0 <= k <= len(items):
            raise ValueError(f"cannot sample {k} of {len(items)} items")
        pool = list(items)
        for i in range(k):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:k]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Permute ``items`` in place (Fisher-Yates)."""
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random() < probability
