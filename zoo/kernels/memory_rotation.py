"""Rotation of a matrix memory: within a chunk, keys and readers rotate back. After it, the memory rotates.

:mod:`zoo.kernels.matrix_memory` has the equations. Rows i and ``i + K / 2`` of a memory are the real and the
imaginary part of a row of a complex one. A step rotates them by an angle, whose cosine and sine are operands.
"""

from __future__ import annotations

from typing import Any

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import TRAINED_ROTATION, ChunkArrays, MemoryFlags
from zoo.kernels.row_loops import add_scaled
from zoo.kernels.vector_loops import vector_loop


@vector_loop(2, 2)
def _add_angle(cosine: Any, sine: Any, other_cosine: Any, other_sine: Any) -> Any:
    """Cosine and sine of the sum of two angles."""
    return cosine * other_cosine - sine * other_sine, sine * other_cosine + cosine * other_sine


@vector_loop(2, 2)
def _rotate(a: Any, b: Any, cosine: Any, sine: Any) -> Any:
    return a * cosine - b * sine, b * cosine + a * sine


@vector_loop(2, 2)
def _rotate_back(a: Any, b: Any, cosine: Any, sine: Any) -> Any:
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
def rotate_operands(steps: int, chunk: ChunkArrays, flags: MemoryFlags) -> None:
    """Add up the angles of the steps of a chunk, and rotate its keys and readers back by the sums."""
    readers, cosines, sines = chunk.readers, chunk.cosines, chunk.sines
    first = steps if flags.has_probe else 0
    for t in range(steps):
        if t > 0:
            _add_angle(cosines[t], sines[t], cosines[t - 1], sines[t - 1])
            if flags.query_first:
                _rotate_row_back(readers, first + t, cosines[t - 1], sines[t - 1])
            if flags.has_probe:
                _rotate_row_back(readers, t, cosines[t - 1], sines[t - 1])
        if not flags.query_first:
            _rotate_row_back(readers, first + t, cosines[t], sines[t])
        for n in range(flags.writes * t, flags.writes * (t + 1)):
            _rotate_row_back(chunk.keys, n, cosines[t], sines[t])


@njit(inline=True)
def _rotate_row_back(rows: Array, number: int, cosine: Array, sine: Array) -> None:
    size = cosine.size
    start = 2 * number * size
    real, imag = kernels.flat_slice(rows, start, size), kernels.flat_slice(rows, start + size, size)
    _rotate_back(real, imag, cosine, sine)


@njit(inline=True)
def _rotate_row_gradient(
    rows: Array, drows: Array, number: int, cosine: Array, sine: Array, dangle: Array, trained: bool
) -> None:
    """Backward pass of :func:`_rotate_row_back`: rotate the gradient, add to the gradient of the angle."""
    size = cosine.size
    start = 2 * number * size
    dreal, dimag = kernels.flat_slice(drows, start, size), kernels.flat_slice(drows, start + size, size)
    if trained:
        real, imag = kernels.flat_slice(rows, start, size), kernels.flat_slice(rows, start + size, size)
        _add_angle_gradient(dangle, dreal, dimag, real, imag)
    _rotate(dreal, dimag, cosine, sine)


@njit(inline=True)
def rotate_operands_gradient(steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, flags: MemoryFlags) -> None:
    """Backward pass of :func:`rotate_operands`.

    Args:
        steps: Steps of the chunk.
        chunk: Their operands, rotated back, with cosines and sines of the sums of angles.
        dchunk: The gradients of the operands, which are rotated. ``cosines`` has the gradients of the sums of
            angles, zero except for the last one. The kernel replaces them by the gradients of the angles.
        flags: The form of the memory.
    """
    keys, readers, cosines, sines = chunk.keys, chunk.readers, chunk.cosines, chunk.sines
    dkeys, dreaders, dangles = dchunk.keys, dchunk.readers, dchunk.cosines
    trained = flags.rotations == TRAINED_ROTATION
    first = steps if flags.has_probe else 0
    for t in range(steps - 1, -1, -1):
        for n in range(flags.writes * t, flags.writes * (t + 1)):
            _rotate_row_gradient(keys, dkeys, n, cosines[t], sines[t], dangles[t], trained)
        if not flags.query_first:
            _rotate_row_gradient(readers, dreaders, first + t, cosines[t], sines[t], dangles[t], trained)
        if t + 1 < steps:
            if flags.query_first:
                _rotate_row_gradient(
                    readers, dreaders, first + t + 1, cosines[t], sines[t], dangles[t], trained
                )
            if flags.has_probe:
                _rotate_row_gradient(readers, dreaders, t + 1, cosines[t], sines[t], dangles[t], trained)
            add_scaled(dangles[t], dangles[t + 1], 1)


@njit(inline=True)
def rotate_memory(memory: Array, cosine: Array, sine: Array, back: bool) -> None:
    """Rotate the rows of a memory, or rotate them back."""
    half = cosine.size
    for i in range(half):
        _rotate_rows(memory[i], memory[half + i], cosine[i], -sine[i] if back else sine[i])


@njit(inline=True)
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
    half = dangle.size
    for i in range(half):
        cross = _cross(gradient[i], gradient[half + i], memory[i], memory[half + i])
        dangle[i] = cross * decay[i if decay.size > 1 else 0]
    for n in range(remaining_keys.shape[0]):
        keys, dkeys = remaining_keys[n], dremaining_keys[n]
        real, imag = kernels.flat_slice(keys, 0, half), kernels.flat_slice(keys, half, half)
        dreal, dimag = kernels.flat_slice(dkeys, 0, half), kernels.flat_slice(dkeys, half, half)
        _add_angle_gradient(dangle, dimag, dreal, imag, real)
