"""Eight mistakes that students make in Raft, each put into the solution by one override."""

from __future__ import annotations

from typing import Any

from tests.labs.solution import Canvass, Copy, Server

__all__ = [
    "CommitsOldTerm",
    "FixedTimeouts",
    "ForgottenVote",
    "Minority",
    "NoTruncation",
    "StaleReplies",
    "TimerNotResetOnVote",
    "VoteWithoutLogCheck",
]


class ForgottenVote(Server):
    """The vote is not on disk: a server that restarts votes a second time in an era."""

    choice: Any = ""

    def on_start(self) -> None:
        self.choice = ""
        super().on_start()


class VoteWithoutLogCheck(Server):
    """A candidate gets the vote, though its book is older."""

    def may_vote(self, src: str, msg: Canvass) -> bool:
        return msg.era == self.era and self.choice in ("", src)


class CommitsOldTerm(Server):
    """A page of an earlier era counts as committed when most servers have it (figure 8)."""

    def may_commit(self, pages: int) -> bool:
        return True

    def open_era(self) -> None:
        """It takes no page of its own to commit those before."""
        self.has[self.name] = len(self.book)


class NoTruncation(Server):
    """Pages that differ from those of the boss stay in the book."""

    def take_over(self, msg: Copy) -> None:
        self.book.extend(msg.pages[max(0, len(self.book) - msg.after) :])


class Minority(Server):
    """Half of the servers count as most of them."""

    def is_most(self, count: int) -> bool:
        return count >= len(self.members) // 2


class FixedTimeouts(Server):
    """All servers wait equally long."""

    def patience(self) -> float:
        return float(self.settings.detection_timeout)


class TimerNotResetOnVote(Server):
    """A server that has given its vote does not wait for the candidate that has it."""

    def voted(self) -> None:
        pass


class StaleReplies(Server):
    """Answers of earlier eras are counted."""

    def is_present(self, era: int) -> bool:
        return True


MISTAKES = (
    ForgottenVote,
    VoteWithoutLogCheck,
    CommitsOldTerm,
    NoTruncation,
    Minority,
    FixedTimeouts,
    TimerNotResetOnVote,
    StaleReplies,
)
