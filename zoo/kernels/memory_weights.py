"""Weights of a chunk of steps of a matrix memory: products of queries and keys, with the decays between them.

:mod:`zoo.kernels.matrix_memory` has the equations. A reader is a probe or a query. It is early if it reads
the memory before the update of its step, as probes do. The weight of a reader of step t for the value that
step s writes is::

    reader[t] @ (decay[s + 1] * ... * decay[t] * key[s])          s <= t
    reader[t] @ (decay[s + 1] * ... * decay[t - 1] * key[s])      s < t, if the reader is early

Other weights are zero. With one decay for each row, decays multiply keys step by step. With one decay for
each head, or none, all products of readers and keys are one matrix product, and a table has the products of
decays. Four memories of 32 x 32 then take 1.4 us a step in both passes, in place of 2.0 (AMD EPYC with
AVX-512, float32, one thread).

The functions are shared (:func:`zoo.njit`): both passes call the same machine code. Inlined in each of them,
a first start of ``delta_net`` took 0.5 of 9 s more, and the passes of five cells were as fast (0.99 to 1.01).
"""

from __future__ import annotations

from typing import Any

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.chunk_products import add_product_ta, panels_of, panels_of_transposed
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import CHUNK, ChunkArrays, MemoryFlags
from zoo.kernels.row_loops import (
    add_product,
    add_scaled,
    decay_gradient,
    dot,
    multiply_by_row,
    multiply_rows,
    set_row,
    set_scaled,
)
from zoo.kernels.vector_loops import vector_loop


@vector_loop(1, 2, sums=1)
def _decay_and_dot(key: Any, decay: Any, query: Any) -> Any:
    """Multiply a key by decays; its product with a query."""
    new = key * decay
    return new, new * query


@vector_loop(3, 4)
def _key_gradient(
    g: Any, dquery: Any, ddecay: Any, query: Any, key: Any, before: Any, decay: Any, weight: Any
) -> Any:
    """Backward pass of ``weight = query @ key`` and ``key = decay * before``; ``g`` is the key's gradient."""
    h = g + query * weight
    return h * decay, dquery + key * weight, ddecay + h * before


@vector_loop(2, 2)
def _reader_gradient(g: Any, dreader: Any, reader: Any, key: Any, weight: Any) -> Any:
    """Backward pass of ``weight = reader @ key``; ``g`` is the key's gradient."""
    return g + reader * weight, dreader + key * weight


# One decay for each row.


@njit(shared=True)
def row_decay_products(steps: int, chunk: ChunkArrays, flags: MemoryFlags) -> None:
    """Set ``products`` and ``decayed`` of the first steps of a chunk: readers of the memory before it."""
    chunk = kernels.unowned(chunk)
    readers, decay, products, decayed = chunk.readers, chunk.decay, chunk.products, chunk.decayed
    set_row(products[0], decay[0])
    for t in range(1, steps):
        multiply_rows(products[t], products[t - 1], decay[t])
    for first in range(0, 2 * steps if flags.has_probe else steps, steps):
        is_early = flags.query_first or (flags.has_probe and first == 0)
        for t in range(steps):
            if is_early and t == 0:
                set_row(decayed[first], readers[first])
            else:
                multiply_rows(decayed[first + t], readers[first + t], products[t - 1 if is_early else t])


@njit(shared=True)
def row_decay_weights(steps: int, chunk: ChunkArrays, flags: MemoryFlags) -> None:
    """Set ``remaining_keys``, and the ``weights`` that are not zero."""
    chunk = kernels.unowned(chunk)
    keys, readers, decay, weights = chunk.keys, chunk.readers, chunk.decay, chunk.weights
    first = steps if flags.has_probe else 0  # the first query
    for n in range(flags.writes * steps):
        s, key = n // flags.writes, chunk.remaining_keys[n]
        set_row(key, keys[n])
        if not flags.query_first:
            weights[first + s, n] = dot(readers[first + s], key)
        for t in range(s + 1, steps):
            if flags.has_probe:
                weights[t, n] = dot(readers[t], key)
            if flags.query_first:
                weights[first + t, n] = dot(readers[first + t], key)
                multiply_by_row(key, decay[t])
            else:
                weights[first + t, n] = _decay_and_dot(key, decay[t], readers[first + t])


