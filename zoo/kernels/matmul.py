"""Matrix products on packed weights, for matrices too small and too often used for BLAS.

Call ``pack`` once and ``add_matmul`` or ``set_matmul`` at every time step. Arrays are C-contiguous and of one
dtype, float32 or float64; c shares no memory with a or b. Functions named ``_offset`` work on column ranges
of wider rows, which start at ``a0``, ``b0`` and ``c0``; nothing checks that they end within the row.
Functions named ``_heads`` work on G such ranges side by side, each with its own matrix. Without Numba, the
matrix is the only panel, and the products are NumPy's.
"""

from __future__ import annotations

import numpy as np

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.gemm_library import add_panels, add_undivided_panels, set_panels, set_undivided_panels
from zoo.kernels.gemm_microkernel import (
    block_size,
    copy_panel_part,
    copy_panel_row,
    copy_tile_column,
    copy_transposed,
    panel_width,
    tile_height,
)
from zoo.kernels.jit import njit
from zoo.kernels.nested_parallelism import compute_parts

# Packing an element takes as long as some ten multiply-adds: 512 by 2048 weights take 110 us in the
# cache, and 370 us elsewhere (AMD EPYC, Zen 4).
_MULTIPLY_ADDS_PER_COPY = 10

# Steps of k whose packed panel stays in the first-level cache while a gradient accumulates.
CHUNK = 256


def _py_pack(w: Array) -> Array:
    return w[np.newaxis].copy()  # like panels: later changes of w do not reach it


def _py_pack_transposed(w: Array) -> Array:
    return w.T[np.newaxis].copy()


