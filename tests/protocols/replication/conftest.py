"""A stage for hand-made schedules of stores with a view service: cuts, crashes, and requests to chosen members."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import sim.testing
from sim.node import Node
from sim.protocols.command import Command
from sim.system import Member, System

DELTA = 0.001


class Stage(sim.testing.Stage):
    """One-way delay 1 ms unless told; a write has its sequence number as value, unless told."""

    def __init__(
        self,
        system: System,
        *,
        node_class: type[Node] | None = None,
        service_class: type[Node] | None = None,
        master_class: type[Node] | None = None,
        delta: float = DELTA,
        **options: Any,
    ) -> None:
        def change(member: Member) -> Member:
            changed = node_class if member.role == "replica" else service_class or master_class
            return member if changed is None else dataclasses.replace(member, node_class=changed)

        super().__init__(system, change=change, delay=delta, **options)

    @property
    def delta(self) -> float:
        return self.delay

    def ask(self, name: str, kind: str = "put", key: str = "x", value: Any = None, **more: Any) -> int:
        """The client sends a command to a member; returns its sequence number."""
        self.sequence = more.pop("sequence", self.sequence + 1)
        value = self.sequence if value is None else value
        self.send_command(name, Command(more.pop("session", 1), self.sequence, kind, key, value))
        return self.sequence

    def latency(self, name: str, kind: str = "put", **more: Any) -> float:
        """Ask, wait for the reply: how long it took, in message delays."""
        asked, before = self.now, len(self.client.replies)
        self.ask(name, kind, **more)
        while len(self.client.replies) == before:
            assert self.now < asked + 5.0, "no reply"
            self.cluster.env.step()
        return float((self.now - asked) / self.delta)

    def answered(self, sequence: int) -> bool:
        return bool(self.answers(sequence))

    def isolate(self, names: Iterable[str], others: Iterable[str]) -> None:
        """Cut the links between two groups, both ways."""
        names, others = list(names), list(others)
        self.cut(names, others)
        self.cut(others, names)

    def views(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """(number, primary, backups) of the views that the service has made, the first excluded."""
        return [(d["view"], d["primary"], d["backups"]) for _, _, d in self.events("view")]


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """``stage(system, ...)`` makes a `Stage`."""
    return Stage
