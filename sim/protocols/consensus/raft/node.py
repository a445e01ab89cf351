"""Raft as in figure 2 of the paper, in the paper's order and with its names, so that the two can be compared.

Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm (Extended Version)", 2014. Section and
figure numbers are that paper's. Everything beyond figure 2 and section 8 (membership, snapshots, cheaper
reads ...) is in `sim.protocols.consensus.raft.extensions`, whose classes override methods of this node.

Assumptions: nodes crash and restart with their disks; messages may be lost, duplicated, reordered and delayed;
clocks affect progress only, not safety.

Departures, most of them because a message is not an RPC:

- A reply identifies the request that it answers: `AppendEntriesReply.index`.
- A leader sends its own vote and acknowledgements to itself. Self-sends wait for the disk, so the leader counts
  itself when its own log is durable, but its AppendEntries leave at once (thesis, section 10.2.1).
- The heartbeat is also the retry: it carries the entries that the follower has not acknowledged, at most ``window``.
- A leader that is deposed redirects the clients that wait for its answer.
- ``leader`` names a member whose first election timeout is immediate, so that a run has a leader early.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.node import durable, durable_log, message
from sim.protocols.client import Request
from sim.protocols.command import NOOP, Command
from sim.protocols.replica import Replica

__all__ = [
    "WINDOW",
    "AppendEntries",
    "AppendEntriesReply",
    "Entry",
    "RaftNode",
    "RequestVote",
    "RequestVoteReply",
]

WINDOW = 128
"""The usual maximum of entries in flight to one follower; further entries wait for an acknowledgement."""


@message
class Entry:
    """A log entry: the term in which a leader received a command, the command, and its size in bytes."""

    term: int
    command: Command
    size: int = 0

    @classmethod
    def of(cls, term: int, command: Command) -> Entry:
        """A new entry. Its size is computed once, because an entry is sent many times."""
        return cls(term, command, 8 + command.wire_bytes)

    def __repr__(self) -> str:
        command = "no-op" if self.command == NOOP else repr(self.command)
        return f"Entry({self.term}, {command})"

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire and on disk."""
        return self.size


@message
class RequestVote:
    """Invoked by candidates to gather votes (figure 2, section 5.2)."""

    term: int
    candidate: str
    last_log_index: int
    last_log_term: int


@message
class RequestVoteReply:
    """The voter's term, and whether the candidate has its vote."""

    term: int
    granted: bool


@message
class AppendEntries:
    """Invoked by the leader to replicate log entries; also the heartbeat (figure 2, section 5.3)."""

    term: int
    leader: str
    prev_log_index: int
    prev_log_term: int
    entries: tuple[Entry, ...]
    leader_commit: int

    @property
    def wire_bytes(self) -> int:
        """Bytes on the wire."""
        size = 32 + len(self.leader)
        for entry in self.entries:
            size += entry.size
        return size


@message
class AppendEntriesReply:
    """The follower's term, and whether it held an entry that matches ``prev_log_index, prev_log_term``.

    ``index``: on success the last entry that is now known to match, ``prev_log_index + len(entries)``;
    on failure the ``prev_log_index`` that was refused.
    """

    term: int
    success: bool
    index: int


