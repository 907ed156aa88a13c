"""Training on tasks: the loop, events, checkpoints and commands that texts have; resumed to the same bits."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from crash_tests.equality import compare_runs
from run_asserts import zoo_command

import zoo
from zoo.cli.app import cli
from zoo.errors import CheckpointError, UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.storage import load as load_file
from zoo.training import Config, Run, evaluate_task
from zoo.training.config_conversion import config_from_json
from zoo.training.state import TrainingState
from zoo.training.trainer import Trainer

TASK = {"delay": 2, "length": 2}
SMALL = {
    "task": "copying",
    "task_options": TASK,
    "cell": "vanilla",
    "hidden": 5,
    "batch": 3,
    "steps": 12,
    "lr": 0.02,
    "log_every": 3,
    "eval_every": 4,
    "eval_batches": 2,
    "save_every": 2,
    "threads": 1,
}


@pytest.fixture(autouse=True)
def plain():
    """Kernels as plain Python: nothing is compiled here."""
    with pure_python():
        yield


@pytest.fixture
def train(tmp_path):
    """A function that trains in a directory of its own; the events are in ``train.events``."""

    def run(name="run", **settings):
        train.events = []
        chosen = {**SMALL, **settings}
        return zoo.train(out=tmp_path / name, on_event=train.events.append, **chosen)

    train = run
    return run


def of(events, kind):
    return [event for event in events if event["event"] == kind]


def last_arrays(run):
    pointer = json.loads((run.path / "checkpoints" / "last.json").read_text())
    return load_file(run.path / "checkpoints" / pointer["file"]).arrays


def without_clock(events):
    left_out = ("symbols_per_s", "seconds", "fresh", "out")
    return [{name: value for name, value in event.items() if name not in left_out} for event in events]


# ---- the loop -----------------------------------------------------------------------------------------


class Stored(zoo.Task):
    """Eleven examples in each part, and batches whose last one repeats some without a weight."""

    count = 11
    input_size, output_size = 1, 2
    metric = "accuracy"

    def make_batch(self, index, size, seed, part):
        numbers = np.arange(index * size, (index + 1) * size)
        inputs = np.sin(1.0 + numbers % self.count + np.arange(3)[:, None])[..., None]
        targets, weights = np.zeros((3, size), np.int32), np.zeros((3, size))
        targets[1:], weights[1:] = (numbers % self.count) % 2, numbers < self.count
        return zoo.Batch(inputs, targets, weights)

    def batch_count(self, part, size):
        return None if part == "train" else -(-self.count // size)

    def baseline(self):
        return 0.5


@pytest.mark.parametrize("size", [*range(1, Stored.count + 3), 40])
def test_every_example_of_a_finite_part_counts_once(size):
    task = Stored()
    model = zoo.SequenceModel("vanilla", 1, 2, hidden_size=4, dtype="float64", seed=3, threads=1)
    alone = evaluate_task(task, model, "valid", 1, 1)
    score = evaluate_task(task, model, "valid", 1, size)
    assert score.examples == alone.examples == Stored.count
    np.testing.assert_allclose((score.loss, score.score), (alone.loss, alone.score), rtol=1e-13)


@pytest.mark.parametrize("size", [1, 11])
def test_full_batches_have_equal_weight(size):
    task = Stored()
    model = zoo.SequenceModel("vanilla", 1, 2, hidden_size=4, threads=1)
    batches = [task.batch(index, size, 0, "test") for index in range(Stored.count // size)]
    losses = [model.evaluate_batch(each.inputs, each.targets, each.weights)[0] for each in batches]
    assert evaluate_task(task, model, "test", 1, size).loss == sum(losses) / len(losses)


def test_run_equals_a_loop_written_by_hand(train):
    trained = train()
    task = zoo.get_task("copying", **TASK)
    model = zoo.SequenceModel("vanilla", task.input_size, task.output_size, hidden_size=5, threads=1)
    adam = zoo.get_optimizer("adam")
    slots = adam.init(model.theta)
    from zoo.training.clipping import Clip

    losses = []
    for step in range(12):
        batch = task.batch(step, 3, 0)
        loss, _ = model.loss_and_grad(batch.inputs, batch.targets, batch.weights)
        losses.append(loss)
        grad, *_ = Clip(norm=1.0).apply(model.grad)
        model.theta[:], slots = adam.apply(model.theta, grad, slots, step + 1, 0.02)
        if step == 7:
            score = evaluate_task(task, model, "valid", 2, 3)
            event = next(event for event in train.events if event["event"] == "eval" and event["step"] == 8)
            assert (event["loss"], event["score"]) == (score.loss, score.score)
    arrays = last_arrays(trained)
    for name, value in model.params.items():
        np.testing.assert_array_equal(arrays[f"params.{name}"], value, err_msg=name)
    logged = [event["loss"] for event in of(train.events, "step")]
    np.testing.assert_allclose(logged, np.mean(np.reshape(losses, (4, 3)), axis=1), rtol=1e-12)


def test_events_of_a_task_run(train):
    trained = train()
    start, *_, end = train.events
    task = zoo.get_task("copying", **TASK)
    assert start["task"] == {
        "name": "copying",
        "options": TASK,
        "sha256": task.fingerprint(),
        "inputs": 10,
        "outputs": 8,
        "loss": "cross_entropy",
        "metric": "accuracy",
        "higher_is_better": True,
        "baseline": 0.125,
        "threshold": 0.99,
    }
    assert "text" not in start
    assert start["config"]["task"] == "copying"
    assert start["config"]["task_options"] == TASK
    assert start["config"]["data"] == []
    assert start["config"]["seq"] is None
    assert [(event["event"], event["step"]) for event in train.events][3:] == [
        ("step", 3),
        ("eval", 4),
        ("step", 6),
        ("eval", 8),
        ("step", 9),
        ("step", 12),
        ("eval", 12),
        ("end", 12),
    ]
    for event in of(train.events, "eval"):
        assert set(event) == {"event", "step", "part", "loss", "score", "metric", "solved", "best"}
        assert (event["part"], event["metric"], event["solved"]) == ("validation", "accuracy", False)
    for event in of(train.events, "step"):
        assert "bits" not in event
        assert "epoch" not in event
    assert end["reason"] == "finished"
    assert trained.history == json.loads(json.dumps(train.events))
    assert trained.config.to_json() == start["config"]
    assert trained.best_loss == end["best"]
    assert type(trained.model) is zoo.SequenceModel


def test_seeds_and_threads(train):
    one, two = train("one", batch=17), train("two", batch=17, threads=2)
    np.testing.assert_array_equal(one.model.theta, two.model.theta)
    assert without_clock(one.history[3:]) == without_clock(two.history[3:])
    other = train("other", seed=1)
    first = [event["loss"] for event in one.history if event["event"] == "step"]
    assert first != [event["loss"] for event in other.history if event["event"] == "step"]


def test_task_may_be_name_class_or_instance(train):
    named = train("named")
    task = zoo.get_task("copying", **TASK)
    for name, given in (("instance", {"task": task, "task_options": {}}), ("class", {"task": type(task)})):
        trained = train(name, **given)
        np.testing.assert_array_equal(trained.model.theta, named.model.theta)


@pytest.mark.parametrize("options", [{"length": 6}, {"length": 4}])
def test_task_with_squared_error(train, options):
    trained = train(task="adding", task_options=options)
    score = evaluate_task(zoo.get_task("adding", **options), trained.model, "valid", 2, 3)
    best = min(of(train.events, "eval"), key=lambda event: event["loss"])
    assert best["score"] == score.score == pytest.approx(score.loss, rel=1e-6)
    assert best["metric"] == "squared_error"


def test_directory_is_named_after_cell_and_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert zoo.train(**{**SMALL, "steps": 1}).path.as_posix() == "runs/vanilla-copying-1"


# ---- solved -------------------------------------------------------------------------------------------


class Easy(zoo.Task):
    """One of two numbers, said at once; a line through them is enough."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org", variant="one")
    loss = metric = "squared_error"
    threshold = 0.02
    threshold_source = "the tests"
    input_size = output_size = 1

    def draw_examples(self, rng, size, part):
        x = rng.uniform(2, size, 1)
        return zoo.Batch(x, x.copy(), np.ones((2, size)))

    def baseline(self):
        return 0.08


