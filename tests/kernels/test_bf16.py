"""``precision="bf16"``: products have the bits of NumPy's, and layers and models use them."""

from __future__ import annotations

import inspect
import json
import re

import numba
import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli
from zoo.compiler import cell_kernels
from zoo.compiler.compile import plan_kernels
from zoo.errors import UsageError, ZooWarning
from zoo.kernels import bf16, chunked_loss, precision, pure_python
from zoo.kernels import processor as processor_module
from zoo.kernels.bf16_pairs import round_to_bf16
from zoo.kernels.processor import Processor
from zoo.model import checkpoint, readout, vocabulary_loss

TOLERANCE = 2.0**-6
"""Relative difference of a gradient from its float64 value; bfloat16 rounds by up to 2^-9. Measured: 2^-8."""
STEPS, ROWS, FEATURES, HIDDEN = 5, 3, 4, 7

needs_processor = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT) or precision.bf16_problem() != "", reason="no fast bfloat16 here"
)


def products(a, w, c):
    """``c + a @ w`` by each of the three products."""
    by_rows, by_transposed, by_gradient = c.copy(), c.copy(), c.copy()
    bf16.add_matmul(a, bf16.pack(w), by_rows)
    bf16.add_matmul(a, bf16.pack_transposed(np.ascontiguousarray(w.T)), by_transposed)
    bf16.add_matmul_ta(np.ascontiguousarray(a.T), w, by_gradient)
    return by_rows, by_transposed, by_gradient


def assert_same_bits(a, w, c):
    with pure_python(), np.errstate(invalid="ignore"):
        by_numpy = products(a, w, c)
    np.testing.assert_array_equal(by_numpy[0].view(np.uint32), by_numpy[1].view(np.uint32))
    for actual, expected in zip(products(a, w, c), by_numpy, strict=True):
        is_nan = np.isnan(expected)
        np.testing.assert_array_equal(np.isnan(actual), is_nan)
        np.testing.assert_array_equal(actual.view(np.uint32)[~is_nan], expected.view(np.uint32)[~is_nan])


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@needs_processor
@pytest.mark.parametrize(
    "sizes", [(1, 64, 100), (3, 7, 5), (13, 33, 71), (600, 5, 9), (2, 601, 3), (8, 0, 3)]
)
def test_products_have_the_bits_of_numpy(sizes):
    rows, depth, width = sizes
    rng = np.random.default_rng(rows)
    assert_same_bits(normal(rng, rows, depth), normal(rng, depth, width), normal(rng, rows, width))


@needs_processor
@pytest.mark.parametrize("sizes", [(1, 64, 100), (13, 33, 71), (600, 5, 9), (0, 4, 3), (8, 0, 3)])
def test_products_that_replace_values(sizes):
    rows, depth, width = sizes
    rng = np.random.default_rng(rows)
    a, w, bias = normal(rng, rows, depth), normal(rng, depth, width), normal(rng, width)
    panels, zeros = bf16.pack(w), np.zeros((rows, width), np.float32)
    product, sums, gradient = (np.full_like(zeros, np.nan) for _ in range(3))
    bf16.set_matmul(a, panels, product)
    bf16.affine(a, panels, bias, sums)
    bf16.add_matmul_ta(np.ascontiguousarray(a.T), w, gradient, False)
    by_rows, _, by_gradient = products(a, w, zeros)
    np.testing.assert_array_equal(product, by_rows)
    np.testing.assert_array_equal(gradient, by_gradient)
    np.testing.assert_array_equal(sums, products(a, w, zeros + bias)[0])


@needs_processor
@pytest.mark.parametrize("exponent", [20, 63, 66])
def test_subnormal_infinite_and_nan_operands(exponent):
    rng = np.random.default_rng(exponent)

    def of_size(*shape):  # products around the smallest normal number
        return np.ldexp(normal(rng, *shape), rng.integers(-exponent - 2, -exponent + 3, shape))

    def any_bits(*shape):
        return rng.integers(0, 2**32, shape, dtype=np.uint32).view(np.float32)

    assert_same_bits(of_size(8, 9), of_size(9, 40), of_size(8, 40) * of_size(8, 40))
    assert_same_bits(any_bits(8, 9), any_bits(9, 40), any_bits(8, 40))


