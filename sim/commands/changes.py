"""The options that change a scenario on the command line, the same for every command that runs one.

``--set`` changes a field. ``--network`` (``--replay``), ``--fault``, ``--load`` and ``--disk`` bring your own data and
your own incident, without Python: each replaces that part of the scenario.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from sim.commands.inputs import parse_setting
from sim.commands.written import parse_fault, parse_load, parse_prices

if TYPE_CHECKING:
    from sim.cluster import Disk, Machine
    from sim.lab import Scenario
    from sim.network.topology import Topology
    from sim.workload import Workload

__all__ = ["Changes", "changes"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The changes that the command line asks for, as it wrote them."""

    settings: tuple[str, ...] = ()
    network: Path | None = None
    replay: Literal["refuse", "hold", "repeat"] | None = None
    faults: tuple[str, ...] = ()
    load: str | None = None
    disk: str | None = None
    prices: str | None = None

    def applied(
        self, scenario: Scenario, varied: Sequence[str] = (), first: Mapping[str, Any] | None = None
    ) -> Scenario:
        """The scenario with all changes made together; only the result is checked, no step on the way.

        ``varied``: the fields that are varied afterwards. A change that another change or ``varied`` would undo is
        refused. ``first``: fields that the command itself changes; the command line may change them again.
        """
        from sim.lab.sweep import refuse_overwriting

        parsed = [parse_setting(setting) for setting in self.settings]
        named = [*(name for name, _ in parsed), *varied]
        refuse_overwriting(named)
        own = self._own(scenario, named)
        return scenario.vary_all({**(first or {}), **own, **dict(parsed)})

    def _own(self, scenario: Scenario, named: Sequence[str]) -> dict[str, Any]:
        """Field -> value, for the options that read a file or an expression.

        Settings of parts come after them: ``--network table.csv --set network.loss=0.01``.
        """
        found: dict[str, Any] = {}
        if self.network is not None:
            _refuse_undone("--network", self.network, "network", named)
            found["network"] = _network(self.network, self.replay)
        elif self.replay is not None:
            raise click.UsageError(
                f"--replay {self.replay} has no effect without --network: it plays a file back"
            )
        if self.faults:
            _refuse_undone("--fault", self.faults[0], "faults", named)
            found["faults"] = tuple(parse_fault(text) for text in self.faults)
        if self.load is not None:
            _refuse_undone("--load", self.load, "workload", named)
            found["workload"] = _load(self.load)
        if self.disk is not None:
            _refuse_undone("--disk", self.disk, "machines", named)
            _refuse_undone("--disk", self.disk, "machines__disk", named)
            found["machines"] = _with_disk(scenario.machines, _disk(self.disk))
        if self.prices is not None:
            _refuse_undone("--prices", self.prices, "measures", named)
            found["measures"] = (*scenario.measures, parse_prices(self.prices).measure("month"))
        return found


def changes(command: _Command) -> Callable[..., Any]:
    """Give a command the options of `Changes`; it gets them together, as its parameter ``changes``."""

    @functools.wraps(command)
    def gathered(*arguments: Any, **given: Any) -> Any:
        own = {field.name: given.pop(field.name) for field in dataclasses.fields(Changes)}
        return command(*arguments, changes=Changes(**own), **given)

    made: Callable[..., Any] = gathered
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


_OPTIONS = (
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Change a field of the scenario, such as system.nodes=3; may be repeated.",
    ),
    click.option(
        "--network",
        type=click.Path(exists=True, path_type=Path),
        default=None,
        metavar="FILE",
        help="Your measured latencies: a table, a matrix, output of ping or mtr ..., or a folder of such files.",
    ),
    click.option(
        "--replay",
        type=click.Choice(["refuse", "hold", "repeat"]),
        default=None,
        help="Play the samples of --network back at the times at which they were measured. After the last one: "
        "refuse a longer run, hold it, or repeat all.",
    ),
    click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="FAULT",
        help="What goes wrong, instead of the scenario's faults: 'Crash(\"leader\", at=5, down=2)'; may be repeated.",
    ),
    click.option(
        "--load",
        default=None,
        metavar="WORKLOAD",
        help="The load, instead of the scenario's: 'ClosedLoop(clients=10)', "
        '\'Trace("trace.csv", start="first")\'.',
    ),
    click.option(
        "--disk",
        default=None,
        metavar="FILE[:JOB]",
        help="Your measured disk: how long syncs take, by fio --fdatasync=1 --output-format=json.",
    ),
    click.option(
        "--prices",
        default=None,
        metavar="PRICES",
        help="Adds the measure cost (a month): 'Prices(machine=0.12, within=0.01, between=0.02)', an hour and a GB.",
    ),
)


def _told(what: str, note: str, caught: Sequence[warnings.WarningMessage] = ()) -> None:
    """Say on standard error what was taken from a file and what was left."""
    for text in (note, *(warning.message for warning in caught)):
        click.echo(f"{what}: {text}", err=True)


def _refuse_undone(option: str, value: object, field: str, named: Sequence[str]) -> None:
    """Refuse an option whose field ``--set`` or ``--vary`` replaces."""
    if field in named:
        raise click.UsageError(
            f"{option} {value} has no effect: {field.replace('__', '.')} is set by another option, too"
        )


def _network(path: Path, replay: Literal["refuse", "hold", "repeat"] | None) -> Topology:
    from sim.network import wan

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network = wan(path=path, replay=replay is not None, after=replay)
    _told("network", network.note, caught)
    return network


def _load(text: str) -> Workload:
    load = parse_load(text)
    note = getattr(load, "note", "")
    if note:
        _told("load", note)
    return load


def _disk(text: str) -> Disk:
    """The disk of ``FILE`` or ``FILE:JOB``."""
    from sim.cluster import Disk
    from sim.readers.fio import read_fio

    path, _, job = text.rpartition(":")
    if not path or Path(text).exists():
        path, job = text, ""
    try:
        note = read_fio(path, job or None).note
        disk = Disk.from_fio(path, job or None)
    except OSError as error:
        raise click.UsageError(f"--disk: {path} cannot be read: {error.strerror}") from error
    _told("disk", str(note))
    return disk


def _with_disk(machines: Machine | Mapping[str, Machine], disk: Disk) -> Any:
    """The machines of a scenario, each with this disk."""
    from sim.cluster import Machine

    if isinstance(machines, Machine):
        return dataclasses.replace(machines, disk=disk)
    return {name: dataclasses.replace(one, disk=disk) for name, one in {"*": Machine(), **machines}.items()}
