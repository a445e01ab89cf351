"""Where replicas are placed: the chance of loss against all joint failures, and against draws."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from sim.placement import (
    Copysets,
    Placement,
    RandomServers,
    ServerWindow,
    failing,
    scatter_width,
    some_lost,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.mark.parametrize(("servers", "failed", "width"), [(12, 4, 3), (14, 5, 4), (13, 3, 5), (11, 3, 2)])
def test_a_window_loses_data_in_as_many_joint_failures_as_are_counted(
    servers: int, failed: int, width: int
) -> None:
    choices = list(combinations(range(servers), failed))
    lost = sum(
        any(up[i + 2] - up[i] <= width for i in range(failed))
        for up in ((*choice, *(server + servers for server in choice)) for choice in choices)
    )
    placement = ServerWindow(3, width)
    assert placement.loss(servers, 10**6, failed) == pytest.approx(lost / len(choices))


@pytest.mark.parametrize("failed", range(7))
def test_one_permutation_loses_data_in_as_many_joint_failures_as_are_counted(failed: int) -> None:
    sets = [set(row) for row in Copysets(3, 2).sets(11, rng()).tolist()]
    assert sorted(len(row) for row in sets) == [3, 3, 3]
    choices = [set(choice) for choice in combinations(range(11), failed)]
    lost = sum(any(row <= choice for row in sets) for choice in choices)
    assert Copysets(3, 2).loss(11, 10**6, failed) == pytest.approx(lost / len(choices))


@pytest.mark.parametrize(
    ("placement", "servers", "groups", "failed"),
    [
        (RandomServers(3), 40, 60, 8),
        (RandomServers(2), 5, 3, 3),
        (ServerWindow(3, 4), 40, 3000, 6),
        (Copysets(3, 4), 40, 1000, 8),
        (Copysets(2, 3), 41, 1000, 5),
    ],
    ids=repr,
)
def test_the_share_of_drawn_failures_with_a_loss_is_the_probability(
    placement: Placement, servers: int, groups: int, failed: int
) -> None:
    draws = rng()
    shares = [
        some_lost(placement.draw(servers, groups, draws), failing(servers, failed, 10, draws), servers).mean()
        for _ in range(300)
    ]
    error = float(np.std(shares)) / len(shares) ** 0.5
    assert abs(np.mean(shares) - placement.loss(servers, groups, failed)) < 3.5 * error


@pytest.mark.parametrize("placement", [RandomServers(3), ServerWindow(3, 5), Copysets(3, 4)], ids=repr)
def test_a_group_has_different_servers_and_each_server_its_share(placement: Placement) -> None:
    sets = placement.draw(12, 6000, rng())
    assert sets.shape == (6000, 3)
    assert sets.min() >= 0
    assert all(len(set(row)) == 3 for row in sets.tolist())
    counts = np.bincount(sets.ravel(), minlength=12)
    assert counts == pytest.approx(1500, rel=0.12)


def test_the_scatter_width_is_that_of_the_permutations() -> None:
    """Section 4: 2 others in each; and with random servers all the others."""
    assert scatter_width(Copysets(3, 2).sets(300, rng()), 300) == 2
    assert 9.7 < scatter_width(Copysets(3, 10).sets(3000, rng()), 3000) <= 10
    assert scatter_width(RandomServers(3).draw(20, 5000, rng()), 20) == 19
    assert scatter_width(ServerWindow(3, 5).draw(40, 9000, rng()), 40) == 10


def test_the_figures_of_the_abstract() -> None:
    """Cidon et al.: 99.99 % to 0.15 %; 22.8 % to 0.78 %, of which 22.8 % takes 275,000 copysets as independent."""
    assert RandomServers(3).loss(5000, 10**7, 50) == pytest.approx(0.9999, abs=5e-5)
    assert Copysets(3, 2).loss(5000, 10**7, 50) == pytest.approx(0.0015, abs=1e-4)
    assert Copysets(3, 10).loss(5000, 10**7, 50) == pytest.approx(0.0078, abs=5e-5)
    assert ServerWindow(3, 11).copysets(5000) == 275_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Copysets(3, 5), "a multiple of replicas - 1"),
        (lambda: Copysets(1, 5), "replicas at least 2"),
        (lambda: RandomServers(3).draw(2, 5, rng()), "needs at least 3 servers, not 2"),
        (lambda: ServerWindow(3, 4).draw(5, 5, rng()), "needs at least 7 servers, not 5"),
        (lambda: ServerWindow(2, 4).loss(9, 5, 3), "exact for 3 replicas, not 2"),
        (lambda: failing(4, 5, 1, rng()), "5 different servers cannot be had from 4"),
    ],
)
def test_what_cannot_be_placed_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
