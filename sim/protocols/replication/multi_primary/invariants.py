"""The invariants of multi-primary replication. Each invariant has a mutant that violates it (tests/protocols).

Source: the multi-primary line of the project's table of invariants. Whether replicas converge is checked after the run
(`sim.lab.simulation.Simulation.settle`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from sim.invariants import Shown, Stored, promises
from sim.node import Node
from sim.protocols.causality.dots import EMPTY, Context, Dot
from sim.protocols.causality.siblings import siblings
from sim.protocols.client import Request
from sim.protocols.replication.multi_primary.node import Digest, MultiPrimaryNode, Update
from sim.protocols.replication.multi_primary.versions import Version, Versions, Write, latest
from sim.system import Invariant

if TYPE_CHECKING:
    from sim.protocols.replication.multi_primary.node import MultiPrimary

__all__ = [
    "NeverBehindItsCause",
    "OneAnswer",
    "OneDotPerWrite",
    "ReplacedStaysReplaced",
    "invariants_of",
]


def invariants_of(system: MultiPrimary) -> Iterable[Invariant]:
    """The invariants that hold for a system with these settings."""
    invariants: list[Invariant] = [
        OneDotPerWrite(),
        promises(Update, Digest, keeps="seen", shown=has_seen),
        promises(Update, keeps="versions", shown=holds(latest if system.conflicts == "lww" else siblings)),
        ReplacedStaysReplaced(),
    ]
    if system.conflicts == "lww" and system.clock == "hybrid":
        invariants.append(NeverBehindItsCause())
    if system.resolver is not None:
        invariants.append(OneAnswer())
    return invariants


@dataclass
class OneDotPerWrite(Invariant):
    """A dot identifies one version, the same everywhere; a client's write has one dot, even if it is retried."""

    title: ClassVar[str] = "one dot per write"
    hears = (Update,)
    versions: dict[Dot, Version] = field(default_factory=dict)
    dots: dict[Write, Dot] = field(default_factory=dict)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        for _, version in message.versions:
            known = self.versions.setdefault(version.dot, version)
            if known != version:
                self.violated((src,), f"{version.dot} named {known}", f"{src} gives it to {version}")
            dot = self.dots.setdefault(version.write, version.dot)
            if dot != version.dot:
                self.violated(
                    (src,), f"write {version.write} is {dot}", f"{src} made {version.dot} of it again"
                )


def has_seen(stored: Stored, message: Update | Digest, dst: str) -> bool:
    """Whether the replica's ``seen`` on disk covers the one in its message."""
    return message.seen is None or stored("seen").covers(message.seen)


def holds(rule: Callable[[Versions], Versions]) -> Shown:
    """A test whether the replica's disk has each version that it sends, or versions that replace it by this rule."""

    def shown(stored: Stored, message: Update, dst: str) -> bool:
        for key, version in message.versions:
            held: Versions = stored("versions").get(key, ())
            gone = version.deleted and stored("seen").has(
                version.dot
            )  # a tombstone may have been collected since
            if version not in held and version in rule((*held, version)) and not gone:
                return False
        return True

    return shown


@dataclass
class ReplacedStaysReplaced(Invariant):
    """A replica that has seen a version holds no version that it replaced: deleted keys stay deleted."""

    title: ClassVar[str] = "replaced stays replaced"
    hears = (Update, Digest)
    versions: dict[Dot, Version] = field(default_factory=dict)
    # key, actor -> (number, dot) in order: the version of this dot replaces what the actor wrote, up to this number
    later: dict[tuple[str, str], list[tuple[int, Dot]]] = field(default_factory=dict)
    declared: dict[str, Context] = field(default_factory=dict)
    nodes: dict[str, MultiPrimaryNode] = field(default_factory=dict)

    def on_step(self, node: Node) -> None:
        if isinstance(node, MultiPrimaryNode):
            self.nodes[node.name] = node

    def on_send(self, src: str, dst: str, message: Any) -> None:
        for key, version in message.versions if message.__class__ is Update else ():
            if version.dot not in self.versions:
                self.versions[version.dot] = version
                for actor, number in version.past:
                    insort(self.later.setdefault((key, actor), []), (number, version.dot))
        if message.__class__ in (Update, Digest) and message.seen is not None:
            declared = self.declared.get(src, EMPTY)
            if not declared.covers(message.seen):
                self.declared[src] = declared.union(message.seen)
                self.check(self.nodes[src])

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        for node in nodes.values():
            if isinstance(node, MultiPrimaryNode):
                self.check(node)

    def check(self, node: MultiPrimaryNode) -> None:
        """Compare the versions that a replica holds with those that it has declared as seen."""
        declared = self.declared.get(node.name, EMPTY)
        for key, held in node.versions.items():
            for version in held:
                actor, number = version.dot
                later = self.later.get((key, actor), [])
                for _, dot in later[bisect_left(later, (number,)) :]:
                    if declared.has(dot):
                        facts = f"it has seen {self.versions[dot]} of {key}", f"it holds {version}"
                        self.violated((node.name,), *facts)


@dataclass
class NeverBehindItsCause(Invariant):
    """With hybrid clocks, a write has a higher timestamp than the versions it replaces (Kulkarni et al., theorem 1)."""

    title: ClassVar[str] = "a write is later than what it replaces"
    hears = (Update,)
    times: dict[Dot, Any] = field(default_factory=dict)

    def on_event(self, node: str, event: str, detail: Mapping[str, Any]) -> None:
        if event == "dropped":
            self.violated(
                (node,), f"write {detail['write']} was made on {detail['by']}", "it has a lower timestamp"
            )

    def on_send(self, src: str, dst: str, message: Any) -> None:
        for _, version in message.versions:
            self.times[version.dot] = version.time
            for dot in version.past:
                if dot in self.times and not self.times[dot] < version.time:
                    self.violated((src,), f"{version} replaces {dot}", f"that is of {self.times[dot]}")


@dataclass
class OneAnswer(Invariant):
    """A resolver's result depends on its arguments only."""

    title: ClassVar[str] = "equal siblings, equal answer"
    hears = (Update, Request)
    answers: dict[tuple[str, tuple[Dot, ...]], Any] = field(default_factory=dict)
    touched: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def on_deliver(self, src: str, dst: str, message: Any) -> None:
        if message.__class__ is Update:
            self.touched[dst] = tuple(key for key, _ in message.versions)
        elif message.__class__ is Request:
            self.touched[dst] = (message.command.key,)

    def on_step(self, node: Node) -> None:
        for key in self.touched.pop(node.name, ()):
            if isinstance(node, MultiPrimaryNode) and len(held := node.versions.get(key, ())) > 1:
                dots = tuple(version.dot for version in held)
                answer, known = node.look_up(key), self.answers
                first = known.setdefault((key, dots), answer)
                if answer != first:
                    self.violated(
                        (node.name,), f"{dots} of {key} were {first!r}", f"{node.name} makes it {answer!r}"
                    )
