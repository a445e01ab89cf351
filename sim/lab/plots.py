"""Charts of runs, comparisons and sweeps: each method returns matplotlib Axes and takes ``ax=``.

The drawing itself is in `sim.analysis.plots`, pure functions of frames; matplotlib is imported at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.lab.compare import Comparison
    from sim.lab.run import Run
    from sim.lab.sweep import Sweep

__all__ = ["ComparisonPlots", "RunPlots", "SweepPlots"]


class RunPlots:
    """Charts of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._span: Any = {"duration": run.ended, "warmup": run.warmup}

    def latency_cdf(self, *, tail: bool = False, ax: Axes | None = None) -> Axes:
        """The distribution of latency; ``tail``: on a logarithmic axis of how many took longer."""
        from sim.analysis import plots

        operations = self._run.weighed_operations.assign(run=self._run.label)
        return plots.latency_cdf(operations, tail=tail, ax=ax, **self._span)

    def timeline(self, *, width: float | None = None, ax: Any = None) -> Any:
        """Throughput and latency over time, faults shaded; an array of two Axes. ``width``: seconds of a bin."""
        from sim.analysis import plots

        return plots.timeline(
            self._run.weighed_operations, self._run.events, width=width, ax=ax, **self._span
        )

    def space_time(
        self,
        window: tuple[float, float] | None = None,
        *,
        clients: bool = False,
        labels: bool | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Who sent what to whom in ``window`` (seconds). Needs ``Scenario(trace=True)``, else ValueError."""
        from sim.analysis import plots

        if not self._run.scenario.trace:
            raise ValueError("a space-time diagram needs the messages: run the scenario with trace=True")
        nodes = self._run.nodes
        shown = nodes if clients else nodes[nodes["role"] != "client"]
        return plots.space_time(
            self._run.messages, self._run.events, shown, window=window, labels=labels, ax=ax
        )

    def queue_heatmap(self, *, gauge: str = "backlog", ax: Axes | None = None) -> Axes:
        """Queue length of every node over time. Needs ``Scenario(sample_every=...)``, else ValueError."""
        from sim.analysis import plots

        if self._run.scenario.sample_every is None:
            raise ValueError("a heat map needs samples: run the scenario with sample_every=...")
        return plots.queue_heatmap(self._run.samples, gauge=gauge, ax=ax, **self._span)

    def history(self, *, ax: Axes | None = None) -> Axes:
        """Operations as bars per process, with what the check of the claim found."""
        from sim.analysis.checks import history_chart

        return history_chart(self._run.operations, self._run.check().verdict, ax=ax)


class ComparisonPlots:
    """Charts of several systems side by side."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        first = next(iter(comparison.scenarios.values()))
        self._span: Any = {"duration": max(run.ended for run in comparison.runs), "warmup": first.warmup}

    def latency_cdf(self, *, tail: bool = False, ax: Axes | None = None) -> Axes:
        """The distribution of latency of each system, all seeds together."""
        from sim.analysis import plots

        return plots.latency_cdf(self._comparison.operations, tail=tail, ax=ax, **self._span)

    def latency_percentiles(self, *, ax: Axes | None = None) -> Axes:
        """Latency percentiles by system, with 95 % intervals over seeds."""
        from sim.analysis import plots

        return plots.latency_percentiles(self._comparison.summaries, ax=ax)

    def timeline(self, *, width: float | None = None, ax: Any = None) -> Any:
        """Throughput and latency over time by system; an array of two Axes."""
        from sim.analysis import plots

        comparison = self._comparison
        return plots.timeline(comparison.operations, comparison.events, width=width, ax=ax, **self._span)

    def bars(self, measure: str, *, ax: Axes | None = None) -> Axes:
        """One measure by system, with 95 % intervals over seeds."""
        from sim.analysis import plots

        return plots.measure_bars(self._comparison.summaries, measure, ax=ax)

    def unavailability(self, *, of: Literal["reads", "writes"] | None = None, ax: Axes | None = None) -> Axes:
        """The longest time without an answer after a fault, by system; ``of`` one kind of operation, or the longer."""
        from sim.analysis import plots

        return plots.unavailability(self._comparison.summaries, of=of, ax=ax)


class SweepPlots:
    """Charts of a sweep."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    def lines(
        self, measure: str, field: str | None = None, *, log: bool = False, ax: Axes | None = None
    ) -> Axes:
        """A measure against a swept numeric field (by default the first)."""
        from sim.analysis import plots

        return plots.sweep_lines(
            self._sweep.summaries, field or self._sweep.fields[0], measure, log=log, ax=ax
        )

    def throughput_latency(
        self, load: str | None = None, *, latency: str = "p99", ax: Axes | None = None
    ) -> Axes:
        """Latency against throughput as a swept load grows: the hockey stick."""
        from sim.analysis import plots

        return plots.throughput_latency(
            self._sweep.summaries, load or self._sweep.fields[0], latency=latency, ax=ax
        )
