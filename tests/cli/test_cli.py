"""The command line as a whole: help, imports, errors, and the commands that need no trained model."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import zoo
from zoo.cli.app import COMMANDS, SECTIONS, cli
from zoo.cli.component_lookup import repeated_flags
from zoo.cli.errors import name_flags, report_errors
from zoo.errors import UsageError, ZooWarning
from zoo.registry.hookspecs import KINDS, plural
from zoo.testing import Outcome, Report

LEAKY = Path(__file__).parents[2] / "docs" / "examples" / "zoo-leaky" / "zoo_leaky.py"

PROBABILITY = "a finite number at least 1e-06 and at most 1"
TEMPERATURE = "expected a finite number at least 1e-06, or --sampler greedy for the most probable symbol."


def run(*args: str, **env: str) -> Result:
    return CliRunner(env={"ZOO_PLUGINS": "", **env}).invoke(
        cli, args, prog_name="zoo", catch_exceptions=False
    )


def process(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zoo", *args]
    surroundings = {**os.environ, "ZOO_PLUGINS": "", **env}
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=120)


# ---- help ---------------------------------------------------------------------------------------------


def test_help_lists_every_command():
    result = run("--help")
    assert result.exit_code == 0
    assert all(
        f"  {name} " in result.output and summary in result.output for name, summary in COMMANDS.items()
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name):
    result = run(name, "-h")
    assert (result.exit_code, result.output.startswith(f"Usage: zoo {name}")) == (0, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_no_markup_or_unknown_flags(name):
    with click.Context(cli) as ctx:
        command = cli.get_command(ctx, name)
    flags = {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)} | {"--help"}
    text = run(name, "--help").output
    assert "\\b" not in text
    assert "\b" not in text
    of_others = re.compile(r"`zoo [^`]*`")
    named = re.findall(r"--[a-z][a-z-]*", of_others.sub("", " ".join(text.split())))
    assert set(named) <= flags


@pytest.mark.parametrize("name", COMMANDS)
def test_command_table_matches_command_help(name):
    with click.Context(cli) as ctx:
        command = cli.get_command(ctx, name)
    assert command is not None
    assert " ".join((command.help or "").partition("\n\n")[0].split()) == COMMANDS[name]


def test_version():
    assert run("--version").output == run("-V").output == f"zoo {zoo.__version__}\n"


def test_help_groups_commands():
    headings = re.findall(r"^(\S.*):$", run("--help").output, re.MULTILINE)
    assert headings == ["Options", *SECTIONS]


def test_short_options_mean_the_same_everywhere():
    long_names: dict[str, set[str]] = {}
    for name in COMMANDS:
        with click.Context(cli) as ctx:
            for param in cli.get_command(ctx, name).params:
                shorts = [each for each in param.opts if re.fullmatch(r"-\w", each)]
                for short in shorts:
                    long_names.setdefault(short, set()).add(param.opts[-1].removesuffix("s"))
    assert {short: len(names) for short, names in long_names.items()} == dict.fromkeys(long_names, 1)
    assert set(long_names) >= set(dict.fromkeys(["-c", "-d", "-t", "-o", "-n", "-s", "-q"]))


# ---- completion ---------------------------------------------------------------------------------------


def complete(*words: str, shell: str = "zsh", **env: str) -> list[str]:
    """The completions of the last word of a command line, as a shell gets them: ``kind,value``."""
    env = {"_ZOO_COMPLETE": f"{shell}_complete", "COMP_LINE": shlex.join(words), "ZOO_PLUGINS": "", **env}
    if not words[-1]:
        env["COMP_LINE"] = f"{shlex.join(words[:-1])} "
    output = CliRunner(env=env).invoke(cli, [], prog_name="zoo").output
    return [",".join(line.split("\t")[:2]) for line in output.splitlines()]


# Names that begin no other name of their kind.
ONE_OF_EACH_KIND = {
    kind: next(name for name in names if sum(other.startswith(name) for other in names) == 1)
    for kind in KINDS
    for names in [getattr(zoo, f"list_{plural(kind)}")()]
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("zoo", "comp"), ["plain,compare", "plain,completion"]),
        (("zoo", "train", "--opt"), ["plain,--optimizer"]),
        (("zoo", "train", "--cell", "vanil"), ["plain,vanilla"]),
        (("zoo", "train", "-c", "lstm,vanil"), ["plain,lstm,vanilla"]),
        (("zoo", "train", "-c", "lstm+zone"), ["plain,lstm+zoneout"]),
        (("zoo", "train", "-c", "2*vanil"), ["plain,2*vanilla"]),
        (("zoo", "compare", "--cells", "a=vanil"), ["plain,a=vanilla"]),
        (("zoo", "train", "-t", "addi"), ["plain,adding"]),
        (("zoo", "train", "--optimizer", "adamw"), ["plain,adamw"]),
        (("zoo", "train", "--loss", "squared"), ["plain,squared_error"]),
        (("zoo", "train", "--tracker", "tensor"), ["plain,tensorboard"]),
        (("zoo", "train", "--schedule", "cos"), ["plain,cosine"]),
        (("zoo", "train", "--level", ""), ["plain,char", "plain,byte", "plain,word", "plain,token"]),
        (("zoo", "train", "--cell", "my_cell.p"), ["file,my_cell.p"]),
        (("zoo", "sample", "--sampler", "gree"), ["plain,greedy"]),
        (("zoo", "sample", "runs/old"), ["plain,runs/old-1"]),
        (("zoo", "eval", "ol"), ["file,ol"]),
        (("zoo", "eval", ""), ["plain,runs/new-1", "plain,runs/old-1"]),
        (("zoo", "show", "vanil"), ["plain,vanilla"]),
        (("zoo", "cite", "lstm", "adamw"), ["plain,adamw"]),
        (("zoo", "cache", "c"), ["plain,clear"]),
        (("zoo", "train", "--data", "builtin:h"), ["plain,builtin:hello"]),
        (("zoo", "train", "--data", ""), ["file,"]),
        (("zoo", "train", "--cell", "mine.py:"), ["plain,mine.py:First", "plain,mine.py:Second"]),
        (("zoo", "train", "--cell", "broken.py:"), ["file,broken.py:"]),
        (("zoo", "train", "--task", "copying", "--set", "de"), ["plain,delay="]),
        (("zoo", "train", "--task", "mine.py:S"), ["plain,mine.py:Second"]),
        (("zoo", "train", "-c", "lstm,mine.py:S"), ["plain,lstm,mine.py:Second"]),
        (("zoo", "train", "--cell=vanil"), ["plain,--cell=vanilla"]),
        (("zoo", "train", "--cell", "nothing", "--set", "de"), [""]),
        (("zoo", "train", "--set", "beta"), ["plain,beta1=", "plain,beta2="]),
        (("zoo", "train", "--set", "optimizer.beta1"), ["plain,optimizer.beta1="]),
        (("zoo", "train", "--schedule", "cosine", "--set", "war"), ["plain,warmup="]),
        (("zoo", "train", "-c", "lstm+zoneout", "--set", "zoneout_p_"), ["plain,zoneout_p_memory="]),
        (("zoo", "compare", "--cells", "a=lstm", "--set", "a."), ["plain,a.forget_bias=", "plain,a.t_max="]),
        (
            ("zoo", "compare", "--cells", "(gru,2*lstm)", "--set", "gru-"),
            ["plain,gru-2xlstm.forget_bias=", "plain,gru-2xlstm.t_max="],
        ),
        (("zoo", "compare", "--tasks", "copying", "--set", "copying.d"), ["plain,copying.delay="]),
        (("zoo", "sample", "runs/old-1", "--sampler", "top_k", "--set", ""), ["plain,k="]),
        (("zoo", "eval", "tasks/adding-1", "--set", ""), ["plain,length="]),
        (("zoo", "show", "lstm", "--set", ""), ["plain,forget_bias=", "plain,t_max="]),
        *(
            (("zoo", "show", f"{kind}:{name}"), [f"plain,{kind}:{name}"])
            for kind, name in ONE_OF_EACH_KIND.items()
        ),
        (("zoo", "show", "hub"), ["plain,huber"]),
        (("zoo", "sample", ""), ["plain,runs/new-1", "plain,runs/old-1"]),
        (("zoo", "report", "runs/c"), ["plain,runs/compared"]),
        (("zoo", "eval", "runs/c"), ["file,runs/c"]),
        (("zoo", "eval", "tasks/"), ["plain,tasks/adding-1"]),
        (("zoo", "sample", "tasks/"), ["file,tasks/"]),
    ],
)
def test_completion(words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("old-1", "new-1"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text("{}")
    (tmp_path / "runs" / "not-a-run").mkdir()
    (tmp_path / "runs" / "compared").mkdir()
    (tmp_path / "runs" / "compared" / "compare.json").write_text("{}")
    (tmp_path / "tasks" / "adding-1").mkdir(parents=True)
    (tmp_path / "tasks" / "adding-1" / "config.json").write_text('{"task": "adding"}')
    (tmp_path / "mine.py").write_text("raise SystemExit\nclass First: pass\nclass Second: pass\n")
    (tmp_path / "broken.py").write_text("class First(:\n")
    assert complete(*words) == expected


@pytest.mark.parametrize(
    ("word", "value"),
    [("mine.py:S", "Second"), ("lstm,mine.py:S", "Second"), ("cell:vanil", "vanilla"), ("vanil", "vanilla")],
)
def test_bash_gets_what_follows_a_colon(word, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("class Second: pass\n")
    assert complete("zoo", "check", word, shell="bash", COMP_WORDBREAKS=" :=") == [f"plain,{value}"]
    assert complete("zoo", "check", word, shell="bash", COMP_WORDBREAKS=" ")[0].endswith(value)


def test_bash_gets_what_follows_an_equals_sign():
    assert complete("zoo", "train", "--cell=vanil", shell="bash", COMP_WORDBREAKS=":=") == ["plain,vanilla"]


# The word that each shell inserts. zsh has no command line without a terminal: its functions are replaced.
SHELL_PROGRAMS = {
    "bash": "COMP_LINE={line}; COMP_POINT=${{#COMP_LINE}}; _zoo_completion zoo; echo ${{COMPREPLY[@]}}",
    "zsh": "compdef() {{ :; }}; compadd() {{ echo ${{(P)@[-1]}}; }}; words=({line}); CURRENT=$#words; "
    'PREFIX=$words[-1]; eval "$(zoo completion zsh)"; _zoo_completion',
    "fish": "complete -C {line}",
}


@pytest.mark.parametrize("shell", SHELL_PROGRAMS)
@pytest.mark.parametrize(("word", "value"), [("vanil", "vanilla"), ("lstm,mine.py:S", "lstm,mine.py:Second")])
def test_completion_script_works_in_shell(shell, word, value, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    (tmp_path / "mine.py").write_text("class Second: pass\n")
    program = tmp_path / "zoo"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m zoo "$@"\n')
    program.chmod(0o755)
    line = f"zoo train --cell {word}"
    code = SHELL_PROGRAMS[shell].format(line=line if shell == "zsh" else shlex.quote(line))
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [shell, "-c", f"{run('completion', shell).stdout}\n{code}\n"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env=env,
    )
    inserted = value.rpartition(":")[2] if shell == "bash" else value  # a colon begins a word in bash
    assert done.stdout.strip() == inserted, done


def test_unknown_command_suggests_nearest():
    result = run("cels")
    assert result.exit_code == 2
    assert "unknown command 'cels'; `zoo --help` lists the commands. Did you mean 'cells'?" in result.stderr


# ---- what is imported, and how long it takes ----------------------------------------------------------

_SPY = """
import sys
from zoo.cli.app import cli
try:
    cli({args!r}, prog_name="zoo")
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(name for name in {heavy!r} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("args", "heavy"),
    [
        (["--help"], ["numba", "numpy", "rich", "pluggy", "zoo.registry", "zoo.base"]),
        (["cells"], ["numba", "llvmlite", "rich", "zoo.model", "zoo.training"]),
        (["cells", "--help"], ["numba", "numpy", "rich"]),
        (["cite", "lstm", "adam"], ["numba", "llvmlite", "rich", "zoo.model", "zoo.training"]),
        (["plugins"], ["numba", "llvmlite", "rich", "zoo.model", "zoo.training"]),
        (["show", "lstm"], ["numba", "llvmlite", "rich"]),
        (["train", "--help"], ["numba", "llvmlite", "rich"]),
    ],
)
def test_light_commands_import_nothing_heavy(args, heavy):
    code = _SPY.format(args=args, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no rusage of children")
def test_help_is_quick():
    import resource

    def seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    costs = []
    for _ in range(3):
        before = seconds()
        process("--help")
        costs.append(seconds() - before)
    assert min(costs) < 0.3  # processor time, since the wall clock counts the neighbours too; 0.1 s is usual


# ---- failing ------------------------------------------------------------------------------------------


def test_zoo_errors_become_one_sentence(capsys):
    with pytest.raises(click.ClickException) as failure, report_errors():
        raise UsageError("layer 3 is upside down; turn it.")
    assert (failure.value.format_message(), failure.value.exit_code) == (
        "layer 3 is upside down; turn it.",
        2,
    )


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("lr is -1.0; expected a number.", "--lr is -1.0; expected a number."),
        ("eval_batches are 0.", "--eval-batches are 0."),
        ("compare: lr is -1.0.", "compare: --lr is -1.0."),
        ("language model: lr is -1.0.", "language model: --lr is -1.0."),
        ("`lr` and `other` are both given.", "--lr and `other` are both given."),
        ("lower it, for example `lr=0.1`.", "lower it, for example --lr 0.1."),
        ("give `lr='low'` or `lr='a b*'`.", "give --lr low or `lr='a b*'`."),
        ("give `lr='*.txt'`.", "give --lr '*.txt'."),
        ("`carry=False` is given; leave out `carry`.", "--reset is given; leave out --carry."),
        ("the text has no `step`; give `other=3`.", "the text has no `step`; give `other=3`."),
        ("run `zoo cells`; lr is high.", "run `zoo cells`; lr is high."),
        ("path is missing.", "path is missing."),
        ("runs/a (lr: 0.1 -> 0.2; top: 1 -> 2)", "runs/a (--lr: 0.1 -> 0.2; top: 1 -> 2)"),
    ],
)
def test_errors_name_flags(sentence, named):
    flags = {"lr": "--lr", "eval_batches": "--eval-batches", "carry": "--carry", "carry=False": "--reset"}
    assert name_flags(sentence, flags) == named


