"""`promises`: a user's own protocol that answers before its disk has what the answer says is caught, in one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from sim import Disk, Machine, Member, Node, Part, Scenario, System, durable, durable_log, part
from sim.distributions import Constant
from sim.invariants import promises
from sim.network import constant
from sim.node import message
from sim.protocols.client import Client, Reply, Request
from sim.protocols.sharding import PerGroup
from sim.system import Invariant
from sim.testing import Stage
from sim.workload import ClosedLoop


@message
class AskVote:
    term: int


@message
class Vote:
    term: int


class Voter(Node):
    """Votes for the first member that asks in a term. For each request, the first member asks in a new term."""

    term = durable(0)
    voted_for = durable("")
    history = durable_log()

    def on_start(self) -> None:
        self.round = 0

    def on_request(self, src: str, msg: Request) -> None:
        self.round += 1
        self.broadcast(AskVote(self.round), hold=False)
        self.send(src, Reply(msg.command.session, msg.command.sequence, "ok", None), hold=False)

    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        if msg.term > self.term:
            self.term, self.voted_for = msg.term, src
            self.send(src, Vote(msg.term))

    def on_vote(self, src: str, msg: Vote) -> None:
        """The vote is counted elsewhere."""


class AnswersUnsynced(Voter):
    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        if msg.term > self.term:
            self.term, self.voted_for = msg.term, src
            self.send(src, Vote(msg.term), hold=False)


class AnswersFirst(Voter):
    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        if msg.term > self.term:
            self.send(src, Vote(msg.term))
            self.term, self.voted_for = msg.term, src


class VolatileVote(Voter):
    voted_for = ""


class BehindItsBack(Voter):
    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        if msg.term > self.term:
            self.term = msg.term
            self.__dict__["voted_for"] = src
            self.send(src, Vote(msg.term))


class WritesSomethingElse(Voter):
    """What the answer does not promise may be on its way to the disk."""

    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        if msg.term > self.term:
            self.term, self.voted_for = msg.term, src
            self.send(src, Vote(msg.term))
        else:
            self.history.append(src)
            self.send(src, Vote(self.term), hold=False)

    def on_request(self, src: str, msg: Request) -> None:
        super().on_request(src, msg)
        self.set_timer("again", 0.015, self.round)

    def on_again_timeout(self, term: int) -> None:
        self.broadcast(AskVote(term), hold=False)


class OnlyFirst(Client):
    def target(self, command: Any, attempt: int) -> str:
        return "n0"


@dataclass(frozen=True, kw_only=True)
class Votes(System):
    node_class: type[Node] = Voter
    keeps: tuple[str, ...] = ("term", "voted_for")
    client_class = OnlyFirst

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(f"n{i}", self.node_class) for i in range(3))

    def invariants(self) -> Iterable[Invariant]:
        return (promises(Vote, keeps=self.keeps),)


def run(fsync: float = 0.005, **fields: Any) -> Any:
    disk = Disk(fsync=Constant(fsync)) if fsync else Disk()
    return Scenario(
        system=Votes(**fields),
        network=constant(0.001),
        workload=ClosedLoop(clients=1, think=Constant(0.02)),
        machines=Machine(disk=disk),
        duration=0.3,
        check=True,
    ).run(seed=1)


@pytest.mark.parametrize("fsync", [0.0, 0.005])
@pytest.mark.parametrize("correct", [Voter, WritesSomethingElse])
def test_a_node_that_answers_when_its_vote_is_on_disk_is_not_accused(
    correct: type[Node], fsync: float
) -> None:
    found = run(fsync, node_class=correct)
    assert found.violation is None
    assert len(found.operations) > 10


@pytest.mark.parametrize("mutant", [AnswersUnsynced, AnswersFirst, VolatileVote, BehindItsBack])
def test_a_node_that_answers_before_its_vote_is_on_disk_is_caught(mutant: type[Node]) -> None:
    violation = run(node_class=mutant).violation
    assert violation.invariant == "durable before send"
    assert "it sends Vote(term=1)" in violation.facts[0]
    assert "voted_for=" in violation.facts[1]


def test_a_field_that_a_crash_loses_is_caught_on_a_disk_without_delay_too() -> None:
    """A subclass that gives the name a plain value takes the field off the disk."""
    violation = run(0.0, node_class=VolatileVote).violation
    assert "a crash would lose its voted_for='n0'" in violation.facts[1]


def test_what_a_crash_destroys_was_never_promised() -> None:
    """The vote waits for a disk that takes a second; the voter crashes, forgets it, and votes for another."""
    system = Votes()
    slow = {"n1": Machine(disk=Disk(fsync=Constant(1.0))), "*": Machine()}
    simulation = Scenario(
        system=system,
        network=constant(0.001),
        machines=slow,
        workload=ClosedLoop(clients=1, think=Constant(0.02)),
        check=True,
    ).start()
    simulation.run(until=0.5)
    simulation.crash("n1")
    simulation.restart("n1")
    simulation.run(until=3.0)
    assert simulation.members["n1"].term > 0  # type: ignore[attr-defined]


class Keeper(Part):
    kept = durable(0)

    def keep(self, value: int) -> None:
        self.kept = value


class WithPart(Voter):
    keeper = part(Keeper)

    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        self.keeper.keep(msg.term)
        self.send(src, Vote(msg.term))


class PartUnsynced(WithPart):
    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        self.keeper.keep(msg.term)
        self.send(src, Vote(msg.term), hold=False)


def test_the_field_of_a_part_may_be_promised() -> None:
    assert run(node_class=WithPart, keeps=("keeper.kept",)).violation is None
    assert "keeper.kept=0" in run(node_class=PartUnsynced, keeps=("keeper.kept",)).violation.facts[1]


class Calling(Voter):
    """Asks by a call; the answer travels in an envelope."""

    def on_request(self, src: str, msg: Request) -> Any:
        self.round += 1
        for peer in self.peers:
            yield self.call(peer, AskVote(self.round), timeout=0.1)
        self.send(src, Reply(msg.command.session, msg.command.sequence, "ok", None), hold=False)

    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        if msg.term > self.term:
            self.term, self.voted_for = msg.term, src
            self.reply(src, Vote(msg.term))


class CallingUnsynced(Calling):
    def on_ask_vote(self, src: str, msg: AskVote) -> None:
        if msg.term > self.term:
            self.term, self.voted_for = msg.term, src
            self.reply(src, Vote(msg.term), hold=False)


def test_the_answer_to_a_call_promises_too() -> None:
    assert run(node_class=Calling).violation is None
    assert run(node_class=CallingUnsynced).violation.invariant == "durable before send"


def test_what_the_message_says_may_be_compared_with_the_disk() -> None:
    class Liar(Voter):
        def on_ask_vote(self, src: str, msg: AskVote) -> None:
            self.term = msg.term
            self.send(src, Vote(msg.term + 1))

    @dataclass(frozen=True, kw_only=True)
    class Compared(Votes):
        def invariants(self) -> Iterable[Invariant]:
            return (
                promises(Vote, keeps="term", shown=lambda stored, vote, dst: stored("term") >= vote.term),
            )

    def broken(node_class: type[Node], fsync: float) -> Any:
        machines = Machine(disk=Disk(fsync=Constant(fsync)) if fsync else Disk())
        system = Compared(node_class=node_class)
        return Scenario(system=system, machines=machines, check=True, duration=0.5).run().violation

    for fsync in (0.0, 0.002):
        assert broken(Voter, fsync) is None
        assert "its disk has term=1" in broken(Liar, fsync).facts[1]


@dataclass(frozen=True, kw_only=True)
class Damageable(Votes):
    lost: tuple[str, ...] = ()

    def invariants(self) -> Iterable[Invariant]:
        def shown(stored: Any, vote: Vote, dst: str) -> bool:
            return bool(stored("term") >= vote.term)

        return (promises(Vote, keeps="term", shown=shown, but_for_damage=self.lost),)


def damaged_voter(*lost: str) -> Stage:
    """A voter that has answered, and has crashed. Its disk has lost the term."""
    s = Stage(Damageable(lost=lost))
    s.deliver("n0", "n1", AskVote(1))
    s.run()
    s.crash("n1")
    s.cluster.hosts["n1"].disk.damage(0.1)  # the first field
    return s


def test_what_damage_takes_is_missed_unless_damage_may_take_it() -> None:
    for lost in ((), ("voted_for",)):
        s = damaged_voter(*lost)
        assert s.invariant_broken(partial(s.restart, "n1")) == "a restart takes nothing back"
    s = damaged_voter("voted_for", "term")
    s.restart("n1")
    assert (s.node("n1").disk_damaged, s.node("n1").term) == (("term",), 0)
    # What it says from now on it must keep again, unless there is damage again.
    s.deliver("n0", "n1", AskVote(2))
    s.run()
    s.crash("n1")
    del s.cluster.hosts["n1"].disk._image["term"]  # type: ignore[attr-defined]
    assert s.invariant_broken(partial(s.restart, "n1")) == "a restart takes nothing back"


def test_a_promise_without_meaning_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps must be a name"):
        promises(Vote, keeps=())
    with pytest.raises(ValueError, match="but_for_damage must be a name"):
        promises(Vote, keeps="term", but_for_damage=(1,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name the class of messages"):
        promises(keeps="term")
    with pytest.raises(ValueError, match="3 is no class of messages"):
        promises(3, keeps="term")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match="Voter has no attribute 'votedfor'; its durable fields are: term, voted_for"
    ):
        run(keeps=("votedfor",))


def test_an_invariant_that_asks_others_passes_every_hook_on() -> None:
    hooks = {name for name in vars(Invariant) if name.startswith(("on_", "at_"))}
    assert {"on_wait", "on_send", "at_end"} < hooks
    assert hooks <= set(vars(PerGroup))
