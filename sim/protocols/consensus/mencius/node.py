"""Mencius, the simple version with skips: every replica leads every n-th slot, and skips those that it does not need.

Mao, Junqueira, Marzullo, "Mencius: Building Efficient Replicated State Machines for WANs" (OSDI 2008), section 4.
A slot is an instance of *simple consensus*: its coordinator may suggest any command under ballot 0, or skip,
which chooses a no-op at once, because other replicas may propose only a no-op there (or what the coordinator
suggested). A client's nearest replica suggests its command, so no distant leader is involved.

Rule 1  A replica suggests in its next own slot.
Rule 2  One that sees a suggestion for a later slot skips its own slots before it.
Rule 3  A slot that blocks the others for the detection timeout is revoked: Paxos with a higher ballot decides
        it and the same coordinator's following slots.
Rule 4  A coordinator whose suggestion was revoked suggests its command again.

Rules 1, 2 and 4 are here, rule 3 in `revocation`, what every replica does in `replica`; the system is
in `system`.

Departures:
- The paper relies on FIFO channels to infer skips. Here messages may be reordered or lost, so a replica states its
  skipped slots since its last suggestion in each suggestion, acceptance and heartbeat.
- A skip counts once it is on disk, also for the replica itself; a suggestion is sent once it is on disk: otherwise a
  restarted coordinator might suggest another command in the slot.
- No separate failure detector: a replica that blocks execution is suspected until a message from it arrives.
- No out-of-order commit of commands that commute; the log is kept whole.
"""

from __future__ import annotations

from sim.protocols.backoff import LONGEST_WAIT, Backoff
from sim.protocols.client import Request
from sim.protocols.command import NOOP, Command
from sim.protocols.consensus.ballot import ZERO, Ballot
from sim.protocols.consensus.mencius.messages import (
    Accepted,
    Chosen,
    Fetch,
    Heartbeat,
    Skip,
    Suggest,
)
from sim.protocols.consensus.mencius.replica import AT_ONCE
from sim.protocols.consensus.mencius.revocation import Revoker

__all__ = ["MenciusNode"]


