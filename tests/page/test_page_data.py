"""What the space-time page gets is what the frames say: no message, step, span or state is lost or made up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.network import constant
from sim.page import packed
from sim.page.pool import TablePool
from tests.page.runs import SCENARIO, data_of, run


def table(details: dict[str, Any], place: int) -> dict[str, Any]:
    """A table of the pool, as the page reads it."""
    shape, *values = details["tables"][place]
    return {
        name: value_of(details, value) for name, value in zip(details["shapes"][shape], values, strict=True)
    }


def value_of(details: dict[str, Any], value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [value_of(details, item) for item in value]
    if isinstance(value, str) and value.startswith("@"):
        return value[1:] if value[1] == "@" else table(details, int(value[1:]))
    return value


def test_a_pool_gives_back_what_was_put_in() -> None:
    texts = [
        *('{"a":1,"b":[true,1,1.5,"@x",{"c":null}]}', '{"a":1,"b":[1,1,1.5,"@x",{"c":null}]}', "{}"),
        *('{"a":true}', '{"a":1}', '{"b":1}', '{"a":"@@0"}', '{"a":{"a":1}}', '{"a":"<script>"}'),
    ]
    pool = TablePool()
    places = [pool.add(text) for text in texts]
    details = json.loads(json.dumps(pool.written()))
    for text, place in zip(texts, places, strict=True):
        assert json.dumps(table(details, place), separators=(",", ":")) == text
    assert places == [pool.add(text) for text in texts]
    with pytest.raises(ValueError, match="only tables have a place"):
        pool.add("[1]")


def test_contents_and_states_of_the_page_are_those_of_the_frames() -> None:
    _, details = data_of(run())
    contents = [json.dumps(table(details, at), separators=(",", ":")) for at in details["contents"]]
    assert contents == run().messages["content"].tolist()
    changes = [table(details, at) for at in details["changes"]]
    assert changes == [json.loads(text) for text in run().steps["state"]]


def test_messages_of_the_page_are_those_of_the_frame() -> None:
    drawn, _ = data_of(run())
    rows, found = run().messages, drawn["messages"]
    names = [node["name"] for node in drawn["nodes"]]
    assert [found["kinds"][at] for at in found["kind"]] == rows["kind"].tolist()
    assert [found["fates"][at] for at in found["fate"]] == rows["fate"].tolist()
    for end in ("src", "dst"):
        assert [names[at] for at in found[end]] == rows[end].tolist()
    for time in ("sent", "delivered"):
        there = np.array([np.nan if value is None else value for value in found[time]])
        np.testing.assert_allclose(there, rows[time].to_numpy(), atol=1e-9)
    assert {*found["fates"]} >= {"delivered", "cut", "crashed"}  # the run has what is to be told apart


def test_messages_are_about_the_operations_that_they_name() -> None:
    drawn, _ = data_of(run())
    operations = run().operations
    for row, about in zip(run().messages["operations"], drawn["messages"]["about"], strict=True):
        named = [[operations["process"][at], operations["sequence"][at]] for at in about]
        assert json.loads(row) in ([], named)
    requests = run().messages["kind"] == "Request"
    assert all(
        len(about) == 1 for about, asks in zip(drawn["messages"]["about"], requests, strict=True) if asks
    )


def test_faults_and_roles_are_spans_and_bands_at_their_times() -> None:
    drawn, _ = data_of(run())
    names = [node["name"] for node in drawn["nodes"]]
    spans = list(zip(*(drawn["spans"][name] for name in ("node", "what", "start", "end")), strict=True))
    first = next(names[node] for node, what, *_ in spans if what == "leader")
    assert [(names[n], s, e) for n, what, s, e in spans if what == "paused"] == [("n1", 0.5, 0.6)]
    assert [(names[n], s, e) for n, what, s, e in spans if what == "down"] == [(first, 1.0, 1.5)]
    assert [(band["start"], round(band["end"], 9)) for band in drawn["bands"]] == [(2.0, 2.3)]
    assert drawn["bands"][0]["links"] == [[["n2"], ["n0", "n1"]], [["n0", "n1"], ["n2"]]]
    led = [(s, e) for n, what, s, e in spans if what == "leader" and names[n] == first]
    assert led[0][1] == 1.0  # a crash ends the role


def test_a_message_is_delayed_if_it_took_more_than_twice_the_median_of_its_link() -> None:
    slow = replace(SCENARIO, network=constant(0.010), faults=())
    assert data_of(slow.run(seed=1))[0]["messages"]["late"] == []
    frames = dict(slow.run(seed=1).frames)
    messages = frames["messages"].copy()
    messages.loc[5, "delivered"] = messages.loc[5, "sent"] + 0.0201
    from sim.analysis.space_time_data import space_time_data

    drawn, _ = space_time_data({**frames, "messages": messages}, ended=2.6)
    assert drawn["messages"]["late"] == [5]


@pytest.mark.parametrize(("trace", "said"), [(True, "no full trace"), (False, "not traced")])
def test_a_run_without_a_full_trace_shows_less_and_says_so(trace: bool, said: str) -> None:
    drawn, details = data_of(replace(SCENARIO, trace=trace).run(seed=1))
    assert said in drawn["notes"][0]
    assert drawn["steps"] is None
    assert details == {}
    assert bool(drawn["messages"]["kind"]) is trace
    assert drawn["operations"]["kind"] == run().operations["kind"].tolist()


def test_what_is_left_out_is_said() -> None:
    drawn, details = data_of(run(), contents=False)
    assert "the contents of messages" in drawn["notes"][0]
    assert "contents" not in details
    assert len(details["changes"]) == len(run().steps)
    drawn, details = data_of(run(), contents=False, states=False)
    assert "contents of messages and the states of nodes" in drawn["notes"][0]
    assert details["tables"] == []


def test_equal_data_are_packed_into_equal_bytes() -> None:
    assert packed(data_of(run())[1]) == packed(data_of(SCENARIO.run(seed=1))[1])
