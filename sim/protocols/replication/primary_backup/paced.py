"""A replica with service times: the replica class of a primary-backup system with ``costs`` (`ServiceTimes`)."""

from __future__ import annotations

from sim.protocols.client import Request
from sim.protocols.replication.primary_backup.backup_reads import SessionRequest
from sim.protocols.replication.primary_backup.log_shipping import Append
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode
from sim.protocols.replication.service_times import Paced, ServiceTimes

__all__ = ["PacedPrimaryBackupNode"]


class PacedPrimaryBackupNode(PrimaryBackupNode, Paced):
    """A replica whose requests take processor time."""

    @property
    def _costs(self) -> ServiceTimes:
        return self.settings.costs or ServiceTimes()

    def _cost_of(self, msg: Request) -> float:
        anywhere = msg.command.kind in self.store.reads and self.settings.reads in ("backup", "session")
        return self._costs.of(msg, self.store.reads) if anywhere or self.role == "primary" else 0.0

    def on_request(self, src: str, msg: Request) -> None:
        self.pace(self._cost_of(msg), super().on_request, src, msg)

    def on_session_request(self, src: str, msg: SessionRequest) -> None:
        reads = msg.command.kind in self.store.reads  # what is written comes back as a plain request
        self.pace(self._cost_of(msg) if reads else 0.0, super().on_session_request, src, msg)

    def on_append(self, src: str, msg: Append) -> None:
        self.pace(self._costs.apply * len(msg.entries), super().on_append, src, msg)
