"""Consensus: one folder per protocol; each file follows its paper."""

__all__: list[str] = []
