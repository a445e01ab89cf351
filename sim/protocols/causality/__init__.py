"""Causality: dots and causal contexts, hybrid clocks, siblings. Protocols of replication share it."""

__all__: list[str] = []
