"""A disk whose syncs take a time by kind of write: votes, terms, entries of a log. Times are counted by hand."""

from __future__ import annotations

import dataclasses
import itertools
import pickle
from typing import Any

import pytest

from sim import Scenario
from sim.cluster import Cluster, Disk, Machine
from sim.network import constant
from sim.node import Node, Part, durable, durable_log, durable_map, message, part
from sim.protocols import BasicRaft, PrimaryBackup, Raft, ViewstampedReplication
from sim.system import Member
from sim.workload import ClosedLoop

DISK = Disk(fsync=0.008, fsync_of={"term": 0.001, "vote": 0.002, "log": 0.004, "notes.page": 0.016})
TIMES = {"term": 1, "vote": 2, "log": 4, "other": 8, "page": 16}


@message
class Write:
    fields: tuple[str, ...]


@message
class Written:
    fields: tuple[str, ...]


class Notes(Part):
    page = durable(0)


class Clerk(Node):
    term = durable(0)
    vote = durable(0)
    log = durable_log()
    other = durable_map()
    notes = part(Notes)

    def on_write(self, src: str, msg: Write) -> None:
        for field in msg.fields:
            if field == "log":
                self.log.append(1)
            elif field == "other":
                self.other["k"] = 1
            elif field == "page":
                self.notes.page += 1
            else:
                setattr(self, field, getattr(self, field) + 1)
        self.send("asker", Written(msg.fields))


class Asker(Node):
    def on_start(self) -> None:
        self.heard: list[tuple[float, Any]] = []

    def on_written(self, src: str, msg: Written) -> None:
        self.heard.append((round(1e3 * self.host.env.now, 6), msg.fields))


def answers(*writes: tuple[str, ...], disk: Disk = DISK) -> list[tuple[float, Any]]:
    """When (ms) each answer to a write arrives, all asked at 0."""
    made = Cluster(constant(0.0), seed=1)
    made.add(Member("clerk", Clerk), place="lan", profile=Machine(disk=disk))
    made.add(Member("asker", Asker), place="lan")
    made.boot()
    for fields in writes:
        made.hosts["clerk"].receive("asker", Write(fields))
    made.env.run()
    heard: list[tuple[float, Any]] = made.nodes["asker"].heard  # type: ignore[attr-defined]
    return heard


@pytest.mark.parametrize("field", list(TIMES))
def test_each_kind_of_write_takes_its_own_time_and_the_others_that_of_the_disk(field: str) -> None:
    assert answers((field,)) == [(TIMES[field], (field,))]


@pytest.mark.parametrize("fields", list(itertools.combinations(TIMES, 2)))
def test_a_record_of_several_kinds_takes_the_longest(fields: tuple[str, ...]) -> None:
    assert answers(fields) == [(max(TIMES[field] for field in fields), fields)]


def test_a_sync_that_covers_several_records_takes_the_longest_of_all() -> None:
    """The first is synced alone; what is written meanwhile shares the next sync, 4 ms for the log."""
    assert answers(("vote",), ("term",), ("log",)) == [(2, ("vote",)), (6, ("term",)), (6, ("log",))]


def test_a_kind_may_be_free_on_a_disk_that_is_not_and_the_other_way_round() -> None:
    assert answers(("term",), disk=Disk(fsync=0.008, fsync_of={"term": 0.0})) == [(0, ("term",))]
    only = Disk(fsync_of={"log": 0.004})
    assert not only.instant
    assert answers(("term",), disk=only) == [(0, ("term",))]
    assert answers(("log",), disk=only) == [(4, ("log",))]
    assert Disk(fsync_of={"log": 0.0}).instant


def test_a_disk_with_kinds_is_a_value() -> None:
    again = pickle.loads(pickle.dumps(DISK))
    assert again == DISK == dataclasses.replace(DISK)
    assert hash(again) == hash(DISK)


def scenario(system: Any, disk: Disk) -> Scenario:
    return Scenario(
        system=system,
        network=constant(0.01),
        workload=ClosedLoop(clients={"n0": 1}, operations=5, reads=0.0),
        machines=Machine(disk=disk),
        duration=2.0,
    )


def test_an_election_of_raft_takes_the_votes_time_and_a_write_the_logs() -> None:
    """n0 campaigns at 0: term and vote 3 ms (its own vote waits); asked at 3 + 10 ms, the others vote in 3 ms: leader
    at 3 + 10 + 3 + 10 ms. Later a write: at once to the others, 10 ms, their log 5 ms, 10 ms back."""
    disk = Disk(fsync_of={"current_term": 0.003, "voted_for": 0.002, "log": 0.005})
    system = Raft(nodes=3, heartbeat=100.0, detection=1000.0)
    run = scenario(system, disk).run(seed=1)
    elected = run.events[run.events["event"] == "elected"]["time"].to_list()
    assert elected == pytest.approx([0.026])
    assert run.operations["latency"].to_numpy()[1:] == pytest.approx([0.025] * 4)


@pytest.mark.parametrize(
    ("system", "known"),
    [
        (BasicRaft(nodes=3), "current_term, voted_for, log"),
        (Raft(nodes=3, snapshot_every=10), "current_term, voted_for, log"),
        (ViewstampedReplication(nodes=3), "no fields"),
        (PrimaryBackup(), ""),
    ],
    ids=lambda s: getattr(s, "label", ""),
)
def test_a_kind_that_no_member_writes_is_refused_with_those_that_there_are(system: Any, known: str) -> None:
    with pytest.raises(
        ValueError, match=rf"names 'votes', which no member of .* writes; durable are .*{known}"
    ):
        scenario(system, Disk(fsync=0.001, fsync_of={"votes": 0.002}))


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), "fast"])
def test_times_that_cannot_be_are_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Disk(fsync_of={"log": wrong})
