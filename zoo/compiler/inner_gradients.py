"""Gradients inside a step: ``zoo.grad`` and ``zoo.value_and_grad``.

The function is called once with variables in place of its arguments, which makes a graph. Its gradient is a
graph too, in which the arguments replace the variables. It consists of ordinary operations, so that the
backward pass of the step differentiates it again.

On NumPy arrays the graph is evaluated at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from zoo.arguments import short_repr
from zoo.arrays import as_array
from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import (
    ActiveTrace,
    SymbolBase,
    SymbolicArray,
    SymbolicLength,
    as_node,
    current_trace,
    describe,
    trace_into,
)
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.ir.dims import as_dim, concrete_shape
from zoo.compiler.ir.graph import Graph, Level, Node, format_shape
from zoo.compiler.ir.structural_ops import VARIABLE
from zoo.compiler.passes.autodiff import gradients
from zoo.compiler.passes.simplify import rewrite
from zoo.errors import UsageError

Array = Any
Function: TypeAlias = Callable[..., Array]


def grad(function: Callable[..., Array], argnums: int | Sequence[int] = 0) -> Callable[..., Array]:
    """The gradient of a function that returns one number, for example of the loss of a memory.

    The result is a function of the same arguments. Use it in a ``step``: for a memory ``W`` that predicts the
    value ``v`` from the key ``k``, this is one step of gradient descent::

        def loss(W, k, v):
            error = k @ W - v
            return 0.5 * np.sum(error * error)

        W = W - self.rate * zoo.grad(loss)(W, k, v)

    The backward pass of the cell differentiates the gradient too. Arguments that are not differentiated, and
    arrays that the function uses without receiving them, are constants of the gradient.

    Args:
        function: A function of arrays that returns a number, an array without axes.
        argnums: The index of the argument to differentiate with respect to, or a sequence of indices.

    Returns:
        A function that returns the gradient with the shape of that argument, or a tuple of gradients for a
        sequence of indices. It raises a UsageError if an argument or the result of ``function`` is invalid.

    Raises:
        UsageError: if ``function`` is not callable, or an index is invalid.
    """
    both = _derivative("grad", function, argnums)
    return lambda *arguments, **options: both(*arguments, **options)[1]


def value_and_grad(function: Callable[..., Array], argnums: int | Sequence[int] = 0) -> Callable[..., Array]:
    """The result of a function that returns one number, and its gradient as from :func:`grad`.

    Args:
        function: As for :func:`grad`.
        argnums: As for :func:`grad`.

    Returns:
        A function that returns a pair: the number, and the gradient.

    Raises:
        UsageError: if ``function`` is not callable, or an index is invalid.
    """
    return _derivative("value_and_grad", function, argnums)


def _derivative(owner: str, function: Function, argnums: int | Sequence[int]) -> Function:
    """A function that returns the value and the gradient; ``owner`` is the name in errors."""
    if not callable(function):
        raise UsageError(
            f"{owner}: found {describe(function)}; expected a function of arrays, as in "
            f"zoo.grad(loss)(W, k, v)."
        )
    is_single = not isinstance(argnums, tuple | list)
    indices: list[Any] = [*argnums] if isinstance(argnums, tuple | list) else [argnums]
    is_index = [
        isinstance(index, int | np.integer) and not isinstance(index, bool) and index >= 0
        for index in indices
    ]
    if not indices or not all(is_index) or len({*indices}) < len(indices):
        raise UsageError(
            f"{owner}: argnums is {short_repr(argnums)}; expected the index of an argument, from 0, or a "
            f"tuple of different indices."
        )

    def value_and_gradient(*arguments: Array, **options: Any) -> tuple[Array, Array]:
        if max(indices) >= len(arguments):
            raise UsageError(
                f"{owner}: argnums is {short_repr(argnums)}, and the call has {len(arguments)} positional "
                f"arguments; pass argument {max(indices)} by position."
            )
        for index in indices:
            _check_argument(owner, index, arguments[index])
        trace = current_trace()
        bound = partial(function, **options)
        if trace is None:
            value, results = _evaluate(owner, bound, arguments, indices)
        else:
            value, results = _differentiate_in_step(owner, bound, arguments, indices, trace)
        return value, results[0] if is_single else results

    return value_and_gradient


def _check_argument(owner: str, index: int, argument: Array) -> None:
    """Raise an error if an argument holds several arrays, as a dictionary does."""
    arrays = argument if isinstance(argument, list | tuple) else ()
    if isinstance(argument, dict) or any(isinstance(each, np.ndarray | SymbolBase) for each in arrays):
        raise UsageError(
            f"{owner}: argument {index} is {describe(argument)} of arrays; expected a number or an array. "
            f"Make each array an argument of the function, and give their indices, as in argnums=(0, 1)."
        )


def _differentiate_in_step(
    owner: str, function: Function, arguments: tuple[Array, ...], indices: list[int], trace: ActiveTrace
) -> tuple[Array, tuple[Array, ...]]:
    """The value and the gradients as symbolic arrays."""
    graph = trace.graph
    operands = {index: graph.as_number(_operand(owner, arguments[index], graph)) for index in indices}
    variables = _new_variables(trace, operands)
    nodes = _differentiate(owner, function, arguments, variables)
    actual = {variables[index]: node for index, node in operands.items()}
    new = rewrite(nodes, lambda node, _: actual.get(node))
    value, *results = (SymbolicArray(new[node]) for node in nodes)
    return value, tuple(results)


def _evaluate(
    owner: str, function: Function, arguments: tuple[Array, ...], indices: list[int]
) -> tuple[Array, tuple[Array, ...]]:
    """The value and the gradients as NumPy arrays."""
    graph, arrays = _UnlimitedGraph(), {}
    for index in indices:
        arrays[index] = as_array(arguments[index], f"{owner}: argument {index}")
        if arrays[index].dtype.kind not in "biuf":
            raise UsageError(f"{owner}: argument {index} is {arrays[index].dtype}; expected real numbers.")
    dtype = np.result_type(np.float32, *arrays.values())
    constants = {index: graph.constant(0.0, tuple(map(as_dim, each.shape))) for index, each in arrays.items()}
    try:
        with trace_into(graph) as trace:
            variables = _new_variables(trace, constants)
            nodes = _differentiate(owner, function, arguments, variables)
    except TraceError as error:
        raise UsageError(f"{owner}: {error}.") from None
    known = {variables[index]: array.astype(dtype) for index, array in arrays.items()}
    values = GraphInterpreter({}, {}, dtype).prepare(nodes, list(known))(known)
    shapes = (concrete_shape(node.shape, {}) for node in nodes)
    value, *results = (
        np.array(np.broadcast_to(each, shape))[()] for each, shape in zip(values, shapes, strict=True)
    )
    return value, tuple(results)


class _UnlimitedGraph(Graph):
    """A graph whose arrays may be of any size, since nothing is compiled from it."""

    max_literal = 2**63


def _new_variables(trace: ActiveTrace, operands: dict[int, Node]) -> dict[int, Node]:
    """Variables with the shapes of operands, which no other gradient of a step has.

    They belong to one sequence and step. The gradient with respect to a parameter is therefore the gradient
    of this step alone, and not a sum over the batch.
    """
    trace.gradients += 1
    return {
        index: trace.graph.node(VARIABLE, attr=(trace.gradients, index), shape=node.shape, level=Level.STEP)
        for index, node in operands.items()
    }


def _differentiate(
    owner: str, function: Function, arguments: tuple[Array, ...], variables: dict[int, Node]
) -> list[Node]:
    """The result of a function of variables and other arguments, and its gradients."""
    replaced = [
        SymbolicArray(variables[index]) if index in variables else each
        for index, each in enumerate(arguments)
    ]
    result = function(*replaced)
    graph = next(iter(variables.values())).graph
    value = _number(owner, result, graph)
    total = gradients({value: graph.constant(1.0)}, variables.values())
    return [value, *(total.get(each, graph.constant(0.0, each.shape)) for each in variables.values())]


def _operand(owner: str, argument: Array, graph: Graph) -> Node:
    if isinstance(argument, SymbolBase) and not isinstance(argument, SymbolicArray):
        raise UsageError(
            f"{owner}: found complex numbers; differentiate with respect to their .real and .imag."
        )
    return as_node(argument, graph)


def _number(owner: str, result: Array, graph: Graph) -> Node:
    """The node of a result, which must be a number.

    Raises:
        UsageError: if it is anything else.
    """
    if isinstance(result, SymbolicArray | SymbolicLength | int | float | np.number | np.ndarray):
        node = as_node(result, graph)
        if node.shape == () and not node.is_bool:
            return node
        kind = "a boolean" if node.is_bool else f"an array of shape {format_shape(node.shape)}"
    else:
        kind = describe(result)
    raise UsageError(f"{owner}: the function returned {kind}; expected one number, as from np.sum.")
