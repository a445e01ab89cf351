"""How evenly a hash ring spreads keys, by the points of a server (Lamping and Veach 2014, table 1)."""

from __future__ import annotations

from math import sqrt

import numpy as np

from sim.kernel import Streams
from sim.protocols.balancing import Backend, Pool, RingHash
from sim.validation.form import Case, Estimate, Figures, Perturbation, Published

__all__ = ["RESULT"]


def shares(seed: int, *, points: int, servers: int, factor: float) -> Figures:
    """The standard deviation of the servers' shares of the ring (mean 1), and the 0.5 % and 99.5 % quantiles."""
    pool = Pool(Streams(seed)["ring"], lambda: 0.0)
    pool.set_members(Backend(f"s{seed}-{i}", i) for i in range(servers))
    hashes, owners = RingHash(points=round(points * factor)).start(pool)
    found = np.zeros(servers)
    for i, owner in enumerate(owners):
        found[owner.index] += (hashes[i] - hashes[i - 1]) % 2**64 / 2**64 * servers
    low, high = np.quantile(found, [0.005, 0.995])
    return {"deviation": float(found.std()), "0.5 %": float(low), "99.5 %": float(high)}


def gamma_quantiles(*, points: int, servers: int, factor: float) -> Figures:
    """sqrt((B - 1) / (v B + 1)) exactly; quantiles of Gamma(v) / v by four draws of 500,000."""
    rng = np.random.default_rng(2014)
    drawn = [np.quantile(rng.gamma(points, 1 / points, 500_000), [0.005, 0.995]) for _ in range(4)]
    mean, error = np.mean(drawn, axis=0), np.std(drawn, axis=0, ddof=1) / 2
    return {
        "deviation": sqrt((servers - 1) / (points * servers + 1)),
        "0.5 %": Estimate(float(mean[0]), float(error[0])),
        "99.5 %": Estimate(float(mean[1]), float(error[1])),
    }


PRINTED: dict[int, dict[str, float]] = {
    1: {"deviation": 0.997906, "99.5 %": 5.25},
    10: {"deviation": 0.315181, "0.5 %": 0.37, "99.5 %": 1.98},
    100: {"deviation": 0.0996996, "0.5 %": 0.76, "99.5 %": 1.28},
    1000: {"deviation": 0.0315723},
}


def _case(points: int, servers: int, samples: int, **tolerance: float) -> Case:
    names = {"low": "0.5 %", "high": "99.5 %"}
    return Case(
        name=f"{points:,} points",
        settings={"points": points, "servers": servers},
        published=PRINTED[points],
        samples=samples,
        tolerance={names.get(name, name): value for name, value in tolerance.items()},
        fast=points == 10,
    )


RESULT = Published(
    name="hash_ring",
    title="How evenly a hash ring spreads keys",
    source="Lamping and Veach, A Fast, Minimal Memory, Consistent Hash Algorithm, 2014, table 1",
    certainty="Read at second hand. The number of buckets is not stated there; 1,000 fits.",
    setup=(
        "1,000 servers (200 with 1,000 points each) with points on a ring of 2^64; the share of the "
        "ring of each."
    ),
    unit="shares of the ring, mean 1",
    measure=shares,
    expect=gamma_quantiles,
    expected_by="sqrt((B - 1) / (v B + 1)) exactly; quantiles of a gamma distribution by plain draws.",
    settings={"factor": 1.0},
    cases=(
        _case(1, 1000, 16, deviation=0.1, high=0.1),
        _case(10, 1000, 8, deviation=0.06, low=0.08, high=0.05),
        _case(100, 1000, 8, deviation=0.06, low=0.03, high=0.03),
        _case(1000, 200, 6, deviation=0.12),
    ),
    perturbations=(Perturbation(what="servers have twice the points", off={"factor": 2.0}),),
    tolerance=0.1,
)
