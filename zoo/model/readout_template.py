"""Template of the kernels of a readout, ``o = y Why + by``, and its loss, for one shard of a batch.

:func:`zoo.model.readout.readout_kernels` makes a module of this text for each loss. The kernels of the loss
replace ``row_loss`` and ``row_loss_and_grad``, or ``rows_loss_and_grad``, so the loops have no dispatch.

The outputs of one block of steps exist at a time, so that they stay in the cache. All outputs of ten thousand
steps of eight rows and 65 symbols are 21 MB: a readout of 64 units took 0.54 us a symbol, not 0.43.
"""

from __future__ import annotations

from typing import Any

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import EXACT, njit

# A multiple of the block of add_matmul_ta. Blocks of 256 rows take 2 % longer, and 1,024 are no faster.
BLOCK_ROWS = 512


def row_loss(row: Array, target: Any, *options: float) -> float:
    """The loss of a row; replaced."""
    raise NotImplementedError


def row_loss_and_grad(row: Array, target: Any, scale: float, *options: float) -> float:
    """The loss of a row, which becomes its gradient; replaced."""
    raise NotImplementedError


@njit(fastmath=EXACT)
def rows_loss_and_grad(
    rows: Array, targets: Array, weights: Array, scale: float, losses: Array, options: tuple[float, ...]
) -> None:
    """The losses of several rows, which become their gradients; replaced by ``Loss.block``."""
    for n in range(rows.shape[0]):
        losses[n] = row_loss_and_grad(rows[n], targets[n], scale * weights[n], *options)


# Exact, as cross_entropy is: rows are added in order.
@njit(fastmath=EXACT)
def weighted_loss(outputs: Array, targets: Array, weights: Array, options: tuple[float, ...]) -> float:
    """The weighted sum of the losses of some rows.

    Args:
        outputs: Outputs of the readout, ``(N, V)``.
        targets: Classes ``(N,)``, or numbers ``(N, V)``.
        weights: ``(N,)``, float64.
        options: Values of the options of the loss.
    """
    total = 0.0
    for n in range(outputs.shape[0]):
        total += row_loss(outputs[n], targets[n], *options) * weights[n]
    return total


@njit(fastmath=EXACT)
def weighted_loss_and_grad_inplace(
    outputs: Array,
    targets: Array,
    weights: Array,
    options: tuple[float, ...],
    scale: float,
    losses: Array,
) -> None:
    """The weighted losses of some rows; outputs are replaced by the gradient of ``scale`` times their sum.

    Args:
        outputs: Outputs of the readout, ``(N, V)``, overwritten.
        targets: Classes ``(N,)``, or numbers ``(N, V)``.
        weights: ``(N,)``, float64.
        options: Values of the options of the loss.
        scale: Factor of the gradients.
        losses: Output, ``(N,)``.
    """
    rows_loss_and_grad(outputs, targets, weights, scale, losses, options)
    for n in range(losses.size):
        losses[n] *= weights[n]


@njit(inline=True)
def _steps_per_block(y: Array) -> int:
    return kernels.int_max(1, BLOCK_ROWS // kernels.int_max(1, y.shape[1]))


@njit(inline=True)
def _block_rows(a: Array, first: int, steps: int) -> Array:
    """Some steps of ``a (T, B)`` or ``a (T, B, V)`` as rows, ``(N,)`` or ``(N, V)``."""
    if a.ndim == 2:
        return kernels.flat_slice(a, first * a.shape[1], steps * a.shape[1])
    return kernels.rows_of_steps(a, first, first + steps)


# Exact: rows are added in order, as in weighted_loss.
@njit(fastmath=EXACT)
def _sum_rows_per_step(row_losses: Array, losses: Array, first: int, steps: int) -> None:
    """Sum ``row_losses (N,)`` over the rows of each step into ``losses[first : first + steps]``."""
    batch = row_losses.size // kernels.int_max(1, steps)
    for t in range(steps):
        total = 0.0
        for r in range(batch):
            total += row_losses[t * batch + r]
        losses[first + t] = total


@njit
def readout_loss(
    y: Array, w: Array, b: Array, targets: Array, weights: Array, options: tuple[float, ...], losses: Array
) -> None:
    """The loss of each step, summed over its rows.

    Args:
        y: Output of the layers, ``(T, B, H)``.
        w: ``Why``, ``(H, V)``.
        b: ``by``, ``(V,)``.
        targets: Classes ``(T, B)``, or numbers ``(T, B, V)``; see ``zoo.base.loss``.
        weights: Weight of each, ``(T, B)``, float64.
        options: Values of the options of the loss.
        losses: Output, ``(T,)``; one number a step, so that the result does not depend on segments.
    """
    block, panels = _steps_per_block(y), kernels.pack(w)
    outputs = kernels.empty((kernels.int_min(block, losses.size), y.shape[1], b.size), w)
    for first in range(0, losses.size, block):
        steps = kernels.int_min(block, losses.size - first)
        y_block, out = kernels.slice_steps(y, first, first + steps), kernels.slice_steps(outputs, 0, steps)
        kernels.affine(kernels.as_rows(y_block), panels, b, kernels.as_rows(out))
        for t in range(steps):
            losses[first + t] = weighted_loss(out[t], targets[first + t], weights[first + t], options)


@njit
def readout_loss_and_grad(
    y: Array,
    w: Array,
    b: Array,
    targets: Array,
    weights: Array,
    options: tuple[float, ...],
    losses: Array,
    scale: float,
) -> tuple[Array, Array, Array]:
    """As :func:`readout_loss`, and the gradients of ``scale`` times all losses with respect to y, w and b."""
    block, panels, transposed = _steps_per_block(y), kernels.pack(w), kernels.pack_transposed(w)
    outputs = kernels.empty((kernels.int_min(block, losses.size), y.shape[1], b.size), w)
    row_losses = kernels.empty((outputs.shape[0] * outputs.shape[1],), losses)
    dy = kernels.empty_sequence(y.shape[0], y.shape[1], y.shape[2], w)
    dw, db = kernels.zeros_if(losses.size == 0, w.shape, w), kernels.zeros(b.shape, b)
    for first in range(0, losses.size, block):
        steps = kernels.int_min(block, losses.size - first)
        y_block, out = kernels.slice_steps(y, first, first + steps), kernels.slice_steps(outputs, 0, steps)
        kernels.affine(kernels.as_rows(y_block), panels, b, kernels.as_rows(out))
        target_rows, weight_rows = _block_rows(targets, first, steps), _block_rows(weights, first, steps)
        some = kernels.flat_slice(row_losses, 0, weight_rows.size)
        weighted_loss_and_grad_inplace(kernels.as_rows(out), target_rows, weight_rows, options, scale, some)
        _sum_rows_per_step(some, losses, first, steps)
        kernels.add_column_sums(out, db)
        kernels.add_matmul_ta(kernels.as_rows(y_block), kernels.as_rows(out), dw, first > 0)
        kernels.set_matmul(kernels.as_rows(out), transposed, kernels.rows_of_steps(dy, first, first + steps))
    return dy, dw, db
