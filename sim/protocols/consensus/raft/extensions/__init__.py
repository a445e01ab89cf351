"""The thesis' extensions of Raft: elections, membership, reads, replication, snapshots. Each works independently."""

__all__: list[str] = []
