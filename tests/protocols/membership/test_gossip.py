"""Epidemics: how rumours spread and die, anti-entropy that leaves nobody out; costs; storms; invariants and mutants."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from sim import Scenario
from sim.faults import Crash
from sim.lab import draw_storm, run_storm
from sim.message import replace
from sim.network import constant
from sim.node import Part, part
from sim.protocols import AntiEntropy, Gossip, Mongering
from sim.protocols.membership.gossip.epidemic import (
    Digest,
    Epidemic,
    Feedback,
    Missing,
    Pull,
    Rumours,
    Written,
)
from sim.protocols.membership.gossip.system import GossipNode
from sim.system import Member, SafetyViolation
from sim.testing import Bench, survive
from sim.workload import ClosedLoop, NoLoad, UniformKeys
from tests.budget import storms

MEMBERS = ("n0", "n1", "n2", "n3")
NEWS = Written("k", 7, 1.0, "n1")


def bench(mongering: Mongering | None = None, anti_entropy: AntiEntropy | None = None) -> Bench[GossipNode]:
    system = Gossip(nodes=4, mongering=mongering, anti_entropy=anti_entropy or AntiEntropy(), cycle=1.0)
    return Bench(GossipNode, "n0", members=MEMBERS, settings=system)


def cycle(one: Bench[GossipNode]) -> list[tuple[str, Any]]:
    return one.fire("cycle")


# Rumour mongering


def test_what_is_learned_is_pushed_from_the_next_cycle_on() -> None:
    one = bench(Mongering("push", k=1))
    assert cycle(one) == []
    assert one.deliver("n1", Rumours((NEWS,), True)) == [("n1", Feedback((("k", True),)))]
    ((partner, sent),) = cycle(one)
    assert partner in MEMBERS[1:]
    assert sent == Rumours((NEWS,), True)


def test_feedback_and_counter_lose_interest_at_the_kth_vain_contact_in_a_row() -> None:
    one = bench(Mongering("push", k=2))
    one.deliver("n1", Rumours((NEWS,), True))
    for needed in (False, True, False, False):  # a useful contact resets the counter
        assert len(cycle(one)) == 1
        one.deliver("n2", Feedback((("k", needed),)))
        one.time += 0.1
        assert len(one.node.epidemic.hot) == 1
    assert cycle(one) == []
    assert ("bored", {"key": "k"}) in one.records


def test_a_lost_message_is_no_contact() -> None:
    one = bench(Mongering("push", k=1))
    one.deliver("n1", Rumours((NEWS,), True))
    for _ in range(10):
        assert len(cycle(one)) == 1


def test_blind_and_counter_push_exactly_k_times() -> None:
    one = bench(Mongering("push", feedback=False, k=3))
    one.deliver("n1", Rumours((NEWS,), False))
    assert [len(cycle(one)) for _ in range(5)] == [1, 1, 1, 0, 0]


def test_a_coin_loses_interest_with_probability_1_over_k() -> None:
    pushes = []
    for seed in range(400):
        system = Gossip(nodes=4, mongering=Mongering("push", feedback=False, stop="coin", k=4), cycle=1.0)
        one = Bench(GossipNode, "n0", members=MEMBERS, settings=system, seed=seed)
        one.deliver("n1", Rumours((NEWS,), False))
        count = 0
        while cycle(one):
            count += 1
        pushes.append(count)
    mean = sum(pushes) / len(pushes)
    assert abs(mean - 4.0) < 4 * math.sqrt(12.0 / len(pushes))  # geometric: mean k, variance k(k-1)


def test_whether_a_contact_was_vain_is_judged_by_the_beginning_of_the_cycle() -> None:
    one = bench(Mongering("push", k=1))
    assert one.deliver("n1", Rumours((NEWS,), True)) == [("n1", Feedback((("k", True),)))]
    assert one.deliver("n2", Rumours((NEWS,), True)) == [("n2", Feedback((("k", True),)))]
    cycle(one)
    assert one.deliver("n3", Rumours((NEWS,), True)) == [("n3", Feedback((("k", False),)))]


def test_pull_asks_every_cycle_and_receives_the_hot_rumours() -> None:
    one = bench(Mongering("pull", k=1))
    ((_, asked),) = cycle(one)
    assert asked == Pull()
    assert one.deliver("n2", Pull()) == []  # nothing is hot
    one.deliver("n1", Rumours((NEWS,), True))
    assert one.deliver("n2", Pull()) == [("n2", Rumours((NEWS,), True))]
    assert [m for _, m in cycle(one)] == [Pull()]


def test_a_cycle_is_useful_if_any_member_that_pulled_in_it_needed_the_update() -> None:
    one = bench(Mongering("pull", k=1))
    one.deliver("n1", Rumours((NEWS,), True))
    cycle(one)
    for src, needed in (("n1", False), ("n2", True), ("n3", False)):
        one.deliver(src, Pull())
        one.deliver(src, Feedback((("k", needed),)))
    cycle(one)
    assert "k" in one.node.epidemic.hot
    one.deliver("n1", Pull())
    one.deliver("n1", Feedback((("k", False),)))
    cycle(one)
    assert "k" not in one.node.epidemic.hot


def test_push_pull_does_both_and_a_fanout_of_2_with_two_others() -> None:
    one = bench(Mongering("push-pull", fanout=2))
    one.deliver("n1", Rumours((NEWS,), True))
    sent = cycle(one)
    assert sorted(type(m).__name__ for _, m in sent) == ["Pull", "Pull", "Rumours", "Rumours"]
    assert len({dst for dst, _ in sent}) == 2


def test_the_last_writer_wins_and_older_news_is_no_news() -> None:
    one = bench(Mongering("push"))
    one.deliver("n1", Rumours((NEWS,), True))
    assert one.deliver("n2", Rumours((Written("k", 1, 0.5, "n2"),), True)) == [
        ("n2", Feedback((("k", False),)))
    ]
    assert one.node.epidemic.read("k") == 7
    one.deliver("n2", Rumours((Written("k", 8, 1.0, "n2"),), True))  # at the same time: the greater name
    assert one.node.epidemic.read("k") == 8


def test_a_write_comes_after_whatever_the_writer_has_seen() -> None:
    one = bench(Mongering("push"))
    one.deliver("n1", Rumours((Written("k", 7, 50.0, "n1"),), True))  # a clock that is ahead
    one.node.epidemic.write("k", 8)
    one.node.epidemic.write("k", 9)
    assert one.node.epidemic.read("k") == 9


# Anti-entropy


@pytest.mark.parametrize(
    ("style", "lacking", "wanted"),
    [("push", (), ("b",)), ("pull", ("a",), ()), ("push-pull", ("a",), ("b",))],
)
def test_anti_entropy_exchanges_what_one_of_two_lacks(style: Any, lacking: Any, wanted: Any) -> None:
    one = bench(anti_entropy=AntiEntropy(style=style))
    a, both = Written("a", 1, 1.0, "n0"), Written("c", 3, 1.0, "n0")
    for update in (a, both):
        one.node.epidemic.learn(update)
    ((_, digest),) = one.fire("compare")
    assert digest == Digest((("a", 1.0, "n0"), ("c", 1.0, "n0")), style)
    ((_, missing),) = one.deliver("n1", Digest((("b", 2.0, "n1"), ("c", 1.0, "n0")), style))
    assert missing == Missing(tuple(u for u in (a,) if u.key in lacking), wanted)
    assert one.deliver("n1", Missing((), ("a",))) == [("n1", Missing((a,)))]
    assert one.deliver("n1", Digest((("a", 1.0, "n0"), ("c", 1.0, "n0")), style)) == []


def test_anti_entropy_alone_reaches_all_members_even_those_that_were_down() -> None:
    scenario = Scenario(
        system=Gossip(nodes=8, mongering=None, anti_entropy=AntiEntropy(every=1.0)),
        network=constant(0.01),
        workload=NoLoad(),
        faults=[Crash("n3", at=0.1, down=20.0)],
        duration=21.0,
        check=True,
    )
    simulation = scenario.start(1)
    simulation.run(until=0.5)
    simulation.nodes["n0"].epidemic.write("k", 1)  # type: ignore[attr-defined]
    simulation.run(until=20.0)
    assert all(node.epidemic.read("k") == 1 for node in simulation.members.values())  # type: ignore[attr-defined]
    simulation.run(until=30.0)
    assert simulation.nodes["n3"].epidemic.read("k") == 1  # type: ignore[attr-defined]
    assert simulation.system.unsettled(simulation.members) == ()


# Costs


def test_a_client_waits_2_delays_and_a_quiet_group_sends_nothing_but_what_its_style_asks() -> None:
    def messages(mongering: Mongering | None, anti_entropy: AntiEntropy | None) -> int:
        scenario = Scenario(
            system=Gossip(
                nodes=6, mongering=mongering, anti_entropy=anti_entropy, cycle=1.0, synchronous=True
            ),
            network=constant(0.01),
            workload=NoLoad(),
            duration=10.5,
        )
        return int(scenario.run(1).links["messages"].sum())

    assert messages(Mongering("push"), None) == 0
    assert messages(Mongering("pull"), None) == 10 * 6
    assert messages(Mongering("push-pull"), None) == 10 * 6
    assert messages(None, AntiEntropy(every=1.0)) == 10 * 6
    asked = Scenario(
        system=Gossip(nodes=3),
        network=constant(0.01),
        workload=ClosedLoop(clients=1, operations=20, keys=UniformKeys(2)),
        duration=5.0,
    ).run(1)
    assert asked.operations["latency"].to_numpy() == pytest.approx(0.02)


def test_with_anti_entropy_it_claims_and_keeps_eventual_agreement_without_it_it_claims_nothing() -> None:
    def check(system: Gossip) -> Any:
        one = Scenario(
            system=system,
            network=constant(0.01),
            workload=ClosedLoop(clients=3, keys=UniformKeys(3), think=0.05),
            faults=[Crash("n1", at=1.0, down=1.0)],
            duration=3.0,
        )
        return one.run(1).check()

    assert check(Gossip(nodes=5)).status == "valid"
    assert check(dataclasses.replace(broken(Sullen), mongering=None)).status == "invalid"
    assert check(Gossip(nodes=5, anti_entropy=None)).status == "no claim"


# Storms

BOUND = 30.0
"""Seconds: 60 comparisons of databases by each member, after which all of them have all."""

STYLES = [
    Gossip(nodes=5, anti_entropy=AntiEntropy(every=0.5)),
    Gossip(nodes=4, mongering=Mongering("push", k=1), anti_entropy=AntiEntropy(every=0.5, style="pull")),
    Gossip(
        nodes=6,
        mongering=Mongering("pull", feedback=False),
        anti_entropy=AntiEntropy(every=0.5, style="push"),
    ),
    Gossip(nodes=3, mongering=None, anti_entropy=AntiEntropy(every=0.3)),
    Gossip(nodes=5, mongering=Mongering("push-pull", stop="coin", fanout=2), synchronous=True),
]


def weathered(seed: int, storm: float) -> None:
    survive(STYLES[seed % len(STYLES)], seed, storm, bound=BOUND)


@storms(6, 2.0, seeds=range(1000))
def test_all_members_have_all_updates_after_storms(seeds: range, length: float) -> None:
    for seed in seeds:
        weathered(seed, length)


# Mutants


class Backwards(Epidemic):
    """Believes whatever it heard last."""

    def learn(self, update: Written) -> bool:
        known = self.updates.get(update.key)
        if known is not None and update.version < known.version:
            self.updates.pop(update.key)
        return super().learn(update)


def embellished(update: Written) -> Written:
    return Written(update.key, "better", update.time, update.writer)


class Embellishing(Epidemic):
    """Passes on another value than it was told."""

    def _rumours(self) -> Rumours:
        told = super()._rumours()
        return replace(told, updates=tuple(embellished(u) for u in told.updates))  # type: ignore[no-any-return]


class Presumptuous(Epidemic):
    """Writes in the name of another."""

    def write(self, key: str, value: Any) -> Written:
        update = replace(super().write(key, value), writer=self.peers[0], time=self.now + 1.0)
        self.learn(update)
        return update  # type: ignore[no-any-return]


class Volatile(Epidemic):
    """Keeps its database in memory."""

    _durables = {}  # noqa: RUF012

    def on_start(self) -> None:
        self.__dict__["updates"] = {}
        super().on_start()


class Sullen(Epidemic):
    """Compares, and keeps what it has to itself."""

    def on_digest(self, src: str, msg: Digest) -> None:
        pass


def broken(epidemic: type[Part]) -> Gossip:
    class Mutant(GossipNode):
        pass

    Mutant._parts = {"epidemic": part(epidemic)}

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Broken(Gossip):
        def members(self) -> tuple[Member, ...]:
            return tuple(dataclasses.replace(m, node_class=Mutant) for m in super().members())

    return Broken(nodes=4, mongering=Mongering("push", k=1), anti_entropy=AntiEntropy(every=0.5))


@pytest.mark.parametrize(
    ("mutant", "invariant"),
    [
        (Backwards, "what is known only gets newer"),
        (Embellishing, "a version names one value"),
        (Presumptuous, "an update comes from its writer"),
        (Volatile, "durable before send"),
        (Sullen, "progress after healing"),
    ],
)
def test_a_mutant_is_caught(mutant: type[Part], invariant: str) -> None:
    system = broken(mutant)
    for seed in range(20):
        run = run_storm(draw_storm(system, seed, length=3.0), seed, bound=5.0)
        if run.violation is not None:
            assert run.violation.invariant == invariant
            assert isinstance(run.violation, SafetyViolation) or mutant is Sullen
            return
    pytest.fail("the invariant did not see it")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Gossip(mongering=None, anti_entropy=None), "nothing would spread"),
        (lambda: Gossip(nodes=3, mongering=Mongering(fanout=3)), "a fanout of 3 is more than the 2 others"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()
