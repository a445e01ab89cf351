"""The room of causality: both forms of siblings agree on what is concurrent and what was replaced."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sim.protocols.causality.dots import Dot
from sim.protocols.causality.siblings import DottedStore, past_of, replaced_by, siblings
from sim.protocols.replication.crdt import MvRegister

REPLICAS = ("a", "b", "c")


class Written(NamedTuple):
    """A version with a past of its own."""

    dot: Dot
    past: tuple[Dot, ...]


@given(st.lists(st.tuples(st.sampled_from(REPLICAS), st.sampled_from(REPLICAS)), max_size=12))
def test_a_store_with_one_context_and_versions_with_pasts_keep_the_same_siblings(
    story: list[tuple[str, str]],
) -> None:
    """``(x, x)``: replica x writes; ``(x, y)``: x sends all that it holds to y."""
    stores = {name: DottedStore() for name in REPLICAS}
    versions: dict[str, tuple[Written, ...]] = dict.fromkeys(REPLICAS, ())
    written = dict.fromkeys(REPLICAS, 0)
    for src, dst in story:
        if src == dst:
            written[src] += 1
            stores[src] = stores[src].merge(stores[src].write(src, (src, written[src])))
            versions[src] = siblings((*versions[src], Written((src, written[src]), past_of(versions[src]))))
        else:
            stores[dst] = stores[dst].merge(stores[src])
            versions[dst] = siblings((*versions[dst], *(v for v in versions[src] if v not in versions[dst])))
        for name in REPLICAS:
            assert [dot for dot, _ in stores[name].store] == [v.dot for v in versions[name]]


def test_a_version_replaces_what_was_held_and_what_that_had_replaced() -> None:
    first = Written(("a", 1), ())
    second = Written(("b", 1), past_of([first]))
    third = Written(("a", 2), past_of([second]))
    assert replaced_by(first, second)
    assert replaced_by(first, third)
    assert not replaced_by(third, first)
    rival = Written(("c", 1), past_of([first]))
    assert siblings((first, second, rival, third)) == (third, rival)


def test_a_register_of_siblings_is_a_dotted_store_of_its_own_class() -> None:
    both = MvRegister().write("a", 1).merge(MvRegister().write("b", 2))
    assert type(both) is MvRegister
    assert both.value == (1, 2)
