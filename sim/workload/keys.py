"""Which keys clients use: uniform, Zipf, a hot spot, or the latest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Protocol, runtime_checkable

from sim.settings import Bounds, NotNegative, Share, Value
from sim.workload.ranks import zipf_ranks

__all__ = ["HotSpot", "Keys", "Latest", "UniformKeys", "Zipf"]

_MOST_KEYS = 2**53

UniformDraw = Callable[[], float]


@runtime_checkable
class Keys(Protocol):
    """A choice of keys, a frozen value. Keys are named ``k0``, ``k1``, …"""

    def sampler(self, uniform: UniformDraw) -> Callable[[], str]:
        """A function that draws the next key from a stream of uniform numbers in [0, 1)."""
        ...


def _check_count(owner: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{owner}: the number of keys must be an integer of at least 1, not {count!r}")
    if count > _MOST_KEYS:
        raise ValueError(
            f"{owner}: {count!r} keys are too many: a uniform number tells at most 2**53 = {_MOST_KEYS:,} of them apart"
        )


@lru_cache(maxsize=8)  # all clients share these tables
def _namer(count: int) -> Callable[[int], str]:
    """A function from i to the name of key i; from a table, unless there are more than 100,000 keys."""
    if count > 100_000:
        return lambda i: f"k{i}"
    return tuple(f"k{i}" for i in range(count)).__getitem__


@dataclass(frozen=True, slots=True)
class UniformKeys(Value):
    """``count`` keys, all equally likely."""

    count: int = 1000

    def __post_init__(self) -> None:
        _check_count("UniformKeys", self.count)

    def sampler(self, uniform: UniformDraw) -> Callable[[], str]:
        name = _namer(self.count)
        count = self.count
        return lambda: name(int(uniform() * count))


@dataclass(frozen=True, slots=True)
class Zipf(Value):
    """``count`` keys, the i-th (from 1) with probability proportional to ``1 / i**exponent``.

    The default exponent 0.99 is YCSB's (Cooper et al., SoCC 2010, section 5.2).
    """

    count: int = 1000
    exponent: NotNegative = 0.99

    def __post_init__(self) -> None:
        _check_count("Zipf", self.count)

    def sampler(self, uniform: UniformDraw) -> Callable[[], str]:
        name = _namer(self.count)
        rank = zipf_ranks(self.count, self.exponent, uniform)
        return lambda: name(rank())


@dataclass(frozen=True, slots=True)
class HotSpot(Value):
    """``count`` keys, of which the first ``hot`` fraction gets a ``share`` of the accesses."""

    count: int = 1000
    hot: Annotated[float, Bounds("in (0, 1]", above=0, most=1)] = 0.2
    share: Share = 0.8

    def __post_init__(self) -> None:
        _check_count("HotSpot", self.count)

    def sampler(self, uniform: UniformDraw) -> Callable[[], str]:
        name = _namer(self.count)
        hot = max(1, round(self.hot * self.count))
        cold = self.count - hot

        def draw() -> str:
            if uniform() < self.share or cold == 0:
                return name(int(uniform() * hot))
            return name(hot + int(uniform() * cold))

        return draw


@dataclass(frozen=True, slots=True)
class Latest(Value):
    """The most recently inserted keys are the most popular (YCSB workload D).

    The driver says how many keys have been inserted so far; ranks from the newest are Zipf distributed.
    """

    count: int = 1000
    exponent: float = 0.99

    def __post_init__(self) -> None:
        Zipf(self.count, self.exponent)

    def sampler(self, uniform: UniformDraw) -> Callable[[], str]:
        return self.newest(uniform, lambda: self.count)

    def newest(self, uniform: UniformDraw, inserted: Callable[[], int]) -> Callable[[], str]:
        """Draw by rank from the newest of ``inserted()`` keys."""
        rank = zipf_ranks(self.count, self.exponent, uniform)
        return lambda: f"k{max(0, inserted() - 1 - rank())}"
