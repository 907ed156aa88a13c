"""The table of losses: every row of it, and a row of one's own."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import zoo
from zoo.base.loss import loss_table
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.model.readout import readout_kernels
from zoo.model.targets import as_targets

LOSSES = loss_table()

T, B, V, H = 5, 4, 3, 4

# Every row with its defaults, and every option with another value.
TABLE = [loss.name for loss in LOSSES.values()] + [
    zoo.get_loss(name, **{option: value})
    for name, option, value in (
        ("cross_entropy", "label_smoothing", 0.2),
        ("cross_entropy", "class_weights", (1, 2, 0.5)),
        ("huber", "delta", 0.3),
        ("quantile", "quantile", 0.9),
        ("interval", "low", 0.3),
        ("interval", "high", 0.6),
    )
]
PER_TARGET = zoo.get_loss("per_target", kind0=2, parameter0=0.3, kind1=1, kind2=3, parameter2=0.9)
TABLE.append(PER_TARGET)


@zoo.njit
def log_cosh(row, target, sharpness):
    total = 0.0
    for v in range(row.size):
        total += np.log(np.cosh(sharpness * (row[v] - target[v])))
    return total / row.size


@zoo.njit
def log_cosh_and_grad(row, target, scale, sharpness):
    loss = log_cosh(row, target, sharpness)
    for v in range(row.size):
        row[v] = sharpness * np.tanh(sharpness * (row[v] - target[v])) * scale / row.size
    return loss


LOG_COSH = zoo.Loss(
    "log_cosh", log_cosh, log_cosh_and_grad, options={"sharpness": zoo.Option(1.0, "slope far away", low=0)}
)


@pytest.fixture
def registered():
    return zoo.register_loss(LOG_COSH)


def trial(loss, dtype="float64", batch=B, **settings):
    model = zoo.SequenceModel("vanilla", 2, V, H, loss=loss, dtype=dtype, threads=1, **settings)
    rng = np.random.default_rng(0)
    model.theta += rng.normal(size=model.theta.size) / 2
    x = rng.normal(size=(T, batch, 2))
    is_class = model.criterion.target == "class"
    targets = rng.integers(V, size=(T, batch)) if is_class else rng.random((T, batch, V))
    return model, x, targets, rng.random((T, batch)) + 0.1


def loss_of(loss, o, t):
    """The losses of outputs ``(N, V)`` in plain NumPy, ``(N,)``."""
    values = dict(zip(loss.options, loss.values, strict=True))
    if loss.name == "cross_entropy":
        log_p = o - np.log(np.exp(o).sum(axis=-1, keepdims=True))
        smoothing = values["label_smoothing"]
        return -(((1 - smoothing) * np.eye(V)[t] + smoothing / V) * log_p).sum(axis=-1)
    error = o - t
    if loss == PER_TARGET:
        names = (("huber", {"delta": 0.3}), ("absolute_error", {}), ("quantile", {"quantile": 0.9}))
        losses = [zoo.get_loss(name, **options) for name, options in names]
        return np.mean([loss_of(each, o[..., [n]], t[..., [n]]) for n, each in enumerate(losses)], axis=0)
    return {
        "squared_error": lambda: error**2,
        "per_target": lambda: error**2,
        "binary": lambda: np.log1p(np.exp(o)) - t * o,
        "absolute_error": lambda: abs(error),
        "huber": lambda: np.where(
            abs(error) <= values["delta"], error**2 / 2, values["delta"] * (abs(error) - values["delta"] / 2)
        ),
        "quantile": lambda: np.maximum(-values["quantile"] * error, (1 - values["quantile"]) * error),
        "interval": lambda: np.maximum(
            -interval_levels(values) * error, (1 - interval_levels(values)) * error
        ),
        "log_cosh": lambda: np.log(np.cosh(values["sharpness"] * error)),
    }[loss.name]().mean(axis=-1)


def interval_levels(values):
    return np.resize([values["low"], 0.5, values["high"]], V)


def check_gradient(model, x, targets, weights):
    with pure_python():
        model.loss_and_grad(x, targets, weights)
        gradient = model.grad.copy()
        for n in np.random.default_rng(1).permutation(model.theta.size)[:12]:
            before, losses = model.theta[n], []
            for step in (-1e-6, 1e-6):
                model.theta[n] = before + step
                losses.append(model.loss(x, targets, weights)[0])
            model.theta[n] = before
            assert gradient[n] == pytest.approx((losses[1] - losses[0]) / 2e-6, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("loss", TABLE, ids=str)
def test_loss_equals_the_equation(loss):
    model, x, targets, weights = trial(loss)
    loss = model.criterion
    if loss.class_weights:
        weights = weights * np.array(loss.class_weights)[targets]
    with pure_python():
        outputs, _ = model.outputs(x)
        expected = (loss_of(loss, outputs, targets) * weights).sum() / weights.sum()
        given = trial(loss)[1:]
        assert model.loss(*given)[0] == pytest.approx(expected, rel=1e-12)
        assert model.evaluate_batch(*given)[0] == pytest.approx(expected, rel=1e-12)
        assert model.loss_and_grad(*given)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", TABLE, ids=str)
def test_gradient_equals_finite_differences(loss):
    check_gradient(*trial(loss))


# One loss in float64: each compiles for a second, and laws compare the kernels of every loss in both dtypes.
@pytest.mark.parametrize(
    ("loss", "dtype"), [*((loss, "float32") for loss in TABLE), (TABLE[0], "float64")], ids=str
)
def test_compiled_kernels_equal_python(loss, dtype):
    model, x, targets, weights = trial(loss, dtype, batch=17)
    with pure_python():
        expected, _ = model.loss_and_grad(x, targets, weights)
        gradient = model.grad.copy()
    if dtype == "float32":  # test_compiled_step.py compiles training steps in float64
        model.compile_training_step()
    for _ in range(2):
        loss, _ = model.loss_and_grad(x, targets, weights)
        tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-14}
        np.testing.assert_allclose(loss, expected, **tolerance)
        np.testing.assert_allclose(model.grad, gradient, **tolerance)
    assert any(model._compiled_step._steps.values()) == (dtype == "float32")


@pytest.mark.parametrize("loss", TABLE, ids=str)
def test_save_and_load_keep_the_loss(loss, tmp_path):
    model, x, targets, weights = trial(loss)
    model.save(tmp_path / "model.safetensors")
    loaded = zoo.load(tmp_path / "model.safetensors", threads=1)
    assert loaded.criterion == model.criterion == pickle.loads(pickle.dumps(model)).criterion
    assert repr(loaded) == repr(model)
    with pure_python():
        assert loaded.loss(x, targets, weights)[0] == model.loss(x, targets, weights)[0]


def test_default_options_are_not_stored():
    assert "loss_options" not in trial("huber")[0].metadata()
    assert trial(zoo.get_loss("huber", delta=2))[0].metadata()["loss_options"] == {"delta": 2.0}


@pytest.mark.parametrize("name", ["log_cosh", *LOSSES])
def test_predictions_have_the_form_of_targets(name, registered):
    model, x, targets, _ = trial(name)
    with pure_python():
        predictions, _ = model.predict(x)
    assert predictions.shape == targets.shape
    kinds = {"class": "i", "probability": "f", "value": "f"}
    assert predictions.dtype.kind == kinds[model.criterion.target]
    if model.criterion.target == "probability":
        assert 0 < predictions.min() < predictions.max() < 1


def test_predict_of_a_loss_replaces_the_default():
    zoo.register_loss(zoo.Loss("log_rate", log_cosh, log_cosh_and_grad, predict=np.exp))
    model, x, *_ = trial("log_rate")
    with pure_python():
        np.testing.assert_array_equal(model.predict(x)[0], np.exp(model.outputs(x)[0]))


# ---- a loss of one's own ------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, V - 1, V + 1])
@pytest.mark.parametrize("loss", ["log_cosh", "squared_error"])
@pytest.mark.parametrize("steps", [(T, B), (B,)])
@pytest.mark.usefixtures("registered")
def test_targets_of_another_width_than_the_outputs_raise(loss, steps, width):
    """The kernels of a loss of your own may read fewer targets than outputs; the others read all."""
    model = trial(loss)[0]
    hint = " If the loss has more outputs than targets, fill the targets up with zeros."
    with pytest.raises(UsageError) as error:
        model.loss(np.zeros((T, B, 2)), np.zeros((*steps, width)))
    assert f"expected {(T, B, V)}, or {(B, V)} for the last step alone." in str(error.value)
    assert str(error.value).endswith(hint) == (loss == "log_cosh" and width < V)


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_registered_loss_equals_its_equation(registered, sharpness):
    model, x, targets, weights = trial(zoo.get_loss("log_cosh", sharpness=sharpness))
    check_gradient(model, x, targets, weights)
    loss, _ = model.loss(x, targets, weights)
    losses = loss_of(model.criterion, model.outputs(x)[0], targets)
    assert loss == pytest.approx((losses * weights).sum() / weights.sum(), rel=1e-12)
    assert "log_cosh" in zoo.list_losses()


def test_training_with_a_registered_loss(registered, tmp_path):
    class Average(zoo.Task):
        """The mean of the inputs so far."""

        card = zoo.get_task("adding").card
        input_size = output_size = 1
        loss = registered.with_options(sharpness=2.0)

        def draw_examples(self, rng, size, part):
            x = rng.uniform(6, size, 1)
            targets = np.cumsum(x, axis=0) / np.arange(1, 7)[:, None, None]
            return zoo.Batch(x, targets, np.ones((6, size)))

        def baseline(self):
            return 1.0

    assert Average.metric == "squared_error"
    settings = {"cell": "vanilla", "hidden": 8, "batch": 8, "steps": 120, "eval_every": 60, "eval_batches": 2}
    with pure_python():
        run = zoo.train(task=Average, lr=0.02, out=tmp_path / "run", **settings)
    losses = [event["loss"] for event in run.history if event["event"] == "eval"]
    assert losses[-1] < losses[0]
    assert run.history[0]["task"]["loss"] == "log_cosh(sharpness=2.0)"
    assert run.model.criterion == Average.loss


def test_loss_and_task_of_one_file(tmp_path):
    source = """
