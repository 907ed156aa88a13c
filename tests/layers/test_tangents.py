"""Jacobian-vector products and second derivatives of layers, against gradients and central differences."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from law_options import law_cell
from representative_cells import REPRESENTATIVE_CELLS

import zoo
from zoo.kernels import pure_python
from zoo.layers.states import States
from zoo.testing.trials import nearest_size

Arrays = dict[str, np.ndarray]
STEPS, BATCH, FEATURES = 4, 2, 3
STACKS: dict[str, dict[str, Any]] = {
    "two layers": {"cell": "gru", "num_layers": 2},
    "two cells": {"cell": ["mgu", "lstm"]},
    "both directions": {"cell": "lstm", "num_layers": 2, "bidirectional": True},
    "residual": {"cell": "gru", "num_layers": 2, "input_size": 8, "residual": True},
    "block": {"cell": "lstm", "num_layers": 2, "block": "prenorm"},
    "modifier": {"cell": "gru+layer_norm", "num_layers": 2},
    "segments": {"cell": "lstm", "recompute": 2},
    "learned states": {"cell": "lstm", "num_layers": 2, "learned_state": True},
}


class Case:
    """A layer with random arguments, directions and gradients.

    Args:
        lengths: Steps of each sequence; None for all.
        tokens: Whether x holds tokens.
        given_state: Whether the initial states are given.
        **options: Arguments of ``zoo.Recurrent``.
    """

    def __init__(
        self, lengths: Any = None, tokens: bool = False, given_state: bool = True, **options: Any
    ) -> None:
        options = {"input_size": FEATURES, "hidden_size": 8, "dtype": "float64", "threads": 1, **options}
        self.rnn, self.lengths, self.tokens = zoo.Recurrent(**options), lengths, tokens
        self.rng = rng = np.random.default_rng(0)
        features = self.rnn.config.input_size
        self.x = rng.normal(size=(STEPS, BATCH, features))
        if tokens:
            self.x = rng.integers(0, features, (STEPS, BATCH))
        self.valid = np.arange(STEPS)[:, None] < (STEPS if lengths is None else np.array(lengths))
        self.theta = self.rnn.theta + 0.1 * rng.normal(size=self.rnn.theta.shape)
        self.state = self.draw_state(0.5) if given_state else None
        y, *_ = self.apply(self.theta, self.x, self.state)
        self.dy, self.dstate = rng.normal(size=y.shape) * self.valid[..., None], self.draw_state()

    def draw_state(self, scale: float = 1.0) -> Arrays:
        stack = self.rnn.stack
        return {
            name: scale * (name not in stack.discrete_states) * self.rng.normal(size=(BATCH, *shape))
            for name, shape in stack.state_shapes.items()
        }

    def draw_direction(self) -> tuple[np.ndarray, np.ndarray, Arrays]:
        x = np.zeros((1,)) if self.tokens else self.rng.normal(size=self.x.shape) * self.valid[..., None]
        return self.rng.normal(size=self.theta.shape), x, self.draw_state()

    def apply(self, theta: np.ndarray, x: np.ndarray, state: Arrays | None) -> Any:
        return self.rnn.apply(theta, x, state, lengths=self.lengths)

    def gradients(self, theta: np.ndarray, x: np.ndarray, state: Arrays | None) -> Any:
        dx, dstate, dtheta = self.rnn.vjp(self.apply(theta, x, state)[2], self.dy, self.dstate)
        return dtheta, np.zeros(1) if dx is None else dx, dstate

    def jvp(self, direction: tuple[np.ndarray, np.ndarray, Arrays]) -> Any:
        self.rnn.theta = self.theta
        theta, x, state = direction
        return self.rnn.jvp(
            self.x,
            None if self.tokens else x,
            self.state,
            theta_tangent=theta,
            state_tangent=None if self.state is None else state,
            lengths=self.lengths,
        )

    def moved(self, direction: tuple[np.ndarray, np.ndarray, Arrays], by: float) -> Any:
        theta, x, state = direction
        new = None if self.state is None else {n: each + by * state[n] for n, each in self.state.items()}
        return self.theta + by * theta, self.x if self.tokens else self.x + by * x, new

    def check(self, has_second: bool = True) -> None:
        first, second = self.draw_direction(), self.draw_direction()
        result = self.jvp(first)
        y, final, _ = self.apply(self.theta, self.x, self.state)
        np.testing.assert_allclose(result.y, y, rtol=1e-10, atol=1e-12)
        for name, value in final.items():
            np.testing.assert_allclose(result.state[name], value, rtol=1e-10, atol=1e-12)
        # The gradients are the transposed Jacobian.
        gradients = self.gradients(self.theta, self.x, self.state)
        forward = np.sum(self.dy * result.y_tangent) + dot(self.dstate, result.state_tangent)
        backward = self.product(gradients, first)
        np.testing.assert_allclose(forward, backward, rtol=1e-9, atol=1e-9)
        if has_second:
            dx, dstate, dtheta = result.gradient_tangents(self.dy, self.dstate)
            assert (dx is None) == self.tokens
            derivative = self.product((dtheta, np.zeros(1) if self.tokens else dx, dstate), second)
            slopes = [self.product(self.gradients(*self.moved(second, by)), first) for by in (1e-6, -1e-6)]
            expected = (slopes[0] - slopes[1]) / 2e-6
            np.testing.assert_allclose(derivative, expected, rtol=1e-5, atol=1e-5)

    def product(self, gradients: Any, direction: tuple[np.ndarray, np.ndarray, Arrays]) -> float:
        total = np.sum(gradients[0] * direction[0]) + np.sum(gradients[1] * direction[1])
        return float(total + (0.0 if self.state is None else dot(gradients[2], direction[2])))


def dot(a: Any, b: Any) -> float:
    return float(sum(np.sum(a[name] * b[name]) for name in a))


@pytest.mark.parametrize("cell", REPRESENTATIVE_CELLS)
def test_every_kind_of_cell(cell: str) -> None:
    with pure_python():
        sizes = nearest_size(law_cell(cell), FEATURES, 8)
        assert sizes is not None
        case = Case(cell=law_cell(cell), input_size=sizes[0], hidden_size=sizes[1])
        case.check(not any(each.kernels.surrogate for each in case.rnn.stack.directions))


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("kind", ["floats", "tokens", "lengths", "own states"])
def test_stacks(name: str, kind: str) -> None:
    if name == "residual" and kind == "tokens":
        kind = "floats"
    arguments = {
        "tokens": {"tokens": True},
        "lengths": {"lengths": [4, 2]},
        "own states": {"given_state": False},
    }
    with pure_python():
        Case(**arguments.get(kind, {}), **STACKS[name]).check()


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("is_token", [False, True])
def test_inputs_without_a_direction(name: str, is_token: bool) -> None:
    """They give the same as the direction zero, and tokens the same as one-hot vectors."""
    with pure_python():
        case = Case(tokens=is_token, lengths=[4, 2], given_state=False, **STACKS[name])
    features = case.rnn.config.input_size
    vectors = np.eye(features)[case.x] * case.valid[..., None] if is_token else case.x
    direction = case.rng.normal(size=case.theta.shape)
    with pure_python():
        results = [
            case.rnn.jvp(x, x_tangent, theta_tangent=direction, lengths=case.lengths)
            for x, x_tangent in ((case.x, None), (vectors, np.zeros(vectors.shape)))
        ]
        (dx, _, dtheta), (other_dx, _, other_dtheta) = (each.gradient_tangents(case.dy) for each in results)
    np.testing.assert_allclose(results[0].y, results[1].y, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(results[0].y_tangent, results[1].y_tangent, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dtheta, other_dtheta, rtol=1e-10, atol=1e-12)
    if is_token:
        assert dx is None
    else:
        np.testing.assert_allclose(dx, other_dx, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("residual", [False, True])
def test_residual_tokens_as_many_as_units(residual: bool) -> None:
    """A first layer with the sizes of a residual connection, and twice as many symbols as units."""
    with pure_python():
        for units in (6, 3):
            options = {"input_size": 6, "hidden_size": units, "num_layers": 2, "residual": residual}
            Case(cell="gru", tokens=True, **options).check()


_MEMORY = """
import resource, sys
import numpy as np, zoo
symbols, rng = {symbols}, np.random.default_rng(0)
rnn = zoo.Recurrent("lstm", symbols, 4, num_layers=2, threads=1)
tokens = rng.integers(0, symbols, {shape})
direction = rng.normal(size=rnn.theta.size).astype(np.float32)
with zoo.kernels.pure_python():
    rnn.jvp(tokens[:1], theta_tangent=direction).gradient_tangents()  # derives the kernels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = rnn.jvp(tokens, theta_tangent=direction)
    result.gradient_tangents(result.y)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    np.testing.assert_array_equal(result.y, rnn(tokens)[0])
