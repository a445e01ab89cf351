"""Named random streams: each random decision of a run has an address.

``Streams(seed)["link/n0->n1/latency"]`` is the same sequence in every run with that seed; other draws of the run
do not change it. Therefore turning loss on never shifts the workload, and algorithms that are compared under one
seed get the same arrivals and the same crashes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from hashlib import blake2b
from itertools import chain
from math import log
from typing import TypeVar

import numpy as np

__all__ = ["BranchingStream", "Stream", "Streams"]

T = TypeVar("T")

_FIRST_BLOCK = 16
_LARGEST_BLOCK = 1024
_EXACT = 2**53  # a uniform double has this many values


def _blocks(generator: np.random.Generator) -> Iterator[array[float]]:
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
        self.random = chain.from_iterable(_blocks(generator)).__next__

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


class BranchingStream(Stream):
    """A stream from which others branch off: their addresses begin with its own."""

    __slots__ = ("_address", "_streams")

    def __init__(self, streams: Streams, address: str) -> None:
        super().__init__(streams.generator(address))
        self._streams = streams
        self._address = address

    def branch(self, name: str) -> BranchingStream:
        """The stream of this name below this one; the same object at each look-up."""
        return self._streams.branch(f"{self._address}/{name}")


class Streams:
    """All random streams of a run, by address.

    Parameters
    ----------
    seed:
        The seed of the run, an integer >= 0.
    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"a seed is an integer >= 0, not {seed!r}")
        self.seed = int(seed)
        words = max(4, -(-self.seed.bit_length() // 32))
        self._seed_words = self.seed.to_bytes(4 * words, "little")
        self._streams: dict[str, Stream] = {}
        self._branches: dict[str, BranchingStream] = {}

    def generator(self, address: str) -> np.random.Generator:
        """A fresh NumPy generator at the beginning of the stream with this address."""
        # The same as SeedSequence(seed, spawn_key=the four words of the digest), in a third of the time: NumPy
        # appends the words of the key to those of the seed, which it fills up to four.
        digest = blake2b(address.encode(), digest_size=16).digest()
        words = np.frombuffer(self._seed_words + digest, dtype="<u4")
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))

    def __getitem__(self, address: str) -> Stream:
        """The stream with this address; the same object at each look-up, so its draws go on."""
        stream = self._streams.get(address)
        if stream is None:
            stream = self._streams[address] = Stream(self.generator(address))
        return stream

    def branch(self, address: str) -> BranchingStream:
        """The stream with this address, as one from which others branch off; the same object at each look-up."""
        branch = self._branches.get(address)
        if branch is None:
            branch = self._branches[address] = BranchingStream(self, address)
        return branch

    def uniforms(self, address: str) -> Callable[[], float]:
        """The draw function of the stream with this address."""
        return self[address].random
