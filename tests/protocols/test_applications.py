"""Any deterministic application can be replicated: its history is judged by itself, and its mistakes are caught."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from sim import Scenario, System
from sim.lab.application_model import model_of
from sim.protocols import Abd, Crdt, Dynamo, Mencius, MultiPaxos, MultiPrimary, Raft, ViewstampedReplication
from sim.protocols.application import Application
from sim.protocols.applications import Bank, Counter, LockService, Queue
from sim.protocols.command import Command, Result
from sim.protocols.consensus.raft import BasicRaft
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions
from sim.workload import ClosedLoop, Mix

APPLICATIONS = [Bank(), Counter(), LockService(), Queue()]
SYSTEMS: list[Any] = [Raft, BasicRaft, MultiPaxos, ViewstampedReplication]


def run(system: System, seed: int = 0, duration: float = 0.05) -> Any:
    kinds = dict.fromkeys(sorted(system.operations), 1)
    load = ClosedLoop(clients=3, mix=Mix(kinds))  # type: ignore[arg-type]
    return Scenario(system=system, workload=load, duration=duration, check=True).run(seed)


@pytest.mark.parametrize("application", APPLICATIONS, ids=repr)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.__name__)
def test_an_application_is_replicated_and_judged_by_itself(system: Any, application: Application) -> None:
    done = run(system(nodes=3, application=application))
    assert done.violation is None
    assert set(done.operations["kind"]) == application.operations
    assert done.check().status == "valid"
    assert done.check().verdict.model == application.label


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.__name__)
def test_who_applies_all_commands_in_one_order_claims_to_be_linearizable(system: Any) -> None:
    assert system().consistency == "linearizable"


class HalfATransfer(Bank):
    """The money leaves one account, and arrives nowhere."""

    def apply(self, command: Command) -> Result:
        result = super().apply(command)
        if command.kind == "transfer" and result.status == "ok":
            self.balances[command.value[0]] -= command.value[1]
        return result


def test_half_a_transfer_is_caught_by_the_right_bank() -> None:
    operations = run(Raft(nodes=3, application=HalfATransfer()), duration=0.1).operations
    from sim.analysis.checks import check

    assert check(operations, "linearizable", model=model_of(Bank(), operations)).valid is False


class Draws(Counter):
    """Each replica adds a number of its own: `apply` is not deterministic."""

    def apply(self, command: Command) -> Result:
        result = super().apply(command)
        if command.kind == "increment":
            self.totals[command.key] += id(self)
        return result


def test_an_apply_that_draws_is_caught_by_the_invariants() -> None:
    with_mistake = run(Raft(nodes=3, application=Draws()))
    assert with_mistake.violation is not None
    assert with_mistake.violation.invariant == "exactly once"


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
        Scenario(system=Raft(application=Bank()))


@pytest.mark.parametrize("system", [Abd, Crdt, Dynamo, MultiPrimary], ids=lambda s: s.__name__)
def test_a_register_system_refuses_an_application_with_the_reason(system: Any) -> None:
    with pytest.raises(ValueError, match=rf"{system.__name__} takes no application .*one order.* registers"):
        system(application=Bank())


def test_other_systems_say_that_they_serve_the_key_value_store_only() -> None:
    with pytest.raises(ValueError, match=r"Mencius takes no application .*serves the key-value store only"):
        Mencius(application=Bank())  # type: ignore[call-arg]


def test_kinds_that_do_not_exist_are_refused_when_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match="Wrong: peek are no operations of it"):

        class Wrong(Application):
            operations: ClassVar[frozenset[str]] = frozenset({"push"})
            reads: ClassVar[frozenset[str]] = frozenset({"peek"})
