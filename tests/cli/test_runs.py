"""Train, sample, evaluate, stop and resume on the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from text_loss import mean_loss

import zoo
from zoo.cli.app import cli
from zoo.data import parse_split, split
from zoo.storage import RunDirectory
from zoo.training import Run

LEAKY = Path(__file__).parents[2] / "docs" / "examples" / "zoo-leaky" / "zoo_leaky.py"
PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
HELLO = ("--data", "builtin:hello", "--hidden", "64", "--threads", "1")
TEXT = "the cat sat on the mat, and the rat sat on the hat.\n" * 80  # 4,160 characters: parted in three


def run(*args: object, stdin: str | bytes | None = None) -> Result:
    runner = CliRunner(env={"ZOO_PLUGINS": ""})
    words = [str(arg) for arg in args]
    return runner.invoke(cli, words, input=stdin, prog_name="zoo", catch_exceptions=False)


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    """A run trained on hello."""
    out = tmp_path_factory.mktemp("runs") / "hello"
    result = run("train", *HELLO, "--steps", 200, "--sample-every", 100, "--sample-length", 8, "--out", out)
    assert result.exit_code == 0
    (out.parent / "progress.txt").write_text(result.stderr, encoding="utf-8")
    (out.parent / "result.txt").write_text(result.stdout, encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A short run on a file, with validation and test parts."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "story.txt").write_text(TEXT, encoding="utf-8")
    args = ("--hidden", 8, "--batch", 4, "--seq", 16, "--steps", 20, "--eval-every", 10, "--threads", 1)
    result = run("train", "--data", folder / "story.txt", *args, "--out", folder / "run", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return folder / "run"


@pytest.fixture
def copy(hello, tmp_path):
    return Path(shutil.copytree(hello, tmp_path / "copy"))


# ---- train and sample ---------------------------------------------------------------------------------


def test_greedy_sampling_of_hello(hello):
    result = run("sample", hello, "--prompt", "h", "--sampler", "greedy", "--length", 4)
    assert (result.stdout, result.stderr, result.exit_code) == ("hello\n", "", 0)


def test_train_output(hello):
    lines = (hello.parent / "progress.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"text   hello: 5 characters, 4 different, sha256 {'2cf24dba5fb0'}"
    assert lines[4] == f"out    {hello}"
    assert any(line.startswith("step 50/200  loss ") for line in lines)
    assert any(line.startswith("step 200/200  training text: loss ") for line in lines)
    assert "step 100/200  sample:" in lines
    result = (hello.parent / "result.txt").read_text(encoding="utf-8").splitlines()
    assert result[0].startswith("finished at step 200 after ")
    assert result[1:] == [f"sample with: zoo sample {hello}"]


@pytest.mark.parametrize(
    "args", [("--top-k", "1"), ("--temperature", "0.01"), ("--sampler", "top_p", "--top-p", "1e-6")]
)
def test_greedy_and_top_k_1_agree(hello, args):
    assert run("sample", hello, "--prompt", "h", "--length", "4", *args).stdout == "hello\n"


def test_same_seed_gives_same_text(hello):
    first, second, other = (
        run("sample", hello, "--length", 40, "--temperature", 3, "--seed", seed).stdout for seed in (1, 1, 2)
    )
    assert first == second != other
    assert len(first) == 41


def test_prompt_from_stdin(hello):
    result = run("sample", hello, "--prompt", "-", "--sampler", "greedy", "--length", 4, stdin="h")
    assert result.stdout == "hello\n"
    result = run("sample", hello, "--prompt", "-", stdin=b"h\xff")
    assert "the prompt on standard input is not UTF-8: byte 0xff at offset 1" in result.stderr


def test_unknown_characters(hello):
    refused = run("sample", hello, "--prompt", "hexa")
    assert "'x', 'a'" in refused.stderr
    assert refused.exit_code == 2
    skipped = run(
        "sample", hello, "--prompt", "hxa", "--on-unknown", "skip", "--sampler", "greedy", "--length", 4
    )
    assert skipped.stdout == "hello\n"


def test_sample_a_checkpoint_file(hello):
    (*_, (_, file)) = RunDirectory(hello).checkpoints()
    assert run("sample", file, "--prompt", "h", "--sampler", "greedy", "--length", 4).stdout == "hello\n"


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_path_without_a_model_is_an_error(command, tmp_path):
    empty = run(command, tmp_path)
    assert "holds no checkpoint" in empty.stderr
    (tmp_path / "text.safetensors").write_bytes(b"this is no checkpoint at all")
    foreign = run(command, tmp_path / "text.safetensors")
    assert "Error: " in foreign.stderr
    assert empty.exit_code == foreign.exit_code == 1


def test_bytes_are_printed_as_text(tmp_path):
    (tmp_path / "umlaut.txt").write_bytes("äöü".encode() * 3)
    args = ("--level", "byte", "--hidden", 16, "--steps", 300, "--lr", 0.01, "--threads", 1)
    assert run("train", "--data", tmp_path / "umlaut.txt", *args, "--out", tmp_path / "run").exit_code == 0
    result = run("sample", tmp_path / "run", "--prompt", "ä", "--sampler", "greedy", "--length", 4)
    assert result.stdout == "äöü\n"


def test_quiet_and_json(tmp_path):
    quiet = run("train", *HELLO, "--steps", 2, "--out", tmp_path / "quiet", "--quiet")
    assert (quiet.stdout, quiet.stderr, quiet.exit_code) == ("", "", 0)
    spoken = run("train", *HELLO, "--steps", 2, "--out", tmp_path / "json", "--json")
    events = [json.loads(line) for line in spoken.stdout.splitlines()]
    assert [event["event"] for event in events][:3] == ["start", "compiling", "compiled"]
    assert events == Run(tmp_path / "json").history


def test_existing_run_is_not_overwritten(copy):
    before = Run(copy).history
    result = run("train", *HELLO, "--steps", 5, "--out", copy)
    assert "already holds a run; set" in result.stderr
    assert result.exit_code == 1
    assert Run(copy).history == before


@pytest.mark.skipif(PLAIN, reason="NumPy warns of the overflow that this is about")
def test_divergence_raises(tmp_path):
    args = ("--optimizer", "sgd", "--lr", 1e39, "--clip", 0, "--steps", 50)
    result = run("train", *HELLO, *args, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "Error: training diverged: after " in result.stderr
    assert "lower --lr (now 1e+39)" in result.stderr


# ---- eval ---------------------------------------------------------------------------------------------


def test_eval_of_valid_part_adds_the_rest_to_the_log(story):
    facts = json.loads(run("eval", story, "--part", "valid", "--json").stdout)
    logged = [event for event in Run(story).history if event["event"] == "eval" and event["best"]][-1]
    assert (facts["part"], facts["symbols"]) == ("valid", facts["part_symbols"] - 1)
    model = zoo.load(story)
    tokens = split(model.vocab.encode(TEXT), parse_split(Run(story).config.split)).valid
    count = (len(tokens) - 1) // 64 * 64 + 1
    assert count < len(tokens)
    for loss, part in ((facts["loss"], tokens), (logged["loss"], tokens[:count])):
        assert loss == pytest.approx(mean_loss(model, part, batch=4, seq=16), rel=1e-6)
    assert facts["perplexity"] == pytest.approx(np.exp(facts["loss"]))
    shown = run("eval", story, "--part", "valid").stdout
    assert f"\nperplexity  {facts['perplexity']:.3f} per char\n" in shown


def test_eval_draws_noise_on_request(tmp_path):
    out = tmp_path / "run"
    run("train", *HELLO, "--layers", 2, "--dropout", 0.5, "--steps", 2, "--out", out)
    facts = {
        noise: json.loads(run("eval", out, *noise, "--json").stdout)
        for noise in ((), ("--noise", 1), ("--noise", 2))
    }
    repeated = json.loads(run("eval", out, "--noise", 1, "--json").stdout)
    assert repeated == facts["--noise", 1]
    assert len({each["loss"] for each in facts.values()}) == 3
    assert [each["noise"] for each in facts.values()] == [None, 1, 2]
    assert "noise       drawn with the seed 2\n" in run("eval", out, "--noise", 2).stdout


def test_eval_of_a_model_without_noise_rejects_noise(hello):
    assert "has neither dropout nor noise; leave out --noise." in run("eval", hello, "--noise", 1).stderr
    assert "--noise is -1; expected an integer" in run("eval", hello, "--noise", -1).stderr


def test_eval_prefers_the_test_part(story, hello):
    assert "story, test part: " in run("eval", story).stdout
    printed = run("eval", hello).stdout
    assert "hello, train part: mean loss of 4 of 5 symbols" in printed
    assert "predicted" not in printed  # which can be read as the number of correct predictions


def test_eval_on_another_text(story, tmp_path):
    (tmp_path / "other.txt").write_text("the cat ate the rat\n" * 10, encoding="utf-8")
    facts = json.loads(run("eval", story, "--data", tmp_path / "other.txt", "--json").stdout)
    assert (facts["text"], facts["part"], facts["skipped"]) == ("other", "all", 0)
    assert (facts["symbols"], facts["part_symbols"]) == (199, 200)
    (tmp_path / "strange.txt").write_text("the cät ate the räätz\n" * 10, encoding="utf-8")
    refused = run("eval", story, "--data", tmp_path / "strange.txt")
    assert "'z', 'ä'" in refused.stderr
    assert refused.exit_code == 1
    skipped = run("eval", story, "--data", tmp_path / "strange.txt", "--on-unknown", "skip")
    assert "40 unknown ones left out" in skipped.stdout


def test_eval_recognises_the_training_text(story):
    facts = json.loads(run("eval", story, "--data", story.parent / "story.txt", "--json").stdout)
    assert facts["part"] == "test"


def test_eval_of_a_changed_text_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("abab", encoding="utf-8")
    run("train", "--data", tmp_path / "a.txt", "--hidden", 4, "--steps", 1, "--out", tmp_path / "run")
    (tmp_path / "a.txt").write_text("abba", encoding="utf-8")
    result = run("eval", tmp_path / "run")
    assert "has changed since training" in result.stderr
    assert result.exit_code == 1


def test_eval_of_an_empty_part_is_an_error(hello):
    assert (
        "the valid part is too short to be predicted: 0 of 5 symbols"
        in run("eval", hello, "--part", "valid").stderr
    )


def test_eval_of_a_file_without_configuration(hello, tmp_path):
    zoo.load(hello).save(tmp_path / "bare.safetensors")
    assert "has no record of its training text" in run("eval", tmp_path / "bare.safetensors").stderr
    result = run("eval", tmp_path / "bare.safetensors", "--data", "builtin:hello")
    assert "hello, whole text: mean loss of 4 of 5 symbols" in result.stdout


# ---- resume -------------------------------------------------------------------------------------------


def test_resumed_run_equals_uninterrupted(tmp_path):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    run("train", *HELLO, "--steps", 12, "--eval-every", 4, "--out", whole)
    run("train", *HELLO, "--steps", 6, "--eval-every", 4, "--out", parted)
    result = run("train", "--resume", "--out", parted, "--steps", 12)
    assert "resumed at step 6" in result.stderr
    last = [RunDirectory(path).load_last(pytest.fail)[1].arrays for path in (whole, parted)]
    assert last[0].keys() == last[1].keys()
    for name, array in last[0].items():
        np.testing.assert_array_equal(array, last[1][name], err_msg=name)


def test_resume_of_a_finished_run_does_nothing(copy):
    assert "nothing was left to do after step 200" in run("train", "--resume", "--out", copy).stdout


def test_resume_without_a_run_starts_one(tmp_path):
    result = run("train", *HELLO, "--steps", 1, "--resume", "--out", tmp_path / "new")
    assert result.exit_code == 0
    assert result.stderr.startswith(f"Note: no run in {tmp_path / 'new'}; starting a new one.\n")
    assert Run(tmp_path / "new").history[0]["event"] == "start"


def test_resume_in_a_foreign_directory_is_an_error(tmp_path):
    (tmp_path / "compare.json").write_text("{}")
    result = run("train", *HELLO, "--steps", 1, "--resume", "--out", tmp_path)
    assert (result.exit_code, "starting a new one" in result.stderr) == (1, False)
    assert result.stderr.startswith("Error: ")


@pytest.mark.parametrize("name", ["coyp", "copy2", "elsewhere"])
def test_resume_of_a_misspelt_run_prints_a_note(copy, name):
    (copy.parent / "text.txt").write_text("No run.", encoding="utf-8")
    out = copy.parent / name
    result = run("train", *HELLO, "--steps", 1, "--resume", "--out", out, "--json")
    hint = "" if name == "elsewhere" else f" Did you mean {str(copy)!r}?"
    note = f"no run in {out}; starting a new one.{hint}"
    assert result.stderr == f"Note: {note}\n"
    first, second, *_ = map(json.loads, result.stdout.splitlines())
    assert first == {"event": "note", "text": note}
    assert second["event"] == "start"
    assert "Note: " not in run("train", *HELLO, "--steps", 1, "--resume", "--out", out, "--quiet").stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--hidden", "65"), "hidden: 64 -> 65"),
        (("--seed", "1"), "seed: 0 -> 1"),
        (("--optimizer", "sgd"), "optimizer: 'adam' -> 'sgd'"),
        (("--set", "beta1=0.5"), "optimizer_options: {} -> {'beta1': 0.5}"),
    ],
)
def test_resume_with_changed_settings_is_an_error(copy, args, words):
    before = Run(copy).history
    result = run("train", "--resume", "--out", copy, *args)
    assert "cannot be resumed with another configuration" in result.stderr
    assert words in result.stderr
    assert result.exit_code == 1
    assert Run(copy).history == before


def test_resume_with_another_text_is_an_error(copy):
    before = Run(copy).history
    result = run("train", "--resume", "--out", copy, "--data", "builtin:pydoc")
    assert "the text has changed since (sha256 2cf24dba5fb0 then, " in result.stderr
    assert "To begin with the parameters of this run, name it as --init-from." in result.stderr
    assert result.exit_code == 1
    assert Run(copy).history == before


def test_resume_accepts_harmless_changes(copy):
    result = run("train", "--resume", "--out", copy, "--steps", 204, "--keep", 1, "--log-every", 2)
    assert result.exit_code == 0
    assert "step 202/204" in result.stderr


# ---- a cell in a file ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    out = tmp_path_factory.mktemp("leaky") / "run"
    cell = f"{LEAKY}:Leaky"
    args = ("--cell", cell, "--set", "leak=0.5", "--set", "beta1=0.8")
    result = run("train", *HELLO, *args, "--steps", 150, "--out", out)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"sample with: zoo sample {out} --cell {cell}"
    return out


def test_cell_in_a_file_trains_with_options(leaky):
    config = Run(leaky).config
    assert (config.cell, config.cell_options, config.optimizer_options) == (
        "leaky",
        {"leak": 0.5},
        {"beta1": 0.8},
    )
    args = ("--prompt", "h", "--sampler", "greedy", "--length", 4)
    assert run("sample", leaky, *args, "--cell", f"{LEAKY}:Leaky").stdout == "hello\n"


@pytest.mark.parametrize("command", [("sample",), ("eval",), ("train", "--resume", "--out")])
def test_cell_in_a_file_must_be_given_on_resume(leaky, command):
    result = run(*command, leaky)
    assert "the cell 'leaky', which is not registered here" in result.stderr
    given = "--cell FILE.py:Class" if command[0] == "train" else "--cell (FILE.py:Class on the command line)"
    assert given in result.stderr
    assert result.exit_code == (2 if command[0] == "train" else 1)


def test_cell_in_a_file_resumes_when_named(leaky):
    result = run("train", "--resume", "--out", leaky, "--cell", f"{LEAKY}:Leaky")
    assert "nothing was left to do" in result.stdout


def test_other_cell_in_a_file_is_an_error(hello):
    result = run("eval", hello, "--cell", f"{LEAKY}:Leaky")
    named = "cell class Leaky (zoo_leaky.py), which is cell 'leaky'"
    assert f"made with the cell 'vanilla'; found {named}. Leave it out" in result.stderr


# ---- signals and pipes, with real processes -----------------------------------------------------------


def process(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "zoo", *map(str, args)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "ZOO_PLUGINS": ""}
    )


def wait_for(child: subprocess.Popen[str], words: str) -> None:
    assert child.stderr is not None
    for line in child.stderr:
        if words in line:
            return
    pytest.fail(f"the process ended before it said {words!r}")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_saves_and_run_resumes(number, code, tmp_path):
    out = tmp_path / "run"
    with process("train", *HELLO, "--steps", 1_000_000, "--eval-every", 500_000, "--out", out) as child:
        wait_for(child, "step 50/1000000")
        time.sleep(0.05)
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    assert child.returncode == code
    assert err.endswith(
        f"Interrupted by {number.name}; all is saved. Resume with: zoo train --resume --out {out}\n"
    )
    stopped = Run(out).history[-1]
    assert (stopped["event"], stopped["reason"]) == ("end", "interrupted")
    result = run("train", "--resume", "--out", out, "--steps", stopped["step"] + 1)
    assert f"resumed at step {stopped['step']}\n" in result.stderr
    assert f"finished at step {stopped['step'] + 1:,} " in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="pipes close otherwise there")
def test_closed_pipe_ends_sampling_silently(hello):
    with process("sample", hello, "--length", 10_000_000) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert len(child.stdout.read(100)) == 100
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait(timeout=60) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_output_on_a_terminal(hello, tmp_path):
    import pty

    master, slave = pty.openpty()
    steps = ("--steps", "40" if PLAIN else "1000", "--eval-every", "20", "--log-every", "10")
    command = [sys.executable, "-m", "zoo", "train", *HELLO, *steps, "--out", str(tmp_path / "run")]
    environ = {**os.environ, "ZOO_PLUGINS": "", "TERM": "xterm-256color", "NO_COLOR": "1", "COLUMNS": "90"}
    with subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environ) as child:
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        assert child.wait(timeout=60) == 0
    os.close(master)
    text = shown.decode()
    assert "loading kernels (the first run compiles them)" in text
    assert "━" in text
    assert f"zoo sample {tmp_path}" in text
    assert "\x1b[36m" not in text  # NO_COLOR
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")


# ---- zoo show RUN -------------------------------------------------------------------------------------


def test_show_lists_the_parameters_of_a_run(story):
    model = Run(story).model
    expected = [
        [name, f"({', '.join(map(str, value.shape))})", f"{value.size:,}", part]
        for names, part in ((["l0.Whh", "l0.Wxh", "l0.bh"], "cell"), (["Why", "by"], "readout"))
        for name, value in ((name, model.params[name]) for name in names)
    ]
    lines = run("show", story).stdout.splitlines()
    assert lines[:6] == [
        f"{story}  language model",
        "",
        "cell   vanilla",
        "data   story.txt",
        "steps  20 of 20, finished",
        f"best   validation loss {Run(story).best_loss:.4g}",
    ]
    in_notebooks = Run(story)._repr_html_()
    assert all(fact in in_notebooks for line in lines[2:6] for fact in re.split(r"\s{2,}", line))
    assert lines[6:8] == ["", f"Parameters: {model.theta.size:,}"]
    assert [re.split(r"\s{2,}", line.strip()) for line in lines[8:13]] == expected
    cell = sum(value.size for name, value in model.params.items() if name.startswith("l0"))
    parts = [line.split() for line in lines[-2:]]
    assert parts == [["cell", f"{cell:,}"], ["readout", f"{model.theta.size - cell:,}"]]
    model.save(story.parent / "saved.safetensors")
    assert run("show", story.parent / "saved.safetensors").stdout.splitlines()[1:] == lines[6:]


def embedding_rows(model) -> str:
    return run("show", model).stdout.partition("\n\nRows of the embedding\n")[2]


def test_show_lists_the_categories_of_an_embedding(tmp_path):
    words = [f"word {n:02}" for n in range(12)]
    data = {"y": np.sin(np.arange(96.0)), "word": words * 8, "day": ["tue", "mon"] * 48}
    sizes = {"hidden": 2, "embedding": 2, "steps": 1, "threads": 1}
    columns = {"target": "y", "input": "word", "known_future": "day", "context": 4, "horizon": 2}
    with zoo.kernels.pure_python():
        table = zoo.train(data=data, cell="vanilla", out=tmp_path / "table", **columns, **sizes)
    shown = ", ".join(map(repr, words[:10]))
    rows = f"  word  0 to 11   {shown} and 2 more\n  day   12 to 13  'tue', 'mon'\n"
    assert embedding_rows(table.path) == rows
    codes = {row: count for _, count, row in table.model.categories.codes}
    assert codes == {0: 12, 12: 2}, "the rows of the columns"

    labels = {"id": np.repeat(np.arange(24), 4), "word": words * 8, "label": np.repeat(["a", "b"] * 12, 4)}
    with zoo.kernels.pure_python():
        sequences = zoo.train(
            data=labels, cell="vanilla", out=tmp_path / "labels", series="id", label="label", **sizes
        )
    assert embedding_rows(sequences.path) == f"  word  0 to 11  {shown} and 2 more\n"


def test_show_lists_the_symbols_of_an_embedding(tmp_path):
    file = tmp_path / "model.safetensors"
    for vocabulary, rows in (
        ("ab\n", r"  char  0 to 2  'a', 'b', '\n'" + "\n"),
        (range(12), "  byte  0 to 11  " + ", ".join(f"0x{n:02x}" for n in range(10)) + " and 2 more\n"),
        (["one", "x" * 99], f"  symbol  0 to 1  'one', '{'x' * 27}...{'x' * 28}'\n"),
        (zoo.data.TokenVocabulary(5), ""),
    ):
        zoo.LanguageModel(vocabulary, hidden_size=2, embedding=2, threads=1).save(file)
        assert embedding_rows(file) == rows
    zoo.LanguageModel("ab", hidden_size=2, threads=1).save(file)
    assert embedding_rows(file) == ""
    zoo.SequenceModel("vanilla", 5, 2, hidden_size=2, embedding=2, threads=1).save(file)
    assert embedding_rows(file) == "", "tokens of a task have no names"


def test_show_of_something_else_is_an_error(story):
    result = run("show", story, "--source")
    assert (result.exit_code, result.stderr) == (
        2,
        f"Error: {story} is a run; --source and --graph are for components.\n",
    )
    assert "holds no checkpoint" in run("show", story.parent).stderr
    for name in ("missing/", "runs/missing", "missing.safetensors"):
        result = run("show", name)
        assert (
            result.stderr == f"Error: {Path(name)}: no such file or directory; `zoo runs` lists the runs.\n"
        )
    assert "unknown component" in run("show", "missing").stderr


def test_show_of_a_run_with_a_damaged_log_names_the_problem(several):
    assert "log.jsonl, line 2: " in run("show", several / "log").stdout
    assert "log.jsonl, line 2: " in Run(several / "log")._repr_html_()


# ---- zoo runs -----------------------------------------------------------------------------------------


@pytest.fixture
def several(hello, tmp_path):
    """A directory with a run, a run that did not end, and two that cannot be read."""
    for name in ("ended", "killed", "config", "log"):
        shutil.copytree(hello, tmp_path / "runs" / name)
    lines = (tmp_path / "runs" / "killed" / "log.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"end"' not in line]
    (tmp_path / "runs" / "killed" / "log.jsonl").write_text("".join(kept))
    (tmp_path / "runs" / "config" / "config.json").write_text("{")
    (tmp_path / "runs" / "log" / "log.jsonl").write_text('{"event": "eval", "step": 1}\nx\n')
    return tmp_path / "runs"


def test_runs_are_listed_one_a_line(several):
    result = run("runs", several)
    assert result.exit_code == 0
    rows = {Path(line.split()[0]).name: line for line in result.stdout.splitlines() if str(several) in line}
    assert re.search(r"vanilla +builtin:hello +200 of 200 +loss [\d.e-]+ +finished$", rows["ended"])
    assert rows["killed"].endswith("not finished")
    table = result.stdout.partition("\n\n")[0].splitlines()
    assert [line.split()[-1] for line in table if "config" in line or "/log" in line] == ["unreadable"] * 2
    assert "4 runs in" in result.stdout
    assert re.search(r"log\.jsonl, line 2: .* Correct or delete that line\.", result.stdout)


def test_runs_as_json_and_csv(several):
    infos = json.loads(run("runs", several, "--json").stdout)
    assert [Path(info["run"]).name for info in infos] == ["config", "ended", "killed", "log"]
    assert infos[1]["best"] == Run(several / "ended").best_loss
    lines = run("runs", several, "--csv").stdout.splitlines()
    assert lines[0] == "run,cell,data,steps,of,metric,best,loss,state,problem"
    assert len(lines) == 5
    assert run("runs", several / "ended", "--csv").stdout.count("\n") == 2  # a run itself
    assert run("runs", several / "none").exit_code == 2


@pytest.mark.parametrize("value", ['"1"', "[1]", "null", '{"a": 1}', "true"])
def test_runs_with_foreign_values_are_listed(several, value):
    log = f'{{"event": "eval", "step": {value}, "best": true, "loss": {value}, "metric": {value}}}\n'
    (several / "ended" / "log.jsonl").write_text(log)
    assert run("runs", several / "ended").exit_code == 0


# ---- --config -----------------------------------------------------------------------------------------


def test_config_of_a_run_starts_the_same_run(hello, tmp_path):
    begun = run("train", "--config", hello / "config.json", "--out", tmp_path / "again", "--quiet")
    assert (begun.exit_code, begun.stderr) == (0, "")
    assert run("train", "--config", hello, "--steps", 2, "--out", tmp_path / "b", "--quiet").exit_code == 0
    assert (Run(tmp_path / "again").model.theta == Run(hello).model.theta).all()


def test_flags_override_toml(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'data = "builtin:hello"\ncell = ["vanilla", "gru"]\nlayers = 2\nhidden = 4\nsteps = 9\n'
        "[optimizer_options]\nbeta1 = 0.5\n"
    )
    args = ("--config", file, "--steps", 2, "--set", "beta2=0.9", "--out", tmp_path / "run", "--quiet")
    assert run("train", *args).exit_code == 0
    config = Run(tmp_path / "run").config
    assert (config.cell, config.hidden, config.steps) == (("vanilla", "gru"), 4, 2)
    assert config.optimizer_options == {"beta1": 0.5, "beta2": 0.9}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hiden = 4", "run.toml: unknown setting 'hiden'. Did you mean 'hidden'?\n"),
        ("hidden = ", "cannot read"),
        ("hidden = -1", "run.toml: hidden is -1; expected an integer"),
        (f"x = {'[' * 5000}", "cannot read"),
        ("cell = 'mine.py:Mine'", "the settings name the cell 'mine.py:Mine', which is not registered here"),
    ],
)
def test_invalid_config_is_an_error(text, words, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    result = run("train", "--config", tmp_path / "run.toml", "--out", tmp_path / "run")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothere.toml", "nothere.toml: no such file or directory; give a .toml file, a run, or"),
        ("cell.py", "cell.py'; expected a .toml file, a run, or the config.json of a run."),
        ("empty", "config.json: no such file or directory; give a .toml file"),
    ],
)
def test_config_that_is_no_file_of_settings_is_an_error(name, words, tmp_path):
    (tmp_path / "cell.py").touch()
    (tmp_path / "empty").mkdir()
    result = run("train", "--config", tmp_path / name)
    assert result.exit_code == 2
    assert words in result.stderr


def test_config_is_for_new_runs(hello):
    result = run("train", "--config", hello / "config.json", "--resume", "--out", hello)
    assert result.exit_code == 2
    assert "--config is for a new run" in result.stderr


# ---- paths on the command line ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("sample", "runs/nope"),
        ("eval", "runs/nope"),
        ("export", "runs/nope", "--format", "c"),
        ("report", "runs/nope"),
        ("runs", "runs/nope"),
        ("train", "--data", "runs/nope"),
        ("check", "runs/nope.py:Cell"),
    ],
    ids=lambda args: args[0],
)
def test_missing_path_is_a_usage_error(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert "no such file or directory" in result.stderr
    assert result.exit_code == 2


def test_missing_column_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    result = run("train", "--data", "t.csv", "--target", "z")
    assert result.stderr == "Error: t.csv has no column 'z'; its columns are x (number), y (number).\n"
    assert result.exit_code == 2


def test_missing_text_of_eval_is_a_usage_error(hello):
    result = run("eval", hello, "--data", "nope.txt")
    assert "nope.txt: no such file or directory" in result.stderr
    assert result.exit_code == 2


# ---- data of a run that were moved --------------------------------------------------------------------

WAVE = "y\n" + "".join(f"{np.sin(t / 5):.3f}\n" for t in range(200))
WALKS = "id,label,y\n" + "".join(
    f"{n},{'ab'[n % 2]},{np.sin(t / (1 + n % 2) + n):.3f}\n" for n in range(40) for t in range(6)
)
MOVED = {
    "text": ("story.txt", TEXT, ()),
    "table": ("wave.csv", WAVE, ("--target", "y", "--context", 8)),
    "sequences": ("walks.csv", WALKS, ("--series", "id", "--label", "label")),
}


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Runs on a text, a table and labelled sequences, whose files were moved, and their scores before."""
    folder, scores = tmp_path_factory.mktemp("moved"), {}
    (folder / "new").mkdir()
    for kind, (name, text, flags) in MOVED.items():
        (folder / name).write_text(text, encoding="utf-8")
        args = ("--cell", "vanilla", "--hidden", 4, "--batch", 4, "--steps", 2, "--threads", 1, *flags)
        assert run("train", "--data", folder / name, *args, "--out", folder / kind, "--quiet").exit_code == 0
        scores[kind] = run("eval", folder / kind).stdout
        (folder / name).rename(folder / "new" / name)
    return folder, scores


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        *(("text", command) for command in ("eval", "train")),
        *(("table", command) for command in ("eval", "forecast", "backtest", "train")),
        *(("sequences", command) for command in ("eval", "predict", "train")),
    ],
)
def test_missing_file_of_a_run_is_named_with_the_flag_for_another(kind, command, moved):
    folder, _ = moved
    path, file = folder / kind, folder / MOVED[kind][0]
    result = run(*(("train", "--resume", "--out", path) if command == "train" else (command, path)))
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: {path}: the file of its training data, {file}, is missing: no such file or directory. "
        f"Restore it, or name the file with --data FILE.\n"
    )


