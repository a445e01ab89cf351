"""Draw docs/images/cluster.svg: a Raft at work, as a run recorded it. The leader crashes, another one is elected.

python docs/make_cluster_picture.py [FILE]

Every dot is a message of the run, at its time and on its link. The picture moves by CSS, needs no script, and is dark
where pages are. All messages take equally long, so that one animation serves all: only their begins differ.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pandas as pd

from sim import Run, Scenario
from sim.faults import Crash
from sim.network import constant
from sim.protocols import Raft
from sim.workload import OpenLoop

TARGET = Path(__file__).resolve().parent / "images" / "cluster.svg"
SEED = 3
ONE_WAY = 0.06  # seconds
BEGIN, END = 0.5, 4.5  # simulated seconds: what the picture shows
CRASH, DOWN = 1.3, 2.2  # when the leader crashes, and for how long
SLOWER = 4.0  # seconds of the picture for a simulated second
LENGTH = (END - BEGIN) * SLOWER
WIDTH, HEIGHT = 760, 450

KINDS = {
    "request": "request, answer",
    "entry": "log entry",
    "beat": "heartbeat",
    "ack": "acknowledgement",
    "vote": "election",
}
STYLE = """
svg{font:14px "Helvetica Neue",Helvetica,Arial,sans-serif;--back:#f6f8fa;--ink:#24292f;--faint:#8c959f;--line:#d0d7de}
@media (prefers-color-scheme:dark){svg{--back:#161b22;--ink:#e6edf3;--faint:#8b949e;--line:#30363d}}
text{fill:var(--ink);text-anchor:middle}
.faint{fill:var(--faint)}.left{text-anchor:start}
.back{fill:var(--back);stroke:var(--line)}.link{stroke:var(--line)}
.request{fill:#0072b2}.entry{fill:#e69f00}.beat{fill:#8c959f}.ack{fill:#009e73}.vote{fill:#cc79a7}
.client{fill:#0072b2}.follower{fill:#8c959f}.leader{fill:#e69f00}.candidate{fill:#cc79a7}
.down{fill:none;stroke:#d55e00;stroke-width:3;stroke-dasharray:5 4}
.name{fill:#1f2328;font-weight:bold}.client+.name{fill:#fff}.down+.name{fill:var(--ink)}
.now{fill:var(--faint)}
@media (prefers-color-scheme:dark){.request{fill:#56b4e9}}
"""


def scenario() -> Scenario:
    """What the picture shows."""
    return Scenario(
        system=Raft(nodes=5),
        network=constant(ONE_WAY),
        workload=OpenLoop(rate=9.0, clients=3, reads=0.0),
        faults=[Crash("leader", at=CRASH, down=DOWN)],
        duration=END,
        trace="full",
        name="the picture of the README",
    )


def places() -> dict[str, tuple[float, float]]:
    """Where the nodes are drawn: replicas in a ring, clients on the left."""
    ring = {
        f"n{i}": (500 + 150 * math.sin(2 * math.pi * i / 5), 200 - 135 * math.cos(2 * math.pi * i / 5))
        for i in range(5)
    }
    return ring | {f"c{i}": (75.0, 95.0 + 105 * i) for i in range(3)}


def kind_of(message: pd.Series) -> str:
    """Which of the colours a message has."""
    kind = message["kind"]
    if kind == "AppendEntries":
        return "entry" if json.loads(message["content"])["entries"] else "beat"
    if kind == "AppendEntriesReply":
        return "ack"
    return "vote" if "Vote" in kind else "request"


def share(time: float) -> str:
    """A simulated time as a share of the picture's length, in percent."""
    return f"{100 * min(max((time - BEGIN) / (END - BEGIN), 0.0), 1.0):.2f}%"


def shown(name: str, spans: list[tuple[float, float]]) -> str:
    """The rule by which an element is visible in the spans of simulated time only."""
    steps = ["0%{opacity:0}"]
    for begin, end in spans:
        steps.append(f"{share(begin)}{{opacity:1}}")
        if end < END:
            steps.append(f"{share(end)}{{opacity:0}}")
    return f"@keyframes {name}{{{''.join(steps)}}}.{name}{{animation:{name} {LENGTH:g}s step-end infinite}}"


def states(run: Run) -> dict[str, list[tuple[float, float, str, str]]]:
    """Replica -> what it is, from when to when: begin, end (simulated seconds), role, what is written below it."""
    found: dict[str, list[tuple[float, float, str, str]]] = {}
    events = run.events
    for node in [f"n{i}" for i in range(5)]:
        own = events[events["node"] == node]
        marks = [(0.0, "follower", "")]
        for time, event, detail in zip(own["time"], own["event"], own["detail"], strict=True):
            if event == "elected":
                marks.append((time, "leader", f"leader of term {detail['term']}"))
            elif event == "role" and detail["role"] != "leader":
                marks.append((time, detail["role"], "" if detail["role"] == "follower" else detail["role"]))
            elif event == "crash":
                marks.append((time, "down", "crashed"))
            elif event == "restart":
                marks.append((time, "follower", ""))
        ends = [time for time, _, _ in marks[1:]] + [END]
        found[node] = [
            (begin, end, role, told)
            for (begin, role, told), end in zip(marks, ends, strict=True)
            if end > BEGIN and end > begin
        ]
    return found


def captions(run: Run) -> list[tuple[float, str]]:
    """What happens, and from when on it is told."""
    events = run.events
    old = events.loc[events["event"] == "crash", "node"].iloc[0]
    elected = events[(events["event"] == "elected") & (events["time"] > CRASH)].iloc[0]
    new, term = elected["node"], elected["detail"]["term"]
    return [
        (BEGIN, f"{old} leads: it sends each write to the others, and answers when a majority holds it"),
        (CRASH, f"{old} crashes: clients wait, and ask the others"),
        (
            elected["time"],
            f"{elected['time'] - CRASH:.2f} s after the crash {new} has the votes of a majority: it leads term {term}",
        ),
        (
            CRASH + DOWN,
            f"{old} is back, with what was on its disk: it follows {new}, and gets what it missed",
        ),
    ]


def messages(run: Run) -> tuple[list[str], list[str]]:
    """The rules of the links on which messages travel, and the messages."""
    at = places()
    frame = run.messages
    frame = frame[
        (frame["sent"] >= BEGIN) & (frame["sent"] <= END - ONE_WAY) & (frame["src"] != frame["dst"])
    ]
    rules, dots = {}, []
    for _, message in frame.iterrows():
        (x, y), (to_x, to_y) = at[message["src"]], at[message["dst"]]
        link = f"{message['src']}{message['dst']}"
        rules[link] = f".{link}{{--x:{to_x - x:.0f}px;--y:{to_y - y:.0f}px}}"
        begin = (message["sent"] - BEGIN) * SLOWER
        dots.append(
            f'<circle class="m {link} {kind_of(message)}" cx="{x:.0f}" cy="{y:.0f}" r="5" '
            f'style="animation-delay:{begin:.2f}s"/>'
        )
    flight = 100 * ONE_WAY * SLOWER / LENGTH
    rules["m"] = (
        f".m{{opacity:0;animation:m {LENGTH:g}s linear infinite}}@keyframes m{{0%{{opacity:1;transform:none}}"
        f"{flight:.2f}%{{opacity:1;transform:translate(var(--x),var(--y))}}"
        f"{flight + 0.01:.2f}%,to{{opacity:0;transform:translate(var(--x),var(--y))}}}}"
    )
    return list(rules.values()), dots


def nodes(run: Run) -> tuple[list[str], list[str]]:
    """The rules of what the nodes are, and the nodes."""
    rules, drawn = [], []
    at = places()
    for name, spells in states(run).items():
        x, y = at[name]
        for number, (begin, end, role, told) in enumerate(spells):
            look = ""
            if len(spells) > 1:
                look = f"{name}s{number}"
                rules.append(shown(look, [(begin, end)]))
            quiet = ' opacity="0"' if number else ""
            drawn.append(
                f'<g class="{look}"{quiet}><circle class="{role}" cx="{x:.0f}" cy="{y:.0f}" r="24"/>'
            )
            drawn.append(f'<text class="name" x="{x:.0f}" y="{y + 5:.0f}">{name}</text>')
            if told:
                drawn.append(f'<text x="{x:.0f}" y="{y + 42:.0f}">{told}</text>')
            drawn.append("</g>")
    for number in range(3):
        x, y = at[f"c{number}"]
        drawn.append(
            f'<rect class="client" x="{x - 21:.0f}" y="{y - 17:.0f}" width="42" height="34" rx="7"/>'
        )
        drawn.append(f'<text class="name" x="{x:.0f}" y="{y + 5:.0f}">c{number}</text>')
    return rules, drawn


def telling(run: Run) -> tuple[list[str], list[str]]:
    """The rules of captions and of the bar of time, and both."""
    told = captions(run)
    ends = [begin for begin, _ in told[1:]] + [END]
    rules, drawn = [], []
    for number, ((begin, text), end) in enumerate(zip(told, ends, strict=True)):
        rules.append(shown(f"t{number}", [(begin, end)]))
        quiet = ' opacity="0"' if number else ""
        drawn.append(f'<text class="t{number}" x="{WIDTH / 2:g}" y="388"{quiet}>{text}</text>')
    left, wide = 40, WIDTH - 80
    drawn.append(f'<path class="link" d="M{left} 408H{left + wide}" stroke-width="3"/>')
    for begin, _ in told[1:]:
        x = left + wide * (begin - BEGIN) / (END - BEGIN)
        drawn.append(f'<circle class="vote" cx="{x:.0f}" cy="408" r="4"/>')
    drawn.append(f'<circle class="now" cx="{left}" cy="408" r="6"/>')
    rules.append(
        f".now{{animation:now {LENGTH:g}s linear infinite}}@keyframes now{{to{{transform:translate({wide}px)}}}}"
    )
    x = 70.0
    for kind, name in KINDS.items():
        drawn.append(f'<circle class="{kind}" cx="{x:.0f}" cy="430" r="5"/>')
        drawn.append(f'<text class="faint left" x="{x + 11:.0f}" y="435">{name}</text>')
        x += 42 + 7.4 * len(name)
    return rules, drawn


def draw() -> str:
    """The picture."""
    run = scenario().run(seed=SEED)
    at = places()
    ring = [f"n{i}" for i in range(5)]
    links = [
        f'<path class="link" d="M{at[a][0]:.0f} {at[a][1]:.0f}L{at[b][0]:.0f} {at[b][1]:.0f}"/>'
        for i, a in enumerate(ring)
        for b in ring[i + 1 :]
    ]
    parts = [messages(run), nodes(run), telling(run)]
    rules = [STYLE.strip(), *(rule for rules, _ in parts for rule in rules)]
    rules.append("@media (prefers-reduced-motion:reduce){*{animation:none!important}}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            "<title>A Raft of five replicas loses its leader and elects another one</title>",
            f"<style>{chr(10).join(rules)}</style>",
            f'<rect class="back" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10"/>',
            *links,
            *(line for _, lines in parts for line in lines),
            '<text class="faint" x="75" y="40">clients</text>',
            f'<text class="faint" x="{WIDTH - 75}" y="40">{SLOWER:g} times slower</text>',
            "</svg>\n",
        ]
    )


def main(target: Path = TARGET) -> None:
    """Write the picture; equal runs give an equal file."""
    target.write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
