"""Reference implementations in NumPy: ``step`` itself, and the graph of the step with its gradient.

:func:`run_sequence` runs the code of a cell, one sequence at a time, and therefore also finds faults of
tracing. :func:`run_reference` runs the traced graph and its gradient in float64. It shares the equations and
the derivative rules with the kernels, and the algorithms of ``solve`` and ``expm``, run as plain Python. It
shares no schedule, fusion, stored intermediates or compiled code. Each step computes all rows of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell, Output
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.autodiff import step_vjp
from zoo.layers.direction import Direction
from zoo.testing.trials import Trial, named_gradients, named_outputs

_FLOAT64 = np.dtype(np.float64)
Values = dict[Node, Any]


@dataclass(frozen=True)
class LayerArrays:
    """The arrays of one layer of a trial, under the names of the cell.

    Args:
        layer: The layer.
        arrays: Parameters and buffers.
        state: States before the first step, ``(B, ...)``.
        inputs: Auxiliary inputs, ``(T, B, ...)``.
    """

    layer: Direction
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
    aux = stack.aux_inputs(trial.inputs, (steps, batch), trial.theta.dtype)
    aux_by_layer = aux.chunk(slice(0, steps), slice(0, batch))
    return [
        LayerArrays(
            layer,
            _unprefixed(layer, arrays),
            _unprefixed(layer, trial.state),
            dict(zip(layer.cell.inputs, inputs, strict=True)),
        )
        for layer, ((inputs,), _) in zip(stack.directions, aux_by_layer, strict=True)
    ]


def run_reference(trial: Trial) -> Arrays:
    """Run both passes in float64 and return the results by name, as :func:`zoo.testing.trials.run` does.

    Raises:
        DefinitionError: if a layer's cell has no ``step`` that can be read.
    """
    y, last, layer_runs = dense_input(trial).astype(_FLOAT64), Arrays(), []
    for layer_arrays in layers_of(trial):
        layer_run = _LayerRun(layer_arrays)
        y, after = layer_run.forward(y)
        layer_runs.append(layer_run)
        last |= {f"{layer_arrays.layer.prefix}{name}": value for name, value in after.items()}
    dx, dstate, dtheta = trial.dy.astype(_FLOAT64), Arrays(), np.zeros(trial.theta.size)
    dparams = trial.rnn.layout.views(dtheta)
    for layer_run in reversed(layer_runs):
        layer = layer_run.layer_arrays.layer
        dx, dbefore, gradients = layer_run.backward(dx, _unprefixed(layer, trial.dlast))
        dstate |= {f"{layer.prefix}{name}": value for name, value in dbefore.items()}
        for name, value in gradients.items():
            dparams[f"{layer.prefix}{name}"][...] = value
    return named_outputs(y, last) | named_gradients(trial.rnn, None if trial.tokens else dx, dstate, dtheta)


class _LayerRun:
    """The forward and backward pass of one layer over a sequence.

    Args:
        layer_arrays: The arrays of the layer.
    """

    def __init__(self, layer_arrays: LayerArrays) -> None:
        layer, self.layer_arrays = layer_arrays.layer, layer_arrays
        self.backward_step = step_vjp(layer.cell, with_params=True)
        equations = self.step_graph = self.backward_step.step_graph
        self.batch = len(next(iter(layer_arrays.state.values())))
        leaves = {**equations.params, **equations.buffers}
        sizes = {"I": layer.input_size, "H": layer.hidden_size}
        self.before = dict(equations.states)
        shared = {leaf: _as_float64(layer_arrays.arrays[name]) for name, leaf in leaves.items()}
        interpreter = GraphInterpreter(shared, sizes, _FLOAT64)
        known = [equations.x, *equations.states.values(), *equations.inputs.values()]
        self.step = interpreter.prepare(equations.outputs, known)
        assert self.backward_step.dy is not None
        dafter, totals = self.backward_step.dstate_out, self.backward_step.gradients
        variables = [equations.x, *equations.params.values(), *(self.before[name] for name in dafter)]
        # Gradients by leaf. A leaf on which nothing depends has none.
        self.gradients = {leaf: totals[leaf] for leaf in variables if leaf in totals}
        known += [self.backward_step.dy, *dafter.values()]
        self.evaluate_gradients = interpreter.prepare(list(self.gradients.values()), known)
        self.leaf_values: list[Values] = []

    def forward(self, x: Array) -> tuple[Array, Arrays]:
        """Outputs ``(T, B, ·)`` and the states after the last step."""
        equations, outputs = self.step_graph, []
        state = {name: _as_float64(value) for name, value in self.layer_arrays.state.items()}
        for t in range(len(x)):
            leaf_values = {equations.x: x[t]} | {self.before[name]: value for name, value in state.items()}
            leaf_values |= {
                leaf: _as_float64(self.layer_arrays.inputs[name][t])
                for name, leaf in equations.inputs.items()
            }
            self.leaf_values.append(leaf_values)
            y, *after = self.step(leaf_values)
            outputs.append(np.broadcast_to(y, (self.batch, *np.shape(y)[-1:])))
            state = {
                name: np.broadcast_to(value, state[name].shape)
                for name, value in zip(equations.new_states, after, strict=True)
            }
        return np.array(outputs), state

    def backward(self, dy: Array, dlast: Arrays) -> tuple[Array, Arrays, Arrays]:
        """Gradients of x, of the states before the first step, and of the parameters."""
        equations, dafter, arrays = self.step_graph, self.backward_step.dstate_out, self.layer_arrays.arrays
        dstate = {name: _as_float64(dlast[name]) for name in dafter}
        dparams = {name: np.zeros_like(arrays[name], _FLOAT64) for name in equations.params}
        dx = np.zeros((*dy.shape[:2], self.layer_arrays.layer.input_size))
        for t in reversed(range(len(dy))):
            leaf_values = self.leaf_values[t] | {leaf: dstate[name] for name, leaf in dafter.items()}
            assert self.backward_step.dy is not None
            leaf_values[self.backward_step.dy] = dy[t]
            gradients = dict(zip(self.gradients, self.evaluate_gradients(leaf_values), strict=True))
            dx[t] = gradients.get(equations.x, 0.0)
            for name, leaf in equations.params.items():
                dparams[name] += gradients.get(leaf, 0.0)
            dstate = {
                name: np.broadcast_to(gradients.get(self.before[name], 0.0), value.shape)
                for name, value in dstate.items()
            }
        zeros = {name: np.zeros_like(value, _FLOAT64) for name, value in self.layer_arrays.state.items()}
        return dx, zeros | dstate, dparams


def _as_float64(array: Array) -> Array:
    return np.asarray(array, _FLOAT64)


def _unprefixed(layer: Direction, arrays: Arrays) -> Arrays:
    """A layer's arrays under the names they have in the cell."""
    return {
        name.removeprefix(layer.prefix): array
        for name, array in arrays.items()
        if name.startswith(layer.prefix)
    }


