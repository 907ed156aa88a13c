"""The reference of both passes: a cell's step, and reverse mode over its graph, in plain NumPy and float64.

It shares the equations with the kernels and nothing else: no schedule, no fusion, no stored intermediates, no
generated code. All rows of the batch are worked out together, one step after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.compiler.graph import Level, Node, ancestors
from zoo.compiler.meanings import meaning
from zoo.compiler.step_back import step_back
from zoo.compiler.structure import SUMS
from zoo.layers.layer import Layer
from zoo.testing.domain import Array, Arrays, Trial, named_gradients, named_values

_FLOAT64 = np.dtype(np.float64)
Values = dict[Node, Any]


@dataclass(frozen=True)
class LayerArrays:
    """What one layer of a trial takes, under the names that the cell has for it.

    Args:
        layer: The layer.
        arrays: Parameters and buffers.
        state: States before the first step, ``(B, ...)``.
        inputs: Inputs beside x, ``(T, B, ...)``.
    """

    layer: Layer
    arrays: Arrays
    state: Arrays
    inputs: Arrays


def dense_input(trial: Trial) -> Array:
    """The input ``(T, B, I)`` of the trial's dtype; tokens as one-hot rows."""
    if not trial.tokens:
        return trial.x
    one_hot: Array = np.eye(trial.rnn.stack.input_size, dtype=trial.rnn.dtype)[trial.x]
    return one_hot


def layers_of(trial: Trial) -> list[LayerArrays]:
    """The arrays of each layer, from the lowest up."""
    stack = trial.rnn.stack
    arrays = {**trial.rnn.layout.views(trial.theta), **trial.rnn.buffers}
    steps, batch = trial.x.shape[:2]
    beside = stack.beside(trial.inputs, (steps, batch), trial.theta.dtype)
    told = beside.part(slice(0, steps), slice(0, batch))
    return [
        LayerArrays(
            layer,
            _unprefixed(layer, arrays),
            _unprefixed(layer, trial.state),
            dict(zip(layer.cell.inputs, inputs, strict=True)),
        )
        for layer, ((inputs,), _) in zip(stack.layers, told, strict=True)
    ]


def run_reference(trial: Trial) -> Arrays:
    """Both passes in float64, every result under the name that :func:`zoo.testing.domain.run` gives it.

    Raises:
        DefinitionError: if a layer's cell has no ``step`` that can be read.
    """
    y, last, courses = dense_input(trial).astype(_FLOAT64), Arrays(), []
    for parts in layers_of(trial):
        course = _Course(parts)
        y, after = course.forward(y)
        courses.append(course)
        last |= {f"{parts.layer.prefix}{name}": value for name, value in after.items()}
    dx, dstate, dtheta = trial.dy.astype(_FLOAT64), Arrays(), np.zeros(trial.theta.size)
    dparams = trial.rnn.layout.views(dtheta)
    for course in reversed(courses):
        prefix = course.parts.layer.prefix
        dx, dbefore, gradients = course.backward(dx, _unprefixed(course.parts.layer, trial.dlast))
        dstate |= {f"{prefix}{name}": value for name, value in dbefore.items()}
        for name, value in gradients.items():
            dparams[f"{prefix}{name}"][...] = value
    return named_values(y, last) | named_gradients(trial.rnn, None if trial.tokens else dx, dstate, dtheta)