def test_error_names_the_flag_that_was_given():
    stderr = run("train", "--task", "copying", "--reset").stderr
    assert stderr.startswith("Error: --reset is given with the task 'copying'; it applies to texts only.")


def test_messages_have_one_form():
    """Messages begin in lower case, and there is one wording for what is missing or unknown."""
    old = r"there is no (file|directory|peer|setting|option|schedule|command)|does not exist|is called {"
    faults = []
    for path in sorted(Path(zoo.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                text = ast.unparse(node.exc.args[0]).lstrip("f").strip("'\"")
                if re.search(old, text) or re.match(r"(A|An|The|There|No|Not|Cannot|It|This)\b", text):
                    faults.append(f"{path.name}:{node.lineno}: {text}")
    assert faults == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("no 3 TiB"), "not enough memory: no 3 TiB; choose smaller sizes."),
        (PermissionError(13, "Permission denied", "x"), "system error: [Errno 13]"),
    ],
)
def test_system_errors_have_no_traceback(error, words):
    with pytest.raises(click.ClickException, match=r".*") as failure, report_errors():
        raise error
    assert words in failure.value.format_message()


def test_file_flags_are_repeated_in_next_commands():
    cells = ["lstm", "a.py:A", "b=b.py:B"]
    expected = ["--cells", "a.py:A,b=b.py:B", "--plugin", "p.py", "--plugin", "q.py"]
    assert repeated_flags(["p.py", "q.py"], cells=cells, tasks=["copying"]) == expected
    assert repeated_flags([], cell=["a.py:A"], task=[None]) == ["--cell", "a.py:A"]