@njit(shared=True)
def row_decay_products_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, flags: MemoryFlags
) -> None:
    """Backward pass of :func:`row_decay_products`: set the gradients of readers and decays.

    Args:
        steps: Steps of the chunk.
        chunk: The operands of its steps.
        dchunk: Their gradients. The gradients of ``decayed`` are given. The first row of ``products`` is the
            gradient of the last product, which is overwritten.
        flags: The form of the memory.
    """
    chunk, dchunk = kernels.unowned((chunk, dchunk))
    readers, decay, products = chunk.readers, chunk.decay, chunk.products
    dreaders, ddecay, ddecayed = dchunk.readers, dchunk.decay, dchunk.decayed
    g = dchunk.products[0]
    first = steps if flags.has_probe else 0
    for t in range(steps - 1, -1, -1):
        if not flags.query_first:
            multiply_rows(dreaders[first + t], ddecayed[first + t], products[t])
            add_product(g, ddecayed[first + t], readers[first + t])
        if t == 0:
            set_row(ddecay[0], g)
            if flags.query_first:
                set_row(dreaders[first], ddecayed[first])
            if flags.has_probe:
                set_row(dreaders[0], ddecayed[0])
            continue
        multiply_rows(ddecay[t], g, products[t - 1])
        multiply_by_row(g, decay[t])
        if flags.query_first:
            multiply_rows(dreaders[first + t], ddecayed[first + t], products[t - 1])
            add_product(g, ddecayed[first + t], readers[first + t])
        if flags.has_probe:
            multiply_rows(dreaders[t], ddecayed[t], products[t - 1])
            add_product(g, ddecayed[t], readers[t])


@njit(shared=True)
def row_decay_weights_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, flags: MemoryFlags
) -> None:
    """Backward pass of :func:`row_decay_weights`: set the gradients of keys, add to the others.

    It overwrites ``decayed`` of the chunk, and the gradient of ``remaining_keys``.
    """
    chunk, dchunk = kernels.unowned((chunk, dchunk))
    keys, readers, decay, chain = chunk.keys, chunk.readers, chunk.decay, chunk.decayed
    dreaders, ddecay, dweights = dchunk.readers, dchunk.decay, dchunk.weights
    first = steps if flags.has_probe else 0
    for n in range(flags.writes * steps):
        s = n // flags.writes
        set_row(chain[s], keys[n])
        for t in range(s + 1, steps):
            multiply_rows(chain[t], chain[t - 1], decay[t])
        g = dchunk.remaining_keys[n]
        for t in range(steps - 1, s, -1):
            if flags.query_first:
                decay_gradient(g, ddecay[t], chain[t - 1], decay[t])
                _reader_gradient(
                    g, dreaders[first + t], readers[first + t], chain[t - 1], dweights[first + t, n]
                )
            else:
                _key_gradient(
                    g, dreaders[first + t], ddecay[t], readers[first + t], chain[t], chain[t - 1],
                    decay[t], dweights[first + t, n],
                )  # fmt: skip
            if flags.has_probe:
                _reader_gradient(g, dreaders[t], readers[t], chain[t - 1], dweights[t, n])
        if not flags.query_first:
            _reader_gradient(g, dreaders[first + s], readers[first + s], keys[n], dweights[first + s, n])
        set_row(dchunk.keys[n], g)


# One decay for each head, or none.


@njit(shared=True)
def head_decay_products(steps: int, chunk: ChunkArrays, flags: MemoryFlags) -> None:
    """As :func:`row_decay_products`, with products of decays ``(CHUNK, 1)``."""
    chunk = kernels.unowned(chunk)
    readers, decay, products, decayed = chunk.readers, chunk.decay, chunk.products, chunk.decayed
    products[0, 0] = decay[0, 0]
    for t in range(1, steps):
        products[t, 0] = products[t - 1, 0] * decay[t, 0]
    for first in range(0, 2 * steps if flags.has_probe else steps, steps):
        is_early = flags.query_first or (flags.has_probe and first == 0)
        for t in range(steps):
            if is_early and t == 0:
                set_row(decayed[first], readers[first])
            else:
                set_scaled(decayed[first + t], readers[first + t], products[t - 1 if is_early else t, 0])


@njit(inline=True)
def _set_times_table(steps: int, target: Array, source: Array, table: Array, flags: MemoryFlags) -> None:
    """Set elements of readers and keys to others times the decays between them, or zero."""
    size = table.shape[1]
    for first in range(0, 2 * steps if flags.has_probe else steps, steps):
        is_early = flags.query_first or (flags.has_probe and first == 0)
        if is_early:
            kernels.fill_zeros(kernels.flat_slice(target, first * size, size))
        start, count = (first + 1, steps - 1) if is_early else (first, steps)
        multiply_rows(
            kernels.flat_slice(target, start * size, count * size),
            kernels.flat_slice(source, start * size, count * size),
            kernels.flat_slice(table, 0, count * size),
        )


