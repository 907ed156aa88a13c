"""zoo itself as a benchmark library; it also makes the problems, whose parameters every library uses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base import Cell
from zoo.bench.peers.problem import Problem, Traffic, Variant, norm, stream_variant
from zoo.bench.settings import SYMBOLS, Shape
from zoo.layers import Recurrent
from zoo.layers.direction import tape_elements_per_token
from zoo.layers.sharding import shards
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
    measure: str = "model",
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
        measure: ``"model"``, ``"layer"`` or ``"stream"``.

    Raises:
        ZooError: if the cell is unknown, or does not support this size.
    """
    input_size = shape.input_size if inputs == "dense" else None
    model = _model(cell, shape.hidden, dtype, precision, threads, input_size)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, SYMBOLS, (2, shape.steps, shape.batch)).astype(np.int32)
    params = {name.removeprefix("l0."): _perturbed(value, rng) for name, value in model.params.items()}
    outputs = len(params["Why"])
    if measure != "model":
        del params["Why"], params["by"]
    dense = rng.standard_normal((shape.steps, shape.batch, shape.input_size)).astype(dtype)
    dy = rng.standard_normal((shape.steps, shape.batch, outputs)).astype(dtype)
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
        dy=None if measure == "model" else dy,
        is_stream=measure == "stream",
    )


def build(problem: Problem) -> list[Variant]:
    """``loss_and_grad`` of a model, or the forward and backward pass of a layer."""
    if problem.dy is not None:
        return [_layer_variant(problem, problem.dy)]
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


def loaded_layer(problem: Problem) -> Recurrent:
    """The layer with the parameters of the problem; buffers are drawn from the same seed."""
    cell = resolve_cell(problem.cell, **problem.options)
    types: Any = {"dtype": problem.dtype, "precision": problem.precision, "threads": problem.threads}
    rnn = Recurrent(cell, problem.input_size, problem.hidden, **types)
    rnn.fill({name: problem.params[name.removeprefix("l0.")] for name in rnn.params})
    rnn.compile_passes()
    return rnn


def stream(problem: Problem) -> list[Variant]:
    """A call of ``Recurrent.stepper`` for each time step."""
    stepper = loaded_layer(problem).stepper(problem.targets.shape[1])
    initial = stepper.state

    def run() -> list[Array]:
        stepper.state = initial
        return [stepper(x) for x in problem.inputs]

    return [stream_variant("stepper", run, problem.dy)]


def _layer_variant(problem: Problem, dy: Array) -> Variant:
    rnn = loaded_layer(problem)
    weights = [f"l0.{name}" for name in input_weights(rnn.cell)]

    def run() -> Array:
        y, _ = rnn.forward(problem.inputs)
        rnn.backward(dy, needs_dx=False)
        return y

    def check() -> tuple[float, float]:
        total = float(np.vdot(run().astype(np.float64), dy))
        return total, norm(*(rnn.grads[name] for name in weights))

    def gradients() -> dict[str, Array]:
        return {name.removeprefix("l0."): value for name, value in rnn.grads.items()}

    return Variant("forward and backward", run, check, gradients)


def sampler(problem: Problem) -> Callable[[int], object]:
    """``LanguageModel.sample``, one stream."""
    model = _loaded_model(problem)
    assert isinstance(model, LanguageModel)
    return lambda length: model.sample(length=length)


def flops(problem: Problem) -> tuple[int, str]:
    """Floating-point operations in the matrix products of a step, and their source.

    Three times the operations of the forward pass, since each product has two in the backward pass, and for a
    stream once. Recomputed products and other operations are not counted, and gathers of rows by tokens are
    free. A product with dense inputs has one product in the backward pass, since inputs need no gradient.

    Returns:
        The operations, and ``"plan"``, the compiler's plan of the forward pass, or ``"shapes"``, the
        parameter shapes of a cell with its own kernels.
    """
    cell, hidden = resolve_cell(problem.cell), problem.hidden
    readout = 2 * problem.params["Why"].size if problem.dy is None else 0
    if cell.is_derived():
        forward, source = _planned_flops(cell, problem.input_size, hidden), "plan"
    else:
        forward, source = 2 * sum(value.size for value in _matrices_of_step(problem, cell)), "shapes"
    rows = problem.targets.size
    dense = sum(2 * problem.params[name].size for name in input_weights(cell)) if problem.is_dense else 0
    if problem.is_stream:
        return rows * (forward + dense), source
    return rows * (3 * (forward + readout) + 2 * dense), source


