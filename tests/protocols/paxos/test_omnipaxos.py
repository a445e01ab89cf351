"""Omni-Paxos: what an operation and an election cost, adopted logs, lost sessions, storms, a readable trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sim.lab import draw_storm, run_storm
from sim.protocols import OmniPaxos
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.omnipaxos.messages import Prepare
from sim.testing import survive
from tests.budget import storms

DELTA = 0.01
QUIET = {"heartbeat": 10.0, "detection": 100.0}
SEQUENCE_PAXOS = ("Prepare", "Promise", "AcceptSync", "Accept", "Accepted", "Decide")

Staging = Callable[..., Any]


def settled(stage: Staging, nodes: int = 3, **more: Any) -> Any:
    """A stage in which n0 leads, at a time between two heartbeats."""
    timing = more.pop("timing", {})
    s = stage(OmniPaxos(nodes=nodes, **timing), **more)
    s.run(0.055)
    assert (s.node("n0").role, s.node("n0").phase) == ("leader", "accept")
    return s


def counted(s: Any, since: float = 0.0) -> dict[str, int]:
    """The messages of Sequence Paxos by class."""
    kinds = Counter(m[0] for m in s.messages(since=since))
    return {kind: kinds[kind] for kind in SEQUENCE_PAXOS if kinds[kind]}


# Costs


@pytest.mark.parametrize("n", [1, 3, 5, 7])
def test_a_round_begins_after_two_delays_and_one_round_of_messages_and_synchronises_the_log(
    stage: Staging, n: int
) -> None:
    s = stage(OmniPaxos(nodes=n, **QUIET))
    s.run(0.05)
    assert s.events("elected")[0][0] == (pytest.approx(2 * DELTA) if n > 1 else 0.0)
    expected = {"Prepare": n - 1, "Promise": n - 1, "AcceptSync": n - 1, "Accepted": n - 1}
    assert counted(s) == (expected if n > 1 else {})


@pytest.mark.parametrize("n", [1, 3, 5, 7])
@pytest.mark.parametrize(("beside", "delays"), [(None, 4), ("n0", 2)])
def test_a_write_takes_four_delays_or_two_at_the_leader_and_three_messages_a_follower(
    stage: Staging, n: int, beside: str | None, delays: int
) -> None:
    s = settled(stage, n, beside=beside, timing=QUIET)
    start = s.now
    s.ask("n0", value=1)
    s.run(0.2)
    alone = 2 if n == 1 else 0  # it needs no other server's answer
    assert s.client.answered[0] - start == pytest.approx((delays - alone) * DELTA)
    each = {"Accept": n - 1, "Accepted": n - 1, "Decide": n - 1}
    assert counted(s, start) == (each if n > 1 else {})


def test_a_write_costs_one_sync_at_each_server_and_followers_apply_it_after_three_delays(
    stage: Staging,
) -> None:
    """Client to leader, Accept, sync of the follower, Accepted: the leader's own sync runs beside."""
    fsync = 0.004
    s = stage(OmniPaxos(nodes=3, **QUIET), fsync=fsync)
    s.run(0.2)
    before = {name: s.cluster.hosts[name].disk.syncs for name in s.names}
    start = s.now
    s.ask("n0", value=1)
    s.run(4 * DELTA + fsync - 1e-6)
    assert not s.replies
    assert s.node("n1").applied == 0
    s.run(2e-6)
    assert s.client.answered[0] - start == pytest.approx(4 * DELTA + fsync)
    assert s.node("n1").applied == 1
    s.run(0.1)
    assert {name: s.cluster.hosts[name].disk.syncs - before[name] for name in s.names} == dict.fromkeys(
        s.names, 1
    )


def test_an_idle_round_of_the_election_costs_a_request_and_a_reply_between_any_two_servers(
    stage: Staging,
) -> None:
    s = stage(OmniPaxos(nodes=5, heartbeat=0.2, detection=1.0))
    s.run(0.5)
    since = s.now
    s.run(1.0)
    kinds = Counter(m[0] for m in s.messages(since=since))
    assert (kinds["HeartbeatRequest"], kinds["HeartbeatReply"]) == (5 * 4, 5 * 4)


# The election


