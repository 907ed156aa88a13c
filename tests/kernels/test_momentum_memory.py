"""Matrix memories with momentum: the compiled passes equal the steps one by one, and their derivatives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from zoo import kernels

BATCH, HEADS, DEPTH, WIDTH = 2, 3, 6, 5
FORMS = list(itertools.product((False, True), repeat=2))


def sizes(has_probe):
    """Sizes of the operands of a head, in their order in a row."""
    return [WIDTH, DEPTH, DEPTH, 1, 1, 1, *([DEPTH, WIDTH] if has_probe else [0, 0])]


def run_head(rows, M, P, dout, dM, dP, has_probe, query_first):
    """Reads and the last matrices of one head; the gradients of rows and of the first matrices."""
    ends = np.cumsum(sizes(has_probe))[:-1]
    states, out, drows = [(M, P)], [], np.zeros_like(rows)
    for row in rows:
        value, key, query, decay, keep, gain, probe, rate = np.split(row, ends)
        before = M
        u = value + rate * (probe @ M) if has_probe else value
        P = keep * P + np.outer(key, u)
        M = decay * M + gain * P
        out.append(query @ (before if query_first else M))
        states.append((M, P))
    for t in reversed(range(len(rows))):
        value, key, query, decay, keep, gain, probe, rate = np.split(rows[t], ends)
        dvalue, dkey, dquery, ddecay, dkeep, dgain, dprobe, drate = np.split(drows[t], ends)  # views
        (M, P), (new_M, new_P) = states[t], states[t + 1]
        u = value + rate * (probe @ M) if has_probe else value
        dquery[:] = (M if query_first else new_M) @ dout[t]
        if not query_first:
            dM = dM + np.outer(query, dout[t])
        ddecay[:], dgain[:] = (dM * M).sum(), (dM * new_P).sum()
        dP = dP + gain * dM
        dM = decay * dM
        dkeep[:] = (dP * P).sum()
        dkey[:], dvalue[:] = dP @ u, key @ dP
        if query_first:
            dM = dM + np.outer(query, dout[t])
        if has_probe:
            drate[:], dread = dvalue * (probe @ M), dvalue * rate
            dprobe[:] = M @ dread
            dM = dM + np.outer(probe, dread)
        dP = keep * dP
    return np.array(out), *states[-1], drows, dM, dP


def heads(array, *shape):
    """The rows of each head of each sequence."""
    return array.reshape(len(array), BATCH * HEADS, *shape).swapaxes(0, 1)


@pytest.mark.parametrize("steps", [1, 16, 37])
def test_compiled_passes_equal_the_steps_one_by_one(steps) -> None:
    compare_with_steps(steps, "float64")


@pytest.mark.usefixtures("plain_python")
def test_passes_in_float32() -> None:
    compare_with_steps(37, "float32")


def compare_with_steps(steps, dtype):
    rng = np.random.default_rng(steps)
    for form in FORMS:
        parts = [rng.normal(size=(steps, BATCH, HEADS, size)) for size in sizes(form[0])]
        parts[3:6] = [rng.uniform(-0.2, 1.2, parts[3].shape).clip(0) for _ in range(3)]
        rows = np.concatenate(parts, axis=-1).reshape(steps, BATCH, -1)
        matrices = rng.normal(size=(4, BATCH, HEADS * DEPTH * WIDTH))
        dout = rng.normal(size=(steps, BATCH, HEADS * WIDTH))
        M, P, dM, dP = matrices.reshape(4, BATCH * HEADS, DEPTH, WIDTH)
        given = zip(heads(rows, rows.shape[2] // HEADS), M, P, heads(dout, WIDTH), dM, dP, strict=True)
        expected = [np.array(each) for each in zip(*(run_head(*each, *form) for each in given), strict=True)]
        actual = run_kernels(*(each.astype(dtype) for each in (rows, dout, *matrices)), form)
        names = "out", "M", "P", "drows", "dM", "dP"
        for name, mine, theirs in zip(names, actual, expected, strict=True):
            assert mine.dtype == dtype
            if name in ("out", "drows"):
                theirs = theirs.swapaxes(0, 1)
            theirs = theirs.reshape(mine.shape)
            tolerance = (1e-13 if dtype == "float64" else 3e-5) * np.abs(theirs).max()
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance, err_msg=f"{name} of {form}")


def run_kernels(rows, dout, M, P, dM, dP, form):
    """The kernels, in two blocks if there are several chunks."""
    steps, out, drows = len(rows), np.empty_like(dout), np.zeros_like(rows)
    M, P, dM, dP = (each.copy() for each in (M, P, dM, dP))
    saved = [kernels.empty_memories(steps, BATCH, HEADS, DEPTH * WIDTH, rows) for _ in range(2)]
    blocks = [slice(first, min(first + 32, steps)) for first in range(0, steps, 32)]
    for block in blocks:
        kernels.momentum_memory_forward(rows[block], block.start, M, P, *saved, out[block], HEADS, *form)
    for block in reversed(blocks):
        given = rows[block], *saved, block.start, dM, dP, dout[block], drows[block]
        kernels.momentum_memory_backward(*given, HEADS, *form)
    return out, M, P, drows, dM, dP
