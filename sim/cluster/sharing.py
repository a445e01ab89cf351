"""Finds state that replicas share; replicas must communicate by messages only. Runs only when checking is on.

If two live nodes, or two incarnations of one node, refer to the same mutable object, they act as one replica, and
checks wrongly find them consistent. The same happens if handlers change a global variable, a default argument, or a
class attribute. The attributes that the host gives a node (its settings, its clock, its random streams, and everything
that they refer to) may be shared.

The search walks the whole state of all nodes: after 500, 2000, 8000 ... steps, and at the end of a run.
"""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from sim.engine import COMPILED
from sim.node import Handlers, Part, Verbs
from sim.values import PLAIN, holds_nothing, is_stateless, shown

if TYPE_CHECKING or not COMPILED:
    from sim.values import is_immutable
else:
    from sim._values import is_immutable

if TYPE_CHECKING:
    from sim.cluster.cluster import Cluster
    from sim.node import Node

__all__ = ["Sharing"]

_FIRST_LOOK = 500  # steps
_HOSTS_OWN = (
    "simpy",
    "sim.kernel",
    "sim.cluster",
    "sim.network",
    "sim.recorder",
    "sim.lab",
    "sim.workload",
    "sim.faults",
)
_PLAIN_CONTAINERS = frozenset({dict, list, set})  # most of what is mutable
_LEAVES = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.GeneratorType)

Way = tuple[Any, ...]
"""The path to an object: the path before the last step, and what the step adds; `_written` makes a text of it."""
Reached = tuple[Way, Any]  # the path so far, and the object there
Objects = dict[int, Any]  # id -> the object, which stays alive with it: a look-up, never an order


