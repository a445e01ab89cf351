"""Known bugs of Paxos implementations (bugs.json of the project's material, by id), each caught by a invariant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import MultiPaxos, Paxos
from sim.protocols.client import Reply, Request
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import ZERO, Ballot, Vote
from sim.protocols.consensus.multipaxos.messages import Accepted as SlotAccepted
from sim.protocols.consensus.multipaxos.messages import Learned
from sim.protocols.consensus.multipaxos.node import MultiPaxosNode
from sim.protocols.consensus.paxos.node import Accept, Accepted, Nack, PaxosNode, Prepare, Promise
from sim.system import SafetyViolation
from sim.zoo.paxos import CountsOneTooFew, FillsGapsFromItsOwnLog, RestartsRounds

DELTA = 0.01


def invariant_broken(run: Callable[[], Any]) -> str:
    with pytest.raises(SafetyViolation) as caught:
        run()
    return str(caught.value.invariant)


class PromisesUnsynced(PaxosNode):
    """PX1: the answer to a prepare request does not wait for the disk."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if msg.ballot >= self.promised:
            self.promised = msg.ballot
            self.send(src, Promise(msg.ballot, self.vote), hold=False)


class AcceptsUnsynced(PaxosNode):
    """PX1: nor does the answer to an accept request."""

    def on_accept(self, src: str, msg: Accept) -> None:
        if msg.ballot >= self.promised:
            self.promised, self.vote = msg.ballot, Vote(msg.ballot, msg.command)
            self.send(src, Accepted(msg.ballot, msg.command), hold=False)


@pytest.mark.parametrize("mutant", [PromisesUnsynced, AcceptsUnsynced])
def test_px1_an_answer_that_overtakes_the_disk_is_caught(stage: Callable[..., Any], mutant: Any) -> None:
    s = stage(Paxos(nodes=3), mutant=mutant, fsync=0.005)
    s.ask("n0", value="v")
    assert invariant_broken(lambda: s.run(1.0)) == "durable before send"


class Forgets(PaxosNode):
    """PX1, another way: what was promised and accepted is no durable field but a volatile one."""

    def on_start(self) -> None:
        super().on_start()
        self.__dict__.update(promised=ZERO, vote=None)


def test_px1_an_acceptor_that_forgets_its_promise_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=Forgets)
    s.ask("n0", value="v")
    s.run(0.5)
    s.crash("n1")
    assert invariant_broken(lambda: s.restart("n1")) == "promise kept"


def test_px2_a_proposer_that_uses_a_ballot_in_two_incarnations_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=RestartsRounds)
    s.ask("n0", value="a")
    s.run(1.5 * DELTA)
    s.crash("n0")
    s.restart("n0")
    s.ask("n0", value="b", session=2)
    assert invariant_broken(lambda: s.run(1.0)) == "ballot used once"


class CountsDown(PaxosNode):
    """Ballots do not grow."""

    def propose(self) -> None:
        self.highest_seen, self.round = 10 - self.refusals, 0
        super().propose()


def test_ballots_that_fall_are_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=CountsDown)
    s.ask("n0", value="a", session=1)
    s.run(1.5 * DELTA)
    s.ask("n1", value="b", session=2)
    s.node("n1").highest_seen = 20
    assert invariant_broken(lambda: s.run(1.0)) == "ballots grow"


def test_px4_a_quorum_that_is_one_vote_short_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=CountsOneTooFew)
    s.ask("n0", value="v")
    s.run(2.5 * DELTA)  # the promises are under way
    s.isolate("n0")
    assert invariant_broken(lambda: s.run(1.0)) == "acknowledged is chosen"


def test_px4_a_learner_that_is_one_vote_short_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(proposers=1, acceptors=3, learners=1, learning="broadcast"))
    s.node("l0").is_phase2_quorum = lambda voters: len(voters) >= 1
    s.ask("p0", value="v")
    s.run(2.5 * DELTA)  # the promises are under way
    s.cluster.network.cut([("p0", "a1"), ("p0", "a2")])
    assert invariant_broken(lambda: s.run(1.0)) == "learnt is chosen"


def test_px4_quorums_that_do_not_meet_choose_two_values_and_agreement_says_so(
    stage: Callable[..., Any],
) -> None:
    s = stage(Paxos(nodes=4, phase1=2, phase2=2, unsafe=True))
    s.isolate("n0", "n1")
    s.ask("n0", value="a", session=1)
    s.ask("n2", value="b", session=2)
    assert invariant_broken(lambda: s.run(1.0)) == "agreement"


class IgnoresVotes(PaxosNode):
    """The proposer proposes its own value, whatever the promises say."""

    def on_promise(self, src: str, msg: Promise) -> None:
        super().on_promise(src, Promise(msg.ballot, None))


def test_a_proposer_that_ignores_accepted_values_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=IgnoresVotes)
    s.ask("n0", value="a", session=1)
    s.run(3.5 * DELTA)
    s.crash("n0")  # n1 and n2 have just accepted
    s.ask("n1", value="b", session=2)
    assert invariant_broken(lambda: s.run(1.0)) == "P2c"


