"""``model.fit`` and ``model.evaluate``: arrays and texts in memory, on the trainer of runs."""

from __future__ import annotations

import re

import numpy as np
import pytest

import zoo
from zoo.base.metric import METRICS
from zoo.data.split import split_items
from zoo.errors import UsageError, ZooError
from zoo.kernels import pure_python

T, N, I, V = 4, 11, 2, 3  # noqa: E741 - the letters of the documents
RNG = np.random.default_rng(0)
X = RNG.normal(size=(T, N, I))
CLASSES = RNG.integers(0, V, (T, N))
Y = RNG.normal(size=(T, N, V))
LAST = RNG.integers(0, V, N)


@pytest.fixture(autouse=True)
def _interpreted():
    with pure_python():
        yield


def model(**chosen):
    return zoo.SequenceModel("vanilla", I, V, 5, **{"dtype": "float64", "threads": 1, **chosen})


def by_hand(one, steps, batch, seed=0, **given):
    """The updates of ``fit``, written out."""
    optimizer = zoo.get_optimizer("adam", lr=0.1)
    slots, per_epoch = optimizer.init(one.theta), -(-N // batch)
    for step in range(steps):
        epoch, index = divmod(step, per_epoch)
        rows = np.random.default_rng([seed, epoch]).permutation(N)[index * batch : (index + 1) * batch]
        chosen = {name: value[rows] if value.ndim == 1 else value[:, rows] for name, value in given.items()}
        one.loss_and_grad(X[:, rows], **chosen, noise=(seed, step))
        norm = np.sqrt((one.grad**2).sum())
        grad = one.grad * min(1.0, 1.0 / norm)
        one.theta[:], slots = optimizer.apply(one.theta, grad, slots, step + 1, 0.1)
    return one


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("x", "y", "options", "words"),
    [
        (changed(X, (2, 1, 0), np.nan), Y, {}, r"inputs are nan at \[2, 1, 0\]; expected finite numbers"),
        (X, changed(Y, (1, 3, 2), np.inf), {}, r"targets are inf at \[1, 3, 2\]"),
        (X, changed(Y[-1], (3, 2), np.nan), {}, r"targets are nan at \[3, 2\]"),
        (changed(X, (2, 1, 0), np.nan), Y, {"lengths": np.full(N, 3)}, r"inputs are nan at \[2, 1, 0\]"),
    ],
)
def test_numbers_that_are_not_finite(x, y, options, words):
    one = model(loss="squared_error")
    with pytest.raises(UsageError, match=f"sequence model: {words}"):
        one.fit(x, y, steps=1, **options)
    with pytest.raises(UsageError, match=f"sequence model: {words}"):
        one.evaluate(x, y, **options)


def test_numbers_in_the_padding_need_not_be_finite():
    lengths, without = np.full(N, T), np.ones((T, N))
    lengths[1], without[:, 1] = 2, 0
    bad_x, bad_y = changed(X, (2, 1, 0), np.nan), changed(Y, (2, 1, 0), np.nan)
    for options in ({"lengths": lengths}, {"weights": without}):
        one, other = model(loss="squared_error"), model(loss="squared_error")
        one.fit(bad_x, bad_y, steps=3, **options)
        other.fit(X, Y, steps=3, **options)
        assert (one.theta == other.theta).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_auxiliary_inputs_are_finite_where_they_are_read(value):
    lengths, without = np.full(N, T), np.ones((T, N))
    lengths[1], without[:, 1] = 2, 0
    dt = np.ones((T, N))
    bad = changed(dt, (2, 1), value)

    def timed():
        return zoo.SequenceModel("ctrnn", I, V, 5, loss="squared_error", dtype="float64", threads=1)

    words = "values of 'dt' are nan at [2, 1]; expected finite numbers"
    if not value >= 0:  # dt has a lower bound
        words = "input 'dt' is nan at step 2 of sequence 1; expected numbers of at least 0."
    with pytest.raises(UsageError, match=re.escape(f"sequence model: {words.replace('nan', str(value))}")):
        timed().fit(X, Y, steps=1, aux={"dt": bad})
    for options in ({"lengths": lengths}, {"weights": without}):
        one, other = timed(), timed()
        one.fit(X, Y, steps=3, aux={"dt": bad}, **options)
        other.fit(X, Y, steps=3, aux={"dt": dt}, **options)
        assert (one.theta == other.theta).all()


