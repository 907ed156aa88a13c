"""Matrix memories: states that decay, take in outer products and are read, for all steps of a sequence.

A memory is a matrix ``S (K, D)`` of each head of each sequence. A step takes one row of numbers a head::

    u  = value + rate * (probe @ S)       u = value without probe
    S' = decay[:, None] * S + outer(key, u)
    o  = query @ S'

The row holds, side by side, ``value (D)``, ``key (K)`` and ``query (K)``, then ``decay (K)`` if memories
decay, then ``probe (K)`` and ``rate (D)`` if they are read before they are written to.

Steps are the inner loop: the memory of one head of one sequence stays in the cache while all steps pass. Only
the memory before each chunk of steps is stored for the backward pass, which computes the memories inside a
chunk again. One loop updates four rows of S and reads them, so that sums over rows stay in registers.
"""

from __future__ import annotations

from typing import TypeAlias

from zoo import kernels
from zoo.array_types import Array
from zoo.kernels.jit import njit

Numbers: TypeAlias = tuple[float, float, float, float]
Pair: TypeAlias = tuple[float, float]

CHUNK = 16
"""Steps between two stored memories. Those of 128 x 128 in float32 take 1 MiB for a chunk, the size of the
second-level cache; 8 or 32 steps took 8 % longer, and memories of 64 x 128 the same time."""


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


@njit(inline=True)
def _four(a: Array, i: int, size: int) -> Numbers:
    """Elements ``i`` to ``i + 3``; zero from ``size`` on."""
    zero = a.dtype.type(0)
    return (
        a[i],
        a[i + 1] if i + 1 < size else zero,
        a[i + 2] if i + 2 < size else zero,
        a[i + 3] if i + 3 < size else zero,
    )


@njit(inline=True)
def _two(a: Array, i: int, size: int) -> Pair:
    """Elements ``i`` and ``i + 1``; zero from ``size`` on."""
    return a[i], a[i + 1] if i + 1 < size else a.dtype.type(0)


@njit(inline=True)
def _padded(size: int) -> int:
    return (size + 3) // 4 * 4


@njit(inline=True, noalias=True)
def _copy(source: Array, target: Array) -> None:
    for j in range(source.shape[0]):
        target[j] = source[j]


@njit(inline=True)
def _copy_padded(source: Array, target: Array) -> None:
    """Copy a memory, and set the rows that fill up its last four to zero."""
    _copy(source, target)
    for j in range(source.shape[0], target.shape[0]):
        target[j] = 0


@njit(inline=True, noalias=True)
def _update_rows(
    s0: Array, s1: Array, s2: Array, s3: Array,
    n0: Array, n1: Array, n2: Array, n3: Array,
    decay: Numbers, key: Numbers, query: Numbers,
    written: Array, out: Array,
) -> None:  # fmt: skip
    """Four rows after a step; add what the query reads of them to ``out``."""
    a0, a1, a2, a3 = decay
    k0, k1, k2, k3 = key
    q0, q1, q2, q3 = query
    for j in range(out.shape[0]):
        y0 = a0 * s0[j] + k0 * written[j]
        y1 = a1 * s1[j] + k1 * written[j]
        y2 = a2 * s2[j] + k2 * written[j]
        y3 = a3 * s3[j] + k3 * written[j]
        n0[j] = y0
        n1[j] = y1
        n2[j] = y2
        n3[j] = y3
        out[j] += q0 * y0 + q1 * y1 + q2 * y2 + q3 * y3


@njit(inline=True, noalias=True)
def _read_rows(s0: Array, s1: Array, s2: Array, s3: Array, probe: Numbers, out: Array) -> None:
    """Add what a probe reads of four rows to ``out``."""
    p0, p1, p2, p3 = probe
    for j in range(out.shape[0]):
        out[j] += p0 * s0[j] + p1 * s1[j] + p2 * s2[j] + p3 * s3[j]


@njit(inline=True, noalias=True)
def _add_read_gradient(
    g0: Array, g1: Array, g2: Array, g3: Array, key: Numbers, query: Numbers, dout: Array, dwritten: Array
) -> None:
    """Add the gradient of what the query reads to four rows, and their gradient of ``u`` to ``dwritten``."""
    k0, k1, k2, k3 = key
    q0, q1, q2, q3 = query
    for j in range(dout.shape[0]):
        h0 = g0[j] + q0 * dout[j]
        h1 = g1[j] + q1 * dout[j]
        h2 = g2[j] + q2 * dout[j]
        h3 = g3[j] + q3 * dout[j]
        g0[j] = h0
        g1[j] = h1
        g2[j] = h2
        g3[j] = h3
        dwritten[j] += k0 * h0 + k1 * h1 + k2 * h2 + k3 * h3


