"""CASPaxos: what an operation costs, conflicts, duplicates, storms, and mutants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sim import Scenario
from sim.network import constant
from sim.protocols import CasPaxos
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.caspaxos.messages import (
    FIRST,
    Accept,
    Accepted,
    Prepare,
    Promise,
    Register,
    RegisterBallot,
    State,
)
from sim.protocols.consensus.caspaxos.node import CasPaxosNode
from sim.testing import survive
from sim.workload import ClosedLoop, Mix, UniformKeys
from tests.budget import storms

DELTA = 0.01
Staging = Callable[..., Any]
QUIET = {"heartbeat": 10.0, "detection": 100.0}
CHANGE, ONCE = "a change of the newest state", "exactly once"


def counted(s: Any, since: float = 0.0) -> dict[str, int]:
    return dict(Counter(m[0] for m in s.messages(since=since)))


# Costs


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("kind", ["put", "get", "increment"])
def test_the_first_command_of_a_proposer_takes_two_round_trips_and_the_next_ones_take_one(
    stage: Staging, n: int, kind: str
) -> None:
    """Between replicas; the client's own way comes on top. Reads are as dear as writes."""
    s = stage(CasPaxos(nodes=n, **QUIET))
    s.ask("n0", kind, value=1)
    s.run(0.2)
    assert s.client.answered[-1] == pytest.approx(6 * DELTA)
    assert counted(s) == dict.fromkeys(("Prepare", "Promise", "Accept", "Accepted"), n - 1)
    for _ in range(2):
        start = s.now
        s.ask("n0", kind, value=1)
        s.run(0.2)
        assert s.client.answered[-1] - start == pytest.approx(4 * DELTA)
        assert counted(s, start) == {"Accept": n - 1, "Accepted": n - 1}


def test_each_phase_costs_one_sync_of_an_acceptor(stage: Staging) -> None:
    fsync = 0.003
    s = stage(CasPaxos(nodes=3, **QUIET), fsync=fsync)
    s.ask("n0", value=1)
    s.run(0.3)
    assert s.client.answered[-1] == pytest.approx(6 * DELTA + 2 * fsync)
    start = s.now
    s.ask("n0", value=2)
    s.run(0.3)
    assert s.client.answered[-1] - start == pytest.approx(4 * DELTA + fsync)
    assert {name: s.cluster.hosts[name].disk.syncs for name in s.names} == dict.fromkeys(s.names, 3)


def test_another_proposer_meets_a_conflict_once_and_then_has_the_key(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3))
    s.ask("n0", "increment", value=1, session=1)
    s.run(0.1)
    s.ask("n1", "increment", value=1, session=2)
    s.run(0.3)
    assert counted(s)["Conflict"] >= 2
    assert [reply.result for reply in s.replies] == [1, 2]
    start = s.now
    s.ask("n1", "increment", value=1, session=2)
    s.run(0.3)
    assert s.client.answered[-1] - start == pytest.approx(4 * DELTA)


def test_keys_are_independent(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3, **QUIET))
    start = s.now
    for number in range(4):
        s.ask("n0", key=f"k{number}", value=number, session=number)
    s.run(0.2)
    assert [t - start for t in s.client.answered] == pytest.approx([6 * DELTA] * 4)


# Retries


def test_a_command_that_is_sent_again_to_another_replica_is_applied_once(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3))
    s.hold(kind="Accepted", dst="n0")
    s.ask("n0", "increment", value=1)
    s.run(0.1)
    s.crash("n0")
    s.ask_again("n1", "increment", value=1)
    s.run(0.5)
    assert [reply.result for reply in s.replies] == [1]
    s.ask("n1", "get")
    s.run(0.3)
    assert s.replies[-1].value == 1


def test_what_is_acknowledged_survives_the_crash_of_all(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3))
    s.ask("n0", value="kept")
    s.run(0.2)
    s.crash("n0", "n1", "n2")
    s.restart("n0", "n1", "n2")
    s.ask("n2", "get", session=2)
    s.run(0.5)
    assert s.replies[-1].value == "kept"


def test_without_a_majority_nothing_is_answered(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3))
    s.isolate("n0")
    s.ask("n0", value=1)
    s.run(1.0)
    assert s.replies == []
    s.heal()
    s.run(0.5)
    assert len(s.replies) == 1


# Mutants


class IgnoresWhatIsAccepted(CasPaxosNode):
    def newest(self, promises: dict[str, Promise]) -> State:
        return State(None, ())


class TakesTheOldest(CasPaxosNode):
    def newest(self, promises: dict[str, Promise]) -> State:
        return min(promises.values(), key=lambda promise: promise.accepted).state


@pytest.mark.parametrize("mutant", [IgnoresWhatIsAccepted, TakesTheOldest])
def test_a_proposer_that_does_not_take_the_newest_state_is_caught(stage: Staging, mutant: Any) -> None:
    s = stage(CasPaxos(nodes=3), mutant=mutant)
    s.cut(["n0"], ["n2"])
    s.ask("n0", value=1, session=1)
    s.run(0.2)
    s.cut(["n1"], ["n0"])
    s.ask("n1", value=2, session=2)
    assert s.invariant_broken() == CHANGE


class KeepsAnOldState(CasPaxosNode):
    """After a conflict, the state of before is used with a new ballot."""

    def begin(self, key: str) -> None:
        if self.rounds[key].conflicts and self.rounds[key].proposal is not None:
            self.rounds[key].ballot = self.next_ballot()
            self.propose(key, State(None, ()))
        else:
            super().begin(key)


