"""Calls: cost, retries, deadlines, cancellation, nesting, orphans; what each semantics does in storms; mutants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Cluster
from sim.lab.storm import draw_storm, run_storm
from sim.network import constant
from sim.node import Node, durable, message, part
from sim.protocols import RpcStore
from sim.protocols.balancing import Exponential
from sim.protocols.communication.rpc import CallOutcome, Incoming, Rpc
from sim.protocols.communication.rpc_store import RpcServer
from sim.system import Member
from sim.testing import survive
from sim.workload import ClosedLoop
from tests.budget import storms

DELTA = 0.01


@message
class Job:
    """``seconds`` of work; by way of ``via``, if given."""

    seconds: float
    via: str = ""


@message
class Done:
    count: int


class Worker(Node):
    """Works, or lets another work within the same call."""

    count = durable(0)
    rpc = part(Rpc, timeout=0.2)

    def on_start(self) -> None:
        self.outcomes: list[tuple[float, CallOutcome]] = []
        self.dropped: list[str] = []

    def ask(self, dst: str, job: Job, **settings: Any) -> Any:
        def then(outcome: CallOutcome) -> None:
            self.outcomes.append((round(self.now, 9), outcome))

        return self.rpc.invoke(dst, job, then=then, **settings)

    def on_job(self, src: Incoming, msg: Job) -> None:
        if not msg.via:
            self.rpc.work_on(src, msg.seconds)
            return

        def then(outcome: CallOutcome) -> None:
            self.outcomes.append((round(self.now, 9), outcome))
            if outcome.status == "ok":
                self.rpc.answer(src, outcome.reply)

        self.rpc.invoke(msg.via, Job(msg.seconds), within=src, deadline=60.0, then=then)

    def served(self, src: Incoming, msg: Job) -> None:
        self.count += 1
        self.rpc.answer(src, Done(self.count))

    def abandoned(self, src: Incoming) -> None:
        self.dropped.append(str(src))


class Stubborn(Worker):
    """Does not heed deadlines, and does not say that it gives up."""

    rpc = part(Rpc, timeout=0.2, cancellation=False)


class Careless(Worker):
    rpc = part(Rpc, timeout=0.2, semantics="at-least-once")


class Office:
    """Nodes a, b, c on a network of constant delay, without loss."""

    def __init__(self, node_class: type[Worker] = Worker) -> None:
        self.cluster = Cluster(constant(DELTA), 0, checking=True, tracing=True)
        for name in "abc":
            self.cluster.add(Member(name, node_class), place="lan")
        self.cluster.boot()

    def __getattr__(self, name: str) -> Any:
        return self.cluster.hosts[name].node

    def run(self, until: float) -> None:
        self.cluster.env.run(until=until)

    def busy(self, name: str) -> float:
        """Seconds that a node has worked."""
        return round(self.cluster.hosts[name].cpu.busy_until(self.cluster.env.now), 9)

    def messages(self) -> int:
        return len(self.cluster.recorder.messages)


@pytest.fixture
def office() -> Callable[..., Office]:
    return Office


def test_a_call_costs_2_delays_and_2_messages_and_a_nested_one_twice_that() -> None:
    for front, cost in ((False, 2), (True, 4)):
        run = Scenario(
            system=RpcStore(front=front),
            network=constant(DELTA),
            workload=ClosedLoop(clients=1, operations=10),
            duration=2.0,
            trace=True,
        ).run(1)
        assert run.operations["latency"].to_numpy() == pytest.approx(cost * DELTA)
        assert len(run.messages) == 10 * cost


def test_a_call_is_repeated_until_it_is_answered_and_executed_once(office: Callable[..., Office]) -> None:
    o = office()
    o.cluster.network.cut([("b", "a")])  # replies are lost
    o.a.ask("b", Job(0.0))
    o.run(0.5)
    o.cluster.network.heal_all()
    o.run(2.0)
    assert o.a.outcomes == [(0.6 + 2 * DELTA, CallOutcome("ok", Done(1), 4))]  # tried at 0, 0.2, 0.4, 0.6
    assert o.b.count == 1


def test_at_least_once_executes_every_attempt(office: Callable[..., Office]) -> None:
    o = office(Careless)
    o.cluster.network.cut([("b", "a")])
    o.a.ask("b", Job(0.0))
    o.run(0.5)
    o.cluster.network.heal_all()
    o.run(2.0)
    assert o.a.outcomes == [(0.6 + 2 * DELTA, CallOutcome("ok", Done(4), 4))]


def test_so_many_retries_and_no_more(office: Callable[..., Office]) -> None:
    o = office()
    o.cluster.network.cut([("a", "b")])
    o.a.ask("b", Job(0.0), retries=2)
    o.run(5.0)
    assert o.a.outcomes == [(0.6, CallOutcome("exhausted", None, 3))]


def test_a_caller_gives_up_at_its_deadline_and_the_callees_work_ends(office: Callable[..., Office]) -> None:
    for node_class, busy, messages in ((Worker, 0.3, 3), (Stubborn, 1.0, 3)):
        o = office(node_class)
        o.a.ask("b", Job(1.0), deadline=0.3)
        o.run(5.0)
        assert o.a.outcomes == [(0.3, CallOutcome("deadline", None, 2))]
        assert o.busy("b") == busy
        assert o.b.count == (node_class is Stubborn)
        assert o.messages() == messages  # two attempts, and the cancellation, or an answer that nobody wants
        assert o.b.dropped == ([] if node_class is Stubborn else ["a"])


def test_a_callee_keeps_a_deadline_when_no_cancellation_can_reach_it(office: Callable[..., Office]) -> None:
    o = office()
    o.a.ask("b", Job(1.0), deadline=0.3)
    o.run(0.1)
    o.cluster.network.cut([("a", "b"), ("b", "a")])
    o.run(5.0)
    assert o.busy("b") == 0.3


def test_a_cancelled_call_ends_the_work_one_delay_later(office: Callable[..., Office]) -> None:
    o = office()
    call = o.a.ask("b", Job(1.0))
    o.run(0.1)
    call.cancel()
    o.run(5.0)
    assert o.a.outcomes == [(0.1, CallOutcome("cancelled", None, 1))]
    assert o.busy("b") == 0.1  # from DELTA to 0.1 + DELTA
    assert (o.b.count, o.b.rpc.running) == (0, {})


def test_work_that_waits_in_the_queue_is_taken_out_of_it(office: Callable[..., Office]) -> None:
    o = office()
    o.a.ask("b", Job(0.5))
    second = o.c.ask("b", Job(7.0))
    o.run(0.1)
    second.cancel()
    o.run(20.0)
    assert (o.busy("b"), o.b.count) == (0.5, 1)


def test_a_nested_call_has_no_more_time_than_the_one_it_serves_and_ends_with_it(
    office: Callable[..., Office],
) -> None:
    o = office()
    o.a.ask("b", Job(1.0, via="c"), deadline=0.3)
    o.run(5.0)
    # b has 0.3 s from DELTA on, and c what is left of them when it is called, at the same moment.
    assert o.b.outcomes[0][0] == pytest.approx(0.3 + DELTA)
    assert o.busy("c") == pytest.approx(0.3)
    assert o.c.count == 0


def test_a_cancellation_passes_through(office: Callable[..., Office]) -> None:
    o = office()
    call = o.a.ask("b", Job(1.0, via="c"))
    o.run(0.1)
    call.cancel()
    o.run(5.0)
    assert [outcome.status for _, outcome in o.b.outcomes] == ["cancelled"]
    assert o.busy("c") == 0.1  # from 2 DELTA to 0.1 + 2 DELTA


def test_a_call_in_the_service_of_one_that_is_over_is_cancelled_at_once(
    office: Callable[..., Office],
) -> None:
    o = office()
    late: list[CallOutcome] = []
    o.a.ask("b", Job(1.0), deadline=0.1)
    o.run(0.05)
    (execution,) = o.b.rpc.running.values()
    o.run(0.2)
    o.b.rpc.invoke("c", Job(0.0), within=execution.src, then=late.append)
    o.run(1.0)
    assert [outcome.status for outcome in late] == ["cancelled"]
    assert o.c.count == 0


def test_orphans_of_an_earlier_incarnation_are_stopped_by_the_first_call_of_the_new_one(
    office: Callable[..., Office],
) -> None:
    o = office()
    o.a.ask("b", Job(3.0))
    o.run(0.1)
    o.cluster.crash("a")
    o.cluster.restart("a")
    o.a.ask("b", Job(0.5))
    o.run(9.0)
    assert o.b.count == 1
    assert o.busy("b") == pytest.approx(0.1 + 0.5)


def test_what_was_answered_is_remembered_through_a_crash_until_the_call_is_over(
    office: Callable[..., Office],
) -> None:
    o = office()
    o.cluster.network.cut([("b", "a")])
    o.a.ask("b", Job(0.0))
    o.run(0.1)
    o.cluster.crash("b")
    o.cluster.restart("b")
    o.cluster.network.heal_all()
    o.run(0.5)
    assert o.a.outcomes[0][1] == CallOutcome("ok", Done(1), 2)
    assert list(o.b.rpc.answered) == [("a", 0, 1)]
    o.a.ask("b", Job(0.0))
    o.run(1.0)
    assert list(o.b.rpc.answered) == [("a", 0, 2)]  # the first is settled, and forgotten


def test_a_story_may_wait_for_the_end_of_a_call(office: Callable[..., Office]) -> None:
    o = office()
    seen: list[Any] = []

    def story() -> Any:
        outcome = yield o.a.rpc.invoke("b", Job(0.0)).over
        seen.append((o.a.now, outcome.reply))

    o.a.spawn(story())
    o.run(1.0)
    assert seen == [(pytest.approx(2 * DELTA), Done(1))]


def test_at_most_once_is_a_promise_between_two_nodes_not_end_to_end(office: Callable[..., Office]) -> None:
    """The node in the middle restarts, and repeats a call that its earlier incarnation had made."""
    o = office()
    o.cluster.network.cut([("c", "b")])  # c executes, b does not hear of it
    o.a.ask("b", Job(0.0, via="c"))
    o.run(0.1)
    o.cluster.crash("b")
    o.cluster.network.heal_all()
    o.cluster.restart("b")
    o.run(2.0)
    assert o.a.outcomes[0][1].reply == Done(2) == Done(o.c.count)
    assert RpcStore(front=True).consistency is None


# Storms


def weather(system: RpcStore, seed: int, storm: float = 2.0) -> Any:
    return run_storm(draw_storm(system, seed, length=storm), seed, bound=5.0)


@storms(12, 2.0, longer=4.0, seeds=range(1000), batch=250)
def test_at_most_once_calls_make_one_server_a_linearizable_store(seeds: range, length: float) -> None:
    for seed in seeds:
        survive(RpcStore(timeout=0.1), seed, length, bound=5.0)


@storms(6, 2.0, longer=4.0, seeds=range(200))
def test_calls_through_a_front_go_on_after_storms(seeds: range, length: float) -> None:
    for seed in seeds:
        run = weather(RpcStore(timeout=0.1, front=True), seed, length)
        assert run.violation is None, run.violation


def test_with_at_least_once_calls_a_command_takes_effect_twice() -> None:
    run = weather(RpcStore(timeout=0.1, semantics="at-least-once"), 2)
    assert run.violation is None
    assert run.check("linearizable").status == "invalid"


# Mutants


class Credulous(Rpc):
    """Does not look whether it has answered a call."""

    def on_invoke(self, src: Any, msg: Any) -> None:
        kept = dict(self.answered)
        self.answered.clear()
        super().on_invoke(src, msg)
        self.answered.update({**kept, **self.answered})


class Forgetful(Rpc):
    """Forgets what is over, and lets its stragglers in."""

    def is_open(self, caller: str, life: int, number: int, settled: int) -> bool:
        super().is_open(caller, life, number, settled)
        return True


class Zealous(Rpc):
    """Answers calls that it has abandoned."""

    def abandon(self, key: Any, why: str) -> None:
        execution = self.running.get(key)
        super().abandon(key, why)
        if execution is not None:
            self.running[key] = execution
            self.node.served(execution.src, execution.request)  # type: ignore[attr-defined]


class Volatile(Rpc):
    """Remembers in memory what it has answered."""

    def on_start(self) -> None:
        super().on_start()
        self.__dict__["answered"] = {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broken(RpcStore):
    mutant: type[Rpc] = Rpc

    def members(self) -> tuple[Member, ...]:
        kind = self.mutant

        class Server(RpcServer):
            rpc = part(kind)

        return (Member("server", Server),)


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        (Credulous, "at most once"),
        (Forgetful, "at most once"),
        (Zealous, "abandoned is abandoned"),
    ],
)
def test_each_law_has_a_mutant_that_breaks_it(mutant: type[Rpc], invariant: str) -> None:
    settings: dict[str, Any] = {"deadline": 0.15, "service": Exponential(0.05)} if mutant is Zealous else {}
    for seed in range(20):
        system = Broken(timeout=0.1, mutant=mutant, **settings)
        violation = weather(system, seed).violation
        if violation is not None:
            assert violation.invariant == invariant
            return
    pytest.fail("nobody saw it")


def test_a_server_that_forgets_in_a_crash_what_it_has_answered_is_found_out_by_its_clients() -> None:
    for seed in range(40):
        run = weather(Broken(timeout=0.1, mutant=Volatile), seed)
        if run.check("linearizable").status == "invalid":
            return
    pytest.fail("nobody saw it")


# A story to read


def test_a_call_that_is_cancelled_at_its_deadline(
    office: Callable[..., Office], narrate: Callable[..., Any], golden: Callable[[str, str], None]
) -> None:
    """a calls b with 150 ms to go; b calls c; c would need a second of work."""
    o = office()

    def describe(msg: Any) -> str:
        match type(msg).__name__:
            case "Call" if type(msg.request).__name__ == "Invoke":
                invoke = msg.request
                left = (
                    "as long as it takes"
                    if invoke.budget == float("inf")
                    else f"{1e3 * invoke.budget:g} ms left"
                )
                return f"call {invoke.call[0]}.{invoke.call[2]}, attempt {invoke.attempt}, {left}"
            case "Return":
                return "reply"
            case "CancelCall":
                return f"cancel {msg.call[0]}.{msg.call[2]}"
        return ""

    def tell(event: str, detail: Any) -> str:
        call = f"{detail['call'][0]}.{detail['call'][2]}"
        if event == "abandoned":
            return f"drops its work for {call}: {detail['why']}"
        return f"{call} ends: {detail['status']}" if event == "returned" else f"answers {call}"

    narrator = narrate(o.cluster, describe, tell)
    o.a.ask("b", Job(1.0, via="c"), deadline=0.15)
    o.run(1.0)
    assert (o.busy("c"), o.c.count) == (pytest.approx(0.15), 0)
    golden("rpc_deadline.txt", "\n".join(["one-way delay 10 ms", *narrator.lines]))


# Settings


def test_settings_that_cannot_work_are_refused(office: Callable[..., Office]) -> None:
    for settings, complaint in (
        ({"semantics": "maybe"}, "semantics must be 'at-most-once' or 'at-least-once', not 'maybe'"),
        ({"timeout": -1.0}, r"timeout must be positive seconds, not -1.0"),
        ({"deadline": -0.5}, r"deadline must be positive seconds, not -0.5"),
        ({"retries": -1}, "retries must be an integer of at least 0, not -1"),
    ):
        with pytest.raises(ValueError, match=complaint):
            RpcStore(**settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout must be positive seconds, not 0"):
        part(Rpc, timeout=0)
    o = office()
    with pytest.raises(ValueError, match=r"a call's deadline must be at least 0 s, not -0.1"):
        o.a.rpc.invoke("b", Job(0.0), deadline=-0.1)
    with pytest.raises(ValueError, match="a call's retries must be at least 0, not -3"):
        o.a.rpc.invoke("b", Job(0.0), retries=-3)
