"""Failure detection, membership, gossip. Each protocol is a module; systems are offered by `sim.protocols`."""

__all__: list[str] = []
