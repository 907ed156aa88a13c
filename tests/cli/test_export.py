"""``zoo export`` on the command line."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli
from zoo.model.checkpoint import read_checkpoint
from zoo.storage import save as save_file

LONE = """
import zoo

class Lone(zoo.Cell):
    \"\"\"h' = tanh(x W + h).\"\"\"

    card = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return zoo.tanh(x @ self.W + h)
"""


def run(*args):
    runner = CliRunner(env={"ZOO_PLUGINS": ""})
    return runner.invoke(cli, ["export", *map(str, args)], prog_name="zoo", catch_exceptions=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty directory with a model in it."""
    monkeypatch.chdir(tmp_path)
    zoo.LanguageModel("helo", cell="gru", hidden_size=4).save("hello.safetensors")
    return tmp_path


def test_onnx_file_is_named_after_the_model(here):
    pytest.importorskip("onnx")
    result = run("hello.safetensors", "--format", "onnx")
    size = (here / "hello.onnx").stat().st_size
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"file     hello.onnx, {size:,} bytes",
        "opset    18: Add, Equal, GRU, Identity, MatMul, Squeeze, Unsqueeze, Where",
        "inputs   tokens, l0.h",
        "outputs  logits, l0.h.next",
    ]
    assert run("hello.safetensors", "--format", "onnx", "--step").stdout.startswith(
        "file     hello-step.onnx"
    )


def test_c_writes_two_files_and_prints_sizes(here):
    result = run("hello.safetensors", "--format", "c", "--out", "tiny.c", "--name", "Tiny_model")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "files  tiny.c, tiny.h",
        "names  Tiny_model_init, Tiny_model_step, ...",
        "bytes  weights 528, states 16, scratch 112",
    ]
    assert "void Tiny_model_step(" in (here / "tiny.h").read_text()
    assert '#include "tiny.h"' in (here / "tiny.c").read_text()


def test_js_writes_two_files_and_prints_its_names(here):
    result = run("hello.safetensors", "--format", "js")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"file   hello.js, {(here / 'hello.js').stat().st_size:,} bytes",
        "types  hello.d.ts",
        "names  Model, info, INPUTS, OUTPUTS, symbols, tokens, text, probabilities, draw, Random",
        "bytes  weights 528, states 16",
    ]
    result = run("hello.safetensors", "-o", "small.js", "--weights", "int8")
    assert (result.exit_code, result.stdout.splitlines()[3]) == (0, "bytes  weights 240, states 16")
    zoo.export.to_js(zoo.load("hello.safetensors"), "python.js")
    for ending in ("js", "d.ts"):
        text = (here / f"python.{ending}").read_text().replace("python", "hello")
        assert text == (here / f"hello.{ending}").read_text()


@pytest.mark.parametrize(
    ("file", "word"),
    [
        ("m.onnx", "opset"),
        ("m.c", "names"),
        ("m.js", "names"),
        ("m.mjs", "names"),
        ("m.html", "bytes"),
        ("m.htm", "bytes"),
    ],
)
def test_format_follows_from_file_name(file, word, here):
    if file == "m.onnx":
        pytest.importorskip("onnx")
    assert word in run("hello.safetensors", "-o", file).stdout
    assert (here / file).is_file()


def test_page_has_a_title(here):
    assert run("hello.safetensors", "-o", "m.html", "--title", "A <small> model").exit_code == 0
    assert "<h1>A &lt;small&gt; model</h1>" in (here / "m.html").read_text()


def test_link_into_a_missing_directory_raises(here):
    (here / "m.js").symlink_to("none/m.js")
    result = run("hello.safetensors", "-o", "m.js")
    message = f"Error: {here.resolve() / 'none'}: no such file or directory; create it first.\n"
    assert (result.exit_code, result.stderr) == (2, message)


