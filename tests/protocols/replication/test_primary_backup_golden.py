"""The story of a primary failover, message by message, to read and to review."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sim.protocols.client import Reply, Request
from sim.protocols.membership.views.service import Ping, ViewIs
from sim.protocols.replication.primary_backup.log_shipping import Append, AppendOk, Mismatch
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.system import Invariant


class Narrator(Invariant):
    """Writes down what is sent and what happens; what has been said before (heartbeats) is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.said: set[tuple[str, str, str]] = set()

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        shown = " ".join(f"{k}={v if not isinstance(v, tuple) else ','.join(v)}" for k, v in detail.items())
        self.lines.append(f"{self.now() * 1000:8.1f} ms  {node:6} *** {event} {shown}".rstrip())

    def on_send(self, src: str, dst: str, message: Any) -> None:
        text = self.describe(message)
        if src != dst and text and (src, dst, text) not in self.said:
            self.said.add((src, dst, text))
            self.lines.append(f"{self.now() * 1000:8.1f} ms  {src:6} -> {dst:6} {text}")

    def describe(self, message: Any) -> str:
        match message:
            case Request(command):
                return f"Request {command.kind} {command.key}={command.value}"
            case Reply():
                return f"Reply {message.status} {message.value}"
            case Append():
                shipped = [f"{e.command.key}={e.command.value} (view {e.view})" for e in message.entries]
                return (
                    f"Append view {message.view} after {message.position}: {', '.join(shipped) or 'nothing'}"
                )
            case AppendOk():
                return f"AppendOk view {message.view} up to {message.position}"
            case Mismatch():
                return f"Mismatch view {message.view}: I have {message.position}, of view {message.last_view}"
            case ViewIs():
                return f"ViewIs {message.view.number}: {', '.join(message.view.members)}"
            case Ping():
                joined = f", joined: {', '.join(message.joined)}" if message.joined else ""
                return f"Ping view {message.view}{joined}"
            case _:
                return repr(message)


def test_a_primary_failover(stage: Any, golden: Callable[[str, str], None]) -> None:
    """Sync, three replicas, one-way delay 1 ms, heartbeat 50 ms, detection 500 ms.

    n0 ships its last write to nobody and dies; n1 takes over; n0 comes back, and its tail is cut.
    """
    s = stage(PrimaryBackup(nodes=3))
    narrator = Narrator()
    narrator.now = lambda: s.now
    s.cluster.watch([narrator])
    s.run(0.01)
    s.ask("n0", value="a")
    s.run(0.015)
    s.cut(["n0"], ["n1", "n2"])
    s.ask("n0", value="lost")
    s.run(0.002)
    s.crash("n0")
    s.heal()
    s.run(0.6)
    s.ask("n1", value="b")
    s.run(0.01)
    s.restart("n0")
    s.run(0.11)
    assert [e.command.value for e in s.node("n0").log] == ["a", "b"]
    golden("primary_failover.txt", "\n".join(narrator.lines))
