"""Applications under storms, in every system that takes one; and the mistakes of each application are caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from sim import Scenario
from sim.analysis.checks import check
from sim.faults import Crash, RandomCrashes
from sim.lab.application_model import judge_by, model_of
from sim.network import lan
from sim.protocols import Raft
from sim.protocols.application import Application
from sim.protocols.applications import Bank, Counter, LockService, Queue
from sim.protocols.client import Retry
from sim.protocols.command import Command, Result
from sim.protocols.consensus.epaxos import execution
from sim.protocols.sessions import Sessions
from sim.testing.storms import survive
from sim.workload import ClosedLoop, Mix
from tests.budget import storms
from tests.protocols.test_applications import APPLICATIONS, SYSTEMS, run

if TYPE_CHECKING:
    from sim.node import RandomSource

PAIRS = [
    (name, application)
    for name in SYSTEMS
    for application in APPLICATIONS
    if not (name.startswith("Sharded") and application == Bank())
]


@storms(1, 0.7, longer=4.0, seeds=range(1000, 1100))
@pytest.mark.parametrize(("name", "application"), PAIRS, ids=repr)
def test_an_application_survives_storms(
    name: str, application: Application, seeds: range, length: float
) -> None:
    for seed in seeds:
        survive(SYSTEMS[name](application=application), seed, length=length)


class Odometer(Counter):
    """Counts how often each command was applied: an application never sees a retry."""

    operations: ClassVar[frozenset[str]] = frozenset({"increment"})
    reads: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[tuple[int, int], int] = {}

    def apply(self, command: Command) -> Result:
        identity = (command.session, command.sequence)
        self.seen[identity] = self.seen.get(identity, 0) + 1
        assert self.seen[identity] == 1, f"{command!r} was applied before"
        return super().apply(command)

    def snapshot(self) -> Any:
        return super().snapshot(), tuple(self.seen.items())

    def restore(self, snapshot: Any) -> None:
        totals, seen = snapshot
        super().restore(totals)
        self.seen = dict(seen)


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_application_never_sees_a_retry(name: str) -> None:
    """Messages are lost and repeated, replicas crash, clients ask until they are answered: each addition counts."""
    system = SYSTEMS[name](application=Odometer())
    done = Scenario(
        system=system,
        network=lan(loss=0.15, duplicate=0.2),
        workload=ClosedLoop(clients=3, operations=20, think=0.05, mix=Mix({"increment": 1})),
        faults=(RandomCrashes(mttf=1.0, mttr=0.1, start=0.2, end=2.0, max_down=1),),
        retry=Retry(timeout=0.05, backoff=0.01, backoff_max=0.05),
        duration=12.0,
        check=True,
    ).run(3)
    assert done.violation is None
    operations = done.operations
    assert (operations["status"] == "ok").all()
    assert len(operations) == 60
    assert (operations["attempts"] > 1).sum() > 3, "some were asked again"
    added = operations.groupby("key")["value"].sum()
    assert (operations.groupby("key")["result"].max() == added).all()


@pytest.mark.parametrize("name", ["Raft", "MultiPaxos", "PrimaryBackup"])
def test_without_sessions_an_application_sees_retries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: Sessions, command: Command) -> Result | None:
        return self.application.apply(command) if command.session >= 0 else None

    monkeypatch.setattr(Sessions, "apply", forgetful)
    monkeypatch.setattr(Sessions, "has_applied", lambda self, session, sequence: False)
    with pytest.raises(AssertionError, match="was applied before"):
        test_an_application_never_sees_a_retry(name)


# Mistakes of an application, one for each; a correct replication of them is judged by what was meant.


class HalfATransfer(Bank):
    """The money leaves one account, and arrives nowhere."""

    def apply(self, command: Command) -> Result:
        result = super().apply(command)
        if command.kind == "transfer" and result.status == "ok":
            self.balances[command.value[0]] -= command.value[1]
        return result


class GivenTwice(LockService):
    """Who asks for a lock that another one holds, gets it as well."""

    def apply(self, command: Command) -> Result:
        if command.kind == "acquire" and self.held.get(command.key, (command.value, 0))[0] != command.value:
            del self.held[command.key]
        return super().apply(command)


class DeliversTwice(Queue):
    """What stands first stays there when it is taken out, one time in three."""

    def apply(self, command: Command) -> Result:
        before = self.items.get(command.key, ())
        result = super().apply(command)
        if command.kind == "dequeue" and command.sequence % 3 == 0:
            self.items[command.key] = before
        return result


class Forgets(Counter):
    """One addition in five is told, and not done."""

    def apply(self, command: Command) -> Result:
        before = self.totals.get(command.key, 0)
        result = super().apply(command)
        if command.kind == "increment" and command.sequence % 5 == 0:
            self.totals[command.key] = before
        return result


@pytest.mark.parametrize("name", ["Raft", "EPaxos", "ChainReplication"])
@pytest.mark.parametrize(
    ("mutant", "meant"),
    [
        (HalfATransfer(), Bank()),
        (GivenTwice(), LockService()),
        (DeliversTwice(), Queue()),
        (Forgets(), Counter()),
    ],
    ids=repr,
)
def test_a_mistake_of_an_application_is_caught(name: str, mutant: Application, meant: Application) -> None:
    done = run(SYSTEMS[name](application=mutant), duration=0.06)
    assert done.violation is None, "all replicas make the same mistake"
    operations = done.operations
    assert check(operations, "linearizable", model=model_of(meant, operations)).status == "invalid"
    assert judge_by(meant, operations, "linearizable").status == "invalid"


class Draws(Counter):
    """Each replica adds a number of its own: `apply` is not deterministic."""

    def apply(self, command: Command) -> Result:
        result = super().apply(command)
        if command.kind == "increment":
            self.totals[command.key] += id(self)
        return result


class InOrderOfDict(Counter):
    """Tells the order in which counters were first used, which no snapshot keeps: a dict is compared without it."""

    def apply(self, command: Command) -> Result:
        result = super().apply(command)
        return Result(result.status, result.value, (result.result, *self.totals))


@pytest.mark.parametrize(
    "name", [name for name in SYSTEMS if name not in ("RpcStore", "Raft group", "sequencer")]
)
def test_an_apply_that_draws_is_caught_by_the_invariants(name: str) -> None:
    violation = run(SYSTEMS[name](application=Draws()), duration=0.2).violation
    assert violation is not None
    assert violation.invariant in (
        "exactly once",
        "reads are never older than what was committed",
        "the store is the log, applied once and in order",
        "replicas that applied the same hold the same",
    )


def test_an_apply_that_depends_on_the_order_of_a_dict_is_caught_when_replicas_restore_a_snapshot() -> None:
    done = Scenario(
        system=Raft(nodes=3, snapshot_every=5, application=InOrderOfDict()),
        workload=ClosedLoop(clients=3, think=0.02),
        faults=[Crash(name, at=0.5, down=0.1) for name in ("n0", "n1", "n2")],
        duration=3.0,
        check=True,
    ).run(0)
    assert done.violation is not None
    assert done.violation.invariant in ("exactly once", "a snapshot is the fold of the log")


class Interest(Bank):
    """Also pays interest to all accounts, and reads the total: these touch everything."""

    operations: ClassVar[frozenset[str]] = Bank.operations | {"interest", "total"}
    reads: ClassVar[frozenset[str]] = Bank.reads | {"total"}
    several_keys: ClassVar[frozenset[str]] = frozenset({"transfer", "interest", "total"})

    def apply(self, command: Command) -> Result:
        if command.kind not in ("interest", "total"):
            return super().apply(command)
        if command.kind == "interest":
            self.balances = {account: balance + 1 for account, balance in self.balances.items()}
        return Result("ok", sum(self.balances.values()))

    def touches(self, command: Command) -> frozenset[str] | None:
        return None if command.kind in ("interest", "total") else super().touches(command)

    def draw(self, kind: str, random: RandomSource) -> tuple[str, Any]:
        return ("all", None) if kind in ("interest", "total") else super().draw(kind, random)


@storms(1, 0.7, longer=4.0, seeds=range(1000, 1100))
@pytest.mark.parametrize("name", ["EPaxos", "EPaxosStar", "ChainReplication"])
def test_updates_of_everything_and_of_two_keys_survive_storms(name: str, seeds: range, length: float) -> None:
    for seed in seeds:
        survive(SYSTEMS[name](application=Interest()), seed, length=length)


@pytest.mark.parametrize("name", ["EPaxos", "EPaxosStar"])
@pytest.mark.parametrize("application", [Bank(), Interest()], ids=repr)
def test_a_replica_that_looks_at_one_key_only_is_caught(
    name: str, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution.ByKey, "places", lambda self, command: (command.key,))
    violation = run(SYSTEMS[name](application=application), duration=0.1).violation
    assert violation is not None
    assert violation.invariant == "of two that interfere one knows the other"
