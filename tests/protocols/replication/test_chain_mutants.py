"""Every invariant of the chain catches the bug it is there for: mutants by one changed word, schedules by hand.

The ids (CR1 ...) are those of the catalogue of known bugs; each names where the bug was found.
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.command import Command, Result
from sim.protocols.kv import KeyValueStore
from sim.protocols.membership.views.config_master import NO_CHAIN, Alive, ConfigurationMaster
from sim.protocols.replication.chain.craq import Craq, CraqNode
from sim.protocols.replication.chain.node import Ack, ChainNode, Forward
from sim.protocols.replication.chain.system import ChainReplication
from sim.protocols.sessions import Sessions
from sim.system import SafetyViolation
from sim.zoo.chain import AnswersDirtyLocally, DropsSent, NeedsNoLease

CHAIN = ChainReplication(nodes=4)


def violation(invariant: str) -> Any:
    return pytest.raises(SafetyViolation, match=f"^{invariant}")


def only(s: Any, invariant: str) -> None:
    """Ask one invariant only, where another would catch the mutant first."""
    s.cluster.watch_only(lambda i: i.title.startswith(invariant))
    assert s.cluster.invariants


# CR1: the predecessor drops Sent when its successor fails (OSDI 2004, section 3.2)


def middle_fails_with_updates_in_flight(stage: Any, node: type[ChainNode] = ChainNode) -> None:
    s = stage(CHAIN, node_class=node)
    s.run(0.02)
    s.cut(["n1"], ["n2"])
    s.ask("n0", "append", value="lost")
    s.run(0.005)
    s.crash("n1")
    s.run(0.8)
    s.ask("n0", "append", value="next")
    s.run(0.02)


def test_cr1_a_predecessor_that_drops_sent(stage: Any) -> None:
    middle_fails_with_updates_in_flight(stage)
    with violation("Update Propagation"):
        middle_fails_with_updates_in_flight(stage, DropsSent)


# CR2: a dirty read answers with what is clean here (ATC 2009, section 2.3)


def read_between_commit_and_acknowledgement(stage: Any, node: type[ChainNode] = CraqNode) -> None:
    s = stage(Craq(nodes=4), node_class=node)
    s.run(0.02)
    s.ask("n0", value="old")
    s.run(0.02)
    s.cut(["n3"], ["n2"])  # the acknowledgement is lost
    s.ask("n0", value="new")
    s.run(0.006)
    s.ask("n3", "get")
    s.run(0.003)
    s.ask("n0", "get")
    s.run(0.01)


def test_cr2_a_dirty_read_without_a_version_query(stage: Any) -> None:
    read_between_commit_and_acknowledgement(stage)
    with violation("reads are never older"):
        read_between_commit_and_acknowledgement(stage, AnswersDirtyLocally)


# CR3: a tail that was taken out goes on serving (OSDI 2004 assumes fail-stop)


def cut_off_tail(stage: Any, node: type[ChainNode] = ChainNode) -> None:
    s = stage(CHAIN, node_class=node)
    s.run(0.02)
    s.isolate(["n3"], ["n0", "n1", "n2", "master"])
    s.run(1.0)
    s.ask("n0")
    s.run(0.02)
    s.ask("n3", "get")
    s.run(0.02)


def test_cr3_a_removed_tail_that_keeps_serving(stage: Any) -> None:
    cut_off_tail(stage)
    with violation("reads are never older"):
        cut_off_tail(stage, NeedsNoLease)


class HeedsAnyone(ChainNode):
    """Takes updates from every sender, of any chain."""

    def _heeds(self, src: str, number: int) -> bool:
        return True


def removed_head_goes_on(stage: Any, node: type[ChainNode] = ChainNode) -> None:
    s = stage(CHAIN, node_class=node)
    s.run(0.02)
    s.isolate(["n0"], ["master"])
    s.run(1.0)
    s.ask("n1")
    s.run(0.02)
    s.ask("n0", session=7)
    s.run(0.1)


def test_a_server_that_takes_updates_of_an_old_chain(stage: Any) -> None:
    removed_head_goes_on(stage)
    with violation("(Update Propagation|acknowledged updates)"):
        removed_head_goes_on(stage, HeedsAnyone)


class AcknowledgesEarly(ChainNode):
    """The head answers when it has forwarded."""

    def _update(self, client: str, command: Command) -> None:
        super()._update(client, command)
        self.answer(client, command, self.store.known(command))


def head_fails_before_it_forwards(stage: Any, node: type[ChainNode] = ChainNode) -> None:
    s = stage(CHAIN, node_class=node)
    s.run(0.02)
    s.cut(["n0"], ["n1"])
    s.ask("n0")
    s.run(0.01)


def test_an_answer_before_the_tail_has_it(stage: Any) -> None:
    head_fails_before_it_forwards(stage)
    with violation("acknowledged updates are in the whole chain"):
        head_fails_before_it_forwards(stage, AcknowledgesEarly)


class ServesAtOnce(ChainNode):
    """A new tail serves before it has caught up."""

    def _catch_up(self, matched: int, start: int) -> None:
        super()._catch_up(matched, 0)


class TakesAnyoneIn(ConfigurationMaster):
    """Extends the chain by any live server."""

    def on_alive(self, src: str, msg: Alive) -> None:
        self.joined = tuple(m for m in self.heard if m not in self.chain.members)
        super().on_alive(src, msg)

    def _hear_member(self, src: str, msg: Alive) -> None:
        joined = self.joined
        super()._hear_member(src, msg)
        self.joined = joined


def an_empty_server_joins(stage: Any, node: type[ChainNode] = ChainNode) -> None:
    """More updates than one message holds: what comes first is not all."""
    s = stage(ChainReplication(nodes=3), node_class=node, master_class=TakesAnyoneIn)
    s.crash("n2")
    s.run(1.0)
    for session in range(300):
        s.ask("n0", session=session + 1, key=f"k{session}")
    s.run(0.05)
    s.restart("n2")
    s.run(0.2)


def test_a_new_tail_that_has_not_caught_up(stage: Any) -> None:
    an_empty_server_joins(stage)
    with violation("acknowledged updates are in the whole chain"):
        an_empty_server_joins(stage, ServesAtOnce)


class TrustsItsEmptyDisk(ChainNode):
    """After it has lost its disk it believes what it was told of the chain that it was in."""

    def _adopt(self, chain: Any) -> None:
        super()._adopt(chain)
        self.distrusted = 0


def wiped_middle_then_head_fails(stage: Any, node: type[ChainNode] = ChainNode) -> None:
    s = stage(ChainReplication(nodes=3), node_class=node)
    s.run(0.02)
    s.ask("n0")
    s.run(0.02)
    s.cut(["n0"], ["n1"])
    s.crash("n1")
    s.restart("n1", wiped=True)
    s.run(0.005)
    s.heal()
    s.cluster.hosts["n1"].handle(("n0", Forward(1, 0, 0, 0, ())))  # a late copy of the first heartbeat
    s.run(0.01)


def test_a_server_that_lost_its_disk_and_does_not_know(stage: Any) -> None:
    wiped_middle_then_head_fails(stage)
    with violation("Update Propagation"):
        wiped_middle_then_head_fails(stage, TrustsItsEmptyDisk)


class ForgetsTheChain(ChainNode):
    def on_start(self) -> None:
        self.view_number = 0
        super().on_start()


class ForgetsItsChains(ConfigurationMaster):
    def on_start(self) -> None:
        self.chain, self.ready = NO_CHAIN, ()
        super().on_start()


def numbers_across_restarts(stage: Any, **classes: Any) -> None:
    s = stage(CHAIN, **classes)
    s.crash("n3")
    s.run(0.8)
    s.crash("n1", "master")
    s.restart("n1", "master")
    s.run(0.2)


def test_chain_numbers_that_a_restart_forgets(stage: Any) -> None:
    numbers_across_restarts(stage)
    with violation("chain numbers never go back"):
        numbers_across_restarts(stage, node_class=ForgetsTheChain)
    with violation("chain numbers never go back"):
        numbers_across_restarts(stage, master_class=ForgetsItsChains)


class ForwardsUnsynced(ChainNode):
    def _send_history(self, server: str, position: int) -> int:
        send, self.send = self.send, lambda dst, m, hold=True: send(dst, m, hold=False)  # type: ignore
        sent = super()._send_history(server, position)
        self.send = send  # type: ignore[method-assign]
        return sent


class AcknowledgesUnsynced(ChainNode):
    def on_forward(self, src: str, msg: Forward) -> None:
        def quick(dst: str, m: Any, hold: bool = True) -> None:
            send(dst, m, hold=hold and not isinstance(m, Ack))

        send, self.send = self.send, quick  # type: ignore[method-assign,assignment]
        super().on_forward(src, msg)
        self.send = send  # type: ignore[method-assign]


@pytest.mark.parametrize("mutant", [ForwardsUnsynced, AcknowledgesUnsynced])
def test_updates_that_are_passed_on_before_they_are_on_disk(stage: Any, mutant: type[ChainNode]) -> None:
    def write(node: type[ChainNode]) -> None:
        s = stage(CHAIN, node_class=node, fsync=0.005)
        s.run(0.02)
        s.ask("n0")
        s.run(0.1)

    write(ChainNode)
    with violation("durable before send"):
        write(mutant)


class RepeatsItself(Sessions):
    def apply(self, command: Command) -> Result | None:
        return self.execute(command)

    def known(self, command: Command) -> Result | None:
        return self.execute(command)

    def has_applied(self, session: int, sequence: int) -> bool:
        return True


class NoSessions(ChainNode):
    def recover(self) -> None:
        super().recover()
        self.store = RepeatsItself(KeyValueStore())


def test_a_store_that_forgets_its_sessions(stage: Any) -> None:
    def retry(node: type[ChainNode]) -> None:
        s = stage(CHAIN, node_class=node)
        only(s, "exactly once")
        first = s.ask("n0", "increment", value=1)
        s.run(0.02)
        s.ask("n0", "increment", value=1, sequence=first)
        s.run(0.02)

    retry(ChainNode)
    with violation("exactly once"):
        retry(NoSessions)


def test_a_server_that_a_later_chain_has_cut_back_takes_nothing_back_by_a_restart(stage: Any) -> None:
    """The head sends an update that nobody gets, is taken out, and comes back as the tail of a chain without it."""
    s = stage(CHAIN)
    s.run(0.02)
    s.isolate(["n0"], ["n1", "n2", "n3", "master"])
    s.ask("n0", "append", value="lost")
    s.run(0.005)
    before = s.node("n0").last
    assert before == 1
    s.run(1.0)
    s.heal()
    s.run(2.0)
    assert s.node("n0").last < before
    assert s.node("n0").view_number > 1
    s.crash("n0")
    s.restart("n0")
    s.run(0.5)
    s.finish()
