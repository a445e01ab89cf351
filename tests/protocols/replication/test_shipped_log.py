"""Two logs that have gone apart find where they last agreed, whatever views each has seen without the other."""

from __future__ import annotations

import dataclasses
from itertools import combinations_with_replacement

import pytest

from sim import Disk
from sim.distributions import Constant, Exponential, Mixture
from sim.lab import chaos, chaos_scenario
from sim.protocols import PrimaryBackup
from sim.protocols.kv import Command
from sim.protocols.replication.shipped_log import Entry, ShippedLog

COMMAND = Command(1, 1, "put", "x", 1)


def log_of(views: tuple[int, ...]) -> ShippedLog:
    node = ShippedLog.__new__(ShippedLog)
    node.__dict__.update(base=0, base_view=0, log=[Entry(view, COMMAND) for view in views])
    return node


LOGS = [views for length in range(5) for views in combinations_with_replacement((1, 2, 3, 4), length)]


@pytest.mark.parametrize("behind", LOGS, ids=str)
def test_stepping_back_in_turns_ends_where_both_hold_the_same_entry(behind: tuple[int, ...]) -> None:
    for ahead in LOGS:
        backup, primary = log_of(behind), log_of(ahead)
        position = primary.last
        for _ in range(12):
            view = primary.view_at(position)
            if backup.holds(position, view):
                break
            length = backup.step_back(position, view)
            position = primary.step_back(length, backup.view_at(length))
        else:
            pytest.fail(f"{behind} and {ahead} never agree")


def test_a_backup_with_entries_of_a_view_that_its_primary_never_saw_catches_up() -> None:
    """They sent each other the same two messages for ever: entries of views 2 and 4 against 2, 2 and 6."""
    system = PrimaryBackup(mode="async")
    drawn = chaos_scenario(system, 165, storm=4.0)
    assert isinstance(drawn.machines, dict)
    disk = Disk(fsync=Mixture(((0.99, Exponential(0.0005)), (0.01, Constant(0.6)))))
    machines = {name: dataclasses.replace(machine, disk=disk) for name, machine in drawn.machines.items()}
    run = chaos(system, 165, scenario=dataclasses.replace(drawn, machines=machines), bound=3.0)
    assert run.violation is None, run.violation