@njit(shared=True)
def head_decay_weights(steps: int, chunk: ChunkArrays, table: Array, flags: MemoryFlags) -> None:
    """Set ``remaining_keys``, ``dots`` and all ``weights`` of the first steps of a chunk.

    The table ``(CHUNK, W)`` receives ``decay[s + 1] * ... * decay[t]`` for keys of ``s <= t``, else zero. Its
    last row has the rest of each key.
    """
    chunk, table = kernels.unowned((chunk, table))
    keys, decay, dots = chunk.keys, chunk.decay, chunk.dots
    writes, count = flags.writes, 2 * steps if flags.has_probe else steps
    kernels.fill_zeros(table)
    for n in range(writes * steps):
        table[n // writes, n] = 1
    # Added to the ones, not the ones to them: a vector that is loaded right after a store to one of its
    # elements waits for this store.
    for t in range(1, steps):
        add_scaled(table[t], table[t - 1], decay[t, 0])
    if steps < CHUNK:
        kernels.fill_zeros(dots)
    panels = panels_of_transposed(kernels.slice_steps(keys, 0, writes * steps), chunk.panels)
    steps_dots = kernels.slice_steps(dots, 0, count)
    kernels.set_matmul_offset(
        kernels.slice_steps(chunk.readers, 0, count), 0, panels, steps_dots, 0, writes * steps
    )
    _set_times_table(steps, chunk.weights, dots, table, flags)
    for n in range(writes * steps):
        set_scaled(chunk.remaining_keys[n], keys[n], table[steps - 1, n])


@njit(shared=True)
def head_decay_products_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, flags: MemoryFlags
) -> None:
    """As :func:`row_decay_products_gradient`, with a last product ``(1,)``, for decays that are operands."""
    chunk, dchunk = kernels.unowned((chunk, dchunk))
    readers, decay, products = chunk.readers, chunk.decay, chunk.products
    dreaders, ddecay, ddecayed = dchunk.readers, dchunk.decay, dchunk.decayed
    for first in range(0, 2 * steps if flags.has_probe else steps, steps):
        is_early = flags.query_first or (flags.has_probe and first == 0)
        for t in range(steps):
            if is_early and t == 0:
                set_row(dreaders[first], ddecayed[first])
            else:
                set_scaled(dreaders[first + t], ddecayed[first + t], products[t - 1 if is_early else t, 0])
    if flags.has_decay_operand:
        total = dchunk.products[0, 0]
        for t in range(steps - 1, -1, -1):
            first = steps if flags.has_probe else 0
            if not flags.query_first:
                total += dot(ddecayed[first + t], readers[first + t])
            ddecay[t, 0] = total * products[t - 1, 0] if t > 0 else total
            total *= decay[t, 0]
            if t > 0 and flags.query_first:
                total += dot(ddecayed[first + t], readers[first + t])
            if t > 0 and flags.has_probe:
                total += dot(ddecayed[t], readers[t])


@njit(shared=True)
def head_decay_weights_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, table: Array, dtable: Array, flags: MemoryFlags
) -> None:
    """Backward pass of :func:`head_decay_weights`: set the gradients of keys, add to the others.

    Args:
        steps: Steps of the chunk.
        chunk: The values of its steps.
        dchunk: Their gradients. The gradients of ``remaining_keys`` and ``weights`` are given, and the latter
            is overwritten.
        table: The products of decays, as :func:`head_decay_weights` sets them.
        dtable: Receives their gradients, where the table is not zero.
        flags: The form of the memory.
    """
    chunk, dchunk, table, dtable = kernels.unowned((chunk, dchunk, table, dtable))
    keys, readers, decay = chunk.keys, chunk.readers, chunk.decay
    dkeys, dweights, dremaining_keys = dchunk.keys, dchunk.weights, dchunk.remaining_keys
    writes = flags.writes
    count, size = 2 * steps if flags.has_probe else steps, table.shape[1]
    if flags.has_decay_operand:
        kernels.fill_zeros(dtable)
        for first in range(0, count, steps):
            shift = 1 if flags.query_first or (flags.has_probe and first == 0) else 0
            length = (steps - shift) * size
            start = (first + shift) * size
            add_product(
                kernels.flat_slice(dtable, 0, length),
                kernels.flat_slice(dweights, start, length),
                kernels.flat_slice(chunk.dots, start, length),
            )
        for n in range(writes * steps):
            dtable[steps - 1, n] += dot(dremaining_keys[n], keys[n])
        for t in range(steps - 1, 0, -1):
            dchunk.decay[t, 0] += dot(dtable[t], table[t - 1])
            add_scaled(dtable[t - 1], dtable[t], decay[t, 0])
    _set_times_table(steps, dweights, dweights, table, flags)
    for n in range(writes * steps):
        set_scaled(dkeys[n], dremaining_keys[n], table[steps - 1, n])
    ddots = kernels.slice_steps(dweights, 0, count)
    kernels.add_matmul(
        ddots,
        panels_of(kernels.slice_steps(keys, 0, writes * steps), chunk.panels),
        kernels.slice_steps(dchunk.readers, 0, count),
    )
    add_product_ta(
        ddots,
        panels_of(kernels.slice_steps(readers, 0, count), chunk.panels),
        kernels.slice_steps(dkeys, 0, writes * steps),
    )
