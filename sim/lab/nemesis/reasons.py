"""Why no storm of a system has some kind of faults: "" where it may have it."""

from __future__ import annotations

from collections.abc import Callable

from sim.lab.led import has_leader
from sim.lab.nemesis.kinds import Circumstances

__all__ = [
    "clocks_are_right",
    "damage_is_outside",
    "first_of",
    "has_few_members",
    "has_no_leader",
    "may_not_crash",
    "members_down_are_bounded",
    "no_administration",
    "no_clients",
    "no_messages",
    "no_news",
    "no_writes",
    "none_may_be_gone",
]


WhyNot = Callable[[Circumstances], str]


def first_of(*reasons: WhyNot) -> WhyNot:
    """The first of these reasons that there is."""
    return lambda setting: next(filter(None, (reason(setting) for reason in reasons)), "")


def may_not_crash(setting: Circumstances) -> str:
    most = setting.system.max_down
    return "" if most is None or most > 0 else "no member may be down (max_down)"


def members_down_are_bounded(setting: Circumstances) -> str:
    most = setting.system.max_down
    return "" if most is None else f"at most {most} members may be down at once (max_down)"


def none_may_be_gone(setting: Circumstances) -> str:
    return "" if setting.system.max_gone else "it needs all members for progress (max_gone)"


def has_few_members(least: int) -> WhyNot:
    def reason(setting: Circumstances) -> str:
        size = len(setting.names)
        return "" if size >= least else f"it needs {least} replicas, and there are {size}"

    return reason


def has_no_leader(setting: Circumstances) -> str:
    return "" if has_leader(setting.system) else "none of its members leads"


def no_news(setting: Circumstances) -> str:
    return "" if setting.news else "its nodes record no event"


def no_messages(setting: Circumstances) -> str:
    return "" if setting.messages else "its replicas take no messages from each other"


def no_writes(setting: Circumstances) -> str:
    return "" if setting.writes else "no replica writes to disk"


def damage_is_outside(setting: Circumstances) -> str:
    allowed = setting.system.disks_may_be_damaged
    return "" if allowed else "its disks keep what was synced (disks_may_be_damaged is False)"


def clocks_are_right(setting: Circumstances) -> str:
    system = setting.system
    right = not system.wall_clock_may_jump and system.max_clock_drift == 0
    return "clocks are exact in its fault model" if right else ""


def no_clients(setting: Circumstances) -> str:
    return "" if setting.clients else "it has no clients"


def no_administration(setting: Circumstances) -> str:
    return "" if setting.system.administration else "it serves no request of an administrator"
