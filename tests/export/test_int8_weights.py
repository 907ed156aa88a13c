"""Int8 weights: rounding, and C programs that compute what the rounded model computes."""

from __future__ import annotations

import numpy as np
import pytest
from export_asserts import case
from export_machine import Machine, flat, needs_compiler
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import zoo
from zoo.errors import UsageError
from zoo.export.int8_weights import int8_parameters
from zoo.export.matrix_source import quantize_rows, rounded_rows

CARD = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")


def matrices(dtype):
    shapes = arrays.array_shapes(min_dims=2, max_dims=3, max_side=5)
    width = np.finfo(dtype).bits
    return arrays.arrays(dtype, shapes, elements=st.floats(-(2.0**100), 2.0**100, width=width))


@given(st.sampled_from([np.float32, np.float64]).flatmap(matrices))
def test_rows_are_rounded_to_half_a_scale(matrix):
    integers, scales = quantize_rows(matrix)
    assert (integers.dtype, scales.dtype, scales.shape) == (np.int8, matrix.dtype, matrix.shape[:-1])
    assert integers.min() >= -127
    assert (scales > 0).all()
    error = np.abs(rounded_rows(matrix) - matrix)
    largest = np.abs(matrix).max(axis=-1, keepdims=True)
    assert (error <= largest * (0.5 / 127 + 1e-5) + 127 * np.finfo(matrix.dtype).tiny).all()


