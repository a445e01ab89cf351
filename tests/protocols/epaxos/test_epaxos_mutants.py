"""Each invariant of EPaxos and EPaxos* is broken by a protocol that differs by a word, and is seen to be broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from sim.lab import draw_storm, run_storm
from sim.message import replace
from sim.protocols import EPaxos, EPaxosStar
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.epaxos.messages import ACCEPTED, COMMITTED, Accept, Commit, Instance, PreAccept
from sim.protocols.consensus.epaxos.node import EPaxosNode
from sim.protocols.consensus.epaxos_star.node import EPaxosStarNode
from sim.system import Member, SafetyViolation
from sim.zoo.consensus import ExecutesBySeq
from tests.protocols.epaxos.explorer import explore

ONE_OUTCOME = "one outcome per instance"
VISIBLE = "of two that interfere one knows the other"
ONE_ORDER = "interfering commands in one order"
CLOSED = "executed means committed, with all it depends on"


# By hand: two or three steps show it


class Volatile(EPaxosNode):
    """Keeps its instances in memory."""

    def remember(self, instance: Instance, record: Any) -> None:
        dict.__setitem__(self.instances, instance, record)


class Talkative(EPaxosNode):
    """Tells of a fast commit before it is on disk: a recovery would take its word that it has not committed."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        super().send(dst, msg, hold=hold and not isinstance(msg, Commit))


class Pliable(EPaxosNode):
    """Takes part in ballots below the one that it has promised."""

    def refuse(self, src: str, instance: Instance, ballot: Ballot, known: Any) -> bool:
        return False


class Unpromising(EPaxosNode):
    """Accepts in a ballot without promising it."""

    def remember(self, instance: Instance, record: Any) -> None:
        if record.status == ACCEPTED:
            record = replace(record, promised=self.record_of(instance).promised)
        super().remember(instance, record)


class Forger(EPaxosNode):
    """Commits another value than it was asked to."""

    def committed(self, instance: Instance, command: Command, *rest: Any, **how: Any) -> None:
        forged = Command(command.session, command.sequence, command.kind, command.key, "forged")
        super().committed(instance, forged, *rest, **how)


class Forgetful(EPaxosNode):
    """Has forgotten what commands came to: one that is asked for twice takes effect twice."""

    def on_request(self, src: str, msg: Any) -> None:
        self.effects.clear()
        super().on_request(src, msg)


def recover_twice(world: Any) -> None:
    """Two replicas recover a command of n0; the lower ballot arrives after the higher one."""
    world.ask("n0", value=1)
    world.run(0.016)
    world.step("n2", "on_recover_timeout", (0, 1))
    world.run(0.001)
    world.step("n1", "on_recover_timeout", (0, 1))
    world.run(0.2)


def accept_at_once(world: Any) -> None:
    """The slow path, where n4 has missed the first phase."""
    rival = Command(99, 1, "put", "x", "rival")
    world.node("n1").learn((1, 1), 1, rival, 5, (), Ballot(0, "n1"))
    world.cluster.network.cut([("n0", "n4")])
    world.ask("n0", value=1)
    world.run(0.025)
    world.heal()
    world.run(0.2)


def ask_twice(world: Any) -> None:
    """The client loses timeout and asks somebody else."""
    world.ask("n0", "increment", 1)
    world.run(0.2)
    world.ask_again("n1", "increment", 1)
    world.run(0.2)


def ask_once(world: Any) -> None:
    world.ask("n0", value=1)
    world.run(1.0)


@pytest.mark.parametrize(
    ("mutant", "story", "fsync", "invariant"),
    [
        (Volatile, ask_once, 0.005, "durable before send"),
        (Talkative, ask_once, 0.005, "durable before send"),
        (Pliable, recover_twice, 0.0, "ballots only grow"),
        (Unpromising, accept_at_once, 0.0, "accepted <= promised, both growing"),
        (Forger, ask_once, 0.0, "validity"),
        (Forgetful, ask_twice, 0.0, "exactly once"),
    ],
)
def test_a_few_steps_show_it(
    stage: Any, mutant: type[EPaxosNode], story: Callable[[Any], None], fsync: float, invariant: str
) -> None:
    story(stage(EPaxos(nodes=5), fsync=fsync))
    with pytest.raises(SafetyViolation) as caught:
        story(stage(EPaxos(nodes=5), mutant=mutant, fsync=fsync))
    assert caught.value.invariant == invariant