class _Course:
    """One layer over a sequence.

    Args:
        parts: Its arrays.
    """

    def __init__(self, parts: LayerArrays) -> None:
        self.parts, self.back = parts, step_back(parts.layer.cell, with_params=True)
        equations = self.equations = self.back.equations
        self.batch = len(next(iter(parts.state.values())))
        leaves = {**equations.params, **equations.buffers}
        sizes = {"I": parts.layer.input_size, "H": parts.layer.hidden_size}
        self.before = dict(equations.states)
        shared = {leaf: _as_float64(parts.arrays[name]) for name, leaf in leaves.items()}
        self.step = _Evaluation(equations.outputs, sizes, shared)
        assert self.back.dy is not None
        # What the step back is wanted for, by leaf; a leaf on which nothing depends has no gradient.
        variables = [equations.x, *equations.params.values(), *(self.before[n] for n in self.back.dafter)]
        self.gradients = {leaf: self.back.totals[leaf] for leaf in variables if leaf in self.back.totals}
        self.step_back = _Evaluation(list(self.gradients.values()), sizes, shared)
        self.given: list[Values] = []

    def forward(self, x: Array) -> tuple[Array, Arrays]:
        """Outputs ``(T, B, ·)`` and the states after the last step."""
        equations, outputs = self.equations, []
        state = {name: _as_float64(value) for name, value in self.parts.state.items()}
        for t in range(len(x)):
            given = {equations.x: x[t]} | {self.before[name]: value for name, value in state.items()}
            given |= {
                leaf: _as_float64(self.parts.inputs[name][t]) for name, leaf in equations.inputs.items()
            }
            self.given.append(given)
            y, *after = self.step(given)
            outputs.append(np.broadcast_to(y, (self.batch, *np.shape(y)[-1:])))
            state = {
                name: np.broadcast_to(value, state[name].shape)
                for name, value in zip(equations.after, after, strict=True)
            }
        return np.array(outputs), state

    def backward(self, dy: Array, dlast: Arrays) -> tuple[Array, Arrays, Arrays]:
        """Gradients of x, of the states before the first step, and of the parameters."""
        equations, dafter = self.equations, self.back.dafter
        dstate = {name: _as_float64(dlast[name]) for name in dafter}
        dparams = {name: np.zeros_like(self.parts.arrays[name], _FLOAT64) for name in equations.params}
        dx = np.zeros((*dy.shape[:2], self.parts.layer.input_size))
        for t in reversed(range(len(dy))):
            given = self.given[t] | {leaf: dstate[name] for name, leaf in dafter.items()}
            assert self.back.dy is not None
            given[self.back.dy] = dy[t]
            found = dict(zip(self.gradients, self.step_back(given), strict=True))
            dx[t] = found.get(equations.x, 0.0)
            for name, leaf in equations.params.items():
                dparams[name] += found.get(leaf, 0.0)
            dstate = {
                name: np.broadcast_to(found.get(self.before[name], 0.0), value.shape)
                for name, value in dstate.items()
            }
        zeros = {name: np.zeros_like(value, _FLOAT64) for name, value in self.parts.state.items()}
        return dx, zeros | dstate, dparams


class _Evaluation:
    """Values of a graph on NumPy arrays with the batch in front, in the order of the graph.

    Args:
        outputs: The values that are wanted.
        sizes: What ``I`` and ``H`` are.
        shared: Parameters and buffers.
    """

    def __init__(self, outputs: list[Node], sizes: Mapping[str, int], shared: Values) -> None:
        self.outputs, self.shared = outputs, dict(shared)
        self.functions: list[tuple[Node, Callable[..., Any]]] = []
        of_rows: set[Node] = set()
        for node in ancestors(outputs):
            if node in self.shared:
                continue
            if node.level != Level.ONCE and not node.inputs:
                of_rows.add(node)
                continue
            function = _sum_over_rows(node) if node.op in SUMS else meaning(node, sizes, _FLOAT64)
            if of_rows.isdisjoint(node.inputs):
                self.shared[node] = function(*[self.shared[each] for each in node.inputs])
            else:
                of_rows.add(node)
                self.functions.append((node, function))

    def __call__(self, given: Values) -> list[Any]:
        """The values that are wanted, from those of the leaves."""
        found = {**self.shared, **given}
        for node, function in self.functions:
            found[node] = function(*[found[each] for each in node.inputs])
        return [found[node] for node in self.outputs]


def _sum_over_rows(node: Node) -> Callable[..., Any]:
    """The meaning of an operation that sums over the batch."""
    if node.op == "row_sum":
        return lambda g: np.sum(g, axis=tuple(range(np.ndim(g) - node.ndim)))
    return _outer if node.op == "outer" else _outer_heads


def _outer(a: Array, g: Array) -> Array:
    a = np.broadcast_to(a, (*g.shape[:-1], a.shape[-1])).reshape(-1, a.shape[-1])
    product: Array = a.T @ g.reshape(-1, g.shape[-1])
    return product


def _outer_heads(a: Array, g: Array) -> Array:
    a = np.broadcast_to(a, (*g.shape[:-1], a.shape[-1])).reshape(-1, *a.shape[-2:])
    product: Array = a.transpose(1, 2, 0) @ g.reshape(-1, *g.shape[-2:]).transpose(1, 0, 2)
    return product


def _as_float64(array: Array) -> Array:
    return np.asarray(array, _FLOAT64)


def _unprefixed(layer: Layer, arrays: Arrays) -> Arrays:
    """A layer's arrays under the names they have in the cell."""
    return {
        name.removeprefix(layer.prefix): array
        for name, array in arrays.items()
        if name.startswith(layer.prefix)
    }