@njit(inline=True, noalias=True)
def _update_gradient(
    s0: Array, s1: Array, g0: Array, g1: Array,
    decay: Pair, key: Pair, query: Pair,
    written: Array, dout: Array, dwritten: Array, zero: float,
) -> tuple[Pair, Pair, Pair]:  # fmt: skip
    """The gradient of two rows before a step without probe, from that after it.

    Returns:
        What dout reads of the rows before the step, and the gradients of key and decay.
    """
    a0, a1 = decay
    k0, k1 = key
    q0, q1 = query
    e0 = e1 = c0 = c1 = d0 = d1 = zero
    for j in range(dout.shape[0]):
        h0 = g0[j] + q0 * dout[j]
        h1 = g1[j] + q1 * dout[j]
        e0 += dout[j] * s0[j]
        e1 += dout[j] * s1[j]
        c0 += h0 * written[j]
        c1 += h1 * written[j]
        d0 += h0 * s0[j]
        d1 += h1 * s1[j]
        dwritten[j] += k0 * h0 + k1 * h1
        g0[j] = a0 * h0
        g1[j] = a1 * h1
    return (e0, e1), (c0, c1), (d0, d1)


@njit(inline=True, noalias=True)
def _update_probed_gradient(
    s0: Array, s1: Array, g0: Array, g1: Array,
    decay: Pair, probe: Pair,
    written: Array, dout: Array, dread: Array, zero: float,
) -> tuple[Pair, Pair, Pair, Pair]:  # fmt: skip
    """The gradient of two rows before a step with probe, from that after it and after the query.

    Returns:
        What dout reads of the rows before the step, and the gradients of key, decay and probe.
    """
    a0, a1 = decay
    p0, p1 = probe
    e0 = e1 = c0 = c1 = d0 = d1 = f0 = f1 = zero
    for j in range(dout.shape[0]):
        e0 += dout[j] * s0[j]
        e1 += dout[j] * s1[j]
        c0 += g0[j] * written[j]
        c1 += g1[j] * written[j]
        d0 += g0[j] * s0[j]
        d1 += g1[j] * s1[j]
        f0 += dread[j] * s0[j]
        f1 += dread[j] * s1[j]
        g0[j] = a0 * g0[j] + p0 * dread[j]
        g1[j] = a1 * g1[j] + p1 * dread[j]
    return (e0, e1), (c0, c1), (d0, d1), (f0, f1)


@njit(inline=True)
def _written(
    numbers: Array, old: Array, depth: int, decays: bool, probed: bool, u: Array, read: Array
) -> None:
    """Write what a step writes, ``u``, and what its probe reads."""
    width = u.shape[0]
    value = kernels.flat_slice(numbers, 0, width)
    if not probed:
        _copy(value, u)
        return
    first = width + 2 * depth + (depth if decays else 0)
    probe, rate = kernels.flat_slice(numbers, first, depth), kernels.flat_slice(numbers, first + depth, width)
    for j in range(width):
        read[j] = 0
    for i in range(0, depth, 4):
        s0, s1 = kernels.flat_slice(old, i * width, width), kernels.flat_slice(old, (i + 1) * width, width)
        s2 = kernels.flat_slice(old, (i + 2) * width, width)
        s3 = kernels.flat_slice(old, (i + 3) * width, width)
        _read_rows(s0, s1, s2, s3, _four(probe, i, depth), read)
    for j in range(width):
        u[j] = value[j] + rate[j] * read[j]


@njit(inline=True)
def _update(numbers: Array, old: Array, new: Array, decay: Array, u: Array, out: Array) -> None:
    """Write the memory after a step to ``new``, and what the query reads to ``out``."""
    width, depth = u.shape[0], decay.shape[0]
    key = kernels.flat_slice(numbers, width, depth)
    query = kernels.flat_slice(numbers, width + depth, depth)
    for j in range(width):
        out[j] = 0
    for i in range(0, depth, 4):
        s0, s1 = kernels.flat_slice(old, i * width, width), kernels.flat_slice(old, (i + 1) * width, width)
        s2 = kernels.flat_slice(old, (i + 2) * width, width)
        s3 = kernels.flat_slice(old, (i + 3) * width, width)
        n0, n1 = kernels.flat_slice(new, i * width, width), kernels.flat_slice(new, (i + 1) * width, width)
        n2 = kernels.flat_slice(new, (i + 2) * width, width)
        n3 = kernels.flat_slice(new, (i + 3) * width, width)
        a, k, q = _four(decay, i, depth), _four(key, i, depth), _four(query, i, depth)
        _update_rows(s0, s1, s2, s3, n0, n1, n2, n3, a, k, q, u, out)


