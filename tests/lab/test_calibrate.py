"""Calibration: it recovers what a curve tells, says what it cannot tell, and admits what the model cannot explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sim import Disk, Machine, Node, Scenario, System, durable
from sim.distributions import LogNormal
from sim.lab import Calibration, calibrate
from sim.lab.calibrate.calibration import halves
from sim.lab.calibrate.curve import read_curve
from sim.lab.calibrate.model import with_parameters
from sim.lab.calibrate.search import minimise, profile
from sim.network import constant
from sim.protocols import Raft
from sim.protocols.client import Reply, Request
from sim.workload import ClosedLoop, NoLoad, OpenLoop

TRUE = Machine(per_message=0.004, disk=Disk(fsync=0.010))
LOADS = (25.0, 62.0, 100.0, 137.0, 175.0, 212.0)  # 250/s is what one core can do
# Four clients, each at a constant pace: the same waits in every run, so that short runs suffice. Nightly: Poisson.
BATCHES = OpenLoop(clients=4, arrivals="constant", reads=0.0)


class Counter(Node):
    """Counts puts on its disk; few events an operation."""

    count = durable(0)

    def on_request(self, src: str, msg: Request) -> None:
        if msg.command.kind == "put":
            self.count += 1
        self.send(src, Reply(msg.command.session, msg.command.sequence, "ok", None))


def scenario(**fields: Any) -> Scenario:
    given = {
        "system": System.of(Counter, nodes=1),
        "network": constant(0.0005),
        "workload": BATCHES,
        "duration": 0.6,
        "warmup": 0.1,
    }
    return Scenario(**{**given, **fields})


def curve(
    truth: Scenario,
    loads: Sequence[float] = LOADS,
    field: str = "workload.rate",
    seeds: Sequence[int] = (900,),
) -> pd.DataFrame:
    """What a load generator would print for these machines: the means over a few runs of each load."""
    rows = []
    for load in loads:
        runs = [truth.vary(field, load).run(seed=seed).measures() for seed in seeds]
        row = {name: float(np.mean([run[name] for run in runs])) for name in ("throughput", "p50", "p95")}
        rows.append({"offered" if field == "workload.rate" else "clients": load, **row})
    return pd.DataFrame(rows)


@cache
def measured() -> pd.DataFrame:
    return curve(scenario(machines=TRUE))


@cache
def found() -> Calibration:
    return calibrate(measured()[["offered", "p50", "p95"]], scenario(), seeds=2)


def test_it_recovers_the_cost_of_a_message_and_the_sync_time_within_5_percent() -> None:
    values = {parameter.name: parameter for parameter in found().parameters}
    for name, true in (("per_message", 0.004), ("fsync", 0.010)):
        assert values[name].value == pytest.approx(true, rel=0.05)
        assert values[name].low < true < values[name].high
        assert values[name].told
    assert found().explained
    assert found().untold == ()
    assert "cannot" not in found().text()
    machine = found().scenario.machines
    assert isinstance(machine, Machine)
    assert machine.per_message == values["per_message"].value
    assert machine.disk.latency.mean() == values["fsync"].value


def test_it_predicts_the_half_of_the_points_that_it_was_not_fitted_to() -> None:
    points = found().points
    halves = points.groupby("half")["offered"].unique()
    assert list(halves["fitted"]) == list(LOADS[0::2])
    assert list(halves["held out"]) == list(LOADS[1::2])
    assert np.allclose(points["error"], np.log(points["predicted"] / points["measured"]))
    held_out = points[points["half"] == "held out"]
    assert found().error() == pytest.approx(np.expm1(np.sqrt((held_out["error"] ** 2).mean())))
    assert found().error() < 0.2


def test_both_halves_have_points_of_all_sizes() -> None:
    loads = [20.0, 45.0, 70.0, 95.0]
    frame = pd.DataFrame(
        [{"offered": load, "bytes": size, "p50": 0.01} for size in (16, 1024) for load in loads]
    )
    read = read_curve(frame, closed=False)
    for half in halves(read):
        assert read.sizes is not None
        assert sorted((read.loads[i], read.sizes[i]) for i in half) in (
            [(20.0, 16), (20.0, 1024), (70.0, 16), (70.0, 1024)],
            [(45.0, 16), (45.0, 1024), (95.0, 16), (95.0, 1024)],
        )


@pytest.mark.nightly
def test_the_same_call_gives_the_same_values() -> None:
    few = measured().iloc[[0, 1, 3, 4]]
    one, other = (calibrate(few, scenario(), parameters=["fsync"], seeds=2) for _ in range(2))
    assert one.parameters == other.parameters
    assert one.rows == other.rows


@pytest.mark.nightly
def test_it_admits_that_the_model_cannot_explain_a_latency_that_jumps_and_falls() -> None:
    strange = (
        measured().assign(p50=measured()["p50"] * [1, 1, 2.2, 2.2, 1, 1]).loc[1:4, ["offered", "p50", "p95"]]
    )
    result = calibrate(strange, scenario(), seeds=2)
    assert not result.explained
    assert result.error() > 0.2
    assert result.error() > 3 * result.noise()
    assert "the model cannot explain these measurements" in result.text()
    # The error stated is that of the predictions beside the measurements.
    rows = result.points[result.points["half"] == "held out"]
    assert np.abs(np.log(rows["predicted"] / rows["measured"])).max() > 0.2


@pytest.mark.nightly
def test_it_says_that_one_client_cannot_tell_the_core_from_the_disk() -> None:
    """One client waits for core and disk one after the other: only their sum shows."""
    loop = ClosedLoop(clients=1, reads=0.0)
    truth = scenario(workload=loop, machines=TRUE, duration=0.3)
    alone = curve(truth, (1, 1, 1, 1), "workload.clients", seeds=[900])
    result = calibrate(alone[["clients", "p50", "p95"]], scenario(workload=loop, duration=0.3), seeds=2)
    assert result.explained
    assert not all(parameter.told for parameter in result.parameters)
    assert sum(parameter.value for parameter in result.parameters) == pytest.approx(0.014, rel=0.02)
    (sentence,) = result.untold
    assert sentence.startswith(
        "per_message and fsync cannot be told apart by this curve: more of one with less"
    )


@pytest.mark.nightly
def test_it_says_that_reads_tell_nothing_about_the_disk() -> None:
    reads = replace(BATCHES, reads=1.0)
    data = curve(scenario(workload=reads, machines=TRUE), LOADS[:4], seeds=[900, 901])[
        ["offered", "p50", "p95"]
    ]
    result = calibrate(data, scenario(workload=reads), seeds=2)
    message, sync = result.parameters
    assert message.told
    assert message.value == pytest.approx(0.004, rel=0.05)
    assert (sync.low, sync.high) == (0.0, float("inf"))
    assert str(sync) == "fsync: not told"
    assert result.untold == (
        "fsync cannot be told by this curve: all values that were tried explain it equally well",
    )


@pytest.mark.nightly
def test_all_three_costs_of_a_replicated_system_are_recovered() -> None:
    """Below saturation, where a run of some seconds is a steady state. Arrivals of other seeds than the fit's."""
    base = scenario(system=Raft(nodes=3), workload=OpenLoop(reads=0.0), duration=12.0, warmup=1.0)
    truth = replace(base, machines=Machine(per_message=0.002, per_byte=1e-6, disk=Disk(fsync=0.006)))
    tables = [
        curve(truth.vary("workload.value_bytes", size), (15.0, 30.0, 45.0, 60.0)).assign(bytes=size)
        for size in (16, 1024)
    ]
    data = pd.concat(tables)[["offered", "bytes", "p50", "p95"]]
    result = calibrate(data, base)
    for parameter, true in zip(result.parameters, (0.002, 0.006, 1e-6), strict=True):
        assert parameter.value == pytest.approx(true, rel=0.1), parameter
        assert parameter.low < true < parameter.high, parameter
    assert result.explained


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, 40, 4))
def test_it_seldom_accuses_a_model_that_is_right(first: int) -> None:
    base = scenario(workload=OpenLoop(reads=0.0), duration=4.0)
    data = curve(replace(base, machines=TRUE), seeds=range(500 + first, 504 + first))[
        ["offered", "p50", "p95"]
    ]
    result = calibrate(data, base)
    assert result.explained, result.text()


