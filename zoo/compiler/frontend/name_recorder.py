"""Record the names that the author of a ``step`` gives to values, while it runs."""

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

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,24}", re.ASCII)


# The name of a function and its operands.
NamedCall = tuple[str, tuple[Node, ...]]
# The nodes of a value: one of an array, two of a complex array, none of anything else.
ValueNodes = tuple[Node, ...]


@dataclass
class NameRecorder:
    """The names and calls in a function, recorded while it runs.

    Attributes:
        names: The first name of each value.
        calls: Results of functions of zoo and of ``@``, with the function and its operands.
        bindings: All values that a name was bound to, in order.
        return_location: The source location of its ``return``; None if it was not recorded.
    """

    names: dict[Node, str] = field(default_factory=dict)
    calls: dict[Node, NamedCall] = field(default_factory=dict)
    bindings: dict[str, list[ValueNodes]] = field(default_factory=dict)
    return_location: str | None = None

    def record(self, frame: FrameType) -> None:
        """Record the names in a frame. A value keeps its first name."""
        for name, value in frame.f_locals.items():
            if _NAME.fullmatch(name) and not keyword.iskeyword(name):
                for node, node_name in _named_nodes(name, value):
                    self.names.setdefault(node, node_name)
            self._bind(name, _nodes(value))

    def _bind(self, name: str, nodes: ValueNodes) -> None:
        values = self.bindings.setdefault(name, []) if nodes else []
        if nodes and nodes not in values[-1:]:
            values.append(nodes)

    def call(self, name: str, frame: FrameType) -> Callable[[FrameType, str, Any], Any]:
        """Record the result of a call. Of nested calls with one result the outermost counts."""
        arguments = [frame.f_locals[name] for name in inspect.getargs(frame.f_code).args]
        operands = tuple(node for value in arguments if (node := _node(value)) is not None)
        frame.f_trace_lines = False

        def on_return(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001 - Python's arguments
            node = _node(arg) if event == "return" else None
            if node is not None and node not in operands:
                self.calls[node] = (name, operands)
            return on_return

        return on_return


def _node(value: Any) -> Node | None:
    return value.node if isinstance(value, SymbolicArray) else value if isinstance(value, Node) else None


@functools.cache
def _named_functions() -> dict[CodeType, str]:
    """Functions whose calls are recorded: those of zoo, and the product of matrices."""
    from zoo import functions
    from zoo.compiler.ir.structural_ops import matmul

    names = {vars(functions)[name].__code__: name for name in functions.__all__}
    return {**names, matmul.__code__: "@"}


def _nodes(value: Any) -> ValueNodes:
    if isinstance(value, Complex):
        return value.real.node, value.imag.node
    return (value.node,) if isinstance(value, SymbolicArray) else ()


def _named_nodes(name: str, value: Any) -> list[tuple[Node, str]]:
    if isinstance(value, Complex):
        return [(value.real.node, f"{name}_re"), (value.imag.node, f"{name}_im")]
    return [(value.node, name)] if isinstance(value, SymbolicArray) else []


@contextmanager
def record_names(function: Callable[..., Any], *inner: Callable[..., Any]) -> Iterator[NameRecorder]:
    """Within the block, record the names in a function that runs in this thread, and in some inner functions.

    Names are read line by line, so that a name that is bound twice names both values. Only plain identifiers
    are taken. Another trace function of this thread, of a debugger or a coverage tool, is restored
    afterwards; one that is set within the block stays.
    """
    code, *inner_codes = (getattr(inspect.unwrap(each), "__code__", None) for each in (function, *inner))
    recorder, functions = NameRecorder(), _named_functions()

    def on_line(frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG001 - Python's arguments
        recorder.record(frame)
        if event == "return" and frame.f_code is code:
            recorder.return_location = source_location(frame, frame.f_lasti, frame.f_lineno)
        return on_line

    def on_call(frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code is code or frame.f_code in inner_codes:
            return on_line(frame, event, arg)
        return recorder.call(functions[frame.f_code], frame) if frame.f_code in functions else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield recorder
    finally:
        if sys.gettrace() is on_call:
            sys.settrace(before)
