"""What a module calls its parameters: as PyTorch does where it has the cell, else as zoo does.

What a module computes, apart from its numbers; and all that follows from that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from zoo.base import Cell, Noise
from zoo.convert.gate_layout import FORMS
from zoo.convert.torch import has_layout, to_layer, torch_name, weights_of
from zoo.errors import UsageError
from zoo.layers.checkpointing import Recompute
from zoo.layers.config import StackConfig
from zoo.layers.direction import Array, Arrays
from zoo.layers.functional import FunctionalStack
from zoo.layers.parameters import ParameterLayout
from zoo.layers.stack import Stack
from zoo.layers.validation import DTYPES, as_dtype
from zoo.torch.checks import WHO
from zoo.torch.states import states_for

Tensor = Any

Values = TypeVar("Values")

"""Arrays or tensors: what is done to them here is the same."""

Join = Callable[[list[Values]], Values]

"""Lays vectors one behind the other, in memory of their own: ``np.concatenate`` or ``torch.cat``."""


class Names(Protocol):
    """How the parameters of a module are those of a stack."""

    names: tuple[str, ...]
    """Those of the module, in its order."""

    def to_module(self, params: Mapping[str, Array]) -> Arrays:
        """The parameters of the module from those of the stack; views where they can be."""

    def to_stack(self, values: Sequence[Array]) -> Arrays:
        """The parameters of the stack from those of the module, in its order; views where they can be."""

    def gradients(self, found: Mapping[str, Values], join: Join[Values]) -> list[Values]:
        """The gradients of the module's parameters, in its order, from those of the stack's."""

    def laid_out(self, parameter: Tensor) -> Tensor:
        """The same in memory as kernels read it; itself if it is so already."""


class ZooNames:
    """``l0.Wx``: each parameter is one of the stack's.

    Args:
        stack: The stack.
    """

    def __init__(self, stack: Stack) -> None:
        self.names = tuple(stack.param_shapes)

    def to_module(self, params: Mapping[str, Array]) -> Arrays:
        """The same."""
        return {name: params[name] for name in self.names}

    def to_stack(self, values: Sequence[Array]) -> Arrays:
        """The same."""
        return dict(zip(self.names, values, strict=True))

    def gradients(self, found: Mapping[str, Values], _join: Join[Values]) -> list[Values]:
        """The same."""
        return list(found.values())

    def laid_out(self, parameter: Tensor) -> Tensor:
        """Row by row."""
        return parameter.contiguous()


class TorchNames:
    """``weight_ih_l0``, in PyTorch's shapes and with its two biases; learned first states as in zoo.

    Args:
        stack: A stack of one cell that PyTorch has.
    """

    def __init__(self, stack: Stack) -> None:
        self.cell = stack.cell
        self.form = FORMS[self.cell.name]
        self.layers = [layer.prefix.removesuffix(".") for layer in stack.directions]
        self.learned = tuple(stack.learned)
        projection = ("weight_hr",) if "Wp" in self.cell.params else ()
        self.arrays = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", *projection)
        self.names = tuple(torch_name(layer, array) for layer in self.layers for array in self.arrays)
        self.names += self.learned

    def to_module(self, params: Mapping[str, Array]) -> Arrays:
        """Matrices are transposed, and the second bias is zero where one is enough."""
        found = {}
        for layer in self.layers:
            mine = {name: params[f"{layer}.{name}"] for name in self.cell.params}
            for array, value in to_layer(self.cell, mine).items():
                found[torch_name(layer, array)] = value
        return found | {name: params[name] for name in self.learned}

    def to_stack(self, values: Sequence[Array]) -> Arrays:
        """Matrices are transposed, and two biases summed up."""
        found: Arrays = {}
        rest = iter(values)
        for layer in self.layers:
            mine = weights_of(dict(zip(self.arrays, rest, strict=False)))
            for name, value in self.form.read(self.cell, mine).items():
                found[f"{layer}.{name}"] = value
        found.update(zip(self.learned, rest, strict=True))
        return found

    def gradients(self, found: Mapping[str, Values], join: Join[Values]) -> list[Values]:
        """Matrices are transposed, and two biases whose sum counts have the same gradient."""
        mine = [each for layer in self.layers for each in self._of_layer(layer, found, join)]
        return mine + [found[name] for name in self.learned]

    def laid_out(self, parameter: Tensor) -> Tensor:
        """Matrices column by column: row by row they are zoo's."""
        return parameter.t().contiguous().t()

    def _of_layer(self, layer: str, found: Mapping[str, Any], join: Join[Any]) -> list[Any]:
        mine = [found[f"{layer}.{name}"] for name in self.cell.params]
        weight_ih, weight_hh, bias, *last = mine  # all of these cells declare them in this order
        if "bn" not in self.cell.params:
            return [weight_ih.T, weight_hh.T, bias, join([bias]), *(projection.T for projection in last)]
        (inside,) = last
        return [weight_ih.T, weight_hh.T, bias, join([bias[: -len(inside)], inside])]


