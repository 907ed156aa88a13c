"""The sequence model: three losses, steps that count and steps that do not, files."""

from __future__ import annotations

import doctest
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo import LanguageModel, SequenceModel
from zoo.errors import CheckpointError, UsageError
from zoo.kernels import pure_python

T, B, FEATURES, H, V = 6, 3, 2, 4, 3
LOSSES = ("cross_entropy", "squared_error", "binary")


@pytest.fixture(autouse=True)
def plain():
    """Kernels as plain Python, which compiled ones equal by law; what is to be compiled says so."""
    with pure_python():
        yield


def trial(loss="cross_entropy", batch=B, seed=0, **settings):
    """A model that is no longer at its start, inputs, targets and weights."""
    chosen = {"hidden_size": H, "dtype": "float64", "threads": 1, "seed": seed, **settings}
    model = SequenceModel("vanilla", FEATURES, V, loss=loss, **chosen)
    rng = np.random.default_rng(seed)
    model.theta += rng.normal(size=model.theta.size) / 3
    x = rng.normal(size=(T, batch, FEATURES))
    targets = rng.integers(V, size=(T, batch)) if loss == "cross_entropy" else rng.random((T, batch, V))
    weights = rng.random((T, batch)) * (rng.random((T, batch)) < 0.5)
    weights[2], weights[-1] = 0, 1  # a step that nobody reads, and one that all do
    return model, x, targets, weights


def outputs_of(params, x):
    """Compute the outputs of the readout in NumPy."""
    h, outputs = np.zeros((x.shape[1], H)), []
    for row in x:
        h = np.tanh(row @ params["l0.Wxh"] + h @ params["l0.Whh"] + params["l0.bh"])
        outputs.append(h @ params["Why"] + params["by"])
    return np.array(outputs)


def loss_of(name, outputs, targets, weights):
    """The weighted mean loss, in plain NumPy."""
    if name == "cross_entropy":
        p = np.exp(outputs) / np.exp(outputs).sum(axis=-1, keepdims=True)
        losses = -np.log(np.take_along_axis(p, targets[..., None], axis=-1))[..., 0]
    elif name == "squared_error":
        losses = np.square(outputs - targets).mean(axis=-1)
    else:
        p = 1 / (1 + np.exp(-outputs))
        losses = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(axis=-1)
    return (losses * weights).sum() / weights.sum()


