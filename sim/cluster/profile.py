"""What a machine is like: cores, cost of messages, disk, clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sim.network.distributions import Constant, Distribution, LogNormal, as_distribution
from sim.system import check_types

__all__ = ["CLOUD_HOST", "Clock", "Disk", "Host"]

Discipline = Literal["fifo", "processor-sharing", "priority"]


def _at_least_zero(owner: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 <= value < float("inf"):
            raise ValueError(f"{owner}: {name} must be at least 0, not {value!r}")


@dataclass(frozen=True, slots=True)
class Clock:
    """A node's own clock: it shows ``offset + (1 + drift) * t`` at simulated time ``t``.

    Parameters: offset in seconds; drift as a fraction (1e-4 gains 0.1 ms per second).
    """

    offset: float = 0.0
    drift: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        if not -1 < self.drift < float("inf"):
            raise ValueError(f"Clock: drift must be above -1 (a clock runs forward), not {self.drift!r}")
        if not -float("inf") < self.offset < float("inf"):
            raise ValueError(f"Clock: offset must be a finite number of seconds, not {self.offset!r}")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk: how long a sync takes. One sync is under way at a time; writes meanwhile share the next.

    Parameters
    ----------
    fsync:
        Seconds of one sync: a number, a distribution, samples. 0: writes are durable at once.
    bandwidth:
        Bytes per second written during a sync; None: infinite.
    """

    fsync: Any = 0.0
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "fsync", as_distribution(self.fsync))
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise ValueError(f"Disk: bandwidth must be positive bytes per second, not {self.bandwidth!r}")

    @property
    def latency(self) -> Distribution:
        """The distribution of a sync's duration in seconds."""
        made: Distribution = self.fsync
        return made

    @property
    def instant(self) -> bool:
        """Whether writes are durable at once."""
        return self.bandwidth is None and self.latency == Constant(0.0)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine. The default costs nothing: infinitely fast, writes durable at once, a perfect clock.

    Parameters
    ----------
    cores:
        How many messages or pieces of work it serves at once.
    per_message, per_byte:
        CPU seconds that receiving a message costs, and each byte of its payload.
    disk, clock:
        See `Disk` and `Clock`.
    discipline:
        ``"fifo"``, ``"processor-sharing"`` or ``"priority"``.
    """

    cores: int = 1
    per_message: float = 0.0
    per_byte: float = 0.0
    disk: Disk = field(default_factory=Disk)
    clock: Clock = field(default_factory=Clock)
    discipline: Discipline = "fifo"

    def __post_init__(self) -> None:
        if isinstance(self.cores, bool) or not isinstance(self.cores, int) or self.cores < 1:
            raise ValueError(f"Host: cores must be an integer of at least 1, not {self.cores!r}")
        check_types(self)
        _at_least_zero("Host", per_message=self.per_message, per_byte=self.per_byte)
        if self.discipline not in ("fifo", "processor-sharing", "priority"):
            raise ValueError(
                f"Host: discipline must be 'fifo', 'processor-sharing' or 'priority', not {self.discipline!r}"
            )

    @property
    def messages_are_free(self) -> bool:
        """Whether receiving a message takes no CPU time."""
        return self.per_message == 0 and self.per_byte == 0


CLOUD_HOST = Host(cores=4, per_message=44e-6, disk=Disk(fsync=LogNormal(median=0.0008, sigma=0.4)))
"""A small cloud machine with an SSD, after the figures in etcd's operations guide ("Performance", v3.6).

A three-member cluster on machines with 4 cores serves "more than 30,000 requests per second"; its leader receives
one request and two acknowledgements for each, so a message costs at most 4 / (3 x 30,000) s = 44 us of a core.
The guide gives fdatasync on an SSD as "often lower than 1 ms"; the median here is 0.8 ms, p99 2 ms.
"""
