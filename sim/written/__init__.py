"""The written form of values: plain data, as JSON or TOML. The value that is read back equals the one written.

A value is a table of the fields that were given, or differ from their defaults, and ``class``: a name of the library
(``Raft``) or an import path (``package.module:Name``). `sim.written.tree` has the rules. Nothing is pickled, and
nothing is evaluated.
"""

from sim.written.schema import schema
from sim.written.texts import from_json, from_toml, to_json, to_toml
from sim.written.tree import from_dict, to_dict

__all__ = ["from_dict", "from_json", "from_toml", "schema", "to_dict", "to_json", "to_toml"]
