"""Matrix products on packed weights, for matrices too small and too often used for BLAS.

``pack`` once, ``add_matmul`` at every time step. All arrays are C-contiguous and of one dtype, float32 or
float64; c is no part of a or b. Where Numba is switched off, panels are the matrix itself and the products
NumPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.kernels.jit import njit
from zoo.kernels.tiles import add_panel, panel_columns, tile_height

Array = Any

# Steps of k whose packed panel stays in the first-level cache while a gradient is accumulated.
CHUNK = 256


def _plain_pack(w: Array) -> Array:
    return w


def _plain_pack_transposed(w: Array) -> Array:
    return w.T


def _plain_add_matmul(a: Array, panels: Array, c: Array) -> None:
    c += a @ panels


def _plain_add_outer(a: Array, b: Array, c: Array) -> None:
    c += a.T @ b


@njit(twin=_plain_pack)
def pack(w: Array) -> Array:
    """Panels of ``w (K, N)`` for ``add_matmul(a, panels, c)``, ``c += a @ w``."""
    depth, width = w.shape
    columns = panel_columns(w)
    panels = np.zeros(((width + columns - 1) // columns, depth, columns), w.dtype)
    for j in range(panels.shape[0]):
        first = j * columns
        inside = min(columns, width - first)
        for k in range(depth):
            for n in range(inside):
                panels[j, k, n] = w[k, first + n]
    return panels


@njit(twin=_plain_pack_transposed)
def pack_transposed(w: Array) -> Array:
    """Panels of the transpose of ``w (N, K)`` for ``add_matmul(a, panels, c)``, ``c += a @ w.T``."""
    width, depth = w.shape
    columns = panel_columns(w)
    panels = np.zeros(((width + columns - 1) // columns, depth, columns), w.dtype)
    for n in range(width):
        for k in range(depth):
            panels[n // columns, k, n % columns] = w[n, k]
    return panels


@njit(twin=_plain_add_matmul)
def add_matmul(a: Array, panels: Array, c: Array) -> None:
    """``c += a @ w`` for ``a (M, K)``, ``c (M, N)`` and the panels of ``w (K, N)``."""
    rows, depth = a.shape
    width = c.shape[1]
    columns = panel_columns(c)
    a_flat, b_flat, c_flat = a.reshape(-1), panels.reshape(-1), c.reshape(-1)
    for first in range(0, width, columns):
        strides, sizes = (depth, 1, width), (rows, depth, width - first)
        add_panel(a_flat, 0, b_flat, first * depth, c_flat, first, strides, sizes)


@njit(twin=_plain_add_outer)
def add_outer(a: Array, b: Array, c: Array) -> None:
    """``c += a.T @ b`` for ``a (K, M)``, ``b (K, N)``, ``c (M, N)``: a weight's gradient over K rows."""
    rows, width = c.shape
    height, columns = tile_height(), panel_columns(c)
    c_flat = c.reshape(-1)
    # Both operands are copied into panels, a chunk of k at a time: reading a in place, with a stride of M
    # numbers, reached 40 of 115 GF/s at M = 512, where the stride is a multiple of a page.
    left = np.zeros(((rows + height - 1) // height, CHUNK, height), c.dtype)
    right = np.zeros((1, CHUNK, columns), c.dtype)
    left_flat, right_flat = left.reshape(-1), right.reshape(-1)
    for start in range(0, a.shape[0], CHUNK):
        depth = min(CHUNK, a.shape[0] - start)
        for i in range(left.shape[0]):
            for k in range(depth):
                for r in range(min(height, rows - i * height)):
                    left[i, k, r] = a[start + k, i * height + r]
        for first in range(0, width, columns):
            for k in range(depth):
                for n in range(min(columns, width - first)):
                    right[0, k, n] = b[start + k, first + n]
            for i in range(left.shape[0]):
                a0, c0 = i * CHUNK * height, i * height * width + first
                strides, sizes = (1, height, width), (min(height, rows - i * height), depth, width - first)
                add_panel(left_flat, a0, right_flat, 0, c_flat, c0, strides, sizes)
