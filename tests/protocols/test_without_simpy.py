"""Node classes reach time, randomness, disk and network by verbs only: all of them are imported without SimPy."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "simpy":
            raise ImportError(f"{name} is imported by a protocol")

sys.meta_path.insert(0, Refuse())
import sim.protocols
from sim.node import Node

found = {}
for module in pkgutil.walk_packages(sim.protocols.__path__, "sim.protocols."):
    held = vars(importlib.import_module(module.name)).values()
    found.update({kind.__qualname__: None for kind in held if isinstance(kind, type) and issubclass(kind, Node)})
simulator = ("kernel", "cluster", "lab", "analysis", "recorder")
print(len(found), [name for name in sys.modules if name.startswith("sim.") and name.split(".")[1] in simulator])
"""


def test_every_node_class_is_imported_without_simpy_and_the_simulator() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, simulator = done.stdout.split(" ", 1)
    assert int(count) > 60
    assert simulator.strip() == "[]"
