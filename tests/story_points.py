"""The point of each story in scenarios/, in the figures of its conclusion: what must hold for the story to be told.

A function a story, named like its script; `say` finds numbers in the conclusion, each ``#`` in a pattern being one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["POINTS", "Say"]

_NUMBER = r"([0-9][0-9,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)"


class Say:
    """The conclusion of a story: ``say("p99 # ms")`` gives the numbers, ``"valid" in say`` asks for words."""

    def __init__(self, told: str) -> None:
        self.told = told

    def __call__(self, pattern: str) -> list[float]:
        found = re.search(_NUMBER.join(re.escape(part) for part in pattern.split("#")), self.told)
        assert found, f"{pattern!r} is not said in: {self.told}"
        return [float(group.replace(",", "")) for group in found.groups()]

    def one(self, pattern: str) -> float:
        (number,) = self(pattern)
        return number

    def __contains__(self, words: str) -> bool:
        return words in self.told

    def line(self, number: int) -> Say:
        return Say(self.told.strip().splitlines()[number])


# Consensus


def consensus_by_region(say: Say) -> None:
    virginia, tokyo = say.line(0), say.line(1)
    assert "quickest for virginia" in virginia
    assert "quickest for tokyo" in tokyo
    assert (
        virginia.one("EPaxos # ms") < virginia.one("Multi-Paxos # ms") < 0.8 * tokyo.one("Multi-Paxos # ms")
    )
    assert abs(virginia.one("EPaxos # ms") - tokyo.one("EPaxos # ms")) < 0.1 * virginia.one("EPaxos # ms")


def election_timeouts(say: Say) -> None:
    equal, some, wide = say("# ms with timeouts nearly equal, # ms at 1.5 times, # ms at 3 times")
    assert equal > 2 * some
    assert some < 1.2 * wide


def epaxos_interference(say: Say) -> None:
    wins, calm, leader, star = say("in # of 5 regions; means over regions # ms against # ms (EPaxos*: # ms)")
    assert wins >= 4
    assert star < calm < leader
    assert say.one("its mean is # times as long") > 1.3
    assert "all histories: valid" in say


def flexible_quorums(say: Say) -> None:
    majority, two, *phase1 = say(
        "takes # ms with majorities and # ms with phase2=2 (#%); its phase 1 takes # and # ms"
    )
    assert two < majority
    assert phase1[1] < phase1[2]
    stuck, more = say("for a fraction # of it with majorities, and # with phase1=4")
    assert more > 10 * stuck


def incident_replay(say: Say) -> None:
    """Tight timeouts cause needless elections where samples are played back, and never where they are drawn."""
    five = "#, #, #, #, #"
    played = say(f"elected needlessly {five} times")
    drawn = say(f"times ({five} where")
    assert played == sorted(played, reverse=True)
    assert played[0] >= 3
    assert played[-2:] == drawn[:2] == [0.0, 0.0]
    assert say(f"lost: {five} by Raft") == [0.0] * 5
    backup = say(f"{five} by primary-backup")
    assert sum(backup[:3]) >= 3
    assert backup[-2:] == [0.0, 0.0]
    assert max(say(f"without an answer {five} s")) < 3.5


def leader_bottleneck(say: Say) -> None:
    best = {
        name: say.one(f" {name} #/s")
        for name in ("EPaxos", "Multi-Paxos", "Multi-Paxos, batches", "Raft, batches")
    }
    assert best["EPaxos"] > 1.4 * best["Multi-Paxos"]
    assert abs(best["Multi-Paxos, batches"] - best["Raft, batches"]) < 0.1 * best["Raft, batches"]
    calm, spread = say.one("Multi-Paxos #, Raft"), say.one("EPaxos #, Multi-Paxos")
    assert spread < 0.7 * calm
    multi, raft = say("Multi-Paxos #, Raft #, Multi-Paxos, batches")
    assert abs(multi - raft) < 0.5
    assert say.one("Raft's leader gets #") < 0.75 * raft


def leader_placement(say: Say) -> None:
    best, worst = (float(x) for x in re.findall(r"(\d+) ms led from", say.told))
    assert best < 0.7 * worst
    assert say.one("without a leader # ms") < 1.1 * best
    own, others = say("waits # ms on average, all others # ms")
    assert own < 0.6 * others


def leaseguard(say: Say) -> None:
    quorum, lease, deferred, inherited = (
        say(f"{way} # and #") for way in ("quorum", "lease", "deferred commit", "inherited reads")
    )
    assert abs(lease[0] - 2 * quorum[0]) < 0.2 * lease[0]  # a plain lease is unavailable twice as long
    assert abs(deferred[0] - lease[0]) < 0.1 * lease[0]
    assert inherited[0] < 1.1 * quorum[0]
    assert say.one("then # deferred writes") > 20
    by_quorum, by_lease = say("a read takes # ms by quorum and # ms by lease")
    assert by_quorum >= 20
    assert by_lease == 0
    equal, skewed = say("inherited lease # % are served with equal keys, # %")
    assert equal > 85 > skewed
    assert say.one("closed form: # points") < 7


def many_raft_groups(say: Say) -> None:
    one, spread, times = say("Leaders on one machine: # writes/s at most; spread over 5: #/s, # times")
    assert spread > 2 * one
    assert 2.0 < times < 4.0  # (n + 1) / 2 = 3


def membership_change(say: Say) -> None:
    alone = say.one("one at a time: 4 of 4 requests done, # ms, valid")
    handed = say.one("leadership handed over first: 5 of 5 requests done, # ms, valid")
    joint = say.one("joint consensus: 2 of 2 requests done, # ms, valid")
    assert handed < 0.3 * min(alone, joint)


def partial_partition(say: Say) -> None:
    cuts = say.one("Cuts of # in which")
    assert say.one("Omni-Paxos #.") == cuts
    for other in ("Raft, figure 2", "Raft, PreVote", "Multi-Paxos"):
        assert say.one(f"{other} #") < cuts
    outage, leaders = say("Omni-Paxos is without an answer for # T at most, and elects # leader at most")
    assert outage <= 4  # the paper's claim for quorum loss, its longest outage
    assert leaders == 1
    swings, loaded, idle = say("Multi-Paxos elects #, Raft of figure 2 # with load and # without")
    assert swings > 20
    assert loaded < idle
    figure2, pre_vote = say("a deaf server makes it elect #, with PreVote #.")
    assert figure2 > 5
    assert pre_vote == 0


def paxos_duel(say: Say) -> None:
    (none, longest), (some, shorter) = (
        say(f"{case} # and # ms") for case in ("no backoff", "backoff up to 50 ms")
    )
    assert some < none
    assert shorter < longest
    assert say.one("took # Prepare messages") > 4
    assert say.told.strip().endswith("duels: 0.")


def price_of_reads(say: Say) -> None:
    log, index, lease, follower, stale = (
        say(f"{way} # ms (# messages)") for way in ("log", "index", "lease", "follower", "stale")
    )
    assert lease[0] < 0.6 * min(log[0], index[0], follower[0])
    assert stale[0] < 0.1 * lease[0]
    assert lease[1] < 0.5 * min(log[1], index[1])
    assert "Linearizable: log, index, lease, follower; caught: stale" in say


def raft_failover(say: Say) -> None:
    assert 2.0 < say.one("no client was served for # s") < 8.0
    assert say("acknowledged operations # were lost") == [0.0]
    assert "valid (linearizable)" in say


def registers_without_consensus(say: Say) -> None:
    raft_reads, raft_writes, reads, writes = say("Raft reads # ms, writes # ms; ABD reads # ms, writes # ms")
    assert reads < 0.8 * raft_reads
    assert writes > 1.1 * raft_writes
    raft, abd = say("wait for up to # s with Raft and # s with ABD")
    assert raft > 4 * abd


def snapshot_transfer(say: Say) -> None:
    whole, rare, often = (
        say(f"{case}: # ms and # kB to catch up, log of at most # entries, # kB written")
        for case in ("log kept whole", "snapshot every 500", "snapshot every 50")
    )
    assert max(rare[1], often[1]) < 0.5 * whole[1]  # sent
    assert often[2] < rare[2] < whole[2]  # kept
    assert often[3] > rare[3]  # written


def unsafe_quorums(say: Say) -> None:
    assert "Refused on construction: Paxos" in say
    assert "agreement violated" in say
    assert say.told.strip().endswith("violations: 0.")


def wan_comparison(say: Say) -> None:
    assert "Raft has the lowest median" in say or "Multi-Paxos has the lowest median" in say
    near, far = say.one("virginia # ms"), say.one("tokyo # ms")
    assert near < 0.5 * far
    assert say.one("has the lowest median: # ms") > near


def wan_tail_elections(say: Say) -> None:
    short, pre_vote, derived = say(
        "there are # needless candidacies a minute, # with PreVote; with the derived 2.7 s #"
    )
    assert short > 10 * max(pre_vote, 0.1)
    assert derived == 0.0
    waits = say("takes longer than # s, # s and # s")
    assert waits[0] > 1.2 * min(waits[1], waits[2])


# Replication


def bounded_staleness(say: Say) -> None:
    at_once, _, partial, stricter = say(
        "sees the write in #% of cases, and #% of reads do after # ms; with R = 2, W = 1 after # ms"
    )
    assert 20 < at_once < 80
    assert stricter < 0.6 * partial
    meeting, not_meeting = say("costs writes # ms instead of # ms")
    assert meeting > 1.4 * not_meeting


def chain_throughput(say: Say) -> None:
    chain, primary = say("the chain does # operations a second, primary-backup #:")
    assert chain > 1.05 * primary
    craq, _, _, least, most = say(
        "Without updates CRAQ does #, as every server answers; with # % all are bound by the # ms "
        "that ordering an update costs (# to #)"
    )
    assert craq > 1.5 * chain
    assert most < 1.3 * least


def failover_modes(say: Say) -> None:
    sync, semi, fallback, flagged, asynchronous, silent = say(
        "sync #, semi-sync #, with a fallback # of the # it flagged, async # with # flagged"
    )
    assert sync == semi == silent == 0.0
    assert asynchronous > 10
    assert 0 < fallback <= flagged
    slow, middle, quick = say("take up to # ms with sync, # ms with semi-sync, # ms with async")
    assert quick < middle < slow


def lost_counters(say: Say) -> None:
    wall, hybrid, larger = say(
        "loses #% by wall clocks and #% by hybrid clocks; showing the larger of two siblings loses #%"
    )
    assert wall > hybrid > 3
    assert larger > 3
    shown, acknowledged, under_way = say("shows # for # acknowledged and # under way")
    assert acknowledged <= shown <= acknowledged + under_way


def primary_crash(say: Say) -> None:
    whole, unheard, seconds, rate = say(
        "loses # acknowledged writes when the primary crashes on a healthy network, "
        "and # when no backup has heard it for # s (# writes/s"
    )
    assert whole < 0.1 * unheard
    assert 0.6 * seconds * rate < unheard < 1.4 * seconds * rate
    assert say("Sync loses # and #") == [0.0, 0.0]
    slow, quick = say("up to # ms instead of # ms")
    assert slow > 1.5 * quick


def shopping_cart(say: Say) -> None:
    put, lost, back, out = say(
        "Of # items put into carts, last writer wins loses #, and # of # taken out come back"
    )
    assert 0.02 * put < lost
    assert 0 < back < out
    kept, returned, _ = say("the union of siblings loses #, and # of # come back")
    assert kept == 0 < returned
    none, _, never, _ = say("With an observed-remove set # of # are lost, and # of # come back")
    assert none == never == 0


def sloppy_quorums(say: Say) -> None:
    strict, sloppy, hints = say(
        "strict quorums answer #% of operations and sloppy ones #%, which keep # hints"
    )
    assert strict < 0.7 * sloppy
    assert hints > 0
    assert "strict history is valid, the sloppy one invalid" in say
    assert say("(strict: #)") == [0.0]


def split_brain(say: Say) -> None:
    unfenced, fenced, sync = (
        say.one("and # acknowledged writes are lost"),
        say.one("With a lease it is #"),
        say.one("sync replication loses #"),
    )
    assert unfenced > 3 * fenced > 0
    assert sync == 0


def stale_reads(say: Say) -> None:
    primary, lease = say.one("primary # ms (linearizable)"), say.one("lease # ms (linearizable)")
    assert lease < 0.6 * primary
    assert say.one("session # ms (sequential)") < 0.2 * primary
    assert say.one("backup # ms") < 0.2 * primary
    assert "backup 0 ms (linearizable)" not in say
    assert say.one("at backups #% were stale") > 2
    assert say.one("; # operations prove") >= 2


def clock_skew(say: Say) -> None:
    wall, seen = say(
        "wall clocks loses # % of acknowledged writes; # % had seen the write that replaced them"
    )
    least, most, known = say("By hybrid clocks it loses # to # % over all skews, and at most # % had seen it")
    assert wall > 3 * most
    assert seen > 10
    assert known == 0
    assert most - least < 0.2 * wall  # whatever the skew


# Membership


def gossip_thousand(say: Say) -> None:
    push, pull, both = say("learn of it know after # (push), # (pull), # (push-pull)")
    assert both < pull < push
    one, three = say("leaves out #% or #%")
    assert one > 5 * three


def who_is_down(say: Say) -> None:
    quick, wrong = say("finds a crash in # s at # false suspicions an hour")
    slow, few, cheap, dear = say(
        "takes # s, is wrong # times an hour, and sends # messages a second and member instead of #"
    )
    assert slow > 3 * quick
    assert few < 0.05 * wrong
    assert cheap < 0.5 * dear


# Communication


def broadcast_order(say: Say) -> None:
    causal, elsewhere, own = say(
        "elsewhere after # ms and at its origin at once; a total order by Raft after # ms and # ms"
    )
    assert min(elsewhere, own) > 1.5 * causal
    kept = {name: say.one(f"{name} #") for name in ("best-effort", "causal", "total, Raft", "ordered reads")}
    assert kept["best-effort"] < kept["causal"] <= kept["total, Raft"] <= kept["ordered reads"] == 5


def rpc_deadlines(say: Say) -> None:
    told, untold, busy = say(
        "answers #% of its capacity in time; one without them answers #%, and is just as busy (#%)"
    )
    assert told > 70
    assert untold < 0.2 * told
    assert busy > 90


# Balancing


def balancing_policies(say: Say) -> None:
    random, robin = say("latency is # ms at random and # ms with round-robin")
    assert random > 1.2 * robin
    theory, measured = say("theory says # ms at 50% load (# ms here)")
    assert abs(measured - theory) < 0.15 * theory


def grey_server(say: Say) -> None:
    blind = say.one(
        "The grey server got #% of the requests under"
    )  # whichever of those that count nothing is the worst
    slow, ewma, quick = say("(p99 # ms) and #% under peak EWMA (p99 # ms)")
    assert 8 < blind < 12
    assert ewma < 0.3 * blind
    assert quick < 0.2 * slow
    assert "in none of the" in say


def hedging(say: Say) -> None:
    before, after, more = say("brings p99.9 from # to # ms for #% more requests")
    assert after < 0.3 * before
    assert 3 < more < 12
    assert say.one("Tied requests reach # ms") > 0.7 * before


def keys_moved(say: Say) -> None:
    ring, jump, maglev, modulo, must = say(
        "the ring moves #% of the keys, jump #%, Maglev #%, modulo #%; the minimum is #%"
    )
    assert max(ring, jump, maglev) < 1.5 * must
    assert modulo > 80
    fullest, slow, bounded, quick = say(
        "gets # times its share (p99 # ms); bounded loads bring that to # (p99 # ms)"
    )
    assert bounded < fullest
    assert quick < slow


def overload(say: Say) -> None:
    assert say.one("unlimited queues answer in time #%") < 20
    assert min(say("short queues #%, controlled delay #%, rate limit #%, deadlines carried #%")) > 60


def policies_by_load(say: Say) -> None:
    for line, worse, better in (
        (0, "random", "least connections"),
        (1, "weighted random", "weighted least conn."),
    ):
        high = say.line(line)(f"p99 is # ms with {worse} and # ms with {better} (at 70%: # and # ms)")
        assert high[0] > 1.5 * high[1]
        assert high[0] - high[1] > high[2] - high[3]  # the fuller, the more it matters


def retry_storm(say: Say) -> None:
    goodput, attempts = say("goodput is #% of what is offered, servers get # attempts a request")
    assert goodput < 20
    assert attempts > 3
    assert min(say("retry budget #%, circuit breaker #%, shedding #%")) > 80


def stale_load(say: Say) -> None:
    fresh_shortest, fresh_two, _ = say(
        "every 5 ms the shortest queue takes # ms on average, two choices # ms, random # ms"
    )
    shortest, two, random = say("every 400 ms it takes # ms, two choices # ms, random # ms")
    assert fresh_shortest < 1.2 * fresh_two < random
    assert shortest > 3 * random
    assert two < 0.5 * shortest


POINTS: dict[str, Callable[[Say], None]] = {
    name: found
    for name, found in list(globals().items())
    if callable(found) and getattr(found, "__module__", "") == __name__ and name.islower() and name[0] != "_"
}
