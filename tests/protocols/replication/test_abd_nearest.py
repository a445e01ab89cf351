"""Weak representatives (Gifford 1979): values from the nearest server, timestamps from a quorum; and what breaks it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash
from sim.lab import Simulation
from sim.message import replace as message_replace
from sim.network import Exponential, lan, matrix
from sim.protocols import Abd
from sim.protocols.quorum_plans import QuorumPlanner
from sim.protocols.quorums import Columns, Explicit, Majority, Rows, Weighted
from sim.protocols.replication.abd import NearestValueClient, StoredValue
from sim.testing import survive
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import storms
from tests.protocols.replication.test_abd import PLANNED, Broken

VOTES = Weighted((1, 1, 1, 0, 0), 2)
WEAK = Abd(nodes=5, reads=VOTES, writes=VOTES, values="nearest")
"""Three servers with a vote each, and two without."""

FAR, NEAR, VALUE = 0.02, 0.001, 10_000
PLACES = tuple(f"p{i}" for i in range(5))  # of n0 to n4
NETWORK = matrix((*PLACES, "here"), [[NEAR if {i, j} == {3, 5} else FAR for j in range(6)] for i in range(6)])
"""The client's place is near that of n3, which has no vote, and far from all others."""


def scenario(reads: float, system: Abd = WEAK, **fields: Any) -> Scenario:
    """A client with ten operations on one key, all of them reads or writes of large values."""
    return Scenario(
        system=system,
        network=NETWORK,
        workload=ClosedLoop(
            clients={"here": 1}, operations=10, reads=reads, keys=UniformKeys(1), value_bytes=VALUE
        ),
        duration=5.0,
        trace=True,
        **fields,
    )


def kinds(frame: Any) -> dict[str, int]:
    return frame["kind"].value_counts().to_dict()  # type: ignore[no-any-return]


def started(held: dict[str, StoredValue], system: Abd = WEAK) -> Simulation:
    """Reads of a key that these servers hold."""
    simulation = scenario(1.0, system).start(1)
    for name, value in held.items():
        simulation.nodes[name].registers["k0"] = value  # type: ignore[attr-defined]
    return simulation


OLD, NEW = StoredValue((1, 7), "old", VALUE), StoredValue((2, 7), "new", VALUE)


def test_the_value_of_a_read_comes_from_the_current_copy_and_only_timestamps_from_the_quorum() -> None:
    simulation = started(dict.fromkeys(("n0", "n1", "n2", "n3"), NEW))
    simulation.run()
    found, sent = simulation.recorder.frame("operations"), simulation.recorder.frame("messages")
    assert set(found["value"]) == {"new"}
    assert found["latency"].to_numpy() == pytest.approx(2 * FAR)
    assert set(found["node"]) == {"n3"}
    assert kinds(sent) == {"VersionInquiry": 30, "VersionReply": 30, "Query": 10, "QueryReply": 10}
    large = sent[sent["bytes"] > VALUE]
    assert set(large["src"]) == {"n3"}
    assert len(large) == 10
    assert sent[sent["bytes"] <= VALUE]["bytes"].max() < 100


def test_a_copy_that_is_out_of_date_is_not_returned_but_replaced_by_the_value_of_a_server_that_is_current() -> (
    None
):
    simulation = started({**dict.fromkeys(("n0", "n1", "n2"), NEW), "n3": OLD})
    simulation.run()
    found, sent = simulation.recorder.frame("operations"), simulation.recorder.frame("messages")
    assert set(found["value"]) == {"new"}
    assert found["latency"].to_numpy() == pytest.approx([4 * FAR, *[2 * FAR] * 9])
    assert found["node"].tolist() == ["n0", *["n3"] * 9]
    asked = {"VersionInquiry": 30, "VersionReply": 30, "Query": 11, "QueryReply": 11}
    assert kinds(sent) == asked | {"Store": 1, "StoreAck": 1}
    assert simulation.nodes["n3"].registers["k0"] == NEW  # type: ignore[attr-defined]


def test_a_copy_that_is_ahead_of_the_quorum_is_not_returned() -> None:
    """Its write is not complete: a later read may not find it."""
    simulation = started({"n0": OLD, "n1": OLD, "n2": OLD, "n3": NEW})
    simulation.run()
    assert set(simulation.recorder.frame("operations")["value"]) == {"old"}
    assert simulation.nodes["n3"].registers["k0"] == NEW  # type: ignore[attr-defined]


def test_the_value_that_a_quorum_disagrees_on_is_written_back() -> None:
    simulation = started({"n1": NEW, "n3": NEW})
    simulation.run()
    found = simulation.recorder.frame("operations")
    assert set(found["value"]) == {"new"}
    latencies = found["latency"].tolist()
    assert latencies[0] == pytest.approx(4 * FAR)
    assert sum(node.registers.get("k0") == NEW for node in simulation.members.values()) >= 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("one_phase", [False, True])
def test_a_write_asks_for_timestamps_and_stores_its_value_with_the_votes_and_at_the_nearest(
    one_phase: bool,
) -> None:
    run = scenario(0.0, dataclasses.replace(WEAK, one_phase=one_phase)).run(1)
    assert run.operations["latency"].to_numpy() == pytest.approx((2 if one_phase else 4) * FAR)
    inquiries = {} if one_phase else {"VersionInquiry": 30, "VersionReply": 30}
    assert kinds(run.messages) == {**inquiries, "Store": 40, "StoreAck": 40}
    assert "n4" not in set(run.messages["dst"])


