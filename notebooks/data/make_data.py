"""Makes the data of notebook 10: round trips of three sites, a trace of half a minute, and a load test.

All of it is made up, with fixed seeds; run this file to make it again. The load test is a simulation of one server
that spends 1.2 ms of a core on a message and 4 ms on a sync, with errors of measurement of one percent.
"""

from pathlib import Path

import numpy as np

from sim import Disk, Machine, Scenario
from sim.network import constant
from sim.protocols import Raft
from sim.workload import OpenLoop

HERE = Path(__file__).parent
ROUND_TRIPS_MS = {("paris", "milan"): 18.0, ("paris", "madrid"): 26.0, ("milan", "madrid"): 31.0}
SITES = ("paris", "milan", "madrid")
REQUESTS, SECONDS = 600, 30.0
LOADS = (100, 500, 600, 700)


def main() -> None:
    """Write all files beside this one."""
    rng = np.random.default_rng(10)
    lines = ["src,dst,p50_ms,p99_ms"]
    lines += [f"{src},{dst},{trip:g},{1.4 * trip:g}" for (src, dst), trip in ROUND_TRIPS_MS.items()]
    (HERE / "sites.csv").write_text("\n".join(lines) + "\n")
    (HERE / "trace.csv").write_text("\n".join(trace(rng)) + "\n")
    (HERE / "load_test.csv").write_text("\n".join(load_test(rng)) + "\n")


def trace(rng: np.random.Generator) -> list[str]:
    """Requests as a proxy might log them: seconds, most of them to few objects."""
    lines = ["seconds,site,user,operation,object"]
    for at in np.sort(rng.uniform(0.0, SECONDS, REQUESTS)):
        site = SITES[int(rng.choice(len(SITES), p=(0.5, 0.3, 0.2)))]
        kind = "READ" if rng.random() < 0.7 else "UPDATE"
        item = min(int(rng.zipf(1.5)), 99)
        lines.append(f"{at:.3f},{site},{site[:2]}{int(rng.integers(6))},{kind},item{item}")
    return lines


def load_test(rng: np.random.Generator) -> list[str]:
    """Median latency of one server at several loads."""
    server = Machine(per_message=0.0012, disk=Disk(fsync=0.004))
    lines = ["offered,p50_ms,p95_ms"]
    for rate in LOADS:
        load = OpenLoop(rate=float(rate), clients=4, arrivals="constant", reads=0.0)
        bench = Scenario(
            system=Raft(nodes=1),
            network=constant(0.0001),
            workload=load,
            machines=server,
            duration=3.0,
            warmup=1.0,
        )
        found = bench.run(seed=rate).summary()
        p50, p95 = (1e3 * found[name] * rng.normal(1.0, 0.01) for name in ("p50", "p95"))
        lines.append(f"{rate},{p50:.3f},{p95:.3f}")
    return lines


if __name__ == "__main__":
    main()
