"""Makes docs/products.md from the tables of `sim.protocols.products`: python docs/make_products.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sim.protocols.products import Product, all_products

TARGET = Path(__file__).resolve().parent / "products.md"

HEAD = """\
# As in products

`Raft.like("etcd")` is `Raft` with the settings that etcd's documentation states: heartbeat, election timeout, PreVote,
CheckQuorum, how reads are served. Keywords replace single values: `Raft.like("etcd", nodes=5, heartbeat=0.05)`. Fields
that are not listed below keep the default of the model, and sizes and times that no product states are those of the
scenario. `sim list` shows the products; the written form of a scenario holds the plain fields.

```python
from sim import Scenario
from sim.protocols import Raft

assert Raft.like("etcd") == Raft(
    heartbeat=0.1,
    detection=1.0,
    pre_vote=True,
    check_quorum=True,
    pipeline=512,
    snapshot_every=10_000,
    reads="follower",
)
run = Scenario(system=Raft.like("etcd", nodes=3), duration=2.0).run(seed=1)
```

At the command line: `sim compare 'Raft.like("etcd")' 'Raft.like("consul", nodes=3)' --seeds 5`.

These are models, not the products. What a model leaves out or does otherwise is listed with each product; a product's
defaults also change from version to version. So compare the shape of the results (how long an outage lasts, what a read
costs), and calibrate the machines with your own measurements ([own_data.md](own_data.md), "Calibrate") before you
read a throughput.

This page is made by `python docs/make_products.py`, and a test compares it with the tables.
"""


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    family = ""
    for system, product in all_products():
        if system.__name__ != family:
            family = system.__name__
            parts.append(f"## {family}\n")
        parts.append("\n".join(section(family, product)) + "\n")
    return "\n".join(parts)


def section(system: str, product: Product) -> Iterator[str]:
    """The lines about one product."""
    yield f'### `{system}.like("{product.name}")`: {product.title}'
    yield ""
    yield "| field | value | stated as |"
    yield "|---|---|---|"
    for field, stated in product.fields.items():
        yield f"| `{field}` | `{stated.value!r}` | [{stated.says}]({stated.page}) |"
    yield ""
    yield "The model leaves out, or does otherwise:"
    yield ""
    yield from (f"- {line}" for line in product.left_out)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
