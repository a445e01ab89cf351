"""The story of a stand-in and its hint, message by message, to read and to review."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim import Scenario
from sim.faults import Partition
from sim.protocols import Dynamo


def told(run: Any) -> str:
    """Messages and faults in the order of time; self-sends are left out, and of probes all but the first."""
    lines = []
    probed: set[tuple[str, str]] = set()
    for kind, src, dst, sent, delivered, fate, *_ in run.messages.itertuples(index=False):
        if src == dst or (kind == "Ping" and (src, dst) in probed):
            continue
        if kind == "Ping":
            probed.add((src, dst))
        end = f"arrives {1e3 * delivered:.0f}" if fate == "delivered" else fate
        lines.append((sent, f"{src} -> {dst}  {kind:<10} {end}"))
    for time, _, event, *_ in run.events.itertuples(index=False):
        lines.append((time, f"*** {event}"))
    lines.sort(key=lambda line: line[0])
    return "\n".join(
        ["one-way delay 10 ms; times in ms", *(f"{1e3 * time:7.0f}  {text}" for time, text in lines)]
    )


def test_a_write_meets_a_silent_home_and_its_hint_goes_home(
    play: Callable[..., Scenario], golden: Callable[[str, str], None]
) -> None:
    """The first write waits for n1, the second goes to a stand-in at once; after the cut n1 is given the newest."""
    system = Dynamo(nodes=5, n=3, w=3, sloppy=True, sync_every=None, handoff_every=0.2)
    keys = (f"k{i}" for i in range(999))
    key = next(k for k in keys if system.homes(k)[:2] == ("n0", "n1"))
    steps = [(0.0, "put", key, "lan"), (0.6, "put", key, "lan"), (1.0, "get", key, "lan")]
    cut = [Partition((("n1",), ("n0", "n2", "n3", "n4")), at=0.0, duration=0.7)]
    run = play(system, steps, faults=cut, duration=1.1).run(1)
    assert run.check("linearizable").ok
    golden("dynamo_handoff.txt", told(run))
