"""A bank. Transfers touch two accounts, so a history is judged as a whole. The total of all money never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sim.protocols.application import Application
from sim.protocols.command import Command, Result

if TYPE_CHECKING:
    from sim.node import RandomSource

__all__ = ["Bank"]


class Bank(Application):
    """Accounts a0, a1, ...; each begins with ``balance``.

    ``transfer`` moves an amount from the account ``key`` to another account. Its argument is ``(to, amount)``; it fails
    if the balance is too small. ``balance`` reads one account.
    """

    operations: ClassVar[frozenset[str]] = frozenset({"transfer", "balance"})
    reads: ClassVar[frozenset[str]] = frozenset({"balance"})
    may_fail: ClassVar[frozenset[str]] = frozenset({"transfer"})
    several_keys: ClassVar[frozenset[str]] = frozenset({"transfer"})

    def __init__(self, accounts: int = 4, balance: int = 10) -> None:
        if accounts < 2 or balance < 0:
            raise ValueError(
                f"Bank: at least 2 accounts, and no debts, not {accounts!r} accounts of {balance!r}"
            )
        self.balances = {f"a{number}": balance for number in range(accounts)}

    def apply(self, command: Command) -> Result:
        balances, source = self.balances, command.key
        if source not in balances:
            return Result("fail", command.value, f"there is no account {source}")
        if command.kind == "balance":
            return Result("ok", balances[source])
        to, amount = command.value
        if to not in balances or to == source or amount < 0:
            return Result("fail", command.value, f"{amount} cannot go from {source} to {to}")
        if balances[source] < amount:
            return Result("fail", command.value, f"{source} holds {balances[source]}")
        balances[source] -= amount
        balances[to] += amount
        return Result("ok", command.value)

    def touches(self, command: Command) -> frozenset[str]:
        """One account, or both."""
        return frozenset({command.key} if command.kind == "balance" else {command.key, command.value[0]})

    def draw(self, kind: str, random: RandomSource) -> tuple[str, Any]:
        """Two different accounts, and an amount from 1 to 5."""
        source, to = random.sample(list(self.balances), 2)
        return source, None if kind == "balance" else (to, 1 + random.below(5))

    def snapshot(self) -> tuple[tuple[str, int], ...]:
        return tuple(self.balances.items())

    def restore(self, snapshot: tuple[tuple[str, int], ...]) -> None:
        self.balances = dict(snapshot)
