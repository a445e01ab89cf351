"""Many chains on the same machines: keys are spread over the chains, and each chain has its own head, tail and master.

Many objects on chains of their own that are spread over servers, as in van Renesse & Schneider (OSDI 2004). With
``placement``, each chain is on some of many machines, and it matters which machines fail together: a chain goes on as
long as one of its servers is up.

Departures: keys are hashed to a fixed number of chains, which never move: a chain whose machine is lost stays shorter,
where the paper adds another server to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sim.node import Node
from sim.protocols.client import Redirect
from sim.protocols.replication.chain.craq import Craq
from sim.protocols.replication.chain.system import ChainReplication
from sim.protocols.sharding import ShardClient, ShardedSystem, client_of
from sim.protocols.system import StateMachineSystem

__all__ = ["ShardChainClient", "ShardedChain"]


class ShardChainClient(ShardClient):
    """A client that remembers the tail of each chain, too."""

    def on_start(self) -> None:
        self.tails: dict[int, str] = {}
        super().on_start()

    @property
    def tail(self) -> str | None:
        """The assumed tail of the current chain; None: unknown."""
        return self.tails.get(self.group)

    @tail.setter
    def tail(self, name: str | None) -> None:
        if name is None:
            self.tails.pop(self.group, None)
        else:
            self.tails[self.group_of[name]] = name

    def on_redirect(self, src: str, msg: Redirect) -> None:
        self.group = self.group_of[src]
        super().on_redirect(src, msg)


@dataclass(frozen=True, kw_only=True)
class ShardedChain(ShardedSystem):
    """Keys hashed over chains that share machines; see `ShardedSystem` for the other parameters.

    Each chain has a master of its own, on a machine of its own. ``leader`` and ``leaders`` say where the heads begin.

    Parameters
    ----------
    group:
        The system of each chain: its options apply to all chains. Not `Craq`.
    """

    group: ChainReplication = field(default_factory=ChainReplication)

    group_class: ClassVar[type[StateMachineSystem]] = ChainReplication
    leader_roles: ClassVar[tuple[str, ...]] = ChainReplication.leader_roles

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.group, Craq):
            raise ValueError(
                "ShardedChain: group must not be Craq, whose clients read at servers of any chain"
            )

    @property
    def client_class(self) -> type[Node]:
        return client_of((ShardChainClient, self.group.client_class))
