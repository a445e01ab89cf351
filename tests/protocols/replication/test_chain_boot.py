"""Power fails before the disks of a chain have what their servers begin with."""

from __future__ import annotations

from typing import Any

import pytest

from sim.protocols import ChainReplication, Craq
from sim.protocols.membership.views import ConfigurationMaster
from sim.protocols.replication.chain.node import Ack
from sim.system import SafetyViolation
from sim.testing import Stage

SERVERS = ("n0", "n1", "n2")
BOTH = pytest.mark.parametrize("kind", [ChainReplication, Craq])


def cut_power(s: Stage, *names: str) -> None:
    for name in names:
        s.cluster.crash(name, power=True)


def lose_power(s: Stage, *names: str) -> None:
    cut_power(s, *names)
    for name in names:
        s.cluster.restart(name)


def is_served(s: Stage) -> bool:
    """Whether the chain takes an update, and the tail reads it."""
    members = s.node("master").chain.members
    wrote = s.ask(members[0], "put", "x", 7)
    s.run(1.0)
    read = s.ask(members[-1], "get", "x")
    s.run(1.0)
    return bool(s.answers(wrote)) and s.answers(read) == [7]


@BOTH
@pytest.mark.parametrize("names", [SERVERS, (*SERVERS, "master")], ids=["servers", "all"])
def test_a_chain_that_lost_power_before_its_first_sync_begins_again(
    kind: Any, names: tuple[str, ...]
) -> None:
    s = Stage(kind(nodes=3), fsync=0.001)
    s.run(0.0005)
    lose_power(s, *names)
    s.run(5.0)
    assert s.node("master").chain.members == SERVERS
    assert s.node("master").chain.begins
    assert is_served(s)


@BOTH
def test_it_begins_again_as_often_as_power_fails_before_a_sync(kind: Any) -> None:
    s = Stage(kind(nodes=3), fsync=0.001)
    s.run(0.0005)
    lose_power(s, *SERVERS)
    while s.node("n2").view_number < 2 and s.now < 5.0:
        s.tick()
    lose_power(s, *SERVERS)  # n2 has taken up its second beginning, and its disk has not
    s.run(5.0)
    assert is_served(s)


@BOTH
@pytest.mark.parametrize("kept", SERVERS)
def test_servers_that_lost_what_they_began_with_join_one_that_did_not(kind: Any, kept: str) -> None:
    s = Stage(kind(nodes=3), fsync=0.001)
    s.run(0.0005)
    lose_power(s, *(name for name in SERVERS if name != kept))
    s.run(5.0)
    chain = s.node("master").chain
    assert chain.head == kept
    assert sorted(chain.members) == list(SERVERS)
    assert not chain.begins
    assert is_served(s)


@BOTH
@pytest.mark.parametrize("back", ["n1", "n2"])
def test_a_chain_is_not_left_to_a_server_that_has_not_begun_it(kind: Any, back: str) -> None:
    """It would wait for ever: a chain of it alone is not the first one, and nobody has a history for it."""
    s = Stage(kind(nodes=3), fsync=0.001)
    s.run(0.0005)
    cut_power(s, *SERVERS)
    s.cluster.restart(back)
    s.run(5.0)
    assert s.node("master").chain.members == SERVERS
    for name in SERVERS:
        if name != back:
            s.cluster.restart(name)
    s.run(5.0)
    assert is_served(s)


@BOTH
def test_a_tail_that_has_begun_does_not_speak_for_the_others(kind: Any) -> None:
    """It has all that was acknowledged, which is nothing; another server may have lost what it began with."""
    s = Stage(kind(nodes=3), fsync=0.001)
    s.run(0.0005)
    s.cluster.crash("n0", power=True)
    s.run(0.1)
    for name in ("n1", "n2"):
        s.cluster.crash(name)
    s.run(0.2)
    s.cluster.restart("n0")  # it is heard after the others were heard last
    s.run(5.0)
    assert s.node("master").chain.members == SERVERS
    for name in ("n1", "n2"):
        s.cluster.restart(name)
    s.run(5.0)
    assert s.node("master").chain.head == "n1"
    assert is_served(s)


@BOTH
def test_a_server_that_has_not_begun_calls_no_other_silent(kind: Any) -> None:
    """It sends nothing to its successor, so that this one has nothing to answer."""
    s = Stage(kind(nodes=3), fsync=0.001)
    s.run(0.0005)
    lose_power(s, "n0", "n1")
    s.run(0.03)
    s.cluster.crash("n2")
    lose_power(s, "master")  # which takes all members for alive again, and hears that two have not begun
    s.run(5.0)
    s.cluster.restart("n2")
    s.run(5.0)
    assert s.node("master").chain.head == "n2"
    assert is_served(s)


@BOTH
def test_servers_reported_silent_go_on_when_nobody_else_is_left(stage: Any, kind: Any) -> None:
    """The master, paused meanwhile, heard of nobody else, and granted them no lease any more: no chain, for ever."""
    s = stage(kind(nodes=3))
    wrote = s.ask("n0", "put", "x", 1)
    s.run(0.2)
    assert s.answers(wrote)
    s.hold(kind=Ack)
    while set(s.node("master").shut) != {"n1", "n2"} and s.now < 5.0:
        s.tick()
    s.crash("n0")
    s.cluster.pause("master")
    s.run(0.3)
    s.cluster.resume("master")
    s.release()
    s.run(3.0)
    assert s.node("master").chain.members[0] in ("n1", "n2")
    assert is_served(s)


class BeginsWithMost(ConfigurationMaster):
    """Lets servers begin again that have all but one lost their disks."""

    def _reconsider(self) -> None:
        if self.chain.begins and len(self.empty) == len(self.chain.members) - 1:
            self._install(self.chain.members, begins=True)
        super()._reconsider()


def two_lose_their_disks(stage: Any, master: type[ConfigurationMaster]) -> None:
    s = stage(ChainReplication(nodes=3), master_class=master)
    s.ask("n0", "put", "x", 1)
    s.run(0.2)
    s.crash("n1", "n2")
    s.restart("n1", "n2", wiped=True)
    s.run(5.0)
    read = s.ask(s.node("master").chain.tail, "get", "x")
    s.run(1.0)
    assert s.answers(read) == [1]


def test_an_acknowledged_update_outlives_all_disks_but_one(stage: Any) -> None:
    two_lose_their_disks(stage, ConfigurationMaster)
    with pytest.raises(SafetyViolation):
        two_lose_their_disks(stage, BeginsWithMost)
