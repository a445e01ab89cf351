"""CASPaxos: a register for each key, which any replica changes by a function of its value. No log, no leader.

Rystsov, "CASPaxos: Replicated State Machines without logs" (arXiv 1802.07000, 2018), section 2.2. A client sends a
command, the paper's change function, to any proposer. The proposer gets promises and the last accepted state from a
majority of acceptors, applies the command to the state of the highest ballot, and asks the acceptors to accept the
result. A read changes nothing, and is done in the same way. Keys are independent of each other.

With every Accept a proposer asks for the promise that it needs next (section 2.2.1, the one-round-trip optimisation):
as long as no other proposer writes the key, it begins with the Accept, because it knows the state.

Assumptions: what an acceptor promised and accepted survives on its disk. Every replica is proposer and acceptor.

Departures and decisions that the paper leaves open:

- Clients send a command again when no answer comes. So a register also keeps the last command of each session, with its
  result: a command is applied once, and a duplicate gets the remembered result.
- A proposer works at one command for each key; the others wait. After a conflict it waits for a random time before the
  next ballot, at most a heartbeat at first, and doubles that up to a detection timeout.
- A deleted register stays as an empty one (section 3.1 collects it), and the set of acceptors is fixed (section 2.3).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sim.node import durable_map
from sim.protocols.backoff import longest_wait
from sim.protocols.client import Request
from sim.protocols.command import Command
from sim.protocols.consensus.caspaxos.messages import (
    EMPTY,
    FIRST,
    Accept,
    Accepted,
    Conflict,
    Prepare,
    Promise,
    Register,
    RegisterBallot,
    State,
)
from sim.protocols.replica import Responder

if TYPE_CHECKING:
    from sim.protocols.consensus.caspaxos.system import CasPaxos

__all__ = ["CasPaxosNode", "Round"]

_UNKNOWN = Register(FIRST, FIRST, EMPTY)


class Round:
    """A proposer's work at one command: its ballot, and who has answered."""

    __slots__ = ("accepted", "ballot", "command", "conflicts", "promises", "proposal")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.ballot = FIRST
        self.conflicts = 0
        self.promises: dict[str, Promise] = {}
        self.proposal: Accept | None = None  # None in the first phase
        self.accepted: dict[str, None] = {}


