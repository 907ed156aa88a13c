"""Rotation of a matrix memory: within a chunk, keys and readers rotate back. After it, the memory rotates.

:mod:`zoo.kernels.matrix_memory` has the equations. Rows i and ``i + K / 2`` of a memory are the real and the
imaginary part of a row of a complex one. A step rotates them by an angle, whose cosine and sine are operands.
"""

from __future__ import annotations

from typing import Any

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import CHUNK, ChunkArrays, MemoryFlags, Rotation
from zoo.kernels.row_loops import add_scaled, set_row
from zoo.kernels.vector_loops import vector_loop


@vector_loop(2, 2)
def add_angle(cosine: Any, sine: Any, other_cosine: Any, other_sine: Any) -> Any:
    """Cosine and sine of the sum of two angles."""
    return cosine * other_cosine - sine * other_sine, sine * other_cosine + cosine * other_sine


@vector_loop(2, 4)
def _set_rotated(_real: Any, _imag: Any, a: Any, b: Any, cosine: Any, sine: Any) -> Any:
    return a * cosine - b * sine, b * cosine + a * sine


@vector_loop(2, 4)
def _set_rotated_back(_real: Any, _imag: Any, a: Any, b: Any, cosine: Any, sine: Any) -> Any:
    return a * cosine + b * sine, b * cosine - a * sine


@vector_loop(2, 3)
def angle_gradient(_dcosine: Any, _dsine: Any, cosine: Any, sine: Any, dangle: Any) -> Any:
    """Gradients of the cosine and sine of an angle, whose chain rule gives the gradient of the angle."""
    return -sine * dangle, cosine * dangle


@vector_loop(2, 0)
def _rotate_rows(a: Any, b: Any, cosine: Any, sine: Any) -> Any:
    return a * cosine - b * sine, b * cosine + a * sine


@vector_loop(0, 4, sums=1)
def _cross(da: Any, db: Any, a: Any, b: Any) -> Any:
    """The gradient of the angle by which ``(a, b)`` is rotated, given the gradient of ``(a, b)``."""
    return (db * a - da * b,)


@vector_loop(1, 4)
def _add_angle_gradient(target: Any, da: Any, db: Any, a: Any, b: Any) -> Any:
    """Add the gradient of the angle by which ``(a, b)`` is rotated back."""
    return (target + da * b - db * a,)


@njit(inline=True)
def empty_rotation(heads: int, depth: int, like: Array) -> Rotation:
    """Arrays for the angles of a chunk, of one head or of several."""
    shape = heads * CHUNK, depth // 2
    return Rotation(kernels.empty(shape, like), kernels.empty(shape, like))


@njit(inline=True)
def load_angle(row: Array, start: int, t: int, rotation: Rotation) -> None:
    """Set the sum of the angles up to step t. The row has the angle of the step, from ``start`` on."""
    cosines, sines = rotation.cosines, rotation.sines
    size = cosines.shape[1]
    set_row(cosines[t], kernels.flat_slice(row, start, size))
    set_row(sines[t], kernels.flat_slice(row, start + size, size))
    if t > 0:
        add_angle(cosines[t], sines[t], cosines[t - 1], sines[t - 1])


@njit(inline=True)
def rotation_of_head(rotation: Rotation | None, head: int) -> Any:
    """The angles of one head; None if the memory does not rotate."""
    if rotation is None:
        return None
    first, end = head * CHUNK, (head + 1) * CHUNK
    cosines, sines = rotation.cosines, rotation.sines
    return Rotation(kernels.slice_steps(cosines, first, end), kernels.slice_steps(sines, first, end))


@njit(inline=True)
def set_rotated_row(target: Array, source: Array, t: int, rotation: Rotation | None, back: bool) -> None:
    """Set a row to another one, rotated by the sum of the angles of the steps up to t, or rotated back.

    It is not rotated if t is negative, or if the memory does not rotate.
    """
    if rotation is None:
        set_row(target, source)
        return
    if t < 0:
        set_row(target, source)
        return
    size = rotation.cosines.shape[1]
    real, imag = kernels.flat_slice(target, 0, size), kernels.flat_slice(target, size, size)
    a, b = kernels.flat_slice(source, 0, size), kernels.flat_slice(source, size, size)
    if back:
        _set_rotated_back(real, imag, a, b, rotation.cosines[t], rotation.sines[t])
    else:
        _set_rotated(real, imag, a, b, rotation.cosines[t], rotation.sines[t])


