"""A system made from a node class: `System.of`, for a first protocol without a system class of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sim.mentions import mentions
from sim.node import Node
from sim.protocols.client import Client, Reply, Request
from sim.protocols.command import Command
from sim.settings import Count, Whole
from sim.system import Invariant, Member, System
from sim.values import is_immutable

__all__ = ["AnyReplicaClient", "NodeSystem", "system_of"]


class AnyReplicaClient(Client):
    """Sends each operation to a replica drawn at random, and follows redirects."""

    def target(self, command: Command, attempt: int) -> str:
        if self.leader is not None:
            return self.leader
        contacts = self.settings.contacts
        return self.contact(self.random.sample(contacts, len(contacts)))

    def learn(self, src: str, msg: Reply) -> None:
        """The next operation goes to a random replica again, so that clients see the states of all replicas."""
        self.leader = None


@dataclass(frozen=True, kw_only=True)
class NodeSystem(System):
    """Equal members of one node class, with clients that ask any member and follow redirects. Made by `System.of`.

    Nodes read the ``options`` by name: ``self.settings.quorum``.
    """

    node_class: type[Node]
    nodes: Count = 3
    max_gone: Whole = 0
    promises: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    declared: tuple[Invariant, ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.node_class, type) and issubclass(self.node_class, Node)):
            raise ValueError(
                f"System.of: the first argument must be a class of nodes, not {self.node_class!r}"
            )
        if self.max_gone >= self.nodes:
            raise ValueError(f"System.of: max_gone must be below nodes={self.nodes}, not {self.max_gone!r}")
        pairs = isinstance(self.options, tuple) and all(
            isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in self.options
        )
        if not pairs:
            raise ValueError(f"NodeSystem: options must be pairs of a name and a value, not {self.options!r}")
        for invariant in self.declared:
            invariant.begin(self.members())

    def __getattr__(self, name: str) -> Any:
        for option, value in self.__dict__.get("options", ()):
            if option == name:
                return value
        if name.startswith("__"):
            raise AttributeError(name)
        given = ", ".join(option for option, _ in self.__dict__.get("options", ())) or "none"
        raise AttributeError(f"there is no setting {name!r}: System.of(...) was given {given}")

    def changed(self, **fields: Any) -> Self:
        """A copy of this system with other values for some fields and settings."""
        known = {f.name for f in dataclasses.fields(self)}
        options = {name: value for name, value in fields.items() if name not in known}
        _check_options(self.node_class, options)
        if options:
            fields = {name: value for name, value in fields.items() if name in known}
            fields["options"] = tuple((dict(self.options) | options).items())
        return super().changed(**fields)

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(f"n{number}", self.node_class) for number in range(self.nodes))

    def invariants(self) -> Iterable[Invariant]:
        """Those that were given, without what they remember of earlier runs."""
        return tuple(dataclasses.replace(invariant) for invariant in self.declared)

    @property
    def client_class(self) -> type[Node]:
        return AnyReplicaClient

    @property
    def consistency(self) -> str | None:
        return self.promises

    @property
    def kind_name(self) -> str:
        """The name of the node class."""
        return self.node_class.__name__

    def shown_settings(self) -> list[tuple[str, Any, Any]]:
        """Those of a system, and the options; these have no default."""
        held = [setting for setting in super().shown_settings() if setting[0] in _FIELDS]
        return held + [(name, value, _NO_DEFAULT) for name, value in self.options]

    @property
    def label(self) -> str:
        """The node class and its settings."""
        shown = "".join(f", {name}={getattr(value, '__name__', value)}" for name, value in self.options)
        text = f"{self.node_class.__name__}(nodes={self.nodes}{shown})"
        return f"UNSAFE {text}" if self.unsafe else text


_FIELDS = ("nodes", "max_gone", "heartbeat", "detection", "unsafe")
_NO_DEFAULT = object()


def system_of(
    node_class: type[Node], consistency: str | None = None, invariants: Iterable[Invariant] = (), **given: Any
) -> NodeSystem:
    """See `System.of`. Raises ValueError for a setting without effect, and for a mutable setting."""
    if not (isinstance(node_class, type) and issubclass(node_class, Node)):
        raise ValueError(f"System.of: the first argument must be a class of nodes, not {node_class!r}")
    if Request not in Member("n0", node_class).handled:
        raise ValueError(
            f"System.of: {node_class.__name__} has no handler for clients' requests; write "
            "def on_request(self, src, msg: Request)"
        )
    fields = {name: given.pop(name) for name in _FIELDS if name in given}
    _check_options(node_class, given)
    declared = (invariants,) if isinstance(invariants, Invariant) else tuple(invariants)
    for invariant in declared:
        if not isinstance(invariant, Invariant):
            raise ValueError(
                f"System.of: invariants must be objects of Invariant, such as exclusive(...), not {invariant!r}"
            )
    return NodeSystem(
        node_class=node_class,
        promises=consistency,
        options=tuple(given.items()),
        declared=declared,
        **fields,
    )


def _check_options(node_class: type[Node], options: Mapping[str, Any]) -> None:
    mentioned = mentions(node_class)
    for name, value in options.items():
        if hasattr(System, name):
            raise ValueError(
                f"System.of: a setting may not be called {name!r}, which every system has; rename it"
            )
        if not is_immutable(value):
            raise ValueError(
                f"System.of: {name} must be an immutable value (a number, a text, a tuple ...), as all nodes share it, "
                f"not {value!r}"
            )
        if name not in mentioned:
            raise ValueError(
                f"System.of: {node_class.__name__} never reads self.settings.{name}, so {name}={value!r} would do "
                "nothing"
            )
