"""The zoo: famous mistakes in distributed protocols, each a correct system with one thing overridden.

>>> from sim.zoo import RF3
>>> Scenario(system=RF3(), ...)

``sim zoo`` lists them, ``sim zoo RF3`` tells one, ``sim zoo RF3 --find`` looks for a run that shows it. `BUGS` has
them by id, with the place where each happened.
"""

from sim.zoo.balancing import LB1, LB2, LB3, LB4, LB5, LB6, LB7
from sim.zoo.bug import ENTERED, Bug, Cost, Mutated, bug
from sim.zoo.chain import CR1, CR2, CR3
from sim.zoo.consensus import EP5, VR1
from sim.zoo.membership import FD1, FD2
from sim.zoo.multi_primary import DY1, DY2, DY3, MM1, MM3, MM4
from sim.zoo.paxos import MP1, MP4, PX1, PX2, PX4
from sim.zoo.primary_backup import PB1, PB2, PB3, PB4, PB5, PB6
from sim.zoo.raft import RF1, RF2, RF3, RF4, RF5, RF6, RF24
from sim.zoo.raft_extensions import RF7, RF8, RF9, RF13, RF17, RF18, RF20, RF22, RF23, RF25

_FAMILIES = ("PX", "MP", "EP", "RF", "VR", "PB", "CR", "MM", "DY", "FD", "LB")

BUGS: dict[str, Bug] = {
    name: ENTERED[name]
    for name in sorted(ENTERED, key=lambda name: (_FAMILIES.index(name[:2]), int(name[2:])))
}
"""All mistakes by id, protocol after protocol."""

__all__ = [
    "BUGS",
    "CR1",
    "CR2",
    "CR3",
    "DY1",
    "DY2",
    "DY3",
    "EP5",
    "FD1",
    "FD2",
    "LB1",
    "LB2",
    "LB3",
    "LB4",
    "LB5",
    "LB6",
    "LB7",
    "MM1",
    "MM3",
    "MM4",
    "MP1",
    "MP4",
    "PB1",
    "PB2",
    "PB3",
    "PB4",
    "PB5",
    "PB6",
    "PX1",
    "PX2",
    "PX4",
    "RF1",
    "RF2",
    "RF3",
    "RF4",
    "RF5",
    "RF6",
    "RF7",
    "RF8",
    "RF9",
    "RF13",
    "RF17",
    "RF18",
    "RF20",
    "RF22",
    "RF23",
    "RF24",
    "RF25",
    "VR1",
    "Bug",
    "Cost",
    "Mutated",
    "bug",
]