class AcceptsAnything(PaxosNode):
    """The acceptor does not look at what it promised."""

    def on_accept(self, src: str, msg: Accept) -> None:
        self.vote = Vote(msg.ballot, msg.command)
        self.send(src, Accepted(msg.ballot, msg.command))

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if msg.ballot < self.promised:
            self.send(src, Nack(msg.ballot, self.promised))
        else:
            self.promised = msg.ballot
            self.send(src, Promise(msg.ballot, self.vote))


def test_an_acceptor_that_breaks_its_promise_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=AcceptsAnything)
    s.ask("n0", value="a", session=1)
    s.run(1.5 * DELTA)
    s.ask("n1", value="b", session=2)
    assert invariant_broken(lambda: s.run(1.0)) == "promise kept"


class ChangesItsMind(PaxosNode):
    """The proposer proposes to each acceptor the latest of its clients' values, under one ballot."""

    def on_request(self, src: str, msg: Request) -> None:
        super().on_request(src, msg)
        if self.phase == 2:
            self.broadcast(Accept(self.ballot, msg.command), to=self.settings.acceptor_names)


def test_two_values_under_one_ballot_are_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=ChangesItsMind)
    s.ask("n0", value="a", session=1)
    s.run(2.5 * DELTA)
    s.ask("n0", value="b", session=2)
    assert invariant_broken(lambda: s.run(1.0)) == "one value per ballot"


class ProposesItsOwn(PaxosNode):
    """A proposer that is free to propose any value proposes one that no client asked for."""

    def on_request(self, src: str, msg: Request) -> None:
        mine = Command(9, 1, "put", "x", "mine")
        super().on_request(src, Request(mine))


def test_a_value_that_no_client_asked_for_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=ProposesItsOwn)
    s.ask("n0", value="v")
    assert invariant_broken(lambda: s.run(1.0)) == "validity"


class AnswersWithItsOwn(PaxosNode):
    """Every client is told that its own value was chosen."""

    def answer(self) -> None:
        for src, command, _ in self.waiting.values():
            self.send(src, Reply(command.session, command.sequence, "ok", command.value, command.value))
        self.waiting.clear()


def test_an_answer_that_is_not_what_was_chosen_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(Paxos(nodes=3), mutant=AnswersWithItsOwn)
    s.ask("n0", value="a", session=1)
    s.run(0.5)
    s.ask("n1", value="b", session=2)
    assert invariant_broken(lambda: s.run(1.0)) == "acknowledged is chosen"


class AnswersLateGets(PaxosNode):
    """A get is answered by promises that were given before it was asked."""

    def answer_unwritten(self) -> None:
        self.waiting = {session: w._replace(since=0) for session, w in self.waiting.items()}
        super().answer_unwritten()


def late_get(s: Any) -> None:
    """n0's promises are under way while n2 gets a value chosen; then a get comes to n0."""
    network = s.cluster.network
    s.ask("n0", "get", session=1)
    network.hold(lambda src, dst, msg: dst == "n0" and isinstance(msg, Promise | Nack))
    s.run(0.05)
    network.cut([("n2", "n0"), ("n0", "n2")])
    s.ask("n2", value="v", session=2)
    s.run(0.1)
    assert s.replies[-1].status == "ok"
    s.ask("n0", "get", session=3)
    s.run(0.015)
    network.release()
    s.run(1.0)


def test_a_get_that_misses_a_chosen_value_is_caught(stage: Callable[..., Any]) -> None:
    assert invariant_broken(lambda: late_get(stage(Paxos(nodes=3), mutant=AnswersLateGets))) == (
        "acknowledged is chosen"
    )
    s = stage(Paxos(nodes=3))
    late_get(s)
    assert [(r.session, r.value) for r in s.replies] == [(2, "v"), (1, None), (3, "v")]


# Multi-Paxos


def test_mp1_a_no_op_over_a_value_that_was_chosen_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=FillsGapsFromItsOwnLog)
    s.node("n0").lead = lambda: MultiPaxosNode.lead(s.node("n0"))  # the first leader has nothing to recover
    s.run(0.055)
    s.isolate("n2")
    s.ask("n0", value="chosen")
    s.run(0.1)
    s.crash("n0")
    s.heal()
    s.step("n2", "campaign")
    assert invariant_broken(lambda: s.run(1.0)) == "P2c"


class ProposesAnother(MultiPaxosNode):
    """The leader assigns a slot to a command that no client asked for."""

    def assign(self, command: Command) -> None:
        super().assign(Command(9, 1, "put", "x", "mine"))


def test_multi_paxos_assigns_only_what_clients_asked_for(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=ProposesAnother)
    s.ask("n0", value="v")
    assert invariant_broken(lambda: s.run(1.0)) == "validity"


