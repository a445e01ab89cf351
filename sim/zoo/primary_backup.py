"""Mistakes of primary-backup replication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.node import durable
from sim.protocols.replication.primary_backup.log_shipping import Append, AppendOk
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.settings import Count, Seconds
from sim.zoo.bug import Mutated, bug

__all__ = ["PB1", "PB2", "PB3", "PB4", "PB5", "PB6"]


class AcknowledgesAlone(PrimaryBackupNode):
    """Only the primary's own log counts."""

    def replicated(self) -> int:
        return self.match[self.name]


@bug("anomaly", happened="Jepsen on Redis (2013): 56 % of the acknowledged writes were lost")
@dataclass(frozen=True, kw_only=True)
class PB1(Mutated, PrimaryBackup):
    """A primary that is said to be synchronous answers before its backups have the write."""

    nodes: Count = 3
    mutated_nodes = (AcknowledgesAlone,)


class AcceptsAnyView(PrimaryBackupNode):
    """Backups take in what primaries of any view send; primaries do not look at views."""

    def on_append(self, src: str, msg: Append) -> None:
        if msg.view < self.view_number:
            self.send(src, AppendOk(msg.view, msg.position + len(msg.entries), msg.probe))
        elif self.role != "primary":
            super().on_append(src, msg)


@bug("safety", happened="GitHub, 21 October 2018 (post-mortem)")
@dataclass(frozen=True, kw_only=True)
class PB2(Mutated, PrimaryBackup):
    """Backups acknowledge what a primary of an earlier view sends: there is no fencing."""

    nodes: Count = 3
    mutated_nodes = (AcceptsAnyView,)


class FallsBackSilently(PrimaryBackupNode):
    """After the timeout the reply is a plain ok."""

    def answer(self, client: str, command: Any, result: Any) -> None:
        alone, self.alone = self.role == "primary" and self.alone, False
        super().answer(client, command, result)
        self.alone = alone


@bug("safety", happened="MySQL's rpl_semi_sync_source_timeout (manual, semisynchronous replication)")
@dataclass(frozen=True, kw_only=True)
class PB3(Mutated, PrimaryBackup):
    """A semi-synchronous primary that goes on alone after a timeout does not say so to its clients."""

    nodes: Count = 3
    mode: Any = "semi-sync"
    fallback: Seconds | None = 0.1
    mutated_nodes = (FallsBackSilently,)


class KeepsItsTail(PrimaryBackupNode):
    """Nothing is cut off."""

    def cut(self, position: int) -> None:
        pass


@bug("safety", happened="MySQL bug #99370")
@dataclass(frozen=True, kw_only=True)
class PB4(Mutated, PrimaryBackup):
    """An old primary comes back as a backup and keeps what nobody acknowledged."""

    nodes: Count = 3
    mode: Any = "async"
    mutated_nodes = (KeepsItsTail,)


class TruncatesToItsCommit(PrimaryBackupNode):
    """A restart cuts the log off at the high watermark that this replica knows."""

    high_watermark = durable(0)

    def on_start(self) -> None:
        self.log.truncate(min(len(self.log), self.high_watermark))
        super().on_start()

    def take_effect(self, position: int) -> None:
        super().take_effect(position)
        self.high_watermark = self.commit


@bug("safety", happened="Kafka, KIP-101")
@dataclass(frozen=True, kw_only=True)
class PB5(Mutated, PrimaryBackup):
    """A backup that restarts cuts its log off at its own high watermark, which is behind what was acknowledged."""

    nodes: Count = 2
    mutated_nodes = (TruncatesToItsCommit,)


class AcknowledgesUnsynced(PrimaryBackupNode):
    """A backup's acknowledgement does not wait for its disk."""

    def send(self, dst: str, msg: Any, *, hold: bool = True) -> None:
        self.host.send(dst, msg, hold and (dst == self.name or not isinstance(msg, AppendOk)))


@bug("safety", happened="Kafka, KIP-966")
@dataclass(frozen=True, kw_only=True)
class PB6(Mutated, PrimaryBackup):
    """The last member of a view had not synced what it acknowledged, and leads again after a power failure."""

    nodes: Count = 3
    mutated_nodes = (AcknowledgesUnsynced,)
