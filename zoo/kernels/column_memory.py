"""Matrix memories with one decay for each column, for all steps of a sequence.

The operands, their order in a row and the arguments are those of :mod:`zoo.kernels.matrix_memory`. Only the
decay differs: it has ``D`` numbers, one for each column of ``S (K, D)``, over which queries do not sum::

    u  = value + rate * (probe @ S)       u = value without probe
    S' = decay * S + outer(key, u)
    o  = query @ S'                       or query @ S, if the query reads before the update

Such a memory does not rotate. With the memory ``S`` before a chunk of steps, a read passes through the steps
as a vector of D elements::

    r = query[t] @ S
    r = decay[s] * r + (query[t] @ key[s]) * u[s]         for s = 0 ... t, or up to t - 1
    o[t] = r

Matrix products compute the products of all queries and probes with S and with all keys, and the sum of outer
products that a chunk adds to S. Loops over the columns compute the rest.

``gsa``, whose keys of slots have such decays, takes 4.7 us a token forward and 8.9 backward. With the keys
updated step by step, it took 9.3 and 10.2 (T=256, B=8, H=128, 64 slots, float32, one thread of an AMD EPYC,
Zen 3).
"""

from __future__ import annotations

from typing import Any

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.chunk_products import add_product_ta, panels_of, panels_of_transposed
from zoo.kernels.jit import njit
from zoo.kernels.memory_chunk import (
    CHUNK,
    ChunkArrays,
    MemoryFlags,
    packed_flags,
    unpacked_flags,
)
from zoo.kernels.memory_operands import empty_chunk, load_chunk, store_chunk_gradients
from zoo.kernels.row_loops import (
    add_product,
    add_scaled,
    decay_gradient,
    fill_row,
    multiply_by_row,
    multiply_rows,
    set_row,
)
from zoo.kernels.vector_loops import vector_loop


@vector_loop(1, 2)
def _decay_and_add(read: Any, decay: Any, value: Any, weight: Any) -> Any:
    return (read * decay + value * weight,)


@vector_loop(1, 3)
def _next_read(_target: Any, read: Any, decay: Any, value: Any, weight: Any) -> Any:
    return (read * decay + value * weight,)


@vector_loop(1, 2, sums=1)
def _value_gradient(dvalue: Any, dread: Any, value: Any, weight: Any) -> Any:
    """Backward pass of ``weight * value``; the sum is the gradient of the weight."""
    return dvalue + dread * weight, dread * value


@njit(inline=True)
def _pass_steps(read: Array, weights: Array, end: int, chunk: ChunkArrays, writes: int) -> None:
    """Let a read of the memory before the chunk pass through the first ``end`` steps."""
    for s in range(end):
        _decay_and_add(read, chunk.decay[s], chunk.values[writes * s], weights[writes * s])
        for n in range(writes * s + 1, writes * (s + 1)):
            add_scaled(read, chunk.values[n], weights[n])


@njit(inline=True)
def _pass_steps_gradient(
    dread: Array, read: Array, weights: Array, dweights: Array, end: int,
    chunk: ChunkArrays, dchunk: ChunkArrays, reads_before_steps: Array, writes: int,
) -> None:  # fmt: skip
    """Backward pass of :func:`_pass_steps`.

    Args:
        dread: The gradient of the read after the steps, replaced by that of the read of the memory.
        read: The read of the memory before the chunk.
        weights: Products of the reader and the keys.
        dweights: Receives their gradients.
        end: Number of steps.
        chunk: The values of the chunk.
        dchunk: Their gradients. Those of values and decays are added to.
        reads_before_steps: Receives the reads before each step, and after the last one, ``(CHUNK + 1, D)``.
        writes: Outer products of an update.
    """
    set_row(reads_before_steps[0], read)
    for s in range(end):
        _next_read(
            reads_before_steps[s + 1],
            reads_before_steps[s],
            chunk.decay[s],
            chunk.values[writes * s],
            weights[writes * s],
        )
        for n in range(writes * s + 1, writes * (s + 1)):
            add_scaled(reads_before_steps[s + 1], chunk.values[n], weights[n])
    for s in range(end - 1, -1, -1):
        for n in range(writes * s, writes * (s + 1)):
            dweights[n] = _value_gradient(dchunk.values[n], dread, chunk.values[n], weights[n])
        decay_gradient(dread, dchunk.decay[s], reads_before_steps[s], chunk.decay[s])


