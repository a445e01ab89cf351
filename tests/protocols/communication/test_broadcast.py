"""Broadcasts: what each costs, exactly; what each promises, in schedules made by hand; a mutant for each promise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from sim.cluster import Cluster
from sim.message import replace
from sim.network import constant
from sim.network.disturbances import Disturbance
from sim.node import Node, durable, durable_log, message, part
from sim.protocols.communication import (
    ANY,
    CAUSAL,
    FIFO,
    BestEffortBroadcast,
    BroadcastStore,
    EagerBroadcast,
    LazyBroadcast,
    LoggedLinks,
    SequencerBroadcast,
    UniformBroadcast,
)
from sim.protocols.communication.broadcast import Packet
from sim.protocols.communication.links import Segment
from sim.protocols.communication.raft_order import RaftBroadcast, Submit
from sim.protocols.communication.store import (
    BestEffortReplica,
    CausalReplica,
    FifoReplica,
    PartReplica,
    RaftReplica,
    ReliableReplica,
    SequencerReplica,
    UniformReplica,
)
from sim.protocols.consensus.raft.node import RequestVoteReply
from sim.protocols.membership.heartbeats import HeartbeatDetector
from sim.protocols.membership.suspicion import FixedTimeout
from sim.system import Member, SafetyViolation
from sim.testing import Bench

DELTA = 0.01


@message
class Word:
    text: str


class Listener(Node):
    """Keeps what is delivered, with the time."""

    def on_start(self) -> None:
        self.heard: list[tuple[float, str, str]] = []

    def on_word(self, src: str, msg: Word) -> None:
        self.heard.append((round(self.now, 9), src, msg.text))


def listeners(kind: type, size: int, **settings: Any) -> Cluster:
    """A group whose members hold a broadcast over the bare network."""

    class Holder(Listener):
        detector = part(HeartbeatDetector, rule=FixedTimeout(), heartbeat=1.0, detection=10.0)
        cast = part(kind, **settings)

    cluster = Cluster(constant(DELTA), 0, checking=True, tracing=True)
    for i in range(size):
        cluster.add(Member(f"n{i}", Holder), place="lan")
    cluster.boot()
    return cluster


def delays(cluster: Cluster, origin: str) -> tuple[float, tuple[float, ...], int]:
    """What a broadcast by ``origin`` costs: δ until it delivers, until the others do, and messages."""
    node: Any = cluster.hosts[origin].node
    begun, before = cluster.env.now, len(cluster.recorder.messages)
    node.cast.broadcast(Word("hello"))
    cluster.env.run(until=begun + 20 * DELTA)
    times = {name: (host.node.heard[-1][0] - begun) / DELTA for name, host in cluster.hosts.items()}  # type: ignore[union-attr]
    rows = [row for row in cluster.recorder.messages[before:] if row[1] != row[2] and row[0] != "Heartbeat"]
    others = tuple(round(t, 6) for name, t in times.items() if name != origin)
    return round(times[origin], 6), others, len(rows)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_what_a_broadcast_costs(n: int) -> None:
    for order in (ANY, FIFO, CAUSAL):
        ones = (1.0,) * (n - 1)
        assert delays(listeners(BestEffortBroadcast, n, order=order), "n1") == (0, ones, n - 1)
        assert delays(listeners(EagerBroadcast, n, order=order), "n1") == (0, ones, n * (n - 1))
        assert delays(listeners(LazyBroadcast, n, order=order), "n1") == (0, ones, n - 1)
        majority = (1.0 if n == 3 else 2.0,) * (n - 1)  # with three, origin and receiver are a majority
        assert delays(listeners(UniformBroadcast, n, order=order), "n1") == (2, majority, n * (n - 1))
    assert delays(listeners(SequencerBroadcast, n), "n1") == (2, (1.0, *(2.0,) * (n - 2)), n)
    assert delays(listeners(SequencerBroadcast, n), "n0") == (0, (1.0,) * (n - 1), n - 1)


class RaftListener(RaftBroadcast):
    """A listener whose order is the log of a Raft group."""

    def on_start(self) -> None:
        self.heard: list[tuple[float, str, str]] = []
        super().on_start()

    def on_word(self, src: str, msg: Word) -> None:
        self.heard.append((round(self.now, 9), src, msg.text))


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize(
    ("origin", "own", "leader", "others"), [("n0", 2.0, 2.0, 3.0), ("n1", 4.0, 3.0, 4.0)]
)
def test_what_total_order_by_consensus_costs(
    n: int, origin: str, own: float, leader: float, others: float
) -> None:
    cluster = Cluster(constant(DELTA), 0, checking=True, tracing=True)
    system = BroadcastStore(nodes=n, order="total", heartbeat=10.0, detection=100.0)  # no heartbeat meanwhile
    for i in range(n):
        cluster.add(Member(f"n{i}", RaftListener), place="lan", settings=system)
    cluster.boot()
    cluster.env.run(until=1.0)
    before = len(cluster.recorder.messages)
    cluster.hosts[origin].node.atomic_broadcast(Word("hello"))  # type: ignore[union-attr]
    cluster.env.run(until=1.5)
    took = {
        name: round((host.node.heard[-1][0] - 1.0) / DELTA, 6)
        for name, host in cluster.hosts.items()  # type: ignore[union-attr]
    }
    expected = dict.fromkeys(took, others) | {"n0": leader, origin: own}
    assert took == expected
    rows = [row for row in cluster.recorder.messages[before:] if row[1] != row[2]]
    assert len(rows) == 4 * (n - 1) + (origin != "n0")


# Schedules by hand


def test_best_effort_may_reach_some_and_not_others_and_reliable_broadcast_does_not(stage: Any) -> None:
    for mutant in (BestEffortReplica, ReliableReplica):
        play = stage(BroadcastStore(order="reliable"), mutant=mutant, beside="n0")
        play.cluster.network.cut([("n0", "n2")])
        play.ask("n0")
        play.run(1.5 * DELTA)
        play.crash("n0")  # for good
        play.run(2.0)
        if mutant is ReliableReplica:
            play.finish()
            assert play.node("n2").table.data == {"x": None} == play.node("n1").table.data
        else:
            with pytest.raises(SafetyViolation, match="agreement violated"):
                play.finish()


def test_lazy_broadcast_relays_once_the_origin_is_silent(stage: Any) -> None:
    play = stage(BroadcastStore(order="lazy"), beside="n0")
    play.cluster.network.cut([("n0", "n2")])
    play.ask("n0")
    play.run(1.5 * DELTA)
    play.crash("n0")
    play.run(0.4)
    assert not play.node("n2").table.data
    play.run(0.2)  # the detection time is 0.5 s
    assert play.node("n2").table.data == {"x": None}
    play.finish()


def test_an_origin_may_deliver_alone_unless_the_broadcast_is_uniform(stage: Any) -> None:
    for mutant, caught in ((ReliableReplica, True), (UniformReplica, False)):
        play = stage(BroadcastStore(order="uniform"), mutant=mutant, beside="n0")
        play.isolate("n0")
        play.ask("n0")
        play.run(0.05)
        play.crash("n0")
        play.run(1.0)
        assert bool(play.replies) == caught  # what only the dead one has was acknowledged
        if caught:
            with pytest.raises(SafetyViolation, match="uniform agreement violated"):
                play.finish()
        else:
            play.finish()


def test_the_sequencers_crash_delays_all_members_and_consensus_continues(stage: Any) -> None:
    sequenced = stage(BroadcastStore(order="sequencer"), beside="n1")
    agreed = stage(BroadcastStore(order="total"), beside="n1")
    for play in (sequenced, agreed):
        play.run(0.5)
        play.crash("n0")
        play.ask("n1", value=1)
        play.run(3.0)
    assert not sequenced.replies
    assert [reply.status for reply in agreed.replies] == ["ok"]
    sequenced.restart("n0")
    sequenced.run(0.2)
    assert [reply.status for reply in sequenced.replies] == ["ok"]


def test_a_restarted_member_of_the_group_goes_on_where_it_was(stage: Any) -> None:
    """What it has delivered it has at once, without a leader to tell it how much is committed."""
    play = stage(BroadcastStore(order="total"), beside="n1")
    play.run(0.5)
    play.ask("n1", value=1)
    play.run(0.2)
    play.crash("n1")
    play.isolate("n1")
    play.restart("n1")
    assert play.node("n1").table.data == {"x": 1}


def test_a_message_that_is_submitted_again_has_one_place_in_a_leader_s_log() -> None:
    """Where the log is slow, each further place makes it slower: a group with slow cards came to a stop for ever."""
    bench = Bench(
        RaftListener, "n0", members=("n0", "n1", "n2"), settings=BroadcastStore(order="total"), keep_own=True
    )
    bench.fire("election")
    bench.deliver_self()
    bench.deliver("n1", RequestVoteReply(1, True))
    assert bench.node.role == "leader"
    before = len(bench.node.log)
    for number in (1, 1, 2, 1):
        bench.deliver("n2", Submit(Packet("n2", number, (), Word("hello"))))
    assert [entry.command.value.number for entry in bench.node.log[before:]] == [1, 2]


# A story to read


class Replier(Listener):
    """Answers the word "question"."""

    cast = part(BestEffortBroadcast, order=CAUSAL)

    def on_word(self, src: str, msg: Word) -> None:
        super().on_word(src, msg)
        if self.name == "n1" and msg.text == "question":
            self.cast.broadcast(Word("answer"))


def test_an_answer_that_overtakes_its_question_waits(
    narrate: Callable[..., Any], golden: Callable[[str, str], None]
) -> None:
    """n0 asks, n1 answers; the way from n0 to n2 is five times as long as the others."""
    cluster = Cluster(constant(DELTA), 0, checking=True, tracing=True)
    for i in range(3):
        cluster.add(Member(f"n{i}", Replier), place="lan")
    cluster.boot()
    cluster.network.disturb([("n0", "n2")], Disturbance(slowdown=5.0))

    def describe(msg: Any) -> str:
        past = " ".join(f"{name}:{n}" for name, n in msg.past if n)
        return f"{msg.origin}'s {msg.body.text}, after {past or 'nothing'}"

    def tell(event: str, detail: Any) -> str:
        does = "delivers" if event == "deliver" else "broadcasts"
        return f"{does} {detail['origin']}'s {detail['body'].text}"

    narrator = narrate(cluster, describe, tell)
    n0: Any = cluster.hosts["n0"].node
    n2: Any = cluster.hosts["n2"].node
    n0.cast.broadcast(Word("question"))
    cluster.env.run(until=3 * DELTA)
    narrator.lines.append(
        f"{30.0:6.1f} ms  n2 holds {', '.join(p.body.text for p in n2.cast.waiting.values())}"
    )
    cluster.env.run(until=1.0)
    assert [text for _, _, text in n2.heard] == ["question", "answer"]
    assert [round(time / DELTA, 6) for time, _, _ in n2.heard] == [5, 5]
    golden("causal_broadcast.txt", "\n".join(["one-way delay 10 ms; 50 ms from n0 to n2", *narrator.lines]))


# Mutants: each promise has one that breaks it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broken(BroadcastStore):
    """The store with another replica class."""

    mutant: type[Node] = Node

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, self.mutant) for name in self.names)


class Forgetful(EagerBroadcast):
    def knows(self, dot: Any) -> bool:
        return False


class Inventive(EagerBroadcast):
    """Relays something else."""

    def first_seen(self, packet: Any) -> None:
        command = replace(packet.body.command, value="invented")
        super().first_seen(replace(packet, body=replace(packet.body, command=command)))


class Partial(BestEffortBroadcast):
    """Leaves the last one out."""

    def on_start(self) -> None:
        self.peers = self.peers[:-1]


class Unordered(SequencerBroadcast):
    """Delivers what comes, when it comes."""

    def on_ordered(self, src: str, msg: Any) -> None:
        self.deliver(msg)


class Eager(UniformBroadcast):
    """Is content with one acknowledgement."""

    def on_start(self) -> None:
        super().on_start()
        self.enough = lambda names: len(names) >= 1


class ForgetfulReplica(ReliableReplica):
    cast = part(Forgetful, links="links")


class InventiveReplica(ReliableReplica):
    cast = part(Inventive, links="links")


class PartialReplica(BestEffortReplica):
    cast = part(Partial, links="links")


class UnorderedReplica(SequencerReplica):
    links = part(LoggedLinks)
    cast = part(Unordered, links="links")


class HastyLinks(LoggedLinks):
    """Send before the disk has what they send."""

    def transmit(self, dst: str, number: int) -> None:
        self.host.send(dst, Segment(self.life, number, self.outbox[dst, number]), False)
        self.set_timer("retransmit", self.every, (dst, number))


class HastyReplica(ReliableReplica):
    links = part(HastyLinks)


class Twice(RaftReplica):
    """Delivers whatever stands in the log."""

    def deliver(self, packet: Any) -> None:
        super().deliver(packet)
        self.delivered = type(self.delivered)()


class CausalForTotal(CausalReplica):
    """Orders by causes only; it has the fields that a total order promises to keep."""

    current_term = durable(0)
    voted_for = durable(None)
    log = durable_log()


MUTANTS = [
    ("reliable", ForgetfulReplica, "no duplication"),
    ("reliable", InventiveReplica, "no creation"),
    ("best-effort", PartialReplica, "validity"),
    ("fifo", ReliableReplica, "FIFO order"),
    ("causal", FifoReplica, "causal order"),
    ("sequencer", UnorderedReplica, "total order"),
    ("total", CausalForTotal, "total order"),
    ("reliable", HastyReplica, "durable before send"),
    ("total", Twice, "no duplication"),
]


@pytest.mark.parametrize(("order", "mutant", "invariant"), MUTANTS, ids=lambda v: getattr(v, "__name__", v))
def test_each_promise_has_a_mutant_that_breaks_it(
    find_violation: Callable[..., str], order: Any, mutant: type[Node], invariant: str
) -> None:
    assert find_violation(Broken(order=order, mutant=mutant)) == invariant


class EagerReplica(PartReplica):
    links = part(LoggedLinks)
    cast = part(Eager, links="links")


def test_a_single_acknowledgement_is_not_uniform(stage: Any) -> None:
    play = stage(BroadcastStore(order="uniform"), mutant=EagerReplica, beside="n0")
    play.isolate("n0")
    play.ask("n0")
    play.run(0.05)
    play.crash("n0")
    play.run(1.0)
    with pytest.raises(SafetyViolation, match="uniform agreement violated"):
        play.finish()


class Amnesiac(RaftReplica):
    """Begins with an empty state after a restart."""

    def on_start(self) -> None:
        self.reached = 0
        super().on_start()


def test_a_member_that_forgets_how_far_it_was_shows_an_older_state(
    weather_beside: Callable[..., Any],
) -> None:
    for seed in range(30):
        run = weather_beside(Broken(order="total", mutant=Amnesiac), seed, 4.0)
        assert run.violation is None
        if run.check("sequential").status == "invalid":
            return
    pytest.fail("nobody saw it")


# Settings


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"order": "causal", "reads": "ordered"}, "needs a total order, not order='causal'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        BroadcastStore(**settings)


def test_parts_refuse_settings_that_cannot_work() -> None:
    with pytest.raises(ValueError, match="order must be ANY, FIFO or CAUSAL, not 'causal'"):
        part(BestEffortBroadcast, order="causal")
    with pytest.raises(ValueError, match="the sequencer 'n7' is no member of n0, n1"):
        listeners(SequencerBroadcast, 2, sequencer="n7")
