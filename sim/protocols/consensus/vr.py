"""Viewstamped Replication Revisited (Liskov & Cowling, MIT-CSAIL-TR-2012-021), with crash-consistent quorums.

Replicas are numbered; the primary of view v is replica v mod n. The primary orders requests and commits one when f
backups have it (4.1); when the primary falls silent, the others change the view (4.2). Nothing is on disk: a
replica that restarts has forgotten everything, and recovers from the others before it takes part again (4.3).

Assumptions: n = 2f + 1 replicas, of which at most f are down *or recovering* at a time.

Departures from the paper:

- Quorums are crash-consistent (Michael, Ports, Sharma & Szekeres, "Recovering Shared Objects Without Stable Storage",
  DISC 2017): as printed, a DoViewChange that a replica sent before it crashed may be counted after it has recovered
  and acknowledged more, which loses a committed request. Messages of view changes and recoveries carry the *lives* of
  all replicas as far as the sender knows them, and a message of a life that has ended does not count.
- A replica that learns of a later view keeps its log until the NewState is there (5.2 lets it cut the log first, and
  if the view changes again meanwhile, what it cut is missing from its DoViewChange).
- Logs travel whole in DoViewChange, StartView and RecoveryResponse, and there are no checkpoints (5.1).
- A life is numbered by the host's count of boots, which stands for the paper's fresh nonce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sim.node import Node, message
from sim.protocols.client import Client, Redirect, Reply, Request
from sim.protocols.consensus.settings import at_least, names
from sim.protocols.kv import Command, KeyValueStore
from sim.system import Invariant, Member, System

__all__ = [
    "Commit",
    "DoViewChange",
    "GetState",
    "NewState",
    "Prepare",
    "PrepareOk",
    "Recovery",
    "RecoveryResponse",
    "StartView",
    "StartViewChange",
    "ViewstampedNode",
    "ViewstampedReplication",
]

Lives = tuple[int, ...]  # of each replica, the latest life that the sender knows of

NORMAL, VIEW_CHANGE, RECOVERING = "normal", "view-change", "recovering"


@message
class Prepare:
    """To the backups: put this command into the log as number ``op``; all up to ``commit`` is committed."""

    view: int
    op: int
    command: Command
    commit: int


@message
class PrepareOk:
    """To the primary: this command and all earlier ones are in my log."""

    view: int
    op: int


@message
class Commit:
    """From an idle primary: it is alive, and all up to ``commit`` is committed."""

    view: int
    commit: int


@message
class StartViewChange:
    """I have not heard from the primary, and move to this view."""

    view: int
    lives: Lives


@message
class DoViewChange:
    """To the primary of the new view: what I know. ``last_normal`` is the latest view in which I was normal."""

    view: int
    log: tuple[Command, ...]
    last_normal: int
    commit: int
    lives: Lives


@message
class StartView:
    """From the new primary: the view begins with this log."""

    view: int
    log: tuple[Command, ...]
    commit: int
    lives: Lives


@message
class Recovery:
    """I have lost my state; ``nonce`` tells this recovery from earlier ones."""

    nonce: int
    lives: Lives


@message
class RecoveryResponse:
    """To a recovering replica; only the primary sends its log."""

    view: int
    nonce: int
    log: tuple[Command, ...] | None
    commit: int
    lives: Lives


@message
class GetState:
    """I am behind: what comes after ``op`` in this view?"""

    view: int
    op: int


@message
class NewState:
    """What comes after ``after``."""

    view: int
    after: int
    log: tuple[Command, ...]
    commit: int


class ViewstampedNode(Node):
    """A replica: primary or backup, normal, in a view change, or recovering."""

    settings: ViewstampedReplication

    def on_start(self) -> None:
        self.f = len(self.members) // 2  # with so many others it is a majority; (n - 1) / 2 where n is odd
        self.number = self.members.index(self.name)
        self.status = NORMAL
        self.view = self.members.index(self.settings.first_primary)
        self.last_normal = self.view
        self.log: list[Command] = []
        self.commit = 0
        self.applied = 0
        self.store = KeyValueStore()
        self.waiting: dict[tuple[int, int], str] = {}  # request under way -> who asked (the client table)
        self.acks: dict[str, int] = {}  # backup -> highest op that it has
        self.lives = [0] * len(self.members)
        self.lives[self.number] = self.incarnation
        self.change_votes: dict[str, StartViewChange] = {}
        self.reported = False
        self.reports: dict[str, DoViewChange] = {}
        self.responses: dict[str, RecoveryResponse] = {}
        self.nonce = self.incarnation
        if self.incarnation == 0:
            self.begin_normal(self.view)
        else:
            self.status = RECOVERING
            self.record("role", role="recovering", view=self.view)
            self.on_recovery_timeout()

    # Who is who

    def primary_of(self, view: int) -> str:
        """Replicas are primary in turn."""
        return self.members[view % len(self.members)]

    @property
    def is_primary(self) -> bool:
        """Whether this replica orders requests now."""
        return self.status == NORMAL and self.primary_of(self.view) == self.name

    @property
    def op(self) -> int:
        """The number of the latest request in the log."""
        return len(self.log)

    def begin_normal(self, view: int) -> None:
        """Take part in a view."""
        self.status = NORMAL
        self.view = self.last_normal = view
        self.change_votes.clear()
        self.reports.clear()
        self.acks = dict.fromkeys(self.peers, 0)
        leads = self.primary_of(view) == self.name
        self.record("role", role="primary" if leads else "backup", view=view)
        if leads:
            self.cancel_timer("view_change")
            self.set_timer("commit", self.settings.heartbeat_interval)
        else:
            self.cancel_timer("commit")
            self.await_primary()

    def await_primary(self) -> None:
        """A backup that hears nothing for so long starts a view change (4.2); the length is random."""
        shortest = self.settings.detection_timeout
        self.set_timer("view_change", self.random.uniform(shortest, 2 * shortest))

    # Normal operation (4.1)

    def on_request(self, src: str, msg: Request) -> None:
        command = msg.command
        if not self.is_primary:
            known = self.primary_of(self.view) if self.status == NORMAL else None
            self.send(src, Redirect(command.session, command.sequence, known))
            return
        identity = (command.session, command.sequence)
        if identity in self.waiting:
            self.waiting[identity] = src
            return
        result = self.store.known(command)
        if result is not None:
            self.answer(src, command, result)
            return
        self.waiting[identity] = src
        if command in self.log[self.applied :]:
            return  # it came in an earlier view, and is on its way
        self.log.append(command)
        self.broadcast(Prepare(self.view, self.op, command, self.commit))
        self.advance_commit()

    def on_prepare(self, src: str, msg: Prepare) -> None:
        if not self.follows(src, msg.view):
            return
        if msg.op > self.op + 1:
            self.catch_up(src, msg.view)
            return
        if msg.op == self.op + 1:
            self.log.append(msg.command)
        self.send(src, PrepareOk(self.view, self.op))
        self.commit_up_to(msg.commit)

    def on_prepare_ok(self, src: str, msg: PrepareOk) -> None:
        if self.is_primary and msg.view == self.view and msg.op > self.acks[src]:
            self.acks[src] = msg.op
            self.advance_commit()

    def advance_commit(self) -> None:
        """The primary waits for f PrepareOks from different backups, then the request is committed."""
        having = sorted([*self.acks.values(), self.op], reverse=True)
        self.commit_up_to(having[self.f])

    def on_commit_timeout(self) -> None:
        """An idle primary sends Commit; what is not yet acknowledged is sent again."""
        self.set_timer("commit", self.settings.heartbeat_interval)
        behind = [peer for peer in self.peers if self.acks[peer] < self.op]
        if self.log:
            self.broadcast(Prepare(self.view, self.op, self.log[-1], self.commit), to=behind)
        self.broadcast(Commit(self.view, self.commit), to=[p for p in self.peers if p not in behind])

    def on_commit(self, src: str, msg: Commit) -> None:
        if self.follows(src, msg.view):
            if msg.commit > self.op:
                self.catch_up(src, msg.view)
            else:
                self.commit_up_to(msg.commit)

    def follows(self, src: str, view: int) -> bool:
        """Whether a message of the primary of ``view`` is for this replica in its present state."""
        if view < self.view or self.status == RECOVERING:
            return False
        if view > self.view or self.status == VIEW_CHANGE:
            self.catch_up(src, view)  # the view has begun without this replica
            return False
        self.await_primary()
        return True

    def commit_up_to(self, commit: int) -> None:
        """Execute what is committed, in order; the primary answers."""
        self.commit = max(self.commit, min(commit, self.op))
        while self.applied < self.commit:
            command = self.log[self.applied]
            self.applied += 1
            result = self.store.apply(command)
            client = self.waiting.pop((command.session, command.sequence), None)
            if client is not None and result is not None and self.is_primary:
                self.answer(client, command, result)

    def answer(self, client: str, command: Command, result: Any) -> None:
        """Tell a client what its request came to."""
        self.send(
            client, Reply(command.session, command.sequence, result.status, result.value, result.result)
        )

    # View changes (4.2)

    def on_view_change_timeout(self) -> None:
        if self.status != RECOVERING:
            self.change_view(self.view + 1)

    def change_view(self, view: int) -> None:
        """Advance the view-number, and say so to everyone."""
        if self.status == NORMAL:
            self.record("role", role="candidate", view=view)
        self.status = VIEW_CHANGE
        self.view = view
        self.change_votes.clear()
        self.reported = False
        self.reports.clear()
        self.cancel_timer("commit")
        self.turn_away_clients()
        self.await_primary()
        self.broadcast(StartViewChange(view, tuple(self.lives)))

    def turn_away_clients(self) -> None:
        """Who waits for an answer of this replica may ask elsewhere."""
        waiting, self.waiting = self.waiting, {}
        for (session, sequence), client in waiting.items():
            self.send(client, Redirect(session, sequence, None))

    def on_start_view_change(self, src: str, msg: StartViewChange) -> None:
        self.learn_lives(msg.lives)
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view > self.view:
            self.change_view(msg.view)
        if self.status == VIEW_CHANGE:
            self.change_votes[src] = msg
            self.report()

    def report(self) -> None:
        """With StartViewChange from f others: tell the new primary what is known here."""
        agreeing = self.consistent(self.change_votes)
        if len(agreeing) >= self.f and not self.reported:
            self.reported = True
            known = DoViewChange(self.view, tuple(self.log), self.last_normal, self.commit, tuple(self.lives))
            self.send(self.primary_of(self.view), known)

    def on_do_view_change(self, src: str, msg: DoViewChange) -> None:
        self.learn_lives(msg.lives)
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view > self.view:
            self.change_view(msg.view)
        if self.status != VIEW_CHANGE:
            return
        self.reports[src] = msg
        self.begin_view()

    def begin_view(self) -> None:
        """With f + 1 DoViewChanges, its own among them: take the best log, and begin the view."""
        reports = self.consistent(self.reports)
        if len(reports) <= self.f or self.name not in reports:
            return
        best = self.best_report(list(reports.values()))
        self.take_log(best.log)
        commit = max(report.commit for report in reports.values())
        self.begin_normal(self.view)
        self.broadcast(StartView(self.view, tuple(self.log), commit, tuple(self.lives)))
        self.commit_up_to(commit)
        self.advance_commit()

    def best_report(self, reports: list[DoViewChange]) -> DoViewChange:
        """The one of the latest normal view; of several such, the longest."""
        return max(reports, key=lambda report: (report.last_normal, len(report.log)))

    def on_start_view(self, src: str, msg: StartView) -> None:
        self.learn_lives(msg.lives)
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view == self.view and self.status == NORMAL:
            return
        self.take_log(msg.log)
        self.begin_normal(msg.view)
        if self.op > msg.commit:
            self.send(src, PrepareOk(self.view, self.op))
        self.commit_up_to(msg.commit)

    def take_log(self, log: Iterable[Command]) -> None:
        """Replace the log; what was executed is committed, so it is a prefix of every later log."""
        self.log = list(log)

    # Recovery (4.3)

    def on_recovery_timeout(self) -> None:
        """Ask everyone, again and again until enough have answered."""
        if self.status == RECOVERING:
            self.set_timer("recovery", self.settings.detection_timeout)
            self.broadcast(Recovery(self.nonce, tuple(self.lives)))

    def on_recovery(self, src: str, msg: Recovery) -> None:
        self.learn_lives(msg.lives)
        if self.status == NORMAL:
            log = tuple(self.log) if self.is_primary else None
            self.send(src, RecoveryResponse(self.view, msg.nonce, log, self.commit, tuple(self.lives)))

    def on_recovery_response(self, src: str, msg: RecoveryResponse) -> None:
        self.learn_lives(msg.lives)
        if self.status != RECOVERING or not self.answers_me(msg):
            return
        self.responses[src] = msg
        self.recover()

    def answers_me(self, msg: RecoveryResponse) -> bool:
        """Whether a response belongs to this recovery, and not to an earlier one."""
        return msg.nonce == self.nonce

    def recover(self) -> None:
        """With f + 1 responses, one of them from the primary of the latest view among them: be normal again."""
        responses = self.consistent(self.responses)
        if len(responses) <= self.f:
            return
        view = max(response.view for response in responses.values())
        primary = responses.get(self.primary_of(view))
        if primary is None or primary.view != view or primary.log is None:
            return
        self.take_log(primary.log)
        self.responses.clear()
        self.cancel_timer("recovery")
        self.begin_normal(view)
        self.commit_up_to(primary.commit)
        if self.op > self.commit:
            self.send(self.primary_of(view), PrepareOk(view, self.op))

    # Crash-consistent quorums (DISC 2017)

    def learn_lives(self, lives: Lives) -> None:
        """What is known of lives only grows."""
        self.lives = [max(mine, theirs) for mine, theirs in zip(self.lives, lives, strict=True)]
        self.lives[self.number] = self.incarnation

    def consistent(self, received: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the messages whose senders have not begun another life since, as far as is known here."""
        return {
            src: msg
            for src, msg in received.items()
            if msg.lives[self.members.index(src)] >= self.lives[self.members.index(src)]
        }

    # State transfer (5.2)

    def catch_up(self, src: str, view: int) -> None:
        """Ask for what is missing."""
        self.send(src, GetState(view, min(self.commit, self.op) if view > self.last_normal else self.op))

    def on_get_state(self, src: str, msg: GetState) -> None:
        if self.status == NORMAL and msg.view == self.view:
            self.send(src, NewState(self.view, msg.op, tuple(self.log[msg.op :]), self.commit))

    def on_new_state(self, src: str, msg: NewState) -> None:
        if self.status == RECOVERING or msg.view < self.view:
            return
        if msg.view == self.view and self.status == NORMAL:
            if msg.after <= self.op < msg.after + len(msg.log):
                self.log.extend(msg.log[self.op - msg.after :])
        else:
            if msg.after > self.commit:
                return  # it answers an older question: what lies between may not be what the view has
            self.take_log((*self.log[: msg.after], *msg.log))
            self.turn_away_clients()
            self.begin_normal(msg.view)
        self.send(self.primary_of(self.view), PrepareOk(self.view, self.op))
        self.commit_up_to(msg.commit)


