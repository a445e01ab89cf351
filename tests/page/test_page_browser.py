"""The space-time page in Chromium: it shows what the run had, by mouse and by keyboard, and runs no foreign code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.analysis.causes import Causes
from sim.cluster.tracer import state_of
from tests.page.runs import EVIL, SCENARIO, opened, page_of, run, tiled, until


@pytest.fixture(scope="module")
def tab(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    file = page_of(run().frames, run().ended, tmp_path_factory.mktemp("page") / "run.html")
    with opened(browser, file) as tab:
        tab.evaluate("window.page = window.spaceTime[0]")
        yield tab


@pytest.fixture(autouse=True)
def fresh(tab: Any) -> None:
    tab.evaluate("page.clear(); page.view.fit(); page.paint(true)")


def text_of(tab: Any, selector: str) -> str:
    return str(tab.locator(selector).first.text_content())


def test_the_state_at_each_step_is_the_one_that_the_run_had_then(tab: Any) -> None:
    nodes = ["n0", "n1", "n2", "c0"]
    places = [*range(0, len(run().steps), 7), 3, len(run().steps) - 1, 100]
    shown = tab.evaluate(
        "([places, nodes]) => places.map(at => (page.go(at), nodes.map(node => page.stateOf(node))))",
        [places, nodes],
    )
    for at, states in zip(places, shown, strict=True):
        assert states == [run().state(node, step=at) for node in nodes], at


def test_stepping_back_shows_the_state_of_the_simulation_at_that_time(tab: Any) -> None:
    live = SCENARIO.start(seed=1)
    live.run(until=1.2)
    tab.evaluate("page.goTime(2.4)")
    later = tab.evaluate("page.at")
    while tab.evaluate("page.now") > 1.2:
        tab.evaluate("for (let i = 0; i < 10 && page.now > 1.2; i++) page.go(page.at - 1)")
    assert tab.evaluate("page.at") < later
    for name, host in live.cluster.hosts.items():
        expected = state_of(host) if host.is_up else None
        assert tab.evaluate("name => page.stateOf(name)", name) == expected, name
    assert "down" in text_of(tab, f"details[data-node={run().operations['node'][0]}] summary")


def test_a_node_has_its_new_role_from_the_step_in_which_it_got_it(tab: Any) -> None:
    events = run().events
    roles = events[events["event"] == "role"].drop_duplicates(["time", "node"], keep="last")
    assert len(roles) > 5
    for time, node, detail in zip(roles["time"], roles["node"], roles["detail"], strict=True):
        tab.evaluate("time => page.goTime(time + 1e-9)", time)
        assert text_of(tab, f"details[data-node={node}] summary") == f"{node} · {detail['role']}", time


def test_keys_and_buttons_move_step_zoom_and_play(tab: Any) -> None:
    frame = tab.locator(".picture").first
    frame.focus()
    tab.evaluate("page.go(50)")
    tab.keyboard.press(".")
    tab.keyboard.press(".")
    tab.keyboard.press(",")
    assert tab.evaluate("page.at") == 51
    for name, at in (("step forth", 52), ("step back", 51), ("step back", 50), ("to the beginning", 0)):
        tab.get_by_role("button", name=name).click()
        assert tab.evaluate("page.at") == at, name
    tab.evaluate("page.go(51)")
    frame.focus()
    span = tab.evaluate("page.view.end - page.view.start")
    tab.keyboard.press("+")
    assert tab.evaluate("page.view.end - page.view.start") < span
    start = tab.evaluate("page.view.start")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("page.view.start") > start
    tab.keyboard.press("0")
    assert tab.evaluate("page.view.end - page.view.start") == pytest.approx(span)
    tab.evaluate("page.go(0); page.speed.value = '1'")
    tab.keyboard.press(" ")
    until(tab, "page.now > 0.15")
    tab.keyboard.press(" ")
    assert tab.evaluate("page.ticking") == 0
    assert tab.evaluate("page.at") > 0
    tab.keyboard.press("/")
    assert tab.evaluate("page.shadow.activeElement === page.query")


def test_the_wheel_zooms_and_moves_only_where_the_picture_has_the_focus(tab: Any) -> None:
    box = tab.locator(".picture").first.bounding_box()
    tab.evaluate("document.activeElement.blur(); page.query.blur()")
    tab.mouse.move(box["x"] + 600, box["y"] + 100)
    span = tab.evaluate("page.view.end - page.view.start")
    tab.mouse.wheel(0, -300)
    tab.wait_for_timeout(50)
    assert tab.evaluate("page.view.end - page.view.start") == span  # the wheel scrolls the page
    tab.locator(".picture").first.focus()
    tab.mouse.wheel(0, -300)
    until(tab, f"page.view.end - page.view.start < {span}")
    start = tab.evaluate("page.view.start")
    tab.mouse.down()
    tab.mouse.move(box["x"] + 500, box["y"] + 100)
    tab.mouse.up()
    assert tab.evaluate("page.view.start") > start  # dragged to the left: later times


def test_hovering_over_a_message_tells_its_content_and_size(tab: Any) -> None:
    rows = run().messages
    at = int(rows.index[(rows["kind"] == "Request") & (rows["fate"] == "delivered")][3])
    row = rows.loc[at]
    place = tab.evaluate(
        """at => {
          page.view.center(page.run.sent[at], 0.08); page.paint(true);
          const { view, run } = page, part = 0.41;
          const x = view.x(run.sent[at]) * (1 - part) + view.x(run.arrival[at]) * part;
          const y = view.y(run.src[at]) * (1 - part) + view.y(run.dst[at]) * part;
          const box = page.over.getBoundingClientRect();
          return [box.left + x, box.top + y];
        }""",
        at,
    )
    tab.mouse.move(*place)
    told = text_of(tab, ".tip")
    assert told.startswith(f"Request  {row['src']} → {row['dst']}  ({row['bytes']} bytes)")
    assert "delivered, after 10.000 ms" in told
    assert json.loads(row["content"])["command"]["key"] in told
    assert "handled by on_request" in told
    tab.mouse.click(*place)
    assert tab.evaluate("page.picked.at") == at
    assert text_of(tab, ".told") == tab.evaluate("page.tell(page.picked)")


def test_filters_by_kind_node_key_and_fate_leave_what_they_name(tab: Any) -> None:
    rows, operations = run().messages, run().operations

    def shown() -> set[int]:
        return {i for i, on in enumerate(tab.evaluate("[...page.view.shown]")) if on}

    tab.locator("button.chip", has_text="AppendEntriesReply").click()
    assert shown() == {*rows.index[rows["kind"] != "AppendEntriesReply"]}
    tab.locator("button.chip", has_text="AppendEntriesReply").click()
    tab.locator("summary", has_text="Filter by node").click()
    tab.get_by_role("button", name="n2", exact=True).click()
    assert shown() == {*rows.index[(rows["src"] != "n2") & (rows["dst"] != "n2")]}
    tab.get_by_role("button", name="n2", exact=True).click()
    tab.get_by_label("only messages with this fate").select_option("cut")
    assert shown() == {*rows.index[rows["fate"] == "cut"]}
    tab.get_by_label("only messages with this fate").select_option("")
    tab.evaluate("page.keys.value = 'k1'; page.filter()")
    mine = {
        (p, s)
        for p, s, k in zip(operations["process"], operations["sequence"], operations["key"], strict=True)
        if k == "k1"
    }
    requests = {i for i in shown() if rows["kind"][i] == "Request"}
    wanted = {
        i
        for i in rows.index[rows["kind"] == "Request"]
        if {tuple(p) for p in json.loads(rows["operations"][i])} & mine
    }
    assert requests == wanted != set()
    assert shown() < {*rows.index}
    tab.evaluate("page.keys.value = ''; page.filter()")
    assert shown() == {*rows.index}


def test_search_finds_all_and_goes_to_each(tab: Any) -> None:
    tab.evaluate("page.go(0)")
    box = tab.locator("input[type=search]")
    box.fill("RequestVoteReply")
    box.press("Enter")
    hits = tab.evaluate("page.hits")
    rows, steps = run().messages, run().steps
    assert {h["at"] for h in hits if h["what"] == "message"} == {
        *rows.index[rows["kind"] == "RequestVoteReply"]
    }
    first = tab.evaluate("page.now")
    box.press("Enter")
    assert tab.evaluate("page.hit") == 1
    assert tab.evaluate("page.now") >= first
    box.fill("heartbeat")
    box.press("Enter")
    handlers = {*steps.index[steps["handler"].str.contains("heartbeat")]}
    assert {h["at"] for h in tab.evaluate("page.hits") if h["what"] == "step"} >= handlers != set()
    box.fill("no such thing")
    box.press("Enter")
    assert "nothing found" in str(tab.locator("[role=status]").text_content())


def test_causes_and_effects_are_those_of_the_trace(tab: Any) -> None:
    causes = Causes(run().messages, run().steps)
    step = int(run().operations["return_step"][10])
    chain = [step]
    while causes.after(chain[-1]) >= 0:
        chain.append(causes.after(chain[-1]))
    tab.evaluate("step => (page.go(step), page.follow('causes'))", step)
    assert tab.evaluate("page.causes.steps") == chain
    assert len(chain) > 3
    begun = int(run().operations["call_step"][10])
    effects, grown = {begun}, True
    while grown:
        more = {s for s in range(len(run().steps)) if causes.after(s) in effects} - effects
        effects |= more
        grown = bool(more)
    tab.evaluate("step => (page.clear(), page.go(step), page.follow('effects'))", begun)
    assert {*tab.evaluate("page.effects.steps")} == effects
    assert step in effects
    assert {*tab.evaluate("page.effects.messages")} == {
        *run().messages.index[run().messages["step"].isin(effects)]
    }


def test_what_a_run_says_is_text_and_never_code(tab: Any) -> None:
    at = int(run().operations.index[run().operations["kind"] == "put"][2])
    told = tab.evaluate("at => (page.pick({ what: 'operation', at }), page.told.textContent)", at)
    assert json.dumps(EVIL)[1:-1] in told or EVIL in told
    assert (
        tab.evaluate(
            "document.querySelectorAll('img[src=x]').length + page.shadow.querySelectorAll('img, script').length"
        )
        == 0
    )
    assert tab.evaluate("window.evil") is None


def test_pages_without_a_full_trace_and_on_dark_pages_work(browser: Any, tmp_path: Path) -> None:
    plain = replace(SCENARIO, trace=True).run(seed=1)
    file = page_of(plain.frames, plain.ended, tmp_path / "plain.html")
    with opened(browser, file, color_scheme="dark") as tab:
        assert "no full trace" in text_of(tab, ".notes")
        assert tab.evaluate("window.spaceTime[0].picture.theme.back") == "#161616"
        tab.evaluate("window.spaceTime[0].go(5)")
        assert tab.evaluate("window.spaceTime[0].stateOf('n0')") is None
        tab.evaluate("window.spaceTime[0].follow('causes')")
        assert "no full trace" in text_of(tab, ".told")
    nothing = replace(SCENARIO, trace=False).run(seed=1)
    with opened(browser, page_of(nothing.frames, nothing.ended, tmp_path / "no.html", traced=False)) as tab:
        assert "not traced" in text_of(tab, ".notes")
        assert tab.evaluate("window.spaceTime[0].moments ?? window.spaceTime[0].run.moments.length") > 0


SCROLL = """([from, to]) => new Promise(done => {
  const page = window.spaceTime[0], times = [];
  page.view.start = from; page.view.end = to; page.paint(true);
  page.frame.focus();
  let before = performance.now(), right = 1;
  const begun = before;
  const frame = () => {
    const now = performance.now();
    times.push(now - before);
    before = now;
    if (!page.view.pan(0.02 * right)) right = -right;
    page.paint(true);
    if (now - begun < 3000) requestAnimationFrame(frame);
    else done([times.length, Math.max(...times.slice(1)), Math.max(...page.frames.slice(-times.length))]);
  };
  requestAnimationFrame(frame);
})"""


def thread_times(browser: Any, tab: Any, act: Callable[[], Any]) -> tuple[Any, dict[str, list[float]]]:
    """What ``act`` gives, and the processor milliseconds of each task of each thread while it ran.

    Unlike times of the wall they do not depend on what else the machine does.
    """
    browser.start_tracing(page=tab, categories=["toplevel", "disabled-by-default-devtools.timeline"])
    done = act()
    rows = json.loads(browser.stop_tracing())["traceEvents"]
    names = {
        (row["pid"], row["tid"]): row["args"]["name"] for row in rows if row.get("name") == "thread_name"
    }
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["name"] in ("RunTask", "ThreadPool_RunTask") and "tdur" in row:
            found.setdefault(names.get((row["pid"], row["tid"]), ""), []).append(row["tdur"] / 1000)
    return done, found


@pytest.mark.nightly
def test_100_000_messages_are_painted_within_2_s_and_scroll_without_a_frame_over_100_ms(
    browser: Any, tmp_path: Path
) -> None:
    """In time of the processor; on a machine that does nothing else, in time of the wall, too."""
    times = -(-100_000 // len(run().messages))
    whole = run().ended * times
    file = page_of(tiled(run().frames, run().ended, times), whole, tmp_path / "large.html")
    assert file.stat().st_size < 10_000_000
    quiet = os.getloadavg()[0] < 0.5 * (os.cpu_count() or 1)
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    tab = context.new_page()

    def paint() -> float:
        tab.goto(file.as_uri())
        until(tab, "window.spaceTime && window.spaceTime[0]", seconds=60.0)
        return float(tab.evaluate("window.spaceTime[0].painted"))

    painted, threads = thread_times(browser, tab, paint)
    assert sum(threads["CrRendererMain"]) < 2000
    assert painted < 2000 or not quiet
    until(tab, "window.spaceTime[0].detailed", seconds=60.0)
    assert tab.evaluate("window.spaceTime[0].run.count") >= 100_000
    for span in (whole, whole / 20, 3.0, 0.5):
        where = [0.3 * whole, 0.3 * whole + span]
        (frames, longest, _), threads = thread_times(
            browser, tab, lambda where=where: tab.evaluate(SCROLL, where)
        )
        assert frames > 5, span
        # A frame is drawn by the main thread, and then by the others while the next one is prepared.
        assert max(threads["CrRendererMain"]) < 100, span
        assert max(time for each in threads.values() for time in each) < 100, span
        assert longest < 100 or not quiet, span
    context.close()


def test_3_000_messages_are_counted_where_they_are_dense_and_each_drawn_where_not(
    browser: Any, tmp_path: Path
) -> None:
    times = -(-3_000 // len(run().messages))
    file = page_of(tiled(run().frames, run().ended, times), run().ended * times, tmp_path / "middle.html")
    with opened(browser, file) as tab:
        tab.evaluate("window.page = window.spaceTime[0]; page.view.fit(); page.paint(true)")
        counted = tab.evaluate(
            "[page.picture.counted, page.picture.binned.counts.reduce((a, b) => a + b), page.run.count]"
        )
        assert counted[0] is True
        assert counted[1] == counted[2] >= 3_000
        tab.evaluate("page.view.center(15.8, 0.5); page.paint(true)")
        shown = tab.evaluate(
            "[page.picture.visible, [...page.run.sent], [...page.run.arrival], page.view.start, page.view.end]"
        )
        sent, arrival = shown[1], shown[2]
        touching = [i for i in range(len(sent)) if sent[i] <= shown[4] and arrival[i] >= shown[3]]
        assert sorted(shown[0]) == touching != []
        # The time of drawing alone; a frame of the screen also waits for other work of this machine.
        tab.evaluate(
            "page.frames.length = 0; for (let i = 0; i < 20; i++) { page.view.pan(0.05); page.paint(true); }"
        )
        assert sorted(tab.evaluate("page.frames"))[10] < 100
