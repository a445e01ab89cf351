"""How many keys move when a server comes (Karger et al. 1997; Thaler and Ravishankar 1998; Lamping and "
"Veach 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.protocols.balancing import Backend, JumpHash, Policy, Pool, Rendezvous, RingHash, hash64, keys_moved
from sim.validation.form import Case, Figures, Perturbation, Published

__all__ = ["RESULT"]

KEYS = 4000


@dataclass(frozen=True)
class Modulo(Policy):
    """The key modulo the number of servers."""

    def pick(self, pool: Pool, candidates: list[Backend], key: str) -> Backend:
        return candidates[hash64(key) % len(candidates)]


def moved(seed: int, *, policy: Any, servers: int) -> Figures:
    """The share of keys that another server gets when one more comes."""
    names = [f"s{seed}-{i}" for i in range(servers + 1)]
    keys = [f"key {seed}-{i}" for i in range(KEYS)]
    return {"moved": keys_moved(policy, keys, names[:-1], names)}


def its_share(*, policy: Any, servers: int) -> Figures:
    """Only the keys of the new server move: 1 / (n + 1)."""
    return {"moved": 1 / (servers + 1)}


RESULT = Published(
    name="key_movement",
    title="Keys that move when a server comes",
    source="Karger et al., STOC 1997; Thaler and Ravishankar, 1998; Lamping and Veach, 2014",
    certainty="Derived: what the papers prove.",
    setup="4,000 keys and 9 or 24 servers, of which each has the same share of keys; one more server comes.",
    unit="share of keys",
    measure=moved,
    expect=its_share,
    expected_by="1 / (n + 1), exactly.",
    cases=[
        Case(
            name=f"{type(policy).__name__}, {servers} servers",
            settings={"policy": policy, "servers": servers},
            published={"moved": None},
            samples=12 if servers == 9 else 30,
            fast=servers == 9,
        )
        for policy in (RingHash(points=200), Rendezvous(), JumpHash())
        for servers in (9, 24)
    ],
    perturbations=(Perturbation(what="keys are placed modulo n", off={"policy": Modulo()}),),
    tolerance=0.08,
)
