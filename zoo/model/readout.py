"""The readout, ``o = y Why + by``, and its loss, over the steps of one shard of the batch.

The outputs of one block of steps exist at a time, so that they stay in the cache. All outputs of ten thousand
steps of eight rows and 65 symbols are 21 MB: a readout of 64 units took 0.54 us a symbol, not 0.43.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.input_projection import project_dense
from zoo.kernels.jit import EXACT, njit
from zoo.model.losses import weighted_loss, weighted_loss_and_grad_inplace

Array = Any

# A multiple of the block of add_matmul_ta. Blocks of 256 rows take 2 % longer, and 1,024 are no faster.
BLOCK_ROWS = 512


@njit(inline=True)
def _steps_per_block(y: Array) -> int:
    return max(1, BLOCK_ROWS // max(1, y.shape[1]))  # type: ignore[no-any-return]


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
    batch = row_losses.size // max(1, steps)
    for t in range(steps):
        total = 0.0
        for r in range(batch):
            total += row_losses[t * batch + r]
        losses[first + t] = total


@njit
def readout_loss(
    y: Array, w: Array, b: Array, targets: Array, weights: Array, binary: bool, losses: Array
) -> None:
    """The loss of each step, summed over its rows.

    Args:
        y: Output of the layers, ``(T, B, H)``.
        w: ``Why``, ``(H, V)``.
        b: ``by``, ``(V,)``.
        targets: Classes ``(T, B)``, or numbers ``(T, B, V)``; see :mod:`zoo.model.losses`.
        weights: Weight of each, ``(T, B)``, float64.
        binary: Whether numbers are probabilities, not values.
        losses: Output, ``(T,)``; one number a step, so that the result does not depend on segments.
    """
    block, panels = _steps_per_block(y), kernels.pack(w)
    outputs = np.empty((min(block, losses.size), y.shape[1], b.size), w.dtype)
    for first in range(0, losses.size, block):
        steps = min(block, losses.size - first)
        y_block, out = y[first : first + steps], outputs[:steps]
        project_dense(kernels.as_rows(y_block), panels, b, kernels.as_rows(out))
        for t in range(steps):
            losses[first + t] = weighted_loss(out[t], targets[first + t], weights[first + t], binary)


@njit
def readout_loss_and_grad(
    y: Array,
    w: Array,
    b: Array,
    targets: Array,
    weights: Array,
    binary: bool,
    losses: Array,
    scale: float,
) -> tuple[Array, Array, Array]:
    """As :func:`readout_loss`, and the gradients of ``scale`` times all losses with respect to y, w and b."""
    block, panels, transposed = _steps_per_block(y), kernels.pack(w), kernels.pack_transposed(w)
    outputs = np.empty((min(block, losses.size), y.shape[1], b.size), w.dtype)
    row_losses = np.empty(outputs.shape[0] * outputs.shape[1])
    dy = kernels.empty_sequence(y.shape[0], y.shape[1], y.shape[2], w)
    dw, db = np.empty(w.shape, w.dtype), np.empty(b.shape, b.dtype)
    dy[:], dw[:], db[:] = 0, 0, 0
    for first in range(0, losses.size, block):
        steps = min(block, losses.size - first)
        y_block, out = y[first : first + steps], outputs[:steps]
        project_dense(kernels.as_rows(y_block), panels, b, kernels.as_rows(out))
        target_rows, weight_rows = _block_rows(targets, first, steps), _block_rows(weights, first, steps)
        some = kernels.flat_slice(row_losses, 0, weight_rows.size)
        weighted_loss_and_grad_inplace(kernels.as_rows(out), target_rows, weight_rows, binary, scale, some)
        _sum_rows_per_step(some, losses, first, steps)
        kernels.add_column_sums(out, db)
        kernels.add_matmul_ta(kernels.as_rows(y_block), kernels.as_rows(out), dw)
        kernels.add_matmul(kernels.as_rows(out), transposed, kernels.as_rows(dy[first : first + steps]))
    return dy, dw, db


@njit
def gather_steps(y: Array, indices: Array) -> Array:
    """Some steps of ``y (T, B, H)``, ``(N, B, H)``."""
    steps = np.empty((indices.size, y.shape[1], y.shape[2]), y.dtype)
    for n in range(indices.size):
        steps[n] = y[indices[n]]
    return steps


@njit
def scatter_steps(steps: Array, indices: Array, like: Array) -> Array:
    """Steps ``(N, B, H)`` at their indices in an array of zeros with the shape of ``like``, ``(T, B, H)``."""
    whole = np.zeros_like(like)
    for n in range(indices.size):
        whole[indices[n]] = steps[n]
    return whole