@pytest.mark.parametrize(
    "given",
    [
        {"targets": CLASSES},
        {"targets": LAST},
        {"targets": CLASSES, "weights": RNG.uniform(0.1, 1, (T, N))},
        {"targets": CLASSES, "lengths": RNG.integers(1, T + 1, N)},
        {"targets": LAST, "lengths": RNG.integers(1, T + 1, N)},
    ],
    ids=lambda given: "+".join(given) + str(given["targets"].ndim),
)
def test_fit_is_the_loop_over_shuffled_batches(given):
    one, other = model(), by_hand(model(), 7, 4, **given)
    history = one.fit(X, **given, steps=7, batch_size=4, lr=0.1)
    np.testing.assert_allclose(one.theta, other.theta, rtol=1e-12)
    assert [(event["event"], event["step"]) for event in history] == [
        ("step", 3),
        ("step", 6),
        ("step", 7),
        ("eval", 7),
    ]


def test_seed_decides_the_order():
    results = []
    for seed in (0, 0, 1):
        one = model()
        one.fit(X, CLASSES, epochs=2, batch_size=4, seed=seed)
        results.append(one.theta.tobytes())
    assert results[0] == results[1] != results[2]


def test_evaluate_is_the_mean_over_all_sequences():
    weights = RNG.uniform(0, 1, (T, N))
    for loss in ("cross_entropy", zoo.get_loss("cross_entropy", class_weights=(1, 2, 3))):
        one = model(loss=loss)
        expected, outputs, _ = one.evaluate_batch(X, CLASSES, weights)
        result = one.evaluate(X, CLASSES, weights, batch_size=4)
        assert result == {
            "loss": pytest.approx(expected, rel=1e-12),
            "accuracy": pytest.approx(METRICS["accuracy"].score(outputs, CLASSES, weights), rel=1e-12),
        }


def test_sequences_without_weight_are_left_out():
    weights = np.ones((T, N))
    weights[:, 3:] = 0
    one, other = model(), model()
    one.fit(X, CLASSES, weights, epochs=3, batch_size=2)
    other.fit(X[:, :3], CLASSES[:, :3], epochs=3, batch_size=2)
    np.testing.assert_array_equal(one.theta, other.theta)


def test_validation_stops_early_and_keeps_the_best():
    one = model()
    valid = {"inputs": -X, "targets": CLASSES, "lengths": np.full(N, T)}
    history = one.fit(X, CLASSES, validation=valid, epochs=300, lr=0.05, patience=2)
    evals = [event for event in history if event["event"] == "eval"]
    losses = [event["loss"] for event in evals]
    assert len(evals) < 300
    assert len(evals) - 1 - int(np.argmin(losses)) == 2
    assert one.evaluate(-X, CLASSES)["loss"] == pytest.approx(min(losses), rel=1e-12)
    assert evals[0]["part"] == "validation"
    assert 0 <= evals[0]["accuracy"] <= 1


def test_best_parameters_are_kept_without_patience():
    one = model()
    history = one.fit(X, CLASSES, validation=(-X, CLASSES), epochs=40, lr=0.1)
    losses = [event["loss"] for event in history if event["event"] == "eval"]
    assert min(losses) < losses[-1]
    assert one.evaluate(-X, CLASSES)["loss"] == pytest.approx(min(losses), rel=1e-12)


