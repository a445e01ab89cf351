"""Mistakes in the class body of a node: the definition of the class raises an error that says what to write instead.

All replicas would share a mutable class attribute. An attribute that hides a verb (``self.work = {}``), or an
attribute that the host sets (``self.name``), would break the node far from the line with the mistake. The checks
search the byte code of the methods for such assignments; this costs nothing while a simulation runs.
"""

from __future__ import annotations

import dis
import inspect
import itertools
import types
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from sim.values import is_stateless, shown

__all__ = ["refuse_assignments", "refuse_hidden", "refuse_settings", "refuse_shared_state"]

_STORE, _DELETE, _EXTEND = (dis.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR", "EXTENDED_ARG"))


def refuse_shared_state(cls: type, sharers: str) -> None:
    """Raise TypeError for a mutable attribute of a class, which all ``sharers`` (such as "nodes") would share."""
    for name, value in cls.__dict__.items():
        machinery = name in _MACHINERY or (name.startswith("__") and name.endswith("__"))
        if not machinery and not is_stateless(value):
            advice = _INSTEAD.get(sharers, "use a tuple, a frozenset or types.MappingProxyType")
            raise TypeError(
                f"{cls.__name__}.{name}: {shown(value)} is mutable, and all {sharers} of the class would share "
                f"it; {advice}"
            )


_MACHINERY = ("_durables", "_handlers", "_own_handlers", "_parts")

_INSTEAD = {
    "nodes": "set it in on_start (self.<field> = ...), declare it durable_map() or durable_log(), or use a tuple, a "
    "frozenset or types.MappingProxyType",
    "runs": "make it a field: field(default_factory=...)",
}


def refuse_hidden(cls: type, verbs: Mapping[str, Any], given: Iterable[str], *, options: bool) -> None:
    """Raise TypeError for a class attribute that hides a verb, or that hides an attribute which the host sets.

    A method may override a verb if it accepts every call that the verb accepts. Without ``options`` it needs to accept
    only the required arguments of the verb (the ``broadcast(msg)`` of a part goes to all, and takes no ``to``).
    """
    for name, value in cls.__dict__.items():
        where = f"{cls.__name__}.{name}"
        if name in given:
            raise TypeError(f"{where} hides self.{name}, which the host sets: give it another name")
        if name not in verbs:
            continue
        verb = verbs[name]
        if isinstance(verb, property):
            if not isinstance(value, property):
                raise TypeError(
                    f"{where} hides the property {name} that every node has: give it another name"
                )
        elif not isinstance(value, types.FunctionType):
            raise TypeError(f"{where} = {shown(value)} hides the verb {name}(...): give it another name")
        elif not _can_stand_for(value, verb, options):
            raise TypeError(
                f"{where}{_signature(value)} hides the verb {name}{_signature(verb)}: give it another name, or let it "
                "take what the verb takes"
            )


def _signature(function: Any) -> str:
    parameters = list(inspect.signature(function).parameters.values())
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    return str(inspect.Signature(bare))


def _can_stand_for(method: Any, verb: Any, options: bool) -> bool:
    """Whether a method accepts every call that a verb accepts; without ``options``, with required arguments only."""
    mine = list(inspect.signature(inspect.unwrap(method)).parameters.values())[1:]
    positional = [p for p in mine if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = {p.name: p for p in mine if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    any_position = any(p.kind is p.VAR_POSITIONAL for p in mine)
    any_name = any(p.kind is p.VAR_KEYWORD for p in mine)
    theirs = [
        p for p in list(inspect.signature(verb).parameters.values())[1:] if options or p.default is p.empty
    ]
    wanted = [p for p in theirs if p.kind is p.POSITIONAL_OR_KEYWORD]
    for i, p in enumerate(wanted):
        if i < len(positional):
            found = positional[i]
            if (
                found.kind is not p.POSITIONAL_ONLY
                and found.name != p.name
                and p.default is not p.empty
                and not any_name
            ):
                return False  # callers give optional arguments by name
        elif not any_position:
            return False
        if p.default is not p.empty and i < len(positional) and positional[i].default is p.empty:
            return False
    for p in theirs:
        mine_of_it = by_name.get(p.name)
        if (
            p.kind is p.KEYWORD_ONLY
            and not any_name
            and (mine_of_it is None or mine_of_it.default is p.empty)
        ):
            return False
        if p.kind is p.VAR_KEYWORD and not any_name:
            return False
        if p.kind is p.VAR_POSITIONAL and not any_position:
            return False
    known = {p.name for p in theirs}
    extra = [
        *positional[len(wanted) :],
        *(p for p in mine if p.kind is p.KEYWORD_ONLY and p.name not in known),
    ]
    return all(p.default is not p.empty for p in extra)


def refuse_settings(cls: type, settings: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
    """Raise TypeError for a setting of a part that is mutable, because all nodes would share it.

    Raises TypeError, too, for a setting that hides a method, a verb or an attribute which the host sets (``taken``).
    """
    for name, value in settings.items():
        if name in taken or callable(getattr(cls, name, None)):
            raise TypeError(
                f"part({cls.__name__}, {name}={shown(value)}) hides {cls.__name__}.{name}: rename the setting"
            )
        if not is_stateless(value) and not callable(value):
            raise TypeError(
                f"part({cls.__name__}, {name}={shown(value)}): the value is mutable, and all nodes would share it; use "
                "a tuple, a frozenset or types.MappingProxyType"
            )


def refuse_assignments(cls: type, verbs: Container[str], refused: Mapping[str, str]) -> None:
    """Raise TypeError for a method that assigns an attribute of its node which must not be assigned.

    ``refused``: attribute -> the reason, and what to write instead.
    """
    for name, value in cls.__dict__.items():
        function = (
            inspect.unwrap(getattr(value, "__func__", value))
            if callable(value)
            else getattr(value, "fget", None)
        )
        code = getattr(function, "__code__", None)
        if code is None or not code.co_varnames:
            continue
        for attribute, line in _assigned(code, code.co_varnames[0], verbs, refused):
            raise TypeError(
                f"{cls.__name__}.{name}, line {line}: self.{attribute} is assigned, but {refused[attribute]}"
            )


def _assigned(
    code: types.CodeType, me: str, verbs: Container[str], names: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    """The attributes in ``names`` of the variable ``me`` that the code assigns or deletes, each with its line number.

    Code may replace a verb by a wrapper of it, and put the verb back.
    """
    if any(name in names for name in code.co_names) and _stores(code, names):
        instructions = list(dis.get_instructions(code))
        for i, instruction in enumerate(instructions):
            if (
                instruction.opcode in (_STORE, _DELETE)
                and instruction.argval in names
                and _of(instructions, i, me)
                and not (instruction.argval in verbs and _wraps(instructions, i, me))
            ):
                where = instruction.positions
                yield instruction.argval, (where and where.lineno) or code.co_firstlineno
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType) and me in inner.co_freevars:
            yield from _assigned(inner, me, verbs, names)


def _stores(code: types.CodeType, names: Mapping[str, str]) -> bool:
    """Whether code stores or deletes an attribute with one of the ``names``, of any object; a quick test."""
    raw, high = code.co_code, 0
    for i in range(0, len(raw), 2):
        if raw[i] == _EXTEND:
            high = (high | raw[i + 1]) << 8
            continue
        if raw[i] in (_STORE, _DELETE) and code.co_names[high | raw[i + 1]] in names:
            return True
        high = 0
    return False


def _of(instructions: list[dis.Instruction], store: int, me: str) -> bool:
    """Whether the attribute that is stored belongs to the variable ``me``."""
    before = instructions[store - 1]
    if before.opname != "SWAP":
        return _loads(before, me)
    # ``self.name += "x"``: the owner was loaded, and copied, before the attribute was read.
    attribute = instructions[store].argval
    return any(
        _loads(first, me)
        and second.opname == "COPY"
        and third.opname == "LOAD_ATTR"
        and third.argval == attribute
        for first, second, third in zip(instructions, instructions[1:], instructions[2:], strict=False)
    )


def _wraps(instructions: list[dis.Instruction], store: int, me: str) -> bool:
    """Whether the code read the same attribute before: it wraps a verb, ``send, self.send = self.send, quick``."""
    attribute = instructions[store].argval
    for owner, read in itertools.pairwise(instructions[:store]):
        if (
            _loads(owner, me)
            and read.opname == "LOAD_ATTR"
            and read.argval == attribute
            and "NULL" not in read.argrepr
        ):
            return True
    return False


def _loads(instruction: dis.Instruction, me: str) -> bool:
    value = instruction.argval
    name = value[-1] if isinstance(value, tuple) else value  # two loads in one, from Python 3.13 on
    return "LOAD" in instruction.opname and name == me
