"""Live sessions: what was done by hand is kept, so that a session can go back in time, and be written as a script."""

from sim.lab.live.journal import Journal, JournalEntry, keeps_journal
from sim.lab.live.session import Session

__all__ = ["Journal", "JournalEntry", "Session", "keeps_journal"]
