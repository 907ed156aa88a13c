"""Matrix memories: states that decay, take in outer products and are read, for all steps of a sequence.

A memory is a matrix ``S (K, D)`` of each head of each sequence. A step takes one row of numbers a head::

    u  = value + rate * (probe @ S)       u = value without probe
    S' = decay[:, None] * S + outer(key, u)
    o  = query @ S'                       or query @ S, of an early query

The row holds, side by side, ``value (D)``, ``key (K)`` and ``query (K)``, then ``decay (K)`` if memories
decay, then ``probe (K)`` and ``rate (D)`` if they are read before they are written to.

The steps of a chunk are computed together. With the memory ``S`` before the chunk and the products of decays
up to each step, ``b[t] = decay[0] * ... * decay[t]``::

    o[t] = (query[t] * b[t]) @ S + sum over s <= t of (query[t] @ k[t, s]) * u[s]     if it is not early
    u[t] = value[t] + rate[t] * r[t]
    r[t] = (probe[t] * b[t - 1]) @ S + sum over s < t of (probe[t] @ k[t - 1, s]) * u[s]
    S'   = b[-1][:, None] * S + sum over s of outer(k[-1, s], u[s])

where ``k[t, s] = key[s] * decay[s + 1] * ... * decay[t]`` is the rest of a key. The terms with S and
the sum in ``S'`` are matrix products. All factors are products of decays, and none is a quotient, so decays
may be zero and products may underflow. The backward pass needs only the memory before each chunk.

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

Parts: TypeAlias = tuple[Array, Array, Array, Array, Array, Array]

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
    for member in range(memories.shape[0] * heads):
        source = kernels.flat_slice(memories, member * rows * columns, rows * columns)
        target = kernels.flat_slice(made, member * rows * columns, rows * columns)
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
    """Back through ``weight = query @ key`` and ``key = decay * before``; ``g`` is the key's gradient."""
    h = g + query * weight
    return h * decay, dquery + key * weight, ddecay + h * before


@vector_loop(2, 2)
def _decay_gradient(g: Any, ddecay: Any, before: Any, decay: Any) -> Any:
    """Back through ``key = decay * before``; ``g`` is the key's gradient."""
    return g * decay, ddecay + g * before


@vector_loop(2, 2)
def _probe_gradient(g: Any, dprobe: Any, probe: Any, key: Any, weight: Any) -> Any:
    """Back through ``weight = probe @ key``; ``g`` is the key's gradient."""
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
def _load(numbers: Array, t: int, arrays: Parts, decays: bool, probed: bool) -> None:
    """Copy the numbers of a step to row ``t`` of the arrays of its chunk."""
    values, keys, queries, decay, probes, rates = arrays
    width, depth = values.shape[1], keys.shape[1]
    _copy(values[t], kernels.flat_slice(numbers, 0, width))
    _copy(keys[t], kernels.flat_slice(numbers, width, depth))
    _copy(queries[t], kernels.flat_slice(numbers, width + depth, depth))
    start = width + 2 * depth
    if decays:
        _copy(decay[t], kernels.flat_slice(numbers, start, depth))
        start += depth
    if probed:
        _copy(probes[t], kernels.flat_slice(numbers, start, depth))
        _copy(rates[t], kernels.flat_slice(numbers, start + depth, width))


@njit(inline=True)
def _store(numbers: Array, t: int, arrays: Parts, decays: bool, probed: bool) -> None:
    """Copy row ``t`` of the gradients of a chunk to the gradients of its numbers."""
    values, keys, queries, decay, probes, rates = arrays
    width, depth = values.shape[1], keys.shape[1]
    _copy(kernels.flat_slice(numbers, 0, width), values[t])
    _copy(kernels.flat_slice(numbers, width, depth), keys[t])
    _copy(kernels.flat_slice(numbers, width + depth, depth), queries[t])
    start = width + 2 * depth
    if decays:
        _copy(kernels.flat_slice(numbers, start, depth), decay[t])
        start += depth
    if probed:
        _copy(kernels.flat_slice(numbers, start, depth), probes[t])
        _copy(kernels.flat_slice(numbers, start + depth, width), rates[t])


@njit(inline=True)
def _parts(depth: int, width: int, like: Array) -> Parts:
    """Arrays for the numbers of a chunk: value, key, query, decay, probe and rate of each step."""
    keys, queries = kernels.empty((CHUNK, depth), like), kernels.empty((CHUNK, depth), like)
    decay, probes = kernels.empty((CHUNK, depth), like), kernels.empty((CHUNK, depth), like)
    values, rates = kernels.empty((CHUNK, width), like), kernels.empty((CHUNK, width), like)
    kernels.flat(decay)[:] = 1
    return values, keys, queries, decay, probes, rates


