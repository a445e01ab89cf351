"""The colour and the marker of a protocol: the same in every chart, whatever it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from sim.arguments import checked

__all__ = ["places"]

Place = TypeVar("Place")

_OWN: Mapping[str, tuple[int, int]] = {
    "raft": (0, 0),
    "multipaxos": (1, 1),
    "primarybackup": (2, 2),
    "epaxos": (3, 3),
    "mencius": (4, 4),
    "viewstampedreplication": (5, 5),
    "chainreplication": (6, 6),
    "abd": (4, 0),
    "paxos": (1, 5),
    "dynamo": (2, 4),
    "craq": (6, 2),
    "multiprimary": (3, 1),
}
"""Protocol, in letters only -> its places among the colours and among the markers; no two have both in common."""


@checked
def places(names: Iterable[str], of: int, which: int) -> dict[str, int]:
    """The place of each name among ``of`` colours (``which`` 0) or markers (1); no place twice while there are enough.

    A label that begins with the name of a protocol ("Raft, batches") gets its place; all others, and a second label of
    one protocol, get the first places that are free, in order.
    """
    found: dict[str, int] = {}
    each = list(dict.fromkeys(names))
    for name in each:
        letters = "".join(filter(str.isalnum, name.lower()))
        own = next((places[which] for known, places in _OWN.items() if letters.startswith(known)), None)
        if own is not None and own not in found.values():
            found[name] = own
    for number, name in enumerate(each):
        if name not in found:
            free = (place for place in range(of) if place not in found.values())
            found[name] = next(free, number % of)
    return {name: found[name] for name in each}
