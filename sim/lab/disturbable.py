"""The part of a simulation that faults act on: the interface `sim.faults.World`, for users of a live session, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simpy.events import Event

from sim.arguments import checked_methods
from sim.network.detention import Detention
from sim.network.disturbances import Disturbance
from sim.system import System

if TYPE_CHECKING:
    from sim.cluster import Cluster

__all__ = ["Disturbable"]


@checked_methods
class Disturbable:
    """What goes wrong in a simulation. After `Simulation.calm`, nothing goes wrong any more; what ends, still ends."""

    cluster: Cluster
    system: System
    _calm: bool
    _gone: list[str]

    @property
    def faults_ended(self) -> bool:
        """Whether nothing goes wrong any more, because `Simulation.calm` was called."""
        return self._calm

    def record(self, node: str, event: str, detail: dict[str, Any]) -> None:
        """Append to the frame ``events``."""
        self.cluster.record(node, event, detail)

    # Members

    def crash(self, name: str, *, power: bool = False, for_good: bool = False) -> None:
        """Crash a member. ``power``: its machine has no power, so that no write survives that is not synced.

        ``for_good``: nothing restarts it, if it is a replica that the system can do without (`System.max_gone`).
        """
        if self._calm:
            return
        if for_good and self._may_be_gone(name):
            self._gone.append(name)
        self.cluster.crash(name, power=power)

    def _may_be_gone(self, name: str) -> bool:
        """Whether the system can do without one more member: a replica, since a service is needed."""
        replica = self.cluster.hosts[name].member.role == "replica"
        return replica and name not in self._gone and len(self._gone) < self.system.max_gone

    def restart(self, name: str, *, wiped: bool = False) -> None:
        """Restart a crashed member, if it is not gone for good; ``wiped``: with an empty disk."""
        if name in self._gone:
            return
        self.cluster.restart(name, wiped=wiped)

    def pause(self, name: str) -> None:
        """Pause a member: it is alive, but none of its code runs."""
        if self._calm:
            return
        self.cluster.pause(name)

    def resume(self, name: str) -> None:
        """Resume a paused member."""
        self.cluster.resume(name)

    def set_speed(self, name: str, speed: float) -> None:
        """Change the speed of a member's cores (1 is normal)."""
        if self._calm and speed != 1.0:
            return
        self.cluster.hosts[name].cpu.set_speed(speed)

    def set_clock(self, name: str, offset: float | None = None, drift: float | None = None) -> None:
        """Set a member's wall clock ``offset`` seconds ahead of true time, or the drift of both its clocks."""
        if self._calm and (offset or drift):
            return
        self.cluster.hosts[name].set_clock(offset=offset, drift=drift)

    # Links

    def cut(self, pairs: list[tuple[str, str]], label: str = "") -> None:
        """Cut directed links."""
        if self._calm:
            return
        self.record("", "cut", _cut_detail(pairs, label))
        self.cluster.network.cut(pairs)

    def heal(self, pairs: list[tuple[str, str]], label: str = "") -> None:
        """Take a cut back."""
        self.record("", "heal", _cut_detail(pairs, label))
        self.cluster.network.heal(pairs)

    def disturb(self, pairs: list[tuple[str, str]], disturbance: Disturbance) -> None:
        """Disturb directed links, until `relieve` takes this disturbance back."""
        if self._calm:
            return
        self.cluster.network.disturb(pairs, disturbance)

    def relieve(self, pairs: list[tuple[str, str]], disturbance: Disturbance) -> None:
        """Take a disturbance of directed links back."""
        self.cluster.network.relieve(pairs, disturbance)

    def detain(self, detention: Detention) -> None:
        """Keep messages back, until `let_go`."""
        if self._calm:
            return
        self.cluster.network.detain(detention)

    def let_go(self, detention: Detention) -> None:
        """Deliver the messages that were kept back."""
        self.cluster.network.let_go(detention)

    # Disks

    def slow_disk(self, name: str, factor: float) -> None:
        """From now on, syncs of a member's disk take ``factor`` times as long (1 is normal)."""
        if self._calm and factor != 1.0:
            return
        self.cluster.hosts[name].disk.slow(factor)

    def stall_disk(self, name: str, stalled: bool) -> None:
        """Whether no sync of a member's disk ends from now on; those that are due end with the stall."""
        if self._calm and stalled:
            return
        self.cluster.hosts[name].disk.stall(stalled)

    def fail_disk(self, name: str, failing: bool) -> None:
        """Whether syncs of a member's disk fail from now on: the member crashes then, and the writes are lost."""
        if self._calm and failing:
            return
        self.cluster.hosts[name].disk.fail(failing)

    def disk_failure(self, name: str) -> Event:
        """An event: the next sync of a member's disk that fails."""
        return self.cluster.hosts[name].disk_failure()

    def damage_disk(self, name: str, where: float) -> None:
        """Damage a record on a member's disk; its next incarnation finds the damage (`sim.node.Node.disk_damaged`).

        ``where``: a number in [0, 1) that chooses the record.
        """
        if self._calm:
            return
        self.cluster.hosts[name].disk.damage(where, self.system.copies_on_disk)


def _cut_detail(pairs: list[tuple[str, str]], label: str) -> dict[str, Any]:
    """What an event says of a cut. ``links``: (sources, targets) for each set of sources with the same targets."""
    targets: dict[str, list[str]] = {}
    for src, dst in pairs:
        targets.setdefault(src, []).append(dst)
    sources: dict[tuple[str, ...], list[str]] = {}
    for src, found in targets.items():
        sources.setdefault(tuple(found), []).append(src)
    links = tuple((tuple(src), dst) for dst, src in sources.items())
    return {"pairs": len(pairs), "label": _cut_label(pairs, label), "links": links}


def _cut_label(pairs: list[tuple[str, str]], label: str) -> str:
    """The text of a cut in events and charts; it says whether the cut is one-way."""
    both = frozenset(pairs)
    one_way = any((b, a) not in both for a, b in pairs)
    return f"{'one-way cut' if one_way else 'cut'} {label or pairs}"
