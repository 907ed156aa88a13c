"""PyTensor, the successor of Theano: a symbolic scan over the equations, compiled by its default linker."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from zoo.bench.peers.problem import EQUATIONS, Functions, Problem, UnsupportedProblemError, Variant, norm

pytensor: Any = importlib.import_module("pytensor")
pt: Any = importlib.import_module("pytensor.tensor")
Array = Any

CELLS = tuple(EQUATIONS)


def _split(a: Array, parts: int) -> list[Array]:
    width = a.shape[1] // parts
    return [a[:, n * width : (n + 1) * width] for n in range(parts)]


_FUNCTIONS = Functions(pt.tanh, pt.sigmoid, _split)


def build(problem: Problem) -> list[Variant]:
    """The step with rows gathered from the input matrix."""
    if problem.dy is not None:
        raise UnsupportedProblemError("its step has a readout and a loss")
    names = tuple(problem.params)
    ranks = tuple(value.ndim for value in problem.params.values())
    step = _compile_step(problem.cell, problem.dtype, tuple(problem.options.items()), names, ranks)
    states = EQUATIONS[problem.cell].states
    first = [np.zeros((problem.inputs.shape[1], problem.hidden), problem.dtype)] * states
    tokens = [problem.inputs.astype(np.int64), problem.targets.astype(np.int64)]
    arguments = [*tokens, *first, *problem.params.values()]

    def run() -> Any:
        return step(*arguments)

    def check() -> tuple[float, float]:
        loss, *gradients = run()
        return float(loss), norm(gradients[names.index(EQUATIONS[problem.cell].weight)])

    return [Variant("rows", run, check)]


@functools.cache  # compilation takes a minute, for all shapes
def _compile_step(
    cell: str,
    dtype: str,
    options: tuple[tuple[str, Any], ...],
    names: tuple[str, ...],
    ranks: tuple[int, ...],
) -> Any:
    """Compile a function of tokens, targets, initial states and parameters to the loss and gradients."""
    pytensor.config.floatX = dtype
    equations = EQUATIONS[cell]
    tokens, targets = pt.lmatrix("tokens"), pt.lmatrix("targets")
    params = {
        name: pt.tensor(name, dtype=dtype, shape=(None,) * rank)
        for name, rank in zip(names, ranks, strict=True)
    }
    first = [pt.matrix(dtype=dtype) for _ in range(equations.states)]
    rows = params[equations.weight][tokens.flatten()] + params[equations.bias]
    outputs = pytensor.scan(
        lambda a, *states: list(equations.step(_FUNCTIONS, params, dict(options), a, *states)),
        sequences=[rows.reshape((*tokens.shape, -1))],
        outputs_info=first,
        return_updates=False,
    )
    y = outputs[0] if isinstance(outputs, list) else outputs
    logits = y.reshape((-1, y.shape[2])) @ params["Why"] + params["by"]
    scores = pt.special.log_softmax(logits, axis=1)
    loss = -scores[pt.arange(scores.shape[0]), targets.flatten()].mean()
    gradients = pytensor.grad(loss, list(params.values()))
    return pytensor.function([tokens, targets, *first, *params.values()], [loss, *gradients])
