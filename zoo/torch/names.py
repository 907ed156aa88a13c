"""What a module calls its parameters: as PyTorch does where it has the cell, else as zoo does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from zoo.convert.forms import FORMS
from zoo.convert.torch import has_layout, to_layer, torch_name, weights_of
from zoo.layers.layer import Array, Arrays
from zoo.layers.stack import Stack

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
        self.layers = [layer.prefix.removesuffix(".") for layer in stack.layers]
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
