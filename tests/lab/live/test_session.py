"""Live sessions: cuts by hand, going back, and the script that repeats what was done."""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sim import SafetyViolation, Scenario, Simulation
from sim.faults import Crash, Partition
from sim.lab.live.journal import LOOKS
from sim.network import Exponential, constant, lan
from sim.network.detention import Detention
from sim.network.disturbances import Disturbance
from sim.protocols import Paxos, Raft
from sim.protocols.admin import Transfer
from sim.workload import ClosedLoop, UniformKeys

SEARCH = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.explicit, Phase.generate]
)
"""A failing session is short enough as it is: shrinking it would take minutes."""

NODES = ("n0", "n1", "n2")


def scenario(**changes: Any) -> Scenario:
    base: dict[str, Any] = {
        "system": Raft(nodes=3, heartbeat=0.05, detection=0.2),
        "network": constant(0.01),
        "workload": ClosedLoop(clients=2, keys=UniformKeys(3), think=0.02),
        "faults": [Crash("n1", at=0.5, down=0.3)],
        "duration": 60.0,
    }
    return Scenario(**{**base, **changes})


def repeated(live: Simulation) -> Simulation:
    """The session that the script of another one makes."""
    script = live.script()
    linecache.cache["<script>"] = (
        len(script),
        None,
        script.splitlines(keepends=True),
        "<script>",
    )  # as a notebook does
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(script, "<script>", "exec"), space)
    again = space["live"]
    assert isinstance(again, Simulation)
    return again


def leaves(victim: str) -> Callable[[str, str, Any], bool]:
    def matches(src: str, dst: str, message: Any) -> bool:
        return src == victim and dst != victim

    return matches


KEPT = Detention("AppendEntries", None, ("n2",), 3)
SLOW = Disturbance(delay=0.03)

MOVES: dict[str, Callable[[Simulation, str, int], object]] = {
    "run": lambda live, node, k: live.run(until=live.now + 0.05 * k),
    "step": lambda live, node, k: [live.step() for _ in range(k)],
    "crash": lambda live, node, k: live.crash(node, power=k % 2 == 0),
    "restart": lambda live, node, k: live.restart(node),
    "pause": lambda live, node, k: live.pause(node),
    "resume": lambda live, node, k: live.resume(node),
    "isolate": lambda live, node, k: live.isolate(node),
    "split": lambda live, node, k: live.split(node, [other for other in NODES if other != node]),
    "heal": lambda live, node, k: live.heal(),
    "cut": lambda live, node, k: live.cut([(node, NODES[k % 3])], "by hand"),
    "hold": lambda live, node, k: live.hold(lambda src, dst, message: dst == node),
    "hold by a def": lambda live, node, k: live.hold(leaves(node)),
    "release": lambda live, node, k: live.release(stop=k % 2 == 0),
    "release some": lambda live, node, k: live.release(lambda held: held.src == node, stop=False),
    "clock": lambda live, node, k: live.set_clock(node, offset=0.01 * k, drift=0.001),
    "speed": lambda live, node, k: live.set_speed(node, 1.0 / k),
    "detain": lambda live, node, k: live.detain(KEPT),
    "let go": lambda live, node, k: live.let_go(KEPT),
    "disturb": lambda live, node, k: live.disturb([("n0", node)] if node != "n0" else [], SLOW),
    "relieve": lambda live, node, k: live.relieve([("n0", node)] if node != "n0" else [], SLOW),
    "ask": lambda live, node, k: live.administer(Transfer(node)),
    "note": lambda live, node, k: live.record(node, "seen", {"k": k}),
    "calm": lambda live, node, k: live.calm() if k == 7 else None,
}

SESSIONS = st.lists(
    st.tuples(st.sampled_from(["run", "run", "step", *MOVES]), st.sampled_from(NODES), st.integers(1, 7)),
    min_size=1,
    max_size=25,
)


def play(live: Simulation, moves: list[tuple[str, str, int]]) -> None:
    for verb, node, k in moves:
        with suppress(ValueError):  # what is refused changes nothing, and is not in the script
            MOVES[verb](live, node, k)


@settings(SEARCH, max_examples=15)
@given(seed=st.integers(0, 5), moves=SESSIONS)
def test_the_script_of_a_session_gives_the_same_digest(seed: int, moves: list[tuple[str, str, int]]) -> None:
    live = scenario().start(seed)
    KEPT.forget()
    play(live, moves)
    again = repeated(live)
    end = live.now + 0.5
    for one in (live, again):
        one.run(until=end)
        one.finish()
    assert again.recorder.digest() == live.recorder.digest()
    assert again.script() == live.script()


@settings(SEARCH, max_examples=10)
@given(before=SESSIONS, after=SESSIONS)
def test_going_back_finds_the_session_as_it_was_at_that_time(
    before: list[tuple[str, str, int]], after: list[tuple[str, str, int]]
) -> None:
    live = scenario().start(1)
    KEPT.forget()
    play(live, before)
    live.run(until=round(live.now + 0.1, 6))
    then, digest, entries = live.now, live.recorder.digest(), live.journal
    play(live, after)
    live.run(until=live.now + 0.1)
    live.back(live.now - then)
    assert live.now == then
    assert live.recorder.digest() == digest
    assert live.journal == entries


def started(**changes: Any) -> Simulation:
    live = scenario(faults=[], **changes).start(2)
    live.run(until=1.0)
    return live


