"""Mencius broken by a word or a method, each time seen by the invariant that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.protocols import Mencius
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.mencius.messages import (
    Accepted,
    Heartbeat,
    Known,
    Promise,
    Revoke,
    Revoked,
    Skip,
    Suggest,
)
from sim.protocols.consensus.mencius.node import MenciusNode

DELTA = 0.01
SLOW = Mencius(nodes=3, heartbeat=0.2, detection=2.0)
Staging = Callable[..., Any]


def put(value: Any, session: int) -> Command:
    return Command(session, 1, "put", "x", value)


# Coordinators


class InventsCommands(MenciusNode):
    """Suggests a command that nobody asked for."""

    def suggest(self, command: Command) -> None:
        super().suggest(put("mine", 9))


def test_a_suggestion_that_no_client_asked_for_is_caught(stage: Staging) -> None:
    s = stage(SLOW, mutant=InventsCommands)
    s.ask("n0", value="v")
    assert s.invariant_broken() == "validity"


class TakesAnySlot(MenciusNode):
    """Suggests in the next slot, whosever it is."""

    def own_after(self, slot: int) -> int:
        return slot + 1


def test_a_suggestion_in_the_slot_of_another_is_caught(stage: Staging) -> None:
    s = stage(Mencius(nodes=3, heartbeat=5.0, detection=50.0), mutant=TakesAnySlot)
    s.ask("n1", value="v")
    assert s.invariant_broken() == "suggested by the coordinator"


class ForgetsItsTurn(MenciusNode):
    """Which slots it used is not on disk."""

    def on_start(self) -> None:
        self.__dict__.update(used=0, last_suggested=0)
        super().on_start()


def test_a_slot_used_twice_is_caught(stage: Staging) -> None:
    s = stage(Mencius(nodes=3), mutant=ForgetsItsTurn)
    s.ask("n0", value="a")
    s.run(0.1)
    s.crash("n0")
    s.restart("n0")
    s.ask("n0", value="b", session=2)
    assert s.invariant_broken() == "one value per ballot"


class SuggestsWhereItSkipped(MenciusNode):
    """The next own slot is counted from the last suggestion."""

    def suggest(self, command: Command) -> None:
        self.used = self.last_suggested
        super().suggest(command)


def test_a_suggestion_in_a_skipped_slot_is_caught(stage: Staging) -> None:
    s = stage(Mencius(nodes=3), mutant=SuggestsWhereItSkipped)
    s.ask("n2", value="a")
    s.run(0.1)
    s.ask("n0", value="b", session=2)
    assert s.invariant_broken() == "a skip is for ever"


# The disk


def unsynced(kind: type) -> type[MenciusNode]:
    """A replica whose messages of this class do not wait for its disk."""

    class Unsynced(MenciusNode):
        def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
            super().send(dst, msg, hold=hold and not isinstance(msg, kind))

    return Unsynced


@pytest.mark.parametrize("kind", [Suggest, Skip, Accepted, Heartbeat, Promise, Revoked])
def test_what_overtakes_the_disk_is_caught(stage: Staging, kind: type) -> None:
    s = stage(Mencius(nodes=3), mutant=unsynced(kind), fsync=0.003)
    s.run(0.0265)  # the suggestion reaches the others just before their heartbeats

    def story() -> None:
        s.ask("n2", value="v")
        s.run(0.2)
        s.step("n0", "revoke", "n1", 5)
        s.run(0.2)

    assert s.invariant_broken(story) == "durable before send"


# Revocations


class RevokesBlindly(MenciusNode):
    """A revocation puts no-ops everywhere, whatever the promises say."""

    def on_promise(self, src: str, msg: Promise) -> None:
        super().on_promise(src, Promise(msg.ballot, msg.first, msg.last, ()))


def test_a_revocation_over_an_accepted_suggestion_is_caught(stage: Staging) -> None:
    s = stage(SLOW, mutant=RevokesBlindly)
    s.ask("n1", value="a")
    s.run(2.5 * DELTA)
    s.crash("n1")
    assert s.invariant_broken(lambda: s.run(6.0)) == "P2c"


class AcceptsLateSuggestions(MenciusNode):
    """A promise to a revocation does not keep it from accepting the coordinator's suggestion."""

    def on_suggest(self, src: str, msg: Suggest) -> None:
        self.vote(msg.slot, Ballot(0, src), msg.command)
        self.send(src, Accepted(msg.slot, Ballot(0, src), *self.skipped))


