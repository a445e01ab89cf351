"""Primary-backup: node, log_shipping, backup_reads, paced, system, invariants."""

from sim.protocols.replication.primary_backup.backup_reads import SessionRequest
from sim.protocols.replication.primary_backup.invariants import SameAnswer
from sim.protocols.replication.primary_backup.log_shipping import Append
from sim.protocols.replication.primary_backup.node import PrimaryBackupNode
from sim.protocols.replication.primary_backup.system import PrimaryBackup

__all__ = [
    "Append",
    "PrimaryBackup",
    "PrimaryBackupNode",
    "SameAnswer",
    "SessionRequest",
]