@pytest.mark.parametrize("kind", MOVED)
def test_eval_of_a_moved_file_prints_the_scores_from_before(kind, moved):
    folder, scores = moved
    result = run("eval", folder / kind, "--data", folder / "new" / MOVED[kind][0])
    assert (result.exit_code, result.stdout) == (0, scores[kind])


CHANGES = {
    "rows at the end": lambda lines: [*lines, *lines[-6:]],
    "rows missing": lambda lines: lines[:-6],
    "a shorter last value": lambda lines: [*lines[:-1], lines[-1][:-1]],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("text", "eval"),
        ("table", "eval"),
        ("table", "backtest"),
        ("sequences", "eval"),
        ("sequences", "predict"),
    ],
)
def test_parts_of_changed_data_are_not_scored(kind, command, change, moved):
    """The parts of other rows would have rows of training in the test part."""
    folder, scores = moved
    path = folder / kind
    name, text, _ = MOVED[kind]
    changed = "\n".join(CHANGES[change](text.splitlines())) + "\n"
    (folder / name).write_text(changed, encoding="utf-8")
    try:
        result = run(command, path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert name in result.stderr
        assert "has changed since training (sha256 " in result.stderr
        if kind == "table":
            both = "`zoo eval RUN --data FILE` or `zoo backtest RUN --data FILE`."
            assert both in " ".join(result.stderr.split())
        (folder / name).write_text(text, encoding="utf-8")
        assert run("eval", path).stdout == scores[kind]
    finally:
        (folder / name).unlink()


def test_a_table_that_grew_is_forecast_from_its_end(moved):
    folder, _ = moved
    name, text, _ = MOVED["table"]
    (folder / name).write_text(text + text.splitlines()[-1] + "\n", encoding="utf-8")
    try:
        rows = run("forecast", folder / "table").stdout.splitlines()
    finally:
        (folder / name).unlink()
    (folder / "grown.csv").write_text(text + text.splitlines()[-1] + "\n", encoding="utf-8")
    assert rows == run("forecast", folder / "table", "--data", folder / "grown.csv").stdout.splitlines()


def test_other_sequences_need_the_file_of_training_for_their_baselines(moved, tmp_path):
    folder, _ = moved
    other = tmp_path / "other.csv"
    other.write_text(WALKS.replace("\n0,", "\n99,"))
    result = run("eval", folder / "sequences", "--data", other)
    assert result.exit_code == 2
    command = f"zoo predict {folder / 'sequences'} --data {other}"
    assert result.stderr.endswith(
        f"The baselines of other data need it: restore it, or print the predictions alone, `{command}`.\n"
    )
    assert run(*command.split()[1:]).exit_code == 0


@pytest.mark.parametrize(
    ("kind", "call"), [("table", zoo.forecast), ("table", zoo.backtest), ("sequences", zoo.predict)]
)
def test_missing_file_of_a_run_is_named_in_python(kind, call, moved):
    with pytest.raises(zoo.errors.MissingSourceError, match=r"is missing: .* name the file with `data=FILE`"):
        call(moved[0] / kind)


@pytest.mark.parametrize(
    "command", [("sample",), ("eval",), ("forecast",), ("predict",), ("export", "--format", "c")]
)
def test_comparison_is_not_a_run(command, tmp_path):
    (tmp_path / "compare.json").write_text("{}", encoding="utf-8")
    result = run(*command, tmp_path)
    assert f"{tmp_path} is a comparison; `zoo report {tmp_path}` shows it" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize(
    "command", [("train", *HELLO), ("compare", "--cells", "vanilla", "--tasks", "copying")]
)
def test_out_that_is_a_file_is_a_usage_error(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("hello", encoding="utf-8")
    result = run(*command, "--out", "mine.txt")
    assert "--out is 'mine.txt', a file; give a directory." in result.stderr
    assert result.exit_code == 2


def test_comparison_in_the_directory_of_a_run_is_an_error(copy):
    result = run("compare", "--cells", "vanilla", "--tasks", "copying", "--out", copy)
    assert f"{copy} holds a run of `zoo train`; choose an empty or new directory." in result.stderr


def test_runs_lists_comparisons(copy):
    (copy.parent / "memory").mkdir()
    (copy.parent / "memory" / "compare.json").write_text("{}", encoding="utf-8")
    output = run("runs", copy.parent).stdout
    assert f"1 comparison: {copy.parent / 'memory'}. `zoo report COMPARISON` shows one." in output


def test_longer_run_with_the_cosine_schedule_is_an_error(tmp_path):
    args = ("--schedule", "cosine", "--out", tmp_path / "run", "--quiet")
    assert run("train", *HELLO, "--steps", 3, *args).exit_code == 0
    result = run("train", "--resume", "--out", tmp_path / "run", "--steps", 5)
    assert "(--steps: 3 -> 5); the schedule 'cosine' depends on --steps; give the settings" in result.stderr
