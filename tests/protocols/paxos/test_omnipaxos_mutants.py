"""Omni-Paxos broken by a word or a method, each time seen by the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.node import part
from sim.protocols import OmniPaxos
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.omnipaxos.ble import BallotLeaderElection
from sim.protocols.consensus.omnipaxos.messages import (
    Accept,
    Accepted,
    AcceptSync,
    HeartbeatReply,
    HeartbeatRequest,
    Prepare,
    Promise,
)
from sim.protocols.consensus.omnipaxos.node import FOLLOWER, PREPARE, OmniPaxosNode

Staging = Callable[..., Any]

ORDERED = "accepted is what the leader ordered"
COMPLETE = "decided entries are in every later round"
BEST = "the best log of a majority"


def settled(stage: Staging, mutant: type[OmniPaxosNode], **more: Any) -> Any:
    s = stage(OmniPaxos(nodes=3), mutant=mutant, **more)
    s.run(0.055)
    return s


# The election


class Gossips(BallotLeaderElection):
    """Answers with the ballot that it has elected."""

    def on_heartbeat_request(self, src: str, msg: HeartbeatRequest) -> None:
        self.send(src, HeartbeatReply(msg.round, self.elected, self.quorum_connected), hold=False)


class GossipingNode(OmniPaxosNode):
    election = part(Gossips)


def test_a_ballot_of_another_server_is_caught(stage: Staging) -> None:
    s = stage(OmniPaxos(nodes=3), mutant=GossipingNode)
    assert s.invariant_broken() == "ballots are not gossiped"


class ElectsAny(BallotLeaderElection):
    """Elects the highest ballot that it sees, also below the elected one."""

    def check_leader(self) -> None:
        self.elect(max(self.candidates(), default=ZERO))


class ElectingNode(OmniPaxosNode):
    election = part(ElectsAny)


def test_an_election_that_goes_back_is_caught(stage: Staging) -> None:
    s = settled(stage, ElectingNode)
    s.crash("n0")
    assert s.invariant_broken() == "ballots grow"


class LeadsAgain(OmniPaxosNode):
    """A leader that restarts goes on in its round."""

    def on_start(self) -> None:
        super().on_start()
        if self.incarnation and self.promised.proposer == self.name:
            self.prepare(self.promised)


def test_a_ballot_of_two_incarnations_is_caught(stage: Staging) -> None:
    s = settled(stage, LeadsAgain)
    s.crash("n0")
    assert s.invariant_broken(lambda: s.restart("n0")) == "ballot used once"


# Promises, and the adopted log


class PromisesAnything(OmniPaxosNode):
    """Does not look at what it promised."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        self.promised, self.phase = msg.ballot, PREPARE
        self.send(src, self.promise(msg))


class ForgetsItsPromise(OmniPaxosNode):
    """The promise is not on disk."""

    def on_start(self) -> None:
        self.__dict__["promised"] = ZERO
        super().on_start()


def test_a_promise_that_goes_back_is_caught(stage: Staging) -> None:
    s = settled(stage, PromisesAnything)
    late = Prepare(Ballot(0, "n2"), ZERO, 0, 0)
    assert s.invariant_broken(lambda: s.deliver("n2", "n1", late)) == "promise kept"


def test_a_promise_that_a_crash_erases_is_caught(stage: Staging) -> None:
    s = settled(stage, ForgetsItsPromise)
    s.crash("n1")
    assert s.invariant_broken(lambda: s.restart("n1")) == "a restart takes nothing back"


class KeepsItsOwnLog(OmniPaxosNode):
    """A leader takes its own log, whatever the promises say."""

    def best_promise(self) -> Promise:
        return self.promises[self.name]


def test_a_leader_that_ignores_a_decided_entry_is_caught(stage: Staging) -> None:
    """n0 and n1 have decided an entry, n2 has not got it, and is elected next."""
    s = settled(stage, KeepsItsOwnLog)
    s.isolate("n2")
    s.hold(kind="Decide")
    s.ask("n0", value="decided")
    s.run(0.1)
    s.crash("n0")
    s.heal()
    assert s.invariant_broken(lambda: s.run(2.0)) == COMPLETE


