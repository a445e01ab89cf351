"""One fault of every class, and the same with other parameters: for tests that sweep over all of them."""

from __future__ import annotations

from sim.faults import (
    Act,
    Administer,
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
    Hold,
    OnEvent,
    OnWrite,
    Partition,
    Pause,
    PowerFailure,
    QuorumLoss,
    RandomCrashes,
    RandomDisturbances,
    RandomPartitions,
    RandomPauses,
    Repeated,
    Restart,
    RingCut,
    RollingRestart,
    Slow,
    SlowDisk,
    StaleLeader,
    StalledDisk,
    Strike,
    Succession,
)
from sim.protocols.admin import Transfer

__all__ = ["EVERY"]

EVERY: tuple[tuple[Fault, Fault], ...] = (
    (Administer(Transfer("n1"), at=1.0), Administer(Transfer("n1"), at=2.0)),
    (ClockJump("n0", at=1.0, offset=1.0), ClockJump("n0", at=1.5, drift=0.1)),
    (Crash("random", at=1.0, down=0.2), Crash("random", at=1.7, down=0.4)),
    (Cut("n0", "n1", at=1.0, duration=0.2), Cut("n0", "n1", at=1.1, duration=0.4, one_way=True)),
    (Flaky("n0", at=1.0, duration=0.2, loss=0.5), Flaky("n0", at=1.0, duration=0.3, slowdown=2.0)),
    (Partition((("n0",),), at=1.0, duration=0.2), Partition((("n0",),), at=1.2, duration=0.5)),
    (Pause("random", at=1.0, duration=0.2), Pause("random", at=1.4, duration=0.1)),
    (RandomCrashes(0.5, 0.1), RandomCrashes(0.3, 0.2, max_down=1, wiped=0.5)),
    (RandomDisturbances(0.5, 0.1), RandomDisturbances(0.2, 0.3, max_clock_drift=0.1)),
    (RandomPartitions(0.5, 0.1), RandomPartitions(0.2, 0.2, start=0.5)),
    (RandomPauses(0.5, 0.1), RandomPauses(0.2, 0.2, end=1.5)),
    (Restart("random", at=1.0), Restart("random", at=1.2, wiped=True)),
    (
        Strike((Act("crash", ("n0",)), Act("restart", ("n0",), after=0.2)), at=1.0),
        Strike((Act("pause", ("n0",)), Act("resume", ("n0",), after=0.1)), at=1.3),
    ),
    (BridgeCut(at=1.0, duration=0.2), BridgeCut(at=1.5, duration=0.1)),
    (ChainedCut(at=1.0, duration=0.2), ChainedCut(at=1.5, duration=0.1)),
    (ConstrainedElection(at=1.0, duration=0.2), ConstrainedElection(at=1.2, duration=0.1, behind=0.1)),
    (DamagedDisk("random", at=1.0), DamagedDisk("random", at=1.5)),
    (FailedWrite("random", at=1.0, down=0.2), FailedWrite("random", at=1.1, down=0.1)),
    (FullDisk("random", at=1.0, duration=0.2), FullDisk("random", at=1.1, duration=0.1)),
    (
        Hold("RequestVote", src="random", at=0.5, until=1.5),
        Hold("AppendEntries", src="random", at=0.7, until=OnEvent("crash"), count=2),
    ),
    (
        PowerFailure(at=1.0, target="random", down=0.3),
        PowerFailure(at=OnWrite(nth=20), target="random", down=0.2),
    ),
    (QuorumLoss(at=1.0, duration=0.2), QuorumLoss(at=OnEvent("elected"), duration=0.4)),
    (
        Repeated(Crash("random", at=0.5, down=0.1), count=3, pause=0.2),
        Repeated(Crash("random", at=0.7, down=0.2), count=2, pause=0.1),
    ),
    (RingCut(at=1.0, duration=0.2), RingCut(at=1.5, duration=0.1)),
    (RollingRestart(at=0.5, down=0.1, pause=0.2), RollingRestart(at=0.7, down=0.2, pause=0.1)),
    (SlowDisk("random", at=1.0, duration=0.5), SlowDisk("random", at=1.1, duration=0.4, factor=3.0)),
    (
        StaleLeader(at=0.5),
        StaleLeader(at=0.6, turns=2, timeout=0.5, alone=0.1, late=0.1, restart=0.02),
    ),
    (StalledDisk("random", at=1.0, duration=0.5), StalledDisk("random", at=1.1, duration=0.4)),
    (Succession(at=0.5, turns=2), Succession(at=0.6, turns=3, timeout=0.5, linger=0.0)),
    (Slow("random", at=1.0, duration=0.5), Slow("random", at=1.1, duration=0.4, speed=0.5)),
)
"""(a fault, the same fault with other parameters)"""
