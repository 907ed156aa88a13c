"""Selective scans: which steps have one, and that both passes equal the step and its differences."""

from __future__ import annotations

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo import kernels
from zoo.compiler.compile import plan_kernels
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.ir.dims import product
from zoo.compiler.ir.memory_ops import ScanForm
from zoo.compiler.passes.selective_scan import find_selective_scans
from zoo.kernels.memory_chunk import CHUNK

no_files = checks.no_files


class Selective(zoo.Cell):
    """Channels with integrators, as in Mamba."""

    W = zoo.Param("I", "2H+2", init="glorot_uniform")
    V = zoo.Param("I", "4", init="glorot_uniform")
    A = zoo.Param("2H+2", "2", init="ones")
    S = zoo.State("2H+2", "2")

    def decay(self, time):
        return np.exp(-np.exp(self.A) * time[:, None])

    def time(self, value, S):
        return zoo.softplus(value)

    def read(self, before, after, query):
        return after @ query

    def step(self, x, S):
        value = x @ self.W
        key, query = zoo.split(x @ self.V, 2)
        new = self.decay(self.time(value, S)) * S + zoo.outer(value, key)
        return zoo.Output(self.read(S, new, query), new)


class PlainRates(Selective):
    """The rates are the parameter, and the time step is negative."""

    def decay(self, time):
        return np.exp(self.A * -time[:, None])


class ReadsBefore(Selective):
    """The query reads the state before the update."""

    def read(self, before, after, query):
        return before @ query


class RatesOfRows(Selective):
    """The rates are the same in all channels."""

    A = zoo.Param("2", init="ones")

    def decay(self, time):
        return np.exp(-zoo.outer(time, zoo.softplus(self.A)))


class FixedRates(zoo.Cell):
    """Heads with rates in a buffer, transposed, without a gradient."""

    W = zoo.Param("I", "3H", init="glorot_uniform")
    b = zoo.Param("2", init="ones")
    rates = zoo.Buffer("H/2", "2", "H/2", init=lambda rng, shape: -rng.uniform(0, 2, shape))
    S = zoo.State("2", "H/2", "H/2")

    def step(self, x, S):
        key, value, query = (part.reshape(2, -1) for part in zoo.split(np.tanh(x @ self.W), 3))
        time = self.b[:, None] * zoo.sigmoid(value)
        decay = np.exp(self.rates.transpose(1, 0, 2) * time[:, None])
        S = key[:, :, None] * value[:, None] + decay * S
        return zoo.Output(np.einsum("hk,hkd->hd", query, S).reshape(-1), S)


class SumInExponent(Selective):
    """The exponent has a second term."""

    def decay(self, time):
        return np.exp(-np.exp(self.A) * time[:, None] + self.A)


class FixedDecay(Selective):
    """The decay is the same at every step."""

    def decay(self, time):
        return np.exp(-np.exp(self.A))


class ScaledDecay(Selective):
    """The decay has a second factor."""

    def decay(self, time):
        return 0.5 * super().decay(time)


class ReadsTwice(Selective):
    """Two queries."""

    def read(self, before, after, query):
        return after @ query + after.sum(axis=1)


class NeedsItself(Selective):
    """The time depends on the state."""

    def time(self, value, S):
        return zoo.sigmoid(S.sum(axis=1))


def cell_of(name, **options):
    return zoo.get_cell(name, **options) if isinstance(name, str) else name()


def forms_of(name, **options):
    memories = find_selective_scans(trace_step(cell_of(name, **options))).memories
    return {state: node.attr for state, node in memories.items()}


@pytest.mark.parametrize(
    ("name", "state", "depth", "width", "query_first"),
    [
        ("mamba", "h", "16", "2 * H", False),
        (Selective, "S", "2", "2 * H + 2", False),
        (PlainRates, "S", "2", "2 * H + 2", False),
        (ReadsBefore, "S", "2", "2 * H + 2", True),
        (RatesOfRows, "S", "2", "2 * H + 2", False),
    ],
)
def test_scans_are_recognised(name, state, depth, width, query_first) -> None:
    form = forms_of(name)[state]
    assert isinstance(form, ScanForm)
    expected = ("1", depth, width, query_first, True)
    assert (str(form.heads), str(form.depth), str(form.width), form.query_first, form.transposed) == expected


def test_heads_are_recognised() -> None:
    form = forms_of(FixedRates)["S"]
    sizes = str(form.heads), str(form.depth), str(form.width)
    assert (*sizes, form.transposed) == ("2", "H // 2", "H // 2", False)


@pytest.mark.parametrize(
    "name", [SumInExponent, FixedDecay, ScaledDecay, ReadsTwice, NeedsItself, "gla", "s4d"]
)
def test_other_states_stay_as_they_are(name) -> None:
    assert not forms_of(name)


@pytest.mark.parametrize(
    ("name", "options", "sizes", "steps", "batch"),
    [
        ("mamba", {"order": 3, "rank": 2, "width": 2}, (3, 2), 5, 2),
        (Selective, {}, (3, 4), 3, 2),
        (PlainRates, {}, (2, 3), 1, 1),
        (ReadsBefore, {}, (2, 3), 5, 2),
        (RatesOfRows, {}, (2, 3), 3, 2),
        (FixedRates, {}, (3, 4), 5, 2),
        (SumInExponent, {}, (2, 2), 2, 1),
        (ScaledDecay, {}, (2, 2), 2, 1),
    ],
)
def test_both_passes_equal_the_step_and_its_differences(
    name, options, sizes, steps, batch, monkeypatch
) -> None:
    assert bool(forms_of(name, **options)) == (name not in (SumInExponent, ScaledDecay))
    checks.set_chunk(monkeypatch, 2)
    checks.check(checks.trial(cell_of(name, **options), sizes, steps, batch))


