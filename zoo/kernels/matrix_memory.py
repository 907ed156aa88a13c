"""Matrix memories: states that decay, take in outer products and are read, for all steps of a sequence.

A memory is a matrix ``S (K, D)`` of each head of each sequence. A step takes one row of operands per head::

    u  = value + rate * (probe @ S)       u = value without probe
    S' = decay[:, None] * S + outer(key, u)
    o  = query @ S'                       or query @ S, if the query reads before the update

The row holds, side by side, ``value (D)``, ``key (K)`` and ``query (K)``, then ``decay (K)`` if memories
decay, then ``probe (K)`` and ``rate (D)`` if they are read before they are written to.

The steps of a chunk are computed together. With the memory ``S`` before the chunk and the products of decays
up to each step, ``b[t] = decay[0] * ... * decay[t]``::

    o[t] = (query[t] * b[t]) @ S + sum over s <= t of (query[t] @ k[t, s]) * u[s]     if the query reads S'
    u[t] = value[t] + rate[t] * r[t]
    r[t] = (probe[t] * b[t - 1]) @ S + sum over s < t of (probe[t] @ k[t - 1, s]) * u[s]
    S'   = b[-1][:, None] * S + sum over s of outer(k[-1, s], u[s])

where ``k[t, s] = key[s] * decay[s + 1] * ... * decay[t]`` is the rest of a key. The terms with S and
the sum in ``S'`` are matrix products. All factors are products of decays, and none is a quotient, so decays
may be zero and products may underflow. Decays above one may make products overflow, at most over one
chunk: 16 decays of 256 in float32. An infinite product times zero is NaN, also where each step alone would
stay finite. The backward pass needs only the memory before each chunk.

With decay, a memory of 128 x 128 takes 0.9 us a step forward and 2.0 backward, and with probe 1.2 and 2.9.
One update after the other, in loops over four rows of S with all sums in registers, took 1.4 and 3.4, and 2.1
and 5.1. At 16 x 16 both take the same time (AMD EPYC with AVX-512, float32, one thread).
"""

from __future__ import annotations

from typing import Any, TypeAlias

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit
from zoo.kernels.vector_loops import vector_loop

ChunkArrays: TypeAlias = tuple[Array, Array, Array, Array, Array, Array]

CHUNK = 16
"""Steps of a chunk. With 32, the backward pass of memories of 128 x 128 took 10 % longer, of 32 x 32 35 %."""