def test_a_nearest_server_with_a_vote_costs_no_message_more_than_the_quorum() -> None:
    simulation = started(dict.fromkeys(("n0", "n1", "n2", "n3", "n4"), NEW), Abd(nodes=5, values="nearest"))
    simulation.run()
    sent = simulation.recorder.frame("messages")
    assert kinds(sent) == {"VersionInquiry": 40, "VersionReply": 40, "Query": 10, "QueryReply": 10}


def test_a_plan_says_which_servers_are_asked_for_timestamps() -> None:
    planner = QuorumPlanner(members=WEAK.names, reads=Explicit((("n0", "n1"), ("n0", "n2"), ("n1", "n2"))))
    plan = planner.best(1.0)
    system = Abd(nodes=5, reads=planner.reads, writes=planner.writes, plan=plan, values="nearest")
    simulation = started(dict.fromkeys(("n0", "n1", "n2", "n3"), NEW), system)
    simulation.run()
    sent = simulation.recorder.frame("messages")
    assert kinds(sent) == {"VersionInquiry": 20, "VersionReply": 20, "Query": 10, "QueryReply": 10}


def test_a_copy_that_is_down_delays_one_read_and_is_avoided_for_a_time() -> None:
    run = scenario(1.0, faults=[Crash("n3", at=0.0)]).run(1)
    found = run.operations
    assert (found["status"] == "ok").all()
    assert found["attempts"].tolist() == [2, *[1] * 9]
    assert found["latency"].to_numpy()[1:] == pytest.approx(2 * FAR)


@pytest.mark.parametrize(
    ("system", "servers"),
    [
        (WEAK, ("n0", "n1", "n2")),
        (dataclasses.replace(WEAK, values="all"), WEAK.names),
        (Abd(nodes=3, values="nearest"), ("n0", "n1", "n2")),
        (Abd(nodes=3, reads=Majority(), writes=Weighted((1, 1, 0)), values="nearest"), ("n0", "n1", "n2")),
        (
            Abd(nodes=4, reads=Explicit((("n0",),)), writes=Explicit((("n0", "n1"),)), values="nearest"),
            ("n0", "n1"),
        ),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
def test_servers_without_votes_are_those_of_weight_0_or_in_no_quorum(
    system: Abd, servers: tuple[str, ...]
) -> None:
    assert system.servers == servers


SYSTEMS = [
    WEAK,
    dataclasses.replace(WEAK, one_phase=True),
    Abd(nodes=3, values="nearest"),
    Abd(nodes=3, reads=Weighted((1, 0, 0)), writes=Weighted((1, 0, 0)), values="nearest"),
    Abd(nodes=4, reads=Weighted((2, 1, 1, 0), 2), writes=Weighted((2, 1, 1, 0), 3), values="nearest"),
    Abd(nodes=6, reads=Rows(2, 3), writes=Columns(2, 3), values="nearest"),
    dataclasses.replace(PLANNED, values="nearest"),
]


@storms(2, 3.0, seeds=range(200))
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_it_keeps_its_claim_in_storms_and_goes_on_after_them(
    system: Abd, seeds: range, length: float
) -> None:
    for seed in seeds:
        survive(system, seed, length)


# Mutants


class AsksNoQuorum(NearestValueClient):
    """Returns the copy of the nearest server without asking a quorum for timestamps."""

    def consider(self, src: str, command: Any, current: Any) -> None:
        if command.kind == "get" and current.copy is not None and current.source is None:
            current.value = current.copy
            self.conclude(src, command, current.copy.timestamp, current.copy.value)
        else:
            super().consider(src, command, current)


class NoWriteBack(NearestValueClient):
    """Returns what a read quorum says is current without writing it back."""

    def is_settled(self, timestamp: Any, replies: Any) -> bool:
        return True


class WrongTimestamp(NearestValueClient):
    """Takes the copy for current whatever its timestamp, and says that it has that of the quorum."""

    def consider(self, src: str, command: Any, current: Any) -> None:
        if current.copy is not None and self.is_read_quorum(current.replies):
            newest = super().newest(current).timestamp
            current.copy = message_replace(current.copy, timestamp=newest)
        super().consider(src, command, current)


RACE = Scenario(
    system=WEAK,
    network=lan(Exponential(0.02)),
    workload=ClosedLoop(clients=8, keys=UniformKeys(1), reads=0.7),
    duration=4.0,
)


def broken(client: type[NearestValueClient], **fields: Any) -> Scenario:
    given = {f.name: getattr(WEAK, f.name) for f in dataclasses.fields(Abd) if f.init}
    return dataclasses.replace(RACE, system=Broken(client=client, **{**given, **fields}))


@pytest.mark.parametrize("client", [AsksNoQuorum, NoWriteBack])
def test_a_value_that_no_quorum_has_confirmed_is_seen_at_once(client: type[NearestValueClient]) -> None:
    for seed in range(6):
        violation = dataclasses.replace(broken(client), check=True).run(seed).violation
        if violation is not None:
            assert violation.invariant == "timestamps follow the order of operations"
            return
    pytest.fail("the invariant did not see it")


@pytest.mark.parametrize(
    ("client", "one_phase"), [(AsksNoQuorum, False), (AsksNoQuorum, True), (WrongTimestamp, False)]
)
def test_what_clients_read_shows_a_copy_that_was_out_of_date(
    client: type[NearestValueClient], one_phase: bool
) -> None:
    """With one phase the register claims less, and an old value is still too old."""
    claim = "regular" if one_phase else "linearizable"
    assert broken(client, one_phase=one_phase).run(1).check(claim).status == "invalid"
    right = dataclasses.replace(RACE, system=dataclasses.replace(WEAK, one_phase=one_phase)).run(1)
    assert right.check(claim).ok
