"""The pieces of Dynamo alone: versions are joins, Merkle trees find what differs, preference lists lie on the ring."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.protocols import Dynamo
from sim.protocols.replication.dynamo import MerkleTree, Stamped
from sim.protocols.replication.dynamo.versions import covers, merged, write_siblings
from sim.protocols.rings import order_on_ring

# Versions: whatever is written where, and however it spreads, it merges to the same.

Steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["put", "delete", "read", "sync"])),
    max_size=14,
)


def play(kind: str, steps: list[tuple[int, int, str]]) -> list[Any]:
    """What three replicas hold after three sessions have written, read and synced at them."""
    held: list[Any] = [None, None, None]
    seen: list[Any] = [None, None, None]
    for number, (session, replica, what) in enumerate(steps):
        if what == "read":
            seen[session] = merged(seen[session], held[replica])
        elif what == "sync":
            held[replica] = merged(held[replica], held[session])
        else:
            deletes = what == "delete"
            if kind == "lww":
                new: Any = Stamped((float(number), session, number), number, deletes)
            else:
                context = None if seen[session] is None else seen[session].context
                new = write_siblings(session, context, number, 0, deletes=deletes)
            seen[session] = merged(seen[session], new)
            held[replica] = merged(held[replica], new)
    return held


@given(st.sampled_from(["lww", "siblings"]), Steps, st.permutations([0, 1, 2]))
@settings(max_examples=60, deadline=None)
def test_merging_is_commutative_associative_and_idempotent(
    kind: str, steps: list[tuple[int, int, str]], order: list[int]
) -> None:
    held = play(kind, steps)
    a, b, c = (held[i] for i in order)
    assert merged(a, b) == merged(b, a)
    assert merged(a, merged(b, c)) == merged(merged(a, b), c) == merged(*held)
    assert merged(a, a) == a
    assert covers(merged(a, b), a)
    assert covers(merged(a, b), b)
    assert covers(a, b) == (merged(a, b) == a)


@given(Steps)
@settings(max_examples=60, deadline=None)
def test_siblings_are_the_writes_that_no_other_has_seen(steps: list[tuple[int, int, str]]) -> None:
    """Against a model that keeps for each write the set of all writes it has seen."""
    seen: list[frozenset[int]] = [frozenset()] * 3  # what each session has seen
    at: list[frozenset[int]] = [frozenset()] * 3  # the writes that have reached each replica
    history: dict[int, tuple[frozenset[int], bool]] = {}

    def closed(writes: frozenset[int]) -> frozenset[int]:
        return writes.union(*(history[w][0] for w in writes))

    for number, (session, replica, what) in enumerate(steps):
        if what == "read":
            seen[session] |= closed(at[replica])
        elif what == "sync":
            at[replica] |= at[session]
        else:
            history[number] = (seen[session], what == "delete")
            seen[session] |= {number}
            at[replica] |= {number}
    for version, writes in zip(play("siblings", steps), at, strict=True):
        replaced = frozenset().union(*(history[w][0] for w in writes))
        expected = sorted(w for w in writes if w not in replaced and not history[w][1])
        assert sorted(version.shown if version is not None else ()) == expected


def test_the_greater_timestamp_wins_and_then_the_greater_session() -> None:
    a, b, c = (Stamped((t, s, 1), "") for t, s in ((1.0, 2), (1.0, 3), (2.0, 1)))
    assert merged(b, a) is b
    assert merged(a, c, b) is c
    assert merged() is merged(None, None) is None


# Merkle trees

KEYS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=40)


@given(st.integers(2, 5), st.integers(1, 4), KEYS, KEYS)
@settings(max_examples=40, deadline=None)
def test_trees_are_equal_iff_their_keys_and_versions_are(
    fanout: int, depth: int, first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    """A digest of 0 removes the key; whatever the order of changes, the hashes are those of what is left."""
    trees, contents = [], []
    for changes in (first, second):
        tree, content = MerkleTree(fanout, depth), {}
        for key, digest in changes:
            if digest:
                tree.put(f"k{key}", digest)
                content[f"k{key}"] = digest
            else:
                tree.remove(f"k{key}")
                content.pop(f"k{key}", None)
            assert (tree.root == 0) == (not content)
        trees.append(tree)
        contents.append(content)
    a, b = trees
    assert (a.root == b.root) == (contents[0] == contents[1])
    found = set()
    nodes = [(0, 0)]
    while nodes:
        level, index = nodes.pop()
        if a.hash(level, index) != b.hash(level, index):
            if level == depth:
                found.add(index)
            else:
                nodes += [(level + 1, child) for child in a.children(index)]
    differing = {k for k in {*contents[0], *contents[1]} if contents[0].get(k) != contents[1].get(k)}
    assert found == {a.leaf_of(key) for key in differing}
    assert differing <= {key for leaf in found for key in (*a.keys(leaf), *b.keys(leaf))}


def test_a_change_is_hashed_along_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    import sim.protocols.replication.dynamo.merkle as module

    tree = MerkleTree(4, 5)
    for i in range(2000):
        tree.put(f"k{i}", i)
    assert tree.root
    hashed = []
    digest = module.digest64
    monkeypatch.setattr(module, "digest64", lambda text: hashed.append(text) or digest(text))
    tree.put("k7", 8)
    assert tree.root
    assert len(hashed) == 5 + 1


# Preference lists


def test_the_preference_list_is_the_first_n_nodes_of_the_walk_and_all_nodes_share_the_keys() -> None:
    system = Dynamo(nodes=7, n=3)
    counts = dict.fromkeys(system.names, 0)
    for i in range(3000):
        order = system.order(f"k{i}")
        assert sorted(order) == sorted(system.names)
        assert system.homes(f"k{i}") == order[:3]
        for home in order[:3]:
            counts[home] += 1
    share = 3000 * 3 / 7
    assert all(0.6 * share < count < 1.5 * share for count in counts.values()), counts


def test_a_node_more_takes_a_place_in_lists_and_changes_nothing_else() -> None:
    few, more = tuple(f"n{i}" for i in range(6)), tuple(f"n{i}" for i in range(7))
    for i in range(500):
        before, after = order_on_ring(few, 32, f"k{i}"), order_on_ring(more, 32, f"k{i}")
        assert tuple(n for n in after if n != "n6") == before
