"""Matrix memories: the compiled passes equal the steps one by one, and the derivatives of these steps."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest

from zoo import kernels
from zoo.kernels.jit import is_pure_python

BATCH, HEADS, DEPTH, WIDTH = 2, 3, 6, 5
COLUMNS = 3
FORMS = [
    form
    for form in itertools.product((1, 3), (0, 1, 2, COLUMNS), (0, 1, 2), *[(False, True)] * 3)
    if not (form[1] == COLUMNS and form[2])  # such memories do not rotate
    and not (form[1] in (0, COLUMNS) and form[3])  # and have no fixed decays
]


def sizes(writes, decays, rotations, has_probe):
    """Sizes of the operands of a head, in their order in a row."""
    decay, angles = (0, 1, DEPTH, WIDTH)[decays], DEPTH // 2 if rotations else 0
    probe, rate = (DEPTH, WIDTH) if has_probe else (0, 0)
    return [writes * WIDTH, writes * DEPTH, DEPTH, decay, angles, angles, probe, rate]


def fixed_parts(form):
    """Indices of the parts of a row that are fixed factors: decays, and angles without gradients."""
    _, _, rotations, has_fixed_decay, *_ = form
    return [3] * has_fixed_decay + [4, 5] * (rotations == 1)


def operands(rng, steps, form, updates=1):
    """Rows of operands and of factors, ``(steps, BATCH, HEADS * N)``.

    Decays include zero and values above one. Fixed factors are the same in every row of an update.
    """
    writes, decays, rotations, _, has_probe, _ = form
    widths = sizes(writes, decays, rotations, has_probe)
    parts = [rng.normal(size=(steps, BATCH, HEADS, width)) for width in widths]
    parts[3] = rng.uniform(-0.2, 1.2, parts[3].shape).clip(0)
    if decays == 2 and rotations:  # both rows of a pair decay alike
        parts[3][..., DEPTH // 2 :] = parts[3][..., : DEPTH // 2]
    angles = rng.normal(size=parts[4].shape)
    parts[4], parts[5] = np.cos(angles), np.sin(angles)
    for number in fixed_parts(form):
        parts[number][:] = parts[number][np.arange(steps) % updates, :1]
    return np.concatenate(parts, axis=-1).reshape(steps, BATCH, HEADS * sum(widths))


def rotated(S, cosine, sine):
    real, imag = np.split(S, 2)
    return np.concatenate([cosine * real - sine * imag, sine * real + cosine * imag])


def factors(decay, decays):
    """Decays of the elements of a memory."""
    return decay if decays == COLUMNS else decay[:, None] if decays else 1.0


def run_head(rows, S, dout, dlast, form):
    """Reads and the last memory of one head; the gradients of rows and of the first memory."""
    writes, decays, rotations, _, has_probe, query_first = form
    ends = np.cumsum(sizes(writes, decays, rotations, has_probe))[:-1]
    states, out, drows = [S], [], np.zeros_like(rows)
    for row in rows:
        value, key, query, decay, cosine, sine, probe, rate = np.split(row, ends)
        S, before = states[-1], states[-1]
        values, keys = value.reshape(writes, WIDTH).copy(), key.reshape(writes, DEPTH)
        if has_probe:
            values[-1] += rate * (probe @ S)
        S = rotated(S, cosine[:, None], sine[:, None]) if rotations else S
        S = factors(decay, decays) * S + keys.T @ values
        out.append(query @ (before if query_first else S))
        states.append(S)
    dS = dlast.copy()
    for t in reversed(range(len(rows))):
        value, key, query, decay, cosine, sine, probe, rate = np.split(rows[t], ends)
        dvalue, dkey, dquery, ddecay, dcosine, dsine, dprobe, drate = np.split(drows[t], ends)  # views
        before, after = states[t], states[t + 1]
        read = probe @ before if has_probe else 0.0
        written, keys = value.reshape(writes, WIDTH).copy(), key.reshape(writes, DEPTH)
        written[-1] += rate * read if has_probe else 0.0
        dquery[:] = (before if query_first else after) @ dout[t]
        dS = dS if query_first else dS + np.outer(query, dout[t])
        dkey[:], dwritten = (written @ dS.T).reshape(-1), keys @ dS
        dvalue[:] = dwritten.reshape(-1)
        same = rotated(before, cosine[:, None], sine[:, None]) if rotations else before
        if decays:
            product = dS * same
            ddecay[:] = product.sum({1: None, 2: 1, COLUMNS: 0}[decays])
        dS = factors(decay, decays) * dS
        if rotations:
            (real, imag), (dreal, dimag) = np.split(same, 2), np.split(dS, 2)
            dangle = (dimag * real - dreal * imag).sum(axis=1)
            if rotations == 2:
                dcosine[:], dsine[:] = -sine * dangle, cosine * dangle
            dS = rotated(dS, cosine[:, None], -sine[:, None])
        if query_first:
            dS = dS + np.outer(query, dout[t])
        if has_probe:
            drate[:], dread = dwritten[-1] * read, dwritten[-1] * rate
            dprobe[:] = before @ dread
            dS = dS + np.outer(probe, dread)
    return np.array(out), states[-1], drows, dS


def run_steps(rows, state, dout, dlast, form):
    """The same for all heads of all sequences, as the kernels return it."""
    steps = len(rows)

    def heads(array, *shape):
        return array.reshape(len(array), BATCH * HEADS, *shape).swapaxes(0, 1)

    memories = state.reshape(-1, DEPTH, WIDTH), dlast.reshape(-1, DEPTH, WIDTH)
    results = [
        run_head(*arguments, form)
        for arguments in zip(
            heads(rows, rows.shape[2] // HEADS), memories[0], heads(dout, WIDTH), memories[1], strict=True
        )
    ]
    out, last, drows, dstate = (np.array(each) for each in zip(*results, strict=True))
    return (
        out.swapaxes(0, 1).reshape(dout.shape),
        last.reshape(state.shape),
        drows.swapaxes(0, 1).reshape(steps, BATCH, -1),
        dstate.reshape(state.shape),
    )


def covering_forms():
    """Some forms, among which each pair of values of two settings occurs that occurs among all."""

    def pairs(form):
        return set(itertools.combinations(enumerate(form), 2))

    chosen, missing = [], set().union(*map(pairs, FORMS))
    while missing:
        chosen.append(max(FORMS, key=lambda form: len(pairs(form) & missing)))
        missing -= pairs(chosen[-1])
    return chosen


@pytest.mark.parametrize("steps", [1, 16, 37])
def test_compiled_passes_equal_the_steps_one_by_one(steps) -> None:
    compare_with_steps(covering_forms(), steps, "float64")


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_passes_equal_the_steps_one_by_one(dtype) -> None:
    """Layers in other tests compile in float32, which takes 5 s for each kind of decay."""
    compare_with_steps(FORMS[:: 2 if dtype == "float64" else 5], 21, dtype)


def compare_with_steps(forms, steps, dtype):
    rng = np.random.default_rng(steps)
    for form in forms:
        rows = operands(rng, steps, form)
        state, dlast = rng.normal(size=(2, BATCH, HEADS * DEPTH * WIDTH))
        dout = rng.normal(size=(steps, BATCH, HEADS * WIDTH))
        expected = run_steps(rows, state, dout, dlast, form)
        actual = run_kernels(*(each.astype(dtype) for each in (rows, state, dout, dlast)), form)
        for name, mine, theirs in zip(("out", "last", "drows", "dstate"), actual, expected, strict=True):
            assert mine.dtype == dtype
            if name == "drows":
                mine, theirs = of_pairs(mine, form), of_pairs(theirs, form)
            scale = np.abs(theirs).max()
            tolerance = (1e-13 if dtype == "float64" else 3e-5) * scale
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance, err_msg=f"{name} of {form}")


def of_pairs(drows, form):
    """Gradients of rows in which both rows of a pair that rotates have the sum of their decays' gradients.

    Those of fixed factors are zero.
    """
    writes, decays, rotations, *_ = form
    heads = drows.reshape(*drows.shape[:2], HEADS, -1)
    heads[..., is_fixed(form)] = 0
    if decays == 2 and rotations:
        first = writes * (DEPTH + WIDTH) + DEPTH
        pairs = heads[..., first : first + DEPTH].reshape(*heads.shape[:3], 2, -1)
        pairs[:] = pairs.sum(axis=3, keepdims=True)
    return drows


def is_fixed(form):
    """Whether each element of the row of a head is a fixed factor."""
    writes, decays, rotations, _, has_probe, _ = form
    fixed = [[number in fixed_parts(form)] for number in range(8)]
    return np.repeat(fixed, sizes(writes, decays, rotations, has_probe), axis=0).ravel()


def run_kernels(all_rows, state, dout, dlast, form, updates=1):
    """The kernels, in two blocks if there are several chunks; fixed factors have no gradients."""
    fixed, steps, out = is_fixed(form), len(all_rows), np.empty_like(dout)
    heads = all_rows.reshape(steps, BATCH, updates * HEADS, -1)
    rows = heads[..., ~fixed].reshape(steps, BATCH, -1)
    factors = np.ascontiguousarray(heads[0, 0][:, fixed]) if fixed.any() else None
    drows = np.zeros_like(rows)
    state, dstate = state.copy(), dlast.copy()
    memories = kernels.empty_memories(steps * updates, BATCH, HEADS, DEPTH * WIDTH, rows)
    forward, backward, flags = kernels.memory_forward, kernels.memory_backward, form
    given_factors = [factors]
    if form[1] == COLUMNS:
        forward, backward = kernels.column_memory_forward, kernels.column_memory_backward
        flags, given_factors = (form[0], *form[4:]), []
    blocks = [slice(first, min(first + 32, steps)) for first in range(0, steps, 32)]
    for block in blocks:
        given = rows[block], *given_factors, block.start, state, memories, out[block]
        call(forward, (*given, HEADS, updates), flags)
    for block in reversed(blocks):
        given = rows[block], *given_factors, memories, block.start, dstate, dout[block], drows[block]
        call(backward, (*given, HEADS, updates), flags)
    all_drows = np.zeros_like(heads)
    all_drows[..., ~fixed] = drows.reshape(*heads.shape[:3], -1)
    return out, state, all_drows.reshape(all_rows.shape), dstate


def call(kernel, arguments, flags):
    """Call a kernel, to which other kernels pass its flags as constants.

    Numba infers all types before it sees that a flag has to be a constant. A call from Python does so each
    time, for 15 ms on an AMD EPYC. Compiled code for these types and flags is therefore called without it.
    """
    types = tuple(map(numba.typeof, arguments))
    overloads = {} if is_pure_python() else getattr(kernel.dispatcher, "overloads", {})
    for signature, compiled in overloads.items():
        compiled_flags = (
            getattr(kind, "literal_value", flag)
            for kind, flag in zip(signature[len(types) :], flags, strict=True)
        )
        if (signature[: len(types)], (*compiled_flags,)) == (types, flags):
            compiled.entry_point(*arguments, *flags)
            return
    kernel(*arguments, *flags)


@pytest.mark.parametrize(("steps", "updates"), [(1, 2), (19, 2), (9, 4)])
def test_updates_of_a_step_equal_as_many_steps(steps, updates) -> None:
    rng = np.random.default_rng(updates)
    for form in covering_forms():
        query_first = form[-1]
        rows = operands(rng, steps * updates, form, updates)
        state, dlast = rng.normal(size=(2, BATCH, HEADS * DEPTH * WIDTH))
        all_dout = np.zeros((steps * updates, BATCH, HEADS * WIDTH))
        reading = slice(0 if query_first else updates - 1, None, updates)
        all_dout[reading] = rng.normal(size=all_dout[reading].shape)
        out, last, drows, dstate = run_steps(rows, state, all_dout, dlast, form)

        def as_updates(array):
            return array.reshape(steps, updates, BATCH, -1).swapaxes(1, 2).reshape(steps, BATCH, -1)

        actual = run_kernels(as_updates(rows), state, all_dout[reading].copy(), dlast, form, updates)
        mine = actual[2].reshape(steps, BATCH, updates, -1).swapaxes(1, 2).reshape(drows.shape)
        pairs = [(actual[0], out[reading]), (actual[1], last), (actual[3], dstate)]
        for value, expected in [*pairs, (of_pairs(mine, form), of_pairs(drows, form))]:
            np.testing.assert_allclose(value, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_planes_change_places() -> None:
    memories = np.arange(2 * 12.0).reshape(2, 12)
    exchanged = kernels.exchanged_planes(memories, 2, 3)
    np.testing.assert_array_equal(exchanged, memories.reshape(2, 2, 3, 2).swapaxes(1, 2).reshape(2, 12))
    np.testing.assert_array_equal(kernels.exchanged_planes(exchanged, 3, 2), memories)