def test_an_answer_that_leaves_after_the_next_ballot_has_begun_is_no_lie(stage: Any) -> None:
    """While the disk worked, a higher ballot asked for a pre-accept; storm 40, with members that are gone for good."""
    s = stage(EPaxos(nodes=5), fsync=0.005)
    command, low, high = Command(99, 1, "put", "x", 1), Ballot(1, "n1"), Ballot(2, "n3")
    s.run(0.02)
    s.deliver(
        "n0", "n2", PreAccept((0, 2), Ballot(0, "n0"), command, 1, ())
    )  # the next two wait for its sync
    s.deliver("n1", "n2", Accept((0, 1), low, command, 1, ()))
    s.deliver("n3", "n2", PreAccept((0, 1), high, command, 1, ()))
    s.run(0.02)
    answers = [name for name, src, *_ in s.sent(since=0.02) if src == "n2"]
    assert answers[:3] == ["PreAcceptOk", "AcceptOk", "PreAcceptOk"]


# In a storm


class Wilful(EPaxosNode):
    """Executes commands that depend on each other in an order of its own."""

    def seq_of(self, instance: Instance) -> int:
        return (instance[0] - self.row) % len(self.members)


class Deaf(EPaxosNode):
    """Answers PreAccept with the leader's attributes, whatever it knows."""

    def on_pre_accept(self, src: str, msg: PreAccept) -> None:
        seen_by = self.interference.seen_by
        self.interference.seen_by = lambda command, itself: (1, [])  # type: ignore[method-assign]
        super().on_pre_accept(src, msg)
        self.interference.seen_by = seen_by  # type: ignore[method-assign]


class Hasty(EPaxosNode):
    """Does not wait for dependencies that are not committed."""

    def open_deps(self, instance: Instance) -> list[Instance] | None:
        deps = super().open_deps(instance)
        return deps and [dep for dep in deps if self.record_of(dep).status == COMMITTED]


class Timeless(EPaxosNode):
    """Executes commands that depend on each other by instance, not by seq."""

    def seq_of(self, instance: Instance) -> int:
        return 0


def mutated(mutant: type[EPaxosNode]) -> type[EPaxos]:
    @dataclass(frozen=True, kw_only=True)
    class Broken(EPaxos):
        applied: ClassVar[Any] = "unordered"  # so that the agreement of any replicas does not speak first

        def members(self) -> tuple[Member, ...]:
            return tuple(Member(name, mutant) for name in self.names)

    return Broken


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        pytest.param(ExecutesBySeq, CLOSED, id="ep5-executes-by-seq"),
        pytest.param(Wilful, ONE_ORDER, id="wilful"),
        pytest.param(Deaf, VISIBLE, id="deaf"),
        pytest.param(Hasty, CLOSED, id="hasty"),
        pytest.param(Timeless, "what comes later is executed later", id="timeless"),
    ],
)
def test_a_storm_shows_it(mutant: type[EPaxosNode], invariant: str) -> None:
    for seed in range(40):
        system = mutated(mutant)(nodes=5)
        run = run_storm(draw_storm(system, seed, length=3.0, keys=1, clients=6), seed)
        if isinstance(run.violation, SafetyViolation):
            # Where two are broken at once, the one that holds for every protocol may be asked first.
            assert run.violation.invariant in (
                invariant,
                "replicas apply the same commands in the same order",
            )
            return
    pytest.fail(f"{mutant.__name__} broke nothing")


def test_a_fast_quorum_of_a_majority_commits_what_a_recovery_cannot_find_again(stage: Any) -> None:
    """``unsafe=True`` permits a fast quorum with which the recovery of figure 3 is incorrect."""

    def schedule(system: EPaxos) -> Any:
        world = stage(system)
        cut = world.cluster.network.cut
        cut([("n0", "n3"), ("n0", "n4")])
        world.ask("n0", value=1)
        world.run(0.025)  # n1 and n2 have answered; what n0 makes of it reaches nobody
        cut([("n0", "n1"), ("n0", "n2")])
        world.run(0.01)
        world.crash("n0")
        world.crash("n2")
        world.ask("n3", value=2, session=2)
        world.run(5.0)
        return world

    world = schedule(EPaxos(nodes=5))
    assert [reply.session for reply in world.replies] == [2]
    with pytest.raises(SafetyViolation, match=ONE_OUTCOME):
        schedule(EPaxos(nodes=5, fast_quorum=3, unsafe=True))


