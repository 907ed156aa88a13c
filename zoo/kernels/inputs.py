"""The input's part of every pre-activation, for the whole sequence at once: ``x @ W + b`` and its gradients.

Tokens stand for one-hot rows, so their product is a gather of rows of W, and its gradient a scatter into
them; no one-hot matrix is ever made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.jit import njit

Array = Any


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
    steps, batch = x.shape[0], x.shape[1]
    width = w.shape[1]
    out = np.empty((steps, batch, width), w.dtype)
    if x.ndim == 2:
        for t in range(steps):
            for r in range(batch):
                row, source = out[t, r], w[x[t, r]]
                for n in range(width):
                    row[n] = source[n] + b[n]
    else:
        flat = out.reshape(steps * batch, width)
        for r in range(steps * batch):
            row = flat[r]
            for n in range(width):
                row[n] = b[n]
        kernels.add_matmul(x.reshape(steps * batch, x.shape[2]), kernels.pack(w), flat)
    return out


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
    rows, width = x.shape[0] * x.shape[1], w.shape[1]
    flat = grad.reshape(rows, width)
    dw = np.zeros_like(w)
    db = np.zeros(width, w.dtype)
    for r in range(rows):
        source = flat[r]
        for n in range(width):
            db[n] += source[n]
    if x.ndim == 2:
        dx = np.empty((0, 0, 0), w.dtype)
        tokens = x.reshape(rows)
        for r in range(rows):
            target, source = dw[tokens[r]], flat[r]
            for n in range(width):
                target[n] += source[n]
    else:
        inputs = x.reshape(rows, w.shape[0])
        kernels.add_outer(inputs, flat, dw)
        dx = np.zeros((x.shape[0], x.shape[1], w.shape[0]), w.dtype)
        kernels.add_matmul(flat, kernels.pack_transposed(w), dx.reshape(rows, w.shape[0]))
    return dx, dw, db
