"""Simulated disks: the state of a node that survives a crash.

A disk keeps an *image* (the data that certainly survives) and the records that are written but not yet synced. All
writes of one handler are one record. A sync makes all records that were written before it began part of the image
(group commit).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sim.cluster.damage import drop_damaged
from sim.cluster.profile import Disk
from sim.hosting import NothingWaits
from sim.kernel import Environment, Streams
from sim.message import size_of
from sim.node import DurableLog, Handlers, Part

__all__ = ["InstantDisk", "SyncedDisk", "durable_state", "durable_value", "make_disk"]

Change = tuple[str, str, Any]  # field, operation, argument


class _Owner(Protocol):
    """The interface of a host that its disk uses."""

    name: str
    in_step: bool
    owners: list[Handlers]

    def flush(self) -> None: ...
    def disk_failed(self) -> None: ...


def durable_state(owners: Iterable[Handlers]) -> dict[str, Any]:
    """A copy of the durable state of a node and its parts: field -> value. Fields of a part are named ``part.field``.

    Raises TypeError for a log or map that was replaced by another object.
    """
    fields: dict[str, Any] = {}
    for owner in owners:
        prefix = f"{owner.part_name}." if isinstance(owner, Part) else ""
        for field, declared in type(owner)._durables.items():
            value = owner.__dict__[field]
            declared.require_in_place(value)
            items = getattr(value, "items", None)
            if isinstance(items, list):
                value = list(items)
            elif isinstance(value, dict):
                value = dict(value)
            fields[prefix + field] = value
    return fields


def durable_value(owners: Iterable[Handlers], field: str, default: Any) -> Any:
    """The present value, not copied, of a durable field of a node or its parts; ``default``: there is no such field."""
    part, _, name = field.rpartition(".")
    for owner in owners:
        if name in type(owner)._durables and (owner.part_name if isinstance(owner, Part) else "") == part:
            value = owner.__dict__[name]
            return value.items if isinstance(value, DurableLog) else value
    return default


def apply_change(image: dict[str, Any], change: Change) -> None:
    """Apply one journalled change to an image."""
    field, operation, argument = change
    if operation == "set":
        image[field] = argument
    elif operation == "append":
        image.setdefault(field, []).append(argument)
    elif operation == "truncate":
        del image[field][argument:]
    elif operation == "discard":
        del image[field][:argument]
    elif operation == "put":
        image.setdefault(field, {})[argument[0]] = argument[1]
    elif operation == "delete":
        image[field].pop(argument, None)
    elif operation == "reset":
        image[field] = dict(argument) if isinstance(argument, dict) else list(argument)
    else:
        raise AssertionError(f"unknown journal operation {operation!r}")


class _Damageable:
    """The part of a disk that faults damage."""

    _image: dict[str, Any]

    def __init__(self) -> None:
        self._damages: list[float] = []
        self._copies: tuple[tuple[str, ...], ...] = ()
        self._found: tuple[str, ...] = ()  # the fields that the last boot found damaged
        self._kept_then = -1  # `_writes_kept` at that boot

    def _writes_kept(self) -> int:
        """A number that grows whenever the image gets something new."""
        raise NotImplementedError

    def damage(self, where: float, copies: tuple[tuple[str, ...], ...] = ()) -> None:
        """Damage a record. ``where``: a number in [0, 1) that chooses it when the node boots and finds the damage.

        ``copies``: see `System.copies_on_disk`.
        """
        self._damages.append(where)
        self._copies = copies

    def find_damage(self) -> tuple[str, ...]:
        """The node boots: drop the damaged records; returns the names of the fields that have lost something.

        A node that crashes before anything that it wrote was synced finds the same damage at its next boot, because
        nothing has replaced the damaged records.
        """
        kept = self._writes_kept()
        before = self._found if kept == self._kept_then else ()
        self._found = drop_damaged(self._image, self._damages, self._copies, before)
        self._damages, self._kept_then = [], kept
        return self._found


class _Telling:
    """The part of a disk that tells of writes; `write` is given by the disk."""

    write: Callable[[str, str, Any], None]

    def tell(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each change of a durable field. It must be called before the node boots."""
        write = self.write

        def write_and_tell(field: str, operation: str, argument: Any) -> None:
            write(field, operation, argument)
            listener()

        self.write = write_and_tell


