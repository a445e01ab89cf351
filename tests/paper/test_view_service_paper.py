"""The view service, sentence by sentence, after the tests of MIT 6.824 lab 2 part A (and DSLabs lab 2).

Where our service departs from the lab's (see its docstring), the test says what holds instead.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from sim.protocols.departures import Stamp
from sim.protocols.membership.views.service import Ping, View, ViewIs, ViewService
from sim.protocols.replication.primary_backup.system import PrimaryBackup
from sim.testing import Bench

Service = Bench[ViewService]


def service(nodes: int = 3) -> Service:
    settings = PrimaryBackup(nodes=nodes, heartbeat=0.1, detection=1.0)
    return Bench(ViewService, "views", members=("views",), settings=settings)


def stamp(s: Service) -> Stamp:
    """Of a ping that leaves at this moment: here, of two the higher is the later."""
    return 0, round(1000 * s.time)


def ping(s: Service, src: str, view: int, holds: int | None = None, **more: object) -> View:
    """A ping; returns the view that the answer names."""
    s.deliver(src, Ping(view, view if holds is None else holds, stamp(s), **more))  # type: ignore[arg-type]
    answer = s.take(src, ViewIs)[-1]
    return answer.view  # type: ignore[no-any-return]


def lead(s: Service, src: str, view: int, synced: bool = True, **more: object) -> View:
    return ping(s, src, view, serving=True, synced=synced, **more)


def pass_time(s: Service, seconds: float, *alive: str) -> None:
    """Time passes; the ``alive`` ping (as primary where they are) every heartbeat."""
    for _ in range(round(seconds / 0.1)):
        s.advance(0.1)
        for member in alive:
            view = s.node.view
            if member == view.primary and member != "":
                lead(s, member, view.number)
            else:
                ping(s, member, view.number)


def depose_n0(s: Service) -> None:
    """n0 acknowledges view 1 and dies; n1 is chosen, and has not taken view 2 up yet."""
    lead(s, "n0", 1)
    while s.node.view.number == 1:
        s.advance(0.1)
        for member in ("n1", "n2"):
            s.deliver(member, Ping(1, 1, stamp(s)))


def test_the_first_view_has_the_first_primary_and_all_others_as_backups() -> None:
    s = service()
    assert ping(s, "n1", 1) == View(1, ("n0", "n1", "n2"))


def test_a_view_does_not_change_while_all_its_members_ping() -> None:
    s = service()
    pass_time(s, 5.0, "n0", "n1", "n2")
    assert s.node.view.number == 1


def test_a_backup_takes_over_if_the_primary_fails() -> None:
    s = service()
    lead(s, "n0", 1)
    pass_time(s, 1.5, "n1", "n2")
    assert s.node.view == View(2, ("n1", "n2"), after=1)


def test_a_primary_that_is_late_but_within_the_detection_time_stays() -> None:
    s = service()
    lead(s, "n0", 1)
    pass_time(s, 0.9, "n1", "n2")
    assert s.node.view.number == 1


def test_a_restarted_primary_is_treated_as_dead() -> None:
    """A restarted primary does not serve in the view that it knows, so a new view is needed at once."""
    s = service()
    lead(s, "n0", 1)
    assert ping(s, "n0", 1, serving=False).number == 2


def test_the_old_primary_returns_as_a_backup_once_it_has_caught_up() -> None:
    s = service()
    lead(s, "n0", 1)
    pass_time(s, 1.5, "n1", "n2")
    pass_time(s, 1.0, "n0", "n1", "n2")
    assert s.node.view.number == 2  # it pings, but nobody has said that it has the state
    assert lead(s, "n1", 2, joined=("n0",)) == View(3, ("n1", "n2", "n0"), after=2)


def test_a_dead_backup_is_left_out() -> None:
    s = service()
    pass_time(s, 1.5, "n0", "n1")
    assert s.node.view.members == ("n0", "n1")


def test_a_backup_that_the_primary_cannot_reach_is_left_out() -> None:
    s = service()
    assert lead(s, "n0", 1, silent=("n1",)).members == ("n0", "n2")


def test_a_view_that_adds_a_member_is_of_no_force_before_its_primary_acknowledges_it() -> None:
    """The lab: the service does not proceed from an unacknowledged view. Here: not to a member that it added."""
    s = service(nodes=2)
    pass_time(s, 1.5, "n0")
    assert s.node.view == View(2, ("n0",), after=1)
    lead(s, "n0", 2, joined=("n1",))  # n1 is dead: it has not pinged
    assert s.node.view.number == 2
    ping(s, "n1", 2, holds=2)
    assert lead(s, "n0", 2, joined=("n1",)) == View(3, ("n0", "n1"), after=2)
    pass_time(s, 3.0, "n1")  # n0 dies without having acknowledged view 3
    assert s.node.view.number == 3


def test_the_added_member_may_be_promoted_after_the_acknowledgement() -> None:
    s = service(nodes=2)
    pass_time(s, 1.5, "n0")
    ping(s, "n1", 2)
    lead(s, "n0", 2, joined=("n1",))
    lead(s, "n0", 3, synced=True)
    pass_time(s, 1.5, "n1")
    assert s.node.view == View(4, ("n1",), after=3)


def test_a_member_of_every_view_since_the_acknowledged_one_may_be_promoted_before_it() -> None:
    s = service()
    depose_n0(s)
    for _ in range(15):  # n1 dies before it acknowledges view 2
        s.advance(0.1)
        ping(s, "n2", 2, holds=1)
    assert s.node.view == View(3, ("n2",), after=1)


def test_an_uninitialised_server_is_never_promoted() -> None:
    s = service(nodes=2)
    lead(s, "n0", 1)
    pass_time(s, 1.5, "n0")
    pass_time(s, 3.0, "n1")
    assert s.node.view == View(2, ("n0",), after=1)


def test_a_server_that_has_lost_its_disk_is_never_promoted() -> None:
    s = service(nodes=2)
    lead(s, "n0", 1)
    for _ in range(30):
        s.advance(0.1)
        ping(s, "n1", 0, holds=0)
    assert s.node.view.primary == "n0"


def test_a_dead_server_is_never_promoted() -> None:
    s = service()
    lead(s, "n0", 1)
    pass_time(s, 0.5, "n0")
    pass_time(s, 1.5, "n2")
    assert s.node.view.members == ("n2",)


def test_when_all_are_dead_nothing_changes_until_an_initialised_one_returns() -> None:
    s = service(nodes=2)
    lead(s, "n0", 1)
    s.advance(10.0)
    assert s.node.view.number == 1
    ping(s, "n0", 1, serving=False)
    assert s.node.view.primary == "n0"


def test_a_primary_that_does_not_take_its_view_up_is_passed_over() -> None:
    s = service()
    depose_n0(s)
    for _ in range(15):  # n1 pings, but never hears that it is primary of view 2
        s.advance(0.1)
        ping(s, "n1", 1)
        ping(s, "n2", 2, holds=1)
    assert s.node.view.primary == "n2"


def test_view_numbers_grow_by_one_and_successive_views_differ() -> None:
    s = service()
    seen = [s.node.view]
    for alive in (("n0", "n1"), ("n1",), ("n0", "n1"), ("n0",)):
        for _ in range(20):
            pass_time(s, 0.1, *alive)
            if s.node.view != seen[-1]:
                seen.append(s.node.view)
    assert [v.number for v in seen] == list(range(1, len(seen) + 1))
    assert all(a.members != b.members for a, b in pairwise(seen))


def test_the_view_survives_a_restart_and_a_service_that_was_down_removes_no_member() -> None:
    s = service()
    lead(s, "n0", 1)
    pass_time(s, 1.5, "n1", "n2")
    s.time += 100.0
    s.restart()
    assert s.node.view == View(2, ("n1", "n2"), after=1)
    s.advance(0.9)
    assert s.node.view.number == 2


def test_everyone_learns_a_new_view_at_once() -> None:
    s = service()
    lead(s, "n0", 1)
    s.take()
    lead(s, "n0", 1, silent=("n1",))
    told = [dst for dst, m in s.sent if isinstance(m, ViewIs) and m.view.number == 2]
    assert sorted(set(told) | {"n0"}) == ["n0", "n1", "n2"]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_lease_rests_on_pings_of_the_view_that_it_is_for(confirmed: bool) -> None:
    """Else a primary that was passed over for not taking up its view might have taken it up after all."""
    s = service()
    depose_n0(s)
    began = s.take("n1", ViewIs)[-1].asked
    s.advance(0.3)
    s.deliver("n1", Ping(2 if confirmed else 1, 1, stamp(s), serving=confirmed))
    assert s.take("n1", ViewIs)[-1].asked == (stamp(s) if confirmed else began)
