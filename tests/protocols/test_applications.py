"""Any deterministic application can be replicated: its history is judged by itself, and its mistakes are caught."""

from __future__ import annotations

import dataclasses
import math
import re
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sim import Scenario, System, protocols
from sim.analysis.checks import check
from sim.commands.written import parse_system
from sim.faults import Crash
from sim.lab import measure_liveness
from sim.lab.application_model import model_of
from sim.protocols import (
    Abd,
    BroadcastStore,
    ChainReplication,
    Craq,
    Crdt,
    Dynamo,
    EPaxos,
    EPaxosStar,
    Mencius,
    MultiPaxos,
    MultiPrimary,
    OmniPaxos,
    PrimaryBackup,
    Raft,
    RpcStore,
    ShardedChain,
    ShardedRaft,
    ViewstampedReplication,
)
from sim.protocols.application import Application
from sim.protocols.applications import Bank, Counter, LockService, Queue
from sim.protocols.command import Command, Result
from sim.protocols.consensus.raft import BasicRaft
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions
from sim.workload import ClosedLoop, Mix, UniformKeys
from sim.written import from_dict, from_json, from_toml, to_dict, to_json, to_toml

APPLICATIONS = [Bank(), Counter(), LockService(), Queue()]
SYSTEMS: dict[str, Any] = {
    **{
        kind.__name__: partial(kind, nodes=3)
        for kind in (
            *(BasicRaft, Raft, MultiPaxos, OmniPaxos, ViewstampedReplication, Mencius, EPaxos, EPaxosStar),
            *(PrimaryBackup, ChainReplication),
        )
    },
    "Raft group": lambda **given: BroadcastStore(order="total", reads="ordered", **given),
    "sequencer": lambda **given: BroadcastStore(order="sequencer", reads="ordered", **given),
    "ShardedRaft": lambda **given: ShardedRaft(groups=2, **given),
    "ShardedChain": lambda **given: ShardedChain(groups=2, **given),
    "RpcStore": RpcStore,
}
"""What takes an application, by name: how it is made."""
EACH = [
    (name, Counter() if name in ("ShardedRaft", "ShardedChain") else APPLICATIONS[i % len(APPLICATIONS)])
    for i, name in enumerate(SYSTEMS)
]
"""Each system with one application, in turn; tests/protocols/test_application_storms.py has all pairs."""


def run(system: System, seed: int = 0, duration: float = 0.05) -> Any:
    kinds = dict.fromkeys(sorted(system.operations), 1)
    load = ClosedLoop(clients=3, mix=Mix(kinds))  # type: ignore[arg-type]
    return Scenario(system=system, workload=load, duration=duration, check=True).run(seed)


@pytest.mark.parametrize(("name", "application"), EACH, ids=repr)
def test_an_application_is_replicated_and_judged_by_itself(name: str, application: Application) -> None:
    done = run(SYSTEMS[name](application=application), duration=0.12 if name == "Raft group" else 0.03)
    assert done.violation is None
    assert set(done.operations["kind"]) == application.operations
    assert done.check().status == "valid"
    fast = {"Counter": "counter", "Queue": "queue"}
    assert done.check().verdict.model == fast.get(type(application).__name__, type(application).__name__)


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_that_apply_all_commands_in_one_order_claim_to_be_linearizable(name: str) -> None:
    assert SYSTEMS[name]().consistency == "linearizable"


@pytest.mark.parametrize("application", [KeyValueStore(), *APPLICATIONS], ids=repr)
def test_a_replica_works_on_a_copy_and_a_snapshot_is_the_whole_state(application: Application) -> None:
    first = application.snapshot()
    store, copy = Sessions(application), Sessions(application)
    arguments = {"transfer": ("a1", 3), "cas": (None, 1), "append": "a", "scan": 2}
    for number, kind in enumerate(sorted(application.operations), 1):
        store.apply(Command(1, number, kind, "a0", arguments.get(kind, 1)))
    assert application.snapshot() == first, "the prototype never changes"
    assert store.state != first
    hash(store.snapshot())
    copy.restore(store.snapshot())
    assert copy.snapshot() == store.snapshot()
    assert application == type(application)()
    assert Bank() != Bank(accounts=5)


def test_a_workload_of_other_kinds_is_refused() -> None:
    with pytest.raises(ValueError, match="does not support get, put; it supports balance, transfer"):
        Scenario(system=Raft(application=Bank()), workload=ClosedLoop(mix="A"))


@pytest.mark.parametrize("system", [Abd, Crdt, Dynamo, MultiPrimary], ids=lambda s: s.__name__)
def test_a_register_system_refuses_an_application_with_the_reason(system: Any) -> None:
    with pytest.raises(ValueError, match=rf"{system.__name__} takes no application .*one order.* registers"):
        system(application=Bank())