@dataclass(frozen=True, kw_only=True)
class ViewstampedReplication(System):
    """Viewstamped Replication Revisited over ``nodes`` replicas that keep nothing on disk.

    Parameters
    ----------
    nodes:
        How many replicas (>= 1), named n0, n1, ...
    leader:
        The primary of the first view; None: n0.
    """

    nodes: int = 5
    leader: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(type(self).__name__, "nodes", self.nodes, 1)
        if self.leader not in (None, *self.names):
            raise ValueError(
                f"{type(self).__name__}: leader must be one of {', '.join(self.names)}, not {self.leader!r}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the replicas."""
        return names("n", self.nodes)

    @property
    def first_primary(self) -> str:
        """The primary of the first view."""
        return self.leader or self.names[0]

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between the messages of an idle primary; 50 ms where nothing else is said."""
        return 0.05 if self.heartbeat is None else self.heartbeat

    @property
    def detection_timeout(self) -> float:
        """The shortest time (seconds) without the primary after which the view changes."""
        return 10 * self.heartbeat_interval if self.detection is None else self.detection

    @property
    def most_down(self) -> int | None:
        """f: nothing is on disk, so that more than f replicas down or recovering would lose the state."""
        return (self.nodes - 1) // 2

    def has_recovered(self, node: Node) -> bool:
        """Whether a live replica takes part again."""
        return not isinstance(node, ViewstampedNode) or node.status != RECOVERING

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(name, ViewstampedNode) for name in self.names)

    @property
    def client_class(self) -> type[Node]:
        return Client

    @property
    def claims(self) -> str | None:
        return "linearizable"

    def holder(self, role: str, nodes: Mapping[str, Node]) -> str | None:
        if role not in self.leader_roles:
            return super().holder(role, nodes)
        primaries = [n for n in nodes.values() if isinstance(n, ViewstampedNode) and n.is_primary]
        return max(primaries, key=lambda node: node.view).name if primaries else None

    def invariants(self) -> Iterable[Invariant]:
        from sim.protocols.consensus.vr_invariants import ViewstampedSafety

        return (ViewstampedSafety(),)

    def acknowledged_lost(self, acknowledged: Mapping[Any, Any], nodes: Mapping[str, Node]) -> int | None:
        """Acknowledged writes that are neither executed nor in the log of the normal replica of the latest view."""
        normal = [n for n in nodes.values() if isinstance(n, ViewstampedNode) and n.status == NORMAL]
        if not normal:
            return None
        best = max(normal, key=lambda node: (node.view, node.op))
        to_come = {(c.session, c.sequence) for c in best.log[best.applied :]}
        return sum(1 for lost in best.store.missing(acknowledged) if lost not in to_come)
