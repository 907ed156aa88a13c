"""The laws of a loss: each ``check_x(loss)`` raises AssertionError if its docstring does not hold.

The kernels are called as models call them: with several rows of outputs, each with a weight. Outputs have
both signs. Targets that are numbers are from -3 to 3, or from the range that the loss states, of which at
most a width of 3 is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st

from zoo.array_types import Array
from zoo.base.loss import Loss, row_loss_function
from zoo.errors import UsageError
from zoo.kernels.jit import pure_python
from zoo.model.readout import readout_kernels
from zoo.testing.assertions import fail, is_close, require, try_examples

Check: TypeAlias = Callable[[Loss], None]

_STEP = 1e-6
_TOLERANCE = 1e-6  # of a derivative by central differences, for numbers near 1
_ROWS = st.integers(1, 4) | st.integers(5, 17)  # kernels of blocks may take several at once
_SIZES = st.integers(1, 17)  # V: below, at and past the width of a vector register
_SEEDS = st.integers(0, 2**32 - 1)
_COUNT = 20  # examples of a law
_OPTION_COUNT = 5  # examples of the gradient with another value of an option
_DERIVATIVES = 20  # outputs of an example whose gradient is compared
_LARGE_OUTPUTS = {"class": 100.0, "probability": 100.0, "value": 30.0}
_LARGEST_TARGET = 3.0
_GUARD = 64  # elements after the outputs


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


class _Results(NamedTuple):
    """Results of both kernels.

    Args:
        losses: Weighted losses of the rows by the kernel without a gradient, ``(N,)``.
        losses_with_grad: The same by the kernel with a gradient.
        gradient: ``(N, V)``.
    """

    losses: Array
    losses_with_grad: Array
    gradient: Array

    def is_close(self, other: _Results, tolerance: float) -> bool:
        """Whether all results agree."""
        return all(
            is_close(np.asarray(a, np.float64), np.asarray(b, np.float64), tolerance)
            for a, b in zip(self, other, strict=True)
        )

    def __str__(self) -> str:
        with_grad = (
            "" if np.array_equal(self.losses, self.losses_with_grad) else f" ({self.losses_with_grad})"
        )
        return f"losses {self.losses}{with_grad} and gradients {self.gradient.tolist()}"


def check_inputs_unchanged(loss: Loss) -> None:
    """The kernels write to outputs only, and without a gradient to nothing."""

    def law(problem: _Problem) -> None:
        arrays = {"outputs": problem.outputs, "targets": problem.targets, "weights": problem.weights}
        before = {name: array.tobytes() for name, array in arrays.items()}
        advice = "If the kernels expect a fixed number of outputs, state it: zoo.Loss(..., outputs=2)."
        try:
            _loss(loss, problem)
            guarded = np.concatenate([problem.outputs.ravel(), np.ones(_GUARD)])
            outputs = guarded[: problem.outputs.size].reshape(problem.outputs.shape)
            _gradient_in_place(loss, problem.with_outputs(outputs))
        except IndexError as error:
            fail(loss, f"{problem.outputs.shape[1]} outputs", f"an index error ({error})", "none", advice)
        is_inside = (guarded[problem.outputs.size :] == 1).all()
        require(loss, is_inside, "that it wrote beyond the outputs", "nothing written there", meaning=advice)
        changed = [name for name, array in arrays.items() if array.tobytes() != before[name]]
        require(loss, not changed, f"that it wrote to {', '.join(changed)}", "unchanged arguments")

    _for_many_problems(loss, law)


def check_deterministic(loss: Loss) -> None:
    """Equal inputs give bitwise equal losses and gradients."""

    def law(problem: _Problem) -> None:
        first, second = (_results(loss, problem) for _ in range(2))
        equal = all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))
        require(loss, equal, lambda: f"{first}, then {second}", "equal bits")

    _for_many_problems(loss, law)


def check_gradient(loss: Loss) -> None:
    """The gradient agrees with central differences in float64, also with other values of the options."""
    for variant in (loss, *_with_other_options(loss)):
        _check_gradient(variant, _COUNT if variant is loss else _OPTION_COUNT)


def _check_gradient(loss: Loss, count: int) -> None:
    def law(problem: _Problem) -> None:
        gradient = _results(loss, problem).gradient
        indices = [*np.ndindex(problem.outputs.shape)]
        chosen = np.random.default_rng(0).permutation(len(indices))[:_DERIVATIVES]
        for index in [indices[n] for n in chosen]:
            expected = _central_difference(loss, problem, index)
            row = f"for {_describe_row(loss, problem, index[0])}"
            if np.isnan(gradient[index]) and np.isnan(expected):
                fail(loss, f"gradient of output {index[1]}", "nan", f"finite numbers {row}")
            margin = _TOLERANCE * max(1.0, abs(expected))
            require(
                loss,
                abs(gradient[index] - expected) <= margin,
                f"{gradient[index]:.9g}",
                f"{expected:.9g} (within {margin:.1e}) {row}",
                f"gradient of output {index[1]}",
                "Expected are central differences. Usually a term of the chain rule, `scale` or the division "
                "by the number of outputs is missing, or an output is read after the gradient has replaced "
                "it.",
            )

    _for_many_problems(loss, law, count)


def check_equal_losses(loss: Loss) -> None:
    """Both kernels return the same loss."""

    def law(problem: _Problem) -> None:
        results = _results(loss, problem)
        require(
            loss,
            is_close(results.losses_with_grad, results.losses, 1e-10),
            lambda: f"losses {results.losses_with_grad} with a gradient",
            lambda: f"{results.losses}, as without one",
        )

    _for_many_problems(loss, law)


def check_rows_independent(loss: Loss) -> None:
    """The loss and the gradient of a row do not depend on the other rows."""

    def law(problem: _Problem) -> None:
        results = _results(loss, problem)
        rows = [_results(loss, problem.row(n)) for n in range(len(problem.weights))]
        alone = _Results(*map(np.concatenate, zip(*rows, strict=True)))
        require(loss, results.is_close(alone, 1e-12), lambda: results, lambda: f"{alone}, as of rows alone")

    _for_many_problems(loss, law)


def check_zero_weight(loss: Loss) -> None:
    """A row with the weight zero has the loss zero and the gradient zero: padding has no effect."""

    def law(problem: _Problem) -> None:
        results = _results(loss, problem._replace(weights=np.zeros_like(problem.weights)))
        require(loss, not any(each.any() for each in results), lambda: results, "zeros")

    _for_many_problems(loss, law)


def check_jit_equals_python(loss: Loss) -> None:
    """The compiled kernels agree with their source run as plain Python, up to rounding."""

    def law(problem: _Problem) -> None:
        results = _results(loss, problem)
        with pure_python():
            expected = _results(loss, problem)
        require(
            loss,
            results.is_close(expected, 1e-10),
            lambda: results,
            lambda: f"{expected}, as in plain Python",
        )

    _for_many_problems(loss, law)


def check_float32(loss: Loss) -> None:
    """In float32, the loss and the gradient agree with those in float64, up to rounding."""

    def law(problem: _Problem) -> None:
        narrow = _in_float32(loss, problem)
        wide = narrow._replace(
            outputs=narrow.outputs.astype(np.float64),
            targets=narrow.targets if loss.target == "class" else narrow.targets.astype(np.float64),
        )
        results, expected = _results(loss, narrow), _results(loss, wide)
        require(loss, results.is_close(expected, 1e-4), lambda: results, lambda: f"{expected}, as in float64")

    _for_many_problems(loss, law)


def check_large_outputs(loss: Loss) -> None:
    """Outputs of size 100, or 30 if targets are numbers, give finite results, also in float32."""
    size = _LARGE_OUTPUTS[loss.target]

    def law(problem: _Problem) -> None:
        large = problem.with_outputs(np.where(problem.outputs < 0, -size, size))
        for each in (large, _in_float32(loss, large)):
            results = _results(loss, each)
            require(
                loss,
                all(np.isfinite(values).all() for values in results),
                lambda results=results: str(results),
                "finite numbers",
                f"outputs of size {size:g} in {each.outputs.dtype}",
                "Subtract the largest exponent before exp, or use zoo.kernels.softplus.",
            )

    _for_many_problems(loss, law)


def check_nan(loss: Loss) -> None:
    """If all outputs of a row are NaN, its loss is NaN or infinite, so that a diverged run is visible."""

    def law(problem: _Problem) -> None:
        results = _results(loss, problem.with_outputs(np.full_like(problem.outputs, np.nan)))
        hidden = np.isfinite([results.losses, results.losses_with_grad]).any()
        require(
            loss,
            not hidden,
            lambda: f"losses {results.losses} and {results.losses_with_grad}",
            "NaN or infinity",
            "outputs of NaN",
            "max(0.0, NaN) is 0: write `if not x <= 0.0: total += x` in place of `total += max(0.0, x)`.",
        )

    _for_many_problems(loss, law)


def check_predictions(loss: Loss) -> None:
    """Predictions of classes are integers below V, of probabilities numbers from 0 to 1, else numbers."""

    def law(problem: _Problem) -> None:
        outputs = np.stack([problem.outputs, problem.outputs[::-1]], axis=1)  # (T, B, V)
        passed = outputs.copy()
        predictions = np.asarray(loss.predictions(passed))
        expected = f"{_PREDICTIONS[loss.target]} for {len(outputs)} steps of 2 sequences"
        require(
            loss,
            _are_predictions(loss, predictions, outputs.shape),
            lambda: f"{predictions.dtype} of shape {predictions.shape}, {predictions.tolist()}",
            expected,
            "predict",
        )
        require(loss, np.array_equal(passed, outputs), "that predict wrote to outputs", "them unchanged")
        alone = np.asarray(loss.predictions(outputs[:, :1].copy()))
        is_same = is_close(predictions[:, :1].astype(np.float64), alone.astype(np.float64), 1e-12)
        require(loss, is_same, "other predictions of a sequence alone", "equal ones", "predict")

    _for_many_problems(loss, law)


_PREDICTIONS = {
    "class": "integers from 0 to V - 1, one",
    "probability": "numbers from 0 to 1",
    "value": "finite numbers",
}


def _are_predictions(loss: Loss, predictions: Array, shape: tuple[int, ...]) -> bool:
    if loss.target == "class":
        has_form = predictions.shape == shape[:2] and predictions.dtype.kind in "iu"
        return bool(has_form and predictions.min() >= 0 and predictions.max() < shape[2])
    if predictions.shape[:2] != shape[:2] or not np.isfinite(predictions).all():
        return False
    return bool(loss.target == "value" or (predictions.min() >= 0 and predictions.max() <= 1))


def check_compiles_once(loss: Loss) -> None:
    """After the first call in a dtype, further calls compile nothing, for any number of rows and outputs."""
    for dtype in (np.float64, np.float32):
        counts = []
        for rows, size in ((2, 3), (1, 5), (4, 2)):
            problem = draw_problem(loss, rows, size, seed=rows)
            _results(loss, problem if dtype is np.float64 else _in_float32(loss, problem))
            counts.append(_signature_count(loss))
        added = counts[-1] - counts[0]
        require(loss, added == 0, f"{added} more signatures in {np.dtype(dtype)}", "none")


def check_docs(loss: Loss) -> None:
    """The kernel ``row_loss`` has a docstring, which `zoo show` prints, and every option a help text."""
    described = (row_loss_function(loss).__doc__ or "").strip()
    require(loss, described, "no docstring of row_loss", "a docstring")
    without_help = [name for name, option in loss.options.items() if not option.help.strip()]
    require(loss, not without_help, f"{without_help} without help", "a line of help each")


LOSS_CHECKS: list[Check] = [
    *(check_inputs_unchanged, check_deterministic, check_gradient, check_equal_losses),
    *(check_rows_independent, check_zero_weight, check_jit_equals_python, check_float32),
    *(check_large_outputs, check_nan, check_predictions, check_compiles_once, check_docs),
]
"""All laws. If the first is broken, the others are not tried."""


def _for_many_problems(loss: Loss, law: Callable[[_Problem], None], count: int = _COUNT) -> None:
    """Try a law on problems of different sizes, in float64."""

    def try_problem(rows: int, size: int, seed: int) -> None:
        problem = draw_problem(loss, rows, size, seed)
        try:
            law(problem)
        except AssertionError as error:
            if _holds_without_negative_targets(loss, law, problem):
                raise AssertionError(
                    f"{error} The law holds if no target is negative: if your data have none, state it, "
                    f"zoo.Loss(..., low=0.0)."
                ) from error
            raise

    try_examples(try_problem, _ROWS, _SIZES, _SEEDS, count=count)


def _holds_without_negative_targets(loss: Loss, law: Callable[[_Problem], None], problem: _Problem) -> bool:
    if loss.target != "value" or loss.low is not None or not (problem.targets < 0).any():
        return False
    try:
        law(problem._replace(targets=np.abs(problem.targets)))
    except AssertionError:
        return False
    return True


def _with_other_options(loss: Loss) -> Iterator[Loss]:
    """Copies of the loss, each with another value of one option."""
    for (name, option), value in zip(loss.options.items(), loss.values, strict=True):
        high = option.high if option.high is not None else option.below
        others = option.choices or [value + 0.5 if high is None else (value + high) / 2]
        for other in others:
            if other != value:
                chosen: dict[str, Any] = {name: other}
                with contextlib.suppress(UsageError):  # options of a loss may depend on each other
                    yield loss.with_options(**chosen)
                    break


def draw_problem(loss: Loss, rows: int, size: int, seed: int) -> _Problem:
    """Random outputs, targets and weights, of the size that the loss expects."""
    rng = np.random.default_rng(seed)
    if loss.class_weights is not None:
        size = len(loss.class_weights)
    size = loss.outputs or size
    targets: Array = rng.integers(size, size=rows)
    if loss.target != "class":
        low, high = _drawn_range(loss)
        targets = rng.uniform(low, high, (rows, size))
        # Whole numbers are usual, and may be the ends of the range: labels of 0 and 1, or counts.
        whole = np.clip(np.rint(targets), low, high)
        targets = np.where(rng.random(targets.shape) < 1 / 3, whole, targets)
    outputs = rng.normal(size=(rows, size)) * 2
    return _Problem(outputs, targets, rng.uniform(0.5, 2.0, rows), float(rng.uniform(0.5, 2.0)))


def _drawn_range(loss: Loss) -> tuple[float, float]:
    """The range of the loss, at most a width of 3 from one end; from -3 to 3 if it has none."""
    low, high = loss.target_range
    if np.isinf(low) and np.isinf(high):
        return -_LARGEST_TARGET, _LARGEST_TARGET
    if np.isinf(low):
        low = high - _LARGEST_TARGET
    return low, min(high, low + _LARGEST_TARGET)


def _in_float32(loss: Loss, problem: _Problem) -> _Problem:
    """Outputs, and targets that are numbers, in float32."""
    targets = problem.targets if loss.target == "class" else problem.targets.astype(np.float32)
    return problem._replace(outputs=problem.outputs.astype(np.float32), targets=targets)


def _loss(loss: Loss, problem: _Problem) -> float:
    """The weighted sum of the losses, by the kernel without a gradient."""
    arrays = problem.outputs, problem.targets, problem.weights
    return float(readout_kernels(loss).weighted_loss(*arrays, loss.values))


def _gradient_in_place(loss: Loss, problem: _Problem) -> Array:
    """The weighted losses ``(N,)``; outputs become the gradient of ``scale`` times their sum."""
    losses = np.empty(len(problem.weights))
    readout_kernels(loss).weighted_loss_and_grad(
        problem.outputs, problem.targets, problem.weights, loss.values, problem.scale, losses
    )
    return losses


def _results(loss: Loss, problem: _Problem) -> _Results:
    """The results of both kernels."""
    gradient = problem.outputs.copy()
    losses = np.array([_loss(loss, problem.row(n)) for n in range(len(problem.weights))])
    return _Results(losses, _gradient_in_place(loss, problem.with_outputs(gradient)), gradient)


def _central_difference(loss: Loss, problem: _Problem, index: tuple[int, ...]) -> float:
    losses = []
    for step in (_STEP, -_STEP):
        outputs = problem.outputs.copy()
        outputs[index] += step
        losses.append(_loss(loss, problem.with_outputs(outputs)))
    return problem.scale * (losses[0] - losses[1]) / (2 * _STEP)


def _describe_row(loss: Loss, problem: _Problem, n: int) -> str:
    numbers = np.array2string(problem.outputs[n], precision=4, threshold=6)
    target = np.array2string(np.asarray(problem.targets[n]), precision=4, threshold=6)
    options = "".join(f", {name} {value:g}" for name, value in zip(loss.options, loss.values, strict=True))
    return (
        f"outputs {numbers}, target {target}, weight {problem.weights[n]:.3g}, scale {problem.scale:.3g}"
        f"{options}"
    )


def _signature_count(loss: Loss) -> int:
    kernels = readout_kernels(loss)
    return sum(
        len(getattr(kernel, "signatures", ()))
        for kernel in (kernels.weighted_loss, kernels.weighted_loss_and_grad)
    )
