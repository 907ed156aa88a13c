"""Products with one matrix per head: G windows side by side in a row, each with a matrix of its own.

What :mod:`zoo.kernels.products` says of arrays and windows holds here too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.jit import njit
from zoo.kernels.tiles import panel_columns

Array = Any


def _plain_pack_heads(w: Array) -> Array:
    return w.copy()


def _plain_pack_heads_transposed(w: Array) -> Array:
    return w.swapaxes(1, 2).copy()


def _plain_add_matmul_heads(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    for g, head in enumerate(panels):
        kernels.add_matmul_at(a, a0 + g * head.shape[0], head, c, c0 + g * width, width)


@njit(twin=_plain_pack_heads)
def pack_heads(w: Array) -> Array:
    """Panels of every matrix of ``w (G, K, N)``, for :func:`add_matmul_heads`; ``panels[g]`` are one's."""
    heads, depth, width = w.shape
    columns = panel_columns(w)
    panels = np.zeros((heads, (width + columns - 1) // columns, depth, columns), w.dtype)
    for g in range(heads):
        for k in range(depth):
            for n in range(width):
                panels[g, n // columns, k, n % columns] = w[g, k, n]
    return panels


@njit(twin=_plain_pack_heads_transposed)
def pack_heads_transposed(w: Array) -> Array:
    """Panels of the transpose of every matrix of ``w (G, N, K)``, for :func:`add_matmul_heads`."""
    heads, width, depth = w.shape
    columns = panel_columns(w)
    panels = np.zeros((heads, (width + columns - 1) // columns, depth, columns), w.dtype)
    for g in range(heads):
        for n in range(width):
            for k in range(depth):
                panels[g, n // columns, k, n % columns] = w[g, n, k]
    return panels


@njit(twin=_plain_add_matmul_heads)
def add_matmul_heads(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    """To head g of c, ``width`` columns from ``c0 + g * width``, add head g of a times matrix g of w.

    Args:
        a: Rows ``(M, any)``; head g is the K columns from ``a0 + g * K``.
        a0: First column of the first head in a.
        panels: Panels of ``w (G, K, width)``.
        c: Rows ``(M, any)``.
        c0: First column of the first head in c.
        width: Columns of a head in c.
    """
    depth = panels.shape[2]
    for g in range(panels.shape[0]):
        kernels.add_matmul_at(a, a0 + g * depth, panels[g], c, c0 + g * width, width)


@njit
def add_outer_heads(a: Array, a0: int, b: Array, b0: int, c: Array) -> None:
    """The gradient of :func:`add_matmul_heads`: ``c[g] += a_g.T @ b_g`` for ``c (G, K, N)``.

    Args:
        a: Rows ``(M, any)``; head g is the K columns from ``a0 + g * K``.
        a0: First column of the first head in a.
        b: Rows ``(M, any)``; head g is the N columns from ``b0 + g * N``.
        b0: First column of the first head in b.
        c: One gradient for every head.
    """
    heads, depth, width = c.shape
    for g in range(heads):
        kernels.add_outer_at(a, a0 + g * depth, depth, b, b0 + g * width, width, c[g])
