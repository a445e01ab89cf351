"""The operations that clients issue: kinds, keys and values."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.distributions import as_distribution
from sim.kernel import Streams
from sim.protocols.application import Application
from sim.protocols.client import Operation
from sim.settings import Positive, Value
from sim.system import System
from sim.workload.keys import Keys, Latest, UniformKeys, Zipf

__all__ = ["YCSB", "Mix", "Source"]


_MADE_OF_OTHERS = frozenset({"insert", "read-modify-write"})


def served_kinds() -> frozenset[str]:
    """The kinds of operation that a client may send to a system."""
    return known_kinds() - _MADE_OF_OTHERS


def known_kinds() -> frozenset[str]:
    """The kinds of operation that a mix may name: those of systems and applications, and combinations of them."""
    kinds = set(_MADE_OF_OTHERS)
    waiting: list[type[System]] = [System]
    while waiting:
        system = waiting.pop()
        waiting += system.__subclasses__()
        operations = vars(system).get("operations", ())
        kinds.update(operations if isinstance(operations, frozenset) else ())
    applications: list[type[Application]] = [Application]
    while applications:
        application = applications.pop()
        applications += application.__subclasses__()
        kinds |= application.operations
    return frozenset(kinds)


@dataclass(frozen=True, slots=True)
class Mix(Value):
    """A mix of operations.

    Parameters
    ----------
    weights:
        kind -> weight (> 0; they need not sum to 1).
    keys:
        The choice of keys (see `sim.workload.keys`).
    value_bytes:
        Size of written values in bytes: a number, a distribution, or samples.
    """

    weights: tuple[tuple[str, Positive], ...] = (("get", 0.5), ("put", 0.5))
    keys: Keys = field(default=UniformKeys(1000))
    value_bytes: Any = 0.0

    def _convert(self) -> None:
        if isinstance(self.weights, Mapping):
            self._keep(weights=tuple(self.weights.items()))
        self._keep(value_bytes=as_distribution(self.value_bytes, "Mix: value_bytes"))

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("Mix: at least one kind of operation is needed, not {}")
        if len(dict(self.weights)) < len(self.weights):
            raise ValueError(f"Mix: each kind of operation has one weight, not {self.weights!r}")
        for kind, _ in self.weights:
            if kind not in known_kinds():
                raise ValueError(
                    f"Mix: no system serves operations of kind {kind!r}; there are {', '.join(sorted(known_kinds()))}"
                )

    @classmethod
    def reads(cls, fraction: float, keys: Keys | None = None, value_bytes: Any = 0.0) -> Mix:
        """A mix of a ``fraction`` (0 to 1) of gets, and puts for the rest."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"the fraction of reads must be between 0 and 1, not {fraction!r}")
        weights = (("get", fraction), ("put", 1 - fraction))
        return cls(tuple(w for w in weights if w[1] > 0), keys or UniformKeys(1000), value_bytes)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of operation that servers receive from this mix."""
        asked = {kind for kind, _ in self.weights}
        if "read-modify-write" in asked:
            asked = asked - {"read-modify-write"} | {"get", "put"}
        if "insert" in asked:
            asked = asked - {"insert"} | {"put"}
        return frozenset(asked)


YCSB: dict[str, Mix] = {
    "A": Mix((("get", 0.5), ("put", 0.5)), Zipf(1000)),
    "B": Mix((("get", 0.95), ("put", 0.05)), Zipf(1000)),
    "C": Mix((("get", 1.0),), Zipf(1000)),
    "D": Mix((("get", 0.95), ("insert", 0.05)), Latest(1000)),
    "E": Mix((("scan", 0.95), ("insert", 0.05)), Zipf(1000)),
    "F": Mix((("get", 0.5), ("read-modify-write", 0.5)), Zipf(1000)),
}
"""The core workloads of the Yahoo! Cloud Serving Benchmark (Cooper et al., SoCC 2010, table 2)."""


_FAMILY = {"append": ".log", "increment": ".count"}


def _families(kinds: list[str]) -> list[str]:
    plain = [""] if any(kind not in (*_FAMILY, "get", "delete") for kind in kinds) else []
    return plain + [_FAMILY[kind] for kind in kinds if kind in _FAMILY] or [""]


class Source:
    """Draws one client's operations from its own random streams.

    Parameters
    ----------
    mix: the mix to draw from. streams: the streams of the run. name: the name of the client; its streams are
    ``workload/<name>/...``. writer: the number of the client among ``writers`` clients; it makes the values that this
    client writes different from the values of all others.
    """

    def __init__(self, mix: Mix, streams: Streams, name: str, writer: int, writers: int) -> None:
        self._kinds = [kind for kind, _ in mix.weights]
        total = sum(weight for _, weight in mix.weights)
        bounds, reached = [], 0.0
        for _, weight in mix.weights:
            reached += weight / total
            bounds.append(reached)
        self._bounds = bounds
        self._families = _families(self._kinds)
        self._draw_kind = streams.uniforms(f"workload/{name}/kind")
        self._writer, self._writers = writer, writers
        self._written = 0
        self._inserted = getattr(mix.keys, "count", 0)
        uniform = streams.uniforms(f"workload/{name}/key")
        keys = mix.keys
        self._draw_key: Callable[[], str] = (
            keys.newest(uniform, lambda: self._inserted)
            if isinstance(keys, Latest)
            else keys.sampler(uniform)
        )
        self._draw_bytes = mix.value_bytes.sampler(streams.generator(f"workload/{name}/bytes"))
        self._random = streams[f"workload/{name}/application"]
        self.application: Application | None = None
        """The application of the system, if it has one; it may draw its own operations."""
        self._seen: dict[str, Any] = {}  # key -> the value that this client last saw, for cas and remove

    def next(self) -> Operation:
        """The next operation."""
        drawn = self._draw_kind()
        return self.one(self._kinds[bisect_right(self._bounds, drawn, hi=len(self._bounds) - 1)])

    def one(self, kind: str) -> Operation:
        """An operation of a given kind, on a key drawn as for `next`."""
        drawn = None if self.application is None else self.application.draw(kind, self._random)
        if drawn is not None:
            return Operation(kind, *drawn)
        return self.make(kind, self._draw_key() + self._family(kind))

    def _family(self, kind: str) -> str:
        """The suffix of the key: strings and counters have their own keys; gets and deletes use keys of all kinds."""
        if kind in _FAMILY:
            return _FAMILY[kind]
        families = self._families
        if len(families) == 1 or kind not in ("get", "delete"):
            return ""
        return families[int(self._draw_kind() * len(families))]

    def make(self, kind: str, key: str, size: int | None = None) -> Operation:
        """An operation of a given kind on a given key, with a new value if it writes one.

        ``size``: bytes written, or keys scanned.
        """
        if kind in ("get", "read", "delete", "dequeue", "read-modify-write"):
            return Operation(kind, key)
        if kind == "scan":
            return Operation(kind, key, 1 + int(100 * self._draw_kind()) if size is None else size)
        if kind == "increment":
            return Operation(kind, key, 1)
        if kind == "remove":
            seen = self._seen.get(key)
            return Operation(kind, key, seen[-1] if isinstance(seen, tuple) and seen else 0)
        if kind == "insert":
            # Each client inserts its own keys, so that no insert overwrites another.
            key = f"k{self._inserted + self._writer * 1_000_000}"
            self._inserted += 1
            kind = "put"
        value = self._fresh()
        bytes_ = int(self._draw_bytes()) if size is None else size
        if kind == "append":
            return Operation(kind, key, f"{value},", bytes_)
        if kind == "cas":
            return Operation(kind, key, (self._seen.get(key), value), bytes_)
        return Operation(kind, key, value, bytes_)

    def _fresh(self) -> int:
        """A value that no other operation writes."""
        self._written += 1
        return self._written * self._writers + self._writer

    def saw(self, key: str, value: Any) -> None:
        """The client has seen this value of a key."""
        self._seen[key] = value
