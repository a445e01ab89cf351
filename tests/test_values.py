"""Every value of the library refuses, where it is made and by name, what its fields cannot hold."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf, nan
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest

import sim
from sim import System
from sim.faults import Act, Crash
from sim.network import Constant, constant
from sim.prices import Prices
from sim.protocols import Raft, admin
from sim.protocols.quorums import Majority
from sim.protocols.replica import Replica
from sim.settings import Bounds, Size, Value, described, hints
from sim.workload import Arrival, ClosedLoop
from tests.budget import holds_for_each

# What an instance of a class with required fields is made of: field, or class and field -> a value.
EXAMPLES: dict[str, Any] = {
    "node_class": Replica,
    "target": "n0",
    "src": "n0",
    "dst": "n1",
    "writer": "lan",
    "reader": "lan",
    "at": 1.0,
    "event": "elected",
    "until": 2.0,
    "count": 2,
    "pause": 0.5,
    "fault": Crash("n0", at=1.0, down=0.5),
    "duration": 1.0,
    "mttf": 1.0,
    "mttr": 1.0,
    "every": 1.0,
    "length": 1.0,
    "groups": (("n0",), ("n1",)),
    "request": admin.Transfer("n1"),
    "system": Raft(nodes=3),
    "store": Raft(nodes=3),
    "offset": 1.0,
    "slowdown": 2.0,
    "latency": Constant(0.01),
    "latencies": ((Constant(0.01),),),
    "regions": ("lan",),
    "enter": 0.1,
    "leave": 0.5,
    "arrivals": (Arrival(0.5, "get", "a"),),
    "time": 0.5,
    "kind": "get",
    "gauge": "backlog",
    "name": "own",
    "Measure.of": len,
    "prices": Prices(),
    "key": "a",
    "inner": Constant(0.01),
    "value": 1.0,
    "low": 1.0,
    "high": 2.0,
    "mean": 1.0,
    "median": 1.0,
    "sigma": 1.0,
    "shape": 1.0,
    "scale": 1.0,
    "xm": 1.0,
    "alpha": 2.0,
    "parts": ((1.0, Constant(0.01)),),
    "table": {0.5: 0.01},
    "samples": (0.5,),
    "seconds": 0.01,
    "cv": 1.0,
    "short": 0.01,
    "long": 0.1,
    "long_share": 0.1,
    "size": 2,
    "weights": (1.0, 1.0, 1.0),
    "quorums": (("n0", "n1"),),
    "QuorumPlan.reads": ((("n0", "n1"), 1.0),),
    "QuorumPlan.writes": ((("n0",), 0.5), (("n1",), 0.5)),
    "Resilient.system": Majority(),
    "failures": 1,
    "replicas": 3,
    "width": 4,
    "scatter": 4,
    "rows": 2,
    "columns": 2,
    "distribution": Constant(0.01),
    "rate": 10.0,
    "most": 2,
    "down": 1.0,
    "times": (0.0, 1.0),
    "delays": (0.01, 0.02),
    "losses": (0.0, 0.1),
    "pairs": (("lan", "lan", (0.0, 1.0), (0.01, 0.02), (0.0, 0.1)),),
    "start": 0.0,
    "end": 2.0,
    "acts": (Act("crash", ("n0",)),),
    "verb": "administer",
    "client": "c0",
    "of": ClosedLoop(clients=2),
    "network": constant(0.01),
    "lost": True,
    "invariant": "x",
}
NEVER_ALONE = {
    "Flaky": ("slowdown",),
    "ClockJump": ("offset",),
    "Crash": (),
    "Trace": ("arrivals",),
    "Fate": ("lost",),
    "OpenLoop": (),
}
# Nothing that a field of any type holds, but for those of type Any.
STRANGERS: tuple[Any, ...] = (nan, inf, -inf, 10**400, object(), Raft, b"bytes", 1j)


def modules() -> list[Any]:
    names = [m.name for m in pkgutil.walk_packages(sim.__path__, "sim.") if m.name != "sim.__main__"]
    names = [
        name for name in names if not name.startswith("sim.zoo")
    ]  # its systems have the fields of others
    return [importlib.import_module(name) for name in names]


def value_classes() -> list[type]:
    """Every frozen dataclass that derives from `Value` and can be made by what EXAMPLES and its defaults say."""
    return [
        found
        for module in modules()
        for name, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, Value) and found.__module__ == module.__name__
        if dataclasses.is_dataclass(found) and not name.startswith("_")
    ]


def make(cls: type, **changes: Any) -> Any:
    parameters = inspect.signature(cls).parameters
    needed = [name for name, p in parameters.items() if p.default is inspect.Parameter.empty]
    mine = {name: f"{cls.__name__}.{name}" for name in (*needed, *NEVER_ALONE.get(cls.__name__, ()))}
    known = {
        name: EXAMPLES.get(own, EXAMPLES.get(name)) for name, own in mine.items() if {name, own} & {*EXAMPLES}
    }
    return cls(**{**known, **changes})


def makeable() -> list[type]:
    found = []
    for cls in value_classes():
        try:
            make(cls)
        except (TypeError, ValueError, NotImplementedError):
            continue
        found.append(cls)
    return found


CLASSES = makeable()


def test_the_sweep_knows_every_class_of_values() -> None:
    missed = {cls.__name__ for cls in value_classes()} - {cls.__name__ for cls in CLASSES}
    known = {"Value", "Topology", "Wan", "Balancing", "Scipy", "ShardedSystem"}
    assert missed <= known, "add what it is made of to EXAMPLES"
    assert len(CLASSES) > 80


def checked_fields(cls: type) -> list[str]:
    own_init = {"PercentileTable", "Exponential", "LogNormal"}
    if cls.__name__ in own_init and cls.__module__.startswith("sim.network"):
        return list(inspect.signature(cls).parameters)
    return [f.name for f in dataclasses.fields(cls) if f.init and f.type not in ("Any", "object")]


def named(cls: type) -> str:
    return cls.__module__.rpartition(".")[2] + "." + cls.__name__


def test_no_field_takes_what_it_cannot_hold() -> None:
    """nan, infinities, what fits no computer, a class for an instance, bytes: with field or value in the message."""
    holds_for_each(CLASSES, refuses_strangers, named)


def refuses_strangers(cls: type) -> None:
    accepted: list[Any] = []
    for name in checked_fields(cls):
        for stranger in STRANGERS:
            with pytest.raises((ValueError, TypeError)) as refused:
                accepted.append(make(cls, **{name: stranger}))
            assert name in str(refused.value) or repr(stranger) in str(refused.value), (name, stranger)


def test_no_text_is_taken_apart_and_no_truth_is_a_number() -> None:
    holds_for_each(CLASSES, takes_no_text_apart, named)


def takes_no_text_apart(cls: type) -> None:
    for name in checked_fields(cls):
        annotation = str(next((f.type for f in dataclasses.fields(cls) if f.name == name), "float"))
        if (
            "str" not in annotation.replace("tuple[str", "").replace("[str, ", "")
            and "Path" not in annotation
        ):
            with pytest.raises((ValueError, TypeError), match="abc"):
                make(cls, **{name: "abc"})
        if annotation.removesuffix(" | None") in ("int", "float"):
            with pytest.raises((ValueError, TypeError), match="True"):
                make(cls, **{name: True})


SYSTEMS = [cls for cls in CLASSES if issubclass(cls, System)]


def test_no_system_has_more_members_than_fit() -> None:
    holds_for_each(SYSTEMS, refuses_a_billion, named)


def refuses_a_billion(cls: type) -> None:
    counts = [
        f.name
        for f in dataclasses.fields(cls)
        if f.name in ("nodes", "servers", "spares", "balancers", "groups")
    ]
    for name in counts:
        with pytest.raises(ValueError, match=f"{name} must be at most 100,000, not 1,000,000,000"):
            make(cls, **{name: 10**9})


def declared_bounds(hint: Any) -> list[tuple[type, Bounds]]:
    """The bounds of numbers in an annotation, with the kind of number: those of a field itself, not of its entries."""
    if get_origin(hint) is Annotated:
        kind, *limits = get_args(hint)
        return [(kind, limit) for limit in limits if isinstance(limit, Bounds)]
    if get_origin(hint) in (Union, UnionType):
        return [found for part in get_args(hint) for found in declared_bounds(part)]
    return []


def beyond(kind: type, bounds: Bounds) -> list[Any]:
    """Numbers that lie just outside."""
    step = 1 if kind is int else 1e-6
    return [
        kind(value)
        for value in (
            None if bounds.least is None else bounds.least - step,
            bounds.above,
            None if bounds.most is None else bounds.most + step,
            bounds.below,
        )
        if value is not None
    ]


def test_what_lies_beyond_the_declared_bounds_is_refused_with_field_and_value() -> None:
    holds_for_each(CLASSES, refuses_what_lies_beyond, named)


def refuses_what_lies_beyond(cls: type) -> None:
    given = set(inspect.signature(cls).parameters)
    for name, hint in hints(cls):
        for kind, bounds in declared_bounds(hint) if name in given else ():
            for value in beyond(kind, bounds):
                words = f"{cls.__name__}: {name} must be {bounds.words}, not {value!r}"
                with pytest.raises(ValueError, match=re.escape(words)):
                    make(cls, **{name: value})
            also = (2.5,) if kind is int else ()
            for value in also if bool in get_args(hint) else (True, *also):
                with pytest.raises(ValueError, match=f"{name} must be a.*, not {value!r}"):
                    make(cls, **{name: value})


def limits(hint: Any) -> str:
    """What a field takes, in words, and each bound in figures, too."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([limits(parts[0]), *(figures(part) for part in parts[1:])])
    if origin in (Union, UnionType):
        return " or ".join(limits(part) for part in parts)
    if isinstance(origin, type) and origin is not Literal and issubclass(origin, tuple | Mapping | Sequence):
        return f"{origin.__name__}[{', '.join('...' if part is ... else limits(part) for part in parts)}]"
    return described(hint)


