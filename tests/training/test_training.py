"""Training: what it learns, what it does when, what it says, what it refuses."""

from __future__ import annotations

import doctest
import json
import math
import signal
import threading

import numpy as np
import pytest
from text_loss import mean_loss

import zoo
from zoo.data import BpttBatches, parse_split, read_text, split
from zoo.distributed.collectives import ProcessGroup
from zoo.errors import CheckpointError, DataError, UnknownNameError, UsageError, ZooError
from zoo.model import compiled_step
from zoo.storage import load
from zoo.training import Config, Interrupted, Run, evaluate, make_config
from zoo.training.clipping import Clip
from zoo.training.config_conversion import config_from_json
from zoo.training.metrics import RunningMeans, Speed
from zoo.training.resume import fill_defaults_from, incompatible_changes
from zoo.training.schedules import make_schedule
from zoo.training.signals import catch_stop_signals

ALPHABET = "the quick brown fox jumps over the lazy dog. "
TEXT = "".join(f"{n} times {n} is {n * n}; " for n in range(60))
SMALL = {"hidden": 8, "batch": 2, "seq": 8, "steps": 20, "split": "80,20", "lr": 0.01, "threads": 1}
WINDOWS = (int(len(TEXT) * 0.8) - 1) // (2 * 8)
EVERY = {"log_every": 5, "eval_every": 10, "save_every": 5}


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture
def run(text, tmp_path):
    """A function that trains on the text, in a directory of its own; the events are in ``run.events``."""

    def train(data=text, name="run", **settings):
        train.events = []
        chosen = {**SMALL, **EVERY, **settings}
        return zoo.train(data, out=tmp_path / name, on_event=train.events.append, **chosen)

    return train


def of(events, kind):
    return [event for event in events if event["event"] == kind]


def last_checkpoint(run):
    pointer = json.loads((run.path / "checkpoints" / "last.json").read_text())
    return load(run.path / "checkpoints" / pointer["file"])


def without_clock(event):
    return {name: value for name, value in event.items() if name not in ("symbols_per_s", "seconds")}


@pytest.mark.parametrize("name", ["Recurrent", "LanguageModel", "train"])
def test_examples_of_the_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(getattr(zoo, name), name, globs={"zoo": zoo, "np": np})
    words: list[str] = []
    result = doctest.DocTestRunner().run(example, out=words.append)
    assert result.attempted >= 2
    assert result.failed == 0, "".join(words)


# ---- what it learns -----------------------------------------------------------------------------------


def test_repeated_text_is_learned(tmp_path, run):
    path = tmp_path / "pangram.txt"
    path.write_text(ALPHABET * 40, encoding="utf-8")
    trained = run(path, hidden=24, steps=250, batch=4, seq=16, lr=0.02, eval_every=250, log_every=250)
    start = math.log(len(set(ALPHABET)))
    assert trained.best_loss < 0.1 < 3 < start
    assert trained.model.sample("the quick", 36, "greedy") == ALPHABET
    assert trained.ended == "finished"


def by_hand(config, schedule):
    """Parameters after truncated BPTT as the documents describe it, in twenty lines."""
    corpus = read_text(list(config.data))
    parts = split(corpus.tokens, parse_split(config.split))
    streams = BpttBatches(parts.train, config.batch, config.seq)
    model = zoo.LanguageModel(corpus.symbols, "vanilla", config.hidden, config.layers, seed=config.seed)
    optimizer, clip = (
        zoo.get_optimizer(config.optimizer),
        Clip(config.clip or None, config.clip_value or None),
    )
    slots, memory, state = optimizer.init(model.theta), schedule.init(), None
    for step in range(1, config.steps + 1):
        inputs, targets, first = streams.window(step - 1)
        _, state = model.loss_and_grad(inputs, targets, state=None if first else state)
        grad, *_ = clip.apply(model.grad)
        rate = config.lr * schedule.factor(memory, step)
        model.theta[:], slots = optimizer.apply(model.theta, grad, slots, step, rate)
        if step % config.eval_every == 0 or step == config.steps:
            loss = evaluate(model, BpttBatches(parts.valid, config.batch, config.seq)).nats
            memory = schedule.observe(memory, loss)
    return model, slots, state, loss


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layers": 2, "optimizer": "rmsprop", "clip": 0.2},
        {
            "steps": 130,
            "optimizer": "sgd",
            "lr": 0.5,
            "clip": 0.0,
            "clip_value": 0.01,
        },  # more than two epochs
        {"schedule": "cosine", "schedule_options": {"warmup": 5}},
        {"schedule": "step", "schedule_options": {"period": 4, "gamma": 0.5}, "seed": 3},
        {"schedule": "plateau", "schedule_options": {"patience": 1}, "lr": 1.0, "eval_every": 2, "steps": 30},
    ],
)
def test_run_equals_a_loop_written_by_hand(run, settings):
    trained = run(**settings)
    config = trained.config
    spans = {"total": config.steps} if config.schedule == "cosine" else {}
    schedule = make_schedule(config.schedule, **config.schedule_options, **spans)
    model, slots, state, loss = by_hand(config, schedule)
    arrays = last_checkpoint(trained).arrays
    expected = {f"params.{name}": value for name, value in model.params.items()}
    expected |= {f"optimizer.{name}": value for name, value in slots.items()}
    expected |= {f"state.{name}": value for name, value in state.items()}
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)
    assert of(run.events, "eval")[-1]["loss"] == loss


