"""Sampling one stream: the walk of every cell, the draw, and the loop that joins them."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import numpy as np
import pytest
import step_asserts as checks
from hypothesis import given, note, settings
from hypothesis import strategies as st
from kitchen_sink_cell import Rich
from random_steps import SIZES, Program
from step_strategies import programs

import zoo
from zoo import LanguageModel, kernels
from zoo.base import Chain
from zoo.compiler.cell_kernels import decode_step
from zoo.compiler.codegen.source_module import load_source
from zoo.errors import UsageError
from zoo.kernels.random import uniform
from zoo.kernels.sampling import sampling_buffer
from zoo.model import as_chain, generate, sampling
from zoo.model.sampling import DecoderLoop

no_files = checks.no_files  # the modules of random programs

VOCAB = "abcde"
TOKENS = np.array([0, 3, 1, 1, 4, 2, 0], np.int32)
CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")


def small(cell, layers=1, dtype="float64", **arguments):
    return LanguageModel(VOCAB, cell, hidden_size=8, num_layers=layers, dtype=dtype, seed=3, **arguments)


def stepwise(model, prompt, length, chain, seed=0):
    """The text as a loop over ``model.logits`` makes it."""
    tokens = [VOCAB.index(symbol) for symbol in prompt]
    logits, state = model.logits(np.array(tokens)[:, None])
    for n in range(length):
        tokens.append(chain(logits[-1, 0], uniform(seed, n)))
        logits, state = model.logits([[tokens[-1]]], state)
    return "".join(VOCAB[token] for token in tokens)


def assert_follows(model):
    """After every token, the logits of a stream are those of the model."""
    expected, _ = model.logits(TOKENS[:, None])
    stream = DecoderLoop(model, Chain(), 0)
    for n in range(TOKENS.size):
        stream.feed(TOKENS[n : n + 1])
        tolerance = (
            {"rtol": 1e-4, "atol": 1e-6} if model.dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-12}
        )
        np.testing.assert_allclose(
            stream._logits[0], expected[n, 0], **tolerance, err_msg=f"{model.cell.name}, step {n}"
        )


# ---- walks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.list_cells())
def test_decoder_loop_equals_the_model(name):
    with kernels.pure_python():
        assert_follows(small(name, 2))


def test_compiled_decoder_loop_equals_the_model():
    assert_follows(small("gru", 2, "float32"))  # other tests compile its kernels


@settings(deadline=None, max_examples=150)
@given(program=programs(), sizes=st.sampled_from(SIZES[:3]), steps=st.integers(1, 3), seed=st.integers(0, 99))
def test_decode_steps_of_random_programs_equal_the_step(
    program: Program, sizes: dict[str, int], steps: int, seed: int
) -> None:
    note(program.source())
    case = checks.trial(program.cell(), (sizes["I"], sizes["H"]), steps, 1, seed)
    expected, _ = case.reference(case.x)
    decoder, x = decode_step(case.cell), np.zeros((1, 1, sizes["I"]))
    params, _, state, *inputs = case._arguments(case.x, "float64")
    now = [tuple(each[:1].copy() for each in group) for group in inputs]
    with kernels.pure_python(), np.errstate(all="ignore"):
        y, kept = decoder.prepare(params, x, state, *now)
        for t in range(steps):
            x[:] = case.x[t]
            for group, at_t in zip(inputs, now, strict=True):
                for each, target in zip(group, at_t, strict=True):
                    target[:] = each[t]
            decoder.advance(kept)
            np.testing.assert_allclose(y[0], expected[t], rtol=1e-9, atol=1e-9, err_msg=f"step {t}")


def test_decoder_does_not_change_states_and_parameters():
    decoder, rng = decode_step(zoo.get_cell("lstm")), np.random.default_rng(0)
    params = tuple(rng.normal(size=shape) for shape in zoo.get_cell("lstm").param_shapes(5, 4).values())
    state, token = (rng.normal(size=(1, 4)), rng.normal(size=(1, 4))), np.zeros((1, 1), np.int32)
    before = [array.copy() for array in (*params, *state)]
    with kernels.pure_python():
        _, kept = decoder.prepare(params, token, state)
        decoder.advance(kept)
    for array, copy in zip((*params, *state), before, strict=True):
        np.testing.assert_array_equal(array, copy)


# ---- cells that bring their kernels -------------------------------------------------------------------


@zoo.njit
def scaled_forward(params, x, state, gain):
    W, b = params
    (h0,) = state
    h = kernels.project(x, W, b)
    before = h0
    for t in range(h.shape[0]):
        for r in range(h.shape[1]):
            for i in range(h.shape[2]):
                h[t, r, i] = kernels.tanh(h[t, r, i] + before[r, i] * h.dtype.type(gain))
        before = h[t]
    return h, (before.copy(),), (h,)


@zoo.njit
def scaled_backward(params, x, state, tape, dy, dlast, gain):
    raise NotImplementedError


class Scaled(zoo.Cell):
    """h' = tanh(x W + b + gain h), without a step."""

    card = CARD
    W, b, h = zoo.Param("I", "H", init="glorot_uniform"), zoo.Param("H", init="ones"), zoo.State("H")
    gain = zoo.Option(0.5)
    forward, backward = scaled_forward, scaled_backward


