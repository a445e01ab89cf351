"""Stale reads of partial quorums, by the protocol (Bailis et al., PBS, PVLDB 5(8), 2012, section 5)."""

from __future__ import annotations

import numpy as np

from sim.validation.form import Case, Estimate, Figures, Perturbation, Published
from sim.validation.partial_quorums import answers, sampled_apart

__all__ = ["RESULT"]

TRIALS = 1500


def consistent(seed: int, *, delays: str, wait: float, reads: int, shifted: int) -> Figures:
    """Of reads that begin ``wait`` seconds after the commit, the share that see the write; R = ``reads``, W = 1.

    And the share of answers that are what the model says of the delays that their messages had.
    """
    ran, saw, waited = answers(delays, reads=reads, writes=1, trials=TRIALS, waits=(wait,), seed=seed)
    clear = (ran.visible_after == 0.0) | (np.abs(ran.visible_after - waited) > 1e-9)  # no matter of rounding
    agrees = (np.roll(saw, shifted) == (ran.visible_after <= waited))[clear]
    return {"share": float(saw.mean()), "as the model says": float(agrees.mean())}


def by_monte_carlo(*, delays: str, wait: float, reads: int, shifted: int) -> Figures:
    """The model alone, 400,000 draws."""
    share = sampled_apart(delays, reads=reads, writes=1, trials=400_000, seed=0).consistent(wait)
    return {"share": Estimate(share, (share * (1 - share) / 400_000) ** 0.5), "as the model says": 1.0}


def _case(delays: str, wait: float, published: float | None, samples: int, tolerance: float) -> Case:
    return Case(
        name=f"{delays}, t = {1000 * wait:g} ms",
        settings={"delays": delays, "wait": wait},
        published={"share": published} | ({} if (published or 0.0) > 0.999 else {"as the model says": None}),
        samples=samples,
        tolerance={"share": tolerance, "as the model says": 0.0},
    )


RESULT = Published(
    name="pbs",
    title="Stale reads of partial quorums: the protocol",
    source="Bailis et al., Probabilistically Bounded Staleness, PVLDB 5(8), 2012, section 5",
    certainty="43.9 % read, the others recalled and checked by a Monte Carlo.",
    setup=(
        "Dynamo with N = 3, R = W = 1, delays as fitted to LinkedIn's services; coordinators away from the "
        "replicas, each "
        "kind of message on a link of its own. On the WAN a replica is in each of three data centres, 75 ms apart, "
        "and the coordinators are in two of them: each replica has delays of its own. The share of reads that see "
        "the write, t after its commit."
    ),
    unit="share of reads",
    measure=consistent,
    expect=by_monte_carlo,
    expected_by=(
        "the paper's model alone, 400,000 draws; each answer of the protocol is what it says of its "
        "messages' delays."
    ),
    settings={"reads": 1, "shifted": 0},
    cases=(
        _case("LNKD-SSD", 0.0, 0.974, 4, 0.015),
        _case("LNKD-SSD", 0.005, 0.99999, 2, 0.005),
        _case("LNKD-DISK", 0.0, 0.439, 6, 0.08),
        _case("LNKD-DISK", 0.010, 0.925, 4, 0.02),
        _case("WAN", 0.080, None, 4, 0.02),
    ),
    perturbations=(
        Perturbation(
            what="reads ask for two replies",
            off={"reads": 2},
            cases=("LNKD-SSD, t = 0 ms", "LNKD-DISK, t = 0 ms", "LNKD-DISK, t = 10 ms"),
            figures=("share",),
        ),
        Perturbation(
            what="reads do not wait",
            off={"wait": 0.0},
            cases=("LNKD-SSD, t = 5 ms", "WAN, t = 80 ms"),
            figures=("share",),
        ),
        Perturbation(
            what="each answer is compared with the messages of another trial",
            off={"shifted": 1},
            figures=("as the model says",),
        ),
    ),
    tolerance=0.02,
)