class InstantDisk(_Telling, _Damageable, NothingWaits):
    """A disk whose writes are durable at once: the image is the durable state of the node when it crashes."""

    def __init__(self, owner: _Owner) -> None:
        super().__init__()
        self._owner = owner
        self._image: dict[str, Any] = {}
        self.syncs = 0
        self.bytes = 0

    def read(self, field: str, default: Any) -> Any:
        """The value of a field in the image, or ``default``."""
        return self._image.get(field, default)

    def write(self, field: str, operation: str, argument: Any) -> None:
        """Count one change of a durable field; it is durable at once."""
        self.syncs += 1

    def durable(self, field: str, default: Any = None) -> Any:
        """The value of a field that would survive a crash at this moment."""
        owners = self._owner.owners
        return durable_value(owners, field, default) if owners else self._image.get(field, default)

    def crash(self, *, power: bool = False) -> None:
        """Keep the present durable fields of the node as the image."""
        self._image = durable_state(self._owner.owners)

    def wipe(self) -> None:
        """Lose everything (the machine is replaced by a new one)."""
        self._image, self._found = {}, ()

    def _writes_kept(self) -> int:
        return self.syncs

    def seal(self) -> None:
        """End a record: nothing to do on this disk."""

    def slow(self, factor: float) -> None:
        """Raise ValueError: there is nothing to slow down."""
        self._refuse_unless(factor == 1.0)

    def stall(self, stalled: bool) -> None:
        """Raise ValueError: there is nothing to stall."""
        self._refuse_unless(not stalled)

    def fail(self, failing: bool) -> None:
        """Raise ValueError: a write that is durable at once has not failed."""
        self._refuse_unless(not failing)

    def _refuse_unless(self, well: bool) -> None:
        if not well:
            raise ValueError(
                f"the disk of {self._owner.name} takes no time: give it one whose syncs do, such as Disk(fsync=0.001)"
            )

    def calm(self) -> None:
        """End all faults of this disk."""
        self._damages.clear()