class Unreadable(Scaled):
    """The same with a step that NumPy can run, and zoo cannot compile."""

    def step(self, x, h):
        a = x @ self.W + self.b + self.options["gain"] * h
        return np.tanh(np.array([float(each) for each in a]))


@pytest.mark.parametrize("cell", [Scaled, Unreadable])
def test_cells_without_compilable_step_decode_with_forward(cell):
    assert not decode_step(cell()).compiled
    with kernels.pure_python():
        assert_follows(small(cell(gain=0.25), 2))


class Bare(zoo.Cell):
    """The kernels of Rich, in plain NumPy, and no step."""

    card = CARD
    radius = Rich.declared_options["radius"]
    W, D, A = Rich.params["W"], Rich.params["D"], Rich.buffers["A"]
    h, z, n, dt = *Rich.states.values(), Rich.inputs["dt"]
    forward, backward = Rich.__dict__["forward"], Rich.__dict__["backward"]


@pytest.mark.parametrize("cell", [Rich, Bare])
def test_buffers_inputs_complex_and_discrete_states(cell):
    assert decode_step(cell()).compiled == (cell is Rich)
    with kernels.pure_python():
        assert_follows(small(cell))


def test_python_kernels_are_called_from_python():
    model = small(Bare)
    with kernels.pure_python():
        assert model.sample("ab", 9, seed=1) == stepwise(model, "ab", 9, Chain(), seed=1)


# ---- the draw -----------------------------------------------------------------------------------------


LAST = 1.0 - 2.0**-53
uniforms = st.integers(0, 2**53 - 1).map(lambda n: n * 2.0**-53) | st.sampled_from([0.0, LAST])
score_lists = st.lists(
    st.integers(-160, 160).map(lambda n: n / 8) | st.just(-np.inf), min_size=1, max_size=70
)


def drawn(scores, u, dtype):
    scores = np.array(scores, dtype)
    return kernels.sample_softmax(scores, sampling_buffer(scores.size, dtype), u)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(deadline=None, max_examples=200)
@given(scores=score_lists, u=uniforms, shift=st.sampled_from([0.0, 1e4, -3e4]))
def test_draw_inverts_the_cumulative_distribution(dtype, scores, u, shift):
    scores = np.array(scores) + shift
    symbol = drawn(scores, u, dtype)
    if not np.isfinite(scores.max()):
        assert symbol == -1
        return
    probabilities = Chain().probabilities(scores)
    assert probabilities[symbol] > 0
    upper = np.cumsum(probabilities)[symbol]
    slack = 1e-5 if dtype == np.float32 else 1e-12
    assert upper - probabilities[symbol] - slack <= u <= upper + slack


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 9, 69])
def test_invalid_score_has_no_draw(dtype, wrong, place):
    scores = np.zeros(70)
    scores[place] = wrong
    assert drawn(scores, 0.5, dtype) == -1
    with kernels.pure_python():
        assert drawn(scores, 0.5, dtype) == -1
    assert not kernels.is_valid_logits(scores, 70)


def test_scores_need_one_value_per_symbol():
    assert kernels.is_valid_logits(np.array([-np.inf, 0.0]), 2)
    assert not kernels.is_valid_logits(np.array([-np.inf, 0.0]), 3)
    assert not kernels.is_valid_logits(np.full(2, -np.inf), 2)


@given(scores=score_lists, u=uniforms)
@settings(deadline=None, max_examples=100)
def test_compiled_draw_equals_python(scores, u):
    with kernels.pure_python():
        expected = drawn(scores, u, np.float64)
    assert drawn(scores, u, np.float64) == expected


# ---- text ---------------------------------------------------------------------------------------------

CHAINS = {
    "softmax": Chain(),
    "greedy": as_chain("greedy"),
    "two": zoo.get_sampler("temperature", temperature=1.5) | zoo.get_sampler("top_k", k=3),
    "all": zoo.get_sampler("top_p", p=0.9) | zoo.get_sampler("min_p") | zoo.get_sampler("typical"),
}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_text_equals_a_loop_over_logits(chain, layers):
    model = small("gru", layers)
    with kernels.pure_python():
        assert model.sample("abc", 60, chain, seed=4) == stepwise(model, "abc", 60, chain, seed=4)


def test_compiled_text_equals_a_loop_over_logits():
    model = small("vanilla")
    for temperature in (1.5, 0.5):  # one loop serves both
        chain = zoo.get_sampler("temperature", temperature=temperature) | zoo.get_sampler("top_k", k=3)
        assert model.sample("abc", 200, chain, seed=4) == stepwise(model, "abc", 200, chain, seed=4)


@pytest.mark.parametrize(("most", "patience"), [(1, 1.0), (3, 1.0), (4096, 0.0), (4096, 1e9)])
def test_chunk_size_does_not_change_text(most, patience, monkeypatch):
    model = small("mgu")
    with kernels.pure_python():
        expected = model.sample("a", 40, seed=2)
        monkeypatch.setattr(sampling, "MAX_CHUNK", most)
        monkeypatch.setattr(sampling, "MAX_LATENCY_S", patience)
        assert model.sample("a", 40, seed=2) == expected
        assert "".join(generate(model, "a", 40, seed=2)) == expected
        assert model.sample("a", 39, seed=2) == expected[:-1]