def test_broken_pipe_is_left_to_click():
    with pytest.raises(BrokenPipeError), report_errors():
        raise BrokenPipeError(32, "Broken pipe")


def test_ctrl_c_outside_training_exits_with_130(capsys):
    with pytest.raises(click.exceptions.Exit) as end, report_errors():
        raise KeyboardInterrupt
    assert (end.value.exit_code, capsys.readouterr().err) == (130, "Interrupted.\n")


def test_zoo_warnings_are_one_line(capsys):
    with report_errors():
        warnings.warn("the cache is full", ZooWarning, stacklevel=1)
        warnings.warn("the cache is full", ZooWarning, stacklevel=1)
    assert capsys.readouterr().err == "Warning: the cache is full\n" * 2


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), report_errors():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("train --hidden many", 2, "Error: --hidden is 'many'; expected an integer of at least 1."),
        ("train --hidden 0", 2, "Error: --hidden is 0; expected an integer of at least 1."),
        ("train --level line", 2, "--level is 'line'; expected one of 'char', 'byte', 'word', 'token'."),
        ("runs nothere", 2, "Error: nothere: no such file or directory; `zoo runs` lists the runs."),
        ("train --resume", 2, "--resume needs --out DIR"),
        ("train --cell vanila", 2, "Did you mean 'vanilla'?"),
        ("train --cell nothere.py:Cell", 2, "nothere.py: no such file or directory"),
        ("train --optimizer adan", 2, "unknown optimizer 'adan'. Did you mean 'adam'"),
        ("train --lr -1", 2, "Error: --lr is -1.0; expected a number above 0."),
        ("train --lr 0", 2, "Error: --lr is 0.0; expected a number above 0."),
        ("train --recompute cbrt", 2, "Error: --recompute is 'cbrt'; expected the steps of a segment"),
        ("train --task adding --data x", 2, "Error: --data and the task 'adding' are both given"),
        ("train --precision bfloat16", 2, "expected one of 'float32', 'bf16'. Did you mean 'bf16'?"),
        ("train --dtype bf16", 2, "expected one of 'float32', 'float64'. Did you mean --precision bf16?"),
        ("train --dtype bfloat16", 2, "Did you mean --precision bf16?"),
        ("train --dtype flaot64", 2, "Did you mean 'float64'?"),
        ("train --schedule cosinus", 2, "Did you mean 'cosine'?"),
        (
            "train --schedule step --data builtin:hello",
            2,
            "{'period': 1000} (--set period=1000 on the command line).",
        ),
        ("train --set beta1", 2, "--set 'beta1' is not an assignment; write NAME=VALUE."),
        ("train --set bta1=0.8", 2, "Did you mean 'beta1'?"),
        ("train --set beta1=2", 2, "option 'beta1' is 2.0; expected a finite number at least 0 and below 1."),
        ("train --set optimizr.beta1=0.5", 2, "Did you mean 'optimizer'?"),
        (
            "train --schedule cosine --set warmup=x",
            2,
            "schedule 'cosine': warmup is 'x'; expected an integer, or a share of the updates below 1.",
        ),
        ("train --data nothere.txt", 2, "nothere.txt: no such file or directory"),
        ("train --data builtin:helo", 2, "did you mean builtin:hello?"),
        ("train --data builtin:hello --batch 9 --seq 9", 1, "the text is too short"),
        ("train --steps 5 --epochs 1", 2, "--steps and --epochs are both given"),
        ("train --plugin nothere.py", 2, "nothere.py: no such file or directory"),
        ("sample nothere", 2, "nothere"),
        ("sample nothere --temperature 0", 2, "use --sampler greedy"),
        ("sample nothere --temperature nan", 2, "Error: --temperature is nan; expected a finite number."),
        ("sample nothere --temperature -1", 2, f"Error: --temperature is -1.0; {TEMPERATURE}"),
        ("sample nothere --temperature 1e-9", 2, f"Error: --temperature is 1e-09; {TEMPERATURE}"),
        ("sample nothere --temperature abc", 2, "Error: --temperature is 'abc'; expected a number."),
        *(
            (f"sample nothere --{flag} {value}", 2, f"Error: --{flag} is {shown}; expected {expected}.")
            for flag, values, expected in [
                ("top-k", {"0": "0", "-1": "-1"}, "an integer at least 1 and at most 1,000,000,000"),
                ("top-k", {"abc": "'abc'", "2.5": "2.5"}, "an integer"),
                ("top-p", {"0": "0.0", "-1": "-1.0", "2": "2.0"}, PROBABILITY),
                ("top-p", {"abc": "'abc'"}, "a number"),
                ("min-p", {"-1": "-1.0", "2": "2.0"}, PROBABILITY.replace("1e-06", "0")),
                ("min-p", {"abc": "'abc'"}, "a number"),
                ("typical", {"0": "0.0", "-1": "-1.0"}, PROBABILITY),
                ("typical", {"abc": "'abc'"}, "a number"),
            ]
            for value, shown in values.items()
        ),
        ("sample nothere --sampler top_p --top-p 0", 2, f"Error: --top-p is 0.0; expected {PROBABILITY}."),
        (
            "sample nothere --sampler temperature --set temperature=0",
            2,
            "is 0.0; expected a finite number at least 1e-06, or the sampler 'greedy' for",
        ),
        (
            "tokenize nothere.txt",
            2,
            "nothere.txt: no such file or directory; give the path of a file or of a",
        ),
        ("cache import nothere.zip", 1, "nothere.zip: no such file or directory; give a file of `zoo cache"),
        ("sample nothere --sampler gredy", 2, "Did you mean 'greedy'?"),
        ("sample nothere --top-p 0.5 --min-p 0.1 --set p=0.3", 2, "write top_p.p or min_p.p"),
        ("sample nothere --cell vanilla", 2, "the run stores the names of its cells"),
        (
            "sample nothere --on-unknown guess",
            2,
            "--on-unknown is 'guess'; expected one of 'error', 'skip'.",
        ),
        ("sample", 2, "Error: RUN is missing; expected `zoo sample [OPTIONS] RUN`."),
        ("eval nothere", 2, "nothere"),
        (
            "eval nothere --part half",
            2,
            "--part is 'half'; expected one of 'train', 'valid', 'test'",
        ),
        ("cells xlstm*", 2, "no cell matches 'xlstm*'"),
        ("cells vanila", 2, "Did you mean 'vanilla'?"),
        ("cells --sort yeer", 2, "unknown order 'yeer'"),
        ("cells --sort yeer", 2, "Did you mean 'year'?"),
        ("cells --sort speed", 2, "--sort speed needs --speed; add it."),
        ("cite vanila", 2, "Did you mean 'vanilla'?"),
        ("cite nothere.py:Cell", 2, "nothere.py: no such file or directory"),
        ("losses absolute", 2, "no loss matches 'absolute'. Did you mean 'absolute_error'?"),
        ("samplers topk", 2, "no sampler matches 'topk'. Did you mean 'top_k'?"),
        ("show hubr", 2, "unknown component 'hubr'. Did you mean 'huber'?"),
        (
            "check Mine",
            2,
            "Write FILE.py:Mine for a class in a file; in a notebook, zoo.testing.check_cell(Mine).",
        ),
        ("show loss:hubr", 2, "Did you mean 'huber'?"),
        ("show huber --hidden 4", 2, "'huber' is a loss; --graph, --set, --input and --hidden are for cells"),
        ("cite huber", 2, "'huber' is a loss, which has no reference; `zoo show loss:huber` explains it."),
        ("pages huber --out out", 2, "loss 'huber' has no page; name a cell, or a block as block:NAME."),
        ("check loss:huber:x", 2, "option 'delta' is 'x'"),
        ("check loss:hubber", 2, "Did you mean 'huber'?"),
        ("check modifier:zoneout", 2, "modifier 'zoneout' has no laws of its own; check a cell with it"),
        ("check tracker:jsonl", 2, "tracker 'jsonl' has no laws of its own; try it with `zoo train"),
        ("check optimiser:adam", 2, "Did you mean 'optimizer'?"),
        ("show topk", 2, "Did you mean 'top_k' or 'top_p'?"),
        ("show optimiser:adam", 2, "Did you mean 'optimizer'?"),
        ("show nothere.py:Cell", 2, "nothere.py: no such file or directory"),
        ("check vanila", 2, "Did you mean 'vanilla'?"),
        ("check vanilla --timeout 0", 2, "Error: --timeout is 0; expected a number of at least 1."),
        (
            "cache empty",
            2,
            "Error: ACTION is 'empty'; expected one of 'info', 'clear', 'path', 'build', 'export', 'import'.",
        ),
        ("plugins --plugin nothere.py", 2, "nothere.py: no such file or directory"),
    ],
)
def test_invalid_arguments_are_errors(args, code, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*args.split())
    assert words in " ".join(result.stderr.split())
    assert result.exit_code == code
    assert list(tmp_path.iterdir()) == []  # what fails leaves nothing behind


