"""Behaviour that the public test-suites of etcd-io/raft, hashicorp/raft and MIT's 6.5840 labs ask for.

The stories and numbers are theirs, in our own words; invariants are asked after every event.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from sim.distributions import Uniform
from sim.faults.fault import Fault, Play, World
from sim.kernel import Stream, Streams
from sim.lab import Scenario
from sim.network.topology import lan
from sim.protocols import Raft
from sim.protocols.admin import Admin, AdminSettings, Join, Leave, Transfer
from sim.system import Member
from sim.workload import ClosedLoop

TIMING = {"heartbeat": 0.05, "detection": 0.25}


def live(stage: Any, nodes: int = 3, **more: Any) -> Any:
    """A stage whose timers run, with a leader."""
    options = {name: more.pop(name) for name in list(more) if name not in {"network", "seed", "fsync"}}
    s = stage(system=Raft(nodes=nodes, **{**TIMING, **options}), quiet=False, **more)
    s.run(0.1)
    return s


# Elections


def test_a_cluster_without_faults_elects_once_and_keeps_its_leader(stage: Any) -> None:
    """MIT TestInitialElection."""
    s = live(stage)
    s.run(10.0)
    assert [node for _, node, _ in s.events("elected")] == ["n0"]
    assert {s.node(name).current_term for name in ("n0", "n1", "n2")} == {1}


def test_re_election_and_no_leader_without_a_quorum(stage: Any) -> None:
    """MIT TestReElection."""
    s = live(stage, check_quorum=True)
    (first,) = s.leaders()
    others = [name for name in ("n0", "n1", "n2") if name != first]
    s.partition([first], others)
    s.run(2.0)
    (second,) = s.leaders(others)
    s.heal()
    s.run(1.0)
    assert s.leaders() == [second]
    s.partition(["n0"], ["n1"], ["n2"])
    s.run(2.0)
    assert s.leaders() == []
    s.heal()
    s.run(2.0)
    assert len(s.leaders()) == 1


def test_seven_servers_elect_again_and_again_with_three_cut_off(stage: Any) -> None:
    """MIT TestManyElections."""
    s = live(stage, 7)
    names = [f"n{i}" for i in range(7)]
    stream = Streams(7)["cuts"]
    for _ in range(10):
        away = stream.sample(names, 3)
        rest = [name for name in names if name not in away]
        s.partition(rest, *([name] for name in away))
        s.run(2.0)
        assert len(s.leaders(rest)) == 1, f"{away} were cut off"
        s.heal()
    s.run(2.0)
    assert len(s.leaders()) == 1


@pytest.mark.parametrize("options", [{"pre_vote": True}, {"pre_vote": True, "check_quorum": True}])
def test_a_partitioned_server_does_not_disturb_when_it_comes_back(
    stage: Any, options: dict[str, Any]
) -> None:
    """Thesis 9.6; hashicorp, PreVote."""
    s = live(stage, 5, **options)
    s.partition(["n4"], ["n0", "n1", "n2", "n3"])
    s.run(5.0)
    s.heal()
    s.run(2.0)
    assert [node for _, node, _ in s.events("elected")] == ["n0"]
    assert s.node("n4").current_term == 1


def test_a_partitioned_server_does_disturb_without_pre_vote(stage: Any) -> None:
    s = live(stage, 5)
    s.partition(["n4"], ["n0", "n1", "n2", "n3"])
    s.run(5.0)
    s.heal()
    s.run(2.0)
    assert len(s.events("elected")) > 1


def test_a_removed_server_that_does_not_know_it_causes_no_election(stage: Any) -> None:
    """Thesis 4.2.3; hashicorp, partitioned removal."""
    s = live(stage, 4, membership="single")
    s.partition(["n3"], ["n0", "n1", "n2"])
    s.admin("n0", Leave("n3"))
    assert s.client.admin[-1].done
    s.heal()
    s.run(5.0)
    assert s.node("n3").current_term > 1  # it campaigns without success
    assert [node for _, node, _ in s.events("elected")] == ["n0"]
    assert {s.node(name).current_term for name in ("n0", "n1", "n2")} == {1}


# Agreement


def test_message_counts_are_modest(stage: Any) -> None:
    """MIT TestCount: at most 30 requests to elect, 3 (n + 1 + 3) for n entries, 60 a second when idle."""
    s = live(stage)
    elected = s.events("elected")[0][0]
    requests = ("RequestVote", "AppendEntries")
    assert sum(len(s.messages(kind)) for kind in requests if s.now) <= 30
    start = s.now
    for session in range(10):
        s.ask("n0", session=session, sequence=1)
    s.run(0.02)
    assert sum(len(s.messages(kind, since=start)) for kind in requests) <= 3 * (10 + 1 + 3)
    start = s.now
    s.run(1.0)
    assert sum(len(s.messages(kind, since=start)) for kind in requests) <= 60
    assert elected < 0.01


def test_bytes_are_sent_once(stage: Any) -> None:
    """MIT TestRPCBytes: ten commands of 5000 bytes cost at most three copies and 50,000 bytes."""
    s = live(stage)

    def sent() -> int:
        return sum(link.bytes for link in s.cluster.network.links.values())

    before = sent()
    for _ in range(10):
        s.ask("n0", value="v" * 5000)
        s.run(0.01)
    copies = 10 * 5000 * 4  # the client's request and answer, and two followers
    assert sent() - before <= copies + 50_000


def test_no_agreement_without_a_quorum(stage: Any) -> None:
    """MIT TestFailNoAgree: three of five are cut off."""
    s = live(stage, 5)
    s.partition(["n0", "n1"], ["n2"], ["n3"], ["n4"])
    s.ask("n0")
    s.run(2.0)
    assert s.client.replies == []
    s.heal()
    s.run(2.0)
    (leader,) = s.leaders()
    s.ask(leader, sequence=s.sequence)
    s.run(0.5)
    assert len(s.client.replies) == 1


@pytest.mark.parametrize("options", [{}, {"fast_backtracking": True}])
def test_divergent_backlogs_are_backed_up_over(stage: Any, options: dict[str, Any]) -> None:
    """MIT TestBackup: leaders of changing minorities collect fifty entries that will never be committed."""
    s = live(stage, 5, **options)
    names = [f"n{i}" for i in range(5)]
    session = 0
    for _ in range(3):
        (leader,) = s.leaders()
        near = [leader, names[(names.index(leader) + 1) % 5]]
        far = [name for name in names if name not in near]
        s.partition(near, far)
        for _ in range(50):
            session += 1
            s.ask(leader, session=session, sequence=1)
        s.run(1.5)
        (other,) = s.leaders(far)
        for _ in range(50):
            session += 1
            s.ask(other, session=session, sequence=1)
        s.run(0.1)
        s.heal()
        s.run(5.0)
    s.run(5.0)
    logs = s.logs()
    assert len({tuple(log) for log in logs.values()}) == 1
    assert len(s.client.replies) == 150


def churn(stage: Any, steps: int, **more: Any) -> Any:
    """MIT TestFigure8: leaders crash soon after they have taken a command, before or after it is committed."""
    s = live(stage, 5, **more)
    stream = Streams(8)["churn"]
    down: list[str] = []
    for step in range(steps):
        for name in s.leaders():
            s.ask(name, session=step + 1, sequence=1)
            s.run(stream.uniform(0.0, 0.5 if stream.chance(0.1) else 0.013))
            if stream.chance(0.5):
                s.crash(name)
                down.append(name)
        s.run(stream.uniform(0.0, 0.2))
        if len(down) > 2:
            s.restart(down.pop(stream.below(len(down))))
    s.restart(*down)
    s.run(5.0)
    (leader,) = s.leaders()
    s.ask(leader, session=steps + 1, sequence=1)
    s.run(1.0)
    s.finish()
    return s


def test_figure_8_churn(stage: Any) -> None:
    s = churn(stage, 300, fsync=0.002)
    assert s.client.replies[-1].session == 301
    assert len(s.events("crash")) > 30
    assert len({tuple(log) for log in s.logs().values()}) == 1


def test_figure_8_churn_unreliable(stage: Any) -> None:
    """With 10 % of messages lost and delays of up to 27 ms."""
    network = lan(Uniform(0.0, 0.027), loss=0.1)
    s = churn(stage, 250, network=network, fsync=0.002, snapshot_every=20, fast_backtracking=True)
    assert len(s.events("crash")) > 20
    s.run(10.0)
    assert len({s.node(f"n{i}").commit_index for i in range(5)}) == 1


# Snapshots


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_snapshots_under_crash_and_loss_with_the_log_bounded(stage: Any, loss: float) -> None:
    """MIT TestSnapshotInstall...: a follower is away while the others go on, and needs a snapshot."""
    s = live(stage, snapshot_every=10, network=lan(Uniform(0.0, 0.005), loss=loss), fsync=0.001)
    stream = Streams(5)["who"]
    session = 0
    for _ in range(12):
        victim = stream.choice(["n0", "n1", "n2"])
        if stream.chance(0.5):
            s.crash(victim)
        else:
            s.partition([victim], [name for name in ("n0", "n1", "n2") if name != victim])
        s.run(1.5)
        for _ in range(30):
            session += 1
            for name in s.leaders():
                s.ask(name, session=session, sequence=1)
            s.run(0.02)
        s.heal()
        s.restart(victim)
        s.run(1.0)
        assert max(len(s.node(f"n{i}").log) for i in range(3)) <= 2 * 10 + 30
    s.run(3.0)
    assert len({s.node(f"n{i}").last_applied for i in range(3)}) == 1
    assert s.messages("InstallSnapshot")
    s.finish()


def test_all_crash_and_come_back_from_their_snapshots(stage: Any) -> None:
    """MIT TestSnapshotAllCrash, TestSnapshotInit."""
    s = live(stage, snapshot_every=5)
    for turn in range(4):
        (leader,) = s.leaders()
        for k in range(9):
            s.ask(leader, session=10 * turn + k, sequence=1)
        s.run(0.2)
        applied = max(s.node(f"n{i}").last_applied for i in range(3))
        s.crash("n0", "n1", "n2")
        s.restart("n0", "n1", "n2")
        s.run(2.0)
        assert min(s.node(f"n{i}").last_applied for i in range(3)) >= applied


def test_a_server_that_starts_from_a_snapshot_knows_all_members(stage: Any) -> None:
    """hashicorp, peer change across a snapshot."""
    s = live(stage, snapshot_every=5, membership="joint", spares=1)
    s.cluster.hosts["n3"].boot()
    s.admin("n0", Join("n3"))
    for session in range(30):
        s.ask("n0", session=session, sequence=1)
        s.run(0.01)
    s.run(0.2)
    s.crash("n3")
    s.restart("n3")
    assert s.node("n3").floor() > 0
    assert s.node("n3").config.voters == ("n0", "n1", "n2", "n3")


# Membership under load


@dataclass(frozen=True)
class Script(Fault):
    """Requests of an administrator at given times (seconds)."""

    turns: tuple[tuple[float, Any], ...]
    spares: tuple[str, ...] = ()

    def play(self, world: World, stream: Stream) -> Play:
        cluster: Any = world.cluster  # type: ignore[attr-defined]
        names = tuple(name for name in world.replicas)
        member = Member("admin", Admin, group="admin", role="client")
        host = cluster.add(member, place="lan", settings=AdminSettings(lambda request: names))
        host.boot()
        for name in self.spares:
            world.restart(name)
        for at, request in self.turns:
            yield world.env.timeout(at - world.env.now)
            host.node.ask(request)


@pytest.mark.parametrize("how", ["single", "joint"])
def test_three_to_five_to_three_under_load(how: Any) -> None:
    """hashicorp, fuzzy membership: the first three are replaced while clients go on."""
    joins = ((1.0, Join("n3")), (2.0, Join("n4")))
    leaves = ((3.0, Leave("n1")), (4.0, Leave("n0")))
    scenario = Scenario(
        system=Raft(nodes=3, spares=2, membership=how, snapshot_every=50, **TIMING),
        network=lan(Uniform(0.0005, 0.002)),
        workload=ClosedLoop(clients=4, think=0.01),
        faults=[Script((*joins, *leaves), ("n3", "n4"))],
        duration=8.0,
        check=True,
    )
    simulation = scenario.start(seed=1)
    simulation.run()
    assert simulation.nodes["n4"].config.voters == ("n2", "n3", "n4")  # type: ignore[attr-defined]
    outcomes = simulation.nodes["admin"].outcomes  # type: ignore[attr-defined]
    assert [done for _, done, _ in outcomes] == [True] * 4
    returns = sorted(outcome.returned for outcome in simulation.acknowledged.values())
    assert max(b - a for a, b in pairwise(returns)) < 2.5
    assert returns[-1] > 7.9


# Leadership transfer


def test_a_transfer_that_the_heirs_crash_interrupts(stage: Any) -> None:
    """etcd TestLeaderTransferTimeout...; the old leader goes on."""
    s = live(stage, transfer=True, check_quorum=True)
    s.client.send("n0", Transfer("n1"))
    s.run(0.0015)
    s.crash("n1")
    s.run(0.5)
    assert s.client.admin[-1].done is False
    assert s.leaders() == ["n0"]
    s.ask("n0")
    s.run(0.1)
    assert len(s.client.replies) == 1


def test_a_transfer_that_the_leaders_crash_interrupts(stage: Any) -> None:
    s = live(stage, 5, transfer=True, check_quorum=True)
    s.client.send("n0", Transfer("n1"))
    s.run(0.0012)
    s.crash("n0")
    s.run(2.0)
    (leader,) = s.leaders()
    assert leader == "n1"


def test_transfers_round_seven_servers_under_load() -> None:
    """hashicorp TestRaft_LeadershipTransferWithSevenNodes."""
    turns = tuple((0.5 + 0.4 * k, Transfer(f"n{(k + 1) % 7}")) for k in range(10))
    scenario = Scenario(
        system=Raft(nodes=7, transfer=True, check_quorum=True, pre_vote=True, **TIMING),
        network=lan(Uniform(0.0005, 0.002)),
        workload=ClosedLoop(clients=4, think=0.01),
        faults=[Script(turns)],
        duration=6.0,
        check=True,
    )
    run = scenario.run(seed=2)
    assert run.violation is None
    elected = run.events[run.events.event == "elected"].node.tolist()
    assert elected == ["n0", *(request.to for _, request in turns)]
    assert run.acknowledged_lost == 0


# Reads


@pytest.mark.parametrize("reads", ["index", "lease", "follower"])
def test_reads_are_never_stale_while_leaders_change(reads: Any) -> None:
    """etcd TestReadOnly...: checked by the invariant that a read covers all that was committed before its call."""
    turns = tuple((0.5 + 0.5 * k, Transfer(f"n{(k + 1) % 3}")) for k in range(8))
    scenario = Scenario(
        system=Raft(nodes=3, transfer=True, reads=reads, check_quorum=True, **TIMING),
        network=lan(Uniform(0.0, 0.01)),
        workload=ClosedLoop(clients=6, think=0.005),
        faults=[Script(turns)],
        duration=5.0,
        check=True,
    )
    run = scenario.run(seed=4)
    assert run.violation is None
    assert len(run.events[run.events.event == "elected"]) == 9
    assert (run.operations.kind == "get").sum() > 300
