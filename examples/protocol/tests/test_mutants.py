"""Each invariant catches its mutant: the protocol with one mistake in it, on a schedule that shows the mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.testing import Stage

from firstlog.messages import Append, Held
from firstlog.node import FirstLogNode
from firstlog.system import FirstLog

SYNC = 0.05  # seconds that a disk takes
LOSES = 3  # a seed under which a crash loses what is not synced; under others a part of it may survive


class HastyAnswer(FirstLogNode):
    """Says that it holds what is not yet on its disk."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        super().send(dst, msg, hold=hold and not isinstance(msg, Held))


class HastyPrimary(FirstLogNode):
    """Sends the others what is not yet on its own disk."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        super().send(dst, msg, hold=hold and not isinstance(msg, Append))


class Boaster(FirstLogNode):
    """Takes for granted that everybody holds everything."""

    def holders(self, count: int) -> set[str]:
        return set(self.members)


@dataclass(frozen=True, kw_only=True)
class Mutant(FirstLog):
    """The system, with nodes of another class."""

    mutant: Any = FirstLogNode

    @property
    def replica_class(self) -> Any:
        return self.mutant


def test_an_answer_before_the_disk_is_caught() -> None:
    stage = Stage(Mutant(mutant=HastyAnswer), fsync=SYNC)
    stage.ask("n0", "put", "x", 1)
    assert stage.invariant_broken() == "durable before send"


def lose_the_first_command(mutant: type[FirstLogNode]) -> Stage:
    """The primary crashes before its first command is on its disk, and then gives the first place again."""
    stage = Stage(Mutant(mutant=mutant), fsync=SYNC, seed=LOSES)
    stage.ask("n0", "put", "x", 1)
    stage.run(0.03)
    stage.crash("n0")
    stage.restart("n0")
    assert len(stage.node("n0").log) == 0
    stage.ask("n0", "put", "y", 2)
    return stage


def test_two_commands_at_one_place_are_caught() -> None:
    assert lose_the_first_command(HastyPrimary).invariant_broken() == "one order"


def test_a_command_that_nobody_holds_is_caught_when_it_is_chosen() -> None:
    stage = Stage(Mutant(mutant=Boaster), fsync=SYNC)
    stage.ask("n0", "put", "x", 1)
    assert stage.invariant_broken() == "chosen is held by a quorum"


def test_without_a_mistake_the_same_schedules_break_nothing() -> None:
    stage = lose_the_first_command(FirstLogNode)
    stage.run(2.0)
    stage.finish()
    assert [reply.status for reply in stage.client.replies] == ["ok"]
