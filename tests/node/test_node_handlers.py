"""A handler takes the messages that its annotation names; one that would never be called is refused, with a hint."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Annotated, Any, Union

import cloudpickle
import pytest

from sim.node import Node, Part, message, part
from sim.testing import Bench

if TYPE_CHECKING:
    from sim.protocols.client import Redirect


@message
class Ping:
    number: int


@message
class Pong:
    number: int


@message
class PrepareOK:
    pass


class Echo(Node):
    """Answers a Ping."""

    def on_ping(self, src: str, msg: Ping) -> None:
        self.send(src, Pong(msg.number))


def takes(kind: type[Node] | type[Part]) -> dict[str, str]:
    return {taken.__name__: name for taken, name in kind.takers().items()}


def refused(define: Callable[[], object], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        define()


def module(name: str, source: str) -> dict[str, Any]:
    """A module made from source; its names."""
    made = types.ModuleType(name)
    sys.modules[name] = made
    exec(compile(source, f"{name}.py", "exec", dont_inherit=True), made.__dict__)
    return made.__dict__


# By annotation


def test_the_class_of_a_message_is_the_one_of_the_annotation() -> None:
    assert takes(Echo) == {"Ping": "on_ping"}
    assert Bench(Echo).deliver("n1", Ping(1)) == [("n1", Pong(1))]


def test_a_class_inside_a_function_finds_the_messages_of_that_function() -> None:
    @message
    class Ping:
        text: str

    class Local(Node):
        def on_ping(self, src: str, msg: Ping) -> None:
            self.send(src, msg)

    assert Local.takers() == {Ping: "on_ping"}
    assert Bench(Local).deliver("n1", Ping("a")) == [("n1", Ping("a"))]


def other_function_with_a_message_of_the_same_name() -> tuple[type, type[Node]]:
    @message
    class Ping:
        other: float

    class Local(Node):
        def on_ping(self, src, msg):  # type: ignore[no-untyped-def]
            pass

    return Ping, Local


def test_messages_of_one_name_in_two_functions_are_distinguished() -> None:
    @message
    class Ping:
        text: str

    class Local(Node):
        def on_ping(self, src, msg):  # type: ignore[no-untyped-def]
            pass

    theirs, node = other_function_with_a_message_of_the_same_name()
    again, later = other_function_with_a_message_of_the_same_name()
    assert Local.takers() == {Ping: "on_ping"}
    assert theirs in node.takers()
    assert later.takers() == {again: "on_ping"}
    assert again is not theirs


def test_a_message_defined_in_the_class_of_its_node_is_found() -> None:
    class Outer(Node):
        @message
        class Ask:
            pass

        def on_ask(self, src: str, msg: Ask) -> None:
            pass

    class Sub(Outer):
        def on_ask(self, src: str, msg: Outer.Ask) -> None:
            pass

    assert takes(Outer) == takes(Sub) == {"Ask": "on_ask"}


def test_a_message_given_to_a_function_is_found_where_the_handler_uses_it() -> None:
    def make(kind: type) -> type[Node]:
        class Made(Node):
            def on_ping(self, src: str, msg: kind) -> None:  # type: ignore[valid-type]
                self.send(src, kind(1))

        return Made

    assert make(Ping).takers() == {Ping: "on_ping"}


def test_a_union_takes_both() -> None:
    class Both(Node):
        def on_either(self, src: str, msg: Ping | Pong) -> None:
            pass

    class Old(Node):
        def on_ping(self, src: str, msg: Union[Ping, Pong]) -> None:  # noqa: UP007
            pass

    class Noted(Node):
        def on_ping(self, src: str, msg: Annotated[Ping, "a note"]) -> None:
            pass

    assert takes(Both) == {"Ping": "on_either", "Pong": "on_either"}
    assert takes(Old) == {"Ping": "on_ping", "Pong": "on_ping"}
    assert takes(Noted) == {"Ping": "on_ping"}


def test_annotations_that_are_objects_do_as_well_as_texts() -> None:
    names = module(
        "made_with_objects",
        "from sim.node import Node, message\n"
        "@message\nclass A: pass\n"
        "@message\nclass B: pass\n"
        "class N(Node):\n    def on_a(self, src, msg: A | B): pass\n"
        "class M(Node):\n    def on_a(self, src, msg: 'A'): pass\n",
    )
    assert names["N"].takers() == {names["A"]: "on_a", names["B"]: "on_a"}
    assert names["M"].takers() == {names["A"]: "on_a"}


# By name


def test_without_an_annotation_the_message_of_that_name_in_the_module_counts() -> None:
    class Bare(Node):
        def on_prepare_ok(self, src, msg):  # type: ignore[no-untyped-def]
            pass

        def on_ping(self, src: str, msg: Any) -> None:
            pass

    assert takes(Bare) == {"PrepareOK": "on_prepare_ok", "Ping": "on_ping"}


def test_a_name_that_two_messages_of_the_module_have_needs_an_annotation() -> None:
    source = (
        "from sim.node import Node, message\n"
        "@message\nclass PrepareOk: pass\n"
        "@message\nclass PrepareOK: pass\n"
        "class N(Node):\n    def on_prepare_ok(self, src, msg): pass\n"
    )
    refused(lambda: module("two_of_a_name", source), r"may take .*PrepareOk and .*PrepareOK: say which")
    assert module("one_of_them", source.replace("msg)", "msg: PrepareOK)"))["N"].takers()


def test_an_import_that_a_linter_removes_is_missed_at_once() -> None:
    source = "from sim.node import Node\nclass N(Node):\n    def on_request(self, src, msg): pass\n"
    refused(
        lambda: module("no_import", source),
        r"on_request handles no message.*on_request\(self, src, msg: Request\)",
    )
    module("with_import", "from sim.protocols.client import Request\n" + source)


# Refused


def test_an_annotation_that_contradicts_the_name_is_refused() -> None:
    def wrong() -> None:
        class Wrong(Node):
            def on_ping(self, src: str, msg: Pong) -> None:
                pass

    def wrong_union() -> None:
        class Wrong(Node):
            def on_ping(self, src: str, msg: Pong | PrepareOK) -> None:
                pass

    refused(wrong, r"Wrong.on_ping is annotated to take Pong: name it on_pong, or annotate it with Ping")
    refused(wrong_union, r"Wrong.on_ping does not take Ping, as its name says")


def test_an_annotation_that_cannot_be_resolved_is_refused_with_what_to_write() -> None:
    def unknown() -> None:
        class Wrong(Node):
            def on_ping(self, src: str, msg: Pingg) -> None:  # type: ignore[name-defined]  # noqa: F821
                pass

    def for_type_checkers() -> None:
        class Wrong(Node):
            def on_redirect(self, src: str, msg: Redirect) -> None:
                pass

    refused(unknown, r"'Pingg' of its message cannot be resolved.*define the class, or import it")
    refused(for_type_checkers, r"'Redirect' .*not only under TYPE_CHECKING")


def test_an_annotation_that_is_no_message_class_is_refused() -> None:
    def plain() -> None:
        class Wrong(Node):
            def on_ping(self, src: str, msg: int) -> None:
                pass

    refused(plain, "annotated to take int, which is no message class: decorate its definition with @message")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("def on_ping(self, msg): pass", r"is written on_ping\(self, src, msg\)"),
        ("def on_ping(self, src, msg, more): pass", r"is written on_ping\(self, src, msg\)"),
        ("def on_stop(self): pass", r"N.on_stop: no handler has such a name"),
        ("def on_strat(self): pass", r"Is on_start meant\?"),
        ("def on_retry_timout(self): pass", r"Is on_retry_timeout meant\?"),
        ("def on_job_don(self): pass", r"Is on_job_done meant\?"),
        ("def on_pingg(self, src, msg): pass", r"Is on_ping meant\?"),
        ("def on_retry_timeout(self, key, more, again): pass", r"retry_timeout"),
        (
            "def on_retry_timeout(self, *, key): pass",
            r"write on_retry_timeout\(self\), or on_retry_timeout\(self, key\)",
        ),
    ],
)
def test_a_handler_that_nothing_would_call_is_refused(source: str, text: str) -> None:
    body = f"from sim.node import Node, message\n@message\nclass Ping: pass\nclass N(Node):\n    {source}\n"
    refused(lambda: module("misspelt", body), text)


def test_a_message_whose_name_ends_like_a_callback_is_a_message() -> None:
    @message
    class ViewTimeout:
        pass

    class Late(Node):
        def on_view_timeout(self, src: str, msg: ViewTimeout) -> None:
            pass

        def on_retry_timeout(self, key: Any = None) -> None:
            pass

    assert takes(Late) == {"ViewTimeout": "on_view_timeout"}


def test_two_handlers_of_one_message_are_refused() -> None:
    def in_one_class() -> None:
        class Twice(Node):
            def on_ping(self, src: str, msg: Ping) -> None:
                pass

            def on_either(self, src: str, msg: Ping | Pong) -> None:
                pass

    class Listener(Part):
        def on_ping(self, src: str, msg: Ping) -> None:
            pass

    def in_node_and_part() -> None:
        class Twice(Echo):
            listener = part(Listener)

    def in_two_parts() -> None:
        class Twice(Node):
            one = part(Listener)
            two = part(Listener)

    refused(in_one_class, "both on_ping and on_either take Ping")
    refused(in_node_and_part, r"both on_ping and listener.on_ping take Ping")
    refused(in_two_parts, r"both one.on_ping and two.on_ping take Ping")


# Inheritance


def test_an_override_without_an_annotation_takes_what_it_overrides() -> None:
    names = module(
        "elsewhere",
        "from tests.node.test_node_handlers import Echo\n"
        "class Loud(Echo):\n    def on_ping(self, src, msg): super().on_ping(src, msg)\n"
        "class Typed(Echo):\n    def on_ping(self, src, msg: 'Ping'): pass\n",  # imported for type checkers only
    )
    assert names["Loud"].takers() == names["Typed"].takers() == Echo.takers()
    assert Bench(names["Loud"]).deliver("n1", Ping(1)) == [("n1", Pong(1))]


def test_handlers_of_a_plain_mixin_are_called() -> None:
    class Mixin:
        def on_pong(self, src: str, msg: Pong) -> None:
            self.got = msg

    class Mixed(Mixin, Echo):
        pass

    bench: Any = Bench(Mixed)
    bench.deliver("n1", Pong(3))
    assert bench.node.got == Pong(3)


def test_a_subclass_may_leave_a_message_out() -> None:
    class Deaf(Echo):
        on_ping = None  # type: ignore[assignment]

    assert takes(Deaf) == {}


# Definitions that run again, and other processes


def test_a_notebook_cell_that_runs_again_binds_to_the_newest_message() -> None:
    cell = (
        "from sim.node import Node, message\n"
        "@message\nclass Tick:\n    n: int\n"
        "class Clock(Node):\n    def on_tick(self, src, msg): self.last = msg\n"
    )
    notebook: dict[str, Any] = {"__name__": "__main__"}
    exec(cell, notebook)
    first = notebook["Tick"], notebook["Clock"]
    exec(cell, notebook)
    assert notebook["Tick"] is not first[0]
    assert notebook["Clock"].takers() == {notebook["Tick"]: "on_tick"}
    # Only the cell of the message runs again: the node that is there takes both.
    exec("@message\nclass Tick:\n    n: int\n", notebook)
    bench: Any = Bench(notebook["Clock"])
    bench.deliver("n1", notebook["Tick"](5))
    assert bench.node.last.n == 5
    assert first[0] in first[1].takers()


def _in_other_process(pickled: bytes) -> list[str]:
    node, kind, subclass = cloudpickle.loads(pickled)
    sent = Bench(node).deliver("n1", kind(1))
    return [*(type(m).__name__ for _, m in sent), *(k.__name__ for k in subclass().takers())]


def test_a_class_from_a_function_works_in_a_spawned_process() -> None:
    @message
    class Knock:
        n: int

    class Door(Node):
        def on_knock(self, src: str, msg: Knock) -> None:
            self.send(src, Knock(msg.n + 1))

    def subclass() -> type[Node]:
        class Strong(Door):
            def on_knock(self, src: str, msg: Knock) -> None:
                assert Knock

        return Strong

    pickled = cloudpickle.dumps((Door, Knock, subclass))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(_in_other_process, pickled).result() == ["Knock", "Knock"]
