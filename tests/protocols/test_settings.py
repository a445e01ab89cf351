"""Settings of the wrong type are refused where they are made, with field and value; UNSAFE is in every label."""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest

from sim import Retry, System, protocols
from sim.cluster import Clock, Disk, Machine
from sim.faults import Crash, Pause
from sim.protocols import (
    AntiEntropy,
    Balanced,
    ChainReplication,
    Craq,
    ExpectedArrival,
    FixedTimeout,
    Gossip,
    Mongering,
    MultiPrimary,
    PhiAccrual,
    PrimaryBackup,
    RpcStore,
)
from sim.protocols.balancing import Server
from sim.protocols.replication.service_times import ServiceTimes
from sim.settings import hints
from sim.workload import ClosedLoop, Mix, OpenLoop, Zipf

SYSTEMS = sorted(name for name in protocols.__all__ if issubclass(getattr(protocols, name), System))


def of_another_type(hint: Any) -> Any:
    """A value that a field of one plain type, or of that type or None, cannot hold; None for other fields."""
    if get_origin(hint) is Annotated:
        return of_another_type(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        kinds = [part for part in get_args(hint) if part is not NoneType]
        return of_another_type(kinds[0]) if len(kinds) == 1 else None
    return [] if get_origin(hint) is Literal else {float: "5", int: 2.5, bool: "no", str: 3}.get(hint)


@pytest.mark.parametrize("name", SYSTEMS)
def test_no_system_takes_what_is_of_another_type(name: str) -> None:
    """One rule for all: a wrong type is a ValueError with the field and the value, not what Python says of it later."""
    system = getattr(protocols, name)
    refused = 0
    for field, hint in hints(system):
        value = of_another_type(hint)
        if value is not None:
            with pytest.raises(ValueError, match=rf"{field}\b.*{re.escape(repr(value))}"):
                system(**{field: value})
            refused += 1
    assert refused >= 3  # heartbeat, detection, unsafe


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gossip(mongering=-1), "mongering must be a Mongering or None, not -1"),
        (lambda: Gossip(anti_entropy=2.0), "anti_entropy must be an AntiEntropy or None, not 2.0"),
        (lambda: AntiEntropy(every="1"), "AntiEntropy: every must be a number, not '1'"),
        (lambda: Mongering(feedback=2), "Mongering: feedback must be True or False, not 2"),
        (lambda: FixedTimeout("1"), "FixedTimeout: timeout must be a number, not '1'"),
        (lambda: ExpectedArrival("1"), "ExpectedArrival: margin must be a number, not '1'"),
        (lambda: PhiAccrual("8"), "PhiAccrual: threshold must be a number, not '8'"),
        (lambda: Server(workers=1.5), "Server: workers must be an integer, not 1.5"),
        (lambda: Balanced(servers=2.5), "Balanced: servers must be an integer or a tuple of values, not 2.5"),
        (lambda: Balanced(resilience=3), "Balanced: resilience must be a tuple of values, not 3"),
        (lambda: Balanced(priorities="get"), "Balanced: priorities must be a tuple of values, not 'get'"),
        (lambda: Balanced(autoscale=0.5), "Balanced: autoscale must be an Autoscale or None, not 0.5"),
        (lambda: RpcStore(retries=-1), "RpcStore: retries must be an integer of at least 0, not -1"),
        (
            lambda: PrimaryBackup(acks=0),
            "PrimaryBackup: acks must be an integer of at least 1, not 0",
        ),
        (lambda: PrimaryBackup(costs=0.1), "PrimaryBackup: costs must be a ServiceTimes or None, not 0.1"),
        (
            lambda: ChainReplication(costs=1),
            "ChainReplication: costs must be a ServiceTimes or None, not 1",
        ),
        (lambda: Craq(costs="x"), "Craq: costs must be a ServiceTimes or None, not 'x'"),
        (lambda: ServiceTimes(query="x"), "ServiceTimes: query must be a number, not 'x'"),
        (
            lambda: MultiPrimary(conflicts="siblings", resolver="max"),
            "resolver must be a function or None, not 'max'",
        ),
        (lambda: Retry(timeout="1"), "Retry: timeout must be a number, not '1'"),
        (lambda: Crash("n1", at="1"), "Crash: at must be a number, not '1'"),
        (lambda: Pause("n1", at=1.0, duration="1"), "Pause: duration must be a number, not '1'"),
        (lambda: Machine(per_message="x"), "Machine: per_message must be a number, not 'x'"),
        (lambda: Clock(drift="x"), "Clock: drift must be a number, not 'x'"),
        (lambda: Disk(bandwidth="x"), "Disk: bandwidth must be a number, not 'x'"),
        (lambda: Zipf(10, "x"), "Zipf: exponent must be a number, not 'x'"),
        (lambda: Mix({"get": "x"}), "each entry of weights must be a number, not 'x'"),
        (lambda: ClosedLoop(operations="x"), "ClosedLoop: operations must be an integer, not 'x'"),
        (lambda: OpenLoop(rate="x"), "OpenLoop: rate must be a number, not 'x'"),
    ],
)
def test_parts_of_systems_and_workloads_refuse_other_types(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_unsafe_is_called_so(name: str) -> None:
    system = getattr(protocols, name)
    assert system(unsafe=True).label.startswith("UNSAFE ")
    assert "UNSAFE" not in system().label