def _py_add_matmul_offset(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    (w,) = panels
    c[:, c0 : c0 + width] += a[:, a0 : a0 + len(w)] @ w


def _py_set_matmul_offset(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    (w,) = panels
    c[:, c0 : c0 + width] = a[:, a0 : a0 + len(w)] @ w


def _py_affine(a: Array, panels: Array, bias: Array, c: Array) -> None:
    (w,) = panels
    c[...] = bias + a @ w


def _py_add_matmul_ta_offset(
    a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array, adds: bool = True
) -> None:
    if not adds:
        c.fill(0)
    c += a[:, a0 : a0 + rows].T @ b[:, b0 : b0 + width]


@njit
def pack_panel(w: Array, w0: int, stride: int, depth: int, size: int, panels: Array, p0: int) -> None:
    """Write ``size`` columns of w, from element ``w0`` on, as the panel that starts at ``p0``.

    Args:
        w: Any contiguous array, read in rows ``stride`` elements apart.
        w0: The first element of the first row.
        stride: Elements from one row to the next.
        depth: Rows.
        size: Columns, at most the width of a panel, which is padded with zeros.
        panels: Any contiguous array.
        p0: The first element of the panel.
    """
    columns = panel_width(w)
    for k in range(depth):
        target, source = p0 + k * columns, w0 + k * stride
        if size == columns:
            copy_panel_row(panels, target, w, source)
        else:
            copy_panel_part(panels, target, w, source, size)


@njit(shared=True, python_fallback=_py_pack)
def pack(w: Array) -> Array:
    """Panels of ``w (K, N)`` for ``add_matmul(a, panels, c)``, ``c += a @ w``."""
    columns = panel_width(w)
    # On huge pages if they are large; in the array of a sequence, panels are the steps.
    panels = kernels.empty_sequence((w.shape[1] + columns - 1) // columns, w.shape[0], columns, w)
    pack_into(w, panels)
    return panels


@njit(shared=True)
def pack_into(w: Array, panels: Array) -> None:
    """Write the panels of ``w`` to an array of their shape, see :func:`pack`."""
    compute_parts(_pack_part, (w, panels), w.size * _MULTIPLY_ADDS_PER_COPY, panels.shape[0])


@njit
def _pack_part(part: int, parts: int, w: Array, panels: Array) -> bool:
    """Some of the panels, which an idle worker may write (:mod:`zoo.kernels.nested_parallelism`)."""
    depth, width = w.shape
    columns = panel_width(w)
    first, last = panels.shape[0] * part // parts, panels.shape[0] * (part + 1) // parts
    whole = kernels.int_min(last, width // columns)
    # Four rows at once: panel by panel, each row is on another page, and 256 by 1024 took 50 us, not 27.
    for start in range(0, depth, 4):
        for panel in range(first, whole):
            for k in range(start, kernels.int_min(start + 4, depth)):
                copy_panel_row(panels, (panel * depth + k) * columns, w, k * width + panel * columns)
    if whole < last:
        start = whole * columns
        pack_panel(w, start, width, depth, width - start, panels, start * depth)
    return True


@njit(shared=True, python_fallback=_py_pack_transposed)
def pack_transposed(w: Array) -> Array:
    """Panels of the transpose of ``w (N, K)`` for ``add_matmul(a, panels, c)``, ``c += a @ w.T``."""
    width, depth = w.shape
    columns = panel_width(w)
    panels = kernels.empty_sequence((width + columns - 1) // columns, depth, columns, w)
    last = kernels.empty((block_size(w), depth), w)
    work = w.size * _MULTIPLY_ADDS_PER_COPY
    compute_parts(_pack_transposed_part, (w, panels, last), work, panels.shape[0])
    return panels


@njit
def _pack_transposed_part(part: int, parts: int, w: Array, panels: Array, last: Array) -> bool:
    """Some of the panels, as :func:`_pack_part`."""
    count, columns = panels.shape[0], panel_width(w)
    _transpose_blocks(w, panels, last, count * part // parts * columns, count * (part + 1) // parts * columns)
    return True


@njit(shared=True)
def pack_transposed_into(w: Array, panels: Array, last: Array, width_written: int) -> None:
    """Write the panels of the transpose of ``w (N, K)`` to an array of their shape.

    Args:
        w: The matrix.
        panels: As :func:`pack_transposed` returns them.
        last: Overwritten, ``(block_size, K)``.
        width_written: Columns to write, at least N, rounded up to whole blocks. Written columns after N are
            zeros, and others keep their values.
    """
    _transpose_blocks(w, panels, last, 0, width_written)


@njit(inline=True)
def _transpose_blocks(w: Array, panels: Array, last: Array, start_column: int, end_column: int) -> None:
    """Write some columns of the panels of :func:`pack_transposed_into`: whole blocks."""
    width, depth = w.shape
    columns, block = panel_width(w), block_size(w)
    whole = depth // block * block
    for first in range(start_column, end_column, block):
        source, start = w, first * depth
        if first + block > width:  # missing rows are zeros
            flat, inside = kernels.flat_slice(last, 0, last.size), kernels.int_max(0, width - first) * depth
            rest = kernels.flat_slice(w, start, inside)
            for n in range(flat.size):
                flat[n] = 0
            for n in range(inside):
                flat[n] = rest[n]
            source, start = last, 0
        target = (first // columns * depth) * columns + first % columns
        for k in range(0, whole, block):
            copy_transposed(panels, target + k * columns, columns, source, start + k, depth)
        for row in range(first, first + block):
            for k in range(whole, depth):
                panels[row // columns, k, row % columns] = source[start // depth + row - first, k]


@njit
def matrix_if(condition: bool, w: Array) -> Array:
    """``w (N, K)`` or ``(G, N, K)`` if the condition is true, else the empty ``w[:0]``, to pack nothing."""
    return w if condition else w[:0]


@njit(python_fallback=_py_add_matmul_offset)
def add_matmul_offset(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    """``c[:, c0 : c0 + width] += a[:, a0 : a0 + K] @ w`` for the panels of ``w (K, width)``."""
    rows, stride = a.shape
    strides = (tile_height() * stride, stride, 1, c.shape[1])
    add_panels(a, a0, panels, 0, c, c0, strides, (rows, panels.shape[1], width))


@njit
def add_matmul(a: Array, panels: Array, c: Array) -> None:
    """``c += a @ w`` for ``a (M, K)``, ``c (M, N)`` and the panels of ``w (K, N)``."""
    add_matmul_offset(a, 0, panels, c, 0, c.shape[1])


@njit(python_fallback=_py_set_matmul_offset)
def set_matmul_offset(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int) -> None:
    """``c[:, c0 : c0 + width] = a[:, a0 : a0 + K] @ w`` for the panels of ``w (K, width)``."""
    rows, stride = a.shape
    strides = (tile_height() * stride, stride, 1, c.shape[1])
    set_panels(a, a0, panels, 0, c, c0, strides, (rows, panels.shape[1], width), None)


@njit
def set_matmul(a: Array, panels: Array, c: Array) -> None:
    """``c = a @ w`` for ``a (M, K)``, ``c (M, N)`` and the panels of ``w (K, N)``."""
    set_matmul_offset(a, 0, panels, c, 0, c.shape[1])


@njit(python_fallback=_py_affine)
def affine(a: Array, panels: Array, bias: Array, c: Array) -> None:
    """``c = a @ w + bias`` for ``a (M, K)``, ``c (M, N)``, ``bias (N,)`` and the panels of ``w (K, N)``.

    Nothing checks the length of the bias.
    """
    rows, stride = a.shape
    strides = (tile_height() * stride, stride, 1, c.shape[1])
    set_panels(a, 0, panels, 0, c, 0, strides, (rows, panels.shape[1], c.shape[1]), bias)


@njit(shared=True, python_fallback=_py_add_matmul_ta_offset)
def add_matmul_ta_offset(
    a: Array, a0: int, rows: int, b: Array, b0: int, width: int, c: Array, adds: bool = True
) -> None:
    """``c += a[:, a0 : a0 + rows].T @ b[:, b0 : b0 + width]`` for ``c (rows, width)``.

    Without ``adds`` the product replaces the values of c, which need no initial zeros. For an LSTM of 512
    units, zeros took 0.04 of both passes over 35 steps of 20 rows.
    """
    steps, height, columns = a.shape[0], tile_height(), panel_width(c)
    if steps == 0 and not adds:
        kernels.fill_zeros(c)
    # Both operands are packed, a chunk of k at a time: reading a in place, with a stride of M elements,
    # reached 40 of 115 GF/s at M = 512, where the stride is a multiple of a page. The distance between blocks
    # of rows is not a power of two, or writing a row of a would always hit the same few cache lines.
    chunk = kernels.int_min(CHUNK, steps)
    block = chunk * height + columns
    left = kernels.empty(((rows + height - 1) // height * block,), a)
    for start in range(0, steps, CHUNK):
        depth = kernels.int_min(CHUNK, steps - start)
        for k in range(depth):
            _pack_tile_columns(a, (start + k) * a.shape[1] + a0, rows, left, k * height, block)
        operands = left, block, depth, b, start * b.shape[1] + b0, c, rows, width, adds or start > 0
        panels = (width + columns - 1) // columns
        if not compute_parts(_add_gradient_part, operands, rows * depth * width, panels):
            raise MemoryError("out of memory for a part of a gradient")


@njit
def _add_gradient_part(
    part: int,
    parts: int,
    left: Array,
    block: int,
    depth: int,
    b: Array,
    start: int,
    c: Array,
    rows: int,
    width: int,
    adds: bool,
) -> bool:
    """Some panels of a gradient: the product of packed rows of a, ``left``, and of b from ``start`` on.

    An idle worker may compute a part (:mod:`zoo.kernels.nested_parallelism`). It packs its own panels of b. A
    division of each panel among threads would read them from the cache of the thread that has packed them:
    for 256 rows of 128 by 512, two threads then took 1.2 times as long as one.
    """
    height, columns = tile_height(), panel_width(c)
    right = kernels.empty((depth * columns,), left)
    panels = (width + columns - 1) // columns
    for panel in range(panels * part // parts, panels * (part + 1) // parts):
        first = panel * columns
        size = kernels.int_min(columns, width - first)
        pack_panel(b, start + first, b.shape[1], depth, size, right, 0)
        strides, sizes = (block, 1, height, width), (rows, depth, size)
        if adds:
            add_undivided_panels(left, 0, right, 0, c, first, strides, sizes)
        else:
            set_undivided_panels(left, 0, right, 0, c, first, strides, sizes, None)
    return True


@njit
def _pack_tile_columns(a: Array, start: int, rows: int, left: Array, offset: int, block: int) -> None:
    """Copy ``rows`` elements of a, from ``start`` on, a tile's height into every block."""
    height = tile_height()
    whole = rows // height
    for n in range(whole):
        copy_tile_column(left, n * block + offset, a, start + n * height)
    for r in range(rows - whole * height):
        left[whole * block + offset + r] = kernels.flat_slice(a, start, rows)[whole * height + r]


@njit(inline=True)
def steps_per_gradient_block(steps: int, batch: int) -> int:
    """Number of time steps whose gradients :func:`add_matmul_ta` sums at once, while they are in the cache.

    With one block for all steps, a GRU of 128 units took 4.9 us a token and 469 MiB for 10,000 steps of eight
    rows; with this block size it takes 4.5 us and 236 MiB.

    Args:
        steps: ``T``.
        batch: ``B``.
    """
    return kernels.int_max(1, kernels.int_min(steps, CHUNK // kernels.int_max(1, batch)))


def _py_rows_before_steps(initial: Array, trajectory: Array, first: int, last: int) -> Array:
    states = np.concatenate([initial[None], trajectory[: last - 1]])
    return states[first:last].reshape(-1, trajectory.shape[2])


@njit(shared=True, python_fallback=_py_rows_before_steps)
def rows_before_steps(initial: Array, trajectory: Array, first: int, last: int) -> Array:
    """The states before the steps ``first`` to ``last - 1``, as one matrix.

    Do not write to it: it is a view, except if ``first`` is 0. Then it is a copy, since a separate product
    with the initial states would read and write the whole gradient again. For an LSTM of 512 units, 35 steps
    and 5 rows, the gradient takes 1.6 ms with the copy and 1.86 without.

    Args:
        initial: Initial states ``(B, N)``.
        trajectory: States after every step, ``(T, B, N)``.
        first: The first step.
        last: The step after the last one, above ``first``.

    Returns:
        The states ``((last - first) B, N)``.
    """
    if first > 0:
        return kernels.rows_of_steps(trajectory, first - 1, last - 1)
    batch, width = trajectory.shape[1], trajectory.shape[2]
    rows = kernels.empty((last * batch, width), trajectory)
    target, start, source = kernels.flat(rows), kernels.flat(initial), kernels.flat(trajectory)
    for n in range(start.size):
        target[n] = start[n]
    for n in range((last - 1) * batch * width):
        target[start.size + n] = source[n]
    return rows


@njit
def add_matmul_ta(a: Array, b: Array, c: Array, adds: bool = True) -> None:
    """``c += a.T @ b`` for ``a (K, M)``, ``b (K, N)``, ``c (M, N)``: the gradient of a weight over K rows.

    Without ``adds`` the product replaces the values of c.
    """
    add_matmul_ta_offset(a, 0, c.shape[0], b, 0, c.shape[1], c, adds)


def _py_pack_heads(w: Array) -> Array:
    return w[:, np.newaxis].copy()


def _py_pack_heads_transposed(w: Array) -> Array:
    return w.swapaxes(1, 2)[:, np.newaxis].copy()


def _py_add_matmul_heads(
    a: Array, a0: int, panels: Array, c: Array, c0: int, width: int, rows: int = 1
) -> None:
    heads, _, depth, _ = panels.shape
    left = a[:, a0 : a0 + heads * rows * depth].reshape(len(a), heads, rows, depth)
    c[:, c0 : c0 + heads * rows * width] += (left @ panels[:, 0]).reshape(len(a), heads * rows * width)


def _py_add_matmul_ta_heads(a: Array, a0: int, b: Array, b0: int, c: Array, rows: int = 1) -> None:
    heads, depth, width = c.shape
    left, right = (
        each[:, start : start + heads * rows * size].reshape(len(each), heads, rows, size)
        for each, start, size in ((a, a0, depth), (b, b0, width))
    )
    for g in range(heads):
        c[g] += left[:, g].reshape(-1, depth).T @ right[:, g].reshape(-1, width)


@njit(shared=True, python_fallback=_py_pack_heads)
def pack_heads(w: Array) -> Array:
    """Panels of every matrix of ``w (G, K, N)``, for :func:`add_matmul_heads`."""
    heads, depth, width = w.shape
    columns = panel_width(w)
    panels = kernels.zeros((heads, (width + columns - 1) // columns, depth, columns), w)
    for g in range(heads):
        for k in range(depth):
            for n in range(width):
                panels[g, n // columns, k, n % columns] = w[g, k, n]
    return panels


@njit(shared=True, python_fallback=_py_pack_heads_transposed)
def pack_heads_transposed(w: Array) -> Array:
    """Panels of the transpose of every matrix of ``w (G, N, K)``, for :func:`add_matmul_heads`."""
    heads, width, depth = w.shape
    columns = panel_width(w)
    panels = kernels.zeros((heads, (width + columns - 1) // columns, depth, columns), w)
    for g in range(heads):
        for n in range(width):
            for k in range(depth):
                panels[g, n // columns, k, n % columns] = w[g, n, k]
    return panels


@njit(shared=True, python_fallback=_py_add_matmul_heads)
def add_matmul_heads(a: Array, a0: int, panels: Array, c: Array, c0: int, width: int, rows: int = 1) -> None:
    """Add head g of a times matrix g of w to head g of c.

    Each row of a holds the heads one after the other. A head is a matrix of ``rows`` rows, which follow each
    other too.

    Args:
        a: ``(M, any)``; head g of each row is the ``rows * K`` columns from ``a0 + g * rows * K``.
        a0: First column of the first head in a.
        panels: Panels of ``w (G, K, width)``.
        c: ``(M, any)``; head g of each row is the ``rows * width`` columns from ``c0 + g * rows * width``.
        c0: First column of the first head in c.
        width: Columns of the matrix of a head in c.
        rows: Rows of the matrix of a head.
    """
    heads, depth, batch = panels.shape[0], panels.shape[2], a.shape[0]
    if rows <= batch:
        for g in range(heads):
            for n in range(g * rows, (g + 1) * rows):
                kernels.add_matmul_offset(a, a0 + n * depth, panels[g], c, c0 + n * width, width)
        return
    strides = tile_height() * depth, depth, 1, width
    for row in range(batch):
        for g in range(heads):
            first, target = a0 + g * rows * depth, c0 + g * rows * width
            first, target = first + row * a.shape[1], target + row * c.shape[1]
            add_panels(a, first, panels[g], 0, c, target, strides, (rows, depth, width))


@njit(shared=True, python_fallback=_py_add_matmul_ta_heads)
def add_matmul_ta_heads(a: Array, a0: int, b: Array, b0: int, c: Array, rows: int = 1) -> None:
    """The gradient of :func:`add_matmul_heads`: ``c[g] += a_g.T @ b_g`` for ``c (G, K, N)``.

    Args:
        a: ``(M, any)``; head g of each row is the ``rows * K`` columns from ``a0 + g * rows * K``.
        a0: First column of the first head in a.
        b: ``(M, any)``; head g of each row is the ``rows * N`` columns from ``b0 + g * rows * N``.
        b0: First column of the first head in b.
        c: One gradient per head.
        rows: Rows of the matrix of a head.
    """
    heads, depth, width = c.shape
    if rows == 1:
        for g in range(heads):
            kernels.add_matmul_ta_offset(a, a0 + g * depth, depth, b, b0 + g * width, width, c[g])
        return
    for g in range(heads):
        left = _rows_of_head(a, a0 + g * rows * depth, rows, depth)
        right = _rows_of_head(b, b0 + g * rows * width, rows, width)
        kernels.add_matmul_ta(left, right, c[g])


@njit
def _rows_of_head(a: Array, a0: int, rows: int, width: int) -> Array:
    """The rows of one head in every row of a, as one matrix ``(M rows, width)``."""
    size = rows * width
    head = kernels.empty((a.shape[0] * rows, width), a)
    target, source = kernels.flat(head), kernels.flat(a)
    for row in range(a.shape[0]):
        first, start = row * size, row * a.shape[1] + a0
        for n in range(size):
            target[first + n] = source[start + n]
    return head
