"""The configuration of a module, and what modules of equal configuration share: stack, names, layouts.

Parameters have PyTorch's names if it has the cell, else zoo's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from zoo.array_types import Array, Arrays
from zoo.base import Noise
from zoo.convert.gate_layout import GATE_LAYOUTS
from zoo.convert.torch import has_layout, to_layer, torch_name, weights_of
from zoo.errors import UsageError
from zoo.kernels.precision import check_precision
from zoo.layers.config import StackConfig
from zoo.layers.functional import FunctionalStack
from zoo.layers.parameters import ParameterLayout
from zoo.layers.stack import Stack
from zoo.layers.tangents import TangentStack
from zoo.layers.validation import DTYPES, as_dtype
from zoo.torch.states import state_layout

Tensor = Any

OWNER = "zoo.torch.Recurrent"
_DTYPES = {name: getattr(torch, name) for name in DTYPES}

Values = TypeVar("Values")
"""Arrays or tensors."""

Join = Callable[[list[Values]], Values]
"""Concatenate vectors into a new one: ``np.concatenate`` or ``torch.cat``."""


class ParameterNames(Protocol):
    """The mapping between parameters of a module and of a stack."""

    names: tuple[str, ...]
    """Names in the module, in its order."""

    def to_module(self, params: Mapping[str, Array]) -> Arrays:
        """Parameters of the module from the parameters of the stack; views where possible."""

    def to_stack(self, values: Sequence[Array]) -> Arrays:
        """Parameters of the stack from the parameters of the module, in its order; views where possible."""

    def gradients(self, grads: Mapping[str, Values], join: Join[Values]) -> list[Values]:
        """Gradients of the module's parameters, in its order, from the stack's."""

    def to_kernel_layout(self, parameter: Tensor) -> Tensor:
        """The parameter in the memory layout of the kernels; itself if it has that layout."""


class ZooNames:
    """zoo's names, ``l0.Wx``: the parameters of the stack.

    Args:
        stack: The stack.
    """

    def __init__(self, stack: Stack) -> None:
        self.names = tuple(stack.param_shapes)

    def to_module(self, params: Mapping[str, Array]) -> Arrays:
        """Select by name."""
        return {name: params[name] for name in self.names}

    def to_stack(self, values: Sequence[Array]) -> Arrays:
        """Select by name."""
        return dict(zip(self.names, values, strict=True))

    def gradients(self, grads: Mapping[str, Values], _join: Join[Values]) -> list[Values]:
        """Select by name."""
        return list(grads.values())

    def to_kernel_layout(self, parameter: Tensor) -> Tensor:
        """C order."""
        return parameter.contiguous()


class TorchNames:
    """PyTorch's names, ``weight_ih_l0``, shapes and two biases; learned initial states as in zoo.

    Args:
        stack: A stack of a cell that PyTorch has.
    """

    def __init__(self, stack: Stack) -> None:
        self.cell = stack.cell
        self.gate_layout = GATE_LAYOUTS[self.cell.name]
        self.layers = [layer.prefix.removesuffix(".") for layer in stack.directions]
        self.learned = tuple(stack.learned)
        projection = ("weight_hr",) if "Wp" in self.cell.params else ()
        self.arrays = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", *projection)
        self.names = tuple(torch_name(layer, array) for layer in self.layers for array in self.arrays)
        self.names += self.learned

    def to_module(self, params: Mapping[str, Array]) -> Arrays:
        """Transpose matrices; set the second bias to zero where one suffices."""
        values = {}
        for layer in self.layers:
            of_layer = {name: params[f"{layer}.{name}"] for name in self.cell.params}
            for array, value in to_layer(self.cell, of_layer).items():
                values[torch_name(layer, array)] = value
        return values | {name: params[name] for name in self.learned}

    def to_stack(self, values: Sequence[Array]) -> Arrays:
        """Transpose matrices; sum the two biases."""
        params: Arrays = {}
        rest = iter(values)
        for layer in self.layers:
            weights = weights_of(dict(zip(self.arrays, rest, strict=False)))
            for name, value in self.gate_layout.read(self.cell, weights).items():
                params[f"{layer}.{name}"] = value
        params.update(zip(self.learned, rest, strict=True))
        return params

    def gradients(self, grads: Mapping[str, Values], join: Join[Values]) -> list[Values]:
        """Transpose matrices; two biases with a common sum have the same gradient."""
        of_layers = [each for layer in self.layers for each in self._of_layer(layer, grads, join)]
        return of_layers + [grads[name] for name in self.learned]

    def to_kernel_layout(self, parameter: Tensor) -> Tensor:
        """Fortran order, which is C order in zoo's shape."""
        return parameter.t().contiguous().t()

    def _of_layer(self, layer: str, grads: Mapping[str, Any], join: Join[Any]) -> list[Any]:
        of_layer = [grads[f"{layer}.{name}"] for name in self.cell.params]
        weight_ih, weight_hh, bias, *last = of_layer  # all of these cells declare them in this order
        if "bn" not in self.cell.params:
            return [weight_ih.T, weight_hh.T, bias, join([bias]), *(projection.T for projection in last)]
        (bias_n,) = last
        return [weight_ih.T, weight_hh.T, bias, join([bias[: -len(bias_n)], bias_n])]


