"""Calibration: the machines of a scenario from a measured throughput-latency curve, and how far to trust them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import exp, log
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from sim.arguments import checked_but
from sim.distributions.base import Floats
from sim.lab.calibrate.curve import MeasuredCurve, read_curve
from sim.lab.calibrate.model import NAMES, CurveModel, is_closed, with_parameters
from sim.lab.calibrate.result import Calibration, Fitted
from sim.lab.calibrate.search import Valley, minimise, profile, slopes_at
from sim.lab.scenario import Scenario
from sim.lab.seeds import seed_list

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["calibrate", "halves"]

_RANGE = 1e-5  # the least value that is tried, as a fraction of the greatest: below it a cost has no effect
_ROOM = 1.25  # what is tried beyond the greatest value that is possible, so that the data decide and not the bound
_SUSPECT = 2.0  # times 5 %: a worse fit may be a local minimum, and the search begins again elsewhere
_RUNS_FOR_NOISE = 8  # a variance of fewer runs is too rough to judge by
_LEAST_NOISE = 0.01  # no measurement is taken to be better than 1 %
_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the latency at the lowest load, in syncs: where the search may begin


@checked_but("measured", "scenario", "seeds")
def calibrate(
    measured: pd.DataFrame | str | PathLike[str],
    scenario: Scenario,
    *,
    parameters: Sequence[str] | None = None,
    seeds: int | Iterable[int] = 3,
) -> Calibration:
    """Fit the machines of a scenario to a measured throughput-latency curve.

    Every second point, by ascending load, is fitted; the others are predicted, and the error there says how well the
    model explains the system. What the curve cannot tell is said, by intervals from the error surface.

    Parameters
    ----------
    measured:
        The curve: a frame or a CSV file, one point a row. Columns: the load, ``offered`` or ``throughput``
        (operations/s) for an `OpenLoop`, ``clients`` for a `ClosedLoop`; latencies, ``p50_ms``, ``p99_us``, ``mean_s``
        ... (without a unit: seconds); optional ``throughput``, which is then fitted, too, and ``bytes``, the size of
        the values. At least 4 points.
    scenario:
        What was measured: system, network, mix of operations, number of cores; its duration and warmup are those of
        each simulated point. Its rate (clients, size of values) is that of each point instead.
    parameters:
        What is fitted: ``"per_message"``, ``"fsync"`` (the median sync), ``"per_byte"``; None: the first two, and
        ``"per_byte"`` if the sizes vary. The other fields of the machines stay as they are.
    seeds:
        The seeds under which each point runs, at least two; a number n means the first n. The same for all parameter
        values (common random numbers), so the result is the same each time.

    The noise of a point is taken to be that of one simulated run of it (from eight seeds), and at least 1 %: measure
    each point for about as long as ``scenario`` runs, or longer. Raises ValueError for a curve or a scenario that
    cannot be used.
    """
    if not isinstance(scenario, Scenario):
        raise ValueError(f"calibrate takes a curve and then the scenario, not {scenario!r}")
    curve = read_curve(measured, is_closed(scenario))
    names = _chosen(parameters, curve, scenario)
    chosen = seed_list(seeds)
    if len(chosen) < 2:
        raise ValueError(
            f"calibrate: at least two seeds are needed, to know the noise of a run, not {chosen}"
        )
    model = CurveModel(scenario, curve, names, chosen)
    fit, held_out = halves(curve)
    if len(fit) * len(curve.measures) <= len(names):
        raise ValueError(
            f"calibrate: {len(names)} parameters ({', '.join(names)}) cannot be fitted to "
            f"{len(fit) * len(curve.measures)} values: measure more points or more quantiles"
        )
    return _calibrated(model, fit, held_out)


def halves(curve: MeasuredCurve) -> tuple[list[int], list[int]]:
    """Every second point of each size, in order of load: so both halves have all sizes."""
    points = range(len(curve.loads))
    sizes = curve.sizes or (0.0,) * len(points)
    alike = [[i for i in points if sizes[i] == size] for size in dict.fromkeys(sizes)]
    return sorted(i for some in alike for i in some[0::2]), sorted(i for some in alike for i in some[1::2])


def _chosen(parameters: Sequence[str] | None, curve: MeasuredCurve, scenario: Scenario) -> tuple[str, ...]:
    if scenario.warmup == "auto":
        raise ValueError("calibrate: warmup must be a number of seconds, the same for all points, not 'auto'")
    if any(machine.disk.latency_of for machine in scenario.resolved.machines.values()):
        raise ValueError(
            "calibrate: a disk with fsync_of has several sync times; one is fitted: leave fsync_of out"
        )
    if parameters is None:
        return ("per_message", "fsync", *(("per_byte",) if curve.sizes_vary else ()))
    for name in parameters:
        if name not in NAMES:
            raise ValueError(f"calibrate: there is no parameter {name!r}; there are {', '.join(NAMES)}")
    if not parameters or len(set(parameters)) < len(parameters):
        raise ValueError(
            f"calibrate: parameters must name each of {', '.join(NAMES)} at most once, not {parameters!r}"
        )
    if "per_byte" in parameters and not curve.sizes_vary:
        raise ValueError(
            "calibrate: per_byte needs points with values of different sizes (the column bytes); here a byte costs "
            "what a message costs"
        )
    return tuple(parameters)


def _calibrated(model: CurveModel, fit: Sequence[int], held_out: Sequence[int]) -> Calibration:
    points = range(len(model.curve.loads))
    low, high = _bounds(model)
    even = np.full((len(points), len(model.curve.measures)), 0.05)

    def roughly(at: Floats) -> Floats:
        return _residuals(model, at, fit, even, model.seeds[:1])

    starts = _starts(model, fit, low, high)
    starts.sort(key=lambda at: float(np.square(roughly(at)).sum()))
    rough = minimise(roughly, starts[0], low, high)
    if rough.cost > roughly(rough.at).size * _SUSPECT**2 and len(starts) > 1:
        rough = min(rough, minimise(roughly, starts[1], low, high), key=lambda found: found.cost)
    further = range(max(model.seeds) + 1, max(model.seeds) + 1 + max(0, _RUNS_FOR_NOISE - len(model.seeds)))
    spread = model.spread(rough.at, points, (*model.seeds, *further))
    noise = np.sqrt(spread * (1.0 + 1.0 / len(model.seeds)) + _LEAST_NOISE**2)

    def residuals(at: Floats) -> Floats:
        return _residuals(model, at, fit, noise, model.seeds)

    found = minimise(residuals, rough.at, low, high)
    freedom = len(fit) * len(model.curve.measures) - len(model.names)
    scale = max(1.0, found.cost / freedom)
    fitted = tuple(_fitted(model, found, residuals, k, low, high, scale) for k in range(len(model.names)))
    values = {parameter.name: parameter.value for parameter in fitted}
    whole = _noise_of_predictions(model, found, noise, held_out, low, high)
    return Calibration(
        scenario=with_parameters(model.scenario, values),
        parameters=fitted,
        correlations=_correlations(found),
        rows=_rows(model, found.at, whole, held_out),
        axis=model.curve.axis,
        notes=(*model.curve.notes, *_too_slow(model, fit)),
    )


def _residuals(
    model: CurveModel, at: Floats, points: Sequence[int], noise: Floats, seeds: Sequence[int]
) -> Floats:
    """Predicted minus measured logarithms, in units of the noise."""
    rows = list(points)
    found: Floats = ((model.mean(at, rows, seeds) - model.measured[rows]) / noise[rows]).ravel()
    return found


def _bounds(model: CurveModel) -> tuple[Floats, Floats]:
    """The logarithms of the least and the greatest value of each parameter."""
    machines = model.scenario.resolved.machines
    # Each operation is at least one message at one of the members.
    cores = sum(machine.cores for machine in machines.values())
    most = {"per_message": cores / model.curve.most_served, "fsync": _slowest(model)}
    if model.curve.sizes is not None:
        most["per_byte"] = most["per_message"] / min(model.curve.sizes)
    high = np.log(_ROOM * np.array([most[name] for name in model.names]))
    return high + log(_RANGE), high


def _latency(model: CurveModel) -> int:
    """The column of the first latency among the measures."""
    return next(i for i, name in enumerate(model.curve.measures) if name != "throughput")


def _slowest(model: CurveModel) -> float:
    return exp(float(model.measured[:, _latency(model)].max()))


def _excess(model: CurveModel, point: int) -> float:
    """What was measured above the latency of machines that cost nothing, in seconds."""
    column = _latency(model)
    free = model.free(point, model.seeds[0])[column]
    return exp(float(model.measured[point, column])) - exp(float(free))


def _too_slow(model: CurveModel, fit: Sequence[int]) -> list[str]:
    if _excess(model, fit[0]) > 0.0:
        return []
    return [
        "at the lowest load the network alone takes longer than was measured: is it the network that was measured?"
    ]


def _starts(model: CurveModel, fit: Sequence[int], low: Floats, high: Floats) -> list[Floats]:
    """Places to begin: the latency at the lowest load, divided between cores and disk."""
    excess = max(_excess(model, fit[0]), 1e-3 * _slowest(model))
    size = max(1.0, min(model.curve.sizes or (1.0,)))
    starts = []
    for share in _SHARES if "fsync" in model.names else (0.0,):
        # A request is received, replicated and acknowledged: about three messages and one or two syncs.
        cost = (1.0 - share) * excess / 3.0
        at = {"per_message": cost, "fsync": share * excess / 1.5, "per_byte": cost / (2.0 * size)}
        starts.append(np.clip(np.log(np.array([at[name] for name in model.names])), low, high))
    return starts


def _fitted(
    model: CurveModel, found: Valley, residuals: object, k: int, low: Floats, high: Floats, scale: float
) -> Fitted:
    lower, upper = (profile(residuals, found, k, sign, low, high, scale) for sign in (-1, 1))  # type: ignore[arg-type]
    return Fitted(
        name=model.names[k],
        value=exp(float(found.at[k])),
        low=exp(float(lower.at[k])) if lower.closed else 0.0,
        high=exp(float(upper.at[k])) if upper.closed else float("inf"),
    )


def _correlations(found: Valley) -> tuple[tuple[float, ...], ...]:
    """The correlations of the estimates: near -1 or 1, two parameters stand for each other."""
    covariance = found.covariance
    deviations = np.sqrt(np.diag(covariance))
    return tuple(tuple(row) for row in (covariance / np.outer(deviations, deviations)).tolist())


def _noise_of_predictions(
    model: CurveModel, found: Valley, noise: Floats, held_out: Sequence[int], low: Floats, high: Floats
) -> Floats:
    """The noise of each point; of points that were not fitted, with what the noise of the parameters makes there."""
    rows = list(held_out)
    slopes = slopes_at(lambda at: model.mean(at, rows, model.seeds).ravel(), found.at, low, high)
    # Not more than a factor of e: beyond that a straight line says nothing.
    spread = np.minimum(np.einsum("ij,jk,ik->i", slopes, found.covariance, slopes), 1.0)
    whole = noise.copy()
    whole[rows] = np.sqrt(noise[rows] ** 2 + spread.reshape(len(rows), -1))
    return whole


def _rows(
    model: CurveModel, at: Floats, noise: Floats, held_out: Collection[int]
) -> tuple[dict[str, object], ...]:
    """One row for each measure of each point."""
    points = range(len(model.curve.loads))
    predicted = model.mean(at, points, model.seeds)
    rows = []
    for point in points:
        for column, measure in enumerate(model.curve.measures):
            row: dict[str, object] = {model.curve.axis: model.curve.loads[point]}
            if model.curve.sizes is not None:
                row["bytes"] = model.curve.sizes[point]
            rows.append(
                row
                | {
                    "half": "held out" if point in held_out else "fitted",
                    "measure": measure,
                    "measured": exp(float(model.measured[point, column])),
                    "predicted": exp(float(predicted[point, column])),
                    "error": float(predicted[point, column] - model.measured[point, column]),
                    "noise": float(noise[point, column]),
                }
            )
    return tuple(rows)
