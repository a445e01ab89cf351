"""What sending costs: cores, and a network card that links share. Queues are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Cluster, Disk, Machine
from sim.network import constant
from sim.network.link import HEADER_BYTES
from sim.node import Node, message
from sim.protocols import Raft
from sim.system import Member
from sim.workload import ClosedLoop

DELTA = 0.01


@message
class Go:
    pass


@message
class Parcel:
    number: int
    text: str = ""


class Speaker(Node):
    """Told to go, sends as ``settings`` says: (destination, text) each."""

    def on_start(self) -> None:
        self.got: list[tuple[float, int]] = []

    def on_go(self, src: str, msg: Go) -> None:
        for number, (dst, text) in enumerate(self.settings):
            self.send(dst, Parcel(number, text))

    def on_parcel(self, src: str, msg: Parcel) -> None:
        self.got.append((self.host.cluster.env.now, msg.number))


def world(orders: Any, profile: Machine, *, others: Machine | None = None, **options: Any) -> Cluster:
    made = Cluster(constant(DELTA), seed=1, **options)
    made.add(Member("a", Speaker), place="lan", profile=profile, settings=orders)
    for name in ("b", "c"):
        made.add(Member(name, Speaker), place="lan", profile=others or Machine(), settings=())
    made.boot()
    return made


def got(made: Cluster, name: str) -> Any:
    """(when in ms, which parcel) of all that a node has got."""
    return [(round(1e3 * time, 6), number) for time, number in made.nodes[name].got]  # type: ignore[attr-defined]


ONE_EACH = (("b", ""), ("c", ""), ("b", ""))


@pytest.mark.parametrize("checking", [False, True])
@pytest.mark.parametrize(("cores", "arrive"), [(1, (11, 12, 13)), (2, (11, 11, 12)), (3, (11, 11, 11))])
def test_messages_leave_one_after_the_other_when_a_core_has_served_them(
    cores: int, arrive: Any, checking: bool
) -> None:
    made = world(ONE_EACH, Machine(cores=cores, per_send=0.001), checking=checking)
    made.hosts["a"].receive("x", Go())
    made.env.run()
    assert got(made, "b") == [(arrive[0], 0), (arrive[2], 2)]
    assert got(made, "c") == [(arrive[1], 1)]


def test_bytes_cost_too_and_what_is_sent_waits_behind_what_has_come_in() -> None:
    """Two Go's are received in 0.5 ms each; the first one's parcel of 8 + 2 bytes queues behind the second: 1.0 ms."""
    made = world([("b", "xy")], Machine(per_message=0.0005, per_send=0.001, per_send_byte=0.0001))
    made.hosts["a"].receive("x", Go())
    made.hosts["a"].receive("x", Go())
    made.env.run()
    assert got(made, "b") == [(1 + 2 + 10, 0), (1 + 4 + 10, 0)]
    assert made.hosts["a"].cpu.busy == pytest.approx(0.005)


def test_all_links_share_the_card_which_sends_headers_too() -> None:
    """62 bytes (54 of headers, 8 of the number) take 1 ms at 62,000 bytes a second, to the other node likewise."""
    assert HEADER_BYTES == 54
    made = world((*ONE_EACH, ("c", "x" * 62)), Machine(nic=62_000.0))
    made.nodes["a"].on_go("x", Go())  # type: ignore[attr-defined]
    made.env.run()
    assert got(made, "b") == [(1 + 10, 0), (3 + 10, 2)]
    assert got(made, "c") == [(2 + 10, 1), (5 + 10, 3)]


def test_what_comes_in_queues_for_the_card_in_the_other_direction() -> None:
    """Three messages arrive at one instant; they are through 1, 2 and 3 ms later, while the way out is free."""
    made = world([("b", ""), ("b", ""), ("b", "")], Machine(), others=Machine(nic=62_000.0))
    made.hosts["a"].receive("x", Go())
    made.env.run()
    assert got(made, "b") == [(10 + 1, 0), (10 + 2, 1), (10 + 3, 2)]


def test_the_cores_come_first_on_the_way_out_and_the_card_first_on_the_way_in() -> None:
    host = Machine(per_send=0.002, per_message=0.004, nic=62_000.0)
    made = world([("b", ""), ("b", "")], host, others=host)
    made.nodes["a"].on_go("x", Go())  # type: ignore[attr-defined]
    made.env.run()
    # out: cores at 2 and 4 ms, card at 3 and 5 ms; in: card at 14 and 16 ms, cores at 18 and 22 ms
    assert got(made, "b") == [(18, 0), (22, 1)]


def test_a_crash_destroys_what_waits_to_be_sent_and_a_restart_begins_with_empty_queues() -> None:
    for host in (Machine(per_send=0.001), Machine(nic=62_000.0)):
        made = world([("b", "")] * 3, host)
        made.nodes["a"].on_go("x", Go())  # type: ignore[attr-defined]
        made.env.run(until=0.0015)
        made.crash("a")
        made.restart("a")
        made.nodes["a"].on_go("x", Go())  # type: ignore[attr-defined]
        made.env.run()
        assert got(made, "b") == [(1 + 10, 0), (2.5 + 10, 0), (3.5 + 10, 1), (4.5 + 10, 2)]


def test_a_message_whose_core_is_done_during_a_pause_leaves_after_it_but_the_card_goes_on() -> None:
    for host, second in ((Machine(per_send=0.001), 100), (Machine(nic=62_000.0), 2)):
        made = world([("b", "")] * 2, host)
        made.nodes["a"].on_go("x", Go())  # type: ignore[attr-defined]
        made.env.run(until=0.0015)
        made.pause("a")
        made.env.run(until=0.1)
        made.resume("a")
        made.env.run()
        assert got(made, "b") == [(1 + 10, 0), (second + 10, 1)]


def test_what_stays_on_the_machine_does_not_meet_its_card() -> None:
    made = Cluster(constant(DELTA), seed=1)
    host = Machine(nic=62_000.0)
    for name in ("a", "b"):
        made.add(
            Member(name, Speaker, machine="m"), place="lan", profile=host, settings=[("b", ""), ("c", "")]
        )
    made.add(Member("c", Speaker), place="lan", profile=host, settings=())
    made.boot()
    assert made.hosts["a"].nic is made.hosts["b"].nic
    for name in ("a", "b"):
        made.nodes[name].on_go("x", Go())  # type: ignore[attr-defined]
    made.env.run()
    assert got(made, "b") == [(0, 0), (0, 0)]
    assert got(made, "c") == [(1 + 10 + 1, 1), (2 + 10 + 1, 1)], "the two share one card"


def test_a_broadcast_of_a_leader_takes_the_time_of_its_copies() -> None:
    """Raft, n = 3: of a request sent at 0 from beside the leader, the copies leave after 1 and 2 ms, one answer is
    enough, which comes back after two delays, and the reply takes 1 ms of the core again."""
    run = Scenario(
        system=Raft(nodes=3, heartbeat=100.0, detection=1000.0),
        network=constant(DELTA),
        workload=ClosedLoop(clients={"n0": 1}, operations=5, reads=0.0),
        machines={"n0": Machine(per_send=0.001)},
        duration=2.0,
    ).run(seed=1)
    later = run.operations["latency"].to_numpy()[1:]
    assert later == pytest.approx([0.001 + 2 * DELTA + 0.001] * 4)


@pytest.mark.parametrize("host", [Machine(), Machine(per_message=0.001)])
def test_where_sending_is_free_a_nodes_way_out_is_the_networks_own(host: Machine) -> None:
    """So it costs nothing to have the options."""
    made = world((), host)
    assert made.hosts["a"].routes is made.network.routes("a")
    assert made.hosts["a"].direct == host.messages_are_free
    assert not world((), Machine(nic=1e6)).hosts["a"].direct


def test_a_host_says_what_is_free_of_charge() -> None:
    assert Machine().free_of_charge == ("cores", "disk")
    assert Machine(per_send=1e-6).free_of_charge == ("disk",)


def test_a_scenario_says_what_is_free_on_all_machines() -> None:
    def free(machines: Any) -> tuple[str, ...]:
        return Scenario(
            system=Raft(nodes=3), network=constant(DELTA), machines=machines
        ).resolved.free_of_charge

    assert free(Machine()) == ("cores", "disk")
    assert free({"n1": Machine(per_message=1e-6)}) == ("disk",)
    assert free({"n1": Machine(per_message=1e-6), "*": Machine(disk=Disk(fsync_of={"log": 0.001}))}) == ()