def parameter_names(stack: Stack) -> ParameterNames:
    """PyTorch's names if all layers have the same cell and PyTorch has it, else zoo's."""
    has_names = stack.config.has_single_cell and has_layout(stack.cell)
    return TorchNames(stack) if has_names else ZooNames(stack)


class SharedStack:
    """The stack, names and layouts that all modules of a configuration share.

    Args:
        stack: The layers.
        key: Key for :func:`stack_of_key`.

    Attributes:
        names: Parameter names of the module.
        states: Layout of its states.
        buffers: Names of its buffers.
        draws: Whether training is random.
        layout: Layout of the stack's parameters in a vector.
        shapes: Shape of each parameter and then each buffer, by the module's names.
    """

    def __init__(self, stack: Stack, key: str) -> None:
        self.stack = stack
        self.key = key
        self.names: ParameterNames = parameter_names(stack)
        self.states = state_layout(stack)
        self.buffers = tuple(stack.buffer_shapes)
        noises = (isinstance(each, Noise) for each in stack.inputs.values())
        self.draws = any(noises) or (stack.dropout > 0 and len(stack.layers) > 1)
        self.layout = ParameterLayout(stack.param_shapes)
        self.shapes = {name: value.shape for name, value in self.to_module(self.zeros()).items()}
        self._pure = {dtype: FunctionalStack(stack, dtype) for dtype in DTYPES.values()}
        self._tangent_stacks = {dtype: TangentStack(pure) for dtype, pure in self._pure.items()}

    def pure(self, dtype: np.dtype[Any]) -> FunctionalStack:
        """The forward and backward passes for a dtype.

        Raises:
            UsageError: if it is neither float32 nor float64.
        """
        return self._pure.get(dtype) or self._pure[as_dtype(dtype)]

    def tangent_stack(self, dtype: np.dtype[Any]) -> TangentStack:
        """Derivatives in a direction for a dtype, float32 or float64."""
        return self._tangent_stacks[dtype]

    def zeros(self) -> Arrays:
        """Parameters and buffers of the stack, all zero."""
        shapes = {**self.stack.param_shapes, **self.stack.buffer_shapes}
        return {name: np.zeros(shape) for name, shape in shapes.items()}

    def to_module(self, arrays: Mapping[str, Array]) -> Arrays:
        """Parameters and buffers of the module from the arrays of the stack; views where possible."""
        return self.names.to_module(arrays) | {name: arrays[name] for name in self.buffers}

    def arrays(self, values: Sequence[Array]) -> Arrays:
        """Parameters and buffers for kernels from the module's arrays, in its order; views where possible."""
        count = len(self.names.names)
        arrays = self.names.to_stack(values[:count]) | dict(zip(self.buffers, values[count:], strict=True))
        return {name: np.ascontiguousarray(value) for name, value in arrays.items()}

    def gradients(self, dtheta: Any, join: Join[Any]) -> list[Any]:
        """Gradients of the module's parameters from the stack's gradient ``(P,)``; views where possible.

        Args:
            dtheta: An array, or a tensor.
            join: ``np.concatenate`` or ``torch.cat``.
        """
        return self.names.gradients(self.layout.views(dtheta), join)


_shared_stacks: dict[str, SharedStack] = {}

_keys: dict[StackConfig, str] = {}

_lock = threading.Lock()


def shared_stack(config: StackConfig) -> SharedStack:
    """The shared stack of a configuration, made at the first call.

    Raises:
        UsageError: if a cell does not support the sizes.
    """
    with _lock:
        if config not in _keys:
            key = f"{config.describe()}, recompute={config.recompute!r}"
            while key in _shared_stacks:  # another class of the same name
                key += "'"
            _keys[config], _shared_stacks[key] = key, SharedStack(Stack(config), key)
        return _shared_stacks[_keys[config]]


def stack_of_key(key: str) -> SharedStack:
    """The shared stack of a key: PyTorch operators take strings, not objects.

    Raises:
        UsageError: if this process runs a program exported by another, and has made no such stack.
    """
    if key not in _shared_stacks:
        raise UsageError(f"{OWNER}({key}) was never made in this process; make one, then run the program.")
    return _shared_stacks[key]


def check_device(device: Any, subject: str = "the module would be") -> None:
    """Check that a device is the CPU.

    Raises:
        UsageError: if it is not.
    """
    if device.type != "cpu":
        raise UsageError(
            f"{OWNER} computes on the CPU, and {subject} on {device}; keep the module on the CPU, and move "
            f"its inputs and outputs, as in x.cpu()."
        )


def check_dtype(dtype: Any) -> Any:
    """The PyTorch dtype of a dtype or its name.

    Raises:
        UsageError: if it is neither float32 nor float64.
    """
    resolved = _DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    if resolved not in _DTYPES.values():
        raise UsageError(f"{OWNER}: dtype is {dtype!r}; expected {' or '.join(map(str, _DTYPES.values()))}.")
    return resolved


def as_precision(precision: Any, dtype: Any) -> str | None:
    """The precision of matrix products for a PyTorch dtype; None for the precision of the dtype.

    Raises:
        UsageError: if it is invalid, or neither the dtype nor this processor has it.
    """
    return check_precision(precision, str(dtype).removeprefix("torch."), OWNER)
