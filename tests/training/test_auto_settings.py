"""``auto``: batch size, learning rate and schedule that rules and trials choose."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from run_asserts import zoo_command

import zoo
from zoo.errors import CheckpointError
from zoo.kernels import pure_python
from zoo.training.auto_settings import GRID, AutoTrial, smallest_good_rate, with_rules
from zoo.training.config import Config
from zoo.training.config_conversion import make_config

TEXT = "".join(f"{n} times {n} is {n * n}; " for n in range(30))
SMALL = {"hidden": 4, "seq": 8, "steps": 20, "threads": 1, "split": "80,20", "eval_every": 5}


@pytest.fixture(autouse=True, scope="module")
def plain():
    """Kernels as plain Python: nothing is compiled here."""
    with pure_python():
        yield


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("auto") / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    return zoo.train(text, auto=True, out=tmp_path_factory.mktemp("run") / "run", **SMALL)


def trial(lr, score, steps=100, **changes):
    known = {"loss": score, "score": score, "baseline": 3.0, **changes}
    return AutoTrial(lr, steps, **known)


def test_choice_is_stored(run):
    config = run.config
    assert (config.auto, config.batch, config.schedule) == (True, 16, "cosine")
    assert config.schedule_options == {"warmup": 0.1}
    trials = run.history[0]["trials"]
    assert [each["lr"] for each in trials][:3] == [factor * 1e-3 for factor in GRID]
    assert {each["steps"] for each in trials} == {2}, "a tenth of the run"
    assert config.lr in {each["lr"] for each in trials}


def test_choice_and_run_are_repeatable(run, text, tmp_path):
    second = zoo.train(text, auto=True, out=tmp_path / "second", **SMALL)
    assert second.config == run.config
    assert second.history[0]["trials"] == run.history[0]["trials"]
    assert (second.model.theta == run.model.theta).all()


def test_resumed_run_keeps_the_choice_and_the_bits(run, text, tmp_path):
    class Stop(Exception):
        pass

    def stop(event):
        if (event["event"], event["step"]) == ("eval", 10):
            raise Stop

    events = []
    settings = {**SMALL, "auto": True, "out": tmp_path / "stopped"}
    with pytest.raises(Stop):
        zoo.train(text, on_event=stop, **settings)
    resumed = zoo.train(text, resume=True, on_event=events.append, **settings)
    assert (events[0]["event"], events[0]["step"]) == ("resume", 5)
    assert "trials" not in events[0], "the choice is that of the run"
    assert resumed.config == run.config
    assert (resumed.model.theta == run.model.theta).all()


def test_given_settings_win(text, tmp_path):
    events = []
    given = {"lr": 0.03, "batch": 4, "schedule": "step", "schedule_options": {"period": 5}, "steps": 1}
    made = zoo.train(text, auto=True, out=tmp_path / "run", on_event=events.append, **{**SMALL, **given})
    assert {name: getattr(made.config, name) for name in given} == given
    assert events[0]["event"] == "start", "there are no trials"
    assert events[0]["trials"] == []
    option = {"optimizer_options": {"lr": 0.03}, "steps": 1}
    made = zoo.train(text, auto=True, out=tmp_path / "option", **{**SMALL, **option})
    assert (made.config.lr, made.history[0]["lr"]) == (None, 0.03)


def test_rules_replace_only_what_is_missing():
    text = Config(auto=True)
    assert with_rules(text, has_schedule=True).schedule == "constant"
    assert with_rules(dataclasses.replace(text, batch=3), has_schedule=True).batch == 3
    options = dataclasses.replace(text, schedule_options={"warmup": 7})
    assert with_rules(options, has_schedule=False).schedule_options == {"warmup": 7}
    table = make_config({"data": ("series.csv",), "target": "load"})
    assert with_rules(table, has_schedule=False).batch is None, "the default of a table"


def test_tasks_and_tables_have_trials(tmp_path):
    small = {"hidden": 4, "steps": 10, "threads": 1, "auto": True, "batch": 2}
    task = {"task": "adding", "task_options": {"length": 4}, "eval_batches": 1}
    waves = {"load": np.sin(np.arange(120) / 4)}
    parts = list(np.random.default_rng(0).normal(size=(20, 5, 1)))
    sequences = {"data": {"inputs": parts, "labels": ["a", "b"] * 10}, "kind": "sequences"}
    table = {"data": waves, "target": "load", "context": 8}
    for name, given in {"task": task, "table": table, "sequences": sequences}.items():
        made = zoo.train(out=tmp_path / name, **given, **small)
        trials = {each["lr"]: each for each in made.history[0]["trials"]}
        chosen = trials[made.config.lr]
        assert chosen["steps"] == (1 if name == "task" else 10)
        if name != "task":  # the trial is the run, and its loss the loss of the last validation
            assert chosen["loss"] == [each["loss"] for each in made.history if each["event"] == "eval"][-1]


def test_smallest_rate_with_enough_progress_is_chosen():
    rates = (0.005, 0.01, 0.02)
    losses = dict(zip(rates, (2.5, 2.29, 2.0), strict=True))  # 50, 71 and 100 % of the best progress
    assert smallest_good_rate([trial(*each) for each in losses.items()], rates) == 0.01
    assert (
        smallest_good_rate([trial(rate, loss) for rate, loss in losses.items() if rate != 0.01], rates)
        == 0.02
    )
    diverged = trial(0.02, None, baseline=None)
    assert smallest_good_rate([trial(0.005, 2.28), trial(0.01, 2.0), diverged], rates) == 0.005
    assert smallest_good_rate([diverged], rates) == 0.005


def test_losses_are_compared_where_no_baseline_is_known():
    losses = {0.005: 1.2, 0.01: 1.09, 0.02: 1.0}
    assert smallest_good_rate([trial(*each, baseline=None) for each in losses.items()], tuple(losses)) == 0.01
    assert (
        smallest_good_rate([trial(rate, -loss, baseline=None) for rate, loss in losses.items()], (0.005,))
        == 0.005
    )


def test_lowest_loss_counts_on_a_plateau():
    flat = {0.005: 2.8, 0.01: 2.75, 0.02: 2.76}  # at most 8 % of the way from 3 to 0
    assert smallest_good_rate([trial(*each) for each in flat.items()], tuple(flat)) == 0.01


def test_command_prints_and_explains(text, tmp_path):
    words = "train", "--data", text, "--hidden", 2, "--seq", 8, "--steps", 10, "--threads", 1, "--split", 100
    done = zoo_command(*words, "--auto", "--set", "floor=0.1", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "trying learning rates" in done.output
    assert "auto   lr 0.0" in done.output
    config = zoo.Run(tmp_path / "run").config
    assert config.schedule_options == {"warmup": 0.1, "floor": 0.1}
    resumed = zoo_command("train", "--resume", "--out", tmp_path / "run")
    assert resumed.exit_code == 0, "a run that has ended, with all settings"
    zoo_command(*words, "--out", tmp_path / "plain")
    changed = zoo_command("train", "--resume", "--auto", "--out", tmp_path / "plain")
    assert changed.exit_code == 1
    assert "--auto: False -> True" in changed.output


def test_settings_of_a_file_leave_the_schedule_open(text, tmp_path):
    (tmp_path / "small.toml").write_text('hidden = 2\nseq = 8\nsteps = 10\nsplit = "100"\n')
    words = "train", "--config", tmp_path / "small.toml", "--data", text, "--auto", "--threads", 1
    assert zoo_command(*words, "--out", tmp_path / "run").exit_code == 0
    assert zoo.Run(tmp_path / "run").config.schedule == "cosine"


def test_directory_with_a_run_is_an_error_before_the_trials(run, text):
    events = []
    with pytest.raises(CheckpointError, match="already holds a run"):
        zoo.train(text, auto=True, out=run.path, on_event=events.append, **SMALL)
    assert events == []
