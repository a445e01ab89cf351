"""Who is down? Fixed timeouts, expected arrivals, phi and SWIM on a lossy network, with members that pause.

A quicker detector is wrong more often; detectors differ in this trade-off. Six members lose 3 % of their messages,
pause for 0.3 s on average every 15 s each (for instance for garbage collection), and one of them crashes every 20 s.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario, System
from sim.analysis.detection_measures import detection_summary, messages_per_member_and_period
from sim.analysis.plots import save
from sim.analysis.plots.membership import detection_tradeoff
from sim.faults import Crash, RandomPauses
from sim.lab.story import main
from sim.network import LogNormal, lan
from sim.protocols import ExpectedArrival, FixedTimeout, HeartbeatDetectors, PhiAccrual, Swim
from sim.workload import NoLoad

NODES = 6
HEARTBEAT = 0.1
CRASHES = 15


def faults(crashes: int) -> list[Crash | RandomPauses]:
    """One crash after the other, and pauses all the time."""
    down = [Crash("random", at=10.0 + 20.0 * i, down=10.0) for i in range(crashes)]
    return [*down, RandomPauses(every=15.0, length=0.3)]


scenario = Scenario(
    system=HeartbeatDetectors(nodes=NODES, heartbeat=HEARTBEAT),
    network=lan(LogNormal(median=0.005, sigma=1.0), loss=0.03),
    workload=NoLoad(),
    faults=faults(CRASHES),
    duration=20.0 * CRASHES,
)
SHORT = {"faults": faults(2), "duration": 40.0}


def beating(rule: FixedTimeout | ExpectedArrival | PhiAccrual) -> HeartbeatDetectors:
    """Heartbeat detectors with one rule."""
    return HeartbeatDetectors(nodes=NODES, heartbeat=HEARTBEAT, detector=rule)


FAMILIES: dict[str, dict[str, System]] = {
    "fixed timeout": {f"{t:g} s": beating(FixedTimeout(t)) for t in (0.3, 0.45, 0.7, 1.2)},
    "expected arrival": {f"+{m:g} s": beating(ExpectedArrival(m)) for m in (0.2, 0.45, 0.85)},
    "phi": {f"{phi:g}": beating(PhiAccrual(phi)) for phi in (1, 3, 8, 40, 150)},
    "SWIM": {
        f"{s} period{'s' * (s > 1)}": Swim(nodes=NODES, heartbeat=HEARTBEAT, suspicion=s) for s in (1, 2, 4)
    },
}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Run every setting; draw detection time against false suspicions."""
    members = tuple(f"n{i}" for i in range(NODES))
    rows = []
    for family, settings in FAMILIES.items():
        for setting, system in settings.items():
            run = dataclasses.replace(scenario, system=system).run(seed)
            events, by = run.events, "suspect"
            if family == "SWIM":  # what counts is which member it calls dead; suspicion is its way of asking
                events, by = events[~events["event"].isin(["suspect", "clear"])], "confirm"
            found = detection_summary(events, members, duration=run.ended, by=by)
            sent = messages_per_member_and_period(run.links, NODES, period=1.0, duration=run.ended)
            rows.append(
                (family, setting, found["detection_p50"], found["false_per_hour"], found["detected"], sent)
            )
    columns = ["run", "setting", "detection", "false_per_hour", "detected", "messages"]
    points = pd.DataFrame(rows, columns=columns)
    points.to_csv(folder / "detectors.csv", index=False)
    save(detection_tradeoff(points), folder / "who_is_down.png")
    cost = points.groupby("run")["messages"].mean()
    phi = points[(points["run"] == "phi") & (points["setting"] == "8")].iloc[0]
    fixed = points.loc[points[points["run"] == "fixed timeout"]["detection"].idxmin()]
    swim = points[points["run"] == "SWIM"]
    best = swim.loc[swim["false_per_hour"].idxmin()]
    return (
        f"The quickest timeout ({fixed['setting']}) finds a crash in "
        f"{fixed['detection']:.2f} s at {fixed['false_per_hour']:.0f} false suspicions an "
        f"hour; phi 8 in {phi['detection']:.2f} s at {phi['false_per_hour']:.0f}: losses and pauses are not normal.\n"
        f"SWIM (suspicion for {best['setting']}) takes {best['detection']:.2f} s, is wrong "
        f"{best['false_per_hour']:.0f} times an hour, "
        f"and sends {cost['SWIM']:.0f} messages a second and member instead of {cost['phi']:.0f}."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
