"""LeaseGuard: what reads and writes cost under a lease and after a change of leader, clocks, mutants, storms.

Davis, Demirbas, Deng, "LeaseGuard: Raft Leases Done Right" (SIGMOD 2026).
"""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import Raft
from sim.protocols.client import Redirect
from sim.protocols.command import NOOP
from sim.system import SafetyViolation
from sim.testing import survive
from tests.budget import storms
from tests.protocols.raft.conftest import DELTA

EXCLUDES, FRESH = "a committed entry is a lease", "leased reads are fresh"
LEASE = 1.0


def group(stage: Any, nodes: int = 3, mutant: Any = None, **options: Any) -> Any:
    """n0 leads, and holds a lease by its first no-op."""
    s = stage(system=Raft(nodes=nodes, reads="leaseguard", lease=LEASE, **options), mutant=mutant)
    s.campaign("n0")
    return s


def changed(**methods: Any) -> Any:
    """A mutant: these methods replace those of the servers' class."""
    return lambda base: type("Mutant", (base,), methods)


# Costs


@pytest.mark.parametrize("n", [3, 5])
def test_a_read_under_a_lease_takes_two_delays_and_no_messages(stage: Any, n: int) -> None:
    s = group(stage, n)
    start = s.now
    assert s.took("n0", "get") == pytest.approx(2 * DELTA)
    assert s.messages("AppendEntries", since=start) == []


@pytest.mark.parametrize("n", [3, 5])
def test_a_read_without_a_lease_costs_one_no_op_and_takes_four_delays(stage: Any, n: int) -> None:
    s = group(stage, n)
    s.run(LEASE)
    start, length = s.now, s.node("n0").last_index()
    assert s.took("n0", "get") == pytest.approx(4 * DELTA)
    assert len(s.messages("AppendEntries", since=start)) == n - 1
    assert [entry.command for entry in s.node("n0").log[length:]] == [NOOP]
    assert s.took("n0", "get") == pytest.approx(2 * DELTA)  # the no-op is a lease


def test_a_write_takes_four_delays_and_is_a_lease_from_its_creation(stage: Any) -> None:
    s = group(stage)
    s.run(LEASE)
    start = s.now
    assert s.took("n0") == pytest.approx(4 * DELTA)
    node = s.node("n0")
    assert node.leased_from == pytest.approx(start + DELTA)
    s.run(start + DELTA + LEASE - s.now - 1e-6)
    assert node.is_leased()
    s.run(2e-6)
    assert not node.is_leased()


# A change of leader


def change_leader(s: Any) -> float:
    """n1 knows that ``a`` is committed, but not that ``x`` is, which n0 created last; then it replaces n0.

    Returns the time at which the last entry of n0 was created.
    """
    s.ask("n0", key="a", value=1, session=1)
    s.run(0.1)
    s.heartbeat("n0")
    s.ask("n0", key="x", value=2, session=2)
    created = float(s.now + DELTA)
    s.run(3.5 * DELTA)  # committed at n0
    assert s.node("n0").commit_index == s.node("n1").commit_index + 1
    s.partition(["n0"], ["n1", "n2"])
    s.campaign("n1", 0.01)
    assert s.node("n1").role == "leader"
    return created


def test_a_new_leader_reads_at_once_what_is_not_in_limbo_and_the_rest_when_the_old_lease_is_over(
    stage: Any,
) -> None:
    s = group(stage)
    created = change_leader(s)
    assert s.took("n1", "get", key="a", session=3) == pytest.approx(2 * DELTA)
    answered = len(s.client.answered)
    s.ask("n1", "get", key="x", session=4)
    s.run(created + LEASE - s.now - 1e-3)
    assert len(s.client.answered) == answered
    s.run(0.01)
    assert s.client.replies[-1].value == 2
    assert s.client.answered[-1] - created == pytest.approx(LEASE + 3 * DELTA, abs=2 * DELTA)


def test_writes_of_a_new_leader_are_replicated_at_once_and_committed_together_when_the_old_lease_is_over(
    stage: Any,
) -> None:
    s = group(stage)
    created = change_leader(s)
    for session in range(10, 15):
        s.ask("n1", key=str(session), session=session)
    s.run(0.05)
    before = len(s.client.replies)
    assert s.node("n1").replicated_index() == s.node("n1").last_index()
    s.run(created + LEASE - s.now - 1e-6)
    assert len(s.client.replies) == before
    s.run(1e-5 + DELTA)
    assert len(s.client.replies) == before + 5
    assert s.client.answered[-1] == pytest.approx(created + LEASE + DELTA, abs=1e-5)


def test_without_inherited_reads_and_deferred_commits_a_new_leader_serves_nobody_before_the_old_lease_is_over(
    stage: Any,
) -> None:
    s = group(stage, inherited_reads=False, deferred_commit=False)
    created = change_leader(s)
    before = len(s.client.replies)
    s.ask("n1", "get", key="a", session=3)
    s.ask("n1", key="b", session=4)
    s.run(created + LEASE - s.now - 1e-3)
    assert len(s.client.replies) == before
    assert [m.leader for _, _, m in s.client.heard_of(Redirect)] == [None]
    s.run(0.1)
    assert len(s.client.replies) == before + 1


