"""View services decide on the primary, or on a chain's members: service, config_master, raft_service, sealing."""

from sim.protocols.membership.views.config_master import Alive, Chain, ChainIs, ConfigurationMaster
from sim.protocols.membership.views.raft_service import RaftViewService, ViewGroup
from sim.protocols.membership.views.sealing import Seal, Sealed, SealingViewService
from sim.protocols.membership.views.service import (
    LEASE,
    MOST_DRIFT,
    Ping,
    View,
    ViewIs,
    ViewRules,
    ViewService,
)

__all__ = [
    "LEASE",
    "MOST_DRIFT",
    "Alive",
    "Chain",
    "ChainIs",
    "ConfigurationMaster",
    "Ping",
    "RaftViewService",
    "Seal",
    "Sealed",
    "SealingViewService",
    "View",
    "ViewGroup",
    "ViewIs",
    "ViewRules",
    "ViewService",
]
