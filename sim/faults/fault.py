"""Faults as values: what goes wrong, when, and to whom.

A fault is a frozen value; the nemesis plays it as a SimPy process (`Fault.play`) against the `World` that it
is given. Targets are names of members, regions, ``"random"``, or a role (``"leader"``, ``"primary"``, ``"head"``),
which the system resolves when the time comes; while the role is vacant, the fault waits.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sim.kernel import Environment, Stream, Streams

__all__ = [
    "Administer",
    "ClockJump",
    "Crash",
    "Cut",
    "Fault",
    "Flaky",
    "Partition",
    "RandomCrashes",
    "RandomPartitions",
    "Restart",
    "Slow",
    "World",
]

Story = Generator[Any, Any, None]
Pairs = list[tuple[str, str]]

_RETRY = 0.001  # seconds between looks at a role that is vacant


class World(Protocol):
    """What faults act upon; `sim.lab.Simulation` is one."""

    env: Environment
    streams: Streams

    @property
    def replicas(self) -> tuple[str, ...]:
        """The members, clients excluded, that are part of the system now."""

    def is_up(self, name: str) -> bool:
        """Whether a member is alive."""

    def find(self, target: str) -> tuple[str, ...]:
        """The members that a target means right now; empty for a role that is vacant."""

    def crash(self, name: str) -> None:
        """Crash a member."""

    def restart(self, name: str, *, wiped: bool = False) -> None:
        """Restart a crashed member."""

    def everyone(self, region: str | None = None) -> tuple[str, ...]:
        """All nodes, clients included (of a region)."""

    def cut(self, pairs: Pairs, label: str) -> None:
        """Cut directed links."""

    def heal(self, pairs: Pairs, label: str) -> None:
        """Take a cut back."""

    def disturb(self, pairs: Pairs, slowdown: float, loss: float) -> None:
        """Slow links down and let them lose; 1.0 and 0.0 set them right again."""

    def set_speed(self, name: str, speed: float) -> None:
        """Change the speed of a member's cores."""

    def set_clock(self, name: str, offset: float | None, drift: float | None) -> None:
        """Change a member's clock."""

    def record(self, node: str, event: str, detail: dict[str, Any]) -> None:
        """Append to the frame ``events``."""

    def administer(self, request: Any) -> None:
        """Let the admin client make a request (`sim.protocols.admin`) of the system, over the network."""


