"""Learning rates for another hidden size: the rule of the maximal update parametrisation (muP) for Adam.

An update of Adam changes every element of a matrix by about the learning rate, so it changes the product of
the matrix with ``n`` correlated inputs by about ``n`` learning rates. Matrices with inputs from hidden units
therefore need a learning rate that is inversely proportional to the number of hidden units, while biases and
matrices with inputs from the data do not: Table 3 of G. Yang et al. 2022, "Tensor Programs V: Tuning Large
Neural Networks via Zero-Shot Hyperparameter Transfer", https://arxiv.org/abs/2203.03466.

Initial values do not change. The table also has rules for them: the initial readout becomes smaller in wider
networks, and the initial matrices that read the input of the model do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zoo.arguments import as_integer, counted, short_repr
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.layers import Recurrent
from zoo.layers.stack import Stack
from zoo.model.model import Model
from zoo.modifiers.matmuls import find_matmuls

LARGEST_FACTOR = 1000
"""A learning rate for a network that is more than this many times as wide is a mistake: Adam's usual rates,
from 0.0001 to 0.1, would become 0.1 to 100."""


def width_groups(model: Model | Recurrent, base_hidden: int) -> dict[str, dict[str, float]]:
    """Parameter groups with which a learning rate for ``base_hidden`` hidden units suits this model.

    The learning rate of a matrix is multiplied by its number of inputs in a model of ``base_hidden`` units,
    divided by its number of inputs in this model. Parameters with the factor 1 have no group: biases,
    elementwise weights, and matrices that multiply the input of the model or its embedding. An embedding that
    is also the readout has the factor of a readout. The rule holds for optimizers whose updates do not depend
    on the scale of the gradient, :attr:`zoo.Optimizer.scale_free`.

    Args:
        model: A layer or a model.
        base_hidden: The hidden units for which the learning rate was chosen.

    Returns:
        The groups, for ``param_groups=``: ``{"l0.Wh": {"lr_factor": 0.25}, ...}``.

    Raises:
        UsageError: if ``base_hidden`` is no positive integer, more than 1000 times the hidden units of the
            model, or a size that the cells cannot have.
    """
    if not isinstance(model, (Model, Recurrent)):
        raise UsageError(f"width_groups: model is {short_repr(model)}; expected a layer or a model of zoo.")
    factors = width_factors(model, as_integer(base_hidden, "width_groups: base_hidden", 1))
    return {name: {"lr_factor": factor} for name, factor in factors.items()}


def width_factors(model: Model | Recurrent, base_hidden: int) -> dict[str, float]:
    """The factors of :func:`width_groups` by name of the parameter.

    Raises:
        UsageError: if the cells cannot have the size ``base_hidden``, or it is too large.
    """
    stack = model.stack
    check_base_hidden(base_hidden, stack.hidden_size)
    try:
        base = Stack(replace(stack.config, hidden_size=base_hidden))
    except UsageError as error:
        raise UsageError(f"base_hidden is {base_hidden:,}: {error}") from error
    factors = dict(_layer_factors(stack, base))
    readout = "embedding" if isinstance(model, Model) and model.tie else "Why"
    if readout in model.params:
        factors[readout] = base.output_size / stack.output_size
    return {name: factor for name, factor in factors.items() if factor != 1}


def check_base_hidden(base_hidden: int, hidden_size: int) -> None:
    """Check that learning rates for ``base_hidden`` units may suit a model of ``hidden_size`` units.

    Raises:
        UsageError: if the base is so large that the factors of the learning rate are absurd.
    """
    if base_hidden > LARGEST_FACTOR * hidden_size:
        raise UsageError(
            f"base_hidden is {base_hidden:,} and the model has {counted(hidden_size, 'hidden unit')}; "
            f"expected at most {LARGEST_FACTOR * hidden_size:,}. Give the hidden units for which the "
            f"learning rate was chosen."
        )


def _layer_factors(stack: Stack, base: Stack) -> Iterator[tuple[str, float]]:
    """The factor of each parameter of the layers whose number of inputs depends on the hidden size."""
    for direction, base_direction in zip(stack.directions, base.directions, strict=True):
        axes = _input_axes(direction.cell)
        for name, shape in direction.params.items():
            base_shape = base_direction.params[name]
            growing = [axis for axis in range(-len(shape), 0) if shape[axis] != base_shape[axis]]
            axis = axes.get(name.removeprefix(direction.prefix))
            if axis is None and len(growing) > 1:  # a matrix of units that no product reads unchanged
                axis = growing[-2]
            if axis is not None:
                yield name, base_shape[axis] / shape[axis]


def _input_axes(cell: Cell) -> dict[str, int]:
    """The axis of the inputs of each parameter that is a matrix of a product, from the end."""
    _, matmuls = find_matmuls(cell)
    return {
        each.param: -1 if each.is_left or len(each.matrix) == 1 else -2
        for each in (graph_matmul.matmul for graph_matmul in matmuls)
        if each.param
    }