def test_run_stops_when_solved(train):
    settings = {"task": Easy, "task_options": {}, "steps": 400, "lr": 0.02, "hidden": 4, "batch": 8}
    trained = train(**settings, eval_every=10, save_every=10, stop_when_solved=True)
    evals = of(train.events, "eval")
    assert [event["solved"] for event in evals] == [False] * (len(evals) - 1) + [True]
    assert trained.ended == train.events[-1]["reason"] == "solved"
    assert evals[-1]["step"] < 400
    assert evals[-1]["best"]
    resumed = train(**settings, eval_every=10, save_every=10, stop_when_solved=True, resume=True)
    assert resumed.ended == "solved"
    longer = train(**{**settings, "steps": evals[-1]["step"] + 20}, eval_every=10, save_every=10, resume=True)
    assert longer.ended == "finished"


def test_solved_model_beats_lower_unsolved_loss():
    progress = TrainingState({}, None)
    assert progress.improves(2.0, False)
    progress.criterion, progress.solved = 1.0, False
    assert progress.improves(0.5, False)
    assert not progress.improves(1.0, False)
    assert progress.improves(3.0, True)
    progress.solved = True
    assert not progress.improves(0.1, False)
    assert progress.improves(0.9, True)


# ---- going on -----------------------------------------------------------------------------------------


