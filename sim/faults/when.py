"""When a fault begins: at a time, or at something that happens in the run (a trigger).

A trigger counts from the beginning of the run, and the fault acts directly after the step in which the count is
reached, or ``delay`` seconds later. A trigger draws nothing, and a run in which its fault does nothing is the run
without it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from sim.message import is_message
from sim.settings import Count, Value, Wait

__all__ = ["OnEvent", "OnMessage", "OnWrite", "Trigger", "When"]


@dataclass(frozen=True)
class Trigger(Value):
    """Base of the triggers. ``nth``: the count that must be reached. ``delay``: seconds after that."""

    nth: Count = field(default=1, kw_only=True)
    delay: Wait = field(default=0.0, kw_only=True)

    @property
    def condition(self) -> Self:
        """The trigger without its delay."""
        return dataclasses.replace(self, delay=0.0)


@dataclass(frozen=True)
class OnEvent(Trigger):
    """The ``nth`` time that an event of this name (``"elected"``, ``"crash"``) is recorded, and ``delay`` seconds more.

    ``node``: only events of this node count; None: those of all nodes. The names are those of the frame ``events``. A
    scenario whose system never records such an event raises ValueError.
    """

    event: str
    node: str | None = None


@dataclass(frozen=True)
class OnMessage(Trigger):
    """The ``nth`` time that a message of a class leaves ``src`` for ``dst``, and ``delay`` seconds more.

    Parameters
    ----------
    kind:
        The name of the message class, or the class itself. A message in an envelope (a call, a packet) counts, too.
    src, dst:
        Names of nodes; None: any node. A message to oneself does not count.

    A scenario in which no node takes messages of this class raises ValueError.
    """

    kind: str
    src: str | None = None
    dst: str | None = None

    def _convert(self) -> None:
        given: Any = self.kind
        if isinstance(given, type) and is_message(given):
            self._keep(kind=given.__name__)

    def __post_init__(self) -> None:
        if self.src is not None and self.src == self.dst:
            raise ValueError(f"OnMessage: src and dst are two nodes, not {self.src!r} and {self.dst!r}")


@dataclass(frozen=True)
class OnWrite(Trigger):
    """The ``nth`` change of a durable field by a node, and ``delay`` seconds more.

    ``node``: the writer; None: any node. On a disk whose syncs take time, the change is not synced yet when a fault
    with a delay of 0 acts.
    """

    node: str | None = None


When = Wait | OnEvent | OnMessage | OnWrite
"""The time of a fault: seconds, or a trigger."""
