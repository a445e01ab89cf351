"""Hash policies: who moves when servers come and go, and how evenly keys lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.kernel import Streams
from sim.protocols.balancing import (
    Backend,
    Balanced,
    BoundedLoad,
    JumpHash,
    Maglev,
    Policy,
    Pool,
    Random,
    Rendezvous,
    RingHash,
    RoundRobin,
    keys_moved,
    place_keys,
)
from sim.protocols.balancing.hashing import hash64, is_prime, jump, maglev_table

Load = Callable[..., Any]
KEYS = [f"key{i}" for i in range(4000)]
CONSISTENT = [RingHash(), JumpHash(), Rendezvous()]
ids = {"ids": lambda policy: type(policy).__name__}


def names(n: int) -> list[str]:
    return [f"s{i}" for i in range(n)]


def moves_only_to_the_new_one(policy: Policy, n: int) -> bool:
    before, after = place_keys(policy, KEYS, names(n)), place_keys(policy, KEYS, names(n + 1))
    return all(after[key] in (before[key], f"s{n}") for key in KEYS)


@pytest.mark.parametrize("policy", CONSISTENT, **ids)
@pytest.mark.parametrize("n", [1, 4, 10, 25])
def test_adding_a_server_moves_only_keys_that_go_to_it(policy: Policy, n: int) -> None:
    assert moves_only_to_the_new_one(policy, n)
    share = 1 / (n + 1)
    tolerance = 4 * (share * (1 - share) / len(KEYS)) ** 0.5 + (
        0.35 * share if isinstance(policy, RingHash) else 0
    )
    assert keys_moved(policy, KEYS, names(n), names(n + 1)) <= share + tolerance


@dataclass(frozen=True)
class Modulo(Policy):
    """The mutant of LB6: key mod n."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return candidates[hash64(key) % len(candidates)]


def test_the_mutant_that_takes_the_key_modulo_n_moves_nearly_everything() -> None:
    assert not moves_only_to_the_new_one(Modulo(), 10)
    assert keys_moved(Modulo(), KEYS, names(10), names(11)) > 0.8


@pytest.mark.parametrize("policy", [RingHash(), Rendezvous()], **ids)
def test_removing_a_server_moves_only_its_own_keys(policy: Policy) -> None:
    before = place_keys(policy, KEYS, names(8))
    after = place_keys(policy, KEYS, [name for name in names(8) if name != "s3"])
    assert all(after[key] == before[key] for key in KEYS if before[key] != "s3")


@pytest.mark.parametrize("policy", [RingHash(), Rendezvous(), Maglev(997), JumpHash()], **ids)
def test_a_server_that_is_down_moves_only_its_own_keys(policy: Policy) -> None:
    pool = Pool(Streams(0)["x"], lambda: 0.0)
    pool.set_members(Backend(name, i) for i, name in enumerate(names(8)))
    pool.state = policy.start(pool)
    before = {key: policy.pick(pool, pool.available, key).name for key in KEYS}
    pool.members[3].healthy = False
    pool.refresh()
    after = {key: policy.pick(pool, pool.available, key).name for key in KEYS}
    assert all(after[key] == before[key] for key in KEYS if before[key] != "s3")
    displaced = Counter(after[key] for key in KEYS if before[key] == "s3")
    assert "s3" not in displaced
    assert len(displaced) == 7  # they are spread, not all piled onto one neighbour


@pytest.mark.parametrize("policy", [RingHash(points=1000), Rendezvous(), JumpHash(), Maglev()], **ids)
def test_keys_lie_evenly(policy: Policy) -> None:
    many = [f"k{i}" for i in range(20_000)]
    counts = Counter(place_keys(policy, many, names(10)).values())
    assert max(counts.values()) / 2000 < 1.12
    assert min(counts.values()) / 2000 > 0.88


def test_points_make_shares_equal_as_published() -> None:
    # Lamping & Veach 2014, table 1 (quoted in shared/data/published.json): standard deviation of a share.
    def deviation(points: int, servers: int = 300) -> float:
        pool = Pool(Streams(0)["x"], lambda: 0.0)
        pool.set_members(Backend(name, i) for i, name in enumerate(names(servers)))
        hashes, owners = RingHash(points=points).start(pool)
        shares = [0.0] * servers
        for i, owner in enumerate(owners):
            shares[owner.index] += (hashes[i] - hashes[i - 1]) % 2**64 / 2**64 * servers
        mean = sum(shares) / servers
        return (sum((s - mean) ** 2 for s in shares) / servers) ** 0.5

    assert deviation(1) == pytest.approx(0.998, rel=0.15)
    assert deviation(10) == pytest.approx(0.315, rel=0.15)
    assert deviation(100) == pytest.approx(0.0997, rel=0.15)


@pytest.mark.parametrize("policy", [RingHash(points=800), Rendezvous(), Maglev()], **ids)
def test_weights_weigh(policy: Policy) -> None:
    many = [f"k{i}" for i in range(20_000)]
    counts = Counter(place_keys(policy, many, names(3), weights=[1, 2, 5]).values())
    for name, weight in zip(names(3), (1, 2, 5), strict=True):
        assert counts[name] / 20_000 == pytest.approx(weight / 8, rel=0.1)