def test_threads_change_no_bit(run):
    results = []
    for threads in (1, 2, 5):
        trained = run(name=f"threads-{threads}", batch=20, seq=4, steps=12, threads=threads)
        losses = [event["loss"] for event in run.events if "loss" in event]
        results.append((losses, {k: v.tobytes() for k, v in last_checkpoint(trained).arrays.items()}))
    assert results[0] == results[1] == results[2]


def test_seed_and_dtype_take_effect(run):
    one, two = run(name="one", dtype="float64"), run(name="two", seed=1, dtype="float64")
    assert one.model.theta.dtype == np.float64
    assert not np.array_equal(one.model.theta, two.model.theta)


# ---- what it does when, and says ----------------------------------------------------------------------


def test_event_order(run):
    trained = run(sample_every=8, sample_length=5)
    assert [(event["event"], event["step"]) for event in run.events] == [
        ("start", 0),
        ("compiling", 0),
        ("compiled", 0),
        ("step", 5),
        ("sample", 8),
        ("step", 10),
        ("eval", 10),
        ("step", 15),
        ("sample", 16),
        ("step", 20),
        ("eval", 20),
        ("end", 20),
    ]
    assert trained.history == json.loads(json.dumps(run.events))
    assert [path.name for path in sorted((trained.path / "checkpoints").iterdir())] == [
        "best.json",
        "last.json",
        "step-00000010.safetensors",
        "step-00000015.safetensors",
        "step-00000020.safetensors",
    ]


def test_last_step_always_evaluates_logs_and_saves(run):
    trained = run(steps=13)
    events = [(event["event"], event["step"]) for event in run.events if event["step"] > 10]
    assert events == [("step", 13), ("eval", 13), ("end", 13)]
    assert last_checkpoint(trained).meta["training"]["step"] == 13


def test_event_contents(run):
    trained = run()
    start, *_ = run.events
    assert start["cell"] == "vanilla"
    assert start["out"] == str(trained.path)
    assert start["config"] == trained.config.to_json()
    assert start["parameters"] == trained.model.theta.size
    assert start["text"]["symbols"] == len(TEXT)
    assert start["text"]["vocabulary"] == len(set(TEXT))
    assert start["text"]["train"] + start["text"]["valid"] == len(TEXT)
    assert len(start["text"]["sha256"]) == 64
    for event in (*of(run.events, "step"), *of(run.events, "eval")):
        assert event["bits"] == pytest.approx(event["loss"] / math.log(2), rel=1e-15)
    for event in of(run.events, "step"):
        assert event["lr"] == 0.01
        assert event["symbols_per_s"] > 0
        assert 0 <= event["clip_rate"] <= 1
        assert event["epoch"] == round(event["step"] / WINDOWS, 3)
    assert {event["part"] for event in of(run.events, "eval")} == {"validation"}
    end = run.events[-1]
    assert (end["reason"], end["best"], end["best_step"]) == ("finished", trained.best_loss, 20)
    assert of(run.events, "compiled")[0]["fresh"] in (True, False)


