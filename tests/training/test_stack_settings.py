"""Training with a cell for each layer, both directions, and learned initial states."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from cell_files import LEAKY_CELL
from run_asserts import zoo_command

import zoo
from zoo.errors import CheckpointError, UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.storage import load
from zoo.training import Config, Run
from zoo.training.config_conversion import config_from_json

TEXT = "".join(f"{n} times {n} is {n * n}; " for n in range(11))
SMALL = {"hidden": 4, "batch": 2, "lr": 0.05, "threads": 1, "eval_every": 3, "steps": 6}
ON_TEXT = {**SMALL, "seq": 8, "split": "80,20"}
ON_TASK = {**SMALL, "task": "copying", "task_options": {"delay": 2, "length": 2}, "eval_batches": 1}
CELLS = {"cell": ["lstm+zoneout", "gru"], "cell_options": [{"zoneout_p": 0.3}, {}]}


@pytest.fixture(autouse=True)
def plain():
    """Kernels as plain Python: nothing is compiled here."""
    with pure_python():
        yield


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture
def go(text, tmp_path):
    """A function that starts or resumes a run on the text, or on a task."""

    def train(name="run", *, on_task=False, resume=True, **changes):
        data = {} if on_task else {"data": text}
        settings = {**(ON_TASK if on_task else ON_TEXT), **data, **changes}
        return zoo.train(out=tmp_path / name, resume=resume, **settings)

    return train


def last_arrays(run):
    pointer = json.loads((run.path / "checkpoints" / "last.json").read_text())
    return load(run.path / "checkpoints" / pointer["file"]).arrays


# ---- training and resuming ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "on_task", "trained"),
    [
        ({"cell": "lstm", "learned_state": True}, False, "params.l0.h.initial"),
        ({"cell": "gru", "learned_state": True}, True, "params.l0.h.initial"),
        ({"cell": "gru", "layers": 2, "bidirectional": True}, True, "params.l1.reverse.Wx"),
        (CELLS, False, "params.l1.Wx"),
        (CELLS, True, "params.l1.Wx"),
        (
            {**CELLS, "bidirectional": True, "learned_state": True, "recompute": 3},
            True,
            "params.l1.reverse.h.initial",
        ),
        ({**CELLS, "learned_state": True, "residual": True, "dropout": 0.2}, False, "params.l1.h.initial"),
    ],
)
def test_resumed_run_has_the_same_bits(go, settings, on_task, trained):
    whole, half = go("whole", on_task=on_task, **settings), go("half", on_task=on_task, steps=3, **settings)
    before = last_arrays(half)
    resumed = last_arrays(go("half", on_task=on_task, **settings))
    expected = last_arrays(whole)
    assert resumed.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert (before[trained] != expected[trained]).any()
    events = [event for event in whole.history if event["event"] == "eval"]
    assert events[-1]["loss"] < events[0]["loss"]


def test_run_equals_a_loop_written_by_hand(go):
    settings = {"cell": ["lstm", "gru"], "bidirectional": True, "learned_state": True}
    run = go(on_task=True, clip=0.0, **settings)
    task = zoo.get_task("copying", delay=2, length=2)
    sizes = task.input_size, task.output_size, 4
    model = zoo.SequenceModel(["lstm", "gru"], *sizes, threads=1, bidirectional=True, learned_state=True)
    adam = zoo.get_optimizer("adam", lr=0.05)
    slots = adam.init(model.theta)
    for step in range(6):
        batch = task.batch(step, 2, 0)
        model.loss_and_grad(batch.inputs, batch.targets, batch.weights, noise=(0, step))
        model.theta[:], slots = adam.apply(model.theta, model.grad, slots, step + 1)
    for name, value in model.params.items():
        np.testing.assert_array_equal(last_arrays(run)[f"params.{name}"], value, err_msg=name)


def test_configuration_of_cells(go):
    run = go(**CELLS)
    stored = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    assert (stored["cell"], stored["layers"]) == (["lstm+zoneout", "gru"], 2)
    assert stored["cell_options"][0]["zoneout_p"] == 0.3
    assert (run.config.cell, run.config.cell_label) == (("lstm+zoneout", "gru"), "lstm+zoneout,gru")
    assert run.history[0]["cell"] == "lstm+zoneout,gru"
    assert run.model.cells == (zoo.get_cell("lstm+zoneout", zoneout_p=0.3), zoo.get_cell("gru"))
    assert Run(run.path).model.cells == run.model.cells


@pytest.mark.parametrize("cells", [["gru", "gru"], ("gru", zoo.get_cell("gru"))])
def test_list_of_equal_cells_is_one_cell(go, cells):
    config = go(cell=cells).config
    assert (config.cell, config.cell_options, config.layers) == ("gru", {}, 2)
    assert go(cell="gru", layers=2).config == config


def test_default_directory_names_every_cell(go, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert zoo.train(text, **ON_TEXT, cell=["lstm", "gru"]).path.as_posix() == "runs/lstm-gru-text-1"


class Leaky(zoo.Cell):
    """A leaky unit, registered nowhere."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    leak = zoo.Option(0.9, low=0.0)
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return zoo.tanh(x @ self.W) + self.leak * h


