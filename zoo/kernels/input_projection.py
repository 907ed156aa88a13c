"""The input's part of every pre-activation, for the whole sequence at once: ``x @ W + b`` and its gradients.

Tokens stand for one-hot rows, so their product is a gather of rows of W, and its gradient a scatter into
them; no one-hot matrix is made unless :func:`dense` is asked for it.

New arrays are np.empty and then filled: np.zeros takes twice as long to compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.jit import njit

Array = Any


@njit
def dense(x: Array, size: int, like: Array) -> Array:
    """Inputs as rows of numbers: x itself if it is ``(T, B, I)``, one-hot rows if it is tokens ``(T, B)``.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)`` below ``size``.
        size: Length of a one-hot row.
        like: An array of the dtype that one-hot rows shall have.

    Returns:
        x, or a new array ``(T, B, size)``.
    """
    if x.ndim == 3:
        return x
    rows = kernels.sequence(x.shape[0], x.shape[1], size, like)
    rows[:] = 0
    for t in range(x.shape[0]):
        for r in range(x.shape[1]):
            rows[t, r, x[t, r]] = 1
    return rows


@njit
def add_rows(a: Array, total: Array) -> None:
    """Add every row of ``a (T, B, N)`` to ``total (N,)``, one after the other: a bias's gradient."""
    for t in range(a.shape[0]):
        for r in range(a.shape[1]):
            row = a[t, r]
            for n in range(total.size):
                total[n] += row[n]


@njit
def add_input_outer(x: Array, grad: Array, dw: Array) -> None:
    """Add the gradient of an input's weight, ``x_row.T @ grad_row`` over all steps and rows.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)`` below I.
        grad: Gradient ``(T, B, N)`` with respect to the products.
        dw: The sum so far, ``(I, N)``.
    """
    if x.ndim == 2:
        for t in range(x.shape[0]):
            for r in range(x.shape[1]):
                target, row = dw[x[t, r]], grad[t, r]
                for n in range(row.size):
                    target[n] += row[n]
    else:
        kernels.add_outer_at(kernels.rows_of(x), 0, x.shape[2], kernels.rows_of(grad), 0, grad.shape[2], dw)


@njit
def project_rows(x: Array, panels: Array, b: Array, out: Array) -> None:
    """``out = x @ w + b`` for rows of numbers.

    Args:
        x: Rows ``(M, I)``.
        panels: From :func:`zoo.kernels.pack`, of ``w (I, N)``.
        b: Bias ``(N,)``.
        out: The result ``(M, N)``.
    """
    for n in range(out.shape[0]):
        row = out[n]
        for v in range(b.size):
            row[v] = b[v]
    kernels.add_matmul(x, panels, out)


@njit
def project(x: Array, w: Array, b: Array) -> Array:
    """``x @ w + b`` at every step.

    Args:
        x: Inputs ``(T, B, I)``, or integer tokens ``(T, B)`` below I.
        w: Weights ``(I, N)``.
        b: Bias ``(N,)``.

    Returns:
        A new array ``(T, B, N)``.
    """
    steps, batch, width = x.shape[0], x.shape[1], w.shape[1]
    out = kernels.sequence(steps, batch, width, w)
    if x.ndim == 3:
        project_rows(kernels.rows_of(x), kernels.pack(w), b, kernels.rows_of(out))
        return out
    for t in range(steps):
        for r in range(batch):
            row, source = out[t, r], w[x[t, r]]
            for n in range(width):
                row[n] = source[n] + b[n]
    return out


@njit
def projections(x: Array, w: Array, b: Array) -> Array:
    """What :func:`projection` finds its rows in: those of all steps, or for tokens room for one step's.

    Numbers make one large product. Rows for tokens are only copied, and a step's are better copied where they
    are used: written for all steps together they fall out of the cache, which took an LSTM's forward pass a
    tenth more time at H=128, and a third more memory.

    Args:
        x: As given to :func:`project`.
        w: As given to :func:`project`.
        b: As given to :func:`project`.

    Returns:
        A new array ``(T, B, N)``, or ``(1, B, N)`` for tokens.
    """
    return project(x, w, b) if x.ndim == 3 else np.empty((1, x.shape[1], w.shape[1]), w.dtype)


@njit
def projection(found: Array, t: int, x: Array, w: Array, b: Array) -> Array:
    """``x @ w + b`` at step t, to be added to.

    Args:
        found: From :func:`projections`.
        t: The step.
        x: As given to :func:`projections`.
        w: As given to :func:`projections`.
        b: As given to :func:`projections`.

    Returns:
        A view ``(B, N)`` of ``found``.
    """
    if x.ndim == 3:
        return found[t]
    for r in range(x.shape[1]):
        row, source = kernels.row(found, r), kernels.row(w, x[t, r])
        for n in range(b.size):
            row[n] = source[n] + b[n]
    return found[0]


@njit
def project_grads(x: Array, w: Array, grad: Array) -> tuple[Array, Array, Array]:
    """Gradients of :func:`project`.

    Args:
        x: As given to :func:`project`.
        w: As given to :func:`project`.
        grad: Gradient ``(T, B, N)`` with respect to its result.

    Returns:
        The gradients with respect to x (empty, ``(0, 0, 0)``, for tokens), w and b.
    """
    dw, db = np.empty(w.shape, w.dtype), np.empty(w.shape[1], w.dtype)
    dw[:], db[:] = 0, 0
    kernels.add_rows(grad, db)
    if x.ndim == 2:
        kernels.add_input_outer(x, grad, dw)
        return np.empty((0, 0, 0), w.dtype), dw, db
    features, width = w.shape
    dx = kernels.sequence(x.shape[0], x.shape[1], features, w)
    dx[:] = 0
    source = kernels.rows_of(grad)
    # As add_input_outer would; but a kernel between two others is compiled again with the inner one.
    kernels.add_outer_at(kernels.rows_of(x), 0, features, source, 0, width, dw)
    kernels.add_matmul_at(source, 0, kernels.pack_transposed(w), kernels.rows_of(dx), 0, features)
    return dx, dw, db
