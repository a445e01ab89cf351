"""The costs of sending: core time for each message, and a network card that all links of a machine share.

Both are options of `Machine`, off by default. When they are off, the node uses the routes of the network directly, so
they cost no run time. A message that is sent queues first for the cores, like a message that was received. Then it
queues for the card, which sends one message after the other, packet headers included. Then it is on its link. A message
that arrives queues for the card in the other direction (full duplex) before it queues for the cores. A crash destroys
the messages in these queues. The card continues while the process is paused. A core finishes the work of sending during
a pause, but the message leaves only when the process resumes.

A message that does not leave the machine (to a member on the same machine, or to a client beside it) takes core time,
but does not use the card. A message to oneself takes neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.cluster.cores import Job
from sim.message import check_message
from sim.network.link import HEADER_BYTES

if TYPE_CHECKING:
    from sim.cluster.host import NodeHost
    from sim.kernel import Environment

__all__ = ["Nic", "ways_out"]

Send = Callable[[Any], None]


class Nic:
    """A network card: in each direction it passes one message after the other, ``bandwidth`` bytes per second."""

    def __init__(self, bandwidth: float, env: Environment) -> None:
        self.bandwidth = bandwidth
        self._env = env
        self._free_at = {"in": 0.0, "out": 0.0}

    def pass_on(self, direction: str, message: Any, then: Callable[[Any], None], argument: Any) -> None:
        """Call ``then(argument)`` when this message, and all messages before it, have passed the card."""
        now = self._env._now
        start = max(now, self._free_at[direction])
        self._free_at[direction] = end = start + (HEADER_BYTES + message.wire_bytes) / self.bandwidth
        self._env.call_after(end - now, then, argument)

    def clear(self) -> None:
        """Empty both queues, because the machine has crashed."""
        self._free_at = {"in": 0.0, "out": 0.0}


class _CostlyWays(dict[str, Send]):
    """Destination -> function that sends a message there, made on first use; for machines where sending costs time."""

    def __init__(self, host: NodeHost) -> None:
        super().__init__()
        self._host = host
        self._routes = host.cluster.network.routes(host.name, heard=False)

    def __missing__(self, dst: str) -> Send:
        way = self._way(dst)
        if dst != self._host.name:
            way = self._host.cluster.network.tell(self._host.name, dst, way)
        self[dst] = way
        return way

    def _way(self, dst: str) -> Send:
        host, routes = self._host, self._routes
        profile, nic = host.profile, host.nic

        def to_itself(message: Any) -> None:
            routes[dst](message)

        if dst == host.name:
            return to_itself
        routes[dst]  # an unknown destination raises an error now, not after the core or the card
        leaves = nic is not None and not host.cluster.network.is_local(host.name, dst)

        def hand_to_card(message: Any) -> None:
            if leaves:
                assert nic is not None
                nic.pass_on("out", message, host.on_its_way, host.leaving((host.crashes, dst, message)))
            else:
                routes[dst](message)

        if profile.sending_is_free:
            return hand_to_card

        def queue_on_cores(message: Any) -> None:
            check_message(message)
            cost = profile.per_send + profile.per_send_byte * message.wire_bytes
            host.cpu.submit(Job(cost, host.send_done, host.leaving((hand_to_card, message))))

        return queue_on_cores


def ways_out(host: NodeHost, routes: dict[str, Send]) -> dict[str, Send]:
    """Destination -> function that sends a message there: the network's ``routes`` if sending costs no time."""
    if host.nic is None and host.profile.sending_is_free:
        return routes
    return _CostlyWays(host)
