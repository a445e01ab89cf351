"""Multi-primary replication: every replica accepts writes, answers at once, and informs the others later.

Writes of one key at two replicas may conflict. *Last writer wins* keeps the version with the higher timestamp, by wall
clocks or by hybrid logical clocks, and silently drops the other. *Siblings* keeps both, until a write that has seen
them replaces them. A *resolver* computes one value from the siblings.

Sources: last writer wins, RFC 677 (Johnson & Thomas 1975); siblings, version vectors (see `versions`); anti-entropy
between pairs by version vectors, Bayou (Petersen et al., SOSP 1997): a digest has one number per replica, not per key.
Tombstones are collected when all replicas have seen them: matrix clocks (Wuu & Bernstein, PODC 1984).

Assumptions: a client uses one replica, and waits for it while it is down. An acknowledged write is on this replica's
disk; it need not be anywhere else. A replica that has lost its disk returns as a new actor and requests all versions.
Messages that were sent to it before are no longer in flight by then (they might contain collected tombstones).

Departures: the resolver is called when a key is read, and its value becomes a version with the next write; Bayou's
merge procedures write at once. Hybrid clocks advance at writes and at the arrival of versions; digests carry no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
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
from sim.settings import Seconds
from sim.system import Invariant

__all__ = ["Digest", "MultiPrimary", "MultiPrimaryNode", "Update"]

_MODIFYING = frozenset({"increment", "append"})  # their result contains the value that they replace


@message
class Update:
    """Versions of keys. With ``seen``: all versions that the receiver lacked, so it may merge ``seen`` into its own."""

    versions: tuple[tuple[str, Version], ...]
    seen: Context | None = None


@message
class Digest:
    """The dots of all versions that the sender has seen; requests the versions that it lacks.

    With ``ask``, a receiver that lacks versions itself answers with a digest, too.
    """

    seen: Context
    ask: bool


class MultiPrimaryNode(Responder):
    """A replica that accepts writes for all keys."""

    settings: MultiPrimary
    versions = durable_map()  # key -> its versions
    seen = durable(EMPTY)  # the dots of all versions that are or were held
    clock = durable(BEGINNING)  # hybrid
    actor = durable("")  # its name in dots
    done = durable_map()  # session -> (sequence, result): a retried write takes effect once
    replaced = (
        durable_map()
    )  # write -> (replacing write, blindly); not part of the protocol: counts lost writes

    def on_start(self) -> None:
        if not self.actor:
            self.actor = self.name if self.incarnation == 0 else f"{self.name}.{self.incarnation}"
        self.known = dict.fromkeys(self.peers, EMPTY)  # what each peer is known to have seen
        self.turn = self.random.below(len(self.peers)) if self.peers else 0
        self.tombstones = {key: None for key, held in self.versions.items() if any(v.deleted for v in held)}
        self.conflicts = 0
        self.set_timer("gossip", self.settings.gossip_every * self.random.random())

    def gauges(self) -> dict[str, float]:
        """The number of conflicts since its start, of tombstones, and of keys that have siblings."""
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
        """The result of a read: the value; if there are several, the resolver's result, or all values as a tuple."""
        values = tuple(v.value for v in self.versions.get(key, ()) if not v.deleted)
        if len(values) < 2:
            return values[0] if values else None
        return values if self.settings.resolver is None else self.settings.resolver(values)

    def execute(self, command: Command) -> Result:
        """Execute a write on this replica's state only."""
        result, value = on_value(self.look_up(command.key), command)
        if result.status == "ok":
            self.write(command, value)
        return result

    def write(self, command: Command, value: Any) -> None:
        """Make a version that replaces all held versions of its key, and send it to the others."""
        key, write = command.key, (command.session, command.sequence)
        held: Versions = self.versions.get(key, ())
        dot = (self.actor, self.seen.upto(self.actor) + 1)
        deleted = command.kind == "delete"
        fresh = Version(dot, past_of(held), self.read_clock(), value, deleted, write, command.size)
        if self.settings.conflicts == "lww" and held and held[0].stamp > fresh.stamp:
            # This clock is behind the timestamp of the version to be replaced: the write is lost, although it is later.
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
        # A version that was seen and is not held was replaced or collected since: it is not accepted again.
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
        """Accept a version that this replica has not seen before."""
        held: Versions = self.versions.get(key, ())
        for other in held:
            if not replaced_by(other, version) and not replaced_by(version, other):
                self.conflicts += 1
                self.record("conflict", key=key, writes=tuple(sorted((version.write, other.write))))
        rule = latest if self.settings.conflicts == "lww" else siblings
        self.hold(key, rule((*held, version)))

    def on_gossip_timeout(self) -> None:
        """Anti-entropy: compare with the next peer in turn."""
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
        """Drop the tombstones that all replicas have seen."""
        for key in list(self.tombstones):
            held = self.versions[key]
            spent = [v for v in held if v.deleted and self.is_stable(v)]
            for tombstone in spent:
                self.replaced[tombstone.write] = (None, True)
            if spent:
                self.hold(key, tuple(v for v in held if v not in spent))

    def is_stable(self, version: Version) -> bool:
        """Whether all replicas have seen this version, and this replica has seen all that they wrote before that.

        A peer's ``seen`` becomes known from its own complete update. So this replica has seen all that the peer wrote
        before, and does not accept it again; with hybrid clocks, the peer's later writes have higher timestamps.
        """
        return all(seen.has(version.dot) for seen in self.known.values())


@dataclass(frozen=True, kw_only=True)
class MultiPrimary(ReplicatedSystem):
    """Multi-primary replication: each of ``nodes`` replicas accepts writes.

    Reads, puts and deletes are always served; cas, append and increment only if a read has one value. They use the
    state of one replica only: the same cas may succeed at two replicas, and increments may be lost. The only claim is
    that replicas converge.

    Parameters
    ----------
    nodes:
        How many replicas (>= 1), named n0, n1, ...
    conflicts:
        ``"lww"``: the last writer wins. ``"siblings"``: conflicting values are kept side by side.
    clock:
        The clock of timestamps: ``"hybrid"`` or ``"wall"``. With wall clocks, tombstones are kept forever: a slow clock
        might later produce a timestamp below that of a collected tombstone.
    resolver:
        With siblings: a function from the tuple of siblings (in the same order everywhere) to one value. The result
        must depend on the tuple only; invariants call the function twice. Values that it omits do not count as lost.
    gossip_every:
        Seconds between comparisons with the next peer.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {"nodes": (3, 5), "conflicts": ("lww", "lww", "siblings"), "clock": ("hybrid", "hybrid", "wall")}
    )

    conflicts: Literal["lww", "siblings"] = "lww"
    clock: Literal["hybrid", "wall"] = "hybrid"
    resolver: Callable[[tuple[Any, ...]], Any] | None = None
    gossip_every: Seconds = 0.2

    node_class: ClassVar[type[Node]] = MultiPrimaryNode
    outlives_minority: ClassVar[bool] = True  # but the clients of those that are gone get no answers
    no_application: ClassVar[str] = KEEPS_REGISTERS
    operations: ClassVar[frozenset[str]] = frozenset({"get", "put", "delete", "increment", "append", "cas"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolver is not None and self.conflicts != "siblings":
            raise ValueError(
                f'MultiPrimary: a resolver needs conflicts="siblings", not {self.conflicts!r}: there is one value'
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

    @property
    def replaces(self) -> bool:
        """Yes, unless a slow clock may lose to what it has read, or a resolver makes values of its own."""
        return self.resolver is None and (self.conflicts == "siblings" or self.clock == "hybrid")

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.replication.multi_primary.invariants import invariants_of

        return invariants_of(self)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """How many acknowledged writes are not in the final state, although no later write replaced them knowingly.

        A write that an increment or an append replaced is part of its result, and is lost if this result is lost.
        """
        replicas = [node for node in nodes.values() if isinstance(node, MultiPrimaryNode)]
        if not replicas:
            return None
        every: dict[str, list[Version]] = {}
        heirs: dict[Write, list[tuple[Write | None, bool]]] = {}
        for replica in replicas:
            for key, held in replica.versions.items():
                every.setdefault(key, []).extend(held)
            for write, heir in replica.replaced.items():
                heirs.setdefault(write, []).append(heir)
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
        for heir, blindly in heirs.get(here, ()):
            if blindly:
                return True
            if heir is not None and heir not in met:
                met.add(heir)
                line.append(heir)
    return False