class SyncedDisk(_Telling, _Damageable):
    """A disk whose syncs take time. A crash loses the records that are not synced, except a prefix of random length."""

    instant = False

    def __init__(self, owner: _Owner, profile: Disk, env: Environment, streams: Streams) -> None:
        super().__init__()
        self._owner = owner
        self._profile = profile
        self._env = env
        self._draw: Callable[[], float] = profile.latency.sampler(
            streams.generator(f"disk/{owner.name}/fsync")
        )
        self._draw_of = {
            field: latency.sampler(streams.generator(f"disk/{owner.name}/fsync/{field}"))
            for field, latency in profile.latency_of.items()
        }
        self._survivors = streams[f"disk/{owner.name}/survivors"]
        self._image: dict[str, Any] = {}
        self._current: list[Change] = []  # the record of the running handler
        self._records: list[list[Change]] = []  # sealed and not yet synced
        self._changed: dict[str, int] = {}  # field -> the last record that changes it
        self._written = 0  # records sealed so far
        self.synced = 0  # records in the image
        self._syncing: int | None = None  # the last record that the present sync covers
        self._epoch = 0  # a crash ends the present sync, and another speed makes it end at another time
        self._ends = 0.0  # when it ends (simulated seconds)
        self.hear_sync: Callable[[float], None] | None = (
            None  # called with the seconds of each sync that begins
        )
        self._factor = 1.0  # on the time of syncs
        self._stalled = False
        self._due: int | None = None  # the epoch of a sync that would be over, but for a stall
        self._failing = False
        self.syncs = 0
        self.bytes = 0

    @property
    def unsynced(self) -> int:
        """The number of the last record that a message sent now would depend on, or 0 if everything is synced."""
        needed = self._written + 1 if self._current else self._written
        return needed if needed > self.synced else 0

    def read(self, field: str, default: Any) -> Any:
        """The value of a field in the image, or ``default``."""
        return self._image.get(field, default)

    def durable(self, field: str, default: Any = None) -> Any:
        """The value of a field that would certainly survive a crash at this moment."""
        return self._image.get(field, default)

    def last_change(self, field: str) -> int:
        """See `sim.hosting.DiskContract.last_change`."""
        record = self._changed.get(field, 0)
        return record if record > self.synced else 0

    def write(self, field: str, operation: str, argument: Any) -> None:
        """Journal one change of a durable field, as part of the running handler's record."""
        self._current.append((field, operation, argument))
        self._changed[field] = self._written + 1
        if not self._owner.in_step:
            self.seal()

    def seal(self) -> None:
        """End the present record, and sync it as soon as the disk is free."""
        if self._current:
            self._records.append(self._current)
            self._current = []
            self._written += 1
        if self._syncing is None and self._records:
            self._begin_sync()

    def _begin_sync(self) -> None:
        self._syncing = self._written
        size = 0
        for record in self._records:
            for _, _, argument in record:
                size += size_of(argument)
        self.bytes += size
        self.syncs += 1
        bandwidth = self._profile.bandwidth
        latency = self._longest() if self._draw_of else self._draw()
        duration = latency + (size / bandwidth if bandwidth else 0.0)
        if self.hear_sync is not None:
            self.hear_sync(duration * self._factor)
        self._end_after(duration * self._factor)

    def _end_after(self, seconds: float) -> None:
        self._ends = self._env._now + seconds
        self._env.call_after(seconds, self._synced, self._epoch)

    def _longest(self) -> float:
        """The latency (seconds) of a sync of the present records: the longest of the latencies of their fields."""
        written = dict.fromkeys(change[0] for record in self._records for change in record)
        own = [self._draw_of[field]() for field in written if field in self._draw_of]
        return max([*own, self._draw()] if len(own) < len(written) else own)

    def _synced(self, epoch: int) -> None:
        if epoch != self._epoch or self._syncing is None:
            return  # the node crashed during this sync
        if self._stalled:
            self._due = epoch
            return
        if self._failing:
            self._owner.disk_failed()
            return
        self._keep(self._syncing - self.synced)
        self._syncing = None
        self._owner.flush()
        self.seal()

    def _keep(self, count: int) -> None:
        for record in self._records[:count]:
            for change in record:
                apply_change(self._image, change)
        del self._records[:count]
        self.synced += count

    def slow(self, factor: float) -> None:
        """Syncs take ``factor`` times as long from now on; of the one that is under way, what is left of it."""
        left, self._factor = (self._ends - self._env._now) * factor / self._factor, factor
        if self._syncing is not None and self._due is None:
            self._epoch += 1
            self._end_after(max(0.0, left))

    def stall(self, stalled: bool) -> None:
        """Whether syncs do not end; the one that is due ends with the stall."""
        self._stalled = stalled
        if not stalled and self._due is not None:
            due, self._due = self._due, None
            self._synced(due)

    def fail(self, failing: bool) -> None:
        """Whether syncs fail when they should end: then the node crashes."""
        self._failing = failing

    def calm(self) -> None:
        """End all faults of this disk."""
        self._damages.clear()
        self._failing = False
        self.slow(1.0)
        self.stall(False)

    def crash(self, *, power: bool = False) -> None:
        """Lose the records that are not synced, except a prefix of them, whose length is drawn at random.

        ``power``: the machine has lost power: all of them are lost. If records are not atomic, a part of the first one
        that is lost may be on the disk all the same.
        """
        self._current = []
        self._epoch += 1
        self._syncing = self._due = None
        survivors = self._survivors.below(len(self._records) + 1)  # drawn in any case
        self._keep(0 if power else survivors)
        if not self._profile.atomic_records and self._records:
            torn = self._records[0]
            for change in torn[: self._survivors.below(len(torn))]:
                apply_change(self._image, change)
        self._records = []
        self._written = self.synced
        self._changed.clear()

    def wipe(self) -> None:
        """Lose everything (the machine is replaced by a new one)."""
        self.crash()
        self._image, self._found = {}, ()

    def _writes_kept(self) -> int:
        return self.synced


def make_disk(owner: _Owner, profile: Disk, env: Environment, streams: Streams) -> InstantDisk | SyncedDisk:
    """The disk of a host, with the properties of ``profile``."""
    return InstantDisk(owner) if profile.instant else SyncedDisk(owner, profile, env, streams)
