"""Runs that survive: stopped, crashed, killed, damaged or out of disk, they go on to the same bits."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import kitchen_sink_cell as rich
import numpy as np
import pytest
from crash_tests.equality import compare_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from run_asserts import damage

import zoo
from zoo.errors import CheckpointError, UsageError, ZooError
from zoo.online.gradients import carry_shapes
from zoo.storage import Checkpoint, RunDirectory, load
from zoo.training import Run
from zoo.training.config_conversion import make_config
from zoo.training.schedules import make_schedule
from zoo.training.state import TrainingState, restore, versions_and_processor
from zoo.training.text_dataset import TextDataset

# Short, so that twenty steps go through three epochs.
TEXT = "".join(f"{n} times {n} is {n * n}; " for n in range(11))
SETTINGS = {
    "hidden": 8,
    "batch": 2,
    "seq": 8,
    "steps": 20,
    "split": "80,20",
    "lr": 0.05,
    "schedule": "plateau",
    "schedule_options": {"patience": 1},
    "clip": 0.3,
    "threads": 1,
    "log_every": 4,
    "eval_every": 5,
    "save_every": 3,
    "sample_every": 6,
    "sample_length": 5,
}


class Crash(Exception):
    """Something that nobody expected."""


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture
def go(text, tmp_path):
    """A function that begins a run, or goes on with it."""

    def train(name="run", data=text, resume=True, on_event=None, **changes):
        return zoo.train(
            data, out=tmp_path / name, resume=resume, on_event=on_event, **{**SETTINGS, **changes}
        )

    return train


@pytest.fixture
def whole(go):
    """The directory of the run that nothing happened to."""
    return go("whole").path


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def events(run, *kinds):
    return [event for event in Run(run).history if not kinds or event["event"] in kinds]


def newest(run):
    return max((run / "checkpoints").glob("*.safetensors"))


# ---- crashes ------------------------------------------------------------------------------------------


def crash_at(number):
    """Raise at that event, counted from one."""
    seen = []

    def watch(event):
        seen.append(event)
        if len(seen) == number:
            raise Crash

    return watch


def test_crash_at_any_event_changes_no_bit(go, whole, tmp_path):
    count = len(events(whole))
    assert count > 15
    for number in range(1, count + 1):
        name = f"crash-{number}"
        with pytest.raises(Crash):
            go(name, on_event=crash_at(number))
        go(name)
        compare_runs(whole, tmp_path / name)


# The learning rate is far too high, so that the first validation is the best one.
FIRST_IS_BEST = {"eval_every": 3, "lr": 5.0, "seed": 1, "steps": 12, "keep": 1}


@pytest.mark.parametrize("changes", [{}, FIRST_IS_BEST], ids=["later is best", "first is best"])
def test_crash_before_first_file_changes_no_bit(go, tmp_path, monkeypatch, changes):
    """Each rename on the way, as if the process had died just before it."""
    whole = go("whole", **changes).path
    bests = [event["best"] for event in events(whole, "eval")]
    assert (bests == [True, False, False, False]) == bool(changes)
    replace, left = os.replace, [0]

    def fail(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise Crash
        replace(*arguments)

    monkeypatch.setattr(os, "replace", fail)
    for number in itertools.count(1):
        left[0] = number
        with contextlib.suppress(Crash):
            go(f"crash-{number}", **changes)
        if left[0] > 0:
            break
        go(f"crash-{number}", **changes)
        compare_runs(whole, tmp_path / f"crash-{number}")
    assert number > 10


def test_many_crashes_change_no_bit(go, whole, tmp_path):
    crashes = 0
    while True:
        try:
            go(on_event=crash_at(9))
            break
        except Crash:
            crashes += 1
    assert crashes >= 2
    compare_runs(whole, tmp_path / "run")


@pytest.mark.parametrize("call", [1, 2, 9, 10, 17, 24, 31, 38])
def test_full_disk_raises_and_keeps_checkpoints(go, whole, tmp_path, monkeypatch, call):
    fsync, left = os.fsync, [call]

    def full(descriptor):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match="no space is left on the device") as failure:
            go()
    assert "\n" not in str(failure.value)
    for path in (tmp_path / "run" / "checkpoints").glob("*.safetensors"):
        load(path)
    assert not list((tmp_path / "run").rglob("*.zoo-tmp"))
    go()
    compare_runs(whole, tmp_path / "run")


@pytest.mark.parametrize("number", [2, 5, 9, 14])
def test_unwritable_log_stops_the_run(go, whole, tmp_path, monkeypatch, number):
    append, calls = RunDirectory.append_log, []

    def full(self, record):
        calls.append(record)
        if len(calls) == number:
            raise CheckpointError("cannot write log.jsonl: no space is left on the device.")
        append(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "append_log", full)
        with pytest.raises(CheckpointError, match="no space is left"):
            go()
    go()
    compare_runs(whole, tmp_path / "run")


LIMITED = """
import json, resource, sys
import zoo

