"""Failure detection, membership, gossip."""
