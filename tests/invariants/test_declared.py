"""`exclusive`, `monotone`, `once`, `promises` over a restart: one line each, for an author's own node class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim import Disk, Machine, Node, Scenario, System, durable, durable_log
from sim.distributions import Constant
from sim.faults import Crash
from sim.invariants import at_most, exclusive, monotone, once, promises
from sim.network import constant
from sim.node import Part, message, part
from sim.protocols.client import Reply, Request
from sim.system import Invariant, Violation
from sim.workload import ClosedLoop


@message
class Ask:
    term: int


@message
class Vote:
    term: int
    granted: bool


class Clerk(Part):
    seen = durable(0)


class Candidate(Node):
    """Leads a term when the others have voted for it; a term lasts as long as nobody asks for votes again."""

    clerk = part(Clerk)
    term = durable(0)
    voted_for = durable("")
    chosen = durable_log()

    def on_start(self) -> None:
        self.role = "follower"
        self.votes: dict[str, None] = {}
        self.round = 0
        self.set_timer("campaign", 0.05 + 0.01 * self.members.index(self.name))

    def on_request(self, src: str, msg: Request) -> None:
        self.send(src, Reply(msg.command.session, msg.command.sequence, "ok", None), hold=False)

    def on_campaign_timeout(self) -> None:
        self.set_timer("campaign", 0.2)
        self.role = "candidate"
        self.term += 1
        self.voted_for = self.name
        self.votes = {self.name: None}
        self.clerk.seen += 1
        self.broadcast(Ask(self.term))

    def on_ask(self, src: str, msg: Ask) -> None:
        if msg.term > self.term:
            self.term, self.voted_for, self.role = msg.term, "", "follower"
        granted = msg.term == self.term and self.voted_for in ("", src)
        if granted:
            self.voted_for = src
        self.send(src, Vote(self.term, granted))

    def on_vote(self, src: str, msg: Vote) -> None:
        if msg.granted and msg.term == self.term and self.role == "candidate":
            self.votes[src] = None
            if 2 * len(self.votes) > len(self.members):
                self.role = "leader"
                self.record("elected", term=self.term, leader=self.name)


class Generous(Candidate):
    """Votes for everybody."""

    def on_ask(self, src: str, msg: Ask) -> None:
        self.term = max(self.term, msg.term)
        self.send(src, Vote(self.term, True))


class Forgets(Candidate):
    """Begins in the first term again after a restart."""

    def on_start(self) -> None:
        super().on_start()
        self.term, self.voted_for = 0, ""


class Falls(Candidate):
    """Takes over a lower term."""

    def on_ask(self, src: str, msg: Ask) -> None:
        super().on_ask(src, msg)
        self.term = msg.term


class Rewinds(Candidate):
    """A part counts down."""

    def on_vote(self, src: str, msg: Vote) -> None:
        super().on_vote(src, msg)
        self.clerk.seen -= 1


def declared() -> tuple[Invariant, ...]:
    """All that can be said of a `Candidate`, in one line each."""
    return (
        exclusive("leader", per="term"),
        exclusive(lambda node: node.role == "leader", per="term"),
        monotone("term", "clerk.seen"),
        once(Vote, per=("term", "src"), value="dst", when=lambda vote: vote.granted),
        once("elected", per="term"),
        once("elected", per="term", value=("leader", "node")),
        promises(Vote, keeps=("term", "voted_for"), shown=shows),
    )


def shows(stored: Any, vote: Any, dst: str) -> bool:
    """Whether the disk shows a vote: its term, and the candidate while this is its term."""
    voted = stored("voted_for") == dst or not vote.granted or stored("term") > vote.term
    return bool(stored("term") >= vote.term and voted)


def run(node_class: type[Node], *invariants: Invariant, wiped: bool = False) -> Violation | None:
    scenario = Scenario(
        system=System.of(node_class, invariants=invariants),
        network=constant(0.01),
        workload=ClosedLoop(clients=1, think=0.1),
        machines=Machine(disk=Disk(fsync=Constant(0.001))),
        faults=[Crash("n1", at=0.3, down=0.1, wiped=wiped), Crash("n2", at=0.72, down=0.1)],
        duration=1.5,
        check="free",
    )
    return scenario.run(seed=1).violation


def test_what_is_declared_holds_for_a_correct_node_class_over_crashes() -> None:
    assert run(Candidate, *declared()) is None


@pytest.mark.parametrize(
    ("mutant", "make", "invariant"),
    [
        (Generous, lambda: exclusive("leader", per="term"), "one leader for each term"),
        (
            Generous,
            lambda: once(Vote, per=("term", "src"), value="dst", when=lambda vote: vote.granted),
            "one Vote for each term and src",
        ),
        (Generous, lambda: once("elected", per="term"), "one elected for each term"),
        (Generous, lambda: once("elected", per="term", value="leader"), "one elected for each term"),
        (Falls, lambda: monotone("term"), "term never goes back"),
        (Forgets, lambda: monotone("term"), "term never goes back"),
        (Rewinds, lambda: monotone("clerk.seen"), "clerk.seen never goes back"),
        (
            Forgets,
            lambda: promises(Vote, keeps=("term", "voted_for"), shown=shows),
            "a restart takes nothing back",
        ),
    ],
)
def test_each_line_finds_the_mistake_that_it_forbids(
    mutant: type[Node], make: Callable[[], Invariant], invariant: str
) -> None:
    found = run(mutant, make())
    assert found is not None
    assert found.invariant == invariant


def test_a_member_with_an_empty_disk_is_a_new_one() -> None:
    assert run(Candidate, monotone("term"), promises(Vote, keeps="term", shown=shows), wiped=True) is None


def test_what_a_run_has_seen_is_forgotten_by_the_next_one() -> None:
    system = System.of(Candidate, invariants=declared())
    for _ in range(2):
        scenario = Scenario(system=system, network=constant(0.01), duration=0.5, check=True)
        assert scenario.run(seed=1).violation is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: exclusive("", per="term"), "exclusive: role must be a name"),
        (lambda: exclusive("leader", per=""), "exclusive: per must be the name of an attribute, not ''"),
        (lambda: exclusive(lambda node: True, per="term", attribute="state"), "has no effect"),
        (lambda: monotone(), "monotone: attributes must be a name, or several"),
        (lambda: monotone(""), "monotone: attributes must be a name, or several"),
        (lambda: once("", per="term"), "once: name an event or a class of messages"),
        (lambda: once("elected", per=()), "once: per must be a name, or several"),
        (lambda: once("elected", per="term", value=""), "once: value must be a name, or several"),
        (
            lambda: once(Vote, per="trem"),
            "once: Vote has no field 'trem'; it has term, granted, src, dst and incarnation",
        ),
        (lambda: once(Node, per="term"), "once: Node is no class of messages"),
        (lambda: once("elected", per="term", when=3), "once: when must be a function, not 3"),  # type: ignore[arg-type]
    ],
)
def test_what_has_no_meaning_is_refused_when_it_is_written(
    make: Callable[[], Invariant], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("invariant", "message"),
    [
        (exclusive("leader", per="trem"), "exclusive: Candidate has no attribute 'trem'; .* term, voted_for"),
        (exclusive("leader", per="term", attribute="state"), "exclusive: .* no attribute 'state'"),
        (monotone("clerk.sean"), "monotone: .* no attribute 'clerk.sean'"),
        (monotone("chosen"), "monotone: Candidate.chosen is no value that grows"),
        (once("electd", per="term"), "once: no member records an event 'electd'"),
        (promises(Vote, keeps="votedfor"), "promises: keeps: .* no attribute 'votedfor'"),
        ("exclusive", "invariants must be objects of Invariant"),
    ],
)
def test_what_no_member_has_is_refused_when_the_system_is_made(invariant: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        System.of(Candidate, invariants=[invariant])


def test_a_detail_that_an_event_lacks_is_refused_when_it_is_recorded() -> None:
    with pytest.raises(
        ValueError, match="the event 'elected' has no detail 'slot'; it has term, leader, node"
    ):
        run(Candidate, once("elected", per="slot"))


def test_values_that_cannot_be_compared_are_refused() -> None:
    class Odd(Candidate):
        def on_vote(self, src: str, msg: Vote) -> None:
            self.term = (self.term, 1)

    with pytest.raises(ValueError, match="monotone: term of n0 cannot be compared"):
        run(Odd, monotone("term"))


def test_a_bound_is_asked_after_each_step_and_says_the_number() -> None:
    def votes(node: Any) -> int | None:
        return len(node.votes) if hasattr(node, "votes") else None

    assert run(Candidate, at_most(3, votes, what="votes")) is None
    found = run(Candidate, at_most(1, votes, what="votes"))
    assert found is not None
    assert (found.invariant, found.facts[1]) == ("votes: at most 1", "it has 2")
    with pytest.raises(ValueError, match="at_most: most must be a number, not nan"):
        at_most(float("nan"), votes, what="votes")
    with pytest.raises(ValueError, match="at_most: what must be a name"):
        at_most(1, votes, what="")