def test_progress_line_is_mean_since_previous_line(run):
    run(name="one", log_every=1)
    one = of(run.events, "step")
    run(name="four", log_every=4, steps=18)
    four = of(run.events, "step")
    assert [event["step"] for event in four] == [4, 8, 12, 16, 18]
    for name in ("loss", "grad_norm", "clip_rate"):
        for event, first in zip(four, (0, 4, 8, 12, 16), strict=True):
            expected = np.mean([line[name] for line in one[first : event["step"]]])
            assert event[name] == pytest.approx(expected, rel=1e-12), (name, event["step"])


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({"clip": 0.0}, 0.0),
        ({"clip": 1e-6}, 1.0),
        ({"clip": 1e6}, 0.0),
        ({"clip": 0.0, "clip_value": 1e-9}, 1.0),
    ],
)
def test_clip_rate_is_reported(run, settings, rate):
    trained = run(**settings)
    assert [event["clip_rate"] for event in of(run.events, "step")] == [rate] * 4
    assert last_checkpoint(trained).meta["training"]["clipped"] == 20 * rate


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("constant", {"warmup": 10}, [0.5, 1.0, 1.0, 1.0]),
        ("step", {"period": 5, "gamma": 0.5}, [1.0, 0.5, 0.25, 0.125]),
        ("cosine", {}, [(1 + math.cos(math.pi * step / 20)) / 2 for step in (5, 10, 15, 20)]),
        ("cosine", {"total": 10}, [0.5, 0.0, 0.0, 0.0]),
    ],
)
def test_schedules_reach_the_optimizer(run, name, options, expected):
    run(schedule=name, schedule_options=options, lr=0.02)
    values = [event["lr"] for event in of(run.events, "step")]
    np.testing.assert_allclose(values, [0.02 * factor for factor in expected], rtol=1e-12, atol=1e-15)


def test_optimizer_may_be_a_name_a_class_or_an_instance(run):
    sgd = zoo.get_optimizer("sgd", lr=0.05)
    named = run(name="named", optimizer="sgd", optimizer_options={"lr": 0.05})
    of_class = run(name="class", optimizer=type(sgd), optimizer_options={"lr": 0.05})
    instance = run(name="instance", optimizer=sgd)
    for other in (of_class, instance):
        assert (other.config.optimizer, other.config.optimizer_options["lr"]) == ("sgd", 0.05)
        assert (other.model.theta == named.model.theta).all()


def test_plateau_lowers_the_rate(run):
    options = {"patience": 1, "gamma": 0.5, "warmup": 0}
    run(
        schedule="plateau",
        schedule_options=options,
        optimizer="sgd",
        lr=1e-9,
        eval_every=1,
        log_every=1,
        steps=6,
    )
    losses = [event["loss"] for event in of(run.events, "eval")]
    lowered = [
        sum(loss >= min(losses[:k], default=math.inf) for k, loss in enumerate(losses[:n])) for n in range(6)
    ]
    assert [event["lr"] for event in of(run.events, "step")] == [1e-9 * 0.5**drops for drops in lowered]
    assert lowered[-1] > 0


def test_epochs_and_steps(run):
    assert run(name="steps").config.steps == 20
    trained = run(name="epochs", steps=None, epochs=1.5)
    assert trained.config.steps == round(1.5 * WINDOWS)
    assert of(run.events, "step")[-1]["epoch"] == pytest.approx(1.5, abs=0.02)
    assert trained.config.epochs is None
    assert run(name="hardly", steps=None, epochs=0.001).config.steps == 1


def test_early_stopping(run):
    trained = run(patience=2, lr=1e-30, steps=200)
    assert [event["step"] for event in of(run.events, "eval")] == [10, 20, 30]
    assert [event["best"] for event in of(run.events, "eval")] == [True, False, False]
    assert trained.ended == run.events[-1]["reason"] == "no improvement"
    assert last_checkpoint(trained).meta["training"]["step"] == 30


def test_samples_change_no_bit(run):
    quiet, talking = run(name="quiet"), run(name="talking", sample_every=1, sample_length=7)
    samples = [event["text"] for event in of(run.events, "sample")]
    assert len(samples) == 20
    assert {len(sample) for sample in samples} == {7}
    np.testing.assert_array_equal(quiet.model.theta, talking.model.theta)


def test_samples_need_no_sampler_plugin(run, monkeypatch):
    monkeypatch.setattr("zoo.model.sampling.get_sampler", None)
    run(sample_every=10)
    assert len(of(run.events, "sample")) == 2


