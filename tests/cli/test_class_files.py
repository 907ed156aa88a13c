"""``FILE.py:Class`` in every command that takes the name of a cell or task, and in Python."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import zoo
from zoo.base import Task
from zoo.cli.app import cli
from zoo.comparison.specs import plugin_files
from zoo.errors import DefinitionError, UsageError
from zoo.kernels import pure_python
from zoo.registry import load_class_file, loader, resolve_cell, resolve_task
from zoo.testing import check_task
from zoo.testing.suites import parse_spec

DOC = '"""Adam."""'
TEXT = '''
import numpy as np
import zoo
from zoo_optimizers.sgd import SGD


class Echo(zoo.Task):
    """Says every number again, one step later."""

    loss = metric = "squared_error"
    length = zoo.Option(3, help="numbers heard", low=1)
    input_size = output_size = 1

    def draw_examples(self, rng, size, part):
        heard = rng.uniform(self.length, size, 1)
        silence = np.zeros((1, size, 1))
        weights = np.ones((self.length + 1, size))
        weights[0] = 0
        return zoo.Batch(np.concatenate([heard, silence]), np.concatenate([silence, heard]), weights)

    def baseline(self):
        return 1 / 12


class Other(Echo):
    """The same under another name."""


class Leaky(zoo.Cell):
    """A leaky unit."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return zoo.tanh(x @ self.W) + 0.9 * h


class Halved(zoo.Modifier):
    """Halve every state."""

    def step(self, ctx, inner_step, x, states):
        result = inner_step(x, states)
        for name, value in result.states.items():
            result.states[name] = 0.5 * value
        return result


class Descent(SGD):
    """The same under another name."""


@zoo.njit
def distance(row, target):
    return np.abs(row - target).sum() / row.size


@zoo.njit
def distance_and_grad(row, target, scale):
    loss = distance(row, target)
    row[:] = np.sign(row - target) * scale / row.size
    return loss


DISTANCE = zoo.Loss("distance", distance, distance_and_grad)


class Rate(zoo.Tracker):
    """Follows nothing."""

    def open(self, start_event):
        return lambda event: None
