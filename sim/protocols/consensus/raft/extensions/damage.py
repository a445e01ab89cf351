"""Damaged disks: a server that has lost a part of its log helps to elect no leader until it has that part again.

Alagappan, Ganesan, Lee, Albarghouthi, Chidambaram, Arpaci-Dusseau, Arpaci-Dusseau, "Protocol-Aware Recovery for
Consensus-Based Storage", FAST 2018. A checksum shows at boot that a record on disk was damaged after it was synced. If
the server takes that for the torn end of its log, truncates, and goes on, then entries that it has acknowledged may be
lost with it: it votes for a candidate that lacks them. The rule here:

1. *Term and vote* cannot be learned from others, so the disk has two copies of them (the paper's metainfo). At boot, a
   damaged copy is restored from the other one. All writes of a step are one record, so the copies never differ. It is
   an assumption that no fault damages both before the server boots and writes them again (`System.copies_on_disk`). A
   server that finds both damaged stops with an error: it must not vote in a term in which it may have voted.
2. A server that finds damage in its *log* sets the durable flag ``recovering``. While the flag stands, the server
   follows and acknowledges what it holds, but it grants no votes and no pre-votes, and it does not campaign.
3. The flag is cleared when the log matches that of a leader, whose term is not below the server's own, up to an index
   that this leader gave *after* the boot. So the server asks the leader (`RecoverLog`), and the question has a number,
   the incarnation. An AppendEntries that was under way before the boot proves nothing, and neither does an answer to
   the question of an earlier boot.
4. The leader's ``match_index`` for such a server is too high. The leader of figure 2 would take its rejections for
   outdated ones, and the server would stand still. Therefore the leader tracks the server again when it asks. The
   server asks until the flag is cleared, because acknowledgements from before the crash may arrive late, and raise
   ``match_index`` once more.

Why this is safe: compare the server with one that lost nothing. While it recovers, it says only what the other one
might have said, or it is silent. So elections, leases, read indices and changes of members are as safe as ever. Once
the flag is cleared, nothing that matters is missing. An entry that the server acknowledged in an earlier term than the
leader's, and that was committed, is in the leader's log (leader completeness). An entry that it acknowledged in the
leader's term was in the leader's log before the crash, so the index that the leader gives is not below it.

Why this makes progress: with d servers that recover, of 2f + 1, a leader needs the votes of f + 1 of the others. So d
may be at most f, less the servers that are down for ever. ``Raft(damage=True)`` has at least three voters, and can do
without one server fewer than other Rafts (`Raft.max_gone`).

Departure from the paper: there, the leader asks all servers about each damaged entry, so that it can be repaired as
long as one intact copy of it is left. Here progress needs an intact majority.
"""

from __future__ import annotations

from sim.node import durable, message
from sim.protocols.admin import AdminReply
from sim.protocols.consensus.raft.extensions.membership import Config, Membership
from sim.protocols.consensus.raft.extensions.replication import MatchedLog
from sim.protocols.consensus.raft.extensions.snapshots import Snapshots
from sim.protocols.consensus.raft.node import AppendEntries

__all__ = [
    "COPIES",
    "FEWEST_VOTERS",
    "LOG_FIELDS",
    "DamagedDisks",
    "DamagedSnapshots",
    "EnoughVoters",
    "RecoverLog",
    "RecoverLogReply",
]

LOG_FIELDS = ("log", "snapshot", "beginning")
"""The durable fields of which damage means that the log has lost entries."""

COPIES = (("current_term", "metainfo"), ("voted_for", "metainfo"))
"""The durable fields that are copies of each other."""

FEWEST_VOTERS = 3
"""With fewer voters, the majority that is left without a damaged server is none."""


@message
class RecoverLog:
    """A server that has lost a part of its log asks the leader up to which index it must match the leader's.

    ``boot``: its incarnation, which the reply repeats. ``last_log_index``: where its own log ends.
    """

    term: int
    boot: int
    last_log_index: int


@message
class RecoverLogReply:
    """The leader's term, and the last index of its log when it was asked."""

    term: int
    boot: int
    index: int


