"""Policies that map each key to one server: hash ring, jump hash, rendezvous, Maglev, and bounded loads.

Each policy maps a key to a *member*; while that member is not available, to the next one in the key's order. So a
server that is down temporarily moves only its own keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, log
from typing import Annotated, Any

from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.pool import Backend, Pool
from sim.protocols.rings import Ring, hash64
from sim.settings import Bounds, Count

__all__ = [
    "BoundedLoad",
    "JumpHash",
    "Maglev",
    "Rendezvous",
    "RingHash",
    "hash64",
    "is_prime",
    "jump",
    "maglev_table",
]

_MASK = (1 << 64) - 1


def mix(number: int) -> int:
    """Scramble 64 bits (the finaliser of SplitMix64; Steele, Lea, Flood, OOPSLA 2014)."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & _MASK
    return number ^ (number >> 31)


def _may_be(candidates: list[Backend]) -> set[int]:
    return {backend.index for backend in candidates}


@dataclass(frozen=True, slots=True)
class RingHash(Policy):
    """Consistent hashing: servers own points on a ring; a key belongs to the first point after its hash.

    A server has ``points`` points per unit of weight; more points make the shares more equal (the relative standard
    deviation of a share is about 1/sqrt(points)).

    Source: Karger et al., "Consistent Hashing and Random Trees", STOC 1997.
    """

    points: Count = 160

    def start(self, pool: Pool) -> Ring:
        return Ring.of(
            (backend.name, max(1, round(self.points * backend.weight)), backend) for backend in pool.members
        )

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        allowed = _may_be(candidates)
        for owner in pool.state.walk(key):
            if owner.index in allowed:
                found: Backend = owner
                return found
        return candidates[hash64(key) % len(candidates)]  # no candidate is a member


def jump(key: int, buckets: int) -> int:
    """The bucket of a 64-bit key: Lamping & Veach 2014, "A Fast, Minimal Memory, Consistent Hash Algorithm"."""
    bucket, following = -1, 0
    while following < buckets:
        bucket = following
        key = (key * 2862933555777941757 + 1) & _MASK
        following = int((bucket + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return bucket


@dataclass(frozen=True, slots=True)
class JumpHash(Policy):
    """Jump consistent hash: perfectly even, no memory; but servers can join and leave only at the end of the list.

    While a key's server is not available, the key is hashed again.
    """

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        allowed = _may_be(candidates)
        members = pool.members
        hashed = hash64(key)
        for _ in range(8 * len(members)):
            backend = members[jump(hashed, len(members))]
            if backend.index in allowed:
                return backend
            hashed = mix(hashed)
        return candidates[hashed % len(candidates)]


@dataclass(frozen=True, slots=True)
class Rendezvous(Policy):
    """Highest random weight: every server has a hashed bid for the key, and the highest bid wins.

    Weighted bids are -weight / ln(u), with u in (0, 1) hashed from key and server.

    Source: Thaler, Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM ToN 6(1), 1998;
    weights: Schindelhauer, Schomaker, SPAA 2005.
    """

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        hashed = hash64(key)

        def bid(backend: Backend) -> float:
            u = ((mix(hashed ^ hash64(backend.name)) >> 11) + 0.5) * 2.0**-53
            return -backend.weight / log(u)

        return max(candidates, key=bid)


def is_prime(n: int) -> bool:
    """Whether n is a prime number, by trial division."""
    return n > 1 and all(n % i for i in range(2, int(n**0.5) + 1))


@lru_cache(maxsize=64)
def maglev_table(names: tuple[str, ...], weights: tuple[float, ...], size: int) -> tuple[int, ...]:
    """Maglev's lookup table: ``size`` (a prime) entries, each the index of a name.

    Each name has its own permutation of the entries. The names take their next free entries in turns; a name takes
    weight / largest weight entries per round. Source: Eisenbud et al., "Maglev", NSDI 2016, section 3.4.
    """
    offsets = [hash64(f"offset {name}") % size for name in names]
    skips = [hash64(f"skip {name}") % (size - 1) + 1 for name in names]
    positions = [0] * len(names)
    credits = [0.0] * len(names)
    heaviest = max(weights)
    table = [-1] * size
    filled = 0
    while True:
        for i in range(len(names)):
            credits[i] += weights[i] / heaviest
            if credits[i] < 1.0 - 1e-12:
                continue
            credits[i] -= 1.0
            entry = (offsets[i] + positions[i] * skips[i]) % size
            while table[entry] >= 0:
                positions[i] += 1
                entry = (offsets[i] + positions[i] * skips[i]) % size
            table[entry] = i
            positions[i] += 1
            filled += 1
            if filled == size:
                return tuple(table)


@dataclass(frozen=True, slots=True)
class Maglev(Policy):
    """Maglev hashing: a look-up table that is almost perfectly even and almost consistent.

    ``table``: the size of the table, a prime much larger than the number of servers (in the paper 65537, at least a
    hundred times the number of servers).
    """

    table: int = 65537

    def __post_init__(self) -> None:
        if isinstance(self.table, bool) or not isinstance(self.table, int) or not is_prime(self.table):
            raise ValueError(f"Maglev: table must be a prime, not {self.table!r}")

    def check(self, backends: int) -> None:
        if self.table < backends:
            raise ValueError(f"Maglev: table={self.table!r} is too small for {backends} backends")

    def start(self, pool: Pool) -> tuple[int, ...]:
        if not pool.members:
            return ()
        names = tuple(backend.name for backend in pool.members)
        return maglev_table(names, tuple(backend.weight for backend in pool.members), self.table)

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        allowed = _may_be(candidates)
        start = hash64(key) % self.table
        for step in range(self.table):
            backend: Backend = pool.members[pool.state[(start + step) % self.table]]
            if backend.index in allowed:
                return backend
        return candidates[start % len(candidates)]


@dataclass(frozen=True, slots=True)
class BoundedLoad(Policy):
    """A hash policy that skips full servers: no server gets more than ``c`` times its share.

    With m requests in flight and a new one, the capacity of a server is ceil(c (m + 1) w / W), for its weight w, the
    sum W of all weights, and c > 1.

    Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018.
    """

    inner: Policy = field(default_factory=RingHash)
    c: Annotated[float, Bounds("above 1", above=1)] = 1.25

    def __post_init__(self) -> None:
        if not isinstance(self.inner, RingHash | JumpHash | Rendezvous | Maglev):
            raise ValueError(f"BoundedLoad: inner must be a hash policy, not {self.inner!r}")

    def check(self, backends: int) -> None:
        self.inner.check(backends)

    def start(self, pool: Pool) -> Any:
        return self.inner.start(pool)

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        in_flight = sum(backend.in_flight for backend in candidates)
        weight = sum(backend.weight for backend in candidates)
        # Reduced by 10^-13, so that rounding errors do not increase the result of `ceil` by one.
        share = self.c * (in_flight + 1) / weight * (1.0 - 1e-13)
        open_ones = [b for b in candidates if b.in_flight < ceil(share * b.weight)]
        return self.inner.pick(pool, open_ones or candidates, key)
