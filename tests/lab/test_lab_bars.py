"""Progress is shown in terminals and notebooks, and changes no run."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import tqdm

from sim import Scenario
from sim.faults import Fault
from sim.faults.fault import Play, World
from sim.kernel import Stream
from sim.lab import bars
from sim.lab.bars import RunsBar
from sim.network import constant
from sim.protocols import Raft


@dataclass(frozen=True)
class TakeRealTime(Fault):
    """Makes a run last: a quick machine would end it before the bar's thread has looked once."""

    def play(self, world: World, stream: Stream) -> Play:
        for _ in range(25):
            yield world.env.timeout(0.1)
            time.sleep(0.01)


LONG = Scenario(system=Raft(nodes=3), network=constant(0.001), faults=(TakeRealTime(),), duration=3.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    """What a run shows that takes longer than a moment."""
    monkeypatch.setattr(bars, "_SHOWN_AFTER", 0.01)
    monkeypatch.setattr(bars, "_PERIOD", 0.02)
    monkeypatch.setattr(sys, "stderr", stream)
    LONG.run(seed=1)
    return stream.getvalue()


def test_a_long_run_shows_simulated_time_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said = shown(monkeypatch, Terminal())
    assert "simulating" in said
    assert "/3.0 s simulated" in said
    assert shown(monkeypatch, io.StringIO()) == ""


def test_a_long_run_shows_simulated_time_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setattr(bars, "find_spec", lambda _: None)  # no widgets there: a bar of text, and no warning
    assert "/3.0 s simulated" in shown(monkeypatch, io.StringIO())


def test_a_notebook_shows_no_bar_where_tqdm_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setattr(bars, "find_spec", lambda _: object())  # widgets are there; their bars do not obey
    assert bars._tqdm() is not tqdm.tqdm
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert bars._tqdm() is tqdm.tqdm


@pytest.mark.nightly
def test_a_kernel_shows_it() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    code = (
        "from sim import Scenario\nfrom sim.lab import bars\nfrom sim.network import constant\n"
        "from sim.protocols import Raft\nbars._SHOWN_AFTER = bars._PERIOD = 0.02\n"
        "Scenario(system=Raft(nodes=3), network=constant(0.001), duration=5.0).run(seed=1)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    said = "".join(output.get("text", "") + str(output.get("data", "")) for output in outputs)
    assert "s simulated" in said


def test_a_bar_counts_from_what_had_finished_and_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with RunsBar("sweeping", 5, done=2) as bar:
        bar.advance()
        bar.advance(failed=True)
        bar._bar.refresh()
        said = str(bar._bar)
    assert "4/5" in said
    assert "1 failed" in said
    assert "run/s" in said or "s/run" in said