class Other(Leaky):
    """The same under another name."""


def test_several_unregistered_cells(go):
    run = go(cell=[Leaky(leak=0.5), "gru", zoo.modify(Other, "zoneout")])
    assert run.config.cell == ("leaky", "gru", "other+zoneout")
    assert run.model.cells[0] == Leaky(leak=0.5)
    assert zoo.load(run.path, cell=[Other, Leaky]).cells == run.model.cells
    with pytest.raises(
        CheckpointError, match=r"made with the cell 'other\+zoneout', which is not registered"
    ):
        zoo.load(run.path, cell=Leaky)
    with pytest.raises(CheckpointError, match="which is cell 'lstm'"):
        zoo.load(run.path, cell=[Leaky, Other, type(zoo.get_cell("lstm"))])
    with pytest.raises(UsageError, match="cell is 'gru'; expected a class derived from"):
        zoo.load(run.path, cell=[Leaky, "gru"])


def test_bidirectional_model_is_analysed_without_lags(go):
    events = go(on_task=True, cell="gru", bidirectional=True, analyse_every=3).history
    (first, _) = [event for event in events if event["event"] == "analysis"]
    assert first["gradient_by_lag"] == {}
    assert "l0.reverse.forget_gate" in first["saturation"]


# ---- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"cell": ["lstm", "gruu"]}, UnknownNameError, "unknown cell 'gruu'. Did you mean 'gru'"),
        (
            {"cell": ["lstm", "gru"], "layers": 3},
            UsageError,
            "layers is 3 and there are 2 cells; expected a",
        ),
        ({"cell": ["lstm", "gru"], "layers": 1}, UsageError, "layers is 1 and there are 2 cells"),
        ({"cell": []}, UsageError, "cell is an empty list"),
        ({"cell": ["lstm", 3]}, UsageError, "cell is 3; expected the name of a cell"),
        ({**CELLS, "cell_options": [{}]}, UsageError, "cell_options is .* and there are 2 cells; expected a"),
        (
            {**CELLS, "cell_options": {"zoneout_p": 0.3}},
            UsageError,
            "expected a list with a mapping for each",
        ),
        ({"cell": "gru", "cell_options": [{}]}, UsageError, "cell_options is .* expected a mapping of names"),
        ({"learned_state": 1}, UsageError, "learned_state is 1; expected true or false"),
        ({"bidirectional": "yes"}, UsageError, "bidirectional is 'yes'; expected true or false"),
        (
            {"bidirectional": True},
            UsageError,
            "language model: bidirectional is True, but a layer that reads backwards sees the symbols",
        ),
        (
            {"residual": True},
            UsageError,
            "^`residual` is given and has no effect, since no layer has an output of the size of its input; "
            "leave out `residual`, or give more `layers`.$",
        ),
    ],
)
def test_invalid_settings_leave_no_directory(go, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        go(**settings)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("before", "now", "shown"),
    [
        ({}, {"bidirectional": True}, "bidirectional: False -> True"),
        ({}, {"learned_state": True}, "learned_state: False -> True"),
        ({"learned_state": True}, {"learned_state": False}, "learned_state: True -> False"),
        (
            {"cell": "gru", "layers": 2},
            {"cell": ["gru", "mgu"]},
            r"cell: 'gru' -> \['gru', 'mgu'\]; cell_opt",
        ),
        (
            {"cell": ["gru", "mgu"]},
            {"cell": ["mgu", "gru"]},
            r"\(cell: \['gru', 'mgu'\] -> \['mgu', 'gru'\]\);",
        ),
        (CELLS, {"cell": CELLS["cell"]}, r"\(cell_options: \[.*'zoneout_p': 0.3"),
    ],
)
def test_change_on_resume_raises(go, before, now, shown):
    go(on_task=True, **before)
    with pytest.raises(CheckpointError, match=f"cannot be resumed with another configuration .*{shown}"):
        go(on_task=True, **{**before, "cell_options": {}, "layers": 2, **now} if "cell" in now else now)


