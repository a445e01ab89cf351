"""What a new server costs a cache: the keys that move, and how evenly they lie.

Ten servers become eleven. A hash policy must move one key in eleven; key modulo n moves nearly all of them. Then the
same servers run under a skewed load, where bounded loads protect the server of the most popular keys from overload.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from sim import Scenario
from sim.analysis.balancing_measures import gauge_by_node
from sim.analysis.measures import imbalance
from sim.analysis.plots import save
from sim.analysis.plots.balancing import keys_moved_bars, server_shares
from sim.lab.story import main
from sim.network import constant
from sim.protocols.balancing import (
    Backend,
    Balanced,
    BoundedLoad,
    Exponential,
    JumpHash,
    Maglev,
    Policy,
    Pool,
    Rendezvous,
    RingHash,
    hash64,
    keys_moved,
)
from sim.protocols.client import Retry
from sim.workload import OpenLoop, Zipf

SERVERS, SERVICE, KEYS = 10, 0.010, 10_000


@dataclasses.dataclass(frozen=True)
class Modulo(Policy):
    """A policy of one's own: the key modulo the number of servers."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return candidates[hash64(key) % len(candidates)]


POLICIES: dict[str, Policy] = {
    "modulo": Modulo(),
    "ring, 1 point": RingHash(points=1),
    "ring, 160 points": RingHash(),
    "jump": JumpHash(),
    "rendezvous": Rendezvous(),
    "Maglev": Maglev(),
    "bounded ring": BoundedLoad(RingHash(), c=1.25),
}

scenario = Scenario(
    system=Balanced(servers=SERVERS, service=Exponential(SERVICE), policy=RingHash()),
    network=constant(0.0002),
    workload=OpenLoop(rate=0.5 * SERVERS / SERVICE, clients=4, keys=Zipf(KEYS, exponent=0.8), reads=1.0),
    duration=10.0,
    retry=Retry(timeout=30.0),
    sample_every=0.5,
)

SHORT = {"duration": 2.0}


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Count the keys that move; then run each policy under skewed keys."""
    keys = [f"k{i}" for i in range(KEYS)]
    names = [f"s{i}" for i in range(SERVERS + 1)]
    moved = {name: keys_moved(policy, keys, names[:-1], names) for name, policy in POLICIES.items()}
    loads, rows = {}, []
    for name, policy in POLICIES.items():
        system = dataclasses.replace(scenario.system, policy=policy)  # type: ignore[call-arg]
        run = dataclasses.replace(scenario, system=system).run(seed)
        received = gauge_by_node(run.samples, "received").iloc[-1]
        loads[name] = received.tolist()
        rows.append(
            {"policy": name, "moved": moved[name], "p99": run.summary()["p99"], **imbalance(received)}
        )
    table = pd.DataFrame(rows).set_index("policy")
    table.to_csv(folder / "keys_moved.csv")
    save(keys_moved_bars(moved, share=1 / (SERVERS + 1)), folder / "keys_moved.png")
    save(server_shares(loads), folder / "shares.png")
    ring, bounded = table.loc["ring, 160 points"], table.loc["bounded ring"]
    return (
        f"From {SERVERS} to {SERVERS + 1} servers the ring moves {ring['moved']:.1%} of the keys, jump "
        f"{moved['jump']:.1%}, Maglev {moved['Maglev']:.1%}, modulo {moved['modulo']:.1%}; "
        f"the minimum is {1 / (SERVERS + 1):.1%}.\n"
        f"With popular keys the ring's fullest server gets {ring['max_over_mean']:.2f} times its share (p99 "
        f"{1e3 * ring['p99']:.0f} ms); bounded loads bring that to {bounded['max_over_mean']:.2f} "
        f"(p99 {1e3 * bounded['p99']:.0f} ms)."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