def test_a_broken_promise_is_caught(stage: Staging) -> None:
    s = stage(SLOW, mutant=AcceptsLateSuggestions)
    s.cluster.network.hold(lambda src, dst, msg: dst == "n1" and src != "client")  # n1 hears of no revocation
    s.step("n0", "revoke", "n1", 1)
    s.run(0.05)
    s.ask("n1", value="late")
    assert s.invariant_broken() == "promise kept"


class ProposesItsOwn(MenciusNode):
    """A revoker puts a command of its own into a free slot."""

    def broadcast(self, msg: Any, *, to: Any = None, hold: bool = True) -> None:
        if isinstance(msg, Revoke):
            msg = Revoke(msg.ballot, msg.first, msg.last, ((msg.first, put("own", 9)),))
        super().broadcast(msg, to=to, hold=hold)


def test_a_value_of_the_revoker_s_own_is_caught(stage: Staging) -> None:
    s = stage(SLOW, mutant=ProposesItsOwn)
    s.step("n0", "revoke", "n1", 1)
    assert s.invariant_broken() == "validity"


class CountsRoundsAgain(MenciusNode):
    """The round of its revocations is not on disk."""

    def on_start(self) -> None:
        self.__dict__["round"] = 0
        super().on_start()


def test_a_ballot_of_two_incarnations_is_caught(stage: Staging) -> None:
    s = stage(SLOW, mutant=CountsRoundsAgain)
    s.step("n0", "revoke", "n1", 1)
    s.run(0.03)
    s.crash("n0")
    s.restart("n0")
    assert s.invariant_broken(lambda: s.step("n0", "revoke", "n2", 1)) == "ballot used once"


# Learning and executing


class BelievesSuggestions(MenciusNode):
    """A suggestion of another is executed when it is accepted."""

    def on_suggest(self, src: str, msg: Suggest) -> None:
        super().on_suggest(src, msg)
        self.on_known(self.name, Known(((msg.slot, msg.command),)))


def test_executing_what_is_not_chosen_is_caught(stage: Staging) -> None:
    s = stage(Mencius(nodes=5), mutant=BelievesSuggestions)
    s.ask("n0", value="a")
    assert s.invariant_broken() == "learnt is chosen"


class AnswersEarly(MenciusNode):
    """The client is answered when its command is suggested."""

    def suggest(self, command: Command) -> None:
        super().suggest(command)
        self.answer("client", command, self.store.execute(command))


def test_an_answer_before_a_quorum_is_caught(stage: Staging) -> None:
    s = stage(SLOW, mutant=AnswersEarly)
    s.ask("n0", value="v")
    assert s.invariant_broken() == "acknowledged is chosen"


class AppliesRetriesAgain(MenciusNode):
    """Sessions are forgotten: a retried command takes effect again."""

    def on_request(self, src: str, msg: Request) -> None:
        self.store.sessions.clear()
        super().on_request(src, msg)

    def execute(self, command: Command) -> None:
        self.store.sessions.clear()
        super().execute(command)


def test_a_retried_command_that_takes_effect_twice_is_caught(stage: Staging) -> None:
    s = stage(Mencius(nodes=3), mutant=AppliesRetriesAgain)
    s.ask("n0", "increment", 1)
    s.run(0.1)
    s.ask_again("n0", "increment", 1)
    assert s.invariant_broken() == "exactly once"


class ExecutesItsOwnOnly(MenciusNode):
    """Commands that came to other replicas are taken into the log and not executed."""

    def execute(self, command: Command) -> None:
        if (command.session, command.sequence) in self.waiting:
            super().execute(command)
        else:
            self.applied += 1
            self.log.append(command)


def test_a_state_that_is_not_that_of_the_log_is_caught(stage: Staging) -> None:
    s = stage(Mencius(nodes=3), mutant=ExecutesItsOwnOnly)
    s.ask("n0", value="v")
    s.run(0.3)
    assert s.invariant_broken(s.finish) == "state is the fold of the chosen"


class ForgetsTheLog(MenciusNode):
    """A mutant that sends the requested commands, and drops them."""

    def tell(self, dst: str, first: int) -> None:
        super().tell(dst, first)
        self.log.clear()


def test_a_log_that_shrinks_is_caught(stage: Staging) -> None:
    s = stage(Mencius(nodes=3), mutant=ForgetsTheLog)
    s.ask("n0", value="v")
    s.run(0.1)
    assert s.invariant_broken(lambda: s.step("n0", "tell", "n1", 1)) == "applied only grows"
