"""Labels of every step: training in windows, missing labels, one long sequence, scores, and every source."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from run_asserts import without_clock

import zoo
from zoo.base.metric import higher_is_better, metric_text
from zoo.classification import Predictor
from zoo.classification.evaluation import score_model
from zoo.classification.metrics import CLASS_METRICS, NUMBER_METRICS
from zoo.cli.app import cli
from zoo.cli.format import best_loss, header, score_lines
from zoo.data import LabelledSequences
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.training.config_conversion import make_config
from zoo.training.sequence_preparation import prepare_sequences

SMALL = {"cell": "vanilla", "hidden": 8, "batch": 8, "lr": 0.01, "threads": 1, "pooling": "none"}


def recordings(count=40, seed=0, channels=2, low=4, high=30, missing=0.2):
    """Sequences, and the sign of the sum of the first channel up to each step, of which some are missing."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(rng.integers(low, high), channels)) for _ in range(count)]
    labels = [np.where(np.cumsum(part[:, 0]) > 0, "up", "down").astype(object) for part in parts]
    for each in labels:
        each[rng.random(len(each)) < missing] = None
    return parts, labels


def numbers_of(labels):
    """Labels that are numbers, in place of the classes."""
    return [
        np.array([np.nan if each is None else 50.5 + 20 * (each == "up") for each in row]) for row in labels
    ]


def table(parts, labels, **columns):
    sizes = [len(part) for part in parts]
    rows = np.concatenate(parts)
    return {
        "id": np.repeat([f"r{number}" for number in range(len(parts))], sizes),
        **{name: rows[:, number] for number, name in enumerate("xyz"[: rows.shape[1]])},
        "way": np.concatenate(labels),
        **columns,
    }


def csv_file(path, columns):
    rows = zip(*columns.values(), strict=True)
    text = (",".join("" if value is None else str(value) for value in row) for row in rows)
    path.write_text("\n".join([",".join(columns), *text]) + "\n")
    return path


def prepared(parts, labels, **settings):
    given = {**SMALL, "data": ("x",), "kind": "sequences", "dtype": "float64", **settings}
    return prepare_sequences(make_config(given), LabelledSequences.from_arrays(parts, labels))


def train(data, out, **settings):
    given = {} if isinstance(data, LabelledSequences) else {"series": "id", "label": "way"}
    return zoo.train(data, out=out, **{**SMALL, "steps": 20, **given, **settings})