@pytest.mark.parametrize("form", ["onnx", "c", "js", "html"])
def test_existing_files_are_kept(form, here):
    if form == "onnx":
        pytest.importorskip("onnx")
    (here / f"hello.{form}").write_text("mine")
    result = run("hello.safetensors", "--format", form)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"Error: export: hello.{form} is there already; choose another name, or --force.\n"
    )
    assert (here / f"hello.{form}").read_text() == "mine"
    assert run("hello.safetensors", "--format", form, "--force").exit_code == 0
    assert (here / f"hello.{form}").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (("--format", "c", "--step"), "--step is for --format onnx"),
        (("--format", "c", "--raw"), "--raw is for --format onnx"),
        (
            ("--format", "js", "--step"),
            "--step is for --format onnx: a JavaScript module has a function for one step, unless",
        ),
        (
            ("--format", "js", "--raw"),
            "--raw is for --format onnx: a JavaScript module has functions for raw rows, if the model has a",
        ),
        (("--format", "html", "--step"), "--step is for --format onnx: a web page runs its model itself.\n"),
        (("--format", "js", "--title", "x"), "--title is for --format html: other formats have no title."),
        (("--format", "js", "--example", "x"), "--example is for --format html: other formats have no rows"),
        (("-o", "m.html", "--example", "x"), "export: --example is for a model of a table; leave it out"),
        (("-o", "m.html", "--title", " "), "--title is ' '; expected a text that is not empty"),
        (("-o", "."), "Error: --out . is a directory; name a file."),
        (("-o", "m.JS"), "--out m.JS: the format is unknown; use a name that ends in"),
        (("--format", "js", "-o", "m.JS"), "the file is 'm.JS'; expected a name that ends with .js or .mjs."),
        (("--format", "onnx", "--name", "x"), "--name is for --format c: an ONNX graph has the names"),
        (("--format", "js", "--name", "x"), "--name is for --format c: JavaScript needs no prefix"),
        (("--format", "html", "--name", "x"), "--name is for --format c: a web page needs no prefix"),
        (
            ("--format", "html", "--tokens"),
            "--tokens is for --format onnx, c and js: a web page is for a lang",
        ),
        (("--format", "onnx", "--weights", "int8"), "use quantize_dynamic of onnxruntime.quantization."),
        (("--format", "c", "--weights", "int4"), "--weights is 'int4'; expected one of 'float', 'int8'."),
        (("--format", "tflite"), "--format is 'tflite'; expected one of 'onnx', 'c', 'js', 'html'."),
        (("--format", "onnx", "-o", "m.c"), "names a file of the format c, and --format is onnx."),
        ((), "choose a format: --format onnx, c, js or html, or a file, --out NAME.onnx."),
        (("--out", "m.c", "--name", "é"), "Error: export: --name is 'é'; expected ASCII letters, digits and"),
        (
            ("--out", "m.tflite"),
            "--out m.tflite: the format is unknown; use a name that ends in .onnx, .c, .js, .mjs, .html or",
        ),
    ],
)
def test_incompatible_flags_are_errors(args, complaint, here):
    result = run("hello.safetensors", *args)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_missing_run_or_package_raises(here, monkeypatch):
    result = run("none", "--format", "c")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run("hello.safetensors", "--format", "onnx")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: export: ONNX needs the package onnx; pip install 'recurrent-zoo[onnx]' brings it.\n",
    )


