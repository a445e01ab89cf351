"""Table 4 of PBS: latencies and t-visibility of partial quorums, by our Dynamo in the simulator and by Monte Carlo.

    python validation/pbs.py                     # all rows, a few minutes
    python validation/pbs.py --trials 5000       # a quick look

Bailis et al., PVLDB 5(8), 2012: N = 3, delays of write requests (W), acknowledgements (A), read requests (R) and
replies (S) as fitted to LinkedIn's services (table 3), 99.9th percentiles of latency, and the time after a commit from
which 99.9 % of reads see it (table 4); some points of section 5.

Two witnesses: (1) `Dynamo` itself, with two coordinators that store nothing, one for writes and one for reads, so that
each of the four kinds of message has a link of its own; every answer of the protocol is compared with what the model
says of the delays that its messages had; (2) the model alone, in NumPy, for as many trials as quantiles of 99.9 % need.

The printed t are below the exact quantiles: they are the first t of an upward sweep at which a noisy estimate reached
99.9 %. The sweep is repeated here (50,000 trials a point, steps of the last printed digit), many times.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import numpy as np

from sim import Scenario
from sim.analysis.pbs import Wars, sampled, wars, wars_of_messages
from sim.distributions import Distribution
from sim.network import Exponential, Mixture, Pareto, matrix
from sim.protocols import Dynamo
from sim.protocols.client import Retry
from sim.workload import ReadAfterWrite

__all__ = ["DELAYS", "POINTS", "TABLE", "Row", "first_crossings", "model", "simulate"]

N = 3
QUANTILE = 0.999
KINDS = ("Put", "PutAck", "Get", "GetReply")


def fitted(share: float, rate: float, xm: float, alpha: float) -> Distribution:
    """An exponential (rate in 1/ms) with a probability of ``share``, else a Pareto tail (xm in ms), in seconds."""
    return Mixture(((share, Exponential(1e-3 / rate)), (1.0 - share, Pareto(1e-3 * xm, alpha))))


_SSD = fitted(0.0878, 1.66, 0.235, 10.0)
_DISK_WRITES = fitted(0.62, 0.183, 1.05, 1.51)
DELAYS: dict[str, tuple[Distribution, Distribution]] = {  # write requests; all others
    "LNKD-SSD": (_SSD, _SSD),
    "LNKD-DISK": (_DISK_WRITES, _SSD),
}


class Row(NamedTuple):
    """A row of table 4, in ms: as printed; and the exact quantile by an independent Monte Carlo (2 million trials)."""

    name: str
    reads: int
    writes: int
    read_latency: float
    write_latency: float
    t: float
    t_exact: float


TABLE = tuple(
    Row(*row)
    for row in (
        ("LNKD-SSD", 1, 1, 0.66, 0.66, 1.85, 1.96),
        ("LNKD-SSD", 1, 2, 0.66, 1.63, 1.79, 1.85),
        ("LNKD-SSD", 2, 1, 1.63, 0.65, 0.0, 0.0),
        ("LNKD-SSD", 2, 2, 1.62, 1.64, 0.0, 0.0),
        ("LNKD-SSD", 3, 1, 4.14, 0.65, 0.0, 0.0),
        ("LNKD-SSD", 1, 3, 0.65, 4.09, 0.0, 0.0),
        ("LNKD-DISK", 1, 1, 0.66, 10.99, 45.5, 51.4),
        ("LNKD-DISK", 1, 2, 0.65, 20.97, 43.3, 48.2),
        ("LNKD-DISK", 2, 1, 1.63, 10.9, 13.6, 14.16),
        ("LNKD-DISK", 2, 2, 1.64, 20.96, 0.0, 0.0),
        ("LNKD-DISK", 3, 1, 4.12, 10.89, 0.0, 0.0),
        ("LNKD-DISK", 1, 3, 0.65, 112.65, 0.0, 0.0),
    )
)
POINTS = (  # section 5, R = W = 1: name, t in ms, share of consistent reads as printed
    ("LNKD-SSD", 0.0, 0.974),
    ("LNKD-SSD", 5.0, 0.99999),
    ("LNKD-DISK", 0.0, 0.439),
    ("LNKD-DISK", 10.0, 0.925),
)


def model(name: str, reads: int, writes: int, trials: int, seed: int = 0) -> Wars:
    """The model alone: independent delays drawn from the distributions."""
    writing, others = DELAYS[name]
    return sampled(writing, others, others, others, n=N, reads=reads, writes=writes, trials=trials, seed=seed)


def first_crossings(visible_after: Any, step: float, sweeps: int = 200, seed: int = 0) -> Any:
    """For each of some sweeps the first t, in steps (s) from zero, at which 99.9 % of 50,000 trials are consistent."""
    rng = np.random.default_rng([seed, 0xF1])
    ordered = np.sort(visible_after)
    grid = step * np.arange(round(2 * np.quantile(ordered, QUANTILE) / step))
    stale = 1.0 - np.searchsorted(ordered, grid, side="right") / len(ordered)
    found = rng.binomial(50_000, stale, size=(sweeps, len(grid)))
    return grid[np.argmax(found <= round(50_000 * (1 - QUANTILE)), axis=1)]


def network(name: str, n: int = N) -> Any:
    """Replicas, a coordinator for writes and one for reads, each at a place of its own."""
    writing, others = DELAYS[name]
    replicas = [f"replica {i}" for i in range(n)]
    places = [*replicas, "writer", "reader"]
    return matrix(
        places,
        [[writing if src == "writer" and dst in replicas else others for dst in places] for src in places],
    )


def simulate(
    name: str, reads: int, writes: int, trials: int, waits: tuple[float, ...] = (0.0,), seed: int = 0
) -> tuple[Wars, Any, Any]:
    """Our protocol: (what the model says of the delays of its messages, answers, waits), an entry a trial.

    ``waits`` in seconds. The first answer is whether the read saw the write.
    """
    run = Scenario(
        system=Dynamo(
            nodes=N,
            n=N,
            r=reads,
            w=writes,
            repair="off",
            handoff=False,
            sync_every=None,
            proxies=2,
            heartbeat=10.0,
            detection=1e6,
            grace=1e7,
        ),
        network=network(name),
        workload=ReadAfterWrite(writer="p0", reader="p1", waits=waits, trials=trials, every=0.5),
        retry=Retry(timeout=1e6),
        duration=0.5 * trials + 600.0,  # the tail of a Pareto is long
        trace=True,
    ).run(seed)
    operations = run.operations
    by_trial = operations["key"].str.removeprefix("k").astype(int)
    put = (
        operations[operations["kind"] == "put"].set_index(by_trial[operations["kind"] == "put"]).sort_index()
    )
    get = (
        operations[operations["kind"] == "get"].set_index(by_trial[operations["kind"] == "get"]).sort_index()
    )
    assert len(put) == len(get) == trials
    order = np.argsort(
        get["called"].to_numpy(), kind="stable"
    )  # reads may be called out of order of their trials
    replicas = [f"n{i}" for i in range(N)]
    w, a, r, s = wars_of_messages(run.messages, writer="p0", reader="p1", replicas=replicas, kinds=KINDS)
    back = np.empty(trials, dtype=int)
    back[order] = np.arange(trials)
    found = wars(w, a, r[back], s[back], reads=reads, writes=writes)
    # The clock of the protocol is the simulator's: latencies are what the model makes of the delays.
    assert np.allclose(put["latency"], found.write_latency)
    assert np.allclose(get["latency"], found.read_latency)
    waited = (get["called"] - put["returned"]).to_numpy()
    return found, (get["value"] == put["value"]).to_numpy(), waited


def quantiles_ms(found: Wars) -> tuple[float, float, float]:
    """The 99.9th percentiles of read latency, write latency and visibility."""
    read, write, t = (
        1e3 * float(np.quantile(x, QUANTILE))
        for x in (found.read_latency, found.write_latency, found.visible_after)
    )
    return read, write, t


def main() -> int:
    parser = argparse.ArgumentParser(description="Table 4 of Bailis et al., PVLDB 5(8), 2012.")
    parser.add_argument("--trials", type=int, default=20_000, help="of the protocol, per row")
    parser.add_argument("--draws", type=int, default=2_000_000, help="of the model, per row")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    wrong, compared, outside = 0, 0, 0
    worst = {"latency": 0.0, "t": 0.0}
    print("in ms          | read latency, 99.9 %   | write latency, 99.9 %   | 99.9 % of reads see it after")
    print(
        "delays     R W | printed model protocol | printed  model protocol | printed (98 % sweeps) exact model protocol"
    )
    for row in TABLE:
        alone = model(row.name, row.reads, row.writes, options.draws, options.seed)
        waits = tuple(1e-3 * t for t in (0.0, 1.0, 5.0, 10.0, 20.0, row.t_exact))
        ran, saw, waited = simulate(row.name, row.reads, row.writes, options.trials, waits, options.seed)
        clear = (ran.visible_after == 0.0) | (
            np.abs(ran.visible_after - waited) > 1e-9
        )  # no matter of rounding
        wrong += int((saw != (ran.visible_after <= waited))[clear].sum())
        compared += int(clear.sum())
        (read, write, t), (ran_read, ran_write, ran_t) = quantiles_ms(alone), quantiles_ms(ran)
        swept = ""
        if row.t_exact:
            crossings = 1e3 * first_crossings(
                alone.visible_after, 1e-5 if row.t < 10 else 1e-4, seed=options.seed
            )
            low, high = np.quantile(crossings, [0.01, 0.99])
            outside += not low <= row.t <= high
            swept = f"({low:.2f} to {high:.2f})"
            worst["t"] = max(worst["t"], abs(t / row.t_exact - 1))
        for ours, printed in ((read, row.read_latency), (write, row.write_latency)):
            worst["latency"] = max(worst["latency"], abs(ours / printed - 1))
        print(
            f"{row.name:10} {row.reads} {row.writes} |"
            f" {row.read_latency:7.2f} {read:5.2f} {ran_read:8.2f} |"
            f" {row.write_latency:7.2f} {write:6.2f} {ran_write:8.2f} |"
            f" {row.t:7.2f} {swept:16} {row.t_exact:5.2f} {t:5.2f} {ran_t:7.2f}"
        )
    print("\nR = W = 1: share of reads that see the write, t after its commit")
    for name, at, printed in POINTS:
        share = model(name, 1, 1, options.draws, options.seed).consistent(1e-3 * at)
        _, saw, _ = simulate(name, 1, 1, options.trials, (1e-3 * at,), options.seed)
        print(f"{name:10} t = {at:4.1f} ms: printed {printed}, model {share:.5f}, protocol {saw.mean():.5f}")
    print(f"\n{compared} answers of the protocol compared with the model: {wrong} differ.")
    print(
        f"The model's latencies are within {worst['latency']:.1%} of the printed ones, its t within {worst['t']:.1%} "
        f"of the exact quantiles; {outside} printed t are outside what sweeps give."
    )
    return int(wrong > 0 or outside > 0 or worst["latency"] > 0.05 or worst["t"] > 0.04)


if __name__ == "__main__":
    raise SystemExit(main())
