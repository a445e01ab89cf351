"""The load of the busiest replica, counted in messages, beside the formula of Ailijiang, Charapko & Demirbas.

"Dissecting the Performance of Strongly-Consistent Replication Protocols" (SIGMOD 2019): with L leaders that share the
commands, quorums of Q and no conflicts, the busiest replica takes part in (Q + L - 2) / L exchanges (a question and its
answer) per command: for each of its own commands it needs Q - 1 answers, and to each of the others' it gives one.

We count just that in the trace of a run: answers that reached a leader before its command was decided, and answers that
a replica sent. Every leader has one client, which waits until all is quiet before its next command.

    python validation/paxi_load.py
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from sim import Scenario
from sim.distributions import Uniform as Between
from sim.network import lan
from sim.protocols import EPaxos, Mencius, MultiPaxos
from sim.system import System
from sim.workload import ClosedLoop, UniformKeys

NODES = 9
COMMANDS = 20  # of each client
LATENCY = lan(
    Between(0.0009, 0.0011)
)  # seconds: no two answers come together, and no message overtakes its cause


@dataclass(frozen=True)
class Case:
    """A protocol with its leaders and quorum, the class of its answers, and of what a leader sends once it has decided.

    ``decided=None``: the answer to the client.
    """

    system: System
    leaders: int
    quorum: int
    answer: str
    decided: str | None

    @property
    def formula(self) -> Fraction:
        """(Q + L - 2) / L."""
        return Fraction(self.quorum + self.leaders - 2, self.leaders)


CASES = {
    "Multi-Paxos": Case(MultiPaxos(nodes=NODES), 1, 5, "Accepted", None),
    "Multi-Paxos, phase2=3": Case(MultiPaxos(nodes=NODES, phase1=7, phase2=3), 1, 3, "Accepted", None),
    "Mencius": Case(Mencius(nodes=NODES), NODES, 5, "Accepted", "Chosen"),
    "EPaxos": Case(EPaxos(nodes=NODES), NODES, 8, "PreAcceptOk", None),
}


def load(case: Case, seed: int = 1) -> Fraction:
    """Exchanges per command at the busiest replica."""
    run = Scenario(
        system=case.system,
        network=LATENCY,
        workload=ClosedLoop(
            clients={f"n{i}": 1 for i in range(case.leaders)},
            think=0.2,
            operations=COMMANDS,
            keys=UniformKeys(100_000),
            reads=0.0,
        ),
        duration=10.0,
        trace=True,
    ).run(seed)
    between = run.messages[run.messages["src"] != run.messages["dst"]]
    answers = between[between["kind"] == case.answer]
    exchanges = {f"n{i}": int((answers["src"] == f"n{i}").sum()) for i in range(NODES)}
    for leader, commands in run.operations.groupby("node"):
        came = answers.loc[answers["dst"] == leader, "delivered"].sort_values()
        for called, decided in zip(
            commands["called"], _decisions(case, str(leader), commands, between), strict=True
        ):
            exchanges[str(leader)] += int(came.between(called, decided).sum())
    return Fraction(max(exchanges.values()), len(run.operations))


def _decisions(case: Case, leader: str, commands: pd.DataFrame, between: pd.DataFrame) -> list[float]:
    """When each command of a leader was decided, in order (seconds)."""
    if case.decided is None:
        return [float(time) for time in commands["returned"]]
    told = between[(between["kind"] == case.decided) & (between["src"] == leader)]
    return sorted(dict.fromkeys(float(time) for time in told["sent"]))


def main() -> None:
    """Print the table."""
    for name, case in CASES.items():
        print(f"{name:22} L={case.leaders} Q={case.quorum}  formula {case.formula}  counted {load(case)}")


if __name__ == "__main__":
    main()