def test_the_old_leader_answers_reads_until_its_lease_is_over_and_the_new_one_beside_it(stage: Any) -> None:
    s = group(stage)
    created = change_leader(s)
    s.ask("n1", key="a", value=9, session=5)
    s.run(0.05)
    assert s.took("n0", "get", key="a", session=6) == pytest.approx(2 * DELTA)
    assert s.client.replies[-1].value == 1
    s.run(created + LEASE - s.now + 0.01)
    replies = len(s.client.replies)
    s.ask("n0", "get", key="a", session=7)
    s.run(0.1)
    assert len(s.client.replies) == replies
    assert s.node("n1").store.application.data["a"] == 9


def test_a_leader_that_does_not_know_when_an_entry_was_created_waits_a_whole_lease(stage: Any) -> None:
    """Its last entry may be in a snapshot, which has no times."""
    s = group(stage, snapshot_every=1)
    for session in range(4):
        s.ask("n0", session=session)
        s.run(0.02)
    node = s.node("n0")
    assert 0 < node.floor() < node.last_index()
    assert node.end_of_lease(node.floor()) == pytest.approx(node.now + LEASE)
    assert node.end_of_lease(node.last_index()) < node.now + LEASE


# Clocks


def test_clocks_that_err_by_no_more_than_was_said_break_nothing(stage: Any) -> None:
    s = group(stage, clock_error=0.1)
    s.cluster.hosts["n0"].set_clock(offset=-0.1)
    s.cluster.hosts["n1"].set_clock(offset=0.1)
    created = change_leader(s)
    s.ask("n1", key="b", session=8)
    s.run(LEASE + 0.4)
    s.ask("n0", "get", key="a", session=9)
    s.run(0.1)
    first = next(t for t, src, _ in s.client.heard if src == "n1")
    assert created + LEASE < first < created + LEASE + 4 * 0.1 + 3 * DELTA


def test_clocks_that_err_by_more_break_the_lease(stage: Any) -> None:
    s = group(stage, clock_error=0.01)
    s.cluster.hosts["n1"].set_clock(offset=0.5)
    change_leader(s)
    s.ask("n1", key="b", session=8)
    assert s.invariant_broken() == EXCLUDES


# Mutants


def test_a_leader_that_commits_during_an_old_lease_is_caught(stage: Any) -> None:
    s = group(stage, mutant=changed(may_commit=lambda self: True))
    with pytest.raises(SafetyViolation, match=f"^{EXCLUDES}"):
        change_leader(s)


def test_a_lease_that_counts_from_the_commit_is_caught(stage: Any) -> None:
    """The commit of an entry may be any time after its creation."""

    def apply_committed(self: Any) -> None:
        super(type(self), self).apply_committed()
        self.leased_from = self.now

    s = group(stage, mutant=changed(apply_committed=apply_committed))
    change_leader(s)
    s.ask("n1", key="b", session=8)
    assert s.invariant_broken(lambda: s.run(1.5)) == EXCLUDES


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("is_in_limbo", lambda self, command: False),
        ("touched_by", lambda self, commands: frozenset()),
    ],
)
def test_an_inherited_read_of_a_key_in_limbo_is_caught(stage: Any, name: str, method: Any) -> None:
    s = group(stage, mutant=changed(**{name: method}))
    change_leader(s)
    s.ask("n1", "get", key="x", session=4)
    assert s.invariant_broken(lambda: s.run(0.1)) == FRESH


def test_a_leader_that_reads_without_a_lease_is_caught(stage: Any) -> None:
    s = group(stage, mutant=changed(may_read=lambda self, command: True))
    change_leader(s)
    s.ask("n1", key="a", value=9, session=5)
    s.run(LEASE + 0.1)
    s.ask("n0", "get", key="a", session=6)
    assert s.invariant_broken(lambda: s.run(0.1)) == FRESH


# Storms, settings


def in_storms(seed: int) -> Raft:
    options: dict[str, Any] = {}
    if seed % 2:
        options = {"snapshot_every": 5, "batch": 4, "check_quorum": True}
    if seed % 3 == 2:
        options |= {"membership": "joint", "transfer": True}
    return Raft(
        nodes=3,
        reads="leaseguard",
        inherited_reads=seed % 4 != 3,
        deferred_commit=seed % 5 != 4,
        **options,
    )


@storms(4, 4.0, seeds=range(50, 350))
def test_it_is_safe_in_storms_and_goes_on_after_them(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(in_storms(seed), seed, length)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match=r"clock_error is 0.1, but reads are 'lease'"):
        Raft(reads="lease", clock_error=0.1)
    with pytest.raises(ValueError, match=r"deferred_commit is False, but reads are 'log'"):
        Raft(deferred_commit=False)
    with pytest.raises(
        ValueError, match=r"clock_drift is 0.01, but reads are 'leaseguard': give clock_error"
    ):
        Raft(reads="leaseguard", clock_drift=0.01)
    with pytest.raises(
        ValueError, match=r"a lease of 0.1 s is over before .* twice clock_error, which is 0.05 s"
    ):
        Raft(reads="leaseguard", lease=0.1, clock_error=0.05)
    assert not Raft(reads="leaseguard").wall_clock_may_jump
    assert Raft().wall_clock_may_jump
