"""States in PyTorch's form: a tensor for each state of the cell, with an axis of layers and directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from zoo.array_types import Array, Arrays
from zoo.errors import UsageError
from zoo.layers.parameters import Shapes
from zoo.layers.stack import Stack

Tensor = Any
State = Any
"""A tensor, a tuple of tensors, or a dictionary of them."""


@dataclass(frozen=True)
class StateLayout:
    """The layouts of states for users, for autograd and for the stack.

    Users see one tensor ``(L·D, B, ...)`` for a cell with one state and a tuple of tensors for several, in
    the order of declaration. Autograd sees a list. If the states of layers differ, users see a dictionary by
    the names of the stack, and each tensor is ``(B, ...)``.

    Args:
        names: The states of the stack that make up each tensor.
        kinds: Names of the tensors in errors.
        shapes: Shape of each state of the stack, without the batch axis.
        is_stacked: Whether tensors have an axis for layers and directions.
        discrete: Indices of the tensors with integer values only.
    """

    names: tuple[tuple[str, ...], ...]
    kinds: tuple[str, ...]
    shapes: Shapes
    is_stacked: bool
    discrete: tuple[int, ...]

    def shape(self, which: int, batch: Any) -> tuple[Any, ...]:
        """Shape of one tensor."""
        names = self.names[which]
        front = (len(names), batch) if self.is_stacked else (batch,)
        return (*front, *self.shapes[names[0]])

    def arrays(self, tensors: Sequence[Tensor | None]) -> Arrays:
        """The states of the stack as views, without those that are None."""
        states: Arrays = {}
        for names, tensor in zip(self.names, tensors, strict=True):
            if tensor is not None:
                array = tensor.detach().numpy()
                states |= dict(zip(names, array if self.is_stacked else (array,), strict=True))
        return states

    def tensors(self, arrays: Mapping[str, Array]) -> list[Tensor]:
        """The states of the stack as tensors, which share memory for a single layer."""
        groups = [[arrays[name] for name in names] for names in self.names]
        return [torch.from_numpy(self._stack(group)) for group in groups]

    def _stack(self, group: list[Array]) -> Array:
        if not self.is_stacked:
            return group[0]
        return group[0][np.newaxis] if len(group) == 1 else np.stack(group)

    def as_list(self, state: State, owner: str) -> list[Tensor]:
        """The user's states as a list.

        Raises:
            UsageError: if they do not have the form of the returned states.
        """
        if not self.is_stacked:
            if isinstance(state, Mapping) and set(state) == set(self.kinds):
                return [state[name] for name in self.kinds]
        elif len(self.kinds) == 1:
            if not isinstance(state, (tuple, list, Mapping)):
                return [state]
        elif isinstance(state, (tuple, list)) and len(state) == len(self.kinds):
            return list(state)
        raise UsageError(f"{owner}: the state is {_describe(state)}; expected {self.expected()}.")

    def to_user(self, tensors: Sequence[Tensor]) -> State:
        """States in the user's form."""
        if not self.is_stacked:
            return dict(zip(self.kinds, tensors, strict=True))
        return tensors[0] if len(tensors) == 1 else tuple(tensors)

    def expected(self) -> str:
        """A description of the user's form."""
        names = ", ".join(self.kinds)
        if not self.is_stacked:
            return f"a dictionary with {names}"
        return f"a tensor, {names}" if len(self.kinds) == 1 else f"a tuple ({names}) of tensors"


def state_layout(stack: Stack) -> StateLayout:
    """The state layout of a stack."""
    shapes = stack.state_shapes
    each = [[shapes[name] for name in layer.states] for layer in stack.directions]
    has_equal_names = all(cell.states.keys() == stack.cell.states.keys() for cell in stack.cells)
    is_stacked = has_equal_names and all(shapes_of == each[0] for shapes_of in each)
    names = tuple(zip(*(layer.states for layer in stack.directions), strict=True)) if is_stacked else None
    names = names or tuple((name,) for name in shapes)
    kinds = tuple(stack.cell.states) if is_stacked else tuple(shapes)
    discrete = tuple(index for index, group in enumerate(names) if group[0] in stack.discrete_states)
    return StateLayout(names, kinds, shapes, is_stacked, discrete)


def _describe(state: State) -> str:
    if isinstance(state, Mapping):
        return f"a dictionary with {', '.join(map(str, state))}"
    if isinstance(state, (tuple, list)):
        return f"a {type(state).__name__} of {len(state)}"
    return f"a {type(state).__name__}"
