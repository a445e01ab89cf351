"""Chain replication and CRAQ: costs, failures of head, middle and tail, joining, queries."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols.client import Reply
from sim.protocols.replication.chain.craq import Craq, Version, VersionQuery
from sim.protocols.replication.chain.system import ChainReplication
from sim.protocols.replication.service_times import ServiceTimes

BOTH = pytest.mark.parametrize("kind", [ChainReplication, Craq])


def between_servers(s: Any, since: float) -> list[Any]:
    return [m for m in s.sent(since=since) if m[1].startswith("n") and m[2].startswith("n")]


# Costs


@BOTH
@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_an_update_takes_n_plus_1_delays_and_2_n_minus_1_messages(stage: Any, kind: Any, nodes: int) -> None:
    s = stage(kind(nodes=nodes))
    assert s.latency("n0") == pytest.approx(nodes + 1)  # at the very start: nothing needs to be set up
    s.run(0.02)
    asked = s.now
    assert s.latency("n0") == pytest.approx(nodes + 1)
    s.run(0.01)
    assert len(between_servers(s, asked)) == 2 * (nodes - 1)


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_a_query_takes_two_delays_and_no_messages_between_servers(stage: Any, nodes: int) -> None:
    s = stage(ChainReplication(nodes=nodes))
    s.run(0.02)
    asked = s.now
    assert s.latency(f"n{nodes - 1}", "get") == pytest.approx(2)
    assert between_servers(s, asked) == []


def test_the_head_answers_a_retried_update_when_it_has_been_acknowledged(stage: Any) -> None:
    """2n delays after it was first asked: the acknowledgement is back at the head after 2n - 1."""
    s = stage(ChainReplication(nodes=4))
    s.run(0.02)
    asked = s.now
    write = s.ask("n0", "increment", value=1)
    s.ask("n0", "increment", value=1, sequence=write)
    s.run(0.02)
    times = [(round((t - asked) / s.delta), src, r.result) for t, src, r in s.client.heard_of(Reply)]
    assert times == [(5, "n3", 1), (8, "n0", 1)]
    s.ask("n0", "increment", value=1, sequence=write)
    s.run(0.01)
    assert s.client.heard_of(Reply)[-1][1:2] == ("n0",)
    assert s.node("n3").store.application.data == {"x": 1}


@pytest.mark.parametrize("name", ["n0", "n1", "n2"])
def test_craq_answers_clean_objects_anywhere_in_two_delays(stage: Any, name: str) -> None:
    s = stage(Craq(nodes=3))
    s.run(0.02)
    s.latency("n0")
    s.run(0.02)
    asked = s.now
    assert s.latency(name, "get") == pytest.approx(2)
    assert between_servers(s, asked) == []
    assert s.client.replies[-1].value == s.sequence - 1


def test_craq_answers_dirty_objects_in_four_delays_with_two_messages(stage: Any) -> None:
    s = stage(Craq(nodes=3))
    s.run(0.02)
    first = s.ask("n0")
    s.run(0.02)
    s.cut(["n1"], ["n2"])
    s.ask("n0")
    s.run(0.005)  # n0 and n1 have it, n2 does not
    asked = s.now
    assert s.latency("n0", "get") == pytest.approx(4)
    assert s.client.replies[-1].value == first
    kinds = [m[0] for m in between_servers(s, asked)]
    assert (kinds.count("VersionQuery"), kinds.count("Version")) == (1, 1)
    assert s.latency("n0", "get", key="other") == pytest.approx(2)


def test_craq_returns_what_the_tail_has_committed_while_the_acknowledgement_travels(stage: Any) -> None:
    s = stage(Craq(nodes=4))
    s.run(0.02)
    write = s.ask("n0")
    s.run(0.0055)  # the tail has committed it and answered; the acknowledgement is at n2
    assert s.node("n0").dirty
    read = s.ask("n0", "get")
    s.run(0.01)
    assert s.answers(read) == [write]


# Failures (section 3.2)


def crash_and_detect(s: Any, name: str) -> None:
    """A server dies; the chain is as it was until the master has noticed."""
    s.run(0.02)
    s.crash(name)
    while s.node("master").chain.number == 1:
        s.run(0.01)
    s.run(0.002)


@BOTH
def test_when_the_head_fails_its_successor_becomes_head(stage: Any, kind: Any) -> None:
    s = stage(kind(nodes=3, service_at="n1"))
    crash_and_detect(s, "n0")
    assert s.node("master").chain.members == ("n1", "n2")
    assert s.latency("n1") == pytest.approx(3)
    assert s.latency("n2", "get") == pytest.approx(2)


@BOTH
def test_when_the_tail_fails_its_predecessor_becomes_tail_and_answers_what_was_on_its_way(
    stage: Any, kind: Any
) -> None:
    s = stage(kind(nodes=3))
    s.run(0.02)
    s.crash("n2")
    write = s.ask("n0")
    s.run(0.3)
    assert not s.answered(write)
    s.run(0.5)
    assert s.node("n1").role == "tail"
    assert s.answered(write)
    assert s.latency("n1", "get") == pytest.approx(2)
    assert s.answers(s.sequence) == [write]


@BOTH
def test_when_the_middle_fails_its_predecessor_sends_on_what_may_be_missing(stage: Any, kind: Any) -> None:
    s = stage(kind(nodes=4))
    s.run(0.02)
    s.cut(["n1"], ["n2"])
    writes = [s.ask("n0", session=i) for i in (1, 2, 3)]  # n0 and n1 have them
    s.run(0.005)
    s.crash("n1")
    s.run(0.8)
    assert s.node("master").chain.members == ("n0", "n2", "n3")
    assert all(s.answered(w) for w in writes)
    assert s.node("n3").last == 3


@BOTH
def test_a_server_that_was_taken_out_comes_back_as_the_tail(stage: Any, kind: Any) -> None:
    s = stage(kind(nodes=3))
    crash_and_detect(s, "n0")
    for _ in range(600):  # more than fits into one message
        s.ask("n1", "increment", value=1)
    s.run(0.05)
    s.restart("n0")
    s.run(1.0)
    assert s.node("master").chain.members == ("n1", "n2", "n0")
    assert s.latency("n1", "increment", value=1) == pytest.approx(4)
    read = s.ask("n0", "get")
    s.run(0.01)
    assert s.answers(read) == [601]
    s.crash("n1", "n2")
    s.run(1.5)
    assert s.latency("n0", "increment", value=1) == pytest.approx(2)
    s.finish()


def test_updates_and_queries_go_on_while_a_server_joins(stage: Any) -> None:
    s = stage(ChainReplication(nodes=3))
    crash_and_detect(s, "n2")
    s.restart("n2")
    sent = []
    for _ in range(100):
        sent.append(s.ask("n0", "increment", value=1))
        s.run(0.005)
    s.run(0.2)
    assert s.node("master").chain.members == ("n0", "n1", "n2")
    assert all(s.answered(w) for w in sent)


@BOTH
def test_a_server_that_restarts_quickly_keeps_its_place(stage: Any, kind: Any) -> None:
    s = stage(kind(nodes=3), fsync=0.001)
    s.run(0.02)
    first = s.ask("n0", "append", value="a")
    s.run(0.02)
    for name in ("n0", "n1", "n2"):
        s.crash(name)
        s.restart(name)
        write = s.ask("n0", "append", value=name)
        s.run(0.3)
        assert s.answered(write) or s.node("n0").retried == {}
    assert s.node("master").chain == s.system.first_chain
    s.run(0.2)
    read = s.ask("n2", "get")
    s.run(0.1)
    assert s.answers(read)[0].startswith("a")
    assert s.answered(first)


def test_a_server_that_hears_the_master_but_not_its_predecessor_is_taken_out(stage: Any) -> None:
    s = stage(ChainReplication(nodes=3))
    s.run(0.02)
    s.isolate(["n0"], ["n1"])
    write = s.ask("n0")
    s.run(2.0)
    assert s.node("master").chain.members[:2] == ("n0", "n2")
    s.ask("n0", sequence=write)
    s.run(0.1)
    assert s.answered(write)


def test_a_tail_that_was_taken_out_answers_no_query(stage: Any) -> None:
    s = stage(ChainReplication(nodes=3))
    s.run(0.02)
    s.isolate(["n2"], ["n0", "n1", "master"])
    s.run(1.0)
    assert s.node("n1").role == "tail"
    s.latency("n0")
    read = s.ask("n2", "get")
    s.run(0.1)
    assert not s.answered(read)


def test_a_head_that_was_taken_out_gets_nothing_acknowledged_and_its_history_cut(stage: Any) -> None:
    s = stage(ChainReplication(nodes=3, service_at="n2"))
    s.run(0.02)
    s.isolate(["n0"], ["n1", "n2", "master"])
    lost = s.ask("n0", key="lost")
    s.run(1.0)
    kept = s.ask("n1", key="kept")
    s.run(0.1)
    assert (s.answered(lost), s.answered(kept)) == (False, True)
    s.heal()
    s.run(1.0)
    assert s.node("master").chain.members == ("n1", "n2", "n0")
    assert s.node("n0").store.application.data == {"kept": kept}


def test_all_down_then_an_initialised_server_first(stage: Any) -> None:
    s = stage(ChainReplication(nodes=2))
    write = s.latency("n0")
    crash_and_detect(s, "n1")
    s.crash("n0")
    s.restart("n1")
    s.run(2.0)
    assert s.node("master").chain.members == ("n0",)
    s.restart("n0")
    s.run(1.0)
    assert s.node("master").chain.members == ("n0", "n1")
    assert write == pytest.approx(3)


def test_a_server_that_lost_its_disk_is_brought_up_to_date(stage: Any) -> None:
    s = stage(ChainReplication(nodes=3))
    s.run(0.02)
    s.latency("n0")
    s.crash("n1")
    s.restart("n1", wiped=True)
    s.run(3.0)
    assert s.node("master").chain.members == ("n0", "n2", "n1")
    assert s.node("n1").last == 1


# Settings


@BOTH
def test_settings_that_cannot_work_are_refused(kind: Any) -> None:
    for settings, message in (
        ({"nodes": 0}, "nodes must be an integer of at least 1, not 0"),
        ({"leader": "n9"}, "leader must be one of n0, n1, n2, not 'n9'"),
        ({"service_at": "x"}, "service_at must be one of n0, n1, n2, not 'x'"),
        ({"fencing": False}, "fencing=False lets an old tail answer"),
    ):
        with pytest.raises(ValueError, match=message):
            kind(**settings)
    with pytest.raises(ValueError, match=r"query must be at least 0 s, not -1\.0"):
        ServiceTimes(query=-1.0)


def test_service_times_are_spent_where_the_paper_spends_them(stage: Any) -> None:
    """Section 5.1: 94 ms for an update and 7 ms for a query, unloaded, with three servers."""
    costs = ServiceTimes(query=0.005, update=0.050, apply=0.020)
    s = stage(ChainReplication(nodes=3, costs=costs, heartbeat=10.0))
    s.run(0.02)
    assert s.latency("n0") * s.delta == pytest.approx(0.094)
    assert s.latency("n2", "get") * s.delta == pytest.approx(0.007)


def test_roles_are_known_by_name(stage: Any) -> None:
    s = stage(ChainReplication(nodes=4))
    holders = {role: s.system.holder(role, s.cluster.nodes) for role in ("head", "primary", "tail", "middle")}
    assert holders == {"head": "n0", "primary": "n0", "tail": "n3", "middle": "n1"}
    with pytest.raises(LookupError, match="has no dean"):
        s.system.holder("dean", s.cluster.nodes)


def test_the_tail_tells_versions_only_while_it_is_the_tail(stage: Any) -> None:
    s = stage(Craq(nodes=3))
    s.run(0.02)
    s.cluster.hosts["n2"].handle(("n0", VersionQuery(1, 1, "x")))
    s.cluster.hosts["n1"].handle(("n0", VersionQuery(1, 1, "x")))
    assert [(src, dst) for kind, src, dst, _ in s.sent(since=0.02) if kind == Version.__name__] == [
        ("n2", "n0")
    ]