@needs_processor
def test_columns_of_wider_rows():
    rng = np.random.default_rng(0)
    a, w, c = normal(rng, 3, 20), normal(rng, 5, 4), normal(rng, 3, 11)
    a[:, 7] = np.nan  # behind the last of an odd number of columns
    gradient = normal(rng, 5, 4)

    def results():
        rows, sums = c.copy(), gradient.copy()
        bf16.add_matmul_offset(a, 2, bf16.pack(w), rows, 6, 4)
        bf16.add_matmul_ta_offset(a, 2, 5, c, 6, 4, sums)
        return rows, sums

    compiled = results()
    with pure_python():
        plain = results()
    for actual, expected in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert np.isfinite(compiled[0]).all()


def test_rounding_is_to_nearest_even():
    ulp = 2.0**-7
    values = [1, 1 + ulp / 2, 1 + 1.5 * ulp, 1 + ulp * 0.51, -1 - ulp / 2, 2.0**-127, -(2.0**-127), 3.4e38]
    expected = [1, 1, 1 + 2 * ulp, 1 + ulp, -1, 0.0, -0.0, np.inf]
    actual = round_to_bf16(np.array(values, np.float32))
    np.testing.assert_array_equal(actual.view(np.uint32), np.array(expected, np.float32).view(np.uint32))
    assert np.isnan(round_to_bf16(np.array([np.nan], np.float32))).all()


def gradients(**options):
    """Loss and gradient of a model on fixed numbers."""
    rng = np.random.default_rng(0)
    model = zoo.SequenceModel("vanilla", FEATURES, 3, HIDDEN, threads=1, **options)
    x, targets = normal(rng, STEPS, ROWS, FEATURES), rng.integers(0, 3, (STEPS, ROWS))
    loss, _ = model.loss_and_grad(x, targets)
    return model, loss, model.grad.copy(), lambda: model.loss_and_grad(x, targets)[0]


def assert_close_to_float64(loss, grad):
    with pure_python():
        _, exact_loss, exact, _ = gradients(dtype="float64")
    assert abs(loss - exact_loss) <= TOLERANCE * exact_loss
    difference = np.linalg.norm(grad - exact) / np.linalg.norm(exact)
    assert 2.0**-14 < difference <= TOLERANCE  # and not as close as in float32


def test_gradients_in_plain_python(any_processor):
    _, loss, grad, _ = gradients(precision="bf16")
    assert_close_to_float64(loss, grad)


@needs_processor
def test_gradients_of_compiled_kernels():
    model, loss, grad, repeat = gradients(precision="bf16")
    assert_close_to_float64(loss, grad)
    model.compile_training_step()
    assert (repeat(), model.grad.tobytes()) == (loss, grad.tobytes())


@pytest.mark.parametrize("tie", [False, True])
def test_chunks_of_a_large_vocabulary(any_processor, monkeypatch, tie):
    tokens = np.random.default_rng(3).integers(0, 300, (4, 3))
    results = []
    for limit in (10**6, 2):
        monkeypatch.setattr(vocabulary_loss, "LARGE_VOCABULARY", limit)
        vocabulary = zoo.data.TokenVocabulary(300)
        model = zoo.LanguageModel(
            vocabulary, hidden_size=4, embedding=4, tie=tie, precision="bf16", threads=1
        )
        results.append((model.loss_and_grad(tokens, tokens)[0], model.grad.copy()))
    (loss, grad), (chunked_loss, chunked_grad) = results
    assert chunked_loss == pytest.approx(loss, rel=1e-6)
    assert np.linalg.norm(chunked_grad - grad) < 2.0**-8 * np.linalg.norm(grad)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_decoding_agrees_with_the_forward_pass(any_processor, cell):
    model = zoo.LanguageModel("abc", cell, 4, precision="bf16", threads=1)
    sampled = model.sample(length=6, sampler="greedy", prompt="a")
    tokens = np.array([["abc".index(each)] for each in sampled], np.int32)
    outputs, _ = model.outputs(tokens[:-1])
    np.testing.assert_array_equal(outputs.argmax(-1), tokens[1:])


def test_a_resumed_run_has_the_same_bits(any_processor, tmp_path):
    (tmp_path / "text.txt").write_text("one two three four five " * 9)
    settings = {"cell": "vanilla", "hidden": 4, "batch": 2, "seq": 4, "threads": 1, "eval_every": 3}

    def train(name, steps):
        file = tmp_path / "text.txt"
        return zoo.train(
            file, out=tmp_path / name, steps=steps, resume=True, split="80,20", precision="bf16", **settings
        )

    whole = train("whole", 6)
    train("parts", 3)
    parts = train("parts", 6)
    assert json.loads((parts.path / "config.json").read_text())["precision"] == "bf16"
    assert parts.model.config.precision == "bf16"
    assert "precision='bf16'" in parts.model.config.describe()
    assert parts.model.theta.tobytes() == whole.model.theta.tobytes()
    assert parts.best_loss == whole.best_loss
    shown = CliRunner().invoke(cli, ["train", "--resume", "--out", str(parts.path)]).output
    assert "float32 with bf16 products" in shown


