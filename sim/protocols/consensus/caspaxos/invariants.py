"""The invariants of CASPaxos, checked against a ghost of all that was promised and accepted for each key.

Source: Rystsov 2018, section 2.2 and appendix A: of two states that majorities accepted, the later one was made from
the earlier one by a chain of changes. The ghost sees each message when it leaves its sender.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sim.protocols.command import Command, Result
from sim.protocols.consensus.by_message import ByMessage
from sim.protocols.consensus.caspaxos.messages import (
    EMPTY,
    FIRST,
    Accept,
    Accepted,
    Prepare,
    Promise,
    RegisterBallot,
    State,
)
from sim.protocols.quorums import QuorumTest

__all__ = ["CasPaxosSafety"]

Identity = tuple[int, int]


@dataclass
class _Key:
    """The ghost of one register."""

    states: dict[RegisterBallot, State] = field(
        default_factory=lambda: {FIRST: EMPTY}
    )  # ballot -> what it proposes
    promisers: dict[RegisterBallot, dict[str, None]] = field(
        default_factory=dict
    )  # asked, or with an acceptance
    accepted: dict[str, list[RegisterBallot]] = field(
        default_factory=dict
    )  # acceptor -> ballots, in its order
    voters: dict[RegisterBallot, dict[str, None]] = field(default_factory=dict)
    promised: dict[str, RegisterBallot] = field(default_factory=dict)
    then: dict[RegisterBallot, RegisterBallot] = field(
        default_factory=dict
    )  # what an acceptance promises, too


@dataclass
class CasPaxosSafety(ByMessage):
    """Each proposal changes the newest state that a majority may have accepted, by one command that a client sent.

    Parameters: the test for quorums.
    """

    is_quorum: QuorumTest = field(kw_only=True)

    def __post_init__(self) -> None:
        self.keys: dict[str, _Key] = {}
        self.asked: dict[Identity, Command] = {}
        self.results: dict[Identity, Result] = {}  # of commands in states that a majority accepted

    def of(self, key: str) -> _Key:
        """The ghost of a key."""
        return self.keys.setdefault(key, _Key())

    # The invariants for each message

    def sent_request(self, src: str, msg: Any) -> None:
        """A command that a client sends may be applied."""
        self.asked.setdefault((msg.command.session, msg.command.sequence), msg.command)

    def sent_prepare(self, src: str, msg: Prepare) -> None:
        """A ballot belongs to one proposer."""
        if msg.ballot.proposer != src:
            self.violated(
                src, f"{msg.ballot} is of {msg.ballot.proposer}", f"{src} uses it", invariant="own ballots"
            )

    def sent_promise(self, src: str, msg: Promise) -> None:
        """An acceptor keeps its promises, and tells the last state that it accepted."""
        ghost = self.of(msg.key)
        self.check_promise_kept(ghost, src, msg.ballot, "promises")
        ghost.promisers.setdefault(msg.ballot, {})[src] = None
        accepted = ghost.accepted.setdefault(src, [FIRST])
        if msg.accepted < accepted[-1]:
            self.violated(
                src,
                f"it accepted {accepted[-1]}",
                f"it tells of {msg.accepted}",
                invariant="what was accepted is kept",
            )
        if msg.accepted > accepted[-1]:  # a crash kept it on disk, but lost the answer
            accepted.append(msg.accepted)

    def sent_accept(self, src: str, msg: Accept) -> None:
        """One state for each ballot: the newest state of a majority, changed by one command."""
        ghost = self.of(msg.key)
        known = ghost.states.get(msg.ballot)
        if known is None:
            ghost.states[msg.ballot] = msg.state
            ghost.then[msg.ballot] = msg.then
            self.check_change(src, ghost, msg)
        elif known != msg.state:
            self.violated(
                src,
                f"{msg.ballot} proposed {known!r}",
                f"it proposes {msg.state!r}",
                invariant="one state a ballot",
            )

    def sent_accepted(self, src: str, msg: Accepted) -> None:
        """An acceptor keeps its promises; a state that a majority has accepted is chosen."""
        ghost = self.of(msg.key)
        accepted = ghost.accepted.setdefault(src, [FIRST])
        if msg.ballot != accepted[-1]:  # else it says so again
            self.check_promise_kept(ghost, src, msg.ballot, "accepts")
            accepted.append(msg.ballot)
        then = ghost.then[msg.ballot]
        ghost.promised[src] = max(then, ghost.promised.get(src, FIRST))
        ghost.promisers.setdefault(then, {})[src] = None
        voters = ghost.voters.setdefault(msg.ballot, {})
        if src not in voters:
            voters[src] = None
            if self.is_quorum(voters):
                self.choose(ghost.states[msg.ballot])

    def sent_reply(self, src: str, msg: Any) -> None:
        """A reply has the result of its command in a chosen state."""
        truth = self.results.get((msg.session, msg.sequence))
        if truth is None:
            self.violated(
                src,
                f"it answers {msg!r}",
                "no majority has accepted that",
                invariant="acknowledged is chosen",
            )
        if (truth.status, truth.value, truth.result) != (msg.status, msg.value, msg.result):
            self.violated(src, f"the result was {truth!r}", f"it answers {msg!r}", invariant="exactly once")

    # The invariants themselves

    def check_promise_kept(self, ghost: _Key, src: str, ballot: RegisterBallot, what: str) -> None:
        """An acceptor promises and accepts nothing below a ballot that it promised or accepted before."""
        before = ghost.promised.get(src, FIRST)
        if ballot < before:
            self.violated(src, f"it promised {before}", f"it {what} {ballot}", invariant="promise kept")
        ghost.promised[src] = ballot

    def check_change(self, src: str, ghost: _Key, msg: Accept) -> None:
        """The state is one command away from the newest one that some majority, which promised, may have accepted."""
        last = {
            name: max((b for b in ghost.accepted.get(name, [FIRST]) if b < msg.ballot), default=FIRST)
            for name in ghost.promisers.get(msg.ballot, ())
        }
        for newest in sorted(dict.fromkeys(last.values())):
            if self.is_quorum([name for name, ballot in last.items() if ballot <= newest]) and self.is_change(
                src, ghost.states[newest], msg.state
            ):
                return
        told = {name: str(ballot) for name, ballot in last.items()}
        self.violated(
            src,
            f"those that promised {msg.ballot} had accepted {told}",
            f"it proposes {msg.state!r}",
            invariant="a change of the newest state",
        )

    def is_change(self, src: str, before: State, after: State) -> bool:
        """Whether one command that a client sent makes the one state from the other; or they are equal."""
        if before == after:
            return True
        if not after.done:
            return False
        session, sequence, _ = after.done[-1]
        command = self.asked.get((session, sequence))
        if command is None:
            self.violated(
                src, f"it applies {sequence} of {session}", "no client asked for that", invariant="validity"
            )
        return before.after(command) == after

    def choose(self, state: State) -> None:
        """A majority has accepted a state: the results in it are those of its commands.

        That later states agree follows from each being a change of the newest one.
        """
        for session, sequence, result in state.done:
            self.results.setdefault((session, sequence), result)
