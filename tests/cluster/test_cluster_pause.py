"""A pause stops a node as a whole: handlers, timers, stories, work and what waits for the disk; then all goes on."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from sim.cluster import Cluster, Disk, Machine
from sim.network import constant
from sim.node import Node, durable, message
from sim.system import Member


@message
class Note:
    text: str


class Busy(Node):
    kept = durable(0)

    def on_start(self) -> None:
        self.seen: list[tuple[str, float]] = []
        self.set_timer("tick", 1.5)
        self.set_timer("late", 4.0)
        self.work("job", 1.3)
        self.spawn(self.story())

    def story(self) -> Generator[Any, Any, None]:
        yield self.sleep(1.7)
        self.saw("story")

    def saw(self, what: str) -> None:
        self.seen.append((what, self.now))

    def on_tick_timeout(self) -> None:
        self.saw("tick")

    def on_late_timeout(self) -> None:
        self.saw("late")

    def on_job_done(self) -> None:
        self.saw("job")

    def on_note(self, src: str, msg: Note) -> None:
        self.saw(msg.text)
        if msg.text == "write":
            self.kept += 1
            self.send("b", Note("written"))


def two(host: Machine | None = None) -> Cluster:
    cluster = Cluster(constant(0.1), 0)
    for name in ("a", "b"):
        cluster.add(Member(name, Busy), place="lan", profile=host)
    cluster.boot()
    return cluster


@pytest.mark.parametrize(
    "host", [None, Machine(cores=2, per_message=1e-9)], ids=["direct", "through the cores"]
)
def test_all_of_it_waits_and_is_caught_up_with_in_order(host: Machine | None) -> None:
    cluster = two(host)
    a: Any = cluster.hosts["a"].node
    cluster.env.run(until=1.0)
    cluster.pause("a")
    for delay, text in ((0.1, "first"), (0.6, "second")):
        cluster.env.call_after(delay, lambda text: cluster.hosts["b"].node.send("a", Note(text)), text)
    cluster.env.run(until=3.0)
    assert a.seen == []
    cluster.resume("a")
    cluster.env.run(until=5.0)
    # Timers fire first; then all else, stories too, in the order in which it came up.
    assert [what for what, _ in a.seen] == ["tick", "first", "job", "story", "second", "late"]
    assert [when for _, when in a.seen] == pytest.approx([3.0] * 5 + [4.0])


def test_what_waits_for_the_disk_leaves_after_the_pause() -> None:
    cluster = two(Machine(disk=Disk(fsync=0.2)))
    b: Any = cluster.hosts["b"].node
    b.send("a", Note("write"))
    cluster.env.run(until=0.2)  # written, and not yet synced
    cluster.pause("a")
    cluster.env.run(until=3.0)
    assert "written" not in [what for what, _ in b.seen]
    cluster.resume("a")
    cluster.env.run(until=3.5)
    assert ("written", pytest.approx(3.1)) in b.seen


def test_a_crash_ends_the_pause_and_what_waited_is_lost() -> None:
    cluster = two()
    cluster.env.run(until=1.0)
    cluster.pause("a")
    cluster.hosts["b"].node.send("a", Note("lost"))  # type: ignore[union-attr]
    cluster.env.run(until=2.0)
    cluster.crash("a")
    cluster.restart("a")
    cluster.resume("a")
    cluster.env.run(until=2.5)
    assert cluster.hosts["a"].node.seen == []  # type: ignore[union-attr]