print(more * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_tokens_are_rows_of_weights() -> None:
    """Outputs have the bits of the forward pass, and no vectors of all symbols are made."""
    symbols, shape = 50_000, (32, 8)
    command = [sys.executable, "-c", _MEMORY.format(symbols=symbols, shape=shape)]
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(completed.stdout) < shape[0] * shape[1] * symbols * 4


def test_compiled_kernels() -> None:
    case = Case(cell="lstm", num_layers=2, bidirectional=True, lengths=[4, 2])
    case.check()
    direction = case.draw_direction()
    compiled = case.jvp(direction)
    with pure_python():
        expected = case.jvp(direction)
    np.testing.assert_allclose(compiled.y_tangent, expected.y_tangent, rtol=1e-12, atol=1e-14)


def test_a_hessian_is_symmetric_and_the_batch_may_come_first() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3, 2))
    with pure_python():
        time_first, batch_first = (
            zoo.Recurrent("gru", 2, 4, num_layers=2, dtype="float64", batch_first=is_first)
            for is_first in (False, True)
        )
        v, w = rng.normal(size=(2, time_first.theta.size))

        def hessian_product(direction: np.ndarray) -> np.ndarray:
            result = time_first.jvp(x, theta_tangent=direction)
            return result.gradient_tangents(result.y, dy_tangent=result.y_tangent)[2]  # of 0.5 * sum(y**2)

        assert np.isclose(hessian_product(v) @ w, hessian_product(w) @ v)
        ours, other = time_first.jvp(x, x), batch_first.jvp(x.swapaxes(0, 1), x.swapaxes(0, 1))
        np.testing.assert_array_equal(ours.y_tangent, other.y_tangent.swapaxes(0, 1))
        dy = rng.normal(size=ours.y.shape)
        time_major, batch_major = ours.gradient_tangents(dy), other.gradient_tangents(dy.swapaxes(0, 1))
        np.testing.assert_array_equal(time_major[0], batch_major[0].swapaxes(0, 1))


