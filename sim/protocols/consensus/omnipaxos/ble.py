"""Ballot Leader Election (BLE) of Omni-Paxos: a leader needs only to be connected to a majority.

Ng, Haridi, Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity" (EuroSys 2023), section 5. Each server
has a ballot, and asks all others for theirs once a round. The reply says also whether its sender is
*quorum-connected*: whether a majority answered it in its last round. Of the quorum-connected servers that it hears, a
server elects the one with the highest ballot. If all of them are below the ballot that it has elected, the leader is
gone or has lost its quorum, and the server raises its own ballot above.

No message names another server's ballot, and no server votes. So a server that hears a majority elects itself, no
matter what the others hear and what is in its log.

Departures from the paper:

- A round lasts the detection timeout. Links may lose messages: a server repeats its request in each heartbeat interval
  to those that have not answered in this round.
- A ballot that the server promised in Sequence Paxos counts as elected. In the paper all servers see each ballot before
  its owner can lead by it. With lost messages, a server might promise a ballot of a server that then crashes, and never
  hear of it here: it would follow a leader whose messages it must refuse.
- After a restart the elected ballot is the promised one, which is on disk. The server's own ballot begins at zero
  again: it raises it above the elected one before it can lead. If its own ballot is the elected one (all servers began
  at zero, and this one led in that round), it raises it, too: what it knew as the leader of that round is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sim.node import Part
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.omnipaxos.messages import HeartbeatReply, HeartbeatRequest

if TYPE_CHECKING:
    from sim.protocols.consensus.omnipaxos.node import OmniPaxosNode

__all__ = ["BallotLeaderElection"]


class BallotLeaderElection(Part):
    """Elects a ballot, and tells the node: ``hear_elected(ballot)``.

    Attributes
    ----------
    ballot:
        This server's own ballot.
    elected:
        The ballot of the leader.
    quorum_connected:
        Whether a majority answered in the last round.
    """

    def on_start(self) -> None:
        self.replica = cast("OmniPaxosNode", self.node)
        settings: Any = self.node.settings
        self.heartbeat: float = settings.heartbeat_interval
        self.delay: float = settings.detection_timeout
        self.round = 0
        self.replies: dict[
            str, tuple[Ballot, bool]
        ] = {}  # server -> its ballot, and whether it is quorum-connected
        self.quorum_connected = True
        self.ballot, self.elected = Ballot(0, self.name), self.replica.promised
        if self.incarnation == 0:
            first = Ballot(1, settings.first_leader)
            if self.name == first.proposer:
                self.ballot = first
            self.elected = first  # known to all from the start
        self.begin_round()

    def begin_round(self) -> None:
        """Ask all others for their ballots."""
        self.round += 1
        self.replies = {}
        self.broadcast(HeartbeatRequest(self.round), hold=False)
        self.set_timer("round", self.delay)
        self.round_ends = self.monotonic + self.delay
        self.await_replies()

    def await_replies(self) -> None:
        """Repeat the requests after a heartbeat, unless the round is nearly over then."""
        if self.round_ends - self.monotonic > 1.5 * self.heartbeat:
            self.set_timer("repeat", self.heartbeat)

    def on_repeat_timeout(self) -> None:
        """Some requests or replies may be lost: ask those again that have not answered."""
        missing = [peer for peer in self.peers if peer not in self.replies]
        if missing:
            self.broadcast(HeartbeatRequest(self.round), to=missing, hold=False)
            self.await_replies()

    def on_heartbeat_request(self, src: str, msg: HeartbeatRequest) -> None:
        self.send(src, HeartbeatReply(msg.round, self.ballot, self.quorum_connected), hold=False)

    def on_heartbeat_reply(self, src: str, msg: HeartbeatReply) -> None:
        if msg.round == self.round:
            self.replies[src] = (msg.ballot, msg.quorum_connected)

    def on_round_timeout(self) -> None:
        """The round is over: with the ballots of a majority, its own included, look for the leader among them."""
        self.replies[self.name] = (self.ballot, self.quorum_connected)
        self.quorum_connected = self.replica.is_quorum(len(self.replies))
        if self.quorum_connected:
            self.check_leader()
        self.begin_round()

    def check_leader(self) -> None:
        """Elect the highest ballot of a quorum-connected server; if that is below the elected one, raise the own.

        Raise it as well if it is elected and this server does not lead in it any more: no other server will.
        """
        highest = max(self.candidates(), default=ZERO)
        if highest < self.elected or self.lost(highest):
            self.ballot = Ballot(self.elected.round + 1, self.name)
        elif highest > self.elected:
            self.elect(highest)

    def lost(self, ballot: Ballot) -> bool:
        """Whether this is the own ballot, and elected, but this server has forgotten in a restart that it leads."""
        return ballot == self.elected == self.ballot and not self.replica.leads(ballot)

    def candidates(self) -> list[Ballot]:
        """The ballots of the quorum-connected servers among those that answered."""
        return [ballot for ballot, connected in self.replies.values() if connected]

    def elect(self, ballot: Ballot) -> None:
        """This ballot leads, as far as this server knows."""
        self.elected = ballot
        self.replica.hear_elected(ballot)

    def hear_promised(self, ballot: Ballot) -> None:
        """The node has promised a ballot: no lower one can lead."""
        self.elected = max(self.elected, ballot)
