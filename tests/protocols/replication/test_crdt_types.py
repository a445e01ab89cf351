"""CRDTs: merges are commutative, associative and idempotent; equal deliveries give equal states."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from sim.protocols.causality.dots import EMPTY, join_map, join_set
from sim.protocols.causality.hlc import HybridTime
from sim.protocols.replication.crdt import Context, GCounter, LwwRegister, MvRegister, OrMap, OrSet, PnCounter

ACTORS = ("a", "b", "c")
TYPES: dict[str, Any] = {t.__name__: t for t in (GCounter, PnCounter, LwwRegister, MvRegister, OrSet, OrMap)}


def update(state: Any, actor: str, choice: int, argument: int, time: int) -> Any:
    """The delta of some update of this type."""
    if isinstance(state, GCounter):
        return state.increment(actor, argument)
    if isinstance(state, PnCounter):
        return state.increment(actor, argument - 2)
    if isinstance(state, LwwRegister):
        return state.write(HybridTime(time, 0), actor, argument)
    if isinstance(state, MvRegister):
        return state.write(actor, argument)
    if isinstance(state, OrSet):
        return state.remove(argument) if choice == 0 else state.add(actor, argument)
    return state.remove(argument) if choice == 0 else state.put(actor, argument, time)


steps = st.lists(
    st.tuples(
        st.sampled_from(ACTORS),
        st.sampled_from(("update", "update", "merge")),
        st.integers(0, 2),
        st.integers(0, 3),
    ),
    max_size=14,
)


def history(kind: Any, script: list[Any]) -> tuple[dict[str, Any], list[Any]]:
    """The states of three replicas after updates and merges, and all deltas."""
    states = {actor: kind() for actor in ACTORS}
    deltas = []
    for time, (actor, what, choice, argument) in enumerate(script, start=1):
        if what == "merge":
            states[actor] = states[actor].merge(states[ACTORS[choice]])
        else:
            delta = update(states[actor], actor, choice, argument, time)
            states[actor] = states[actor].merge(delta)
            deltas.append(delta)
    return states, deltas


def is_lattice(kind: Any, script: list[Any]) -> bool:
    """Whether merging is commutative, associative, idempotent, and only grows."""
    a, b, c = history(kind, script)[0].values()
    return (
        a.merge(b) == b.merge(a)
        and a.merge(b).merge(c) == a.merge(b.merge(c))
        and a.merge(a) == a
        and a.merge(b).merge(a) == a.merge(b) == a.merge(b).merge(b)
    )


def order_matters_not(kind: Any, script: list[Any], order: Any = reversed, again: int = 2) -> bool:
    """Whether deltas in another order, some of them twice, give the state that the replicas have together."""
    states, deltas = history(kind, script)
    merged = states["a"].merge(states["b"]).merge(states["c"])
    rebuilt = kind()
    for delta in [*order(deltas), *deltas[:again]]:
        rebuilt = rebuilt.merge(delta)
    return bool(rebuilt == merged and rebuilt.value == merged.value)


def intervals_are_like_deltas(kind: Any, script: list[Any], cut: int = 2) -> bool:
    """Whether deltas that are merged with one another first are worth as much as one after the other."""
    _, deltas = history(kind, script)
    first, second, one_by_one = kind(), kind(), kind()
    for i, delta in enumerate(deltas):
        one_by_one = one_by_one.merge(delta)
        if i < cut:
            first = first.merge(delta)
        else:
            second = second.merge(delta)
    return bool(first.merge(second) == second.merge(first) == one_by_one)


@pytest.mark.parametrize("kind", TYPES)
@given(script=steps)
def test_merging_is_commutative_associative_and_idempotent_and_only_grows(
    kind: str, script: list[Any]
) -> None:
    assert is_lattice(TYPES[kind], script)


@pytest.mark.parametrize("kind", TYPES)
@given(script=steps, data=st.data())
def test_replicas_that_got_the_same_deltas_in_any_order_and_number_are_equal(
    kind: str, script: list[Any], data: Any
) -> None:
    again, cut = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 8))
    assert order_matters_not(TYPES[kind], script, lambda deltas: data.draw(st.permutations(deltas)), again)
    assert intervals_are_like_deltas(TYPES[kind], script, cut)


class AddingCounter(GCounter):
    """Adds up what arrives."""

    def merge(self, other: Any) -> Any:
        merged = dict(self.counts)
        for actor, n in other.counts:
            merged[actor] = n + merged.get(actor, 0)
        return type(self)(tuple(sorted(merged.items())))


class NetCounter(PnCounter):
    """Keeps the larger sum of what was added and taken."""

    def merge(self, other: Any) -> Any:
        return max(self, other, key=lambda counter: counter.value)


class LastToArrive(LwwRegister):
    """A mutant in which the last state to arrive wins."""

    def merge(self, other: Any) -> Any:
        return other


class Unseen(MvRegister):
    """Keeps all values, whether they have been replaced or not, of the other's."""

    def merge(self, other: Any) -> Any:
        merged = super().merge(other)
        return merged._replace(store=tuple(sorted({*merged.store, *other.store})))


