"""What the thesis adds to Raft: elections, membership, reads, replication, snapshots; each by itself."""

__all__: list[str] = []
