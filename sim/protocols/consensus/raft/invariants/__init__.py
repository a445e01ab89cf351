"""The invariants of Raft: figure 3 of the paper, and the lemmas from which the paper proves it.

All invariants share one `RaftHistory`: a ghost record of everything that was ever voted, acknowledged and committed,
also by crashed servers. It computes the changes of each event once; the cost of each invariant is proportional to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from sim.protocols.application import Application
from sim.protocols.consensus.raft.invariants.clients import AcknowledgedIsCommitted, ExactlyOnce
from sim.protocols.consensus.raft.invariants.commitment import (
    CommitRule,
    LeaderCompleteness,
    StateMachineSafety,
)
from sim.protocols.consensus.raft.invariants.elections import (
    ElectionSafety,
    OneVotePerTerm,
    TermsNeverFall,
    durable_before_send,
)
from sim.protocols.consensus.raft.invariants.history import RaftHistory, RaftInvariant
from sim.protocols.consensus.raft.invariants.logs import (
    AckedIsKept,
    LeaderAppendOnly,
    LogMatching,
    MatchIndex,
    Validity,
)
from sim.protocols.kv import KeyValueStore
from sim.system import Invariant

__all__ = [
    "AckedIsKept",
    "AcknowledgedIsCommitted",
    "CommitRule",
    "ElectionSafety",
    "ExactlyOnce",
    "LeaderAppendOnly",
    "LeaderCompleteness",
    "LogMatching",
    "MatchIndex",
    "OneVotePerTerm",
    "RaftHistory",
    "RaftInvariant",
    "StateMachineSafety",
    "TermsNeverFall",
    "Validity",
    "durable_before_send",
    "raft_invariants",
]


def raft_invariants(application: Application | None = None) -> Iterable[Invariant]:
    """Fresh invariants for one run, with one history; ``application`` is replicated (None: a key-value store)."""
    history = RaftHistory(application=application or KeyValueStore())
    invariants = (
        ElectionSafety,
        OneVotePerTerm,
        TermsNeverFall,
        LeaderAppendOnly,
        LogMatching,
        Validity,
        StateMachineSafety,
        CommitRule,
        LeaderCompleteness,
        MatchIndex,
        AckedIsKept,
        ExactlyOnce,
        AcknowledgedIsCommitted,
    )
    return [history, *(invariant(history=history) for invariant in invariants), *durable_before_send()]
