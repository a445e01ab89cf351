"""Each invariant of Dynamo sees the protocol with one word changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sim.faults import Crash, Partition
from sim.lab import draw_storm, run_storm
from sim.message import replace
from sim.protocols import Dynamo
from sim.protocols.causality.dots import Context
from sim.protocols.client import Retry
from sim.protocols.replication.dynamo import DynamoClient, DynamoNode
from sim.protocols.replication.dynamo.anti_entropy import DynamoAntiEntropy
from sim.protocols.replication.dynamo.coordinator import Coordinator
from sim.protocols.replication.dynamo.handoff import HintedHandoff
from sim.protocols.replication.dynamo.messages import Purge
from sim.protocols.replication.dynamo.tombstones import Collector
from sim.workload import Mix, UniformKeys
from sim.zoo.multi_primary import AnswersBeforeRepair, CountsStandIns, KeepsHints
from tests.budget import likely_first

Make = Callable[..., Any]


def first_broken(system: Dynamo, invariant: str, *, seeds: Sequence[int] = range(20), **mix: float) -> None:
    """A invariant is broken in one of the storms, and no other before it."""
    for seed in seeds:
        scenario = draw_storm(system, seed, length=3.0)
        if mix:
            workload = dataclasses.replace(scenario.workload, mix=Mix(tuple(mix.items()), UniformKeys(2)))
            scenario = dataclasses.replace(scenario, workload=workload)
        run = run_storm(scenario, seed)
        if run.violation is not None:
            assert run.violation.invariant == invariant, run.violation
            return
    pytest.fail(f"{invariant!r} did not see it in {len(seeds)} storms")


# dy1


def homes_of(key: str) -> tuple[str, ...]:
    return Dynamo(nodes=5, n=3).order(key)


KEY = next(k for k in (f"k{i}" for i in range(100)) if homes_of(k)[0] == "n0")
ORDER = homes_of(KEY)
WRITTEN_ON_STAND_INS = [(0.1, "put", KEY, "n0"), (1.0, "put", KEY, "n0"), (2.0, "get", KEY, ORDER[1])]


def partitioned() -> list[Any]:
    """The first home is with the stand-ins, the other homes are on the other side; so are a writer and a reader."""
    return [Partition(((ORDER[0], *ORDER[3:]), tuple(ORDER[1:3])), at=0.5, duration=3.0)]


def test_dy1_a_sloppy_quorum_counted_as_strict(broken: Make, mutant: Make, play: Make) -> None:
    system = broken(nodes=5, node_class=mutant(coordinator=CountsStandIns))
    assert system.consistency == "regular"
    scenario = play(system, WRITTEN_ON_STAND_INS, faults=partitioned())
    run = scenario.run(1)
    assert run.violation is not None
    assert run.violation.invariant == "W acknowledgements are of W durable homes"
    run = dataclasses.replace(scenario, check=False).run(1)  # the history alone tells as well
    assert run.check().status == "invalid"
    honest = play(Dynamo(nodes=5), WRITTEN_ON_STAND_INS, faults=partitioned()).run(1)
    assert honest.check().ok


def test_dy1_in_storms(broken: Make, mutant: Make) -> None:
    system = broken(nodes=5, node_class=mutant(coordinator=CountsStandIns))
    first_broken(system, "W acknowledgements are of W durable homes")


def test_sloppy_quorums_are_available_in_the_partition_and_not_regular(play: Make) -> None:
    run = play(Dynamo(nodes=5, sloppy=True), WRITTEN_ON_STAND_INS, faults=partitioned()).run(1)
    assert run.violation is None
    assert run.operations["returned"].max() < 3.0
    verdict = run.check("regular")
    assert verdict.status == "invalid"
    shown = [(op.kind, op.value) for op in verdict.verdict.counterexample]
    assert shown == [("put", 2), ("put", 4), ("get", 2)]


# dy2


def test_dy2_read_repair_after_the_reply(broken: Make, mutant: Make, play: Make) -> None:
    """A write is on n0 only; a read there sees it, but its repair is lost; a read of the others does not see it."""
    steps = [(0.6, "put", "x", "n0"), (0.95, "get", "x", "n0"), (1.0, "get", "x", "n1")]
    faults = [
        Partition((("n0",), ("n1", "n2")), at=0.0, duration=0.9),
        Partition((("n0",), ("n1", "n2")), at=0.965, duration=2.0, one_way=True),
    ]
    system = broken(nodes=3, repair="blocking", node_class=mutant(coordinator=AnswersBeforeRepair))
    scenario = play(system, steps, faults=faults)
    run = scenario.run(1)
    assert run.violation is not None
    assert run.violation.invariant == "quorum reads are monotone"
    run = dataclasses.replace(scenario, check=False).run(1)  # the history alone tells as well
    assert run.check().status == "invalid"
    assert run.check("regular").ok
    honest = play(Dynamo(nodes=3, repair="blocking"), steps, faults=faults).run(1)
    assert honest.check().ok
    reads = honest.operations[honest.operations["kind"] == "get"].sort_values("called")
    assert (
        reads.iloc[0]["returned"] > 1.4 > reads.iloc[1]["returned"]
    )  # it waited, and asked another coordinator


def test_without_repair_before_the_reply_reads_are_regular_and_may_go_back(play: Make) -> None:
    steps = [(0.6, "put", "x", "n0"), (0.95, "get", "x", "n0"), (1.0, "get", "x", "n1")]
    faults = [
        Partition((("n0",), ("n1", "n2")), at=0.0, duration=0.9),
        Partition((("n0",), ("n1", "n2")), at=0.965, duration=2.0, one_way=True),
    ]
    run = play(Dynamo(nodes=3), steps, faults=faults).run(1)
    assert run.check().ok
    assert run.check("linearizable").status == "invalid"


# dy3 and mm4: what is deleted returns

TIMES: dict[str, Any] = {"hint_expiry": 1.0, "grace": 3.2, "sync_every": 0.25, "handoff_every": 0.25}
AWAY_HOME, KEEPER, OTHERS = ORDER[2], ORDER[3], (*ORDER[:2], ORDER[4])


def late_hint() -> tuple[list[Any], list[Any]]:
    """A home misses a write, a stand-in keeps it; both are apart while all homes get the deletion and purge it."""
    steps = [
        (0.2, "put", KEY, "n0"),  # to two homes, and as a hint to the keeper
        (2.0, "delete", KEY, "n0"),  # the third home is back; the keeper is not
        (11.0, "get", KEY, "n0"),
    ]
    faults = [
        Partition(((AWAY_HOME,), (*ORDER[:2], *ORDER[3:])), at=0.1, duration=1.5),
        Partition(((KEEPER,), (*ORDER[:3], ORDER[4])), at=1.2, duration=8.0),
    ]
    return steps, faults


def test_dy3_hint_replay_ignores_tombstone_gc(broken: Make, mutant: Make, play: Make) -> None:
    steps, faults = late_hint()
    system = broken(nodes=5, node_class=mutant(handoff=KeepsHints), **TIMES)
    scenario = play(system, steps, faults=faults, duration=12.0)
    run = scenario.run(1)
    assert run.violation is not None
    assert run.violation.invariant == "hints expire before tombstones"
    simulation = scenario.start(1)
    for invariant in simulation.cluster.invariants:
        invariant.check_handoff = lambda *_: None  # the invariant that sees it first looks away
        invariant.handed = _Anything()
    with pytest.raises(Exception, match="deleted stays deleted"):
        simulation.run()
    honest = play(Dynamo(nodes=5, **TIMES), steps, faults=faults, duration=12.0).run(1)
    assert honest.check().ok
    assert (honest.events["event"] == "purged").sum() == 3


class _Anything(dict[Any, Any]):
    def __missing__(self, key: Any) -> Any:
        return type("Nothing", (), {"hints": ()})


class PurgesByAge(Collector):
    def see_to(self, key: str, tombstone: Any) -> None:
        tombstone.by.update(dict.fromkeys(self.node.settings.homes(key)))
        super().see_to(key, tombstone)


def test_mm4_tombstones_collected_by_age(broken: Make, mutant: Make, play: Make) -> None:
    """A home is away for longer than the grace period, and still has what was deleted."""
    steps = [(0.2, "put", KEY, "n0"), (1.0, "delete", KEY, "n0"), (9.0, "get", KEY, "n0")]
    faults = [Partition(((AWAY_HOME,), tuple(n for n in ORDER if n != AWAY_HOME)), at=0.8, duration=6.0)]
    system = broken(nodes=5, node_class=mutant(collector=PurgesByAge), **TIMES)
    run = play(system, steps, faults=faults, duration=10.0).run(1)
    assert run.violation is not None
    assert run.violation.invariant == "deleted stays deleted"
    honest = play(Dynamo(nodes=5, **TIMES), steps, faults=faults, duration=12.0).run(1)
    assert honest.check().ok
    purges = honest.events[honest.events["event"] == "purged"]
    assert len(purges) == 3
    assert purges["time"].min() > 6.8 + TIMES["grace"]


def test_a_hint_that_a_coordinator_made_long_after_the_write_returned(broken: Make, play: Make) -> None:
    """Third home and first stand-in are silent: another stand-in takes the hint a second after the deletion."""
    away, silent, keeper = ORDER[2:]
    steps = [(0.2, "put", KEY, "p0"), (0.3, "delete", KEY, ORDER[0]), (2.5, "get", KEY, ORDER[0])]
    faults = [
        Partition((("p0",), (away, silent)), at=0.1, duration=3.0),
        Partition(((away,), (keeper,)), at=0.1, duration=1.8),
    ]
    times = {"hint_expiry": 0.9, "sync_every": 0.25, "handoff_every": 0.25, "detection": 0.5}
    # Reckons with the expiry of hints, and not with how late they may be made.
    hasty = type("Hasty", (broken,), {"hints_outlive_tombstones": False})
    run = play(hasty(nodes=5, proxies=1, grace=1.0, **times), steps, faults=faults).run(1)
    assert run.violation is not None
    assert run.violation.invariant == "deleted stays deleted"
    with pytest.raises(ValueError, match="may be made for 2 s after a write has returned"):
        Dynamo(nodes=5, proxies=1, grace=2.9, **times)
    honest = play(Dynamo(nodes=5, proxies=1, grace=3.0, **times), steps, faults=faults, duration=8.0).run(1)
    assert honest.check().ok
    assert (honest.events["event"] == "purged").sum() == 3


@pytest.mark.parametrize(("repair", "faults"), [("blocking", []), ("background", [Crash("n0", 0.505, 1.0)])])
def test_what_is_purged_is_nothing_that_a_read_ought_to_see(play: Make, repair: Any, faults: Any) -> None:
    """No read saw the tombstone, nor (where its coordinator crashes) did its client hear that it was written."""
    steps = [
        (0.1, "put", "x", "n0"),
        (0.3, "get", "x", "n1"),
        (0.5, "delete", "x", "n0"),
        (9.0, "get", "x", "n1"),
    ]
    system = Dynamo(nodes=3, repair=repair, **TIMES)
    run = play(system, steps, faults=faults, duration=10.0, retry=Retry(timeout=0.5, deadline=0.4)).run(1)
    assert (run.events["event"] == "purged").sum() == 3
    status = run.operations.set_index("kind")["status"]
    assert status["delete"] == ("info" if faults else "ok")
    assert run.violation is None, run.violation
    assert run.check().ok


# The other invariants


class Forgetful(DynamoNode):
    """Keeps what it stores in memory."""

    def keep(self, key: str, version: Any) -> None:
        self.__dict__["store"] = {**self.store, key: version}


def test_a_node_that_keeps_its_store_in_memory_is_caught(broken: Make) -> None:
    first_broken(broken(nodes=3, node_class=Forgetful), "durable before send", seeds=[0])


class LastMessageWins(DynamoNode):
    def keep(self, key: str, version: Any) -> None:
        before = self.store.get(key)
        if version != before:
            self.store[key] = version
            self.changed(key, before, version)


def test_a_version_that_shrinks_is_caught(broken: Make) -> None:
    first_broken(broken(nodes=3, node_class=LastMessageWins), "a stored version only grows")


class DropsAnything(Collector):
    def on_purge(self, src: str, msg: Purge) -> None:
        if msg.key in self.node.store:
            self.node.drop(msg.key)


def test_a_purge_of_what_was_written_since_is_caught(broken: Make, mutant: Make, play: Make) -> None:
    system = broken(nodes=3, node_class=mutant(collector=DropsAnything))
    simulation = play(system, [(0.1, "delete", "x", "n0"), (1.0, "put", "x", "n0")]).start(1)
    simulation.run(until=0.5)
    tombstone = simulation.nodes["n1"].store["x"]
    simulation.run(until=1.5)
    simulation.nodes["n0"].send("n1", Purge("x", tombstone))
    with pytest.raises(Exception, match="only tombstones are dropped"):
        simulation.run()


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneLess(Dynamo):
    """Counts one home less than it says."""

    less: str = "w"

    def is_read_quorum(self, homes: tuple[str, ...], answered: Any) -> bool:
        return len(answered) >= 2 - (self.less == "r")

    def is_write_quorum(self, homes: tuple[str, ...], answered: Any) -> bool:
        return len(answered) >= 2


class OneAck(Coordinator):
    def counts(self, src: str, home: str) -> bool:
        operation = next(iter(self.operations.values()))
        operation.quorum.setdefault(operation.homes[0])
        return super().counts(src, home)


@pytest.mark.parametrize("versions", ["lww", "siblings"])
def test_a_read_of_one_home_less_is_caught(versions: Any) -> None:
    system = OneLess(nodes=3, less="r", versions=versions, repair="off")
    first_broken(system, "a strict read sees the last completed write")


def test_a_write_to_one_home_less_is_caught(broken: Make, mutant: Make) -> None:
    first_broken(
        broken(nodes=3, node_class=mutant(coordinator=OneAck)), "W acknowledgements are of W durable homes"
    )


class NoAntiEntropy(DynamoAntiEntropy):
    def on_leaves(self, src: str, msg: Any) -> None:
        """Nothing is learnt."""


def test_replicas_that_learn_nothing_from_each_other_do_not_converge(
    broken: Make, mutant: Make, play: Make
) -> None:
    """The invariant of the protocol asks at the end of a quiet run, `run_storm` after every storm."""
    system = broken(nodes=3, repair="off", node_class=mutant(anti_entropy=NoAntiEntropy))
    first_broken(system, "convergence after healing", seeds=likely_first(range(60), 35))
    steps, faults = [(0.1, "put", "x", "n0")], [Partition((("n2",), ("n0", "n1")), at=0.0, duration=1.0)]
    run = play(system, steps, faults=faults, duration=20.0).run(1)
    assert run.violation is not None
    assert run.violation.invariant == "converged after healing"
    assert play(Dynamo(nodes=3, repair="off"), steps, faults=faults, duration=20.0).run(1).check().ok


class ForgetsItsWrites(DynamoClient):
    """The context of the next write is what was read last; the session's own writes are not in it."""

    def on_answer(self, src: str, msg: Any) -> None:
        before = dict(self.contexts)
        super().on_answer(src, msg)
        if msg.version is None:
            self.contexts = before