@njit(inline=True)
def _weights(
    steps: int, parts: Parts, left: Array, of_query: Array, of_probe: Array, probed: bool, early: bool
) -> None:
    """Write products of queries and probes with the rest of earlier keys, and the rest at the end."""
    _, keys, queries, decay, probes, _ = parts
    for s in range(steps):
        key = left[s]
        _copy(key, keys[s])
        of_query[s, s] = _dot(queries[s], key)
        for t in range(s + 1, steps):
            if probed:
                of_probe[t, s] = _dot(probes[t], key)
            if early:
                of_query[t, s] = _dot(queries[t], key)
                _multiply_by(key, decay[t])
            else:
                of_query[t, s] = _decay_and_dot(key, decay[t], queries[t])


@njit(inline=True)
def _decayed(steps: int, parts: Parts, products: Array, operands: Array, probed: bool, early: bool) -> int:
    """Write products of decays, and the operands of products with the memory before the chunk.

    Returns:
        The number of operands, of which the first are the probes.
    """
    _, _, queries, decay, probes, _ = parts
    _copy(products[0], decay[0])
    for t in range(1, steps):
        _multiply(products[t], products[t - 1], decay[t])
    count = 0
    if probed:
        _copy(operands[0], probes[0])
        for t in range(1, steps):
            _multiply(operands[t], probes[t], products[t - 1])
        count = steps
    for t in range(steps):
        if early and t == 0:
            _copy(operands[count], queries[0])
        else:
            _multiply(operands[count + t], queries[t], products[t - 1 if early else t])
    return count + steps


@njit(inline=True)
def _add_reads(operands: Array, count: int, memory: Array, reads: Array) -> None:
    """``reads = operands @ memory``."""
    kernels.fill_zeros(reads)
    if count > 0:
        panels = kernels.pack(memory)
        kernels.add_matmul(
            kernels.slice_steps(operands, 0, count), panels, kernels.slice_steps(reads, 0, count)
        )


@njit(inline=True)
def _solve(steps: int, parts: Parts, reads: Array, of_probe: Array) -> None:
    """Turn values into what is written, with what the probes read, ``reads``."""
    written, _, _, _, _, rates = parts
    for t in range(steps):
        _add_weighted(reads[t], written, of_probe[t], t)
        _add_product(written[t], rates[t], reads[t])


@njit(inline=True)
def memory_forward(
    rows: Array, first: int, state: Array, memories: Array, out: Array,
    heads: int, decays: bool, probed: bool, early: bool,
) -> None:  # fmt: skip
    """Run all steps, or a block of them.

    Args:
        rows: The numbers of each step of each sequence, ``(block steps, B, heads * ...)``.
        first: The first step of the block, at which a chunk begins.
        state: The memories before the block, ``(B, heads * K * D)``, replaced by those after it.
        memories: Receives the memories before each chunk (:func:`empty_memories`).
        out: Receives what the queries read, ``(block steps, B, heads * D)``.
        heads: Heads of a sequence.
        decays: Whether memories decay.
        probed: Whether memories are read before they are written to.
        early: Whether queries read the memory before the step.
    """
    _forward(rows, first, state, memories, out, _flags(heads, decays, probed, early))


@njit(inline=True)
def _flags(heads: int, decays: bool, probed: bool, early: bool) -> int:
    """Heads and flags in one number, for which Numba does not compile again as it does for other literals."""
    return heads * 8 + decays + 2 * probed + 4 * early


