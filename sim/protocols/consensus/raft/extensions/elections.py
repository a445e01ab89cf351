"""Elections that cause fewer disruptions: leader stickiness, CheckQuorum, PreVote, leadership transfer.

Ongaro, "Consensus: Bridging Theory and Practice", Stanford 2014, sections 3.10, 4.2.3, 6.2 and 9.6. Times are
read from each server's own clock.
"""

from __future__ import annotations

from sim.node import message
from sim.protocols.admin import AdminReply, Drain, Transfer
from sim.protocols.client import Request
from sim.protocols.consensus.raft.node import RaftNode, RequestVote

__all__ = [
    "CheckQuorum",
    "LeadershipTransfer",
    "PreVote",
    "PreVoteReply",
    "PreVoting",
    "Stickiness",
    "TimeoutNow",
    "TimeoutRange",
    "TransferVote",
]


class TimeoutRange(RaftNode):
    """Election timeouts in [T, timeout_spread * T) instead of [T, 2T) (thesis, 9.3)."""

    def draw_election_timeout(self) -> float:
        shortest = self.settings.detection_timeout
        return self.random.uniform(shortest, self.settings.timeout_spread * shortest)


class Stickiness(RaftNode):
    """A server that has recently received a message from a leader votes for no other server (4.2.3)."""

    def on_start(self) -> None:
        # After a crash, a server does not know when it last received a leader's message. It assumes the time of its
        # restart, so that it does not violate the promise on which leases rely.
        self.leader_contact = self.monotonic if self.incarnation else -float("inf")
        super().on_start()

    def trusts_leader(self) -> bool:
        """Whether this server leads, or has received a leader's message within the minimum election timeout."""
        since = self.monotonic - self.leader_contact
        return self.role == "leader" or since < self.settings.detection_timeout

    def follow(self, leader: str) -> None:
        super().follow(leader)
        self.leader_contact = self.monotonic

    def on_request_vote(self, src: str, msg: RequestVote) -> None:
        """If a server receives a RequestVote request within the minimum election timeout of hearing from a
        current leader, it does not update its term or grant its vote (4.2.3)."""
        if msg.term > self.current_term and self.trusts_leader():
            return
        super().on_request_vote(src, msg)


class Contact(RaftNode):
    """A leader that records when each follower last answered it."""

    def on_start(self) -> None:
        self.heard: dict[str, float] = {}
        self.leads_since = 0.0
        super().on_start()

    def become_leader(self) -> None:
        self.heard = {}
        self.leads_since = self.monotonic
        super().become_leader()

    def acknowledged(self, src: str, index: int) -> None:
        self.heard[src] = self.monotonic
        super().acknowledged(src, index)

    def rejected(self, src: str, index: int, next_index: int) -> None:
        self.heard[src] = self.monotonic  # a rejection is an answer, too
        super().rejected(src, index, next_index)

    def silence(self, follower: str) -> float:
        """Seconds since the follower's last answer; if there was none, since this server became leader."""
        return self.monotonic - self.heard.get(follower, self.leads_since)


class CheckQuorum(Contact, Stickiness):
    """A leader steps down if an election timeout elapses without a successful round of heartbeats to a
    majority of its cluster (6.2)."""

    def become_leader(self) -> None:
        self.set_timer("quorum", self.settings.detection_timeout)
        super().become_leader()

    def on_quorum_timeout(self) -> None:
        if self.role != "leader":
            return
        since = self.monotonic - self.settings.detection_timeout
        alive = {name for name, heard in self.heard.items() if heard >= since}
        if self.is_quorum(alive | {self.name}):
            self.set_timer("quorum", self.settings.detection_timeout)
        else:
            self.become_follower(None)


@message
class PreVote:
    """Asks whether the receiver would vote for the candidate in term ``proposed``, which has not begun."""

    proposed: int
    candidate: str
    last_log_index: int
    last_log_term: int


@message
class PreVoteReply:
    """The voter's own term, and its answer for the term ``proposed``."""

    term: int
    granted: bool
    proposed: int


class PreVoting(Stickiness):
    """A candidate increments its term only if it learns from a majority that they would vote for it (9.6)."""

    def on_start(self) -> None:
        self.pre_votes: set[str] = set()
        super().on_start()

    def on_election_timeout(self) -> None:
        self.election_timeout = self.draw_election_timeout()
        self.reset_election_timer()
        self.leader = None
        self.pre_votes = {self.name}
        if self.is_quorum(self.pre_votes):
            self.campaign()
            return
        last = self.last_index()
        request = PreVote(self.current_term + 1, self.name, last, self.term_at(last))
        self.broadcast(request, to=self.electors())

    def on_pre_vote(self, src: str, msg: PreVote) -> None:
        """Granted if the candidate's log is up-to-date enough, and this server has not heard from a valid
        leader for at least a baseline election timeout (9.6). Nothing changes here."""
        free = msg.proposed > self.current_term or (
            msg.proposed == self.current_term and self.voted_for in (None, msg.candidate)
        )
        granted = (
            free and not self.trusts_leader() and self.is_up_to_date(msg.last_log_term, msg.last_log_index)
        )
        self.send(src, PreVoteReply(self.current_term, granted, msg.proposed))

    def on_pre_vote_reply(self, src: str, msg: PreVoteReply) -> None:
        asking = self.pre_votes and self.leader is None and self.role != "leader"
        if msg.granted and asking and msg.proposed == self.current_term + 1:
            self.pre_votes.add(src)
            if self.is_quorum(self.pre_votes):
                self.campaign()
        elif msg.term > self.current_term:
            self.adopt_term(
                msg.term
            )  # else a server with a low term and a long log would ask forever, and never be elected

    def adopt_term(self, term: int) -> None:
        self.pre_votes = set()
        super().adopt_term(term)

    def campaign(self) -> None:
        self.pre_votes = set()
        super().campaign()