def test_a_model_is_loaded_on_another_processor(monkeypatch, tmp_path):
    for module in (precision, checkpoint):
        monkeypatch.setattr(module, "bf16_problem", lambda: "")
    layer = zoo.Recurrent("vanilla", FEATURES, HIDDEN, precision="bf16")
    layer.save(tmp_path / "layer.safetensors")
    assert zoo.load(tmp_path / "layer.safetensors").config == layer.config
    monkeypatch.setattr(checkpoint, "bf16_problem", lambda: "this processor (old) has no AMX")
    with pytest.warns(ZooWarning, match=r"precision 'bf16', and .* has no AMX; .* are float32 here"):
        loaded = zoo.load(tmp_path / "layer.safetensors")
    assert loaded.config.precision is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"precision": "f16"},
            "precision is 'f16'; expected 'bf16', or 'float32' or None for products in float32",
        ),
        ({"precision": np.ones(3)}, "precision is an array float64.3,.; expected 'bf16'"),
        ({"precision": "float64"}, "precision is 'float64'; expected 'bf16', or 'float32' or None"),
        ({"precision": "bf16", "dtype": "float64"}, "dtype is 'float64'; .* use `dtype='float32'`"),
    ],
)
def test_invalid_precisions(options, sentence):
    with pytest.raises(UsageError, match=f"^cell 'vanilla': .*{sentence}"):
        zoo.Recurrent("vanilla", FEATURES, HIDDEN, **options)
    assert (
        zoo.Recurrent("vanilla", FEATURES, HIDDEN, precision="float64", dtype="float64").config.precision
        is None
    )


@pytest.mark.parametrize(
    ("name", "features", "problem", "sentence"),
    [
        ("haswell", "+avx2", "", r"this processor (haswell) has neither AMX nor AVX512-BF16"),
        ("cooperlake", "+avx512f,+avx512bf16", "", "is not faster than float32 on this processor"),
        ("znver4", "+avx512f,+avx512bf16", "", ""),
        ("sapphirerapids", "+avx512f,+avx512bf16,+amx-tile,+amx-bf16", "", ""),
        ("sapphirerapids", "+avx512f,+avx512bf16,+amx-tile,+amx-bf16", "no tiles here", "no tiles here"),
    ],
)
def test_processors(monkeypatch, name, features, problem, sentence):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    other = Processor("x86_64-linux", name, frozenset(features.split(",")))
    for module in (processor_module, precision):
        monkeypatch.setattr(module, "target_processor", lambda: other)
    monkeypatch.setattr(precision, "request_tiles", lambda: problem)
    assert sentence in precision.bf16_problem()
    if sentence:
        with pytest.raises(UsageError, match=r"; use `precision='float32'`, or another processor"):
            zoo.Recurrent("vanilla", FEATURES, HIDDEN, precision="bf16")
        with pytest.raises(UsageError, match=f"{re.escape(sentence)}.*; use"):  # as in unpickling a layer
            cell_kernels.derive_kernels.__wrapped__(zoo.get_cell("vanilla"), "bf16")


def test_a_cell_with_only_kernels(any_processor):
    class Kernels(zoo.Cell):
        """h' = h."""

        W, h = zoo.Param("H", "H"), zoo.State("H")

        @staticmethod
        def forward(params, x, state):
            return x, state, ()

        @staticmethod
        def backward(params, x, state, tape, dy, dlast):
            return dy, dlast, params

    with pytest.raises(UsageError, match="its own kernels and no step; use `precision='float32'`"):
        zoo.Recurrent(Kernels, FEATURES, HIDDEN, precision="bf16")


def test_sources_import_no_other_products():
    others = re.compile("^from zoo import kernels|input_projection import|matmul import", re.MULTILINE)
    sources = readout._template(), inspect.getsource(chunked_loss), plan_kernels(zoo.get_cell("gru")).source
    for source in sources:
        changed = precision.with_precision(source, "bf16")
        assert "from zoo.kernels import bf16 as kernels\n" in changed
        assert not others.search(changed)


def test_command_line_names_flags():
    words = ["train", "--precision", "bf16", "--dtype", "float64", "--steps", "1"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "use --dtype float32, or leave out --precision" in result.output