def test_two_writes_of_one_session_under_one_dot_are_caught(broken: Make) -> None:
    system = broken(nodes=3, versions="siblings", asks=ForgetsItsWrites)
    first_broken(system, "a write stands for one value")


class ForgetsContexts(DynamoClient):
    """Never says what it has seen of others."""

    def version_of(self, command: Any) -> Any:
        seen = self.contexts.get((command.session, command.key))
        if seen is not None:
            own = tuple(entry for entry in seen.vector if entry[0] == f"s{command.session}")
            self.contexts[command.session, command.key] = Context(own)
        return super().version_of(command)


def test_without_contexts_siblings_are_never_replaced(broken: Make, play: Make) -> None:
    steps = [(0.2 * i, ("get", "put")[i % 2], "x", ("n0", "n1")[i // 2 % 2]) for i in range(1, 20)]
    for asks, most in ((DynamoClient, 1), (ForgetsContexts, 2)):
        run = play(broken(nodes=3, versions="siblings", asks=asks), steps).run(1)
        assert run.violation is None
        reads = run.operations.loc[run.operations["kind"] == "get", "value"]
        assert reads.map(len).max() == most


class StampsHintsAnew(HintedHandoff):
    def add(self, home: str, key: str, version: Any) -> None:
        super().add(home, key, replace(version, stamp=(self.now, *version.stamp[1:]), value="?"))


def test_a_hint_under_another_version_is_caught(broken: Make, mutant: Make, play: Make) -> None:
    """Two writes meet a silent home; the first comes back as the newest."""
    steps = [(0.1, "put", KEY, "n0"), (0.3, "put", KEY, "n0")]
    system = broken(nodes=5, node_class=mutant(handoff=StampsHintsAnew))
    faults = [Partition(((ORDER[1],), tuple(n for n in ORDER if n != ORDER[1])), at=0.0, duration=2.0)]
    run = play(system, steps, faults=faults).run(1)
    assert run.violation is not None
    assert run.violation.invariant == "a hint is what was written"


class RewritesHints(HintedHandoff):
    def offer(self, home: str) -> None:
        for key, hints in list(self.hints.items()):
            self.hints[key] = tuple((whose, replace(v, value="?"), since) for whose, v, since in hints)
        super().offer(home)


def test_a_hint_with_another_value_is_caught(broken: Make, mutant: Make) -> None:
    system = broken(nodes=5, sloppy=True, node_class=mutant(handoff=RewritesHints))
    first_broken(system, "a write stands for one value")


class NoHints(HintedHandoff):
    def put_back(self, key: str, hints: list[Any]) -> None:
        """Acknowledged, and not kept."""


def test_a_hint_that_is_not_kept_is_caught(broken: Make, mutant: Make) -> None:
    system = broken(nodes=5, sloppy=True, node_class=mutant(handoff=NoHints))
    first_broken(system, "durable before send")


def test_a_crash_between_acknowledgements_loses_nothing(play: Make) -> None:
    """W = 2 of 3, one of the two crashes at once and restarts from its disk."""
    steps = [(0.1, "put", KEY, "n0"), (3.0, "get", KEY, ORDER[2])]
    faults = [Crash(ORDER[1], at=0.125, down=1.0), Crash(ORDER[0], at=1.5, down=10.0)]
    run = play(Dynamo(nodes=5, sync_every=None), steps, faults=faults, duration=6.0).run(1)
    assert run.operations.iloc[-1]["value"] == 2
    assert run.check().ok
