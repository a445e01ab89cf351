"""Consensus: one file a protocol, next to its paper."""