def figures(limit: Bounds | Size) -> str:
    if isinstance(limit, Size):
        return f"(<= {limit.most:,})"
    signs = {">=": limit.least, ">": limit.above, "<=": limit.most, "<": limit.below}
    bounds = " and ".join(f"{sign} {value:g}" for sign, value in signs.items() if value is not None)
    return f"({limit.words}: {bounds})"


def test_what_each_field_takes_is_what_the_table_says(golden: Callable[[str, str], None]) -> None:
    """The other tests of this file ask that what is declared holds; the table, that it is declared."""
    lines = [
        f"{cls.__name__}.{name}: {limits(hint)}"
        for cls in CLASSES
        for name, hint in hints(cls)
        if name in checked_fields(cls)
    ]
    golden("fields.txt", "\n".join(sorted(lines)))


def test_the_sweep_meets_bounds_everywhere() -> None:
    with_bounds = [cls for cls in CLASSES if any(declared_bounds(hint) for _, hint in hints(cls))]
    assert len(with_bounds) > 70


def by_hand(test: ast.expr, fields: Collection[str]) -> str | None:
    """The one field that a condition compares with constants or choices only; None: it is another condition."""
    compared = [node for node in ast.walk(test) if isinstance(node, ast.Compare)]
    named = {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}
    free = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)} - {
        "self",
        "float",
        "inf",
        "isinstance",
    }
    ordered = any(
        isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.NotIn) for c in compared for op in c.ops
    )
    computed = any(isinstance(node, ast.BinOp) for node in ast.walk(test))
    plain = (
        ordered and not computed and not (free - {"bool", "int"}) and len(named) == 1 and named <= set(fields)
    )
    return named.pop() if plain else None


def test_bounds_are_declared_with_the_field_and_not_written_by_hand() -> None:
    holds_for_each(value_classes(), declares_its_bounds, named)


def declares_its_bounds(cls: type) -> None:
    fields = [f.name for f in dataclasses.fields(cls)]
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and any(isinstance(inner, ast.Raise) for inner in node.body):
            found = by_hand(node.test, fields)
            assert found is None, (
                f"{cls.__name__}: declare the bounds of {found} with the field (sim.settings)"
            )


def test_a_bound_by_hand_is_distinguished_from_other_conditions() -> None:
    def of(text: str) -> str | None:
        return by_hand(ast.parse(text, mode="eval").body, ["x", "y"])

    for bound in ("self.x < 1", "not 0 < self.x < float('inf')", "self.x is not None and self.x <= 0"):
        assert of(bound) == "x"
    assert of("isinstance(self.x, bool) or self.x < 1") == "x"
    assert of("self.x not in ('a', 'b')") == "x"
    for other in (
        "self.x < self.y",
        "self.x % 2 == 0",
        "self.x is None",
        "len(self.x) < 1",
        "self.x > limit",
    ):
        assert of(other) is None
