"""References for traces: the variables of a running ``step``, and a loss with one value changed."""

from __future__ import annotations

import copy
import inspect
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from kitchen_sink_cell import Rich
from law_options import law_cell

import zoo
from zoo.array_types import Array, Arrays
from zoo.compiler.frontend.trace_step import TraceableValue, step_graph_of, traceable_values
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.autodiff import step_vjp
from zoo.testing.trials import Case, Trial, make_trial, suitable_sizes

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")


class Kernels(zoo.Cell):
    """The kernels of a cell without its step."""

    card = CARD
    radius = zoo.Option(0.5)
    W, D = (copy.copy(Rich.params[name]) for name in "WD")
    A = copy.copy(Rich.buffers["A"])
    h, z, n = (copy.copy(Rich.states[name]) for name in "hzn")
    dt = zoo.Input(default=1.0)
    forward, backward = staticmethod(Rich.forward), staticmethod(Rich.backward)


def trial_of(cell: str | zoo.Cell, tokens: bool = False, layers: int = 1, steps: int = 3) -> Trial:
    """A layer of a cell with arrays of every kind, in float64, its parameters not those it starts with."""
    if isinstance(cell, str):
        cell = law_cell(cell)
    sizes = [each for each in suitable_sizes(cell) if each[2] == layers][-1]
    trial = make_trial(Case(cell, steps, 2, sizes, "float64", tokens, 3))
    trial.rnn.theta = trial.theta
    return trial


def dense(trial: Trial) -> Array:
    return np.eye(trial.rnn.stack.input_size)[trial.x] if trial.tokens else trial.x


@dataclass(frozen=True)
class StepLoop:
    """Loop over the steps of one layer, independent of kernels.

    Args:
        trial: The layer and its arrays.
        traces: The traces of the layer.
    """

    trial: Trial
    traces: Arrays

    @property
    def cell(self) -> zoo.Cell:
        return self.trial.cell

    @property
    def values(self) -> dict[str, TraceableValue]:
        return traceable_values(self.cell)

    def names_of(self, t: int, b: int) -> dict[str, Any]:
        """Values of the variables in ``step`` when it returns, at one step of one sequence."""
        cell, arrays = self.cell, self.trial.rnn.arrays
        declared = {**cell.params, **cell.buffers, **cell.states}

        def seen(name: str, value: Array) -> Array:
            return value[0] + 1j * value[1] if declared[name].complex else value

        bound = cell.with_arrays({k: seen(k, arrays[f"l0.{k}"]) for k in (*cell.params, *cell.buffers)})
        before = [seen(name, self.before(t)[name][b]) for name in cell.states]
        inputs = [self.aux_inputs(t)[name][b] for name in cell.inputs]
        return locals_of(bound, dense(self.trial)[t, b], *before, *inputs)

    def before(self, t: int) -> Arrays:
        """States before a step, by the trace."""
        after = {name: self.traces[f"l0.{name}"] for name in self.cell.states}
        return {k: self.trial.state[f"l0.{k}"] if t == 0 else after[k][t - 1] for k in self.cell.states}

    def aux_inputs(self, t: int) -> Arrays:
        """Auxiliary inputs of a step."""
        steps, batch = self.trial.x.shape[:2]
        aux = self.trial.rnn.stack.aux_inputs(self.trial.inputs, (steps, batch), np.dtype(np.float64))
        values = aux.chunk(slice(0, steps), slice(0, batch))[0].inputs[0]
        return {name: value[t] for name, value in zip(self.cell.inputs, values, strict=True)}

    def loss(self, moved: dict[tuple[int, Node], Array]) -> float:
        """``sum(dy * y) + sum(dlast * last)``, with some values of some steps other than they are."""
        equations, trial = step_graph_of(self.cell), self.trial
        leaves = {**equations.params, **equations.buffers}
        sizes = {"I": trial.rnn.stack.input_size, "H": trial.rnn.stack.hidden_size}
        shared = {leaves[name]: trial.rnn.arrays[f"l0.{name}"] for name in leaves}
        numbers = GraphInterpreter(shared, sizes, np.dtype(np.float64))
        now, total = {name: trial.state[f"l0.{name}"] for name in self.cell.states}, 0.0
        for t, x in enumerate(dense(trial)):
            given = {equations.states[name]: value for name, value in now.items()}
            given |= {equations.inputs[name]: value for name, value in self.aux_inputs(t).items()}
            given |= {equations.x: x, **{node: value for (when, node), value in moved.items() if when == t}}
            y, *after = numbers.prepare(equations.outputs, given)(given)
            total += np.sum(y * trial.dy[t])
            now = dict(zip(equations.new_states, after, strict=True))
        return total + sum(np.sum(value * trial.dlast[f"l0.{name}"]) for name, value in now.items())

    def slope(self, name: str, t: int, direction: Array, eps: float = 1e-6) -> float:
        """The derivative of the loss as a value of one step moves in a direction, by differences."""
        parts, value = self.values[name].nodes, self.traces[f"l0.{name}"][t]
        planes = (
            [(value[:, i], direction[:, i]) for i in range(2)] if len(parts) > 1 else [(value, direction)]
        )

        def moved(by: float) -> float:
            pairs = zip(parts, planes, strict=True)
            return self.loss({(t, part): plane + by * change for part, (plane, change) in pairs})

        return (moved(eps) - moved(-eps)) / (2 * eps)


def differentiable(cell: zoo.Cell) -> list[str]:
    """The names of values whose gradients differences can find: those on the way through a step."""
    back = step_vjp(cell)
    return [
        name
        for name, value in traceable_values(cell).items()
        if all(part in back.gradients and part.op not in ("x", "state", "input") for part in value.nodes)
    ]


def locals_of(bound: Any, *arguments: Any) -> dict[str, Any]:
    """Return the local variables of a ``step`` when it returns."""
    code, values = inspect.unwrap(type(bound).step).__code__, {}

    def on_event(frame: Any, event: str, arg: Any) -> Any:
        if event == "return":
            values.update(frame.f_locals)
        return on_event

    def on_call(frame: Any, event: str, arg: Any) -> Any:
        return on_event if frame.f_code is code else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        bound.step(*arguments)
    finally:
        sys.settrace(before)
    return values


def as_stored(value: Any) -> Array:
    """Complex numbers as two planes."""
    value = np.asarray(value)
    return np.stack([value.real, value.imag]) if np.iscomplexobj(value) else value