def test_best_model_is_kept(run):
    trained = run(lr=2.0, clip=0.0, optimizer="sgd", schedule="constant", eval_every=2, steps=30, keep=1)
    evals = of(run.events, "eval")
    best = min(evals, key=lambda event: event["loss"])
    assert best["step"] < 30
    assert [event for event in evals if event["best"]][-1] == best
    assert trained.best_loss == best["loss"]
    arrays = load(trained.path / "checkpoints" / f"step-{best['step']:08d}.safetensors").arrays
    for name, value in trained.model.params.items():
        np.testing.assert_array_equal(value, arrays[f"params.{name}"], err_msg=name)
    assert not np.array_equal(trained.model.params["by"], last_checkpoint(trained).arrays["params.by"])
    assert evaluate(trained.model, streams_of(trained, "valid")).nats == best["loss"]


def streams_of(run, part):
    corpus = read_text(list(run.config.data))
    tokens = getattr(split(corpus.tokens, parse_split(run.config.split)), part)
    return BpttBatches(tokens, run.config.batch, run.config.seq)


def test_evaluation_carries_its_own_state(run):
    model = run().model
    tokens = np.random.default_rng(0).integers(len(model.vocab), size=101)
    streams = BpttBatches(tokens, batch=2, seq=5)
    score = evaluate(model, streams)
    rows = np.stack([tokens[:50], tokens[50:100]]), np.stack([tokens[1:51], tokens[51:101]])
    whole, _ = model.loss(rows[0].T, rows[1].T)
    assert score.symbols == 100
    assert score.nats == pytest.approx(whole, rel=1e-6)
    assert score.bits == pytest.approx(whole / math.log(2), rel=1e-6)


@pytest.mark.parametrize(("most", "windows"), [(16, 1), (33, 2), (40, 2), (48, 3), (10**6, None)])
@pytest.mark.parametrize("split", ["70,30", "100"])
def test_validation_of_a_long_part_reads_the_beginning_of_each_stream(run, monkeypatch, split, most, windows):
    monkeypatch.setattr("zoo.training.text_dataset.MAX_VALIDATION_SYMBOLS", most)
    trained = run(split=split, steps=5)
    streams = streams_of(trained, "valid" if "," in split else "train")
    streams = BpttBatches(streams.tokens, streams.batch, streams.seq, windows)
    score = evaluate(trained.model, streams)
    assert score.nats == trained.best_loss
    (start,) = of(run.events, "start")
    assert start["text"].get("validation_symbols") == (None if windows is None else score.symbols)


def test_evaluation_of_the_rest_predicts_every_symbol(run):
    model = run().model
    tokens = np.random.default_rng(0).integers(len(model.vocab), size=109)
    score = evaluate(model, BpttBatches(tokens, batch=2, seq=5), include_remainder=True)
    assert score.symbols == 108
    assert score.nats == pytest.approx(mean_loss(model, tokens, batch=2, seq=5), rel=1e-6)
    kept = evaluate(model, BpttBatches(tokens, batch=2, seq=5))
    assert kept == evaluate(model, BpttBatches(tokens[:101], batch=2, seq=5))


# ---- settings -----------------------------------------------------------------------------------------


def test_unset_fields_are_resolved(tmp_path, run):
    bare = dict.fromkeys(("batch", "seq", "eval_every", "save_every", "lr"))
    trained = run("builtin:hello", split=None, **bare)
    config = trained.config
    assert (config.batch, config.seq, config.split) == (1, 4, "100")
    assert (config.steps, config.eval_every, config.save_every) == (20, 2, 2)
    assert {event["part"] for event in of(run.events, "eval")} == {"training text"}
    assert json.loads((trained.path / "config.json").read_text()) == config.to_json()

    (tmp_path / "long.txt").write_text(ALPHABET * 50, encoding="utf-8")
    config = run(tmp_path / "long.txt", name="long", split=None, **bare).config
    assert (config.batch, config.seq, config.split) == (31, 64, "90,5,5")


