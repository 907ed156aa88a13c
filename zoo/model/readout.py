"""The readout, ``o = y Why + by``, and its loss, over the steps of one shard of the batch.

Outputs exist for a block of steps at a time, which stays in the cache: all at once, those of ten thousand
steps of eight rows and 65 symbols are 21 MB, and the readout of 64 units took 0.54 us a symbol, not 0.43.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.input_projection import project_rows
from zoo.kernels.jit import EXACT, njit
from zoo.model.losses import weighed, weighed_grads

Array = Any

# A multiple of what add_outer sums at a time; blocks of 256 rows take 2 % longer, and 1,024 are no faster.
ROWS = 512


@njit(inline=True)
def _block(y: Array) -> int:
    """Steps in a block."""
    return max(1, ROWS // max(1, y.shape[1]))  # type: ignore[no-any-return]


@njit(inline=True)
def _rows(a: Array, first: int, steps: int) -> Array:
    """The rows of some steps of ``a (T, B)`` or ``a (T, B, V)``, one below the other."""
    if a.ndim == 2:
        return kernels.window(a, first * a.shape[1], steps * a.shape[1])
    return kernels.rows_between(a, first, first + steps)


# Exact: rows are added up in their order, as in weighed.
@njit(fastmath=EXACT)
def _add_steps(each: Array, losses: Array, first: int, steps: int) -> None:
    """The sums of what the rows of each step have, ``(N,)``, to some of ``(T,)``."""
    batch = each.size // max(1, steps)
    for t in range(steps):
        total = 0.0
        for r in range(batch):
            total += each[t * batch + r]
        losses[first + t] = total


@njit
def read_loss(
    y: Array, w: Array, b: Array, targets: Array, weights: Array, binary: bool, losses: Array
) -> None:
    """The loss of each step, summed over its rows.

    Args:
        y: Output of the layers, ``(T, B, H)``.
        w: ``Why``, ``(H, V)``.
        b: ``by``, ``(V,)``.
        targets: The right ones ``(T, B)``, or numbers ``(T, B, V)``; see :mod:`zoo.model.losses`.
        weights: How much each counts, ``(T, B)``, float64.
        binary: Whether numbers are probabilities, not values.
        losses: Where they go, ``(T,)``; steps apart, so that it does not matter how time is cut.
    """
    block, panels = _block(y), kernels.pack(w)
    outputs = np.empty((min(block, losses.size), y.shape[1], b.size), w.dtype)
    for first in range(0, losses.size, block):
        steps = min(block, losses.size - first)
        read, part = y[first : first + steps], outputs[:steps]
        project_rows(kernels.rows_of(read), panels, b, kernels.rows_of(part))
        for t in range(steps):
            losses[first + t] = weighed(part[t], targets[first + t], weights[first + t], binary)


@njit
def read_loss_grads(
    y: Array,
    w: Array,
    b: Array,
    targets: Array,
    weights: Array,
    binary: bool,
    losses: Array,
    scale: float,
) -> tuple[Array, Array, Array]:
    """As :func:`read_loss`, and the gradients of ``scale`` times all losses with respect to y, w and b."""
    block, panels, back = _block(y), kernels.pack(w), kernels.pack_transposed(w)
    outputs = np.empty((min(block, losses.size), y.shape[1], b.size), w.dtype)
    each = np.empty(outputs.shape[0] * outputs.shape[1])
    dy = kernels.sequence(y.shape[0], y.shape[1], y.shape[2], w)
    dw, db = np.empty(w.shape, w.dtype), np.empty(b.shape, b.dtype)
    dy[:], dw[:], db[:] = 0, 0, 0
    for first in range(0, losses.size, block):
        steps = min(block, losses.size - first)
        read, part = y[first : first + steps], outputs[:steps]
        project_rows(kernels.rows_of(read), panels, b, kernels.rows_of(part))
        right, counts = _rows(targets, first, steps), _rows(weights, first, steps)
        some = kernels.window(each, 0, counts.size)
        weighed_grads(kernels.rows_of(part), right, counts, binary, scale, some)
        _add_steps(some, losses, first, steps)
        kernels.add_rows(part, db)
        kernels.add_outer(kernels.rows_of(read), kernels.rows_of(part), dw)
        kernels.add_matmul(kernels.rows_of(part), back, kernels.rows_of(dy[first : first + steps]))
    return dy, dw, db


@njit
def take_steps(y: Array, places: Array) -> Array:
    """Those steps of ``y (T, B, H)`` that are read, ``(N, B, H)``."""
    taken = np.empty((places.size, y.shape[1], y.shape[2]), y.dtype)
    for n in range(places.size):
        taken[n] = y[places[n]]
    return taken


@njit
def put_steps(taken: Array, places: Array, like: Array) -> Array:
    """Steps ``(N, B, H)`` at their places in ``(T, B, H)``, as ``like`` is, and zeros elsewhere."""
    whole = np.zeros_like(like)
    for n in range(places.size):
        whole[places[n]] = taken[n]
    return whole
