"""Helpers for tests of exports: a layer with its arrays, and its expected outputs in NumPy."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable
from ctypes import CDLL, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from zoo.compiler.ir.op_table import Op
from zoo.export.c_model import c_program
from zoo.export.exported_model import ExportedModel
from zoo.testing import reference

Arrays = dict[str, np.ndarray]
CC = shutil.which("cc")
ENDS = (-np.inf, -1.5, -0.0, 0.0, 1.5, np.inf, np.nan)


class Mixed(zoo.Cell):
    """Slices with steps, diagonals, triangles, scans, the largest entries, and matrices of parameters."""

    card = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")
    W = zoo.Param("I", "2H", init="glorot_uniform")
    A = zoo.Param("H", "H", init="glorot_uniform")
    R = zoo.Param(2, "H/2", "H/2", init="glorot_uniform")
    h = zoo.State("H")
    M = zoo.State("H", "H")

    def step(self, x, h, M):
        a = x @ self.W
        u = np.tanh(a[::2] + h[::-1] @ zoo.cayley(self.A - self.A.T)) * zoo.erf(a[::-2])
        u = np.where(zoo.top_k(u, h.shape[0] // 2), u, 0.1 * u)
        u = u + np.einsum("hk,hkn->hn", h.reshape(2, -1), self.R).reshape(-1) @ zoo.expm(self.A)
        M = M + 0.1 * (M.reshape(2, -1, h.shape[0] // 2) @ self.R).reshape(M.shape)
        M = np.triu(0.5 * M, 1) + np.tril(M, -2) + 0.1 * np.diag(np.cumprod(1 + 0.5 * u)[::-1])
        solved = np.linalg.solve(zoo.eye(h.shape[0]) + 0.1 * self.A, self.A[0])
        return np.tanh(0.5 * u + np.diag(M) + np.trace(M, 1) * solved + np.prod(1 + 0.1 * u)), M


def drawn_operands(operation: Op, dtype: str) -> list[np.ndarray]:
    """Numbers for the operands of a row of the table: 200 of its domain, and the ends of all there are."""
    rng = np.random.default_rng(0)
    inside = [rng.uniform(low, high, 200) for low, high in operation.domain]
    if operation.accepts_bool:
        booleans = len(inside) if operation.is_bool else 1
        return [each > 0.5 for each in inside[:booleans]] + [each.astype(dtype) for each in inside[booleans:]]
    ends = np.array(list(itertools.product(ENDS, repeat=len(inside)))).T
    return [np.concatenate(pair).astype(dtype) for pair in zip(inside, ends, strict=True)]


@dataclass(frozen=True)
class Case:
    """A layer and one batch.

    Args:
        rnn: The layer.
        x: Floats ``(T, B, I)``.
        state: States before the first step.
        inputs: Auxiliary inputs without noise.
    """

    rnn: zoo.Recurrent
    x: np.ndarray
    state: Arrays
    inputs: Arrays

    def expected(self) -> list[np.ndarray]:
        """The output and the last states, by the equations in NumPy."""
        rnn = self.rnn
        arrays = {name.removeprefix("l0."): value for name, value in {**rnn.params, **rnn.buffers}.items()}
        state = {name.removeprefix("l0."): value for name, value in self.state.items()}
        inputs = {
            name: np.full(
                (*self.x.shape[:2], *shape), rnn.cell.inputs[name].value(rnn.cell.options), rnn.dtype
            )
            for name, shape in rnn.stack.input_shapes.items()
        }
        y, last = reference.run_sequence(rnn.cell, arrays, self.x, state, {**inputs, **self.inputs})
        return [value.astype(rnn.dtype) for value in (y, *last.values())]


def case(rnn: zoo.Recurrent, steps: int, batch: int) -> Case:
    """Numbers for a layer."""
    rng = np.random.default_rng(steps * 10 + batch)
    stack, dtype = rnn.stack, rnn.dtype

    def state(name: str, shape: tuple[int, ...]) -> np.ndarray:
        whole = name in stack.discrete_states
        drawn = rng.integers(0, 5, (batch, *shape)) if whole else 0.3 * rng.normal(size=(batch, *shape))
        return drawn.astype(dtype)

    return Case(
        rnn,
        rng.normal(size=(steps, batch, stack.input_size)).astype(dtype),
        {name: state(name, shape) for name, shape in stack.state_shapes.items()},
        {
            name: rng.uniform(0.5, 1.5, (steps, batch, *stack.input_shapes[name])).astype(dtype)
            for name, declared in stack.inputs.items()
            if not isinstance(declared, zoo.Noise)
        },
    )


def largest_difference(actual: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference, relative where numbers are large; shapes and dtypes must agree."""
    for a, b in zip(actual, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    return max(float(np.max(np.abs(a - b) / (1 + np.abs(b)))) for a, b in zip(actual, expected, strict=True))


def compiled_step(subject: ExportedModel, name: str, folder: Path) -> Callable[..., list[np.ndarray]]:
    """A function from a sequence and the states before it to the outputs and the states after it.

    It is compiled C of float64.
    """
    program = c_program(subject, name, f"{name}.h")
    (folder / f"{name}.h").write_text(program.header)
    (folder / f"{name}.c").write_text(program.source)
    strict = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O0", "-shared", "-fPIC")
    command = [str(CC), *strict, f"{name}.c", "-lm", "-o", f"{name}.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    step = getattr(CDLL(str(folder / f"{name}.so")), f"{name}_step")

    def run(x: np.ndarray, aux: list[np.ndarray], state: list[np.ndarray]) -> list[np.ndarray]:
        states, y = (
            np.concatenate([value.ravel() for value in state]),
            np.empty((len(x), subject.output_size)),
        )
        for t in range(len(x)):
            inputs = [np.ascontiguousarray(value[t]) for value in (*(() if subject.tokens else (x,)), *aux)]
            token = [int(x[t])] if subject.tokens else []
            step(pointer(states), *token, *map(pointer, inputs), pointer(y[t]))
        return [y, states]

    return run


def pointer(array: np.ndarray) -> Any:
    """The address of an array, for C."""
    return c_void_p(array.ctypes.data)