class ForgetsItsBallot(MultiPaxosNode):
    """PX2 in Multi-Paxos: the ballot is not on disk."""

    def on_start(self) -> None:
        self.__dict__["promised"] = ZERO
        super().on_start()


def test_px2_a_leader_that_forgets_its_ballot_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=ForgetsItsBallot)
    s.run(0.1)
    s.crash("n0")
    assert invariant_broken(lambda: s.restart("n0")) == "promise kept"


class StartsOver(MultiPaxosNode):
    """A mutant that applies learnt commands from their first slot on, even if they were applied before."""

    def on_learned(self, src: str, msg: Learned) -> None:
        self.applied = msg.first - 1
        super().on_learned(src, msg)


def test_applying_slots_again_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=StartsOver)
    s.run(0.055)
    s.ask("n0", value="v")
    s.run(0.2)
    late = Learned(Ballot(1, "n0"), 1, ())
    assert invariant_broken(lambda: s.step("n1", "on_learned", "n0", late)) == "applied only grows"


class VotesUnsynced(MultiPaxosNode):
    """The vote does not wait for the disk."""

    def accept(self, leader: str, ballot: Ballot, slot: int, command: Command) -> None:
        self.votes[slot] = Vote(ballot, command)
        self.send(leader, SlotAccepted(ballot, slot), hold=False)


class AnswersEarly(MultiPaxosNode):
    """The leader answers when it proposes."""

    def propose(self, slot: int, command: Command) -> None:
        super().propose(slot, command)
        self.answer("client", command, self.store.execute(command))


class AppliesWithGaps(MultiPaxosNode):
    """A chosen slot is applied although the one before it is not known."""

    def advance(self) -> None:
        super().advance()
        for slot in sorted(self.chosen):
            self.applied = slot - 1
            super().advance()


class AppliesRetriesAgain(MultiPaxosNode):
    """Sessions are forgotten: a retried command takes effect again."""

    def on_request(self, src: str, msg: Request) -> None:
        self.store.sessions.clear()
        super().on_request(src, msg)

    def advance(self) -> None:
        self.store.sessions.clear()
        super().advance()


class TrustsAnyVote(MultiPaxosNode):
    """A slot up to the commit index is taken for chosen whatever ballot its vote is of."""

    def hear_commit(self, ballot: Ballot, commit: int) -> None:
        self.chosen.update(slot for slot in range(self.applied + 1, commit + 1) if slot in self.votes)
        super().hear_commit(ballot, commit)


def test_multi_paxos_votes_wait_for_the_disk(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=VotesUnsynced, fsync=0.005)
    s.ask("n0", value="v")
    assert invariant_broken(lambda: s.run(1.0)) == "durable before send"


def test_an_answer_before_a_quorum_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=AnswersEarly)
    s.ask("n0", value="v")
    assert invariant_broken(lambda: s.run(1.0)) == "acknowledged is chosen"


def test_a_retried_command_that_takes_effect_twice_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=AppliesRetriesAgain)
    s.ask("n0", "increment", 1)
    s.run(0.1)
    s.ask_again("n0", "increment", 1)
    assert invariant_broken(lambda: s.run(1.0)) == "exactly once"


def gap_at_a_follower(s: Any) -> None:
    """n2 misses slot 1 and gets slot 2."""
    s.run(0.055)
    s.isolate("n2")
    s.ask("n0", value="a", session=1)
    s.run(0.03)
    s.heal()
    s.ask("n0", value="b", session=2)


def test_applying_over_a_gap_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3, heartbeat=0.2, detection=2.0), mutant=AppliesWithGaps)
    gap_at_a_follower(s)
    assert invariant_broken(lambda: s.run(0.35)) == "applied without gaps"


class AppliesBackwards(MultiPaxosNode):
    """Of two slots that are applied together, the later is applied first."""

    def advance(self) -> None:
        last = self.applied
        while last + 1 in self.chosen:
            last += 1
        for slot in range(last, self.applied, -1):
            self.store.apply(self.votes[slot].command)
        self.applied = last


def test_applying_in_another_order_is_caught(stage: Callable[..., Any]) -> None:
    s = stage(MultiPaxos(nodes=3), mutant=AppliesBackwards)
    s.run(0.055)
    for session in (1, 2):
        s.ask("n0", value=session, session=session)
    s.run(0.3)
    assert invariant_broken(s.finish) == "state is the fold of the chosen"


def test_taking_an_old_vote_for_chosen_is_caught(stage: Callable[..., Any]) -> None:
    """n0 votes alone in slot 1; n1 gets another command chosen there, and tells n0 its commit index."""
    s = stage(MultiPaxos(nodes=3), mutant=TrustsAnyVote)
    s.run(0.055)
    s.isolate("n0")
    s.ask("n0", value="lost", session=1)
    s.run(0.02)
    s.step("n1", "campaign")
    s.run(0.03)
    s.ask("n1", value="kept", session=2)
    s.run(0.03)
    s.heal()
    assert invariant_broken(lambda: s.run(1.0)) == "learnt is chosen"