def test_deep_stack_samples_in_python(monkeypatch):
    model = small("mgu", 3)
    with kernels.pure_python():
        expected = model.sample("a", 20)
        monkeypatch.setattr("zoo.model.sampling.MAX_COMPILED_LAYERS", 2)
        assert model.sample("a", 20) == expected


def test_training_during_generation_does_not_change_text():
    model = small("mgu")
    with kernels.pure_python():
        expected, pieces = model.sample("a", 30, seed=2), generate(model, "a", 30, seed=2)
        values = [next(pieces) for _ in range(3)]
        model.theta[:] = np.nan
        assert "".join([*values, *pieces]) == expected


# ---- samplers -----------------------------------------------------------------------------------------


NUMBERS = {int: st.integers(1, 50), float: st.floats(0.001, 0.999)}


@given(data=st.data())
def test_texts_of_samplers_equal_the_chain(data):
    """A value without a name sets the first option, as in the settings of penalties and constraints."""
    chain, texts = Chain(), []
    for name in data.draw(st.lists(st.sampled_from(zoo.list_samplers()), min_size=1, max_size=3)):
        declared = zoo.get_sampler(name).declared_options
        options = {key: data.draw(NUMBERS[each.type]) for key, each in declared.items()}
        parts = [f"{key}={value!r}" for key, value in options.items()]
        if parts and data.draw(st.booleans()):
            parts[0] = parts[0].partition("=")[2]
        texts.append(f"{name}:{','.join(parts)}" if parts else name)
        chain |= zoo.get_sampler(name, **options)
    assert as_chain(data.draw(st.sampled_from(["|", " | "])).join(texts)).describe() == chain.describe()
    assert as_chain(texts[-1]).describe() == chain.samplers[-1].describe()


class Python(zoo.Sampler):
    """Cools by a half, in plain Python."""

    card = CARD

    @staticmethod
    def transform(logits):
        return logits * 2.0


def test_python_sampler_is_called_from_python():
    model, half = small("mgu"), as_chain(zoo.get_sampler("temperature", temperature=0.5))
    with kernels.pure_python():
        assert model.sample("a", 20, Python(), seed=1) == stepwise(model, "a", 20, half, seed=1)


@zoo.njit
def breaks_at_a(logits, symbol):
    out = logits.copy()
    if np.argmax(logits) == symbol:
        out[0] = np.nan
    return out


class Breaks(zoo.Sampler):
    """Makes NaN of some logits only."""

    card = CARD
    symbol = zoo.Option(0)
    transform = breaks_at_a


def test_failing_sampler_is_named():
    model = small("vanilla")
    model.theta[:] = np.random.default_rng(0).normal(size=model.theta.size)
    with kernels.pure_python():
        text = model.sample("a", 100)
        likeliest = model.logits([[VOCAB.index(symbol)] for symbol in text])[0].argmax(axis=2)[:, 0]
        late = int(np.flatnonzero(likeliest != likeliest[0])[0])
        chain = Breaks(symbol=int(likeliest[late])) | zoo.get_sampler("temperature")
        assert model.sample("a", late, chain) == text[: late + 1]
        with pytest.raises(UsageError, match=r"the logits after breaks=\d hold nan at index 0"):
            model.sample("a", late + 1, chain)


def renamed(scale):
    """Two functions of one name, which no file tells apart."""

    def transform(logits):
        return logits * scale

    return zoo.njit(transform)


def test_modules_are_shared_for_equal_source_and_names():
    text = "def call(x):\n    return given(x)\n"
    first, second = renamed(1.0), renamed(3.0)
    modules = [load_source("calls", text, {"given": each}) for each in (first, second, first)]
    assert [module.call(2.0) for module in modules] == [2.0, 6.0, 2.0]
    assert modules[0] is modules[2] is not modules[1]
    assert isinstance(load_source("calls", "x = 1\n"), types.ModuleType)


SECOND_PROCESS = """
import numba.core.event, zoo
compiled = []
class Listener(numba.core.event.Listener):
    def on_start(self, event): compiled.append(str(event.data["dispatcher"]))
    def on_end(self, event): pass
numba.core.event.register("numba:compile", Listener())
model = zoo.LanguageModel("abc", hidden_size=4)
print(model.sample("a", 20, zoo.get_sampler("top_k", k=2), seed=1))
print(len(compiled))
zoo.njit((lambda one: lambda x: x + one)(1))(1)  # a closure is not cached
print(len(compiled))
"""


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_second_process_compiles_nothing():
    # With the cache of all tests: to compile in a new one takes 3 s of a processor.
    def run():
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SECOND_PROCESS],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        return done.stdout.split()

    (text, *_), (same, loaded, compiled) = run(), run()
    assert text == same
    assert (int(loaded), int(compiled)) == (0, 1)
