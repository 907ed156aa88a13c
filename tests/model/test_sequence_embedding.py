"""An embedding of the tokens of a sequence model: gradients, both training steps, storage and exports."""

from __future__ import annotations

import copy
import pickle
from importlib.util import find_spec

import numpy as np
import pytest
from finite_differences import derivative

import zoo
from zoo import analysis
from zoo.errors import CheckpointError, UsageError
from zoo.kernels import pure_python
from zoo.model import CategoryInputs

TOKENS = 9
rng = np.random.default_rng(0)
X = rng.integers(0, TOKENS, (5, 7))
CLASSES, NUMBERS = rng.integers(0, 4, 7), rng.normal(size=(5, 7, 4))
LENGTHS = np.array([5, 4, 3, 2, 1, 0, 5])
LAYERS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"bidirectional": True, "num_layers": 2},
        {"cell": "delta_net", "residual": True, "embedding": 6, "learned_state": True},
        {"cell": "lstm", "block": "prenorm", "num_layers": 2},
        {"cell": "vanilla", "block": "mamba", "embedding": 6, "recompute": 2},
    ],
    ids=["one layer", "bidirectional", "residual", "prenorm", "without a projection"],
)


def model_of(dtype="float64", cell="gru", **options):
    sizes = {"hidden_size": 6, "embedding": 3, "dtype": dtype, "seed": 1, "threads": 1}
    return zoo.SequenceModel(cell, TOKENS, 4, **{**sizes, **options})


def recurrent_of(model):
    """The layer of a model, which reads rows of the embedding."""
    layer = zoo.Recurrent("gru", 3, 6, dtype="float64", threads=1)
    for name in layer.params:
        layer.params[name] = model.params[name]
    return layer


@LAYERS
@pytest.mark.parametrize(
    ("loss", "targets", "lengths"),
    [("cross_entropy", CLASSES, None), ("squared_error", NUMBERS, LENGTHS)],
    ids=["last step", "lengths"],
)
def test_gradients_are_exact(options, loss, targets, lengths):
    model = model_of(loss=loss, **options)
    # Compiling takes 34 s of a processor for all cases.
    with pure_python():
        model.loss_and_grad(X, targets, lengths=lengths)
        grad = model.grad.copy()
        for _, slot, _ in model.layout.slots():
            for index in np.random.default_rng(2).integers(slot.start, slot.stop, 2):
                slope = derivative(model, index, lambda: model.loss(X, targets, lengths=lengths)[0])
                assert grad[index] == pytest.approx(slope, abs=1e-8)


@LAYERS
def test_rows_of_the_embedding_are_the_inputs_of_the_first_layer(options):
    """A model that reads the rows as numbers, and not tokens, has the same outputs."""
    model = model_of(**options)
    others = {"hidden_size": 6, "dtype": "float64", "threads": 1, "cell": "gru", **options}
    others.pop("embedding", None)
    size, block = model.params["embedding"].shape[1], options.get("block")
    if block and size == 6:
        pytest.skip("a model of features has a projection here")
    plain = zoo.SequenceModel(input_size=size, output_size=4, **others)
    for name in plain.params:
        plain.params[name] = model.params[name]
    np.testing.assert_array_equal(
        model.outputs(X)[0], plain.outputs(model.params["embedding"][X])[0], strict=True
    )


@LAYERS
def test_compiled_step_gives_the_same_bits(options):
    model = model_of(**options)
    loss, _ = model.loss_and_grad(X, CLASSES)
    grad = model.grad.copy()
    model.compile_training_step()
    for _ in range(2):
        assert (model.loss_and_grad(X, CLASSES)[0], model.grad.tobytes()) == (loss, grad.tobytes())


def test_repr_names_the_embedding():
    assert "input_size=9, output_size=4, " in repr(model_of())
    assert "embedding=3, dtype=" in repr(model_of())