def test_an_isolated_node_is_cut_from_all_others_until_heal() -> None:
    live = started()
    leader = live.leader
    assert leader is not None
    live.isolate("leader")
    others = [name for name in live.nodes if name != leader]
    assert all(live.cluster.network.is_cut(leader, other) for other in others)
    assert all(live.cluster.network.is_cut(other, leader) for other in others)
    assert not live.cluster.network.is_cut(others[0], others[1])
    live.run(until=3.0)
    assert {node.current_term for node in live.members.values()} == {1, 2}  # type: ignore[attr-defined]
    live.heal()
    assert not any(live.cluster.network.is_cut(leader, other) for other in others)
    live.run(until=4.0)
    assert len({node.current_term for node in live.members.values()}) == 1  # type: ignore[attr-defined]


def test_groups_that_are_split_keep_their_links_within_and_to_others() -> None:
    live = started(system=Raft(nodes=5))
    live.split(["n0", "n1"], ["n2", "n3"])
    cut = live.cluster.network.is_cut
    assert cut("n0", "n3")
    assert cut("n3", "n0")
    assert not cut("n0", "n1")
    assert not cut("n4", "n0")
    assert not cut("c0", "n0")
    live.heal()
    live.split("n4")
    assert [name for name in ("n0", "n1", "n2", "n3") if cut(name, "n4")] == ["n0", "n1", "n2", "n3"]
    assert not cut("c0", "n4")


def test_heal_leaves_what_a_fault_has_cut() -> None:
    live = scenario(faults=[Partition((("n0",),), at=0.5, duration=2.0)]).start(1)
    live.run(until=1.0)
    live.isolate("n1")
    live.heal()
    assert live.cluster.network.is_cut("n0", "n2")
    assert not live.cluster.network.is_cut("n1", "n2")


def test_cuts_by_hand_that_mean_nothing_are_refused() -> None:
    live = started()
    refused: list[tuple[Callable[[], None], str]] = [
        (lambda: live.split(), "groups of nodes are needed"),
        (lambda: live.split(["n0"], []), "none of them empty"),
        (lambda: live.split("n0", ["n1", "n0"]), "n0 would be in two groups"),
        (lambda: live.split("n0", {"n1"}), "a group is a name, or a list of names, not {'n1'}"),  # type: ignore[arg-type]
        (lambda: live.split(["n0", "n1", "n2"]), "none of them empty"),
        (lambda: live.isolate("n9"), "n9"),
        (lambda: live.back(1.5), "back: 1.5 s ago is before the start: it is 1 s"),
        (lambda: live.back(-1.0), "back: seconds must be positive"),
    ]
    for act, message in refused:
        with pytest.raises(ValueError, match=re.escape(message)):
            act()
    live.crash(str(live.leader))
    with pytest.raises(ValueError, match="no member is leader now: run on, or name a node"):
        live.isolate("leader")
    assert [entry.verb for entry in live.journal] == ["run", "crash"], "what is refused is not noted"


def test_every_public_method_of_a_simulation_is_noted_or_known_to_look() -> None:
    for name, method in inspect.getmembers(Simulation, inspect.isfunction):
        if not name.startswith("_"):
            assert (name in LOOKS) != hasattr(method, "is_noted"), name


def test_steps_are_one_entry_however_often_one_looks() -> None:
    live = started()
    for _ in range(3):
        live.step()
        assert live.journal[-1].verb == "step"
    assert [(entry.verb, entry.arguments) for entry in live.journal] == [("run", (1.0,)), ("step", (3,))]
    live.run(until=2.0)
    assert [entry.verb for entry in live.journal] == ["run"]


def test_what_a_fault_does_is_not_noted() -> None:
    live = scenario().start(1)
    live.run(until=2.0)
    assert [entry.verb for entry in live.journal] == ["run"]
    assert any(row[2] == "crash" for row in live.recorder.events)


def test_a_session_that_breaks_an_invariant_is_repeated_with_it() -> None:
    duel = Scenario(
        system=Paxos(nodes=5, phase1=2, phase2=2, unsafe=True),
        network=lan(Exponential(0.005)),
        workload=ClosedLoop(clients={"n0": 1, "n4": 1}, operations=1, reads=0.0, keys=UniformKeys(1)),
        duration=2.0,
        check=True,
    )
    unsafe = duel.start(next(seed for seed in range(30) if duel.run(seed).violation is not None))
    with pytest.raises(SafetyViolation):
        unsafe.run(until=2.0)
    unsafe.run(until=3.0)
    unsafe.crash("n1")
    assert "with suppress(SafetyViolation):\n    live.run(until=2.0)" in unsafe.script()
    assert repeated(unsafe).recorder.digest() == unsafe.recorder.digest()


def test_a_session_that_was_interrupted_says_that_it_cannot_be_repeated() -> None:
    live = started()

    def interrupt(src: str, dst: str, message: Any) -> bool:
        raise KeyboardInterrupt

    live.hold(interrupt)
    with pytest.raises(KeyboardInterrupt):
        live.run(until=2.0)
    with pytest.raises(ValueError, match=r"interrupted within an event at 1.* s, which cannot be repeated"):
        live.script()
    live.back(live.now - 1.0)
    assert live.now == 1.0
    assert repeated(live).recorder.digest() == live.recorder.digest()


def test_a_function_reads_what_its_variables_were_when_it_was_given() -> None:
    live = started()
    victim = str(live.leader)
    live.hold(lambda src, dst, message: src == victim)
    victim = "nobody"
    live.run(until=1.5)
    assert live.held
    assert f"victim = {live.held[0].src!r}" in live.script()
    assert len(repeated(live).held) == len(live.held)


def test_a_script_says_what_it_cannot_write() -> None:
    live = started()
    live.hold(eval("lambda src, dst, message: True"))
    with pytest.raises(
        ValueError, match=r"text of the function .* is not known: define it in a file, or in a cell"
    ):
        live.script()
