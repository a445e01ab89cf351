"""Charts of runs, comparisons and sweeps: each method returns matplotlib Axes and takes ``ax=``.

The drawing itself is in `sim.analysis.plots`, pure functions of frames; matplotlib is imported at first use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sim.arguments import checked_methods
from sim.lab.labels import same, words
from sim.lab.led import leader_groups
from sim.lab.own import in_own_words
from sim.settings import field_path
from sim.written.texts import noted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from sim.analysis.quantities import Quantity
    from sim.lab.compare import Comparison
    from sim.lab.run import Run
    from sim.lab.settings import Better
    from sim.lab.sweep import Sweep

__all__ = ["ComparisonPlots", "RunPlots", "SweepPlots"]

Drawn = TypeVar("Drawn")

_LOADS = ("rate", "clients")


@checked_methods
class RunPlots:
    """Charts of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._span: Any = {"duration": run.ended, "warmup": run.warmup}

    def latency_cdf(self, *, tail: bool = False, ax: Axes | None = None) -> Axes:
        """The distribution of latency; ``tail``: the fraction of slower operations, on a logarithmic axis."""
        from sim.analysis import plots

        operations = self._run.weighed_operations.assign(run=self._run.label)
        return self._note(plots.latency_cdf(operations, tail=tail, ax=ax, **self._span))

    def timeline(self, *, width: float | None = None, ax: Any = None) -> Any:
        """Throughput and latency over time, faults shaded; an array of two Axes. ``width``: seconds of a bin."""
        from sim.analysis import plots

        return self._note(
            plots.timeline(self._run.weighed_operations, self._run.events, width=width, ax=ax, **self._span)
        )

    def space_time(
        self,
        window: tuple[float, float] | None = None,
        *,
        clients: bool = False,
        labels: bool | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Messages, senders and receivers in ``window`` (seconds). Needs ``Scenario(trace=True)``, else ValueError."""
        from sim.analysis import plots

        if not self._run.scenario.trace:
            raise ValueError("a space-time diagram needs the messages: run the scenario with trace=True")
        nodes = self._run.nodes
        shown = nodes if clients else nodes[nodes["role"] != "client"]
        return self._note(
            plots.space_time(self._run.messages, self._run.events, shown, window=window, labels=labels, ax=ax)
        )

    def queue_heatmap(self, *, gauge: str = "backlog", ax: Axes | None = None) -> Axes:
        """Queue length of every node over time. Needs ``Scenario(sample_every=...)``, else ValueError."""
        from sim.analysis import plots

        if self._run.scenario.sample_every is None:
            raise ValueError("a heat map needs samples: run the scenario with sample_every=...")
        return self._note(plots.queue_heatmap(self._run.samples, gauge=gauge, ax=ax, **self._span))

    def availability(
        self, *, within: float = 1.0, width: float | None = None, ax: Axes | None = None
    ) -> Axes:
        """The share of operations that succeeded within some seconds, window by window; ``width``: of a window."""
        from sim.analysis import plots

        operations = self._run.operations.assign(run=self._run.label)
        return self._note(
            plots.availability_windows(operations, within=within, width=width, ax=ax, **self._span)
        )

    def messages(self, *, ax: Axes | None = None) -> Axes:
        """The messages between replicas per operation, by kind. Needs ``Scenario(trace=True)``, else ValueError."""
        return self._note(_messages([self._run], ax))

    def leaders(self, *, ax: Axes | None = None) -> Axes:
        """Who led when, faults shaded. ValueError for a system without a leader."""
        from sim.analysis import plots
        from sim.analysis.leadership import reigns

        led = leader_groups(self._run.scenario.resolved)
        if led is None:
            raise ValueError(f"nobody leads in {self._run.label}: it has no leader to draw")
        found = reigns(self._run.events, led, duration=self._run.ended)
        return self._note(plots.leader_lanes(found, self._run.events, duration=self._run.ended, ax=ax))

    def anatomy(self, *, ax: Axes | None = None) -> Axes:
        """What the operations of each region waited for: the mean latency, cut up along the critical paths.

        Needs ``Scenario(trace="full")``, else ValueError. The numbers: `Run.anatomy`.
        """
        from sim.lab.anatomies import anatomies

        return self._note(_anatomy(anatomies([self._run]), [self._run], ax))

    def lag(self, *, gauge: str | None = None, ax: Axes | None = None) -> Axes:
        """How many entries each replica is behind the furthest one. Needs ``sample_every=...``, else ValueError.

        ``gauge``: what says how far a replica is; None: the first of `sim.analysis.plots.lag.POSITIONS` that there is.
        """
        from sim.analysis import plots

        if self._run.scenario.sample_every is None:
            raise ValueError("the lag needs samples: run the scenario with sample_every=...")
        return self._note(
            plots.replication_lag(self._run.samples, self._run.events, gauge=gauge, ax=ax, **self._span)
        )

    def staleness(self, *, ax: Axes | None = None) -> Axes:
        """The fraction of reads that are at most so far behind; bounds from the history alone, see `staleness_cdf`."""
        return self._note(_staleness([self._run], ax, self._span))

    def history(self, *, ax: Axes | None = None) -> Axes:
        """Operations as bars per process, with the verdict on the claimed consistency."""
        from sim.analysis.checks import history_chart

        return self._note(history_chart(self._run.operations, self._run.check().verdict, ax=ax))

    def _note(self, drawn: Drawn) -> Drawn:
        return _noted(drawn, self._run.scenario.name or self._run.label, [self._run])


@checked_methods
@in_own_words
class ComparisonPlots:
    """Charts of several systems side by side."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._span: Any = {
            "duration": max(run.ended for run in comparison.runs),
            "warmup": max(run.warmup for run in comparison.runs),
        }

    def _own_quantities(self) -> tuple[Quantity, ...]:
        """Those of the comparison."""
        return self._comparison.own_quantities()

    def latency_cdf(self, *, tail: bool = False, ax: Axes | None = None) -> Axes:
        """The distribution of latency of each system, all seeds together."""
        from sim.analysis import plots

        return self._note(plots.latency_cdf(self._comparison.operations, tail=tail, ax=ax, **self._span))

    def latency_percentiles(self, *, ax: Axes | None = None) -> Axes:
        """Latency percentiles by system, with 95 % intervals over seeds."""
        from sim.analysis import plots

        return self._note(plots.latency_percentiles(self._comparison.summaries, ax=ax))

    def by_region(
        self,
        measure: str = "p50",
        *,
        systems: Sequence[str] | Mapping[str, str] | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """A latency of the clients of each region, by system: means over seeds, with 95 % intervals.

        ``measure``: ``"mean"`` or a percentile such as ``"p50"``, ``"p99.9"``. ``systems``: the labels of the systems
        to draw, in this order, or label -> the name to show; None: all. Raises ValueError for another measure, and for
        a label that was not compared.
        """
        import pandas as pd

        from sim.analysis import plots
        from sim.analysis.quantities import quantile_of

        comparison = self._comparison
        shown = _shown(comparison, systems)
        quantiles = (0.5,) if measure == "mean" else (quantile_of(measure),)
        rows = comparison.by_region(quantiles)
        parts = [rows[rows["run"] == label].assign(run=name) for label, name in shown.items()]
        order = next(iter(comparison.scenarios.values())).network.regions
        together = pd.concat(parts, ignore_index=True)
        return self._note(plots.region_bars(together, measure, order=tuple(order), ax=ax))

    def anatomy(self, *, ax: Axes | None = None) -> Axes:
        """What the operations of each region waited for, by system: the mean latency, cut up along the critical paths.

        Needs ``Scenario(trace="full")``, else ValueError. The numbers: `Comparison.anatomy`.
        """
        return self._note(_anatomy(self._comparison.anatomy(), self._comparison.runs, ax))

    def timeline(self, *, width: float | None = None, ax: Any = None) -> Any:
        """Throughput and latency over time by system; an array of two Axes."""
        from sim.analysis import plots

        comparison = self._comparison
        return self._note(
            plots.timeline(comparison.operations, comparison.events, width=width, ax=ax, **self._span)
        )

    def availability(
        self, *, within: float = 1.0, width: float | None = None, ax: Axes | None = None
    ) -> Axes:
        """The share of operations that succeeded within some seconds, window by window; ``width``: of a window."""
        from sim.analysis import plots

        operations = self._comparison.operations
        return self._note(
            plots.availability_windows(operations, within=within, width=width, ax=ax, **self._span)
        )

    def messages(self, *, ax: Axes | None = None) -> Axes:
        """The messages between replicas per operation, by kind. Needs ``Scenario(trace=True)``, else ValueError."""
        return self._note(_messages(self._comparison.runs, ax))

    def staleness(self, *, ax: Axes | None = None) -> Axes:
        """The fraction of reads that are at most so far behind, by system, all seeds together; see `staleness_cdf`."""
        return self._note(_staleness(self._comparison.runs, ax, self._span))

    def bars(self, measure: str, *, ax: Axes | None = None) -> Axes:
        """One measure by system, with 95 % intervals over seeds."""
        from sim.analysis import plots

        return self._note(plots.measure_bars(self._comparison.summaries, measure, ax=ax))

    def unavailability(self, *, of: Literal["reads", "writes"] | None = None, ax: Axes | None = None) -> Axes:
        """The longest time without an answer after a fault, by system; ``of``: one kind; None: the longer of both."""
        from sim.analysis import plots

        return self._note(plots.unavailability(self._comparison.summaries, of=of, ax=ax))

    def frontier(
        self,
        *measures: str,
        better: Mapping[str, Better] | None = None,
        log: bool = False,
        ax: Axes | None = None,
    ) -> Axes:
        """The systems that no other one surely beats in these measures, and the others in grey.

        The first measure is along x (``log``: on a logarithmic axis), the second along y, further ones in the legend.
        See `sim.lab.frontier`.
        """
        return self._note(_frontier(self._comparison, measures, better, log, ax))

    def _note(self, drawn: Drawn) -> Drawn:
        comparison = self._comparison
        title = f"comparison of {', '.join(comparison.scenarios)}"
        return _noted(drawn, title, comparison.runs)


@checked_methods
@in_own_words
class SweepPlots:
    """Charts of a sweep: one field along the axis, and one line for each value of another field."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def _own_quantities(self) -> tuple[Quantity, ...]:
        """Those of the sweep."""
        return self._sweep.own_quantities()

    def lines(
        self,
        measure: str,
        field: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        log: bool = False,
        ax: Axes | None = None,
    ) -> Axes:
        """A measure against a swept field (default: the first numeric one), with a line for each value of another.

        ``where``: field -> value, to draw only these points. Raises ValueError if two or more other fields vary.
        """
        from sim.analysis import plots

        chosen = self._numbers()[0] if field is None else self._swept(field)
        frame = self._by_line(chosen, self._points(where))
        return _noted(plots.sweep_lines(frame, chosen, measure, log=log, ax=ax), *self._told())

    def throughput_latency(
        self,
        load: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        latency: str = "p99",
        ax: Axes | None = None,
    ) -> Axes:
        """Latency against throughput as a swept load grows (hockey stick), with a line for each value of another field.

        ``load``: the field of the load; None: the arrival rate or the number of clients, or the only numeric field that
        was swept. ``where``: field -> value, to draw only these points. Raises ValueError if two or more other fields
        vary.
        """
        from sim.analysis import plots

        chosen = self._load() if load is None else self._swept(load)
        frame = self._by_line(chosen, self._points(where))
        return _noted(plots.throughput_latency(frame, chosen, latency=latency, ax=ax), *self._told())

    def frontier(
        self,
        *measures: str,
        better: Mapping[str, Better] | None = None,
        log: bool = False,
        ax: Axes | None = None,
    ) -> Axes:
        """The points that no other one surely beats in these measures, and the others in grey.

        The first measure is along x (``log``: on a logarithmic axis), the second along y, further ones in the legend.
        See `sim.lab.frontier`.
        """
        return _noted(_frontier(self._sweep, measures, better, log, ax), *self._told())

    def heatmap(
        self,
        measure: str,
        x: str | None = None,
        y: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """A measure over two swept fields, as a map of colours and numbers (means over seeds).

        ``x``, ``y``: the fields along the axes; None: the first two of those that vary. ``where``: field -> value, to
        draw only these points. Raises ValueError if fewer than two fields vary, or further ones.
        """
        from sim.analysis import plots

        frame = self._at(self._points(where))
        given = [self._swept(field) for field in (x, y) if field is not None]
        vary = [name for name in self._sweep.fields if frame[name].nunique(dropna=False) > 1]
        free = iter([name for name in vary if name not in given])
        across, up = (self._swept(field) if field is not None else next(free, None) for field in (x, y))
        if across is None or up is None or across == up:
            said = f"{across} twice" if across == up and across else ", ".join(vary) or "none"
            raise ValueError(f"a map needs two fields that vary, not {said}")
        rest = [name for name in vary if name not in (across, up)]
        if rest:
            raise ValueError(
                f"besides {across} and {up}, {' and '.join(rest)} vary: choose a value by "
                f"where={{{rest[0]!r}: {frame[rest[0]].tolist()[0]!r}}}"
            )
        return _noted(plots.sweep_map(frame, across, up, measure, ax=ax), *self._told())

    def _told(self) -> tuple[str, list[Run]]:
        return f"sweep over {' and '.join(map(_words, self._sweep.fields))}", self._sweep.runs

    def _numbers(self) -> list[str]:
        """The fields whose values are numbers."""
        frame = self._sweep.summaries
        found = [name for name in self._sweep.fields if all(map(_is_number, frame[name]))]
        if not found:
            raise ValueError(
                f"none of the swept fields {', '.join(self._sweep.fields)} is a number to draw along"
            )
        return found

    def _load(self) -> str:
        numbers = self._numbers()
        loads = [name for name in numbers if name.split("__")[-1] in _LOADS] or numbers
        if len(loads) > 1:
            raise ValueError(
                f"which of the swept fields {', '.join(loads)} is the load? Say load={loads[0]!r}"
            )
        return loads[0]

    def _swept(self, field: str) -> str:
        """The column of a field. Raises ValueError for one that was not swept."""
        found = field_path(field)
        if found not in self._sweep.fields:
            raise ValueError(f"{field!r} was not swept; {', '.join(self._sweep.fields)} were")
        return found

    def _points(self, where: Mapping[str, Any] | None) -> dict[str, Any]:
        """``where`` by column name. Raises ValueError for a field that is given twice."""
        found: dict[str, Any] = {}
        for field, value in (where or {}).items():
            if self._swept(field) in found:
                raise ValueError(f"where: {field} is given twice")
            found[self._swept(field)] = value
        return found

    def _at(self, where: Mapping[str, Any]) -> pd.DataFrame:
        """The summaries of the points with these values."""
        frame = self._sweep.summaries
        for name, value in where.items():
            points = self._sweep.points
            chosen = [same(points[at][name], value) or frame.at[at, name] == value for at in frame.index]
            if not any(chosen):
                known = ", ".join(dict.fromkeys(map(str, frame[name])))
                raise ValueError(f"{name} was not {getattr(value, 'label', value)} anywhere; it was {known}")
            frame = frame[chosen]
        return frame

    def _by_line(self, along: str, where: Mapping[str, Any]) -> pd.DataFrame:
        """The points to draw, with the label of their line in column ``run``."""
        fields = self._sweep.fields
        frame = self._at(where)
        rest = [name for name in fields if name != along and frame[name].nunique(dropna=False) > 1]
        if len(rest) > 1:
            raise ValueError(
                f"besides {along}, {' and '.join(rest)} vary, and a chart has a line for each value of one field: "
                f"choose of the others by where={{{rest[-1]!r}: {frame[rest[-1]].tolist()[0]!r}}}"
            )
        if not rest:
            return frame.drop(columns="run")
        values = frame[rest[0]]
        named = values.astype(str) if rest[0] == "system" else f"{_words(rest[0])} " + values.astype(str)
        return frame.assign(run=named)


def _messages(runs: Sequence[Run], ax: Axes | None) -> Axes:
    from sim.analysis import plots
    from sim.analysis.message_kinds import messages_by_kind
    from sim.lab.compare import together

    if not all(run.scenario.trace for run in runs):
        raise ValueError("the kinds of messages need the messages: run the scenario with trace=True")
    frames = [together(runs, name) for name in ("messages", "nodes", "operations")]
    return plots.message_bars(messages_by_kind(*frames), ax=ax)


def _staleness(runs: Sequence[Run], ax: Axes | None, span: Mapping[str, Any]) -> Axes:
    import pandas as pd

    from sim.analysis import plots
    from sim.analysis.checks import staleness

    reads = [staleness(run.operations).assign(run=run.label) for run in runs]
    return plots.staleness_cdf(pd.concat(reads, ignore_index=True), ax=ax, **span)


def _anatomy(rows: pd.DataFrame, runs: Sequence[Run], ax: Axes | None) -> Axes:
    from sim.analysis import plots
    from sim.analysis.anatomy import mean_anatomy

    return plots.anatomy_bars(mean_anatomy(rows), order=tuple(runs[0].scenario.network.regions), ax=ax)


def _frontier(
    results: Comparison | Sweep,
    measures: Sequence[str],
    better: Mapping[str, Better] | None,
    log: bool,
    ax: Axes | None,
) -> Axes:
    """The chart of a frontier; one that says so where no run has a value of a measure."""
    from sim.analysis.plots.frontiers import frontier_chart
    from sim.analysis.plots.style import empty, one_axes
    from sim.analysis.quantities import quantity

    summaries = results.summaries
    for name in measures:
        if name in summaries.columns and not summaries[name].notna().any():
            return empty(one_axes(ax), f"no {quantity(name).label}: no run has it")
    return frontier_chart(results.frontier(*measures, better=better), list(measures), log=log, ax=ax)


def _shown(comparison: Comparison, systems: Sequence[str] | Mapping[str, str] | None) -> dict[str, str]:
    """The labels of the systems to draw -> their names. Raises ValueError for none, and for an unknown label."""
    if systems is None:
        return {label: label for label in comparison.scenarios}
    if not systems:
        raise ValueError(f"systems names none to draw; compared were {', '.join(comparison.scenarios)}")
    names = systems if isinstance(systems, Mapping) else {label: label for label in systems}
    found = {comparison.label_of(label): name for label, name in names.items()}
    if len(set(found.values())) < len(found):
        raise ValueError(f"two systems have the same name in {dict(names)}")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _words(field: str) -> str:
    return words(field.split("__")[-1])


def _noted(drawn: Drawn, title: str, runs: Sequence[Run]) -> Drawn:
    """The chart, after its facts were noted for the metadata of the picture."""
    from sim.analysis import plots

    seeds = list(dict.fromkeys(run.seed for run in runs))
    scenarios = list({id(run.scenario): run.scenario for run in runs}.values())
    plots.tell(
        drawn,
        title=title,
        **{"seed" if len(seeds) == 1 else "seeds": ", ".join(map(str, seeds))},
        settings=noted(scenarios),
        runs=partial(_record, list(runs)),  # asked for when the picture is saved
    )
    return drawn


def _record(runs: Sequence[Run]) -> str:
    """The record for `sim reproduce`; the empty string if a scenario has no written form."""
    from sim.lab.reproduce import record_of

    try:
        return record_of(runs).to_json()
    except ValueError:
        return ""
