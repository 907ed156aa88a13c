"""Matrix products on packed weights, for matrices too small and too often used for BLAS.

``pack`` once, ``add_matmul`` at every time step. All arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba.extending import overload, register_jitable

from zoo.kernels.tiles import VECTORS, lanes, make_tile, tile_rows

Array = Any

# Steps of k whose packed panel stays in the first-level cache while a gradient is accumulated.
CHUNK = 256
_OPTIONS = {"error_model": "numpy", "nogil": True}


def pack(w: Array) -> Array:
    """Panels of ``w (K, N)`` for ``add_matmul(a, panels, c)``, ``c += a @ w``."""
    return w


def pack_transposed(w: Array) -> Array:
    """Panels of the transpose of ``w (N, K)`` for ``add_matmul(a, panels, c)``, ``c += a @ w.T``."""
    return w.T


def add_matmul(a: Array, panels: Array, c: Array) -> None:
    """``c += a @ w`` for ``a (M, K)``, ``c (M, N)`` and the panels of ``w (K, N)``."""
    c += a @ panels


def add_outer(a: Array, b: Array, c: Array) -> None:
    """``c += a.T @ b`` for ``a (K, M)``, ``b (K, N)``, ``c (M, N)``: the gradient of a weight over K = T·B rows."""
    c += a.T @ b


@overload(pack, jit_options=_OPTIONS, strict=False)
def _pack(w: Any) -> Any:
    columns = VECTORS * lanes(w.dtype)

    def implementation(w):  # type: ignore[no-untyped-def]
        depth, width = w.shape
        panels = np.zeros(((width + columns - 1) // columns, depth, columns), w.dtype)
        for j in range(panels.shape[0]):
            first = j * columns
            for k in range(depth):
                for n in range(first, min(first + columns, width)):
                    panels[j, k, n - first] = w[k, n]
        return panels

    return implementation


@overload(pack_transposed, jit_options=_OPTIONS, strict=False)
def _pack_transposed(w: Any) -> Any:
    columns = VECTORS * lanes(w.dtype)

    def implementation(w):  # type: ignore[no-untyped-def]
        width, depth = w.shape
        panels = np.zeros(((width + columns - 1) // columns, depth, columns), w.dtype)
        for n in range(width):
            for k in range(depth):
                panels[n // columns, k, n % columns] = w[n, k]
        return panels

    return implementation


@functools.cache
def _make_block(dtype: Any) -> Any:
    """The jitted loop over the rows of one panel: tiles of full height, then the remainder by halves."""
    height, columns = tile_rows(), VECTORS * lanes(dtype)
    full, four, two, one = (make_tile(rows) for rows in (height, 4, 2, 1))

    @register_jitable(**_OPTIONS)
    def block(a, a0, row_stride, k_stride, b, b0, depth, c, c0, ldc, rows):  # type: ignore[no-untyped-def]
        i = 0
        while i + height <= rows:
            full(a, a0 + i * row_stride, row_stride, k_stride, b, b0, depth, c, c0 + i * ldc, ldc)
            i += height
        if i + 4 <= rows:
            four(a, a0 + i * row_stride, row_stride, k_stride, b, b0, depth, c, c0 + i * ldc, ldc)
            i += 4
        if i + 2 <= rows:
            two(a, a0 + i * row_stride, row_stride, k_stride, b, b0, depth, c, c0 + i * ldc, ldc)
            i += 2
        if i < rows:
            one(a, a0 + i * row_stride, row_stride, k_stride, b, b0, depth, c, c0 + i * ldc, ldc)

    @register_jitable(**_OPTIONS)
    def edge(a, a0, row_stride, k_stride, b, b0, depth, c, c0, ldc, rows, width, spare):  # type: ignore[no-untyped-def]
        # A panel that sticks out past the last column is summed in a spare block, and what belongs to c is copied.
        for i in range(rows):
            for n in range(width):
                spare[i * columns + n] = c[c0 + i * ldc + n]
        block(a, a0, row_stride, k_stride, b, b0, depth, spare, 0, columns, rows)
        for i in range(rows):
            for n in range(width):
                c[c0 + i * ldc + n] = spare[i * columns + n]

    return block, edge


@overload(add_matmul, jit_options=_OPTIONS, strict=False)
def _add_matmul(a: Any, panels: Any, c: Any) -> Any:
    columns = VECTORS * lanes(a.dtype)
    block, edge = _make_block(a.dtype)

    def implementation(a, panels, c):  # type: ignore[no-untyped-def]
        rows, depth = a.shape
        width = c.shape[1]
        a_flat, b_flat, c_flat = a.reshape(-1), panels.reshape(-1), c.reshape(-1)
        for j in range(panels.shape[0]):
            first = j * columns
            start = j * depth * columns
            if first + columns <= width:
                block(a_flat, 0, depth, 1, b_flat, start, depth, c_flat, first, width, rows)
            else:
                spare = np.zeros(rows * columns, a.dtype)
                edge(a_flat, 0, depth, 1, b_flat, start, depth, c_flat, first, width, rows, width - first, spare)

    return implementation


@overload(add_outer, jit_options=_OPTIONS, strict=False)
def _add_outer(a: Any, b: Any, c: Any) -> Any:
    height, columns = tile_rows(), VECTORS * lanes(a.dtype)
    block, edge = _make_block(a.dtype)

    def implementation(a, b, c):  # type: ignore[no-untyped-def]
        rows, width = c.shape
        c_flat = c.reshape(-1)
        # Both operands are copied into panels, a chunk of k at a time: reading a in place, with a stride of M numbers,
        # reached 40 of 115 GF/s at M = 512, where the stride is a multiple of a page.
        left = np.zeros(((rows + height - 1) // height, CHUNK, height), a.dtype)
        right = np.zeros((CHUNK, columns), a.dtype)
        left_flat, right_flat = left.reshape(-1), right.reshape(-1)
        spare = np.zeros(height * columns, a.dtype)
        for start in range(0, a.shape[0], CHUNK):
            depth = min(CHUNK, a.shape[0] - start)
            for i in range(left.shape[0]):
                for k in range(depth):
                    for r in range(min(height, rows - i * height)):
                        left[i, k, r] = a[start + k, i * height + r]
            for first in range(0, width, columns):
                inside = min(columns, width - first)
                for k in range(depth):
                    for n in range(inside):
                        right[k, n] = b[start + k, first + n]
                for i in range(left.shape[0]):
                    a0, c0, high = i * CHUNK * height, i * height * width + first, min(height, rows - i * height)
                    if inside == columns:
                        block(left_flat, a0, 1, height, right_flat, 0, depth, c_flat, c0, width, high)
                    else:
                        edge(left_flat, a0, 1, height, right_flat, 0, depth, c_flat, c0, width, high, inside, spare)

    return implementation