class MenciusNode(Revoker):
    """A replica: coordinator of every n-th slot, acceptor and learner of all."""

    def on_start(self) -> None:
        self.open: dict[int, set[str]] = {}  # own suggestions -> replicas that have accepted
        self.mine: dict[int, Command] = {}  # own suggestions whose fate is not known
        self.resend_below = self.resend_next = 0
        self.skips_known: dict[str, int] = {}  # coordinator -> slot below which its skips were processed
        self.stalled_at = -1  # `applied` at the last heartbeat
        self.asks = False  # fetches from the next replica whose heartbeat shows that it has executed more
        super().on_start()
        self.resends = Backoff(1, LONGEST_WAIT * self.detection / self.heartbeat)
        self.fetches = Backoff(self.resends.first, self.resends.most)
        self.resend_in = self.fetch_in = 1  # ticks
        for slot, vote in self.votes.items():
            if slot > self.applied and vote.ballot == Ballot(0, self.name):
                self.open[slot], self.mine[slot] = set(), vote.command  # sent again with the heartbeat
        self.set_timer("tick", self.heartbeat)
        self.skip()

    # Rule 1: suggest in the next own slot

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if self.begins(src, command):
            self.suggest(command)

    def suggest(self, command: Command) -> None:
        first, slot = self.skipped
        self.used = self.last_suggested = slot
        self.open[slot], self.mine[slot] = set(), command
        self.vote(slot, Ballot(0, self.name), command)
        self.broadcast(Suggest(slot, command, first))
        self.send(self.name, Skip(first, slot))
        self.send(self.name, Accepted(slot, Ballot(0, self.name), slot, slot))
        self.see(slot)

    # Rule 2: skip own slots before another's suggestion

    def on_suggest(self, src: str, msg: Suggest) -> None:
        self.hear_skips(src, msg.first, msg.slot)
        ballot = Ballot(0, src)
        if self.promises.get(msg.slot, ZERO) > ballot:
            self.tell(src, msg.slot, most=1)  # too late; perhaps this replica knows what was chosen
            return
        self.see(msg.slot)
        self.vote(msg.slot, ballot, msg.command)
        if msg.slot > self.used:
            self.used = msg.slot
            self.skip()
        self.send(src, Accepted(msg.slot, ballot, *self.skipped))
        if msg.slot in self.told:
            self.told.discard(msg.slot)
            self.on_chosen(src, Chosen(msg.slot))

    def on_skip(self, src: str, msg: Skip) -> None:
        self.hear_skips(src, msg.first, msg.turn)

    def hear_skips(self, src: str, first: int, turn: int) -> None:
        """Note that a coordinator has skipped its slots from ``first`` below ``turn``: no-ops are chosen there."""
        if self.suspected and src in self.suspected:
            del self.suspected[src]
        known = self.skips_known.get(src, 0)
        if turn == known:
            return
        start = max(first, known) if turn > known else first  # what was overtaken may tell of earlier skips
        for slot in range(start, turn, self.count):
            self.decide(slot, NOOP)
        self.skips_known[src] = max(turn, known)
        self.advance()

    def on_accepted(self, src: str, msg: Accepted) -> None:
        self.hear_skips(src, msg.first, msg.turn)
        voters = self.open.get(msg.slot)
        if voters is None:
            return
        voters.add(src)
        if self.is_quorum(voters):
            del self.open[msg.slot]
            self.decide(msg.slot, self.mine[msg.slot])
            self.broadcast(Chosen(msg.slot), hold=False)
            self.advance()

    # Rule 4: suggest a revoked command again

    def decide(self, slot: int, command: Command) -> bool:
        """Note the decision of a slot; in an own slot it may differ from this replica's suggestion."""
        if not super().decide(slot, command):
            return False
        if slot > self.used and self.owner(slot) == self.name:
            self.used = slot  # revoked: not to be used any more
        self.open.pop(slot, None)
        mine = self.mine.pop(slot, None)
        if mine is not None and mine != command and self.store.known(mine) is None:
            self.suggest(mine)
        return True

    # Retransmission, and requests of replicas that are behind

    def on_tick_timeout(self) -> None:
        self.set_timer("tick", self.heartbeat)
        self.broadcast(Heartbeat(self.applied, *self.skipped))
        self.resend_in -= 1
        if self.resend_in <= 0:
            self.resend()
        if self.stalled_at == self.applied < self.highest:
            self.fetch()
        else:
            self.fetch_in = 1
        self.stalled_at = self.applied

    def fetch(self) -> None:
        """Ask the coordinator of the next slot, and one that is ahead; ever more rarely while nothing is executed.

        Answers are large: replicas with slow network cards that are asked at each heartbeat would send nothing else.
        """
        self.fetch_in -= 1
        if self.fetch_in > 0:
            return
        self.fetch_in = round(self.fetches.wait(self.applied))
        self.asks = True
        holder = self.owner(self.applied + 1)
        if holder != self.name:
            self.send(holder, Fetch(self.applied + 1), hold=False)

    def resend(self) -> None:
        """Ask silent replicas again; while nothing is executed, the interval doubles each time."""
        asked_again = bool(self.revocations)
        for slot, voters in list(self.open.items())[:AT_ONCE]:
            if slot < self.resend_below:  # older than a whole heartbeat
                asked_again = True
                again = Suggest(slot, self.mine[slot], slot)
                self.broadcast(again, to=[name for name in self.peers if name not in voters])
        self.resend_below, self.resend_next = self.resend_next, self.own_after(self.used)
        for revocation in self.revocations.values():
            missing = [name for name in self.members if name not in revocation.answered]
            self.broadcast(revocation.asked, to=missing)
        if asked_again:
            self.resend_in = round(self.resends.wait(self.applied))

    def on_heartbeat(self, src: str, msg: Heartbeat) -> None:
        self.hear_skips(src, msg.first, msg.turn)
        self.see(msg.applied)
        if self.asks and msg.applied > self.applied == self.stalled_at:
            self.asks = False
            self.send(src, Fetch(self.applied + 1), hold=False)

    def gauges(self) -> dict[str, float]:
        """The gauges that a scenario may sample."""
        return {"applied": self.applied, "log": len(self.log), "open slots": len(self.open)}