class DamagedDisks(MatchedLog):
    """A server whose disk may lose records that were synced."""

    metainfo: tuple[int, str | None] = durable((0, None))  # the second copy of current_term and voted_for
    recovering = durable(False)

    def on_start(self) -> None:
        self.goal: tuple[int, int] | None = None  # (term, index) that a leader has given since the boot
        self.restore_metainfo()
        if not {*LOG_FIELDS, "recovering"}.isdisjoint(self.disk_damaged):
            self.close_gaps()
            self.begin_recovery()
        super().on_start()
        if self.recovering:
            self.record("recovering", term=self.current_term, last_log_index=self.last_index())
            self.set_timer("recover", self.settings.heartbeat_interval)

    # 1. Two copies of term and vote

    def restore_metainfo(self) -> None:
        """Restore a damaged copy of term and vote from the other one."""
        damaged = [name for name in ("current_term", "voted_for") if name in self.disk_damaged]
        if "metainfo" not in self.disk_damaged:
            if damaged:
                self.current_term, self.voted_for = self.metainfo
        elif damaged:
            raise RuntimeError(
                f"{self.name}: {damaged[0]} and its copy are damaged, so it cannot know how it has voted; "
                "it must not take part any more"
            )
        else:
            self.copy_metainfo()

    def copy_metainfo(self) -> None:
        """Write the second copy, in the record of the first one: that of this step."""
        self.metainfo = (self.current_term, self.voted_for)

    def adopt_term(self, term: int) -> None:
        super().adopt_term(term)
        self.copy_metainfo()

    def vote_for(self, candidate: str) -> None:
        super().vote_for(candidate)
        self.copy_metainfo()

    # 2. What a server does not do while it recovers

    def close_gaps(self) -> None:
        """Make what is left of the log usable. A log without snapshots is: it has lost its end."""

    def begin_recovery(self) -> None:
        """The log may lack entries that this server has acknowledged."""
        self.recovering = True

    def is_up_to_date(self, last_log_term: int, last_log_index: int) -> bool:
        """Not known while this server recovers: so it grants no vote, no pre-vote, and none for a transfer."""
        return not self.recovering and super().is_up_to_date(last_log_term, last_log_index)

    def on_election_timeout(self) -> None:
        if self.recovering:
            self.reset_election_timer()
        else:
            super().on_election_timeout()

    def campaign(self) -> None:
        if not self.recovering:  # else it has received TimeoutNow
            super().campaign()
            self.copy_metainfo()

    # 3. Until when

    def on_recover_timeout(self) -> None:
        """Ask the leader, again and again."""
        if self.recovering:
            self.set_timer("recover", self.settings.heartbeat_interval)
            if self.leader is not None:
                self.send(self.leader, RecoverLog(self.current_term, self.incarnation, self.last_index()))

    def on_recover_log_reply(self, src: str, msg: RecoverLogReply) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        if not self.recovering or msg.boot != self.incarnation or msg.term < self.current_term:
            return
        if self.goal is None or self.goal[0] < msg.term:  # the first answer of a term asks for the least
            self.goal = (msg.term, msg.index)
        self.end_if_recovered()

    def on_append_entries(self, src: str, msg: AppendEntries) -> None:
        super().on_append_entries(src, msg)
        if self.recovering:
            self.end_if_recovered()

    def end_if_recovered(self) -> None:
        """Clear the flag if the log matches the present leader's up to the index that it has given."""
        term, index = self.matched
        if self.goal is not None and self.goal[0] == term == self.current_term and index >= self.goal[1]:
            self.recovering = False
            self.record("recovered", term=term, index=index)

    # 4. The leader

    def on_recover_log(self, src: str, msg: RecoverLog) -> None:
        if msg.term > self.current_term:
            self.adopt_term(msg.term)
        if self.role != "leader" or src not in self.match_index:
            return
        if self.match_index[src] > msg.last_log_index:
            self.track_again(src, msg.last_log_index)
        self.send(src, RecoverLogReply(self.current_term, msg.boot, self.last_index()), hold=False)

    def track_again(self, follower: str, last_log_index: int) -> None:
        """Forget what the follower has acknowledged; what is committed remains so."""
        self.track(follower)
        self.next_index[follower] = last_log_index + 1
        self.sent_index[follower] = last_log_index
        self.replicate((follower,))


class DamagedSnapshots(DamagedDisks, Snapshots):
    """The same for a server that takes snapshots: these may be damaged, and where the log begins, too."""

    def close_gaps(self) -> None:
        """Between the snapshot and the log there may be entries missing: then only the snapshot is left.

        Without one, the log is empty, and the leader sends its own snapshot.
        """
        index, floor = self.snapshot.index, self.floor()
        is_whole = "beginning" not in self.disk_damaged and floor <= index <= floor + len(self.log)
        if not is_whole:
            self.log.reset(())
            self.beginning = (index, self.snapshot.term)


class EnoughVoters(Membership):
    """The same for a cluster whose membership can change: at least three servers vote."""

    def begin_change(self, src: str, target: Config) -> None:
        if len(target.voters) < FEWEST_VOTERS:
            reason = f"at least {FEWEST_VOTERS} servers must vote, because the disk of one may be damaged"
            self.reply(src, AdminReply(False, self.name, reason, final=True), hold=False)
        else:
            super().begin_change(src, target)