def test_data_arguments(text, tmp_path, run):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.txt").write_text(TEXT, encoding="utf-8")
    corpus = read_text(text)
    digests = []
    for name, data in enumerate((text, str(text), [text], (str(text),), [tmp_path / "more"], corpus)):
        trained = run(data, name=str(name))
        digests.append(last_checkpoint(trained).arrays["params.Why"].tobytes())
    assert len(set(digests)) == 1
    assert trained.config.data == ("corpus:text",)
    assert run([text, text], name="twice").history[0]["text"]["symbols"] == 2 * len(TEXT)
    assert run(text, name="bytes", level="byte").model.vocab.level == "byte"


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"hiden": 8}, UsageError, r"unknown setting 'hiden'. Did you mean 'hidden'\?$"),
        ({"learning_rate": 0.1}, UsageError, r"unknown setting 'learning_rate'. Did you mean 'lr'\?$"),
        ({"r_min": 0.9}, UsageError, r"unknown setting 'r_min'.* is set by cell_options={'r_min': ...}.$"),
        ({"hidden": 0}, UsageError, "hidden is 0; expected an integer of at least 1."),
        ({"hidden": 8.0}, UsageError, "hidden is 8.0; expected an integer"),
        ({"hidden": True}, UsageError, "hidden is True; expected an integer"),
        ({"hidden": None}, UsageError, "hidden is None"),
        ({"hidden": 10**9}, UsageError, "more than 1,099,511,627,776 parameters"),
        ({"layers": 10**9}, UsageError, "num_layers is 1000000000; expected an integer from 1 to 1000"),
        ({"steps": 0}, UsageError, "steps is 0; expected an integer of at least 1."),
        ({"steps": None, "epochs": 0}, UsageError, "epochs is 0; expected a number above 0."),
        ({"epochs": 2}, UsageError, "`steps` and `epochs` are both given; give one of them."),
        ({"lr": -1}, UsageError, "lr is -1; expected a number above 0."),
        ({"lr": math.nan}, UsageError, "lr is nan"),
        ({"lr": "fast"}, UsageError, "lr is 'fast'"),
        ({"clip": math.inf}, UsageError, "clip is inf"),
        ({"patience": -1}, UsageError, "patience is -1; expected an integer of at least 0."),
        (
            {"seed": 2**63},
            UsageError,
            r"seed is 9223372036854775808; expected an integer from 0 to 2\^63 - 1.",
        ),
        ({"seed": None}, UsageError, "seed is None"),
        ({"level": "words"}, UsageError, r"level is 'words'; expected one of char, byte, word, token\."),
        ({"level": None}, UsageError, "level is None; expected one of char, byte, word, token."),
        ({"glob": 5}, UsageError, "glob is 5; expected a string."),
        ({"split": "90"}, UsageError, "split"),
        ({"split": 90}, UsageError, "split is 90; expected a string."),
        ({"dtype": "float16"}, UsageError, "dtype is 'float16'"),
        ({"cell": "vanila"}, UnknownNameError, "Did you mean 'vanilla'"),
        ({"cell_options": {"leak": 1}}, UsageError, "cell 'vanilla' has no option 'leak'"),
        ({"cell_options": 3}, UsageError, "cell_options is 3; expected a mapping"),
        ({"optimizer": "adan"}, UnknownNameError, "Did you mean 'adam'"),
        ({"optimizer_options": {"beta1": 2.0}}, UsageError, "option 'beta1' is 2.0"),
        ({"optimizer_options": ["beta1"]}, UsageError, "optimizer_options is .* expected a mapping"),
        ({"schedule": "cosinus"}, UnknownNameError, "Did you mean 'cosine'"),
        ({"schedule": "step"}, UsageError, "schedule 'step' needs 'period'"),
        ({"schedule_options": {"perod": 3}, "schedule": "step"}, UsageError, "Did you mean 'period'"),
        ({"batch": 1000}, DataError, "the text is too short"),
        ({"data": "nowhere.txt"}, DataError, "nowhere.txt: no such file or directory"),
        ({"data": "gru"}, DataError, r"gru: no such file .* 'gru' is a cell: zoo.train\(cell='gru'\)"),
        ({"data": []}, UsageError, "data is empty; give a text, a table or a task"),
        ({"data": 3}, UsageError, "data has the type int; expected a file, a directory, '-' or builtin:NAME"),
        ({"data": [3]}, UsageError, "data has the type list; expected a file"),
        ({"threads": 0}, UsageError, "threads is 0"),
    ],
)
def test_invalid_settings_leave_no_directory(run, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        run(**settings)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    assert run.events == []


def test_options_with_cell_instance_raise(run):
    with pytest.raises(UsageError, match="has its options already"):
        run(cell=zoo.get_cell("vanilla"), cell_options={"leak": 1})


def test_resume_needs_out():
    with pytest.raises(UsageError, match="resume needs out, the directory of the run"):
        zoo.train("builtin:hello", resume=True)


def test_configuration_survives_json():
    config = make_config({"data": ("a", "b"), "lr": 0.1, "schedule_options": {"warmup": 3}})
    assert config_from_json(json.loads(json.dumps(config.to_json())), "x") == config
    for stored in (
        {},
        {"data": "a"},
        {"data": [1]},
        {"data": []},
        {"data": ["a"], "hidden": "8"},
        {"data": ["a"], "x": 1},
    ):
        with pytest.raises(CheckpointError, match="x is not a configuration of this version of zoo"):
            config_from_json(stored, "x")


A, B = {"data": "a.txt"}, {"data": "b.txt"}
ON_TEXT = {"task": "text", "data": (), "split": None, "seq": None, "task_options": A}
BEGUN = Config(steps=100, eval_every=10, split="100", batch=2, seq=4, save_every=10)


@pytest.mark.parametrize(
    ("before", "now", "harmful"),
    [
        ({}, {}, []),
        ({}, {"steps": 200, "threads": 3, "log_every": 7, "keep": 1, "save_every": 3}, []),
        ({}, {"sample_every": 7, "sample_length": 1, "data": ("moved.txt",), "glob": "*.txt"}, []),
        ({}, {"hidden": 64, "lr": 0.1}, ["hidden: 128 -> 64", "lr: default -> 0.1"]),
        ({}, {"cell": "lstm", "seed": 1}, ["cell: 'vanilla' -> 'lstm'", "seed: 0 -> 1"]),
        ({}, {"eval_every": 20}, ["eval_every: 10 -> 20"]),
        ({}, {"schedule": "cosine"}, ["schedule: 'constant' -> 'cosine'"]),
        ({"schedule": "cosine"}, {"steps": 200}, ["steps: 100 -> 200"]),
        ({"schedule": "cosine", "schedule_options": {"total": 50}}, {"steps": 200}, []),
        ({"schedule": "plateau"}, {"steps": 200}, []),
        ({"schedule": "plateau", "steps": 105}, {"steps": 200}, ["steps: 105 -> 200"]),
        ({"patience": 3}, {"steps": 200}, []),
        ({"patience": 3, "steps": 105}, {"steps": 200}, ["steps: 105 -> 200"]),
        ({"steps": 105}, {"steps": 200}, []),
        (ON_TEXT, {"task_options": {"data": __file__}}, []),
        (
            ON_TEXT,
            {"task_options": B},
            [f"task_options: {A} -> {B}"],
        ),
    ],
)
def test_incompatible_changes(before, now, harmful):
    begun = make_config({**BEGUN.to_json(), "data": BEGUN.data, **before})
    changed = make_config({**begun.to_json(), "data": begun.data, **now})
    assert incompatible_changes(begun, changed) == harmful


def test_unset_fields_on_resume_are_taken_from_the_run():
    unset = Config()
    assert fill_defaults_from(unset, BEGUN) == BEGUN
    assert fill_defaults_from(Config(steps=7, lr=0.5), BEGUN).steps == 7
    assert fill_defaults_from(Config(epochs=2), BEGUN).steps is None


# ---- directories --------------------------------------------------------------------------------------


def test_default_directory_is_the_next_free_one(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [zoo.train(text, **SMALL).path.as_posix() for _ in range(2)]
    assert paths == ["runs/vanilla-text-1", "runs/vanilla-text-2"]
    odd = tmp_path / ("ü/ " * 20).replace("/", "")
    odd.write_text(TEXT, encoding="utf-8")
    assert zoo.train(odd, **SMALL).path.parent.name == "runs"


def test_run_opens_by_path(run):
    trained = run()
    opened = Run(str(trained.path))
    assert opened.config == trained.config
    np.testing.assert_array_equal(opened.model.theta, trained.model.theta)
    assert (opened.ended, opened.best_loss, len(opened.history)) == (
        "finished",
        trained.best_loss,
        len(run.events),
    )


def test_directory_without_a_run(tmp_path):
    with pytest.raises(UsageError, match="no run is there"):
        Run(tmp_path)
    with pytest.raises(UsageError, match="no such directory"):
        Run(tmp_path / "none")


class Plain(zoo.Cell):
    """``h' = tanh(x W + h U)`` in plain NumPy, registered nowhere."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    scale = zoo.Option(1.0, low=0.0)
    W = zoo.Param("I", "H", init="glorot_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    h = zoo.State("H")

    @staticmethod
    def forward(params, x, state, scale):
        (W, U), (h,) = params, state
        y = np.empty((*x.shape[:2], len(U)), W.dtype)
        for t in range(len(x)):
            y[t] = h = W.dtype.type(scale) * np.tanh(W[x[t]] + h @ U)
        return y, (h.copy(),), ()

    @staticmethod
    def backward(params, x, state, tape, dy, dlast, scale):
        return np.zeros((0, 0, 0)), (dlast[0].copy(),), tuple(np.ones_like(p) for p in params)


def test_unregistered_cell(run):
    trained = run(cell=Plain, cell_options={"scale": 0.5})
    assert trained.model.cell == Plain(scale=0.5)
    assert trained.config.cell == "plain"
    assert run(name="again", cell=Plain(scale=0.5)).config.cell_options == {"scale": 0.5}
    with pytest.raises(CheckpointError, match="made with the cell 'plain', which is not registered here"):
        _ = Run(trained.path).model


# ---- divergence ---------------------------------------------------------------------------------------


class Explosive(zoo.Optimizer):
    """Gradient descent until, in update 13, parameters or a slot overflow."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    lr = zoo.Option(0.01, low=0.0)
    in_slot = zoo.Option(False)
    memory = zoo.StateSlot()

    @staticmethod
    def update(theta, grad, slots, step, lr, in_slot):
        infinite = np.full_like(theta, np.inf)
        if step >= 13:
            return (theta, (infinite,)) if in_slot else (infinite, slots)
        return theta - theta.dtype.type(lr) * grad, slots


@pytest.mark.parametrize(
    ("settings", "in_slot", "words", "saved"),
    [
        ({}, False, "after 13 steps the loss is nan and the norm of its gradient nan", 10),
        ({"save_every": 1}, False, "after 13 steps params.l0.Wxh holds values that are NaN or infinite", 12),
        (
            {"save_every": 1},
            True,
            "after 13 steps optimizer.memory holds values that are NaN or infinite",
            12,
        ),
        ({"eval_every": 1}, False, "after 13 steps the validation loss is nan", 12),
    ],
)
def test_divergence_raises_and_keeps_checkpoints(run, monkeypatch, settings, in_slot, words, saved):
    monkeypatch.setattr("zoo.training.session.get_optimizer", lambda name: Explosive(in_slot=in_slot))
    advice = r"lower `lr` \(now 0.01\) or `clip` \(now 1\)"
    with pytest.raises(ZooError, match=f"^training diverged: {words}; {advice}") as failure:
        run(steps=30, **settings)
    assert "\n" not in str(failure.value)
    result = Run(run.events[0]["out"])
    assert result.ended == run.events[-1]["event"] == "diverged"
    assert last_checkpoint(result).meta["training"]["step"] == saved
    for path in (result.path / "checkpoints").glob("*.safetensors"):
        assert all(np.isfinite(value).all() for value in load(path).arrays.values()), path.name
    assert np.isfinite(result.model.theta).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_learning_rate_is_reported(run, dtype):
    with pytest.raises(ZooError, match="training diverged"):
        run(optimizer="sgd", lr=3e38 if dtype == "float32" else 1.7e308, clip=0.0, dtype=dtype, steps=100)


def test_loss_far_above_uniform_warns(run):
    run(optimizer="sgd", lr=100.0, clip=0.0, steps=20)
    evals, warnings = of(run.events, "eval"), of(run.events, "warning")
    assert [event["step"] for event in evals] == [10, 20]
    assert [event["step"] for event in warnings] == [10]
    symbols = len(set(TEXT))
    words = (
        f"is far above {math.log(symbols):.4g}, the loss of a model that gives each of the {symbols} symbols"
    )
    texts = [warnings[0]["text"], of(run.events, "end")[-1]["warning"]]
    assert all(words in text and "lower `lr` (now 100)" in text for text in texts)
    run(name="tame", steps=20)
    assert of(run.events, "warning") == []


def no_memory(*_):
    raise MemoryError("no 3 TiB")


@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("place", ["zoo.training.trainer.Trainer._run_once", "zoo.base.Optimizer.init"])
def test_out_of_memory_leaves_no_directory(run, tmp_path, monkeypatch, prepared, place):
    if prepared:
        (tmp_path / "run").mkdir()
    monkeypatch.setattr(place, no_memory)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MemoryError):
        run(steps=5)
    assert sorted(tmp_path.rglob("*")) == before


def test_out_of_memory_later_keeps_checkpoints(run, tmp_path, monkeypatch):
    run(steps=5)
    monkeypatch.setattr("zoo.training.trainer.Trainer._run_once", no_memory)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MemoryError):
        run(steps=10, resume=True)
    assert sorted(tmp_path.rglob("*")) == before