def test_a_disk_whose_syncs_vary_keeps_the_shape_of_their_distribution() -> None:
    shape = LogNormal(median=0.001, sigma=0.4)
    base = scenario(machines={"*": Machine(disk=Disk(fsync=shape))})
    machines = with_parameters(base, {"fsync": 0.005, "per_message": 0.002}).machines
    assert isinstance(machines, dict)
    assert machines["*"].per_message == 0.002
    fitted = machines["*"].disk.latency
    assert fitted.quantile(0.5) == pytest.approx(0.005)
    assert fitted.quantile(0.9) / fitted.quantile(0.5) == pytest.approx(shape.quantile(0.9) / 0.001)


# The search, on a surface that is known


def test_the_search_finds_the_valley_and_its_profile_follows_it() -> None:
    def residuals(at: Any) -> Any:
        a, b = np.exp(at)
        return np.array([a + b - 3.0, 0.1 * (a - 1.0), 0.1 * (b - 2.0)])

    low, high = np.log([1e-3, 1e-3]), np.log([10.0, 10.0])
    end = minimise(residuals, np.log([0.2, 0.5]), low, high)
    assert np.exp(end.at) == pytest.approx([1.0, 2.0], rel=0.01)
    for sign in (-1, 1):
        side = profile(residuals, end, 0, sign, low, high, scale=1e-4)
        assert side.closed
        # On the way the sum of the two stays the same: the other parameter follows the valley.
        assert np.exp(side.at).sum() == pytest.approx(3.0, abs=0.05)
        assert (np.exp(side.at[0]) - 1.0) * sign > 0.0


