"""The contender zoo; it also sets the problems, since everybody computes with its parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.bench.problem import Array, Problem, Way, norm
from zoo.bench.settings import SYMBOLS, Shape
from zoo.model import LanguageModel
from zoo.registry import resolve_cell

VOCABULARY = tuple(map(str, range(SYMBOLS)))


def pose(cell: str, shape: Shape, dtype: str, threads: int) -> Problem:
    """A problem: random tokens, and the parameters with which a new model of the cell starts.

    Those that start at zero are random too, so that a peer that left out a bias does not pass for equal.

    Args:
        cell: Name of a cell, or ``FILE.py:Class``.
        shape: Sizes of the step.
        dtype: Of the parameters.
        threads: Threads to use.

    Raises:
        ZooError: if there is no such cell, or it does not come in this size.
    """
    model = _model(cell, shape.hidden, dtype, threads)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, SYMBOLS, (2, shape.steps, shape.batch)).astype(np.int32)
    params = {name.removeprefix("l0."): _stirred(value, rng) for name, value in model.params.items()}
    return Problem(
        cell,
        dict(model.cell.options),
        SYMBOLS,
        shape.hidden,
        threads,
        params,
        inputs=tokens[0],
        targets=tokens[1],
    )


def build(problem: Problem) -> list[Way]:
    """``LanguageModel.loss_and_grad``."""
    model = _filled(problem)
    first = [f"l0.{name}" for name in input_weights(model.cell)]

    def run() -> float:
        return model.loss_and_grad(problem.inputs, problem.targets)[0]

    def check() -> tuple[float, float]:
        loss = run()
        return loss, norm(*(model.grads[name] for name in first))

    return [Way("loss_and_grad", run, check)]


def sampler(problem: Problem) -> Callable[[int], object]:
    """``LanguageModel.sample``, one stream."""
    model = _filled(problem)
    return lambda length: model.sample(length=length)


def flops(problem: Problem) -> tuple[int, str]:
    """Floating point operations in the products of a step, and what they were counted on.

    Three times those of the forward pass, since each product has two others that pass gradients back; what
    kernels compute again, or compute beside products, is not counted, and rows picked by tokens are free.

    Returns:
        The operations, and ``"plan"``, the compiler's plan of the forward pass, or ``"shapes"``, the
        parameters of a cell that brings its own kernels.
    """
    cell, hidden = resolve_cell(problem.cell), problem.hidden
    readout = 2 * problem.params["Why"].size
    if cell.is_derived():
        forward, source = _planned(cell, hidden), "plan"
    else:
        weights = [v for k, v in problem.params.items() if k not in (*input_weights(cell), "Why")]
        forward, source = 2 * sum(value.size for value in weights if value.ndim > 1), "shapes"
    return 3 * problem.inputs.size * (forward + readout), source


def _planned(cell: Cell, hidden: int) -> int:
    from zoo.compiler.compile import plan_kernels
    from zoo.compiler.plan_values import cost_of

    sizes = {"I": SYMBOLS, "H": hidden}
    sizes |= {name: value for name, value in cell.options.items() if type(value) is int}
    return int(cost_of(plan_kernels(cell).forward).by_tokens.evaluate(sizes))


def input_weights(cell: Cell) -> list[str]:
    """The parameters that multiply the input: those with rows for its numbers."""
    return [name for name, param in cell.params.items() if param.shape[0].text == "I"]


def _stirred(value: Array, rng: np.random.Generator) -> Array:
    stirred = value.copy()
    if not value.any():
        stirred[...] = rng.uniform(-0.3, 0.3, value.shape)
    return stirred


@functools.lru_cache(1)
def _model(cell: str, hidden: int, dtype: str, threads: int) -> LanguageModel:
    return LanguageModel(VOCABULARY, cell, hidden, dtype=dtype, threads=threads)


def _filled(problem: Problem) -> LanguageModel:
    """The model with the parameters of a problem."""
    model = _model(problem.cell, problem.hidden, problem.dtype, problem.threads)
    values: Mapping[str, Any] = problem.params
    for name, param in model.params.items():
        param[...] = values[name.removeprefix("l0.")]
    return model