def test_changed_cell_of_a_layer_raises(go, monkeypatch):
    go(**CELLS)
    monkeypatch.setattr(type(zoo.get_cell("gru")), "source_digest", classmethod(lambda cls: "f" * 64))
    with pytest.raises(CheckpointError, match=r"the cell 'gru' has changed since .* ffffffffffff now"):
        go(**CELLS, steps=9)


@pytest.mark.parametrize(
    "change",
    [
        {"cell": ["lstm"]},
        {"cell": ["lstm", 3]},
        {"cell": ["lstm", "gru"], "layers": 3},
        {"cell_options": [{}, {}]},
        {"cell": ["lstm", "gru"], "layers": 2, "cell_options": [{}, {}, {}]},
        {"cell": ["lstm", "gru"], "layers": 2, "cell_options": [{}, 3]},
        {"cell": {}},
        {"bidirectional": None},
    ],
)
def test_invalid_stored_configuration_raises(change):
    stored = {**Config().to_json(), **change}
    with pytest.raises(CheckpointError, match="x is not a configuration of this version of zoo"):
        config_from_json(stored, "x")


def test_run_without_the_settings_is_resumed(go):
    whole, path = last_arrays(go("whole", cell="gru")), go("old", cell="gru", steps=3).path
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    for name in ("bidirectional", "learned_state"):
        del config[name]
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    np.testing.assert_array_equal(last_arrays(go("old", cell="gru"))["params.Why"], whole["params.Why"])


def test_run_with_residual_without_effect_is_resumed(go, monkeypatch):
    """Older versions allowed it."""
    with monkeypatch.context() as old:
        old.setattr("zoo.training.session.check_residual", lambda stack: None)
        go(cell="gru", steps=3, residual=True)
    assert go(cell="gru", residual=True).history[-1]["step"] == 6


class Endless(zoo.Task):
    """Every sequence continues that of the batch before."""

    loss = metric = "squared_error"
    input_size = output_size = 1

    def draw_examples(self, rng, size, part):
        x = rng.uniform(3, size, 1)
        return zoo.Batch(x, x, np.ones((3, size)), continues=True)

    def baseline(self):
        return 1 / 12


def test_bidirectional_model_cannot_continue_a_sequence(go, tmp_path):
    settings = {"on_task": True, "task": Endless, "task_options": {}}
    go("forward", **settings)
    with pytest.raises(UsageError, match="bidirectional is True, but the sequences of this task continue"):
        go("both", **settings, bidirectional=True)
    assert not (tmp_path / "both").exists()


# ---- commands -----------------------------------------------------------------------------------------

FLAGS = ("--hidden", 4, "--batch", 2, "--seq", 8, "--split", "80,10,10", "--threads", 1, "--steps", 4)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(LEAKY_CELL, encoding="utf-8")
    return path


