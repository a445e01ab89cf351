"""Replication: primary-backup to multi-primary. Each protocol is a module; `sim.protocols` exports the systems."""

__all__: list[str] = []