def test_the_tape_has_neither_decays_nor_states_of_all_steps() -> None:
    step_graph, arrays = trace_step(Selective()), plan_kernels(Selective()).tape
    assert [array.memory for array in arrays if array.memory] == ["S"]
    sizes = [product(node.shape) for array in arrays for node in array.nodes]
    assert product(step_graph.states["S"].shape) not in sizes


@zoo.njit
def compiled_scan(rows, rates, state, states, out, heads, query_first):
    kernels.scan_forward(rows, rates, 0, state, states, out, heads, query_first)


@zoo.njit
def compiled_gradient(rows, rates, states, dstate, dout, drows, drates, heads, query_first):
    kernels.scan_backward(rows, rates, states, 0, dstate, dout, drows, drates, heads, query_first)


@pytest.mark.parametrize("query_first", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 4e-6)])
@pytest.mark.parametrize(
    ("steps", "batch", "heads", "depth", "width", "max_rate"),
    [
        (19, 2, 2, 3, 21, 3.0),
        (1, 1, 1, 1, 1, 3.0),
        (16, 1, 1, 16, 64, 3.0),
        (33, 3, 1, 5, 8, 3.0),
        (7, 2, 3, 4, 17, 900.0),  # decays that underflow
    ],
)
def test_compiled_kernels_equal_the_plain_ones(
    dtype, tolerance, steps, batch, heads, depth, width, max_rate, query_first
) -> None:
    """Whole chunks and a rest, rows of whole vectors and a rest, blocks of rows and a rest."""
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 1, (steps, batch, heads * (2 * width + 2 * depth))).astype(dtype)
    rates = -rng.uniform(0, max_rate, (heads, depth, width)).astype(dtype)
    dout = rng.normal(size=(steps, batch, heads * width)).astype(dtype)
    state, dstate = rng.normal(size=(2, batch, heads * depth * width)).astype(dtype)
    chunks = -(-steps // CHUNK)

    def run():
        new, states = state.copy(), np.zeros((chunks, *state.shape), dtype)
        out, drows = np.empty_like(dout), np.empty_like(rows)
        compiled_scan(rows, rates, new, states, out, heads, query_first)
        before, drates = dstate.copy(), np.zeros_like(rates)
        compiled_gradient(rows, rates, states, before, dout, drows, drates, heads, query_first)
        return new, out, before, drows, drates

    with kernels.pure_python():
        expected = run()
    for actual, plain in zip(run(), expected, strict=True):
        scale = max(1.0, np.abs(plain).max())
        np.testing.assert_allclose(actual, plain, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("query_first", [False, True])
def test_extreme_decays_are_zero_and_infinite(query_first: bool) -> None:
    rows = np.zeros((3, 1, 2 * 9 + 2), np.float32)
    rows[..., :10] = 1  # value and key
    rows[..., 10] = 1  # query
    time = np.array([0, 1, -1, 80, -80, 1e4, -1e4, np.nan, np.inf], np.float32)
    rows[..., 11:] = time
    rates, state = np.ones((1, 1, 9), np.float32), np.ones((1, 9), np.float32)
    states, out = np.zeros((1, 1, 9), np.float32), np.empty((3, 1, 9), np.float32)
    compiled_scan(rows, rates, state, states, out, 1, query_first)
    with np.errstate(over="ignore"):
        decay = np.exp(time[:6])
        expected = decay * (decay * (decay + 1) + 1) + 1
    np.testing.assert_allclose(state[0, :6], expected, rtol=1e-5)
    assert state[0, 6] == 1
    assert np.isnan(state[0, 7])
    assert state[0, 8] == np.inf


def test_blocks_of_steps_equal_one_block() -> None:
    """Two calls, for the first chunk and for the rest."""
    rng = np.random.default_rng(1)
    rows, rates = rng.uniform(0, 1, (21, 2, 24)), -rng.uniform(0, 3, (1, 3, 9))
    dout = rng.normal(size=(21, 2, 9))
    start, end = rng.normal(size=(2, 2, 27))

    def run(*blocks: slice) -> list[np.ndarray]:
        state, states, out = start.copy(), np.zeros((2, *start.shape)), np.empty_like(dout)
        dstate, drows, drates = end.copy(), np.empty_like(rows), np.zeros_like(rates)
        for block in blocks:
            kernels.scan_forward(rows[block], rates, block.start, state, states, out[block], 1, False)
        for block in reversed(blocks):
            kernels.scan_backward(
                rows[block], rates, states, block.start, dstate, dout[block], drows[block], drates, 1, False
            )
        return [state, out, dstate, drows, drates]

    *whole, whole_rates = run(slice(0, 21))
    *parts, part_rates = run(slice(0, CHUNK), slice(CHUNK, 21))
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(whole_rates, part_rates, rtol=1e-12)  # other order of sums over sequences
