"""Data sets in a comparison: tables and labelled sequences with their baselines."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import shutil

import numpy as np
import pytest
from comparison_records import record

import zoo
from zoo.classification import Predictor
from zoo.cli.commands.compare import command
from zoo.cli.format import data_header
from zoo.comparison import execute
from zoo.comparison.data_sets import (
    DataSetInfo,
    baseline_scores,
    data_flags,
    label_data_sets,
    score_fields,
    target_fields,
)
from zoo.comparison.plan import DATA_SETTINGS, DEFAULTS, PlanEntry
from zoo.comparison.resolve import count_parameters, count_parts
from zoo.comparison.statistics import mean_gain, summarize_targets
from zoo.comparison.student import student_quantile
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.training.config import Config
from zoo.training.session import prepare_data

SIZES = {"jobs": 0, "seeds": 2, "hidden": 4, "steps": 6, "batch": 4, "lr_grid": (0.001, 0.01)}
TABLE = {"target": "load", "horizon": 3, "context": 6, "season": 6}
LABELS = {"label": "activity", "series": "id"}


def write_table(path, seed=0, rows=240):
    steps, noise = np.arange(rows), np.random.default_rng(seed).normal(size=rows) / 4
    lines = [f"{value:.4f}" for value in np.sin(steps / 3) + noise + 2]
    path.write_text("\n".join(["load", *lines]) + "\n", encoding="utf-8")
    return path


def write_sequences(path):
    rng = np.random.default_rng(0)
    rows = [
        f"r{number},{'walk' if number % 2 else 'run'},{value:.3f},{2 * value:.3f}"
        for number in range(40)
        for value in rng.normal(size=5) + number % 2
    ]
    path.write_text("\n".join(["id,activity,x,y", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table, sequences and a task in one comparison: the sequences are added by a second call."""
    folder = tmp_path_factory.mktemp("data")
    table, sequences = write_table(folder / "load.csv"), write_sequences(folder / "walks.csv")
    with zoo.kernels.pure_python():
        options = {"copying": {"delay": 2, "length": 2}}
        given = {**SIZES, **TABLE, "options": options, "eval_batches": 1}
        zoo.compare("vanilla", "copying", data=table, out=folder / "runs", **given)
        return zoo.compare(out=folder / "runs", data=str(sequences), jobs=0, **LABELS)


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the comparison and its files."""
    folder = shutil.copytree(made.path.parent, tmp_path / "copy")
    path = folder / "runs" / "compare.json"
    path.write_text(path.read_text().replace(str(made.path.parent), str(folder)))
    return folder


def test_data_sets_and_tasks_are_compared_together(made):
    assert made.tasks == ["copying", "load", "walks"]
    assert [run.status for run in (*made.runs, *made.sweep)] == ["finished"] * 12
    metrics = {run.task: (run.metric, run.higher_is_better, run.threshold) for run in made.runs}
    assert metrics == {
        "copying": ("accuracy", True, 0.99),
        "load": ("mae", False, None),
        "walks": ("accuracy", True, None),
    }
    for run in made.runs:
        assert zoo.Run(made.path / run.path).model.layout.size == run.parameters


def test_scores_are_those_of_the_test_part(made):
    for run in made.runs_of("load") + made.runs_of("walks"):
        history = zoo.Run(made.path / run.path).history
        (scores,) = history[-1]["test"]["targets"]
        assert history[-1]["test"]["part"] == "test"
        metric = scores["metrics"]["model"][run.metric]
        assert run.score == metric["value"]
        assert run.baseline == scores["metrics"][scores["best_baseline"]][run.metric]["value"]
        gain = scores["improvement"]
        assert (run.gain, run.gain_low, run.gain_high) == (gain["value"], gain["low"], gain["high"])
        best = [event for event in history if event["event"] == "eval" and event["best"]][-1]
        assert (run.valid_score, run.loss) == (best["score"], best["loss"])


def test_all_runs_have_the_same_test_sequences(made):
    runs = [run for run in (*made.runs, *made.sweep) if run.task == "walks"]
    seeds = {zoo.Run(made.path / run.path).config.seed for run in runs}
    assert seeds == {0, 1, 1_000_000}
    assert {zoo.Run(made.path / run.path).config.split_seed for run in runs} == {0}
    tests = [
        zoo.Run(made.path / run.path).history[-1]["test"]["targets"][0]["metrics"]["logistic regression"]
        for run in runs
    ]
    assert tests.count(tests[0]) == len(runs), "baselines have the same scores on the same sequences"


def write_groups(path):
    """Sequences of six persons; persons e and f alone have the class swim."""
    rng = np.random.default_rng(0)
    rows = [
        f"{person}{number},{person},{'swim' if person in 'ef' else 'walk'},{value:.3f}"
        for person in "abcdef"
        for number in range(2)
        for value in rng.normal(size=3)
    ]
    path.write_text("\n".join(["id,person,activity,x", *rows]) + "\n", encoding="utf-8")
    return path


def test_split_seed_divides_the_sequences_of_all_runs(tmp_path):
    """A division of groups may leave no sequence of a class for training; the error names the setting."""
    data = str(write_groups(tmp_path / "walks.csv"))
    given = {**LABELS, "group": "person"}

    def has_all_classes(seed):
        try:
            prepare_data(data, {**given, "split_seed": seed})
        except DataError:
            return False
        return True

    def compared(seed):
        sizes = {**SIZES, "lr_grid": None, "lr": 0.01, "steps": 1}
        with zoo.kernels.pure_python():
            return zoo.compare("vanilla", data=data, out=tmp_path / "runs", **given, **sizes, split_seed=seed)

    seeds = {has_all_classes(seed): seed for seed in range(1, 30)}
    with pytest.raises(DataError, match="set another `split_seed`"):
        compared(seeds[False])
    done = compared(seeds[True])
    assert {zoo.Run(done.path / run.path).config.split_seed for run in done.runs} == {seeds[True]}
    assert f"--split-seed {seeds[True]}" in done.metadata["command"]


@pytest.mark.parametrize(
    "name",
    [
        entry.name
        for entry in dataclasses.fields(Config)
        if entry.metadata["only"] in ("table", "sequences", "table sequences")
        and not entry.name.endswith("options")  # by --set
    ],
)
def test_settings_of_data_are_flags_of_the_command(name):
    assert name in DATA_SETTINGS
    assert name in {param.name for param in command.params}


def test_table_has_baselines_and_clear_differences(made):
    text = made.table()
    for name in ("seasonal naive", "linear autoregression", "majority class", "logistic regression"):
        assert f"\n{name} " in text
    assert "The best baseline is " in text
    assert "learly" in text
    assert "without memory 0.125" in text  # of the task
    info = made.metadata["tasks"]["load"]
    assert info["baseline"] == min(each["value"] for each in info["baselines"].values())
    assert "load 3 steps ahead from 6: 240 rows in load.csv" in info["summary"]


def test_command_reproduces_data_sets_with_different_settings(made):
    folder = made.path.parent
    first, second = made.metadata["command"].split(" && ")
    assert f"--data {folder / 'load.csv'} --target load --horizon 3" in " ".join(
        first.replace("--context 6 --horizon 3 --season 6 --target load", "--target load --horizon 3").split()
    )
    assert second == (
        f"zoo compare --out {made.path} --data {folder / 'walks.csv'} --series id --label activity"
    )


def test_command_writes_settings_as_flags():
    options = {"target": ["load", "price"], "target_weights": {"load": 2.0, "price": 0.5}, "horizon": 3}
    flags = list(
        data_flags(PlanEntry("load.csv", {**options, "loss_options": {"low": 0.2}}, "", "load.csv", True))
    )
    assert flags == shlex.split(
        "--target load,price --target-weights load=2.0,price=0.5 --horizon 3 --set loss.low=0.2"
    )


def test_results_are_resumed_by_the_directory_alone(made):
    class Idle:
        def map(self, jobs, on_event):
            assert list(jobs) == []
            return iter(())

    resumed = zoo.compare(out=made.path, engine=Idle())
    assert resumed.runs == made.runs
    assert resumed.metadata["tasks"] == made.metadata["tasks"]


def test_a_changed_file_is_one_clear_sentence(copy):
    write_table(copy / "load.csv", seed=1)
    with pytest.raises(CheckpointError, match=r"load.csv has changed since the comparison began \(sha256 "):
        zoo.compare(out=copy / "runs", seeds=3, jobs=0)


def test_a_worker_finds_a_changed_file(copy):
    class Changing:
        """The serial executor; changes the table after the plan was made."""

        def map(self, jobs, on_event):
            write_table(copy / "load.csv", seed=1)
            for job in jobs:
                yield job, execute.run_job(job, copy / "runs", on_event)

    with zoo.kernels.pure_python():
        result = zoo.compare(out=copy / "runs", seeds=3, engine=Changing())
    (failure,) = [run for run in result.failures if run.task == "load" and run.seed == 2]
    assert "load.csv has changed since the comparison began" in failure.error
    assert not (copy / "runs" / failure.path).exists()


def test_other_settings_are_another_comparison(copy):
    with pytest.raises(CheckpointError, match=r"load.horizon: 3 -> 4"):
        zoo.compare(out=copy / "runs", data=copy / "load.csv", horizon=4, jobs=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": "load"}, "target is given without data"),
        ({"data": [1, 2], "target": "load"}, "data has the type list; expected a file, several"),
        ({"data": "FILE", "tasks": "load=copying", "target": "load"}, "'load' is a task and a data set"),
        ({"data": "FILE", "target": "load", "bidirectional": True}, "a forecast reads the past only"),
        (
            {"data": ["FILE", "FILE"], "target": "load"},
            "two data sets are called 'load'; leave out one of them, since they are one file",
        ),
        ({"data": "FILE"}, "target is missing"),
        ({"data": "FILE", "target": "load", "label": "load"}, "label is given with|applies to"),
        ({"data": "FILE", "target": "load", "seq": 3}, "seq is given with a table; it applies to texts and "),
        ({"data": "FILE", "target": "load", "tie": True}, "unknown setting 'tie'"),
        ({"data": "FILE", "kind": "text"}, "load.csv is a text; give a table"),
    ],
)
def test_invalid_arguments(tmp_path, given, message):
    table = str(write_table(tmp_path / "load.csv"))
    data = given.get("data")
    named = [table if each == "FILE" else each for each in data] if isinstance(data, list) else table
    given = {**given, **({"data": named} if data else {})}
    with pytest.raises(UsageError, match=message):
        zoo.compare("vanilla", out=tmp_path / "runs", jobs=0, **given)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        ("quantile:0.9", TABLE),
        ("huber", {**TABLE, "loss_options": {"delta": 0.5}}),
        ("load=huber:0.5,day=absolute_error", {**TABLE, "target": "load,day"}),
        ("huber:2", {"label": "load", "series": "day"}),
    ],
)
def test_every_loss_of_a_run_is_one_of_a_comparison(tmp_path, loss, settings):
    rows = [f"{np.sin(n / 3):.3f},{n // 6}" for n in range(240)]
    if "label" in settings:
        rows = [f"{n // 6 / 7:.3f},{n // 6},{np.sin(n):.3f}" for n in range(240)]
    header = "load,day,x" if "label" in settings else "load,day"
    (tmp_path / "load.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    with zoo.kernels.pure_python():
        sizes = {**SIZES, "seeds": 1, "steps": 2, "lr_grid": (0.01,)}
        given = {"data": tmp_path / "load.csv", "out": tmp_path / "runs", "loss": loss, **sizes, **settings}
        (record,) = zoo.compare("vanilla", **given).runs
    assert record.status == "finished"
    assert zoo.Run(tmp_path / "runs" / record.path).config.loss == loss


def test_labels_are_names_of_directories():
    for files, advice in (
        (["a.csv", "b/../a.csv"], "leave out one of them, since they are one file."),
        (["a.csv", "b/a.csv"], "rename a file."),
    ):
        with pytest.raises(UsageError, match=f"^compare: two data sets are called 'a'; {advice}$"):
            label_data_sets(files)
    assert label_data_sets(["a/My load (2).csv", "b/.hidden.csv"]) == {
        "My-load-2-": "a/My load (2).csv",
        "hidden": "b/.hidden.csv",
    }


def facts(*targets, **more):
    return {
        "targets": [
            {
                "target": name,
                "metrics": {
                    name: {"mase": {"value": value, "low": value - 0.1, "high": value + 0.1}}
                    for name, value in {"model": model, "naive": naive, "mean": mean}.items()
                },
                "metric": "mae",
                "best_baseline": "naive" if naive < mean else "mean",
                "improvement": {"value": gain, "low": low, "high": 1.0},
            }
            for name, (model, naive, mean, gain, low) in zip(("temp", "power"), targets, strict=False)
        ],
        **more,
    }


def test_gain_of_several_targets_follows_from_the_printed_scores():
    """Not from the gains of each target, whose best baselines differ."""
    improvement = {"value": 1 - 1.0 / 1.5, "low": 0.2, "high": 0.5}
    targets = (0.5, 1.0, 2.0, 0.5, 0.4), (1.5, 2.0, 1.4, -0.1, None)
    several = facts(*targets, overall={"improvement": improvement})
    fields = score_fields(several)
    assert fields == {
        "score": 1.0,
        "baseline": 1.5,
        "gain": pytest.approx(1 - fields["score"] / fields["baseline"]),
        "gain_low": 0.2,
        "gain_high": 0.5,
    }
    assert baseline_scores(several)["mean"]["value"] == pytest.approx(1.7)
    assert score_fields(facts(*targets)) == {**fields, "gain_low": None, "gain_high": None}, "an older log"
    assert score_fields({"targets": []}) == {}


def test_each_of_several_targets_has_a_row():
    several = facts((0.5, 1.0, 2.0, 0.5, 0.4), (1.5, 2.0, 1.4, -0.1, -0.2))
    runs = [record("plant", "gru", seed, 1.0, high=False) for seed in range(2)]
    temp, power = summarize_targets(
        (dataclasses.replace(run, **fields), target, best)
        for run in runs
        for target, best, fields in target_fields(several)
    )
    assert (temp.target, temp.mean, temp.best_baseline, temp.baseline) == ("temp", 0.5, "naive", 1.0)
    assert (temp.gain, temp.gain_low, temp.gain_high) == pytest.approx((0.5, 0.4, 1.0))
    assert (power.target, power.best_baseline, power.baseline, power.gain) == ("power", "mean", 1.4, -0.1)
    assert list(target_fields(facts((0.5, 1.0, 2.0, 0.5, 0.4)))) == []


def test_gain_over_seeds_adds_both_variances():
    one = record("load", "gru", 0, 1.0, gain=0.2, gain_low=0.1, gain_high=0.4)
    assert mean_gain([one]) == pytest.approx((0.2, 0.1, 0.4))
    two = dataclasses.replace(one, gain=0.24, gain_low=0.14, gain_high=0.44)
    spread = student_quantile(1) * 0.02
    assert mean_gain([one, two]) == pytest.approx(
        (0.22, 0.22 - math.hypot(0.1, spread), 0.22 + math.hypot(0.2, spread))
    )
    shares = [dataclasses.replace(one, higher_is_better=True, gain=gain) for gain in (-0.6, 0.6)]
    assert mean_gain(shares)[1:] == (-1.0, 1.0)
    assert mean_gain([dataclasses.replace(one, gain_low=None)]) == (0.2, None, None)
    assert mean_gain([record("load", "gru", 0, 1.0)]) == (None, None, None)


@pytest.mark.parametrize("sizes", [(3, 3), (3, None)], ids=["of all", "of one"])
def test_plan_of_an_older_version_with_an_embedding(sizes, tmp_path):
    """An embedding was a setting of each data set."""
    lines = [f"{load:.3f},{'ab'[row % 2]}" for row, load in enumerate(np.sin(np.arange(90) / 3))]
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["load,word", *lines]), encoding="utf-8")
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    given = {
        **SIZES,
        **TABLE,
        "lr_grid": (0.01,),
        "seeds": 1,
        "data": files,
        "embedding": 3,
        "out": tmp_path / "c",
    }
    before = zoo.compare("gru", **given)
    plan = json.loads((tmp_path / "c" / "compare.json").read_text())
    del plan["settings"]["embedding"]
    for entry, size in zip(plan["tasks"], sizes, strict=True):
        entry["options"] |= {} if size is None else {"embedding": size}
    (tmp_path / "c" / "compare.json").write_text(json.dumps(plan))
    if None in sizes:
        with pytest.raises(CheckpointError, match="an embedding of some data sets only; start another"):
            zoo.compare("gru", **given)
        return
    continued = zoo.compare("vanilla", **given)
    assert [run for run in continued.runs if run.cell == "gru"] == before.runs
    for run in continued.runs:
        assert run.parameters == zoo.Run(continued.path / run.path).model.layout.size


def test_parameters_of_an_embedding_of_categories_are_counted(tmp_path):
    lines = [f"{load:.3f},{'ab'[row % 2]}" for row, load in enumerate(np.sin(np.arange(90) / 3))]
    path = tmp_path / "load.csv"
    path.write_text("\n".join(["load,word", *lines]), encoding="utf-8")
    settings, cell = {**TABLE, "embedding": 3}, zoo.get_cell("gru")
    info, (config, dataset) = DataSetInfo(path, TABLE), prepare_data(path, settings)
    switches = {**DEFAULTS, "embedding": 3}
    model = dataset.make_model(cell, dataclasses.replace(config, hidden=4))
    assert count_parameters(cell, info, 4, switches) == model.layout.size
    assert count_parts(cell, info, 4, switches)["embedding"] == 6
    path.write_text("\n".join(line.split(",")[0] for line in path.read_text().split()), encoding="utf-8")
    numbers = DataSetInfo(path, TABLE)
    with pytest.raises(
        UsageError, match=r"embedding is 3, and no input of load\.csv is a column of text values"
    ):
        numbers.category_inputs(3)
    assert data_header(info.description)["reads"] == "load, word"


def test_quantiles_of_student_decrease_to_the_normal_one():
    values = [student_quantile(degrees) for degrees in range(1, 60)]
    assert values == sorted(values, reverse=True)
    assert values[8] / values[9] < 1.02
    assert student_quantile(10**6) == pytest.approx(1.96, abs=1e-3)


def test_records_of_older_versions_are_read(made, tmp_path):
    shutil.copytree(made.path, tmp_path / "old")
    for path in (tmp_path / "old").rglob("result*.json"):
        stored = json.loads(path.read_text())
        rows = [stored["record"]] if "record" in stored else [*stored["runs"], *stored["summary"]]
        for row in rows:
            for name in ("gain", "gain_low", "gain_high"):
                row.pop(name, None)
        for task in stored.get("tasks", {}).values():
            task.pop("baselines", None)
        path.write_text(json.dumps(stored))
    assert {run.gain for run in zoo.Comparison(tmp_path / "old").runs} == {None}
    assert zoo.compare(out=tmp_path / "old", jobs=0).runs[0].gain is None


def test_data_in_memory_are_saved_in_the_directory(tmp_path):
    steps = np.arange(120)
    times = np.datetime64("2024-01-01") + steps
    table = {"day": times, "load": np.sin(steps / 3), "file": np.where(steps % 3, "a", "b")}
    given = {**SIZES, "seeds": 1, "lr": 0.01, "target": ["load"], "horizon": 2, "context": 4, "season": 1}
    del given["lr_grid"]
    rng = np.random.default_rng(0)
    recordings = [rng.normal(size=(3 + number % 2, 2)) + number % 2 for number in range(30)]
    with zoo.kernels.pure_python():
        zoo.compare("vanilla", data=table, out=tmp_path / "runs", **given)
        labels = {"label": [False, True] * 15}
        result = zoo.compare(data=recordings, out=tmp_path / "runs", jobs=0, **labels)
        repeated = zoo.compare(data=table, target="load", out=tmp_path / "runs", jobs=0)
    assert repeated.runs == result.runs
    assert result.tasks == ["load", "sequences"]
    assert sorted(path.name for path in (tmp_path / "runs" / "data").iterdir()) == [
        "load.npz",
        "sequences.npz",
    ]
    load, sequences = (zoo.Run(result.path / result.runs_of(task)[0].path).config for task in result.tasks)
    assert load.data == (str(tmp_path / "runs" / "data" / "load.npz"),)
    assert (load.input, load.time) == (("file",), "day")
    assert sequences.data_kind == "sequences"
    run = zoo.Run(result.path / result.runs_of("sequences")[0].path)
    assert Predictor.load(run).spec.classes == ("False", "True")
    with pytest.raises(CheckpointError, match=r"load.npz has changed since"):
        zoo.compare(data={**table, "load": np.cos(steps / 3)}, target="load", out=tmp_path / "runs", jobs=0)
