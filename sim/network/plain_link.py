"""A datagram link with latency and loss, and nothing else: the hot path of every simulation.

``_plain_link.pyx`` beside it is the compiled build, with the same behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sim.kernel import Environment
from sim.message import check_message
from sim.network.message_rows import HEADER_BYTES, NAN

if TYPE_CHECKING:
    from sim.network.link import Link, Receiver, Send
    from sim.network.links import Network
    from sim.network.message_rows import MessageRows

__all__ = ["Counters", "Receiving", "observed_link", "plain_link"]


class Counters:
    """Of a link: its messages, their bytes (payload), and how many were lost and duplicated.

    ``next_row``: in a sampled trace, the number of the message that was chosen last, or is the next (`MessageRows`).
    """

    __slots__ = ("bytes", "duplicated", "lost", "messages", "next_row")

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.lost = 0
        self.duplicated = 0
        self.next_row = 0

    def count(self, message: Any) -> Any:
        """Count a message that is sent; returns its bytes.

        Raises TypeError for what is no message, and what its size raises.
        """
        self.messages += 1
        try:
            size = message.wire_bytes
            self.bytes += size
        except (AttributeError, TypeError):
            check_message(message)
            raise
        return size


class Receiving:
    """Of a host: the number of messages that it received."""

    messages_in = 0


def plain_link(env: Environment, link: Link, receiver: Receiver, rows: MessageRows | None = None) -> Send:
    """A datagram link with latency and loss: the hot path of every simulation. ``rows``: those of a trace."""
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

    if rows is not None:
        return _with_rows(env, link, receiver, rows, arrive)

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


def _with_rows(
    env: Environment, link: Link, receiver: Receiver, rows: MessageRows, hand_on: Callable[[Any], None]
) -> Send:
    """As without a trace, but messages that have a row carry what stands in it."""
    serial, push, draw_latency, src, dst = env.serial, env.push, link.draw_latency, link.src, link.dst
    loss = link.spec.loss
    draw_loss = link.draw_loss if loss else None
    handlers, note = receiver.handlers, rows.rows.append
    is_complete, takes, direct = rows.is_complete, rows.takes, receiver.direct

    # Both repeat what `plain_link` and `Counters.count` do: a call for each takes 3 and 5 % of a run of a relay, whose
    # trace would cost more than 30 % then.

    def arrive(flight: tuple[Link, Any, float, Any]) -> None:
        _, message, sent, size = flight
        fate = "delivered" if handlers else "crashed"
        note((message.__class__.__name__, src, dst, sent, env._now, fate, size))
        handler = handlers.get(message.__class__) if direct else None
        if handler is None:
            hand_on(message)
            return
        receiver.messages_in += 1
        try:
            result = handler(src, message)
            if result is not None:
                receiver.follow(result)
        except Exception as error:
            receiver.blame(error)
            raise

    def send(message: Any) -> None:
        link.messages += 1
        try:
            size = message.wire_bytes
            link.bytes += size
        except (AttributeError, TypeError):
            check_message(message)
            raise
        has_row = is_complete or (link.messages >= link.next_row and takes(link))
        now = env._now
        if draw_loss is not None and draw_loss() < loss:
            link.lost += 1
            if has_row:
                note((message.__class__.__name__, src, dst, now, NAN, "lost", HEADER_BYTES + size))
        elif has_row:
            push((now + draw_latency(), 1, serial(), arrive, (link, message, now, HEADER_BYTES + size)))
        else:
            push((now + draw_latency(), 1, serial(), hand_on, message))

    return send


def observed_link(network: Network, link: Link, receiver: Receiver, hooks: Any = None) -> Send:
    """A datagram link with latency, loss and duplicates, whose messages are watched on their way.

    They have rows in a trace, are compared at delivery, or may be held back. ``hooks``: the invariants that hear of
    them first (class of messages -> functions). `careful_link` would do the same, with the same draws.
    """
    env, spec, src, dst = network.env, link.spec, link.src, link.dst
    serial, push, arrive, count = env.serial, env.push, network.arrive, link.count
    picture_of = network.picture_of if network.checking else None
    size_of_row = None if network.rows is None else network.rows.size
    draw_latency, loss, duplicate = link.open_latency(), spec.loss, spec.duplicate
    draw_loss = link.draw_loss if loss else None
    draw_duplicate = link.draw_duplicate if duplicate else None

    def launch(message: Any) -> None:
        now = env._now
        arrival = now + draw_latency()
        picture = None if picture_of is None else picture_of(message)
        size = None if size_of_row is None else size_of_row(link, message)
        push((arrival, 1, serial(), arrive, (link, message, now, size, receiver, picture)))

    def send(message: Any) -> None:
        if hooks is not None:
            for hear in hooks[message.__class__]:
                hear(src, dst, message)
        count(message)
        if draw_loss is not None and draw_loss() < loss:
            network.drop(link, message, "lost")
        else:
            launch(message)
        if draw_duplicate is not None and draw_duplicate() < duplicate:
            link.duplicated += 1
            launch(message)

    return send