class CasPaxosNode(Responder):
    """Proposer and acceptor."""

    settings: CasPaxos
    reply_waits_for_disk = False  # the state is accepted by a majority

    registers = durable_map()  # key -> Register

    def on_start(self) -> None:
        self.counter = 0  # the highest counter of any ballot that this proposer has used or seen
        self.rounds: dict[str, Round] = {}  # key -> the command at work
        self.queues: dict[str, deque[Command]] = {}  # key -> commands that wait
        self.clients: dict[tuple[int, int], str] = {}  # session, sequence -> the client that asked last
        self.known: dict[
            str, tuple[RegisterBallot, State]
        ] = {}  # key -> a promised ballot, and the state below it
        self.is_quorum = self.settings.quorum_test()

    # Proposer

    def on_request(self, src: str, msg: Request) -> None:
        """A client's command: work at it, or queue it behind another one for its key."""
        command = msg.command
        identity = (command.session, command.sequence)
        new = identity not in self.clients
        self.clients[identity] = src
        if not new:
            return
        self.queues.setdefault(command.key, deque()).append(command)
        if command.key not in self.rounds:
            self.next_command(command.key)

    def next_command(self, key: str) -> None:
        """Begin with the next command for a key."""
        if self.queues[key]:
            self.rounds[key] = Round(self.queues[key].popleft())
            self.begin(key)
        else:
            del self.queues[key]

    def next_ballot(self) -> RegisterBallot:
        """A ballot above all that this proposer has used or seen."""
        self.counter += 1
        return RegisterBallot(self.counter, self.name, self.incarnation)

    def begin(self, key: str) -> None:
        """Propose at once if the last round left a promise and the state; else ask for promises (1a)."""
        current = self.rounds[key]
        known = self.known.pop(key, None)
        if known is not None:
            current.ballot, state = known
            self.propose(key, state)
            return
        current.ballot = self.next_ballot()
        current.promises, current.proposal = {}, None
        self.broadcast(Prepare(key, current.ballot), to=self.members, hold=False)
        self.set_timer("repeat", self.settings.heartbeat_interval, key)

    def on_promise(self, src: str, msg: Promise) -> None:
        current = self.rounds.get(msg.key)
        if current is None or current.proposal is not None or current.ballot != msg.ballot:
            return
        current.promises[src] = msg
        if self.is_quorum(current.promises):
            self.propose(msg.key, self.newest(current.promises))

    def newest(self, promises: dict[str, Promise]) -> State:
        """The state of the highest ballot that one of them has accepted; empty if none has accepted any."""
        return max(promises.values(), key=lambda promise: promise.accepted).state

    def propose(self, key: str, state: State) -> None:
        """Apply the command, and ask all acceptors to accept the new state (2a)."""
        current = self.rounds[key]
        current.proposal = Accept(key, current.ballot, state.after(current.command), self.next_ballot())
        current.accepted = {}
        self.broadcast(current.proposal, to=self.members, hold=False)
        self.set_timer("repeat", self.settings.heartbeat_interval, key)

    def on_accepted(self, src: str, msg: Accepted) -> None:
        """A majority has accepted: the command is done."""
        current = self.rounds.get(msg.key)
        if current is None or current.proposal is None or current.ballot != msg.ballot:
            return
        current.accepted[src] = None
        if self.is_quorum(current.accepted):
            self.known[msg.key] = (current.proposal.then, current.proposal.state)
            self.finish(msg.key, current.command, current.proposal.state)

    def finish(self, key: str, command: Command, state: State) -> None:
        """Answer the client; an outdated duplicate gets no answer. Go on with the next command for this key."""
        self.cancel_timer("repeat", key)
        del self.rounds[key]
        client = self.clients.pop((command.session, command.sequence))
        sequence, result = state.last(command.session)
        self.answer(client, command, result if sequence == command.sequence else None)
        self.next_command(key)

    def on_conflict(self, src: str, msg: Conflict) -> None:
        """An acceptor has promised a higher ballot: begin again above it, after a random wait."""
        self.counter = max(self.counter, msg.promised.counter)
        current = self.rounds.get(msg.key)
        if current is None or current.ballot != msg.ballot:
            return
        current.conflicts += 1
        current.ballot = FIRST  # no answer to the old ballot counts any more
        longest = longest_wait(
            self.settings.heartbeat_interval, self.settings.detection_timeout, current.conflicts
        )
        self.cancel_timer("repeat", msg.key)
        self.set_timer("again", self.random.random() * longest, msg.key)

    def on_again_timeout(self, key: str) -> None:
        self.begin(key)

    def on_repeat_timeout(self, key: str) -> None:
        """Messages may be lost: send the message of this phase again to those that have not answered."""
        current = self.rounds[key]
        self.set_timer("repeat", self.settings.heartbeat_interval, key)
        if current.proposal is None:
            silent = [name for name in self.members if name not in current.promises]
            self.broadcast(Prepare(key, current.ballot), to=silent, hold=False)
        else:
            silent = [name for name in self.members if name not in current.accepted]
            self.broadcast(current.proposal, to=silent, hold=False)

    # Acceptor

    def on_prepare(self, src: str, msg: Prepare) -> None:
        """1b: promise, unless a higher ballot is promised."""
        held = self.registers.get(msg.key, _UNKNOWN)
        if msg.ballot < held.promised:
            self.send(src, Conflict(msg.key, msg.ballot, held.promised))
            return
        if msg.ballot > held.promised:
            self.registers[msg.key] = Register(msg.ballot, held.accepted, held.state)
        self.send(src, Promise(msg.key, msg.ballot, held.accepted, held.state))

    def on_accept(self, src: str, msg: Accept) -> None:
        """2b: accept unless a higher ballot is promised, and promise the ballot that the proposer uses next."""
        held = self.registers.get(msg.key, _UNKNOWN)
        if held.accepted == msg.ballot:  # a duplicate
            self.send(src, Accepted(msg.key, msg.ballot))
        elif msg.ballot < held.promised:
            self.send(src, Conflict(msg.key, msg.ballot, held.promised))
        else:
            self.registers[msg.key] = Register(msg.then, msg.ballot, msg.state)
            self.send(src, Accepted(msg.key, msg.ballot))