def _run_step(
    cell: Cell, bound: Any, x: Array, state: Mapping[str, Array], inputs: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """Run one step of one sequence; return the output and the new states by name.

    Args:
        cell: A cell with a ``step``.
        bound: Its copy with arrays.
        x: ``(I,)``.
        state: States by name, as they are stored.
        inputs: Auxiliary inputs by name.
    """
    before = [_to_user_view(state[name], declared.complex) for name, declared in cell.states.items()]
    result = bound.step(_to_user_view(x), *before, *(_to_user_view(inputs[name]) for name in cell.inputs))
    after = (
        result.states if isinstance(result, Output) else result if isinstance(result, tuple) else (result,)
    )
    y = result.y if isinstance(result, Output) else after[0]
    new = {
        name: _to_storage(value, declared.complex)
        for (name, declared), value in zip(cell.states.items(), after, strict=True)
    }
    return np.asarray(y), new


def run_sequence(
    cell: Cell,
    arrays: Mapping[str, Array],
    x: Array,
    state: Mapping[str, Array],
    inputs: Mapping[str, Array] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Run a batch, sequence by sequence and step by step.

    Args:
        cell: A cell with a ``step``.
        arrays: Parameters and buffers by name.
        x: Floats ``(T, B, I)``; tokens as one-hot rows.
        state: States before the first step, ``(B, ...)``.
        inputs: Auxiliary inputs, ``(T, B, ...)``.

    Returns:
        Outputs ``(T, B, ·)`` and the states after the last step.
    """
    declared = {**cell.params, **cell.buffers}
    bound = cell.with_arrays(
        {name: _to_user_view(value, declared[name].complex) for name, value in arrays.items()}
    )
    steps, batch = x.shape[:2]
    rows: list[list[Array]] = []
    last = []
    for row in range(batch):
        now = {name: value[row] for name, value in state.items()}
        rows.append([])
        for t in range(steps):
            extra = {name: value[t, row] for name, value in (inputs or {}).items()}
            y, now = _run_step(cell, bound, x[t, row], now, extra)
            rows[-1].append(y)
        last.append(now)
    y = np.array(rows).swapaxes(0, 1)
    return y, {name: np.stack([now[name] for now in last]) for name in state}


def _to_user_view(value: Array, is_complex: bool = False) -> Array:
    """An array for ``step``: read-only, with two planes of real numbers as complex numbers."""
    view = value[0] + 1j * value[1] if is_complex else np.asarray(value)[...]
    view.flags.writeable = False
    return view


def _to_storage(value: Any, is_complex: bool) -> Array:
    value = np.asarray(value)
    return np.stack([value.real, value.imag]) if is_complex else value
