"""Strikes: what a fault did in one run, as a fault of its own, in which nothing is drawn.

A strike is a list of acts on the world (`sim.faults.fault.World`): crash this member, restart it 0.3 s later. Played
under the same seed, it does the same at the same times. `sim.lab.fuzz.recording` makes them of the faults of a storm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.faults.fault import Fault, Play, World, begin
from sim.faults.when import When
from sim.kernel import BranchingStream, delay_until
from sim.network.detention import Detention
from sim.settings import Value, Wait

__all__ = ["VERBS", "Act", "Strike"]

_OF_ONE_NODE = (
    *("crash", "restart", "pause", "resume", "set_speed", "set_clock"),
    *("slow_disk", "stall_disk", "fail_disk", "damage_disk"),
)
_OF_LINKS = ("cut", "heal", "disturb", "relieve")
_OF_DETENTIONS = ("detain", "let_go")
VERBS: tuple[str, ...] = (*_OF_ONE_NODE, *_OF_LINKS, *_OF_DETENTIONS, "record", "administer")
"""What can be done to a world."""


@dataclass(frozen=True)
class Act(Value):
    """One act of a strike: the ``verb`` of a world, what it acts ``on``, and ``options``; see `World`.

    ``after``: seconds after the beginning of the strike. Raises ValueError for an unknown verb.
    """

    verb: str
    on: tuple[Any, ...] = ()
    after: Wait = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verb not in VERBS:
            raise ValueError(f"Act: verb must be one of {', '.join(VERBS)}, not {self.verb!r}")
        if self.verb in _OF_ONE_NODE and not (self.on and isinstance(self.on[0], str)):
            raise ValueError(f"Act: {self.verb} acts on a node, not on {self.on!r}")
        if self.verb in _OF_LINKS and not (self.on and isinstance(self.on[0], tuple)):
            raise ValueError(f"Act: {self.verb} acts on links such as (('n0', 'n1'),), not on {self.on!r}")
        if self.verb in _OF_DETENTIONS and len(self.on) not in (4, 5):
            raise ValueError(
                f"Act: {self.verb} acts on (kind, src, dst, count) or (kind, src, dst, count, True), not on {self.on!r}"
            )

    @property
    def node(self) -> str | None:
        """The node on which it acts; None: it acts on links or messages, or on none."""
        return self.on[0] if self.verb in _OF_ONE_NODE else None

    def perform(self, world: World, detentions: dict[Any, Detention]) -> None:
        """Do it. Links of nodes that do not exist (a client that was left out) are passed over.

        ``detentions``: those that are in force, by what they are made of.
        """
        on = list(self.on)
        if self.verb in _OF_LINKS:
            known = world.everyone()
            on[0] = [(src, dst) for src, dst in on[0] if src in known and dst in known]
        elif self.verb in _OF_DETENTIONS:
            on = [detentions.setdefault(self.on, Detention(*self.on))]
        elif self.verb == "record":
            on[2] = dict(on[2])
        act: Callable[..., None] = getattr(world, self.verb)
        act(*on, **self.options)


@dataclass(frozen=True)
class Strike(Fault):
    """Acts on the world, the first of them at ``at`` (seconds, or a trigger). Raises ValueError for no act."""

    acts: tuple[Act, ...]
    at: When

    def __post_init__(self) -> None:
        if not self.acts:
            raise ValueError("Strike: at least one act is needed, not ()")
        if any(later.after < earlier.after for earlier, later in zip(self.acts, self.acts[1:], strict=False)):
            raise ValueError(
                f"Strike: acts must be in order of time, not after {[a.after for a in self.acts]!r} s"
            )

    def targets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(act.node for act in self.acts if act.node is not None))

    def requests(self) -> tuple[Any, ...]:
        return tuple(act.on[0] for act in self.acts if act.verb == "administer")

    def play(self, world: World, stream: BranchingStream) -> Play:
        yield from begin(world, self.at, stream)
        start = world.env.now
        detentions: dict[Any, Detention] = {}
        passed = 0.0
        for act in self.acts:
            if act.after != passed:  # acts of one instant are one after the other, with nothing between them
                passed = act.after
                yield world.env.timeout(delay_until(world.env.now, start + passed))
            act.perform(world, detentions)
