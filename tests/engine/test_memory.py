"""The compiled engine keeps nothing: neither simulations that have ended or were left, nor messages that arrived."""

from __future__ import annotations

from tests.budget import examples
from tests.engine.engines import child, needs_both

pytestmark = needs_both

SIMULATIONS = """
import gc, resource, sys
from sim import Scenario
from sim.cluster import Machine
from sim.kernel import Environment
from sim.protocols import Raft
from sim.workload import ClosedLoop
from pathlib import Path

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

scenario = Scenario(
    system=Raft(nodes=3), workload=ClosedLoop(clients=2), machines=Machine(per_message=1e-5), duration=0.05,
)
before, count = 0, int(sys.argv[1])
gc.collect()
gc.freeze()  # the collector looks only at what is made from now on
for number in range(count):
    simulation = scenario.start(number)
    simulation.run()
    assert len(simulation.env._queue) > 3  # it is left in the middle of things
    del simulation
    if number % 10 == 0:
        gc.collect()
    if number == count // 2:
        gc.collect()
        before = resident()
gc.collect()
alive = [one for one in gc.get_objects() if isinstance(one, Environment)]
print(resident() - before, len(alive))
"""

MESSAGES = """
import gc, weakref
from sim.cluster import Cluster
from sim.network import lan
from sim.node import Node, message
from sim.system import Member

class Watched:
    __slots__ = ("__weakref__",)

@message
class Ball(Watched):
    left: int
    text: str

born = []

class Player(Node):
    def on_start(self):
        if self.name == "n0":
            self.hit("n1", 500)

    def hit(self, to, left):
        ball = Ball(left, "x" * 1000)
        born.append(weakref.ref(ball))
        self.send(to, ball)

    def on_ball(self, src, msg: Ball):
        if msg.left:
            self.hit(src, msg.left - 1)

gc.disable()
cluster = Cluster(lan(0.001, loss=0.0), 1)
for name in ("n0", "n1"):
    cluster.add(Member(name, Player), place=cluster.network.topology.regions[0])
cluster.boot()
cluster.env.run(until=0.1)
alive = sum(ref() is not None for ref in born)
cluster.env.run(until=1.0)
print(len(born), alive, sum(ref() is not None for ref in born))
"""

REFUSED = """
import gc, sys
from sim.node import message

@message
class Positive:
    number: int
    text: str
    def __post_init__(self):
        if self.number < 0:
            raise ValueError("negative")

text = "a text " * 10
before = sys.getrefcount(text)
for _ in range(100):
    for call in (
        lambda: Positive(-1, text),
        lambda: Positive(text),
        lambda: Positive(1, text, text),
        lambda: Positive(1, txt=text),
    ):
        try:
            call()
        except (TypeError, ValueError):
            pass
    Positive(1, text), Positive(number=1, text=text)
gc.collect()
print(sys.getrefcount(text) - before)
"""


DEFINED_AGAIN = """
import gc, weakref
from sim.message import message

def define():
    @message
    class Mine:
        number: int
        text: str = "x"
    assert (Mine(1).text, Mine(1, "y").text, Mine(number=2).number) == ("x", "y", 2)
    return weakref.ref(Mine)

seen = [define() for _ in range(20)]
gc.collect()
print(sum(one() is not None for one in seen))
"""
"""A notebook runs the cell that defines a class again and again: the newest one is kept, to be found by its name."""


@examples(40, 200)
def test_simulations_that_are_left_in_the_middle_take_no_memory(examples: int) -> None:
    grown, alive = map(int, child("compiled", ["-c", SIMULATIONS, str(examples)])[-1].split())
    assert alive == 0
    assert grown < 3e6  # bytes, over half of them; one that is kept takes some 0.3 MB


def test_messages_are_freed_when_they_were_delivered() -> None:
    """By counting references, without the garbage collector: only one is under way at a time."""
    sent, alive, left = map(int, child("compiled", ["-c", MESSAGES])[-1].split())
    assert (sent, alive, left) == (501, 1, 0)


def test_objects_that_are_made_or_refused_keep_no_reference_to_their_fields() -> None:
    assert child("compiled", ["-c", REFUSED]) == ["0"]


def test_a_message_class_that_was_defined_again_is_freed() -> None:
    assert child("compiled", ["-c", DEFINED_AGAIN]) == ["1"]
