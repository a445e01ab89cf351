"""SWIM: detection, suspicion, joining and leaving; storms; the invariants, each with a mutant; fd1."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Administer, Crash, Partition, Pause, RandomPauses, Restart
from sim.lab import draw_storm, run_storm
from sim.network import constant
from sim.protocols import Swim
from sim.protocols.admin import Join, Leave
from sim.protocols.membership.swim.node import Ack, Exchange, Ping, PingReq, SwimNode, Update
from sim.system import Member, SafetyViolation
from sim.testing import Bench, survive
from sim.workload import ClosedLoop, NoLoad, UniformKeys
from sim.zoo.membership import KeepsOldIncarnation
from tests.budget import storms

DELTA = 0.01


def scenario(*faults: Any, duration: float = 40.0, system: Swim | None = None, **changes: Any) -> Scenario:
    base = Scenario(
        system=system or Swim(nodes=6, period=1.0, timeout=0.3),
        network=constant(DELTA),
        workload=NoLoad(),
        faults=faults,
        duration=duration,
        check=True,
    )
    return dataclasses.replace(base, **changes)


def events(run: Any, kind: str) -> list[tuple[float, str, str]]:
    rows = run.events[run.events["event"] == kind]
    return [(t, n, d.get("peer", "")) for t, n, d in rows[["time", "node", "detail"]].itertuples(index=False)]


def bench(**settings: Any) -> Bench[SwimNode]:
    one = Bench(SwimNode, "n0", members=("n0", "n1", "n2", "n3"), settings=Swim(nodes=4, **settings))
    one.take()
    return one


# Failure detection


def test_when_nothing_fails_a_member_sends_2_messages_a_period() -> None:
    system = Swim(nodes=8, period=1.0, timeout=0.3, sync_every=None)
    run = scenario(system=system, duration=30.0, trace=True).run(1)
    pings = run.messages[run.messages["kind"] == "Ping"]
    acks = run.messages[run.messages["kind"] == "Ack"]
    assert len(run.messages) == len(pings) + len(acks)
    assert len(pings) == 8 * 30
    assert (
        len(acks) == (pings["fate"] == "delivered").sum() >= len(pings) - 1
    )  # one may be on its way at the end
    assert not len(run.events)


def test_a_crashed_member_is_suspected_then_confirmed_by_all_and_returns_under_a_higher_incarnation() -> None:
    run = scenario(Crash("n2", at=10.0, down=15.0)).run(1)
    others = sorted({f"n{i}" for i in range(6)} - {"n2"})
    for kind in ("suspect", "confirm", "return"):
        assert sorted(n for _, n, p in events(run, kind) if p == "n2") == others, kind
        assert {p for _, _, p in events(run, kind)} == {"n2"}, kind
    first = min(events(run, "suspect"))[0]
    # Found within 2n - 1 periods, confirmed after 4 periods of suspicion.
    assert 10.0 < first < 10.0 + 11 + 1
    assert min(events(run, "confirm"))[0] == pytest.approx(first + 4.0)
    assert all(t > 25.0 for t, _, _ in events(run, "return"))


def test_without_an_ack_k_others_ping_and_their_ack_is_passed_on() -> None:
    one = bench(period=1.0, timeout=0.3, k=2)
    ((target, ping),) = one.fire("period")
    assert isinstance(ping, Ping)
    asked = one.fire("ack")
    assert [m for _, m in asked] == [PingReq(ping.number, target)] * 2
    assert target not in {dst for dst, _ in asked}
    one.deliver(asked[0][0], Ack(ping.number))
    one.fire("period")
    assert not one.records

    relay = bench()
    ((target, ping),) = relay.deliver("n1", PingReq(7, "n2"))
    assert (target, isinstance(ping, Ping)) == ("n2", True)
    assert relay.deliver("n2", Ack(ping.number)) == [("n1", Ack(7))]
    assert relay.deliver("n2", Ack(ping.number)) == []


def test_a_relayed_ack_finds_its_way_over_the_end_of_the_relays_own_period() -> None:
    relay = bench()
    ((_, ping),) = relay.deliver("n1", PingReq(7, "n2"))
    relay.fire("period")
    assert ("n1", Ack(7)) in relay.deliver("n2", Ack(ping.number))


def test_a_cut_link_between_two_causes_no_suspicion_because_others_ping_for_them() -> None:
    run = scenario(Partition((("n0",), ("n1",)), at=5.0, duration=30.0)).run(1)
    assert not events(run, "suspect")


def test_round_robin_pings_everyone_once_before_anyone_again() -> None:
    one = bench(period=1.0, timeout=0.3)
    targets = []
    for _ in range(300):
        ((target, ping),) = [sent for sent in one.fire("period") if isinstance(sent[1], Ping)]
        one.deliver(target, Ack(ping.number))
        targets.append(target)
    for start in range(0, 300, 3):
        assert sorted(targets[start : start + 3]) == ["n1", "n2", "n3"]
    gaps = [
        b - a for m in ("n1", "n2", "n3") for a, b in pairwise([i for i, t in enumerate(targets) if t == m])
    ]
    assert max(gaps) == 2 * 3 - 1  # first in one order, last in the next
    assert len({tuple(targets[i : i + 3]) for i in range(0, 300, 3)}) == 6  # all orders come up


def test_newcomers_enter_the_order_at_a_random_place() -> None:
    places = set()
    for seed in range(40):
        one = Bench(
            SwimNode, "n0", members=("n0", "n1", "n2", "n3"), settings=Swim(nodes=3, spares=1), seed=seed
        )
        one.node.order = ["n1", "n2"]
        one.deliver("n1", Ping(1, (Update("n3", "alive", 1),)))
        places.add(one.node.order.index("n3"))
    assert places == {0, 1, 2}


# Suspicion


def test_a_member_suspected_by_mistake_clears_itself() -> None:
    """Cut off for 3 s it is suspected, not confirmed: once back it learns of that, and denies it."""
    simulation = scenario(Partition((("n2",),), at=10.0, duration=3.0)).start(1)
    simulation.run()
    rows = simulation.recorder.events
    about = [(e, n) for _, n, e, d in rows if d.get("peer") == "n2"]
    assert "suspect" in {e for e, _ in about}
    assert "confirm" not in {e for e, _ in about}
    assert [n for _, n, e, _ in rows if e == "refute"].count("n2") >= 1
    suspecting = sorted({n for e, n in about if e == "suspect"})
    assert sorted({n for e, n in about if e == "clear"}) == suspecting
    assert simulation.nodes["n2"].inc >= 1  # type: ignore[attr-defined]
    assert simulation.system.unsettled(simulation.members) == ()


def test_without_suspicion_the_same_mistake_is_final_for_the_time_being() -> None:
    system = Swim(nodes=6, period=1.0, timeout=0.3, suspicion=None)
    run = scenario(Partition((("n2",),), at=10.0, duration=3.0), system=system).run(1)
    assert events(run, "confirm")
    assert not events(run, "suspect")


def test_a_member_that_was_paused_suspects_and_confirms_no_peer_for_it() -> None:
    for length in (0.5, 3.0, 10.0):
        run = scenario(Pause("n2", at=10.3, duration=length)).run(4)
        assert not [
            e for kind in ("suspect", "confirm") for e in events(run, kind) if e[1] == "n2" and e[2] != "n2"
        ]
        assert run.violation is None


@pytest.mark.parametrize(
    ("known", "new", "result"),
    [
        # Section 4.2: alive i beats suspect and alive j < i; suspect i beats suspect j < i and alive j <= i.
        (("alive", 1), ("alive", 1), ("alive", 1)),
        (("alive", 1), ("alive", 2), ("alive", 2)),
        (("suspect", 1), ("alive", 1), ("suspect", 1)),
        (("suspect", 1), ("alive", 2), ("alive", 2)),
        (("alive", 1), ("suspect", 0), ("alive", 1)),
        (("alive", 1), ("suspect", 1), ("suspect", 1)),
        (("suspect", 1), ("suspect", 1), ("suspect", 1)),
        (("suspect", 1), ("suspect", 2), ("suspect", 2)),
        # A confirmation beats both unless it is older (departure: members may come back).
        (("alive", 1), ("dead", 0), ("alive", 1)),
        (("alive", 1), ("dead", 1), ("dead", 1)),
        (("suspect", 1), ("dead", 3), ("dead", 3)),
        (("suspect", 1), ("left", 1), ("left", 1)),
        # The dead return by a higher alive only; whatever they are told, the highest incarnation is kept.
        (("dead", 1), ("alive", 1), ("dead", 1)),
        (("dead", 1), ("alive", 2), ("alive", 2)),
        (("dead", 1), ("suspect", 5), ("dead", 5)),
        (("dead", 1), ("dead", 5), ("dead", 5)),
        (("left", 1), ("dead", 2), ("left", 2)),
        (("left", 1), ("alive", 2), ("alive", 2)),
    ],
)
def test_what_overrides_what(known: tuple[str, int], new: tuple[str, int], result: tuple[str, int]) -> None:
    one = bench()
    one.node.known["n1"] = Update("n1", *known)
    one.deliver("n2", Ping(1, (Update("n1", *new),)))
    assert one.node.known["n1"] == Update("n1", *result)


def test_fd1_a_dropped_confirmation_raises_the_incarnation_all_the_same() -> None:
    one = bench()
    for status, inc in (("alive", 1), ("dead", 1), ("dead", 10), ("alive", 2)):
        one.deliver("n2", Ping(1, (Update("n1", status, inc),)))
    assert one.node.known["n1"] == Update("n1", "dead", 10)


def test_only_a_member_itself_raises_its_incarnation_and_it_is_on_disk_before_it_says_so() -> None:
    one = bench()
    sent = one.deliver("n1", Ping(1, (Update("n0", "suspect", 0),)))
    assert sent == [("n1", Ack(1, (Update("n0", "alive", 1),)))]
    assert ("inc", "set", 1) in [(f, "set", v) for f, _, v in one.disk.writes]
    one.deliver("n1", Ping(2, (Update("n0", "suspect", 0),)))  # old news
    assert one.node.inc == 1
    one.deliver("n1", Ping(3, (Update("n0", "dead", 4),)))  # it lost its disk, and others remember
    assert one.node.inc == 5


# Dissemination


def test_an_update_is_sent_lambda_log_n_times_and_those_sent_least_go_first() -> None:
    one = bench(retransmit=3.0, piggyback=2)
    for member in ("n1", "n2", "n3"):
        one.node.spread(Update(member, "alive", 9))
    counts: dict[str, int] = {}
    for _ in range(20):
        carried = one.node.piggyback("n9")
        assert len(carried) <= 2
        for update in carried:
            counts[update.member] = counts.get(update.member, 0) + 1
    assert counts == dict.fromkeys(("n1", "n2", "n3"), 5)  # ceil(3 ln 4)


def test_a_member_that_is_not_believed_alive_learns_it_from_every_message() -> None:
    one = bench()
    one.node.known["n1"] = Update("n1", "dead", 3)
    for number in range(30):
        ((_, ack),) = one.deliver("n1", Ping(number))
        assert Update("n1", "dead", 3) in ack.updates


def test_what_a_list_calls_dead_is_suspected() -> None:
    one = bench()
    one.deliver("n1", Exchange((Update("n2", "dead", 0), Update("n3", "left", 0))))
    assert one.node.known["n2"] == Update("n2", "suspect", 0)
    assert one.node.known["n3"] == Update("n3", "left", 0)


def test_a_partition_in_two_halves_heals() -> None:
    halves = (("n0", "n1", "n2"), ("n3", "n4", "n5"))
    simulation = scenario(Partition(halves, at=5.0, duration=30.0), duration=35.0).start(1)
    simulation.run()
    for half, other in (halves, halves[::-1]):
        for name in half:
            known = simulation.nodes[name].known  # type: ignore[attr-defined]
            assert {known[m].status for m in other} == {"dead"}
            assert {known[m].status for m in half if m != name} == {"alive"}
    simulation.run(until=35.0 + 60.0)
    assert simulation.system.unsettled(simulation.members) == ()


# Joining and leaving


def test_a_spare_joins_and_all_members_learn_of_it() -> None:
    system = Swim(nodes=5, spares=2, period=1.0, timeout=0.3)
    run = scenario(Administer(Join("n5"), at=5.0), system=system).run(1)
    assert sorted(n for _, n, p in events(run, "join") if p == "n5") == [f"n{i}" for i in range(5)]
    assert all(t < 15.0 for t, _, _ in events(run, "join"))
    assert [d["done"] for d in run.events[run.events["event"] == "admin"]["detail"]] == [True]


def test_a_member_that_leaves_is_not_suspected_and_may_come_back() -> None:
    simulation = scenario(
        Administer(Leave("n4"), at=5.0), Crash("n4", at=30.0), Restart("n4", at=31.0)
    ).start(1)
    simulation.run(until=29.0)
    rows = simulation.recorder.events
    assert sorted(n for _, n, e, _ in rows if e == "leave") == ["n0", "n1", "n2", "n3", "n5"]
    assert not [r for r in rows if r[2] in ("suspect", "confirm")]
    simulation.run(until=60.0)
    assert simulation.system.unsettled(simulation.members) == ()
    assert simulation.nodes["n0"].known["n4"].status == "alive"  # type: ignore[attr-defined]


def test_clients_may_ask_for_the_status_of_a_member() -> None:
    asking = ClosedLoop(clients=2, reads=1.0, keys=UniformKeys(6), think=0.1)
    run = scenario(Crash("n2", at=5.0), workload=asking).run(1)
    late = run.operations[run.operations["called"] > 30.0]
    assert set(late[late["key"] == "k2"]["value"]) == {"dead"}
    assert set(late[late["key"] != "k2"]["value"]) == {"alive"}


# Storms

BOUND = 100 * 0.2
"""Seconds: 100 protocol periods, ten exchanges of lists by every member, after which lists agree and all are alive."""


def weathered(seed: int, storm: float) -> None:
    system = Swim(
        nodes=3 + seed % 4,
        order=("round-robin", "random")[seed % 2],  # type: ignore[arg-type]
        suspicion=None if seed % 5 == 4 else 4.0,
        k=1 + seed % 3,
    )
    pauses = [RandomPauses(every=2.0, length=0.5, start=0.2, end=storm)] if seed % 3 == 0 else []
    survive(system, seed, storm, faults=pauses, bound=BOUND)


@storms(6, 4.0, longer=12.0, seeds=range(1000))
def test_lists_agree_and_all_are_alive_after_storms(seeds: range, length: float) -> None:
    for seed in seeds:
        weathered(seed, length)


# Mutants


class Resurrecting(SwimNode):
    """Believes that the dead are alive in the incarnation in which they died."""

    def hear(self, update: Update) -> None:
        known = self.known.get(update.member)
        if (
            known is not None
            and known.status == "dead"
            and update == Update(update.member, "alive", known.incarnation)
        ):
            self.adopt(update, known)
        else:
            super().hear(update)


class Meddling(SwimNode):
    """Suspects under a higher incarnation than it has heard of."""

    def fail(self, target: str) -> None:
        self.hear(Update(target, "suspect", self.known[target].incarnation + 1))


class Forgetful(SwimNode):
    """Keeps its own incarnation in memory only."""

    inc = 0  # type: ignore[assignment]
    _durables = {}  # noqa: RUF012


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broken(Swim):
    node: type[SwimNode] = SwimNode

    def members(self) -> tuple[Member, ...]:
        return tuple(dataclasses.replace(m, node_class=self.node) for m in super().members())


def test_fd1_the_invariant_sees_an_incarnation_that_is_dropped() -> None:
    def tell(node: type[SwimNode]) -> Any:
        simulation = scenario(system=Broken(nodes=3, period=1.0, timeout=0.3, node=node)).start(1)
        simulation.run(until=5.0)
        n1, n2 = simulation.nodes["n1"], simulation.nodes["n2"]
        n2.inc = 10  # type: ignore[attr-defined]
        for status, inc in (("alive", 1), ("dead", 1), ("dead", 10), ("alive", 2)):
            n1.send("n0", Ping(99, (Update("n2", status, inc),)))
        simulation.run(until=5.0 + DELTA + 1e-6)
        return simulation.nodes["n0"].known["n2"]  # type: ignore[attr-defined]

    assert tell(SwimNode) == Update("n2", "dead", 10)
    with pytest.raises(SafetyViolation, match="the highest incarnation is remembered"):
        tell(KeepsOldIncarnation)


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        (Resurrecting, "the dead return only by a higher incarnation"),
        (Meddling, "only its owner raises an incarnation"),
        (Forgetful, "durable before send"),
    ],
    ids=["resurrecting", "meddling", "forgetful"],
)
def test_storms_catch(mutant: type[SwimNode], invariant: str) -> None:
    for seed in range(30):
        system = Broken(nodes=4, node=mutant)
        run = run_storm(draw_storm(system, seed, length=8.0), seed, bound=BOUND)
        if isinstance(run.violation, SafetyViolation):
            assert run.violation.invariant == invariant
            return
    pytest.fail("the invariant did not see it")


class NeverDenies(SwimNode):
    def hear_of_myself(self, update: Update) -> None:
        pass


def test_a_member_that_never_denies_keeps_lists_from_agreeing() -> None:
    system = Broken(nodes=4, node=NeverDenies)
    for seed in range(10):
        run = run_storm(draw_storm(system, seed, length=4.0), seed, bound=BOUND)
        if run.violation is not None:
            assert run.violation.invariant == "progress after healing"
            return
    pytest.fail("nobody was ever suspected")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"period": 1.0, "timeout": 1.0}, r"timeout \(1.0 s\) must be shorter than the period \(1.0 s\)"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Swim(**settings)