import zoo
from zoo.kernels.losses import huber_loss, huber_loss_and_grad

zoo.register_loss(zoo.Loss("other", huber_loss, huber_loss_and_grad, options={"delta": zoo.Option(0.2)}))


class Adding(type(zoo.get_task("adding"))):
    \"\"\"Adding with another loss.\"\"\"

    name = "other_adding"
    loss = "other"
"""
    path = tmp_path / "tasks.py"
    path.write_text(source)
    settings = {"cell": "vanilla", "hidden": 3, "batch": 2, "steps": 2, "eval_batches": 1}
    with pure_python():
        run = zoo.train(task=f"{path}:Adding", out=tmp_path / "run", **settings)
        assert run.model.criterion.values == (0.2,)


# ---- class weights and label smoothing ----------------------------------------------------------------


def test_class_weights_multiply_the_weights_of_their_rows():
    weighted, x, targets, weights = trial(zoo.get_loss("cross_entropy", class_weights=(1, 2, 0.5)))
    plain, *_ = trial("cross_entropy")
    with pure_python():
        for given in (weights, None):
            of_classes = np.array([1, 2, 0.5])[targets] * (1 if given is None else given)
            assert weighted.loss(x, targets, given)[0] == plain.loss(x, targets, of_classes)[0]


def test_label_smoothing_is_the_mixture_of_all_targets():
    model, x, targets, weights = trial(zoo.get_loss("cross_entropy", label_smoothing=0.3))
    plain, *_ = trial("cross_entropy")
    with pure_python():
        of_classes = [plain.loss(x, np.full_like(targets, v), weights)[0] for v in range(V)]
        expected = 0.7 * plain.loss(x, targets, weights)[0] + 0.3 * np.mean(of_classes)
        assert model.loss(x, targets, weights)[0] == pytest.approx(expected, rel=1e-12)


# ---- language models ----------------------------------------------------------------------------------

SMOOTH = zoo.get_loss("cross_entropy", label_smoothing=0.3, class_weights=(1, 2, 0.5))


class Successor(zoo.Task):
    """The symbol after each of a random text, for language models."""

    loss, metric = SMOOTH, "nats"
    vocabulary = "abc"
    input_size = output_size = 3

    def draw_examples(self, rng, size, part):
        tokens = rng.integers(0, 3, 9, size)
        return zoo.Batch(tokens, (tokens + 1) % 3, np.ones(tokens.shape))

    def baseline(self):
        return 0.0


def language_trial(loss):
    text = np.random.default_rng(0).integers(0, V, (2, T, B))
    return zoo.LanguageModel("abc", "vanilla", H, dtype="float64", threads=1, loss=loss), *text


def test_language_models_take_losses_of_classes():
    model, inputs, targets = language_trial(SMOOTH)
    other = zoo.SequenceModel("vanilla", V, V, H, dtype="float64", threads=1, loss=SMOOTH)
    other.theta = model.theta
    with pure_python():
        assert model.loss_and_grad(inputs, targets)[0] == other.loss_and_grad(inputs, targets)[0]
        np.testing.assert_array_equal(model.grad, other.grad)
        plain, *_ = language_trial("cross_entropy")
        assert model.with_loss("cross_entropy").loss(inputs, targets)[0] == plain.loss(inputs, targets)[0]
        assert model.loss(inputs, targets)[0] != plain.loss(inputs, targets)[0]
    with pytest.raises(UsageError, match="'huber', whose targets are numbers; expected a loss of classes"):
        zoo.LanguageModel("abc", loss="huber")
    with pytest.raises(UsageError, match="2 class weights; expected one for each of 3 outputs"):
        zoo.LanguageModel("abc", loss=zoo.get_loss("cross_entropy", class_weights=(1, 2)))


def test_language_models_save_and_load_their_loss(tmp_path):
    model, inputs, targets = language_trial(SMOOTH)
    model.save(tmp_path / "model.safetensors")
    loaded = zoo.load(tmp_path / "model.safetensors", threads=1)
    assert loaded.criterion == model.criterion == SMOOTH
    with pure_python():
        assert loaded.loss(inputs, targets)[0] == model.loss(inputs, targets)[0]
    assert "loss" not in language_trial("cross_entropy")[0].metadata(), "as in older files"


def test_runs_of_language_models_resume_with_their_loss(tmp_path):
    settings = {"cell": "vanilla", "hidden": 3, "batch": 4, "threads": 1, "eval_batches": 1, "eval_every": 2}
    with pure_python():
        whole = zoo.train(task=Successor, steps=6, out=tmp_path / "whole", **settings)
        zoo.train(task=Successor, steps=2, out=tmp_path / "part", **settings)
        part = zoo.train(task=Successor, steps=6, out=tmp_path / "part", resume=True, **settings)
        assert part.model.criterion == whole.model.criterion == SMOOTH
        np.testing.assert_array_equal(part.model.theta, whole.model.theta)


# ---- definitions --------------------------------------------------------------------------------------


BOUNDS = st.none() | st.integers(-5, 5)


@given(BOUNDS, BOUNDS, st.lists(st.integers(-6, 6), min_size=4, max_size=4), st.integers(0, 15))
def test_targets_outside_of_the_range_of_a_loss_are_an_error(low, high, numbers, mask):
    """Targets with the weight zero do not count."""
    assume(low is None or high is None or low < high)
    loss = zoo.Loss("mine", log_cosh, log_cosh_and_grad, low=low, high=high)
    targets = np.array(numbers, float).reshape(2, 2, 1)
    weights = np.array([mask >> n & 1 for n in range(4)], float).reshape(2, 2)
    assume(weights.any())
    counted = targets[weights > 0]
    is_valid = all((low is None or t >= low) and (high is None or t <= high) for t in counted.ravel())
    given_targets = targets, weights, loss, (2, 2), 1, np.dtype(np.float64), "model"
    if is_valid:
        values, _ = as_targets(*given_targets)
        np.testing.assert_array_equal(values[weights > 0], counted)
        assert loss.target_range[0] <= values.min() <= values.max() <= loss.target_range[1]
    else:
        span = rf"targets run from {counted.min()} to {counted.max()}; expected numbers (of|from) .* 'mine'"
        with pytest.raises(UsageError, match=span):
            as_targets(*given_targets)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"low": 0.0}, "numbers of at least 0"),
        ({"high": 2}, "numbers of at most 2"),
        ({"low": -1, "high": 1}, "numbers from -1 to 1"),
        ({}, "numbers"),
    ],
)
def test_range_of_targets_in_words(bounds, words):
    assert zoo.Loss("mine", log_cosh, log_cosh_and_grad, **bounds).target_text == words
    assert zoo.get_loss("binary").target_text == "numbers from 0 to 1"
    assert zoo.get_loss("cross_entropy").target_text == "classes"


def test_counts_must_not_be_negative_in_fit():
    options = {"sharpness": zoo.Option(1.0)}
    loss = zoo.Loss("mine", log_cosh, log_cosh_and_grad, options=options, low=0)
    model = zoo.SequenceModel("vanilla", 1, 1, 2, loss=loss)
    x = np.zeros((3, 4, 1))
    with pure_python():
        model.fit(x, x, epochs=1)
        with pytest.raises(UsageError, match=r"from -1\.0 to 0\.0; expected numbers of at least 0"):
            model.fit(x, x - np.eye(3, 4)[..., None], epochs=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "No"}, "the name 'No' cannot be registered"),
        ({"row_loss": len}, "row_loss is .*; expected a zoo.njit kernel"),
        ({"row_loss_and_grad": None}, "row_loss_and_grad is None; expected a zoo.njit kernel"),
        ({"target": "rank"}, "target is 'rank'; expected one of class, probability, value"),
        ({"options": {"n": zoo.Option(1)}}, "expected a zoo.Option with a default of type float"),
        ({"low": "0"}, "loss 'mine': low is '0'; expected a finite int or float, or None"),
        ({"high": np.inf}, "high is inf; expected a finite int or float, or None"),
        ({"low": np.nan}, "low is nan; expected a finite int or float, or None"),
        ({"low": np.float32(0)}, "expected a finite int or float, or None"),
        ({"low": True}, "low is True; expected a finite int or float, or None"),
        ({"low": 1, "high": 1.0}, "low is 1 and high is 1.0; expected low < high"),
        ({"low": 0, "target": "class"}, "low is 0 and target is 'class'; leave it out"),
        ({"high": 1, "target": "probability"}, "high is 1 and target is 'probability'; leave it out"),
    ],
)
def test_invalid_definitions_raise(arguments, words):
    valid = {"name": "mine", "row_loss": log_cosh, "row_loss_and_grad": log_cosh_and_grad}
    with pytest.raises(DefinitionError, match=words):
        zoo.Loss(**{**valid, **arguments})


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("huber", {"delta": 0}, "loss 'huber': option 'delta' is 0; expected a finite number at least 1e-06"),
        ("huber", {"dleta": 1}, "loss 'huber' has no option 'dleta'; it has delta. Did you mean 'delta'"),
        ("quantile", {"quantile": 2.0}, "option 'quantile' is 2.0"),
        ("cross_entropy", {"label_smoothing": 1.0}, "option 'label_smoothing' is 1.0"),
        ("cross_entropy", {"class_weights": (1, 0)}, "expected a number from 1e-9 to 1e9 for each class"),
        ("cross_entropy", {"class_weights": (1, 1e39)}, "expected a number from 1e-9 to 1e9 for each class"),
        ("cross_entropy", {"class_weights": "ab"}, "expected a number from 1e-9 to 1e9 for each class"),
        ("huber", {"class_weights": (1, 1)}, "loss 'huber' has no classes; leave out class_weights"),
        ("per_target", {"kind0": 0.5}, "option 'kind0' is 0.5; expected one of 0.0, 1.0, 2.0, 3.0"),
        ("per_target", {"kind0": -1}, "option 'kind0' is -1; expected one of 0.0, 1.0, 2.0, 3.0"),
        ("per_target", {"kind2": 1}, "option 'kind1' is -1, and a later target has a loss"),
        ("per_target", {"kind0": 3, "parameter0": 7.0}, "'quantile': option 'quantile' is 7.0; .* at most 1"),
        ("per_target", {"kind1": 2, "parameter1": 0}, "'huber': option 'delta' is 0.0; expected"),
    ],
)
def test_invalid_options_raise(name, options, words):
    with pytest.raises(UsageError, match=words):
        zoo.get_loss(name, **options)


def test_unknown_losses_raise():
    with pytest.raises(UnknownNameError, match=r"'MSE' is called 'squared_error'"):
        zoo.get_loss("MSE")
    with pytest.raises(UnknownNameError, match=r"loss is 'hubert'; expected one of .*Did you mean 'huber'"):
        zoo.get_loss("hubert")
    with pytest.raises(UsageError, match=r"loss is 3; expected the name of a loss or a zoo\.Loss"):
        zoo.get_loss(3)
    weights = zoo.get_loss("cross_entropy", class_weights=(1, 1))
    with pytest.raises(UsageError, match="loss has 2 class weights; expected one for each of 3 outputs"):
        zoo.SequenceModel("vanilla", 2, 3, loss=weights)


def test_duplicate_name_raises(registered):
    with pytest.raises(
        UsageError, match=r"loss name .huber. is taken: recurrent-zoo .* registered it, .*override=True"
    ):
        zoo.register_loss(zoo.Loss("huber", log_cosh, log_cosh_and_grad))
    assert zoo.register_loss(copy.copy(registered)) == registered
    with pytest.raises(DefinitionError, match=r"expected a zoo\.Loss"):
        zoo.register_loss("huber")


def test_options_have_their_names_from_the_start():
    sharpness = zoo.Option(1.0, "slope far away", low=0)
    loss = zoo.Loss("one", log_cosh, log_cosh_and_grad, options={"sharpness": sharpness})
    assert loss.options["sharpness"].name == "sharpness"
    other = zoo.Loss("two", log_cosh, log_cosh_and_grad, options={"slope": sharpness})
    for each, name in ((loss, "sharpness"), (other, "slope"), (loss, "sharpness")):
        with pytest.raises(UsageError, match=f"loss '{each.name}': option '{name}' is -1; expected"):
            each.with_options(**{name: -1})
    assert {name: option.name for loss in LOSSES.values() for name, option in loss.options.items()} == {
        name: name for loss in LOSSES.values() for name in loss.options
    }
    assert loss.with_options().options == loss.options


def test_losses_share_kernels_across_options():
    assert readout_kernels(zoo.get_loss("huber", delta=2)) is readout_kernels(LOSSES["huber"])