# ---- show --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_component_is_listed_and_shown(kind):
    listed = json.loads(run(plural(kind), "--json").output)
    assert [info["name"] for info in sorted(listed, key=lambda info: info["name"])] == getattr(
        zoo, f"list_{plural(kind)}"
    )()
    name = ONE_OF_EACH_KIND[kind]
    shown = run("show", f"{kind}:{name}").output
    assert shown.startswith(f"{name}  {kind}, ")
    assert "from recurrent-zoo" in shown
    assert "\nOptions\n  " in shown
    assert run("show", f"{kind}:{name}", "--source").output.strip()


def test_no_shipped_loss_has_the_name_of_another_component():
    others = {name for kind in KINDS if kind != "loss" for name in getattr(zoo, f"list_{plural(kind)}")()}
    assert not others & {*zoo.list_losses()}


def test_show_a_loss():
    output = run("show", "huber").output
    assert output == run("show", "loss:huber").output
    assert output.splitlines()[0] == f"huber  loss, from recurrent-zoo {zoo.__version__}"
    assert output.splitlines()[1:] == [
        "",
        "  `(o - t)^2 / 2` up to a distance of delta, linear beyond it.",
        "",
        "Loss",
        "  targets  numbers        kind of the targets",
        "  score    squared_error  metric of a task with this loss",
        "",
        "Options",
        "  delta  1.0  a finite number at least 1e-06  distance from which the loss grows linearly",
    ]
    assert "  class_weights    None " in run("show", "cross_entropy").output