def limit(event):
    if event["event"] == "step" and event["step"] == 8:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

try:
    zoo.train(**json.loads(sys.argv[1]), on_event=limit)
except zoo.ZooError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_file_size_limit_is_reported(go, text, tmp_path):
    arguments = {**SETTINGS, "data": str(text), "out": str(tmp_path / "run"), "resume": True, "hidden": 16}
    stopped = run_script(LIMITED, arguments)
    assert stopped.returncode == 1
    assert stopped.stderr.count("\n") == 1
    assert "step-00000009.safetensors: the file would be larger than the limit allows" in stopped.stderr
    assert newest(tmp_path / "run").name == "step-00000006.safetensors"
    go(hidden=16)
    compare_runs(go("whole", hidden=16).path, tmp_path / "run")


def run_script(script, arguments, **options):
    command = [sys.executable, "-c", script, json.dumps(arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


# ---- the end, and beyond ------------------------------------------------------------------------------


def test_resuming_an_ended_run_changes_nothing(go, whole):
    before, events = files(whole), []
    for _ in range(2):
        run = go("whole", on_event=events.append)
    assert files(whole) == before
    assert run.ended == "finished"
    assert [event["event"] for event in events] == ["resume", "end"] * 2


def test_resuming_an_ended_run_reads_its_log_once(go, whole, monkeypatch):
    reads = []
    read_log = RunDirectory.read_log
    monkeypatch.setattr(RunDirectory, "read_log", lambda self: reads.append(self) or read_log(self))
    go("whole")
    assert len(reads) == 1


def test_resumed_run_logs_one_end(go, whole, tmp_path):
    """Ended, killed before its end was written, and made longer: one end each time, the last event."""
    go(steps=10)
    log = tmp_path / "run" / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    assert '"event":"end"' in lines[-1]
    log.write_text("".join(lines[:-1]), encoding="utf-8")
    go(steps=10)
    assert [event["reason"] for event in events(tmp_path / "run", "end")] == ["finished"]
    go(steps=20)
    (end,) = events(tmp_path / "run", "end")
    assert (end, end["step"]) == (events(tmp_path / "run")[-1], 20)


def test_repeated_divergence_is_logged_once(go, tmp_path, monkeypatch):
    """It diverges in the step after a checkpoint, so that the event belongs to the step that is resumed."""
    loss_and_grad = TextDataset.loss_and_grad

    def explode(self, model, step, carried, noise):
        result = loss_and_grad(self, model, step, carried, noise)
        return result._replace(loss=float("nan")) if step == 9 else result

    monkeypatch.setattr(TextDataset, "loss_and_grad", explode)
    for _ in range(3):
        with pytest.raises(ZooError, match="training diverged: after 9 steps"):
            go()
    (diverged,) = events(tmp_path / "run", "diverged")
    assert (diverged, diverged["step"]) == (events(tmp_path / "run")[-1], 9)


def test_fewer_steps_than_done_train_no_further(go, whole):
    before = files(whole / "checkpoints")
    go("whole", steps=5)
    assert files(whole / "checkpoints") == before


@pytest.mark.parametrize("first", [5, 15])
def test_extended_run_equals_a_longer_run(go, whole, tmp_path, first):
    go(steps=first)
    go(steps=20)
    result, expected = (load(newest(run)) for run in (tmp_path / "run", whole))
    assert result.arrays.keys() == expected.arrays.keys()
    assert {"optimizer.m", "optimizer.v", "state.l0.h", "params.Why"} <= result.arrays.keys()
    for name, value in expected.arrays.items():
        np.testing.assert_array_equal(result.arrays[name], value, err_msg=name)
    for name in ("step", "best", "best_step", "stale", "clipped", "schedule"):
        assert result.meta["training"][name] == expected.meta["training"][name], name


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 2},
        {"save_every": 7},
        {"keep": 1},
        {"log_every": 1},
        {"sample_every": 0},
        {"sample_length": 50},
    ],
)
def test_allowed_changes_change_no_bit(go, whole, tmp_path, changes):
    with pytest.raises(Crash):
        go(on_event=crash_at(10))
    go(**changes)
    result, expected = (load(newest(run)).arrays for run in (tmp_path / "run", whole))
    for name, value in expected.items():
        np.testing.assert_array_equal(result[name], value, err_msg=name)
    assert Run(tmp_path / "run").config == make_config(
        {**Run(whole).config.to_json(), "data": Run(whole).config.data, **changes}
    )