def test_cells_of_names_and_files_in_every_command(file, text, tmp_path):
    out, cells = tmp_path / "run", f"lstm,{file}:Mine+zoneout,gru"
    assigned = ("--set", "leak=0.5", "--set", "lstm.forget_bias=1")
    result = zoo_command(
        "train", "--data", text, "--cell", cells, *assigned, "--learned-state", *FLAGS, "--out", out
    )
    assert result.exit_code == 0
    assert "model  lstm,mine+zoneout,gru: 4 units, 3 layers, learned initial states, " in result.stderr
    assert result.stdout.endswith(f"sample with: zoo sample {out} --cell {cells}\n")
    config = Run(out).config
    assert (config.cell, config.learned_state) == (("lstm", "mine+zoneout", "gru"), True)
    assert (config.cell_options[0]["forget_bias"], config.cell_options[1]["leak"]) == (1.0, 0.5)

    resume = ("train", "--resume", "--out", out, "--steps", 6, "--quiet")
    refused = zoo_command(*resume)
    assert "the cell 'mine+zoneout', which is not registered here" in refused.stderr
    assert "--cell lstm,FILE.py:Class,gru, or its plugin" in refused.stderr
    assert zoo_command(*resume, "--cell", cells).exit_code == 0
    assert Run(out).history[-1]["step"] == 6
    for chosen in (cells, f"{file}:Mine"):
        for words in (("sample", out, "--length", 3), ("eval", out), ("report", out, "--symbols", 9)):
            result = zoo_command(*words, "--cell", chosen)
            assert (result.exit_code, "left out" in result.stderr) == (0, False), words
    assert "stores the names of its cells" in zoo_command("sample", out, "--cell", "lstm,gru").stderr


def test_run_with_cells_is_resumed_by_directory_alone(text, tmp_path):
    out = tmp_path / "run"
    begin = ("train", "--data", text, "--cell", "lstm,gru", "--set", "forget_bias=1", *FLAGS, "--quiet")
    assert zoo_command(*begin, "--layers", 2, "--out", out).exit_code == 0
    copy = shutil.copytree(out, tmp_path / "copy")
    for path, flags in ((out, ()), (copy, ("--cell", "lstm,gru"))):
        result = zoo_command("train", "--resume", "--out", path, "--steps", 6, "--quiet", *flags)
        assert (result.exit_code, result.stderr) == (0, "")
        assert Run(path).config.cell_options == ({"forget_bias": 1.0, "t_max": 2.0}, {})
    for flags, words in (
        (("--cell", "lstm,mgu,gru"), "cell: ['lstm', 'gru'] -> ['lstm', 'mgu', 'gru']"),
        (("--learned-state",), "--learned-state: False -> True"),
        (
            ("--set", "forget_bias=2"),
            "cell_options: [{'forget_bias': 1.0, 't_max': 2.0}, {}] -> [{'forget_bias': 2.0, ",
        ),
    ):
        result = zoo_command("train", "--resume", "--out", out, *flags)
        assert (result.exit_code, result.stdout) == (1, "")
        assert words in result.stderr


def test_bidirectional_flag_on_a_task_and_a_text(text, tmp_path):
    task = ("--task", "copying", "--set", "length=2", "--set", "delay=2", "--eval-batches", 1)
    sizes = ("--hidden", 4, "--batch", 2, "--threads", 1, "--steps", 2)
    result = zoo_command("train", *task, "--bidirectional", *sizes, "--out", tmp_path / "task")
    assert "model  vanilla: 4 units, 1 layer, both directions, " in result.stderr
    assert Run(tmp_path / "task").model.config.bidirectional
    assert zoo_command("eval", tmp_path / "task", "--eval-batches", 1).exit_code == 0
    assert zoo_command("report", tmp_path / "task", "--symbols", 9).exit_code == 0
    result = zoo_command("train", "--data", text, "--bidirectional", *FLAGS, "--out", tmp_path / "text")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "a layer that reads backwards sees the symbols to be predicted" in result.stderr
    assert not (tmp_path / "text").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--cell", "lstm,gruu"), "unknown cell 'gruu'"),
        (("--cell", "lstm,"), "the name of a cell is empty"),
        (("--cell", "lstm*2"), "'lstm*2' is not a layer; expected CELL, BLOCK(CELL), or a number in front"),
        (("--cell", "2*lstm,gru", "--layers", 2), "--layers is 2 and there are 3 cells"),
        (("--cell", "lstm,gru", "--layers", 3), "--layers is 3 and there are 2 cells"),
        (
            ("--cell", "lstm,gru", "--set", "cell.forget_bias=1"),
            "unknown prefix 'cell'",
        ),
    ],
)
def test_invalid_cells_are_one_sentence(text, tmp_path, flags, words):
    result = zoo_command("train", "--data", text, *flags, *FLAGS, "--out", tmp_path / "run")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert words in result.stderr
    assert not (tmp_path / "run").exists()
