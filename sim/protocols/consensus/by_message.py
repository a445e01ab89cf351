"""Invariants with one method for each message class, as a paper has one paragraph for each message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sim.system import Invariant

__all__ = ["ByMessage"]


@dataclass
class ByMessage(Invariant):
    """Calls ``sent_<class>(src, message)``, the class in small letters, for each message that leaves its sender.

    Messages of classes without such a method are passed over. A message is recognised by the name of its class, so
    protocols that share an invariant need not share their messages.
    """

    _methods: dict[type, Callable[[str, Any], None] | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def on_send(self, src: str, dst: str, message: Any) -> None:
        kind = message.__class__
        if kind not in self._methods:
            self._methods[kind] = getattr(self, f"sent_{kind.__name__.lower()}", None)
        method = self._methods[kind]
        if method is not None:
            method(src, message)