def test_unset_fields_are_taken_from_the_run(go, text, tmp_path):
    unset = {"batch": None, "seq": None, "eval_every": None, "save_every": None, "split": None}
    go(steps=40, **unset)
    before = Run(tmp_path / "run").config
    after = go(steps=50, **unset).config  # by itself, 50 steps would validate every 5
    assert (before.eval_every, after.eval_every, after.save_every) == (4, 4, 4)
    assert after.steps == 50
    assert go(steps=None, **unset).config == after


def test_moved_text_can_be_resumed(go, text, tmp_path, whole):
    with pytest.raises(Crash):
        go(on_event=crash_at(10))
    moved = text.rename(tmp_path / "moved.txt")
    go(data=moved)
    assert events(tmp_path / "run", "resume")
    assert Run(tmp_path / "run").config.data == (str(moved),)
    for name, value in load(newest(whole)).arrays.items():
        np.testing.assert_array_equal(load(newest(tmp_path / "run")).arrays[name], value, err_msg=name)


# ---- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"hidden": 9}, "hidden: 8 -> 9"),
        ({"lr": 0.1, "seed": 4}, "lr: 0.05 -> 0.1; seed: 0 -> 4"),
        ({"optimizer": "sgd"}, "optimizer: 'adam' -> 'sgd'"),
        ({"optimizer_options": {"beta1": 0.8}}, "optimizer_options: {} -> {'beta1': 0.8}"),
        ({"split": "90,10"}, "split: '80,20' -> '90,10'"),
        ({"schedule_options": {"patience": 2}}, "schedule_options: {'patience': 1} -> {'patience': 2}"),
        ({"eval_every": 4}, "eval_every: 5 -> 4"),
        ({"patience": 1, "steps": 50}, "patience: 0 -> 1"),
    ],
)
def test_incompatible_change_raises(go, whole, changes, shown):
    before = files(whole)
    with pytest.raises(CheckpointError) as failure:
        go("whole", **changes)
    words = "give the settings of the run, or another `out`."
    assert str(failure.value) == f"{whole} cannot be resumed with another configuration ({shown}); {words}"
    assert files(whole) == before


def test_other_text_raises(go, whole, text):
    before = files(whole)
    text.write_bytes(TEXT.replace("times", "tames").encode())
    with pytest.raises(
        CheckpointError,
        match=r"the text has changed since \(sha256 [0-9a-f]{12} then.*name it as `init_from`",
    ):
        go("whole")
    assert files(whole) == before


def test_changed_cell_raises(go, whole, monkeypatch):
    before = files(whole)
    cell = type(zoo.get_cell("vanilla"))
    monkeypatch.setattr(cell, "source_digest", classmethod(lambda cls: "f" * 64))
    with pytest.raises(CheckpointError, match=r"the cell 'vanilla' has changed since .* ffffffffffff now"):
        go("whole")
    assert files(whole) == before


def test_other_versions_are_reported(go, whole, monkeypatch):
    known = versions_and_processor()
    others = {**known, "numpy": "9.9", "processor": "sapphirerapids, 512-bit vectors"}
    monkeypatch.setattr("zoo.training.resume.versions_and_processor", lambda: others)
    go("whole", steps=21)
    (warning,) = events(whole, "warning")
    assert warning["text"] == (
        f"Changed since the last checkpoint: numpy {known['numpy']} -> 9.9, "
        f"processor {known['processor']} -> sapphirerapids, 512-bit vectors. "
        "The run continues. Its results may differ in the last bits."
    )


def test_existing_run_is_not_overwritten(go, whole):
    before = files(whole)
    with pytest.raises(CheckpointError, match="already holds a run; set"):
        go("whole", resume=False)
    assert files(whole) == before


def test_foreign_directory_is_not_touched(go, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work", encoding="utf-8")
    for resume in (False, True):
        with pytest.raises(CheckpointError, match=r"is not empty and holds no run .*such as 'thesis.txt'"):
            go(resume=resume)
    assert files(tmp_path / "run") == {Path("thesis.txt"): b"years of work"}


def test_file_instead_of_directory_raises(go, tmp_path):
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match=r"out is '.*', a file; give a directory"):
        go()
    assert (tmp_path / "run").read_text(encoding="utf-8") == "a file"