@pytest.mark.parametrize("docstring", ["", '    """The log of the hyperbolic cosine."""\n'])
def test_show_a_loss_in_a_file(tmp_path, own_registry, docstring):
    file = tmp_path / "mine.py"
    file.write_text(
        "import zoo\n\n\n@zoo.njit\ndef row_loss(row, target):\n"
        f"{docstring}    return 0.0\n\n\n@zoo.njit\ndef grad(row, target, scale):\n    return 0.0\n\n\n"
        'MINE = zoo.Loss("mine", row_loss, grad)\n'
    )
    shown = run("show", f"{file}:MINE").output
    assert shown.startswith(f"mine  loss, from {file}, not registered\n")
    assert ("\n  The log of the hyperbolic cosine.\n" in shown) == bool(docstring)
    assert run("show", f"{file}:MINE", "--source").output == file.read_text()
    assert "loss 'mine': 13 laws" in run("check", f"{file}:MINE").stdout
    registered = run("show", "loss:mine", "--plugin", f"{file}:MINE")
    assert registered.output.startswith(f"mine  loss, from {file}:MINE\n"), registered.output


def test_show_a_cell():
    output = run("show", "vanilla").output
    for words in (
        "vanilla  cell, classic, from recurrent-zoo",
        "h' = tanh(x Wxh + h Whh + bh)",
        "Parameters: I·H + H·H + H",
        "Whh  (H, H)  ",
        "hidden to hidden",
        "Jeffrey L. Elman (1990). Finding Structure in Time.",
        "Deviations: ",
        "\nWhen to use it\n  ",
        "\nHistory\n  ",
    ):
        assert words in output
    assert "``" not in output
    assert "``" not in run("show", "star").output, "its card has inline code"


