"""Protocols: each has a file or folder that follows its paper. They use `sim.node` and `sim.system`, not the kernel."""

from sim.protocols.balancing import (
    Balanced,
    Random,
    RoundRobin,
    Server,
    SmoothWeightedRoundRobin,
    WeightedRandom,
)
from sim.protocols.communication import BroadcastStore, RpcStore
from sim.protocols.consensus.caspaxos import CasPaxos
from sim.protocols.consensus.epaxos import EPaxos
from sim.protocols.consensus.epaxos_star import EPaxosStar
from sim.protocols.consensus.mencius import Mencius
from sim.protocols.consensus.multipaxos import MultiPaxos
from sim.protocols.consensus.omnipaxos import OmniPaxos
from sim.protocols.consensus.paxos import Paxos
from sim.protocols.consensus.raft import BasicRaft, Raft, ShardedRaft
from sim.protocols.consensus.vr import ViewstampedReplication
from sim.protocols.membership.gossip import AntiEntropy, Gossip, Mongering
from sim.protocols.membership.heartbeats import HeartbeatDetectors
from sim.protocols.membership.lease import LeaderLease
from sim.protocols.membership.suspicion import ExpectedArrival, FixedTimeout, PhiAccrual
from sim.protocols.membership.swim import Swim
from sim.protocols.replication.abd import Abd
from sim.protocols.replication.chain import ChainReplication, Craq, ShardedChain
from sim.protocols.replication.crdt import Crdt
from sim.protocols.replication.dynamo import Dynamo
from sim.protocols.replication.multi_primary import MultiPrimary
from sim.protocols.replication.primary_backup import PrimaryBackup

__all__ = [
    "Abd",
    "AntiEntropy",
    "Balanced",
    "BasicRaft",
    "BroadcastStore",
    "CasPaxos",
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
    "OmniPaxos",
    "Paxos",
    "PhiAccrual",
    "PrimaryBackup",
    "Raft",
    "Random",
    "RoundRobin",
    "RpcStore",
    "Server",
    "ShardedChain",
    "ShardedRaft",
    "SmoothWeightedRoundRobin",
    "Swim",
    "ViewstampedReplication",
    "WeightedRandom",
]