def test_craq_refuses_an_application_with_its_own_reason() -> None:
    with pytest.raises(ValueError, match=r"Craq takes no application \(Bank\(\)\): .*versions of each key"):
        Craq(application=Bank())  # type: ignore[call-arg]
    assert dataclasses.replace(Craq(), nodes=5) == Craq(nodes=5)


def test_sharding_refuses_updates_of_several_keys_and_serves_no_reads_of_several() -> None:
    with pytest.raises(
        ValueError, match=r"ShardedRaft .*transfer of Bank\(\) may: keys are spread over groups"
    ):
        ShardedRaft(application=Bank())
    with pytest.raises(ValueError, match=r"write ShardedRaft\(application=Counter\(\)\)"):
        ShardedRaft(group=Raft(application=Counter()))
    assert ShardedRaft().operations == KeyValueStore.operations - {"scan"}


def test_a_broadcast_without_one_order_refuses_an_application() -> None:
    with pytest.raises(ValueError, match=r"order='causal', as its replicas .*'sequencer' or 'total' does"):
        BroadcastStore(application=Bank())


EVERY: dict[str, Any] = {
    name: kind
    for name in protocols.__all__
    if isinstance(kind := getattr(protocols, name), type) and issubclass(kind, System)
}
TAKERS = {type(make()).__name__ for make in SYSTEMS.values()}


@pytest.mark.parametrize("name", EVERY)
def test_every_system_takes_an_application_or_refuses_it_with_a_reason(name: str) -> None:
    kind = EVERY[name]
    if name in TAKERS - {"BroadcastStore"}:
        assert kind(application=LockService()).operations == LockService.operations
        assert kind(application=LockService()).may_fail == LockService.may_fail
        return
    # A system that takes an application stands in SYSTEMS, so that it is tested here.
    with pytest.raises(
        ValueError, match=rf"{name} takes no application \(LockService\(\)\)[^:]*: \w+|.*one order"
    ):
        kind(application=LockService())


def test_kinds_that_do_not_exist_are_refused_when_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match="Wrong: peek are no operations of it"):

        class Wrong(Application):
            operations: ClassVar[frozenset[str]] = frozenset({"push"})
            reads: ClassVar[frozenset[str]] = frozenset({"peek"})


@pytest.mark.parametrize(("name", "application"), EACH, ids=repr)
def test_an_application_goes_through_the_written_form_and_runs_alike(
    name: str, application: Application
) -> None:
    scenario = Scenario(
        system=SYSTEMS[name](application=application), workload=ClosedLoop(clients=2), duration=0.02
    )
    back, again = from_toml(to_toml(scenario), Scenario), from_json(to_json(scenario), Scenario)
    assert back == again == scenario
    assert back.system.application == application
    assert back.run(1).digest() == scenario.run(1).digest()