'''
CELLS = "{0}:Leaky+zoneout,glu(vanilla+{0}:Halved)"
SHORT = ("--hidden", 4, "--batch", 4, "--threads", 1, "--eval-batches", 1)


def run(*args: object) -> Result:
    words = [str(arg) for arg in args]
    return CliRunner(env={"ZOO_PLUGINS": ""}).invoke(cli, words, prog_name="zoo", catch_exceptions=False)


@pytest.fixture(scope="module", autouse=True)
def plain_python():
    """Kernels of the classes in files are compiled by the tests of ``bench``, samplers and ``jobs=1``."""
    with pure_python():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tasks") / "mine.py"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(file) -> Path:
    out = file.parent / "run"
    options = ("--set", "length=2", "--steps", 2, "--out", out)
    result = run("train", "--task", f"{file}:Echo", *SHORT, *options)
    assert result.exit_code == 0
    assert result.stdout.endswith(f"evaluate with: zoo eval {out} --task {file}:Echo\n")
    return out


@pytest.fixture(scope="module")
def trained_cells(file) -> Path:
    out = file.parent / "layers"
    data = ("--data", "builtin:hello", "--hidden", 4, "--steps", 2, "--threads", 1)
    result = run("train", "--cell", CELLS.format(file), *data, "--out", out)
    assert (result.exit_code, result.output.count(f" --cell {shlex.quote(CELLS.format(file))}\n")) == (0, 1)
    assert str(file) not in (out / "config.json").read_text(encoding="utf-8")
    return out


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("eval", ()),
        ("sample", ("--length", 3)),
        ("report", ("--symbols", 8)),
        ("export", ("--format", "c", "--force")),
        ("train", ("--resume", "--steps", 3)),
    ],
)
def test_model_with_cell_file(command, options, file, trained_cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = ("--out", trained_cells) if command == "train" else (trained_cells,)
    without = run(command, *target, *options)
    assert "--cell" in without.stderr
    assert without.exit_code == {"report": 0, "train": 2}.get(command, 1)  # the page leaves out the units
    assert run(command, *target, *options, "--cell", CELLS.format(file)).exit_code == 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("show", "{file}:Leaky+zoneout"), "leaky+zoneout  cell"),
        (("show", "{file}:Leaky", "--graph"), "how its kernels run"),
        (("show", "vanilla+{file}:Halved"), "vanilla+halved  cell"),
        (("cite", "{file}:Leaky"), "title = {{Leaky}}"),
        (("pages", "{file}:Leaky", "--out", "{folder}"), "1 cell: "),
    ],
)
def test_command_takes_cell_file(command, words, file, tmp_path):
    result = run(*(word.format(file=file, folder=tmp_path) for word in command))
    assert (result.exit_code, words in result.output) == (0, True)


def test_bench_takes_cell_file(file):
    sizes = ("--shapes", "4x8x4", "--seconds", 0.001, "--no-compile", "--peers", "none")
    result = run("bench", "--cells", f"vanilla,{file}:Leaky+{file}:Halved", *sizes)
    assert (result.exit_code, f"{file}:Leaky+{file}:Halved" in result.stdout) == (0, True)


def test_compare_takes_cell_files(file, tmp_path):
    sizes = ("--hidden", 2, "--steps", 1, "--lr", 0.01, "--batch", 4, "--eval-batches", 1, "--seeds", 1)
    cells = f"{file}:Leaky,again={file}:Leaky+zoneout,vanilla+{file}:Halved"
    given = ("--cells", cells, "--tasks", f"{file}:Echo", *sizes)
    assert run("compare", *given, "--out", tmp_path / "c", "--jobs", 0, "--strict").exit_code == 0
    comparison = zoo.Comparison(tmp_path / "c")
    assert {record.cell for record in comparison.runs} == {"leaky", "again", "vanilla+halved"}
    assert f" --cells {cells} " in comparison.metadata["command"]
    assert str(file) not in (tmp_path / "c" / "compare.json").read_text(encoding="utf-8")


def test_python_takes_cell_files(file, tmp_path):
    spec = f"{file}:Leaky"
    with zoo.kernels.pure_python():
        for number, cell in enumerate((spec, [spec, "vanilla"])):
            trained = zoo.train("builtin:hello", cell, out=tmp_path / f"{number}", hidden=2, steps=1)
            assert trained.config.cell_names == ("leaky", "vanilla")[: number + 1]
        assert (
            zoo.LanguageModel("ab", cell=[spec, "gru"], hidden_size=2, num_layers=2).loss([[0]], [[1]])[0] > 0
        )
        assert (
            zoo.modify("vanilla", f"{file}:Halved").label() == resolve_cell(f"vanilla+{file}:Halved").label()
        )
        assert zoo.Recurrent(spec, 2, 3).forward(np.ones((1, 1, 2), "float32"))[0].shape == (1, 1, 3)


def test_run_stores_the_task_name_not_the_file(file, trained):
    config = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    assert (config["task"], config["task_options"]) == ("echo", {"length": 2})
    assert str(file) not in (trained / "config.json").read_text(encoding="utf-8")
    assert "echo" not in zoo.list_tasks()


@pytest.mark.parametrize("command", [("eval",), ("train", "--resume", "--steps", 4, "--out")])
def test_task_file_must_be_given_each_time(file, trained, command):
    result = run(*command, trained)
    assert result.exit_code == 2
    assert "the run was begun with the task 'echo', which is not registered here" in result.stderr
    assert "--task FILE.py:Class or --plugin FILE.py." in result.stderr
    result = run(*command, trained, "--task", f"{file}:Echo")
    assert result.exit_code == 0
    assert "length" in result.output


def test_report_shows_units_for_a_named_task_file(file, trained):
    result = run("report", trained, "--out", file.parent / "page.html", "--symbols", 20)
    assert "unknown task 'echo'" in result.stderr
    assert "If it is in a file, name it with --task FILE.py:Class, or install or load" in result.stderr
    result = run(
        "report", trained, "--out", file.parent / "page.html", "--symbols", 20, "--task", f"{file}:Echo"
    )
    assert (result.exit_code, "left out" in result.stderr) == (0, False)


@pytest.mark.parametrize("command", ["train", "compare"])
def test_optimizer_in_a_file_needs_a_name_of_its_own(command, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(f"import zoo_optimizers.adam as shipped\n\n\nclass Adam(shipped.Adam):\n    {DOC}\n")
    given = {"train": ("--cell", "vanilla"), "compare": ("--cells", "vanilla")}[command]
    task = "--task" if command == "train" else "--tasks"
    refused = run(command, *given, task, "adding", "--optimizer", f"{path}:Adam", "--out", tmp_path / "run")
    assert "own.py:Adam: 'adam' is the name of a registered optimizer; rename the class." in refused.stderr
    assert refused.exit_code == 2


def test_compare_accepts_task_and_optimizer_files(file):
    out = file.parent / "compare"
    sizes = ("--params", 60, "--steps", 2, "--lr", 0.01, "--batch", 4, "--eval-batches", 1)
    names = ("--cells", "vanilla", "--tasks", f"{file}:Echo,again={file}:Other", "--set", "echo.length=2")
    optimizer = ("--optimizer", f"{file}:Descent")
    given = (*names, *optimizer, "--set", "optimizer.momentum=0.5")
    assert run("compare", *given, "--seeds", 1, *sizes, "--jobs", 1, "--out", out, "--strict").exit_code == 0
    plan = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    tasks = [(task["label"], task["name"], task["options"]["length"]) for task in plan["tasks"]]
    assert tasks == [("echo", "echo", 2), ("again", "other", 3)]
    assert plan["settings"]["optimizer"] == "descent"
    assert str(file) not in json.dumps(plan)
    command = zoo.Comparison(out).metadata["command"]
    assert f" --optimizer {file}:Descent " in command
    assert command.endswith(" --set echo.length=2 --set optimizer.momentum=0.5")
    refused = run("compare", "--out", out, "--seeds", 2)
    assert "name its file again, --tasks FILE.py:Class" in refused.stderr
    refused = run("compare", "--out", out, *names, "--seeds", 2)
    assert (
        "the optimizer 'descent', which is not registered here; name its file again, --optimizer FILE.py"
        in (refused.stderr)
    )
    more = run("compare", "--out", out, *given, "--seeds", 2, "--jobs", 0, "--strict")
    assert (more.exit_code, len(zoo.Comparison(out).runs)) == (0, 4)


@pytest.fixture
def forgotten_losses():
    """Forget the losses that this process registers, as a new process would."""
    snapshot = loader.LOADER.snapshot()
    yield lambda: loader.LOADER.restore(snapshot)
    loader.LOADER.restore(snapshot)


def test_model_with_loss_file(file, tmp_path, forgotten_losses):
    out, loss = tmp_path / "run", f"{file}:DISTANCE"
    table = tmp_path / "load.csv"
    table.write_text("load\n" + "".join(f"{n % 7}\n" for n in range(60)), encoding="utf-8")
    data = ("--data", table, "--target", "load")
    sizes = ("--hidden", 2, "--steps", 1, "--context", 4, "--season", 1)
    result = run("train", *data, *sizes, "--loss", loss, "--out", out)
    assert result.exit_code == 0
    assert f"forecast with: zoo forecast {out} --plugin {loss}\n" in result.stdout
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["loss"] == "distance"
    forgotten_losses()
    refused = run("forecast", out)
    assert "made with the loss 'distance', which is not registered here" in refused.stderr
    refused = run("train", "--resume", "--out", out, "--steps", 2)
    assert "A loss in a file is registered by --plugin FILE.py:NAME" in refused.stderr
    assert run("train", "--resume", "--out", out, "--steps", 2, "--loss", loss).exit_code == 0
    forgotten_losses()
    assert run("forecast", out, "--plugin", loss).exit_code == 0


def test_compare_takes_a_loss_file(file, tmp_path, forgotten_losses):
    out, loss = tmp_path / "c", f"{file}:DISTANCE"
    table = tmp_path / "load.csv"
    table.write_text("load\n" + "".join(f"{n % 7}\n" for n in range(60)), encoding="utf-8")
    data = ("--data", table, "--target", "load", "--context", 4, "--season", 1, "--loss", loss)
    sizes = ("--cells", "vanilla", "--hidden", 2, "--steps", 1, "--lr", 0.01, "--seeds", 1)
    assert run("compare", *data, *sizes, "--jobs", 0, "--out", out, "--strict").exit_code == 0
    assert str(file) not in (out / "compare.json").read_text(encoding="utf-8")
    assert plugin_files() == [loss]  # which workers load
    assert zoo.Comparison(out).metadata["command"].endswith(f" --plugin {loss}")
    forgotten_losses()
    refused = run("compare", "--out", out, "--seeds", 2, "--jobs", 0)
    assert "A loss in a file is registered by --plugin FILE.py:NAME" in refused.stderr


def test_show_cite_and_check_take_classes_in_files(file):
    shown = run("show", f"{file}:Echo").output
    assert shown.startswith("echo  task, other, from ")
    assert shown.endswith("Reference\n  Echo, unpublished.\n")
    assert run("show", f"{file}:Rate").output.startswith("rate  tracker, ")
    reference = "@misc{echo,\n  title = {{Echo}},\n  note  = {unpublished},\n}\n"
    assert run("cite", f"{file}:Echo").output.startswith(reference)
    assert parse_spec(f"{file}:Echo")[0].kind == parse_spec(f"task:{file}:Echo")[0].kind == "task"
    assert parse_spec(f"vanilla+{file}:Halved")[0].kind == "cell"
    assert parse_spec(f"{file}:Leaky")[0].kind == parse_spec(f"{file}:Leaky+zoneout")[0].kind == "cell"
    with pytest.raises(
        UsageError, match=r"tracker 'rate' has no laws of its own; try it with `zoo train --tracker .*:Rate`"
    ):
        parse_spec(f"{file}:Rate")


def test_laws_hold_for_a_task_without_a_card(file):
    assert check_task(f"{file}:Echo").ok


def test_train_function_accepts_class(file):
    spec = f"{file}:Echo"
    assert resolve_task(spec, length=5).options == {"length": 5}
    assert load_class_file(spec, Task) is type(resolve_task(spec))
    with zoo.kernels.pure_python():
        sizes = {"hidden": 2, "batch": 2, "steps": 1, "eval_batches": 1}
        trained = zoo.train(task=spec, task_options={"length": 2}, out=file.parent / "python", **sizes)
    assert trained.config.task == "echo"


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("Ech", UsageError, "has no class 'Ech'; its tasks are Echo, Other. Did you mean 'Echo'?"),
        ("Leaky", UsageError, "mine.py:Leaky is a cell; expected a task; give it as `cell`."),
        (
            "np",
            DefinitionError,
            "is not a class; what is registered as task is a class derived from zoo.Task",
        ),
        ("", UsageError, "does not name a class in a file"),
    ],
)
def test_file_without_the_task_is_an_error(file, name, error, words):
    with pytest.raises(error) as caught:
        resolve_task(f"{file}:{name}")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ("--task", "echo"),
            "--task echo: the run stores the name of its task; leave --task out, or give FILE.py:Class",
        ),
        (("--task", "{file}:Other"), "the run has the task 'echo', and --task names 'other'."),
    ],
)
def test_other_task_in_a_file_is_an_error(file, trained, args, words):
    assert words in run("eval", trained, *(arg.format(file=file) for arg in args)).stderr


def test_changed_task_is_a_warning(file, trained, tmp_path):
    changed = tmp_path / "mine.py"
    changed.write_text(
        TEXT.replace("rng.uniform(self.length, size, 1)", "0.5 * rng.uniform(self.length, size, 1)")
    )
    sentence = "task 'echo' has changed since training; it gives other examples now."
    assert sentence in run("eval", trained, "--task", f"{changed}:Echo").stderr
    for options in ((), ("--set", "length=3")):
        assert run("eval", trained, "--task", f"{file}:Echo", *options).stderr == ""


def test_class_of_another_kind_suggests_its_option(file, trained):
    result = run("eval", trained, "--task", f"{file}:Leaky")
    assert (result.exit_code, "is a cell; expected a task; give it as --cell." in result.stderr) == (2, True)
    result = run("train", "--task", file, "--steps", 1)
    assert f"write it as {file}:MyTask." in result.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("--set", "length=4", "--set", "length=5"), "length of task 'echo' is set twice; set it once."),
        (("--set", "task.length=4", "--set", "length=5"), "length of task 'echo' is set twice; set it once."),
    ],
)
def test_repeated_set_of_option_raises(file, command, words):
    result = run("train", "--task", f"{file}:Echo", *SHORT, *command, "--steps", 1)
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


PARTS = """
import contextlib
import zoo

class First(zoo.Sampler):
    \"\"\"Only the symbol with a number.\"\"\"

    number = zoo.Option(0, low=0)

    @zoo.njit
    def transform(logits, number):
        result = logits * 0.0 - float("inf")
        result[number] = 0.0
        return result

class Kinds(zoo.Tracker):
    \"\"\"Print the kinds of all events.\"\"\"

    end = zoo.Option(" ")

    @contextlib.contextmanager
    def open(self, start_event):
        yield lambda event: print(event["event"], end=self.end)
"""


def test_samplers_and_trackers_in_a_file(tmp_path):
    (tmp_path / "parts.py").write_text(PARTS, encoding="utf-8")
    sampler, tracker = (f"{tmp_path / 'parts.py'}:{name}" for name in ("First", "Kinds"))
    data = ("--data", "builtin:hello", "--hidden", 2, "--steps", 1, "--out", tmp_path / "run", "--quiet")
    result = run("train", *data, "--tracker", tracker, "--set", "tracker.end=/")
    assert result.stdout.startswith("start/compiling/")
    text = run(
        "sample", tmp_path / "run", "--prompt", "h", "--sampler", sampler, "--set", "number=2", "--length", 3
    )
    assert text.stdout == "hlll\n"
    wrong = run("sample", tmp_path / "run", "--sampler", tracker)
    assert (wrong.exit_code, wrong.stderr.endswith("is a tracker; expected a sampler.\n")) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--top-k", 3, "--set", "k=4"), "--top-k and --set both set k of top_k; set it once."),
        (("--set", "k=3"), "--set k=3: no sampler is in use; choose one with --sampler NAME or with a flag"),
    ],
)
def test_invalid_sampler_options_are_errors(trained, options, words):
    result = run("sample", trained, *options)
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr
