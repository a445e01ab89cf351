"""CRAQ: chain replication with apportioned queries (Terrace & Freedman, USENIX ATC 2009).

Every server of the chain answers queries. A server that has an update of an object which is not acknowledged yet
holds the object *dirty*: it asks the tail how far the history is committed, and answers with the newest version up
to there (section 2.3). A clean object is answered at once. Reads are strongly consistent in both cases.

Versions are numbered by the position of the update in the history. Departures: those of chain replication (see
`sim.protocols.replication.chain.node`); each server answers under a lease, as one that was taken out of the chain would
not know what has become dirty since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from sim.message import message
from sim.node import Node
from sim.protocols.application import Application
from sim.protocols.client import Reply
from sim.protocols.command import Command, Result
from sim.protocols.kv import KeyValueStore
from sim.protocols.replication.chain.node import ChainNode
from sim.protocols.replication.chain.system import ChainClient, ChainReplication
from sim.protocols.sessions import Sessions

__all__ = ["Craq", "CraqClient", "CraqNode", "Version", "VersionQuery"]


@message
class VersionQuery:
    """Asks the tail which version of ``key`` is committed, for the read that session and sequence identify."""

    session: int
    sequence: int
    key: str


@message
class Version:
    """The history, and the versions in it, are committed up to ``position``."""

    session: int
    sequence: int
    position: int


def _value(store: Sessions, key: str) -> Any:
    """The value of a key; None where there is none."""
    return store.execute(Command(-1, 0, "get", key)).value


class CraqNode(ChainNode):
    """A server that answers queries of all objects."""

    def recover(self) -> None:
        super().recover()
        self.clean = self.empty_store()  # the store after the acknowledged part of the history
        self.cleaned = 0
        self.dirty: dict[
            str, list[tuple[int, Any]]
        ] = {}  # key -> (position, value) of what is not acknowledged
        self.reads: dict[tuple[int, int], tuple[str, Command]] = {}  # reads for which the tail has been asked

    def after_apply(self, command: Command, result: Any) -> None:
        value = _value(self.store, command.key)
        self.dirty.setdefault(command.key, []).append((self.applied, value))

    def _acknowledge(self, position: int) -> None:
        super()._acknowledge(position)
        for update in self.entries_after(self.cleaned, self.acked - self.cleaned):
            self.cleaned += 1
            self.clean.apply(update.command)
            versions = self.dirty.get(update.command.key, [])
            while versions and versions[0][0] <= self.cleaned:
                versions.pop(0)
            if not versions:
                self.dirty.pop(update.command.key, None)

    def query(self, client: str, command: Command) -> None:
        assert self.chain is not None or not self.initialised
        if not self.may_answer() or self.chain is None:
            tail = self.chain.tail if self.chain is not None and self.chain.tail != self.name else None
            self.redirect(client, command, tail)
        elif command.key not in self.dirty:
            self.answer(client, command, self.clean.execute(command))
        else:
            self.reads[command.session, command.sequence] = (client, command)
            self.send(
                self.chain.tail, VersionQuery(command.session, command.sequence, command.key), hold=False
            )

    def on_version_query(self, src: str, msg: VersionQuery) -> None:
        if self.may_answer() and self.succ is None:
            self.send(src, Version(msg.session, msg.sequence, self.acked))

    def on_version(self, src: str, msg: Version) -> None:
        client, command = self.reads.pop((msg.session, msg.sequence), ("", None))
        if command is None or not self.may_answer() or msg.position > self.last:
            return  # answered already; or this server has been out of the chain meanwhile: the client will retry
        versions = [value for position, value in self.dirty.get(command.key, ()) if position <= msg.position]
        value = versions[-1] if versions else _value(self.clean, command.key)
        self.answer(client, command, Result("ok", value))


class CraqClient(ChainClient):
    """Reads at the nearest server, or at one drawn at random; at the tail when that one is not in the chain."""

    def target(self, command: Command, attempt: int) -> str:
        anywhere = command.kind in self.reads and self.tail is None
        if anywhere and attempt == 1 and self.settings.system.readers == "random":
            return self.random.choice(self.settings.contacts)
        return super().target(command, attempt)

    def learn(self, src: str, msg: Reply) -> None:
        if self.pending[msg.session].command.kind in self.reads:
            self.tail = None


@dataclass(frozen=True, kw_only=True)
class Craq(ChainReplication):
    """CRAQ over ``nodes`` servers; see `ChainReplication` for the parameters.

    ``readers``: ``"nearest"``, each client reads at the server nearest to it (section 4.1); ``"random"``, at one
    drawn for each read.
    """

    safe_options: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {**ChainReplication.safe_options, "readers": ("nearest", "random")}
    )

    readers: Literal["nearest", "random"] = "nearest"
    application: Application = field(default_factory=KeyValueStore, init=False, hash=False)

    no_application: ClassVar[str] = (
        "every server answers reads of a key from the version of that key which is committed (section 2.3), so that it "
        "keeps versions of each key, and no state of an application as a whole; ChainReplication takes one"
    )

    @property
    def operations(self) -> frozenset[str]:  # type: ignore[override]
        """Those that touch one key: a scan would need versions of all keys at one position of the history."""
        return self.application.operations - self.application.several_keys

    node_class: ClassVar[type[ChainNode]] = CraqNode

    def __post_init__(self) -> None:
        super().__post_init__()

    @property
    def replica_class(self) -> type[Node]:
        if self.costs is None:
            return self.node_class
        from sim.protocols.replication.chain.paced import PacedCraqNode

        return PacedCraqNode

    @property
    def client_class(self) -> type[Node]:
        return CraqClient
