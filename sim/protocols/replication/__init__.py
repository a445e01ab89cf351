"""Replication: primary-backup to multi-primary."""
