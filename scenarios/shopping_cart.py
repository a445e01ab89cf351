"""A shopping cart with siblings: what is lost, what comes back, and a set that does neither.

Two people share a cart, each at their own replica. The link between the replicas is cut for a while. Dynamo (SOSP
2007, section 4.4) kept siblings and showed their union: no item that was put into a cart is lost, but an item that was
taken out may come back. Last writer wins loses both kinds of changes. An observed-remove set knows which adds a
removal has seen.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sim import Scenario
from sim.analysis.plots import grouped_bars, save
from sim.faults import Partition
from sim.kernel import Streams
from sim.lab.run import Run
from sim.lab.story import main
from sim.network import wan
from sim.protocols import Crdt, MultiPrimary
from sim.protocols.client import Client, Operation, Outcome
from sim.workload import Workload
from sim.workload.load import ClientPlan

REGIONS = ("virginia", "ireland")
PAUSE = 1.0  # seconds between two looks at the cart, on average
TAKEN_OUT = 0.35  # of the times that a cart is not empty


class Shopper:
    """Reads the cart, thinks, and puts a new item into it or takes an item out."""

    def __init__(self, stream: Any, name: str, cart: str, whole: bool) -> None:
        self.stream, self.name, self.cart, self.whole = stream, name, cart, whole
        self.stopped = False
        self.bought = 0

    def begin(self, client: Client) -> None:
        self.session = client.open_session()
        client.set_timer("wake", self.stream.exponential(PAUSE))

    def wake(self, client: Client, key: Any) -> None:
        if not self.stopped:
            client.submit(self.session, Operation("get", self.cart))

    def completed(self, client: Client, outcome: Outcome) -> None:
        if outcome.operation.kind == "get":
            client.submit(self.session, self.change(tuple(outcome.value or ())))
        else:
            client.set_timer("wake", self.stream.exponential(PAUSE))

    def change(self, cart: tuple[str, ...]) -> Operation:
        """The next change of a cart with these items: of the whole cart, or of one item."""
        if cart and self.stream.chance(TAKEN_OUT):
            item = self.stream.choice(cart)
            rest = tuple(other for other in cart if other != item)
            return Operation("put", self.cart, rest) if self.whole else Operation("remove", self.cart, item)
        self.bought += 1
        item = f"{self.name}-{self.bought}"
        if not self.whole:
            return Operation("add", self.cart, item)
        return Operation("put", self.cart, tuple(sorted((*cart, item))))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shopping(Workload):
    """Two shoppers for each cart, in two regions. ``whole``: a cart is written as a whole, not item by item."""

    carts: int = 40
    whole: bool = True

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"get", "put"} if self.whole else {"get", "add", "remove"})

    def plan(self, regions: Sequence[str], streams: Streams) -> list[ClientPlan]:
        plans = []
        for cart in range(self.carts):
            for side, region in enumerate(regions):
                name = f"c{len(regions) * cart + side}"
                shopper = Shopper(streams[f"workload/{name}/shopping"], name, f"cart{cart}", self.whole)
                plans.append(ClientPlan(name, region, shopper))
        return plans


def union(carts: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """All items that are in any of the carts."""
    return tuple(sorted({item for cart in carts for item in cart}))


scenario = Scenario(
    system=MultiPrimary(nodes=2),
    network=wan(*REGIONS, transport="stream"),
    workload=Shopping(),
    faults=[Partition((("virginia",), ("ireland",)), at=10.0, duration=5.0)],
    duration=25.0,
)

SHORT = {"duration": 16.0, "workload": Shopping(carts=8)}

SYSTEMS = {
    "last writer wins": MultiPrimary(nodes=2),
    "siblings, their union shown": MultiPrimary(nodes=2, conflicts="siblings", resolver=union),
    "observed-remove set": Crdt(nodes=2, kind="or-set"),
}


def intentions(run: Run) -> tuple[set[str], set[str]]:
    """The items that were put in, and those taken out again, by operations that were acknowledged."""
    put_in, taken_out = set(), set()
    seen: dict[Any, set[str]] = {}
    for row in run.operations.sort_values("called", kind="stable").itertuples():
        if row.status != "ok":
            continue
        if row.kind == "get":
            seen[row.process] = set(row.value or ())
        elif row.kind == "put":
            put_in |= set(row.value) - seen[row.process]
            taken_out |= seen[row.process] - set(row.value)
        else:
            (put_in if row.kind == "add" else taken_out).add(row.value)
    return put_in, taken_out


def tell(scenario: Scenario, seed: int, folder: Path) -> str:
    """Shop with each of them; compare the carts with the acknowledged operations."""
    rows = {}
    for name, system in SYSTEMS.items():
        workload = dataclasses.replace(scenario.workload, whole=isinstance(system, MultiPrimary))  # type: ignore[call-arg]
        run = dataclasses.replace(scenario, system=system, workload=workload).run(seed)
        check = run.check()
        if run.final is None or not check.ok:
            raise ValueError(f"{run.label} did not converge: {check}")
        there = {i for cart in run.final["n0"].values() for i in getattr(cart, "value", cart) or ()}
        put_in, taken_out = intentions(run)
        rows[name] = {
            "put in": len(put_in),
            "taken out": len(taken_out),
            "missing": len(put_in - taken_out - there),
            "back again": len(taken_out & there),
        }
    table = pd.DataFrame(rows).T
    table.to_csv(folder / "carts.csv")
    shares = pd.DataFrame(
        {
            "put in, never taken out, and missing": 100 * table["missing"] / table["put in"],
            "taken out, and back in the cart": 100 * table["back again"] / table["taken out"],
        }
    )
    ax = grouped_bars(shares, "things (% of those put in, of those taken out)", digits=1)
    ax.margins(y=0.15)
    save(ax, folder / "carts.png")
    lww, sibling, exact = (table.loc[name] for name in SYSTEMS)
    return (
        f"Of {lww['put in']} items put into carts, last writer wins loses {lww['missing']}, and {lww['back again']} of "
        f"{lww['taken out']} taken out come back; the union of siblings loses {sibling['missing']}, and "
        f"{sibling['back again']} of {sibling['taken out']} come back.\n"
        f"With an observed-remove set {exact['missing']} of {exact['put in']} are lost, and {exact['back again']} of "
        f"{exact['taken out']} come back; a removal takes out only what its shopper saw."
    )


if __name__ == "__main__":
    main(__file__, scenario, tell)