def command(*words, stdin=None):
    return CliRunner().invoke(cli, [str(word) for word in words], input=stdin)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a file, and the file."""
    path = csv_file(tmp_path_factory.mktemp("steps") / "steps.csv", table(*recordings()))
    return train(path, path.parent / "run", steps=60, dtype="float64"), path


# ---- training -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("missing", [0.2, 0.95])
@pytest.mark.parametrize("learned", [False, True])
def test_windows_with_carried_states_have_the_loss_of_whole_sequences(learned, missing):
    """Without updates, the losses of the training steps of an epoch have the mean of the whole sequences.

    If most labels are missing, most windows have none, and only carry the states.
    """
    parts, labels = recordings(12, low=1, missing=missing, seed=1)
    # In one stream, no sequence is divided, so each of its windows but the first carries the state.
    config, dataset = prepared(parts, labels, seq=5, batch=1, learned_state=learned, split="100")
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    if learned:
        model.params["l0.h.initial"][:] = 0.7
    losses, counts, states, unlabelled = list[float](), list[float](), None, 0
    for step in range(dataset.steps_per_epoch):
        numbers = dataset.windows.step_batches(step)
        batches = [dataset.windows.batch(number) for number in numbers]
        rows = [range(batch.starts[0], batch.starts[0] + batch.sizes[0]) for batch in batches]
        loss, states, tokens = dataset.loss_and_grad(model, step, states, (0, step))
        assert tokens == sum(map(len, rows))
        assert not any(dataset.weights[each].any() for each in rows[:-1])
        weight = dataset.weights[rows[-1]].sum()
        losses.append(loss * weight)
        counts.append(weight)
        unlabelled += len(numbers) - 1
        assert min(loss, np.abs(model.grad).max()) > 0
    whole = dataset._evaluate(model, dataset.parts.train).loss
    assert sum(losses) / sum(counts) == pytest.approx(whole, rel=1e-9)
    assert unlabelled > 5 if missing > 0.5 else dataset.windows.carries


def test_rows_that_begin_a_sequence_begin_with_the_initial_state():
    """With two streams, one may continue while the other begins: as two batches of one stream each."""
    parts, labels = recordings(9, missing=0, low=3, high=17)
    config, dataset = prepared(parts, labels, seq=4, batch=2, learned_state=True)
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    model.params["l0.h.initial"][:] = 0.7
    states, ends, mixed = None, {}, 0
    for step in range(dataset.steps_per_epoch):
        starts, sizes, continues = dataset.windows.batch(step)
        _, states, _ = dataset.loss_and_grad(model, step, states, (0, step))
        mixed += 0 < continues.sum() < len(continues)
        for stream, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            if not size:
                continue
            state = ends[stream] if continues[stream] else None
            inputs = dataset.scaled.values[start : start + size, None]
            _, expected = model.outputs(inputs, state=state)
            np.testing.assert_allclose(states["l0.h"][stream], expected["l0.h"][0], atol=1e-12)
            ends[stream] = expected
    assert mixed


def test_learned_states_get_the_gradient_of_the_rows_that_begin():
    parts, labels = recordings(9, low=3, high=17)
    config, dataset = prepared(parts, labels, seq=4, batch=2, learned_state=True)
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    initial = model.params["l0.h.initial"]
    initial[:] = 0.7
    states, mixed, size = None, 0, 1e-5
    for step in range(dataset.steps_per_epoch):
        continues = dataset.windows.batch(step).continues
        expected = np.empty_like(initial)
        for unit in range(len(initial)):
            losses = list[float]()
            for change in (size, -size):
                initial[unit] += change
                losses.append(dataset.loss_and_grad(model, step, states, (0, step))[0])
                initial[unit] -= change
            expected[unit] = (losses[0] - losses[1]) / (2 * size)
        _, states, _ = dataset.loss_and_grad(model, step, states, (0, step))
        np.testing.assert_allclose(model.grads["l0.h.initial"], expected, atol=1e-8)
        mixed += 0 < continues.sum() < len(continues) and np.abs(expected).max() > 1e-3
    assert mixed


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("settings", [{}, {"bidirectional": True}, {"class_weights": "balanced"}])
def test_loss_and_score_are_those_of_the_predictions_of_labelled_steps(classes, settings):
    parts, labels = recordings()
    if not classes:
        settings = {name: value for name, value in settings.items() if name != "class_weights"}
        labels = numbers_of(labels)
    config, dataset = prepared(parts, labels, loss=None if classes else "absolute_error", **settings)
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    spec, numbers = dataset.scaled.spec, dataset.parts.valid
    losses, right, weights = [], [], []
    for number in numbers:
        outputs, _ = model.outputs(dataset.scaled.batch(np.array([number]))["inputs"])
        for output, label in zip(outputs[:, 0], labels[number], strict=True):
            if label is None or label != label:
                continue
            if classes:
                code = spec.classes.index(label)
                losses.append(np.log(np.exp(output).sum()) - output[code])
                right.append((output.argmax() == code, code))
                weights.append(
                    1.0 if dataset.loss.class_weights is None else dataset.loss.class_weights[code]
                )
            else:
                error = abs(output[0] - (label - spec.label_mean) / spec.label_scale)
                losses.append(error)
                right.append((error * spec.label_scale, 0))
                weights.append(1.0)
    result = dataset.evaluate(model)
    assert result.loss == pytest.approx(np.average(losses, weights=weights))
    of_classes = [[hit for hit, code in right if code == each] for each in {code for _, code in right}]
    balanced = np.mean([np.mean(each) for each in of_classes])
    expected = balanced if "class_weights" in settings else np.mean([hit for hit, _ in right])
    assert result.metrics["score"] == pytest.approx(expected)
    assert result.criterion is None


def test_balanced_weights_count_labelled_steps_of_training():
    parts, labels = recordings()
    _, dataset = prepared(parts, labels, class_weights="balanced")
    items = dataset.scaled.items(dataset.parts.train)
    counts = np.bincount(dataset.targets[items[dataset.weights[items] > 0]])
    np.testing.assert_allclose(counts * dataset.loss.class_weights, counts.sum() / 2)


def test_weights_of_steps_enter_the_loss():
    parts, labels = recordings(20, missing=0)
    weights = [np.random.default_rng(len(part)).uniform(0.5, 2, len(part)) for part in parts]
    weights[0][0], labels[0][0] = np.nan, None  # no weight is needed where there is no label
    as_table = table(parts, labels, importance=np.concatenate(weights))
    settings = {**SMALL, "data": ("x",), "kind": "sequences", "dtype": "float64"}
    given = LabelledSequences.from_arrays(parts, labels, weights=weights)
    config, dataset = prepare_sequences(make_config(settings), given)
    roles = {"series": "id", "label": "way", "weight": "importance"}
    _, other = prepare_sequences(make_config({**settings, **roles}), as_table)
    np.testing.assert_array_equal(dataset.weights, other.weights)
    expected = np.concatenate(weights)
    expected[0] = 0.0
    np.testing.assert_array_equal(dataset.weights, expected)
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    (number,) = dataset.parts.valid[:1]
    outputs, _ = model.outputs(dataset.scaled.batch(np.array([number]))["inputs"])
    logits = outputs[:, 0]
    codes = [dataset.scaled.spec.classes.index(label) for label in labels[number]]
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(codes)), codes]
    loss = dataset._evaluate(model, np.array([number])).loss
    assert loss == pytest.approx(np.average(losses, weights=weights[number]))


def test_invalid_weights_of_steps():
    parts, labels = recordings(20, missing=0)
    weights = [np.ones(len(part)) for part in parts]
    weights[3][2] = 0.0
    data = LabelledSequences.from_arrays(parts, labels, weights=weights)
    settings = make_config({**SMALL, "data": ("x",), "kind": "sequences"})
    with pytest.raises(
        DataError, match=r"weight of step 2 of sequence '3' is 0; .* Leave the label empty if a st"
    ):
        prepare_sequences(settings, data)
    of_sequences = LabelledSequences.from_arrays(parts, ["a", "b"] * 10, weights=weights)
    with pytest.raises(DataError, match="has a weight for each step and a label for each sequence"):
        prepare_sequences(replace(settings, pooling="last"), of_sequences)
    with pytest.raises(DataError, match="weights hold 'x'; expected numbers above 0"):
        LabelledSequences.from_arrays(parts, labels, weights=[["x"] * len(part) for part in parts])


def test_weights_of_sequences_enter_the_loss_of_steps():
    parts, labels = recordings()
    weights = np.linspace(0.5, 2, len(parts))
    data = LabelledSequences.from_arrays(parts, labels, weights=weights)
    settings = {**SMALL, "data": ("x",), "kind": "sequences", "dtype": "float64"}
    config, dataset = prepare_sequences(make_config(settings), data)
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    numbers = dataset.parts.valid
    single = [dataset._evaluate(model, numbers[i : i + 1]).loss for i in range(len(numbers))]
    steps = [sum(each is not None for each in labels[number]) for number in numbers]
    expected = np.average(single, weights=weights[numbers] * steps)
    assert dataset.evaluate(model).loss == pytest.approx(expected)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize(("optimizer", "seed"), [("adamw", 0), ("lion", 1), ("sgd", 2)])
def test_windows_without_labels_make_no_update(optimizer, seed, tmp_path):
    """Parameters and learning rates are those of the same recording without these windows.

    A bidirectional model carries no states, and each window has the mean 0 and the standard deviation 1.
    """
    rng = np.random.default_rng(seed)
    windows = rng.permuted(np.tile([-1.0, -1.0, 1.0, 1.0], (12, 1)), axis=1)
    labels = np.where(windows > 0, "up", "down").astype(object)
    has_label = rng.random(12) < 0.4
    has_label[-1] = True
    labels[~has_label] = None
    settings = {"seq": 4, "batch": 1, "bidirectional": True, "split": "100", "optimizer": optimizer}
    settings |= {"hidden": 3, "steps": 2 * int(has_label.sum()) + 1, "log_every": 1, "dtype": "float64"}
    runs = [
        train(
            LabelledSequences.from_arrays([windows[chosen].reshape(-1, 1)], [labels[chosen].ravel()]),
            tmp_path / str(chosen.sum()),
            **{**settings, "schedule": "cosine"},
        )
        for chosen in (np.full(12, True), has_label)
    ]
    sparse, dense = (list(run.events("step")) for run in runs)
    for name in ("step", "loss", "grad_norm", "lr", "epoch"):
        assert [event[name] for event in sparse] == [event[name] for event in dense]
    np.testing.assert_array_equal(runs[0].model.theta, runs[1].model.theta)


def test_units_come_from_the_training_part_of_the_only_sequence():
    values = np.concatenate([np.arange(70.0), np.full(30, 1000.0)])[:, None]
    labels = np.where(np.arange(100) % 2, "a", "b")[None]
    _, dataset = prepared([values], labels)
    spec = dataset.scaled.spec
    assert (spec.mean[0], spec.scale[0]) == pytest.approx((np.arange(70).mean(), np.arange(70).std()))
    assert dataset.scaled.offsets.tolist() == [0, 70, 85, 100]
    assert {part: each.tolist() for part, each in dataset.parts.by_name().items()} == {
        "train": [0],
        "valid": [1],
        "test": [2],
    }


@pytest.mark.parametrize("metric", [*CLASS_METRICS, *NUMBER_METRICS])
def test_the_metric_chooses_the_best_model_and_the_comparison(metric, tmp_path):
    parts, labels = recordings()
    given = LabelledSequences.from_arrays(parts, labels if metric in CLASS_METRICS else numbers_of(labels))
    run = train(given, tmp_path / "run", metric=metric, eval_every=1, lr=0.3, steps=30)
    best = -np.inf
    for event in run.events("eval"):
        value = event["score"] if higher_is_better(metric) else -event["score"]
        assert event["metric"] == metric
        assert event["best"] == (value > best)
        best = max(best, value)
    part = f"validation {metric_text(metric)} {abs(best):.4g}, at step "
    assert best_loss(run.history[-1], run.history[0]).startswith(part)
    (scores,) = run.history[-1]["test"]["targets"]
    assert scores["main"] == metric
    baselines = {name: each[metric]["value"] for name, each in scores["metrics"].items() if name != "model"}
    pick = max if higher_is_better(metric) else min
    assert scores["best_baseline"] == pick(baselines, key=baselines.get)
    predictor = Predictor.load(run)
    assert predictor.evaluate()["targets"] == [scores]
    predictor.save(tmp_path / "model.safetensors")
    assert Predictor.load(tmp_path / "model.safetensors").main == metric


def test_resumed_run_with_carried_states_and_a_metric_is_the_same_to_the_bit(tmp_path):
    path = csv_file(tmp_path / "x.csv", table(*recordings(missing=0.9)))
    every = {"eval_every": 5, "save_every": 5, "log_every": 5, "metric": "macro_f1", "patience": 9}
    every |= {"seq": 3, "batch": 2}  # some batches have no label
    whole = train(path, tmp_path / "whole", **every)
    train(path, tmp_path / "parts", **{**every, "steps": 10})
    resumed = train(path, tmp_path / "parts", resume=True, **every)
    np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
    last = [event for event in without_clock(whole.history) if event["step"] > 10]
    assert [event for event in without_clock(resumed.history) if event["step"] > 10] == last


def test_a_model_of_steps_learns_what_a_window_does_not_hold(tmp_path):
    """The label is the sign of the last value that is not zero, which may be long ago."""
    rng = np.random.default_rng(0)
    parts = [np.where(rng.random((300, 1)) < 0.04, rng.choice([-1.0, 1.0], (300, 1)), 0.0) for _ in range(60)]
    labels = []
    for part in parts:
        part[0] = 1.0
        last = np.maximum.accumulate(np.where(part[:, 0] != 0, np.arange(300), 0))
        labels.append(np.where(part[last, 0] > 0, "on", "off"))
    events = []
    zoo.fit(
        parts, label=labels, steps=300, seq=50, on_event=events.append, **{**SMALL, "cell": "gru", "lr": 0.02}
    )
    (scores,) = events[-1]["test"]["targets"]
    accuracy = {name: each["accuracy"]["value"] for name, each in scores["metrics"].items()}
    assert accuracy["model"] > 0.98
    assert accuracy["logistic regression"] < 0.8


# ---- predictions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_prediction_depends_on_the_past_alone_unless_bidirectional(bidirectional):
    parts, labels = recordings()
    predictor = zoo.fit(
        parts, label=labels, steps=3, dtype="float64", bidirectional=bidirectional, **{**SMALL, "lr": 0.1}
    )
    long = max(parts, key=len)
    changed = long.copy()
    changed[10:] += 5.0
    one, other = (predictor.predict([each]).values for each in (long, changed))
    assert np.array_equal(one[:10], other[:10]) == (not bidirectional)
    assert not np.allclose(one[10:], other[10:])


def test_other_sequences_and_the_order_of_rows_change_no_prediction(trained):
    run, _ = trained
    parts, labels = recordings(7, seed=3)
    data = table(parts, labels)
    together = zoo.predict(run, data)
    assert together.lengths.tolist() == [len(part) for part in parts]
    alone = [zoo.predict(run, [part]).values for part in parts]
    np.testing.assert_allclose(together.values, np.concatenate(alone), atol=1e-12)
    # Rows of several sequences alternate; the rows of each stay in order.
    order = np.argsort(np.concatenate([np.arange(len(part)) for part in parts]), kind="stable")
    mixed = zoo.predict(run, {name: values[order] for name, values in data.items()}).columns()
    expected = together.columns()
    for name, values in expected.items():
        if name != "p_up" and name != "p_down":
            assert sorted(mixed[name].tolist()) == sorted(values.tolist())
    sort, other = (np.lexsort((each["step"], each["id"])) for each in (mixed, expected))
    np.testing.assert_array_equal(mixed["way_actual"][sort], expected["way_actual"][other])
    np.testing.assert_allclose(mixed["p_up"][sort], expected["p_up"][other], atol=1e-12)


def test_predictions_of_the_data_of_training_name_step_part_and_label(trained):
    run, _ = trained
    columns = zoo.predict(run).columns()
    assert list(columns) == ["id", "step", "way", "p_down", "p_up", "way_actual", "part"]
    _, labels = recordings()
    assert columns["way_actual"].tolist() == ["" if each is None else each for row in labels for each in row]
    assert columns["step"].tolist() == [step for row in labels for step in range(len(row))]
    predictor = Predictor.load(run)
    given, _ = predictor.open_data()
    for part, numbers in predictor.parts(given).items():
        assert set(columns["id"][columns["part"] == part]) == {f"r{number}" for number in numbers}
    is_test = (columns["part"] == "test") & (columns["way_actual"] != "")
    accuracy = (columns["way"] == columns["way_actual"])[is_test].mean()
    facts = predictor.evaluate()
    assert (facts["steps"], facts["sequences"]) == (is_test.sum(), 6)
    assert facts["targets"][0]["metrics"]["model"]["accuracy"]["value"] == pytest.approx(accuracy)
    assert np.sum(facts["targets"][0]["confusion"]) == is_test.sum()


def test_one_sequence_is_cut_by_time(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 2))
    labels = np.where(np.cumsum(values[:, 0]) % 4 > 2, "b", "a")
    times = np.datetime64("2024-01-01") + np.arange(400) * np.timedelta64(1, "m")
    data = {"time": times, "x": values[:, 0], "y": values[:, 1], "way": labels}
    run = zoo.train(data, label="way", out=tmp_path / "run", steps=30, seq=10, split="60,20,20", **SMALL)
    lines = header(run.history[0])
    assert lines["split"] == "by time: the first 240 steps to train, then 80 to validate, 80 to test"
    assert lines["label"].startswith("way of 400 steps, 2 classes: ")
    assert ": 30 steps of 3 windows of 10 steps, " in lines["train"]
    columns = zoo.predict(run).columns()
    assert list(columns) == ["id", "time", "way", "p_a", "p_b", "way_actual", "part"]
    np.testing.assert_array_equal(columns["time"], times)
    assert columns["part"].tolist() == ["train"] * 240 + ["valid"] * 80 + ["test"] * 80
    (scores,) = run.history[-1]["test"]["targets"]
    assert scores["metrics"]["model"]["accuracy"]["low"] is not None
    lines = list(score_lines(run.history[-1]["test"]))
    assert lines[0].startswith("way, test part, 80 labelled steps of 1 sequence, 95 % intervals:")
    assert any(line.startswith("note: the intervals come from 20 blocks of the steps of") for line in lines)
    whole = Predictor.load(run).evaluate(part="all")
    assert next(score_lines(whole)) == "way, all 400 labelled steps of 1 sequence, 95 % intervals:"
    assert whole["note"].startswith("the intervals come from 20 blocks of the steps of one sequence")
    assert zoo.predict(run).to_csv().splitlines()[1].startswith("table,2024-01-01 00:00,")
    assert zoo.predict(run).to_json()[1]["time"] == "2024-01-01 00:01"


# ---- sources ------------------------------------------------------------------------------------------


def test_all_sources_have_the_same_steps(trained, tmp_path):
    run, path = trained
    parts, labels = recordings()
    expected = zoo.predict(run).values
    texts = [["" if each is None else each for each in row] for row in labels]
    longest = max(map(len, parts))
    padded = np.stack([np.pad(part, ((0, longest - len(part)), (0, 0))) for part in parts])
    filled = np.array([[*row, *[""] * (longest - len(row))] for row in texts])
    lengths = np.array([len(part) for part in parts])
    np.savez(tmp_path / "padded.npz", inputs=padded, way=filled, lengths=lengths)
    flat = {"inputs": np.concatenate(parts), "way": np.concatenate(texts), "lengths": lengths}
    np.savez(tmp_path / "flat.npz", **flat)
    sources = [
        table(parts, labels),
        tmp_path / "padded.npz",
        tmp_path / "flat.npz",
        flat,
        LabelledSequences.from_arrays(parts, labels),
    ]
    for source in sources:
        predictions = zoo.predict(run, source)
        np.testing.assert_allclose(predictions.values, expected, rtol=1e-9)
        assert predictions.actual.tolist() == [each for row in texts for each in row]
    piped = command("predict", run.path, "--data", "-", stdin=path.read_text())
    assert piped.stdout == command("predict", run.path, "--data", path).stdout
    unlabelled = zoo.predict(run, parts)
    assert unlabelled.actual is None


def test_a_directory_has_a_sequence_for_each_file(tmp_path):
    parts, labels = recordings(12)
    (tmp_path / "data").mkdir()
    for number, (part, row) in enumerate(zip(parts, labels, strict=True)):
        csv_file(tmp_path / "data" / f"r{number:02}.csv", {"x": part[:, 0], "y": part[:, 1], "way": row})
    settings = {**SMALL, "kind": "sequences", "label": "way", "dtype": "float64"}
    _, dataset = prepare_sequences(make_config({**settings, "data": (str(tmp_path / "data"),)}))
    _, expected = prepared(parts, labels)
    for name in ("targets", "weights"):
        np.testing.assert_array_equal(getattr(dataset, name), getattr(expected, name))
    np.testing.assert_allclose(dataset.scaled.values, expected.scaled.values)
    assert dataset.given.ids[1] == "r01"


def test_one_label_of_a_sequence_is_the_label_of_each_of_its_steps():
    parts, _ = recordings(20)
    labels = ["a", "b"] * 10
    _, one = prepared(parts, labels)
    _, each = prepared(parts, [[label] * len(part) for part, label in zip(parts, labels, strict=True)])
    np.testing.assert_array_equal(one.targets, each.targets)
    assert len(one.targets) == sum(map(len, parts))


@pytest.mark.parametrize("width", [1, 3])
def test_labels_of_another_shape_name_the_shapes(width):
    parts = [np.arange(5.0)] * 8
    with pytest.raises(
        DataError, match=rf"labels have the shape \(8, {width}\), .* `labels\[\.\.\., 0\]` for"
    ):
        LabelledSequences.from_arrays(parts, np.zeros((8, width)))


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("kind", [float, int, "U1"])
def test_masked_labels_are_missing(as_list, kind):
    rng = np.random.default_rng(0)
    mask = rng.random((8, 5)) < 0.3
    labels = np.ma.masked_array(rng.integers(0, 2, (8, 5)).astype(kind), mask)
    given = LabelledSequences.from_arrays(rng.normal(size=(8, 5)), list(labels) if as_list else labels)
    np.testing.assert_array_equal(given.labels.missing(), mask.ravel())


def test_a_run_is_not_resumed_with_another_pooling(tmp_path):
    parts, _ = recordings(12)
    data = LabelledSequences.from_arrays(parts, ["a", "b"] * 6)
    train(data, tmp_path / "run", steps=1)
    with pytest.raises(CheckpointError, match=r"another configuration \(.*pooling: 'none' -> 'last'"):
        train(data, tmp_path / "run", steps=2, pooling="last", resume=True)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([[1, 2, None], [2, 1, 2]], ("1", "2")),
        ([[True, False, None], [True, False, True]], ("False", "True")),
        ([["b", None, "a"], ["b", "a", "a"]], ("a", "b")),
        ([[0.5, np.nan, 1.0], [0.25, 3.5, 4.0]], ()),
    ],
)
def test_kinds_of_labels(labels, classes):
    parts = [np.arange(3.0) + number for number in range(2)] * 5
    _, dataset = prepared(parts, labels * 5)
    assert dataset.scaled.spec.classes == classes
    assert int((dataset.weights > 0).sum()) == 25


def test_run_is_reported_compared_and_evaluated_on_other_data(trained, tmp_path):
    run, _ = trained
    report = command("report", run.path)
    assert (report.exit_code, "left out" in report.stderr) == (0, False), report.stderr
    page = (run.path / "report.html").read_text()
    assert "way over time" in page
    assert "labelled steps of 6 sequences" not in page
    assert " steps of 6 sequences, test part" in page
    new = csv_file(tmp_path / "new.csv", table(*recordings(8, seed=5)))
    facts = json.loads(command("eval", run.path, "--data", new, "--json").stdout)
    columns = zoo.predict(run, new).columns()
    has_label = columns["way_actual"] != ""
    right = (columns["way"] == columns["way_actual"])[has_label]
    assert (facts["sequences"], facts["steps"]) == (8, has_label.sum())
    assert facts["targets"][0]["metrics"]["model"]["accuracy"]["value"] == pytest.approx(right.mean())
    shown = command("eval", run.path).stdout
    assert shown.startswith(
        f"way, test part, {Predictor.load(run).evaluate()['steps']} labelled steps of 6 sequences"
    )


# ---- invalid input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "settings", "sentence"),
    [
        (None, {"pooling": "last"}, "sequence '0', step 1: the label is 'up', and 'down' at the first step"),
        (None, {"pooling": "last"}, "To predict the label of each step, give `pooling='none'`."),
        (None, {"pooling": "last", "seq": 5}, "seq is 5, and `pooling` is 'last'; sequences with one"),
        (None, {"metric": "mae"}, "metric is 'mae', and the labels are 2 classes; expected accuracy"),
        ("numbers", {"metric": "auroc"}, "metric is 'auroc', and the labels are numbers; expected mae or"),
        ("numbers", {"metric": "brier_score"}, "'brier_score', and the labels are numbers; expected mae or"),
        ("three", {"metric": "average_precision"}, "macro_f1, log_loss or brier_score."),
        ("three", {"metric": "auroc"}, "the labels are 3 classes; expected accuracy, balanced_ac"),
        ("none", {}, "arrays has no labels; give one for each step."),
        ("one class", {}, " steps is 'up'; expected two classes or more."),
        ("short", {}, "sequence '1' has 17 steps and 16 labels; give one for each step, None "),
        ("few", {}, "arrays has 40 sequences and 39 vectors of labels; give one for each sequence."),
        ("large", {}, "label of step 2 of sequence '1': found inf; expected a finite number"),
        ("equal", {"loss": "squared_error"}, "steps) are equal; there is nothing to learn"),
        (None, {"loss": "squared_error"}, "loss is 'squared_error', a loss of numbers, but a label is "),
        ("test only", {}, "no sequence of the training part has class 'rare'; set another `split_seed`"),
        ("unlabelled", {}, "no step of the validation part has a label; give another `split_seed`, or more"),
    ],
)  # fmt: skip
def test_invalid_labels_and_settings(labels, settings, sentence):
    parts, given = recordings()
    parts[0], given[0] = np.zeros((2, 2)), np.array(["down", "up"], object)
    parts[1], given[1] = np.zeros((17, 2)), np.array(["up"] * 17, object)
    _, dataset = prepared(parts, given)
    valid, test = dataset.parts.valid, dataset.parts.test
    kinds = {
        None: lambda: given,
        "numbers": lambda: numbers_of(given),
        "three": lambda: [np.where(np.arange(len(each)) % 3 == 0, "c", each) for each in given],
        "none": lambda: [[None] * len(each) for each in given],
        "one class": lambda: [["up"] * len(each) for each in given],
        "short": lambda: [given[0], given[1][:-1], *given[2:]],
        "few": lambda: given[:-1],
        "large": lambda: [np.where(np.arange(len(e)) == 2, np.inf, e) for e in numbers_of(given)],
        "equal": lambda: [[5.0] * len(each) for each in given],
        "test only": lambda: [["rare"] * len(e) if n == test[0] else e for n, e in enumerate(given)],
        "unlabelled": lambda: [[None] * len(e) if n in valid else e for n, e in enumerate(given)],
    }
    with pytest.raises((DataError, UsageError)) as error:
        prepared(parts, kinds[labels](), **settings)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"series": "id", "label": "way"},
            "row 1, column 'way': found 'b', and sequence 'p' has the label 'a' before; a sequence has one "
            "label. To predict the label of each step, give `pooling='none'`.",
        ),
        ({"label": "way"}, "If the table is one sequence with a label in each row, give `pooling='none'`"),
        ({"label": "way", "pooling": "none", "group": "id"}, "group is 'id', and table is one sequence;"),
        (
            {"label": "way", "pooling": "none", "input": "x"},
            "class 'b' does not occur in the training part, which is the first 70% of the only sequence",
        ),
        ({"series": "id", "label": "when", "pooling": "none"}, "table has no column 'when'"),
    ],
)  # fmt: skip
def test_invalid_tables(settings, sentence):
    data = {"id": ["p", "p", "q", "q", "q"], "x": [1.0, 2, 3, 4, 6], "way": ["a", "b", "b", "a", "a"]}
    if "input" in settings:
        data = {**data, "way": ["a"] * 4 + ["b"]}
    with pytest.raises((DataError, UsageError)) as error:
        prepare_sequences(
            make_config({**SMALL, "kind": "sequences", "data": ("x",), "pooling": None, **settings}), data
        )
    assert sentence in str(error.value)


@pytest.mark.parametrize(("pooling", "metric"), [("none", "auroc"), ("last", "average_precision")])
def test_scores_of_two_classes_need_both_to_choose_the_best_model(pooling, metric):
    parts, _ = recordings(20)
    _, dataset = prepared(parts, ["a", "b"] * 10)
    labels = ["a" if number in dataset.parts.valid else "ba"[number % 2] for number in range(20)]
    given = {"metric": metric, "pooling": pooling}
    if pooling == "last":
        labels = ["a"] * 18 + ["b"] * 2  # one for the training part, one for the test part
    with pytest.raises(
        DataError, match=r"the validation part has labels of one class, .* `split_seed`, or an"
    ):
        prepared(parts, labels, **given)


@pytest.mark.parametrize("metric", ["auroc", "average_precision"])
def test_a_note_says_that_the_test_part_has_one_class(metric):
    parts, labels = recordings(20)
    config, dataset = prepared(parts, labels, metric=metric)
    labels = [["up"] * len(each) if n in dataset.parts.test else each for n, each in enumerate(labels)]
    config, dataset = prepared(parts, labels, metric=metric)
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    facts = score_model(model, dataset.given, dataset.scaled, dataset.parts, "test", metric)
    name = metric_text(metric)
    assert facts["note"] == f"the labels are of one class, so there is no {name}, and accuracy is compared"
    assert facts["targets"][0]["main"] == "accuracy"


def test_one_sequence_cannot_be_divided_by_groups():
    data = {"id": ["p"] * 40, "house": ["h"] * 40, "x": np.arange(40.0) % 7, "way": ["a", "b"] * 20}
    given = {**SMALL, "kind": "sequences", "data": ("x",), "series": "id", "label": "way"}
    with pytest.raises(DataError, match="is divided by time and not by groups; leave out `group`, or give"):
        prepare_sequences(make_config({**given, "group": "house"}), data)


@pytest.mark.parametrize("labelled", [3, 9, 80])
def test_the_note_on_blocks_has_their_number(labelled):
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(400) % 2, "a", "b").astype(object)
    labels[-80:][rng.permutation(80)[labelled:]] = None
    given = LabelledSequences.from_arrays([rng.normal(size=(400, 2))], [labels])
    config, dataset = prepare_sequences(
        make_config({**SMALL, "data": ("x",), "kind": "sequences", "split": "60,20,20"}), given
    )
    model = dataset.make_model(zoo.get_cell("vanilla"), config)
    facts = score_model(model, given, dataset.scaled, dataset.parts, "test")
    (scores,) = facts["targets"]
    blocks = len({step * 20 // 80 for step in range(80) if labels[320 + step] is not None})
    has_interval = scores["metrics"]["model"]["accuracy"]["low"] is not None
    assert has_interval == (blocks >= 5)
    assert facts.get("note", "").startswith(f"the intervals come from {blocks} blocks") == has_interval


@pytest.mark.parametrize(
    ("count", "split", "sentence"),
    [
        (
            2,
            "70,15,15",
            "arrays has 2 sequences, fewer than the parts of the split '70,15,15'; give more seq",
        ),
        (2, "50,50", ""),
        (1, "70,15,15", ""),
        (1, "98,1,1", "no step of the validation part has a label; give another `split`, or more labels."),
    ],
)
def test_few_sequences_need_a_split_with_few_parts(count, split, sentence):
    parts = [np.random.default_rng(number).normal(size=(40, 2)) for number in range(count)]
    labels = [np.where(np.arange(40) % 3 == 0, "a", "b") for _ in range(count)]
    if not sentence:
        _, dataset = prepared(parts, labels, split=split)
        assert dataset.parts.sizes == ([1, 1, 0] if count == 2 else [1, 1, 1])
        assert dataset.parts.is_cut == (count == 1)
        return
    with pytest.raises(DataError) as error:
        prepared(parts, labels, split=split)
    assert sentence in str(error.value)


def test_new_labels_that_did_not_occur_name_the_step(trained):
    run, _ = trained
    parts, labels = recordings(3, seed=2, missing=0)
    labels[1][2] = "left"
    with pytest.raises(DataError, match=r"step 2 of sequence '1' has the label 'left', which did not occur"):
        Predictor.load(run).evaluate(LabelledSequences.from_arrays(parts, labels))
