"""What a module computes, apart from its numbers; and all that follows from that."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.contracts import Cell, Noise
from zoo.errors import UsageError
from zoo.layers.boundary import DTYPES, as_dtype
from zoo.layers.layer import Array, Arrays
from zoo.layers.layout import Layout
from zoo.layers.pure import Pure
from zoo.layers.segments import Recompute
from zoo.layers.stack import Stack
from zoo.torch.limits import WHO
from zoo.torch.names import Join, Names, names_for
from zoo.torch.states import states_for


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
        self.draws = any(noises) or (stack.dropout > 0 and len(stack.floors) > 1)
        self.layout = Layout(stack.param_shapes)
        self.shapes = {name: value.shape for name, value in self.to_module(self.zeros()).items()}
        self._pure = {dtype: Pure(stack, dtype, recompute) for dtype in DTYPES.values()}

    def pure(self, dtype: np.dtype[Any]) -> Pure:
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
    stack = Stack(
        plan.cell,
        plan.input_size,
        plan.hidden_size,
        plan.num_layers,
        bidirectional=plan.bidirectional,
        dropout=plan.dropout,
        residual=plan.residual,
        learned_state=plan.learned_state,
    )
    with _making:
        if plan not in _keys:
            key = f"{stack.describe()}, recompute={plan.recompute!r}"
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
