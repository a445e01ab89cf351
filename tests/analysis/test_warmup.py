"""The warm-up that MSER-5 finds: of series with a known transient, of stationary ones, and of runs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim import Scenario, compare
from sim.analysis.warmup import WarmUp, warm_up
from sim.network import constant
from sim.protocols import PrimaryBackup, Raft
from sim.workload import OpenLoop

NO_EVENTS = pd.DataFrame({"time": [], "node": [], "event": []})


def operations(latencies: Any, every: float = 0.01) -> pd.DataFrame:
    called = every * np.arange(len(latencies))
    return pd.DataFrame({"called": called, "returned": called + latencies, "status": "ok"})


def found(latencies: Any, events: pd.DataFrame = NO_EVENTS) -> WarmUp:
    return warm_up(operations(latencies), events, duration=0.01 * len(latencies) + 10.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_known_transient_is_cut_and_the_bias_with_it(seed: int) -> None:
    """Latencies begin at fifteen times their level, and come down with a time constant of 0.8 s (80 operations)."""
    rng = np.random.default_rng(seed)
    series = rng.exponential(0.1, 3000) * (1 + 14 * np.exp(-np.arange(3000) / 80))
    end, over = found(series).end, found(series).over
    assert over
    assert 1.6 <= end <= 8.0  # two to ten time constants
    kept = series[round(end / 0.01) :]
    assert abs(kept.mean() - 0.1) < 0.01 < abs(series.mean() - 0.1)


def test_of_a_stationary_series_hardly_anything_is_cut() -> None:
    rng = np.random.default_rng(3)
    for draw in (lambda: rng.normal(1.0, 0.1, 1000), lambda: rng.exponential(0.1, 1000)):
        shares = [found(draw()).end / 10.0 for _ in range(60)]
        assert np.median(shares) == 0.0
        assert np.mean(shares) < 0.03


def test_a_series_that_never_settles_says_so() -> None:
    assert found(np.linspace(1.0, 0.1, 400)) == WarmUp(2.0, over=False)
    assert found([]) == found([0.1] * 9) == WarmUp(0.0, over=True)


def test_a_fault_is_no_warm_up() -> None:
    """Operations are slow from second 2 to second 3 of ten because a node crashed; or because the run begins so."""
    latencies = np.full(1000, 0.1)
    latencies[200:300] = 1.0
    crash = pd.DataFrame({"time": [1.99], "node": ["n0"], "event": ["crash"]})
    assert found(latencies).end == pytest.approx(3.0)
    assert found(latencies, crash).end == 0.0


def test_failed_operations_say_nothing_and_unanswered_ones_their_waiting() -> None:
    frame = operations(np.r_[np.full(50, 2.0), np.full(450, 0.1)])
    slow = warm_up(frame, NO_EVENTS, duration=5.0)
    assert slow.end == pytest.approx(0.5)
    unanswered = frame.assign(status=["info"] * 50 + ["ok"] * 450)
    assert warm_up(unanswered, NO_EVENTS, duration=5.0) == slow
    failed = frame.assign(status=["fail"] * 50 + ["ok"] * 450)
    assert warm_up(failed, NO_EVENTS, duration=5.0).end == 0.0


def world(**fields: Any) -> Scenario:
    load = OpenLoop(clients=2, rate=50.0)
    return Scenario(system=Raft(nodes=3), network=constant(0.02), workload=load, duration=4.0, **fields)


def test_a_run_cuts_what_it_waits_for_its_first_leader_and_tables_say_so() -> None:
    auto = world(warmup="auto").run(1)
    elected = auto.events.loc[auto.events["event"] == "elected", "time"].min()
    assert elected * 0.8 < auto.warmup < elected + 0.5
    assert auto.summary()["warmup"] == auto.warmup
    by_hand = world(warmup=auto.warmup).run(1)
    assert by_hand.digest() == auto.digest()
    assert auto.summary().drop(["warmup", "warmup_at_least"]).equals(by_hand.summary())
    systems = [Raft(nodes=3), PrimaryBackup(nodes=3)]
    text = compare(systems, world(warmup="auto"), seeds=2, workers=1, progress=None).text()
    assert "warm-up [s]" in text or "warm-up [ms]" in text
    assert re.search(
        r"warm-up found by MSER-5 in each run and cut: [\d.]+ to [\d.]+ s$", text, re.MULTILINE
    ), text
    assert "warm-up" not in compare(systems, world(), seeds=2, workers=1, progress=None).text()


def test_a_warm_up_is_written_and_refused_like_any_field() -> None:
    assert Scenario.from_toml(world(warmup="auto").to_toml()) == world(warmup="auto")
    for wrong in ("automatic", -1.0, 4.0):
        with pytest.raises(ValueError, match=f"warmup must be .*{wrong!r}"):
            world(warmup=wrong)
