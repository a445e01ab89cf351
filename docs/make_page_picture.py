"""Draws docs/images/space_time_page.png: the space-time page of a failover of Raft, in Chromium.

Needs Playwright and Chromium. Run: python docs/make_page_picture.py [FILE]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from sim import Scenario
from sim.faults import Crash, Partition
from sim.network import wan
from sim.protocols import Raft
from sim.workload import OpenLoop, Zipf

TARGET = Path(__file__).parent / "images" / "space_time_page.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

SCENARIO = Scenario(
    name="A leader crashes, and a follower is cut off",
    system=Raft(nodes=5),
    network=wan("virginia", "california", "oregon", "tokyo", "ireland"),
    workload=OpenLoop(clients=2, rate=6.0, keys=Zipf(5)),
    faults=[
        Crash("leader", at=2.0, down=4.0),
        Partition((("n4",), ("n0", "n1", "n2", "n3")), at=4.2, duration=0.5),
    ],
    duration=6.5,
    trace="full",
)


def main(target: Path = TARGET) -> None:
    """Write the picture: the election, with the causes of the vote that decided it."""
    run = SCENARIO.run(seed=1)
    elected = run.events["time"][run.events["event"] == "elected"].iloc[-1]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = run.report(Path(folder) / "run.html")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        tab = browser.new_page(viewport={"width": 1240, "height": 1000}, device_scale_factor=1.5)
        tab.goto(file.as_uri())
        while not tab.evaluate("Boolean(window.spaceTime[0] && window.spaceTime[0].detailed)"):
            tab.wait_for_timeout(50)
        tab.evaluate(
            """at => { const page = window.spaceTime[0]; page.view.start = at - 0.35; page.view.end = at + 0.35;
            page.goTime(at); page.follow("causes"); page.paint(true); }""",
            float(elected),
        )
        tab.wait_for_timeout(300)
        box = tab.locator(".space-time").first.bounding_box()
        assert box is not None
        tab.screenshot(path=target, clip={**box, "height": min(box["height"], 760)}, full_page=True)
        browser.close()
    Image.open(target).convert("RGB").quantize(96).save(
        target, optimize=True
    )  # few colours, a third of the bytes


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
