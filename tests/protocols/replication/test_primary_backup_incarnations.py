"""A primary that crashed before anything of its view had left it begins the view again: that breaks no invariant."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.client import Reply
from sim.protocols.command import Command
from sim.protocols.kv import KeyValueStore
from sim.protocols.membership.views.service import View
from sim.protocols.replication.primary_backup.invariants import AcknowledgedSurvives, BackupIsPrefix
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode
from sim.protocols.replication.shipped_log import Entry
from sim.protocols.sessions import Sessions
from sim.system import SafetyViolation

VIEW = View(2, ("n0", "n1"))
A, B, C = (Entry(2, Command(session, 1, "put", "x", session)) for session in (1, 2, 3))


class Log(list[Entry]):
    """A log in memory."""

    @property
    def items(self) -> list[Entry]:
        return self


def replica(name: str, life: int, *entries: Entry, view: int = 2) -> Any:
    """A replica of that view with that log, as its invariants see it."""
    node: Any = PrimaryBackupNode.__new__(PrimaryBackupNode)
    node.__dict__.update(
        name=name,
        incarnation=life,
        role="primary" if name == "n0" else "backup",
        view=VIEW,
        view_number=view,
        log_view=view,
        log=Log(entries),
        base=0,
        store=Sessions(KeyValueStore()),
    )
    return node


def test_entries_that_an_earlier_incarnation_had_in_memory_only_bind_no_replica() -> None:
    invariant = BackupIsPrefix()
    for node in (replica("n0", 0, A, B), replica("n0", 1), replica("n0", 1, C), replica("n1", 0, C)):
        invariant.on_step(node)


def test_a_backup_entry_that_the_leading_incarnation_lacks_is_caught() -> None:
    invariant = BackupIsPrefix()
    invariant.on_step(replica("n0", 0, A, B))
    invariant.on_step(replica("n0", 1, C))
    with pytest.raises(SafetyViolation, match="prefix of the primary's"):
        invariant.on_step(replica("n1", 0, A))


def test_later_views_must_have_entries_that_a_second_incarnation_acknowledged() -> None:
    """It has the position at which the first incarnation had another entry."""
    invariant = AcknowledgedSurvives()
    invariant.on_step(replica("n0", 0, A, B))
    invariant.on_step(replica("n0", 1, C))
    invariant.on_send("n0", "c0", Reply(C.command.session, C.command.sequence, "ok"))
    with pytest.raises(SafetyViolation, match="acknowledged writes are in every later view"):
        invariant.on_step(replica("n0", 2, view=3))