def test_run_of_a_table_keeps_its_columns(here):
    """C functions that read the table; the same from the command line and in Python."""
    table = {"y": np.sin(np.arange(40.0)), "x": np.cos(np.arange(40.0))}
    with zoo.kernels.pure_python():
        made = zoo.train(table, target="y", horizon=2, context=4, hidden=2, steps=1, threads=1, out="waves")
    result = run("waves", "--format", "c")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1:] == [
        "names  waves_predict_raw, waves_step_raw, waves_step, ...",
        "bytes  weights 168, states 8, scratch 16, raw 100",
    ]
    zoo.export.to_c(made, "python.c", name="waves")
    assert "WAVES_COLUMN_Y,\n    WAVES_COLUMN_X,\n" in (here / "waves.h").read_text()
    assert (here / "python.h").read_text() == (here / "waves.h").read_text()
    (here / "rows.csv").write_text("y;x\n" + "0,25;0,5\n" * 4)
    result = run("waves", "--format", "html", "--example", "rows.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1:] == ["bytes  weights 120, states 8"]
    assert r'"example": "y,x\n0.25,0.5\n' in (here / "waves.html").read_text()
    result = run("waves", "-o", "none.html", "--example", "none.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    pytest.importorskip("onnx")
    lines = run("waves", "--format", "onnx", "--raw").stdout.splitlines()
    assert lines[0].startswith("file     waves-raw.onnx")
    assert lines[2:] == ["inputs   rows", "outputs  forecast"]
    result = run("hello.safetensors", "--format", "onnx", "--raw")
    assert (result.exit_code, result.stderr) == (2, "Error: export: --raw is for models of a table.\n")


def facts_of_eval(path, *options):
    return {**json.loads(output_of("eval", path, "--json", *options)), "run": ""}


def output_of(*arguments):
    runner = CliRunner(env={"ZOO_PLUGINS": ""})
    result = runner.invoke(cli, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


TABLE = {"y": np.sin(np.arange(60.0)) + np.arange(60) % 7, "x": np.cos(np.arange(60.0))}
RUNS = {
    "text": {"data": "days.txt", "seq": 8, "batch": 2},
    "task": {"task": "adding", "batch": 4, "eval_batches": 1},
    "table": {"data": "table.csv", "target": "y", "horizon": 2, "context": 4},
    "sequences": {"data": "labels.csv", "label": "kind", "series": "id"},
}


COMMANDS = {
    "text": [("sample", "--length", "2000")],
    "task": [],
    "table": [("forecast",), ("backtest", "--csv"), ("forecast", "--data", "table.csv", "--level", "0.5")],
    "sequences": [("predict",), ("predict", "--data", "labels.csv", "--json")],
}
"""The commands that use a model of each kind of data, and flags."""


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("kind", RUNS)
def test_commands_with_int8_weights_use_the_rounded_model(kind, here):
    (here / "days.txt").write_text("monday tuesday wednesday " * 20)
    rows = [
        f"{y},{x},{n // 6},{n // 6 % 4 / 2}" for n, (y, x) in enumerate(zip(*TABLE.values(), strict=True))
    ]
    (here / "table.csv").write_text("\n".join(["y,x", *(row.rsplit(",", 2)[0] for row in rows)]))
    (here / "labels.csv").write_text("\n".join(["y,x,id,kind", *rows]))
    zoo.train(cell="gru", hidden=4, steps=2, threads=1, out="float", **RUNS[kind])
    checkpoint, rounded = read_checkpoint("float"), zoo.export.int8_weights(zoo.load("float"))
    params = {f"params.{name}": value for name, value in rounded.params.items()}
    save_file("rounded.safetensors", replace(checkpoint, arrays={**checkpoint.arrays, **params}))
    exact, expected = facts_of_eval("float"), facts_of_eval("rounded.safetensors")
    assert exact != expected
    assert facts_of_eval("float", "--weights", "int8") == {**expected, "weights": "int8"}
    for command, *flags in COMMANDS[kind]:
        exact, quantized = (
            output_of(command, "float", *flags, *added) for added in ((), ("--weights", "int8"))
        )
        assert quantized == output_of(command, "rounded.safetensors", *flags)
        assert quantized != exact


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("command", ["predict", "forecast", "backtest"])
@pytest.mark.parametrize("weights", [(), ("--weights", "int8")])
def test_a_missing_table_of_training_is_one_sentence(command, weights, here):
    kind, file = ("sequences", "labels.csv") if command == "predict" else ("table", "table.csv")
    (here / file).write_text("y,id,kind\n" + "".join(f"{n % 7},{n // 6},{n // 6 % 2}\n" for n in range(60)))
    zoo.train(cell="gru", hidden=4, steps=1, threads=1, out="float", **RUNS[kind])
    (here / file).unlink()
    result = CliRunner(env={"ZOO_PLUGINS": ""}).invoke(cli, [command, "float", *weights])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"Error: float: the file of its training data, {here / file}, is missing: "
    )


def test_unregistered_cell(here):
    (here / "lone.py").write_text(LONE)
    result = run("hello.safetensors", "--format", "c", "--cell", "lone.py:Lone")
    assert result.exit_code == 1
    assert "made with the cell 'gru'" in result.stderr
    from zoo.registry import load_cell_file

    zoo.LanguageModel("helo", cell=load_cell_file("lone.py:Lone"), hidden_size=4).save("lone.safetensors")
    assert run("lone.safetensors", "--format", "c", "--cell", "lone.py:Lone").exit_code == 0
    assert "one step of lone, 4 in, 4 out" in (here / "lone.c").read_text()
