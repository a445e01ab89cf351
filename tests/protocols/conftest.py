"""A stage for hand-made schedules: who is asked what, who is cut off, who crashes, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

import sim.testing
from sim.node import Node
from sim.protocols.client import Reply
from sim.system import Member, System

DELTA = 0.01


class Stage(sim.testing.Stage):
    """One-way delay 10 ms; ``mutant`` replaces node classes, ``beside`` is where the client stands."""

    def __init__(
        self, system: System, *, mutant: type[Node] | None = None, beside: str | None = None, **options: Any
    ) -> None:
        def change(member: Member) -> Member:
            return member if mutant is None else dataclasses.replace(member, node_class=mutant)

        super().__init__(system, change=change, client_beside=beside, delay=DELTA, **options)

    @property
    def replies(self) -> list[Reply]:
        return self.client.replies  # type: ignore[no-any-return]

    def ask(self, name: str, kind: str = "put", value: Any = None, **more: Any) -> int:
        return super().ask(name, kind, value=value, **more)

    def ask_again(self, name: str, kind: str = "put", value: Any = None, **more: Any) -> None:
        super().ask_again(name, kind, value=value, **more)

    def messages(self, *, since: float = 0.0, replicas_only: bool = True) -> list[tuple[Any, ...]]:
        """(kind, src, dst, sent, delivered, fate, bytes), self-sends and the client's left out."""
        rows = [*self.cluster.recorder.messages, *self.cluster.network.rows_under_way()]
        return sorted(
            (
                r
                for r in rows
                if r[1] != r[2] and r[3] >= since and not (replicas_only and "client" in r[1:3])
            ),
            key=lambda r: (r[3], r[1], r[2]),
        )

    def trace(self, since: float = 0.0) -> str:
        """The messages and events of a short run, in the order of time, for people."""
        lines: list[tuple[float, int, str]] = []
        for kind, src, dst, sent, delivered, fate, _ in self.messages(since=since, replicas_only=False):
            end = f"arrives {1e3 * delivered:.0f}" if fate == "delivered" else fate
            lines.append((sent, 1, f"{src:>6} -> {dst:<6} {kind:<9} {end}"))
        for time, node, event, detail in self.cluster.recorder.events:
            if time >= since:
                text = " ".join(f"{k}={v}" for k, v in detail.items())
                lines.append((time, 0, f"{node:>6} ** {event} {text}".rstrip()))
        lines.sort(key=lambda line: line[:2])
        head = "one-way delay 10 ms; times in ms"
        return "\n".join([head, *(f"{1e3 * t:8.2f} {text}" for t, _, text in lines)])

    def events(self, kind: str) -> list[tuple[Any, ...]]:
        """(time, node, kind, detail)."""
        return [row for row in self.cluster.recorder.events if row[2] == kind]


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """``stage(system, mutant=..., fsync=..., beside=...)``."""
    return Stage