def test_a_leader_that_ignores_what_its_majority_accepted_is_caught(stage: Staging) -> None:
    """n0 and n1 have an entry, too few to decide it; n1 is in each majority of those that are left."""
    s = stage(OmniPaxos(nodes=5), mutant=KeepsItsOwnLog)
    s.run(0.055)
    s.isolate("n0", "n1")
    s.ask("n0", value="accepted")
    s.run(0.1)
    s.crash("n0", "n2")
    s.heal()
    assert s.invariant_broken(lambda: s.run(2.0)) == BEST


class TrustsWhatIsAhead(OmniPaxosNode):
    """A late follower of the adopted round agrees, it is thought, up to the end of its own log."""

    def common_index(self, promise: Promise) -> int:
        return promise.log_index


def test_a_follower_whose_log_is_longer_than_the_adopted_one_is_cut_back(stage: Staging) -> None:
    """n0 accepted more than anybody; it comes late to the next round, which n1 and n2 began with less."""
    s = settled(stage, TrustsWhatIsAhead)
    s.isolate("n0")
    for session in (1, 2):
        s.ask("n0", value=session, session=session)
    s.run(2.0)
    leader = s.events("elected")[-1][1]
    for session in (3, 4, 5):
        s.ask(leader, value=session, session=session)
    s.run(0.1)
    s.heal()
    assert s.invariant_broken() == ORDERED


# Acceptance


class AppendsBlindly(OmniPaxosNode):
    """A follower appends what arrives, whatever its index is."""

    def extend(self, index: int, entries: tuple[Command, ...]) -> None:
        self.log.extend(entries)


def test_an_entry_that_is_appended_twice_is_caught(stage: Staging) -> None:
    s = settled(stage, AppendsBlindly)
    s.ask("n0", value=1)
    s.run(0.035)
    again = Accept(Ballot(1, "n0"), 0, tuple(s.node("n0").log))
    assert s.invariant_broken(lambda: s.deliver("n0", "n1", again)) == ORDERED


class SaysMore(OmniPaxosNode):
    """Acknowledges an entry more than it has."""

    def acknowledge(self, leader: str) -> None:
        more = 0 if leader == self.name else 1
        self.send(leader, Accepted(self.accepted_round, len(self.log) + more))


def test_an_acknowledgement_of_what_nobody_ordered_is_caught(stage: Staging) -> None:
    s = stage(OmniPaxos(nodes=3), mutant=SaysMore)
    assert s.invariant_broken() == ORDERED


class TakesLateSyncs(OmniPaxosNode):
    """An AcceptSync always replaces the log from its index on."""

    def on_accept_sync(self, src: str, msg: AcceptSync) -> None:
        if msg.ballot == self.promised and self.role == FOLLOWER:
            self.log.truncate(msg.index)
            self.log.extend(msg.suffix)
            self.accepted_round, self.phase = msg.ballot, "accept"
            self.acknowledge(src)


def test_an_accept_sync_that_shortens_the_log_of_its_round_is_caught(stage: Staging) -> None:
    s = settled(stage, TakesLateSyncs)
    s.ask("n0", value=1)
    s.run(0.05)
    late = AcceptSync(Ballot(1, "n0"), 0, (), 0)
    assert s.invariant_broken(lambda: s.deliver("n0", "n1", late)) == "what was accepted is kept"


class Rewrites(OmniPaxosNode):
    """A leader replaces its last entry if that is not decided."""

    def order(self, command: Command) -> None:
        if len(self.log) > self.decided + 1:
            self.log.truncate(self.decided)
        super().order(command)


def test_a_leader_that_takes_entries_back_is_caught(stage: Staging) -> None:
    s = settled(stage, Rewrites)
    s.isolate("n0")
    for session in (1, 2, 3):
        s.ask("n0", value=session, session=session)
    assert s.invariant_broken() == "a leader only appends"


class InventsCommands(OmniPaxosNode):
    """The leader orders a command of its own."""

    def order(self, command: Command) -> None:
        super().order(Command(9, 1, "put", "x", "mine"))


def test_a_command_that_no_client_sent_is_caught(stage: Staging) -> None:
    s = settled(stage, InventsCommands)
    s.ask("n0", value=1)
    assert s.invariant_broken() == "validity"


