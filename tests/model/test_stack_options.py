"""Models on stacks with both directions, padded batches, mixed cells and learned initial states."""

import numpy as np
import pytest

import zoo
from zoo.errors import CheckpointError, UsageError

T, B, I, H, V = 7, 11, 3, 4, 5  # noqa: E741 - the letters of the documents
LENGTHS = np.array([7, 3, 0, 5, 1, 7, 2, 6, 4, 7, 3])
OPTIONS = {
    "bidirectional": {"cell": "gru", "bidirectional": True},
    "mixed": {"cell": ["lstm", "gru"]},
    "learned": {"cell": "lstm", "learned_state": True},
    "everything": {
        "cell": ["gru", "lstm"],
        "bidirectional": True,
        "learned_state": True,
        "residual": True,
        "dropout": 0.3,
    },
    "recompute": {"cell": ["gru", "vanilla"], "learned_state": True, "recompute": 2},
    "recompute both": {"cell": "gru", "bidirectional": True, "recompute": 2},
}


def make(options, loss="cross_entropy", **more):
    model = zoo.SequenceModel(
        input_size=I,
        output_size=V,
        hidden_size=H,
        loss=loss,
        dtype="float64",
        **{"threads": 1, **options, **more},
    )
    rng = np.random.default_rng(1)
    model.theta = rng.normal(0, 0.5, model.theta.size)
    return model


def batch(loss="cross_entropy", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(T, B, I))
    return x, rng.integers(0, V, (T, B)) if loss == "cross_entropy" else rng.random((T, B, V))


def padded(x, targets):
    """The batch with arbitrary values in its padding."""
    behind = np.arange(T)[:, None] >= LENGTHS
    x, targets = x.copy(), targets.copy()
    x[behind], targets[behind] = np.nan, -7
    return x, targets


