"""The invariants of Multi-Paxos: those of Paxos for each slot, and that slots are applied in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.node import Node
from sim.protocols.consensus.ballot import Ballot
from sim.protocols.consensus.client_ghost import check_states
from sim.protocols.consensus.paxos import PaxosSafety, Slot

__all__ = ["MultiPaxosSafety"]


@dataclass
class MultiPaxosSafety(PaxosSafety):
    """The invariants of Paxos for each slot; slots are applied in order, without gaps, and replies are correct.

    The ghost applies the chosen commands to a state of its own; each reply must have the result of that. With
    ``leases``, a read may also be answered from the state of a replica that has applied all acknowledged writes.
    """

    leases: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.acknowledged: Slot = 0  # the last slot that a reply depended on
        self.reads: dict[tuple[int, int], Any] = {}
        self.applied: dict[str, tuple[int, int]] = {}  # node -> (incarnation, last applied slot)

    def choose(self, slot: Slot, ballot: Ballot, src: str) -> None:
        super().choose(slot, ballot, src)
        while self.clients.folded + 1 in self.chosen:
            self.clients.fold(self.chosen[self.clients.folded + 1][1])

    def check_learnt(self, node: Node) -> None:
        """Each newly applied slot of a node is chosen, and so are all slots before it."""
        applied = getattr(node, "applied", None)
        if applied is None:
            return
        incarnation, before = self.applied.get(node.name, (node.incarnation, 0))
        if incarnation == node.incarnation:
            if applied == before:
                return
            if applied < before:
                self.violated(
                    node.name, f"it applied {before} slots", f"now {applied}", invariant="applied only grows"
                )
        else:
            before = 0
        self.applied[node.name] = (node.incarnation, applied)
        votes = getattr(node, "votes", {})
        for slot in range(before + 1, applied + 1):
            vote = votes.get(slot)
            if vote is not None:
                self.check_chosen(node.name, slot, vote.command)
            elif slot > getattr(node, "snapshot_index", 0):
                self.violated(
                    node.name,
                    f"it has applied {applied} slots",
                    f"it never had {slot}",
                    invariant="applied without gaps",
                )

    def sent_reply(self, src: str, msg: Any) -> None:
        """A reply has the result of its command in the order of the chosen commands, and comes only after that."""
        identity = (msg.session, msg.sequence)
        truth = self.clients.truth(msg)
        is_read = self.leases and identity in self.reads
        # A read that is in a slot may also have been answered under a lease, before that slot was applied.
        if self.clients.is_true(msg) and not (
            is_read and self.applied_by(src) < self.clients.positions[identity]
        ):
            self.acknowledged = max(self.acknowledged, self.clients.positions[identity])
        elif is_read:
            self.check_read(src, msg, self.reads[identity])
        elif truth is None:
            facts = (f"it answers {msg!r}", f"{self.clients.folded} slots are chosen, none with it")
            self.violated(src, *facts, invariant="acknowledged is chosen")
        else:
            self.violated(
                src, f"the chosen commands yield {truth!r}", f"it answers {msg!r}", invariant="exactly once"
            )

    def applied_by(self, name: str) -> int:
        """The number of slots that a replica has applied."""
        return int(self.hosts[name].node.applied)

    def sent_request(self, src: str, msg: Any) -> None:
        """A command that a client sends may be proposed; with leases, reads may be answered without a slot."""
        self.clients.ask(msg.command)
        if self.leases and msg.command.kind in self.application.reads:
            self.reads[msg.command.session, msg.command.sequence] = msg.command

    def check_read(self, src: str, msg: Any, command: Any) -> None:
        """A read under a lease sees everything that earlier replies to any client depended on."""
        node = self.hosts[src].node
        if node.applied < self.acknowledged:
            self.violated(
                src,
                f"slot {self.acknowledged} was acknowledged",
                f"it answers {msg!r} having applied {node.applied}",
                invariant="a read sees acknowledged writes",
            )
        if node.store.execute(command).value != msg.value:
            self.violated(
                src,
                f"{command!r} was asked",
                f"it answers {msg!r}",
                invariant="a read sees acknowledged writes",
            )
        self.acknowledged = node.applied

    def votes_in(self, promise: Any) -> Sequence[tuple[Slot, Any]]:
        """The votes of all slots that the Prepare asked for."""
        return promise.votes  # type: ignore[no-any-return]

    def sent_accepted(self, src: str, msg: Any) -> None:
        """A leader without peers sends no Accept; its own vote shows its proposal."""
        if msg.ballot.proposer == src and (msg.slot, msg.ballot) not in self.proposed:
            command = self.hosts[src].node.votes[msg.slot].command
            self.check_p2c(src, msg.slot, msg.ballot, command)
            self.check_asked(src, msg.slot, command)
            self.proposed[msg.slot, msg.ballot] = command
        super().sent_accepted(src, msg)

    def sent_learned(self, src: str, msg: Any) -> None:
        """Only chosen values are sent as chosen."""
        for offset, command in enumerate(msg.commands):
            self.check_chosen(src, msg.first + offset, command)

    def at_end(self, nodes: Mapping[str, Node]) -> None:
        """The state of every replica is the result of the chosen commands that it has applied."""
        check_states(
            self,
            [node for node in nodes.values() if hasattr(node, "applied") and hasattr(node, "store")],
            self.application,
            lambda number: self.chosen[number + 1][1],  # slots count from 1
            values="chosen commands",
            fold_of="chosen",
        )
