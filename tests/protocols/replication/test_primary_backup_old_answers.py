"""A replaced primary may still answer requests that arrived before, and retries of writes that it knows already.

Storms showed each schedule (sync seed 813, semi-sync seeds 621 and 954 of tests/lab/test_lab_no_false_alarm.py), when
the invariant still accused them.
"""

from __future__ import annotations

from typing import Any

from sim.protocols.replication.primary_backup.log_shipping import AppendOk
from sim.protocols.replication.primary_backup.system import PrimaryBackup

SYNC = PrimaryBackup(nodes=3)


def replace_primary(s: Any, old: str, others: list[str], new: str) -> None:
    """``new`` leads the next view, and has answered a client; ``old`` knows nothing of it."""
    s.isolate([old], [*others, "views"])
    s.run(0.7)
    written = s.ask(new, session=2)
    s.run(0.02)
    assert s.answered(written)
    assert s.node(old).role == s.node(new).role == "primary"


def test_a_replaced_primary_may_answer_the_retry_of_a_write_that_took_effect_before(stage: Any) -> None:
    """The client had asked another primary first, and asks this one after it has been replaced, too."""
    s = stage(SYNC)
    s.run(0.02)
    written = s.ask("n0")
    s.run(0.02)
    replace_primary(s, "n0", ["n1", "n2"], "n1")
    s.heal()
    s.run(0.7)
    replace_primary(s, "n1", ["n0", "n2"], s.node("n1").view.backups[0])
    s.ask("n1", sequence=written)
    s.run(0.02)
    assert len(s.answers(written)) == 2


def test_a_replaced_primary_may_answer_a_read_that_was_confirmed_before_although_it_was_asked_again(
    stage: Any,
) -> None:
    s = stage(SYNC)
    s.run(0.02)
    s.hold(kind=AppendOk, dst="n0")
    read = s.ask("n0", "get")
    s.run(0.02)
    assert not s.answered(read)
    replace_primary(s, "n0", ["n1", "n2"], "n1")
    s.ask("n0", "get", sequence=read)
    s.run(0.02)
    s.release()
    s.run(0.02)
    assert len(s.answers(read)) == 1
