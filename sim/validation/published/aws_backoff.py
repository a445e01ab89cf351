"""Exponential backoff and jitter: clients update one row by optimistic concurrency (Brooker, AWS blog, 2015)."""

from __future__ import annotations

from typing import Any

from sim.cluster import Cluster
from sim.message import message
from sim.network import lan
from sim.node import Node
from sim.protocols.backoff import longest_wait
from sim.system import Member
from sim.validation.form import Case, Figures, Perturbation, Published
from sim.validation.setups import normal

__all__ = ["RESULT"]

BASE, CAP = 0.005, 2.0
MESSAGE = 0.010
PRINTED = {
    10: {
        "none": (382.2, 50.6),
        "exponential": (3590.4, 51.0),
        "equal jitter": (732.8, 42.4),
        "full jitter": (465.4, 38.6),
        "decorrelated": (434.9, 37.9),
    },
    50: {
        "none": (1138.5, 690.0),
        "exponential": (36033.5, 623.2),
        "equal jitter": (4277.7, 347.1),
        "full jitter": (2914.3, 332.4),
        "decorrelated": (2194.7, 372.7),
    },
}
"""Clients -> law of the backoff -> completion (ms) and calls of write, by the author's own simulator."""


@message
class ReadRow:
    """Asks for the version of the row."""


@message
class RowVersion:
    """The version of the row."""

    number: int


@message
class WriteRow:
    """Writes the row if its version is still ``number``."""

    number: int


@message
class RowWritten:
    """Whether the write took effect."""

    done: bool


class Row(Node):
    """The server: a row with a version; it takes no time."""

    def on_start(self) -> None:
        self.version = self.writes = 0

    def on_read_row(self, src: str, msg: ReadRow) -> None:
        self.send(src, RowVersion(self.version))

    def on_write_row(self, src: str, msg: WriteRow) -> None:
        self.writes += 1
        done = msg.number == self.version
        self.version += done
        self.send(src, RowWritten(done))


class Contender(Node):
    """A client: reads, writes, and after a conflict waits and begins again. ``settings``: the law of the "
    "backoff."""

    settings: str

    def on_start(self) -> None:
        self.failures, self.slept = 0, BASE
        self.send("row", ReadRow())

    def on_row_version(self, src: str, msg: RowVersion) -> None:
        self.send("row", WriteRow(msg.number))

    def on_row_written(self, src: str, msg: RowWritten) -> None:
        if msg.done:
            self.record("done")
            return
        self.failures += 1
        self.set_timer("retry", self.backoff())

    def backoff(self) -> float:
        """Seconds until the next try."""
        longest = longest_wait(BASE, CAP, self.failures + 1)
        if self.settings == "exponential":
            return longest
        if self.settings == "full jitter":
            return self.random.uniform(0.0, longest)
        if self.settings == "equal jitter":
            return longest / 2 + self.random.uniform(0.0, longest / 2)
        if self.settings == "decorrelated":
            self.slept = min(CAP, self.random.uniform(BASE, 3 * self.slept))
            return self.slept
        return 0.0

    def on_retry_timeout(self) -> None:
        self.send("row", ReadRow())


def contend(seed: int, *, clients: int, law: str, stretch: float) -> Figures:
    """When the last client is done (ms), and how many writes were called."""
    cluster = Cluster(lan(normal(stretch * MESSAGE, 0.002)), seed)
    row = cluster.add(Member("row", Row), place="lan")
    for i in range(clients):
        cluster.add(Member(f"c{i}", Contender), place="lan", settings=law)
    cluster.boot()
    cluster.env.run()
    ends = [time for time, _, event, _ in cluster.recorder.events if event == "done"]
    assert len(ends) == clients
    node: Any = row.node
    return {"completion": 1000 * max(ends), "writes": float(node.writes)}


def _case(clients: int, law: str) -> Case:
    completion, writes = PRINTED[clients][law]
    return Case(
        name=f"{clients} clients, {law}",
        settings={"clients": clients, "law": law},
        published={"completion": completion, "writes": writes},
        samples=64 if clients == 10 else 40,
        fast=clients == 10,
        tolerance={"completion": 0.3 if law == "exponential" and clients == 10 else 0.15, "writes": 0.05},
    )


def _law(other: str, *laws: str) -> Perturbation:
    return Perturbation(
        what=f"clients wait as by the law '{other}'",
        off={"law": other},
        cases=tuple(f"{clients} clients, {law}" for clients in PRINTED for law in laws),
    )


RESULT = Published(
    name="aws_backoff",
    title="Exponential backoff and jitter",
    source="Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015, and its simulator",
    certainty="Code read; the figures are means of 100 runs of the author's own simulator.",
    setup=(
        "Clients begin together; each must update one row once: read the version, write if it is "
        "unchanged, else back off "
        "(base 5 ms, cap 2 s) and begin again. A message takes a normal time of 10 ms (deviation 2 ms); "
        "the server takes "
        "none."
    ),
    unit="ms until the last client is done; calls of write",
    measure=contend,
    settings={"stretch": 1.0},
    cases=[_case(clients, law) for clients, laws in PRINTED.items() for law in laws],
    perturbations=(
        _law("exponential", "none", "equal jitter", "full jitter", "decorrelated"),
        _law("full jitter", "exponential"),
        Perturbation(
            what="clients wait as by the law 'full jitter'",
            off={"law": "full jitter"},
            cases=("10 clients, none",),
            figures=("writes",),
        ),
    ),
    tolerance=0.15,
)
