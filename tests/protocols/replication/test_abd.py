"""ABD: exact costs, linearizable in storms, and what breaks when a word of it is changed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash
from sim.lab import draw_storm, run_storm
from sim.message import replace as message_replace
from sim.network import Exponential, constant, lan
from sim.protocols import Abd
from sim.protocols.client import Client
from sim.protocols.quorum_plans import QuorumPlan, QuorumPlanner, meeting
from sim.protocols.quorums import Columns, Rows, Weighted
from sim.protocols.replication.abd import AbdClient, AbdServer, OnePhaseClient, StoredValue
from sim.system import Member, SafetyViolation
from sim.testing import survive
from sim.workload import ClosedLoop, UniformKeys
from tests.budget import storms

DELTA = 0.01


def costs(reads: float, system: Abd | None = None) -> Any:
    scenario = Scenario(
        system=system or Abd(nodes=5),
        network=constant(DELTA),
        workload=ClosedLoop(clients=1, operations=20, reads=reads, keys=UniformKeys(2)),
        duration=5.0,
        trace=True,
    )
    return scenario.run(1)


def test_a_write_costs_4_delays_and_two_rounds_of_2n_messages() -> None:
    run = costs(reads=0.0)
    assert run.operations["latency"].to_numpy() == pytest.approx(4 * DELTA)
    assert len(run.messages) == 20 * 4 * 5


def test_a_read_costs_2_delays_when_replies_agree() -> None:
    run = costs(reads=1.0)
    assert run.operations["latency"].to_numpy() == pytest.approx(2 * DELTA)
    assert len(run.messages) == 20 * 2 * 5


def test_a_read_costs_4_delays_when_replies_differ() -> None:
    simulation = Scenario(
        system=Abd(nodes=3),
        network=constant(DELTA),
        workload=ClosedLoop(clients=1, operations=1, reads=1.0, keys=UniformKeys(1)),
        duration=1.0,
    ).start(1)
    simulation.nodes["n0"].registers["k0"] = StoredValue((1, 7), "newer")  # type: ignore[attr-defined]
    simulation.run()
    row = simulation.recorder.frame("operations").iloc[0]
    assert (row["value"], row["latency"]) == ("newer", pytest.approx(4 * DELTA))
    assert sum(node.registers["k0"].value == "newer" for node in simulation.members.values()) >= 2  # type: ignore[attr-defined]


def test_a_read_quorum_that_agrees_is_not_enough_where_it_is_smaller_than_a_write_quorum() -> None:
    """Two of five hold the value, a read of these two returns it, and a later read of two others would not."""
    system = Abd(nodes=5, reads=2, writes=4)
    assert costs(1.0, system).operations["latency"].to_numpy() == pytest.approx(
        2 * DELTA
    )  # nothing was written
    run = costs(0.5, system)
    reads = run.operations[run.operations["kind"] == "get"]
    written = reads[[timestamp != (0, -1) for timestamp in reads["result"]]]
    assert len(written) > 3
    assert written["latency"].to_numpy() == pytest.approx(4 * DELTA)


def test_timestamps_are_reported_and_order_what_one_client_did() -> None:
    run = costs(0.5)
    for _, mine in run.operations.groupby("key"):
        timestamps = mine.sort_values("called")["result"].tolist()
        assert timestamps == sorted(timestamps)
        writes = mine[mine["kind"] == "put"].sort_values("called")["result"].tolist()
        assert [number for number, _ in writes] == list(range(1, len(writes) + 1))


ROWS_AND_COLUMNS = QuorumPlanner(members=tuple(f"n{i}" for i in range(6)), reads=Rows(2, 3)).best(0.5)
PLANNED = Abd(
    nodes=6, reads=Rows(2, 3), writes=meeting(Rows(2, 3), Abd(nodes=6).names), plan=ROWS_AND_COLUMNS
)


@pytest.mark.parametrize("reads", [0.0, 0.5, 1.0])
def test_with_one_phase_a_write_costs_2_delays_and_2n_messages_and_so_does_any_read(reads: float) -> None:
    run = costs(reads, Abd(nodes=5, one_phase=True))
    assert run.operations["latency"].to_numpy() == pytest.approx(2 * DELTA)
    assert len(run.messages) == 20 * 2 * 5
    assert run.check("regular").ok


@pytest.mark.parametrize(("reads", "asked"), [(1.0, 3), (0.0, 2)])
def test_with_a_plan_an_operation_costs_two_messages_for_each_member_of_its_quorum(
    reads: float, asked: int
) -> None:
    run = costs(reads, dataclasses.replace(PLANNED, one_phase=True))
    assert len(run.messages) == 20 * 2 * asked
    servers = {name for name in run.messages["dst"] if name.startswith("n")}
    assert len(servers) == 6, "not always the same quorum"
    if not reads:  # a write asks a row, and then one member of each
        assert len(costs(reads, PLANNED).messages) == 20 * (2 * 3 + 2 * 2)


def test_when_a_planned_quorum_does_not_answer_all_servers_are_asked() -> None:
    scenario = Scenario(
        system=dataclasses.replace(PLANNED, one_phase=True),
        network=constant(DELTA),
        workload=ClosedLoop(clients=2, reads=0.5, keys=UniformKeys(2)),
        faults=[Crash("n0", at=0.0)],
        duration=20.0,
    )
    run = scenario.run(1)
    retried = run.operations[run.operations["attempts"] > 1]
    assert len(retried) > 5
    assert (retried["status"] == "ok").mean() > 0.9
    assert run.check().ok
    stuck = dataclasses.replace(
        scenario,
        system=Broken(client=AsksNoOther, **{f.name: getattr(scenario.system, f.name) for f in FIELDS}),
    ).run(1)
    assert len(stuck.operations) < len(run.operations) / 10


@pytest.mark.parametrize(
    ("reads", "complaint"),
    [
        (((("n0", "n1"), 1.0),), "the plan's n0, n1 is no quorum of reads"),
        (((("n0", "n1", "x"), 1.0),), "'x', which is not a member"),
        (((("n0", "n1", "n2"), 0.5),), "a sum of 1, not 0.5"),
    ],
)
def test_a_plan_of_other_quorums_is_refused(reads: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Abd(nodes=5, plan=QuorumPlan(reads, ((("n0", "n1", "n2"), 1.0),)))


SYSTEMS = [
    Abd(nodes=3),
    Abd(nodes=5),
    Abd(nodes=5, reads=2, writes=4),
    Abd(nodes=4, reads=Weighted((2, 1, 1, 1)), writes=Weighted((2, 1, 1, 1))),
    Abd(nodes=6, reads=Rows(2, 3), writes=Columns(2, 3)),
    PLANNED,
    Abd(nodes=3, one_phase=True),
    dataclasses.replace(PLANNED, one_phase=True),
]


@storms(3, 3.0, seeds=range(200))
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.label)
def test_it_keeps_its_claim_in_storms_and_goes_on_after_them(
    system: Abd, seeds: range, length: float
) -> None:
    for seed in seeds:
        survive(system, seed, length)


# Mutants


class NoWriteBack(AbdClient):
    """Returns the newest value without writing it back: regular, not atomic."""

    def second_phase(self, src: str, command: Any, current: Any) -> None:
        if command.kind == "get":
            newest = max(current.replies.values(), key=lambda reply: reply.timestamp)
            self.conclude(src, command, newest.timestamp, newest.value)
        else:
            super().second_phase(src, command, current)


class ContentWithAgreement(AbdClient):
    """Returns what its read quorum agrees on, be it a write quorum or not."""

    def is_settled(self, timestamp: Any, replies: Any) -> bool:
        return all(reply.timestamp == timestamp for reply in replies.values())


class TimelessWriter(AbdClient):
    """Writes without asking for the newest timestamp first: it counts for itself."""

    def second_phase(self, src: str, command: Any, current: Any) -> None:
        if command.kind == "put":
            current.replies = {src: message_replace(current.replies[src], timestamp=(command.sequence, 0))}
        super().second_phase(src, command, current)


class AnonymousWriter(AbdClient):
    """Timestamps without the name of the writer."""

    def ask(self, command: Any, current: Any) -> None:
        if current.stored is not None and command.kind == "put":
            stored = current.stored
            current.stored = message_replace(stored, timestamp=(stored.timestamp[0], 0))
        super().ask(command, current)


class CountsForItself(OnePhaseClient):
    """Writes in one phase under a number that says nothing of other writers."""

    def begin(self, command: Any) -> Any:
        current = super().begin(command)
        if current.stored is not None:
            current.stored = message_replace(current.stored, timestamp=(command.sequence, command.session))
        return current


class AsksNoOther(OnePhaseClient):
    """Asks the drawn quorum again, and no other server."""

    def attempt(self, pending: Any) -> None:
        current = self.rounds.get(pending.command.session)
        drawn = None if current is None else current.asked
        servers = self.servers
        if pending.outcome.attempts and drawn is not None:
            self.servers = drawn
        super().attempt(pending)
        self.servers = servers


class Forgetful(AbdServer):
    """Keeps its registers in memory."""

    def on_start(self) -> None:
        super().on_start()
        self.volatile: dict[str, Any] = {}

    def on_query(self, src: str, msg: Any) -> None:
        self.__dict__["registers"] = self.volatile
        super().on_query(src, msg)

    def on_store(self, src: str, msg: Any) -> None:
        self.__dict__["registers"] = self.volatile
        super().on_store(src, msg)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broken(Abd):
    client: type[Client] = AbdClient
    server: type[AbdServer] = AbdServer

    @property
    def client_class(self) -> type[Any]:
        return self.client

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, self.server) for name in self.names)


FIELDS = [field for field in dataclasses.fields(Abd) if field.init]


def test_one_phase_writes_under_other_numbers_than_those_of_clocks_are_not_regular() -> None:
    scenario = Scenario(
        system=Broken(client=CountsForItself, one_phase=True),
        network=lan(Exponential(0.02)),
        workload=ClosedLoop(clients=4, keys=UniformKeys(1), reads=0.5),
        duration=3.0,
    )
    assert scenario.run(1).check("regular").status == "invalid"
    right = dataclasses.replace(scenario, system=Abd(nodes=3, one_phase=True)).run(1)
    assert right.check("regular").ok


def test_without_write_back_reads_are_regular_but_not_linearizable() -> None:
    scenario = Scenario(
        system=Broken(client=NoWriteBack),
        network=lan(Exponential(0.02)),
        workload=ClosedLoop(clients=8, keys=UniformKeys(1), reads=0.7),
        duration=6.0,
    )
    for seed in range(6):
        run = scenario.run(seed)
        if run.check().status == "invalid":
            assert run.check("regular").ok
            return
    pytest.fail("nobody saw a value vanish")


ORDER = "timestamps follow the order of operations"


@pytest.mark.parametrize(
    "system",
    [
        Broken(client=NoWriteBack),
        Broken(client=TimelessWriter),
    ],
    ids=["no write-back", "no first phase"],
)
def test_operations_out_of_order_are_caught_at_once(system: Broken) -> None:
    scenario = Scenario(
        system=system,
        network=lan(Exponential(0.02)),
        workload=ClosedLoop(clients=8, keys=UniformKeys(1), reads=0.7),
        duration=6.0,
        check=True,
    )
    for seed in range(6):
        run = scenario.run(seed)
        if run.violation is not None:
            assert run.violation.invariant == ORDER
            assert isinstance(run.violation, SafetyViolation)
            return
    pytest.fail("the invariant did not see it")


@pytest.mark.parametrize(("client", "invariant"), [(ContentWithAgreement, ORDER), (AbdClient, None)])
def test_the_agreement_of_too_few_is_caught(client: type[Client], invariant: str | None) -> None:
    """Two of five servers hold what somebody is about to write; now and then a read hears these two first."""
    broken = None
    for seed in range(60):
        simulation = Scenario(
            system=Broken(client=client, nodes=5, reads=2, writes=4),
            network=lan(Exponential(0.02)),
            workload=ClosedLoop(clients=1, operations=3, reads=1.0, keys=UniformKeys(1)),
            duration=1.0,
            check=True,
        ).start(seed)
        for name in ("n0", "n1"):
            simulation.nodes[name].registers["k0"] = StoredValue((1, 7), "newer")  # type: ignore[attr-defined]
        try:
            simulation.run()
        except SafetyViolation as violation:
            broken = violation.invariant
    assert broken == invariant


def test_timestamps_without_the_writer_stand_for_two_values() -> None:
    for seed in range(10):
        system = Broken(client=AnonymousWriter)
        run = run_storm(draw_storm(system, seed, length=3.0), seed)
        if isinstance(run.violation, SafetyViolation):
            assert run.violation.invariant == "a timestamp names one value"
            return
    pytest.fail("the invariant did not see it")


def test_a_server_that_keeps_its_registers_in_memory_is_caught_at_once() -> None:
    system = Broken(server=Forgetful)
    run = run_storm(draw_storm(system, 1, length=3.0), 1)
    assert run.violation is not None
    assert run.violation.invariant == "durable before send"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"nodes": 3, "reads": 4}, "a quorum of 4 members cannot be had from 3"),
        ({"nodes": 3, "reads": 1, "writes": 2}, "do not meet"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Abd(**settings)
    if complaint == "do not meet":
        assert Abd(**settings, unsafe=True).consistency is None
