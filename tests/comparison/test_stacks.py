"""``zoo.compare`` with stacks, which have a cell for each layer."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from cell_files import LEAKY_CELL
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.cli.app import cli
from zoo.cli.commands.compare import parse_options, split_names
from zoo.comparison import specs
from zoo.comparison.model_info import layer_options, merge_layers, override_options, resolve_model_info
from zoo.errors import UsageError
from zoo.report.paper import methods_latex, methods_text

TINY = {"hidden": 2, "steps": 2, "seeds": 1, "lr": 0.01, "batch": 2, "eval_batches": 1, "jobs": 0}
TASK = {"adding": {"length": 5}}


class Idle:
    """An executor that expects no job."""

    def map(self, jobs, on_event):
        assert list(jobs) == []
        return iter(())


class Stopped:
    """An executor that stops the comparison when it has its plan."""

    def map(self, jobs, on_event):
        raise RuntimeError


def plan_of(cells, folder, **changes):
    """The stored plan, without running a job."""
    with pytest.raises(RuntimeError):
        zoo.compare(cells, "adding", out=folder, engine=Stopped(), **changes)
    return json.loads((folder / "compare.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("stacks") / "my-cells.py"
    path.write_text(LEAKY_CELL, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(file):
    """A stack of a file and a block, a repeated cell and a cell."""
    cells = [[f"{file}:Mine", "prenorm(lstm)"], "2*vanilla", "lstm"]
    options = {**TASK, "mine-prenorm(lstm)": {"leak": 0.5}}
    with zoo.kernels.pure_python():
        return zoo.compare(cells, "adding", options=options, out=file.parent / "out", **TINY)


def test_runs_have_the_layers_of_the_stack(made):
    assert [run.status for run in made.runs] == ["finished"] * 3
    assert made.cells == ["mine-prenorm(lstm)", "2xvanilla", "lstm"]
    assert all(re.fullmatch(r"runs/adding/[A-Za-z0-9_.+()-]+/lr0.01-s0", run.path) for run in made.runs)
    configs = [zoo.Run(made.path / run.path).config for run in made.runs]
    assert [config.cell for config in configs] == [("mine", "prenorm(lstm)"), "vanilla", "lstm"]
    assert [config.layers for config in configs] == [2, 2, 2]
    assert configs[0].cell_options[0] == {"leak": 0.5}
    assert configs[0].cell_options[1]["forget_bias"] == configs[2].cell_options["forget_bias"] == 1.0
    model = zoo.Run(made.path / made.runs[1].path).model
    assert model.layout.size == made.runs[1].parameters


def test_command_repeats_the_stack(made, file):
    """The command line of the results finds all runs of its own plan done."""
    words = shlex.split(made.metadata["command"])[1:]
    assert words[2] == f"({file}:Mine,prenorm(lstm)),2*vanilla,lstm"
    assert "mine-prenorm(lstm).leak=0.5" in words
    with zoo.kernels.pure_python():
        result = CliRunner().invoke(cli, [*words, "--out", str(made.path), "--jobs", "0"])
    assert (result.exit_code, "training:" in result.stdout) == (0, False), result.output


def test_stack_is_resumed_with_its_file(made, file):
    with pytest.raises(
        zoo.UnknownNameError, match=r"has the cell '\(mine,prenorm\(lstm\)\)', labelled 'mine-pre"
    ):
        zoo.compare(out=made.path, engine=Idle())
    cells = f"({file}:Mine,prenorm(lstm))"
    resumed = zoo.compare(cells, out=made.path, engine=Idle())
    assert resumed.plan["cells"] == made.plan["cells"]
    for options in ({"leak": 0.4}, {"l0.leak": 0.4}):
        with pytest.raises(zoo.CheckpointError, match=r"mine-prenorm\(lstm\)\.l0\.leak: 0\.5 -> 0\.4"):
            zoo.compare(cells, out=made.path, options={"mine-prenorm(lstm)": options})


def test_stack_in_tables_and_in_the_paper(made):
    table = made.table("csv")
    assert "mine-prenorm(lstm),recurrence,leak=0.5 forget_bias=1.0,2," in table
    text = methods_text(made)
    assert (
        "mine-prenorm(lstm) (the layers (mine,prenorm(lstm)), from first to last, of mine with leak=0.5"
        in text
    )
    assert "and lstm (Gers et al. 2000, Hochreiter and Schmidhuber 1997) with forget_bias=1.0" in text
    assert "2xvanilla (the layers 2*vanilla, from first to last, of vanilla (Elman 1990))" in text
    assert "For mine-prenorm(lstm) and lstm, we used the customary forget_bias=1.0 in place of" in text
    assert "The cells 2xvanilla and lstm were used without a block" in text
    assert "Every model had 2 layers of 2 hidden units" in text
    assert "xiong2020layer" in methods_latex(made)
    result = CliRunner().invoke(cli, ["report", str(made.path)])
    assert (result.exit_code, (made.path / "report.html").exists()) == (0, True), result.output


@pytest.mark.parametrize(
    "cells",
    [
        "(2*gru,lstm)",
        [["gru", "gru", "lstm"]],
        [("2*gru", zoo.get_cell("lstm", forget_bias=1.0))],
        {"2xgru-lstm": ["gru", "gru", "lstm"]},
        [["gru", type(zoo.get_cell("gru")), "lstm"]],
    ],
)
def test_forms_of_a_stack(cells, tmp_path):
    plan = plan_of(cells, tmp_path / "out", params=1000)
    (cell,) = plan["cells"]
    assert (cell["label"], cell["name"]) == ("2xgru-lstm", "(2*gru,lstm)")
    assert cell["options"] == {"l2.forget_bias": 1.0, "l2.t_max": 2.0}
    assert plan["settings"]["layers"] == 3
    size = plan["settled"]["adding"]["2xgru-lstm"]["1000"]
    counts = {}
    for hidden in range(size["hidden"] - 1, size["hidden"] + 2):
        model = zoo.SequenceModel(["gru", "gru", "lstm"], 2, 1, hidden)
        counts[hidden] = model.layout.size
    assert counts[size["hidden"]] == size["parameters"]
    assert min(counts, key=lambda hidden: abs(counts[hidden] - 1000)) == size["hidden"]


def test_block_goes_around_every_layer(tmp_path):
    plan = plan_of(["(2*gru,lstm)", "lstm"], tmp_path / "out", block=["bare", "prenorm"], hidden=4)
    assert {cell["label"]: cell["name"] for cell in plan["cells"]} == {
        "2xgru-lstm": "(2*gru,lstm)",
        "prenorm(2xgru-lstm)": "(2*prenorm(gru),prenorm(lstm))",
        "lstm": "lstm",
        "prenorm(lstm)": "prenorm(lstm)",
    }


@pytest.mark.parametrize(
    ("cells", "changes", "words"),
    [
        ("(gru,lstm)", {"layers": 3}, "layers is 3 and the stack 'gru-lstm' has 2 cells; all cells"),
        (
            ["2*gru", "3*gru"],
            {},
            "the stack '2xgru' has 2 cells and the stack '3xgru' has 3 cells; all",
        ),
        ("2*lstm,gru", {}, "'2*lstm,gru' has several cells; write (2*lstm,gru) for a stack of layers, or"),
        (["lstm,gru"], {}, "'lstm,gru' has several cells; write (lstm,gru) for a stack of layers, or give"),
        ("my=lstm,gru", {}, "'lstm,gru' has several cells"),
        ([["lstm,gru", "lstm"]], {}, "'lstm,gru' has several cells"),
        ("((lstm,gru)", {}, "'((lstm,gru)' is not a cell or a stack; expected CELL, BLOCK(CELL), or for a"),
        ("prenorm(2*lstm)", {}, "'prenorm(2*lstm)' is not a cell or a stack"),
        ("2 * lstm", {}, "'2 * lstm' is not a cell or a stack"),
        ("(gru,lstmm)", {}, "unknown cell 'lstmm'"),
        ("(gru,)", {}, "the name of a cell is empty"),
        ([["gru", 3]], {}, "3 is not a cell"),
        ([[]], {}, "[] is not a cell"),
        ([["gru", ["lstm"]]], {}, "['lstm'] is not a layer of a stack; give a cell"),
        (
            "(gru,lstm)",
            {"options": {"gru-lstm": {"forget": 1}}},
            "has no option 'forget'; it has forget_bias,",
        ),
        (["(gru,lstm)", "gru-lstm=gru"], {}, "two cells are called 'gru-lstm'; give one of them a label"),
        ([["gru", "lstm"] * 20 + ["gru"]], {}, "of a cell is longer than 128 characters; give a shorter one"),
        ("(gru,prenorm(lstm))", {"residual": True}, "residual is given with the cell 'gru-prenorm(lstm)'"),
    ],
)
def test_invalid_stacks(cells, changes, words, tmp_path):
    with pytest.raises((UsageError, zoo.UnknownNameError)) as caught:
        zoo.compare(cells, "adding", out=tmp_path / "out", **changes)
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_new_stack_has_the_layers_of_the_comparison(tmp_path):
    plan_of("gru", tmp_path, hidden=2)
    with pytest.raises(UsageError, match="the comparison has 1 layer and the stack '2xgru' has 2 cells"):
        zoo.compare("2*gru", out=tmp_path, engine=Idle())


def test_layers_by_name_have_customary_values_and_cells_keep_their_own(tmp_path):
    (cell,) = plan_of([("lstm", zoo.get_cell("lstm"))], tmp_path, hidden=2)["cells"]
    assert (cell["options"]["l0.forget_bias"], cell["options"]["l1.forget_bias"]) == (1.0, 0.0)


def test_options_of_a_stack_on_the_command_line():
    cells = split_names("(gru,lstm), my=2*lstm,gru,,")
    assert cells == ["(gru,lstm)", "my=2*lstm", "gru"]
    assignments = ["gru-lstm.forget_bias=2", "my.l1.forget_bias=0", "my.forget_bias=3"]
    options, _ = parse_options(cells, ["adding"], {}, assignments)
    assert options == {"gru-lstm": {"forget_bias": 2.0}, "my": {"forget_bias": 3.0, "l1.forget_bias": 0.0}}
    cell = resolve_model_info("2*lstm", options["my"])
    assert (cell.options["l0.forget_bias"], cell.options["l1.forget_bias"]) == (3.0, 0.0)
    with pytest.raises(UsageError, match=r"unknown option 'leak': stack 'my' has forget_bias"):
        parse_options(cells, ["adding"], {}, ["my.leak=2"])


VALUES = st.dictionaries(
    st.tuples(st.integers(0, 3), st.sampled_from("ab")).map(lambda pair: f"l{pair[0]}.{pair[1]}"),
    st.integers(0, 1),
)


@settings(max_examples=30)
@given(VALUES)
def test_merged_options_mean_the_same(options):
    """The options of a command are those of the layers."""
    merged = merge_layers(options, options)
    expanded = {name: merged.get(name, merged.get(name.partition(".")[2])) for name in options}
    assert expanded == options
    of_layers = layer_options(options, 4)
    assert {
        f"l{n}.{name}": value for n, each in enumerate(of_layers) for name, value in each.items()
    } == options


def test_changes_for_all_layers_replace_those_of_each():
    stored = {"l0.a": 1, "l1.a": 2, "l1.b": 3}
    assert override_options(stored, {"a": 4}) == {"l1.b": 3, "a": 4}
    assert override_options(stored, {"l1.a": 4}) == {"l0.a": 1, "l1.a": 4, "l1.b": 3}
    assert override_options({"a": 1}, {"a": 2}) == {"a": 2}


def test_workers_import_every_layer():
    """A cell that is registered by this program alone is named, also within a stack."""
    entry, cell = specs.find_cell("2*(gru,prenorm(lstm))", {})
    assert (entry.name, entry.spec) == ("2*(gru,prenorm(lstm))", "2*(gru,prenorm(lstm))")
    assert (len(cell.cells), cell.is_in_block, cell.scope) == (4, True, "recurrence")
    assert specs.layers_of(entry.spec) == ["gru", "prenorm(lstm)"] * 2