class Sharing:
    """Looks for shared state in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._former: dict[str, Node] = {}  # name -> the node object before its last crash
        self._classes: dict[type, set[str]] = {}  # class of nodes or parts -> its attributes at the beginning
        self._before: dict[tuple[str, str], tuple[_Place, Any]] = {}  # (what, user) -> place, value at boot
        self._fixed: Objects = {}  # immutable objects of nodes: what was found so once is not walked again
        self.steps = 0  # of all nodes; counted by the cluster
        self.next_look = _FIRST_LOOK

    def booted(self, node: Node) -> None:
        """A node is about to boot: remember the class attributes and globals that its code refers to."""
        for owner in _owners(node):
            for kind in type(owner).__mro__:
                if (
                    kind not in self._classes
                    and not _is_hosts_own(kind)
                    and kind.__module__ != Verbs.__module__
                ):
                    self._classes[kind] = set(kind.__dict__)
                    for place in _used_by(kind):
                        now = _picture(place.namespace.get(place.name))
                        self._before.setdefault((place.what, place.user), (place, now))

    def crashed(self, node: Node) -> None:
        """A node has crashed: its next incarnation must not refer to the same mutable objects."""
        self._former[node.name] = node

    def look_now_and_then(self) -> None:
        """Look after 500, 2000, 8000 ... steps of all nodes; the cluster counts them."""
        self.next_look *= 4
        self.look()

    def look(self) -> None:
        """Raise TypeError if two nodes share a mutable object, or if a global or attribute of a class has changed."""
        self._look_at_code()
        found: dict[int, tuple[Any, Node, Way]] = {}  # id of a mutable object: a look-up, never an order
        given, known = self._given(), self._fixed
        known.update(given)
        for node in [*self._cluster.nodes.values(), *self._former.values()]:
            for value, path in _reached(node, known):
                first = found.setdefault(id(value), (value, node, path))
                if first[1] is not node:
                    raise TypeError(_message(value, first[1], _written(first[2]), node, _written(path)))
        for address in given:  # what hosts give may be another object at the next look
            del known[address]

    def _given(self) -> Objects:
        """All objects that can be reached from the attributes that hosts give their nodes."""
        given: Objects = {}
        for host in self._cluster.hosts.values():
            roots: list[Reached] = [((), value) for value in host.identity.values()]
            for _ in _walk(roots, given, given, caches=True):
                pass
        return given

    def _look_at_code(self) -> None:
        for place, before in self._before.values():
            now = _picture(place.namespace.get(place.name))
            if now != before:
                raise TypeError(
                    f"{place.what}, which {place.user} uses, has changed during the run: from {shown(before)} to "
                    f"{shown(now)}. All replicas share it: keep the state of a node in attributes that on_start sets"
                )
        for kind, names in self._classes.items():
            for name in kind.__dict__:
                if name not in names and not name.startswith("_"):
                    raise TypeError(
                        f"the attribute {kind.__name__}.{name} was given to the class during the run, and all replicas "
                        "share it: set it on self"
                    )


def _message(value: Any, one: Node, path: str, other: Node, other_path: str) -> str:
    if one.name == other.name:
        who = f"two incarnations of {one.name} share"
    else:
        who = f"{one.name} and {other.name} share"
    return (
        f"{who} a mutable {type(value).__name__}: {type(one).__name__}.{path} of {one.name} and "
        f"{type(other).__name__}.{other_path} of {other.name} are the same object, {shown(value)}. Let each node "
        "make its own in on_start, and let messages carry copies"
    )


def _owners(node: Node) -> list[Handlers]:
    return [node, *(part for name in type(node)._parts if isinstance(part := node.__dict__.get(name), Part))]


_hosts_own: dict[type, bool] = {}


def _is_hosts_own(kind: type) -> bool:
    if kind not in _hosts_own:
        _hosts_own[kind] = _stands_below(kind.__module__)
    return _hosts_own[kind]


def _stands_below(module: str) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in _HOSTS_OWN)


# The objects that a node refers to


def _reached(node: Node, known: Objects) -> Iterator[tuple[Any, Way]]:
    """The mutable objects that a node refers to, directly or indirectly, each with the path to it.

    Not those that are ``known``; immutable objects become known, because many nodes refer to the same ones.
    """
    mine: Objects = {id(node): node}
    yield node, ((), "self")
    roots: list[Reached] = []
    for owner in _owners(node):
        prefix = f"{owner.part_name}." if isinstance(owner, Part) else ""
        mine[id(owner)] = owner
        roots += [
            (((), f"{prefix}{name}"), value)
            for name, value in vars(owner).items()
            if name not in Verbs.__dict__
        ]
    yield from _walk(roots, mine, known)


def _walk(
    roots: list[Reached], seen: Objects, known: Objects, *, caches: bool = False
) -> Iterator[tuple[Any, Way]]:
    """The mutable objects that can be reached from ``roots``, except those in ``seen`` or ``known``.

    With ``caches``, also through values that immutable objects have cached (`functools.cached_property`).
    """
    stack = roots[::-1]
    while stack:
        path, value = stack.pop()
        address = id(value)
        if address in known or address in seen or isinstance(value, _LEAVES):
            continue
        if is_immutable(value) and not (caches and hasattr(value, "__dict__")):
            known[address] = value
            continue
        seen[address] = value
        if value.__class__ in _PLAIN_CONTAINERS:
            yield value, path
        elif isinstance(value, types.MethodType):
            stack.append((path, value.__self__))
            continue
        elif _is_hosts_own(type(value)):
            continue
        elif _is_mutable(value):
            yield value, path
        if isinstance(value, Handlers):
            continue
        steps = _steps_from(path, value)
        if caches:
            stack.extend(steps)
            continue
        for step in steps:  # most are immutable and end here
            item = step[1]
            if id(item) not in known:
                if is_immutable(item):
                    known[id(item)] = item
                else:
                    stack.append(step)


def _is_mutable(value: Any) -> bool:
    """Whether an object itself can change, apart from what it refers to."""
    kind = type(value)
    if isinstance(value, tuple | frozenset | types.MappingProxyType | functools.partial):
        return False
    frozen = getattr(getattr(kind, "__dataclass_params__", None), "frozen", False)
    if frozen or getattr(kind, "_is_message", False) or holds_nothing(value):
        return False
    if kind.__module__ == "numpy":
        return bool(getattr(getattr(value, "flags", None), "writeable", False))
    builtin = isinstance(value, list | dict | set | bytearray) or hasattr(kind, "append")
    return (
        builtin or hasattr(value, "__dict__") or any(base.__dict__.get("__slots__") for base in kind.__mro__)
    )


def _steps_from(path: Way, value: Any) -> Iterator[Reached]:
    if isinstance(value, dict | types.MappingProxyType):
        for key, item in value.items():
            if item.__class__ not in PLAIN:
                yield (path, "[", key, "]"), item
            if key.__class__ not in PLAIN:
                yield (path, ", a key"), key
    elif isinstance(value, list | tuple | set | frozenset) or hasattr(type(value), "appendleft"):
        for item in value:
            if item.__class__ not in PLAIN:
                yield (path, "[...]"), item
    elif isinstance(value, functools.partial):
        yield path, (value.args, value.keywords, value.func)
    if value.__class__ in _PLAIN_CONTAINERS:
        return
    for name, item in getattr(value, "__dict__", {}).items():
        yield (path, ".", name), item
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield (path, ".", name), getattr(value, name)


def _written(path: Way) -> str:
    """A path as text. It is written only if it is shown: a search follows many thousand paths."""
    steps = []
    while path:
        path, *step = path
        if step[0] == "[":
            step[1] = shown(step[1])
        steps.append("".join(step))
    return "".join(reversed(steps))


# The variables that the code of a class refers to


class _Place(NamedTuple):
    """A variable that code refers to: the code (``user``), the variable's description, and where its value is."""

    user: str
    what: str
    namespace: Mapping[str, Any]
    name: str


