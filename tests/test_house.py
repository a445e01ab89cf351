"""The house keeps its order: imports run one way; no simulation looks at a clock or at hidden randomness."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.budget import holds_for_each

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "sim").rglob("*.py"))

UPPER = {"validation", "lab", "analysis", "faults", "workload", "protocols", "cli", "__main__"}

# Part of sim -> the parts that it must not import. A part that is not named may import anything.
FORBIDDEN = {
    "message": UPPER | {"cluster", "network", "recorder", "kernel"},
    "node": UPPER | {"cluster", "network", "recorder", "kernel"},
    "system": UPPER | {"cluster", "network", "recorder", "kernel"},
    "placement": UPPER | {"cluster", "network", "recorder", "kernel", "node", "system", "distributions"},
    "settings": UPPER | {"cluster", "network", "recorder", "kernel"},
    "written": (UPPER - {"lab"})
    | {"cluster", "network", "recorder", "kernel"},  # the schema is that of a scenario
    "kernel": UPPER | {"cluster", "network", "recorder", "node", "system"},
    "readers": UPPER | {"cluster", "network", "recorder", "kernel", "node", "system", "distributions"},
    "distributions": UPPER | {"cluster", "network", "recorder", "kernel", "node", "system"},
    "network": UPPER | {"cluster", "node", "system"},
    "recorder": UPPER | {"cluster", "network", "node", "system"},
    "cluster": UPPER,
    "protocols": {
        "validation",
        "kernel",
        "cluster",
        "lab",
        "analysis",
        "network",
        "recorder",
        "faults",
        "cli",
        "__main__",
    },
    "workload": {"validation", "lab", "analysis", "faults", "cli", "__main__"},
    "faults": {"validation", "lab", "analysis", "workload", "cli", "__main__"},
    "analysis": {
        "validation",
        "lab",
        "cluster",
        "kernel",
        "network",
        "node",
        "protocols",
        "workload",
        "faults",
        "cli",
        "__main__",
    },
    "zoo": {
        "validation",
        "kernel",
        "cluster",
        "lab",
        "analysis",
        "network",
        "recorder",
        "workload",
        "faults",
        "cli",
        "__main__",
    },
    "lab": {"validation", "cli", "__main__"},
    "validation": {"cli", "__main__"},
}

# What a protocol author imports: the standard library only.
ALONE = {
    "display",
    "durability",
    "handlers",
    "invariants",
    "message",
    "node",
    "refusals",
    "settings",
    "stories",
    "system",
    "unchanged",
    "values",
}

# Parts that run inside a simulation: no clock of the machine, no order by address or string hash.
SIMULATED = ALONE | {
    "kernel",
    "readers",
    "distributions",
    "network",
    "placement",
    "cluster",
    "protocols",
    "workload",
    "faults",
    "recorder",
}

# Parts that `sim --help` and a bare simulation reach: pandas and matplotlib would cost a second.
LIGHT = SIMULATED | {"cli", "__init__", "__main__"}


CLOCKS = ("datetime.now", "datetime.utcnow", "date.today", "os.urandom")
LAST_WORDS = {"time", *(clock.rpartition(".")[2] for clock in CLOCKS)}


def part_of(path: Path) -> str:
    """`sim/network/links.py` -> "network"; `sim/node.py` -> "node"."""
    first = path.relative_to(ROOT / "sim").parts[0]
    return first.removesuffix(".py")


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def walked(tree: ast.AST) -> tuple[ast.AST, ...]:
    """All nodes of a tree, which ten checks look through."""
    return tuple(ast.walk(tree))


def imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of each import below ``tree``; ``from a import b`` gives ``a.b``."""
    for node in walked(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def top_level_imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Imports that happen when the module is loaded: not those inside functions or TYPE_CHECKING blocks."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node, package)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from top_level_imports(node, package)


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def wrong_directions(path: Path, source: ast.Module) -> list[str]:
    forbidden = FORBIDDEN.get(part_of(path), set())
    wrong = []
    for line, name in imported(source, package_of(path)):
        parts = name.split(".")
        if parts[0] == "sim" and len(parts) > 1 and parts[1] in forbidden:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    return wrong


PROTOCOLS = ROOT / "sim" / "protocols"
FOLDERS = sorted(p.parent for p in PROTOCOLS.glob("*/*/__init__.py"))  # a folder a protocol


def inner_imports(path: Path, source: ast.Module) -> list[str]:
    """Imports of the inner files of a protocol from outside its folder: what its ``__init__`` exports is for others."""
    wrong = []
    for node in walked(source):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            for folder in FOLDERS:
                inside = ".".join(folder.relative_to(ROOT).parts) + "."
                if module.startswith(inside) and folder not in path.parents:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {module}")
    return wrong


def hidden_inputs(path: Path, source: ast.Module) -> list[str]:
    """Uses of the machine's clock and of randomness that has no address."""
    wrong = []
    simulated = part_of(path) in SIMULATED
    banned = {"random", "secrets"} | ({"time", "uuid"} if simulated else set())
    for line, name in imported(source, package_of(path)):
        if name.split(".")[0] in banned or name == "time.time":
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    for node in walked(source):
        if isinstance(node, ast.Attribute) and node.attr in LAST_WORDS:
            text = ast.unparse(node)
            if text == "time.time" or text.endswith(CLOCKS):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} uses {text}")
    return wrong