class Crash(Exception):
    """Something that nobody expected."""


def test_crash_at_any_event_changes_no_bit(train, tmp_path):
    noisy = {
        "schedule": "plateau",
        "schedule_options": {"patience": 1},
        "clip": 0.3,
        "cell": "vanilla+zoneout",
    }
    whole = train("whole", **noisy)
    for number in range(1, len(whole.history) + 1):
        seen = []

        def watch(event, seen=seen, number=number):
            seen.append(event)
            if len(seen) == number:
                raise Crash

        name = f"crash-{number}"
        with pytest.raises(Crash):
            zoo.train(out=tmp_path / name, on_event=watch, **{**SMALL, **noisy})
        train(name, resume=True, **noisy)
        compare_runs(whole.path, tmp_path / name)


def test_resuming_with_another_task_raises(train, monkeypatch):
    train()
    for change, words in (
        ({"task_options": {"delay": 3, "length": 2}}, r"task_options: \{'delay': 2, 'length': 2\} -> "),
        ({"task": "adding", "task_options": {}}, "task: 'copying' -> 'adding'"),
        ({"batch": 4}, "batch: 3 -> 4"),
        ({"eval_batches": 3}, "eval_batches: 2 -> 3"),
    ):
        with pytest.raises(CheckpointError, match=f"cannot be resumed with another configuration .*{words}"):
            train(resume=True, **change)
    monkeypatch.setattr("zoo.base.task.Task.fingerprint", lambda self: "0" * 64)
    with pytest.raises(CheckpointError, match="the task has changed since"):
        train(resume=True, steps=14)


def test_task_run_cannot_be_resumed_as_text(train, tmp_path):
    train()
    with pytest.raises(CheckpointError, match="task: 'copying' -> default"):
        zoo.train("builtin:pydoc", out=tmp_path / "run", resume=True)


def test_configurations_without_task_fields_are_read():
    known = Config().to_json()
    old = {name: value for name, value in known.items() if "task" not in name}
    for name in ("eval_batches", "stop_when_solved", "analyse_every"):
        del old[name]
    assert config_from_json(old, "x") == Config()


# ---- a text as a task ---------------------------------------------------------------------------------