def test_a_layer_can_be_copied_after_a_derivative() -> None:
    rnn, x = zoo.Recurrent("vanilla", 2, 3), np.ones((2, 1, 2), np.float32)
    with pure_python():
        expected = rnn.jvp(x, x)
        assert isinstance(expected.state_tangent, States)
        for other in (copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn))):
            np.testing.assert_array_equal(other.jvp(x, x).y_tangent, expected.y_tangent)


@pytest.mark.parametrize("cell", ["gru+zoneout", "ctrnn", "leaky_rnn"])
def test_noise_and_auxiliary_inputs(cell: str) -> None:
    rnn, rng = zoo.Recurrent(cell, 2, 4, dtype="float64"), np.random.default_rng(0)
    x, direction = rng.normal(size=(2, 5, 3, 2))
    given = {name: rng.uniform(0.5, 1, (5, 3, *shape)) for name, shape in rnn.stack.input_shapes.items()}
    options: dict[str, Any] = {"noise": (0, 1)} if cell != "ctrnn" else given
    with pure_python():
        result = rnn.jvp(x, direction, **options)
        above, below = (rnn(x + by * direction, **options)[0] for by in (1e-6, -1e-6))
    np.testing.assert_allclose(result.y_tangent, (above - below) / 2e-6, rtol=1e-6, atol=1e-8)


