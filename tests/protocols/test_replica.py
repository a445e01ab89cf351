"""The common part of replicas: each command is answered after it was applied, as its session must see it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.client import Redirect, Reply, Request
from sim.protocols.command import NOOP, Command
from sim.protocols.replica import Replica
from sim.testing import Bench


class Ordering(Replica):
    """Keeps what is new in `ordered` until the test applies it."""

    def on_start(self) -> None:
        self.ordered: list[Command] = []

    def on_request(self, src: str, msg: Request) -> None:
        if self.begins(src, msg.command):
            self.ordered.append(msg.command)

    def take(self, command: Command) -> None:
        self.conclude(command, self.store.apply(command))


def command(sequence: int, value: int = 1) -> Command:
    return Command(7, sequence, "increment", "x", value)


@pytest.fixture
def bench() -> Bench[Ordering]:
    return Bench(Ordering, "n0", members=("n0", "n1"))


def ask(bench: Bench[Ordering], sequence: int, src: str = "c0") -> None:
    bench.deliver(src, Request(command(sequence)))


def sent(bench: Bench[Ordering]) -> list[tuple[str, Any]]:
    found, bench.sent[:] = list(bench.sent), []
    return found


def test_a_new_command_is_ordered_and_answered_when_it_is_applied(bench: Bench[Ordering]) -> None:
    ask(bench, 1)
    assert bench.node.ordered == [command(1)]
    assert sent(bench) == []
    bench.node.take(command(1))
    assert sent(bench) == [("c0", Reply(7, 1, "ok", 1, 1))]
    bench.node.take(command(1))
    assert sent(bench) == [], "nobody waits any more"


def test_a_duplicate_of_a_running_request_is_answered_once_to_the_last_sender(bench: Bench[Ordering]) -> None:
    ask(bench, 1)
    ask(bench, 1, "c1")
    assert bench.node.ordered == [command(1)]
    bench.node.take(command(1))
    assert sent(bench) == [("c1", Reply(7, 1, "ok", 1, 1))]


def test_a_duplicate_of_what_was_applied_gets_the_remembered_result(bench: Bench[Ordering]) -> None:
    bench.node.take(command(1))
    ask(bench, 1)
    assert bench.node.ordered == []
    assert sent(bench) == [("c0", Reply(7, 1, "ok", 1, 1))]


def test_an_outdated_duplicate_is_neither_ordered_nor_answered(bench: Bench[Ordering]) -> None:
    for sequence in (1, 2):
        bench.node.take(command(sequence))
    ask(bench, 1)
    assert (bench.node.ordered, sent(bench), bench.node.waiting) == ([], [], {})


def test_after_a_restart_a_duplicate_is_ordered_again_and_takes_effect_once(bench: Bench[Ordering]) -> None:
    ask(bench, 1)
    bench.restart()
    ask(bench, 1)
    assert bench.node.ordered == [command(1)]
    for _ in range(2):
        bench.node.take(command(1))
    assert sent(bench) == [("c0", Reply(7, 1, "ok", 1, 1))]
    assert bench.node.store.application.data == {"x": 1}


def test_a_no_op_sends_no_answer(bench: Bench[Ordering]) -> None:
    ask(bench, 1)
    bench.node.take(NOOP)
    assert sent(bench) == []


def test_clients_that_wait_are_redirected_and_not_answered_later(bench: Bench[Ordering]) -> None:
    ask(bench, 1)
    bench.node.redirect_all("n1")
    assert sent(bench) == [("c0", Redirect(7, 1, "n1"))]
    bench.node.take(command(1))
    assert sent(bench) == []
