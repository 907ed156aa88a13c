"""The tangent of a cell: a cell that computes a step and its derivative in a direction.

The direction of the parameters is given in buffers, of the states in further states, and of the input in the
input itself. Inputs and outputs are dual numbers, one after the other: the value and the tangent of the first
feature, then of the second. They remain dual numbers if two directions are concatenated or a layer is
residual, so that the tangents of the layers of a stack are a stack. If the input of the first layer has no
direction, it is no dual number, and may hold tokens.

zoo derives the kernels of both passes from its step. The forward pass computes Jacobian-vector products, and
the backward pass computes derivatives of gradients.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.base import Buffer, Cell, Component, Input, Modifier, Output, Param, State
from zoo.base.component import bound_copy
from zoo.base.declarations import ArrayDeclaration
from zoo.compiler.frontend.complex_numbers import Complex, planes_of
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.ir.graph import Node, view_base
from zoo.compiler.passes.tangents import tangents
from zoo.errors import UsageError
from zoo.modifiers.composite_cell import CompositeCell, composite_docstring, lengths_of
from zoo.modifiers.modified_cell import step_result


class Tangent(Modifier):
    """The derivative of a cell in a direction, computed with the cell."""

    name = "tangent"


class ParameterTangent(Modifier):
    """As :class:`Tangent`, with a constant input: the derivative in a direction of parameters and states."""

    name = "parameter_tangent"


@dataclass(frozen=True)
class TangentDeclarations:
    """The declarations of a cell with its tangent.

    Args:
        params: Parameters of the cell.
        buffers: Buffers of the cell, then the tangents of the parameters.
        states: States of the cell, then the tangents of those that are not discrete.
        inputs: Auxiliary inputs of the cell, which have no tangents.
    """

    params: dict[str, Param]
    buffers: dict[str, Buffer]
    states: dict[str, State]
    inputs: dict[str, Input]


def tangent_name(name: str) -> str:
    """The name of the tangent of a parameter or state."""
    return f"{name}_tangent"


@dataclass(frozen=True)
class TangentStep:
    """A cell and its tangent, as :class:`zoo.modifiers.composite_cell.Composition`.

    Args:
        cell: The cell.
        spec: The declarations.
        has_dual_input: Whether the input is dual numbers; if not, it is constant.
    """

    cell: Cell
    spec: TangentDeclarations
    has_dual_input: bool

    def step(
        self, arrays: Mapping[str, Any], x: Any, states: Mapping[str, Any], lengths: Mapping[str, Any]
    ) -> Output:
        """One step on symbolic arrays: the output in dual numbers, and the new states."""
        cell, known = self.cell, {**arrays, **states}
        own = {name: arrays[name] for name in (*cell.params, *cell.buffers)}
        bound = bound_copy(cell, lengths_of(cell, lengths), own)
        value = x[::2] if self.has_dual_input else x
        old_states = [states[name] for name in cell.states]
        result = step_result(cell, bound.step(value, *old_states, *(arrays[name] for name in cell.inputs)))
        y = result.states[next(iter(cell.states))] if result.y is None else result.y
        sources = {value.node: x[1::2].node} if self.has_dual_input else {}
        for name in (*cell.params, *cell.states):
            if (tangent := known.get(tangent_name(name))) is not None:
                sources[_stored(known[name])] = _stored(tangent)
        new_states = [y, *result.states.values()]
        tangent_of = tangents([node for each in new_states for node in planes_of(each)], sources)
        y_tangent, *state_tangents = (_tangent_of(each, tangent_of) for each in new_states)
        dual = np.stack([y, y_tangent], axis=-1).reshape(-1)
        changed = zip(result.states, state_tangents, strict=True)
        continuous = [tangent for name, tangent in changed if not cell.states[name].discrete]
        return Output(dual, *result.states.values(), *continuous)


def _stored(value: Any) -> Node:
    """The leaf of a declared array."""
    return view_base(planes_of(value)[0])


def _tangent_of(value: Any, tangent_of: Mapping[Node, Node]) -> Any:
    """The tangent of a symbolic array, or zeros."""
    planes = [
        SymbolicArray(tangent_of.get(node, node.graph.constant(0.0, node.shape))) for node in planes_of(value)
    ]
    return Complex(*planes) if len(planes) == 2 else planes[0]


class TangentCell(CompositeCell, abstract=True):
    """A cell with its tangent; it has the options of the cell."""

    @property
    def x_size(self) -> str:  # type: ignore[override]  # a property, since it depends on options
        """Size of the input: a dual number for each feature of the cell, or a number if it is constant."""
        return f"2{self.base_cell().x_size}" if self._has_dual_input() else self.base_cell().x_size

    def size_values(self, input_size: int, hidden_size: int) -> dict[str, int]:
        """The letters of sizes: dual numbers are two for each feature of the cell."""
        return super().size_values(input_size // 2 if self._has_dual_input() else input_size, hidden_size)

    def _compose(self) -> TangentStep:
        return tangent_step(self.base_cell(), self._has_dual_input())

    @classmethod
    def _has_dual_input(cls) -> bool:
        return cls.component is Tangent

    @classmethod
    def _check_name(cls) -> None:
        """Skip the check: the name of the cell is checked."""


@functools.lru_cache(maxsize=256)
def tangent_step(cell: Cell, has_dual_input: bool) -> TangentStep:
    """Compose a cell and its tangent.

    Raises:
        UsageError: if the cell has no step.
    """
    if not cell.has_step():
        raise UsageError(
            f"{cell.label()} has kernels and no step, and tangents are derived from the step; add a step."
        )
    declared = {*cell.params, *cell.buffers, *cell.states, *cell.inputs}
    if clash := sorted(name for name in declared if tangent_name(name) in declared):
        raise UsageError(
            f"{cell.label()} declares {clash[0]!r} and {tangent_name(clash[0])!r}, the name of its tangent; "
            f"rename one of them."
        )
    continuous = {name: state for name, state in cell.states.items() if not state.discrete}
    spec = TangentDeclarations(
        dict(cell.params),
        {**cell.buffers, **_tangent_declarations(Buffer, cell.params)},
        {**cell.states, **_tangent_declarations(State, continuous)},
        dict(cell.inputs),
    )
    return TangentStep(cell, spec, has_dual_input)


def _tangent_declarations(kind: type[Any], arrays: Mapping[str, ArrayDeclaration]) -> dict[str, Any]:
    """Declarations of arrays with the same shapes, which start at zero."""
    declared = {}
    for name, array in arrays.items():
        tangent = kind(*(size.text for size in array.shape), complex=array.complex)
        tangent.name = tangent_name(name)
        declared[tangent.name] = tangent
    return declared


def tangent_cell(cell: Cell, has_dual_input: bool = True) -> Cell:
    """A cell with its tangent.

    Args:
        cell: The cell.
        has_dual_input: Whether the input is dual numbers; if not, it is constant, and may hold tokens.

    Raises:
        UsageError: if the cell has no step.
    """
    component = Tangent if has_dual_input else ParameterTangent
    return _tangent_class(type(cell), component)(**cell.options)  # type: ignore[arg-type]  # see modified_class


@functools.cache
def _tangent_class(base: type[Cell], component: type[Component]) -> type[Cell]:
    spec = tangent_step(base(), component is Tangent).spec
    attributes = {
        "__doc__": composite_docstring(base, component, "With its tangent"),
        "__module__": base.__module__,
        "__qualname__": f"{base.__qualname__}+{component.__qualname__}",
        "name": f"{base.name}+{component.name}",
        "family": base.family,
        "card": base.card,
        "base": base,
        "component": component,
        "compose_class": staticmethod(_tangent_class),
        **{name: copy.copy(option) for name, option in base.declared_options.items()},
        **spec.params,
        **spec.buffers,
        **spec.states,
        **spec.inputs,
    }
    return type(f"{base.__name__}+{component.__name__}", (TangentCell,), attributes)