@njit(inline=True)
def _add_row_gradient(dangle: Array, rows: Array, drows: Array, number: int) -> None:
    """Add the gradient of the angle by which a row is rotated back, given the rotated row."""
    size = dangle.size
    start = 2 * number * size
    real, imag = kernels.flat_slice(rows, start, size), kernels.flat_slice(rows, start + size, size)
    dreal, dimag = kernels.flat_slice(drows, start, size), kernels.flat_slice(drows, start + size, size)
    _add_angle_gradient(dangle, dreal, dimag, real, imag)


@njit(shared=True)
def operand_angles_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, dangles: Array, flags: MemoryFlags
) -> None:
    """Set the gradients of the angles of the steps of a chunk.

    Args:
        steps: Steps of the chunk.
        chunk: Their operands, rotated back.
        dchunk: The gradients of these operands.
        dangles: The gradients of the sums of angles, zero except for the last one, ``(CHUNK, K / 2)``. The
            kernel replaces them by the gradients of the angles.
        flags: The form of the memory.
    """
    chunk, dchunk, dangles = kernels.unowned((chunk, dchunk, dangles))
    first = steps if flags.has_probe else 0
    for t in range(steps - 1, -1, -1):
        for n in range(flags.writes * t, flags.writes * (t + 1)):
            _add_row_gradient(dangles[t], chunk.keys, dchunk.keys, n)
        if not flags.query_first:
            _add_row_gradient(dangles[t], chunk.readers, dchunk.readers, first + t)
        if t + 1 < steps:
            if flags.query_first:
                _add_row_gradient(dangles[t], chunk.readers, dchunk.readers, first + t + 1)
            if flags.has_probe:
                _add_row_gradient(dangles[t], chunk.readers, dchunk.readers, t + 1)
            add_scaled(dangles[t], dangles[t + 1], 1)


@njit(shared=True)
def rotate_memory(memory: Array, cosine: Array, sine: Array, back: bool) -> None:
    """Rotate the rows of a memory, or rotate them back."""
    memory, cosine, sine = kernels.unowned((memory, cosine, sine))
    half = cosine.size
    for i in range(half):
        _rotate_rows(memory[i], memory[half + i], cosine[i], -sine[i] if back else sine[i])


@njit(shared=True)
def memory_angle_gradient(
    memory: Array, gradient: Array, decay: Array, remaining_keys: Array, dremaining_keys: Array, dangle: Array
) -> None:
    """The gradient of the angle by which the memory after a chunk rotates.

    Args:
        memory: The memory before the chunk.
        gradient: The gradient of the memory after the chunk, before it rotates.
        decay: The product of all decays of the chunk, ``(1)`` or ``(K)``.
        remaining_keys: The rest of each key at the end of the chunk.
        dremaining_keys: Their gradients.
        dangle: Receives the gradient, ``(K / 2)``.
    """
    memory, gradient, decay = kernels.unowned((memory, gradient, decay))
    remaining_keys, dremaining_keys, dangle = kernels.unowned((remaining_keys, dremaining_keys, dangle))
    half = dangle.size
    for i in range(half):
        cross = _cross(gradient[i], gradient[half + i], memory[i], memory[half + i])
        dangle[i] = cross * decay[i if decay.size > 1 else 0]
    for n in range(remaining_keys.shape[0]):
        keys, dkeys = remaining_keys[n], dremaining_keys[n]
        real, imag = kernels.flat_slice(keys, 0, half), kernels.flat_slice(keys, half, half)
        dreal, dimag = kernels.flat_slice(dkeys, 0, half), kernels.flat_slice(dkeys, half, half)
        _add_angle_gradient(dangle, dimag, dreal, imag, real)
