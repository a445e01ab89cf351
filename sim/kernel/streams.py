"""Named random streams: each random decision of a run has an address.

``Streams(seed)["link/n0->n1/latency"]`` is the same sequence in every run with that seed; other draws of the run
do not change it. Therefore turning loss on never shifts the workload, and algorithms that are compared under one
seed get the same arrivals and the same crashes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from struct import Struct
from typing import TYPE_CHECKING

import numpy as np

from sim.engine import COMPILED

if TYPE_CHECKING or not COMPILED:
    from sim.kernel.stream import Stream
else:
    from sim.kernel._stream import Stream

__all__ = ["BranchingStream", "Stream", "Streams"]

_EIGHT_WORDS = Struct("<8Q").unpack


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

    def numbers(self, start: str) -> Callable[[str], list[float]]:
        """Uniform numbers in [0, 1), eight of which belong to an address alone: there is no stream, and no state.

        The function that is returned takes the rest of an address, after ``start``. A generator would take ten times
        as long to make, and eight numbers take little longer than one.
        """
        begun = blake2b(self._seed_words + start.encode(), digest_size=64)

        def eight(rest: str) -> list[float]:
            whole = begun.copy()
            whole.update(rest.encode())
            return [(word >> 11) * 2.0**-53 for word in _EIGHT_WORDS(whole.digest())]

        return eight

    def uniforms(self, address: str) -> Callable[[], float]:
        """The draw function of the stream with this address."""
        return self[address].random