@njit(shared=True)
def memory_forward(
    rows: Array, first: int, steps: int, state: Array, memories: Array, out: Array,
    heads: int, decays: bool, probed: bool,
) -> None:  # fmt: skip
    """Run all steps, or a block of them.

    Args:
        rows: The numbers of each step of each sequence, ``(block steps, B, heads * ...)``.
        first: The first step of the block.
        steps: ``T``, all steps of the sequence.
        state: The memories before the block, ``(B, heads * K * D)``, replaced by those after it.
        memories: Receives the memories before each chunk (:func:`empty_memories`).
        out: Receives what the queries read, ``(block steps, B, heads * D)``.
        heads: Heads of a sequence.
        decays: Whether memories decay.
        probed: Whether memories are read before they are written to.
    """
    batch = rows.shape[1]
    size, width = state.shape[1] // heads, out.shape[2] // heads
    depth, numbers = size // width, rows.shape[2] // heads
    chunks = memories.shape[0]
    old = kernels.empty((_padded(depth) * width,), state)
    new = kernels.empty((_padded(depth) * width,), state)
    u, read = kernels.empty((width,), state), kernels.empty((width,), state)
    ones = kernels.empty((depth,), state)
    ones[:] = 1
    for member in range(batch * heads):
        memory = kernels.flat_slice(state, member * size, size)
        _copy_padded(memory, old)
        for time in range(rows.shape[0]):
            row, left = time * batch * heads + member, steps - first - time
            if left == steps or left % CHUNK == 0:
                index = chunks - (left + CHUNK - 1) // CHUNK
                stored = kernels.flat_slice(memories, (index * batch * heads + member) * size, size)
                _copy(kernels.flat_slice(old, 0, size), stored)
            now = kernels.flat_slice(rows, row * numbers, numbers)
            decay = kernels.flat_slice(now, width + 2 * depth, depth) if decays else ones
            _written(now, old, depth, decays, probed, u, read)
            _update(now, old, new, decay, u, kernels.flat_slice(out, row * width, width))
            old, new = new, old
        _copy(kernels.flat_slice(old, 0, size), memory)