def test_a_proposal_without_promises_is_caught(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3), mutant=KeepsAnOldState)
    for name in ("n0", "n1", "n0"):
        s.ask(name, "increment", value=1, session=len(name) + s.sequence)
        s.run(0.02)

    def go_on() -> None:
        for name in ("n0", "n1", "n0", "n1"):
            s.ask(name, "increment", value=1, session=int(name[1]) + 1)
            s.run(0.5)

    assert s.invariant_broken(go_on) == CHANGE


class Hasty(CasPaxosNode):
    """One acceptance is enough."""

    def on_accepted(self, src: str, msg: Accepted) -> None:
        current = self.rounds.get(msg.key)
        if current is not None and current.proposal is not None:
            self.finish(msg.key, current.command, current.proposal.state)


class AnswersItsOwn(CasPaxosNode):
    """The answer is the value that was asked for."""

    def finish(self, key: str, command: Command, state: State) -> None:
        super().finish(key, command, State(None, ()).after(command))


class Invents(CasPaxosNode):
    def on_request(self, src: str, msg: Request) -> None:
        super().on_request(src, Request(Command(9, 1, "put", msg.command.key, "mine")))


class BorrowsBallots(CasPaxosNode):
    def next_ballot(self) -> RegisterBallot:
        self.counter += 1
        return RegisterBallot(self.counter, "n0", 0)


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        (Hasty, "acknowledged is chosen"),
        (AnswersItsOwn, ONCE),
        (Invents, "validity"),
        (BorrowsBallots, "own ballots"),
    ],
)
def test_a_mistake_of_a_proposer_is_caught(stage: Staging, mutant: Any, invariant: str) -> None:
    s = stage(CasPaxos(nodes=3), mutant=mutant)

    def go_on() -> None:
        for name in ("n0", "n1"):
            s.ask(name, "increment", value=1, session=1 + int(name[1]))
            s.run(0.5)

    assert s.invariant_broken(go_on) == invariant


class AcceptsAnything(CasPaxosNode):
    """An acceptor does not look at what it promised."""

    def on_accept(self, src: str, msg: Accept) -> None:
        self.registers[msg.key] = Register(msg.then, msg.ballot, msg.state)
        self.send(src, Accepted(msg.key, msg.ballot))


class PromisesAnything(CasPaxosNode):
    def on_prepare(self, src: str, msg: Prepare) -> None:
        held = self.registers.get(msg.key, Register(FIRST, FIRST, State(None, ())))
        self.registers[msg.key] = Register(msg.ballot, held.accepted, held.state)
        self.send(src, Promise(msg.key, msg.ballot, held.accepted, held.state))


@pytest.mark.parametrize("mutant", [AcceptsAnything, PromisesAnything])
def test_an_acceptor_that_breaks_its_promise_is_caught(stage: Staging, mutant: Any) -> None:
    s = stage(CasPaxos(nodes=3), mutant=mutant)

    def go_on() -> None:
        for name in ("n0", "n1", "n2", "n0", "n1"):
            s.ask(name, "increment", value=1, session=1 + int(name[1]))
            s.run(0.3)

    assert s.invariant_broken(go_on) == "promise kept"


class ForgetsItsState(CasPaxosNode):
    """A promise tells of no state."""

    def on_prepare(self, src: str, msg: Prepare) -> None:
        self.registers[msg.key] = Register(msg.ballot, FIRST, State(None, ()))
        self.send(src, Promise(msg.key, msg.ballot, FIRST, State(None, ())))


def test_an_acceptor_that_forgets_what_it_accepted_is_caught(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3), mutant=ForgetsItsState)
    s.ask("n0", value=1, session=1)
    s.run(0.3)
    late = Prepare("x", RegisterBallot(9, "n1", 0))
    assert s.invariant_broken(lambda: s.deliver("n1", "n2", late)) == "what was accepted is kept"


class Rewrites(CasPaxosNode):
    """The Accept that is sent again has another state."""

    def on_repeat_timeout(self, key: str) -> None:
        current = self.rounds[key]
        if current.proposal is not None:
            self.broadcast(Accept(key, current.ballot, State("other", ()), current.proposal.then))


def test_two_states_of_one_ballot_are_caught(stage: Staging) -> None:
    s = stage(CasPaxos(nodes=3), mutant=Rewrites)
    s.ask("n0", value=1)
    s.run(0.03)
    s.isolate("n0")
    assert s.invariant_broken() == "one state a ballot"


class PromisesUnsynced(CasPaxosNode):
    def send(self, dst: str, msg: Any, hold: bool = True) -> None:
        super().send(dst, msg, hold=hold and not isinstance(msg, Promise))


class AcceptsUnsynced(CasPaxosNode):
    def send(self, dst: str, msg: Any, hold: bool = True) -> None:
        super().send(dst, msg, hold=hold and not isinstance(msg, Accepted))


@pytest.mark.parametrize("mutant", [PromisesUnsynced, AcceptsUnsynced])
def test_an_answer_that_overtakes_the_disk_is_caught(stage: Staging, mutant: Any) -> None:
    s = stage(CasPaxos(nodes=3), mutant=mutant, fsync=0.005)
    s.ask("n0", value=1)
    assert s.invariant_broken() == "durable before send"


# Storms, settings


@storms(4, 5.0)
def test_it_is_safe_in_every_storm_and_goes_on_after_it(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(CasPaxos(nodes=3 + 2 * (seed % 2)), seed, length)


def test_what_it_cannot_serve_is_refused() -> None:
    with pytest.raises(ValueError, match="takes no application"):
        CasPaxos(application=object())  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="scan"):
        Scenario(
            system=CasPaxos(),
            network=constant(DELTA),
            workload=ClosedLoop(mix=Mix({"scan": 1}, UniformKeys(2))),
        )