@njit(inline=True)
def memory_block(steps: int, batch: int) -> int:
    """Steps of a block of the backward pass: whole chunks, or all steps.

    Args:
        steps: ``T``.
        batch: ``B``.
    """
    block = max(1, kernels.steps_per_gradient_block(steps, batch) // CHUNK) * CHUNK
    return max(1, min(steps, block))


@njit(inline=True)
def empty_memories(steps: int, batch: int, heads: int, elements: int, like: Array) -> Array:
    """An array for the memories before each chunk, ``(chunks, B, heads * elements)``."""
    return kernels.empty_sequence((steps + CHUNK - 1) // CHUNK, batch, heads * elements, like)


@njit(inline=True)
def transposed_memories(memories: Array, heads: int, rows: int, columns: int) -> Array:
    """Transpose memories ``(B, heads * columns * rows)`` to ``(B, heads * rows * columns)``."""
    made = kernels.empty((memories.shape[0], memories.shape[1]), memories)
    for head_index in range(memories.shape[0] * heads):
        source = kernels.flat_slice(memories, head_index * rows * columns, rows * columns)
        target = kernels.flat_slice(made, head_index * rows * columns, rows * columns)
        for i in range(rows):
            for j in range(columns):
                target[i * columns + j] = source[j * rows + i]
    return made


@vector_loop(1, 1)
def _copy(_target: Any, source: Any) -> Any:
    return (source,)


@vector_loop(1, 2)
def _multiply(_target: Any, a: Any, b: Any) -> Any:
    return (a * b,)


@vector_loop(1, 1)
def _multiply_by(target: Any, a: Any) -> Any:
    return (target * a,)


@vector_loop(1, 2)
def _add_product(target: Any, a: Any, b: Any) -> Any:
    return (target + a * b,)


@vector_loop(1, 1)
def _add_scaled(target: Any, source: Any, factor: Any) -> Any:
    return (target + source * factor,)


@vector_loop(1, 4)
def _add_scaled_four(target: Any, a: Any, b: Any, c: Any, d: Any, p: Any, q: Any, r: Any, s: Any) -> Any:
    return (target + a * p + b * q + c * r + d * s,)


@vector_loop(1, 0)
def _scale(target: Any, factor: Any) -> Any:
    return (target * factor,)


@vector_loop(0, 2, sums=1)
def _dot(a: Any, b: Any) -> Any:
    return (a * b,)


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
def _decay_gradient(g: Any, ddecay: Any, before: Any, decay: Any) -> Any:
    """Backward pass of ``key = decay * before``; ``g`` is the key's gradient."""
    return g * decay, ddecay + g * before


@vector_loop(2, 2)
def _probe_gradient(g: Any, dprobe: Any, probe: Any, key: Any, weight: Any) -> Any:
    """Backward pass of ``weight = probe @ key``; ``g`` is the key's gradient."""
    return g + probe * weight, dprobe + key * weight


@njit(inline=True)
def _add_weighted(target: Array, sources: Array, weights: Array, count: int) -> None:
    """``target += weights[:count] @ sources[:count]``."""
    for s in range(0, count - 3, 4):
        _add_scaled_four(
            target, sources[s], sources[s + 1], sources[s + 2], sources[s + 3],
            weights[s], weights[s + 1], weights[s + 2], weights[s + 3],
        )  # fmt: skip
    for s in range(count // 4 * 4, count):
        _add_scaled(target, sources[s], weights[s])


@njit(inline=True)
def _load(row: Array, t: int, chunk: ChunkArrays, decays: bool, has_probe: bool) -> None:
    """Copy the operands of a step to row ``t`` of the arrays of its chunk."""
    values, keys, queries, decay, probes, rates = chunk
    width, depth = values.shape[1], keys.shape[1]
    _copy(values[t], kernels.flat_slice(row, 0, width))
    _copy(keys[t], kernels.flat_slice(row, width, depth))
    _copy(queries[t], kernels.flat_slice(row, width + depth, depth))
    start = width + 2 * depth
    if decays:
        _copy(decay[t], kernels.flat_slice(row, start, depth))
        start += depth
    if has_probe:
        _copy(probes[t], kernels.flat_slice(row, start, depth))
        _copy(rates[t], kernels.flat_slice(row, start + depth, width))


@njit(inline=True)
def _store(row: Array, t: int, chunk: ChunkArrays, decays: bool, has_probe: bool) -> None:
    """Copy row ``t`` of the gradients of a chunk to the gradients of the operands of a step."""
    values, keys, queries, decay, probes, rates = chunk
    width, depth = values.shape[1], keys.shape[1]
    _copy(kernels.flat_slice(row, 0, width), values[t])
    _copy(kernels.flat_slice(row, width, depth), keys[t])
    _copy(kernels.flat_slice(row, width + depth, depth), queries[t])
    start = width + 2 * depth
    if decays:
        _copy(kernels.flat_slice(row, start, depth), decay[t])
        start += depth
    if has_probe:
        _copy(kernels.flat_slice(row, start, depth), probes[t])
        _copy(kernels.flat_slice(row, start + depth, width), rates[t])


@njit(inline=True)
def _chunk_arrays(depth: int, width: int, like: Array) -> ChunkArrays:
    """Arrays for the operands of a chunk: value, key, query, decay, probe and rate of each step."""
    keys, queries = kernels.empty((CHUNK, depth), like), kernels.empty((CHUNK, depth), like)
    decay, probes = kernels.empty((CHUNK, depth), like), kernels.empty((CHUNK, depth), like)
    values, rates = kernels.empty((CHUNK, width), like), kernels.empty((CHUNK, width), like)
    kernels.flat(decay)[:] = 1
    return values, keys, queries, decay, probes, rates


@njit(inline=True)
def _weights(
    steps: int,
    chunk: ChunkArrays,
    remaining_keys: Array,
    query_weights: Array,
    probe_weights: Array,
    has_probe: bool,
    query_first: bool,
) -> None:
    """Write products of queries and probes with the rest of earlier keys, and the rest at the end."""
    _, keys, queries, decay, probes, _ = chunk
    for s in range(steps):
        key = remaining_keys[s]
        _copy(key, keys[s])
        query_weights[s, s] = _dot(queries[s], key)
        for t in range(s + 1, steps):
            if has_probe:
                probe_weights[t, s] = _dot(probes[t], key)
            if query_first:
                query_weights[t, s] = _dot(queries[t], key)
                _multiply_by(key, decay[t])
            else:
                query_weights[t, s] = _decay_and_dot(key, decay[t], queries[t])


@njit(inline=True)
def _decay_queries(
    steps: int,
    chunk: ChunkArrays,
    products: Array,
    decayed_queries: Array,
    has_probe: bool,
    query_first: bool,
) -> int:
    """Write products of decays, and their products with probes and queries, which read the memory.

    Returns:
        The number of probes and queries. The probes come first.
    """
    _, _, queries, decay, probes, _ = chunk
    _copy(products[0], decay[0])
    for t in range(1, steps):
        _multiply(products[t], products[t - 1], decay[t])
    count = 0
    if has_probe:
        _copy(decayed_queries[0], probes[0])
        for t in range(1, steps):
            _multiply(decayed_queries[t], probes[t], products[t - 1])
        count = steps
    for t in range(steps):
        if query_first and t == 0:
            _copy(decayed_queries[count], queries[0])
        else:
            _multiply(decayed_queries[count + t], queries[t], products[t - 1 if query_first else t])
    return count + steps


@njit(inline=True)
def _add_reads(decayed_queries: Array, count: int, memory: Array, reads: Array) -> None:
    """``reads = decayed_queries @ memory``."""
    kernels.fill_zeros(reads)
    if count > 0:
        panels = kernels.pack(memory)
        kernels.add_matmul(
            kernels.slice_steps(decayed_queries, 0, count), panels, kernels.slice_steps(reads, 0, count)
        )


@njit(inline=True)
def _apply_probes(steps: int, chunk: ChunkArrays, reads: Array, probe_weights: Array) -> None:
    """Compute the values that steps write: ``value + rate * reads``, with the reads of the probes."""
    written, _, _, _, _, rates = chunk
    for t in range(steps):
        _add_weighted(reads[t], written, probe_weights[t], t)
        _add_product(written[t], rates[t], reads[t])


@njit(inline=True)
def memory_forward(
    rows: Array, first: int, state: Array, memories: Array, out: Array,
    heads: int, decays: bool, has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """Run all steps, or a block of them.

    Args:
        rows: The operands of each step of each sequence, ``(block steps, B, heads * ...)``.
        first: The first step of the block, at which a chunk begins.
        state: The memories before the block, ``(B, heads * K * D)``, replaced by those after it.
        memories: Receives the memories before each chunk (:func:`empty_memories`).
        out: Receives what the queries read, ``(block steps, B, heads * D)``.
        heads: Heads of a sequence.
        decays: Whether memories decay.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """
    _forward(rows, first, state, memories, out, _flags(heads, decays, has_probe, query_first))


@njit(inline=True)
def _flags(heads: int, decays: bool, has_probe: bool, query_first: bool) -> int:
    """Heads and flags in one integer: Numba compiles again for other literals, but not for other integers."""
    return heads * 8 + decays + 2 * has_probe + 4 * query_first


@njit(shared=True)
def _forward(rows: Array, first: int, state: Array, memories: Array, out: Array, flags: int) -> None:
    heads, decays, has_probe, query_first = flags // 8, flags & 1 != 0, flags & 2 != 0, flags & 4 != 0
    head_count = rows.shape[1] * heads
    size, width = state.shape[1] // heads, out.shape[2] // heads
    depth, row_size = size // width, rows.shape[2] // heads
    chunk = _chunk_arrays(depth, width, state)
    written = chunk[0]
    products, remaining_keys = kernels.empty((CHUNK, depth), state), kernels.empty((CHUNK, depth), state)
    decayed_queries = kernels.empty((2 * CHUNK, depth), state)
    reads = kernels.empty((2 * CHUNK, width), state)
    query_weights, probe_weights = kernels.empty((CHUNK, CHUNK), state), kernels.empty((CHUNK, CHUNK), state)
    for head_index in range(head_count):
        flat = kernels.flat_slice(state, head_index * size, size)
        memory = kernels.reshape(flat, (depth, width))
        for start in range(0, rows.shape[0], CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = (first + start) // CHUNK * head_count + head_index
            _copy(kernels.flat_slice(memories, index * size, size), flat)
            for t in range(count):
                row = (start + t) * head_count + head_index
                _load(kernels.flat_slice(rows, row * row_size, row_size), t, chunk, decays, has_probe)
            total = _decay_queries(count, chunk, products, decayed_queries, has_probe, query_first)
            _add_reads(decayed_queries, total, memory, reads)
            _weights(count, chunk, remaining_keys, query_weights, probe_weights, has_probe, query_first)
            if has_probe:
                _apply_probes(count, chunk, reads, probe_weights)
            for t in range(count):
                read = reads[total - count + t]
                _add_weighted(read, written, query_weights[t], t if query_first else t + 1)
                _copy(kernels.flat_slice(out, ((start + t) * head_count + head_index) * width, width), read)
            for i in range(depth):
                _scale(memory[i], products[count - 1, i])
            kernels.add_matmul_ta(
                kernels.slice_steps(remaining_keys, 0, count), kernels.slice_steps(written, 0, count), memory
            )


@njit(inline=True)
def _weights_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, chain: Array, dremaining_keys: Array,
    dquery_weights: Array, dprobe_weights: Array, has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """Backward pass of :func:`_weights`: set the gradients of keys, add to the others."""
    _, keys, queries, decay, probes, _ = chunk
    _, dkeys, dqueries, ddecay, dprobes, _ = dchunk
    for s in range(steps):
        _copy(chain[s], keys[s])
        for t in range(s + 1, steps):
            _multiply(chain[t], chain[t - 1], decay[t])
        g = dremaining_keys[s]
        for t in range(steps - 1, s, -1):
            if query_first:
                _decay_gradient(g, ddecay[t], chain[t - 1], decay[t])
                _probe_gradient(g, dqueries[t], queries[t], chain[t - 1], dquery_weights[t, s])
            else:
                _key_gradient(
                    g,
                    dqueries[t],
                    ddecay[t],
                    queries[t],
                    chain[t],
                    chain[t - 1],
                    decay[t],
                    dquery_weights[t, s],
                )
            if has_probe:
                _probe_gradient(g, dprobes[t], probes[t], chain[t - 1], dprobe_weights[t, s])
        if not query_first:
            _probe_gradient(g, dqueries[s], queries[s], keys[s], dquery_weights[s, s])
        _copy(dkeys[s], g)


@njit(inline=True)
def _decay_queries_gradient(
    steps: int,
    chunk: ChunkArrays,
    dchunk: ChunkArrays,
    products: Array,
    ddecayed_queries: Array,
    g: Array,
    has_probe: bool,
    query_first: bool,
) -> None:
    """Backward pass of :func:`_decay_queries`: set the gradients of queries, decays and probes.

    Args:
        steps: Steps of the chunk.
        chunk: The operands of its steps.
        dchunk: Their gradients.
        products: Products of decays.
        ddecayed_queries: Gradients of the decayed probes and queries.
        g: The gradient of the last product, overwritten.
        has_probe: Whether there are probes, before the queries.
        query_first: As in :func:`memory_forward`.
    """
    _, _, queries, decay, probes, _ = chunk
    _, _, dqueries, ddecay, dprobes, _ = dchunk
    first = steps if has_probe else 0
    for t in range(steps - 1, -1, -1):
        if not query_first:
            _multiply(dqueries[t], ddecayed_queries[first + t], products[t])
            _add_product(g, ddecayed_queries[first + t], queries[t])
        if t == 0:
            _copy(ddecay[0], g)
            if query_first:
                _copy(dqueries[0], ddecayed_queries[first])
            if has_probe:
                _copy(dprobes[0], ddecayed_queries[0])
            continue
        _multiply(ddecay[t], g, products[t - 1])
        _multiply_by(g, decay[t])
        if query_first:
            _multiply(dqueries[t], ddecayed_queries[first + t], products[t - 1])
            _add_product(g, ddecayed_queries[first + t], queries[t])
        if has_probe:
            _multiply(dprobes[t], ddecayed_queries[t], products[t - 1])
            _add_product(g, ddecayed_queries[t], probes[t])


@njit(inline=True)
def _update_gradient(
    steps: int,
    remaining_keys: Array,
    written: Array,
    gradient: Array,
    dremaining_keys: Array,
    dwritten: Array,
) -> None:
    """Backward pass of the sum of outer products in the memory after the chunk, whose gradient is given."""
    kernels.fill_zeros(dwritten)
    kernels.fill_zeros(dremaining_keys)
    kernels.add_matmul(
        kernels.slice_steps(remaining_keys, 0, steps),
        kernels.pack(gradient),
        kernels.slice_steps(dwritten, 0, steps),
    )
    kernels.add_matmul(
        kernels.slice_steps(written, 0, steps),
        kernels.pack_transposed(gradient),
        kernels.slice_steps(dremaining_keys, 0, steps),
    )


@njit(inline=True)
def _apply_probes_gradient(
    steps: int, chunk: ChunkArrays, dchunk: ChunkArrays, reads: Array, dreads: Array,
    probe_weights: Array, dprobe_weights: Array,
) -> None:  # fmt: skip
    """Backward pass of :func:`_apply_probes`: ``dchunk`` has the gradients of the written values."""
    written, _, _, _, _, rates = chunk
    dwritten, _, _, _, _, drates = dchunk
    for t in range(steps - 1, -1, -1):
        _multiply(drates[t], dwritten[t], reads[t])
        _multiply(dreads[t], dwritten[t], rates[t])
        for s in range(t):
            _add_scaled(dwritten[s], dreads[t], probe_weights[t, s])
            dprobe_weights[t, s] = _dot(dreads[t], written[s])


@njit(inline=True)
def _memory_gradient(
    decayed_queries: Array, count: int, dreads: Array, memory: Array, last_product: Array,
    gradient: Array, ddecayed_queries: Array, dlast_product: Array,
) -> None:  # fmt: skip
    """Backward pass of reads of the memory before the chunk, and of its decay over the chunk.

    Args:
        decayed_queries: Probes and queries, times products of decays.
        count: Their number.
        dreads: Gradients of the reads.
        memory: The memory before the chunk.
        last_product: The product of all decays of the chunk.
        gradient: Gradient of the memory after the chunk, replaced by that of the memory before it.
        ddecayed_queries: Receives the gradients of the decayed probes and queries.
        dlast_product: Receives the gradient of ``last_product``.
    """
    kernels.fill_zeros(ddecayed_queries)
    steps_reads = kernels.slice_steps(dreads, 0, count)
    kernels.add_matmul(
        steps_reads, kernels.pack_transposed(memory), kernels.slice_steps(ddecayed_queries, 0, count)
    )
    for i in range(memory.shape[0]):
        dlast_product[i] = _dot(gradient[i], memory[i])
        _scale(gradient[i], last_product[i])
    kernels.add_matmul_ta(kernels.slice_steps(decayed_queries, 0, count), steps_reads, gradient)


@njit(inline=True)
def memory_backward(
    rows: Array, memories: Array, first: int, dstate: Array, dout: Array, drows: Array,
    heads: int, decays: bool, has_probe: bool, query_first: bool,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The operands of each step of the block, as in :func:`memory_forward`.
        memories: The memories before each chunk, of all steps.
        first: The first step of the block, at which a chunk begins.
        dstate: The gradients of the memories after the block, replaced by those before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the operands.
        heads: Heads of a sequence.
        decays: Whether memories decay.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether queries read the memory before the update.
    """
    _backward(rows, memories, first, dstate, dout, drows, _flags(heads, decays, has_probe, query_first))


@njit(shared=True)
def _backward(
    rows: Array, memories: Array, first: int, dstate: Array, dout: Array, drows: Array, flags: int
) -> None:
    heads, decays, has_probe, query_first = flags // 8, flags & 1 != 0, flags & 2 != 0, flags & 4 != 0
    head_count = rows.shape[1] * heads
    size, width = dstate.shape[1] // heads, dout.shape[2] // heads
    depth, row_size = size // width, rows.shape[2] // heads
    chunk, dchunk = _chunk_arrays(depth, width, dstate), _chunk_arrays(depth, width, dstate)
    written, dwritten = chunk[0], dchunk[0]
    products, remaining_keys = kernels.empty((CHUNK, depth), dstate), kernels.empty((CHUNK, depth), dstate)
    dremaining_keys, chain = kernels.empty((CHUNK, depth), dstate), kernels.empty((CHUNK, depth), dstate)
    decayed_queries = kernels.empty((2 * CHUNK, depth), dstate)
    reads = kernels.empty((2 * CHUNK, width), dstate)
    ddecayed_queries = kernels.empty((2 * CHUNK, depth), dstate)
    dreads = kernels.empty((2 * CHUNK, width), dstate)
    query_weights = kernels.empty((CHUNK, CHUNK), dstate)
    probe_weights = kernels.empty((CHUNK, CHUNK), dstate)
    dquery_weights = kernels.empty((CHUNK, CHUNK), dstate)
    dprobe_weights = kernels.empty((CHUNK, CHUNK), dstate)
    dlast_product = kernels.empty((depth,), dstate)
    for head_index in range(head_count):
        gradient = kernels.reshape(kernels.flat_slice(dstate, head_index * size, size), (depth, width))
        for start in range((rows.shape[0] - 1) // CHUNK * CHUNK, -1, -CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = (first + start) // CHUNK * head_count + head_index
            memory = kernels.reshape(kernels.flat_slice(memories, index * size, size), (depth, width))
            after = count if has_probe else 0  # the first row of the queries
            for t in range(count):
                row = (start + t) * head_count + head_index
                _load(kernels.flat_slice(rows, row * row_size, row_size), t, chunk, decays, has_probe)
                _copy(dreads[after + t], kernels.flat_slice(dout, row * width, width))
            total = _decay_queries(count, chunk, products, decayed_queries, has_probe, query_first)
            _weights(count, chunk, remaining_keys, query_weights, probe_weights, has_probe, query_first)
            if has_probe:
                _add_reads(decayed_queries, count, memory, reads)
                _apply_probes(count, chunk, reads, probe_weights)
            _update_gradient(count, remaining_keys, written, gradient, dremaining_keys, dwritten)
            for t in range(count):
                dread = dreads[after + t]
                for s in range(t if query_first else t + 1):
                    _add_scaled(dwritten[s], dread, query_weights[t, s])
                    dquery_weights[t, s] = _dot(dread, written[s])
            if has_probe:
                _apply_probes_gradient(count, chunk, dchunk, reads, dreads, probe_weights, dprobe_weights)
            _memory_gradient(
                decayed_queries, total, dreads, memory, products[count - 1],
                gradient, ddecayed_queries, dlast_product,
            )  # fmt: skip
            _decay_queries_gradient(
                count, chunk, dchunk, products, ddecayed_queries, dlast_product, has_probe, query_first
            )
            _weights_gradient(
                count,
                chunk,
                dchunk,
                chain,
                dremaining_keys,
                dquery_weights,
                dprobe_weights,
                has_probe,
                query_first,
            )
            for t in range(count):
                row = (start + t) * head_count + head_index
                _store(kernels.flat_slice(drows, row * row_size, row_size), t, dchunk, decays, has_probe)
