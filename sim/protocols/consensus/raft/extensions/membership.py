"""Membership changes: one server at a time, or any set by joint consensus.

Ongaro's thesis, chapter 4; Ongaro & Ousterhout 2014, section 6. A configuration is a log entry, and a server
uses the latest in its log, committed or not. New servers catch up before they become voters (4.2.1). A change
waits until the leader has committed an entry of its own term (Ongaro, "bug in single-server membership changes",
raft-dev, 10 July 2015), and until the previous change is committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sim.node import message
from sim.protocols.admin import AdminReply, Join, Leave, Reconfigure
from sim.protocols.command import Command
from sim.protocols.consensus.raft.extensions.elections import Stickiness
from sim.protocols.consensus.raft.node import AppendEntries, AppendEntriesReply

__all__ = ["Config", "Membership"]

ROUNDS = 10
"""A new server that has not caught up after this many rounds of replication is too slow (4.2.1)."""


@message
class Config:
    """A configuration: voters, learners (receive the log, do not vote), and in joint consensus the ``old`` voters.

    In joint consensus, majorities of both ``voters`` and ``old`` must agree.
    """

    voters: tuple[str, ...]
    old: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()

    @property
    def everyone(self) -> tuple[str, ...]:
        """All servers that a leader replicates to, itself included."""
        return tuple(dict.fromkeys((*self.voters, *self.old, *self.learners)))

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The sets of voters; a quorum contains a majority of each."""
        return (self.voters, self.old) if self.old else (self.voters,)


def config_command(config: Config) -> Command:
    """The command that represents a configuration in the log; the state machine ignores it."""
    return Command(-1, 0, "config", "", config)


@dataclass
class Newcomer:
    """A new server that catches up: the current round began at ``began`` (s) and ends at index ``goal`` (4.2.1)."""

    goal: int
    began: float
    rounds: int = 1
    ready: bool = False


class Membership(Stickiness):
    """A server of a cluster whose membership can change."""

    def on_start(self) -> None:
        self.all_names = self.members  # spares included
        self.newcomers: dict[str, Newcomer] = {}
        self.target: Config | None = None  # the configuration to which the current change leads
        self.admin: str | None = None  # the node that requested it
        self.settled = 0  # configurations below this index need no further action of this leader
        self.configs: list[tuple[int, Config]] = []  # (index, configuration), the last committed one first
        self.read_configs()
        super().on_start()

    # Cluster configurations in the log (4.1)

    @property
    def config(self) -> Config:
        """The latest configuration in the log."""
        return self.configs[-1][1]

    def read_configs(self) -> None:
        """Find the configurations in the snapshot and the log on disk."""
        snapshot = getattr(self, "snapshot", None)
        if snapshot is not None and snapshot.config is not None:
            self.configs = [(snapshot.index, snapshot.config)]
        else:
            self.configs = [(0, Config(self.settings.names))]
        for index, entry in enumerate(self.log.items, self.floor() + 1):
            self.note_config(index, entry.command)
        self.adopt_config()

    def note_config(self, index: int, command: Command) -> None:
        if command.kind == "config" and index > self.configs[-1][0]:
            self.configs.append((index, command.value))

    def adopt_config(self) -> None:
        """Each server adopts a configuration as soon as it is in its log (4.1)."""
        self.members = tuple(dict.fromkeys((*self.config.everyone, *self.newcomers)))
        self.peers = tuple(name for name in self.members if name != self.name)

    def config_at(self, index: int) -> Config:
        """The latest configuration up to an applied ``index``."""
        return [config for at, config in self.configs if at <= index][-1]

    def truncate_from(self, index: int) -> None:
        super().truncate_from(index)
        while self.configs[-1][0] >= index:
            self.configs.pop()
        self.adopt_config()

    def install(self, snapshot: Any) -> None:
        super().install(snapshot)  # type: ignore[misc]  # of Snapshots, which follows this class in the MRO
        self.read_configs()

    def on_append_entries(self, src: str, msg: AppendEntries) -> None:
        super().on_append_entries(src, msg)
        before = len(self.configs)
        for index, entry in enumerate(msg.entries, msg.prev_log_index + 1):
            if entry.command.kind == "config" and self.holds(index, entry.term):
                self.note_config(index, entry.command)
        if len(self.configs) > before:
            self.adopt_config()

    def holds(self, index: int, term: int) -> bool:
        """Whether the log holds an entry of this index and term."""
        return self.floor() < index <= self.last_index() and self.term_at(index) == term

    # Quorums (section 6)

    def is_quorum(self, servers: set[str]) -> bool:
        return self.is_quorum_of(self.config, servers)

    def is_quorum_of(self, config: Config, servers: set[str]) -> bool:
        """Agreement requires majorities from both the old and the new configuration while they are joint."""
        return all(2 * len(servers.intersection(group)) > len(group) for group in config.groups)

    def replicated_index(self) -> int:
        acknowledged = self.match_index
        return min(
            sorted(acknowledged.get(name, 0) for name in group)[(len(group) - 1) // 2]
            for group in self.config.groups
        )

    def electors(self) -> tuple[str, ...]:
        voters = {*self.config.voters, *self.config.old}
        return tuple(peer for peer in self.peers if peer in voters)

    def on_election_timeout(self) -> None:
        if self.may_campaign():
            super().on_election_timeout()
        else:
            self.reset_election_timer()

    def campaign(self) -> None:
        if self.may_campaign():  # else it received TimeoutNow, and has been demoted since
            super().campaign()

    def may_campaign(self) -> bool:
        """Whether this server is a voter, or was one whose removal is not committed: it may be needed (4.2.2)."""
        index, config = self.configs[-1]
        if self.name in config.voters or self.name in config.old:
            return True
        return index > self.commit_index and self.name in self.configs[-2][1].voters

    # A leader whose followers change

    def become_leader(self) -> None:
        self.settled = 0
        super().become_leader()

    def on_append_entries_reply(self, src: str, msg: AppendEntriesReply) -> None:
        if self.role == "leader" and msg.term <= self.current_term and src not in self.match_index:
            return  # it is no longer a member
        super().on_append_entries_reply(src, msg)

    def rejected(self, src: str, index: int, next_index: int) -> None:
        if src in self.match_index:
            super().rejected(src, index, next_index)

    def acknowledged(self, src: str, index: int) -> None:
        super().acknowledged(src, index)
        if src in self.newcomers:
            self.catch_up(src)

    def append(self, command: Command) -> int:
        if command.kind == "config":
            self.note_config(self.last_index() + 1, command)
            self.newcomers = {n: c for n, c in self.newcomers.items() if n not in command.value.everyone}
            self.adopt_config()
            self.greet(self.peers)
        return super().append(command)

    def greet(self, servers: Iterable[str]) -> None:
        """Begin to replicate to new servers, and drop the state of removed ones."""
        for name in servers:
            if name not in self.match_index:
                self.track(name)
        for gone in [name for name in self.match_index if name not in self.members and name != self.name]:
            del self.match_index[gone], self.next_index[gone], self.sent_index[gone]

    # Requests of an administrator

    def on_join(self, src: str, msg: Join) -> None:
        config = self.config
        if not self.can_change(src):
            return
        if msg.member not in self.all_names:
            self.reply(
                src, AdminReply(False, self.name, f"there is no server {msg.member}", final=True), hold=False
            )
        elif msg.member in (config.voters if msg.voter else config.learners):
            self.reply(src, AdminReply(True, self.name), hold=False)
        elif config.voters == (msg.member,):
            self.reply(
                src, AdminReply(False, self.name, "the last voter cannot only learn", final=True), hold=False
            )
        elif msg.voter:
            others = tuple(name for name in config.learners if name != msg.member)
            self.begin_change(src, Config((*config.voters, msg.member), learners=others))
        else:  # a new learner, or a voter that becomes one
            others = tuple(name for name in config.voters if name != msg.member)
            self.begin_change(src, Config(others, learners=(*config.learners, msg.member)))

    def on_leave(self, src: str, msg: Leave) -> None:
        if not self.can_change(src):
            return
        voters, learners = (
            tuple(name for name in names if name != msg.member)
            for names in (self.config.voters, self.config.learners)
        )
        if not voters:
            self.reply(
                src, AdminReply(False, self.name, "the last voter cannot leave", final=True), hold=False
            )
        else:
            self.change_if_new(src, Config(voters, learners=learners))

    def on_reconfigure(self, src: str, msg: Reconfigure) -> None:
        if not self.can_change(src):
            return
        unknown = [name for name in msg.members if name not in self.all_names]
        if unknown or not msg.members:
            reason = f"there is no server {unknown[0]}" if unknown else "somebody must vote"
            self.reply(src, AdminReply(False, self.name, reason, final=True), hold=False)
            return
        voters = tuple(dict.fromkeys(msg.members))
        learners = tuple(name for name in self.config.learners if name not in voters)
        self.change_if_new(src, Config(voters, learners=learners))

    def can_change(self, src: str) -> bool:
        """Whether a change may begin now. If not, this server replies with the reason."""
        reason = ""
        if self.role != "leader":
            reason = "does not lead"
        elif self.target is not None or self.configs[-1][0] > self.commit_index or self.config.old:
            reason = "a change is under way"
        elif self.term_at(self.commit_index) != self.current_term:
            reason = "nothing of this term is committed yet"
        if reason:
            self.reply(src, AdminReply(False, self.leader, reason), hold=False)
        return not reason

    # The steps of a change

    def change_if_new(self, src: str, target: Config) -> None:
        """Change to ``target``, unless it equals the current configuration."""
        if set(target.voters) == set(self.config.voters) and target.learners == self.config.learners:
            self.reply(src, AdminReply(True, self.name), hold=False)
        else:
            self.begin_change(src, target)

    def begin_change(self, src: str, target: Config) -> None:
        """Begin a change: first the new servers catch up as non-voters (4.2.1)."""
        self.admin, self.target = src, target
        last = self.last_index()
        fresh = [name for name in target.voters if name not in self.config.voters]
        self.newcomers = {name: Newcomer(last, self.monotonic) for name in fresh}
        self.adopt_config()
        self.greet(self.peers)
        if fresh:
            self.set_timer("catch_up", 2 * ROUNDS * self.settings.detection_timeout)
            self.replicate(fresh)
            for name in fresh:
                self.catch_up(name)  # a learner may have caught up already
        else:
            self.proceed()

    def catch_up(self, name: str) -> None:
        """Check the progress of a new server that has acknowledged entries. If its last round lasted less than an
        election timeout, the leader adds it (4.2.1)."""
        newcomer = self.newcomers[name]
        if newcomer.ready or self.match_index[name] < newcomer.goal:
            return
        if self.monotonic - newcomer.began < self.settings.detection_timeout:
            newcomer.ready = True
            if all(other.ready for other in self.newcomers.values()):
                self.cancel_timer("catch_up")
                self.proceed()
        elif newcomer.rounds < ROUNDS:
            newcomer.rounds += 1
            newcomer.goal, newcomer.began = self.last_index(), self.monotonic
        else:
            self.give_up(f"{name} is too slow")

    def on_catch_up_timeout(self) -> None:
        slow = [name for name, newcomer in self.newcomers.items() if not newcomer.ready]
        if self.role == "leader" and slow:
            self.give_up(f"{slow[0]} does not catch up")

    def give_up(self, reason: str) -> None:
        """Abandon the change before any configuration was appended, and report the reason."""
        self.tell_admin(False, reason)
        self.newcomers, self.target = {}, None
        self.adopt_config()
        self.greet(self.peers)

    def proceed(self) -> None:
        """Append the next configuration on the way to the target."""
        if self.target is not None:
            self.append(config_command(self.next_config(self.target)))

    def next_config(self, target: Config) -> Config:
        """The configuration with one server added or removed (4.1), or the joint configuration (section 6)."""
        config = self.config
        if set(target.voters) == set(config.voters):
            return target
        if self.settings.membership == "joint":
            return Config(target.voters, config.voters, target.learners)
        more = [name for name in target.voters if name not in config.voters]
        if more:
            voters = (*config.voters, more[0])
        else:
            less = [name for name in config.voters if name not in target.voters]
            leaving = min(less, key=lambda name: name == self.name)  # the leader itself goes last
            voters = tuple(name for name in config.voters if name != leaving)
        return Config(voters, learners=target.learners)

    def apply_committed(self) -> None:
        for index in range(self.last_applied + 1, self.commit_index + 1):
            self.note_config(index, self.entry_at(index).command)  # the snapshot may be taken in this step
        super().apply_committed()
        while len(self.configs) > 1 and self.configs[1][0] <= self.last_applied:
            self.configs.pop(0)
        latest = self.configs[-1][0]
        news = self.settled <= latest <= self.commit_index
        if self.role == "leader" and news and self.term_at(self.commit_index) == self.current_term:
            self.settled = latest + 1
            self.config_committed()

    def config_committed(self) -> None:
        """The latest configuration is committed: append the next one, or finish the change."""
        config, target = self.config, self.target
        if config.old:  # once C_old,new is committed, the leader creates C_new (section 6)
            self.append(config_command(Config(config.voters, (), config.learners)))
        elif target is not None and set(config.voters) != set(target.voters):
            self.proceed()
        else:
            self.target = None
            self.tell_admin(True)
            if self.name not in config.voters:  # a leader that has removed itself steps down (4.2.2)
                self.become_follower(None)

    def tell_admin(self, done: bool, reason: str = "") -> None:
        """Answer the node that asked for the change."""
        if self.admin is not None:
            self.reply(self.admin, AdminReply(done, self.leader, reason), hold=False)
            self.admin = None

    def become_follower(self, leader: str | None) -> None:
        super().become_follower(leader)
        if self.target is not None:
            self.tell_admin(False, "no longer leads")
        self.target = None
        if self.newcomers:
            self.newcomers = {}
            self.adopt_config()
