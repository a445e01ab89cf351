"""Kinds of faults that strike at drawn times: crashes, cuts, disturbances, disks, clocks, clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sim.faults import (
    BridgeCut,
    ChainedCut,
    ClockJump,
    ConstrainedElection,
    Crash,
    Cut,
    DamagedDisk,
    FailedWrite,
    Fault,
    Flaky,
    FullDisk,
    Partition,
    Pause,
    PowerFailure,
    QuorumLoss,
    RandomCrashes,
    RandomDisturbances,
    RandomPartitions,
    RandomPauses,
    Repeated,
    RingCut,
    RollingRestart,
    Slow,
    SlowDisk,
    StalledDisk,
)
from sim.kernel import Stream
from sim.lab.nemesis.kinds import Circumstances, about, kind, moment

__all__: list[str] = []


def _keeps_members_up(setting: Circumstances) -> str:
    most = setting.system.max_down
    return "" if most is None or most > 0 else "no member may be down (max_down)"


def _bounds_members_down(setting: Circumstances) -> str:
    most = setting.system.max_down
    return "" if most is None else f"at most {most} members may be down at once (max_down)"


def _has_few_members(least: int) -> Callable[[Circumstances], str]:
    def reason(setting: Circumstances) -> str:
        size = len(setting.names)
        return "" if size >= least else f"it needs {least} replicas, and there are {size}"

    return reason


def _writes_nothing(setting: Circumstances) -> str:
    return "" if setting.writes else "no replica writes to disk"


def _writes_nothing_or_bounds(setting: Circumstances) -> str:
    return _writes_nothing(setting) or _bounds_members_down(setting)


@kind(RandomCrashes, never=_keeps_members_up, weight=3.0, crashes=True)
def crashes(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members crash and restart at random."""
    mttf, mttr = stream.choice((1.0, 3.0, 8.0)), stream.choice((0.05, 0.2, 1.0))
    wiped = 0.5 if setting.system.disks_may_be_lost else 0.0
    end = setting.seconds
    yield RandomCrashes(
        mttf, mttr, max_down=setting.system.max_down, start=_start(setting), end=end, wiped=wiped
    )


def _start(setting: Circumstances) -> float:
    return min(0.2, setting.seconds / 2)


