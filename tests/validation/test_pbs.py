"""Dynamo answers as the model of PBS says of the delays of its messages (Bailis et al., PVLDB 2012)."""

from __future__ import annotations

import numpy as np
import pytest

from sim.analysis.pbs import sampled
from sim.distributions import Constant
from sim.validation.partial_quorums import answers
from tests.budget import mostly_nightly

CASES = [("LNKD-DISK", 1, 1), ("LNKD-DISK", 2, 1), ("LNKD-SSD", 1, 2)]


@pytest.mark.parametrize(("delays", "reads", "writes"), mostly_nightly(CASES, lambda case: case == CASES[0]))
def test_every_answer_of_the_protocol_is_what_the_model_says_of_its_messages(
    delays: str, reads: int, writes: int
) -> None:
    """So are its latencies: `answers` asserts them."""
    waits = (0.0, 0.0001, 0.0005, 0.002, 0.005, 0.02)
    found, saw, waited = answers(delays, reads=reads, writes=writes, trials=900, waits=waits, seed=0)
    assert waited == pytest.approx(np.resize(waits, 900))
    assert np.array_equal(saw, found.visible_after <= waited)
    assert 0 < (~saw).sum() < 900


def test_overlapping_quorums_are_never_stale() -> None:
    found, saw, _ = answers("LNKD-DISK", reads=2, writes=2, trials=300, waits=(0.0,), seed=0)
    assert saw.all()
    assert not found.visible_after.any()


def test_each_replica_may_have_delays_of_its_own() -> None:
    near, far = Constant(0.001), Constant(0.1)
    found = sampled(
        [near, far, far], [near] * 3, [near] * 3, [near, far, far], n=3, reads=1, writes=1, trials=9
    )
    assert found.write_latency == pytest.approx(0.002)
    assert found.read_latency == pytest.approx(0.002)
    assert found.visible_after == pytest.approx(0.0)  # the near replica has the write, and answers first
    away = sampled(
        [far, near, far], [near] * 3, [near] * 3, [near, far, far], n=3, reads=1, writes=1, trials=9
    )
    assert away.visible_after == pytest.approx(0.1 - 0.001 - 0.002)
    with pytest.raises(ValueError, match="one distribution for each of 3 replicas is needed, not 2"):
        sampled([near, far], near, near, near, n=3, reads=1, writes=1, trials=9)