@njit(shared=True)
def _forward(rows: Array, first: int, state: Array, memories: Array, out: Array, flags: int) -> None:
    heads, decays, probed, early = flags // 8, flags & 1 != 0, flags & 2 != 0, flags & 4 != 0
    members = rows.shape[1] * heads
    size, width = state.shape[1] // heads, out.shape[2] // heads
    depth, numbers = size // width, rows.shape[2] // heads
    parts = _parts(depth, width, state)
    written = parts[0]
    products, left = kernels.empty((CHUNK, depth), state), kernels.empty((CHUNK, depth), state)
    operands, reads = kernels.empty((2 * CHUNK, depth), state), kernels.empty((2 * CHUNK, width), state)
    of_query, of_probe = kernels.empty((CHUNK, CHUNK), state), kernels.empty((CHUNK, CHUNK), state)
    for member in range(members):
        flat = kernels.flat_slice(state, member * size, size)
        memory = kernels.reshape(flat, (depth, width))
        for start in range(0, rows.shape[0], CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = (first + start) // CHUNK * members + member
            _copy(kernels.flat_slice(memories, index * size, size), flat)
            for t in range(count):
                row = (start + t) * members + member
                _load(kernels.flat_slice(rows, row * numbers, numbers), t, parts, decays, probed)
            total = _decayed(count, parts, products, operands, probed, early)
            _add_reads(operands, total, memory, reads)
            _weights(count, parts, left, of_query, of_probe, probed, early)
            if probed:
                _solve(count, parts, reads, of_probe)
            for t in range(count):
                read = reads[total - count + t]
                _add_weighted(read, written, of_query[t], t if early else t + 1)
                _copy(kernels.flat_slice(out, ((start + t) * members + member) * width, width), read)
            for i in range(depth):
                _scale(memory[i], products[count - 1, i])
            kernels.add_matmul_ta(
                kernels.slice_steps(left, 0, count), kernels.slice_steps(written, 0, count), memory
            )


@njit(inline=True)
def _weights_gradient(
    steps: int, parts: Parts, dparts: Parts, chain: Array, dleft: Array, dof_query: Array, dof_probe: Array,
    probed: bool, early: bool,
) -> None:  # fmt: skip
    """Back through :func:`_weights`: add to gradients of queries, decays and probes, set those of keys."""
    _, keys, queries, decay, probes, _ = parts
    _, dkeys, dqueries, ddecay, dprobes, _ = dparts
    for s in range(steps):
        _copy(chain[s], keys[s])
        for t in range(s + 1, steps):
            _multiply(chain[t], chain[t - 1], decay[t])
        g = dleft[s]
        for t in range(steps - 1, s, -1):
            if early:
                _decay_gradient(g, ddecay[t], chain[t - 1], decay[t])
                _probe_gradient(g, dqueries[t], queries[t], chain[t - 1], dof_query[t, s])
            else:
                _key_gradient(
                    g, dqueries[t], ddecay[t], queries[t], chain[t], chain[t - 1], decay[t], dof_query[t, s]
                )
            if probed:
                _probe_gradient(g, dprobes[t], probes[t], chain[t - 1], dof_probe[t, s])
        if not early:
            _probe_gradient(g, dqueries[s], queries[s], keys[s], dof_query[s, s])
        _copy(dkeys[s], g)


@njit(inline=True)
def _decayed_gradient(
    steps: int,
    parts: Parts,
    dparts: Parts,
    products: Array,
    doperands: Array,
    g: Array,
    probed: bool,
    early: bool,
) -> None:
    """Back through :func:`_decayed`: set the gradients of queries, decays and probes.

    Args:
        steps: Steps of the chunk.
        parts: The numbers.
        dparts: Their gradients.
        products: Products of decays.
        doperands: Gradients of the operands.
        g: The gradient of the last product, overwritten.
        probed: Whether the first operands are the probes.
        early: As in :func:`memory_forward`.
    """
    _, _, queries, decay, probes, _ = parts
    _, _, dqueries, ddecay, dprobes, _ = dparts
    first = steps if probed else 0
    for t in range(steps - 1, -1, -1):
        if not early:
            _multiply(dqueries[t], doperands[first + t], products[t])
            _add_product(g, doperands[first + t], queries[t])
        if t == 0:
            _copy(ddecay[0], g)
            if early:
                _copy(dqueries[0], doperands[first])
            if probed:
                _copy(dprobes[0], doperands[0])
            continue
        _multiply(ddecay[t], g, products[t - 1])
        _multiply_by(g, decay[t])
        if early:
            _multiply(dqueries[t], doperands[first + t], products[t - 1])
            _add_product(g, doperands[first + t], queries[t])
        if probed:
            _multiply(dprobes[t], doperands[t], products[t - 1])
            _add_product(g, doperands[t], probes[t])


@njit(inline=True)
def memory_backward(
    rows: Array, memories: Array, first: int, dstate: Array, dout: Array, drows: Array,
    heads: int, decays: bool, probed: bool, early: bool,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The numbers of each step of the block, as in :func:`memory_forward`.
        memories: The memories before each chunk, of all steps.
        first: The first step of the block, at which a chunk begins.
        dstate: The gradients of the memories after the block, replaced by those before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the numbers.
        heads: Heads of a sequence.
        decays: Whether memories decay.
        probed: Whether memories are read before they are written to.
        early: Whether queries read the memory before the step.
    """
    _backward(rows, memories, first, dstate, dout, drows, _flags(heads, decays, probed, early))


@njit(shared=True)
def _backward(
    rows: Array, memories: Array, first: int, dstate: Array, dout: Array, drows: Array, flags: int
) -> None:
    heads, decays, probed, early = flags // 8, flags & 1 != 0, flags & 2 != 0, flags & 4 != 0
    members = rows.shape[1] * heads
    size, width = dstate.shape[1] // heads, dout.shape[2] // heads
    depth, numbers = size // width, rows.shape[2] // heads
    parts, dparts = _parts(depth, width, dstate), _parts(depth, width, dstate)
    written, dwritten, rates, drates = parts[0], dparts[0], parts[5], dparts[5]
    products, left = kernels.empty((CHUNK, depth), dstate), kernels.empty((CHUNK, depth), dstate)
    dleft, chain = kernels.empty((CHUNK, depth), dstate), kernels.empty((CHUNK, depth), dstate)
    operands, reads = kernels.empty((2 * CHUNK, depth), dstate), kernels.empty((2 * CHUNK, width), dstate)
    doperands, dreads = kernels.empty((2 * CHUNK, depth), dstate), kernels.empty((2 * CHUNK, width), dstate)
    of_query, of_probe = kernels.empty((CHUNK, CHUNK), dstate), kernels.empty((CHUNK, CHUNK), dstate)
    dof_query, dof_probe = kernels.empty((CHUNK, CHUNK), dstate), kernels.empty((CHUNK, CHUNK), dstate)
    last_product = kernels.empty((depth,), dstate)
    for member in range(members):
        gradient = kernels.reshape(kernels.flat_slice(dstate, member * size, size), (depth, width))
        for start in range((rows.shape[0] - 1) // CHUNK * CHUNK, -1, -CHUNK):
            count = min(CHUNK, rows.shape[0] - start)
            index = (first + start) // CHUNK * members + member
            memory = kernels.reshape(kernels.flat_slice(memories, index * size, size), (depth, width))
            after = count if probed else 0  # the first row of the queries
            for t in range(count):
                row = (start + t) * members + member
                _load(kernels.flat_slice(rows, row * numbers, numbers), t, parts, decays, probed)
                _copy(dreads[after + t], kernels.flat_slice(dout, row * width, width))
            total = _decayed(count, parts, products, operands, probed, early)
            _weights(count, parts, left, of_query, of_probe, probed, early)
            if probed:
                _add_reads(operands, count, memory, reads)
                _solve(count, parts, reads, of_probe)
            # Back through the memory after the chunk, and through what queries read within it.
            kernels.fill_zeros(dwritten)
            kernels.fill_zeros(dleft)
            steps_left, steps_written = (
                kernels.slice_steps(left, 0, count),
                kernels.slice_steps(written, 0, count),
            )
            kernels.add_matmul(steps_left, kernels.pack(gradient), kernels.slice_steps(dwritten, 0, count))
            kernels.add_matmul(
                steps_written, kernels.pack_transposed(gradient), kernels.slice_steps(dleft, 0, count)
            )
            for t in range(count):
                dread = dreads[after + t]
                for s in range(t if early else t + 1):
                    _add_scaled(dwritten[s], dread, of_query[t, s])
                    dof_query[t, s] = _dot(dread, written[s])
            # Back through what probes read within it.
            if probed:
                for t in range(count - 1, -1, -1):
                    _multiply(drates[t], dwritten[t], reads[t])
                    _multiply(dreads[t], dwritten[t], rates[t])
                    for s in range(t):
                        _add_scaled(dwritten[s], dreads[t], of_probe[t, s])
                        dof_probe[t, s] = _dot(dreads[t], written[s])
            # Back through the products with the memory before the chunk.
            kernels.fill_zeros(doperands)
            steps_reads = kernels.slice_steps(dreads, 0, total)
            kernels.add_matmul(
                steps_reads, kernels.pack_transposed(memory), kernels.slice_steps(doperands, 0, total)
            )
            for i in range(depth):
                last_product[i] = _dot(gradient[i], memory[i])
                _scale(gradient[i], products[count - 1, i])
            kernels.add_matmul_ta(kernels.slice_steps(operands, 0, total), steps_reads, gradient)
            _decayed_gradient(count, parts, dparts, products, doperands, last_product, probed, early)
            _weights_gradient(count, parts, dparts, chain, dleft, dof_query, dof_probe, probed, early)
            for t in range(count):
                row = (start + t) * members + member
                _store(kernels.flat_slice(drows, row * numbers, numbers), t, dparts, decays, probed)
