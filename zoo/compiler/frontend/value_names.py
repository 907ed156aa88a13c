"""What values are called: by the author of a ``step``, read off the running function, or for want of that."""

from __future__ import annotations

import functools
import inspect
import keyword
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from zoo.compiler.frontend.complex_numbers import Complex
from zoo.compiler.frontend.source_errors import source_location
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.structural_ops import PRODUCTS

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,24}", re.ASCII)


# The name of a function, and the values that it was called with.
NamedCall = tuple[str, tuple[Node, ...]]
# The nodes of a value: one, or two of a complex one; none of what is no array.
ValueNodes = tuple[Node, ...]


@dataclass
class NameRecorder:
    """What was seen of a function while it ran.

    Attributes:
        names: What it called its values.
        bound: Every value that a name stood for, in order; of a complex one the real and imaginary parts.
        calls: Values that a function of zoo or ``@`` returned to it, and what that was called with.
        returned: Where it returned; None if that was not seen.
    """

    names: dict[Node, str] = field(default_factory=dict)
    calls: dict[Node, NamedCall] = field(default_factory=dict)
    bound: dict[str, list[ValueNodes]] = field(default_factory=dict)
    return_location: str | None = None

    def record(self, frame: FrameType) -> None:
        """Take up the names of a frame; a value keeps the first it gets."""
        for name, value in frame.f_locals.items():
            if _NAME.fullmatch(name) and not keyword.iskeyword(name):
                for node, called in _named(name, value):
                    self.names.setdefault(node, called)
            self._bind(name, _parts(value))

    def _bind(self, name: str, parts: ValueNodes) -> None:
        found = self.bound.setdefault(name, []) if parts else []
        if parts and parts not in found[-1:]:
            found.append(parts)

    def call(self, name: str, frame: FrameType) -> Callable[[FrameType, str, Any], Any]:
        """Watch a call for what it returns; of calls that return the same the outermost counts."""
        given = [frame.f_locals[argument] for argument in inspect.getargs(frame.f_code).args]
        operands = tuple(node for value in given if (node := _node(value)) is not None)
        frame.f_trace_lines = False

        def on_return(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001 - as Python calls it
            node = _node(arg) if event == "return" else None
            if node is not None and node not in operands:
                self.calls[node] = (name, operands)
            return on_return

        return on_return


def default_name(node: Node, called: Callable[[Node], str]) -> str:
    """A name for a value that the author gave none: after what it is made of, ``sigmoid_f``.

    Args:
        node: The value.
        called: What a value is called; nothing if it has no name.
    """
    if node.op in PRODUCTS:
        return "a"
    after = next((name for below in _operands_below(node) if (name := called(below))), "")
    return f"{node.op}_{after}" if after and node.op in node.graph.operations else node.op


def _operands_below(node: Node) -> Iterator[Node]:
    """What a value is made of, nearest first, a few levels down."""
    level = list(node.inputs)
    for _ in range(4):
        yield from level
        level = [operand for each in level for operand in each.inputs]


def _node(value: Any) -> Node | None:
    return value.node if isinstance(value, SymbolicArray) else value if isinstance(value, Node) else None


@functools.cache
def _named_functions() -> dict[CodeType, str]:
    """Functions whose calls are seen: zoo's own, and the product of matrices."""
    from zoo import functions
    from zoo.compiler.ir.structural_ops import matmul

    found = {vars(functions)[name].__code__: name for name in functions.__all__}
    return {**found, matmul.__code__: "@"}


def _parts(value: Any) -> ValueNodes:
    if isinstance(value, Complex):
        return value.real.node, value.imag.node
    return (value.node,) if isinstance(value, SymbolicArray) else ()


def _named(name: str, value: Any) -> list[tuple[Node, str]]:
    if isinstance(value, Complex):
        return [(value.real.node, f"{name}_re"), (value.imag.node, f"{name}_im")]
    return [(value.node, name)] if isinstance(value, SymbolicArray) else []


@contextmanager
def record_names(function: Callable[..., Any], *inner: Callable[..., Any]) -> Iterator[NameRecorder]:
    """Within the block, watch a function run in this thread, and those within it whose names count too.

    Names are read line by line, so that a name used twice names both values. They only serve readers, and
    only what looks like a name is taken. Whoever else traces this thread, a debugger or a coverage tool, is
    back afterwards; one that starts within the block stays.
    """
    code, *others = (getattr(inspect.unwrap(each), "__code__", None) for each in (function, *inner))
    seen, told = NameRecorder(), _named_functions()

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001 - as Python calls it
        seen.record(frame)
        if event == "return" and frame.f_code is code:
            seen.return_location = source_location(frame, frame.f_lasti, frame.f_lineno)
        return on_line

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code is code or frame.f_code in others:
            return on_line(frame, event, arg)
        return seen.call(told[frame.f_code], frame) if frame.f_code in told else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield seen
    finally:
        if sys.gettrace() is on_call:
            sys.settrace(before)
