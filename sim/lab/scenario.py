"""Scenarios: system, network, load and faults as one frozen value. A scenario with a seed gives a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from sim.arguments import checked_but, checked_methods
from sim.cluster import Disk, Machine, Tracing
from sim.display import Folded, html_of
from sim.faults import Fault
from sim.lab.application_model import application_of
from sim.lab.fault_checks import check_faults
from sim.lab.membership import check_members
from sim.lab.resolved import Resolved, nested, resolve
from sim.measure import Measure, without_clash
from sim.network.topology import Topology, lan
from sim.node import durable_fields
from sim.protocols.client import Retry
from sim.settings import MOST_ROWS, Seconds, Value, Wait, field_path
from sim.system import System
from sim.workload import OpenLoop, Workload
from sim.written import from_dict, from_json, from_toml, to_dict, to_json, to_toml

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from sim.lab.run import Run
    from sim.lab.simulation import Simulation
    from sim.lab.stages import Precision
    from sim.lab.sweep import Sweep

__all__ = ["Checking", "Scenario"]

Checking = bool | Literal["free"]
"""Which invariants are checked: none, all, or only those that come free or are declared in one line."""


@checked_methods
@dataclass(frozen=True, kw_only=True)
class Scenario(Value):
    """A system, a network, a workload and faults.

    Parameters
    ----------
    system:
        The system (see `sim.protocols`).
    network:
        A topology (see `sim.network`): `lan`, `wan`, ...
    workload:
        The operations of the clients (see `sim.workload`). Default: an open loop of 100 operations/s from 10 clients.
        In a closed loop, clients that wait issue nothing, so percentiles hardly show an outage.
    faults:
        The faults (see `sim.faults`).
    duration:
        Simulated seconds.
    warmup:
        Seconds at the beginning that measures leave out; ``"auto"``: found in the latencies of each run by MSER-5 (see
        `sim.analysis.warmup`), and told in tables.
    machines:
        The machine of every member; or a mapping from the name of a member or machine to its machine, with ``"*"`` for
        all others.
    leader:
        The place where the first leader or primary of the system starts.
    retry:
        How clients retry; a ``timeout`` of None is derived from the network.
    check:
        Check the invariants after every event, and raise an error if a message changes between send and delivery.
        ``"free"``: only the invariants that every system has or declares in one line (`sim.invariants`), and not those
        written by hand: shows what is found for a system that has no others.
    trace:
        True: record each message (the frame ``messages``). ``"full"``: also each step of a node, its cause and the
        change of its state (the frame ``steps``), and what messages say; see docs/trace.md. A number above 0 and at
        most 1: that share of the messages, each with the same chance; the column ``share`` of the frame says so.
    sample_every:
        Seconds between samples of the gauges that nodes offer (the frame ``samples``); None: no samples.
    measures:
        Measures of your own (see `sim.measure`), beside those of every run and those that the system declares.
    name:
        The name for titles.

    Raises ValueError on construction for settings that cannot work.
    """

    system: System
    network: Topology = field(default_factory=lan)
    workload: Workload = field(default_factory=lambda: OpenLoop(clients=10))
    faults: Sequence[Fault] = ()
    duration: Seconds = 10.0
    warmup: Wait | Literal["auto"] = 0.0
    machines: Machine | Mapping[str, Machine] = field(default_factory=Machine)
    leader: str | None = None
    retry: Retry = field(default_factory=Retry)
    check: Checking = False
    trace: Tracing = False
    sample_every: Seconds | None = None
    measures: Sequence[Measure] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if self.warmup != "auto" and self.warmup >= self.duration:
            raise ValueError(f"Scenario: warmup must be below the duration, or 'auto', not {self.warmup!r}")
        object.__setattr__(self, "faults", tuple(self.faults))
        self._check_sizes()
        check_members(self.system)
        self._check_operations()
        self._check_places()
        object.__setattr__(self, "measures", tuple(self.measures))
        for measure in self.own_measures:
            measure.check(self)

    def _check_sizes(self) -> None:
        """Raise ValueError for a scenario that would take too much memory, or that would not end in any useful time."""
        if self.sample_every is not None and self.duration / self.sample_every > MOST_ROWS:
            raise ValueError(
                f"Scenario: sample_every={self.sample_every!r} makes {self.duration / self.sample_every:.3g} rows of "
                f"each gauge in {self.duration!r} s: at most {MOST_ROWS:,} fit in memory"
            )
        if self.system.heartbeat is not None and self.duration / self.system.heartbeat > MOST_ROWS:
            raise ValueError(
                f"Scenario: heartbeat={self.system.heartbeat!r} makes {self.duration / self.system.heartbeat:.3g} "
                f"heartbeats in {self.duration!r} s: at most {MOST_ROWS:,}"
            )

    def _check_operations(self) -> None:
        self.workload.check_duration(self.duration)
        self.network.check_duration(self.duration)
        unsupported = sorted(self.load.kinds - self.system.operations)
        if unsupported:
            raise ValueError(
                f"Scenario: {self.system.label} does not support {', '.join(unsupported)}; "
                f"it supports {', '.join(sorted(self.system.operations))}"
            )

    def _check_places(self) -> None:
        # This also refuses settings that do not fit the derived times, such as a lease that is too long.
        found = self.resolved
        for where in dict.fromkeys(self.workload.spots(self.network.regions)):
            if where not in found.places:
                self.network.resolve(where)
        check_faults(self)
        if isinstance(self.machines, Mapping):
            for name in self.machines:
                if name != "*" and name not in found.places and name not in found.residents:
                    raise ValueError(
                        f"Scenario: machines names {name!r}; the members are {', '.join(found.places)}"
                    )
        self._check_disks()
        found.system.check_machines(found.machines)

    def _check_disks(self) -> None:
        """Raise ValueError for a sync time of a durable field that no member with such a disk has."""
        known: dict[Disk, dict[str, None]] = {}
        for member in self.resolved.members:
            written = dict.fromkeys(durable_fields(member.node_class))
            known.setdefault(self.resolved.machines[member.name].disk, {}).update(written)
        for disk, fields in known.items():
            for kind in disk.latency_of:
                if kind not in fields:
                    raise ValueError(
                        f"Scenario: Disk(fsync_of=...) names {kind!r}, which no member of {self.system.label} writes; "
                        f"durable are {', '.join(fields) or 'no fields'}"
                    )

    # Derived values

    @property
    def load(self) -> Workload:
        """The workload; if it has no mix of its own, with one that suits the application of the system."""
        return self.workload.suited_to(application_of(self.system))

    @cached_property
    def resolved(self) -> Resolved:
        """All values derived from the fields: the system with its times, places, machines, how clients retry."""
        return resolve(self.system, self.network, self.machines, self.leader, self.retry)

    @property
    def derived(self) -> dict[str, Any]:
        """The derived times (seconds) and places, for printing with results."""
        return self.resolved.derived

    def describe(self) -> str:
        """What will be run and what was derived, in plain sentences: what `sim describe` prints."""
        from sim.lab.described import sentences

        return "\n".join(sentences(self))

    def _repr_html_(self) -> str:
        from sim.lab.described import LEFT, sentences

        *told, last = sentences(self)
        return html_of([*told, Folded(LEFT, last.removeprefix(f"{LEFT}: "))])

    def __getstate__(self) -> dict[str, Any]:
        # Only the fields: another process derives the other values again.
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @property
    def own_measures(self) -> tuple[Measure, ...]:
        """The measures that the system, and the systems in it, declare; and those of this scenario."""
        declared: list[Measure] = []
        waiting = [self.system]
        while waiting:
            system = waiting.pop(0)
            declared += system.measures
            waiting += [inner for _, inner in nested(system)]
        return without_clash([*declared, *self.measures])

    # Running

    def start(self, seed: int = 0) -> Simulation:
        """A live simulation, to run step by step."""
        from sim.lab.simulation import Simulation

        return Simulation(self, seed)

    def measuring(self, measures: Iterable[Measure]) -> Scenario:
        """A copy with these measures, too; ValueError where a name is that of another one."""
        added = tuple(measures)
        return self.vary("measures", (*self.measures, *added)) if added else self

    def run(self, seed: int = 0) -> Run:
        """Run it to its end under a seed (an integer >= 0)."""
        from sim.lab.run import execute

        return execute(self, seed)

    def sweep(
        self,
        varied: Mapping[str, Any] | None = None,
        /,
        *,
        seeds: int | Iterable[int] | None = None,
        precision: Precision | None = None,
        max_seeds: int | None = None,
        judge: bool = True,
        workers: int | None = None,
        executor: Executor | None = None,
        start_method: str | None = None,
        progress: str | None = "sweeping",
        run_timeout: float | None = None,
        memory_limit: float | None = None,
        out: Path | str | None = None,
        resume: bool = False,
        frames: bool | None = None,
        measures: Iterable[Measure] = (),
        **fields: Iterable[Any],
    ) -> Sweep:
        """Run it for every combination of values of the given fields, and every seed.

        Fields are given as keywords, as a mapping, or both. A field is a field of the scenario (``duration``), or a
        field of a value in it, written with a dot (``"system.nodes"``) or with two underscores (``system__nodes``).
        ``seeds``: the seeds to run under; a number n means the first n; None: seed 0. ``precision``, ``max_seeds``:
        add seeds until measures are as precise as wanted (see `sim.lab.sweep.sweep`). ``judge``: check each history.
        ``measures``: measures of your own, added to those of the scenario. The other keywords say how the runs are made
        and where the results are kept: see `sim.lab.work.Work`.
        """
        from sim.lab.sweep import sweep

        given = {} if varied is None else varied
        both = [name for name in given if field_path(name) in fields]
        if both:
            raise ValueError(f"{both[0]} is given twice, in the mapping and by name")
        scenario = self.measuring(measures)
        return sweep(
            scenario,
            {**given, **fields},
            seeds=seeds,
            precision=precision,
            max_seeds=max_seeds,
            judge=judge,
            workers=workers,
            executor=executor,
            start_method=start_method,
            progress=progress,
            run_timeout=run_timeout,
            memory_limit=memory_limit,
            out=out,
            resume=resume,
            frames=frames,
        )

    # Its written form

    def to_dict(self) -> dict[str, Any]:
        """The scenario as plain data (`sim.written`). ValueError, with the path, for a part without written form."""
        return to_dict(self)

    def to_json(self) -> str:
        """The scenario as JSON; see `to_dict`."""
        return to_json(self)

    def to_toml(self) -> str:
        """The scenario as TOML; see `to_dict`."""
        return to_toml(self)

    @classmethod
    @checked_but("tree", "allow")
    def from_dict(cls, tree: Mapping[str, Any], *, allow: Collection[str] = ()) -> Scenario:
        """The scenario described by plain data; it equals the one that was written.

        ``allow``: names of modules outside ``sim`` whose classes the data may name; they are imported. Raises
        ValueError, with the path, for an unknown or not allowed name, and for a value that a class refuses.
        """
        made: Scenario = from_dict(tree, cls, allow=allow)
        return made

    @classmethod
    @checked_but("allow")
    def from_json(cls, text: str, *, allow: Collection[str] = ()) -> Scenario:
        """The scenario of a JSON text; see `from_dict`."""
        made: Scenario = from_json(text, cls, allow=allow)
        return made

    @classmethod
    @checked_but("allow")
    def from_toml(cls, text: str, *, allow: Collection[str] = ()) -> Scenario:
        """The scenario of a TOML text; see `from_dict`."""
        made: Scenario = from_toml(text, cls, allow=allow)
        return made

    def vary(self, path: str, value: Any) -> Scenario:
        """A copy with one field changed; ``"workload.rate"``, or ``workload__rate``, is the field of a field."""
        return self.vary_all({path: value})

    def vary_all(self, changes: Mapping[str, Any]) -> Scenario:
        """A copy with several fields changed together; only the final scenario is checked, no intermediate one.

        ``changes``: path of a field, as in `vary` -> its value. Raises ValueError for an unknown field.
        """
        made: Scenario = _changed(
            self, [(field_path(path), value) for path, value in changes.items()], "a scenario"
        )
        return made


def _changed(owner: Any, changes: list[tuple[str, Any]], what: str, path: str = "") -> Any:
    """A copy of a value with the fields at these paths changed; each nested value is rebuilt once."""
    if not dataclasses.is_dataclass(owner) or isinstance(owner, type):
        raise ValueError(f"{path} is {owner!r}, whose fields cannot be varied")
    names = [f.name for f in dataclasses.fields(owner) if f.init]
    by_field: dict[str, list[tuple[str, Any]]] = {}
    for name, value in changes:
        head, _, rest = name.partition("__")
        if head not in names:
            raise ValueError(f"{what} has no field {head!r}; it has {', '.join(names)}")
        by_field.setdefault(head, []).append((rest, value))
    made = {}
    for head, parts in by_field.items():
        made[head] = next((value for rest, value in parts if not rest), getattr(owner, head))
        inner = [(rest, value) for rest, value in parts if rest]
        if inner:
            where = f"{path}__{head}".lstrip("_")
            made[head] = _changed(made[head], inner, f"{where} ({type(made[head]).__name__})", where)
    return owner.changed(**made) if isinstance(owner, System) else dataclasses.replace(owner, **made)
