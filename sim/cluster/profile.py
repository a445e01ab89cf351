"""The properties of a machine: cores, cost of messages, disk, clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Annotated, Any, Literal

from sim.distributions import Constant, Distribution, LogNormal, PercentileTable, as_distribution
from sim.readers.fio import read_fio
from sim.settings import Bounds, Count, Rate, Value, Wait

__all__ = ["CLOUD_MACHINE", "Clock", "Disk", "Machine"]

Discipline = Literal["fifo", "processor-sharing", "priority"]


@dataclass(frozen=True, slots=True)
class Clock(Value):
    """A node's own clock: it shows ``offset + (1 + drift) * t`` at simulated time ``t``.

    Parameters: offset in seconds; drift as a fraction (1e-4 gains 0.1 ms per second).
    """

    offset: float = 0.0
    drift: Rate = 0.0


@dataclass(frozen=True, slots=True)
class Disk(Value):
    """A disk: how long a sync takes. There is one sync at a time; writes during a sync share the next one.

    Parameters
    ----------
    fsync:
        Seconds of one sync: a number, a distribution, samples. 0: writes are durable at once.
    fsync_of:
        Seconds of one sync by durable field of the node: ``{"voted_for": 0.001, "log": 0.004}``; a field of a part is
        named ``"part.field"``. Other fields take ``fsync``. A sync that covers several fields takes as long as the
        longest of them. A name that no member has is a ValueError when the scenario is built.
    bandwidth:
        Bytes per second written during a sync; None: infinite.
    atomic_records:
        Whether what one step of a node writes is on the disk as a whole or not at all after a crash, as checksums make
        sure. False: a crash may tear it, so that the first of its changes survive and the others do not.
    """

    fsync: Any = 0.0
    bandwidth: Annotated[float, Bounds("positive bytes per second (None: infinite)", above=0)] | None = None
    fsync_of: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()
    atomic_records: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "fsync", as_distribution(self.fsync))
        kinds = tuple((field, as_distribution(time)) for field, time in dict(self.fsync_of).items())
        object.__setattr__(self, "fsync_of", kinds)  # a tuple, so that the value can be hashed
        if not self.atomic_records and self.instant:
            raise ValueError(
                "Disk: atomic_records=False tears writes that are not synced, but with fsync=0.0 all are synced at once"
            )

    @classmethod
    def from_fio(
        cls, path: str | PathLike[str], job: str | None = None, bandwidth: float | None = None
    ) -> Disk:
        """A disk whose syncs take as long as `fio` measured (``fio --fdatasync=1 --output-format=json``).

        ``job``: the name of the job, if several made syncs. Raises ValueError with the file and the place in it.
        """
        return cls(fsync=PercentileTable(read_fio(path, job).percentiles), bandwidth=bandwidth)

    @property
    def latency(self) -> Distribution:
        """The distribution of a sync's duration in seconds."""
        made: Distribution = self.fsync
        return made

    @property
    def latency_of(self) -> dict[str, Distribution]:
        """Durable field -> distribution of a sync's duration in seconds, for fields in ``fsync_of``."""
        return dict(self.fsync_of)

    @property
    def instant(self) -> bool:
        """Whether writes are durable at once."""
        syncs = (self.latency, *self.latency_of.values())
        return self.bandwidth is None and all(latency == Constant(0.0) for latency in syncs)


@dataclass(frozen=True, slots=True)
class Machine(Value):
    """A machine. The default costs nothing: infinitely fast, writes durable at once, a perfect clock.

    Parameters
    ----------
    cores:
        How many messages or pieces of work it serves at the same time.
    per_message, per_byte:
        CPU seconds to receive a message, and for each byte of its payload.
    per_send, per_send_byte:
        CPU seconds to send a message, and for each byte of its payload. The message queues for the cores, and leaves
        when a core has served it.
    nic:
        Bytes per second of its network card in each direction, headers included. All links of the machine share the
        card, and messages queue for it. None: infinite. (`LinkSpec.bandwidth` limits a single link.)
    disk, clock:
        See `Disk` and `Clock`.
    discipline:
        ``"fifo"``, ``"processor-sharing"`` or ``"priority"``.
    """

    cores: Count = 1
    per_message: Wait = 0.0
    per_byte: Wait = 0.0
    per_send: Wait = 0.0
    per_send_byte: Wait = 0.0
    nic: Annotated[float, Bounds("positive bytes per second (None: infinite)", above=0)] | None = None
    disk: Disk = field(default_factory=Disk)
    clock: Clock = field(default_factory=Clock)
    discipline: Discipline = "fifo"

    @property
    def messages_are_free(self) -> bool:
        """Whether receiving a message takes no CPU time."""
        return self.per_message == 0 and self.per_byte == 0

    @property
    def sending_is_free(self) -> bool:
        """Whether sending a message takes no CPU time."""
        return self.per_send == 0 and self.per_send_byte == 0

    @property
    def free_of_charge(self) -> tuple[str, ...]:
        """The resources that cost no time: ``"cores"`` (handling messages), ``"disk"`` (syncs), both, or neither."""
        free = {
            "cores": self.messages_are_free and self.sending_is_free,
            "disk": self.disk.instant,
        }
        return tuple(what for what, is_free in free.items() if is_free)


CLOUD_MACHINE = Machine(cores=4, per_message=44e-6, disk=Disk(fsync=LogNormal(median=0.0008, sigma=0.4)))
"""A small cloud machine with an SSD, after the figures in etcd's operations guide ("Performance", v3.6).

A three-member cluster on machines with 4 cores serves "more than 30,000 requests per second"; its leader receives
one request and two acknowledgements for each, so a message costs at most 4 / (3 x 30,000) s = 44 us of a core. Raft
with three members on such machines serves 30,300 writes a second here.
The guide gives fdatasync on an SSD as "often lower than 1 ms"; the median here is 0.8 ms, p99 2 ms.
"""
