"""Which replicas a client asks, and in which order: it finds the leader, whatever the other replicas answer."""

from __future__ import annotations

import pytest

from sim.protocols.client import Client, ClientSettings, Operation, Redirect, Request, Retry
from sim.testing import Bench

CONTACTS = ("n0", "n1", "n2", "n3", "n4")


class Once:
    """A driver that asks once."""

    def begin(self, client: Client) -> None:
        client.submit(client.open_session(), Operation("get", "x"))


def asked_until(leader: str, named: dict[str, str]) -> list[str]:
    """The replicas asked, in order, where only ``leader`` does not redirect, and the others know those ``named``."""
    settings = ClientSettings(None, CONTACTS, Retry(timeout=1.0), Once(), lambda outcome: None, lambda: 1)  # type: ignore[arg-type]
    bench = Bench(Client, "client", members=("client",), settings=settings)
    asked: list[str] = []
    while len(asked) < 20:
        ((target, request),) = bench.sent
        bench.sent.clear()
        assert isinstance(request, Request)
        asked.append(target)
        if target == leader:
            return asked
        bench.deliver(target, Redirect(1, 1, named.get(target)))
        if not bench.sent:
            bench.time += 2.0  # longer than it avoids a replica that has redirected it
            bench.fire("backoff", 1)
    raise AssertionError(f"{leader} is never asked, but {asked}")


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"n0": "n1"},  # found by a storm: both have left, and the one knows no more than the other
        {"n0": "n1", "n2": "n1"},
        {"n1": "n0", "n3": "n2"},
        {"n0": "n0"},
    ],
    ids=str,
)
def test_a_client_asks_all_replicas_before_it_asks_one_twice_by_itself(
    named: dict[str, str],
) -> None:
    asked = asked_until("n4", named)
    assert sorted(set(asked)) == sorted(CONTACTS)
    again = [target for at, target in enumerate(asked) if target in asked[:at]]
    assert set(again) <= set(named.values()), "asked again only because another named it"