def test_read_only_file_system_is_reported(go, tmp_path, monkeypatch):
    def refuse(self, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CheckpointError, match="run: the file system is read-only"):
        go()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="the file system is read-only"):
        zoo.train("builtin:hello", steps=1)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="root writes everywhere")
def test_read_only_run_is_reported(go, whole):
    (whole / "checkpoints").chmod(0o555)
    try:
        with pytest.raises(CheckpointError, match="permission is denied"):
            go("whole", steps=30)
    finally:
        (whole / "checkpoints").chmod(0o755)


def test_second_process_is_locked_out(go, whole, text, tmp_path):
    """While one process trains, another one is refused, in the same process or not."""
    refused = []

    def meddle(event):
        if event["event"] == "step" and event["step"] == 8:
            with pytest.raises(CheckpointError, match="is in use by another process") as failure:
                go()
            refused.append(str(failure.value))
            arguments = {**SETTINGS, "data": str(text), "out": str(tmp_path / "run"), "resume": True}
            refused.append(
                run_script("import json, sys, zoo\nzoo.train(**json.loads(sys.argv[1]))", arguments).stderr
            )

    go(on_event=meddle)
    assert len(refused) == 2
    assert "is in use by another process; wait for its end" in refused[1]
    compare_runs(whole, tmp_path / "run")


# ---- damage -------------------------------------------------------------------------------------------


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("harm", [damage, cut_in_half, empty, remove])
def test_damaged_checkpoint_falls_back_to_the_previous(go, whole, tmp_path, harm):
    with pytest.raises(Crash):
        go(on_event=crash_at(15))
    bad = newest(tmp_path / "run")
    harm(bad)
    seen = []
    go(on_event=seen.append)
    (warning,) = [event for event in seen if event["event"] == "warning"]
    assert bad.name in warning["text"]
    assert "is used instead." in warning["text"]
    assert seen[0]["event"] == "resume"
    assert seen[0]["step"] == warning["step"] < int(bad.stem.removeprefix("step-"))
    log = [event for event in events(tmp_path / "run") if event["event"] != "warning"]
    assert [event["step"] for event in log if event["event"] == "step"] == [4, 8, 12, 16, 20]
    for name, value in load(newest(whole)).arrays.items():
        np.testing.assert_array_equal(load(newest(tmp_path / "run")).arrays[name], value, err_msg=name)
    assert Run(tmp_path / "run").best_loss == Run(whole).best_loss
    np.testing.assert_array_equal(Run(tmp_path / "run").model.theta, Run(whole).model.theta)


def test_damaged_pointer_is_recovered(go, whole, tmp_path):
    with pytest.raises(Crash):
        go(on_event=crash_at(15))
    (tmp_path / "run" / "checkpoints" / "last.json").write_text("{", encoding="utf-8")
    go()
    (warning,) = events(tmp_path / "run", "warning")
    assert "last.json" in warning["text"]
    for name, value in load(newest(whole)).arrays.items():
        np.testing.assert_array_equal(load(newest(tmp_path / "run")).arrays[name], value, err_msg=name)


def test_all_checkpoints_damaged_touches_nothing(go, whole):
    for path in (whole / "checkpoints").glob("*.safetensors"):
        damage(path)
    before = files(whole)
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is valid"):
        go("whole", steps=30)
    assert files(whole) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "cannot read .*config.json"),
        (b"{}", "config.json is not a configuration of this version of zoo"),
        (b'{"data": ["x"], "hidden": "8"}', "hidden is '8'; expected an integer"),
        (None, "config.json: no such file or directory"),
    ],
)
def test_damaged_configuration_is_reported(go, whole, content, words):
    if content is None:
        (whole / "config.json").unlink()
    else:
        (whole / "config.json").write_bytes(content)
    before = files(whole / "checkpoints")
    with pytest.raises(CheckpointError, match=words):
        go("whole", steps=30)
    assert files(whole / "checkpoints") == before


def test_torn_log_line_is_removed(go, whole, tmp_path):
    with pytest.raises(Crash):
        go(on_event=crash_at(15))
    with (tmp_path / "run" / "log.jsonl").open("ab") as file:
        file.write(b'{"event": "step", "st')
    go()
    compare_runs(whole, tmp_path / "run")


# ---- buffers ------------------------------------------------------------------------------------------