class OneSided(OrSet):
    """Takes for seen by the other side what it has seen itself."""

    def merge(self, other: Any) -> Any:
        store = join_map(join_set)(self.store, self.context, other.store, self.context)
        return type(self)(store, self.context.union(other.context))


class Forgetful(OrMap):
    """Does not remember what was removed."""

    def merge(self, other: Any) -> Any:
        merged = super().merge(other)
        return merged._replace(context=Context.of(dot for _, store in merged.store for dot, _ in store))


@pytest.mark.parametrize("mutant", [AddingCounter, NetCounter, LastToArrive, Unseen, OneSided, Forgetful])
def test_a_merge_with_a_changed_word_breaks_a_law(mutant: Any) -> None:
    def broken(script: list[Any]) -> bool:
        laws = (is_lattice, order_matters_not, intervals_are_like_deltas)
        return not all(law(mutant, script) for law in laws)

    assert find(steps, broken, settings=settings(phases=[Phase.generate]))  # found is enough: not shrunk


@given(script=steps)
def test_counters_are_the_sum_of_all_increments_that_were_seen(script: list[Any]) -> None:
    for kind in ("GCounter", "PnCounter"):
        total = 0
        state = TYPES[kind]()
        for actor, _, _, argument in script:
            delta = update(state, actor, 1, argument, 0)
            state = state.merge(delta)
            total += argument if kind == "GCounter" else argument - 2
        assert state.value == total


@given(script=steps)
def test_an_element_is_in_an_or_set_if_and_only_if_some_add_of_it_was_not_seen_by_a_remove(
    script: list[Any],
) -> None:
    states = {actor: OrSet() for actor in ACTORS}
    adds: dict[Any, int] = {}  # dot -> element
    removed: set[Any] = set()
    known: dict[str, set[Any]] = {actor: set() for actor in ACTORS}  # dots seen by each replica
    for actor, what, choice, argument in script:
        if what == "merge":
            states[actor] = states[actor].merge(states[ACTORS[choice]])
            known[actor] |= known[ACTORS[choice]]
        elif choice == 0:
            gone = {dot for dot in known[actor] if adds[dot] == argument}
            removed |= gone
            states[actor] = states[actor].merge(states[actor].remove(argument))
        else:
            delta = states[actor].add(actor, argument)
            dot = delta.store[0][1][0]
            removed |= {d for d in known[actor] if adds[d] == argument}  # replaced by the new add
            adds[dot] = argument
            known[actor].add(dot)
            states[actor] = states[actor].merge(delta)
    merged = states["a"].merge(states["b"]).merge(states["c"])
    assert set(merged.value) == {element for dot, element in adds.items() if dot not in removed}


@pytest.mark.parametrize("kind", [OrSet, OrMap])
@given(script=steps, element=st.integers(0, 3))
def test_what_is_removed_with_no_concurrent_add_stays_removed(
    kind: Any, script: list[Any], element: int
) -> None:
    states, deltas = history(kind, script)
    everything = states["a"].merge(states["b"]).merge(states["c"])  # the replica that removes has seen all
    gone = everything.merge(everything.remove(element))
    for older in [*states.values(), *deltas]:
        gone = gone.merge(older)
    assert element not in gone.value
    again = gone.merge(gone.add("a", element) if kind is OrSet else gone.put("a", element, 1))
    assert element in again.merge(gone).value


def test_a_concurrent_add_wins_over_a_remove_and_a_later_remove_stays() -> None:
    first = OrSet().merge(OrSet().add("a", "milk"))
    removed, added = first.merge(first.remove("milk")), first.merge(first.add("b", "milk"))
    assert removed.value == ()
    assert removed.merge(added).value == ("milk",)
    both = removed.merge(added)
    gone = both.merge(both.remove("milk"))
    assert gone.value == gone.merge(added).merge(first).value == ()


def test_concurrent_writes_are_siblings_until_a_write_that_saw_them() -> None:
    a, b = MvRegister().write("a", 1), MvRegister().write("b", 2)
    both = a.merge(b)
    assert both.value == (1, 2)
    assert both.merge(both.write("c", 3)).value == (3,)
    assert both.merge(both.write("c", 3)).merge(a).value == (3,)


dots = st.lists(st.tuples(st.sampled_from(ACTORS), st.integers(1, 6)), unique=True)


@given(dots, dots)
def test_a_context_is_the_set_of_its_dots_however_it_is_kept(first: list[Any], second: list[Any]) -> None:
    context = Context.of(first).union(Context.of(second))
    everything = {*first, *second}
    for dot in [(a, n) for a in ACTORS for n in range(1, 8)]:
        assert context.has(dot) is (dot in everything)
    assert context.covers(Context.of(first))
    assert EMPTY.covers(context) is (not everything)
    assert not context.has(context.next_dot("a"))


def test_a_grow_only_counter_refuses_to_shrink() -> None:
    with pytest.raises(ValueError, match="cannot add -1"):
        GCounter().increment("a", -1)
