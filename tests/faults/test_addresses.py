"""Each fault has random draws of its own: none moves when another fault is left out or gets other parameters."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sim.faults
from sim import Scenario
from sim.cluster import Disk, Machine
from sim.faults import Crash, Fault, Pause, RandomCrashes, RandomPauses, addresses, pinned
from sim.network import constant
from sim.protocols import Raft
from sim.workload import NoLoad
from tests.faults.examples import EVERY

CLASSES = {
    kind
    for name in sim.faults.__all__
    if isinstance(kind := getattr(sim.faults, name), type) and issubclass(kind, Fault) and kind is not Fault
}
ONES = [one for one, _ in EVERY]
FAULTS = st.tuples(
    st.sampled_from(range(len(EVERY))), st.sampled_from([0, 1]), st.sampled_from(["", "", "a", "b/1"])
).map(lambda drawn: dataclasses.replace(EVERY[drawn[0]][drawn[1]], name=drawn[2]))
SEVERAL = st.lists(FAULTS, min_size=1, max_size=8).filter(
    lambda faults: len(set(addresses(faults))) == len(faults)
)


def without(items: Any, index: int) -> list[Any]:
    return [*items[:index], *items[index + 1 :]]


def test_the_sweep_knows_every_class_of_faults() -> None:
    assert {type(one) for one in ONES} == CLASSES


@given(SEVERAL, st.data())
def test_other_parameters_of_one_fault_move_no_draw_of_any(faults: list[Fault], data: Any) -> None:
    index = data.draw(st.integers(0, len(faults) - 1))
    pair = next(pair for pair in EVERY if type(pair[0]) is type(faults[index]))
    for other in pair:
        changed = [*faults]
        changed[index] = dataclasses.replace(other, name=faults[index].name)
        assert addresses(changed) == addresses(faults)


@given(SEVERAL, st.data())
def test_leaving_out_one_fault_moves_no_draw_of_those_with_another_name(
    faults: list[Fault], data: Any
) -> None:
    index = data.draw(st.integers(0, len(faults) - 1))
    stems = [address.rpartition("/")[0] for address in addresses(faults)]
    if stems.count(stems[index]) == 1:
        assert list(addresses(without(faults, index))) == without(addresses(faults), index)


@given(SEVERAL, st.data())
def test_leaving_out_one_pinned_fault_moves_no_draw_of_any_other(faults: list[Fault], data: Any) -> None:
    index = data.draw(st.integers(0, len(faults) - 1))
    assert addresses(pinned(faults)) == addresses(faults)
    assert list(addresses(without(pinned(faults), index))) == without(addresses(faults), index)


def scenario(*faults: Fault) -> Scenario:
    return Scenario(
        system=Raft(nodes=5, transfer=True),
        network=constant(0.005),
        workload=NoLoad(),
        machines=Machine(disk=Disk(fsync=0.001)),
        faults=faults,
        duration=3.0,
    )


def struck(event: str, *faults: Fault) -> list[tuple[float, str]]:
    frame = scenario(*faults).run(5).events
    return list(frame[frame.event == event][["time", "node"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("one", ONES, ids=lambda one: type(one).__name__)
def test_a_fault_draws_below_its_own_address_only(one: Fault) -> None:
    twice = scenario(one, one).start(3)
    twice.run()
    drawn = [
        address for address in (*twice.streams._branches, *twice.streams._streams) if "faults" in address
    ]
    mine = tuple(
        f"faults/{type(one).__name__}/{one.name or ','.join(one.targets()) or 'all'}/{k}" for k in (0, 1)
    )
    assert set(mine) <= set(drawn)
    assert all(address in mine or address.startswith((f"{mine[0]}/", f"{mine[1]}/")) for address in drawn)


def test_two_faults_with_random_targets_choose_apart_from_each_other() -> None:
    first, second = Pause("random", at=0.5, duration=0.1), Pause("random", at=1.5, duration=0.1, name="b")
    both = struck("pause", first, second)
    assert [*struck("pause", first), *struck("pause", second)] == both
    many = struck("pause", *(Pause("random", at=0.1 * k, duration=0.05) for k in range(1, 20)))
    assert len({node for _, node in many}) == 5


def test_two_random_pauses_of_one_member_are_apart_from_each_other() -> None:
    one, other = (RandomPauses(every, 1e-6, members=("n1",)) for every in (0.2, 0.3))
    alone = struck("pause", one)
    assert len(alone) > 5
    for changed in (other, dataclasses.replace(other, every=0.2)):
        assert set(alone) < set(struck("pause", one, changed))


def test_a_share_of_lost_disks_does_not_move_the_crashes() -> None:
    plain, wiped = (RandomCrashes(0.3, 0.1, wiped=share) for share in (0.0, 0.5))
    assert len(struck("crash", plain)) > 5
    assert struck("crash", plain) == struck("crash", wiped)


def test_two_faults_of_one_numbered_name_are_refused() -> None:
    with pytest.raises(ValueError, match="another Crash is named 'x/0', too"):
        scenario(Crash("n0", at=1.0, name="x/0"), Crash("n1", at=1.0, name="x/0"))
    assert addresses([Crash("n0", at=1.0), Crash("n0", at=2.0, name="n0/0")]) == ("Crash/n0/1", "Crash/n0/0")