def test_a_leader_that_crashes_is_replaced_in_the_third_round_that_ends_after_it_at_the_latest(
    stage: Staging,
) -> None:
    for wait in (0.05, 0.2, 0.45):
        s = settled(stage)
        s.run(wait)
        crashed = s.now
        s.crash("n0")
        s.run(2.0)
        time, name, _, detail = s.events("elected")[-1]
        assert (name, detail["ballot"]) == ("n2", "2.n2")  # of equal rounds the highest name
        assert 0.5 < time - crashed <= 3 * 0.5 + 2 * DELTA


def test_one_lost_heartbeat_deposes_nobody_because_requests_are_repeated_within_a_round(
    stage: Staging,
) -> None:
    s = settled(stage)
    s.run(0.4)
    s.isolate("n0")
    s.run(0.2)  # the first requests of a round are lost
    s.heal()
    s.run(3.0)
    assert len(s.events("elected")) == 1


def test_a_server_that_restarts_does_not_depose_the_leader(stage: Staging) -> None:
    s = settled(stage)
    s.ask("n0", value=1)
    s.run(0.1)
    s.crash("n1")
    s.run(1.0)
    s.restart("n1")
    s.run(3.0)
    assert len(s.events("elected")) == 1
    assert s.node("n1").applied == 1
    assert s.node("n1").election.elected == Ballot(1, "n0")


def test_a_promise_to_a_server_that_then_died_does_not_block_the_log(stage: Staging) -> None:
    """n2 raises its ballot and gets a promise of n1, and dies before anyone has elected it."""
    s = settled(stage)
    s.crash("n2")
    s.deliver("n2", "n1", Prepare(Ballot(7, "n2"), Ballot(1, "n0"), 0, 0))
    s.run(3.0)
    s.ask(s.events("elected")[-1][1], value=1)
    s.run(0.1)
    assert [reply.status for reply in s.replies] == ["ok"]
    assert s.events("elected")[-1][3]["ballot"].startswith("8.")


def test_a_leader_of_round_zero_that_restarts_is_replaced_by_a_higher_ballot(stage: Staging) -> None:
    """n1 and n2 restart before they know a ballot: n2 leads in (0, n2), and has that ballot after a restart."""
    s = stage(OmniPaxos(nodes=3))
    for name in ("n0", "n1", "n2"):
        s.crash(name)
    s.run(2 * DELTA)  # what n0 has sent is lost
    s.restart("n1")
    s.restart("n2")
    s.run(2.0)
    assert s.events("elected")[-1][3]["ballot"] == "0.n2"
    s.crash("n2")
    s.restart("n2")
    s.run(2.0)
    _, leader, _, detail = s.events("elected")[-1]
    assert detail["ballot"] == "1.n2"
    s.ask(leader, value=1)
    s.run(0.1)
    assert [reply.status for reply in s.replies] == ["ok"]


def test_a_storm_in_which_all_restart_before_a_disk_has_a_ballot_ends_with_a_leader() -> None:
    assert run_storm(draw_storm(OmniPaxos(nodes=5), 455, length=2.0), 455).violation is None


# Sequence Paxos


def test_a_leader_whose_log_is_behind_adopts_what_a_majority_accepted(stage: Staging) -> None:
    s = settled(stage)
    s.isolate("n2")
    for session in range(3):
        s.ask("n0", value=session, session=session)
    s.run(0.1)
    assert len(s.replies) == 3
    assert len(s.node("n2").log) == 0
    s.crash("n0")
    s.heal()
    s.run(2.0)
    assert s.node("n2").role == "leader"
    assert s.node("n2").log.items == s.node("n1").log.items
    assert s.node("n2").applied == 3


def test_an_entry_that_no_majority_has_is_cut_off_by_the_next_round(stage: Staging) -> None:
    s = settled(stage)
    s.isolate("n0")
    s.ask("n0", value="lost")
    s.run(2.0)
    assert len(s.node("n0").log) == 1
    leader = s.events("elected")[-1][1]
    s.heal()
    s.ask(leader, value="kept", session=2)
    s.run(2.0)
    assert [command.value for command in s.node("n0").log] == ["kept"]
    assert s.node("n0").role == "follower"


