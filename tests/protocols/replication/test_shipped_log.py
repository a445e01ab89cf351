"""Two logs that have gone apart find where they last agreed, whatever views each has seen without the other."""

from __future__ import annotations

from itertools import combinations_with_replacement, product
from typing import Any

import pytest

from sim.durability import DurableLog
from sim.protocols import PrimaryBackup
from sim.protocols.command import Command
from sim.protocols.replication.shipped_log import Entry, ShippedLog

COMMAND = Command(1, 1, "put", "x", 1)


def log_of(views: tuple[int, ...]) -> ShippedLog:
    node = ShippedLog.__new__(ShippedLog)
    node.__dict__.update(base=0, base_view=0, log=DurableLog((Entry(view, COMMAND) for view in views), print))
    return node


LOGS = [views for length in range(5) for views in combinations_with_replacement((1, 2, 3, 4), length)]


def test_stepping_back_in_turns_ends_where_both_hold_the_same_entry() -> None:
    for behind, ahead in product(LOGS, repeat=2):
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


def views_of_entries(stage: Any, name: str) -> list[int]:
    return [entry.view for entry in stage.node(name).log]


def test_a_backup_with_entries_of_a_view_that_its_primary_never_saw_catches_up(stage: Any) -> None:
    """A storm has found it: they sent each other the same two messages for ever, because one side only stepped back."""
    s = stage(PrimaryBackup(nodes=3, mode="async"))
    s.ask("n0")
    s.run(0.01)
    s.cut(["n0"], ["n1"])
    s.ask("n0")  # n1 does not get this
    s.run(0.01)
    s.crash("n0")
    s.isolate(["n1"], ["n2"])
    s.run(0.65)
    s.ask("n1")  # and n2 does not get this
    s.run(0.01)
    s.crash("n1")
    s.run(0.65)
    assert s.views() == [(2, "n1", ("n2",)), (3, "n2", ())]
    s.ask("n2")
    s.heal()
    s.run(0.01)
    s.restart("n1")
    assert (views_of_entries(s, "n1"), views_of_entries(s, "n2")) == ([1, 2], [1, 1, 3])
    s.run(0.5)
    assert views_of_entries(s, "n1") == [1, 1, 3]
    assert s.views()[2:] == [(4, "n2", ("n1",))]
    s.finish()
