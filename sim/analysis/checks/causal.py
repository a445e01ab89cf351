"""Causal consistency: CC, CCv (causal convergence, "causal+") and CM (causal memory), by bad patterns.

Bouajjani, Enea, Guerraoui & Hamza, "On Verifying Causal Consistency", POPL 2017: a history in which no value is
written twice to a key satisfies a model iff it contains none of the model's bad patterns (their tables 1 and 2).
CO is the transitive closure of session order and reading; a clock per item (how many items of each session are in
its past) represents it, as pasts are closed under session order.
"""

from __future__ import annotations

from sim.analysis.checks.happened_before import WriteOrder
from sim.analysis.checks.relations import INITIAL, Clocks, Pattern, Relations, find_cycle

__all__ = ["cc", "ccv", "cm"]


def cc(relations: Relations) -> Pattern | None:
    """Causal consistency: every read can be explained by its causal past, each read by an order of its own."""
    order = relations.sorted()
    if len(order) < len(relations.items):
        return _cyclic_co(relations)
    return _overwritten(relations, relations.clocks(order))


def ccv(relations: Relations) -> Pattern | None:
    """Causal convergence: as `cc`, with one order of the writes for all (last writer wins, causally)."""
    order = relations.sorted()
    if len(order) < len(relations.items):
        return _cyclic_co(relations)
    clocks = relations.clocks(order)
    return _overwritten(relations, clocks) or _cyclic_cf(relations, clocks)


def cm(relations: Relations) -> Pattern | None:
    """Causal memory: as `cc`, with one order for all reads of a session."""
    order = relations.sorted()
    if len(order) < len(relations.items):
        return _cyclic_co(relations)
    clocks = relations.clocks(order)
    found = _overwritten(relations, clocks)
    for s in relations.seers:
        found = found or WriteOrder.causal(relations, s, clocks).violation()
    return found


def _cyclic_co(relations: Relations) -> Pattern:
    circle = find_cycle(relations)
    told = "; ".join(relations.trace.tell(i) for i in circle)
    return Pattern(
        "CyclicCO",
        relations.rows(circle),
        f"these come before each other in a circle (session order, reading): {told}.",
    )


def _overwritten(relations: Relations, clocks: Clocks) -> Pattern | None:
    """WriteCOInitRead and WriteCORead: something newer was in the causal past of a read."""
    trace = relations.trace
    for read, source in relations.source.items():
        clock = clocks[read]
        for newer in relations.latest_writes(relations.key[read], clock):
            if newer == source:
                continue
            if source == INITIAL:
                path = relations.path(newer, read)
                reason = f"{trace.tell(newer)} came causally before {trace.tell(read)}, which saw the initial value."
                return Pattern("WriteCOInitRead", relations.rows(path), reason)
            if clocks[newer][relations.lane[source]] > relations.place[source]:
                path = [*relations.path(source, newer), *relations.path(newer, read)]
                reason = (
                    f"{trace.tell(read)} saw {trace.tell(source)}, although {trace.tell(newer)} came causally "
                    "after that write and before the read."
                )
                return Pattern("WriteCORead", relations.rows(path), reason)
    return None


def _cyclic_cf(relations: Relations, clocks: Clocks) -> Pattern | None:
    """CyclicCF: a write must be ordered before the one that a read saw, if it was in the causal past of the read."""
    conflicts: dict[int, list[int]] = {}
    because: dict[tuple[int, int], int] = {}
    for read, source in relations.source.items():
        if source < 0:
            continue
        for older in relations.latest_writes(relations.key[read], clocks[read]):
            if older != source and (older, source) not in because:
                because[older, source] = read
                conflicts.setdefault(older, []).append(source)
    if len(relations.sorted(conflicts)) == len(relations.items):
        return None
    circle = find_cycle(relations, conflicts)
    steps = list(zip(circle, [*circle[1:], circle[0]], strict=True))
    reads = [because[step] for step in steps if step in because]
    told = "; ".join(
        f"{relations.trace.tell(a)} before {relations.trace.tell(b)} (because of {relations.trace.tell(because[a, b])})"
        for a, b in steps
        if (a, b) in because
    )
    return Pattern(
        "CyclicCF", relations.rows([*circle, *reads]), f"no one order of the writes suits all reads: {told}."
    )
