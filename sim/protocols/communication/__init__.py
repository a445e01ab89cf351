"""Communication as building blocks: links, calls, broadcasts, and systems that show what each guarantees."""

from sim.protocols.communication.broadcast import BestEffortBroadcast
from sim.protocols.communication.links import FifoLinks, LoggedLinks, PerfectLinks, StubbornLinks
from sim.protocols.communication.orders import ANY, CAUSAL, FIFO
from sim.protocols.communication.raft_order import RaftBroadcast
from sim.protocols.communication.reliable import EagerBroadcast, LazyBroadcast
from sim.protocols.communication.rpc import Rpc
from sim.protocols.communication.rpc_store import RpcStore
from sim.protocols.communication.sequencer import SequencerBroadcast
from sim.protocols.communication.store import BroadcastStore
from sim.protocols.communication.uniform import UniformBroadcast

__all__ = [
    "ANY",
    "CAUSAL",
    "FIFO",
    "BestEffortBroadcast",
    "BroadcastStore",
    "EagerBroadcast",
    "FifoLinks",
    "LazyBroadcast",
    "LoggedLinks",
    "PerfectLinks",
    "RaftBroadcast",
    "Rpc",
    "RpcStore",
    "SequencerBroadcast",
    "StubbornLinks",
    "UniformBroadcast",
]
