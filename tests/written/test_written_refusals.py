"""Invalid contents of a file are refused with their path, before anything in the file is imported or called."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sim import Scenario, System
from sim.network import lan
from sim.protocols import MultiPrimary, Raft
from sim.workload import OpenLoop
from sim.written import from_dict, from_json, from_toml, schema, to_dict

RAFT: dict[str, Any] = {"class": "Raft", "nodes": 3}


@dataclass(frozen=True, kw_only=True)
class Mine(Raft):
    """A system of one's own."""

    more: int = 1


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({}, "scenario: Scenario needs system"),
        ({"system": RAFT, "durations": 3}, r"scenario: .* no field 'durations' \(did you mean 'duration'\?\)"),
        ({"system": {"class": "Raft", "node": 3}}, r"scenario.system: Raft has no field 'node' \(did you mean 'nodes'"),
        ({"system": {"class": "Raff"}}, r"scenario.system: there is no 'Raff' \(did you mean 'Raft'\?\)"),
        ({"system": {"class": "Crash"}}, "scenario.system: Crash is not a System"),
        ({"system": {"class": 3}}, "scenario.system: class must be a name, not 3"),
        ({"system": "Raft"}, "scenario: Scenario: system must be a System, not 'Raft'"),
        ({"system": {"class": "Raft", "nodes": 0}}, "scenario.system: Raft: nodes must be"),
        ({"system": {"class": "System"}}, "scenario: System names no members"),
        ({"system": RAFT, "workload": {"class": "OpenLoop", "keys": {"class": "Zipf", "count": "9"}}},
         "scenario.workload.keys: Zipf: count must be an integer, not '9'"),
        ({"system": RAFT, "workload": {"class": "OpenLoop", "keys": {"class": "Raft"}}},
         "scenario.workload.keys: Raft is not a Keys"),
        ({"system": RAFT, "workload": {"class": "OpenLoop", "keys": {"class": "sim.distributions:Distribution"}}},
         "scenario.workload.keys: sim.distributions:Distribution is not a Keys"),
        ({"system": RAFT, "faults": [{"class": "Crash", "target": "n0", "at": 1.0}, {"class": "Crash", "at": 1.0}]},
         r"scenario.faults\[1\]: Crash needs target"),
        ({"system": RAFT, "retry": {"timeout": -1}}, "scenario.retry: Retry: timeout must be"),
        ({"system": {"class": "os:system"}}, "scenario.system: it names the module os, .* --allow-module os"),
        ({"system": {"class": "sim.__main__:main"}}, "scenario.system: it names the module sim.__main__"),
        ({"system": {"class": "sim.written.names:importlib.import_module"}}, "module importlib, which is not allowed"),
        ({"system": {"class": "sim.lab.compare:compare"}}, "sim.lab.compare:compare is not a System"),
        ({"system": {"class": "sim.nothing:X"}}, "sim.nothing cannot be imported"),
        ({"system": {"class": "sim.protocols:Nothing"}}, "there is no 'sim.protocols:Nothing'"),
        ({"system": {"class": "a b:c"}}, "'a b:c' is no name"),
        ({"system": {"class": "MultiPrimary", "resolver": {"class": "function", "of": "os:abort"}}},
         "scenario.system.resolver: .*the module os"),
        ({"system": {"class": "MultiPrimary", "resolver": {"class": "function", "of": "sim.lab.run:describe"}}},
         "defined elsewhere: write sim.lab.labels:describe"),
        ({"system": {"class": "Raft", "nodes": {"class": "function", "of": "sim.lab.labels:describe"}}},
         "scenario.system.nodes: .*a function is not an integer"),
        ({"system": RAFT, "duration": {"class": "float", "of": "1.0"}}, "scenario.duration: .*'inf', '-inf' or 'nan'"),
        ({"system": RAFT, "duration": {"class": "None", "of": 1}}, "scenario.duration: None has no 'of'"),
        ({"system": RAFT, "name": {"class": "bytes", "of": 7}}, "scenario.name: this is no bytes"),
        ({"system": RAFT, "name": {"class": "list", "of": 7}}, "scenario.name: .*of must be an array"),
        ({"system": RAFT, "name": {"class": "dict", "of": [1]}}, "scenario.name: .*array of pairs"),
        ({"system": RAFT, "name": {"class": "dict"}}, "scenario.name: this is no dict"),
        ({"system": RAFT, "name": {"class": "scipy", "name": "sys"}}, "scenario.name: .*no distribution 'sys'"),
        ({"class": "Raft"}, "scenario: Raft is not a Scenario"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_path(tree: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        Scenario.from_dict(tree)
    assert str(refused.value).startswith("scenario")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"system": {"class": "Raft"}, "system": {"class": "Raft"}}', "no JSON: 'system' comes twice"),
        ('{"duration": NaN}', "NaN is no number of JSON"),
        ('{"duration": 1', "no JSON: .*line 1"),
        ("[1]", "scenario: a table is needed"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_wrong_text_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Scenario.from_json(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("duration = x", "no TOML: .*line 1"),
        ("duration = 1\nduration = 2", "no TOML"),
        (
            'system = {class = "Raft"}\nduration = 2020-01-01',
            "scenario.duration: 2020-01-01 is neither number",
        ),
    ],
)
def test_a_wrong_toml_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Scenario.from_toml(text)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that leaves a file when it is imported."""
    (tmp_path / "foreign_system.py").write_text(
        "from dataclasses import dataclass\nfrom pathlib import Path\nfrom sim.protocols import Raft\n"
        f"Path({str(tmp_path / 'imported')!r}).write_text('yes')\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Foreign(Raft):\n    extra: int = 0\n"
        "class Trap:\n    def __init__(self, **given):\n"
        f"        Path({str(tmp_path / 'called')!r}).write_text('yes')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("foreign_system", None)


def test_a_module_outside_the_library_is_imported_only_where_the_user_allows_it(package: Path) -> None:
    tree = {"system": {"class": "foreign_system:Foreign", "nodes": 3, "extra": 2}}
    with pytest.raises(ValueError, match="allow it by name"):
        Scenario.from_dict(tree)
    with pytest.raises(ValueError, match="allow it by name"):
        Scenario.from_dict(tree, allow=("foreign",))
    assert not (package / "imported").exists()
    scenario = Scenario.from_dict(tree, allow=("foreign_system",))
    assert (package / "imported").exists()
    assert scenario.to_dict()["system"] == tree["system"]


def test_a_class_of_another_kind_is_never_called(package: Path) -> None:
    for where in (
        {"system": {"class": "foreign_system:Trap"}},
        {"system": RAFT, "faults": [{"class": "foreign_system:Trap"}]},
    ):
        with pytest.raises(ValueError, match="foreign_system:Trap is not a"):
            Scenario.from_dict(where, allow=("foreign_system",))
    assert not (package / "called").exists()


def test_modules_are_allowed_by_a_tuple_of_names() -> None:
    with pytest.raises(ValueError, match=r"write \('mine',\)"):
        Scenario.from_dict({"system": RAFT}, allow="mine")


def test_a_class_of_ones_own_is_written_by_its_import_path() -> None:
    scenario = Scenario(system=Mine(nodes=3, more=2))
    assert scenario.to_dict()["system"] == {"class": f"{__name__}:Mine", "nodes": 3, "more": 2}
    assert Scenario.from_toml(scenario.to_toml(), allow=(__name__,)) == scenario


def test_what_no_file_can_hold_is_refused_with_its_path_when_it_is_written() -> None:
    @dataclass(frozen=True)
    class Local(OpenLoop):
        pass

    scenario = Scenario(system=Raft())
    with pytest.raises(ValueError, match=r"^scenario\.workload: .*Local cannot be imported"):
        replace(scenario, workload=Local()).to_dict()
    with pytest.raises(ValueError, match=r"^scenario\.system\.resolver: a function without a name"):
        replace(
            scenario, system=MultiPrimary(conflicts="siblings", resolver=lambda values: values[0])
        ).to_dict()
    with pytest.raises(ValueError, match=r"^scenario\.name: .*half a character"):
        replace(scenario, name="\ud800").to_dict()
    with pytest.raises(ValueError, match="only a value"):
        to_dict(Raft)


def test_a_frozen_distribution_that_scipy_does_not_name_is_refused() -> None:
    import scipy.stats

    histogram = scipy.stats.rv_histogram(([1, 2], [0.0, 0.1, 0.2]))
    with pytest.raises(ValueError, match=r"latencies\[0\]\[0\].frozen"):
        Scenario(system=Raft(nodes=3), network=lan(histogram)).to_dict()


def test_a_system_alone_has_a_written_form() -> None:
    assert from_dict({"class": "Raft", "nodes": 3}, System) == Raft(nodes=3)
    assert from_toml('class = "Raft"\nnodes = 3', System) == Raft(nodes=3)
    with pytest.raises(ValueError, match="system: Crash is not a System"):
        from_json('{"class": "Crash", "target": "n0", "at": 1.0}', System)


def test_the_schema_knows_every_class_and_field() -> None:
    made = schema()
    raft = made["$defs"]["Raft"]
    assert raft["properties"]["nodes"] == {"type": "integer", "minimum": 1}
    assert raft["properties"]["leader"]["anyOf"][0] == {"type": "string"}
    assert made["required"] == ["system"]
    assert {"$ref": "#/$defs/Raft"} in made["properties"]["system"]["anyOf"]
    assert {"$ref": "#/$defs/Raft"} not in made["properties"]["network"]["anyOf"]
    for name, one in made["$defs"].items():
        assert "class" in one["properties"], name
