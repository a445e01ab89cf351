"""A datagram link with latency and loss, and nothing else: the hot path of every simulation.

``_plain_link.pyx`` beside it is the compiled build, with the same behaviour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.kernel import Environment
from sim.message import check_message

if TYPE_CHECKING:
    from sim.network.link import Link, Receiver, Send

__all__ = ["Counters", "Receiving", "plain_link"]


class Counters:
    """Of a link: its messages, their bytes (payload), and how many were lost and duplicated."""

    __slots__ = ("bytes", "duplicated", "lost", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.lost = 0
        self.duplicated = 0

    def count(self, message: Any) -> None:
        """Count a message that is sent. Raises TypeError for what is no message, and what its size raises."""
        self.messages += 1
        try:
            self.bytes += message.wire_bytes
        except (AttributeError, TypeError):
            check_message(message)
            raise


class Receiving:
    """Of a host: the number of messages that it received."""

    messages_in = 0


def plain_link(env: Environment, link: Link, receiver: Receiver) -> Send:
    """A datagram link with latency and loss: the hot path of every simulation."""
    serial, push = env.serial, env.push
    draw_latency, loss, src = link.draw_latency, link.spec.loss, link.src
    handlers = receiver.handlers  # empty while the node is down, so no separate check for crashes is needed
    hand_in = receiver.receive

    # Only the functions that are needed are made, because a large gossip makes a link for almost every message.
    if receiver.direct:

        def arrive(message: Any) -> None:
            try:
                handler = handlers[message.__class__]
            except KeyError:
                hand_in(src, message)
                return
            receiver.messages_in += 1
            try:
                result = handler(src, message)
                if result is not None:
                    receiver.follow(result)
            except Exception as error:
                receiver.blame(error)
                raise

    else:

        def arrive(message: Any) -> None:
            hand_in(src, message)

    # Both count as `Counters.count` does, without a call.

    if not loss:

        def send(message: Any) -> None:
            link.messages += 1
            try:
                link.bytes += message.wire_bytes
            except (AttributeError, TypeError):
                check_message(message)
                raise
            push((env._now + draw_latency(), 1, serial(), arrive, message))

        return send

    draw_loss = link.draw_loss

    def send_or_lose(message: Any) -> None:
        link.messages += 1
        try:
            link.bytes += message.wire_bytes
        except (AttributeError, TypeError):
            check_message(message)
            raise
        if draw_loss() < loss:
            link.lost += 1
            return
        push((env._now + draw_latency(), 1, serial(), arrive, message))

    return send_or_lose
