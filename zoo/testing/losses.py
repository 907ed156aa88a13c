"""The laws of a loss: each ``check_x(loss)`` raises AssertionError if its docstring does not hold.

The kernels are called as models call them: with several rows of outputs, each with a weight. Outputs have
both signs. Targets that are numbers are drawn from 0 to 3, because some losses have no negative ones, for
example those of counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from zoo.array_types import Array
from zoo.base.loss import Loss, row_loss_function
from zoo.kernels.jit import pure_python
from zoo.model.readout import readout_kernels
from zoo.testing.assertions import is_close, require, try_examples

Check: TypeAlias = Callable[[Loss], None]

_STEP = 1e-6
_TOLERANCE = 1e-6  # of a derivative by central differences, for numbers near 1
_ROWS = st.integers(1, 5)
_SIZES = st.integers(1, 17)  # V: below, at and past the width of a vector register
_SEEDS = st.integers(0, 2**32 - 1)
_COUNT = 20  # examples of a law
_LARGE_OUTPUT = 30.0
_LARGEST_TARGET = 3.0


class _Problem(NamedTuple):
    """Rows of outputs with their targets.

    Args:
        outputs: ``(N, V)``.
        targets: Classes ``(N,)``, or numbers ``(N, V)``.
        weights: Weight of each row, ``(N,)``.
        scale: Factor of the gradients.
    """

    outputs: Array
    targets: Array
    weights: Array
    scale: float

    def row(self, n: int) -> _Problem:
        """The problem of one row."""
        rows = slice(n, n + 1)
        return _Problem(self.outputs[rows], self.targets[rows], self.weights[rows], self.scale)

    def with_outputs(self, outputs: Array) -> _Problem:
        """The problem with other outputs."""
        return self._replace(outputs=outputs)


def check_gradient(loss: Loss) -> None:
    """The gradient of every output agrees with central differences in float64."""

    def law(problem: _Problem) -> None:
        _, gradient = _loss_and_grad(loss, problem)
        for index in np.ndindex(problem.outputs.shape):
            expected = _central_difference(loss, problem, index)
            margin = _TOLERANCE * max(1.0, abs(expected))
            require(
                loss,
                abs(gradient[index] - expected) <= margin,
                f"{gradient[index]:.9g}",
                f"{expected:.9g} (within {margin:.1e}) for {_describe(problem, index)}",
                f"gradient of output {index[1]}",
                "Expected are central differences. Usually a term of the chain rule, `scale` or the division "
                "by the number of outputs is missing, or an output is read after the gradient has replaced "
                "it.",
            )

    _for_many_problems(loss, law)


def check_equal_losses(loss: Loss) -> None:
    """The kernel of the gradient returns the loss of the kernel without a gradient."""

    def law(problem: _Problem) -> None:
        total, expected = _loss_and_grad(loss, problem)[0].sum(), _loss(loss, problem)
        equal = np.isclose(total, expected, rtol=1e-10, atol=1e-10)
        require(loss, equal, f"{total:.12g} with a gradient", f"{expected:.12g}, as without one")

    _for_many_problems(loss, law)


def check_inputs_unchanged(loss: Loss) -> None:
    """The kernels do not write to targets and weights, and the loss without a gradient not to outputs."""

    def law(problem: _Problem) -> None:
        arrays = {"outputs": problem.outputs, "targets": problem.targets, "weights": problem.weights}
        before = {name: array.tobytes() for name, array in arrays.items()}
        _loss(loss, problem)
        _loss_and_grad(loss, problem)  # on a copy of the outputs
        changed = [name for name, array in arrays.items() if array.tobytes() != before[name]]
        require(loss, not changed, f"that it wrote to {', '.join(changed)}", "unchanged arguments")

    _for_many_problems(loss, law)


def check_rows_independent(loss: Loss) -> None:
    """The loss and the gradient of a row do not depend on the other rows."""

    def law(problem: _Problem) -> None:
        losses, gradient = _loss_and_grad(loss, problem)
        for n in range(len(losses)):
            (alone,), (gradient_alone,) = _loss_and_grad(loss, problem.row(n))
            equal = np.isclose(losses[n], alone, rtol=1e-12, atol=1e-12)
            equal = equal and is_close(gradient[n], gradient_alone, 1e-12)
            require(
                loss,
                equal,
                lambda n=n: f"loss {losses[n]:.12g} and gradient {gradient[n]} of row {n} of {len(losses)}",
                lambda alone=alone, row=gradient_alone: f"{alone:.12g} and {row}, as alone",
            )

    _for_many_problems(loss, law)


def check_zero_weight(loss: Loss) -> None:
    """A row with the weight zero has the loss zero and the gradient zero: padding has no effect."""

    def law(problem: _Problem) -> None:
        losses, gradient = _loss_and_grad(loss, problem._replace(weights=np.zeros_like(problem.weights)))
        is_zero = not losses.any() and not gradient.any()
        require(loss, is_zero, lambda: f"losses {losses} and gradients {gradient}", "zeros")

    _for_many_problems(loss, law)


def check_float32(loss: Loss) -> None:
    """In float32, the loss and the gradient agree with those in float64, up to rounding."""

    def law(problem: _Problem) -> None:
        narrow = _in_float32(loss, problem)
        wide = narrow._replace(
            outputs=narrow.outputs.astype(np.float64),
            targets=narrow.targets if loss.target == "class" else narrow.targets.astype(np.float64),
        )
        (losses, gradient), (expected, expected_gradient) = (
            _loss_and_grad(loss, each) for each in (narrow, wide)
        )
        equal = is_close(losses, expected, 1e-4) and is_close(
            gradient.astype(np.float64), expected_gradient, 1e-4
        )
        require(
            loss,
            equal,
            lambda: f"losses {losses} and gradients {gradient}",
            lambda: f"{expected} and {expected_gradient}, as in float64",
        )

    _for_many_problems(loss, law)


def check_jit_equals_python(loss: Loss) -> None:
    """The compiled kernels agree with their source run as plain Python, up to rounding."""

    def law(problem: _Problem) -> None:
        losses, gradient = _loss_and_grad(loss, problem)
        with pure_python():
            expected, expected_gradient = _loss_and_grad(loss, problem)
        equal = is_close(losses, expected, 1e-10) and is_close(gradient, expected_gradient, 1e-10)
        require(
            loss,
            equal,
            lambda: f"losses {losses} and gradients {gradient}",
            lambda: f"{expected} and {expected_gradient}, as in plain Python",
        )

    _for_many_problems(loss, law)


def check_large_outputs(loss: Loss) -> None:
    """Outputs from -30 to 30 give finite losses and gradients, also in float32."""

    def law(problem: _Problem) -> None:
        outputs = np.where(problem.outputs < 0, -_LARGE_OUTPUT, _LARGE_OUTPUT)
        for each in (problem.with_outputs(outputs), _in_float32(loss, problem.with_outputs(outputs))):
            losses, gradient = _loss_and_grad(loss, each)
            finite = np.isfinite(losses).all() and np.isfinite(gradient).all()
            require(
                loss,
                finite,
                lambda losses=losses, gradient=gradient: f"losses {losses} and gradients {gradient}",
                "finite numbers",
                f"outputs of {_LARGE_OUTPUT:g} in {each.outputs.dtype}",
                "Subtract the largest output before exp, or use zoo.kernels.softplus.",
            )

    _for_many_problems(loss, law)


def check_nan(loss: Loss) -> None:
    """If all outputs of a row are NaN, its loss is NaN or infinite, so that a diverged run is visible."""

    def law(problem: _Problem) -> None:
        losses, _ = _loss_and_grad(loss, problem.with_outputs(np.full_like(problem.outputs, np.nan)))
        require(loss, not np.isfinite(losses).any(), lambda: f"losses {losses} of NaN", "NaN or infinity")

    _for_many_problems(loss, law)


def check_deterministic(loss: Loss) -> None:
    """Equal inputs give bitwise equal losses and gradients."""

    def law(problem: _Problem) -> None:
        first, second = (_loss_and_grad(loss, problem) for _ in range(2))
        equal = all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
        require(loss, equal, lambda: f"{first}, then {second}", "equal bits")

    _for_many_problems(loss, law)


def check_predictions(loss: Loss) -> None:
    """Predictions of classes are integers below V, of probabilities numbers from 0 to 1, else numbers."""

    def law(problem: _Problem) -> None:
        outputs = problem.outputs[:, np.newaxis]  # (T, B, V)
        predictions = np.asarray(loss.predictions(outputs.copy()))
        if loss.target == "class":
            valid = (
                predictions.shape == outputs.shape[:2]
                and predictions.dtype.kind in "iu"
                and predictions.min() >= 0
                and predictions.max() < outputs.shape[2]
            )
        else:
            valid = predictions.shape[:2] == outputs.shape[:2] and bool(np.isfinite(predictions).all())
        if loss.target == "probability":
            valid = valid and predictions.min() >= 0 and predictions.max() <= 1
        require(
            loss,
            valid,
            lambda: f"{predictions.dtype} {predictions.tolist()} of shape {predictions.shape}",
            f"predictions of {outputs.shape[2]} outputs in {outputs.shape[0]} steps",
            "predict",
        )

    _for_many_problems(loss, law)


def check_compiles_once(loss: Loss) -> None:
    """After the first call in a dtype, further calls compile nothing, for any number of rows and outputs."""
    for dtype in (np.float64, np.float32):
        counts = []
        for rows, size in ((2, 3), (1, 5), (4, 2)):
            problem = _problem(loss, rows, size, seed=rows)
            problem = problem if dtype is np.float64 else _in_float32(loss, problem)
            _loss(loss, problem)
            _loss_and_grad(loss, problem)
            counts.append(_signature_count(loss))
        added = counts[-1] - counts[0]
        require(loss, added == 0, f"{added} more signatures in {np.dtype(dtype)}", "none")


def check_docs(loss: Loss) -> None:
    """The kernel ``row_loss`` has a docstring, which `zoo show` prints, and every option a help text."""
    described = (row_loss_function(loss).__doc__ or "").strip()
    require(loss, described, "no docstring of row_loss", "a line that says what it is")
    without_help = [name for name, option in loss.options.items() if not option.help.strip()]
    require(loss, not without_help, f"{without_help} without help", "a line of help each")


LOSS_CHECKS: list[Check] = [
    *(check_inputs_unchanged, check_deterministic, check_gradient, check_equal_losses),
    *(check_rows_independent, check_zero_weight, check_jit_equals_python, check_float32),
    *(check_large_outputs, check_nan, check_predictions, check_compiles_once, check_docs),
]
"""All laws; the others depend on the first."""


def _for_many_problems(loss: Loss, law: Callable[[_Problem], None]) -> None:
    """Try a law on problems of different sizes, in float64."""
    try_examples(
        lambda rows, size, seed: law(_problem(loss, rows, size, seed)), _ROWS, _SIZES, _SEEDS, count=_COUNT
    )


def _problem(loss: Loss, rows: int, size: int, seed: int) -> _Problem:
    """Random outputs, targets and weights, of the size that the loss expects."""
    rng = np.random.default_rng(seed)
    if loss.class_weights is not None:
        size = len(loss.class_weights)
    size = loss.outputs or size
    targets: Array = rng.integers(size, size=rows)
    if loss.target != "class":
        targets = rng.uniform(0.0, 1.0 if loss.target == "probability" else _LARGEST_TARGET, (rows, size))
    outputs = rng.normal(size=(rows, size)) * 2
    return _Problem(outputs, targets, rng.uniform(0.5, 2.0, rows), float(rng.uniform(0.5, 2.0)))


def _in_float32(loss: Loss, problem: _Problem) -> _Problem:
    """Outputs, and targets that are numbers, in float32."""
    targets = problem.targets if loss.target == "class" else problem.targets.astype(np.float32)
    return problem._replace(outputs=problem.outputs.astype(np.float32), targets=targets)


def _loss(loss: Loss, problem: _Problem) -> float:
    """The weighted sum of the losses."""
    arrays = problem.outputs, problem.targets, problem.weights
    return float(readout_kernels(loss).weighted_loss(*arrays, loss.values))


def _loss_and_grad(loss: Loss, problem: _Problem) -> tuple[Array, Array]:
    """The weighted losses ``(N,)``, and the gradient ``(N, V)`` of ``scale`` times their sum."""
    gradient, losses = problem.outputs.copy(), np.empty(len(problem.weights))
    readout_kernels(loss).weighted_loss_and_grad(
        gradient, problem.targets, problem.weights, loss.values, problem.scale, losses
    )
    return losses, gradient


def _central_difference(loss: Loss, problem: _Problem, index: tuple[int, ...]) -> float:
    losses = []
    for step in (_STEP, -_STEP):
        outputs = problem.outputs.copy()
        outputs[index] += step
        losses.append(_loss(loss, problem.with_outputs(outputs)))
    return problem.scale * (losses[0] - losses[1]) / (2 * _STEP)


def _describe(problem: _Problem, index: tuple[int, ...]) -> str:
    n = index[0]
    numbers = np.array2string(problem.outputs[n], precision=4, threshold=6)
    target = np.array2string(np.asarray(problem.targets[n]), precision=4, threshold=6)
    return (
        f"outputs {numbers}, target {target}, weight {problem.weights[n]:.3g} and scale {problem.scale:.3g}"
    )


def _signature_count(loss: Loss) -> int:
    kernels = readout_kernels(loss)
    return sum(
        len(getattr(kernel, "signatures", ()))
        for kernel in (kernels.weighted_loss, kernels.weighted_loss_and_grad)
    )
