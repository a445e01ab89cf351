"""Kulkarni et al., "Logical Physical Clocks" (2014): the requirements of section 3, as theorems 1 to 3 state them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.protocols.causality.hlc import BEGINNING, HybridTime

SKEW = 5.0
NODES = 3

# The next event and its node; by how much true time advances first; the error of the clock there; the sender.
scripts = st.lists(
    st.tuples(
        st.sampled_from(("local", "send", "receive")),
        st.integers(0, NODES - 1),
        st.sampled_from((0, 0, 1, 4)),
        st.sampled_from((0, 0, 2, 5)),
        st.integers(0, 8),
    ),
    max_size=25,
)


@dataclass
class Event:
    node: int
    pt: float
    stamp: Any
    before: frozenset[int]  # the events that happened before it, by number


class Lamport(HybridTime):
    """A logical clock: it counts on, whatever the wall clock says."""

    def tick(self, pt: float) -> Any:
        return type(self)(max(self.l, pt) + 1, 0)

    def receive(self, message: HybridTime, pt: float) -> Any:
        return type(self)(max(self.l, message.l, pt) + 1, 0)


class Deaf(HybridTime):
    """Learns nothing from messages."""

    def receive(self, message: HybridTime, pt: float) -> Any:
        return type(self)(*self.tick(pt))


class Uncounted(HybridTime):
    """Does not tell events of one instant apart."""

    def tick(self, pt: float) -> Any:
        return type(self)(max(self.l, pt), 0)


class Careless(HybridTime):
    """On receipt takes its own count on, where the message has the same l and a higher count."""

    def receive(self, message: HybridTime, pt: float) -> Any:
        found = super().receive(message, pt)
        return type(self)(found.l, self.c + 1 if found.l == self.l == message.l else found.c)


class NeverReset(HybridTime):
    """The count is never set to 0 again."""

    def tick(self, pt: float) -> Any:
        return type(self)(max(self.l, pt), self.c + 1)


def play(script: list[Any], kind: type[HybridTime] = HybridTime) -> list[Event]:
    """Run a script on nodes whose clocks never run backwards, and are wrong by at most SKEW."""
    now = 0.0
    events: list[Event] = []
    clocks: list[Any] = [kind(*BEGINNING) for _ in range(NODES)]
    shown = [0.0] * NODES
    known: list[frozenset[int]] = [frozenset()] * NODES
    sent: list[int] = []
    for what, node, pause, error, which in script:
        now += pause
        pt = shown[node] = max(shown[node], now + error)
        if what == "receive" and sent:
            number = sent[which % len(sent)]
            clocks[node] = kind(*clocks[node].receive(events[number].stamp, pt))
            known[node] |= {number, *events[number].before}
        else:
            clocks[node] = kind(*clocks[node].tick(pt))
        if what == "send":
            sent.append(len(events))
        events.append(Event(node, pt, clocks[node], known[node]))
        known[node] |= {len(events) - 1}
    return events


def theorem_1(events: list[Event]) -> None:
    """If e happened before f, the timestamp of e is lower."""
    for f in events:
        assert all(events[e].stamp < f.stamp for e in f.before)


def theorem_2_and_3(events: list[Event]) -> None:
    """l is at least the wall clock; if it is more, then it is the wall clock of an event that happened before."""
    for f in events:
        assert f.stamp.l >= f.pt
        assert f.stamp.l == f.pt or f.stamp.l in {events[g].pt for g in f.before}


def corollary_1(events: list[Event]) -> None:
    """l is never further from the wall clock than clocks are from one another."""
    assert all(f.stamp.l - f.pt <= SKEW for f in events)


def corollary_2(events: list[Event]) -> None:
    """c counts no more than the earlier events of the same l."""
    for f in events:
        assert f.stamp.c <= sum(events[g].stamp.l == f.stamp.l for g in f.before)


CLAIMS = [theorem_1, theorem_2_and_3, corollary_1, corollary_2]


@pytest.mark.parametrize("claim", CLAIMS)
@given(script=scripts)
def test_a_claim_of_the_paper_holds(claim: Callable[[list[Event]], None], script: list[Any]) -> None:
    claim(play(script))


CAUGHT = [
    # Two events at one node in one instant; a message between nodes; and so on: the smallest that shows it.
    (Uncounted, theorem_1, [("local", 0, 0, 0, 0), ("local", 0, 0, 0, 0)]),
    (Deaf, theorem_1, [("send", 0, 0, 5, 0), ("receive", 1, 0, 0, 0)]),
    (
        Careless,
        theorem_1,
        [*[("send", 0, 0, 0, 0)] * 3, ("local", 1, 0, 0, 0), ("receive", 1, 0, 0, 2)],
    ),
    (Lamport, theorem_2_and_3, [("local", 0, 0, 0, 0), ("local", 0, 0, 0, 0)]),
    (Lamport, corollary_1, [("local", 0, 0, 0, 0)] * 7),
    (NeverReset, corollary_2, [("local", 0, 1, 0, 0), ("local", 0, 1, 0, 0)]),
]


@pytest.mark.parametrize(
    ("mutant", "claim", "script"), CAUGHT, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_changed_word_breaks_a_claim(mutant: Any, claim: Any, script: Any) -> None:
    claim(play(script))
    with pytest.raises(AssertionError):
        claim(play(script, mutant))


def test_a_clock_that_is_set_back_does_not_set_its_timestamps_back() -> None:
    first = BEGINNING.tick(10.0)
    assert first == HybridTime(10.0, 0)
    assert first.tick(7.0) == HybridTime(10.0, 1)
    assert first.tick(7.0).receive(HybridTime(10.0, 5), 8.0) == HybridTime(10.0, 6)
    assert first.receive(HybridTime(12.0, 5), 8.0) == HybridTime(12.0, 6)
    assert first.receive(HybridTime(12.0, 5), 13.0) == HybridTime(13.0, 0)
    assert BEGINNING.tick(-3.0) == HybridTime(-3.0, 0)
