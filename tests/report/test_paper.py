"""Files of a comparison for a paper: the paragraph on methods, the tables and the references."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli
from zoo.comparison.plan import SETTINGS
from zoo.errors import UsageError
from zoo.report import write_paper
from zoo.report.paper import methods_latex, methods_text, references


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """A comparison of an option, a modifier and two tasks, with a sweep."""
    path = tmp_path_factory.mktemp("paper") / "runs_100%"
    with zoo.kernels.pure_python():
        zoo.compare(
            {
                "vanilla": "vanilla",
                "lstm1": "lstm",
                "zoned": "gru+zoneout",
                "deep": "prenorm(vanilla+layer_norm)",
            },
            ["adding", "parity"],
            options={
                "lstm1": {"forget_bias": 1.0},
                "adding": {"length": 5},
                "parity": {"longest": 2, "tested": 3},
            },
            hidden=2,
            steps=2,
            seeds=3,
            lr_grid=(0.001, 0.01),
            batch=2,
            eval_batches=1,
            jobs=0,
            out=path,
        )
    return zoo.Comparison(path)


def test_methods_state_what_a_repetition_needs(comparison):
    text = methods_text(comparison)
    for part in (
        "lstm1 (lstm (Gers et al. 2000, Hochreiter and Schmidhuber 1997) with forget_bias=1.0 and t_max=2.0)",
        "For lstm1, we used the customary forget_bias=1.0 in place of the default of zoo.",
        "zoned (gru (Cho et al. 2014, Chung et al. 2014) with zoneout (Krueger et al. 2016)",
        "deep (vanilla (Elman 1990) with layer_norm (Ba et al. 2016)",
        " in the block prenorm (Xiong et al. 2020, Zhang and Sennrich 2019))",
        "The cells vanilla, lstm1 and zoned were used without a block",
        "the task adding (Hochreiter and Schmidhuber 1997) with length=5",
        f"We used zoo {zoo.__version__} to compare ",
        "1 layer of 2 hidden units",
        "in float32 for 2 updates with adam (Kingma and Ba 2014), batches of 2 examples, a learning rate "
        "that decays along half a cosine after a warm-up over 5% of the updates and gradients clipped to a "
        "norm of 1.",
        "from 0.001 and 0.01 by the validation loss of one run of a fifth of the updates",
        "A run solves adding with a test score (squared error) of at most 0.01.",
        "A run solves parity with a test score (accuracy) of at least 0.9.",
        "as means over 3 seeds, with 95 % Student intervals",
        "a paired bootstrap with 10,000 draws of 3 seeds, the same for all cells, with expanded percentiles "
        "(Hesterberg 2014).",
        "Learning curves are means over the seeds, with a band from the lowest to the highest seed.",
    ):
        assert part in text
    assert "further round" not in text
    assert "block_first" not in text
    assert "did not finish" not in text


def data_set(path, label, settings, cells=("vanilla",)):
    """A comparison on a table of a day and a load, or on labelled sequences of both."""
    lines = ["time,who,mood,day,load"]
    for n in range(240):
        mood = "up" if n // 6 % 2 else "down"
        time = np.datetime64("2024-01-01T00:00") + n
        lines.append(f"{time},s{n // 6},{mood},{n % 7},{np.sin(n / 3) + n % 5 / 9:.3f}")
    path.mkdir()
    (path / f"{label}.csv").write_text("\n".join(lines) + "\n")
    with zoo.kernels.pure_python():
        sizes = {"hidden": 2, "steps": 1, "seeds": 1, "lr": 0.01, "batch": 4, "jobs": 0}
        return zoo.compare(list(cells), data=path / f"{label}.csv", out=path / "runs", **sizes, **settings)


def test_a_variant_of_a_published_cell_is_based_on_its_papers(comparison, monkeypatch):
    """Here `vanilla` stands for a subclass that a plugin registers."""
    vanilla = type(zoo.get_cell("vanilla"))
    monkeypatch.setattr(vanilla, "card", type("Variant", (vanilla,), {"__doc__": "V."}).card)
    assert "to compare vanilla (based on Elman 1990), " in methods_text(comparison)
    assert r"to compare vanilla (based on~\cite{elman1990finding}), " in methods_latex(comparison)
    entries = references(comparison)
    assert "@misc{elman1990finding," in entries
    assert "unpublished" not in entries


TABLE = {"target": "load", "horizon": 2, "context": 3}
SEQUENCES = {"label": "mood", "series": "who"}


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        (
            {**TABLE, "input": "load", "split": "75,15,10"},
            "Of the rows of load_1, the first 75% were for training, the next 15% for validation and the "
            "last 10% for the test. The models read 3 rows of load and forecast 2 rows of load, as "
            "changes from the last value, with the loss interval.",
        ),
        (
            {
                **TABLE,
                "input": "load",
                "known_future": "day",
                "predict": "level",
                "loss": "huber",
                "loss_options": {"delta": 0.5},
                "missing": "forward",
            },
            "The models read 3 rows of load and day and forecast 2 rows of load, with the future values "
            "of day, as levels, with the loss huber (delta=0.5). Missing values were replaced by the "
            "value before.",
        ),
        (
            {**SEQUENCES, "input": "load"},
            "Of the sequences of load_1, 70% were for training, 15% for validation and 15% for the test, "
            "drawn at random. The models predicted mood from load by the outputs after the last step, "
            "with the loss cross_entropy.",
        ),
        (
            {**SEQUENCES, "pooling": "mean", "class_weights": "balanced", "split": "50,50"},
            "Of the sequences of load_1, 50% were for training and 50% for validation, drawn at random. "
            "The models predicted mood from day and load by the mean over all steps, with the loss "
            "cross_entropy and balanced class weights.",
        ),
    ],
)
def test_methods_describe_a_data_set(tmp_path, settings, sentences):
    results = data_set(tmp_path / "own", "load_1", settings)
    assert sentences in methods_text(results)
    shutil.rmtree(tmp_path / "own" / "runs" / "runs")
    assert "on the data set load_1. " in methods_text(results)


def test_every_citation_has_an_entry(comparison):
    cited = ",".join(re.findall(r"\\cite\{(.*?)\}", methods_latex(comparison))).split(",")
    keys = re.findall(r"^@misc\{(.*),$", references(comparison), re.MULTILINE)
    assert (
        {
            "cho2014learningv1",
            "hesterberg2014what",
            "krueger2016zoneout",
            "xiong2020layer",
            "kingma2014adam",
            "zoo2026",
        }
        <= set(cited)
        <= set(keys)
    )
    assert len(keys) == len(set(keys))


def test_latex_escapes_everything_but_citations(comparison):
    text = re.sub(r"~\\cite\{[\w,]+\}", "", methods_latex(comparison))
    assert re.sub(r"\\[&%$#_{}]", "", text).isprintable()
    assert not set("&%$#_{}~^\\") & set(re.sub(r"\\[&%$#_{}]", "", text))
    assert r"forget\_bias=1.0" in text


OTHER_VALUES = {
    "layers": 3,
    "embedding": 4,
    "bidirectional": True,
    "learned_state": True,
    "residual": True,
    "dtype": "float64",
    "precision": "bf16",
    "gradient": "rtrl",
    "base_hidden": 4,
    "batch": 7,
    "optimizer": "sgd",
    "optimizer_options": {"momentum": 0.5},
    "schedule": "constant",
    "schedule_options": {"warmup": 0.5},
    "clip": 0.25,
    "clip_value": 2.0,
    "param_groups": ["Why:frozen"],
    "constraints": ["Wh=dale"],
    "penalties": ["activity=l2"],
    "eval_batches": 3,
    "stop_when_solved": True,
}


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "recompute"])
def test_methods_state_every_setting_that_changes_results(comparison, tmp_path, name):
    """Recomputation changes no bit of a result."""
    shutil.copytree(comparison.path, tmp_path / "changed")
    file = tmp_path / "changed" / "results.json"
    stored = json.loads(file.read_text())
    stored["plan"]["settings"][name] = OTHER_VALUES[name]
    file.write_text(json.dumps(stored))
    assert methods_text(zoo.Comparison(tmp_path / "changed")) != methods_text(comparison)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"size": {"params": 100}},
            "the number of hidden units at which all parameters together are closest",
        ),
        ({"size": {"params": [400, 100]}}, "together are closest to one of the budgets 100 and 400 (within"),
        ({"size": {"hidden": [2, 4]}}, "1 layer of 2 or 4 hidden units, and a linear readout."),
        ({"length": {"seconds": 5}}, "as many updates as take 5 seconds on one thread"),
        ({"rates": [0.01]}, "The learning rate was 0.01 for all cells."),
        ({"sweep_rounds": 4}, "In up to 4 further rounds"),
        ({"sweep_steps": 7}, "one run of 7 updates"),
        ({"settings": {"constraints": ["Wh=dale:excitatory=0.8"]}}, "constraints Wh=dale:excitatory=0.8"),
        (
            {"settings": {"schedule": "constant", "schedule_options": {"warmup": 30}}},
            "a learning rate that is constant after a warm-up over 30 updates",
        ),
        ({"settings": {"schedule": "step", "schedule_options": {"period": 9}}}, "decays in steps (period=9)"),
        ({"settings": {"bidirectional": True, "layers": 2}}, "2 bidirectional layers"),
        (
            {"settings": {"residual": True, "layers": 2}},
            "2 layers of 2 hidden units, with residual connections, and a",
        ),
        ({"settings": {"clip": 0, "clip_value": 0.5}}, "values of gradients clipped to 0.5"),
        ({"settings": {"batch": None}}, "batches of 2 examples"),
        (
            {"settings": {"embedding": 8}},
            "1 layer of 2 hidden units, a trained vector of 8 numbers for each token of the input, and a",
        ),
        ({"settings": {"eval_batches": 5}}, "A validation on a task had 5 batches."),
        (
            {"reference": "vanilla"},
            "A cell is called clearly better or worse than vanilla if the 95 % Student",
        ),
        ({"settings": {"stop_when_solved": True}}, "ended at the first validation that solved its task"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_methods_follow_the_plan(comparison, tmp_path, change, sentence):
    shutil.copytree(comparison.path, tmp_path / "changed")
    file = tmp_path / "changed" / "results.json"
    stored = json.loads(file.read_text())
    stored["plan"]["settings"] |= change.get("settings", {})
    stored["plan"] |= {name: value for name, value in change.items() if name != "settings"}
    file.write_text(json.dumps(stored))
    changed = zoo.Comparison(tmp_path / "changed")
    assert sentence in methods_text(changed)
    if "constraints" in change.get("settings", {}):
        assert "song2016training" in references(changed)


def test_methods_name_the_reference_of_mean_ranks(comparison):
    """Four cells with a reference need two tasks for a verdict, and without a reference three."""
    compared = zoo.Comparison(comparison.path, "vanilla")
    sentence = (
        "A mean rank is called clearly better or worse than the mean rank of vanilla, the control "
        "(Demšar 2006), if their difference exceeds the largest difference of any cell to the control in "
        "95 % of 10,000 random permutations of the ranks on each task."
    )
    assert sentence in methods_text(compared)
    assert "demsar" in references(compared)
    assert "Demšar" not in methods_text(comparison) + references(comparison)


def test_repeated_runs_of_the_sweep_are_reported(comparison, tmp_path):
    shutil.copytree(comparison.path, tmp_path / "repeated")
    file = tmp_path / "repeated" / "results.json"
    stored = json.loads(file.read_text())
    stored["sweep"][1]["seed"] += 1
    file.write_text(json.dumps(stored))
    sentence = "The run at the chosen rate was repeated with another seed."
    assert sentence in methods_text(zoo.Comparison(tmp_path / "repeated"))
    assert sentence not in methods_text(comparison)


def test_runs_that_did_not_finish_are_reported(comparison, tmp_path):
    shutil.copytree(comparison.path, tmp_path / "failed")
    file = tmp_path / "failed" / "results.json"
    stored = json.loads(file.read_text())
    cell, task = stored["runs"][0]["cell"], stored["runs"][0]["task"]
    stored["runs"][0]["status"] = "diverged"
    file.write_text(json.dumps(stored))
    assert f"Runs that diverged: 1 of 3 of {cell} on {task}. Each counts with its best checkpoint" in (
        methods_text(zoo.Comparison(tmp_path / "failed"))
    )
    files = write_paper(tmp_path / "failed", tmp_path / "paper")
    assert all(f"Runs that diverged: 1 of 3 of {cell} on {task}." in each.read_text() for each in files[:2])


@pytest.mark.parametrize(
    ("settings", "missing", "treatment"),
    [
        (
            TABLE,
            "mask",
            "replaced by the value before and marked by an additional input, and missing targets",
        ),
        (SEQUENCES, "mask", "replaced by the mean and marked by an additional input."),
        (SEQUENCES, "forward", "replaced by the value before."),
    ],
)
@pytest.mark.parametrize("cells", [["vanilla"], ["vanilla", "cfc"], ["ctrnn", "(ctrnn,cfc)"]])
def test_methods_state_the_treatment_of_missing_values_and_times(
    tmp_path, settings, missing, treatment, cells
):
    results = data_set(tmp_path / "own", "load_1", {**settings, "missing": missing}, cells)
    text = methods_text(results)
    assert f"Missing values were {treatment}" in text
    readers = " and ".join(label for label in results.cells if label != "vanilla")
    verb = "read" if len(cells) == 2 and "vanilla" not in cells else "reads"
    sentence = f"{readers} {verb} the time between rows, in units of its median."
    assert sentence in text if readers else "the time between rows" not in text


def test_files_are_written_and_replaced_but_never_those_of_others(comparison, tmp_path):
    folder = tmp_path / "new" / "paper"
    files = write_paper(comparison.path, folder)
    assert [file.name for file in files] == ["methods.tex", "tables.tex", "references.bib"]
    first = [file.read_bytes() for file in files]
    assert all(text.startswith(b"% made by: zoo compare ") for text in first)
    assert [file.read_bytes() for file in write_paper(comparison.path, folder)] == first
    files[2].write_text("@book{own}")
    files[0].unlink()
    with pytest.raises(UsageError, match=r"references\.bib was not written by zoo"):
        write_paper(comparison.path, folder)
    assert not files[0].exists()
    assert files[2].read_text() == "@book{own}"


def test_command_prints_the_files_and_rejects_a_run(comparison, tmp_path):
    def report(path):
        words = ["report", str(path), "--out", str(tmp_path / "page.html"), "--paper", str(tmp_path / "tex")]
        return CliRunner().invoke(cli, words)

    done = report(comparison.path)
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'tex' / 'methods.tex'}\n" in done.stdout
    rejected = report(comparison.path / comparison.runs[0].path)
    assert rejected.exit_code == 2
    assert "is a run; give the directory of a comparison" in rejected.stderr
