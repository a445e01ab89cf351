"""Runs: the result of a scenario under a seed. Frames, measures, verdicts, charts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from sim.arguments import checked_methods
from sim.display import Block, Displayed, text_of_blocks
from sim.lab.application_model import application_of, judge_by
from sim.lab.labels import describe
from sim.lab.led import leader_groups
from sim.lab.simulation import Simulation
from sim.recorder import Recorder
from sim.settings import Count
from sim.system import Violation
from sim.workload import ClosedLoop

if TYPE_CHECKING:
    import pandas as pd

    from sim.analysis.causes import Causes
    from sim.analysis.checks import Verdict
    from sim.analysis.costs import RunCost
    from sim.analysis.failovers import Failover
    from sim.analysis.sketch import LatencySketch
    from sim.analysis.warmup import WarmUp
    from sim.lab.plots import RunPlots
    from sim.lab.scenario import Scenario
    from sim.prices import Prices

AUTO = "auto"
"""The value of ``Scenario.warmup`` for a warm-up that is found in each run."""

__all__ = ["AUTO", "Check", "Run", "execute", "finish_broken"]


@dataclass(frozen=True)
class Check(Displayed):
    """The verdicts on a run.

    Attributes
    ----------
    consistency: the consistency model that the system claims, or None.
    verdict: whether the history satisfies it; None when there is no claim.
    violation: the broken invariant (of safety or of liveness); None if none broke.
    invariants_checked: whether invariants were checked (``Scenario(check=True)``); ``"free"``: only the free ones.
    """

    consistency: str | None
    verdict: Verdict | None
    violation: Violation | None
    invariants_checked: bool | Literal["free"]

    @property
    def ok(self) -> bool:
        """Whether no invariant broke and the verdict, if there is one, is valid (an unknown verdict is not ok)."""
        return self.violation is None and (self.verdict is None or self.verdict.valid is True)

    @property
    def status(self) -> str:
        """``"valid"``, ``"invalid"``, ``"unknown"``, or ``"no claim"``."""
        if self.violation is not None:
            return "invalid"
        return "no claim" if self.verdict is None else self.verdict.status

    def __str__(self) -> str:
        lines = []
        if self.verdict is not None:
            lines.append(f"{self.consistency}: {self.verdict.status}. {self.verdict.reason}".strip())
        if self.violation is not None:
            lines.append(str(self.violation))
        elif self.invariants_checked == "free":
            lines.append("invariants: those that come free held after every event (check=True asks all)")
        elif self.invariants_checked:
            lines.append("invariants: held after every event")
        else:
            lines.append("invariants: not asked (Scenario(check=True) asks them)")
        return "\n".join(lines)


@checked_methods
class Run(Displayed):
    """The result of a scenario under a seed. Frames are built at first use.

    Attributes
    ----------
    scenario, seed, label: what ran.
    violation: the broken invariant, which ended the run early; None if none broke.
    acknowledged_lost: the number of acknowledged writes that are no longer in the state; None: not counted.
    convergence: the verdict whether all replicas agreed after the run, without further writes and faults; None if the
        system does not promise convergence.
    final: the values that each live replica held then, name -> key -> value; None if the system does not show them.
    storm: whether progress was demanded at the end (`sim.lab.storm`).
    notes: what else is kept with the run, as plain data (a fuzzed run: its coverage, and what broke).
    has_frames: whether the frames are at hand; otherwise the run is made again when they are used.
    ended: simulated seconds at which it ended. events_processed, wall_seconds: the cost of running it.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        *,
        label: str,
        ended: float,
        wall_seconds: float,
        events_processed: int,
        violation: Violation | None = None,
        convergence: Verdict | None = None,
        final: Mapping[str, Mapping[str, Any]] | None = None,
        acknowledged_lost: int | None = None,
        recorder: Recorder | None = None,
        digest: str | None = None,
        measures: Mapping[str, float] | None = None,
        sketch: LatencySketch | None = None,
        failovers: Sequence[Failover] | None = None,
        reader: Callable[[], dict[str, pd.DataFrame]] | None = None,
        has_frames: bool = True,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.label = label
        self.violation = violation
        self.convergence = convergence
        self.final = final
        self.ended = ended
        self.wall_seconds = wall_seconds
        self.events_processed = events_processed
        self.acknowledged_lost = acknowledged_lost
        self._recorder: Any = recorder
        self._digest = digest
        self._measures = measures
        self.storm = False
        self.notes: dict[str, Any] = {}
        self._reader = reader
        self._sketch = sketch
        self._failovers = failovers
        self.has_frames = has_frames

    @classmethod
    def of(
        cls,
        simulation: Simulation,
        violation: Violation | None,
        wall_seconds: float,
        convergence: Verdict | None = None,
    ) -> Run:
        """The run of a simulation that has ended."""
        return cls(
            simulation.scenario,
            simulation.seed,
            label=describe(simulation.scenario.system),
            violation=violation,
            convergence=convergence,
            final=simulation.system.replica_values(simulation.members),
            ended=simulation.now if simulation.ended is None else simulation.ended,
            wall_seconds=wall_seconds,
            events_processed=simulation.env.scheduled,
            acknowledged_lost=simulation.acknowledged_lost if violation is None else None,
            recorder=simulation.recorder,
        )

    # Frames

    @property
    def operations(self) -> pd.DataFrame:
        """One row per client operation."""
        return self._frames["operations"]

    @property
    def messages(self) -> pd.DataFrame:
        """One row per message sent; empty unless the scenario has ``trace=True``."""
        return self._frames["messages"]

    @property
    def steps(self) -> pd.DataFrame:
        """One row per step of a node; empty unless the scenario has ``trace="full"``."""
        if "steps" not in self._frames:
            return Recorder(full=True).frame("steps")
        return self._frames["steps"]

    @property
    def events(self) -> pd.DataFrame:
        """One row per protocol or fault event."""
        return self._frames["events"]

    @property
    def links(self) -> pd.DataFrame:
        """One row per link, over the whole run."""
        return self._frames["links"]

    @property
    def nodes(self) -> pd.DataFrame:
        """One row per node, over the whole run."""
        return self._frames["nodes"]

    @property
    def samples(self) -> pd.DataFrame:
        """One row per sample of a gauge; empty unless the scenario has ``sample_every``."""
        return self._frames["samples"]

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """All frames by name."""
        return dict(self._frames)

    @cached_property
    def _frames(self) -> dict[str, pd.DataFrame]:
        if self._reader is not None:
            frames = self._reader()
        else:
            frames = {name: self._recorder.frame(name) for name in self._recorder.columns}
            self.digest()
        self._recorder = self._reader = None
        self.has_frames = True
        return frames

    def digest(self) -> str:
        """A digest of everything recorded: equal runs have equal digests, in every process."""
        if self._digest is None:
            self._digest = self._recorder.digest()
        return self._digest

    # Causes, of a run with a full trace

    @cached_property
    def _causes(self) -> Causes:
        from sim.analysis.causes import Causes

        return Causes(self.messages, self.steps)

    def critical_path(self, operation: int) -> pd.DataFrame:
        """The chain of waits that led from the call of an operation to its return: one row a part, in order of time.

        ``operation``: its index in the frame ``operations``. Columns: ``kind`` (link, core queue, service, disk,
        timer, wait, client retry), ``what``, ``node``, ``src``, ``dst``, ``begin``, ``end``, ``seconds``, ``step``,
        ``message``. The parts add up to the latency. See docs/trace.md. Needs ``Scenario(trace="full")``, else
        ValueError; ValueError, too, for an operation that was never answered.
        """
        return self._causes.path(self.operations.loc[[operation]].iloc[0])

    def critical_paths(self) -> pd.DataFrame:
        """The critical paths of all operations that were answered, with the column ``operation`` in front."""
        return self._causes.paths(self.operations)

    def anatomy(self) -> pd.DataFrame:
        """The latency of each answered operation, cut up along its critical path: one row an operation, in seconds.

        Columns: ``operation`` (its index), ``kind``, ``region``, ``latency``, ``last`` (the replica that the quorum
        needed last), and the parts, which add up to the latency (`sim.analysis.anatomy.PARTS`, docs/trace.md). Needs
        ``Scenario(trace="full")``, else ValueError.
        """
        from sim.analysis.anatomy import anatomy

        return anatomy(self._causes, self.operations)

    def vector_clocks(self) -> pd.DataFrame:
        """The vector clock of each step: one row a step, one column a node. Needs ``trace="full"``."""
        return self._causes.vector_clocks()

    def state(self, node: str, at: float | None = None, *, step: int | None = None) -> dict[str, Any] | None:
        """The attributes of a node as plain data, by name; None while it was down. Needs ``trace="full"``.

        ``at``: a time (seconds; after all steps up to it), by default the end. ``step``: instead, the id of a step
        (after it).
        """
        from sim.analysis.causes import state_at

        if "steps" not in self._frames:
            raise ValueError('there is no full trace: run the scenario with trace="full"')
        when = self.ended if at is None and step is None else at
        return state_at(self.steps, self.events, node, time=when, step=step)

    def story(self, end: Sequence[str] | None = None, *, calm: float | None = None, width: int = 140) -> str:
        """What happened, as text: one line an event, one column a node. Needs ``Scenario(trace="full")``.

        ``end``: the lines at the end; None: the violation, or that nothing broke. ``calm``: when all faults ended
        (seconds), if that is to be told. ``width``: letters in a line.
        See `sim.analysis.story`.
        """
        from sim.analysis.story import tell

        last = end
        if last is None:
            found = self.violation
            well = "Nothing broke." if self.scenario.check else "The invariants were not asked (check=True)."
            last = [well] if found is None else [f"BROKEN: {found}"]
        nodes = [str(name) for name in self.nodes["node"]] or sorted({*self.events["node"]} - {""})
        return tell(self._frames, nodes, calm=calm, end=last, width=width)

    def __getstate__(self) -> dict[str, Any]:
        if self.has_frames:
            _ = self._frames  # frames are smaller to send between processes than rows
        return self.__dict__

    def forget(self, measures: Mapping[str, Any]) -> None:
        """Drop the frames, the final values and the scenario; keep the digest, these measures and the sketch."""
        self.__dict__.pop("_frames", None)
        self._recorder = self.final = None
        self._measures = measures
        self.has_frames = False
        self.scenario = cast("Scenario", None)

    def remember(self, scenario: Scenario, reader: Callable[[], dict[str, pd.DataFrame]]) -> None:
        """Give a run back what `forget` dropped: its scenario, and what makes its frames when they are used."""
        self.scenario = scenario
        self._reader = reader

    # Measures and verdicts

    def sketch(self) -> LatencySketch:
        """The latencies in few bytes, each within 1 %; sketches of several runs can be merged."""
        if self._sketch is None:
            from sim.analysis.sketch import sketch_of

            self._sketch = sketch_of(self.weighed_operations, duration=self.ended, warmup=self.warmup)
        return self._sketch

    def failovers(self) -> pd.DataFrame:
        """Each crash of a leader: the time (seconds) to the next leader, and to the first answered write.

        Columns: see `sim.analysis.failovers.Failover`. Empty for a system without a leader.
        """
        from sim.analysis.failovers import failover_frame

        return failover_frame(self.each_failover())

    def each_failover(self) -> Sequence[Failover]:
        """The rows of `failovers`; they are kept where the frames of a run are not."""
        if self._failovers is None:
            from sim.analysis.failovers import failovers
            from sim.analysis.measures import READS

            application = application_of(self.scenario.system)
            self._failovers = failovers(
                self.operations,
                self.events,
                leader_groups(self.scenario.resolved),
                duration=self.ended,
                reads=READS if application is None else application.reads,
            )
        return self._failovers

    def summary(self) -> pd.Series:
        """Throughput, latency quantiles, unavailability, messages per operation (see `sim.analysis.measures`)."""
        import pandas as pd

        return pd.Series(self.measures(), dtype=float)

    def measures(self) -> dict[str, float]:
        """Its `summary` as a mapping, worked out once."""
        if self._measures is None:
            found = {str(name): float(value) for name, value in self._measured().items()}
            try:
                self._measures = found  # a measure of one's own may be made of the others
                for measure in self.scenario.own_measures:
                    found[measure.name] = measure.value_of(self)
            except Exception:
                self._measures = None
                raise
        return dict(self._measures)

    def cost(self, prices: Prices) -> RunCost:
        """What it costs at these prices, by part, and an hour, a month and a million operations (`sim.analysis.costs`).

        Raises ValueError for a machine or a traffic without a price, and for a price of what is not there.
        """
        from sim.analysis.costs import cost

        prices.check(self.scenario)
        residents = self.scenario.resolved.residents
        shared = {name: machine for machine, names in residents.items() for name in names}
        frames = self.operations, self.links, self.nodes
        return cost(*frames, prices, duration=self.ended, machines=shared)

    def _measured(self) -> pd.Series:
        from sim.analysis import measures

        application = application_of(self.scenario.system)
        row = measures.summary(
            self.weighed_operations,
            self.events,
            self.links,
            self.nodes,
            duration=self.ended,
            warmup=self.warmup,
            lost=self.acknowledged_lost,
            reads=measures.READS if application is None else application.reads,
            may_fail=self.scenario.system.may_fail,
            led=leader_groups(self.scenario.resolved),
        )
        if self.scenario.warmup == AUTO:
            row["warmup"] = self.warmup
            row["warmup_at_least"] = float(not self._warm_up.over)
        return row

    @property
    def warmup(self) -> float:
        """Seconds at the beginning that measures leave out: the scenario's warmup, at most half of the run.

        With ``Scenario(warmup="auto")`` it is found in the latencies of this run (see `sim.analysis.warmup`).
        """
        given = self.scenario.warmup
        if given != AUTO:
            return min(float(given), self.ended / 2)
        if self._measures is not None:
            return self._measures["warmup"]
        return min(self._warm_up.end, self.ended / 2)

    @cached_property
    def _warm_up(self) -> WarmUp:
        from sim.analysis.warmup import warm_up

        return warm_up(self.operations, self.events, duration=self.ended)

    @property
    def weighed_operations(self) -> pd.DataFrame:
        """The operations; for a closed loop with the column ``weight``, so that each client counts equally."""
        from sim.analysis.measures import weigh_clients

        if not isinstance(self.scenario.workload, ClosedLoop):
            return self.operations
        return weigh_clients(self.operations, duration=self.ended, warmup=self.warmup)

    def check(
        self, consistency: str | None = None, *, model: str = "auto", steps: Count | None = None
    ) -> Check:
        """Judge the history by the consistency that the system claims, or by another consistency model.

        ``steps``: of the search for an order that explains the history, before the verdict is unknown; None: many.
        """
        claim = consistency if consistency is not None else self.scenario.resolved.system.consistency
        return Check(claim, self._judge(claim, model, steps), self.violation, self.scenario.check)

    def _judge(self, claim: str | None, model: str, steps: int | None) -> Verdict | None:
        if claim is None:
            return None
        from sim.analysis.checks import canonical, check
        from sim.analysis.checks.judge import BUDGET, with_evidence

        if canonical(claim) == "eventual" and self.scenario.system.converges_within is not None:
            # Reads during writes say nothing about convergence: use the verdict from after the run. Without a
            # successful write all replicas are equal anyway, so `with_evidence` needs the number of successes.
            succeeded = int((self.operations["status"] == "ok").sum())
            found = self.convergence
            return None if found is None else with_evidence(found, len(self.operations), succeeded)
        operations = self.operations
        application = application_of(self.scenario.system)
        if application is not None and model == "auto":
            return judge_by(application, operations, claim, steps)
        return check(operations, claim, model=model, budget=steps or BUDGET)

    @property
    def plot(self) -> RunPlots:
        """Charts of this run: ``run.plot.timeline()`` and so on."""
        from sim.lab.plots import RunPlots

        return RunPlots(self)

    def save(self, folder: Path | str) -> list[Path]:
        """Save the run in a folder, from which `sim.load` loads it; returns the paths.

        All frames are written as CSV (also as Parquet if pyarrow is installed); ``manifest.json`` describes what ran.
        """
        from sim.lab.saved import save_run

        return save_run(self, folder)

    def view(self) -> Any:
        """The space-time page as a widget of a notebook. See docs/report.md.

        It shows most with ``Scenario(trace="full")``. Raises ImportError where anywidget is not installed
        (``pip install quorumlab[notebook]``).
        """
        from sim.lab.widget import space_time_widget

        return space_time_widget(self)

    def export(self, path: Path | str) -> list[Path]:
        """Write the run for another tool; returns the paths. The ending says for which (docs/report.md).

        ``.pftrace``: Perfetto. ``.shiviz``: ShiViz, with vector clocks (needs ``trace="full"``). ``.jsonl``: lines that
        ``sim view`` reads. No ending: a folder with every frame as CSV, and as Parquet if pyarrow is installed. Raises
        ValueError for another ending.
        """
        from sim.lab.export import export_run

        return export_run(self, path)

    def report(self, path: Path | str) -> Path:
        """Write a report as one HTML file, for readers without Python; returns the path. See docs/report.md.

        With ``Scenario(trace="full")`` it has the space-time page with the state of each node at any time. Raises
        ValueError for a path that does not end in .html.
        """
        from sim.lab.report.run import run_report

        return run_report(self, path)

    def text(self) -> str:
        """Its measures, and what broke; the history is judged by `check`."""
        return text_of_blocks(self.blocks())

    def blocks(self) -> list[Block]:
        """The parts of its `text`."""
        from sim.analysis.quantities import known_quantities
        from sim.analysis.tables import measures_table
        from sim.lab.own import measures_of

        with known_quantities(measure.quantity for measure in measures_of([self.scenario])):
            table = measures_table(self.measures())
        named = f"{self.scenario.name}: " if self.scenario.name else ""
        head = f"{named}{self.label}, seed {self.seed}: {self.ended:g} s simulated, {self.events_processed:,} events"
        broken = [] if self.violation is None else [f"BROKEN: {self.violation}"]
        return [head, table, *broken]

    def __repr__(self) -> str:
        return f"<Run of {self.label}, seed {self.seed}: {self.ended:g} s simulated, {self.events_processed} events>"


def execute(scenario: Scenario, seed: int) -> Run:
    """Run a scenario to its end. A violated invariant ends the run early and is then ``run.violation``."""
    begun = time.perf_counter()  # measures the cost of the run; does not affect the run
    violation: Violation | None = None
    convergence: Verdict | None = None
    simulation = Simulation(scenario, seed)
    try:
        simulation.run()
        simulation.finish()
        convergence = simulation.settle()
    except Violation as broken:
        violation = finish_broken(simulation, broken)
    return Run.of(simulation, violation, time.perf_counter() - begun, convergence)


def finish_broken(simulation: Simulation, violation: Violation) -> Violation:
    """Finish the records of a run that ended early, without invariants: the first violation is the result."""
    violation.seed, violation.scenario = simulation.seed, simulation.scenario
    violation.__traceback__ = None
    simulation.cluster.stop_watching()
    simulation.finish()
    return violation