# Reading curves, and what is refused


def test_a_curve_is_read_with_its_units_in_any_order(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    file.write_text(
        "throughput;p99_ms;p50_us;host\n200;9,5;4000;a\n100;5;2000;a\n300;20;6000;b\n400;50;8000;b\n"
    )
    read = read_curve(file, closed=False)
    assert read.axis == "offered"
    assert read.loads == (100.0, 200.0, 300.0, 400.0)
    assert read.measures == {
        "p99": pytest.approx((0.005, 0.0095, 0.020, 0.050)),
        "p50": pytest.approx((0.002, 0.004, 0.006, 0.008)),
    }
    assert read.notes == (
        "the offered load was taken to be the throughput: right below saturation only",
        "not used: host",
    )


GOOD = pd.DataFrame({"offered": [10, 20, 30, 40], "p50_ms": [5.0, 5.1, 5.2, 5.3]})


@pytest.mark.parametrize(
    ("data", "fields", "options", "message"),
    [
        (GOOD.head(3), {}, {}, "at least 4 points are needed, not 3"),
        (GOOD.drop(columns="p50_ms"), {}, {}, "there is no latency among the columns offered; a curve needs"),
        (GOOD.drop(columns="offered"), {}, {}, "there is no load among the columns p50_ms; a curve needs"),
        (GOOD.assign(p50=1.0), {}, {}, "p50 is there twice"),
        (GOOD.assign(p50_ms=[5, 5, -1, 5]), {}, {}, "row 2, column 'p50_ms': a number > 0 is needed, not -1"),
        (
            GOOD.assign(p50_ms=[5, 5, None, 5]),
            {},
            {},
            "row 2, column 'p50_ms': a number > 0 is needed, not nan",
        ),
        (GOOD, {"workload": ClosedLoop()}, {}, "no column says how many clients"),
        (GOOD.assign(clients=1.5), {"workload": ClosedLoop()}, {}, "clients must be a whole number, not 1.5"),
        (GOOD, {"workload": NoLoad()}, {}, "must be an OpenLoop, whose rate is varied, or a ClosedLoop"),
        (GOOD, {"warmup": "auto"}, {}, "warmup must be a number of seconds"),
        (GOOD, {"machines": Machine(disk=Disk(fsync_of={"count": 0.1}))}, {}, "leave fsync_of out"),
        (
            GOOD,
            {},
            {"parameters": ["per_messag"]},
            "there is no parameter 'per_messag'; there are per_message",
        ),
        (GOOD, {}, {"parameters": ["per_byte"]}, "per_byte needs points with values of different sizes"),
        (GOOD, {}, {"parameters": ["fsync", "fsync"]}, "at most once"),
        (GOOD, {}, {"parameters": []}, "at most once"),
        (GOOD, {}, {"seeds": 1}, "at least two seeds are needed"),
        (GOOD, {}, {"seeds": 0}, "seeds must be at least 1"),
        (GOOD, {}, {}, "2 parameters .* cannot be fitted to 2 values"),
        ("nowhere.csv", {}, {}, "nowhere.csv"),
    ],
)
def test_a_curve_or_a_scenario_that_cannot_be_used_is_refused(
    data: Any, fields: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate(data, scenario(**fields), **options)


def test_a_malformed_file_is_refused_with_file_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    file.write_text("offered,p50_ms\n10,5\n20,fast\n30,5\n40,5\n")
    with pytest.raises(
        ValueError, match=r"curve.csv, line 3, column 'p50_ms': a number > 0 is needed, not 'fast'"
    ):
        calibrate(file, scenario())
    with pytest.raises(ValueError, match="calibrate takes a curve and then the scenario, not 3"):
        calibrate(file, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='half must be "held out" or "fitted"'):
        found().error("other")
