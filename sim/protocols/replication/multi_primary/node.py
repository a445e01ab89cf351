"""Multi-primary replication: every replica takes writes, answers at once, and tells the others later.

Writes of one key at two replicas may conflict. *Last writer wins* keeps the version with the higher timestamp, by wall
clocks or by hybrid logical clocks, and silently drops the other; *siblings* keeps both, until a write that has seen
them; a *resolver* shows the siblings as one value.

Sources: last writer wins, RFC 677 (Johnson & Thomas 1975); siblings, version vectors (see `versions`); anti-entropy
between pairs by version vectors, Bayou (Petersen et al., SOSP 1997): a digest is a number a replica, not one a key.
Tombstones are collected when all replicas have seen them: matrix clocks (Wuu & Bernstein, PODC 1984).

Assumptions: a client keeps to its replica, and waits for it while it is down. A write that was acknowledged is on that
replica's disk, and nowhere else for certain. A replica that lost its disk comes back as another actor and asks for
everything; messages that were sent to it before are no longer under way by then (they might hold what was collected).

Departures: a resolver is asked when a key is read, and its value becomes a version by the next write; Bayou's merge
procedures write at once. The events of hybrid clocks are writes and the arrival of versions; digests carry no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sim.node import Node, durable, durable_map, message
from sim.protocols.causality.dots import EMPTY, Context
from sim.protocols.causality.hlc import BEGINNING, HybridTime
from sim.protocols.causality.siblings import past_of, replaced_by, siblings
from sim.protocols.client import HomeClient, Request
from sim.protocols.command import Command, Result
from sim.protocols.kv import on_value
from sim.protocols.replica import Responder
from sim.protocols.replication.multi_primary.versions import Version, Versions, Write, latest
from sim.protocols.system import KEEPS_REGISTERS, ReplicatedSystem
from sim.system import Invariant

__all__ = ["Digest", "MultiPrimary", "MultiPrimaryNode", "Update"]

_MODIFYING = frozenset({"increment", "append"})  # what they make contains what they replace


@message
class Update:
    """Versions of keys. With ``seen``: all that the receiver of that digest lacks; it has then seen this, too."""

    versions: tuple[tuple[str, Version], ...]
    seen: Context | None = None


@message
class Digest:
    """The dots of all versions that the sender has seen. Send what it lacks; ``ask``: and ask for what you lack."""

    seen: Context
    ask: bool


class MultiPrimaryNode(Responder):
    """A replica that takes writes for all keys."""

    settings: MultiPrimary
    versions = durable_map()  # key -> what is held of it
    seen = durable(EMPTY)  # the dots of all versions that are or were held
    clock = durable(BEGINNING)  # hybrid
    actor = durable("")  # its name in dots
    done = durable_map()  # session -> (sequence, result): a retried write takes effect once
    replaced = durable_map()  # write -> (by which, blindly); not part of the protocol: to count what was lost

    def on_start(self) -> None:
        if not self.actor:
            self.actor = self.name if self.incarnation == 0 else f"{self.name}.{self.incarnation}"
        self.known = dict.fromkeys(self.peers, EMPTY)  # what each peer is known to have seen
        self.turn = self.random.below(len(self.peers)) if self.peers else 0
        self.tombstones = {key: None for key, held in self.versions.items() if any(v.deleted for v in held)}
        self.conflicts = 0
        self.set_timer("gossip", self.settings.gossip_every * self.random.random())

    def gauges(self) -> dict[str, float]:
        """Conflicts met since it booted, tombstones kept, and keys that have siblings."""
        split = sum(len(held) > 1 for held in self.versions.values())
        return {"conflicts": self.conflicts, "tombstones": len(self.tombstones), "siblings": split}

    # Clients

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if command.kind == "get":
            self.answer(src, command, Result("ok", self.look_up(command.key)))
            return
        last, result = self.done.get(command.session, (0, None))
        if command.sequence > last:
            result = self.execute(command)
            self.done[command.session] = (command.sequence, result)
        elif command.sequence < last:
            return
        self.answer(src, command, result)

    def look_up(self, key: str) -> Any:
        """What a read returns: the value; where there are several, what the resolver says, or all as a tuple."""
        values = tuple(v.value for v in self.versions.get(key, ()) if not v.deleted)
        if len(values) < 2:
            return values[0] if values else None
        return values if self.settings.resolver is None else self.settings.resolver(values)

    def execute(self, command: Command) -> Result:
        """Carry out a write on what this replica holds, knowing nothing of the others."""
        result, value = on_value(self.look_up(command.key), command)
        if result.status == "ok":
            self.write(command, value)
        return result

    def write(self, command: Command, value: Any) -> None:
        """Make a version that replaces all that is held of its key, and tell the others."""
        key, write = command.key, (command.session, command.sequence)
        held: Versions = self.versions.get(key, ())
        dot = (self.actor, self.seen.upto(self.actor) + 1)
        deleted = command.kind == "delete"
        fresh = Version(dot, past_of(held), self.read_clock(), value, deleted, write, command.size)
        if self.settings.conflicts == "lww" and held and held[0].stamp > fresh.stamp:
            # This clock is behind that of the version to be replaced: the write is lost, although it was the last.
            self.record("dropped", key=key, write=write, by=held[0].write)
            return
        for version in held:
            self.replaced[version.write] = (write, command.kind not in _MODIFYING)
        self.hold(key, (fresh,))
        self.seen = self.seen.union(Context.of([dot]))
        self.broadcast(Update(((key, fresh),)))

    def read_clock(self) -> HybridTime:
        """The timestamp of a local event."""
        if self.settings.clock == "wall":
            return HybridTime(self.now, 0)
        self.clock = self.clock.tick(self.now)
        return self.clock

    def hold(self, key: str, held: Versions) -> None:
        """Keep these versions of a key, and no others."""
        if held:
            self.versions[key] = held
        else:
            del self.versions[key]
        if any(version.deleted for version in held):
            self.tombstones[key] = None
        else:
            self.tombstones.pop(key, None)

    # The other replicas

    def on_update(self, src: str, msg: Update) -> None:
        # What was seen and is not held was replaced since, or collected: it does not come back.
        news = [(key, version) for key, version in msg.versions if not self.seen.has(version.dot)]
        if news and self.settings.clock == "hybrid":
            self.clock = self.clock.receive(max(version.time for _, version in news), self.now)
        for key, version in news:
            self.merge(key, version)
        seen = self.seen.union(Context.of(version.dot for _, version in news))
        if msg.seen is not None:
            seen = seen.union(msg.seen)
            self.known[src] = self.known[src].union(msg.seen)
        if seen != self.seen:
            self.seen = seen

    def merge(self, key: str, version: Version) -> None:
        """Take in a version that was never seen here."""
        held: Versions = self.versions.get(key, ())
        for other in held:
            if not replaced_by(other, version) and not replaced_by(version, other):
                self.conflicts += 1
                self.record("conflict", key=key, writes=tuple(sorted((version.write, other.write))))
        rule = latest if self.settings.conflicts == "lww" else siblings
        self.hold(key, rule((*held, version)))

    def on_gossip_timeout(self) -> None:
        """Anti-entropy: compare with one peer after the other."""
        self.set_timer("gossip", self.settings.gossip_every)
        if self.peers:
            self.send(self.peers[self.turn % len(self.peers)], Digest(self.seen, ask=True))
            self.turn += 1
        if self.settings.collects:
            self.collect()

    def on_digest(self, src: str, msg: Digest) -> None:
        missing: list[tuple[str, Version]] = []
        if not msg.seen.covers(self.seen):
            missing = [(k, v) for k, held in self.versions.items() for v in held if not msg.seen.has(v.dot)]
        self.send(src, Update(tuple(missing), self.seen))
        if msg.ask and not self.seen.covers(msg.seen):
            self.send(src, Digest(self.seen, ask=False))

    # Tombstones

    def collect(self) -> None:
        """Forget tombstones that have done their work."""
        for key in list(self.tombstones):
            held = self.versions[key]
            spent = [v for v in held if v.deleted and self.is_stable(v)]
            for tombstone in spent:
                self.replaced[tombstone.write] = (None, True)
            if spent:
                self.hold(key, tuple(v for v in held if v not in spent))

    def is_stable(self, version: Version) -> bool:
        """Whether all replicas have seen this version, and this one whatever they wrote before they saw it.

        A peer becomes known by its own complete update. So whatever it wrote before has been seen here, and is
        not taken in again; what it writes later has a higher timestamp, if clocks are hybrid.
        """
        return all(seen.has(version.dot) for seen in self.known.values())


@dataclass(frozen=True, kw_only=True)
class MultiPrimary(ReplicatedSystem):
    """Every one of ``nodes`` replicas takes writes.

    Reads, puts and deletes are served always; cas, append and increment where a read has one value. They look at the
    replica that is asked and at nothing else: two replicas may both let the same cas succeed, and increments get lost.
    All that is claimed is that replicas agree in the end.

    Parameters
    ----------
    nodes:
        How many replicas (>= 1), named n0, n1, ...
    conflicts:
        ``"lww"``: the last writer wins. ``"siblings"``: conflicting values are kept side by side.
    clock:
        Of timestamps: ``"hybrid"`` or ``"wall"``. By wall clocks tombstones are kept for ever: a slow clock might
        later give a timestamp below that of one which was collected.
    resolver:
        With siblings: makes one value of a tuple of them, which come in the same order everywhere. It must depend on
        nothing else; checking asks it twice. What it leaves out is its decision, and not counted as lost.
    gossip_every:
        Seconds between comparisons with the next peer.
    """

    conflicts: Literal["lww", "siblings"] = "lww"
    clock: Literal["hybrid", "wall"] = "hybrid"
    resolver: Callable[[tuple[Any, ...]], Any] | None = None
    gossip_every: float = 0.2

    node_class: ClassVar[type[Node]] = MultiPrimaryNode
    no_application: ClassVar[str] = KEEPS_REGISTERS
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put", "delete", "increment", "append", "cas"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, choices in (("conflicts", ("lww", "siblings")), ("clock", ("hybrid", "wall"))):
            if getattr(self, field) not in choices:
                raise ValueError(
                    f"MultiPrimary: {field} must be one of {', '.join(choices)}, not {getattr(self, field)!r}"
                )
        if self.resolver is not None and not callable(self.resolver):
            raise ValueError(
                f"MultiPrimary: resolver must be a function of the siblings, not {self.resolver!r}"
            )
        if self.resolver is not None and self.conflicts != "siblings":
            raise ValueError(
                f'MultiPrimary: a resolver needs conflicts="siblings", not {self.conflicts!r}: there is one value'
            )
        if not 0 < self.gossip_every < float("inf"):
            raise ValueError(
                f"MultiPrimary: gossip_every must be positive seconds, not {self.gossip_every!r}"
            )
        if self.conflicts == "siblings" and self.resolver is None:
            object.__setattr__(self, "operations", frozenset({"get", "put", "delete"}))

    @property
    def collects(self) -> bool:
        """Whether tombstones are collected."""
        return self.conflicts == "siblings" or self.clock == "hybrid"

    @property
    def client_class(self) -> type[Node]:
        return HomeClient

    @property
    def consistency(self) -> str:
        return "eventual"

    @property
    def converges_within(self) -> float:
        return self.nodes * self.gossip_every

    def replica_values(self, nodes: Mapping[str, Node]) -> dict[str, dict[str, Any]]:
        replicas = {name: node for name, node in nodes.items() if isinstance(node, MultiPrimaryNode)}
        return {name: {key: node.look_up(key) for key in node.versions} for name, node in replicas.items()}

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.replication.multi_primary.invariants import invariants_of

        return invariants_of(self)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that are not in the final state, and that nobody replaced who had seen them.

        What an increment or an append replaced lives on in its result, and is lost if that is.
        """
        replicas = [node for node in nodes.values() if isinstance(node, MultiPrimaryNode)]
        if not replicas:
            return None
        every: dict[str, list[Version]] = {}
        heirs: dict[Write, list[tuple[Write | None, bool]]] = {}
        for replica in replicas:
            for key, held in replica.versions.items():
                every.setdefault(key, []).extend(held)
            for write, transferee in replica.replaced.items():
                heirs.setdefault(write, []).append(transferee)
        rule = latest if self.conflicts == "lww" else siblings
        final = {version.write for versions in every.values() for version in rule(versions)}
        return sum(not _is_kept(write, final, heirs) for write in acknowledged)


def _is_kept(write: Write, final: set[Write], heirs: Mapping[Write, list[tuple[Write | None, bool]]]) -> bool:
    """Whether a write, or one that contains it, is in the final state or was replaced blindly."""
    line, met = [write], {write}
    while line:
        here = line.pop()
        if here in final:
            return True
        for transferee, blindly in heirs.get(here, ()):
            if blindly:
                return True
            if transferee is not None and transferee not in met:
                met.add(transferee)
                line.append(transferee)
    return False