# EPaxos*, on schedules of the explorer


class NoValidation(EPaxosStarNode):
    """Does not ask what would contradict a fast commit."""

    def judge(self, instance: Instance, led: Any) -> None:
        led.validated = dict.fromkeys(led.quorum, ())
        super().judge(instance, led)


class Impatient(EPaxosStarNode):
    """Takes for harmless what is not committed yet."""

    def consider(self, instance: Instance, led: Any) -> None:
        self.accept(instance, led, led.command, led.deps)


class Cowardly(EPaxosStarNode):
    """Gives up where it ought to wait."""

    def consider(self, instance: Instance, led: Any) -> None:
        self.supports.update(dict.fromkeys(led.against, self.n))
        super().consider(instance, led)


class Trusting(EPaxosStarNode):
    """Waits even where all outside Q would have to be in the fast quorum and one of them cannot."""

    def judge(self, instance: Instance, led: Any) -> None:
        led.support += self.n
        super().judge(instance, led)


class OneBallot(EPaxosStarNode):
    """Sutra 2019: one variable for the ballots promised and accepted."""

    def promise(self, instance: Instance, ballot: Ballot) -> None:
        self.change(instance, promised=ballot, accepted=ballot)


class Agreeable(EPaxosStarNode):
    """Commits fast what the others agree on among themselves, as EPaxos does."""

    def decide(self, instance: Instance, led: Any, *, may_wait: bool) -> None:
        answers = list(led.replies.values())
        if len(answers) + 1 >= self.n - self.e and all(answer == answers[0] for answer in answers):
            led.deps = answers[0]
            self.commit(instance, led)
        else:
            super().decide(instance, led, may_wait=may_wait)


class Fickle(EPaxosNode):
    """Of three replicas: takes for its partner who answers first, not the one that it has named."""

    def keep_reply(self, src: str, led: Any, reply: Any) -> None:
        super().keep_reply(src, led, reply)
        led.partner = src


class FickleStar(EPaxosStarNode):
    """The same mistake in EPaxos*."""

    def keep_reply(self, src: str, led: Any, reply: Any) -> None:
        super().keep_reply(src, led, reply)
        led.partner = src


class AnyVoice(EPaxosNode):
    """Of three replicas: a recovery takes over what either of the other two has pre-accepted."""

    def may_be_decided(self, instance: Instance, latest: Any) -> Any:
        return super().may_be_decided(instance, {src: replace(r, partner="") for src, r in latest.items()})


@pytest.mark.parametrize(
    ("system", "mutant", "seeds", "invariant"),
    [
        (EPaxos(nodes=3), Fickle, range(400), ONE_OUTCOME),
        (EPaxos(nodes=3), AnyVoice, range(400), ONE_OUTCOME),
        (EPaxosStar(nodes=3), FickleStar, range(400), ONE_OUTCOME),
        (EPaxosStar(nodes=5), NoValidation, range(200), VISIBLE),
        (EPaxosStar(nodes=5), Agreeable, range(200), ONE_OUTCOME),
        (EPaxos(nodes=5, fast_quorum=3, unsafe=True), None, range(200), ONE_OUTCOME),
    ],
    ids=["fickle", "any-voice", "fickle-star", "no-validation", "agreeable", "unsafe-majority"],
)
def test_the_explorer_shows_it(system: Any, mutant: Any, seeds: range, invariant: str) -> None:
    with pytest.raises(SafetyViolation) as caught:
        explore(system, seeds, mutant)
    assert caught.value.invariant == invariant


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("system", "mutant", "invariant"),
    [
        (EPaxosStar(nodes=5), OneBallot, ONE_OUTCOME),
        (EPaxosStar(nodes=5), Impatient, VISIBLE),
        (EPaxosStar(nodes=5), Trusting, ONE_OUTCOME),
        (EPaxosStar(nodes=5), Cowardly, ONE_OUTCOME),
        (EPaxosStar(nodes=7, fast_faults=3, unsafe=True), None, ONE_OUTCOME),
    ],
    ids=["one-ballot", "impatient", "trusting", "cowardly", "unsafe-fast-quorum"],
)
def test_the_explorer_shows_it_if_it_looks_longer(system: Any, mutant: Any, invariant: str) -> None:
    with pytest.raises(SafetyViolation) as caught:
        explore(system, range(20_000), mutant)
    assert caught.value.invariant == invariant