class Unrepeatable(rich.Rich):
    """A cell whose buffer has new values at every draw."""

    A = zoo.Buffer("H", "H", init=lambda rng, shape: np.random.default_rng().random(shape) / 8)


def buffers_of(path):
    return {name: value for name, value in load(path).arrays.items() if name.startswith("buffers.")}


@pytest.mark.usefixtures("plain_python")
def test_resumed_run_keeps_its_buffers(go):
    first = buffers_of(newest(go(cell=Unrepeatable, layers=2, steps=5).path))
    run = go(cell=Unrepeatable, layers=2, steps=10)
    assert list(first) == ["buffers.l0.A", "buffers.l1.A"]
    assert load(newest(run.path)).meta["training"]["step"] == 10
    for name, value in buffers_of(newest(run.path)).items():
        assert value.tobytes() == first[name].tobytes()
        assert run.model.buffers[name.removeprefix("buffers.")].tobytes() == value.tobytes()


@pytest.mark.usefixtures("plain_python")
def test_crash_with_buffers_changes_no_bit(go):
    expected = load(newest(go("one", cell=rich.Rich).path)).arrays
    with pytest.raises(Crash):
        go("two", cell=rich.Rich, on_event=crash_at(9))
    result = load(newest(go("two", cell=rich.Rich).path)).arrays
    assert "buffers.l0.A" in result
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(result[name], value, err_msg=name)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("buffers.l0.A"), "found no such array, expected float32 .8, 8."),
        (lambda arrays: arrays.update({"buffers.l0.A": np.zeros((8, 8))}), "found float64 .8, 8., expected"),
        (lambda arrays: arrays.update({"buffers.l0.A": np.zeros(8, "f4")}), "found float32 .8,., expected"),
    ],
)
def test_other_buffers_in_checkpoint_raise(go, change, words):
    run = go(cell=rich.Rich, steps=5).path
    checkpoint = load(newest(run))
    change(checkpoint.arrays)
    RunDirectory(run).save(5, checkpoint, best=True)
    with pytest.raises(CheckpointError, match=f"array 'buffers.l0.A': {words}"):
        go(cell=rich.Rich, steps=10)
    with pytest.raises(CheckpointError, match=f"array 'buffers.l0.A': {words}"):
        zoo.load(run, cell=rich.Rich)


def test_checkpoint_without_buffers_has_no_buffer_arrays(whole):
    kinds = {name.partition(".")[0] for name in load(newest(whole)).arrays}
    assert kinds == {"params", "optimizer", "state"}


# ---- hostile checkpoints ------------------------------------------------------------------------------


def save_changed(run, change):
    """Put a checkpoint in place of the last, its meta changed."""
    directory, checkpoint = RunDirectory(run), load(newest(run))
    change(checkpoint.meta)
    directory.save(checkpoint.meta.pop("as", 20), checkpoint, best=False)


def drop(*path):
    def change(meta):
        for key in path[:-1]:
            meta = meta[key]
        del meta[path[-1]]

    return change


def put(value, *path):
    def change(meta):
        for key in path[:-1]:
            meta = meta[key]
        meta[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop("text"), "its checkpoint is not one of training"),
        (put("abc", "text"), "its checkpoint is not one of training"),
        (drop("model"), "its checkpoint is not one of training"),
        (put([], "model", "cell"), "its checkpoint is not one of training"),
        (put({}, "text", "sha256"), "the text has changed since"),
        (put(9, "model", "hidden_size"), "its checkpoint is of another model than its configuration"),
        (put("float64", "model", "dtype"), "its checkpoint is of another model"),
        (drop("training"), "its training state is not one zoo wrote"),
        (put([1], "training"), "its training state is not one zoo wrote"),
        (put("7", "training", "step"), "its training state is not one zoo wrote"),
        (put(-1, "training", "step"), "its training state is not one zoo wrote"),
        (put(True, "training", "stale"), "its training state is not one zoo wrote"),
        (put(2**70, "training", "clipped"), "its training state is not one zoo wrote"),
        (put("low", "training", "best"), "its training state is not one zoo wrote"),
        (put({"steps": 1}, "training", "means"), "its training state is not one zoo wrote"),
        (put({"best": None}, "training", "schedule"), "its training state is not one zoo wrote"),
    ],
)
def test_wrong_training_state_raises(go, whole, change, words):
    save_changed(whole, change)
    with pytest.raises(CheckpointError, match=words):
        go("whole", steps=30)