# Decisions


class Hasty(OmniPaxosNode):
    """Decides with one acceptance too few."""

    def accepted_by_majority(self) -> int:
        return max(self.accepted.values(), default=0)


class HastyFollower(OmniPaxosNode):
    """A follower takes for decided what it has."""

    def hear_decided(self, decided: int) -> None:
        self.decide_up_to(len(self.log))


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [(Hasty, "acknowledged is decided"), (HastyFollower, "decided is accepted by a majority")],
)
def test_a_decision_without_a_majority_is_caught(stage: Staging, mutant: Any, invariant: str) -> None:
    s = stage(OmniPaxos(nodes=5), mutant=mutant)
    s.run(0.055)
    s.ask("n0", value=1)
    assert s.invariant_broken() == invariant


class DecidesOldLogs(OmniPaxosNode):
    """A follower applies a Decide to its log before the log of the round has come."""

    def hear_decided(self, decided: int) -> None:
        self.decide_up_to(min(decided, len(self.log)))


def test_a_decision_about_another_log_is_caught(stage: Staging) -> None:
    """n0 has an entry of its own; it promises the next round, whose AcceptSync is late."""
    s = settled(stage, DecidesOldLogs)
    s.isolate("n0")
    s.ask("n0", value="mine", session=1)
    s.run(2.0)
    s.hold(kind="AcceptSync", dst="n0")
    s.ask(s.events("elected")[-1][1], value="theirs", session=2)
    s.run(0.1)
    s.heal()
    assert s.invariant_broken() == "one sequence"


class AppliesLate(OmniPaxosNode):
    """The last decided entry is applied when the next one is decided."""

    def apply_decided(self) -> None:
        while self.applied < self.decided - 1:
            self.applied += 1
            self.apply_and_answer(self.log[self.applied - 1])


def test_a_decided_entry_that_is_not_applied_is_caught(stage: Staging) -> None:
    s = settled(stage, AppliesLate)
    s.ask("n0", value=1)
    assert s.invariant_broken() == "applied in order"


class AnswersEarly(OmniPaxosNode):
    """The leader answers before any follower has the entry."""

    def on_request(self, src: str, msg: Request) -> None:
        super().on_request(src, msg)
        self.answer(src, msg.command, self.store.execute(msg.command))


class AnswersAnything(OmniPaxosNode):
    """Each applied command is executed once more for its answer."""

    def apply_and_answer(self, command: Command) -> None:
        self.store.apply(command)
        self.conclude(command, self.store.execute(command))


class SkipsKeys(OmniPaxosNode):
    """A follower executes some commands twice."""

    def apply_and_answer(self, command: Command) -> None:
        super().apply_and_answer(command)
        if self.role == FOLLOWER:
            self.store.execute(command)


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        (AnswersEarly, "acknowledged is decided"),
        (AnswersAnything, "exactly once"),
        (SkipsKeys, "state is the fold of the decided"),
    ],
)
def test_a_wrong_answer_or_state_is_caught(stage: Staging, mutant: Any, invariant: str) -> None:
    s = settled(stage, mutant)
    s.ask("n0", "increment", value=1)

    def go_on() -> None:
        s.run(0.2)
        s.finish()

    assert s.invariant_broken(go_on) == invariant


# The disk


class PromisesUnsynced(OmniPaxosNode):
    """The promise does not wait for the disk."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        self.promised, self.phase = msg.ballot, PREPARE
        self.send(src, self.promise(msg), hold=False)


class AcceptsUnsynced(OmniPaxosNode):
    """The acknowledgement does not wait for the disk."""

    def acknowledge(self, leader: str) -> None:
        self.send(leader, Accepted(self.accepted_round, len(self.log)), hold=leader == self.name)


@pytest.mark.parametrize("mutant", [PromisesUnsynced, AcceptsUnsynced])
def test_an_answer_that_overtakes_the_disk_is_caught(stage: Staging, mutant: Any) -> None:
    s = stage(OmniPaxos(nodes=3), mutant=mutant, fsync=0.005)
    assert s.invariant_broken() == "durable before send"
