"""On constant networks a critical path is the message delays that one counts by hand; what happened before what."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from sim import Scenario, System
from sim.analysis.causes import Causes
from sim.cluster import Disk, Machine
from sim.lab import Run
from sim.network import constant
from sim.network.topology import Topology
from sim.protocols import ChainReplication, EPaxos, MultiPaxos, PrimaryBackup, Raft
from sim.workload import ClosedLoop, Mix, UniformKeys

DELAY = 0.010  # seconds


def traced(
    system: System, *, clients: int = 1, keys: int = 100, network: Topology | None = None, **fields: Any
) -> Run:
    writes = Mix({"put": 1}, UniformKeys(keys))
    settings: dict[str, Any] = {"workload": ClosedLoop(clients=clients, mix=writes), "duration": 1.5}
    scenario = Scenario(
        system=system, network=network or constant(DELAY), trace="full", **{**settings, **fields}
    )
    return scenario.run(1)


def hops(path: pd.DataFrame) -> list[str]:
    """What went over links, without the client at both ends."""
    links = path[path["kind"] == "link"]
    return [f"{row.what} {row.src}->{row.dst}" for row in links.itertuples()]


def last(run: Run) -> pd.DataFrame:
    """The path of the last operation that was answered."""
    answered = run.operations[run.operations["return_step"] >= 0]
    return run.critical_path(int(answered.index[-1]))


@pytest.mark.parametrize(
    ("system", "kinds"),
    [
        (Raft(nodes=3), ["Request", "AppendEntries", "AppendEntriesReply", "Reply"]),
        (MultiPaxos(nodes=3), ["Request", "Accept", "Accepted", "Reply"]),
        (PrimaryBackup(nodes=3, mode="sync"), ["Request", "Append", "AppendOk", "Reply"]),
        (ChainReplication(nodes=3), ["Request", "Forward", "Forward", "Reply"]),
        (EPaxos(nodes=3), ["Request", "PreAccept", "PreAcceptOk", "Reply"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, System) else "",
)
def test_a_write_alone_takes_the_message_delays_that_its_paper_counts(
    system: System, kinds: list[str]
) -> None:
    path = last(traced(system))
    assert (path["kind"] == "link").all()
    assert path["seconds"].tolist() == pytest.approx([DELAY] * len(kinds))
    assert path["what"].tolist() == kinds


def test_an_epaxos_write_that_meets_another_pays_for_a_second_round() -> None:
    paths = traced(EPaxos(nodes=5), clients=2, keys=1).critical_paths()  # at two replicas, at the same time
    ways = {tuple(path["what"]) for _, path in paths.groupby("operation")}
    assert ("Request", "PreAccept", "PreAcceptOk", "Accept", "AcceptOk", "Reply") in ways
    assert ("Request", "PreAccept", "PreAcceptOk", "Reply") not in ways
    links = paths[paths["kind"] == "link"]
    assert links["seconds"].tolist() == pytest.approx([DELAY] * len(links))


def test_the_disk_the_cores_and_their_queue_are_parts_of_their_own() -> None:
    machine = Machine(per_message=0.001, disk=Disk(fsync=0.004))
    path = last(traced(Raft(nodes=3), machines=machine))
    by_kind = path.groupby("kind")["seconds"].sum()
    assert by_kind["link"] == pytest.approx(4 * DELAY)
    assert by_kind["service"] == pytest.approx(0.003)  # the request, the entry, the acknowledgement
    assert by_kind["disk"] == pytest.approx(0.004)  # the follower's; the leader sends while it writes
    disk = path[path["kind"] == "disk"].iloc[0]
    assert (disk["what"], disk["node"]) == ("AppendEntriesReply", disk["src"])


def test_the_last_replica_that_was_needed_is_on_the_path() -> None:
    from sim.network import matrix

    far = [[0.0005, 0.010, 0.030], [0.010, 0.0005, 0.030], [0.030, 0.030, 0.0005]]  # round trips
    path = last(traced(Raft(nodes=3), network=matrix(["a", "b", "c"], far), leader="a"))
    assert "AppendEntries n0->n1" in hops(path)
    assert not any("n2" in hop for hop in hops(path))


def test_a_redirect_and_a_retry_are_on_the_path() -> None:
    run = traced(Raft(nodes=3))
    path = run.critical_path(0)  # while nobody leads yet
    assert "Redirect" in set(path["what"])
    assert "client retry" in set(path["kind"])
    assert path["seconds"].sum() == pytest.approx(run.operations["latency"].iloc[0], abs=1e-9)


# What follows from what


def test_vector_clocks_say_what_happened_before_what() -> None:
    run = traced(Raft(nodes=3), duration=0.3)
    clocks, steps, messages = run.vector_clocks(), run.steps, run.messages
    assert list(clocks.index) == list(steps["id"])
    for node, mine in steps.groupby("node"):
        assert clocks.loc[mine["id"], str(node)].tolist() == list(range(1, len(mine) + 1))
    for step, text in zip(steps["id"], steps["cause"], strict=True):
        cause = json.loads(text)
        if cause["kind"] == "message":
            sender = messages["step"][cause["id"]]
            assert (clocks.loc[step] >= clocks.loc[sender]).all()
            assert clocks.loc[step, steps["node"][sender]] >= clocks.loc[sender, steps["node"][sender]]
    first = {node: int(steps.index[steps["node"] == node][0]) for node in ("n1", "n2")}
    assert clocks.loc[first["n1"], "n2"] == clocks.loc[first["n2"], "n1"] == 0  # neither knows of the other


def frames(
    steps: list[tuple[float, str, dict[str, Any]]],
    messages: list[tuple[str, str, str, float, float, int, str]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    columns = ["kind", "src", "dst", "handed", "delivered", "step", "operations"]
    sent = pd.DataFrame(messages, columns=columns)
    sent["ready"] = sent["handed"]
    made = pd.DataFrame(
        [(*step[:2], json.dumps(step[2])) for step in steps], columns=["time", "node", "cause"]
    )
    return sent, made


def test_an_operation_that_waits_for_what_began_before_it_waits_where_it_has_come() -> None:
    """A timer that was set before the operation came answers it: until then it waited there."""
    messages = [
        ("Request", "c", "n", 1.0, 2.0, 1, "[[0,1]]"),
        ("Reply", "n", "c", 5.0, 6.0, 3, "[[0,1]]"),
    ]
    steps = [
        (0.5, "n", {"kind": "start", "after": -1}),
        (1.0, "c", {"kind": "timer", "name": "wake", "after": -1}),
        (2.0, "n", {"kind": "message", "id": 0}),
        (5.0, "n", {"kind": "timer", "name": "batch", "after": 0}),
        (6.0, "c", {"kind": "message", "id": 1}),
    ]
    operation = pd.Series(
        {"process": 0, "sequence": 1, "client": "c", "called": 0.25, "call_step": 1, "return_step": 4}
    )
    path = Causes(*frames(steps, messages)).path(operation)
    assert [tuple(row) for row in path[["kind", "what", "node", "begin", "end"]].to_numpy().tolist()] == [
        ("wait", "to be issued", "c", 0.25, 1.0),
        ("link", "Request", "n", 1.0, 2.0),
        ("wait", "batch", "n", 2.0, 5.0),
        ("link", "Reply", "c", 5.0, 6.0),
    ]


def test_an_operation_without_an_answer_has_no_path() -> None:
    run = traced(Raft(nodes=3))
    unanswered = run.operations.index[run.operations["return_step"] < 0]
    with pytest.raises(ValueError, match=f"operation {unanswered[0]} was never answered"):
        run.critical_path(int(unanswered[0]))


def test_what_another_operation_set_off_in_the_meantime_is_not_on_the_path() -> None:
    """The timer was set after the call, but before the operation came to that node: by another client's request."""
    messages = [
        ("Request", "d", "n", 1.2, 1.5, 1, "[[9,1]]"),
        ("Request", "c", "n", 1.0, 2.0, 0, "[[0,1]]"),
        ("Reply", "n", "c", 5.0, 6.0, 4, "[[0,1]]"),
    ]
    steps = [
        (1.0, "c", {"kind": "timer", "name": "wake", "after": -1}),
        (1.2, "d", {"kind": "timer", "name": "wake", "after": -1}),
        (1.5, "n", {"kind": "message", "id": 0}),
        (2.0, "n", {"kind": "message", "id": 1}),
        (5.0, "n", {"kind": "timer", "name": "batch", "after": 2}),
        (6.0, "c", {"kind": "message", "id": 2}),
    ]
    operation = pd.Series(
        {"process": 0, "sequence": 1, "client": "c", "called": 1.0, "call_step": 0, "return_step": 5}
    )
    path = Causes(*frames(steps, messages)).path(operation)
    assert path["kind"].tolist() == ["link", "wait", "link"]
    assert path["begin"].tolist() == [1.0, 2.0, 5.0]
