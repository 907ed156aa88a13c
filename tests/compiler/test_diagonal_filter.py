"""Diagonal filters: which steps have one, and that both passes equal the step and its differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo import kernels
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.ir.memory_ops import FilterForm
from zoo.compiler.passes.diagonal_filter import find_diagonal_filters

no_files = checks.no_files


class Real(zoo.Cell):
    """Two integrators in each channel, which are read with weights of their own."""

    W = zoo.Param("I", "2H+2", init="glorot_uniform")
    A = zoo.Param("2H+2", "2", init="ones")
    C = zoo.Param("2H+2", "2", init="ones")
    S = zoo.State("2H+2", "2")

    def keep(self, S, value):
        return zoo.sigmoid(self.A) * S

    def read(self, before, after):
        return np.sum(self.C * after, axis=1)

    def step(self, x, S):
        value = x @ self.W
        new = self.keep(S, value) + (1 - zoo.sigmoid(self.A)) * value[:, None]
        return zoo.Output(self.read(S, new) + value, new)


class Summed(Real):
    """All elements are read with one weight, and all channels have the same rates."""

    A = zoo.Param("2", init="ones")
    C = zoo.Param("1", init="ones")

    def read(self, before, after):
        return 0.5 * self.C * after.sum(axis=1)


class Rows(zoo.Cell):
    """Heads whose output sums over the rows; without a gradient of the factors."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    a = zoo.Buffer("2", "3", "H/2", init=lambda rng, shape: rng.uniform(-0.9, 0.9, shape))
    S = zoo.State("2", "3", "H/2")

    def step(self, x, S):
        S = self.a * S - (x @ self.W).reshape(2, 1, -1) / 2
        return zoo.Output(np.sum(S * self.a, axis=1).reshape(-1), S)


class Complex(zoo.Cell):
    """Complex poles, of which the imaginary part of a product is read."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    poles = zoo.Param(
        "H", "3", complex=True, init=lambda rng, shape: rng.normal(size=(*shape, 2)) @ [1, 1j] / 2
    )
    C = zoo.Param("H", "3", complex=True, init=lambda rng, shape: rng.normal(size=(*shape, 2)) @ [1, 1j])
    s = zoo.State("H", "3", complex=True)

    def read(self, s):
        return np.sum((self.C * s).imag, axis=1)

    def step(self, x, s):
        s = self.poles * s + (1 - self.poles) * (x @ self.W)[:, None]
        return zoo.Output(self.read(s), s)


class Selective(Real):
    """The decay depends on the input."""

    def keep(self, S, value):
        return zoo.sigmoid(self.A * value[:, None]) * S


class ReadsBefore(Real):
    """The output reads the state before the step."""

    def read(self, before, after):
        return np.sum(self.C * before, axis=1)


class ReadsTwice(Real):
    """Two sums."""

    def read(self, before, after):
        return np.sum(self.C * after, axis=1) + after.max(axis=1)


class Nonlinear(Real):
    """The state is no linear function of the one before."""

    def keep(self, S, value):
        return np.tanh(self.A * S)


class Conjugated(Complex):
    """The state is conjugated, which no complex factor does."""

    def step(self, x, s):
        s = self.poles * np.conj(s) + (x @ self.W)[:, None]
        return zoo.Output(self.read(s), s)


def cell_of(name, **options):
    return zoo.get_cell(name, **options) if isinstance(name, str) else name()


def forms_of(name, **options):
    memories = find_diagonal_filters(trace_step(cell_of(name, **options))).memories
    return {state: node.attr for state, node in memories.items()}


@pytest.mark.parametrize(
    ("name", "state", "heads", "planes", "rows", "width", "transposed"),
    [
        ("s4d", "s", "1", 2, "32", "H", True),
        (Real, "S", "1", 1, "2", "2 * H + 2", True),
        (Summed, "S", "1", 1, "2", "2 * H + 2", True),
        (Rows, "S", "2", 1, "3", "H // 2", False),
        (Complex, "s", "1", 2, "3", "H", True),
    ],
)
def test_filters_are_recognised(name, state, heads, planes, rows, width, transposed) -> None:
    form = forms_of(name)[state]
    assert isinstance(form, FilterForm)
    sizes = str(form.heads), str(form.rows), str(form.width)
    assert (*sizes, form.planes, form.transposed) == (heads, rows, width, planes, transposed)


@pytest.mark.parametrize(
    "name", [Selective, ReadsBefore, ReadsTwice, Nonlinear, Conjugated, "gla", "mamba", "lru", "s5"]
)
def test_other_states_stay_as_they_are(name) -> None:
    assert not forms_of(name)


@pytest.mark.parametrize(
    ("name", "options", "sizes", "steps", "batch"),
    [
        ("s4d", {"order": 4}, (3, 6), 5, 2),
        (Real, {}, (3, 4), 3, 2),
        (Summed, {}, (2, 3), 1, 1),
        (Rows, {}, (3, 4), 5, 2),
        (Complex, {}, (2, 3), 5, 2),
        (Conjugated, {}, (2, 3), 3, 1),
    ],
)
def test_both_passes_equal_the_step_and_its_differences(
    name, options, sizes, steps, batch, monkeypatch
) -> None:
    assert bool(forms_of(name, **options)) == (name is not Conjugated)
    checks.set_chunk(monkeypatch, 2)
    monkeypatch.setattr("zoo.kernels.diagonal_filter.COLUMNS", 4)
    checks.check(checks.trial(cell_of(name, **options), sizes, steps, batch))


@zoo.njit
def compiled_filter(rows, factors, state, states, out, planes):
    kernels.filter_forward(rows, factors, 0, state, states, out, 2, planes)


@zoo.njit
def compiled_gradient(rows, factors, states, dstate, dout, drows, dfactors, planes):
    kernels.filter_backward(rows, factors, states, 0, dstate, dout, drows, dfactors, 2, planes)


@pytest.mark.parametrize("planes", [1, 2])
def test_compiled_kernels_equal_the_plain_ones(planes: int) -> None:
    """Chunks of 16 steps and a rest, rows longer than a vector and a rest, two heads."""
    rng = np.random.default_rng(planes)
    steps, batch, depth, width = 19, 2, 3, 21
    rows, dout = rng.normal(size=(2, steps, batch, 2 * width))
    factors = rng.uniform(-0.7, 0.7, (6 * planes, depth, width))
    state, dstate = rng.normal(size=(2, batch, 2 * planes * depth * width))

    def run():
        new, states, out = state.copy(), np.zeros((2, *state.shape)), np.empty(dout.shape)
        compiled_filter(rows, factors, new, states, out, planes)
        before, drows, dfactors = dstate.copy(), np.empty(rows.shape), np.zeros(factors.shape)
        compiled_gradient(rows, factors, states, before, dout, drows, dfactors, planes)
        return new, out, before, drows, dfactors

    with kernels.pure_python():
        expected = run()
    for actual, plain in itertools.zip_longest(run(), expected):
        np.testing.assert_allclose(actual, plain, rtol=1e-10, atol=1e-12)
