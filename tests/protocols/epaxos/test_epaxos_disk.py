"""A decision that its leader's disk has not yet: no replica hears of it, and nothing is executed because of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import EPaxos, EPaxosStar
from sim.protocols.command import Command
from sim.protocols.consensus.epaxos.messages import COMMITTED, Commit, Instance
from sim.protocols.consensus.epaxos.node import EPaxosNode
from sim.protocols.consensus.epaxos_star.messages import Commit as StarCommit
from sim.protocols.consensus.epaxos_star.messages import Deps
from sim.protocols.consensus.epaxos_star.node import EPaxosStarNode
from sim.system import SafetyViolation

SYSTEMS = [EPaxos(nodes=5), EPaxosStar(nodes=5), EPaxos(nodes=3), EPaxosStar(nodes=3)]


def decided_in_memory(stage: Any, system: Any, **options: Any) -> Any:
    """n0 has decided on a command, which its disk has not yet."""
    world = stage(system, fsync=0.005, beside="n0", **options)
    world.ask("n0", value=1)
    world.run(
        0.0312
    )  # written at 0 and asked at 5 ms; written by the others at 15, answered at 20, here at 30
    assert world.node("n0").instances[0, 1].status == COMMITTED
    return world


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_a_fast_commit_that_a_crash_erases_was_sent_to_no_replica_and_executed_nowhere(
    stage: Any, system: Any
) -> None:
    """n0 crashes before its disk has the decision: it must not have told others, which decide again."""
    world = decided_in_memory(stage, system)
    assert not world.node("n0").executed
    assert world.replies == []
    assert not [message for message in world.messages() if message[0] == "Commit"]
    world.cluster.crash("n0", power=True)
    world.run(5.0)
    world.restart("n0")
    world.run(5.0)
    assert len({world.node(name).instances[0, 1].command for name in world.system.names}) == 1


@pytest.mark.parametrize(
    ("system", "later"),
    [
        (EPaxos(nodes=5), lambda command: Commit((4, 1), command, 2, ((0, 1),))),
        (EPaxosStar(nodes=5), lambda command: StarCommit((4, 1), command, Deps((0,) * 5, ((0, 1),)))),
    ],
    ids=["EPaxos", "EPaxosStar"],
)
def test_what_depends_on_a_decision_that_is_not_on_disk_is_not_executed_either(
    stage: Any, system: Any, later: Callable[[Command], Any]
) -> None:
    world = decided_in_memory(stage, system)
    world.isolate("n4")
    world.ask("n4", value=2, session=2)
    world.deliver("n4", "n0", later(Command(2, 1, "put", "x", 2)))
    assert not world.node("n0").executed
    world.run(0.01)
    assert list(world.node("n0").executed) == [(0, 1), (4, 1)]


def executes_unsynced(self: Any, instance: Instance) -> None:
    self.broadcast(self.commit_of(instance))
    self.settle(instance)


class Rash(EPaxosNode):
    """Executes a command that it leads before the decision is on its disk."""

    announce = executes_unsynced


class RashStar(EPaxosStarNode):
    """The same, in EPaxos*."""

    announce = executes_unsynced


def decides_again(stage: Any, system: Any, **options: Any) -> None:
    """n0 forgets its decision in a crash, and says so to those that recover the command after n1's has come."""
    world = decided_in_memory(stage, system, **options)
    world.cluster.crash("n0", power=True)
    world.restart("n0")
    world.ask("n1", value=2, session=2)
    world.run(5.0)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_an_execution_before_the_decision_is_on_disk_is_contradicted(stage: Any, system: Any) -> None:
    decides_again(stage, system)
    star = isinstance(system, EPaxosStar)
    with pytest.raises(SafetyViolation) as caught:
        decides_again(stage, system, mutant=RashStar if star else Rash)
    # EPaxos proposes the forgotten command again, and orders it after n1's; EPaxos* makes it a no-op.
    expected = "one outcome per instance" if star else "what comes later is executed later"
    assert caught.value.invariant == expected