def names_for(stack: Stack) -> Names:
    """PyTorch's names if it has the one cell of the stack, else zoo's."""
    one = all(cell == stack.cell for cell in stack.cells)
    return TorchNames(stack) if one and has_layout(stack.cell) else ZooNames(stack)


@dataclass(frozen=True)
class Plan:
    """The arguments of a stack; modules with equal plans share everything but their numbers.

    Args:
        cell: The cell of every layer, or one for each.
        input_size: ``I``.
        hidden_size: ``H``.
        num_layers: ``L``.
        bidirectional: Whether every layer is two.
        dropout: How probable it is in training that a number between layers is dropped.
        residual: Whether layers add their input to their output.
        learned_state: Whether first states are parameters.
        recompute: What is computed again on the way back.
    """

    cell: Cell | tuple[Cell, ...]
    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    dropout: float
    residual: bool
    learned_state: bool
    recompute: Recompute


class Outline:
    """What follows from a plan; made once for each.

    Args:
        stack: The layers.
        recompute: What is computed again on the way back.
        key: By which :func:`outline` finds it.

    Attributes:
        names: What the module calls its parameters.
        states: How its states look.
        buffers: The names of its buffers.
        draws: Whether something is random in training.
        layout: How the stack's parameters lie in a vector.
        shapes: Shape of each parameter, and then of each buffer, under the module's names.
    """

    def __init__(self, stack: Stack, recompute: Recompute, key: str) -> None:
        self.stack = stack
        self.key = key
        self.names: Names = names_for(stack)
        self.states = states_for(stack)
        self.buffers = tuple(stack.buffer_shapes)
        noises = (isinstance(each, Noise) for each in stack.inputs.values())
        self.draws = any(noises) or (stack.dropout > 0 and len(stack.layers) > 1)
        self.layout = ParameterLayout(stack.param_shapes)
        self.shapes = {name: value.shape for name, value in self.to_module(self.zeros()).items()}
        self._pure = {dtype: FunctionalStack(stack, dtype, recompute) for dtype in DTYPES.values()}

    def pure(self, dtype: np.dtype[Any]) -> FunctionalStack:
        """Both passes, for parameters of this dtype.

        Raises:
            UsageError: if it is neither float32 nor float64.
        """
        return self._pure.get(dtype) or self._pure[as_dtype(dtype)]

    def zeros(self) -> Arrays:
        """Parameters and buffers of the stack, all zero."""
        shapes = {**self.stack.param_shapes, **self.stack.buffer_shapes}
        return {name: np.zeros(shape) for name, shape in shapes.items()}

    def to_module(self, arrays: Mapping[str, Array]) -> Arrays:
        """Parameters and buffers under the module's names, from those of the stack: views, mostly."""
        return self.names.to_module(arrays) | {name: arrays[name] for name in self.buffers}

    def arrays(self, values: Sequence[Array]) -> Arrays:
        """What kernels take of the module's parameters and buffers, in its order: views where they can be."""
        count = len(self.names.names)
        found = self.names.to_stack(values[:count]) | dict(zip(self.buffers, values[count:], strict=True))
        return {name: np.ascontiguousarray(value) for name, value in found.items()}

    def gradients(self, dtheta: Any, join: Join[Any]) -> list[Any]:
        """Gradients of the module's parameters from that of the stack's ``(P,)``; views where they can be.

        Args:
            dtheta: An array, or a tensor.
            join: ``np.concatenate`` or ``torch.cat``.
        """
        return self.names.gradients(self.layout.views(dtheta), join)


_outlines: dict[str, Outline] = {}

_keys: dict[Plan, str] = {}

_making = threading.Lock()


def outline_of(plan: Plan) -> Outline:
    """What follows from a plan.

    Raises:
        UsageError: if an argument does not fit.
    """
    config = StackConfig(
        plan.cell,
        plan.input_size,
        plan.hidden_size,
        plan.num_layers,
        bidirectional=plan.bidirectional,
        dropout=plan.dropout,
        residual=plan.residual,
        learned_state=plan.learned_state,
    )
    stack = Stack(config)
    with _making:
        if plan not in _keys:
            key = f"{config.describe()}, recompute={plan.recompute!r}"
            while key in _outlines:  # a class of the same name, defined again
                key += "'"
            _keys[plan], _outlines[key] = key, Outline(stack, plan.recompute, key)
        return _outlines[_keys[plan]]


def outline(key: str) -> Outline:
    """The outline of a key: operators of PyTorch take words, and no objects.

    Raises:
        UsageError: if this process has made none of it, and runs what another has exported.
    """
    if key not in _outlines:
        raise UsageError(f"{WHO}({key}) was never made in this process; make one, and run the program then.")
    return _outlines[key]
