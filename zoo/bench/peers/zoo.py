"""zoo itself as a benchmark library; it also makes the problems, whose parameters every library uses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base import Cell
from zoo.bench.peers.problem import Problem, Variant, norm
from zoo.bench.settings import SYMBOLS, Shape
from zoo.model import LanguageModel, SequenceModel
from zoo.registry import resolve_cell

VOCABULARY = tuple(map(str, range(SYMBOLS)))


def make_problem(
    cell: str,
    shape: Shape,
    dtype: str,
    threads: int,
    inputs: str = "tokens",
    precision: str | None = None,
) -> Problem:
    """A problem: random inputs and targets, and the initial parameters of a new model of the cell.

    Parameters initialised to zero are random too, so that a peer without a bias is detected.

    Args:
        cell: Name of a cell, or ``FILE.py:Class``.
        shape: Sizes of the step.
        dtype: Dtype of the parameters.
        threads: Number of threads.
        inputs: ``"tokens"`` or ``"dense"``.
        precision: Precision of the matrix products of zoo.

    Raises:
        ZooError: if the cell is unknown, or does not support this size.
    """
    model = _model(cell, shape.hidden, dtype, precision, threads, inputs == "dense")
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, SYMBOLS, (2, shape.steps, shape.batch)).astype(np.int32)
    params = {name.removeprefix("l0."): _perturbed(value, rng) for name, value in model.params.items()}
    dense = rng.standard_normal((shape.steps, shape.batch, SYMBOLS)).astype(dtype)
    return Problem(
        cell,
        dict(model.cell.options),
        SYMBOLS,
        shape.hidden,
        threads,
        params,
        inputs=dense if inputs == "dense" else tokens[0],
        targets=tokens[1],
        precision=precision,
        buffers={name.removeprefix("l0."): value for name, value in model.buffers.items()},
    )


def build(problem: Problem) -> list[Variant]:
    """``loss_and_grad`` of a model."""
    model = _loaded_model(problem)
    weights = [f"l0.{name}" for name in input_weights(model.cell)]

    def run() -> float:
        return model.loss_and_grad(problem.inputs, problem.targets)[0]

    def check() -> tuple[float, float]:
        loss = run()
        return loss, norm(*(model.grads[name] for name in weights))

    def gradients() -> dict[str, Array]:
        return {name.removeprefix("l0."): value for name, value in model.grads.items()}

    return [Variant("loss_and_grad", run, check, gradients)]


def sampler(problem: Problem) -> Callable[[int], object]:
    """``LanguageModel.sample``, one stream."""
    model = _loaded_model(problem)
    assert isinstance(model, LanguageModel)
    return lambda length: model.sample(length=length)


def flops(problem: Problem) -> tuple[int, str]:
    """Floating-point operations in the matrix products of a step, and their source.

    Three times the operations of the forward pass, since each product has two in the backward pass.
    Recomputed products and other operations are not counted, and gathers of rows by tokens are free. A
    product with dense inputs has one product in the backward pass, since inputs need no gradient.

    Returns:
        The operations, and ``"plan"``, the compiler's plan of the forward pass, or ``"shapes"``, the
        parameter shapes of a cell with its own kernels.
    """
    cell, hidden = resolve_cell(problem.cell), problem.hidden
    readout = 2 * problem.params["Why"].size
    if cell.is_derived():
        forward, source = _planned_flops(cell, hidden), "plan"
    else:
        weights = [v for k, v in problem.params.items() if k not in (*input_weights(cell), "Why")]
        forward, source = 2 * sum(value.size for value in weights if value.ndim > 1), "shapes"
    rows = problem.targets.size
    dense = sum(2 * problem.params[name].size for name in input_weights(cell)) if problem.is_dense else 0
    return rows * (3 * (forward + readout) + 2 * dense), source


def _planned_flops(cell: Cell, hidden: int) -> int:
    from zoo.compiler.compile import plan_kernels
    from zoo.compiler.explain import cost_of

    sizes = {"I": SYMBOLS, "H": hidden}
    sizes |= {name: value for name, value in cell.options.items() if type(value) is int}
    return int(cost_of(plan_kernels(cell).forward).by_tokens.evaluate(sizes))


def input_weights(cell: Cell) -> list[str]:
    """The input weights: parameters with a row per input feature."""
    return [name for name, param in cell.params.items() if param.shape and param.shape[0].text == "I"]


def _perturbed(value: Array, rng: np.random.Generator) -> Array:
    perturbed = value.copy()
    if not value.any():
        perturbed[...] = rng.uniform(-0.3, 0.3, value.shape)
    return perturbed


@functools.lru_cache(1)
def _model(
    cell: str, hidden: int, dtype: str, precision: str | None, threads: int, is_dense: bool
) -> LanguageModel | SequenceModel:
    options: Any = {"dtype": dtype, "precision": precision, "threads": threads}
    if is_dense:
        return SequenceModel(cell, SYMBOLS, SYMBOLS, hidden, **options)
    return LanguageModel(VOCABULARY, cell, hidden, **options)


def _loaded_model(problem: Problem) -> LanguageModel | SequenceModel:
    types = problem.dtype, problem.precision
    model = _model(problem.cell, problem.hidden, *types, problem.threads, problem.is_dense)
    values: Mapping[str, Any] = problem.params
    for name, param in model.params.items():
        param[...] = values[name.removeprefix("l0.")]
    return model