@message
class TimeoutNow:
    """To the transferee: start an election at once (3.10)."""

    term: int


@message
class TransferVote:
    """A RequestVote of a campaign that the leader itself requested, so stickiness does not apply (4.2.3)."""

    term: int
    candidate: str
    last_log_index: int
    last_log_term: int


class LeadershipTransfer(Contact):
    """A leader transfers leadership to a chosen server (3.10).

    During a transfer, the leader serves no client. Therefore it does not begin a transfer to a server that has not
    answered for an election timeout, and it reports a failed transfer as failed instead of repeating it.
    """

    def on_start(self) -> None:
        self.transferee: str | None = None  # the server to which leadership is being transferred
        self.asked_by: str | None = None
        self.any_transferee = False  # the administrator named no transferee
        self.is_transferee = False
        self.handed_over = 0  # the last term in which this leader sent TimeoutNow
        super().on_start()

    def on_transfer(self, src: str, msg: Transfer) -> None:
        if self.role != "leader":
            self.reply(src, AdminReply(False, self.leader, "does not lead"), hold=False)
            return
        transferee = self.best_prepared() if msg.to is None else msg.to
        if transferee == self.name:
            self.reply(src, AdminReply(True, self.name), hold=False)
        elif transferee not in self.electors():
            self.reply(src, AdminReply(False, self.name, f"{transferee} cannot lead"), hold=False)
        elif self.transferee is not None:
            self.reply(src, AdminReply(False, self.name, f"{self.transferee} is to lead"), hold=False)
        elif (silence := self.silence(transferee)) >= self.settings.detection_timeout:
            reason = f"{transferee} has not answered the leader for {silence:.3g} s"
            self.reply(src, AdminReply(False, self.name, reason, final=True), hold=False)
        else:
            self.any_transferee = msg.to is None
            self.begin_transfer(transferee, src)

    def on_drain(self, src: str, msg: Drain) -> None:
        """Transfer leadership away from a server that is to be drained."""
        if self.role == "leader" and msg.member == self.name:
            self.on_transfer(src, Transfer())
        else:
            known = self.leader is not None and self.leader != msg.member
            self.reply(src, AdminReply(known, self.leader), hold=False)

    def best_prepared(self) -> str:
        """The follower with the longest matching log; followers that have answered recently are preferred."""

        def preparation(peer: str) -> tuple[bool, int]:
            answers = self.silence(peer) < self.settings.detection_timeout
            return answers, self.match_index.get(peer, 0)

        return max(self.electors(), key=preparation, default=self.name)

    def begin_transfer(self, transferee: str, asked_by: str | None) -> None:
        """1. The prior leader stops accepting new client requests. 2. It fully updates the target server's
        log. 3. It sends a TimeoutNow request. After an election timeout without success, it gives up."""
        self.transferee, self.asked_by = transferee, asked_by
        self.set_timer("transfer", self.settings.detection_timeout)
        if self.match_index[transferee] == self.last_index():
            self.hand_over()
        else:
            self.replicate((transferee,))

    def hand_over(self) -> None:
        """Send TimeoutNow to the transferee, whose log is complete."""
        if self.transferee is not None:
            self.handed_over = self.current_term
            self.send(self.transferee, TimeoutNow(self.current_term), hold=False)

    def acknowledged(self, src: str, index: int) -> None:
        behind = self.match_index.get(src, 0) < self.last_index()
        super().acknowledged(src, index)
        if src == self.transferee and behind and self.match_index[src] == self.last_index():
            self.hand_over()

    def on_transfer_timeout(self) -> None:
        reason = f"{self.transferee} did not take over within an election timeout"
        self.end_transfer(self.name, reason, final=True)

    def end_transfer(
        self, leader: str | None, reason: str, *, done: bool = False, final: bool = False
    ) -> None:
        """Reply to the administrator with the server to ask next, or with the failure of the transfer."""
        if self.transferee is not None:
            if self.asked_by is not None:
                self.reply(self.asked_by, AdminReply(done, leader, reason, final))
            self.transferee = self.asked_by = None
            self.cancel_timer("transfer")

    def become_follower(self, leader: str | None) -> None:
        # The administrator may ask the transferee, which answers whether it leads. If the administrator named no
        # transferee, the request is done: the next leader would only transfer leadership again.
        self.end_transfer(self.transferee, "no longer leads", done=self.any_transferee)
        super().become_follower(leader)

    def on_request(self, src: str, msg: Request) -> None:
        if self.transferee is not None and self.role == "leader":
            self.leader, known = None, self.leader  # the client retries after a while
            self.redirect(src, msg.command, self.leader)
            self.leader = known
            return
        super().on_request(src, msg)

    def on_timeout_now(self, src: str, msg: TimeoutNow) -> None:
        if msg.term == self.current_term and self.role == "follower" and self.electors():
            self.is_transferee = True
            self.campaign()
            self.is_transferee = False

    def vote_request(self) -> RequestVote:
        request = super().vote_request()
        if not self.is_transferee:
            return request
        return TransferVote(request.term, self.name, request.last_log_index, request.last_log_term)  # type: ignore[return-value]

    def on_transfer_vote(self, src: str, msg: TransferVote) -> None:
        request = RequestVote(msg.term, msg.candidate, msg.last_log_index, msg.last_log_term)
        RaftNode.on_request_vote(self, src, request)
