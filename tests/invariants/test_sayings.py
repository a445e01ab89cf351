"""`stands_by`, `remembered`: what members say and hear, against what they hold, on an author's own node class."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Node, Scenario, System, durable
from sim.faults import Crash
from sim.invariants import backed, once, remembered, stands_by
from sim.node import message
from sim.protocols.client import Request
from sim.system import Invariant
from sim.workload import NoLoad


@message
class Count:
    """Its sender, in its ``epoch``, has counted to ``number``."""

    number: int
    epoch: int


class Counter(Node):
    """Counts, and tells the others; its count is on disk, and each incarnation has an epoch of its own."""

    number = durable(0)
    epoch = durable(0)
    ahead = durable(0)

    def on_start(self) -> None:
        self.epoch += 1
        self.set_timer("count", 0.1)

    def on_count_timeout(self) -> None:
        self.set_timer("count", 0.1)
        self.number += 1
        self.broadcast(Count(self.number, self.epoch))

    def on_count(self, src: str, msg: Count) -> None:
        if self.number >= msg.number > self.ahead:
            self.ahead = msg.number
            self.record("ahead", number=self.ahead)  # two of three have counted so far

    def on_request(self, src: str, msg: Request) -> None:
        pass


class Alone(Counter):
    """Takes any count for a majority."""

    def on_count_timeout(self) -> None:
        super().on_count_timeout()
        self.record("ahead", number=self.number)


class Forgets(Counter):
    """Counts from zero again after a restart."""

    number: Any = 0


class Reuses(Counter):
    """Uses its epoch again after a restart."""

    epoch: Any = 0


DECLARED = {
    "stands by": lambda: stands_by(lambda m: m.number if isinstance(m, Count) else None, holds=_number),
    "remembered": lambda: remembered(_by_epoch, holds=lambda node: getattr(node, "held", None)),
    "backed": lambda: backed("ahead", by=Count, on="number"),
    "once": lambda: once(Count, per=("src", "epoch"), value="incarnation"),
}


def _number(node: Any) -> int | None:
    return getattr(node, "number", None)


def _by_epoch(message: Any) -> list[tuple[int, int]]:
    return [(message.epoch, message.number)] if isinstance(message, Count) else []


class Noting(Counter):
    """Holds the counts by their epochs."""

    def on_start(self) -> None:
        super().on_start()
        self.held: dict[int, int] = {}

    def on_count(self, src: str, msg: Count) -> None:
        self.held[msg.epoch] = max(msg.number, self.held.get(msg.epoch, 0))


class NotingTheFirst(Noting):
    """Notes the first count of each epoch only."""

    def on_count(self, src: str, msg: Count) -> None:
        self.held.setdefault(msg.epoch, msg.number)


def broken(node_class: type[Node], declared: Invariant) -> str | None:
    system = System.of(node_class, nodes=3, invariants=declared)
    crash = Crash("n1", at=0.55, down=0.2)
    run = Scenario(system=system, workload=NoLoad(), faults=(crash,), duration=2.0, check="free").run(1)
    return None if run.violation is None else run.violation.invariant


@pytest.mark.parametrize("what", DECLARED)
@pytest.mark.parametrize("node_class", [Counter, Noting])
def test_the_correct_node_is_not_accused(node_class: type[Node], what: str) -> None:
    assert broken(node_class, DECLARED[what]()) is None


@pytest.mark.parametrize(
    ("node_class", "what", "invariant"),
    [
        (Forgets, "stands by", "a member stands by what it said"),
        (Alone, "backed", "ahead is backed by a majority"),
        (Reuses, "once", "one Count for each src and epoch"),
        (NotingTheFirst, "remembered", "news is not forgotten"),
    ],
)
def test_each_mistake_breaks_what_was_declared_in_one_line(
    node_class: type[Node], what: str, invariant: str
) -> None:
    assert broken(node_class, DECLARED[what]()) == invariant


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ValueError, match="stands_by: holds must be a function, not 3"):
        stands_by(_number, holds=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="remembered: hears_of must be a function, not 'x'"):
        remembered("x", holds=_number)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backed: Count has no field 'term'; it has number, epoch"):
        backed("ahead", by=Count, on="term")
