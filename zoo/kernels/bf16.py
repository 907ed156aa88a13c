"""``zoo.kernels`` with matrix products of bfloat16 numbers and float32 sums, for ``precision="bf16"``.

A generated module imports this module in place of ``zoo.kernels``. The products below round both operands to
bfloat16; their sums and all arrays are float32. All other functions come from ``zoo.kernels``.

These products remain float32: tokens, whose product is a row of the weights, stacks of several matrices
(heads), matrix memories, and matrix functions.

One core of an AMD EPYC (Zen 5): 475 to 511 GF/s instead of 252 to 265 for the recurrent products of 8 to 64
sequences and 128 to 512 units, forward and backward, and 393 to 445 instead of 223 to 238 for the gradient of
their weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.bf16_pairs import add_products, pairs_in_columns, pairs_in_rows, pairs_of_rows, round_to_bf16
from zoo.kernels.gemm_library import add_panels, set_panels
from zoo.kernels.gemm_microkernel import tile_height
from zoo.kernels.jit import njit
from zoo.kernels.matmul import CHUNK
from zoo.kernels.processor import has_amx

Panels = tuple[Array, int]
"""Panels of the pairs of a matrix, and the number of its rows."""

BLOCK_ROWS = 256
"""Rows whose pairs exist at a time, so that they stay in the cache."""


def __getattr__(name: str) -> Any:
    return getattr(kernels, name)


def _py_pack(w: Array) -> Panels:
    # The types are those of compiled code: the second process that compiles takes them from a run in Python.
    rounded = np.ascontiguousarray(round_to_bf16(w))
    return rounded.view(np.int32)[np.newaxis], len(w)


def _py_pack_transposed(w: Array) -> Panels:
    return _py_pack(w.T)


def _py_add_matmul_offset(a: Array, a0: int, panels: Panels, c: Array, c0: int, width: int) -> None:
    (words,), depth = panels
    add_products(round_to_bf16(a[:, a0 : a0 + depth]), words.view(np.float32), c[:, c0 : c0 + width])


def _py_set_matmul_offset(a: Array, a0: int, panels: Panels, c: Array, c0: int, width: int) -> None:
    c[:, c0 : c0 + width] = 0
    _py_add_matmul_offset(a, a0, panels, c, c0, width)


def _py_affine(a: Array, panels: Panels, bias: Array, c: Array) -> None:
    c[...] = bias
    _py_add_matmul_offset(a, 0, panels, c, 0, c.shape[1])


def _py_add_matmul_ta_offset(
    a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array, adds: bool = True
) -> None:
    if not adds:
        c.fill(0)
    left, right = round_to_bf16(a[:, a0 : a0 + rows].T), round_to_bf16(b[:, b0 : b0 + width])
    for start in range(0, len(right), 2 * CHUNK):  # pairs of rows
        add_products(left[:, start : start + 2 * CHUNK], right[start : start + 2 * CHUNK], c)


@njit(shared=True, python_fallback=_py_pack)
def pack(w: Array) -> Panels:
    """Panels of ``w (K, N)``, see :func:`zoo.kernels.pack`."""
    return kernels.pack(pairs_of_rows(w, 0, w.shape[1], 0, w.shape[0])), w.shape[0]


@njit(shared=True, python_fallback=_py_pack_transposed)
def pack_transposed(w: Array) -> Panels:
    """Panels of the transpose of ``w (N, K)``, see :func:`zoo.kernels.pack_transposed`."""
    pairs = pairs_in_rows(w, 0, w.shape[1], w.shape[0], w.shape[1])
    return kernels.pack_transposed(pairs), w.shape[1]


@njit(shared=True, python_fallback=_py_add_matmul_offset)
def add_matmul_offset(a: Array, a0: int, panels: Panels, c: Array, c0: int, width: int) -> None:
    """See :func:`zoo.kernels.add_matmul_offset`."""
    _multiply(a, a0, panels, c, c0, width, True, None)


@njit
def add_matmul(a: Array, panels: Panels, c: Array) -> None:
    """See :func:`zoo.kernels.add_matmul`."""
    add_matmul_offset(a, 0, panels, c, 0, c.shape[1])


@njit(shared=True, python_fallback=_py_set_matmul_offset)
def set_matmul_offset(a: Array, a0: int, panels: Panels, c: Array, c0: int, width: int) -> None:
    """See :func:`zoo.kernels.set_matmul_offset`."""
    _multiply(a, a0, panels, c, c0, width, False, None)


@njit
def set_matmul(a: Array, panels: Panels, c: Array) -> None:
    """See :func:`zoo.kernels.set_matmul`."""
    set_matmul_offset(a, 0, panels, c, 0, c.shape[1])


@njit(shared=True, python_fallback=_py_affine)
def affine(a: Array, panels: Panels, bias: Array, c: Array) -> None:
    """See :func:`zoo.kernels.affine`."""
    _multiply(a, 0, panels, c, 0, c.shape[1], False, bias)


@njit(inline=True)
def _multiply(
    a: Array, a0: int, panels: Panels, c: Array, c0: int, width: int, adds: bool, bias: Array | None
) -> None:
    """Add ``a[:, a0 : a0 + K] @ w`` to some columns of c, or replace them by the product plus a bias.

    Args:
        a: As for :func:`add_matmul_offset`.
        a0: As for :func:`add_matmul_offset`.
        panels: As for :func:`add_matmul_offset`.
        c: As for :func:`add_matmul_offset`.
        c0: As for :func:`add_matmul_offset`.
        width: As for :func:`add_matmul_offset`.
        adds: Whether to add.
        bias: ``(width,)``; None for zeros, and to add.
    """
    packed, depth = panels
    rows, stride = a.shape
    pairs = packed.shape[1]
    strides = (tile_height() * pairs, pairs, 1, c.shape[1])
    for first in range(0, rows, BLOCK_ROWS):
        count = kernels.int_min(BLOCK_ROWS, rows - first)
        left = pairs_in_rows(a, first * stride + a0, stride, count, depth)
        target, sizes = first * c.shape[1] + c0, (count, pairs, width)
        if adds:
            add_panels(left, 0, packed, 0, c, target, strides, sizes)
        else:
            set_panels(left, 0, packed, 0, c, target, strides, sizes, bias)


@njit(shared=True, python_fallback=_py_add_matmul_ta_offset)
def add_matmul_ta_offset(
    a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array, adds: bool = True
) -> None:
    """See :func:`zoo.kernels.add_matmul_ta_offset`."""
    _add_gradient(a, a0, rows, b, b0, width, c, adds)


@njit
def _add_gradient_by_vectors(
    a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array, adds: bool
) -> None:
    left, right = pairs_of_rows(a, a0, rows, 0, len(a)), pairs_of_rows(b, b0, width, 0, len(b))
    kernels.add_matmul_ta_offset(left, 0, rows, right, 0, width, c, adds)


@njit
def _add_gradient_by_tiles(
    a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array, adds: bool
) -> None:
    """Transpose a, since AMX loads rows. Vector kernels read columns, and rows took 1.15 times as long."""
    if len(a) == 0 and not adds:
        kernels.fill_zeros(c)
    for start in range(0, len(a), 2 * CHUNK):
        count = kernels.int_min(2 * CHUNK, len(a) - start)
        left = pairs_in_columns(a, a0, rows, start, count)
        panels = kernels.pack(pairs_of_rows(b, b0, width, start, count))
        depth = left.shape[1]
        strides, sizes = (tile_height() * depth, depth, 1, width), (rows, depth, width)
        if adds or start > 0:
            add_panels(left, 0, panels, 0, c, 0, strides, sizes)
        else:
            set_panels(left, 0, panels, 0, c, 0, strides, sizes, None)


_add_gradient = _add_gradient_by_tiles if has_amx() else _add_gradient_by_vectors


@njit
def add_matmul_ta(a: Array, b: Array, c: Array, adds: bool = True) -> None:
    """See :func:`zoo.kernels.add_matmul_ta`."""
    add_matmul_ta_offset(a, 0, c.shape[0], b, 0, c.shape[1], c, adds)


@njit(shared=True)
def add_weight_gradient(x: Array, grad: Array, dw: Array, adds: bool = True) -> None:
    """See :func:`zoo.kernels.add_weight_gradient`; for tokens the rows of the gradient are float32."""
    if x.ndim == 2:
        kernels.add_weight_gradient(x, grad, dw, adds)
    else:
        rows, gradients = kernels.as_rows(x), kernels.as_rows(grad)
        add_matmul_ta_offset(rows, 0, x.shape[2], gradients, 0, grad.shape[2], dw, adds)


@njit(shared=True)
def prepare_input_weights(x: Array, w: Array) -> Any:
    """See :func:`zoo.kernels.prepare_input_weights`."""
    if x.ndim == 2:
        return w
    return pack(w)


@njit(shared=True)
def project_into(x: Array, weights: Any, b: Array, out: Array) -> None:
    """See :func:`zoo.kernels.project_into`."""
    if x.ndim == 2:
        kernels.project_into(x, weights, b, out)
    else:
        affine(kernels.as_rows(x), weights, b, kernels.as_rows(out))


@njit(inline=True)
def project_step(x: Array, weights: Any, b: Array, out: Array) -> None:
    """See :func:`zoo.kernels.project_step`."""
    if x.ndim == 2:
        kernels.project_step(x, weights, b, out)
    else:
        affine(kernels.as_rows(x), weights, b, out)


@njit(shared=True)
def project(x: Array, w: Array, b: Array) -> Array:
    """See :func:`zoo.kernels.project`."""
    out = kernels.empty_sequence(x.shape[0], x.shape[1], w.shape[1], w)
    project_into(x, prepare_input_weights(x, w), b, out)
    return out


@njit
def project_at(buffer: Array, t: int, x: Array, weights: Any, b: Array) -> Array:
    """See :func:`zoo.kernels.project_at`."""
    if x.ndim == 2:
        return kernels.project_at(buffer, t, x, weights, b)
    number = t % buffer.shape[0]
    if number == 0:
        last = kernels.int_min(t + buffer.shape[0], x.shape[0])
        affine(kernels.rows_of_steps(x, t, last), weights, b, kernels.rows_of_steps(buffer, 0, last - t))
    return kernels.at_step(buffer, number)
