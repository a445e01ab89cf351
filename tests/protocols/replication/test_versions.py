"""Versions of a key: both rules make replicas that got the same versions equal, and siblings lose nothing unseen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.protocols.causality.hlc import HybridTime
from sim.protocols.causality.siblings import past_of, replaced_by, siblings
from sim.protocols.replication.multi_primary.versions import Version, Versions, latest

RULES: dict[str, Any] = {"latest": latest, "siblings": siblings}
ACTORS = ("a", "b", "c")

steps = st.lists(
    st.tuples(st.sampled_from(ACTORS), st.sampled_from((*ACTORS, "write", "write")), st.integers(0, 3)),
    max_size=16,
)


def merge(rule: Any, ours: Versions, theirs: Versions) -> Versions:
    """What a replica holds after it took in what another one holds."""
    both = dict.fromkeys((*ours, *theirs))
    return rule(both) if both else ()


def replay(rule: Any, script: list[Any]) -> tuple[list[Versions], list[Version]]:
    """What three replicas hold after writes (of any clock) and merges, and all versions that were ever written."""
    held: dict[str, Versions] = dict.fromkeys(ACTORS, ())
    written: list[Version] = []
    for number, (actor, what, time) in enumerate(script, start=1):
        if what == "write":
            version = Version(
                (actor, number), past_of(held[actor]), HybridTime(time, 0), number, False, (0, number)
            )
            if rule is siblings or not held[actor] or held[actor][0].stamp < version.stamp:
                written.append(version)
                held[actor] = (version,)
        else:
            held[actor] = merge(rule, held[actor], held[what])
    return list(held.values()), written


@pytest.mark.parametrize("name", RULES)
@given(script=steps)
def test_merging_is_commutative_associative_and_idempotent(name: str, script: list[Any]) -> None:
    rule = RULES[name]
    (a, b, c), _ = replay(rule, script)
    assert merge(rule, a, b) == merge(rule, b, a)
    assert merge(rule, merge(rule, a, b), c) == merge(rule, a, merge(rule, b, c))
    assert merge(rule, a, a) == a


@pytest.mark.parametrize("name", RULES)
@given(script=steps, data=st.data())
def test_versions_that_arrive_in_any_order_leave_the_same(name: str, script: list[Any], data: Any) -> None:
    rule = RULES[name]
    held, written = replay(rule, script)
    everything: Versions = ()
    for version in data.draw(st.permutations(written)):
        everything = merge(rule, everything, (version,))
    assert everything == merge(rule, merge(rule, held[0], held[1]), held[2])


@given(script=steps)
def test_siblings_are_the_versions_that_no_later_writer_replaced(script: list[Any]) -> None:
    held, written = replay(siblings, script)
    everything = merge(siblings, merge(siblings, held[0], held[1]), held[2])
    replaced = {(actor, n) for v in written for actor, last in v.past for n in range(last + 1)}
    assert {v.dot for v in everything} == {v.dot for v in written} - replaced
    assert len(everything) <= len(ACTORS)  # a writer replaces its own: never more than one a replica


def test_a_lower_timestamp_loses_even_if_it_has_seen_the_higher() -> None:
    first = Version(("a", 1), (), HybridTime(5.0, 0), "first", False, (0, 1))
    second = Version(("b", 1), past_of((first,)), HybridTime(3.0, 0), "second", False, (1, 1))
    assert replaced_by(first, second)
    assert latest((first, second)) == (first,)
    assert siblings((first, second)) == (second,)


def test_equal_times_are_ordered_by_the_writer() -> None:
    a = Version(("a", 1), (), HybridTime(5.0, 0), 1, False, (0, 1))
    b = Version(("b", 1), (), HybridTime(5.0, 0), 2, False, (1, 1))
    assert latest((a, b)) == latest((b, a)) == (b,)
    assert siblings((b, a)) == (a, b)
    assert a.wire_bytes == 1 + 2 * 9 - 9 + 16 + 8 + 16
