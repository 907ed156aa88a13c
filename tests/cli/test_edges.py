"""Every command with hostile streams, values and texts: no traceback."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import zoo
import zoo.comparison.execute  # before `run` replaces zoo.training.train, which it imports
from zoo.cli.app import COMMANDS, cli
from zoo.cli.flags import MAX_INTEGER, CheckedArgument, CheckedOption, label
from zoo.cli.terminal import echo, escape_controls, rich_text, shorten_middle, styled

HOSTILE = "a\x1b]0;t\x07\x1bc\x9b31m\u202eb\u2066c\u200f\r"
VISIBLE = r"a\x1b]0;t\x07\x1bc\x9b31m\u202eb\u2066c\u200f\r"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def parameters(command):
    """The options and arguments of a command."""
    with click.Context(cli) as ctx:
        return cli.get_command(ctx, command).params


def takes_text(param):
    return isinstance(param, click.Argument) or not (param.is_flag or param.count)


EVERY = pytest.mark.parametrize("command", COMMANDS)


def words(param, text):
    """The words that give a text to every part of a parameter."""
    return [*([param.opts[-1]] if isinstance(param, click.Option) else []), *[text] * max(1, param.nargs)]


@pytest.fixture
def run(own_registry, tmp_path, monkeypatch):
    """Runs a command in an empty directory; nothing that takes long or writes outside is begun."""

    def stopped(*args, **settings):
        raise zoo.UsageError(f"stopped before {args} {settings}")

    for place in ("training.train", "compare", "bench.bench.measure", "bench.timing.ns_per_token"):
        monkeypatch.setattr(f"zoo.{place}", stopped)
    monkeypatch.setattr("zoo.testing.check_in_child", stopped, raising=False)
    monkeypatch.setattr("zoo.cli.commands.doctor.run_checks", list)
    monkeypatch.chdir(tmp_path)

    def invoke(*args):
        runner = CliRunner(env={"ZOO_PLUGINS": "", "ZOO_CACHE_DIR": str(tmp_path / "cache")})
        result = runner.invoke(cli, args, prog_name="zoo")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


# ---- words --------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("name", ["x" * 300, "folder/" + "y" * 5000, "z" * 260 + ".safetensors"])
def test_names_that_are_too_long_for_files_are_errors_of_one_line(command, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for param in parameters(command):
        if not (isinstance(param, click.Argument) or re.search("FILE|DIR", str(param.metavar))):
            continue
        words = [name] if isinstance(param, click.Argument) else [label(param), name]
        result = CliRunner().invoke(cli, [command, *words])
        assert "system error" not in result.output, words
        assert isinstance(result.exception, SystemExit), words
        assert len(result.output) < 3000, words


@EVERY
def test_every_parameter_is_checked(command):
    assert all(isinstance(param, (CheckedOption, CheckedArgument)) for param in parameters(command))


@EVERY
def test_invalid_values_are_errors(command, run):
    for param in filter(takes_text, parameters(command)):
        for text, message in [
            ("", " is empty; give a value, or leave it out."),
            ("a\0b", " contains a NUL character"),
        ]:
            if text or not getattr(param, "empty", False):
                result = run(command, *words(param, text))
                assert (result.exit_code, message in result.stderr) == (2, True), (param, text, result.stderr)


@EVERY
def test_huge_integers_are_errors(command, run):
    for param in parameters(command):
        if isinstance(param.type, click.types.IntParamType):
            for digits in ("9" * 20, f"-{'9' * 20}", "9" * 5000):
                result = run(command, *words(param, digits))
                assert result.exit_code == 2, (param, digits)
                assert re.fullmatch(rf"Error: {label(param)} is .*; expected an? .*\.\n", result.stderr), (
                    param
                )
                assert len(result.stderr) < 2500, param


CLICK = re.compile(
    "Usage:|Try |Invalid value|Missing |No such|requires|unexpected extra|is not one of|not a valid|the range"
)


@EVERY
def test_wrong_command_lines_are_one_sentence(command, run):
    """Every mistake that can be made with every option: one line of zoo, with the remedy."""
    params = parameters(command)
    cases = [["--nosuch"], ["-%"], ["--help=3"]]
    for param in params:
        is_option = isinstance(param, click.Option)
        if is_option and not takes_text(param):
            cases.append([f"{param.opts[-1]}=3"])
        elif is_option:
            cases.append([param.opts[-1]])
        if isinstance(param.type, (click.Choice, click.Tuple, *NUMBERS)) and takes_text(param):
            cases.append(words(param, "nosuch"))
        if isinstance(param.type, click.types.FloatParamType):
            cases += [words(param, "nan"), words(param, "-inf")]
        if isinstance(param.type, click.Path) and param.type.file_okay is not param.type.dir_okay:
            cases.append(words(param, "file" if param.type.dir_okay else "."))
    arguments = [param for param in params if isinstance(param, click.Argument)]
    if all(param.nargs == 1 for param in arguments):
        cases.append(["surplus"] * (len(arguments) + 1))
    if any(param.required for param in params):
        cases.append([])
    Path("file").touch()
    for case in cases:
        result = run(command, *case)
        assert result.exit_code == 2, (case, result.stderr)
        assert re.fullmatch(r"Error: ([a-z-]|[A-Z|]+ ).*[.?]\n", result.stderr), (case, result.stderr)
        assert not CLICK.search(result.stderr), (case, result.stderr)
        assert re.search("expected|lists the options", result.stderr), (case, result.stderr)


@EVERY
def test_alternative_flags_exclude_each_other(command, run):
    names = [param.name for param in parameters(command)]
    flags = [param.opts[-1] for param in parameters(command) if names.count(param.name) > 1]
    assert set(flags) in ({"--json", "--csv"}, set())
    if flags:
        result = run(command, *flags)
        assert (result.exit_code, result.stderr) == (
            2,
            f"Error: {flags[0]} and {flags[1]} are both given; give one of them.\n",
        )


NUMBERS = (click.types.IntParamType, click.types.FloatParamType)


@EVERY
def test_repeated_single_option_is_an_error(command, run):
    for param in filter(takes_text, parameters(command)):
        if isinstance(param, click.Option):
            value = words(param, param.type.choices[0] if isinstance(param.type, click.Choice) else "7")
            result = run(command, *value, *value)
            message = f"{param.opts[-1]} is given 2 times and takes one value; give it once."
            assert (message in result.stderr) is not param.multiple, (param, result.stderr)
            assert param.multiple or result.exit_code == 2, param


@EVERY
def test_hostile_values_have_no_traceback(command, run, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for param in filter(takes_text, parameters(command)):
        arguments = [each for each in parameters(command) if isinstance(each, click.Argument)]
        rest = [] if param in arguments else ["lstm"] * len(arguments)
        for text in (HOSTILE, "~nobody/x", "a\nb", ".", "-", ",", "=", "x" * 5000, "loop", "loop/x.py:A"):
            result = run(command, *words(param, text), *rest)
            assert result.exit_code in (0, 1, 2), (param, text)
            assert not CONTROLS.search(result.stdout + result.stderr), (param, text)
            assert len(result.stderr) < 15_000, (param, text)


def test_largest_integer_and_empty_prompt_are_valid(run):
    assert f"'steps': {MAX_INTEGER}" in run("train", "--steps", str(MAX_INTEGER)).stderr
    assert "is empty" not in run("sample", "nothere", "--prompt", "").stderr


@pytest.mark.parametrize(
    ("value", "limit"),
    [(MAX_INTEGER + 1, "most 1,000,000,000"), (-2 * MAX_INTEGER, "least -1,000,000,000")],
)
def test_integer_error_gives_the_limit(run, value, limit):
    message = f"--steps is {value:,}; expected an integer of at {limit}."
    assert message in run("train", "--steps", str(value)).stderr


@pytest.mark.parametrize(("value", "taken"), [(2**63 - 1, True), (2**63, False)])
def test_seeds_may_exceed_other_integers(run, value, taken):
    assert (f"'seed': {value}" in run("train", "--seed", str(value)).stderr) is taken


# ---- texts --------------------------------------------------------------------------------------------


def test_only_control_characters_are_escaped():
    assert escape_controls(HOSTILE) == VISIBLE
    assert escape_controls("ä\t× 語\n👍🏽") == "ä\t× 語\n👍🏽"
    assert not CONTROLS.search(escape_controls("".join(map(chr, range(0x3000)))))
    assert shorten_middle("x" * 2000) == "x" * 2000
    assert shorten_middle("x" * 2000 + "y") == f"{'x' * 1500} ... (2,001 characters) ... {'x' * 499}y"
    assert rich_text(HOSTILE).plain == VISIBLE


def test_echo_keeps_styles_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("zoo.cli.terminal.is_terminal", lambda stream=None: True)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    echo(f"{styled(HOSTILE, fg='red', bold=True)} {styled('b', dim=True)}\x1b[8m")
    assert capsys.readouterr().out == f"\x1b[31m\x1b[1m{VISIBLE}\x1b[0m \x1b[2mb\x1b[0m\\x1b[8m\n"


def test_commands_print_with_echo_or_rich_text_only():
    """Whatever else prints lets controls of files and plugins through."""
    folder = Path(zoo.__file__).parent / "cli"
    texts = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.py")}
    assert {name for name, text in texts.items() if "click.echo(" in text} == {"terminal.py"}
    assert {name for name, text in texts.items() if re.search(r"\bprint\(", text)} - {"errors.py"} == {
        "compare_display.py",
        "live_display.py",
        "terminal.py",
        "commands/show.py",
    }, "of a console of rich, with rich_text"


PLUGIN = f'''
import zoo
import zoo.comparison.execute  # before `run` replaces zoo.training.train, which it imports

class Odd(zoo.Cell):
    """Odd {HOSTILE.replace(chr(13), "")}.

    And more {HOSTILE.replace(chr(13), "")}.
    """
    card = zoo.Card(title="T {HOSTILE.replace(chr(13), "")}", authors="A", year=2026, url="https://example.org")
    E = zoo.Param("I", "H", help="weights {HOSTILE.replace(chr(13), "")}")
    h = zoo.State("H", help="output")
    def step(self, x, h):
        return np.tanh(x @ self.E + h)

@zoo.hookimpl
def zoo_register_cells(register):
    register(Odd)
'''.replace("import zoo\n", "import numpy as np\nimport zoo\n", 1)


def test_plugin_text_is_escaped(run, tmp_path):
    (tmp_path / "odd.py").write_text(PLUGIN, encoding="utf-8")
    for args in (["cells", "odd"], ["show", "odd"], ["cite", "odd"]):
        result = run(*args, "--plugin", "odd.py")
        assert (result.exit_code, "\\x1b]0;t" in result.stdout) == (0, True), (args, result.stderr)
        assert not CONTROLS.search(result.stdout + result.stderr), args


def test_plugin_errors_are_escaped_and_shortened(run, tmp_path):
    (tmp_path / "odd.py").write_text(f"raise ValueError({HOSTILE!r} + 'x' * 100_000)", encoding="utf-8")
    result = run("cells", "--plugin", "odd.py")
    assert result.exit_code == 1
    assert VISIBLE[:-2] in result.stderr
    assert len(result.stderr) < 1500


# ---- standard streams ---------------------------------------------------------------------------------

WAYS = {
    "plain": {},
    "no stdout": {1: None},
    "no stderr": {2: None},
    "nothing": {0: None, 1: None, 2: None},
    "full stdout": {1: "/dev/full"},
    "full stderr": {2: "/dev/full"},
    "both full": {1: "/dev/full", 2: "/dev/full"},
    "a stdout to read from": {1: "/dev/null"},
}
CASES = [
    *([name, "-h"] for name in COMMANDS),
    *(["cells", "lstm"], ["cells", "lstm", "--json"], ["tasks", "adding"], ["modifiers"], ["plugins"]),
    *(["show", "lstm"], ["cite", "lstm"], ["cache"], ["new", "my-cells"], ["-h"], ["--version"]),
    *(["sample", "nothere", "--prompt", "-"], ["train", "--cell", "none_such"], ["cells", "--none-such"]),
]
# A child of one warm process is as good as a new one, and takes a hundredth of the time.
SCRIPT = """
import gc, json, os, sys, tempfile, traceback
import zoo, zoo.model, zoo.training
from zoo.cli import main
from zoo.cli.app import COMMANDS, cli
for name in COMMANDS:
    cli.get_command(None, name)
