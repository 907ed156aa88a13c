"""Matrix products on packed weights, for matrices too small and too often used for BLAS.

``pack`` once, ``add_matmul`` at every time step. All arrays are C-contiguous and of one dtype, float32 or
float64; c is no part of a or b. Those named ``_at`` work on windows of columns of wider rows; they start at
``a0``, ``b0`` and ``c0``, and nobody checks that they end within the row. Where Numba is switched off, panels
are the matrix itself and the products NumPy's.

Products with one matrix per head: G windows side by side in a row, each with a matrix of its own.

What :mod:`zoo.kernels.matmul` says of arrays and windows holds here too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.kernels.gemm_microkernel import (
    add_panels,
    block_size,
    copy_panel_part,
    copy_panel_row,
    copy_tile_column,
    copy_transposed,
    panel_columns,
    tile_height,
)
from zoo.kernels.jit import njit

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


@njit
def pack_panel(w: Array, w0: int, stride: int, depth: int, size: int, panels: Array, p0: int) -> None:
    """Write ``size`` columns of w, from number ``w0`` of it on, as the panel that starts at ``p0``.

    Args:
        w: Any contiguous array, read in rows ``stride`` numbers apart.
        w0: The first number of the first row.
        stride: Numbers from one row to the next.
        depth: Rows.
        size: Columns, at most those of a panel, which is filled up with zeros.
        panels: Any contiguous array.
        p0: The first number of the panel.
    """
    columns = panel_columns(w)
    for k in range(depth):
        target, source = p0 + k * columns, w0 + k * stride
        if size == columns:
            copy_panel_row(panels, target, w, source)
        else:
            copy_panel_part(panels, target, w, source, size)


@njit(twin=_plain_pack)
def pack(w: Array) -> Array:
    """Panels of ``w (K, N)`` for ``add_matmul(a, panels, c)``, ``c += a @ w``."""
    depth, width = w.shape
    columns = panel_columns(w)
    panels = np.empty(((width + columns - 1) // columns, depth, columns), w.dtype)
    whole = width // columns
    # A few rows at once: panel by panel, each row is on another page, and 256 by 1024 took 50 us, not 27.
    for start in range(0, depth, 4):
        for panel in range(whole):
            for k in range(start, min(start + 4, depth)):
                copy_panel_row(panels, (panel * depth + k) * columns, w, k * width + panel * columns)
    rest = width - whole * columns
    if rest > 0:
        pack_panel(w, width - rest, width, depth, rest, panels, whole * depth * columns)
    return panels


@njit(twin=_plain_pack_transposed)
def pack_transposed(w: Array) -> Array:
    """Panels of the transpose of ``w (N, K)`` for ``add_matmul(a, panels, c)``, ``c += a @ w.T``."""
    width, depth = w.shape
    columns, block = panel_columns(w), block_size(w)
    panels = np.empty(((width + columns - 1) // columns, depth, columns), w.dtype)
    last, whole = np.empty((block, depth), w.dtype), depth // block * block
    for first in range(0, panels.shape[0] * columns, block):
        source, start = w, first * depth
        if first + block > width:  # rows that are not there are zeros
            flat, inside = kernels.window(last, 0, last.size), max(0, width - first) * depth
            rest = kernels.window(w, start, inside)
            for n in range(flat.size):
                flat[n] = 0
            for n in range(inside):
                flat[n] = rest[n]
            source, start = last, 0
        place = (first // columns * depth) * columns + first % columns
        for k in range(0, whole, block):
            copy_transposed(panels, place + k * columns, columns, source, start + k, depth)
        for row in range(first, first + block):
            for k in range(whole, depth):
                panels[row // columns, k, row % columns] = source[start // depth + row - first, k]
    return panels


@njit(twin=_plain_add_matmul_at)
def add_matmul_at(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    """``c[:, c0 : c0 + width] += a[:, a0 : a0 + K] @ w`` for the panels of ``w (K, width)``."""
    rows, stride = a.shape
    strides = (tile_height() * stride, stride, 1, c.shape[1])
    add_panels(a, a0, panels, 0, c, c0, strides, (rows, panels.shape[1], width))


@njit
def add_matmul(a: Array, panels: Array, c: Array) -> None:
    """``c += a @ w`` for ``a (M, K)``, ``c (M, N)`` and the panels of ``w (K, N)``."""
    add_matmul_at(a, 0, panels, c, 0, c.shape[1])


@njit(twin=_plain_add_outer_at)
def add_outer_at(a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array) -> None:
    """``c += a[:, a0 : a0 + rows].T @ b[:, b0 : b0 + width]`` for ``c (rows, width)``."""
    steps, height, columns = a.shape[0], tile_height(), panel_columns(c)
    # Both operands are copied into panels, a chunk of k at a time: reading a in place, with a stride of M
    # numbers, reached 40 of 115 GF/s at M = 512, where the stride is a multiple of a page. Blocks of rows lie
    # a little further apart than a power of two, or writing a row of a would always meet the same few lines
    # of the cache.
    chunk = min(CHUNK, steps)
    block = chunk * height + columns
    left = np.empty((rows + height - 1) // height * block, c.dtype)
    right = np.empty(chunk * columns, c.dtype)
    for start in range(0, steps, CHUNK):
        depth = min(CHUNK, steps - start)
        for k in range(depth):
            _pack_tile_columns(a, (start + k) * a.shape[1] + a0, rows, left, k * height, block)
        for first in range(0, width, columns):
            size = min(columns, width - first)
            pack_panel(b, start * b.shape[1] + b0 + first, b.shape[1], depth, size, right, 0)
            add_panels(left, 0, right, 0, c, first, (block, 1, height, width), (rows, depth, size))


@njit
def _pack_tile_columns(a: Array, start: int, rows: int, left: Array, place: int, block: int) -> None:
    """Copy ``rows`` numbers of a, from ``start`` on: as many as a tile has rows into every block."""
    height = tile_height()
    whole = rows // height
    for n in range(whole):
        copy_tile_column(left, n * block + place, a, start + n * height)
    for r in range(rows - whole * height):
        left[whole * block + place + r] = kernels.window(a, start, rows)[whole * height + r]


@njit(inline=True)
def span(steps: int, batch: int) -> int:
    """Steps of which :func:`add_outer` best sums the gradients together: while the cache still has them.

    With room for those of all steps, a GRU of 128 units took 4.9 us a token and 469 MiB for 10,000 steps of
    eight rows, where it takes 4.5 us and 236 MiB.

    Args:
        steps: ``T``.
        batch: ``B``.
    """
    return max(1, min(steps, CHUNK // max(1, batch)))


@njit
def add_outer(a: Array, b: Array, c: Array) -> None:
    """``c += a.T @ b`` for ``a (K, M)``, ``b (K, N)``, ``c (M, N)``: a weight's gradient over K rows."""
    add_outer_at(a, 0, c.shape[0], b, 0, c.shape[1], c)


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