_places: WeakKeyDictionary[type, list[_Place]] = WeakKeyDictionary()


def _used_by(kind: type) -> list[_Place]:
    """The places where a class may keep state outside its nodes: attributes, default arguments, globals of methods."""
    if kind not in _places:
        _places[kind] = list(_find_places(kind))
    return _places[kind]


def _find_places(kind: type) -> Iterator[_Place]:
    seen: set[types.CodeType] = set()
    for name, value in list(kind.__dict__.items()):
        user = f"{kind.__name__}.{name}"
        function = inspect.unwrap(getattr(value, "fget", None) or getattr(value, "__func__", value))
        if isinstance(function, types.FunctionType):
            yield from _used_by_function(user, function, seen)
        elif not name.startswith("_") and not callable(value) and not hasattr(type(value), "__set__"):
            yield _Place(kind.__name__, f"the attribute {user} of the class", kind.__dict__, name)


def _used_by_function(user: str, function: types.FunctionType, seen: set[types.CodeType]) -> Iterator[_Place]:
    if function.__code__ in seen:
        return
    seen.add(function.__code__)
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for value in defaults:
        if not is_stateless(value):
            yield _Place(user, "a default argument", {"": value}, "")
    for name in dict.fromkeys(_globals_of(function.__code__)):
        value = function.__globals__.get(name)
        if isinstance(value, types.FunctionType) and value.__module__ == function.__module__:
            yield from _used_by_function(user, value, seen)
        elif name in function.__globals__ and not callable(value) and not isinstance(value, types.ModuleType):
            yield _Place(user, f"the global {name} of {function.__module__}", function.__globals__, name)


def _globals_of(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL"):
            yield instruction.argval
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _globals_of(inner)


def _picture(value: Any) -> Any:
    """A copy for comparison: two pictures of a value are equal if the value has not changed between them."""
    if is_immutable(value):
        return value
    if isinstance(value, dict | types.MappingProxyType):
        return [(key, _picture(item)) for key, item in value.items()]
    if isinstance(value, list | tuple) or hasattr(type(value), "appendleft"):
        return [_picture(item) for item in value]
    if _is_hosts_own(type(value)):
        return None
    attributes = getattr(value, "__dict__", None)
    if attributes and not isinstance(value, type):
        return [(name, _shallow(item)) for name, item in attributes.items()]
    return _shallow(value)


def _shallow(value: Any) -> Any:
    """A picture of an attribute of an object: of containers and immutable values, but not of further objects."""
    if isinstance(value, dict | list | set | bytearray) or hasattr(type(value), "appendleft"):
        return (type(value).__name__, len(value), repr(value) if len(value) < 1000 else "")
    return value if is_immutable(value) else None