@given(st.sampled_from([np.float32, np.float64]).flatmap(matrices))
def test_rounded_rows_keep_their_integers(matrix):
    """Except where a scale is so small that rounded rows become zero."""
    scales = quantize_rows(matrix)[1]
    matrix = np.where(scales[..., None] < 2 * np.finfo(matrix.dtype).tiny, 0, matrix)
    rounded = rounded_rows(matrix)
    np.testing.assert_array_equal(quantize_rows(rounded)[0], quantize_rows(matrix)[0])
    np.testing.assert_allclose(rounded_rows(rounded), rounded, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_rows_stay_finite(dtype):
    limits = np.finfo(dtype)
    matrix = np.array(
        [[limits.max, -limits.max], [limits.smallest_subnormal, 0], [0, 0], [limits.tiny, -limits.tiny]],
        dtype,
    )
    integers, scales = quantize_rows(matrix)
    assert integers.tolist() == [[127, -127], [0, 0], [0, 0], [0, 0]]
    np.testing.assert_allclose(rounded_rows(matrix)[0], matrix[0], rtol=1e-5)
    assert (scales >= limits.tiny).all()


class Columns(zoo.Cell):
    """Tokens read columns, and heads read transposed matrices."""

    card = CARD
    W = zoo.Param("H", "I", init="glorot_uniform")
    v = zoo.Param("H", help="a vector in a product")
    u = zoo.Param("H", 1, init="glorot_uniform", help="rows of one number")
    R = zoo.Param(2, "H/2", "H/2", init="glorot_uniform")
    E = zoo.Param("H", "H", init="glorot_uniform", help="also read element by element")
    h = zoo.State("H")

    def step(self, x, h):
        heads = (h.reshape(2, 1, -1) @ self.R.transpose(0, 2, 1)).reshape(-1)
        outer = ((h @ self.u).reshape(-1, 1) @ self.v.reshape(1, -1)).reshape(-1)
        return np.tanh(x @ self.W.T + heads + h @ self.E + np.sum(self.E * h, axis=1) + outer)


def random_layers(cells, size=8, dtype="float64", **options):
    rnn = zoo.Recurrent(cells, size, size, dtype=dtype, seed=1, **options)
    rnn.theta = rnn.theta + np.random.default_rng(0).normal(0, 0.2, rnn.theta.shape)
    return rnn


@needs_compiler
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
@pytest.mark.parametrize("cells", [["gru", "lstm"], "lru", "rhn", "rwkv6", "low_rank_rnn", "ei_rnn", Columns])
def test_c_of_int8_weights_is_rounded_model(cells, tokens, tmp_path):
    rnn = random_layers(cells)
    numbers = case(rnn, 4, 1)
    x = np.array([[3], [0], [7], [3]]) if tokens else numbers.x
    rounded = zoo.export.int8_weights(rnn, tokens)
    y, last = rounded.forward(x, numbers.state)
    machine = Machine(rnn, tmp_path, tokens, weights="int8")
    outputs, state = machine.run(x[:, 0], flat(numbers.state.values()))
    np.testing.assert_allclose(outputs, y[:, 0], atol=1e-11)
    np.testing.assert_allclose(state, flat(last.values()), atol=1e-11)
    exact, _ = rnn.forward(x, numbers.state)
    assert np.abs(exact - y).max() > 1e-6  # rounding has an effect


@needs_compiler
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cells", [["gru", "cfc"], "rhn"])
def test_float32_learned_states_and_aux_inputs(cells, tmp_path):
    rnn = random_layers(cells, dtype="float32", learned_state=True)
    numbers = case(rnn, 4, 1)
    y, _ = zoo.export.int8_weights(rnn).forward(numbers.x, **numbers.inputs)
    machine = Machine(rnn, tmp_path, weights="int8")
    inputs = {name: value[:, 0] for name, value in numbers.inputs.items()}
    outputs, _ = machine.run(numbers.x[:, 0], machine.start(), inputs)
    np.testing.assert_allclose(outputs, y[:, 0], atol=5e-6)


def test_only_matrices_of_products_are_rounded():
    rnn = random_layers(["gru", Columns, "ei_rnn"])
    names = set(int8_parameters(rnn))
    assert names == {"l0.Wx", "l0.Wh", "l1.W", "l1.R", "l2.Wx"}
    rounded = zoo.export.int8_weights(rnn)
    for name, value in rnn.params.items():
        expected = rounded_rows(value) if name in names else value
        np.testing.assert_array_equal(rounded.params[name], expected)


@needs_compiler
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("options", [{}, {"residual": True, "num_layers": 2}, {"block": "prenorm"}])
def test_embedding_and_readout(options, bidirectional, tmp_path):
    sizes = {"hidden_size": 3, "embedding": 4, "dtype": "float64", "seed": 1}
    model = zoo.SequenceModel("gru", 7, 2, bidirectional=bidirectional, **{**sizes, **options})
    rounded = zoo.export.int8_weights(model)
    np.testing.assert_array_equal(rounded.params["embedding"], rounded_rows(model.params["embedding"]))
    x = np.array([5, 0, 2, 6, 1])
    machine = Machine(model, tmp_path, weights="int8")
    y = machine.run_sequence(x) if bidirectional else machine.run(x, machine.start())[0]
    np.testing.assert_allclose(y, rounded.outputs(x[:, None])[0][:, 0], atol=1e-11)


@needs_compiler
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("weights", ["float", "int8"])
def test_tied_readout_reads_embedding(weights, tmp_path):
    options = {"hidden_size": 5, "embedding": 5, "tie": True, "dtype": "float64", "seed": 2}
    model = zoo.LanguageModel("helo wrd", cell="gru", **options)
    machine = Machine(model, tmp_path, weights=weights)
    expected = model if weights == "float" else zoo.export.int8_weights(model)
    tokens = np.array([0, 3, 1, 1, 7, 2])
    outputs, _ = machine.run(tokens, machine.start())
    np.testing.assert_allclose(outputs, expected.logits(tokens[:, None])[0][:, 0], atol=1e-11)
    assert "readout_Why" not in machine.files.source.read_text()


@needs_compiler
@pytest.mark.usefixtures("plain_python")
def test_outputs_of_different_units_keep_their_precision(tmp_path):
    """Each output of the readout has a scale."""
    model = zoo.SequenceModel("gru", 3, 2, hidden_size=16, loss="squared_error", dtype="float64", seed=1)
    model.params["Why"][:, 1] *= 1e-6
    x = np.random.default_rng(0).normal(size=(5, 1, 3))
    machine = Machine(model, tmp_path, weights="int8")
    outputs, _ = machine.run(x[:, 0], machine.start())
    exact = model.outputs(x)[0][:, 0]
    np.testing.assert_allclose(outputs, zoo.export.int8_weights(model).outputs(x)[0][:, 0], rtol=1e-10)
    assert (np.abs(outputs - exact).max(axis=0) < 0.05 * np.abs(exact).max(axis=0)).all()


@pytest.mark.usefixtures("plain_python")
def test_bytes_are_those_of_the_arrays(tmp_path):
    model = zoo.SequenceModel("lstm", 3, 2, hidden_size=16)
    files = zoo.export.to_c(model, tmp_path / "model.c", weights="int8")
    assert "16 units, lstm, float32, weights in int8." in files.header.read_text()
    assert files.float_matrices == ()
    layer = [model.params[name] for name in ("l0.Wx", "l0.Wh")]
    integers = sum(value.size + 4 * len(value) for value in layer) + 2 * 16 + 4 * 2
    assert files.sizes["weights"] == integers + 4 * (model.params["l0.b"].size + 2)


def test_matrices_that_are_not_quantized_are_listed(tmp_path):
    model = zoo.SequenceModel("ei_rnn", 3, 1, hidden_size=8)
    files = zoo.export.to_c(model, tmp_path / "model.c", weights="int8")
    assert len(files.float_matrices) == 1
    assert f"static const float {files.float_matrices[0]}[64]" in files.source.read_text()
    nothing = zoo.export.to_c(zoo.Recurrent("ltc", 3, 8), tmp_path / "ltc.c", weights="int8")
    assert "int8" not in nothing.header.read_text()


def test_rounded_model_is_a_copy():
    rnn = random_layers("gru")
    before = rnn.theta.copy()
    rounded = zoo.export.int8_weights(rnn)
    rounded.params["l0.Wx"][...] = 0
    np.testing.assert_array_equal(rnn.theta, before)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_weights_that_are_not_finite_raise(wrong, tmp_path):
    rnn = zoo.Recurrent("gru", 3, 4)
    rnn.params["l0.Wh"][1, 2] = wrong
    message = r"^export: 'l0\.Wh' holds NaN or infinity; expected finite numbers for int8 weights\.$"
    with pytest.raises(UsageError, match=message):
        zoo.export.to_c(rnn, tmp_path / "model.c", weights="int8")
    assert not list(tmp_path.iterdir())


def test_unknown_weights_raise(tmp_path):
    with pytest.raises(UsageError, match=r"^export: weights is 'int4'; expected one of 'float', 'int8'\.$"):
        zoo.export.to_c(zoo.Recurrent("gru", 3, 4), tmp_path / "model.c", weights="int4")