def test_invalid_versions_are_only_reported(go, whole):
    save_changed(whole, put(["x"], "versions"))
    go("whole", steps=25)
    assert "Changed since the last checkpoint: zoo not recorded ->" in events(whole, "warning")[0]["text"]


MODEL = zoo.LanguageModel("abc", hidden_size=3)
ADAM = zoo.get_optimizer("adam")
PLATEAU = make_schedule("plateau")


def genuine():
    """A checkpoint of training, as zoo writes it."""
    state = {"l0.h": np.zeros((2, 3), np.float32)}
    progress = TrainingState(ADAM.init(MODEL.theta), PLATEAU.init(), state, step=4, best=1.5, best_step=3)
    return progress.to_checkpoint(MODEL, make_config({}), {"text": {"sha256": "0"}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = list(genuine().meta["training"])
ARRAYS = st.builds(
    lambda shape, dtype, value: np.full(shape, value).astype(dtype),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    st.sampled_from(["f4", "f8", "i4"]),
    st.sampled_from([0, 1]),
)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), JSON | st.just(...), max_size=2),
    st.dictionaries(st.sampled_from([*genuine().arrays, "state.x", "x"]), st.none() | ARRAYS, max_size=2),
)
def test_fuzzed_training_state_loads_or_raises(training, arrays):
    result = genuine()
    said = {**result.meta["training"], **training}
    meta = {**result.meta, "training": {name: value for name, value in said.items() if value is not ...}}
    held = {name: value for name, value in {**result.arrays, **arrays}.items() if value is not None}
    try:
        progress = restore(
            Checkpoint(held, meta), MODEL, ADAM, PLATEAU, carry_shapes("bptt", MODEL.stack, 2), "x"
        )
    except CheckpointError as error:
        check_words(str(error))
        return
    assert type(progress.step) is int
    assert progress.step >= 0
    assert 0 <= PLATEAU.factor(progress.schedule, progress.step + 1) <= 1
    assert {name: slot.shape for name, slot in progress.optimizer_state.items()} == ADAM.slot_shapes(
        MODEL.theta.size
    )


def check_words(message):
    assert message.startswith("x")
    assert message.isprintable()
    assert len(message) < 600


# ---- signals ------------------------------------------------------------------------------------------

INTERRUPTED = """
import json, sys
import zoo
from zoo.training import Interrupted

try:
    zoo.train(**json.loads(sys.argv[1]), on_event=lambda event: print(event["event"], flush=True))
except Interrupted as stopped:
    print(stopped.path)
    sys.exit(128 + stopped.signal)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_finishes_the_step_and_saves(go, text, tmp_path, number, code):
    rare = {"save_every": 10**6, "eval_every": 10**6, "sample_every": 0}
    arguments = {
        **SETTINGS,
        **rare,
        "steps": 10**6,
        "data": str(text),
        "out": str(tmp_path / "run"),
        "resume": True,
    }
    command = [sys.executable, "-c", INTERRUPTED, json.dumps(arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.stdout.readline() != "step\n":
            assert process.poll() is None
        process.send_signal(number)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "")
    assert said.splitlines()[-2:] == ["end", str(tmp_path / "run")]
    end = events(tmp_path / "run")[-1]
    assert (end["event"], end["reason"], Run(tmp_path / "run").ended) == ("end", "interrupted", "interrupted")
    assert newest(tmp_path / "run").name == f"step-{end['step']:08d}.safetensors"
    steps = end["step"] + 5
    go(steps=steps, **rare)
    compare_runs(go("whole", steps=steps, **rare).path, tmp_path / "run")


# ---- the comparison of runs ---------------------------------------------------------------------------


def test_comparison_helper_detects_a_different_run(go, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy")
    compare_runs(whole, tmp_path / "copy")
    log = tmp_path / "copy" / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    steps = [k for k, line in enumerate(lines) if '"event":"step"' in line]
    for wrong in ([*lines, lines[steps[-1]]], lines[: steps[1]] + lines[steps[1] + 1 :]):
        log.write_text("".join(wrong), encoding="utf-8")
        with pytest.raises(AssertionError, match="the log differs"):
            compare_runs(whole, tmp_path / "copy")
    log.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"last.json"):
        compare_runs(whole, go("other", steps=15).path)
    damage(newest(tmp_path / "copy"))
    with pytest.raises(AssertionError, match="differs"):
        compare_runs(whole, tmp_path / "copy")


def test_errors_are_of_zoos_family():
    assert issubclass(CheckpointError, ZooError)
    assert issubclass(UsageError, ZooError)