def _seconds(owner: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 <= value < float("inf"):
            raise ValueError(f"{owner}: {name} must be at least 0 seconds, not {value!r}")


def _positive(owner: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{owner}: {name} must be positive, not {value!r}")


def await_target(world: World, target: str) -> Generator[Any, Any, tuple[str, ...]]:
    """Wait while nobody is meant by ``target``."""
    found = world.find(target)
    while not found:
        yield world.env.timeout(_RETRY)
        found = world.find(target)
    return found


@dataclass(frozen=True)
class Fault:
    """Base of all faults. A fault of your own overrides `play`."""

    def targets(self) -> tuple[str, ...]:
        """The names that must mean something in the scenario; checked before the run."""
        return ()

    def play(self, world: World, stream: Stream) -> Story:
        """A process that acts on the world. ``stream``: random numbers of this very fault."""
        raise NotImplementedError


@dataclass(frozen=True)
class Crash(Fault):
    """Crash ``target`` at time ``at``; restart it after ``down`` seconds (None: never).

    A region crashes as a whole. ``wiped``: it comes back with an empty disk.
    """

    target: str
    at: float
    down: float | None = None
    wiped: bool = False

    def __post_init__(self) -> None:
        _seconds("Crash", at=self.at, down=self.down)

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        found = yield from await_target(world, self.target)
        victims = [name for name in found if world.is_up(name)]
        for name in victims:
            world.crash(name)
        if self.down is not None:
            yield world.env.timeout(self.down)
            for name in victims:
                world.restart(name, wiped=self.wiped)


@dataclass(frozen=True)
class Restart(Fault):
    """Restart ``target`` (a member or a region) at time ``at``; ``wiped``: with an empty disk."""

    target: str
    at: float
    wiped: bool = False

    def __post_init__(self) -> None:
        _seconds("Restart", at=self.at)

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        for name in world.find(self.target):
            world.restart(name, wiped=self.wiped)


@dataclass(frozen=True)
class RandomCrashes(Fault):
    """Members crash and restart at random: exponential times with mean ``mttf`` up and ``mttr`` down (seconds).

    Parameters
    ----------
    targets_:
        Names of members, regions or ``("random",)`` is not needed here; empty: all replicas.
    most_down:
        Never more than so many members down at once; None: no limit.
    start, end:
        No crash before ``start`` nor after ``end``; at ``end`` everything that is down restarts.
    """

    mttf: float
    mttr: float
    members: tuple[str, ...] = ()
    most_down: int | None = None
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        _positive("RandomCrashes", mttf=self.mttf, mttr=self.mttr)
        _seconds("RandomCrashes", start=self.start, end=self.end)
        if self.most_down is not None and self.most_down < 1:
            raise ValueError(f"RandomCrashes: most_down must be at least 1, not {self.most_down!r}")

    def targets(self) -> tuple[str, ...]:
        return self.members

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.start)
        named = [name for target in self.members for name in world.find(target)]
        down: dict[str, None] = {}
        for name in named or world.replicas:
            # Each member has a stream of its own, so that its crashes don't depend on who else there is.
            world.env.process(self._member(world, name, world.streams[f"faults/random-crashes/{name}"], down))

    def _member(self, world: World, name: str, stream: Stream, down: dict[str, None]) -> Story:
        end = float("inf") if self.end is None else self.end
        while True:
            yield world.env.timeout(stream.exponential(self.mttf))
            if world.env.now >= end:
                return
            pause = stream.exponential(self.mttr)
            if not world.is_up(name) or (self.most_down is not None and len(down) >= self.most_down):
                continue
            down[name] = None
            world.crash(name)
            yield world.env.timeout(max(0.0, min(pause, end - world.env.now)))
            world.restart(name)
            del down[name]


@dataclass(frozen=True)
class Partition(Fault):
    """Cut the network between groups of nodes at time ``at`` for ``duration`` seconds (None: for good).

    Parameters
    ----------
    groups:
        Tuples of targets. With one group, it is cut from everyone else. Nodes named in no group (clients,
        too) keep all their links; a region means everyone in it, clients included.
    one_way:
        Only messages from an earlier group to a later one are lost (with one group: those that leave it).
    """

    groups: tuple[tuple[str, ...], ...]
    at: float
    duration: float | None = None
    one_way: bool = False

    def __post_init__(self) -> None:
        _seconds("Partition", at=self.at, duration=self.duration)
        groups = tuple((g,) if isinstance(g, str) else tuple(g) for g in self.groups)
        if not groups or not all(groups):
            raise ValueError(
                f"Partition: at least one group of at least one target is needed, not {self.groups!r}"
            )
        object.__setattr__(self, "groups", groups)

    def targets(self) -> tuple[str, ...]:
        return tuple(t for group in self.groups for t in group)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        groups = []
        for group in self.groups:
            names: dict[str, None] = {}
            for target in group:
                found = world.everyone(target) or (yield from await_target(world, target))
                names.update(dict.fromkeys(found))
            groups.append(tuple(names))
        if len(groups) == 1:
            groups.append(tuple(n for n in world.everyone() if n not in groups[0]))
        yield from cut_for(
            world, between(groups, self.one_way), self.duration, " | ".join(map(",".join, groups))
        )


def between(groups: Iterable[tuple[str, ...]], one_way: bool = False) -> Pairs:
    """All directed links between different groups."""
    listed = list(groups)
    pairs = []
    for i, first in enumerate(listed):
        for second in listed[i + 1 :]:
            for a in first:
                for b in second:
                    pairs.append((a, b))
                    if not one_way:
                        pairs.append((b, a))
    return pairs


def cut_for(world: World, pairs: Pairs, duration: float | None, label: str) -> Story:
    """Cut links, wait, heal them."""
    world.cut(pairs, label)
    if duration is not None:
        yield world.env.timeout(duration)
        world.heal(pairs, label)


@dataclass(frozen=True)
class Cut(Fault):
    """Cut the link between two targets at ``at`` for ``duration`` seconds; ``one_way``: only from src to dst."""

    src: str
    dst: str
    at: float
    duration: float | None = None
    one_way: bool = False

    def __post_init__(self) -> None:
        _seconds("Cut", at=self.at, duration=self.duration)

    def targets(self) -> tuple[str, ...]:
        return (self.src, self.dst)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        sources = yield from await_target(world, self.src)
        targets = yield from await_target(world, self.dst)
        arrow = "->" if self.one_way else "-"
        label = f"{','.join(sources)}{arrow}{','.join(targets)}"
        pairs = [(a, b) for a, b in between((sources, targets), self.one_way) if a != b]
        yield from cut_for(world, pairs, self.duration, label)


@dataclass(frozen=True)
class RandomPartitions(Fault):
    """The members fall apart at random: whole for a mean of ``mttf``, split for a mean of ``mttr`` seconds.

    Each split is drawn anew: a full partition in two halves, one member cut off, one link cut, or one
    direction of one link. Until ``end`` (None: for ever).
    """

    mttf: float
    mttr: float
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        _positive("RandomPartitions", mttf=self.mttf, mttr=self.mttr)
        _seconds("RandomPartitions", start=self.start, end=self.end)

    def play(self, world: World, stream: Stream) -> Story:
        end = float("inf") if self.end is None else self.end
        yield world.env.timeout(self.start)
        while True:
            yield world.env.timeout(stream.exponential(self.mttf))
            duration = stream.exponential(self.mttr)
            pairs, label = self._draw(world.replicas, stream)
            if world.env.now >= end:
                return
            if pairs:
                yield from cut_for(world, pairs, min(duration, end - world.env.now), label)

    @staticmethod
    def _draw(members: tuple[str, ...], stream: Stream) -> tuple[Pairs, str]:
        shuffled = stream.sample(members, len(members))
        shape = stream.below(4)
        if len(members) < 2:
            return [], ""
        if shape == 0:
            half = 1 + stream.below(len(members) - 1)
            groups = (tuple(shuffled[:half]), tuple(shuffled[half:]))
            return between(groups), " | ".join(map(",".join, groups))
        if shape == 1:
            groups = ((shuffled[0],), tuple(shuffled[1:]))
            return between(groups), " | ".join(map(",".join, groups))
        a, b = shuffled[0], shuffled[1]
        return ([(a, b), (b, a)], f"{a}-{b}") if shape == 2 else ([(a, b)], f"{a}->{b}")


@dataclass(frozen=True)
class Flaky(Fault):
    """Links of ``target`` get slower by the factor ``slowdown`` and lose ``loss`` more, for a while."""

    target: str
    at: float
    duration: float | None = None
    slowdown: float = 1.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        _seconds("Flaky", at=self.at, duration=self.duration)
        _positive("Flaky", slowdown=self.slowdown)
        if not 0 <= self.loss <= 1:
            raise ValueError(f"Flaky: loss must be between 0 and 1, not {self.loss!r}")

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        found = yield from await_target(world, self.target)
        others = [n for n in world.everyone() if n not in found]
        pairs = between((found, tuple(others)))
        world.record(",".join(found), "flaky", {"slowdown": self.slowdown, "loss": self.loss})
        world.disturb(pairs, self.slowdown, self.loss)
        if self.duration is not None:
            yield world.env.timeout(self.duration)
            world.disturb(pairs, 1.0, 0.0)
            world.record(",".join(found), "steady", {})


@dataclass(frozen=True)
class Slow(Fault):
    """A grey failure: the cores of ``target`` run at ``speed`` (1 is normal) from ``at`` for ``duration`` seconds."""

    target: str
    at: float
    duration: float | None = None
    speed: float = 0.1

    def __post_init__(self) -> None:
        _seconds("Slow", at=self.at, duration=self.duration)
        _positive("Slow", speed=self.speed)

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        found = yield from await_target(world, self.target)
        for name in found:
            world.record(name, "slow", {"speed": self.speed})
            world.set_speed(name, self.speed)
        if self.duration is not None:
            yield world.env.timeout(self.duration)
            for name in found:
                world.set_speed(name, 1.0)
                world.record(name, "steady", {})


@dataclass(frozen=True)
class ClockJump(Fault):
    """The clock of ``target`` jumps to ``offset`` seconds ahead of true time, or drifts by ``drift`` from now on."""

    target: str
    at: float
    offset: float | None = None
    drift: float | None = None

    def __post_init__(self) -> None:
        _seconds("ClockJump", at=self.at)
        if self.drift is not None and not self.drift > -1:
            raise ValueError(f"ClockJump: drift must be above -1, not {self.drift!r}")

    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        for name in (yield from await_target(world, self.target)):
            world.record(name, "clock", {"offset": self.offset, "drift": self.drift})
            world.set_clock(name, self.offset, self.drift)


@dataclass(frozen=True)
class Administer(Fault):
    """No fault, but scheduled like one: at time ``at`` an admin client asks ``request`` of the system.

    ``request`` is a `Join`, `Leave`, `Reconfigure`, `Transfer` or `Drain` of `sim.protocols.admin`. A spare that is
    to join is started first.
    """

    request: Any
    at: float

    def __post_init__(self) -> None:
        _seconds("Administer", at=self.at)

    def targets(self) -> tuple[str, ...]:
        one = getattr(self.request, "member", None)
        return (*getattr(self.request, "members", ()), *([one] if one is not None else []))

    def play(self, world: World, stream: Stream) -> Story:
        yield world.env.timeout(self.at)
        for name in self.targets():
            if name not in world.replicas:
                world.restart(name)
        world.administer(self.request)


def check_targets(faults: Iterable[Fault], known: Mapping[str, Any], roles: Iterable[str]) -> None:
    """Raise ValueError for a fault whose target is no member, no region, no role."""
    allowed = {*known, *roles, "random"}
    for fault in faults:
        if not isinstance(fault, Fault):
            raise ValueError(f"{fault!r} is not a fault (see sim.faults)")
        for target in fault.targets():
            if target not in allowed:
                raise ValueError(f"{fault!r}: there is no {target!r}; there are {', '.join(sorted(allowed))}")