def test_share_for_validation_has_the_same_part_of_each_class():
    labels = np.repeat([0, 1, 2], [4, 3, 4])
    one, other = model(), model()
    history = one.fit(X, labels, validation=0.3, epochs=3, seed=1, batch_size=4)
    parts = split_items(labels, (0.7, 0.3, 0.0), 1, stratify=True)
    train, valid = parts["train"], parts["valid"]
    assert np.bincount(labels[valid]).tolist() == [1, 1, 1]
    expected = other.fit(
        X[:, train], labels[train], validation=(X[:, valid], labels[valid]), epochs=3, seed=1, batch_size=4
    )
    for event, same in zip(history, expected, strict=True):
        assert (event["event"], event["step"], event["loss"]) == (same["event"], same["step"], same["loss"])
    assert (one.theta == other.theta).all()
    assert len({event["loss"] for event in model().fit(X, CLASSES, validation=0.3, epochs=2)}) == 4


@pytest.mark.parametrize("lengths", [None, RNG.integers(1, T + 1, N)])
def test_weight_of_a_sequence_equals_repetition(lengths):
    counts = RNG.integers(0, 3, N)
    rows = np.repeat(np.arange(N), counts)
    for targets in (LAST, CLASSES):
        weights, once = counts / 1, {} if lengths is None else {"lengths": lengths}
        repeated = {} if lengths is None else {"lengths": lengths[rows]}
        weighted = model().evaluate(X, targets, weights, **once)
        assert weighted == pytest.approx(model().evaluate(X[:, rows], targets[..., rows], **repeated))
        one = model()
        loss, _ = one.loss_and_grad(X, targets, weights, **once)
        assert loss == pytest.approx(weighted["loss"], rel=1e-12)


def test_class_weights_are_those_of_the_loss():
    weights = (0.5, 1.0, 3.0)
    one, other = model(), model(loss=zoo.get_loss("cross_entropy", class_weights=weights))
    histories = [
        each.fit(X, CLASSES, validation=(-X, CLASSES), epochs=3, **given)
        for each, given in ((one, {"class_weights": weights}), (other, {}))
    ]
    assert [event["loss"] for event in histories[0]] == [event["loss"] for event in histories[1]]
    assert (one.theta == other.theta).all()
    assert one.criterion.class_weights is None
    balanced, counts = model(), np.bincount(CLASSES.ravel())
    balanced.fit(X, CLASSES, epochs=3, class_weights="balanced")
    one = model()
    one.fit(X, CLASSES, epochs=3, class_weights=CLASSES.size / (3 * counts))
    np.testing.assert_allclose(balanced.theta, one.theta, rtol=1e-12)
    with pytest.raises(UsageError, match="has no classes; leave out class_weights"):
        model(loss="squared_error").fit(X, Y, class_weights="balanced")


def test_auxiliary_inputs_are_divided_with_the_sequences():
    dt = RNG.uniform(0.5, 1, (T, N))
    one = zoo.SequenceModel("cfc", I, V, 5, dtype="float64", threads=1)
    before = one.evaluate(X, CLASSES, aux={"dt": dt})
    assert before["loss"] == pytest.approx(one.loss(X, CLASSES, dt=dt)[0], rel=1e-12)
    one.fit(X, CLASSES, aux={"dt": dt}, steps=4, batch_size=4)
    assert one.evaluate(X, CLASSES, aux={"dt": dt})["loss"] < before["loss"]


def test_numbers_are_fitted():
    one = zoo.SequenceModel("vanilla", I, 1, 5, loss="squared_error", threads=1)
    before = one.evaluate(X, X[..., :1])
    history = one.fit(X, X[..., :1], epochs=30, lr=0.02, optimizer=zoo.get_optimizer("sgd", lr=0.1))
    assert history[-1]["squared_error"] == pytest.approx(history[-1]["loss"], rel=1e-5)
    assert history[-1]["loss"] < before["loss"]


def test_language_model_fits_a_text(capsys):
    one = zoo.LanguageModel("helo", hidden_size=16, dtype="float64", threads=1)
    history = one.fit("hello", epochs=60, lr=0.02, validation="hello", progress=True)
    assert one.sample("h", length=4, sampler="greedy") == "hello"
    result = one.evaluate("hello")
    assert result["loss"] == pytest.approx(history[-1]["loss"])
    assert result["bits"] == pytest.approx(result["loss"] / np.log(2))
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("step 60/60  validation: loss ")
    assert not captured.out


