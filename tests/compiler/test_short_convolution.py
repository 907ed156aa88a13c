"""Short convolutions: which steps have one, and that both passes equal the step and its differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo import kernels
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import explain
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.ir.memory_ops import ConvolutionForm
from zoo.compiler.passes.short_convolution import find_short_convolutions

no_files = checks.no_files


class Convolved(zoo.Cell):
    """A convolution of two steps before a recurrence."""

    W = zoo.Param("I", "H+1", init="glorot_uniform")
    taps = zoo.Param("2", "H+1", init="ones")
    u = zoo.Param("H+1", init="ones")
    h, past = zoo.State("H+1"), zoo.State("1", "H+1")

    def value(self, x, h):
        return x @ self.W

    def convolve(self, value, past):
        return zoo.short_convolution(value, past, self.taps)

    def step(self, x, h, past):
        value, past = self.convolve(self.value(x, h), past)
        h = np.tanh(value + self.u * h)
        return zoo.Output(h, h, past)


class Part(Convolved):
    """A part of a product is convolved, and the gradient needs one of the other parts only."""

    W = zoo.Param("I", "3H+3", init="glorot_uniform")

    def step(self, x, h, past):
        value, gate, added = zoo.split(x @ self.W, 3)
        value, past = self.convolve(value, past)
        h = np.tanh(value + self.u * h)
        return zoo.Output(h * np.tanh(gate) + added, h, past)


class LastAxis(Convolved):
    """Time is the last axis, one weight serves all features, and the new state is joined by hand."""

    taps = zoo.Param("4", init="ones")
    past = zoo.State("H+1", "3")

    def convolve(self, value, past):
        window = np.concatenate([past, value[:, None]], axis=1)
        new = np.concatenate([past[:, 1:], value[:, None]], axis=1)
        return np.sum(window * zoo.sigmoid(self.taps), axis=1), new


class Einsum(Convolved):
    """The sum is an einsum."""

    taps, past = zoo.Param("3", "H+1", init="ones"), zoo.State("2", "H+1")

    def convolve(self, value, past):
        window = np.concatenate([past, value[None]])
        return np.einsum("wn,wn->n", self.taps, window), window[1:]


class Matrices(zoo.Cell):
    """The values are matrices, and the weights are fixed."""

    W = zoo.Param("I", "4H", init="glorot_uniform")
    taps = zoo.Buffer("3", "1", "2H", init=lambda rng, shape: rng.normal(size=shape))
    past = zoo.State("2", "2", "2H")

    def step(self, x, past):
        value, past = zoo.short_convolution((x @ self.W).reshape(2, -1), past, self.taps)
        return zoo.Output(value.reshape(-1), past)


class Chained(zoo.Cell):
    """A convolution of a function of another, which stands after it, and a matrix memory of the result."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    first, second = zoo.Param("2", "H", init="ones"), zoo.Param("3", "H", init="ones")
    S, past, before = zoo.State("H", "H"), zoo.State("2", "H"), zoo.State("1", "H")

    def step(self, x, S, past, before):
        value, before = zoo.short_convolution(x @ self.W, before, self.first)
        value, past = zoo.short_convolution(np.tanh(value), past, self.second)
        S = 0.5 * S + zoo.outer(value, np.tanh(value))
        return zoo.Output(value @ S, S, past, before)


class OfOutput(Convolved):
    """A convolution of the hidden state, which nothing but the output reads."""

    def step(self, x, h, past):
        h = np.tanh(x @ self.W + self.u * h)
        value, past = self.convolve(h, past)
        return zoo.Output(value, h, past)


class AfterDelay(Convolved):
    """The value depends on the input of the last step, which no product reads."""

    last = zoo.State("H+1")

    def step(self, x, h, past, last):
        value, past = self.convolve(x @ self.W + np.tanh(last), past)
        h = np.tanh(value + self.u * h)
        return zoo.Output(h, h, past, x @ self.W)


class Recurrent(Convolved):
    """The value depends on a state that depends on the sum."""

    def value(self, x, h):
        return x @ self.W + h


class ReadsTwice(Convolved):
    """Two sums over one window."""

    def convolve(self, value, past):
        once, new = super().convolve(value, past)
        return once * np.sum(np.concatenate([past, value[None]]) * self.u, axis=0), new


class NewestFirst(Convolved):
    """The last value comes first."""

    def convolve(self, value, past):
        window = np.concatenate([value[None], past])
        return np.sum(window * self.taps, axis=0), window[:-1]


class Kept(Convolved):
    """The state keeps its oldest value."""

    taps, past = zoo.Param("3", "H+1", init="ones"), zoo.State("2", "H+1")

    def convolve(self, value, past):
        window = np.concatenate([past, value[None]])
        return np.sum(window * self.taps, axis=0), np.concatenate([past[:1], value[None]])


class Selective(Convolved):
    """The weights depend on the input."""

    def convolve(self, value, past):
        return zoo.short_convolution(value, past, self.taps * np.tanh(value))