@pytest.mark.parametrize("name", ["adam", "optimizer:adam"])
def test_show_an_optimizer(name):
    output = run("show", name).output
    assert (
        "  beta1         0.9    a finite number at least 0 and below 1  decay of the mean gradient" in output
    )
    assert "running mean of its square" in output


def test_show_a_sampler():
    assert "an integer at least 1" in run("show", "sampler:top_k").output


def test_show_the_source():
    import zoo_cells.classic.vanilla as module

    assert run("show", "vanilla", "--source").output == Path(module.__file__).read_text(encoding="utf-8")


def test_show_a_cell_in_a_file():
    output = run("show", f"{LEAKY}:Leaky").output
    assert "not registered" in output
    assert "leak  0.3" in output


# ---- plugins ------------------------------------------------------------------------------------------


def test_plugins():
    lines = run("plugins").output.splitlines()
    assert lines[0].split() == ["plugin", "from", "version", "status", "provides"]
    row = ["vanilla", "recurrent-zoo", zoo.__version__, "loaded", "cell", "vanilla"]
    assert row in [line.split() for line in lines]


def test_plugins_as_json():
    records = {record["name"]: record for record in json.loads(run("plugins", "--json").output)}
    assert records["adam"]["provides"] == ["optimizer adam"]


def test_plugin_file_is_listed():
    assert "leaky" in process("cells", "--plugin", str(LEAKY)).stdout
    assert "cell leaky" in process("plugins", "--plugin", str(LEAKY)).stdout


