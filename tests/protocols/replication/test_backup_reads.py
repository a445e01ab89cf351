"""Reads away from the primary: leases, staleness and its bound, tokens."""

from __future__ import annotations

from typing import Any

import pytest

from sim.lab.scenario import Scenario
from sim.network.topology import constant
from sim.protocols.client import Redirect, Reply, Request, Retry
from sim.protocols.command import Command
from sim.protocols.replication.primary_backup.backup_reads import SessionReply, SessionRequest
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.workload import ClosedLoop, UniformKeys


@pytest.mark.parametrize("mode", ["sync", "semi-sync", "async"])
def test_a_read_under_a_lease_costs_two_delays(stage: Any, mode: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, mode=mode, reads="lease"))
    s.run(0.2)
    s.latency("n0")
    assert s.latency("n0", "get") == pytest.approx(2)


def test_without_its_lease_a_primary_asks_the_backups(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, reads="lease"))
    s.crash("views")
    s.run(0.6)
    assert s.latency("n0", "get") == pytest.approx(4)


def test_no_lease_outlives_the_view(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, reads="lease"))
    s.run(0.02)
    s.isolate(["n0"], ["n1", "n2", "views"])
    s.run(0.7)
    s.latency("n1")
    read = s.ask("n0", "get")
    s.run(1.0)
    assert not s.answered(read)


def test_a_backup_answers_from_what_it_knows_to_be_committed(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, reads="backup"))
    s.run(0.02)
    write = s.ask("n0")
    s.run(0.006)
    assert s.answered(write)
    assert s.latency("n2", "get") == pytest.approx(2)
    s.run(0.06)  # a heartbeat has told it
    s.latency("n2", "get")
    assert [r.value for _, src, r in s.client.heard_of(Reply) if src == "n2"] == [None, write]


def test_a_backup_that_may_be_too_stale_sends_readers_to_the_primary(stage: Any) -> None:
    s = stage(PrimaryBackup(nodes=3, reads="backup", staleness=0.2))
    s.run(0.1)
    assert s.latency("n2", "get") == pytest.approx(2)
    s.cut(["n0"], ["n2"])
    s.run(0.3)
    s.ask("n2", "get")
    s.run(0.01)
    assert [(src, m.leader) for _, src, m in s.client.heard_of(Redirect)] == [("n2", "n0")]


def ask_with_token(s: Any, name: str, kind: str, value: Any = None) -> int:
    """As a session's client would: with the token of the last reply."""
    replies = [r for _, _, r in s.client.heard_of(Reply)]
    token = max(((r.view, r.position) for r in replies), default=(0, 0))
    s.sequence += 1
    s.client.send(name, SessionRequest(Command(1, s.sequence, kind, "x", value), *token))
    return int(s.sequence)


@pytest.fixture
def session(stage: Any) -> Any:
    s = stage(PrimaryBackup(nodes=3, reads="session"))
    asker = s.client
    s.cluster.hosts["client"].handlers[SessionReply] = asker.on_reply
    s.run(0.02)
    return s


def test_a_session_reads_its_writes_at_a_backup(session: Any) -> None:
    s = session
    ask_with_token(s, "n0", "put", "mine")
    s.run(0.006)
    read = ask_with_token(s, "n2", "get")
    s.run(0.01)
    assert not s.answered(read)  # the backup does not know yet that it is committed, and waits
    s.run(0.06)
    assert s.answers(read) == ["mine"]


def test_a_session_never_reads_backwards(session: Any) -> None:
    s = session
    s.cut(["n0"], ["n2"])
    s.client.send("n0", Request(Command(2, 99, "put", "x", "theirs")))
    s.run(1.2)  # n2 is out of the view: the write is committed
    seen = ask_with_token(s, "n1", "get")
    s.run(0.1)
    assert s.answers(seen) == ["theirs"]
    again = ask_with_token(s, "n2", "get")
    s.run(0.1)
    assert s.answers(again) == []
    s.heal()
    s.run(0.2)
    assert s.answers(again) == ["theirs"]


def test_what_each_way_of_reading_claims() -> None:
    claims = {
        reads: PrimaryBackup(reads=reads).consistency for reads in ("primary", "lease", "backup", "session")
    }  # type: ignore[arg-type]
    assert claims == {
        "primary": "linearizable",
        "lease": "linearizable",
        "backup": None,
        "session": "sequential",
    }
    assert PrimaryBackup(mode="semi-sync").consistency == "linearizable"
    assert PrimaryBackup(mode="semi-sync", fallback=1.0).consistency is None


@pytest.mark.parametrize("reads", ["primary", "lease", "backup", "session"])
def test_clients_find_the_replicas_to_ask(reads: Any) -> None:
    """In a quiet system everybody is answered, and reads at backups are answered by backups."""
    run = Scenario(
        system=PrimaryBackup(nodes=3, reads=reads, staleness=0.5 if reads == "backup" else None),
        network=constant(0.001),
        workload=ClosedLoop(clients=4, keys=UniformKeys(3), reads=0.8, think=0.003),
        retry=Retry(timeout=0.3),
        duration=1.0,
        check=True,
    ).run(seed=1)
    assert run.violation is None
    operations = run.operations
    assert (operations["status"] == "ok").sum() > 200
    writers = set(operations[operations["kind"] == "put"]["node"].dropna())
    readers = set(operations[operations["kind"] == "get"]["node"].dropna())
    assert writers == {"n0"}
    assert readers == ({"n0"} if reads in ("primary", "lease") else readers)
