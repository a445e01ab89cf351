"""Consensus: one file a protocol, next to its paper."""

__all__: list[str] = []
