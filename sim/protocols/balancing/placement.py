"""Placement of keys by hash policies: the keys that move when servers join or leave, computed without a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from sim.protocols.balancing.policy import Policy
from sim.protocols.balancing.pool import Backend, Pool

__all__ = ["keys_moved", "place_keys"]


class _NoRandom:
    """Raises ValueError on use, because placement must depend only on the key."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ValueError(f"this policy places keys at random (it asked for {name!r}): none of them stays")


def place_keys(
    policy: Policy, keys: Iterable[str], servers: Sequence[str], weights: Sequence[float] | None = None
) -> dict[str, str]:
    """Key -> the server to which the policy sends it if all servers are idle.

    Raises ValueError for a policy that draws at random, and if the numbers of weights and servers differ.
    """
    given = [1.0] * len(servers) if weights is None else list(weights)
    pool = Pool(_NoRandom(), lambda: 0.0)
    pool.set_members(
        Backend(name, i, weight) for i, (name, weight) in enumerate(zip(servers, given, strict=True))
    )
    policy.check(len(servers))
    pool.state = policy.start(pool)
    return {key: policy.pick(pool, pool.available, key).name for key in keys}


def keys_moved(policy: Policy, keys: Sequence[str], before: Sequence[str], after: Sequence[str]) -> float:
    """The fraction of the keys that are at a different server after the change."""
    old, new = place_keys(policy, keys, before), place_keys(policy, keys, after)
    return sum(old[key] != new[key] for key in keys) / len(keys)
