"""Presets of products: each value against an independent record of what the product's page prints, in its units.

tests/data/products.csv was written from the pages, not from the tables: the figure as printed, and its unit.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim import Scenario, System, protocols
from sim.commands.inputs import parse_setting, parse_system
from sim.faults import Crash
from sim.lab.storm import draw_storm, run_storm
from sim.protocols import BasicRaft, Dynamo, HeartbeatDetectors, PrimaryBackup, Raft
from sim.protocols.products import Product, all_products, products_of
from sim.workload import OpenLoop
from tests.command import ROOT, sim
from tests.scripts import script

RECORDS = list(
    csv.DictReader((ROOT / "tests" / "data" / "products.csv").read_text(encoding="utf-8").splitlines())
)
ALL = all_products()
IDS = [f"{system.__name__}-{product.name}" for system, product in ALL]


def _quotient(text: str) -> float:
    above, _, below = text.partition("/")
    return float(above) / float(below)


def _product(text: str) -> float:
    one, _, other = text.partition("x")
    return float(one) * float(other)


UNITS: dict[str, Callable[[str], Any]] = {
    "ms": lambda text: float(text) / 1000,
    "s": float,
    "h": lambda text: float(text) * 3600,
    "days": lambda text: float(text) * 86_400,
    "count": float,
    "fraction above 1": lambda text: 1 + float(text),
    "quotient": _quotient,
    "quotient of ms": lambda text: _quotient(text) / 1000,
    "product of ms": lambda text: _product(text) / 1000,
    "product of s": _product,
    "flag": lambda text: text != "false",
    "word": str,
    "majority": lambda text: None,  # the model's word for a majority
    "none": lambda text: None,
}


def _field(system: Any, path: str) -> Any:
    for name in path.split("."):
        system = getattr(system, name)
    return system


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: f"{r['system']}-{r['product']}-{r['field']}")
def test_a_value_is_what_the_page_of_the_product_prints(record: dict[str, str]) -> None:
    system = getattr(protocols, record["system"]).like(record["product"])
    expected = UNITS[record["unit"]](record["printed"])
    assert _field(system, record["field"]) == (
        pytest.approx(expected) if isinstance(expected, float) else expected
    )


@pytest.mark.parametrize(("system", "product"), ALL, ids=IDS)
def test_each_value_of_a_product_is_in_the_record_and_has_its_page(
    system: type[System], product: Product
) -> None:
    mine = [r for r in RECORDS if (r["system"], r["product"]) == (system.__name__, product.name)]
    assert {r["field"].partition(".")[0] for r in mine} == set(product.fields)
    for stated in product.fields.values():
        assert stated.page.startswith("https://")
        assert stated.says
    assert product.left_out
    assert all(line.endswith(".") for line in product.left_out)


@pytest.mark.parametrize(("system", "product"), ALL, ids=IDS)
def test_a_product_has_exactly_its_fields_given_and_keywords_replace_them(
    system: type[System], product: Product
) -> None:
    like = system.like(product.name)
    assert like.given == set(product.fields)
    assert like == system(**{name: stated.value for name, stated in product.fields.items()})
    assert system.like(product.name, heartbeat=0.25).heartbeat == 0.25


@pytest.mark.parametrize(("system", "product"), ALL, ids=IDS)
def test_the_written_form_of_a_product_holds_plain_fields_and_reads_back(
    system: type[System], product: Product
) -> None:
    scenario = draw_storm(system.like(product.name), 1)
    assert product.name not in scenario.to_toml().replace(system.__name__, "")
    assert Scenario.from_toml(scenario.to_toml()) == scenario


@pytest.mark.parametrize("name", [p.name for s, p in ALL if s is Raft])
def test_a_product_replaces_its_leader_after_its_own_timeout(name: str) -> None:
    system = Raft.like(name, nodes=3)
    timeout = system.detection_timeout
    load = OpenLoop(clients=2, rate=20 / timeout)
    crash = Crash("leader", at=timeout)
    run = Scenario(system=system, workload=load, faults=[crash], duration=5 * timeout, check=True).run(seed=1)
    elected = run.events.loc[run.events["event"] == "elected", "time"].to_numpy()
    assert len(elected) == 2
    # The old leader's last heartbeat was up to an interval before the crash; votes may be split once.
    assert timeout - system.heartbeat_interval < elected[1] - timeout < 4 * timeout
    assert run.check().ok


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("system", "product"), ALL, ids=IDS)
def test_a_product_stands_storms(system: type[System], product: Product, seed: int) -> None:
    run = run_storm(draw_storm(system.like(product.name), seed), seed)
    assert run.violation is None
    assert run.check().status in {"valid", "no claim"}


def test_a_subclass_has_the_products_of_its_base_and_a_base_not_those_of_a_subclass() -> None:
    class MyRaft(Raft):
        """A user's own Raft."""

    assert type(MyRaft.like("etcd")) is MyRaft
    assert products_of(BasicRaft) == {}


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: Raft.like("ectd"), r"Raft knows no product 'ectd' \(did you mean 'etcd'\?\); it knows cock"),
        (lambda: Dynamo.like("etcd"), r"Dynamo knows no product 'etcd'; it knows cassandra-one, "),
        (lambda: Raft.like(3), "Raft knows no product 3"),  # type: ignore[arg-type]
        (lambda: BasicRaft.like("etcd"), "BasicRaft has the settings of no product, also not of 'etcd'"),
        (lambda: Raft.like("etcd", nodes=0), "nodes must be an integer of at least 1, not 0"),
        (lambda: PrimaryBackup.like("patroni", acks=9, mode="semi-sync"), "acks must be from 1"),
    ],
)
def test_an_unknown_product_or_a_wrong_field_is_refused(attempt: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attempt()


def test_phi_of_akka_reaches_its_threshold_a_pause_later_than_without() -> None:
    detector = HeartbeatDetectors.like("akka").detector
    assert isinstance(detector, protocols.PhiAccrual)
    plain = protocols.PhiAccrual(detector.threshold, detector.window, detector.min_std)
    with_pause, without = (rule.watch(0.0, 1.0, 10.0) for rule in (detector, plain))
    for beat in range(1, 400):
        with_pause.heard(float(beat), beat)
        without.heard(float(beat), beat)
    assert with_pause.timeout == pytest.approx(without.timeout + 3.0)
    assert with_pause.level(with_pause.deadline) == pytest.approx(8.0)
    # Pekko's reference.conf: around 5.5 s with default settings (at a deviation of a quarter of a second).
    assert 4.0 < with_pause.timeout < 5.6


# Docs and the command line


def test_the_page_about_products_is_made_from_the_tables() -> None:
    page = (ROOT / "docs" / "products.md").read_text(encoding="utf-8")
    assert page == script(ROOT / "docs" / "make_products.py").page(), "run `python docs/make_products.py`"


def test_the_command_line_takes_products_as_it_takes_systems() -> None:
    assert parse_system(""" Raft.like("etcd", nodes=5) """) == Raft.like("etcd", nodes=5)
    assert parse_setting("system=Raft.like('etcd')") == ("system", Raft.like("etcd"))
    listed = sim("list").stdout
    assert all(f'{system.__name__}.like("{product.name}")' in listed for system, product in ALL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Raft.like('ectd')", "did you mean 'etcd'?"),
        ("Raft.like(etcd)", "write it in quotes, 'etcd'"),
        ("Raft.like()", "missing 1 required positional argument: 'product'"),
        ("Raft.like('etcd', node=3)", "node"),
        ("Raft.like('etcd'", "is no system"),
        ("Raft.like('etcd' 3)", "is no system"),
        ("Zipf.like('etcd')", "there is no system 'Zipf'"),
        ("Rat.like('etcd')", "there is no system 'Rat' (did you mean 'Raft'?)"),
        ("Raft.liken('etcd')", "is no system"),
    ],
)
def test_a_wrong_product_at_the_command_line_is_one_line_and_exit_code_2(
    text: str, message: str, tmp_path: Path
) -> None:
    done = sim("compare", text, "--seeds", "1", "--out", str(tmp_path))
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