@njit(inline=True)
def _apply_probes(steps: int, chunk: ChunkArrays, read: Array, writes: int) -> None:
    """Add the reads of the probes, times rates, to the last values that steps write; ``read`` is overwritten.

    ``chunk.reads`` has the reads of the memory before the chunk.
    """
    for t in range(steps):
        set_row(read, chunk.reads[t])
        _pass_steps(read, chunk.dots[t], t, chunk, writes)
        add_product(chunk.values[writes * (t + 1) - 1], chunk.rates[t], read)


@njit(inline=True)
def _read_memory_and_keys(count: int, total: int, chunk: ChunkArrays, memory: Array, writes: int) -> None:
    """Set the products of all readers with the memory (``reads``) and with all keys (``dots``)."""
    readers = kernels.slice_steps(chunk.readers, 0, total)
    reads, dots = kernels.slice_steps(chunk.reads, 0, total), kernels.slice_steps(chunk.dots, 0, total)
    if count < CHUNK:
        kernels.fill_zeros(dots)
    kernels.set_matmul(readers, panels_of(memory, chunk.panels), reads)
    panels = panels_of_transposed(kernels.slice_steps(chunk.keys, 0, writes * count), chunk.panels)
    kernels.set_matmul_offset(readers, 0, panels, dots, 0, writes * count)


@njit(inline=True)
def _set_products(steps: int, decay: Array, products: Array) -> None:
    """``products[s] = decay[s] * decay[s + 1] * ...``, up to the last step; the row after it has ones."""
    fill_row(products[steps], decay.dtype.type(1))
    for s in range(steps - 1, -1, -1):
        multiply_rows(products[s], products[s + 1], decay[s])


@njit(inline=True)
def _decay_columns(memory: Array, product: Array) -> None:
    for i in range(memory.shape[0]):
        multiply_by_row(memory[i], product)


