"""What must hold in every run of Raft: figure 3 of the paper, and the steps on which its proof rests.

All invariants share one `RaftHistory`: a ghost record of everything that was ever voted, acknowledged and committed, by
crashed servers too. It works out once what an event changed; each invariant then costs in proportion to that.
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
from sim.protocols.consensus.raft.invariants.history import RaftHistory, RaftLaw
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
    "RaftLaw",
    "StateMachineSafety",
    "TermsNeverFall",
    "Validity",
    "durable_before_send",
    "raft_invariants",
]


def raft_invariants(application: Application | None = None) -> Iterable[Invariant]:
    """Fresh invariants for one run, on one history; ``application``: what is replicated (None: a key-value store)."""
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
    return [history, *(invariant(history=history) for invariant in invariants), *durable_before_send(history)]
