"""Matrix products on packed weights, for matrices too small and too often used for BLAS.

``pack`` once, ``add_matmul`` at every time step. All arrays are C-contiguous and of one dtype, float32 or
float64; c is no part of a or b. Those named ``_at`` work on windows of columns of wider rows; they start at
``a0``, ``b0`` and ``c0``, and nobody checks that they end within the row. Where Numba is switched off, panels
are the matrix itself and the products NumPy's.
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
    return w.copy()  # as panels are: what is written to w later is not in them


def _plain_pack_transposed(w: Array) -> Array:
    return w.T.copy()


def _plain_add_matmul_at(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    c[:, c0 : c0 + width] += a[:, a0 : a0 + panels.shape[0]] @ panels


def _plain_add_outer_at(a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array) -> None:
    c += a[:, a0 : a0 + rows].T @ b[:, b0 : b0 + width]


# np.empty and a condition, where np.zeros would read better: it took a third of the compiler's time.
@njit(twin=_plain_pack)
def pack(w: Array) -> Array:
    """Panels of ``w (K, N)`` for ``add_matmul(a, panels, c)``, ``c += a @ w``."""
    depth, width = w.shape
    columns = panel_columns(w)
    panels = np.empty(((width + columns - 1) // columns, depth, columns), w.dtype)
    for j in range(panels.shape[0]):
        for k in range(depth):
            for n in range(columns):
                column = j * columns + n
                panels[j, k, n] = w[k, column] if column < width else 0
    return panels


@njit(twin=_plain_pack_transposed)
def pack_transposed(w: Array) -> Array:
    """Panels of the transpose of ``w (N, K)`` for ``add_matmul(a, panels, c)``, ``c += a @ w.T``."""
    width, depth = w.shape
    columns = panel_columns(w)
    panels = np.empty(((width + columns - 1) // columns, depth, columns), w.dtype)
    for row in range(panels.shape[0] * columns):
        for k in range(depth):
            panels[row // columns, k, row % columns] = w[row, k] if row < width else 0
    return panels


@njit(twin=_plain_add_matmul_at)
def add_matmul_at(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    """``c[:, c0 : c0 + width] += a[:, a0 : a0 + K] @ w`` for the panels of ``w (K, width)``."""
    rows, stride = a.shape
    depth, columns = panels.shape[1], panel_columns(c)
    for first in range(0, width, columns):
        strides, sizes = (stride, 1, c.shape[1]), (rows, depth, width - first)
        add_panel(a, a0, panels, first * depth, c, c0 + first, strides, sizes)


@njit
def add_matmul(a: Array, panels: Array, c: Array) -> None:
    """``c += a @ w`` for ``a (M, K)``, ``c (M, N)`` and the panels of ``w (K, N)``."""
    add_matmul_at(a, 0, panels, c, 0, c.shape[1])


@njit(twin=_plain_add_outer_at)
def add_outer_at(a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array) -> None:
    """``c += a[:, a0 : a0 + rows].T @ b[:, b0 : b0 + width]`` for ``c (rows, width)``."""
    steps, height, columns = a.shape[0], tile_height(), panel_columns(c)
    chunk = min(CHUNK, steps)
    # Both operands are copied into panels, a chunk of k at a time: reading a in place, with a stride of M
    # numbers, reached 40 of 115 GF/s at M = 512, where the stride is a multiple of a page.
    left = np.empty(((rows + height - 1) // height, chunk, height), c.dtype)
    right = np.empty((1, chunk, columns), c.dtype)
    for start in range(0, steps, CHUNK):
        depth = min(CHUNK, steps - start)
        for k in range(depth):
            for r in range(rows):
                left[r // height, k, r % height] = a[start + k, a0 + r]
        for first in range(0, width, columns):
            for k in range(depth):
                for n in range(columns):
                    right[0, k, n] = b[start + k, b0 + first + n] if first + n < width else 0
            for row in range(0, rows, height):
                strides, sizes = (1, height, width), (min(height, rows - row), depth, width - first)
                add_panel(left, row * chunk, right, 0, c, row * width + first, strides, sizes)


@njit
def add_outer(a: Array, b: Array, c: Array) -> None:
    """``c += a.T @ b`` for ``a (K, M)``, ``b (K, N)``, ``c (M, N)``: a weight's gradient over K rows."""
    add_outer_at(a, 0, c.shape[0], b, 0, c.shape[1], c)