zoo.list_cells()
cases, ways = json.loads(sys.argv[1])
gc.freeze()
gc.disable()
results = []
for streams in ways:
    for case in cases:
        with tempfile.TemporaryFile() as words:
            child = os.fork()
            if not child:
                os.chdir(tempfile.mkdtemp(dir="."))
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(words.fileno(), 2)
                for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
                    place = streams.get(str(number), "")
                    if place != "":
                        os.close(number)
                    if place:
                        assert os.open(place, os.O_RDONLY if place == os.devnull else os.O_WRONLY) == number
                    setattr(sys, name, None if place is None else open(number, mode, closefd=False))
                sys.argv = ["zoo", *case]
                try:
                    main()
                except SystemExit as end:
                    code = int(end.code or 0)
                except BaseException:
                    traceback.print_exc()
                    code = 99
                try:  # as the interpreter does when it ends, whose cleaning up takes half a second
                    sys.stdout.flush()
                    sys.stderr.flush()
                except OSError:
                    code = 120
                os._exit(code)
            status = os.waitpid(child, 0)[1]
            words.seek(0)
            results.append([os.waitstatus_to_exitcode(status), words.read().decode()])
print(json.dumps(results))
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_closed_or_full_streams(tmp_path):
    environ = {**os.environ, "ZOO_PLUGINS": "", "ZOO_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", SCRIPT, json.dumps([CASES, [*WAYS.values()]])]
    output = subprocess.run(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, check=True).stdout
    names = itertools.product(WAYS, map(" ".join, CASES))
    results = dict(zip(names, json.loads(output), strict=True))
    for (streams, case), (code, words) in results.items():
        where = streams, case, code, words
        assert not re.search("Traceback|Exception ignored", words), where
        plain = results["plain", case][0]
        if plain == 0 and streams in ("full stdout", "both full", "a stdout to read from"):
            assert code == 1, where
            assert streams == "both full" or words.startswith("Error: system error: "), where
        else:
            assert code == plain, where


