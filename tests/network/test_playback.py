"""Replay: at time t a link has the latency and the loss that were measured at t, all pairs of a file together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim import Member, Scenario
from sim.cluster import Cluster
from sim.network import wan
from sim.network.wan import Wan
from sim.node import Node, message
from sim.protocols import Raft
from sim.workload import OpenLoop
from sim.written import from_toml, to_toml

SAMPLES = """\
time,src,dst,rtt_ms
100,a,b,20
101,a,b,200
102,a,b,
103,a,b,40
101,b,c,60
102,b,c,600
100,a,c,10
"""


@message
class Tick:
    number: int


class Ear(Node):
    """Keeps when which tick arrived."""

    def on_start(self) -> None:
        self.heard: list[tuple[float, int]] = []

    def on_tick(self, src: str, msg: Tick) -> None:
        self.heard.append((self.now, msg.number))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "incident.csv"
    path.write_text(SAMPLES)
    return path


def arrivals(network: Wan, src: str, dst: str, sent: list[float]) -> dict[int, float]:
    """Number of a tick -> seconds that it took; those that are lost are missing."""
    made = Cluster(network, seed=1)
    made.add(Member("x", Ear), place=src)
    made.add(Member("y", Ear), place=dst)
    made.boot()
    for i, at in enumerate(sent):
        made.env.call_at(at, lambda i: made.nodes["x"].send("y", Tick(i)), i)
    made.env.run(until=sent[-1] + 100.0)
    return {number: when - sent[number] for when, number in made.nodes["y"].heard}  # type: ignore[attr-defined]


def test_each_way_takes_half_of_the_round_trip_measured_at_that_time(file: Path) -> None:
    network = wan(csv=file, replay=True)
    sent = [0.0, 0.999, 1.0, 1.5, 2.5, 3.0, 3.9]
    for ends in (("a", "b"), ("b", "a")):  # measured from a only: the other way plays the same
        took = arrivals(network, *ends, sent)
        assert took == pytest.approx({0: 0.01, 1: 0.01, 2: 0.1, 3: 0.1, 5: 0.02, 6: 0.02})
    # b to c was first measured one second later: until then, as then.
    assert arrivals(network, "b", "c", [0.0, 1.5, 2.0]) == pytest.approx({0: 0.03, 1: 0.03, 2: 0.3})


def test_start_shifts_the_recording_and_after_says_what_follows(file: Path) -> None:
    sent = [0.0, 0.5, 1.5, 2.5, 3.5]
    held = wan(csv=file, replay=True, start=101.0, after="hold")
    assert arrivals(held, "a", "b", sent) == pytest.approx({0: 0.1, 1: 0.1, 3: 0.02, 4: 0.02})
    # From 101 to 104 is a period of three seconds.
    again = wan(csv=file, replay=True, start=101.0, after="repeat")
    assert arrivals(again, "a", "b", sent) == pytest.approx({0: 0.1, 1: 0.1, 3: 0.02, 4: 0.1})


def test_a_run_beyond_the_recording_is_refused_by_default(file: Path) -> None:
    def scenario(**options: Any) -> Scenario:
        network = wan(csv=file, replay=True, **options)
        return Scenario(system=Raft(nodes=3), network=network, workload=OpenLoop(), duration=4.5)

    with pytest.raises(
        ValueError, match=r"recording ends 4 s after start=100.0, before the run of 4.5 s: .*repeat"
    ):
        scenario()
    assert scenario(after="hold").run(seed=1).digest() == scenario(after="hold").run(seed=1).digest()


def test_loss_over_a_window_is_the_share_of_lost_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "lossy.csv"
    rows = [f"{i / 10},a,b,{'' if i % 4 == 0 else 10}" for i in range(400)]
    path.write_text("\n".join(["time,src,dst,rtt_ms", *rows]))
    network = wan(csv=path, replay=True, loss_over=4.0)
    played = network.link("a", "b").playback
    assert played is not None
    assert (1.0 - played.loss(20.0)) ** 2 == pytest.approx(0.75, abs=0.02)
    sent = [10.0 + i / 100 for i in range(2000)]
    assert 1.0 - len(arrivals(network, "a", "b", sent)) / 2000 == pytest.approx(1 - 0.75**0.5, abs=0.03)


def test_a_stream_sends_again_until_the_link_is_back(file: Path) -> None:
    network = wan(csv=file, replay=True, transport="stream", retransmit=0.4)
    # Sent at 2.0 into the loss until 3.0: again after 0.4 and 1.2 s; the latency is that of the last try.
    assert arrivals(network, "a", "b", [2.0]) == pytest.approx({0: 1.22})
    silent = wan(csv=file, replay=True, transport="stream", start=102.0, after="hold", loss=0.0)
    assert arrivals(silent, "a", "b", [1.0]) == pytest.approx({0: 0.02})


def test_a_stream_gives_up_where_the_recording_ends_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "dead.csv"
    path.write_text("time,src,dst,rtt_ms\n0,a,b,10\n1,a,b,\n")
    network = wan(csv=path, replay=True, transport="stream", after="hold")
    assert arrivals(network, "a", "b", [0.5, 1.5]) == pytest.approx({0: 0.005})


def test_calm_ends_the_incident(file: Path) -> None:
    calm = wan(csv=file, replay=True).calmed()
    sent = [2.0 + i / 100 for i in range(50)]
    assert len(arrivals(calm, "a", "b", sent)) == 50
    assert calm.link("a", "b").playback is None


def test_a_replay_comes_back_from_its_written_form(file: Path) -> None:
    network = wan(csv=file, replay=True, after="repeat")
    back = from_toml(to_toml(network))
    assert back == network
    assert arrivals(back, "a", "b", [1.0]) == arrivals(network, "a", "b", [1.0])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            SAMPLES,
            {"start": 200.0},
            "start=200.0 is not before the end; the samples are from 100.0 to 104.0 s",
        ),
        (SAMPLES, {"loss_over": 0.0}, "loss_over"),
        (SAMPLES, {"after": "stop"}, "'stop'"),
        (SAMPLES.replace("103,a", "102,a"), {}, "two samples from 'a' to 'b' at 102.0 s"),
        ("src,dst,rtt_ms\na,b,5\n", {}, "line 2: replay needs samples with their times"),
        ("rtt,a,b\na,,5\n", {}, "line 2: replay needs samples with their times"),
    ],
)
def test_what_cannot_be_replayed_is_refused(tmp_path: Path, text: str, options: Any, message: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        wan(csv=tmp_path / "f.csv", replay=True, **options)


def test_settings_of_a_replay_need_a_replay(file: Path) -> None:
    with pytest.raises(ValueError, match=r"start=3\.0 would have no effect without replay=True"):
        wan(csv=file, start=3.0)
    with pytest.raises(ValueError, match="replay=True needs a file"):
        wan("tokyo", replay=True)