def is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in {"set", "frozenset"}
    return isinstance(node, ast.Set | ast.SetComp)


SETS = {"set", "frozenset"}

# What comes of a set in whatever order: no order shows through these.
ORDERLESS = {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"}


def is_set_type(annotation: ast.expr | None) -> bool:
    """Whether an annotation says ``set[...]``, ``frozenset`` or the like."""
    named = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return isinstance(named, ast.Name) and named.id in SETS


def set_attributes(source: ast.Module) -> set[str]:
    """The attributes that some class of a module holds sets in: annotated so, or given one (``self.x = set()``)."""
    found = set()
    for cls in (node for node in walked(source) if isinstance(node, ast.ClassDef)):
        for node in ast.walk(cls):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            is_one = (isinstance(node, ast.Assign | ast.AnnAssign) and node.value and is_set(node.value)) or (
                isinstance(node, ast.AnnAssign) and is_set_type(node.annotation)
            )
            for target in targets if is_one else ():
                if isinstance(target, ast.Attribute):
                    found.add(target.attr)
                elif isinstance(target, ast.Name) and node in cls.body:
                    found.add(target.id)
    return found


def is_set_of(node: ast.expr, attributes: set[str]) -> bool:
    """Whether it is a set for certain: one made here, ``self.x`` that holds one, or what operators make of these."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return is_set_of(node.left, attributes)
    on_self = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return is_set(node) or (on_self and node.attr in attributes)


def orderless(source: ast.Module) -> set[int]:
    """The generators whose order does not show: the argument of `sorted`, `any` and the like; and what makes a set."""
    calls = [n for n in walked(source) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    inside = [a for call in calls if call.func.id in ORDERLESS for a in call.args]
    made = [n for n in walked(source) if isinstance(n, ast.SetComp)]
    return {id(generator) for n in [*inside, *made] for generator in getattr(n, "generators", ())}


def unstable_orders(path: Path, source: ast.Module) -> list[str]:
    """Loops over sets, also those that attributes hold, lists made of them; calls of `hash` outside `__hash__`."""
    wrong = []
    attributes, shown_nowhere = set_attributes(source), orderless(source)
    in_hash_method = {
        id(inner)
        for node in walked(source)
        if isinstance(node, ast.FunctionDef) and node.name == "__hash__"
        for inner in ast.walk(node)
    }
    for node in walked(source):
        loop = node.iter if isinstance(node, ast.For | ast.comprehension) else None
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"list", "tuple"}
        ):
            loop = node.args[0] if node.args else None
        if loop is not None and is_set_of(loop, attributes) and id(node) not in shown_nowhere:
            wrong.append(f"{path.relative_to(ROOT)}:{loop.lineno} iterates over a set")
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id == "hash" and id(node) not in in_hash_method:
            wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} calls hash()")
    return wrong


def heavy_imports(path: Path, source: ast.Module) -> list[str]:
    heavy = {"scipy", "pyarrow"} | ({"pandas", "matplotlib", "IPython"} if part_of(path) in LIGHT else set())
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in top_level_imports(source, package_of(path))
        if name.split(".")[0] in heavy
    ]


def beyond_standard_library(path: Path, source: ast.Module) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imported(source, package_of(path))
        if name.split(".")[0] not in sys.stdlib_module_names | {"sim"}
    ]


def is_public(path: Path) -> bool:
    names = path.relative_to(ROOT).with_suffix("").parts
    return not any(name.startswith("_") and name != "__init__" for name in names) and path.stat().st_size > 0


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PUBLIC = [path for path in FILES if is_public(path)]


def offences(check: Callable[[Path, ast.Module], list[str]], files: list[Path]) -> list[str]:
    return [line for path in files for line in check(path, parse(path))]


def test_imports_run_one_way() -> None:
    assert not offences(wrong_directions, FILES)


def test_no_file_outside_the_folder_of_a_protocol_imports_its_inner_files() -> None:
    assert len(FOLDERS) >= 15
    # The zoo changes what a folder keeps for itself: that is what a mistake is.
    assert not offences(inner_imports, [path for path in FILES if part_of(path) != "zoo"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_of_a_protocol_has_node_and_system_or_says_what_its_files_are(folder: Path) -> None:
    files = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    files -= {"__init__", "__pycache__"}
    words = re.findall(r"\w+", ast.get_docstring(parse(folder / "__init__.py")) or "")
    assert files >= {"node", "system"} or not sorted(files - set(words))


def test_nothing_uses_the_clock_of_the_machine_or_randomness_without_an_address() -> None:
    assert not offences(hidden_inputs, FILES)


def test_nothing_in_a_simulation_depends_on_the_order_of_a_set_or_on_a_hash() -> None:
    assert not offences(unstable_orders, [path for path in FILES if part_of(path) in SIMULATED])


def test_heavy_libraries_are_imported_only_where_they_are_used() -> None:
    assert not offences(heavy_imports, FILES)


def test_node_and_system_need_the_standard_library_only() -> None:
    assert not offences(beyond_standard_library, [path for path in FILES if part_of(path) in ALONE])


def test_a_public_module_says_what_it_is_and_what_it_offers() -> None:
    def check(path: Path) -> None:
        assert ast.get_docstring(parse(path)), "no docstring"
        module = importlib.import_module(dotted(path))
        assert sorted(set(module.__all__)) == sorted(module.__all__)
        assert not [name for name in module.__all__ if not hasattr(module, name)]

    holds_for_each(PUBLIC, check, dotted)


# The checks above are checked themselves: each sees the offence it is there for.

HOLDS_A_SET = "class A:\n    def __init__(self):\n        self.x = set()\n    def f(self):\n        "

EXAMPLES = [
    (wrong_directions, "sim/protocols/x.py", "from sim.kernel import Environment"),
    (wrong_directions, "sim/protocols/x.py", "import sim.lab"),
    (wrong_directions, "sim/protocols/x.py", "from sim import cluster"),
    (wrong_directions, "sim/cluster/x.py", "from sim.protocols.consensus.raft.node import Raft"),
    (wrong_directions, "sim/cluster/x.py", "from ..protocols import raft"),
    (wrong_directions, "sim/cluster/x.py", "def f():\n    from sim.protocols import raft"),
    (wrong_directions, "sim/analysis/x.py", "from sim.lab import Run"),
    (wrong_directions, "sim/analysis/plots/x.py", "from ...lab import Run"),
    (inner_imports, "sim/lab/x.py", "from sim.protocols.consensus.raft.node import RaftNode"),
    (inner_imports, "sim/protocols/replication/x.py", "import sim.protocols.consensus.vr.replica"),
    (wrong_directions, "sim/kernel/x.py", "from sim.network import links"),
    (wrong_directions, "sim/distributions/x.py", "from sim.protocols.balancing import Server"),
    (wrong_directions, "sim/distributions/x.py", "from sim.network import links"),
    (wrong_directions, "sim/node.py", "from sim.kernel import Environment"),
    (hidden_inputs, "sim/lab/x.py", "import random"),
    (hidden_inputs, "sim/lab/x.py", "from random import choice"),
    (hidden_inputs, "sim/lab/x.py", "import time\nt = time.time()"),
    (hidden_inputs, "sim/lab/x.py", "from time import time"),
    (hidden_inputs, "sim/lab/x.py", "t = datetime.now()"),
    (hidden_inputs, "sim/lab/x.py", "t = datetime.datetime.now()"),
    (hidden_inputs, "sim/cluster/x.py", "from time import monotonic"),
    (unstable_orders, "sim/cluster/x.py", "for x in set(y):\n    pass"),
    (unstable_orders, "sim/cluster/x.py", "z = [x for x in {1, 2}]"),
    (unstable_orders, "sim/cluster/x.py", "z = hash('a')"),
    (unstable_orders, "sim/cluster/x.py", f"{HOLDS_A_SET}for y in self.x:\n            pass"),
    (unstable_orders, "sim/cluster/x.py", f"{HOLDS_A_SET}return [y for y in self.x - self.y]"),
    (unstable_orders, "sim/cluster/x.py", f"{HOLDS_A_SET}return tuple(self.x)"),
    (
        unstable_orders,
        "sim/cluster/x.py",
        "class A:\n    x: frozenset[str]\n    def f(self):\n        return list(self.x)",
    ),
    (heavy_imports, "sim/analysis/x.py", "import scipy.stats"),
    (heavy_imports, "sim/analysis/x.py", "try:\n    import pyarrow\nexcept ImportError:\n    pass"),
    (heavy_imports, "sim/cli.py", "import pandas as pd"),
    (heavy_imports, "sim/__init__.py", "from matplotlib import pyplot"),
    (beyond_standard_library, "sim/node.py", "import numpy as np"),
]


@pytest.mark.parametrize(("check", "name", "code"), EXAMPLES)
def test_each_check_sees_an_offence(
    check: Callable[[Path, ast.Module], list[str]], name: str, code: str
) -> None:
    assert len(check(ROOT / name, ast.parse(code))) >= 1


@pytest.mark.parametrize(
    ("check", "name", "code"),
    [
        (wrong_directions, "sim/protocols/x.py", "from sim.node import Node\nfrom .quorums import Majority"),
        (hidden_inputs, "sim/lab/x.py", "from time import perf_counter"),
        (unstable_orders, "sim/cluster/x.py", "for x in sorted({1, 2}):\n    pass"),
        (unstable_orders, "sim/cluster/x.py", f"{HOLDS_A_SET}return any(y > 1 for y in self.x)"),
        (unstable_orders, "sim/cluster/x.py", HOLDS_A_SET + "return {y for y in self.x}"),
        (unstable_orders, "sim/cluster/x.py", f"{HOLDS_A_SET}return [y for y in sorted(self.x)]"),
        (
            unstable_orders,
            "sim/cluster/x.py",
            "def __hash__(self):\n    return hash((1, 2))",
        ),
        (heavy_imports, "sim/analysis/x.py", "import pandas\ndef f():\n    import scipy.stats"),
        (heavy_imports, "sim/recorder.py", "class R:\n    def f(self):\n        import pandas"),
        (heavy_imports, "sim/cli.py", "if TYPE_CHECKING:\n    import pandas"),
        (beyond_standard_library, "sim/node.py", "import dataclasses\nfrom sim.units import ms"),
    ],
)
def test_each_check_lets_the_allowed_pass(
    check: Callable[[Path, ast.Module], list[str]], name: str, code: str
) -> None:
    assert check(ROOT / name, ast.parse(code)) == []


def test_help_answers_without_pandas_and_matplotlib(fresh_python: Callable[..., str]) -> None:
    code = """
import sys
from sim.cli import main
try:
    main(["--help"])
except SystemExit as stop:
    assert stop.code in (0, None), stop.code
heavy = sorted({"pandas", "matplotlib", "scipy", "pyarrow"} & set(sys.modules))
print("loaded:", heavy)
"""
    said = fresh_python(code)
    assert "Usage" in said
    assert said.endswith("loaded: []\n")