def test_task_text_trains_as_the_text_itself(train, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{n} times {n} is {n * n}; " for n in range(30)), encoding="utf-8")
    same = {**SMALL, "steps": 80, "eval_every": 40, "save_every": 40}  # more than an epoch
    for name in ("task", "task_options", "eval_batches"):
        del same[name]
    plain = zoo.train(path, out=tmp_path / "plain", seq=8, split="80,10,10", **same)
    assert plain.config.steps * 24 > len(path.read_text()) * 0.8 * 2
    options = {"data": str(path), "seq": 8, "split": "80,10,10"}
    same = {**same, "eval_batches": 16}
    trained = train(**{**same, "task": "text", "task_options": options})
    assert type(trained.model) is zoo.LanguageModel
    one, other = last_arrays(plain), last_arrays(trained)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value, err_msg=name)
    assert [event["loss"] for event in of(plain.history, "step")] == [
        event["loss"] for event in of(trained.history, "step")
    ]
    evals = of(trained.history, "eval")
    for event, expected in zip(evals, of(plain.history, "eval"), strict=True):
        assert event["metric"] == "nats"
        assert event["score"] == pytest.approx(event["loss"], rel=1e-5)
        assert event["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert len(trained.model.sample("1 ", 10)) == 12


# ---- analyses -----------------------------------------------------------------------------------------


def test_analyses_come_every_n_steps(train, monkeypatch):
    make = Trainer.__init__
    steps = []

    def watched(self, *arguments):
        *rest, _, hooks = arguments
        make(
            self,
            *rest,
            lambda trainer: steps.append(trainer.state.step) or {"found": trainer.model.theta.size},
            hooks,
        )

    quiet = train("quiet")
    monkeypatch.setattr(Trainer, "__init__", watched)
    trained = train("talking", analyse_every=5)
    events = of(trained.history, "analysis")
    assert [event["step"] for event in events] == steps == [5, 10]
    assert events[0] == {"event": "analysis", "step": 5, "found": trained.model.theta.size}
    np.testing.assert_array_equal(trained.model.theta, quiet.model.theta)
    assert of(train("off").history, "analysis") == []


# ---- what it refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"task": "coping"}, UnknownNameError, "unknown task 'coping'"),
        (
            {"task_options": {"delai": 2}},
            UsageError,
            "task 'copying' has no option 'delai'.* Did you mean 'delay'",
        ),
        ({"task_options": 3}, UsageError, "task_options is 3; expected a mapping"),
        ({"data": "builtin:hello"}, UsageError, "`data` and the task 'copying' are both given"),
        ({"seq": 8}, UsageError, "seq is given with the task 'copying'"),
        ({"epochs": 2, "steps": None}, UsageError, "epochs is given with the task 'copying'"),
        ({"level": "byte"}, UsageError, "level is given with the task 'copying'"),
        ({"embedding": 0}, UsageError, "embedding is 0"),
        (
            {"task": "adding", "task_options": {}, "embedding": 4},
            UsageError,
            "embedding is 4, and the inputs of the task 'adding' are features, not tokens; leave out",
        ),
        ({"sample_every": 2}, UsageError, "sample_every is given with the task"),
        (
            {"task": None, "task_options": {}, "eval_batches": 16, "stop_when_solved": True},
            UsageError,
            "stop_when_solved is given with a text",
        ),
        ({"task": None}, UsageError, "task_options is given with a text; it applies to tasks only"),
        (
            {"stop_when_solved": 1, "task_options": TASK},
            UsageError,
            "stop_when_solved is 1; expected true or false",
        ),
        ({"eval_batches": 0}, UsageError, "eval_batches is 0"),
        ({"analyse_every": -1}, UsageError, "analyse_every is -1"),
    ],
)
def test_invalid_settings_leave_no_directory(train, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        train(**settings)
    assert list(tmp_path.iterdir()) == []


# ---- commands -----------------------------------------------------------------------------------------


ARGUMENTS = (
    *("--task", "copying", "--set", "length=2", "--set", "task.delay=2", "--cell", "vanilla", "--hidden", 5),
    *("--batch", 3, "--steps", 12, "--lr", 0.02, "--log-every", 3, "--eval-every", 4, "--eval-batches", 2),
    *("--save-every", 2, "--threads", 1),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "made"
    with pure_python():
        result = zoo_command("train", *ARGUMENTS, "--out", out)
    assert result.exit_code == 0
    (out.parent / "output.txt").write_text(result.stderr + result.stdout, encoding="utf-8")
    return out


def test_command_equals_function(made, train):
    np.testing.assert_array_equal(Run(made).model.theta, train().model.theta)


def test_train_command_output(made):
    lines = (made.parent / "output.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:4] == [
        "task   copying (delay=2, length=2): 10 in, 8 out",
        "score  accuracy, higher is better: 0.125 without memory, solved at 0.99",
        "model  vanilla: 5 units, 1 layer, 128 parameters, float32",
        "train  adam at 0.02: 12 steps of 3 sequences, 1 thread",
    ]
    (line,) = [line for line in lines if line.startswith("step 4/12")]
    event = next(event for event in Run(made).history if event["event"] == "eval")
    assert line == f"step 4/12  validation: loss {event['loss']:.4f}  accuracy {event['score']:.4g}  best"
    assert " inputs/s " in next(line for line in lines if line.startswith("step 3/12"))
    assert lines[-2].startswith("finished at step 12 after ")
    assert lines[-1] == f"evaluate with: zoo eval {made}"


def test_run_is_resumed_by_directory_alone(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "copy")
    result = zoo_command("train", "--resume", "--out", copy, "--steps", 14, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert Run(copy).config.task_options == TASK
    assert Run(copy).history[-1]["step"] == 14
    result = zoo_command("train", "--resume", "--out", copy, "--task", "adding")
    assert result.exit_code == 1
    assert "task: 'copying' -> 'adding'" in result.stderr


def test_eval_command(made):
    result = zoo_command("eval", made, "--json", "--eval-batches", 3)
    facts = json.loads(result.stdout)
    score = evaluate_task(zoo.get_task("copying", **TASK), Run(made).model, "test", 3, 3)
    assert (facts["score"], facts["loss"], facts["examples"]) == (score.score, score.loss, 9)
    assert (facts["task"], facts["options"], facts["part"], facts["solved"]) == (
        "copying",
        TASK,
        "test",
        False,
    )
    lines = zoo_command("eval", made, "--eval-batches", 3).stdout.splitlines()
    assert lines[0] == "task            copying (delay=2, length=2), test part: 9 examples"
    assert lines[2] == f"accuracy        {score.score:.4g}"
    longer = json.loads(zoo_command("eval", made, "--json", "--eval-batches", 2, "--set", "delay=9").stdout)
    assert longer["options"] == {"delay": 9, "length": 2}


def test_unregistered_task_must_be_given(train):
    path = train(task=Easy, task_options={}, steps=2).path
    for words in (("eval", path), ("train", "--resume", "--out", path)):
        result = zoo_command(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "begun with the task 'easy', which is not registered here; install the plugin" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "x.txt"), "was trained on the task 'copying'; --data does not apply to it"),
        (("--on-unknown", "skip"), "--on-unknown does not apply"),
        (("--part", "all"), "--part all does not apply"),
        (("--set", "delai=3"), "unknown option 'delai'"),
    ],
)
def test_eval_with_text_flags_for_task_raises(made, words, message):
    result = zoo_command("eval", made, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_task_model_cannot_sample(made):
    result = zoo_command("sample", made)
    assert (result.exit_code, result.stdout) == (2, "")
    use = f"use `zoo eval {made}`."
    assert f"{made} holds a sequence model, which cannot generate text; {use}" in result.stderr


@pytest.mark.parametrize("command", ["eval", "sample"])
def test_commands_refer_to_python_for_a_model_without_a_run(command, tmp_path):
    path = tmp_path / "model.safetensors"
    zoo.SequenceModel("vanilla", 1, 1, hidden_size=2, loss="squared_error").save(path)
    result = zoo_command(command, path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"use it in Python, zoo.load('{path}'), for example with its method evaluate." in result.stderr


def test_tasks_are_listed_and_shown():
    result = zoo_command("tasks", "memory/*")
    headings = ["task", "family", "year", "inputs", "score", "baseline", "solved", "description"]
    assert result.stdout.splitlines()[0].split() == headings
    rows = [line for line in result.stdout.partition("\n\n")[0].splitlines()[1:] if not line.startswith(" ")]
    assert [row.split()[0] for row in rows] == sorted(zoo.list_tasks("memory/*"))
    (facts,) = json.loads(zoo_command("tasks", "adding", "--json").stdout)
    assert (facts["baseline"], facts["threshold"], facts["metric"]) == (1 / 6, 0.01, "squared_error")
    assert facts["options"] == {"length": 50}
    assert (facts["inputs"], facts["input_kind"]) == (2, "feature")
    assert json.loads(zoo_command("tasks", "copying", "--json").stdout)[0]["input_kind"] == "token"
    assert "no task matches 'addin'. Did you mean 'adding'?" in zoo_command("tasks", "addin").stderr
    shown = zoo_command("show", "adding").stdout
    assert "without memory  0.1667" in shown
    assert "Hochreiter & Schmidhuber 1997" in shown
    assert "steps of a sequence, T" in shown


def test_live_display_shows_scores():
    import io

    from rich.console import Console

    from zoo.cli.live_display import LiveDisplay

    start = {
        "event": "start",
        "step": 0,
        "out": "runs/x",
        "cell": "lstm",
        "parameters": 99,
        "threads": 1,
        "task": {"name": "adding", "options": {}, "inputs": 2, "outputs": 1, "metric": "squared_error"},
        "config": Config(task="adding", data=(), batch=8, steps=100, lr=0.01).to_json(),
    }
    start["task"] |= {
        "higher_is_better": False,
        "baseline": 1 / 6,
        "threshold": 0.01,
        "loss": "squared_error",
    }
    event_values = {"loss": 0.009, "score": 0.009, "metric": "squared_error", "solved": True, "best": True}
    end = {"event": "end", "step": 50, "reason": "solved", "best": 0.009, "best_step": 50, "seconds": 2.0}
    file, lines = io.StringIO(), []
    with LiveDisplay(Console(file=file, width=100, force_terminal=False), lines.append) as watch:
        for event in (start, {"event": "eval", "step": 50, "part": "validation", **event_values}, end):
            watch(event)
    text = file.getvalue()
    assert "adding: 2 in, 1 out" in text
    assert "squared error, lower is better: 0.1667 without memory, solved at 0.01" in text
    assert "loss 0.009  squared error 0.009  solved" in text
    assert lines[0].startswith("solved at step 50")
    assert "zoo eval runs/x" in lines[1]
    assert math.isclose(event_values["score"], 0.009)


# ---- a task whose methods are wrong -------------------------------------------------------------------

WRONG = """import numpy as np, zoo

class Odd(zoo.Task):
    \"\"\"A task that is wrong.\"\"\"

    input_size, output_size = 3, 2

    def draw_examples(self, rng, size, part):
        inputs = rng.integers(0, 3, 4, size)
        targets, weights = inputs % 2, np.ones((4, size))
        return {}

    def baseline(self):
        return {}
"""
DRAWN = "zoo.Batch(inputs, targets, weights)"


@pytest.mark.parametrize(
    ("returned", "baseline", "words"),
    [
        (
            "(inputs, targets, weights)",
            "0.5",
            "draw_examples: found a tuple, expected a zoo.Batch(inputs, targets, w",
        ),
        (
            "missing",
            "0.5",
            "draw_examples raised NameError: name 'missing' is not defined (odd.py, line 11).",
        ),
        (DRAWN, "1 / 0", "baseline raised ZeroDivisionError: division by zero (odd.py, line 14)."),
        (
            "zoo.Batch(inputs, targets, 0 * weights)",
            "0.5",
            "draw_examples: found no weight above zero, expected ",
        ),
        ("zoo.Batch(inputs, targets, weights[1:])", "0.5", "draw_examples: found weights float64(3, "),
        ("zoo.Batch(inputs, targets[:-1], weights)", "0.5", "draw_examples: found targets int64(3, "),
        (
            "zoo.Batch(inputs, targets + 1, weights)",
            "0.5",
            "draw_examples: found targets from 1 to 2, expected class",
        ),
        (
            "zoo.Batch(inputs + 1, targets, weights)",
            "0.5",
            "draw_examples: found tokens from 1 to 3, expected tokens",
        ),
        ("zoo.Batch(inputs[:, 1:], targets, weights)", "0.5", "draw_examples: found inputs int64(4, "),
        ("zoo.Batch(inputs * 1.0, targets, weights)", "0.5", "draw_examples: found inputs float64(4, "),
        (
            "zoo.Batch(inputs.tolist(), targets, weights)",
            "0.5",
            "draw_examples: found inputs a list, expected an arr",
        ),
    ],
)
def test_wrong_task_is_one_sentence_and_leaves_no_run(tmp_path, monkeypatch, returned, baseline, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.py").write_text(WRONG.format(returned, baseline))
    command = [
        "train",
        "--task",
        "odd.py:Odd",
        "--cell",
        "vanilla",
        "--hidden",
        "2",
        "--steps",
        "2",
        "--quiet",
    ]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: task 'odd': {words}"), result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))


def test_failing_task_leaves_no_run(train, tmp_path):
    class Late(zoo.get_task("copying", **TASK).__class__):
        """Fails in the first batch of training, when the log has begun."""

        def draw_examples(self, rng, size, part):
            if part == "train":
                raise KeyError("late")
            return super().draw_examples(rng, size, part)

    task = {"task": Late, "task_options": TASK}
    with pytest.raises(
        zoo.DefinitionError, match=r"draw_examples raised KeyError: 'late' \(test_tasks.py, line"
    ):
        train(**task)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with pytest.raises(zoo.DefinitionError):
        train(**task)
    assert not list((tmp_path / "run").iterdir())


# ---- a score that is worse than the baseline ----------------------------------------------------------


@pytest.mark.parametrize(("lr", "is_bad"), [(1e-9, True), (0.01, False)])
def test_bad_score_at_the_end_is_a_warning(lr, is_bad, tmp_path):
    args = ("--task", "adding", "--set", "length=10", "--hidden", 8, "--batch", 8, "--eval-batches", 2)
    result = zoo_command("train", *args, "--steps", 100, "--lr", lr, "--quiet", "--out", tmp_path / "run")
    assert result.exit_code == 0
    end = Run(tmp_path / "run").history[-1]
    assert (end["event"], "warning" in end) == ("end", is_bad)
    assert ("is far worse than 0.1667, the score without memory; train longer" in result.stderr) == is_bad


@pytest.mark.parametrize(
    ("name", "kind", "code"), [("x.csv", (), 2), ("x.csv", ("--kind", "text"), 0), ("x.txt", (), 0)]
)
def test_table_is_read_as_text_on_request_only(name, kind, code, tmp_path):
    (tmp_path / name).write_text("a,b\n" + "1,2\n3,4\n" * 4)
    args = (*kind, "--hidden", 2, "--steps", 1, "--quiet", "--out", tmp_path / "run")
    result = zoo_command("train", "--data", tmp_path / name, *args)
    assert result.exit_code == code
    words = f"--target is missing: {name} is a table; name the column to forecast, or give --label "
    words += "to predict a label of whole sequences. Its columns are a (number), b (number)."
    assert (words in result.stderr) == (code == 2)
