"""Topologies: the places of a network, and the properties of the directed link between two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Literal, Protocol, TypedDict, Unpack, get_args

import numpy as np

from sim.distributions import Constant, Distribution, as_distribution
from sim.distributions.base import non_negative, positive, probability
from sim.network.playback import Playback
from sim.network.steady import coherence_time
from sim.settings import Bounds, Share, Value

__all__ = [
    "GilbertElliott",
    "Line",
    "LinkSpec",
    "Matrix",
    "Topology",
    "Transport",
    "constant",
    "lan",
    "matrix",
]

Transport = Literal["datagram", "fifo", "stream"]


class _Burstable(Protocol):
    """The interface of a link that a burst process uses: the state of the process."""

    bad: bool


@dataclass(frozen=True, slots=True)
class GilbertElliott(Value):
    """Losses in bursts: the link is good or bad, and may change with each message.

    Parameters
    ----------
    enter, leave:
        Probability, per message, that a good link becomes bad, and that a bad link becomes good (> 0). A bad period
        lasts ``1 / leave`` messages on average.
    good, bad:
        Probability of losing a message on a good and on a bad link.

    Source: Gilbert, "Capacity of a burst-noise channel", Bell System Technical Journal 39 (1960);
    Elliott, "Estimates of error rates for codes on burst-noise channels", ibid. 42 (1963).
    """

    enter: Share
    leave: Annotated[float, Bounds("in (0, 1]", above=0, most=1)]
    good: Share = 0.0
    bad: Share = 1.0

    @classmethod
    def from_mean(cls, loss: float, burst: float) -> GilbertElliott:
        """A process that loses a fraction ``loss`` (< 1) of all messages, in runs of ``burst`` (>= 1) on average."""
        if not 0.0 <= loss < 1.0 or not burst >= 1.0 or loss > burst * (1.0 - loss):
            raise ValueError(
                f"no bursts of {burst!r} messages (at least 1) lose a fraction {loss!r} (below 1)"
            )
        return cls(enter=loss / (burst * (1.0 - loss)), leave=1.0 / burst)

    @property
    def mean_loss(self) -> float:
        """The fraction of messages lost in the long run."""
        return (self.leave * self.good + self.enter * self.bad) / (self.leave + self.enter)

    def is_lost(self, link: _Burstable, draw: Callable[[], float]) -> bool:
        """Whether the next message of ``link`` is lost; uses two uniform numbers: change of state, then loss."""
        if draw() < (self.leave if link.bad else self.enter):
            link.bad = not link.bad
        return draw() < (self.bad if link.bad else self.good)


class Line(TypedDict, total=False):
    """The properties that all links of a topology share; see `LinkSpec`."""

    loss: float
    duplicate: float
    bandwidth: float | None
    transport: Transport
    burst: GilbertElliott | None
    retransmit: float | None
    coherence: float | None


@dataclass(frozen=True, slots=True)
class LinkSpec(Value):
    """The properties of a directed link.

    Parameters
    ----------
    latency:
        One-way delay in seconds, a `Distribution` or any value that `as_distribution` takes.
    loss, duplicate:
        Probability that a message is lost, or arrives twice.
    bandwidth:
        Bytes per second; messages queue for it. None: infinite.
    transport:
        ``"datagram"``: messages may be lost and may overtake each other. ``"fifo"``: messages may be lost but keep
        their order. ``"stream"`` is like TCP: a lost message is sent again after a timeout, and later messages wait.
    burst:
        Losses in bursts, in addition to ``loss``.
    retransmit:
        Seconds until a stream first sends a lost message again; None: as in Linux, the round trip plus 200 ms
        (RFC 6298 with TCP_RTO_MIN instead of its one second).
    coherence:
        Seconds for which an ordered transport (fifo, stream) keeps one latency before the next is drawn (see
        `sim.network.steady`). None: long compared to the variation; 0: each message draws its own latency.
    playback:
        Measured latencies and losses to play back, instead of drawing from ``latency``; ``loss`` comes on top.

    Raises ValueError for a value out of range, and for a stream that loses every message.
    """

    latency: Distribution
    loss: float = 0.0
    duplicate: float = 0.0
    bandwidth: float | None = None
    transport: Transport = "datagram"
    burst: GilbertElliott | None = None
    retransmit: float | None = None
    coherence: float | None = None
    playback: Playback | None = None
    retransmission_timeout: float = field(init=False, repr=False, compare=False)
    coherence_time: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "latency", as_distribution(self.latency, "latency"))
        _check_line(self)
        streams = (
            self.transport != "datagram"
        )  # nothing is derived for datagrams: a link is made for each pair
        timeout = (
            0.2 + 2.0 * self.latency.median() if streams and self.retransmit is None else self.retransmit
        )
        object.__setattr__(self, "retransmission_timeout", timeout or 0.0)
        derived = streams and self.coherence is None
        kept = coherence_time(self.latency) if derived else self.coherence or 0.0
        object.__setattr__(self, "coherence_time", kept)


def _check_line(line: LinkSpec | Topology) -> None:
    """Raise ValueError unless loss, transport and so on make sense."""
    probability("loss", line.loss)
    probability("duplicate", line.duplicate)
    if line.bandwidth is not None:
        positive("bandwidth (bytes per second)", line.bandwidth)
    if line.transport not in get_args(Transport):
        raise ValueError(f"transport must be one of {', '.join(get_args(Transport))}, not {line.transport!r}")
    if line.burst is not None and not isinstance(line.burst, GilbertElliott):
        raise ValueError(f"burst must be a GilbertElliott, not {line.burst!r}")
    if line.retransmit is not None:
        positive("retransmit (seconds)", line.retransmit)
    if line.coherence is not None:
        non_negative("coherence (seconds)", line.coherence)
    if line.transport == "stream" and (line.loss == 1.0 or (line.burst and line.burst.mean_loss == 1.0)):
        raise ValueError(
            "a stream that loses everything would send the same message for ever: loss must be < 1"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology(Value):
    """Places and the links between them; a frozen value. Subclasses define the `latency` between two places.

    All links have the same loss, duplication, bandwidth, transport and bursts (see `LinkSpec`), so
    ``dataclasses.replace(topology, loss=0.01)`` is the same network with losses.

    Parameters
    ----------
    regions:
        The names of the places. Replicas and clients are placed there, round robin; a name may be repeated.
    loss, duplicate:
        Probability that a message is lost, or arrives twice.
    bandwidth:
        Bytes per second of each link; messages queue for it. None: infinite.
    transport:
        ``"datagram"``: messages may be lost and overtake each other. ``"fifo"``: they keep their order. ``"stream"`` is
        like TCP: a lost message is sent again, and later messages wait for it.
    burst:
        Losses in bursts, in addition to ``loss``.
    retransmit:
        Seconds until a stream first sends a lost message again; None: the round trip plus 200 ms.
    coherence:
        Seconds for which a stream keeps one latency; None: see `LinkSpec`.
    """

    regions: tuple[str, ...]
    loss: float = 0.0
    duplicate: float = 0.0
    bandwidth: float | None = None
    transport: Transport = "datagram"
    burst: GilbertElliott | None = None
    retransmit: float | None = None
    coherence: float | None = None
    _links: dict[tuple[str, str], LinkSpec] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if isinstance(self.regions, str) or not self.regions:
            raise ValueError(f"a topology needs a tuple of names of places, not {self.regions!r}")
        object.__setattr__(self, "regions", tuple(self.regions))
        _check_line(self)

    def place(self, index: int) -> str:
        """The default place of the replica with this index (from 0): round robin over the regions."""
        return self.regions[index % len(self.regions)]

    def resolve(self, place: str) -> str:
        """The name of a place in this topology. Raises ValueError, with candidates, for an unknown place."""
        return choose(place, {name: name for name in self.regions})

    def link(self, src_place: str, dst_place: str) -> LinkSpec:
        """The properties of a link from a host at one place to another host at another or the same place."""
        spec = self._links.get((src_place, dst_place))
        if spec is None:
            spec = self._links[src_place, dst_place] = LinkSpec(
                latency=self.latency(self.resolve(src_place), self.resolve(dst_place)),
                loss=self.loss,
                duplicate=self.duplicate,
                bandwidth=self.bandwidth,
                transport=self.transport,
                burst=self.burst,
                retransmit=self.retransmit,
                coherence=self.coherence,
            )
        return spec

    def calmed(self) -> Topology:
        """The same network, in which no link loses or duplicates messages."""
        return replace(self, loss=0.0, duplicate=0.0, burst=None)

    def check_duration(self, duration: float) -> None:
        """Raise ValueError if this network cannot be simulated for a duration (seconds)."""

    def latency(self, src: str, dst: str) -> Distribution:
        """The one-way latency between two (resolved) places."""
        raise NotImplementedError

    def median_rtt(self, a: str, b: str) -> float:
        """The median round trip in seconds between hosts at two places."""
        return _median_of_sum(self.link(a, b).latency, self.link(b, a).latency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix(Topology):
    """A matrix of latencies: ``latencies[i][j]`` is from ``regions[i]`` to ``regions[j]``; see `matrix`."""

    latencies: tuple[tuple[Distribution, ...], ...] = field(repr=False)

    def _convert(self) -> None:
        if isinstance(self.latencies, list | tuple) and all(
            isinstance(r, list | tuple) for r in self.latencies
        ):
            self._keep(latencies=_distributions(self.latencies))

    def __post_init__(self) -> None:
        # Zero-argument super() does not work in a slotted dataclass.
        Topology.__post_init__(self)
        n = len(self.regions)
        if len(set(self.regions)) < n:
            raise ValueError(f"the names of places must differ: {', '.join(self.regions)}")
        if len(self.latencies) != n or any(len(row) != n for row in self.latencies):
            raise ValueError(
                f"{n} places need {n} rows of {n} latencies, not {[len(r) for r in self.latencies]}"
            )

    def latency(self, src: str, dst: str) -> Distribution:
        return self.latencies[self.regions.index(src)][self.regions.index(dst)]


def matrix(names: Sequence[str], latencies: Sequence[Sequence[Any]], **line: Unpack[Line]) -> Matrix:
    """A network with your own latencies.

    Parameters
    ----------
    names:
        The names of the places.
    latencies:
        Row by row, the one-way latency from each place to each place: seconds, or any value that `as_distribution`
        takes; or a pandas frame with the places as index and columns, in any order.
        The diagonal is for two hosts at one place.
    **line:
        ``loss``, ``duplicate``, ``bandwidth``, ``transport``, ``burst``, ``retransmit``, ``coherence`` of all links, as
        in `LinkSpec`.

    Raises ValueError when the shapes don't match or a value is out of range.
    """
    if isinstance(names, str):
        raise ValueError(f"names must be a sequence of names of places, not {names!r}")
    return Matrix(regions=tuple(names), latencies=_distributions(_rows(names, latencies)), **line)


def _distributions(rows: Sequence[Sequence[Any]]) -> tuple[tuple[Distribution, ...], ...]:
    return tuple(
        tuple(as_distribution(entry, f"the latency in row {i}, column {j}") for j, entry in enumerate(row))
        for i, row in enumerate(rows)
    )


def _rows(names: Sequence[str], latencies: Any) -> Sequence[Sequence[Any]]:
    """The rows of latencies. A pandas frame must have exactly the named places as index and columns, in any order."""
    if not hasattr(latencies, "iloc"):
        return latencies  # type: ignore[no-any-return]
    for axis, found in (("row", list(latencies.index)), ("column", list(latencies.columns))):
        if sorted(map(str, found)) != sorted(map(str, names)):
            raise ValueError(
                f"the frame of latencies must have one {axis} for each of {list(names)}, not {found}"
            )
    return latencies.loc[list(names), list(names)].to_numpy().tolist()  # type: ignore[no-any-return]


def lan(latency: Any = None, **line: Unpack[Line]) -> Matrix:
    """One region, ``"lan"``, in which all links have the same properties.

    Parameters
    ----------
    latency:
        One-way latency: seconds, or any value that `as_distribution` takes. By default the latency measured between
        hosts of one EC2 zone (`sim.network.wan`): about 0.2 ms, with a long tail.
    **line:
        ``loss``, ``duplicate``, ``bandwidth``, ``transport``, ``burst``, ``retransmit``, ``coherence`` of all links, as
        in `LinkSpec`.
    """
    if latency is None:
        from sim.network.wan import wan  # it builds on this module

        latency = wan("virginia").link("virginia", "virginia").latency
    return matrix(("lan",), ((latency,),), **line)


def constant(delta: float, **line: Unpack[Line]) -> Matrix:
    """A network in which every message takes exactly ``delta`` seconds, for counting message delays."""
    return lan(Constant(non_negative("delta (seconds)", delta)), **line)


def choose(name: str, known: Mapping[str, str]) -> str:
    """The value of the key that equals ``name`` if case, spaces, hyphens and underscores are ignored.

    Raises ValueError with the most similar keys if there is none.
    """
    if name in known:
        return known[name]
    plain = {_plain(key): value for key, value in known.items()}
    if isinstance(name, str) and _plain(name) in plain:
        return plain[_plain(name)]
    near = get_close_matches(_plain(str(name)), plain, n=3, cutoff=0.6)
    hint = (
        f"did you mean {' or '.join(dict.fromkeys(plain[n] for n in near))}?"
        if near
        else (f"known are {', '.join(dict.fromkeys(known.values()))}")
    )
    raise ValueError(f"unknown place {name!r}: {hint}")


def _plain(name: str) -> str:
    return name.casefold().translate({ord(c): None for c in " -_"})


@lru_cache(maxsize=4096)
def _median_of_sum(x: Distribution, y: Distribution) -> float:
    """The median (seconds) of the sum of a draw of each: exact for constants, else from 200 quantiles of each.

    Cached, because it is called for each pair of places, and the quantiles of mixtures are found by bisection.
    """
    if x == y and isinstance(x, Constant):
        return x.value + x.value
    levels = (np.arange(200) + 0.5) / 200
    xs, ys = (np.array([d.quantile(float(q)) for q in levels]) for d in (x, y))
    return float(np.median(xs[:, None] + ys[None, :]))