def check_gradient(model, *arguments, **more):
    """Compare the gradient along random directions with central differences."""
    model.loss_and_grad(*arguments, **more)
    gradient, theta, rng, step = model.grad.copy(), model.theta.copy(), np.random.default_rng(2), 1e-6
    for _ in range(8):
        direction = rng.normal(size=theta.size)
        losses = []
        for sign in (1, -1):
            model.theta = theta + sign * step * direction
            losses.append(model.loss_and_grad(*arguments, **more)[0])
        model.theta = theta
        slope = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(gradient @ direction, slope, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("with_lengths", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients_match_finite_differences(options, with_lengths):
    x, targets = batch()
    lengths = LENGTHS if with_lengths else None
    x, targets = padded(x, targets) if with_lengths else (x, targets)
    check_gradient(make(options), x, targets, noise=(1, 2), lengths=lengths)


@pytest.mark.parametrize("loss", ["squared_error", "binary"])
def test_gradients_of_last_step_of_each_sequence(loss):
    x, targets = padded(*batch(loss))
    check_gradient(make(OPTIONS["bidirectional"], loss), x, np.abs(targets[0]) % 1, lengths=LENGTHS)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_padded_sequences_equal_unpadded_ones(options, threads):
    model, (x, targets) = make(options, threads=threads), batch()
    loss, state = model.loss_and_grad(*padded(x, targets), lengths=LENGTHS)
    gradient = model.grad.copy()
    outputs = model.outputs(padded(x, targets)[0], lengths=LENGTHS)[0]
    expected, total = np.zeros_like(gradient), 0.0
    for row, length in enumerate(LENGTHS):
        rows = slice(row, row + 1)
        assert not outputs[length:, row].any()
        if length == 0:
            continue
        one, alone = model.loss_and_grad(x[:length, rows], targets[:length, rows])
        total += one * length / LENGTHS.sum()
        expected += model.grad * (length / LENGTHS.sum())
        for name, value in alone.items():
            np.testing.assert_allclose(state[name][rows], value, rtol=1e-12, err_msg=name)
        alone_outputs = model.outputs(x[:length, rows])[0]
        np.testing.assert_allclose(outputs[:length, rows], alone_outputs, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(loss, total, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
    assert model.loss(*padded(x, targets), lengths=LENGTHS)[0] == loss
    actual, evaluated, _ = model.evaluate_batch(*padded(x, targets), lengths=LENGTHS)
    np.testing.assert_allclose(actual, loss, rtol=1e-12)
    np.testing.assert_array_equal(evaluated, outputs)


def test_last_step_targets_use_last_step_of_each_sequence():
    model, (x, targets) = make(OPTIONS["mixed"]), batch()
    weights = np.zeros((T, B))
    weights[np.maximum(LENGTHS, 1) - 1, np.arange(B)] = LENGTHS > 0
    last = targets[np.maximum(LENGTHS, 1) - 1, np.arange(B)]
    actual = model.loss_and_grad(x, last, lengths=LENGTHS)[0], model.grad.copy()
    expected = model.loss_and_grad(x, targets, weights, lengths=LENGTHS)[0], model.grad.copy()
    np.testing.assert_equal(actual, expected)


def test_full_lengths_change_nothing():
    model, (x, targets) = make(OPTIONS["learned"]), batch()
    expected = model.loss_and_grad(x, targets)[0], model.grad.copy()
    actual = model.loss_and_grad(x, targets, lengths=np.full(B, T))[0], model.grad.copy()
    np.testing.assert_equal(actual, expected)


def test_learned_state_is_used_unless_a_state_is_given():
    model, (x, targets) = make(OPTIONS["learned"]), batch()
    names = ["l0.h.initial", "l0.c.initial"]
    _, given = model.loss_and_grad(x, targets)
    assert all(model.grads[name].any() for name in names)
    model.loss_and_grad(x, targets, state=given)
    assert not any(model.grads[name].any() for name in names)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_saved_model_is_loaded_as_it_was(options, tmp_path):
    model, (x, targets) = make(options), batch()
    model.save(tmp_path / "model.safetensors")
    loaded = zoo.load(tmp_path / "model.safetensors", threads=1)
    assert loaded.metadata() == model.metadata()
    assert (loaded.cells, repr(loaded)) == (model.cells, repr(model))
    assert loaded.loss(x, targets)[0] == model.loss(x, targets)[0]


def test_checkpoint_of_other_cells_raises(tmp_path):
    make(OPTIONS["mixed"]).save(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="made with the cells"):
        zoo.load(tmp_path / "model.safetensors", cell=zoo.get_cell("vanilla").__class__)


def test_language_model_cannot_be_bidirectional():
    with pytest.raises(UsageError, match="a layer that reads backwards sees the symbols to be predicted"):
        zoo.LanguageModel("abc", "gru", 4, bidirectional=True)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("residual", [False, True])
def test_language_model_samples_with_mixed_cells_and_learned_states(residual):
    model = zoo.LanguageModel(
        "abcd", ["lstm", "gru"], 4, dtype="float64", learned_state=True, residual=residual
    )
    rng = np.random.default_rng(3)
    model.theta = rng.normal(0, 1.5, model.theta.size)
    text = model.sample("ab", 30, zoo.get_sampler("greedy"))
    expected = "ab"
    for _ in range(30):
        logits, _ = model.logits(model.vocab.encode(expected)[:, None])
        expected += "abcd"[int(logits[-1, 0].argmax())]
    assert text == expected


def test_language_model_reads_padded_rows():
    model = zoo.LanguageModel("abcd", "gru", 4, dtype="float64", threads=1)
    rng = np.random.default_rng(4)
    tokens = rng.integers(0, 4, (T + 1, B))
    x, targets = tokens[:-1].copy(), tokens[1:].copy()
    x[np.arange(T)[:, None] >= LENGTHS] = 99
    targets[np.arange(T)[:, None] >= LENGTHS] = -1
    check_gradient(model, x, targets, lengths=LENGTHS)
    with pytest.raises(UsageError, match="language model: lengths run from 0 to 7; expected 0 to 6"):
        model.loss(x[:6], targets[:6], lengths=LENGTHS)
    with pytest.raises(UsageError, match="nothing counts"):
        model.loss(x, targets, lengths=np.zeros(B, int))
