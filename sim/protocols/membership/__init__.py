"""Failure detection, membership, gossip. Each protocol is a file or folder; `sim.protocols` exports the systems."""

__all__: list[str] = []