@given(st.integers(1, 60), st.sampled_from([61, 127, 509]))
def test_maglev_entries_differ_by_at_most_one(n: int, size: int) -> None:
    counts = Counter(maglev_table(tuple(names(n)), (1.0,) * n, size))
    assert len(counts) == n
    assert max(counts.values()) - min(counts.values()) <= 1


def test_maglev_at_the_size_of_the_paper_has_65_or_66_entries_each() -> None:
    # Eisenbud et al., NSDI 2016, section 5.3: N = 1000, M = 65537.
    counts = Counter(maglev_table(tuple(names(1000)), (1.0,) * 1000, 65537))
    assert set(counts.values()) == {65, 66}


def test_maglev_is_almost_consistent() -> None:
    # Section 3.4 wants few keys to move beyond the necessary ones; a table of 65537 and 10 servers: < 5 %.
    moved = keys_moved(Maglev(), KEYS, names(10), names(11))
    assert 1 / 11 * 0.8 < moved < 1 / 11 + 0.05


def test_jump_hash_is_the_one_of_the_paper() -> None:
    # Reference values of the C++ code in Lamping & Veach 2014, as quoted by its ports' tests.
    known = {(1, 1): 0, (42, 57): 43, (0xDEAD10CC, 1): 0, (0xDEAD10CC, 666): 361, (256, 1024): 520}
    assert {(key, buckets): jump(key, buckets) for key, buckets in known} == known


@given(st.integers(0, 2**64 - 1), st.integers(1, 200))
def test_a_jump_goes_to_the_new_bucket_or_nowhere(key: int, buckets: int) -> None:
    before, after = jump(key, buckets), jump(key, buckets + 1)
    assert after in (before, buckets)
    assert 0 <= before < buckets


INNER: list[Policy] = [RingHash(), JumpHash(), Rendezvous(), Maglev(997)]


@given(
    st.sampled_from(INNER),
    st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=1, max_size=120),
    st.integers(1, 9),
    st.floats(1.01, 3.0),
)
def test_under_bounded_load_no_pick_raises_a_server_above_its_bound(
    inner: Policy, steps: Sequence[tuple[bool, int]], n: int, c: float
) -> None:
    policy = BoundedLoad(inner, c=c)
    pool = Pool(Streams(0)["x"], lambda: 0.0)
    pool.set_members(Backend(name, i) for i, name in enumerate(names(n)))
    pool.state = policy.start(pool)
    for arrives, key in steps:
        busy = [backend for backend in pool.members if backend.in_flight]
        if arrives or not busy:
            m = sum(backend.in_flight for backend in pool.members)
            backend = policy.pick(pool, pool.available, f"key{key}")
            backend.in_flight += 1
            assert backend.in_flight <= ceil(c * (m + 1) / n)
        else:
            busy[key % len(busy)].in_flight -= 1


def test_the_mutant_without_a_bound_breaks_it() -> None:
    policy = RingHash()
    pool = Pool(Streams(0)["x"], lambda: 0.0)
    pool.set_members(Backend(name, i) for i, name in enumerate(names(5)))
    pool.state = policy.start(pool)
    for _ in range(10):
        policy.pick(pool, pool.available, "hot").in_flight += 1
    assert max(backend.in_flight for backend in pool.members) > ceil(1.25 * 10 / 5)


def test_a_key_stays_at_its_server_through_balancers(under_load: Load) -> None:
    system = Balanced(servers=5, balancers=3, policy=RingHash(), service=0.001)
    keys = KEYS[:50]
    run = under_load(system, 500.0, 1000, keys=keys).run()
    homes = place_keys(RingHash(), keys, names(5))
    expected = {homes[key] for key in keys}
    assert {name for name in names(5) if run.node(name).received} == expected


@pytest.mark.parametrize("policy", [Random(), RoundRobin(random_start=False)], **ids)
def test_keys_moved_accepts_only_policies_that_place_keys(policy: Policy) -> None:
    if isinstance(policy, Random):
        with pytest.raises(ValueError, match="choice"):
            keys_moved(policy, KEYS, names(3), names(4))
    else:
        assert keys_moved(policy, KEYS, names(3), names(4)) > 0.5


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: Maglev(table=65536), "65536"),
        (lambda: Maglev(table=1), "1"),
        (lambda: Balanced(servers=12, policy=Maglev(table=11)), "11"),
        (lambda: BoundedLoad(inner=RoundRobin()), "RoundRobin"),
        (lambda: Balanced(servers=12, policy=BoundedLoad(Maglev(table=11))), "11"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_value(make: Callable[[], Any], value: str) -> None:
    with pytest.raises(ValueError, match=value):
        make()


def test_primes() -> None:
    assert [n for n in range(-1, 30) if is_prime(n)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    assert is_prime(65537)
    assert not is_prime(65536)
