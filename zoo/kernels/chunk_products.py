"""Products of the small matrices of a chunk of steps, which are in the cache and multiplied once or twice.

:mod:`zoo.kernels.matmul` packs weights into new arrays, and multiplies by them often. A memory of 32 x 32
elements has about ten products in a chunk of 16 steps, each of a quarter of a microsecond. With new arrays,
packed copies of both operands and zeros for the sums, the memories of retnet took 1.3 times as long (AMD
EPYC, Zen 4, float32). Here panels are written to an array that the caller allocates once. A matrix that is as
wide as a panel is its own panel, and the operand that is transposed is read in place.
"""

from __future__ import annotations

import numpy as np

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.gemm_library import add_panels
from zoo.kernels.gemm_microkernel import block_size, panel_width, tile_height
from zoo.kernels.jit import njit
from zoo.kernels.matmul import pack_into, pack_transposed_into


def _py_empty_panels(_size: int, like: Array) -> Array:
    return np.empty(0, like.dtype)


@njit(inline=True, python_fallback=_py_empty_panels)
def empty_panels(size: int, like: Array) -> Array:
    """An array for the panels of matrices of at most ``size`` rows and columns, and for their products.

    The columns of a panel that its matrix lacks may have any values: they are multiplied, but not stored.
    """
    rounded = size + 2 * panel_width(like) + block_size(like)
    return kernels.empty((rounded * size,), like)


def _py_panels(w: Array, _buffer: Array) -> Array:
    return w[np.newaxis]


def _py_panels_transposed(w: Array, _buffer: Array) -> Array:
    return w.T[np.newaxis].copy()


@njit(inline=True, python_fallback=_py_panels)
def panels_of(w: Array, buffer: Array) -> Array:
    """The panels of ``w (K, N)``: w itself if it is as wide as a panel, else written to the buffer."""
    columns = panel_width(w)
    if w.shape[1] == columns:
        return kernels.reshape(w, (1, w.shape[0], columns))
    count = (w.shape[1] + columns - 1) // columns
    panels = kernels.reshape(buffer, (count, w.shape[0], columns))
    pack_into(w, panels)
    return panels


@njit(inline=True, python_fallback=_py_panels_transposed)
def panels_of_transposed(w: Array, buffer: Array) -> Array:
    """The panels of the transpose of ``w (N, K)``, written to the buffer.

    For ``c = a @ w.T`` with few rows of a, the transpose of ``w @ a.T`` moves fewer elements. It saved only
    0.01 of both passes of gla.
    """
    columns, block, depth = panel_width(w), block_size(w), w.shape[1]
    panels = kernels.reshape(buffer, ((w.shape[0] + columns - 1) // columns, depth, columns))
    last = kernels.reshape(kernels.flat_slice(buffer, panels.size, block * depth), (block, depth))
    pack_transposed_into(w, panels, last, w.shape[0])
    return panels


def _py_add_product_ta(a: Array, panels: Array, c: Array) -> None:
    c += a[:, : len(c)].T @ panels[0]


@njit(inline=True, python_fallback=_py_add_product_ta)
def add_product_ta(a: Array, panels: Array, c: Array) -> None:
    """``c += a[:, :M].T @ w`` for ``a (K, at least M)``, the panels of ``w (K, N)`` and ``c (M, N)``."""
    strides = (tile_height(), 1, a.shape[1], c.shape[1])
    add_panels(a, 0, panels, 0, c, 0, strides, (c.shape[0], a.shape[0], c.shape[1]))