def test_arguments_may_be_overwritten() -> None:
    rnn, rng = zoo.Recurrent("ctrnn", 2, 4, dtype="float64"), np.random.default_rng(0)
    x, direction = rng.normal(size=(2, 5, 2, 2))
    inputs = {name: rng.uniform(0.5, 1, (5, 2, *shape)) for name, shape in rnn.stack.input_shapes.items()}
    states = [
        {name: rng.normal(size=(2, *shape)) for name, shape in rnn.stack.state_shapes.items()} for _ in "ab"
    ]
    theta = rng.normal(size=rnn.theta.shape)
    with pure_python():
        result = rnn.jvp(x, direction, states[0], state_tangent=states[1], theta_tangent=theta, **inputs)
        dy = np.ones_like(result.y)
        expected = result.gradient_tangents(dy)
        for each in (
            x,
            direction,
            theta,
            rnn.theta,
            *inputs.values(),
            *states[0].values(),
            *states[1].values(),
        ):
            each += 1
        for one, other in zip(result.gradient_tangents(dy), expected, strict=True):
            for name in other if isinstance(other, dict) else [...]:
                np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sequences_without_steps_and_threads(dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(6, 17, 2)).astype(dtype)
    results = []
    for threads in (1, 2):
        rnn = zoo.Recurrent("gru", 2, 4, num_layers=2, dtype=dtype, threads=threads)
        with pure_python():
            empty = rnn.jvp(x[:0], x[:0])
            assert (empty.y.shape, empty.gradient_tangents(empty.y)[0].shape) == ((0, 17, 4), (0, 17, 2))
            results.append(rnn.jvp(x, x, theta_tangent=rnn.theta))
        assert results[-1].y_tangent.dtype == dtype
    np.testing.assert_array_equal(results[0].y_tangent, results[1].y_tangent)
    wide = zoo.Recurrent("gru", 2, 4, num_layers=2, dtype="float64")
    with pure_python():
        expected = wide.jvp(x.astype("f8"), x.astype("f8"), theta_tangent=wide.theta)
    np.testing.assert_allclose(
        results[0].y_tangent, expected.y_tangent, atol=1e-5 if dtype == "float32" else 0
    )


class OwnKernels(zoo.Cell):
    """A cell without a step."""

    W = zoo.Param("H", "H")
    h = zoo.State("H")

    @zoo.njit
    def forward(params: Any, x: Any, state: Any) -> Any:
        return np.zeros((x.shape[0], x.shape[1], state[0].shape[1])), state, ()

    @zoo.njit
    def backward(params: Any, x: Any, state: Any, tape: Any, dy: Any, dlast: Any) -> Any:
        return np.zeros((0, 0, 0)), dlast, params


class Clash(zoo.Cell):
    """It declares the name of a tangent."""

    W = zoo.Param("I", "H")
    W_tangent = zoo.Param("I", "H")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return x @ self.W + h * (x @ self.W_tangent)


class InputName(zoo.Cell):
    """Its auxiliary input has the name of an argument."""

    W = zoo.Param("I", "H")
    h = zoo.State("H")
    x_tangent = zoo.Input()

    def step(self, x: Any, h: Any, x_tangent: Any) -> Any:
        return x @ self.W + h * x_tangent


def test_invalid_arguments() -> None:
    x = np.ones((2, 1, 2), np.float32)
    rnn = zoo.Recurrent("gru", 2, 3, num_layers=2, dropout=0.5)
    calls: dict[str, Any] = {
        r"tangent of the inputs has the shape \(1, 1, 2\)": lambda: rnn.jvp(x, x[:1]),
        r"theta_tangent has the shape \(3,\)": lambda: rnn.jvp(x, theta_tangent=np.ones(3)),
        "unknown argument 'dt'": lambda: rnn.jvp(x, dt=x),
        "tangent of the state: unknown state 'a'": lambda: rnn.jvp(x, state_tangent={"a": x}),
        "not available for `dropout` between layers": lambda: rnn.jvp(x, noise=(0, 1)),
        r"gradient of the output has the shape \(1, 1, 2\)": lambda: rnn.jvp(x).gradient_tangents(x[:1]),
        "declares 'W' and 'W_tangent', the name of its tangent": lambda: zoo.Recurrent(Clash, 2, 3).jvp(x),
        "input 'x_tangent' has the name of an argument": lambda: zoo.Recurrent(InputName, 2, 3).jvp(x),
        "needs the tape of jvp; call jvp without tape=False": lambda: rnn.jvp(
            x, tape=False
        ).gradient_tangents(x),
        "own_kernels' has kernels and no step": lambda: zoo.Recurrent(OwnKernels, 2, 3).jvp(x),
    }
    with pure_python():
        for message, call in calls.items():
            with pytest.raises(zoo.UsageError, match=message):
                call()