@njit(inline=True)
def column_memory_forward(
    rows: Array, first: int, state: Array, memories: Array, out: Array,
    heads: int, updates: int, writes: int, has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """Run all steps, or a block of them; see :func:`zoo.kernels.memory_forward`."""
    flags = MemoryFlags(heads, updates, writes, True, True, False, has_probe, query_first)
    _forward(rows, first, state, memories, out, packed_flags(flags))


@njit(shared=True)
def _forward(rows: Array, first: int, state: Array, memories: Array, out: Array, packed: int) -> None:
    flags = unpacked_flags(packed)
    width = out.shape[2] // flags.heads
    depth = state.shape[1] // flags.heads // width
    chunk = empty_chunk(flags.writes, depth, width, width, state)
    products = kernels.empty((CHUNK + 1, width), state)
    _forward_chunks(rows, first, state, memories, out, chunk, products, packed)


@njit(shared=True)
def _forward_chunks(
    rows: Array, first: int, state: Array, memories: Array, out: Array,
    chunk: ChunkArrays, products: Array, packed: int,
) -> None:  # fmt: skip
    rows, state, memories = kernels.unowned((rows, state, memories))
    out, chunk, products = kernels.unowned((out, chunk, products))
    flags = unpacked_flags(packed)
    heads, updates, writes, has_probe = flags.heads, flags.updates, flags.writes, flags.has_probe
    read_update, shift = (0, 0) if flags.query_first else (updates - 1, 1)
    all_updates, batch = rows.shape[0] * updates, rows.shape[1]
    head_count = batch * heads
    size, width = state.shape[1] // heads, out.shape[2] // heads
    for head_index in range(head_count):
        flat = kernels.flat_slice(state, head_index * size, size)
        memory = kernels.reshape(flat, (size // width, width))
        for start in range(0, all_updates, CHUNK):
            count = min(CHUNK, all_updates - start)
            first_query = count if has_probe else 0
            index = (first * updates + start) // CHUNK * head_count + head_index
            set_row(kernels.flat_slice(memories, index * size, size), flat)
            load_chunk(rows, None, start, count, head_index, first_query, chunk, None, flags)
            _read_memory_and_keys(count, first_query + count, chunk, memory, writes)
            if has_probe:
                _apply_probes(count, chunk, products[CHUNK], writes)
            for t in range(read_update, count, updates):  # chunks begin where steps do
                _pass_steps(
                    chunk.reads[first_query + t], chunk.dots[first_query + t], t + shift, chunk, writes
                )
                row_of_out = ((start + t) // updates * head_count + head_index) * width
                set_row(kernels.flat_slice(out, row_of_out, width), chunk.reads[first_query + t])
            _set_products(count, chunk.decay, products)
            for n in range(writes * count):
                multiply_by_row(chunk.values[n], products[n // writes + 1])
            _decay_columns(memory, products[0])
            values = panels_of(kernels.slice_steps(chunk.values, 0, writes * count), chunk.panels)
            add_product_ta(kernels.slice_steps(chunk.keys, 0, writes * count), values, memory)


@njit(inline=True)
def column_memory_backward(
    rows: Array, memories: Array, first: int, dstate: Array, dout: Array, drows: Array,
    heads: int, updates: int, writes: int, has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """The gradients of a block of steps; see :func:`zoo.kernels.memory_backward`."""
    flags = MemoryFlags(heads, updates, writes, True, True, False, has_probe, query_first)
    _backward(rows, memories, first, dstate, dout, drows, packed_flags(flags))


@njit(shared=True)
def _backward(
    rows: Array, memories: Array, first: int, dstate: Array, dout: Array, drows: Array, packed: int
) -> None:
    flags = unpacked_flags(packed)
    width = dout.shape[2] // flags.heads
    depth = dstate.shape[1] // flags.heads // width
    chunk = empty_chunk(flags.writes, depth, width, width, dstate)
    dchunk = empty_chunk(flags.writes, depth, width, width, dstate)
    products = kernels.empty((CHUNK + 1, width), dstate)
    written = kernels.empty((flags.writes * CHUNK, width), dstate)
    _backward_chunks(rows, memories, first, dstate, dout, drows, chunk, dchunk, products, written, packed)


@njit(shared=True)
def _backward_chunks(
    rows: Array, memories: Array, first: int, dstate: Array, dout: Array, drows: Array,
    chunk: ChunkArrays, dchunk: ChunkArrays, products: Array, written: Array, packed: int,
) -> None:  # fmt: skip
    rows, memories, dstate, dout, drows = kernels.unowned((rows, memories, dstate, dout, drows))
    chunk, dchunk, products, written = kernels.unowned((chunk, dchunk, products, written))
    flags = unpacked_flags(packed)
    heads, updates, writes, has_probe = flags.heads, flags.updates, flags.writes, flags.has_probe
    read_update, shift = (0, 0) if flags.query_first else (updates - 1, 1)
    all_updates, batch = rows.shape[0] * updates, rows.shape[1]
    head_count = batch * heads
    size, width = dstate.shape[1] // heads, dout.shape[2] // heads
    for head_index in range(head_count):
        gradient = kernels.reshape(
            kernels.flat_slice(dstate, head_index * size, size), (size // width, width)
        )
        for start in range((all_updates - 1) // CHUNK * CHUNK, -1, -CHUNK):
            count = min(CHUNK, all_updates - start)
            first_query = count if has_probe else 0
            total = first_query + count
            index = (first * updates + start) // CHUNK * head_count + head_index
            memory = kernels.reshape(kernels.flat_slice(memories, index * size, size), (size // width, width))
            load_chunk(rows, None, start, count, head_index, first_query, chunk, None, flags)
            _read_memory_and_keys(count, total, chunk, memory, writes)
            if has_probe:
                _apply_probes(count, chunk, products[CHUNK], writes)
            _set_products(count, chunk.decay, products)
            _update_gradient(count, chunk, dchunk, memory, gradient, products, written, writes)
            dreads = kernels.slice_steps(dchunk.reads, 0, total)
            ddots = kernels.slice_steps(dchunk.dots, 0, total)
            kernels.fill_zeros(dreads)
            kernels.fill_zeros(ddots)
            for t in range(count - 1, -1, -1):
                if t % updates == read_update:
                    row_of_out = ((start + t) // updates * head_count + head_index) * width
                    set_row(dreads[first_query + t], kernels.flat_slice(dout, row_of_out, width))
                    _pass_steps_gradient(
                        dreads[first_query + t], chunk.reads[first_query + t], chunk.dots[first_query + t],
                        ddots[first_query + t], t + shift, chunk, dchunk, products, writes,
                    )  # fmt: skip
                if has_probe:
                    dvalue = dchunk.values[writes * (t + 1) - 1]
                    multiply_rows(dreads[t], dvalue, chunk.rates[t])
                    _pass_steps_gradient(
                        dreads[t], chunk.reads[t], chunk.dots[t], ddots[t], t, chunk, dchunk, products, writes
                    )
                    multiply_rows(dchunk.rates[t], dvalue, products[t])  # what the probe has read
            _reader_gradient(count, total, chunk, dchunk, memory, gradient, writes)
            store_chunk_gradients(
                drows, rows, start, count, head_index, first_query, dchunk, None, None, flags
            )


@njit(inline=True)
def _update_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, memory: Array, gradient: Array,
    products: Array, written: Array, writes: int,
) -> None:  # fmt: skip
    """Backward pass of the memory after the chunk: set the gradients of keys, values and decays.

    Args:
        steps: Steps of the chunk.
        chunk: The values of its steps.
        dchunk: Their gradients.
        memory: The memory before the chunk.
        gradient: Gradient of the memory after the chunk, replaced by its part in that of the memory before.
        products: Products of the decays from each step to the last one.
        written: Receives the values that are left at the end of the chunk.
        writes: Outer products of an update.
    """
    count = writes * steps
    keys, values = kernels.slice_steps(chunk.keys, 0, count), kernels.slice_steps(chunk.values, 0, count)
    dkeys, dvalues = kernels.slice_steps(dchunk.keys, 0, count), kernels.slice_steps(dchunk.values, 0, count)
    for n in range(count):
        multiply_rows(written[n], values[n], products[n // writes + 1])
    kernels.set_matmul(keys, panels_of(gradient, chunk.panels), dvalues)
    panels = panels_of_transposed(gradient, chunk.panels)
    kernels.set_matmul(kernels.slice_steps(written, 0, count), panels, dkeys)
    dproduct = written[0]  # the gradient of a product of decays
    fill_row(dproduct, dproduct.dtype.type(0))
    for i in range(memory.shape[0]):
        add_product(dproduct, gradient[i], memory[i])
    for s in range(steps):
        multiply_rows(dchunk.decay[s], dproduct, products[s + 1])
        multiply_by_row(dproduct, chunk.decay[s])
        for n in range(writes * s, writes * (s + 1)):
            add_product(dproduct, dvalues[n], values[n])
            multiply_by_row(dvalues[n], products[s + 1])
    _decay_columns(gradient, products[0])


@njit(inline=True)
def _reader_gradient(
    steps: int,
    total: int,
    chunk: ChunkArrays,
    dchunk: ChunkArrays,
    memory: Array,
    gradient: Array,
    writes: int,
) -> None:
    """Backward pass of :func:`_read_memory_and_keys`.

    It sets the gradients of readers, and adds to those of keys and of the memory.
    """
    count = writes * steps
    readers, dreaders = (
        kernels.slice_steps(chunk.readers, 0, total),
        kernels.slice_steps(dchunk.readers, 0, total),
    )
    dreads, ddots = kernels.slice_steps(dchunk.reads, 0, total), kernels.slice_steps(dchunk.dots, 0, total)
    kernels.set_matmul(dreads, panels_of_transposed(memory, chunk.panels), dreaders)
    keys = panels_of(kernels.slice_steps(chunk.keys, 0, count), chunk.panels)
    kernels.add_matmul(ddots, keys, dreaders)
    dkeys = kernels.slice_steps(dchunk.keys, 0, count)
    add_product_ta(ddots, panels_of(readers, chunk.panels), dkeys)
    add_product_ta(readers, panels_of(dreads, chunk.panels), gradient)
