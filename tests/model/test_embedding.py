"""An embedding of tokens, tied or not: exact gradients, both training steps, and all that uses a model."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from finite_differences import derivative

import zoo
from zoo import analysis
from zoo.errors import CheckpointError, UsageError
from zoo.model import vocabulary_loss

SYMBOLS = [chr(65 + n) for n in range(30)]
EMBEDDINGS = [{"embedding": 7}, {"embedding": 6, "tie": True}]
EITHER = pytest.mark.parametrize("sizes", EMBEDDINGS, ids=["embedding", "tied"])
rng = np.random.default_rng(0)
X, Y = rng.integers(0, 20, (2, 5, 11))
WEIGHTS = rng.random((5, 11))
LENGTHS = np.array([5, 4, 3, 2, 1, 0, 5, 5, 2, 3, 4])


@pytest.fixture(params=["by shards", "in chunks"])
def readout(request, monkeypatch):
    """Both ways to compute a readout and its loss."""
    if request.param == "in chunks":
        monkeypatch.setattr(vocabulary_loss, "LARGE_VOCABULARY", 2)


def model_of(sizes, dtype="float64", **options):
    return zoo.LanguageModel(
        SYMBOLS, **{"hidden_size": 6, "dtype": dtype, "seed": 1, "threads": 1, **sizes, **options}
    )


def largest_error(model, **batch):
    """The largest difference between the gradient and finite differences, at some elements of each array."""
    model.loss_and_grad(X, Y, **batch)
    grad, errors = model.grad.copy(), []
    for _, slot, _ in model.layout.slots():
        for index in np.random.default_rng(2).integers(slot.start, slot.stop, 6):
            slope = derivative(model, index, lambda: model.loss(X, Y, **batch)[0])
            errors.append(abs(slope - grad[index]))
    return max(errors)


@pytest.mark.usefixtures("readout")
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        *EMBEDDINGS,
        {"embedding": 6, "tie": True, "residual": True, "num_layers": 2},
        {"embedding": 5, "recompute": 2, "learned_state": True},
    ],
    ids=["one-hot", "embedding", "tied", "residual", "recompute"],
)
def test_gradients_are_exact(sizes):
    smooth = zoo.get_loss("cross_entropy", label_smoothing=0.1)
    assert largest_error(model_of(sizes)) < 1e-8
    assert largest_error(model_of(sizes, loss=smooth), weights=WEIGHTS) < 1e-8
    assert largest_error(model_of(sizes), lengths=LENGTHS) < 1e-8


@EITHER
def test_compiled_step_gives_the_same_bits(sizes):
    for options in ({}, {"num_layers": 2, "hidden_size": 6, "residual": True}):
        model = model_of({**sizes, "embedding": 6}, **options)
        loss, state = model.loss_and_grad(X, Y)
        grad = model.grad.copy()
        model.compile_training_step()
        assert not any(model._compiled_step._steps.values())
        for _ in range(2):
            compiled_loss, compiled_state = model.loss_and_grad(X, Y)
            assert (compiled_loss, model.grad.tobytes()) == (loss, grad.tobytes())
            assert all(state[name].tobytes() == compiled_state[name].tobytes() for name in state)
        assert any(model._compiled_step._steps.values())


@pytest.mark.usefixtures("readout")
@EITHER
def test_threads_change_no_bit(sizes):
    one, three = model_of(sizes), model_of(sizes, threads=3)
    for model in (one, three):
        model.loss_and_grad(X, Y)
    assert one.grad.tobytes() == three.grad.tobytes()
    assert one.loss(X, Y)[0] == three.loss(X, Y)[0]


@pytest.mark.usefixtures("readout")
def test_gradient_of_the_embedding_has_the_rows_of_the_tokens():
    model = model_of({"embedding": 7})
    for tokens in (X, X[:2], X):  # rows of the step before are cleared
        model.loss_and_grad(tokens, tokens)
        rows = np.flatnonzero(model.grads["embedding"].any(axis=1))
        assert rows.tolist() == sorted(set(tokens.ravel().tolist()))


def test_chunks_and_shards_agree(monkeypatch):
    by_shards = model_of({}, "float32", hidden_size=20)
    loss, _ = by_shards.loss_and_grad(X, Y, WEIGHTS)
    monkeypatch.setattr(vocabulary_loss, "LARGE_VOCABULARY", 2)
    monkeypatch.setattr(vocabulary_loss, "MAX_TOKENS", 16)  # several blocks
    in_chunks = model_of({}, "float32", hidden_size=20)
    assert in_chunks.loss_and_grad(X, Y, WEIGHTS)[0] == pytest.approx(loss, rel=1e-6)
    assert in_chunks.loss(X, Y, WEIGHTS)[0] == pytest.approx(loss, rel=1e-6)
    np.testing.assert_allclose(in_chunks.grad, by_shards.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("size", [255, 256, 257, 1500])
def test_chunks_of_a_vocabulary(size, monkeypatch):
    tokens = np.random.default_rng(3).integers(0, size, (4, 3))
    results = []
    for limit in (10**6, 2):
        monkeypatch.setattr(vocabulary_loss, "LARGE_VOCABULARY", limit)
        model = zoo.LanguageModel(
            zoo.data.TokenVocabulary(size), hidden_size=4, embedding=4, tie=True, dtype="float64", threads=2
        )
        model.params["by"] = np.random.default_rng(4).normal(size=size) * 20
        results.append((model.loss_and_grad(tokens, tokens)[0], model.grad.copy()))
    (loss, grad), (chunked_loss, chunked_grad) = results
    assert chunked_loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(chunked_grad, grad, rtol=1e-9, atol=1e-14)


@pytest.mark.usefixtures("plain_python")
def test_other_losses_of_a_large_vocabulary_use_shards(monkeypatch):
    monkeypatch.setattr(vocabulary_loss, "LARGE_VOCABULARY", 2)
    model = zoo.SequenceModel("vanilla", 3, 4, loss="squared_error", hidden_size=5, threads=1)
    loss, _ = model.loss_and_grad(np.ones((2, 3, 3)), np.zeros((2, 3, 4)))
    assert np.isfinite(loss)


def test_tied_readout_is_the_embedding():
    model = model_of({"embedding": 6, "tie": True})
    assert list(model.params) == ["l0.Wxh", "l0.Whh", "l0.bh", "by", "embedding"]
    y = zoo.Recurrent("vanilla", 6, 6, dtype="float64", threads=1)
    for name in y.params:
        y.params[name] = model.params[name]
    outputs, _ = y(model.params["embedding"][X])
    expected = outputs @ model.params["embedding"].T + model.params["by"]
    np.testing.assert_allclose(model.logits(X)[0], expected, rtol=1e-12)


@pytest.mark.usefixtures("readout")
@EITHER
@pytest.mark.usefixtures("plain_python")
def test_model_is_stored_copied_and_trained(sizes, tmp_path):
    model = model_of(sizes)
    model.fit([0, 1, 2, 3] * 50, epochs=30, lr=0.05, batch_size=4, seq=8)
    assert model.loss([[0], [1], [2]], [[1], [2], [3]])[0] < 0.2
    model.save(tmp_path / "model.safetensors")
    for other in (
        zoo.load(tmp_path / "model.safetensors"),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        model.with_loss("cross_entropy"),
    ):
        assert other.loss_and_grad(X, Y)[0] == model.loss_and_grad(X, Y)[0]
        assert other.grad.tobytes() == model.grad.tobytes()
        assert other.sample("A", length=7, sampler="greedy") == "ABCDABCD"


@EITHER
@pytest.mark.usefixtures("plain_python")
def test_sampling_agrees_with_the_logits(sizes):
    model = model_of(sizes, num_layers=2)
    text = model.sample("AB", length=20, sampler="greedy")
    tokens = model.vocab.encode(text)
    logits, _ = model.logits(tokens[:-1, None])
    assert logits[1:, 0].argmax(axis=1).tolist() == tokens[2:].tolist()


@EITHER
def test_analysis(sizes):
    model = model_of(sizes, cell="gru")
    assert analysis.gate_saturation(model, X)
    assert analysis.gradient_by_lag(model, X, lags=3)
    assert analysis.jacobian(model, X[:, :1]).shape == (5, 1, 6, 6)
    assert analysis.fixed_points(model, x="A", starts=4) is not None


@EITHER
def test_onnx(sizes, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = model_of(sizes, "float32", num_layers=2)
    zoo.export.to_onnx(model, tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    states = {each.name: np.zeros((11, 6), np.float32) for each in session.get_inputs()[1:]}
    (logits, *_) = session.run(None, {"tokens": X.astype(np.int64), **states})
    np.testing.assert_allclose(logits, model.logits(X)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"embedding": 0}, "embedding is 0; expected an integer of at least 1"),
        ({"embedding": 2.5}, r"embedding is 2\.5; expected an integer of at least 1"),
        ({"tie": True}, "tie is True and there is no embedding; give `embedding` too"),
        (
            {"embedding": 7, "tie": True},
            "`tie` needs an `embedding` of the output size .* 6; found 7",
        ),
        ({"embedding": 6, "tie": "yes"}, "tie is 'yes'; expected True or False"),
    ],
)
def test_invalid_sizes(sizes, words):
    with pytest.raises(UsageError, match=words):
        model_of(sizes)


def test_stored_sizes_that_do_not_fit(tmp_path):
    model = model_of({"embedding": 6, "tie": True})
    checkpoint = model.to_checkpoint()
    for change in ({"embedding": 5}, {"tie": False}, {"embedding": -1}, {"tie": 3}):
        metadata = {**checkpoint.meta["model"], **change}
        zoo.storage.save(
            tmp_path / "m.safetensors",
            zoo.storage.Checkpoint(checkpoint.arrays, {**checkpoint.meta, "model": metadata}),
        )
        with pytest.raises(CheckpointError), warnings.catch_warnings():
            zoo.load(tmp_path / "m.safetensors")


@pytest.mark.usefixtures("plain_python")
def test_training_with_a_tied_embedding_resumes(tmp_path):
    settings = {"hidden": 8, "embedding": 8, "tie": True, "batch": 4, "seq": 8, "threads": 1, "eval_every": 5}
    whole = zoo.train("builtin:hello", **{**settings, "batch": 1, "seq": 4}, steps=20, out=tmp_path / "whole")
    zoo.train("builtin:hello", **{**settings, "batch": 1, "seq": 4}, steps=10, out=tmp_path / "run")
    resumed = zoo.train(
        "builtin:hello", **{**settings, "batch": 1, "seq": 4}, steps=20, out=tmp_path / "run", resume=True
    )
    assert resumed.model.theta.tobytes() == whole.model.theta.tobytes()
    assert resumed.model.tie