def test_share_of_a_text_is_its_end():
    text = "hello" * 20
    one, other = (zoo.LanguageModel("helo", hidden_size=4, threads=1) for _ in range(2))
    first = one.fit(text, validation=0.2, epochs=2, seq=5, batch_size=4)
    second = other.fit(text[:80], validation=text[80:], epochs=2, seq=5, batch_size=4)
    assert [event["loss"] for event in first] == [event["loss"] for event in second]
    assert first[1]["part"] == "validation"
    with pytest.raises(UsageError, match=r"validation is 1.5; expected a share between 0 and 1, or data"):
        one.fit(text, validation=1.5)


def test_tokens_are_a_text():
    one, other = (zoo.LanguageModel("helo", hidden_size=4, threads=1) for _ in range(2))
    one.fit("hello" * 9, epochs=2, seq=5, batch_size=3)
    other.fit(np.array([0, 1, 2, 2, 3] * 9), epochs=2, seq=5, batch_size=3)
    np.testing.assert_array_equal(one.theta, other.theta)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": 0}, "fit: epochs is 0; expected an integer of at least 1"),
        ({"steps": "many"}, "fit: steps is 'many'"),
        ({"batch_size": 0}, "fit: batch_size is 0"),
        ({"patience": 3}, "patience is 3 without validation"),
        ({"validation": X}, r"validation is an array .*; expected a share from 0 to 1, \(inputs, targets\)"),
        ({"validation": 1}, "validation is 1; expected a share between 0 and 1, or data"),
        (
            {"inputs": X[:, :1], "targets": LAST[:1], "validation": 0.1},
            "validation is 0.1, which leaves none of 1 sequences for validation; give more",
        ),
        (
            {"inputs": X[:, :1], "targets": LAST[:1], "validation": 0.9},
            "validation is 0.9, which leaves none of 1 sequences for training; give more",
        ),
        ({"class_weights": "even"}, "class_weights is 'even'; expected one of 'balanced'"),
        ({"class_weights": [1, 2]}, "loss has 2 class weights; expected one for each of 3 outputs"),
        ({"weights": np.ones(N - 1)}, r"weights has the shape \(10,\); expected \(4, 11\)"),
        ({"validation": {"inputs": X}}, "validation is"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"targets": CLASSES[:2]}, "targets .* for inputs of 4 steps and 11 sequences"),
        (
            {"inputs": X.swapaxes(0, 1), "targets": LAST},
            r"or \(4,\) for the last step alone. Time comes first: exchange the axes of the inputs",
        ),
        (
            {"targets": CLASSES.T},
            r"in the inputs, give x.swapaxes\(0, 1\); if it does in targets, targets.swapaxes\(0, 1\)\.$",
        ),
        (
            {"weights": np.ones((N, len(X)))},
            r"weights has the shape \(11, 4\); expected \(4, 11\). Time comes first: .* in weights, weights",
        ),
        ({"inputs": X[0, 0]}, "expected N sequences"),
        ({"inputs": X.astype(str)}, "inputs are <U32.*expected N sequences"),
        ({"aux": {"dt": X[..., 0]}}, "unknown argument 'dt'"),
        ({"progress": "yes"}, "fit: progress is 'yes'"),
    ],
)
def test_invalid_arguments_raise(given, words):
    with pytest.raises(UsageError, match=words):
        model().fit(**{"inputs": X, "targets": CLASSES, **given})


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_divergence_raises_without_naming_a_directory():
    with pytest.raises(
        ZooError, match=r"training diverged: .*; lower `lr` \(now 1e\+300\) or `clip` \(now 0\)\.$"
    ):
        model(loss="squared_error").fit(
            X, RNG.normal(size=(T, N, V)), epochs=200, lr=1e300, clip=None, optimizer="sgd"
        )