def test_model_is_trained_stored_and_copied(tmp_path):
    model = model_of()
    x = np.random.default_rng(1).integers(0, TOKENS, (4, 200))
    model.fit(x, x[0] % 4, epochs=60, lr=0.03)
    assert model.evaluate(x, x[0] % 4)["accuracy"] > 0.95
    model.save(tmp_path / "model.safetensors")
    for other in (
        zoo.load(tmp_path / "model.safetensors"),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        model.with_loss("cross_entropy"),
    ):
        assert (other.input_size, other.embedding) == (TOKENS, 3)
        assert other.loss_and_grad(X, CLASSES)[0] == model.loss_and_grad(X, CLASSES)[0]
        assert other.grad.tobytes() == model.grad.tobytes()


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"block": "prenorm"}])
def test_onnx(options, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = model_of("float32", **options)
    zoo.export.to_onnx(model, tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    states = {each.name: np.zeros([7, *each.shape[1:]], np.float32) for each in session.get_inputs()[1:]}
    (logits, *_) = session.run(None, {"tokens": X.astype(np.int64), **states})
    np.testing.assert_allclose(logits, model.outputs(X)[0], rtol=1e-4, atol=1e-5)


def test_analysis():
    model = model_of()
    assert analysis.gate_saturation(model, X)
    assert analysis.gradient_by_lag(model, X, lags=3)
    assert analysis.jacobian(model, X[:, :1]).shape == (5, 1, 6, 6)
    of_token, of_row = (
        analysis.fixed_points(part, x=x, starts=4)
        for part, x in ((model, 2), (recurrent_of(model), model.params["embedding"][2]))
    )
    np.testing.assert_allclose(of_token.states["l0.h"], of_row.states["l0.h"], atol=1e-8)
    with pytest.raises(UsageError, match="x is token 9; expected one from 0 to 8"):
        analysis.fixed_points(model, x=TOKENS, starts=4)


CATEGORIES = CategoryInputs(TOKENS, 2, ((0, TOKENS, 0),))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: model_of(embedding=0), "embedding is 0; expected an integer of at least 1"),
        (lambda: model_of(embedding="4"), "embedding is '4'; expected an integer of at least 1"),
        (
            lambda: zoo.SequenceModel("gru", 2.5, 4, embedding=3),
            r"input_size is 2\.5; expected an integer of at least 1",
        ),
        (lambda: model_of(categories=CATEGORIES), "categories and an embedding of tokens are given"),
        (
            lambda: model_of().outputs(np.zeros((5, 7, TOKENS))),
            r"inputs are float64\(5, 7, 9\); expected integer tokens \(T, B\)",
        ),
        (
            lambda: model_of().outputs(np.zeros((5, 7)), lengths=LENGTHS),
            r"inputs are float64\(5, 7\); expected integer tokens \(T, B\)",
        ),
        (
            lambda: model_of().fit(np.zeros((5, 40, TOKENS)), np.zeros(40, int)),
            r"inputs are float64\(5, 40, 9\); expected N sequences, integer tokens \(T, N\), time first",
        ),
        (lambda: analysis.jacobian(model_of(), "ab"), r"a language model; expected integer tokens \(T, B\)"),
        (lambda: model_of().outputs(np.full((5, 7), TOKENS)), "inputs hold 9; expected tokens from 0 to 8"),
        pytest.param(
            lambda: zoo.export.to_onnx(model_of(), "no.onnx", tokens=False),
            "a model with an embedding reads tokens",
            marks=pytest.mark.skipif(find_spec("onnx") is None, reason="needs onnx"),
        ),
    ],
)
def test_invalid_arguments(call, words):
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.parametrize(
    "change",
    [{"embedding": 4}, {"embedding": -1}, {"embedding": True}, {"categories": CATEGORIES.to_json()}],
)
def test_stored_sizes_that_do_not_fit(change, tmp_path):
    checkpoint = model_of().to_checkpoint()
    meta = {**checkpoint.meta, "model": {**checkpoint.meta["model"], **change}}
    zoo.storage.save(tmp_path / "m.safetensors", zoo.storage.Checkpoint(checkpoint.arrays, meta))
    with pytest.raises(CheckpointError):
        zoo.load(tmp_path / "m.safetensors")