def test_failed_plugin_is_reported_with_its_cause():
    done = process("cells", ZOO_PLUGINS="nosuch")
    assert done.stderr == "1 plugin failed to load: `zoo plugins` shows why.\n"
    assert (done.returncode, "vanilla" in done.stdout) == (0, True)
    assert "nosuch failed: ZOO_PLUGINS names 'nosuch'" in process("plugins", ZOO_PLUGINS="nosuch").stdout


def test_plugin_file_with_failing_import(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import nothing_of_this_name\n", encoding="utf-8")
    done = process("cells", "--plugin", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: plugin ")
    assert "No module named 'nothing_of_this_name' (broken.py, line 1)" in done.stderr


# ---- check --------------------------------------------------------------------------------------------


def _child(report, monkeypatch):
    calls = []

    def check_in_child(spec, **arguments):
        calls.append((spec, arguments))
        return report

    monkeypatch.setattr("zoo.testing.check_in_child", check_in_child, raising=False)
    return calls


HOLDS = Outcome("check_shapes", "Shapes are as declared.", "passed", seconds=1.0)
BROKEN = Outcome("check_nan", "NaN in gives NaN out.", "failed", "found 0.0, expected nan", 0.5)


def test_check_prints_law_by_law(monkeypatch):
    calls = _child(Report("cell 'vanilla'", (HOLDS,)), monkeypatch)
    result = run("check", "vanilla")
    assert calls == [("cell:vanilla", {"timeout": 600.0, "plugin": None, "examples": None, "options": ()})]
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "holds    Shapes are as declared.  check_shapes"
    assert result.output.splitlines()[-1] == "cell 'vanilla': 1 law, 1 holds (1.0 s)"


def test_check_exits_with_1_for_a_broken_law(monkeypatch):
    calls = _child(Report("optimizer 'adam'", (HOLDS, BROKEN)), monkeypatch)
    result = run(
        "check", "adam", "--timeout", "5", "--examples", "1", "--set", "beta1=0.8", "-s", "beta2=0.9"
    )
    options = ("beta1=0.8", "beta2=0.9")
    assert calls == [("optimizer:adam", {"timeout": 5.0, "plugin": None, "examples": 1, "options": options})]
    assert result.exit_code == 1
    assert "BROKEN   NaN in gives NaN out.  check_nan\n         found 0.0, expected nan\n" in result.output


def test_check_exits_with_1_for_a_law_that_was_not_checked(monkeypatch):
    late = Outcome("check_nan", "NaN in gives NaN out.", "not checked", "found the process still busy")
    _child(Report("cell 'vanilla'", (HOLDS, late)), monkeypatch)
    result = run("check", "vanilla")
    assert result.exit_code == 1
    assert (
        "not checked NaN in gives NaN out.  check_nan\n         found the process still busy\n"
        in result.output
    )


def test_check_prints_warnings(monkeypatch):
    warned = dataclasses.replace(HOLDS, warning="cell 'mine': zoo.stop_gradient(h) cuts the gradient of h.")
    _child(Report("cell 'mine'", (warned, warned)), monkeypatch)
    lines = run("check", "vanilla").output.splitlines()
    assert lines[-2:] == [
        "warning: cell 'mine': zoo.stop_gradient(h) cuts the gradient of h.",
        "cell 'mine': 2 laws, 2 hold, 1 warning (2.0 s)",
    ]
    assert json.loads(run("check", "vanilla", "--json").output)["warnings"] == [warned.warning]


def test_check_as_json(monkeypatch):
    _child(Report("cell 'vanilla'", (BROKEN,)), monkeypatch)
    result = run("check", "vanilla", "--json")
    assert (json.loads(result.output)["ok"], result.exit_code) == (False, 1)


def test_check_real_cell():
    done = process("check", "sampler:greedy", "--examples", "1", ZOO_TEST_EXAMPLES="none")
    assert "sampler 'greedy': " in done.stdout
    assert done.returncode == 0


# ---- cache, doctor ------------------------------------------------------------------------------------


def test_cache(tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir(mode=0o700)
    (folder / "forward-0.kernel").write_bytes(b"x" * 1500)
    place = {"ZOO_CACHE_DIR": str(tmp_path)}
    assert run("cache", "path", **place).output == f"{tmp_path}\n"
    assert run("cache", **place).output.startswith(f"1 compiled kernels, 1.50 kB of 1.00 GB, in {folder}\n")
    assert run("cache", "clear", **place).output == f"Removed 1 compiled kernels from {folder}.\n"
    assert list(folder.iterdir()) == []


def test_doctor_reports_no_problem(tmp_path):
    done = process("doctor", "--json", ZOO_CACHE_DIR=str(tmp_path))
    facts = json.loads(done.stdout)
    assert (done.returncode, facts["ok"], facts["problems"]) == (0, True, [])
    assert facts["zoo"]["version"] == zoo.__version__
    assert facts["cache"] == {"path": str(tmp_path), "writable": True, "kernels": 0, "bytes": 0}
    assert facts["environment"]["ZOO_CACHE_DIR"] == str(tmp_path)
    assert facts["vectors"]["float32"] == 2 * facts["vectors"]["float64"] >= 4


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_doctor_reports_problems(tmp_path):
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)
    done = process("doctor", ZOO_CACHE_DIR=str(tmp_path), ZOO_PLUGINS="nosuch")
    assert done.returncode == 1
    assert "others may write to it" in done.stdout
    assert "Broken: plugin nosuch failed: ZOO_PLUGINS names 'nosuch'" in done.stdout
    assert done.stderr == ""


# ---- standard output ----------------------------------------------------------------------------------


def test_closed_pipe_is_silent():
    command = [sys.executable, "-m", "zoo", "cells"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""


def test_ascii_output_has_no_traceback():
    done = process("show", "vanilla", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Parameters: I" in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("train gru", "'gru'; expected `zoo train [OPTIONS]`. Did you mean --cell gru?"),
        (
            "train mine.txt",
            "'mine.txt'; expected `zoo train [OPTIONS]`. Did you mean --data mine.txt?",
        ),
        (
            "train copying",
            "'copying'; expected `zoo train [OPTIONS]`. Did you mean --task copying?",
        ),
        ("train nothing", "unexpected argument 'nothing'; expected `zoo train [OPTIONS]`."),
        (
            "compare gru",
            "'gru'; expected `zoo compare [OPTIONS]`. Did you mean --cells gru?",
        ),
        (
            "train --learning-rate 0.1",
            "`zoo train --help` lists the options. Did you mean '--lr'?",
        ),
        (
            "compare --batch-size 3",
            "`zoo compare --help` lists the options. Did you mean '--batch'?",
        ),
        (
            "train --lrr 0.1",
            "unknown option '--lrr'; `zoo train --help` lists the options.",
        ),
        (
            "train --resume old --steps 20",
            "unexpected argument 'old'; expected `zoo train [OPTIONS]`. Did you mean --out old?",
        ),
        (
            "forecast old --out f.csv",
            "The command prints its results; write them to a file with > FILE.",
        ),
        (
            "compare --resume",
            "unknown option '--resume'; `zoo compare --help` lists the options. A comparison continues "
            "without it: repeat its command with the same --out.",
        ),
        (
            "compare --threads 2",
            "unknown option '--threads'; `zoo compare --help` lists the options. Each run uses one thread; "
            "--jobs N trains N runs at once.",
        ),
        ("train --steps abc", "--steps is 'abc'; expected an integer of at least 1."),
        ("train --lr abc", "--lr is 'abc'; expected a number above 0."),
        ("train -c gru,", "the name of a cell is empty; leave out the comma, or give a name."),
        ("train -c mygru:SlowGRU", "unknown cell 'mygru:SlowGRU'. Did you mean 'mygru.py:SlowGRU'?"),
    ],
)
def test_suggestions(args, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "mygru.py").write_text("", encoding="utf-8")
    result = run(*args.split())
    assert words in result.stderr
    assert result.exit_code == 2


def test_check_counts_the_laws_that_were_not_tried(monkeypatch):
    untried = [Outcome(f"check_{i}", "A law.", "skipped", "not tried, since check_nan failed") for i in "ab"]
    _child(Report("optimizer 'adam'", (BROKEN, *untried)), monkeypatch)
    output = run("check", "adam").output
    assert "2 laws not tried, since check_nan failed." in output
    assert "check_a" not in output


def test_check_names_the_law_that_the_time_limit_ended(monkeypatch):
    holds = Outcome("check_a", "A law.", "passed")
    ended = Outcome("check_b", "A law.", "not checked", "the time limit of 1 s ended it.")
    untried = Outcome("check_c", "A law.", "skipped", "not tried, since the process ended during check_b")
    _child(Report("optimizer 'adam'", (holds, ended, untried)), monkeypatch)
    output = run("check", "adam").output
    assert "1 law not tried, since the process ended during check_b." in output
