"""Protocols: one file a protocol, next to its paper. They know `sim.node` and `sim.system`, never the kernel."""

from sim.protocols.balancing import (
    Balanced,
    Random,
    RoundRobin,
    Server,
    SmoothWeightedRoundRobin,
    WeightedRandom,
)
from sim.protocols.communication import BroadcastStore, RpcStore
from sim.protocols.consensus.epaxos import EPaxos
from sim.protocols.consensus.epaxos_star_system import EPaxosStar
from sim.protocols.consensus.mencius_system import Mencius
from sim.protocols.consensus.multipaxos_system import MultiPaxos
from sim.protocols.consensus.paxos_system import Paxos
from sim.protocols.consensus.raft_system import BasicRaft
from sim.protocols.consensus.raft_thesis import Raft
from sim.protocols.consensus.sharded import ShardedRaft
from sim.protocols.consensus.vr_system import ViewstampedReplication
from sim.protocols.membership.epidemic import AntiEntropy, Mongering
from sim.protocols.membership.gossip import Gossip
from sim.protocols.membership.heartbeats import HeartbeatDetectors
from sim.protocols.membership.lease import LeaderLease
from sim.protocols.membership.suspicion import ExpectedArrival, FixedTimeout, PhiAccrual
from sim.protocols.membership.swim import Swim
from sim.protocols.replication.abd import Abd
from sim.protocols.replication.chain_system import ChainReplication
from sim.protocols.replication.craq import Craq
from sim.protocols.replication.crdt import Crdt
from sim.protocols.replication.dynamo import Dynamo
from sim.protocols.replication.multi_primary import MultiPrimary
from sim.protocols.replication.primary_backup_system import PrimaryBackup

__all__ = [
    "Abd",
    "AntiEntropy",
    "Balanced",
    "BasicRaft",
    "BroadcastStore",
    "ChainReplication",
    "Craq",
    "Crdt",
    "Dynamo",
    "EPaxos",
    "EPaxosStar",
    "ExpectedArrival",
    "FixedTimeout",
    "Gossip",
    "HeartbeatDetectors",
    "LeaderLease",
    "Mencius",
    "Mongering",
    "MultiPaxos",
    "MultiPrimary",
    "Paxos",
    "PhiAccrual",
    "PrimaryBackup",
    "Raft",
    "Random",
    "RoundRobin",
    "RpcStore",
    "Server",
    "ShardedRaft",
    "SmoothWeightedRoundRobin",
    "Swim",
    "ViewstampedReplication",
    "WeightedRandom",
]
