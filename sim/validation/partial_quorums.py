"""Dynamo between coordinators that store nothing, so that each of the four kinds of messages of PBS has its own link.

Bailis et al., "Probabilistically Bounded Staleness for Practical Partial Quorums", PVLDB 5(8), 2012, with N = 3 and the
delays of its table 3, fitted to LinkedIn's services.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.analysis.pbs import Wars, sampled, wars, wars_of_messages
from sim.distributions import Distribution
from sim.lab import Scenario
from sim.network import Exponential, Mixture, Pareto, matrix
from sim.network.topology import Topology
from sim.protocols import Dynamo
from sim.protocols.client import Retry
from sim.workload import ReadAfterWrite

__all__ = ["DELAYS", "KINDS", "WAN", "N", "answers", "per_replica", "sampled_apart", "sampled_delays"]

N = 3
KINDS = ("Put", "PutAck", "Get", "GetReply")


def _fitted(share: float, rate: float, xm: float, alpha: float) -> Distribution:
    """An exponential (rate in 1/ms) with a probability of ``share``, else a Pareto tail (xm in ms), in seconds."""
    return Mixture(((share, Exponential(1e-3 / rate)), (1.0 - share, Pareto(1e-3 * xm, alpha))))


_SSD = _fitted(0.0878, 1.66, 0.235, 10.0)
DELAYS: dict[str, tuple[Distribution, Distribution]] = {
    "LNKD-SSD": (_SSD, _SSD),
    "LNKD-DISK": (_fitted(0.62, 0.183, 1.05, 1.51), _SSD),
}
"""Delays of write requests; of acknowledgements, read requests and replies."""

WAN, FAR = "WAN", 0.075
"""The delays of LNKD-DISK, and seconds more each way between data centres; there is a replica in each."""


def per_replica(
    delays: str, writer: int, reader: int, stretch: float = 1.0
) -> tuple[list[Distribution], ...]:
    """The delays of the four kinds of message by replica; ``writer``, ``reader``: data centres of the coordinators."""
    writing, others = (each.scaled(stretch) for each in DELAYS["LNKD-DISK" if delays == WAN else delays])
    far = FAR * stretch if delays == WAN else 0.0

    def from_or_to(centre: int, delay: Distribution) -> list[Distribution]:
        return [delay.shifted(far) if far and replica != centre else delay for replica in range(N)]

    to_writer, to_reader = from_or_to(writer, others), from_or_to(reader, others)
    return from_or_to(writer, writing), to_writer, to_reader, to_reader


def sampled_delays(
    delays: str, *, reads: int, writes: int, trials: int, seed: int, stretch: float = 1.0
) -> Wars:
    """The model alone: independent delays drawn from the distributions.

    On the WAN, coordinators are in data centres at random: a third of the trials in the same one.
    """
    if delays != WAN:
        writing, others = (each.scaled(stretch) for each in DELAYS[delays])
        return sampled(
            writing, others, others, others, n=N, reads=reads, writes=writes, trials=trials, seed=seed
        )
    both = [
        sampled(
            *per_replica(delays, 0, reader, stretch),
            n=N,
            reads=reads,
            writes=writes,
            trials=count,
            seed=2 * seed + reader,
        )
        for reader, count in ((0, trials // N), (1, trials - trials // N))
    ]
    return Wars(*(np.concatenate(parts) for parts in zip(*both, strict=True)))


def sampled_apart(delays: str, *, reads: int, writes: int, trials: int, seed: int) -> Wars:
    """The model alone, with the coordinators as `answers` has them: on the WAN in different data centres."""
    if delays != WAN:
        return sampled_delays(delays, reads=reads, writes=writes, trials=trials, seed=seed)
    return sampled(*per_replica(delays, 0, 1), n=N, reads=reads, writes=writes, trials=trials, seed=seed)


def _network(delays: str) -> Topology:
    """Replicas, a coordinator for writes and one for reads, each at a place of its own.

    On the WAN the coordinators are in different data centres.
    """
    replicas = [f"replica {i}" for i in range(N)]
    w, a, r, s = per_replica(delays, 0, 1)
    links = {
        **{("writer", name): w[i] for i, name in enumerate(replicas)},
        **{(name, "writer"): a[i] for i, name in enumerate(replicas)},
        **{("reader", name): r[i] for i, name in enumerate(replicas)},
        **{(name, "reader"): s[i] for i, name in enumerate(replicas)},
    }
    places = [*replicas, "writer", "reader"]
    between = DELAYS["LNKD-SSD"][1]  # on links that carry nothing
    return matrix(places, [[links.get((src, dst), between) for dst in places] for src in places])


def answers(
    delays: str, *, reads: int, writes: int, trials: int, waits: tuple[float, ...], seed: int
) -> tuple[Wars, Any, Any]:
    """Trials of the protocol: what the model says of the delays of its messages, whether reads saw the write, waits.

    ``waits``: seconds from the commit to the read, in turn. The latencies are what the model makes of the delays.
    """
    run = Scenario(
        system=Dynamo(
            nodes=N,
            n=N,
            r=reads,
            w=writes,
            repair="off",
            handoff=False,
            sync_every=None,
            proxies=2,
            heartbeat=10.0,
            detection=1e6,
            grace=1e7,
        ),
        network=_network(delays),
        workload=ReadAfterWrite(writer="p0", reader="p1", waits=waits, trials=trials, every=0.5),
        retry=Retry(timeout=1e6),
        duration=0.5 * trials + 600.0,  # the tail of a Pareto is long
        trace=True,
    ).run(seed)
    operations = run.operations
    by_trial = operations["key"].str.removeprefix("k").astype(int)
    put, get = (
        operations[operations["kind"] == kind].set_index(by_trial[operations["kind"] == kind]).sort_index()
        for kind in ("put", "get")
    )
    assert len(put) == len(get) == trials
    order = np.argsort(get["called"].to_numpy(), kind="stable")  # reads may be called out of order of trials
    w, a, r, s = wars_of_messages(
        run.messages, writer="p0", reader="p1", replicas=[f"n{i}" for i in range(N)], kinds=KINDS
    )
    back = np.empty(trials, dtype=int)
    back[order] = np.arange(trials)
    found = wars(w, a, r[back], s[back], reads=reads, writes=writes)
    assert np.allclose(put["latency"], found.write_latency)
    assert np.allclose(get["latency"], found.read_latency)
    return found, (get["value"] == put["value"]).to_numpy(), (get["called"] - put["returned"]).to_numpy()
