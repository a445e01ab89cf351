"""Balancers in front of a replicated store: the store keeps its promises, and commands take effect once."""

from __future__ import annotations

from typing import Any

import pytest

import sim.protocols
from sim.faults import Crash, Flaky
from sim.lab import Scenario
from sim.network.topology import constant
from sim.protocols import ViewstampedReplication
from sim.protocols.balancing import (
    BalancedStore,
    Hedge,
    JoinIdleQueue,
    PowerOfChoices,
    Prequal,
    Retries,
    RoundRobin,
    Tied,
    Timeout,
)
from sim.protocols.balancing.store import StoreDispatcher
from sim.protocols.client import Retry
from sim.protocols.consensus.raft.basic import BasicRaft
from sim.system import System
from sim.workload import ClosedLoop, Mix, UniformKeys

ELAPSED = 12.0


def scenario(**changes: Any) -> Scenario:
    system = BalancedStore(
        store=BasicRaft(nodes=3),
        balancers=2,
        policy=PowerOfChoices(),
        resilience=(Timeout(attempt=0.3), Retries(most=3), Hedge(after=0.2)),
    )
    fields: dict[str, Any] = {
        "system": system,
        "network": constant(0.005),
        "workload": ClosedLoop(
            clients=4, think=0.02, mix=Mix({"increment": 0.5, "get": 0.2, "put": 0.3}, keys=UniformKeys(5))
        ),
        "retry": Retry(timeout=1.0),
        "duration": ELAPSED,
        "check": True,
    }
    return Scenario(**{**fields, **changes})


def test_a_store_behind_balancers_answers_and_stays_linearizable() -> None:
    run = scenario().run(seed=1)
    assert (run.operations["status"] == "ok").sum() > 200
    assert run.check().ok, run.check()


@pytest.mark.parametrize("seed", range(4))
def test_retries_and_hedges_of_the_balancers_take_effect_once(seed: int) -> None:
    faults = [
        Crash("n0", at=2.0, down=2.0),
        Flaky("n1", at=4.0, duration=3.0, loss=0.2),
        Flaky("b0", at=6.0, duration=3.0, loss=0.2, slowdown=20.0),
        Crash("b1", at=8.0, down=1.0),
    ]
    run = scenario(faults=faults).run(seed=seed)
    assert run.violation is None
    assert run.check().ok, run.check()
    assert (run.operations["status"] == "ok").sum() > 50


def test_the_mutant_that_retries_under_a_new_number_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    # LB3: a retried or hedged increment with a new request id takes effect twice.
    from sim.message import replace
    from sim.protocols.balancing.messages import Ask
    from sim.protocols.balancing.resilient import Copy
    from sim.protocols.client import Reply, Request

    fresh = 10_000

    def transmit(self: StoreDispatcher, number: int, copy: Copy, ask: Ask) -> None:
        nonlocal fresh
        fresh += 1
        command = replace(ask.command, session=fresh, sequence=1)
        self._numbers[fresh, 1, copy.backend.name] = number
        self.node.send(copy.backend.name, Request(command))

    def settle(self: StoreDispatcher, number: int, ok: bool | None) -> None:
        super(StoreDispatcher, self)._settle(number, ok)

    def on_reply(self: StoreDispatcher, src: str, msg: Reply) -> None:
        from sim.protocols.balancing.messages import Answer

        number = self._numbers.pop((msg.session, msg.sequence, src), -1)
        self.on_answer(src, Answer(number, msg.status, 0, msg.value, msg.result))

    monkeypatch.setattr(StoreDispatcher, "transmit", transmit)
    monkeypatch.setattr(StoreDispatcher, "_settle", settle)
    monkeypatch.setattr(StoreDispatcher, "on_reply", on_reply)
    faults = [Flaky("b0", at=1.0, duration=8.0, loss=0.3), Flaky("b1", at=1.0, duration=8.0, loss=0.3)]
    verdicts = [
        scenario(faults=faults, check=False).run(seed=seed).check("linearizable").ok for seed in range(3)
    ]
    assert not all(verdicts)


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: BalancedStore(store=BasicRaft(), resilience=(Tied(),)), "Tied"),
        (lambda: BalancedStore(store=BasicRaft(), policy=Prequal()), "Prequal"),
        (lambda: BalancedStore(store=BasicRaft(), policy=JoinIdleQueue()), "JoinIdleQueue"),
        (lambda: BalancedStore(store=BasicRaft(), poll=1.0), "1.0"),
        (lambda: BalancedStore(store=BasicRaft(nodes=3), policy=PowerOfChoices(d=4)), "d=4"),
        (lambda: BalancedStore(store=BalancedStore(store=BasicRaft())), "BalancedStore"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_value(make: Any, value: str) -> None:
    with pytest.raises(ValueError, match=value):
        make()


def test_it_says_what_it_is() -> None:
    system = BalancedStore(store=BasicRaft(nodes=3), policy=RoundRobin())
    assert system.consistency == BasicRaft().consistency
    assert [m.name for m in system.members()] == ["n0", "n1", "n2", "b0"]
    assert system.operations == BasicRaft().operations


LEFT_OUT = {
    "check_machines": "balancers check their own",
    "converges_within": "behind balancers a store is judged by its histories",
    "is_stranded": "no member stays down",
    "label_fields": "names the store's own settings",
    "max_gone": "0: all restart",
    "product_table": "names the store's own settings",
    "replaces": "see converges_within",
    "replica_values": "see converges_within",
    "safe_options": "its own",
    "title": "its own",
}


def test_what_a_system_of_the_library_says_of_itself_its_balanced_form_says_too() -> None:
    """Each question of `System` that a store answers is passed on to it, or left out for a reason."""
    own = {name for cls in BalancedStore.__mro__[: BalancedStore.__mro__.index(System)] for name in vars(cls)}
    stores = [kind for name in sim.protocols.__all__ if _is_store(kind := getattr(sim.protocols, name))]
    answered = {
        name
        for kind in stores
        for cls in kind.__mro__[: kind.__mro__.index(System)]
        for name in vars(cls)
        if hasattr(System, name) and not name.startswith("_")
    }
    assert len(stores) > 20
    assert sorted(answered - own) == sorted(LEFT_OUT)


def _is_store(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, System) and not issubclass(kind, BalancedStore)


def test_the_leader_after_the_next_view_change_is_known_behind_balancers() -> None:
    store = ViewstampedReplication(nodes=3)
    live = Scenario(system=BalancedStore(store=store), network=constant(0.005), duration=1.0).start(1)
    live.run(until=0.2)
    assert live.next_leader == "n1"
