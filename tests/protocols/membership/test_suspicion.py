"""Rules of suspicion: phi's thresholds as published, the estimate of the next arrival, monotone levels."""

from __future__ import annotations

from itertools import pairwise
from math import erfc, log10, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.protocols import ExpectedArrival, FixedTimeout, PhiAccrual
from sim.protocols.membership.suspicion import phi_of, z_of

# Hayashibara et al. 2004: phi = -log10 of the normal tail; z with phi(z) equal to the threshold.
PUBLISHED = {1: 1.2816, 3: 3.0902, 5: 4.2649, 8: 5.612, 12: 7.0345}


@pytest.mark.parametrize(("phi", "z"), PUBLISHED.items())
def test_phi_reaches_its_threshold_at_the_published_deviations(phi: int, z: float) -> None:
    assert z_of(phi) == pytest.approx(z, abs=5e-5)
    assert phi_of(z_of(phi)) == pytest.approx(phi, rel=1e-12)


@given(st.floats(1e-3, 300.0))
def test_phi_and_z_are_inverse_however_far_out(phi: float) -> None:
    assert phi_of(z_of(phi)) == pytest.approx(phi, rel=1e-8)


def test_phi_goes_on_smoothly_where_erfc_underflows() -> None:
    for z in (30.0, 33.0, 37.0):  # here both can be computed
        assert phi_of(z) == pytest.approx(-log10(0.5 * erfc(z / sqrt(2.0))), rel=1e-8)
    values = [phi_of(z) for z in np.linspace(-5.0, 100.0, 2000)]
    assert all(a <= b for a, b in pairwise(values))
    assert values[-1] == pytest.approx(2173.87, abs=0.01)  # log10(sqrt(2 pi) 100) + 5000 / ln 10


@pytest.mark.parametrize(("phi", "z"), PUBLISHED.items())
def test_a_peer_is_suspected_mu_plus_z_sigma_after_its_last_heartbeat(phi: int, z: float) -> None:
    watch = PhiAccrual(threshold=phi, window=400, min_std=1e-9).watch(0.0, 1.0, 10.0)
    gaps = np.random.default_rng(1).normal(1.0, 0.1, 400)
    now = 0.0
    watch.heard(now, 1)
    for number, gap in enumerate(gaps, start=2):
        now += float(gap)
        watch.heard(now, number)
    # The window is full: the two invented intervals have left it.
    assert watch.deadline == pytest.approx(now + gaps.mean() + z * gaps.std(), abs=1e-5)
    assert watch.level(watch.deadline) == pytest.approx(phi, rel=1e-9)
    assert watch.level(watch.deadline - 1e-6) < phi < watch.level(watch.deadline + 1e-6)


def test_before_it_knows_anything_phi_invents_two_intervals() -> None:
    watch = PhiAccrual(threshold=8.0).watch(5.0, 1.0, 10.0)
    assert watch.deadline == pytest.approx(5.0 + 1.0 + z_of(8.0) * 0.25)


def test_a_window_forgets_what_is_older() -> None:
    watch = PhiAccrual(window=10, min_std=1e-6).watch(0.0, 1.0, 10.0)
    for number in range(1, 12):
        watch.heard(3.0 * number, number)
    assert watch.timeout == pytest.approx(3.0, abs=1e-4)


@pytest.mark.parametrize(
    "rule", [FixedTimeout(2.0), ExpectedArrival(1.0), PhiAccrual(3.0)], ids=lambda r: r.label
)
def test_the_level_never_falls_between_heartbeats_and_is_the_threshold_at_the_deadline(rule: Any) -> None:
    watch = rule.watch(0.0, 1.0, 10.0)
    generator = np.random.default_rng(2)
    now = 0.0
    for number in range(1, 50):
        now += float(generator.exponential(1.0))
        watch.heard(now, number)
        times = now + np.linspace(0.0, 20.0, 50)
        levels = [watch.level(float(t)) for t in times]
        assert all(a <= b for a, b in pairwise(levels))
        assert watch.level(watch.deadline) == pytest.approx(watch.threshold)


def test_the_expected_arrival_is_chens_estimate_and_is_not_shifted_by_losses() -> None:
    # Chen, Toueg, Aguilera 2002, section 6: EA(l+1) = mean(A(i) - eta s(i)) + (l+1) eta; here A(i) = eta s(i) + 0.3.
    watch = ExpectedArrival(margin=0.5, window=4).watch(0.0, 1.0, 10.0)
    for number in (1, 2, 5, 9):  # 3, 4, 6, 7, 8 are lost
        watch.heard(number + 0.3, number)
        assert watch.deadline == pytest.approx(number + 1 + 0.3 + 0.5)
    watch.heard(10 + 0.3 + 0.4, 10)  # 0.4 s late: a quarter of it enters the estimate
    assert watch.deadline == pytest.approx(11 + 0.3 + 0.1 + 0.5)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            lambda: FixedTimeout(1.0).watch(0.0, 1.0, 10.0),
            r"timeout \(1.0 s\) must be longer than the heartbeat \(1.0",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()