# ---- loss and gradient --------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_equals_the_equations(loss):
    model, x, targets, weights = trial(loss)
    expected = loss_of(loss, outputs_of(model.params, x), targets, weights)
    for value in (
        model.loss(x, targets, weights)[0],
        model.loss_and_grad(x, targets, weights)[0],
        model.evaluate_batch(x, targets, weights)[0],
    ):
        assert type(value) is float
        assert value == pytest.approx(expected, rel=1e-12)
    everywhere = loss_of(loss, outputs_of(model.params, x), targets, np.ones((T, B)))
    assert model.loss(x, targets)[0] == pytest.approx(everywhere, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_equal_finite_differences(loss):
    model, x, targets, weights = trial(loss)
    model.loss_and_grad(x, targets, weights)
    params = {name: value.copy() for name, value in model.params.items()}
    step = 1e-6
    for name, array in params.items():
        numeric = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            middle, sides = array[place], []
            for shift in (step, -step):
                array[place] = middle + shift
                sides.append(loss_of(loss, outputs_of(params, x), targets, weights))
            array[place] = middle
            numeric[place] = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(model.grads[name], numeric, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient_equal_pytorch(loss):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    model, x, targets, weights = trial(loss)
    actual, _ = model.loss_and_grad(x, targets, weights)
    layer = torch.nn.RNN(FEATURES, H, dtype=torch.float64)
    readout = torch.nn.Linear(H, V, dtype=torch.float64)
    pairs = {
        layer.weight_ih_l0: model.params["l0.Wxh"].T,
        layer.weight_hh_l0: model.params["l0.Whh"].T,
        layer.bias_ih_l0: model.params["l0.bh"],
        layer.bias_hh_l0: np.zeros(H),
        readout.weight: model.params["Why"].T,
        readout.bias: model.params["by"],
    }
    for parameter, value in pairs.items():
        parameter.data = torch.tensor(value.copy())
    outputs = readout(layer(torch.tensor(x))[0])
    right, counts = torch.tensor(targets), torch.tensor(weights)
    if loss == "cross_entropy":
        losses = functional.cross_entropy(outputs.permute(0, 2, 1), right, reduction="none")
    else:
        function = {"squared_error": functional.mse_loss}.get(
            loss, functional.binary_cross_entropy_with_logits
        )
        losses = function(outputs, right, reduction="none").mean(dim=-1)
    expected = (losses * counts).sum() / counts.sum()
    expected.backward()
    assert actual == pytest.approx(float(expected.detach()), rel=1e-13)
    for parameter, name in (
        (layer.weight_ih_l0, "l0.Wxh"),
        (layer.weight_hh_l0, "l0.Whh"),
        (layer.bias_ih_l0, "l0.bh"),
        (readout.weight, "Why"),
        (readout.bias, "by"),
    ):
        np.testing.assert_allclose(model.grads[name], parameter.grad.numpy().T, rtol=0, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_targets_of_the_last_step(loss):
    model, x, targets, _ = trial(loss)
    weights = np.zeros((T, B))
    weights[-1] = 1
    actual, _ = model.loss_and_grad(x, targets[-1])
    gradient = model.grad.copy()
    assert actual == model.loss_and_grad(x, targets, weights)[0]
    np.testing.assert_array_equal(model.grad, gradient)


def test_targets_of_weight_zero_are_ignored():
    model, x, targets, weights = trial()
    result = model.loss_and_grad(x, targets, weights)[0], model.grad.copy()
    targets[weights == 0] = -100
    assert model.loss_and_grad(x, targets, weights)[0] == result[0]
    np.testing.assert_array_equal(model.grad, result[1])
    model, x, targets, weights = trial("squared_error")
    targets[weights == 0] = np.nan
    assert np.isfinite(model.loss_and_grad(x, targets, weights)[0])
    assert np.isfinite(model.grad).all()


def test_steps_without_loss_skip_the_readout():
    read = []
    model, x, targets, weights = trial()

    def spy(kernel):
        return lambda y, *rest: read.append(len(y)) or kernel(y, *rest)

    kernels = model._readout_kernels
    model._readout_kernels = kernels._replace(
        loss=spy(kernels.loss), loss_and_grad=spy(kernels.loss_and_grad)
    )
    counted = int(weights.any(axis=1).sum())
    model.loss(x, targets, weights)
    model.loss_and_grad(x, targets, weights)
    model.loss(x, targets[-1])
    assert read == [counted, counted, 1]
    assert counted < T


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("recompute", [1, 4])
def test_segments_keep_loss_and_gradients(loss, recompute):
    whole, *batch = trial(loss)
    parts, *_ = trial(loss, recompute=recompute)
    assert whole.loss_and_grad(*batch)[0] == parts.loss_and_grad(*batch)[0]
    np.testing.assert_allclose(whole.grad, parts.grad, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(whole.outputs(batch[0])[0], parts.outputs(batch[0])[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_change_no_bit_and_agree_with_python(dtype):
    def results(loss, threads):
        model, x, targets, weights = trial(loss, batch=17, dtype=dtype, threads=threads)
        actual, last = model.loss_and_grad(x, targets, weights)
        evaluated = model.evaluate_batch(x, targets, weights)
        return actual, model.grad.copy(), last["l0.h"], evaluated[0], evaluated[1]

    for loss in LOSSES:
        plain = results(loss, 1)
        with uninterpreted():
            expected = results(loss, 1)
            for threads in (2, 5):
                for actual, value in zip(results(loss, threads), expected, strict=True):
                    np.testing.assert_array_equal(actual, value)
        for actual, value in zip(plain, expected, strict=True):
            np.testing.assert_allclose(actual, value, rtol=0, atol=1e-5 if dtype == "float32" else 1e-13)


def uninterpreted():
    """Within the block, kernels are compiled again."""
    import contextlib

    from zoo.kernels import jit

    @contextlib.contextmanager
    def block():
        token = jit._mode.set(jit._COMPILED)
        try:
            yield
        finally:
            jit._mode.reset(token)

    return block()


def test_state_is_carried_and_tokens_are_accepted():
    model = SequenceModel("vanilla", 5, V, hidden_size=H, dtype="float64", threads=1)
    tokens, targets = np.random.default_rng(0).integers(0, V, (2, 8, B))
    whole, last = model.loss(tokens, targets)
    first, middle = model.loss(tokens[:3], targets[:3])
    second, end = model.loss(tokens[3:], targets[3:], state=middle)
    assert (3 * first + 5 * second) / 8 == pytest.approx(whole, rel=1e-14)
    np.testing.assert_array_equal(end["l0.h"], last["l0.h"])


# ---- what it says -------------------------------------------------------------------------------------


def test_outputs_without_loss_are_zero():
    model, x, _, weights = trial()
    whole, _ = model.outputs(x)
    np.testing.assert_allclose(whole, outputs_of(model.params, x), rtol=0, atol=1e-14)
    some, _ = model.outputs(x, weights)
    read = weights.any(axis=1)
    np.testing.assert_array_equal(some[read], whole[read])
    assert not some[~read].any()


def test_predictions_have_the_form_of_targets():
    for loss in LOSSES:
        model, x, targets, _ = trial(loss)
        predictions, last = model.predict(x)
        outputs, _ = model.outputs(x)
        expected = {
            "cross_entropy": outputs.argmax(axis=-1),
            "squared_error": outputs,
            "binary": 1 / (1 + np.exp(-outputs)),
        }[loss]
        assert predictions.shape == targets.shape
        np.testing.assert_allclose(predictions, expected, rtol=0, atol=1e-14)
        assert last["l0.h"].shape == (B, H)


def test_huge_outputs_do_not_overflow():
    for loss in LOSSES:
        model, x, targets, weights = trial(loss, dtype="float32")
        model.params["Why"] *= np.float32(1e4)
        assert np.isfinite(model.loss_and_grad(x, targets, weights)[0])
        assert np.isfinite(model.grad).all()


def test_model_learns():
    """A number that was seen five steps before, by plain gradient descent."""
    rng = np.random.default_rng(0)
    model = SequenceModel("vanilla", 2, 1, hidden_size=8, loss="squared_error", threads=1, dtype="float64")
    x = rng.random((5, 16, 2))
    targets = x[0, :, :1]
    start, _ = model.loss_and_grad(x, targets)
    for _ in range(100):
        model.theta -= 0.1 * model.grad
        end, _ = model.loss_and_grad(x, targets)
    assert end < start / 10


def test_docstring_example():
    (example,) = doctest.DocTestFinder(recurse=False).find(
        SequenceModel, "SequenceModel", globs={"zoo": zoo, "np": np}
    )
    words: list[str] = []
    result = doctest.DocTestRunner().run(example, out=words.append)
    assert result.attempted >= 3
    assert result.failed == 0, "".join(words)


def test_repr():
    assert repr(trial("binary")[0]) == (
        "SequenceModel(Vanilla(), input_size=2, output_size=3, hidden_size=4, num_layers=1, loss='binary', "
        "dtype='float64', P=43)"
    )


# ---- files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_save_and_load(loss, tmp_path):
    model, x, targets, weights = trial(loss, num_layers=2)
    model.save(tmp_path / "model.safetensors")
    loaded = zoo.load(tmp_path / "model.safetensors", threads=1)
    assert type(loaded) is SequenceModel
    assert repr(loaded) == repr(model)
    assert loaded.metadata() == model.metadata()
    np.testing.assert_array_equal(loaded.theta, model.theta)
    assert loaded.loss(x, targets, weights)[0] == model.loss(x, targets, weights)[0]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("loss", "hinge", "made with the loss 'hinge', which is not registered here"),
        ("output_size", 0, "output_size is 0"),
        ("input_size", "2", "input_size is '2'"),
        ("output_size", 4, "Why"),
    ],
)
def test_wrong_metadata_raises(name, value, words, tmp_path):
    from zoo.storage import Checkpoint, save

    model, *_ = trial()
    meta = {"kind": model.kind, "model": {**model.metadata(), name: value}}
    save(tmp_path / "model.safetensors", Checkpoint(model.to_checkpoint().arrays, meta))
    with pytest.raises(CheckpointError, match=words):
        zoo.load(tmp_path / "model.safetensors")


# ---- what it refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"loss": "mse"},
            "sequence model: loss is 'mse'; expected one of cross_entropy, squared_error, binary",
        ),
        ({"output_size": 0}, "sequence model: output_size is 0; expected a positive integer"),
        ({"output_size": 2.5}, "output_size is 2.5"),
        ({"output_size": True}, "output_size is True"),
        ({"input_size": 0}, "input_size is 0"),
    ],
)
def test_invalid_sizes(settings, words):
    with pytest.raises(UsageError, match=words):
        SequenceModel(**{"cell": "vanilla", "input_size": 2, "output_size": 3, **settings})


@pytest.mark.parametrize(
    ("loss", "targets", "weights", "words"),
    [
        (
            "cross_entropy",
            np.zeros((T, B + 1), int),
            None,
            r"targets \(6, 4\) for inputs of 6 steps and 3 sequences",
        ),
        (
            "cross_entropy",
            np.zeros(B),
            None,
            r"targets are float64\(3,\); expected integers from 0 to 2, because the loss is 'cross_entropy'; "
            "for other numbers use a SequenceModel with loss='squared_error'",
        ),
        (
            "cross_entropy",
            np.full(B, "a"),
            None,
            r"targets are texts\(3,\); expected integers from 0 to 2, bec",
        ),
        ("cross_entropy", np.full((T, B), V), None, "targets hold 3; expected classes from 0 to 2"),
        (
            "squared_error",
            np.zeros((T, B)),
            None,
            r"expected \(6, 3, 3\), or \(3, 3\) for the last step alone",
        ),
        (
            "binary",
            np.full((T, B, V), 1.5),
            None,
            "targets run from 1.5 to 1.5; expected numbers from 0 to 1",
        ),
        ("binary", np.full((T, B, V), np.nan), None, "targets run from nan to nan"),
        ("cross_entropy", np.zeros((T, B), int), np.zeros((T, B)), "nothing counts, in 6 steps"),
        ("cross_entropy", np.zeros((T, B), int), -np.ones((T, B)), "weights hold -1.0; expected finite"),
        (
            "cross_entropy",
            np.zeros((T, B), int),
            np.ones(T),
            r"weights has the shape \(6,\); expected \(6, 3\)",
        ),
        (
            "cross_entropy",
            np.zeros(B, int),
            np.ones((T, B)),
            "are for the last step, which alone counts",
        ),
        ("cross_entropy", [[1], [1, 2]], None, "targets cannot be made an array"),
    ],
)
def test_invalid_targets_and_weights(loss, targets, weights, words):
    model, x, *_ = trial(loss)
    for method in (model.loss, model.loss_and_grad, model.evaluate_batch):
        with pytest.raises(UsageError, match=f"^sequence model: .*{words}"):
            method(x, targets, weights)


@pytest.mark.parametrize("exchanged", ["inputs", "targets", "weights"])
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
def test_exchanged_axes_of_either_array_get_one_advice(loss, exchanged):
    """The shapes of exchanged inputs are those of exchanged targets, so the advice names both."""
    model, x, targets, *_ = trial(loss)
    arrays = {"inputs": x, "targets": targets, "weights": np.ones((T, B))}
    arrays[exchanged] = arrays[exchanged].swapaxes(0, 1)
    name = "targets" if exchanged == "targets" else "weights"
    with pytest.raises(UsageError) as error:
        model.loss_and_grad(**arrays)
    assert str(error.value).endswith(
        f"Time comes first: if the batch comes first in the inputs, give x.swapaxes(0, 1); if it does in "
        f"{name}, {name}.swapaxes(0, 1)."
    )


@pytest.mark.parametrize(("index", "value"), [(0, V), (B - 1, V + 7), (1, -1)])
@pytest.mark.parametrize("lengths", [None, [T, 1, 2]])
@pytest.mark.parametrize("weights", [None, np.ones(B)])
def test_invalid_target_of_the_last_step_has_its_index(index, value, lengths, weights):
    model, x, *_ = trial("cross_entropy")
    targets = np.full(B, V - 1)
    targets[index] = value
    sentence = (
        rf"^sequence model: targets\[{index}\] is {value}, the class of the last step of sequence {index}; "
        rf"expected classes from 0 to {V - 1}\.$"
    )
    for method in (model.loss, model.loss_and_grad, model.evaluate_batch):
        with pytest.raises(UsageError, match=sentence):
            method(x, targets, weights, lengths=lengths)
    ignored = np.ones(B)
    ignored[index] = 0
    assert np.isfinite(model.loss(x, targets, ignored, lengths=lengths)[0])  # a target of weight zero


def test_invalid_inputs():
    model, x, targets, _ = trial()
    with pytest.raises(
        UsageError, match=r"sequence model: inputs are float64\(6, 3, 1\); expected floats \(T, B, 2\)"
    ):
        model.loss(x[..., :1], targets)
    with pytest.raises(UsageError, match="sequence model: unknown state 'c'; missing state 'h'"):
        model.outputs(x, state={"c": np.zeros((B, H))})


def test_both_models_share_their_signatures():
    for name in ("loss_and_grad", "loss", "outputs", "evaluate_batch"):
        one, other = (inspect.signature(getattr(kind, name)) for kind in (LanguageModel, SequenceModel))
        assert one == other, name
    assert [*inspect.signature(LanguageModel.loss_and_grad).parameters][1:] == [
        "inputs",
        "targets",
        "weights",
        "state",
        "noise",
        "lengths",
        "aux",
    ]
    tokens, weights = np.array([[0, 1], [2, 0], [1, 1]]), np.array([[0, 1], [1, 0], [2, 1]])
    sizes = {"hidden_size": 3, "dtype": "float64", "threads": 1}
    state = {"l0.h": np.full((2, 3), 0.5)}
    for model in (LanguageModel("abc", **sizes), SequenceModel("vanilla", 3, 3, **sizes)):
        result = model.loss_and_grad(tokens, tokens, weights, state=state, noise=None)
        assert result[0] == model.loss_and_grad(tokens, tokens, weights=weights, state=state)[0]
        with pytest.raises(UsageError, match="weights are a mapping, as states are; give states by name"):
            model.loss_and_grad(tokens, tokens, state)


# ---- the language model has weights too ---------------------------------------------------------------


def test_language_model_uses_weights():
    model = LanguageModel("abc", hidden_size=H, dtype="float64", threads=1)
    inputs, targets = np.random.default_rng(0).integers(0, 3, (2, 8, B))
    weights = np.zeros((8, B))
    weights[5:] = 1
    _, state = model.loss(inputs[:5], targets[:5])
    assert (
        model.loss(inputs, targets, weights=weights)[0] == model.loss(inputs[5:], targets[5:], state=state)[0]
    )
    ones = model.loss_and_grad(inputs, targets)[0], model.grad.copy()
    assert model.loss_and_grad(inputs, targets, weights=np.ones((8, B)))[0] == ones[0]
    np.testing.assert_array_equal(model.grad, ones[1])


def test_one_step_at_a_time_equals_the_whole_sequence():
    model = SequenceModel("lstm", 3, 5, 8)
    x = np.random.default_rng(0).normal(size=(7, 2, 3)).astype(np.float32)
    whole, final = model.outputs(x)
    state = None
    for t in range(len(x)):
        outputs, state = model.outputs(x[t : t + 1], state=state)
        np.testing.assert_array_equal(outputs[0], whole[t])
    np.testing.assert_array_equal(state["h"], final["h"])


def test_weights_may_be_a_mask_of_booleans():
    rng = np.random.default_rng(0)
    model = zoo.SequenceModel("vanilla", 3, 2, hidden_size=4, loss="squared_error", seed=0)
    x, targets, mask = rng.normal(size=(T, B, 3)), rng.normal(size=(T, B, 2)), rng.random((T, B)) < 0.5
    assert model.loss(x, targets, mask)[0] == model.loss(x, targets, mask.astype(float))[0]


@given(value=st.floats(0.001, 0.999))
@pytest.mark.parametrize("name", ["huber", "quantile"])
def test_number_behind_the_name_of_a_loss_is_its_option(name, value):
    (option,) = zoo.get_loss(name).options
    expected = zoo.get_loss(name, **{option: value})
    for text in (f"{name}:{value!r}", f"{name}:{option}={value!r}"):
        loss = SequenceModel.check_loss(text, 1)
        assert (loss.name, loss.values) == (expected.name, expected.values)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("huber:", "has no value behind the colon; expected a value of delta, as in 'huber:1.0'"),
        ("huber:a", "'huber:a': option 'delta' is 'a'; expected a finite number"),
        ("huber:beta=1", "has no option 'beta'"),
        ("huber:delta=1:level=2", "a comma separates two options; write 'huber:delta=1,level=2'"),
        ("huber:delta=1,", "a comma has no NAME=VALUE on one side; leave it out"),
        ("huber:nan", "option 'delta' is nan"),
        ("quantile:1.5", "is 1.5"),
        ("squared_error:1", "squared_error has no option, so leave out '1'"),
        ("hubr:0.5", "loss is 'hubr'; .* Did you mean 'huber'"),
    ],
)
def test_invalid_text_of_a_loss_raises(loss, words):
    with pytest.raises(UsageError, match=f"^sequence model: .*{words}"):
        SequenceModel.check_loss(loss, 1)