@kind(RandomPartitions, weight=3.0)
def partitions(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Partitions of all shapes at random."""
    mttf, mttr = stream.choice((0.5, 2.0)), stream.choice((0.3, 1.5))
    yield RandomPartitions(mttf, mttr, start=_start(setting), end=setting.seconds)


@kind(RandomDisturbances, weight=3.0)
def disturbances(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Flaky links, slow cores, pauses and wrong clocks at random."""
    mttf, mttr = stream.choice((0.3, 1.0)), stream.choice((0.3, 1.0))
    yield RandomDisturbances(
        mttf,
        mttr,
        max_clock_drift=setting.system.max_clock_drift,
        wall_clocks_jump=setting.system.wall_clock_may_jump,
        start=_start(setting),
        end=setting.seconds,
    )


@kind(RandomPauses)
def pauses(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members pause at random."""
    yield RandomPauses(2.0, stream.choice((0.1, 0.5)), start=_start(setting), end=setting.seconds)


@kind(PowerFailure, never=_bounds_members_down, crashes=True)
def power(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """All members, or one, lose power at once."""
    down, target = stream.choice((0.1, 0.5)), stream.choice(("all", "all", "random"))
    yield PowerFailure(at=moment(setting, stream), target=target, down=down)


@kind(RollingRestart, never=_bounds_members_down, crashes=True)
def rolling_restart(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Members restart one after the other."""
    yield RollingRestart(
        at=moment(setting, stream) / 2, down=stream.choice((0.02, 0.3)), pause=stream.choice((0.1, 0.5))
    )


@kind(Repeated, Crash, never=_keeps_members_up, crashes=True)
def restart_loop(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A member crashes again and again, soon after each restart."""
    name, down, up = stream.choice(setting.names), stream.choice((0.02, 0.2)), stream.choice((0.05, 0.3, 0.7))
    yield Repeated(
        Crash(name, at=moment(setting, stream) / 2, down=down), count=2 + stream.below(5), pause=up
    )


@kind(
    Crash,
    never=lambda setting: "" if setting.system.max_gone else "it needs all members for progress (max_gone)",
    weight=2.0,
    crashes=True,
)
def gone_for_good(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """As many members as the system can do without crash, and stay down after the storm."""
    for name in stream.sample(setting.names, setting.system.max_gone):
        yield Crash(name, at=moment(setting, stream), for_good=True)


@kind(Pause)
def pause_of_the_leader(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The leader pauses for about the election timeout."""
    yield Pause("leader", at=moment(setting, stream), duration=about(setting, stream))


@kind(Partition)
def isolated_leader(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The leader is cut from all others, or from the other members only, so that its clients still reach it."""
    at, whole = moment(setting, stream), stream.chance(0.3)
    others = () if whole else (setting.names,)
    yield Partition((("leader",), *others), at=at, duration=2 * about(setting, stream))


@kind(Repeated, Cut, never=_has_few_members(2))
def flapping(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A link goes up and down."""
    src, dst = stream.sample(setting.names, 2)
    cut = Cut(
        src,
        dst,
        at=moment(setting, stream) / 2,
        duration=stream.uniform(0.05, 0.5),
        one_way=stream.chance(0.5),
    )
    yield Repeated(cut, count=3 + stream.below(8), pause=stream.uniform(0.05, 0.5))


@kind(Cut, never=_has_few_members(2))
def one_way_cut(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One direction of a link is dead for a long time."""
    src, dst = stream.sample(setting.names, 2)
    yield Cut(src, dst, at=moment(setting, stream), duration=4 * about(setting, stream), one_way=True)


@kind(QuorumLoss, ConstrainedElection, ChainedCut, never=_has_few_members(3))
def partial_connectivity(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """One of the partial partitions of Omni-Paxos."""
    shape = stream.choice((QuorumLoss, ConstrainedElection, ChainedCut))
    yield shape(at=moment(setting, stream), duration=3 * about(setting, stream))


@kind(BridgeCut, never=_has_few_members(3))
def bridge(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Two halves with one member between them."""
    yield BridgeCut(at=moment(setting, stream), duration=3 * about(setting, stream))


@kind(RingCut, never=_has_few_members(4))
def ring(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """Each member sees another majority."""
    yield RingCut(at=moment(setting, stream), duration=3 * about(setting, stream))


@kind(Flaky)
def bad_links(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The links of a member are late, narrow, or garble messages."""
    how: tuple[dict[str, float], ...] = (
        {"delay": setting.detection},
        {"bandwidth": 20e3},
        {"corrupted": 0.3},
    )
    at, duration = moment(setting, stream), 2 * about(setting, stream)
    yield Flaky(stream.choice(("leader", "random")), at=at, duration=duration, **stream.choice(how))  # type: ignore[arg-type]


@kind(Slow)
def slow_leader(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The leader's cores are slow."""
    yield Slow(
        "leader",
        at=moment(setting, stream),
        duration=2 * about(setting, stream),
        speed=stream.choice((0.1, 0.01)),
    )


@kind(SlowDisk, StalledDisk, never=_writes_nothing)
def late_disks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The disk of a member is slow, or stalls for about the detection time."""
    at, length, target = (
        moment(setting, stream),
        about(setting, stream),
        stream.choice(("leader", "random", "all")),
    )
    if stream.chance(0.5):
        yield StalledDisk(target, at=at, duration=length)
    else:
        yield SlowDisk(target, at=at, duration=2 * length, factor=stream.choice((10.0, 100.0)))


@kind(FailedWrite, FullDisk, never=_writes_nothing_or_bounds, crashes=True)
def failing_disks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A write of a member fails, or its disk is full for a time; it crashes."""
    at, length, target = moment(setting, stream), about(setting, stream), stream.choice(("leader", "random"))
    if stream.chance(0.5):
        yield FailedWrite(target, at=at, down=length / 2)
    else:
        yield FullDisk(target, at=at, duration=length)


def _damage_is_outside(setting: Circumstances) -> str:
    allowed = setting.system.disks_may_be_damaged
    return "" if allowed else "its disks keep what was synced (disks_may_be_damaged is False)"


@kind(DamagedDisk, Crash, never=_damage_is_outside, crashes=True)
def damaged_disks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A record on a member's disk is damaged; the member restarts and finds out."""
    name, at = stream.choice(setting.names), moment(setting, stream)
    yield DamagedDisk(name, at=at)
    yield Crash(name, at=at, down=stream.choice((0.02, 0.3)))


def _clocks_are_right(setting: Circumstances) -> str:
    system = setting.system
    right = not system.wall_clock_may_jump and system.max_clock_drift == 0
    return "clocks are exact in its fault model" if right else ""


@kind(ClockJump, never=_clocks_are_right)
def clocks(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """The wall clock of a member jumps, and its clocks run at another rate from then on."""
    system = setting.system
    most = 0.5 if system.max_clock_drift is None else system.max_clock_drift
    offset = stream.uniform(-50.0, 50.0)
    drift = stream.uniform(-most, most)
    yield ClockJump(
        stream.choice(("leader", "random")),
        at=moment(setting, stream),
        offset=offset if system.wall_clock_may_jump else None,
        drift=drift if most else None,
    )


@kind(Crash, never=lambda setting: "" if setting.clients else "it has no clients")
def crash_of_a_client(setting: Circumstances, stream: Stream) -> Iterator[Fault]:
    """A client crashes in the middle of its operations, and comes back."""
    yield Crash(stream.choice(setting.clients), at=moment(setting, stream), down=stream.choice((0.05, 0.5)))