# ---- signals and threads ------------------------------------------------------------------------------


def test_training_in_a_thread_leaves_signals_alone(run):
    expected = last_checkpoint(run(name="main"))
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen, result = [], []

    def watch(event):
        seen.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])

    def work():
        chosen = {**SMALL, **EVERY}
        result.append(zoo.train(run.events[0]["config"]["data"], out=path, on_event=watch, **chosen))

    path = Run(run.events[0]["out"]).path.with_name("thread")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert len(seen) > 5
    assert all(handlers == before for handlers in seen)
    arrays = last_checkpoint(result[0]).arrays
    for name, value in expected.arrays.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)


def test_first_signal_is_recorded_second_interrupts():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with catch_stop_signals() as interruption:
        assert interruption.signal is None
        signal.raise_signal(signal.SIGTERM)
        assert interruption.signal == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("call", [2, 3, 6])  # the first call precedes the handlers
def test_signal_during_a_reduction_is_not_lost(call, monkeypatch, tmp_path):
    class Group(ProcessGroup):
        calls = 0

        def all_reduce_max(self, number):
            self.calls += 1
            if self.calls == call:
                signal.raise_signal(signal.SIGTERM)  # after the signal of this rank was read
            return number

    monkeypatch.setattr("zoo.training.session.process_group", Group)
    (tmp_path / "abc.txt").write_text("abc" * 100, encoding="utf-8")
    with pytest.raises(Interrupted, match="SIGTERM"):
        zoo.train(tmp_path / "abc.txt", out=tmp_path / "run", **SMALL)
    assert Run(tmp_path / "run").history[-1]["step"] == call - 1


