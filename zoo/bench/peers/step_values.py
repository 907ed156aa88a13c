"""Arrays in the code of a step: their names, their axes, and views that add axes of length one."""

from __future__ import annotations

import itertools
import keyword
from collections.abc import Iterable
from dataclasses import dataclass, replace

from zoo.bench.peers.step_library import Library, StepVariant
from zoo.bench.peers.step_scope import CodeScope, CodeValue, ConcreteShape
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.dims import Sizes, concrete_shape
from zoo.compiler.ir.graph import Node


@dataclass(frozen=True)
class CodeContext:
    """The step, the library and the sizes, for which code is written.

    Args:
        library: The library.
        step_graph: The step.
        sizes: ``I`` and ``H``.
        shape: ``T`` and ``B``.
        variant: Choices of a user.
    """

    library: Library
    step_graph: StepGraph
    sizes: Sizes
    shape: tuple[int, int]
    variant: StepVariant


class ValueWriter:
    """Writes lines that compute arrays.

    Args:
        context: The step, and the library.
    """

    def __init__(self, context: CodeContext) -> None:
        self.library, self.step_graph, self.sizes = context.library, context.step_graph, context.sizes
        self.shape, self.variant = context.shape, context.variant
        self.names = {"p", "x", "aux", "scan", "step", "states", "inputs", "dtype", self.library.prefix}
        self.names |= {"shift", "recurrence", *self.library.functions}
        self.counter = itertools.count(1)
        self.scope = CodeScope(self.shape, "    ")

    def shape_of(self, node: Node) -> ConcreteShape:
        """The lengths of the axes of a node."""
        return tuple(concrete_shape(node.shape, self.sizes))

    def name(self, wish: str = "") -> str:
        """A new name, the wished one if it is free."""
        is_free = wish.isidentifier() and wish not in self.names and not keyword.iskeyword(wish)
        name = wish if is_free else f"v{next(self.counter)}"
        while name in self.names - ({wish} if is_free else set()):
            name = f"v{next(self.counter)}"
        self.names.add(name)
        return name

    def assign(
        self,
        node: Node,
        expression: str,
        axes: Iterable[int],
        lengths: ConcreteShape | None = None,
        lead: int | None = None,
    ) -> CodeValue:
        """Add a line that computes a value."""
        axes = tuple(axes)
        if lengths is None:
            shape = self.shape_of(node)
            lengths = tuple(shape[axis] for axis in axes)
        name = self.name(self.step_graph.names.get(node, ""))
        self.scope.assign(name, expression)
        return CodeValue(name, axes, lengths, len(self.scope.lead) if lead is None else lead)

    def aligned(self, value: CodeValue, axes: tuple[int, ...], is_exact: bool = False) -> str:
        """A value with axes of length one for some more axes of its node.

        Args:
            value: The value.
            axes: The axes to have.
            is_exact: Whether to add axes in front, too, which the library adds itself in an operation.
        """
        if value.number is not None or value.axes == axes:
            return value.code
        new = [axis not in value.axes for axis in axes]
        while not is_exact and not value.lead and new and new[0]:
            new.pop(0)
        if not any(new):
            return value.code
        outer, scope = self.scope.outer, self.scope
        is_sequence = outer is not None and value.code in scope.sequences
        if outer is not None and (is_sequence or not value.lead):  # for all steps at once
            scope, value = outer, replace(value, lead=len(outer.lead) if is_sequence else 0)
        key = value.code, value.axes, axes, is_exact
        if key not in scope.aligned:
            while not new[-1]:
                new.pop()
            index = [":"] * value.lead + ["None" if each else ":" for each in new]
            name = self.name()
            scope.assign(name, f"{value.code}[{', '.join(index)}]")
            scope.aligned[key] = name
        if is_sequence:
            self.scope.sequences[scope.aligned[key]] = None
        return scope.aligned[key]

    def full(self, node: Node, needs_lead: bool = False) -> str:
        """A value with all its axes and lengths."""
        value, inner = self.scope.value(node), self.shape_of(node)
        shape = (*self.scope.lead, *inner) if value.lead or needs_lead else inner
        if value.number is not None:
            return self.library.expression("full", float(value.number), shape)
        lengths = dict(zip(value.axes, value.lengths, strict=True))
        code = self.aligned(value, tuple(range(node.ndim)), is_exact=True)
        if inner == tuple(lengths.get(axis, 1) for axis in range(node.ndim)) and (
            value.lead or not needs_lead
        ):
            return code
        return self.library.expression("broadcast", code, shape)

    def bound(self, node: Node) -> str:
        """The full value under a name."""
        value = self.scope.value(node)
        code = self.full(node)
        if code == value.code:
            return code
        scope = self.scope if value.lead or self.scope.outer is None else self.scope.outer
        name = self.name()
        scope.assign(name, code)
        return name
