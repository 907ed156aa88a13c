"""The built-in losses: the loss of one row of outputs and its gradient in place, and the table of them.

Each loss is a pair of kernels. ``loss(row, target, *options)`` returns the loss of a row.
``loss_and_grad(row, target, scale, *options)`` also replaces the row by the gradient of ``scale`` times the
loss. Losses of numbers are means over the elements of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo import kernels
from zoo.array_types import Array
from zoo.base.declarations import Option
from zoo.base.loss import Loss
from zoo.errors import UsageError
from zoo.kernels.jit import EXACT, njit

# All exact, as cross_entropy is: elements are added in order.


@njit(fastmath=EXACT)
def cross_entropy_loss(row: Array, target: int, label_smoothing: float) -> float:
    """``-log softmax(row)``, in nats, at the target, mixed with its mean over all classes."""
    loss = kernels.row_cross_entropy(row, target)
    return loss if label_smoothing == 0.0 else loss + label_smoothing * _excess(row, target)


@njit(fastmath=EXACT)
def cross_entropy_block(
    rows: Array, targets: Array, weights: Array, scale: float, losses: Array, options: tuple[float]
) -> None:
    """The losses of several rows; row n becomes the gradient of ``scale * weights[n]`` times its loss."""
    (label_smoothing,) = options
    if label_smoothing == 0.0:
        kernels.cross_entropies_grad(rows, targets, weights, scale, losses)
        return
    excess = kernels.empty((losses.size,), losses)
    for n in range(losses.size):
        excess[n] = _excess(rows[n], targets[n])
    kernels.cross_entropies_grad(rows, targets, weights, scale, losses)
    for n in range(losses.size):
        losses[n] += label_smoothing * excess[n]
        share = scale * weights[n] * label_smoothing
        rows[n, targets[n]] += rows.dtype.type(share)
        for v in range(rows.shape[1]):
            rows[n, v] -= rows.dtype.type(share / rows.shape[1])


@njit(fastmath=EXACT)
def _excess(row: Array, target: int) -> float:
    """The mean of the cross-entropies of all classes, minus that of the target."""
    total = 0.0
    for v in range(row.size):
        total += float(np.float64(row[target])) - float(np.float64(row[v]))
    return total / row.size


@njit(fastmath=EXACT)
def squared_error_loss(row: Array, target: Array) -> float:
    """``(o - t)^2``."""
    total = 0.0
    for v in range(row.size):
        o, t = float(np.float64(row[v])), float(np.float64(target[v]))
        total += (o - t) * (o - t)
    return total / row.size


@njit(fastmath=EXACT)
def squared_error_loss_and_grad(row: Array, target: Array, scale: float) -> float:
    """Gradient: ``2 (o - t)``."""
    loss = squared_error_loss(row, target)
    factor = row.dtype.type(scale / row.size)
    twice = factor + factor
    for v in range(row.size):
        row[v] = (row[v] - target[v]) * twice
    return loss


@njit(fastmath=EXACT)
def binary_loss(row: Array, target: Array) -> float:
    """Cross-entropy of ``sigmoid(o)``, in nats."""
    total = 0.0
    for v in range(row.size):
        o, t = float(np.float64(row[v])), float(np.float64(target[v]))
        total += t * kernels.softplus(-o) + (1.0 - t) * kernels.softplus(o)
    return total / row.size


@njit(fastmath=EXACT)
def binary_loss_and_grad(row: Array, target: Array, scale: float) -> float:
    """Gradient: ``sigmoid(o) - t``."""
    loss = binary_loss(row, target)
    factor = row.dtype.type(scale / row.size)
    for v in range(row.size):
        row[v] = (kernels.sigmoid(row[v]) - target[v]) * factor
    return loss


@njit(fastmath=EXACT)
def absolute_error_loss(row: Array, target: Array) -> float:
    """``|o - t|``."""
    total = 0.0
    for v in range(row.size):
        total += abs(float(np.float64(row[v])) - float(np.float64(target[v])))
    return total / row.size


@njit(fastmath=EXACT)
def absolute_error_loss_and_grad(row: Array, target: Array, scale: float) -> float:
    """Gradient: the sign of ``o - t``."""
    loss = absolute_error_loss(row, target)
    factor = row.dtype.type(scale / row.size)
    for v in range(row.size):
        row[v] = np.sign(row[v] - target[v]) * factor
    return loss


@njit(fastmath=EXACT)
def huber_loss(row: Array, target: Array, delta: float) -> float:
    """``(o - t)^2 / 2`` up to a distance of delta, linear beyond it."""
    total = 0.0
    for v in range(row.size):
        distance = abs(float(np.float64(row[v])) - float(np.float64(target[v])))
        if distance <= delta:
            total += 0.5 * distance * distance
        else:
            total += delta * (distance - 0.5 * delta)
    return total / row.size


@njit(fastmath=EXACT)
def huber_loss_and_grad(row: Array, target: Array, scale: float, delta: float) -> float:
    """Gradient: ``o - t``, clipped to ``[-delta, delta]``."""
    loss = huber_loss(row, target, delta)
    factor, limit = row.dtype.type(scale / row.size), row.dtype.type(delta)
    for v in range(row.size):
        row[v] = min(max(row[v] - target[v], -limit), limit) * factor
    return loss


@njit(fastmath=EXACT)
def quantile_loss(row: Array, target: Array, quantile: float) -> float:
    """``quantile * (t - o)`` below the target, ``(1 - quantile) * (o - t)`` above it."""
    total = 0.0
    for v in range(row.size):
        error = float(np.float64(target[v])) - float(np.float64(row[v]))
        total += quantile * error if error > 0.0 else (quantile - 1.0) * error
    return total / row.size


@njit(fastmath=EXACT)
def quantile_loss_and_grad(row: Array, target: Array, scale: float, quantile: float) -> float:
    """Gradient: ``-quantile`` below the target, ``1 - quantile`` above it."""
    loss = quantile_loss(row, target, quantile)
    share = scale / row.size
    below, above = row.dtype.type(-share * quantile), row.dtype.type(share * (1.0 - quantile))
    for v in range(row.size):
        if row[v] < target[v]:
            row[v] = below
        elif row[v] > target[v]:
            row[v] = above
        else:
            row[v] = row.dtype.type(0.0)
    return loss


@njit(fastmath=EXACT)
def _interval_level(v: int, low: float, high: float) -> float:
    """The quantile of output v: low, median and high in turn."""
    position = v % 3
    return low if position == 0 else high if position == 2 else 0.5


@njit(fastmath=EXACT)
def interval_loss(row: Array, target: Array, low: float, high: float) -> float:
    """The mean of the quantile losses of a low quantile, the median and a high quantile, in turn."""
    total = 0.0
    for v in range(row.size):
        quantile = _interval_level(v, low, high)
        error = float(np.float64(target[v])) - float(np.float64(row[v]))
        total += quantile * error if error > 0.0 else (quantile - 1.0) * error
    return total / row.size


@njit(fastmath=EXACT)
def interval_loss_and_grad(row: Array, target: Array, scale: float, low: float, high: float) -> float:
    """Gradient of an output: ``-quantile`` below the target, ``1 - quantile`` above it."""
    loss = interval_loss(row, target, low, high)
    share = scale / row.size
    for v in range(row.size):
        quantile = _interval_level(v, low, high)
        if row[v] < target[v]:
            row[v] = row.dtype.type(-share * quantile)
        elif row[v] > target[v]:
            row[v] = row.dtype.type(share * (1.0 - quantile))
        else:
            row[v] = row.dtype.type(0.0)
    return loss


PER_TARGET_LOSSES = ("squared_error", "absolute_error", "huber", "quantile")
"""Losses of one target of ``per_target``, by the value of its option ``kind``."""

MAX_TARGETS = 4
"""Targets of ``per_target`` at most."""


@njit(fastmath=EXACT)
def _target_count(options: tuple[float, ...]) -> int:
    """The number of targets: the kinds before the first negative one."""
    count = 0
    while 2 * count < len(options) and options[2 * count] >= 0.0:
        count += 1
    return count


@njit(fastmath=EXACT)
def _element_loss(error: float, kind: float, parameter: float) -> float:
    """The loss of the target minus the output, of one of ``PER_TARGET_LOSSES``."""
    size = abs(error)
    if kind == 0.0:
        return error * error
    if kind == 1.0:
        return size
    if kind == 2.0:
        return 0.5 * size * size if size <= parameter else parameter * (size - 0.5 * parameter)
    return parameter * error if error > 0.0 else (parameter - 1.0) * error


@njit(fastmath=EXACT)
def _element_slope(error: float, kind: float, parameter: float) -> float:
    """The derivative of :func:`_element_loss` with respect to the output."""
    if kind == 0.0:
        return -2.0 * error
    if kind == 2.0:
        return -min(max(error, -parameter), parameter)
    if error == 0.0:
        return 0.0
    below, above = (-1.0, 1.0) if kind == 1.0 else (-parameter, 1.0 - parameter)
    return below if error > 0.0 else above


@njit(fastmath=EXACT)
def per_target_loss(row: Array, target: Array, *options: float) -> float:
    """The mean of the losses of the outputs, which are those of target 0, target 1, ... in turn."""
    total, count = 0.0, _target_count(options)
    for v in range(row.size):
        error = float(np.float64(target[v])) - float(np.float64(row[v]))
        index = 2 * (v % count)
        total += _element_loss(error, options[index], options[index + 1])
    return total / row.size


@njit(fastmath=EXACT)
def per_target_loss_and_grad(row: Array, target: Array, scale: float, *options: float) -> float:
    """Gradient of the loss of each target."""
    loss, count = per_target_loss(row, target, *options), _target_count(options)
    share = scale / row.size
    for v in range(row.size):
        error = float(np.float64(target[v])) - float(np.float64(row[v]))
        index = 2 * (v % count)
        row[v] = row.dtype.type(share * _element_slope(error, options[index], options[index + 1]))
    return loss


_SMOOTHING = Option(0.0, "share of the target that is spread evenly over all classes", low=0.0, below=1.0)
_DELTA = Option(1.0, "distance from which the loss grows linearly", low=1e-6)
_QUANTILE = Option(0.5, "the quantile to predict", low=0.0, high=1.0)

_LOW = Option(0.1, "the low quantile", low=0.0, high=0.5)
_HIGH = Option(0.9, "the high quantile", low=0.5, high=1.0)


def _target_options(n: int) -> dict[str, Option[float]]:
    kinds = ", ".join(f"{code} {name}" for code, name in enumerate(PER_TARGET_LOSSES))
    choices = [*map(float, range(len(PER_TARGET_LOSSES))), *([-1.0] if n else [])]
    none = ", -1 none" if n else ""
    return {
        f"kind{n}": Option(choices[-1] if n else 0.0, f"loss of target {n}: {kinds}{none}", choices=choices),
        f"parameter{n}": Option(1.0, f"delta or quantile of target {n}", low=0.0),
    }


class _PerTargetLoss(Loss):
    """The loss ``per_target``, whose options depend on each other."""

    def with_options(self, *, class_weights: Sequence[float] | None = None, **options: Any) -> Loss:
        """The loss with some options chosen.

        Raises:
            UsageError: for an unknown option or an invalid value, or if a target with a loss follows one
                without a loss.
        """
        loss = super().with_options(class_weights=class_weights, **options)
        kinds, parameters = loss.values[::2], loss.values[1::2]
        count = kinds.index(-1.0) if -1.0 in kinds else len(kinds)
        if any(kind >= 0.0 for kind in kinds[count:]):
            raise UsageError(
                f"loss {self.name!r}: option 'kind{count}' is -1, and a later target has a loss; expected a "
                f"loss of each target before it."
            )
        for kind, parameter in zip(kinds[:count], parameters, strict=False):
            each = BUILT_IN_LOSSES[PER_TARGET_LOSSES[int(kind)]]
            given: dict[str, Any] = dict.fromkeys(each.options, parameter)
            each.with_options(**given)
        return loss


_BUILT_IN = (
    Loss(
        "cross_entropy",
        cross_entropy_loss,
        target="class",
        metric="accuracy",
        options={"label_smoothing": _SMOOTHING},
        block=cross_entropy_block,
    ),
    Loss("squared_error", squared_error_loss, squared_error_loss_and_grad),
    Loss("binary", binary_loss, binary_loss_and_grad, "probability", "accuracy"),
    Loss(
        "absolute_error",
        absolute_error_loss,
        absolute_error_loss_and_grad,
        metric="absolute_error",
    ),
    Loss("huber", huber_loss, huber_loss_and_grad, options={"delta": _DELTA}),
    Loss(
        "quantile",
        quantile_loss,
        quantile_loss_and_grad,
        metric="absolute_error",
        options={"quantile": _QUANTILE},
    ),
    Loss(
        "interval",
        interval_loss,
        interval_loss_and_grad,
        metric="absolute_error",
        options={"low": _LOW, "high": _HIGH},
    ),
    _PerTargetLoss(
        "per_target",
        per_target_loss,
        per_target_loss_and_grad,
        metric="absolute_error",
        options={name: option for n in range(MAX_TARGETS) for name, option in _target_options(n).items()},
    ),
)
BUILT_IN_LOSSES = {loss.name: loss for loss in _BUILT_IN}
"""The losses that come with zoo, by name."""