class RaftNode(Replica):
    """One server. `Replica` gives it ``store`` (the state machine), ``waiting`` (log index -> client, command),
    ``answer(client, command, result)`` and ``redirect(client, command, leader)``."""

    reply_waits_for_disk = False  # a reply depends only on committed entries

    # Persistent state on all servers
    current_term = durable(0)
    voted_for: str | None = durable(None)
    log = durable_log()  # of Entry; the paper's index 1 is item 0

    def on_start(self) -> None:
        self.entries: list[Entry] = self.log.items  # the list in the log, which is faster to read
        self.election_timeout = self.draw_election_timeout()
        self.window: int = getattr(self.settings, "window", WINDOW)  # not every system that runs Raft has it
        # Volatile state on all servers
        self.commit_index = 0
        self.last_applied = 0
        self.role = "follower"
        self.leader = None  # the leader of the current term, once known
        self.votes: set[str] = set()
        # Volatile state on leaders, set again after each election
        self.next_index: dict[str, int] = {}
        self.match_index: dict[str, int] = {}
        self.sent_index: dict[str, int] = {}  # the last entry that was sent to each follower
        self.record("role", role="follower", term=self.current_term)
        first = self.settings.leader or self.members[0]
        if self.incarnation == 0 and self.name == first:
            self.set_timer("election", 0.0)
        else:
            self.reset_election_timer()

    # The log, counted from 1 as in the paper

    def last_index(self) -> int:
        """The index of the last entry; 0 when there is none."""
        return len(self.entries)

    def floor(self) -> int:
        """The index before the first entry that the log still holds: 0, because without snapshots it holds all."""
        return 0

    def term_at(self, index: int) -> int:
        """The term of the entry at ``index``; 0 before the first."""
        return self.entries[index - 1].term if index else 0

    def entry_at(self, index: int) -> Entry:
        """The entry at ``index``."""
        return self.entries[index - 1]

    def entries_from(self, index: int) -> tuple[Entry, ...]:
        """The entries from ``index`` on, at most as many as fit into a message."""
        return tuple(self.entries[index - 1 : index - 1 + self.window])

    def truncate_from(self, index: int) -> None:
        """Delete the entry at ``index`` and all that follow it."""
        self.log.truncate(index - 1)

    # Rules for all servers

    def adopt_term(self, term: int) -> None:
        """If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower."""
        self.current_term = term
        self.voted_for = None
        self.election_timeout = self.draw_election_timeout()
        self.become_follower(None)

    def become_follower(self, leader: str | None) -> None:
        """Follow ``leader`` in the current term (None: no leader is known yet)."""
        if self.role == "leader":
            self.cancel_timer("heartbeat")
            self.reset_election_timer()
        self.leader = leader
        if self.role != "follower":
            self.role = "follower"
            self.record("role", role="follower", term=self.current_term)
        self.redirect_all(leader)

    def follow(self, leader: str) -> None:
        """Handle a message of the current term's leader: restart the timer; a candidate becomes a follower (5.2)."""
        if self.leader != leader or self.role != "follower":
            self.become_follower(leader)
        self.set_timer("election", self.election_timeout)

    def apply_committed(self) -> None:
        """If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine (5.3)."""
        for index in range(self.last_applied + 1, self.commit_index + 1):
            self.last_applied = index
            self.apply(index, self.entry_at(index).command)

    def apply(self, index: int, command: Command) -> None:
        """Apply one command; a leader respond[s] after entry applied to state machine (5.3)."""
        result = self.store.apply(command)
        if self.waiting and index in self.waiting:
            client, _ = self.waiting.pop(index)
            self.answer(client, command, result)

    # Leader election (5.2)

    def draw_election_timeout(self) -> float:
        """Election timeouts are chosen randomly from a fixed interval (5.2), here again for each term."""
        shortest = self.settings.detection_timeout
        return self.random.uniform(shortest, 2 * shortest)

    def reset_election_timer(self) -> None:
        """Restart the wait for a message of a leader or a candidate."""
        self.set_timer("election", self.election_timeout)

    def on_election_timeout(self) -> None:
        """A follower received no heartbeat, or a candidate did not win: begin an election."""
        self.campaign()

    def campaign(self) -> None:
        """On conversion to candidate: increment currentTerm, vote for self, reset timer, ask all for votes."""
        self.current_term += 1
        self.voted_for = self.name
        self.role = "candidate"
        self.leader = None
        self.votes = set()
        self.record("role", role="candidate", term=self.current_term)
        self.election_timeout = self.draw_election_timeout()
        self.reset_election_timer()
        self.send(self.name, RequestVoteReply(self.current_term, True))
        self.broadcast(self.vote_request(), to=self.electors())

    def electors(self) -> tuple[str, ...]:
        """The servers whose votes a candidate requests."""
        return self.peers

    def vote_request(self) -> RequestVote:
        """The request that a candidate sends to the others."""
        last = self.last_index()
        return RequestVote(self.current_term, self.name, last, self.term_at(last))

    def on_request_vote(self, src: str, msg: RequestVote) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        # 1. Reply false if term < currentTerm (5.1). 2. If votedFor is null or candidateId, and candidate's
        # log is at least as up-to-date as receiver's log, grant vote (5.2, 5.4).
        granted = (
            msg.term == self.current_term
            and self.voted_for in (None, msg.candidate)
            and self.is_up_to_date(msg.last_log_term, msg.last_log_index)
        )
        if granted:
            self.vote_for(msg.candidate)
        self.send(src, RequestVoteReply(self.current_term, granted))

    def vote_for(self, candidate: str) -> None:
        """Grant the vote of this term, and restart the timer."""
        self.voted_for = candidate
        self.reset_election_timer()

    def is_up_to_date(self, last_log_term: int, last_log_index: int) -> bool:
        """Whether a log with this last term and index is at least as up-to-date as this server's (5.4.1)."""
        last = self.last_index()
        return (last_log_term, last_log_index) >= (self.term_at(last), last)

    def on_request_vote_reply(self, src: str, msg: RequestVoteReply) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        if self.role == "candidate" and msg.term == self.current_term and msg.granted:
            self.votes.add(src)
            if self.is_quorum(self.votes):
                self.become_leader()

    def gauges(self) -> dict[str, float]:
        """The gauges that a scenario may sample."""
        return {
            "term": self.current_term,
            "log": len(self.entries),
            "commit_index": self.commit_index,
            "last_applied": self.last_applied,
        }

    def is_quorum(self, servers: set[str]) -> bool:
        """Whether these servers are a majority."""
        return 2 * len(servers) > len(self.members)

    def become_leader(self) -> None:
        """If votes received from majority of servers: become leader."""
        self.role = "leader"
        self.leader = self.name
        self.match_index = {self.name: 0}
        for peer in self.peers:
            self.track(peer)
        self.record("role", role="leader", term=self.current_term)
        self.record("elected", term=self.current_term)
        self.cancel_timer("election")
        self.set_timer("heartbeat", self.settings.heartbeat_interval)
        # Each leader commits a blank no-op entry at the start of its term (section 8). It is also the first
        # heartbeat, upon election.
        self.append(NOOP)

    def track(self, follower: str) -> None:
        """Set nextIndex to the index just after the last one in the log, and matchIndex to 0 (5.3)."""
        last = self.last_index()
        self.next_index[follower], self.sent_index[follower], self.match_index[follower] = last + 1, last, 0

    # Log replication (5.3)

    def on_request(self, src: str, msg: Request) -> None:
        """If command received from client: append entry to local log."""
        command = msg.command
        if self.role != "leader":
            self.redirect(src, command, self.leader)  # tell it about the most recent leader (section 8)
            return
        known = self.store.known(command)
        if known is not None:  # a retry of a command that has been applied (section 8)
            self.answer(src, command, known)
            return
        index = self.append(command)
        self.waiting[index] = (src, command)

    def append(self, command: Command) -> int:
        """Append an entry of this term to the leader's log, and replicate it; returns its index."""
        self.log.append(self.entry(command))
        index = self.last_index()
        self.send(self.name, AppendEntriesReply(self.current_term, True, index))
        if index - min(self.next_index.values(), default=index) < self.window:
            self.replicate(self.peers)
        else:
            self.replicate([peer for peer in self.peers if index - self.next_index[peer] < self.window])
        return index

    def entry(self, command: Command) -> Entry:
        """A new entry of this term."""
        return Entry.of(self.current_term, command)

    def replicate(self, followers: Iterable[str]) -> None:
        """If last log index >= nextIndex for a follower: send AppendEntries with entries from nextIndex on.

        Followers with the same nextIndex get the same message.
        """
        request = None
        for follower in followers:
            previous = self.next_index[follower] - 1
            if request is None or request.prev_log_index != previous:
                request = self.append_entries(previous)
                sent = previous + len(request.entries)
            self.sent_index[follower] = sent
            self.send(follower, request, hold=False)

    def append_entries(self, previous: int) -> AppendEntries:
        """The request for a follower whose log is assumed to match the leader's up to ``previous``."""
        entries = self.entries_from(previous + 1)
        term = self.term_at(previous)
        return AppendEntries(self.current_term, self.name, previous, term, entries, self.commit_index)

    def on_heartbeat_timeout(self) -> None:
        """Repeat during idle periods to prevent election timeouts (5.2); send unacknowledged entries again."""
        self.set_timer("heartbeat", self.settings.heartbeat_interval)
        self.replicate(self.peers)

    def on_append_entries(self, src: str, msg: AppendEntries) -> None:
        term, previous = self.current_term, msg.prev_log_index
        if msg.term != term:
            if msg.term < term:  # 1. Reply false if term < currentTerm (5.1)
                self.send(src, AppendEntriesReply(term, False, previous))
                return
            term = msg.term
            self.adopt_term(term)
        self.follow(msg.leader)
        # 2. Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm (5.3)
        last = self.last_index()
        if previous > last or self.term_at(previous) != msg.prev_log_term:
            self.refuse(src, previous)
            return
        entries = msg.entries
        last_new = previous + len(entries)
        if previous == last:
            self.log.extend(entries)  # 4. Append any new entries not already in the log
        elif entries:
            self.accept(previous, entries)
        # 5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)
        commit = msg.leader_commit if msg.leader_commit < last_new else last_new
        if commit > self.commit_index:
            self.commit_index = commit
            self.apply_committed()
        self.send(src, AppendEntriesReply(term, True, last_new))

    def refuse(self, src: str, previous: int) -> None:
        """Reply false: the log has no entry at ``previous`` with the leader's term."""
        self.send(src, AppendEntriesReply(self.current_term, False, previous))

    def accept(self, previous: int, entries: tuple[Entry, ...]) -> None:
        """Make the log, which is longer than ``previous``, agree with the leader's entries after ``previous``."""
        agree = min(self.last_index() - previous, len(entries))  # how many of their indices are in the log
        if agree and self.term_at(previous + agree) != entries[agree - 1].term:
            # 3. If an existing entry conflicts with a new one (same index but different terms), delete the
            # existing entry and all that follow it (5.3). If the last one agrees, all do: log matching.
            agree = next(i for i, e in enumerate(entries) if self.term_at(previous + 1 + i) != e.term)
            self.truncate_from(previous + agree + 1)
        self.log.extend(entries[agree:])

    def on_append_entries_reply(self, src: str, msg: AppendEntriesReply) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        elif self.role != "leader" or msg.term < self.current_term:
            return
        elif msg.success:
            self.acknowledged(src, msg.index)
        else:
            self.rejected(src, msg.index, msg.index)

    def rejected(self, src: str, index: int, next_index: int) -> None:
        """If AppendEntries fails because of log inconsistency: decrement nextIndex and retry (5.3)."""
        if self.match_index[src] < index == self.next_index[src] - 1:  # else it answers an older request
            self.next_index[src] = next_index
            self.replicate((src,))

    def acknowledged(self, src: str, index: int) -> None:
        """If successful: update nextIndex and matchIndex for follower (5.3)."""
        if index > self.match_index[src]:
            self.match_index[src] = index
            if src != self.name:
                self.next_index[src] = index + 1
                if self.sent_index[src] < self.last_index():  # the window was full
                    self.replicate((src,))
            if index > self.commit_index:
                self.advance_commit_index()

    def advance_commit_index(self) -> None:
        """If there exists an N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term ==
        currentTerm: set commitIndex = N (5.3, 5.4)."""
        n = self.replicated_index()
        if n > self.commit_index and self.term_at(n) == self.current_term:
            self.commit_index = n
            self.apply_committed()

    def replicated_index(self) -> int:
        """The highest index that a majority has acknowledged."""
        acknowledged = sorted(self.match_index.values())
        return acknowledged[(len(acknowledged) - 1) // 2]