def test_an_application_is_written_with_its_arguments_and_shown_as_the_command_line_takes_it() -> None:
    system = Raft(application=Bank(accounts=5))
    assert to_dict(system)["application"] == {"class": "Bank", "accounts": 5}
    assert system.label == "Raft(application=Bank(accounts=5))"
    assert parse_system(system.label) == system != Raft(application=Bank())
    assert from_dict(to_dict(Raft(application=KeyValueStore())), System) == Raft()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Bank(accounts="4"), "Bank: accounts must be an integer, not '4'"),  # type: ignore[arg-type]
        (lambda: Bank(accounts=1), "Bank: at least 2 accounts"),
        (
            lambda: from_dict({"class": "Raft", "application": {"class": "Bank", "acounts": 3}}),
            "did you mean",
        ),
        (lambda: from_dict({"class": "Raft", "application": {"class": "Crash"}}), "raft|Crash is not"),
        (lambda: to_dict(Raft(application=_spent())), "is not what its arguments make"),
    ],
)
def test_what_makes_no_application_is_refused_with_the_value(make: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


def _spent() -> Bank:
    bank = Bank()
    bank.balances["a0"] = 0
    return bank


def test_a_workload_without_a_mix_asks_for_all_operations_of_an_application() -> None:
    done = Scenario(system=Raft(nodes=3, application=Queue()), workload=ClosedLoop(), duration=0.2).run(0)
    assert set(done.operations["kind"]) == {"enqueue", "dequeue"}
    for setting in ({"reads": 0.9}, {"keys": UniformKeys(3)}):
        with pytest.raises(ValueError, match=f"{next(iter(setting))}=.*Queue"):
            Scenario(system=Raft(application=Queue()), workload=ClosedLoop(**setting))  # type: ignore[arg-type]


def test_scans_are_left_out_and_counted() -> None:
    done = run(Raft(nodes=3), duration=0.1)
    scans = int(((done.operations["kind"] == "scan") & (done.operations["status"] == "ok")).sum())
    assert scans > 3
    assert done.check().verdict.left_out == scans
    assert f"Not judged: {scans} operations that read more than one key (scan)." in str(done.check())
    assert run(Raft(nodes=3, application=Bank())).check().verdict.left_out == 0


class Range(Counter):
    """Its reads of several keys take no argument but a key, so that its histories tell all about them."""

    operations: ClassVar[frozenset[str]] = frozenset({"increment", "range"})
    reads: ClassVar[frozenset[str]] = frozenset({"range"})
    several_keys: ClassVar[frozenset[str]] = frozenset({"range"})

    def apply(self, command: Command) -> Result:
        if command.kind == "range":
            return Result("ok", tuple(item for item in sorted(self.totals.items()) if item[0] >= command.key))
        return super().apply(command)


@pytest.mark.parametrize("name", ["Raft", "EPaxos", "EPaxosStar", "ChainReplication"])
def test_reads_of_several_keys_are_judged_with_the_whole_state(name: str) -> None:
    done = run(SYSTEMS[name](application=Range()))
    assert done.violation is None
    assert (done.check().status, done.check().verdict.left_out) == ("valid", 0)
    operations = done.operations
    wrong = operations.copy()
    last = wrong.index[(wrong["kind"] == "range") & (wrong["value"].map(bool))][-1]
    wrong.at[last, "value"] = ()
    assert check(wrong, "linearizable", model=model_of(Range(), operations)).status == "invalid"


def test_other_guarantees_are_unknown_with_the_reason() -> None:
    done = run(Raft(nodes=3, application=Bank()))
    for guarantee in ("CM", "pram", "regular", "read-your-writes", "eventual"):
        verdict = done.check(guarantee).verdict
        assert (verdict.status, "this history is of a Bank" in verdict.reason) == ("unknown", True)
    assert done.check("sequential").status == "valid"


def test_a_search_that_takes_too_long_ends_as_unknown_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = run(Raft(nodes=3, application=Bank()))
    monkeypatch.setattr("sim.lab.application_model.LONGEST", 20)
    assert done.check().status == "unknown"
    assert "The budget of 20 steps was spent before an answer. Operations touch more than one key" in str(
        done.check()
    )


def test_a_failure_that_the_application_reports_is_judged() -> None:
    operations = run(Raft(nodes=3, application=Bank()), duration=0.1).operations
    row = operations.index[operations["status"] == "fail"][0]
    operations.loc[row, "result"] = "a0 holds 99"
    assert check(operations, "linearizable", model=model_of(Bank(), operations)).status == "invalid"


def test_the_docs_name_what_takes_an_application() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "protocols.md").read_text("utf-8")
    rows = [
        row
        for row in text.split("## Applications")[1].split("\n## ")[0].splitlines()
        if row.startswith("| `")
    ]
    taken, refused = (
        {
            name
            for row in rows
            if ("| refused" in row) is no
            for name in re.findall(r"`(\w+)`", row.split("|")[1])
        }
        for no in (False, True)
    )
    assert taken == TAKERS
    assert refused <= set(EVERY) - TAKERS


SCANNING = [
    kind() for name, kind in EVERY.items() if name in {*TAKERS, "Craq"} and "scan" in kind().operations
]


@pytest.mark.parametrize(
    "system", [*SCANNING, BroadcastStore(order="total", reads="ordered")], ids=lambda s: s.label
)
def test_systems_that_serve_scans_answer_with_written_values(system: System) -> None:
    """And is not accused by its invariants, which know what a read of several keys must see."""
    scans = ClosedLoop(clients=3, mix=Mix({"scan": 1, "put": 1}, UniformKeys(5)))
    done = Scenario(
        system=system, workload=scans, duration=0.15 if "total" in system.label else 0.04, check=True
    ).run(1)
    assert done.violation is None
    found = done.operations[(done.operations["kind"] == "scan") & (done.operations["status"] == "ok")]
    assert len(found) > 5
    for key, value in zip(found["key"], found["value"], strict=True):
        assert list(value) == sorted(value)
        assert all(one >= key for one, _ in value)


def test_craq_and_shards_serve_no_scans() -> None:
    for system in (Craq(), ShardedRaft()):
        with pytest.raises(ValueError, match="does not support scan"):
            Scenario(system=system, workload=ClosedLoop(mix=Mix({"scan": 1})))


def test_measures_know_the_reads_of_an_application() -> None:
    """A leader that is down answers neither; after it, both kinds have an outage of their own."""
    done = Scenario(
        system=Raft(nodes=3, application=LockService()),
        workload=ClosedLoop(clients=2, think=0.05, mix=Mix({"holder": 1})),
        faults=[Crash("leader", at=0.5, down=0.2)],
        duration=3.0,
    ).run(0)
    summary = done.summary()
    assert summary["unavailability_reads"] > 0.3
    assert math.isnan(summary["unavailability_writes"])


def test_liveness_is_measured_with_writes_of_the_application() -> None:
    measured = measure_liveness(
        Raft(nodes=3, application=LockService()), range(1), leader_within=5, write_within=9
    )
    assert [wait.situation for wait in measured.waits if wait.write < 9] == ["start", "crash", "power"]
