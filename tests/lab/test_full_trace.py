"""A full trace says what happened and why, changes nothing of a run, and carries the state of each node."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import sim
from sim import Member, Node, Scenario, System, durable, protocols
from sim.analysis.anatomy import PARTS
from sim.cluster import Disk, Machine
from sim.cluster.tracer import state_of
from sim.faults import Crash, Cut, Pause
from sim.lab import Run, draw_storm
from sim.network import constant, lan
from sim.node import message
from sim.protocols import Raft
from sim.protocols.client import Client, Reply, Request
from sim.protocols.kv import KeyValueStore
from sim.protocols.sessions import Sessions
from sim.recorder import COLUMNS
from sim.workload import ClosedLoop


def systems() -> list[System]:
    """All systems that can be made without arguments."""
    made = []
    for name in protocols.__all__:
        kind = getattr(protocols, name)
        if isinstance(kind, type) and issubclass(kind, System):
            try:
                made.append(kind())
            except (TypeError, ValueError):
                continue
    return made


# A user's protocol


@message
class Copy:
    number: int
    command: Any


@message
class Copied:
    number: int


class Leader(Node):
    """Copies each write to all, and answers when all have it on disk. Its timer waits for more, and work takes time."""

    written = durable(0)

    def on_start(self) -> None:
        self.store = Sessions(KeyValueStore())
        self.waiting: dict[int, tuple[str, Any, list[str]]] = {}
        self.batch: list[tuple[str, Any]] = []

    def on_request(self, src: str, msg: Request) -> None:
        self.batch.append((src, msg.command))
        if len(self.batch) == 1:
            self.set_timer("batch", 0.005)

    def on_batch_timeout(self) -> None:
        self.work("copy", 0.001)

    def on_copy_done(self) -> None:
        for src, command in self.batch:
            self.written += 1
            self.waiting[self.written] = (src, command, [])
            self.broadcast(Copy(self.written, command))
        self.batch = []

    def on_copy(self, src: str, msg: Copy) -> None:
        self.written = msg.number
        self.send(src, Copied(msg.number))

    def on_copied(self, src: str, msg: Copied) -> None:
        client, command, have = self.waiting.get(msg.number, ("", None, []))
        have.append(src)
        if command is not None and len(set(have)) == len(self.peers):
            del self.waiting[msg.number]
            result = self.store.apply(command)
            if result is not None:
                self.send(client, Reply(command.session, command.sequence, result.status, result.value))


class First(Client):
    def target(self, command: Any, attempt: int) -> str:
        return self.settings.contacts[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mine(System):
    nodes: int = 3
    client_class = First

    def members(self) -> tuple[Member, ...]:
        return tuple(Member(f"n{i}", Leader) for i in range(self.nodes))

    def contacts(self) -> tuple[str, ...]:
        return ("n0",)


# What it must not change


def rows(run: Run, frame: str) -> list[Any]:
    found = getattr(run._recorder, frame)
    if frame == "operations":
        return [row[:13] for row in found]
    if frame == "messages":  # in another order; and the fates tell more apart
        return sorted(found, key=lambda row: repr((*row[:5], row[6])))
    return list(found)


@pytest.mark.parametrize("system", systems(), ids=lambda s: type(s).__name__)
def test_a_full_trace_changes_nothing_and_the_parts_of_each_path_add_up_to_the_latency(
    system: System,
) -> None:
    scenario = dataclasses.replace(draw_storm(system, 0, length=0.4, clients=3), trace=True)
    plain, full = scenario.run(0), dataclasses.replace(scenario, trace="full").run(0)
    assert plain.events_processed == full.events_processed
    for frame in COLUMNS:
        if frame == "messages":
            ours = [(*row[:5], row[6]) for row in rows(full, frame)]
            assert repr(ours) == repr([(*row[:5], row[6]) for row in rows(plain, frame)])
        else:
            assert repr(rows(full, frame)) == repr(rows(plain, frame)), frame
    paths = full.critical_paths()
    answered = full.operations[full.operations["return_step"] >= 0]
    assert len(answered)
    assert set(paths["operation"]) == set(answered.index)
    total = paths.groupby("operation")["seconds"].sum()
    assert (total - answered["latency"]).abs().max() < 1e-9
    assert (paths["seconds"] >= 0).all()
    for _, path in paths.groupby("operation"):
        assert (path["end"].to_numpy()[:-1] == path["begin"].to_numpy()[1:]).all()
    anatomy = full.anatomy().set_index("operation")
    assert set(anatomy.index) == set(answered.index)
    assert (anatomy[list(PARTS)] >= 0).all(axis=None)
    assert (anatomy[list(PARTS)].sum(axis=1) - answered["latency"]).abs().max() < 1e-9
    assert set(anatomy["last"]) <= {"", *full.nodes["node"]}


def test_a_run_without_a_full_trace_has_no_steps_and_says_what_is_needed() -> None:
    run = Scenario(system=Raft(nodes=3), duration=0.1, trace=True).run(1)
    assert not len(run.steps)
    assert "steps" not in run.frames
    asked = (run.vector_clocks, run.critical_paths, run.anatomy, run.plot.anatomy)
    for ask in (*asked, lambda: run.critical_path(0), lambda: run.state("n0")):
        with pytest.raises(ValueError, match='trace="full"'):
            ask()


# What it says

SLOW = Machine(per_message=0.0002, disk=Disk(fsync=0.003))


def traced(system: System | None = None, **fields: Any) -> Run:
    settings: dict[str, Any] = {
        "network": constant(0.010),
        "workload": ClosedLoop(clients=1),
        "duration": 1.0,
        "machines": SLOW,
    }
    return Scenario(system=system or Mine(), trace="full", **{**settings, **fields}).run(1)


def test_the_path_of_a_write_through_a_users_protocol_names_every_wait() -> None:
    run = traced(workload=ClosedLoop(clients=1, reads=0.0))
    path = run.critical_path(2)
    parts = [(part.kind, part.what, part.src, part.dst, round(part.seconds, 6)) for part in path.itertuples()]
    assert parts == [
        ("link", "Request", "c0", "n0", 0.010),
        ("service", "Request", "n0", "n0", 0.0002),
        ("timer", "batch", "n0", "n0", 0.005),
        ("service", "copy", "n0", "n0", 0.001),
        ("disk", "Copy", "n0", "n0", 0.003),
        ("link", "Copy", "n0", "n2", 0.010),
        ("service", "Copy", "n2", "n2", 0.0002),
        ("disk", "Copied", "n2", "n2", 0.003),
        ("link", "Copied", "n2", "n0", 0.010),
        ("core queue", "Copied", "n0", "n0", 0.0002),  # behind that of n1
        ("service", "Copied", "n0", "n0", 0.0002),
        ("link", "Reply", "n0", "c0", 0.010),
    ]


def test_each_step_says_what_brought_it_about() -> None:
    steps = traced().steps
    causes = [json.loads(text) for text in steps["cause"]]
    assert [cause["kind"] for cause in causes[:4]] == ["start"] * 4
    batch = next(i for i, cause in enumerate(causes) if cause.get("name") == "batch")
    assert steps["handler"][batch] == "on_batch_timeout"
    assert steps["handler"][causes[batch]["after"]] == "on_request"
    work = next(i for i, cause in enumerate(causes) if cause["kind"] == "work")
    assert (steps["handler"][work], causes[work]["name"], causes[work]["after"]) == (
        "on_copy_done",
        "copy",
        batch,
    )


def test_a_message_says_its_content_the_step_that_sent_it_and_the_operations_that_it_carries() -> None:
    run = traced()
    messages, steps = run.messages, run.steps
    assert list(messages["id"]) == list(range(len(messages)))
    copy = messages[messages["kind"] == "Copy"].iloc[0]
    content = json.loads(copy["content"])
    assert content["number"] == 1
    assert content["command"]["class"] == "Command"
    assert json.loads(copy["operations"]) == [[content["command"]["session"], content["command"]["sequence"]]]
    assert steps["handler"][copy["step"]] == "on_copy_done"
    first = run.operations.iloc[0]
    assert json.loads(messages[messages["step"] == first["call_step"]].iloc[0]["operations"]) == [[0, 1]]
    assert steps["handler"][first["return_step"]] == "on_reply"


def test_the_fates_of_messages_are_distinguished() -> None:
    live = Scenario(
        system=Mine(),
        network=lan(0.010, loss=0.1, duplicate=0.2),
        faults=[Crash("n1", at=0.5, down=0.1), Cut("n0", "n2", at=0.3, duration=0.1)],
        duration=1.0,
        trace="full",
    ).start(1)
    live.run(until=0.8)
    live.hold(lambda src, dst, message: dst == "n2")
    live.run(until=0.9)
    released = live.release(lambda held: held.src == "n0", stop=False)
    live.hold(lambda src, dst, message: True)
    live.run(until=1.0)
    live.finish()
    frame = Run.of(live, None, 0.0).messages
    fates = frame["fate"].value_counts()
    assert set(fates.index) == {
        *("delivered", "duplicated", "released", "crashed", "lost", "cut", "held", "in flight"),
    }
    assert fates["released"] == released
    assert fates["held"] == len(live.held)
    for fate in ("lost", "cut", "held", "in flight"):
        assert frame.loc[frame["fate"] == fate, "delivered"].isna().all()
    link = {(row.src, row.dst): row.lost for row in Run.of(live, None, 0.0).links.itertuples()}
    assert fates["lost"] + fates["cut"] == sum(link.values())


def test_a_message_that_a_crash_finds_in_the_queue_of_its_machine_counts_as_crashed() -> None:
    slow = Machine(per_message=0.2)
    run = traced(machines=slow, faults=[Crash("n0", at=0.15)])
    request = run.messages.iloc[0]
    assert (request["kind"], request["delivered"], request["fate"]) == ("Request", 0.010, "crashed")


# State


@pytest.mark.parametrize(
    "system",
    [Raft(), Mine(), protocols.Dynamo(), protocols.Swim(), protocols.RpcStore()],
    ids=lambda s: type(s).__name__,
)
def test_the_state_that_changes_add_up_to_is_that_of_a_simulation_stopped_at_that_time(
    system: System,
) -> None:
    scenario = draw_storm(
        system, 2, length=0.9, extra_faults=[Crash(system.members()[0].name, at=0.4, down=0.2)]
    )
    scenario = dataclasses.replace(
        scenario, trace="full", check=False
    )  # what `Mine` promises is not the point
    run, live = scenario.run(2), scenario.start(2)
    for time in (0.0001, 0.3337, 0.6717, 0.8999):
        live.run(until=time)
        for name, host in live.cluster.hosts.items():
            expected = state_of(host) if host.is_up else None
            assert run.state(name, at=time) == expected, (name, time)


def test_the_state_after_a_step_holds_what_its_handler_set() -> None:
    run = traced()
    steps = run.steps
    step = int(steps.index[steps["handler"] == "on_copy_done"][0])
    state = run.state("n0", step=step)
    assert state is not None
    assert (state["written"], state["batch"]) == (1, [])
    assert run.state("n0", step=step - 1)["written"] == 0  # type: ignore[index]
    with pytest.raises(ValueError, match="no step of 'n9'"):
        run.state("n9")


def test_a_node_that_is_down_has_no_state() -> None:
    run = traced(faults=[Crash("n1", at=0.3, down=0.2), Pause("n0", at=0.6, duration=0.1)])
    assert run.state("n1", at=0.4) is None
    assert run.state("n1", at=0.6) is not None
    assert run.state("n0", at=0.65) is not None


# Files


def test_a_saved_full_trace_comes_back(tmp_path: Path) -> None:
    run = traced(Raft(nodes=3), duration=0.5)
    run.save(tmp_path / "run")
    back = sim.load(tmp_path / "run")
    assert isinstance(back, Run)
    assert back.messages.equals(run.messages)
    assert back.steps.equals(run.steps)
    assert back.critical_paths().equals(run.critical_paths())
    assert back.state("n0", at=0.2) == run.state("n0", at=0.2)


def test_the_written_form_says_full_and_other_words_are_refused() -> None:
    scenario = Scenario(system=Raft(), trace="full")
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    with pytest.raises(ValueError, match=r"trace must be .*, not 'all'"):
        Scenario(system=Raft(), trace="all")  # type: ignore[arg-type]


def test_the_command_line_takes_it(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from sim.commands.run import command

    (tmp_path / "few.toml").write_text(
        'duration = 0.3\n[system]\nclass = "Raft"\nnodes = 3\n', encoding="utf-8"
    )
    out = tmp_path / "out"
    arguments = [str(tmp_path / "few.toml"), "--trace", "full", "--out", str(out)]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    back = sim.load(out)
    assert isinstance(back, Run)
    assert len(back.steps)
    assert CliRunner().invoke(command, [*arguments[:2], "all"]).exit_code == 2


def test_a_stream_over_a_cut_keeps_the_step_that_sent_and_the_time_when_the_link_got_it() -> None:
    run = traced(
        Raft(nodes=3),
        network=lan(0.010, transport="stream"),
        faults=[Cut("n0", "n1", at=0.3, duration=0.2)],
        duration=0.8,
    )
    late = run.messages[(run.messages["sent"] - run.messages["handed"]) > 0.05]
    assert len(late)
    assert (late["sent"] - 0.5).abs().max() < 1e-9  # when the cut was over
    steps = run.steps.set_index("id")
    assert (steps["node"][late["step"]].to_numpy() == late["src"].to_numpy()).all()
    assert (late["handed"].to_numpy() >= steps["time"][late["step"]].to_numpy()).all()


def test_copies_and_released_messages_are_no_lost_ones_on_a_chart() -> None:
    from sim.analysis.plots.spacetime import _paths

    run = traced(Raft(nodes=3), network=lan(0.010, duplicate=0.5), duration=0.3)
    assert "duplicated" in set(run.messages["fate"])
    assert not _paths(run.messages, ["n0", "n1", "n2", "c0"], (0.0, 1.0))["lost"].any()