@pytest.mark.skipif(sys.platform == "win32", reason="no such shell")
@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-"])
def test_new_process_with_closed_streams(redirection, tmp_path):
    """The descriptors of closed streams are not given to files that the command opens."""
    command = ["sh", "-c", f'"$0" -m zoo new my-cells {redirection}', sys.executable]
    done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "my-cells" / "README.md").read_text(encoding="utf-8").startswith("# my-cells\n")


@pytest.mark.skipif(sys.platform != "linux", reason="names are not bytes")
def test_names_that_are_not_utf_8(tmp_path):
    plugin = PLUGIN.replace(HOSTILE.replace("\r", ""), "")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xff.py"))).write_text(plugin, encoding="utf-8")
    words = [os.fsdecode(b"p\xff.py")]
    for args in (["cells", "odd", "--plugin", *words], ["show", f"{words[0]}:Odd"]):
        command = [sys.executable, "-m", "zoo", *args]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"odd" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a working directory cannot be deleted")
@pytest.mark.parametrize(
    "arguments", [("new", "some-cells", "--out", "{target}"), ("train", "--task", "adding", "--out", "run")]
)
def test_deleted_working_directory_is_one_sentence(arguments, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    words = ["zoo", *(each.format(target=target) for each in arguments)]
    script = tmp_path / "zoo_script.py"  # as `zoo` is; with -c, `import numpy` fails in Python 3.13.0
    script.write_text(
        "import os, pathlib, sys, zoo.cli\n"
        "pathlib.Path('gone').mkdir(); os.chdir('gone'); pathlib.Path('../gone').rmdir()\n"
        f"sys.argv = {words!r}\n"
        "zoo.cli.main()\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "Error: the working directory was deleted; change to another one."
    assert done.returncode == 1