@njit(shared=True)
def memory_backward(
    rows: Array, memories: Array, first: int, steps: int, dstate: Array, dout: Array, drows: Array,
    heads: int, decays: bool, probed: bool,
) -> None:  # fmt: skip
    """The gradients of a block of steps.

    Args:
        rows: The numbers of each step of the block, as in :func:`memory_forward`.
        memories: The memories before each chunk, of all steps.
        first: The first step of the block, which ends at the end of a chunk.
        steps: All steps of the sequence.
        dstate: The gradients of the memories after the block, replaced by those before it.
        dout: The gradients of ``out``.
        drows: Receives the gradients of the numbers.
        heads: Heads of a sequence.
        decays: Whether memories decay.
        probed: Whether memories are read before they are written to.
    """
    batch = rows.shape[1]
    size, width = dstate.shape[1] // heads, dout.shape[2] // heads
    depth, numbers = size // width, rows.shape[2] // heads
    chunks, padded = memories.shape[0], _padded(depth) * width
    inside = kernels.empty((CHUNK, padded), dstate)
    u, read = kernels.empty((CHUNK, width), dstate), kernels.empty((CHUNK, width), dstate)
    gradient, unread = kernels.empty((padded,), dstate), kernels.empty((width,), dstate)
    dwritten, dread = kernels.empty((width,), dstate), kernels.empty((width,), dstate)
    ones, dones = kernels.empty((depth,), dstate), kernels.empty((depth,), dstate)
    ones[:] = 1
    zero = dstate.dtype.type(0)
    for member in range(batch * heads):
        dmemory = kernels.flat_slice(dstate, member * size, size)
        _copy_padded(dmemory, gradient)
        for last in range(first + rows.shape[0], first, -CHUNK):
            start = max(first, last - CHUNK)
            index = chunks - (steps - start + CHUNK - 1) // CHUNK
            stored = kernels.flat_slice(memories, (index * batch * heads + member) * size, size)
            _copy_padded(stored, inside[0])
            for time in range(start, last):
                row = (time - first) * batch * heads + member
                now = kernels.flat_slice(rows, row * numbers, numbers)
                old = kernels.flat_slice(inside, (time - start) * padded, padded)
                decay = kernels.flat_slice(now, width + 2 * depth, depth) if decays else ones
                _written(now, old, depth, decays, probed, u[time - start], read[time - start])
                if time + 1 < last:
                    new = kernels.flat_slice(inside, (time - start + 1) * padded, padded)
                    _update(now, old, new, decay, u[time - start], unread)
            for time in range(last - 1, start - 1, -1):
                row = (time - first) * batch * heads + member
                now = kernels.flat_slice(rows, row * numbers, numbers)
                dnow = kernels.flat_slice(drows, row * numbers, numbers)
                old = kernels.flat_slice(inside, (time - start) * padded, padded)
                decay = kernels.flat_slice(now, width + 2 * depth, depth) if decays else ones
                ddecay = kernels.flat_slice(dnow, width + 2 * depth, depth) if decays else dones
                key = kernels.flat_slice(now, width, depth)
                dkey = kernels.flat_slice(dnow, width, depth)
                query = kernels.flat_slice(now, width + depth, depth)
                dquery = kernels.flat_slice(dnow, width + depth, depth)
                dread_now = kernels.flat_slice(dout, row * width, width)
                written, total = u[time - start], zero
                for j in range(width):
                    dwritten[j] = 0
                    total += written[j] * dread_now[j]
                if not probed:
                    for i in range(0, depth, 2):
                        s0 = kernels.flat_slice(old, i * width, width)
                        s1 = kernels.flat_slice(old, (i + 1) * width, width)
                        g0 = kernels.flat_slice(gradient, i * width, width)
                        g1 = kernels.flat_slice(gradient, (i + 1) * width, width)
                        a, k, q = _two(decay, i, depth), _two(key, i, depth), _two(query, i, depth)
                        e, c, d = _update_gradient(
                            s0, s1, g0, g1, a, k, q, written, dread_now, dwritten, zero
                        )
                        dquery[i], dkey[i], ddecay[i] = a[0] * e[0] + k[0] * total, c[0], d[0]
                        if i + 1 < depth:
                            dquery[i + 1] = a[1] * e[1] + k[1] * total
                            dkey[i + 1], ddecay[i + 1] = c[1], d[1]
                    _copy(dwritten, kernels.flat_slice(dnow, 0, width))
                    continue
                for i in range(0, depth, 4):
                    g0 = kernels.flat_slice(gradient, i * width, width)
                    g1 = kernels.flat_slice(gradient, (i + 1) * width, width)
                    g2 = kernels.flat_slice(gradient, (i + 2) * width, width)
                    g3 = kernels.flat_slice(gradient, (i + 3) * width, width)
                    _add_read_gradient(
                        g0, g1, g2, g3, _four(key, i, depth), _four(query, i, depth), dread_now, dwritten
                    )
                at = width + 2 * depth + (depth if decays else 0)
                probe, dprobe = kernels.flat_slice(now, at, depth), kernels.flat_slice(dnow, at, depth)
                rate = kernels.flat_slice(now, at + depth, width)
                drate = kernels.flat_slice(dnow, at + depth, width)
                dvalue = kernels.flat_slice(dnow, 0, width)
                for j in range(width):
                    dvalue[j] = dwritten[j]
                    drate[j] = dwritten[j] * read[time - start, j]
                    dread[j] = dwritten[j] * rate[j]
                for i in range(0, depth, 2):
                    s0 = kernels.flat_slice(old, i * width, width)
                    s1 = kernels.flat_slice(old, (i + 1) * width, width)
                    g0 = kernels.flat_slice(gradient, i * width, width)
                    g1 = kernels.flat_slice(gradient, (i + 1) * width, width)
                    a, k, p = _two(decay, i, depth), _two(key, i, depth), _two(probe, i, depth)
                    e, c, d, f = _update_probed_gradient(
                        s0, s1, g0, g1, a, p, written, dread_now, dread, zero
                    )
                    dquery[i], dkey[i] = a[0] * e[0] + k[0] * total, c[0]
                    ddecay[i], dprobe[i] = d[0], f[0]
                    if i + 1 < depth:
                        dquery[i + 1], dkey[i + 1] = a[1] * e[1] + k[1] * total, c[1]
                        ddecay[i + 1], dprobe[i + 1] = d[1], f[1]
        _copy(kernels.flat_slice(gradient, 0, size), dmemory)