CONVOLVED = [Convolved, Part, LastAxis, Einsum, Matrices, Chained, OfOutput, AfterDelay]
OTHERS = [Recurrent, ReadsTwice, NewestFirst, Kept, Selective]


def cell_of(name):
    return zoo.get_cell(name) if isinstance(name, str) else name()


def forms_of(name):
    memories = find_short_convolutions(trace_step(cell_of(name))).memories
    return {state: node.attr for state, node in memories.items()}


@pytest.mark.parametrize(
    ("name", "state", "rows", "width", "transposed"),
    [
        (Convolved, "past", "1", "H + 1", False),
        (Part, "past", "1", "H + 1", False),
        (LastAxis, "past", "3", "H + 1", True),
        (Einsum, "past", "2", "H + 1", False),
        (Matrices, "past", "2", "4 * H", False),
        (Chained, "past", "2", "H", False),
        (Chained, "before", "1", "H", False),
        (OfOutput, "past", "1", "H + 1", False),
        (AfterDelay, "past", "1", "H + 1", False),
        ("mamba", "past", "3", "2 * H", False),
        ("longhorn", "past", "3", "2 * H", False),
        ("slstm(lstm)", "block_past", "3", "H", False),
    ],
)
def test_convolutions_are_recognised(name, state, rows, width, transposed) -> None:
    form = forms_of(name)[state]
    assert isinstance(form, ConvolutionForm)
    assert (str(form.rows), str(form.width), form.transposed) == (rows, width, transposed)


@pytest.mark.parametrize("name", [*OTHERS, "gla", "s4d", "rwkv4", "qrnn"])
def test_other_states_stay_as_they_are(name) -> None:
    assert not forms_of(name)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (
            NewestFirst,
            "step does not append a value to it, oldest first, and return all but the oldest",
        ),
        (Kept, "step does not append a value to it, oldest first, and return all but the oldest"),
        (Selective, "no sum over the steps of its window has weights that are the same at every step"),
        (ReadsTwice, "something else reads it, too"),
    ],
)
def test_explanation_has_the_reason_why_a_window_is_no_convolution(cell, reason) -> None:
    assert explain(cell()).step_by_step == (f"past is not a short convolution: {reason}.",)


def test_window_is_not_saved() -> None:
    tape = plan_kernels(zoo.get_cell("mamba")).tape
    assert "past_memories" in {array.name for array in tape}
    assert "window_all" not in {array.name for array in tape}


@pytest.mark.parametrize("cell", [*CONVOLVED, *OTHERS])
@pytest.mark.parametrize(("sizes", "steps", "batch"), [((3, 4), 7, 2), ((2, 3), 1, 3), ((2, 3), 2, 1)])
def test_both_passes_equal_the_step_and_its_differences(cell, sizes, steps, batch, monkeypatch) -> None:
    checks.set_chunk(monkeypatch, 2)
    checks.check(checks.trial(cell(), sizes, steps, batch))


@zoo.njit
def compiled_convolution(rows, taps, state, states, out):
    kernels.convolution_forward(rows[:16], taps, 0, state, states, out[:16], len(taps))
    kernels.convolution_forward(rows[16:], taps, 16, state, states, out[16:], len(taps))


@zoo.njit
def compiled_gradient(rows, taps, states, dstate, dout, drows, dtaps):
    for start, stop in ((16, len(rows)), (0, 16)):
        kernels.convolution_backward(
            rows[start:stop],
            taps,
            states,
            start,
            dstate,
            dout[start:stop],
            drows[start:stop],
            dtaps,
            len(taps),
        )


@pytest.mark.parametrize("width", [2, 4, 7])
@pytest.mark.parametrize(("steps", "batch"), [(17, 2), (18, 2), (16, 1), (18, 0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_kernels_equal_the_plain_ones(steps: int, batch: int, width: int, dtype: str) -> None:
    """Two blocks, of which the second has no step, or fewer than a window; rows longer than a vector."""
    rng = np.random.default_rng(width)
    size = 37
    rows, dout = rng.normal(size=(2, steps, batch, size)).astype(dtype)
    taps = rng.normal(size=(width, size)).astype(dtype)
    state, dstate = rng.normal(size=(2, batch, (width - 1) * size)).astype(dtype)

    def run():
        new, states, out = state.copy(), np.zeros((2, *state.shape), dtype), np.empty_like(dout)
        compiled_convolution(rows, taps, new, states, out)
        before, drows, dtaps = dstate.copy(), np.empty_like(rows), np.zeros_like(taps)
        compiled_gradient(rows, taps, states, before, dout, drows, dtaps)
        return new, out, before, drows, dtaps

    with kernels.pure_python():
        expected = run()
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for actual, plain in itertools.zip_longest(run(), expected):
        np.testing.assert_allclose(actual, plain, rtol=tolerance, atol=tolerance)