def test_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with catch_stop_signals() as interruption:
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert interruption.signal is None
    finally:
        signal.signal(signal.SIGINT, before)


# ---- the meter ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "count"), [(7, 0), (8, 1)])
def test_training_step_is_compiled_before_the_first_update(run, monkeypatch, steps, count):
    """A batch of two sequences is one shard, and the model would compile it during the eighth update."""
    generate_step = compiled_step.generate_training_step

    def recorded(*arguments):
        run.events.append({"event": "compiled step"})
        return generate_step(*arguments)

    monkeypatch.setattr(compiled_step, "generate_training_step", recorded)
    run(steps=steps, log_every=1)
    kinds = [event["event"] for event in run.events]
    assert kinds.count("compiled step") == kinds[: kinds.index("compiled")].count("compiled step") == count


def test_running_means():
    means = RunningMeans().add(1.0, 2.0, True, 1.0).add(3.0, 4.0, False, 4.0)
    assert means.mean() == {"loss": 2.0, "grad_norm": 3.0, "clipped_norm": 2.5, "clip_rate": 0.5}
    assert RunningMeans.from_json(json.loads(json.dumps(means.to_json()))) == means


def test_speed_excludes_time_outside_steps(monkeypatch):
    clock = iter([0.0, 2.0, 2.0, 10.0, 11.0, 11.0, 12.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    speed = Speed()
    speed.add(30)  # two seconds
    speed.restart()  # eight seconds of something else
    speed.add(30)  # one second
    assert speed.read() == pytest.approx({"symbols_per_s": 20.0, "seconds": 3.0})
    speed.add(5)  # one second
    assert speed.read() == pytest.approx({"symbols_per_s": 5.0, "seconds": 1.0})


def test_run_of_a_missing_directory_raises(tmp_path):
    with pytest.raises(UsageError, match="nope: no such directory; give a run directory, which"):
        Run(tmp_path / "nope")
    with pytest.raises(UsageError, match="no run is there; give a run directory"):
        Run(tmp_path)


def test_text_instead_of_a_path_raises():
    with pytest.raises(
        UsageError, match=r"the name is too long for a file; train a text in memory with zoo"
    ) as error:
        zoo.train("a text " * 1000)
    assert len(str(error.value)) < 200