def step_weight_bytes(problem: Problem) -> int:
    """Bytes of the matrices that every time step reads; 0 if all products are computed for all steps at once.

    They come from the compiler's plan, or for a cell with its own kernels and for a stream from the shapes of
    the parameters: all matrices but those of inputs and readout.
    """
    cell = resolve_cell(problem.cell, **problem.options)
    if cell.is_derived() and not problem.is_stream:
        from zoo.compiler.compile import plan_kernels
        from zoo.compiler.explain import weights_of_step

        weights = weights_of_step(plan_kernels(cell).forward)
        elements = int(weights.evaluate(cell.size_values(problem.input_size, problem.hidden)))
    else:
        elements = sum(value.size for value in _matrices_of_step(problem, cell))
    return elements * (2 if problem.precision else np.dtype(problem.dtype).itemsize)  # bf16 has two bytes


def function_count(problem: Problem) -> int | None:
    """Evaluations of expensive functions in a step, both passes together; None for hand-written kernels."""
    cell = resolve_cell(problem.cell, **problem.options)
    if not cell.is_derived():
        return None
    from zoo.compiler.compile import plan_kernels
    from zoo.compiler.explain import cost_of

    plan, sizes = plan_kernels(cell), cell.size_values(problem.input_size, problem.hidden)
    passes = (plan.forward,) if problem.is_stream else (plan.forward, plan.backward)
    return problem.targets.size * sum(int(cost_of(each).functions.evaluate(sizes)) for each in passes)


def traffic(problem: Problem) -> dict[str, Traffic]:
    """The traffic of ``"weights"``, the matrices of every time step, and of ``"tape"``.

    The forward and the backward pass read the weights once for each time step and shard. The forward pass
    writes the tape, which the backward pass reads. Inputs, outputs and gradients are not counted. A stream
    has one pass, and no tape.
    """
    steps, batch = problem.targets.shape
    weights = step_weight_bytes(problem)
    if problem.is_stream:
        return {"weights": Traffic(weights, steps * weights)}
    cell = resolve_cell(problem.cell, **problem.options)
    elements = tape_elements_per_token(cell, problem.input_size, problem.hidden)
    tape = steps * batch * elements * np.dtype(problem.dtype).itemsize
    reads = 2 * steps * len(shards(batch))
    return {"weights": Traffic(weights, reads * weights), "tape": Traffic(tape, 2 * tape)}


def _matrices_of_step(problem: Problem, cell: Cell) -> list[Array]:
    others = *input_weights(cell), "Why"
    return [value for name, value in problem.params.items() if name not in others and value.ndim > 1]


def _planned_flops(cell: Cell, input_size: int, hidden: int) -> int:
    from zoo.compiler.compile import plan_kernels
    from zoo.compiler.explain import cost_of

    return int(cost_of(plan_kernels(cell).forward).by_tokens.evaluate(cell.size_values(input_size, hidden)))


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
    cell: str, hidden: int, dtype: str, precision: str | None, threads: int, input_size: int | None
) -> LanguageModel | SequenceModel:
    options: Any = {"dtype": dtype, "precision": precision, "threads": threads}
    if input_size is not None:
        return SequenceModel(cell, input_size, SYMBOLS, hidden, **options)
    return LanguageModel(VOCABULARY, cell, hidden, **options)


def _loaded_model(problem: Problem) -> LanguageModel | SequenceModel:
    types = problem.dtype, problem.precision
    input_size = problem.input_size if problem.is_dense else None
    model = _model(problem.cell, problem.hidden, *types, problem.threads, input_size)
    values: Mapping[str, Any] = problem.params
    for name, param in model.params.items():
        param[...] = values[name.removeprefix("l0.")]
    return model