def test_a_leader_that_is_elected_again_does_not_wait_for_what_another_round_has_cut_off(
    stage: Staging,
) -> None:
    """n0 has missed n1's round, and leads in a later one without having followed: its own entry is gone."""
    s = settled(stage)
    s.isolate("n0")
    s.ask("n0", value="lost", session=1)
    s.run(2.0)
    s.ask(s.events("elected")[-1][1], value="kept", session=2)
    s.run(0.1)
    s.heal()
    ballot = Ballot(9, "n0")
    s.node("n0").election.ballot = s.node("n0").election.elected = ballot
    s.step("n0", "hear_elected", ballot)
    s.run(0.1)
    assert s.node("n0").phase == "accept"
    s.ask_again("n0", value="lost", session=1)
    s.run(0.1)
    assert s.replies[-1].status == "ok"
    assert [command.value for command in s.node("n0").log] == ["kept", "lost"]


def test_entries_that_overtake_each_other_are_accepted_in_order(stage: Staging) -> None:
    s = settled(stage, timing=QUIET)
    s.hold(kind="Accept", dst="n1")
    s.crash("n2")
    for session in range(3):
        s.ask("n0", value=session, session=session)
    s.run(0.05)
    for waiting in reversed(list(s.held)):
        s.release([waiting])
        s.run(0.03)
    assert [command.value for command in s.node("n1").log] == [0, 1, 2]
    assert len(s.replies) == 3


def test_a_late_accept_sync_does_not_shorten_what_was_accepted_in_its_round(stage: Staging) -> None:
    s = stage(OmniPaxos(nodes=3, heartbeat=0.2, detection=2.0))
    s.run(0.015)
    s.hold(kind="AcceptSync", dst="n1")
    s.run(0.02)
    (late,) = [held.message for held in s.held]
    s.release()
    s.ask("n0", value=1)
    s.run(0.05)
    assert len(s.node("n1").log) == 1
    s.crash("n1")
    s.restart("n1")
    s.run(0.015)  # it has asked for a Prepare, and has not got it
    assert s.node("n1").phase == "recover"
    s.run(0.02)
    s.deliver("n0", "n1", late)
    assert len(s.node("n1").log) == 1
    s.run(0.5)


def test_a_server_that_restarts_asks_again_when_its_promise_is_lost(stage: Staging) -> None:
    """The leader still has its promise of before, and so would not send it another Prepare."""
    s = settled(stage)
    s.crash("n1")
    s.ask("n0", value=1)
    s.run(0.1)
    s.restart("n1")
    s.hold(kind="Promise")
    s.run(0.035)
    assert s.drop(kind="Promise") == 1
    s.release()
    s.run(0.2)
    assert s.node("n1").applied == 1


def test_a_follower_redirects_to_the_leader(stage: Staging) -> None:
    s = settled(stage)
    s.ask("n1", value=1)
    s.run(0.1)
    assert s.client.redirects[0].leader == "n0"


# Storms, settings, trace


@storms(4, 6.0)
def test_it_is_safe_in_every_storm_and_goes_on_after_it(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(OmniPaxos(nodes=3 + 2 * (seed % 2)), seed, length)


def test_storms_elect_new_leaders_and_restart_servers() -> None:
    run = run_storm(draw_storm(OmniPaxos(nodes=5), 1), 1)
    assert (run.events["event"] == "elected").sum() > 3
    assert (run.events["event"] == "restart").sum() > 3


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="nodes must be an integer of at least 1, not 0"):
        OmniPaxos(nodes=0)
    with pytest.raises(ValueError, match="leader must be one of n0, n1, n2, not 'n7'"):
        OmniPaxos(nodes=3, leader="n7")


def test_golden_trace_of_a_round(stage: Staging, golden: Callable[[str, str], None]) -> None:
    """n0 is cut off with an entry of its own; n2 is elected, and adopts the entry that n1 has."""
    s = settled(stage, timing={"heartbeat": 0.2, "detection": 0.4})
    s.isolate("n2")
    s.ask("n0", value="kept", session=1)
    s.run(0.055)
    s.isolate("n0")
    s.ask("n0", value="lost", session=2)
    s.heal()
    s.isolate("n0")
    since = s.now
    s.run(1.15)
    s.heal()
    s.run(0.3)
    logs = [f"{name}: {', '.join(command.value for command in s.node(name).log)}" for name in s.names]
    golden("omnipaxos_round.txt", "\n".join([s.trace(since), *logs]))