class HasRoot(zoo.Cell):
    """A cell whose branch has no derivative where it is not selected."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        a = x @ self.W
        return np.where(a > 0, np.sqrt(a), 0.0) + 0.5 * h


class Growing(zoo.Cell):
    """A state that grows threefold with every step."""

    W, h = zoo.Param("I", "H", init="glorot_uniform"), zoo.State("H")

    def step(self, x, h):
        return 3 * h + x @ self.W


class Logarithm(zoo.Cell):
    """The logarithm of values that may be negative."""

    W, h = zoo.Param("I", "H", init="glorot_uniform"), zoo.State("H")

    def step(self, x, h):
        return np.log(x @ self.W) + 0.1 * h


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", [Growing, Logarithm])
@pytest.mark.parametrize("steps", [50, 400])
def test_error_of_diverged_initial_parameters_does_not_name_the_rate(cell, steps, dtype):
    model = zoo.SequenceModel(cell, 2, 1, 4, loss="squared_error", dtype=dtype)
    x = np.random.default_rng(0).normal(size=(steps, 8, 2))
    if cell is Growing and steps == 50 and dtype == "float64":
        model.fit(x, x[-1].sum(-1, keepdims=True), steps=1)  # 3^50 fits
        return
    with pytest.raises(
        ZooError, match=r"after 0 steps .*; the parameters are still the initial ones, so look for states"
    ):
        model.fit(x, x[-1].sum(-1, keepdims=True), steps=3)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_gradient_of_a_finite_loss_names_the_branch():
    model = zoo.SequenceModel(HasRoot, 2, 1, 4, loss="squared_error")
    x = np.random.default_rng(0).normal(size=(5, 8, 2))
    with pytest.raises(
        ZooError, match=r"^training diverged: after 0 steps .* nan; a branch of np\.where .*clamp"
    ):
        model.fit(x, x[-1].sum(-1, keepdims=True), steps=3)


FAULTY = {
    "bytes.txt": b"letters \xff",
    "empty.txt": b"",
    "one.txt": b"aaaa",
    "ragged.csv": b"a,b\n1,2\n1,2,3\n",
    "short.csv": b"a,b\n1,2\n",
    "empty.csv": b"",
    "faulty.ts": b"@problemName p\n@classLabel true a b\n@data\n1,x:a\n",
    "damaged.npz": b"PK",
}


@pytest.mark.parametrize("folder", ["", "below/"])
@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("call", [zoo.fit, lambda data, **given: zoo.compare("vanilla", data=data, **given)])
def test_errors_about_files_name_the_path_as_it_was_given(tmp_path, monkeypatch, folder, name, call):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / name).write_bytes(FAULTY[name])
    monkeypatch.chdir(tmp_path)
    given = {"target": "b"} if name.endswith("csv") else {}
    with pytest.raises(zoo.ZooError, match=re.escape(name)) as caught:
        call(folder + name, **given)
    assert str(tmp_path) not in str(caught.value)


def test_run_keeps_the_absolute_path_of_its_data(tmp_path, monkeypatch):
    (tmp_path / "letters.txt").write_text("abcd" * 50)
    monkeypatch.chdir(tmp_path)
    run = zoo.train("letters.txt", hidden=2, steps=1, out="run")
    assert run.config.data == (str(tmp_path / "letters.txt"),)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("names", [["lengths"], ["aux"], ["aux", "lengths"]])
def test_validation_has_the_lengths_and_auxiliary_inputs_of_training(names, count):
    """A tuple has neither, so the padding was evaluated, with a dt of 1."""
    one = zoo.SequenceModel("cfc", I, V, 3, dtype="float64", threads=1)
    arrays = {"lengths": RNG.integers(1, T, N), "aux": {"dt": RNG.uniform(size=(T, N))}}
    given = {name: arrays[name] for name in names}
    with pytest.raises(
        UsageError, match=rf"training has {' and '.join(names)}, and validation is a tuple of {count}"
    ):
        one.fit(X, LAST, validation=(X, LAST, np.ones(N))[:count], epochs=1, **given)
    history = one.fit(X, LAST, validation={"inputs": X, "targets": LAST, **given}, epochs=1, **given)
    assert [event for event in history if event["event"] == "eval"]
