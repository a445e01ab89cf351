"""How long a member waits between two messages, declared in one line.

>>> pause_between(Vote, RequestVote, when=attrgetter("granted"))     # a voter does not campaign at once
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from sim.invariants.declared import require_functions, require_message_class
from sim.node import Node
from sim.system import Invariant

__all__ = ["PauseBetween", "pause_between"]

_ROUNDING = 1e-9  # seconds: a timer may fire so much early, because times are floating-point numbers


@dataclass
class PauseBetween(Invariant):
    """A member that sent one message sends no message of another class for some time. Made by `pause_between`."""

    title: ClassVar[str] = "a pause between messages"
    after: Any = None
    before: Any = None
    seconds: float | None = None
    when: Callable[[Any], bool] | None = None
    then: Callable[[Any], bool] | None = None
    to_others: bool = False
    drift: float | None = None

    def __post_init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._sent: dict[
            str, tuple[Node, str, float, float]
        ] = {}  # member -> its object, the receiver of the first, and when it was sent (its clock, true time)
        self._waiting: dict[str, list[Any]] = {}  # messages that were seen already, and wait for the disk

    @property
    def is_free(self) -> bool:
        return True

    def is_told_of(self, kind: type) -> bool:
        return kind in (self.after, self.before)

    def on_wait(self, src: str, dst: str, message: Any) -> None:
        self._waiting.setdefault(src, []).append(message)
        self._see(src, dst, message)

    def on_send(self, src: str, dst: str, message: Any) -> None:
        waiting = self._waiting.get(src, [])
        for i, seen in enumerate(waiting):
            if seen is message:
                del waiting[i]
                return
        self._see(src, dst, message)

    def on_step(self, node: Node) -> None:
        self._nodes[node.name] = node

    def _see(self, src: str, dst: str, message: Any) -> None:
        node = self._nodes.get(src)
        if node is None or src == dst:
            return
        now = node.monotonic
        if message.__class__ is self.after:
            if self.when is None or self.when(message):
                self._sent[src] = (node, dst, now, self.now())
            return
        if self.then is not None and not self.then(message):
            return
        if src not in self._sent:
            return
        sender, to, sent, truly_sent = self._sent[src]
        if self.to_others and to == dst:
            return
        wanted = node.settings.detection_timeout if self.seconds is None else self.seconds
        if sender is node:
            passed, clock = now - sent, "its clock"
        elif self.drift is None:
            return
        else:
            passed, clock = self.now() - truly_sent, "true time, and it has restarted since"
            wanted, sent = wanted / (1 + self.drift), truly_sent
        if passed < wanted - _ROUNDING:
            first, second = self.after.__name__, self.before.__name__
            self.violated(
                src,
                f"{src} sent {first} to {to} at {sent:.6f} s of {clock}",
                f"it sends {second} to {dst} {passed:.6f} s later, and must wait {wanted:g} s",
                invariant=f"a pause between {first} and {second}",
            )


def pause_between(
    after: type,
    before: type,
    *,
    seconds: float | None = None,
    when: Callable[[Any], bool] | None = None,
    then: Callable[[Any], bool] | None = None,
    to_others: bool = False,
    drift: float | None = None,
) -> PauseBetween:
    """An invariant: after a member sent a message of one class, it sends none of another class for some time.

    What a member sends to itself does not count, and a restart ends the wait unless ``drift`` is given.

    Parameters
    ----------
    after, before:
        The classes of the two messages.
    seconds:
        The wait, on the member's monotonic clock; None: the detection timeout of the system.
    when:
        A function of the first message that says whether it counts; None: each one counts.
    then:
        The same for the second message.
    to_others:
        Whether a second message to the receiver of the first one is allowed: a grant to one binds against the others.
    drift:
        If it is given, the wait goes on after a restart, as a lease does. Clocks have rates between ``1 - drift`` and
        ``1 + drift``.

    Raises ValueError for what is no class of messages, and for a wait that is not positive.
    """
    require_message_class("pause_between", after)
    require_message_class("pause_between", before)
    if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
        raise ValueError(f"pause_between: seconds must be positive, not {seconds!r}")
    require_functions("pause_between", optional=True, when=when, then=then)
    if drift is not None and not (isinstance(drift, int | float) and 0 <= drift < 1):
        raise ValueError(f"pause_between: drift must be at least 0 and below 1, not {drift!r}")
    return PauseBetween(
        after=after, before=before, seconds=seconds, when=when, then=then, to_others=to_others, drift=drift
    )
