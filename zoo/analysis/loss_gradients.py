"""Gradients of a loss: with respect to the outputs of the layers, and by lag to the states before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.analysis.target import (
    AnalysisTarget,
    ForwardResult,
    aux_of,
    gradients,
    inputs_of,
    run,
    stack_of,
    takes_inputs_by_name,
)
from zoo.arguments import as_integer, check_seed
from zoo.array_types import Array, Arrays
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.layers.recurrent import Recurrent
from zoo.layers.states import GivenState
from zoo.layers.validation import as_floats, as_tokens
from zoo.model import Model
from zoo.model.readout import readout_kernels


def inputs_and_targets(model: AnalysisTarget, x: Array, targets: Any) -> tuple[Array, Array | None, bool]:
    """Inputs, the target of every step, and whether only the last step has a target.

    Raises:
        UsageError: if the targets do not fit.
    """
    if targets is None:
        # A language model predicts its inputs.
        return (x[:-1], x[1:], False) if hasattr(model, "vocab") else (x, None, False)
    owner = f"{stack_of(model).label()}: targets"
    outputs = model.output_size
    is_class = isinstance(model, Model) and model.criterion.target == "class"
    shape = x.shape[:2] if is_class else (*x.shape[:2], outputs)
    target_array = as_array(targets, owner)
    only_last = target_array.shape == shape[1:]
    target_array = np.broadcast_to(target_array, shape) if only_last else target_array
    if target_array.shape != shape:
        raise UsageError(
            f"{owner} are {target_array.shape}; expected {shape}, or {shape[1:]} for the last step alone."
        )
    if is_class:
        noun = "tokens" if hasattr(model, "vocab") else "classes"
        return x, as_tokens(target_array, outputs, owner, noun), only_last
    return x, as_floats(target_array, shape, model.dtype, owner), only_last


def gradient_at(model: AnalysisTarget, y: Array, target: Array) -> Array:
    """Gradients of the loss of each row with respect to its output.

    Args:
        model: A model, which has a loss, or a layer, for which it is the mean squared error.
        y: Outputs of the layers at one step, ``(B, ·)``.
        target: Targets of that step, ``(B,)`` or ``(B, V)``.
    """
    if isinstance(model, Recurrent):
        return np.asarray(2 * (y - target) / y.shape[1])
    weights, loss = model.readout_weights(), model.criterion
    outputs = np.ascontiguousarray(y @ weights + model.params["by"])
    rows = len(outputs)
    kernel = readout_kernels(loss).weighted_loss_and_grad
    kernel(outputs, np.ascontiguousarray(target), np.ones(rows), loss.values, 1.0, np.empty(rows))
    return np.asarray(outputs @ weights.T)


def random_unit_vectors(y: Array, seed: int) -> Array:
    """A random unit vector for each row: the gradient of its product with the output, ``(B, ·)``."""
    vectors = np.random.default_rng(check_seed(seed)).standard_normal(y.shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), y.dtype)


TIMES = 4


@takes_inputs_by_name
def gradient_by_lag(
    model: AnalysisTarget,
    inputs: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    lags: int = 64,
    state: GivenState | None = None,
    times: int = TIMES,
    seed: int = 0,
    **aux: ArrayLike,
) -> dict[str, Array]:
    """Norms of ``dL_t / dh_{t-k}``, the mean over rows and over some times t, for each lag k.

    The loss at one time alone is back-propagated through k steps. A norm that falls or grows exponentially
    with k is the vanishing or exploding gradient (R. Pascanu, T. Mikolov & Y. Bengio 2013,
    https://arxiv.org/abs/1211.5063).

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        targets: Targets of a model's loss, ``(T, B)`` or ``(T, B, V)``; for a ``zoo.Recurrent`` outputs
            ``(T, B, ·)``, for the mean squared error. Targets of the last step alone make it the only time.
            If None, a language model has the next symbols of its inputs as targets, and another loss is the
            projection of the output on a random unit vector.
        lags: Number of lags, from 0 on, at most the number of steps.
        state: States before the first step; zeros if None.
        times: Largest number of times t, evenly spaced from the first with all lags to the last.
        seed: Seed of the random projection.
        **aux: Auxiliary inputs of the cells by name, ``(T, B, ...)``, as in ``dt=dt``; defaults if left out.

    Returns:
        ``{"l0.h": norms (lags,), ...}`` for every state that has a gradient.

    Raises:
        UsageError: if an argument does not fit.
    """
    return norms_by_lag(model, inputs, targets, aux, lags=lags, state=state, times=times, seed=seed)


def norms_by_lag(
    model: AnalysisTarget,
    inputs: ArrayLike,
    targets: Any,
    aux: Mapping[str, ArrayLike],
    *,
    lags: int,
    state: GivenState | None = None,
    times: int = TIMES,
    seed: int = 0,
) -> dict[str, Array]:
    """:func:`gradient_by_lag` with the auxiliary inputs in a mapping, so that they may have any name."""
    if stack_of(model).bidirectional:
        raise UsageError(
            f"{stack_of(model).label()}: gradient_by_lag looks back from a loss, and layers that read "
            f"backwards look ahead; take trace_grads."
        )
    lags, times = as_integer(lags, "gradient_by_lag: lags", 1), as_integer(times, "gradient_by_lag: times", 1)
    all_x = inputs_of(model, inputs)
    arrays = aux_of(model, aux, all_x)
    x, targets, only_last = inputs_and_targets(model, all_x, targets)
    if len(x) == 0:
        raise UsageError(
            f"{stack_of(model).label()}: gradient_by_lag takes at least one step, and for a language "
            f"model without targets at least two symbols."
        )
    lags, times = min(lags, len(x)), min(times, len(x))
    chosen = np.unique(np.linspace(len(x) - 1, lags - 1, 1 if only_last else times).round().astype(int))
    run_result, rows = _windows_ending_at(model, x, arrays, state, chosen.tolist(), lags)
    dy = np.zeros_like(run_result.y)
    if targets is None:
        dy[-1] = random_unit_vectors(run_result.y[-1], seed)
    else:
        dy[-1] = gradient_at(model, run_result.y[-1], np.concatenate([targets[t] for t in chosen]))
    return {
        # The square of a float32 gradient below 1e-23 is zero, and above 1e19 it is infinite.
        name: np.linalg.norm(value[::-1].reshape(lags, rows, -1).astype(float), axis=2).mean(axis=1)
        for name, value in gradients(model, run_result, dy).items()
    }


def _windows_ending_at(
    model: AnalysisTarget, x: Array, aux: Arrays, state: GivenState | None, times: list[int], lags: int
) -> tuple[ForwardResult, int]:
    """Run the last steps up to each of some times, side by side as rows; and the number of rows.

    Steps before a window change no gradient within it: they are run once, for the states.
    """
    now, index, states = state, 0, list[GivenState | None]()
    for t in times:
        first = t - lags + 1
        if first > index:
            before = {name: value[index:first] for name, value in aux.items()}
            now, index = run(model, x[index:first], now, aux=before).final, first
        states.append(now)

    def windows(values: Array) -> Array:
        return np.concatenate([values[t - lags + 1 : t + 1] for t in times], axis=1)

    side_by_side, arrays = windows(x), {name: windows(value) for name, value in aux.items()}
    joined = _joined(model, states, x.shape[1])
    return run(model, side_by_side, joined, aux=arrays), side_by_side.shape[1]


def _joined(model: AnalysisTarget, states: list[GivenState | None], batch: int) -> dict[str, Array]:
    stack = stack_of(model)
    full = [stack.initial_states(each, model.params, batch, model.dtype) for each in states]
    return {name: np.concatenate([each[name] for each in full]) for name in stack.state_shapes}
