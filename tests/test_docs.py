"""The documents cannot lie: their code runs, what they show is what it prints, and they leave nothing out.

Example packages under docs/examples have documents and tests of their own.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import command_server
import docs_runner as runner
import pluggy
import pytest

import zoo
import zoo.testing
from zoo import kernels
from zoo.cli.app import cli
from zoo.cli.format import duration
from zoo.comparison.records import RunRecord
from zoo.registry import hookspecs, plugins

ROOT = Path(__file__).parents[1]
RUNNER = Path(__file__).parent / "support" / "docs_runner.py"
EXAMPLES = ROOT / "docs" / "examples"


PAGES = [ROOT / "README.md"]
PAGES += sorted(page for page in (ROOT / "docs").rglob("*.md") if EXAMPLES not in page.parents)
TEXT = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
ALL_TEXT = "\n".join(TEXT.values())
EVERY_PAGE = pytest.mark.parametrize("name", TEXT)


def run_page(page: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a page in a process of its own: what it registers and imports is nobody else's."""
    environment = {**os.environ, "PYTHONUTF8": "1", **variables}
    arguments = [str(RUNNER), *options, str(page)]
    if command_server.ADDRESS in variables:
        return command_server.run_python(arguments, environment, timeout=900)
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        timeout=900,
    )


# The pages


def missing(name: str) -> list[str]:
    """The packages and programs that a page says it needs and that are not here."""
    match = re.search(r"<!-- needs: (.+) -->", TEXT[name])
    needed = match[1].split() if match else []
    return [each for each in needed if find_spec(each) is None and shutil.which(each) is None]


@EVERY_PAGE
def test_page_prints_shown_output(name, tmp_path, monkeypatch, server):
    if absent := missing(name):
        pytest.skip(f"{name} needs {', '.join(absent)}")
    if any(block.runs for block in runner.read_page(TEXT[name])):
        monkeypatch.chdir(tmp_path)
        done = run_page(ROOT / name, **server)
        assert done.returncode == 0, f"{name}: {done.stdout}"


@EVERY_PAGE
def test_links_lead_somewhere(name):
    text = re.sub(r"^```.*?^```", "", TEXT[name], flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    inside = [target for target in targets if not target.startswith(("https://", "http://"))]
    broken = [target for target in inside if not leads_somewhere(ROOT / name, target)]
    assert not broken, f"{name}: broken links {broken}"


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path) if path else page
    return file.exists() and (not anchor or anchor in anchors(file))


def test_errata_have_numbers_dates_and_papers() -> None:
    text = (ROOT / "docs/errata.md").read_text(encoding="utf-8")
    _, *entries = re.split(r"^## ", text, flags=re.MULTILINE)
    for number, entry in enumerate(entries, 1):
        start = rf"{number}\. .+\n\n- \*\*Date\*\*: \d{{4}}-\d\d-\d\d\n- \*\*Paper\*\*: \[[^]]+\]\(https://"
        assert re.match(start, entry), entry[:80]
    assert len(entries) >= 7


def anchors(page: Path) -> set[str]:
    """The anchors that headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


WRITTEN = [name for name in TEXT if not name.startswith(("docs/zoo/", "docs/reference/"))]


@pytest.mark.parametrize("name", [name for name in WRITTEN if not name.endswith("README.md")])
def test_page_begins_with_its_time_or_use_and_ends_with_the_next_page(name):
    head = TEXT[name].partition("\n## ")[0]
    assert re.search(r"\b(minutes?|half an hour)\b|\bUse it to\b", head)
    assert re.search(r"^(Next: \S|## What next$)", TEXT[name], re.MULTILINE)


def test_blocks_not_run_have_a_reason(capsys):
    excused = [
        f"{name}, line {block.line}: {block.reason}"
        for name, text in TEXT.items()
        for block in runner.read_page(text)
        if "no-run" in block.flags
    ]
    with capsys.disabled():
        print("\nnot run:", *excused, sep="\n  ")  # noqa: T201  # the list is for the reader of the log
    assert all(line.partition(": ")[2] for line in excused), excused


def test_shown_pyproject_is_that_of_example():
    shown = [block for block in runner.read_page(TEXT["docs/howto/publish.md"]) if block.language == "toml"]
    real = (EXAMPLES / "zoo-leaky" / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert [block for block in shown if not set(block.text.splitlines()) <= set(real)] == []
    assert shown


# Completeness: what there is, compared with what the documents name


def undocumented(names, forms: str = "`{}`") -> list[str]:
    """The names that no document holds in one of the forms, ``a|b``; there must be names to look for."""
    names = list(names)
    assert names, "there is nothing to document: is the list of names itself broken?"
    return [name for name in names if not any(form.format(name) in ALL_TEXT for form in forms.split("|"))]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_page_names_install_before_its_check(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    install, check = text.find("pip install '.[testing]'"), text.find("`zoo check")
    assert 0 < install < check


def test_plugins_lists_every_hook_with_a_guide_that_defines_it():
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    names = map(hookspecs.hook_name, hookspecs.KINDS)
    hooks = {name: getattr(manager.hook, name).spec.argnames for name in names}
    assert hooks.keys() == {name for name in vars(hookspecs) if name.startswith("zoo_")}
    row = r"^\| `(zoo_\w+)\((.*?)\)` \|.*\]\((howto/\w+\.md)\)"
    rows = re.findall(row, TEXT["docs/plugins.md"], re.MULTILINE)
    assert {name: tuple(arguments.split(", ")) for name, arguments, _ in rows} == hooks
    for name, arguments, guide in rows:
        assert f"def {name}({arguments}):" in TEXT[f"docs/{guide}"]


def test_numbers_of_cells_tasks_and_laws_are_current():
    cells, tasks, laws = len(zoo.list_cells()), len(zoo.list_tasks()), len(zoo.testing.CELL_CHECKS)
    assert f"| cells | {cells} recurrent |" in TEXT["README.md"]
    assert f"| tests for your cell | {laws} laws (`zoo check`) |" in TEXT["README.md"]
    assert f"| tasks included | {tasks}, with baselines |" in TEXT["README.md"]
    counted = {name: re.findall(r"\b(\d+) (?:published )?cells\b", text) for name, text in TEXT.items()}
    for name in ("README.md", "docs/howto/choose.md"):
        assert set(counted[name]) == {str(cells)}


def test_every_command_is_documented():
    assert undocumented(commands(cli, "zoo"), "`{}`|`{} |$ {} |$ {}\n") == []


def test_reference_lists_every_environment_variable():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "zoo").rglob("*.py"))
    read = set(re.findall(r"\bZOO_[A-Z_]*[A-Z]\b", source))
    read |= set(re.findall(r"""environ(?:\.get\(|\[)"([A-Z_]+)\"""", source))
    table = TEXT["docs/reference.md"].partition("## Environment variables\n")[2].partition("\n## ")[0]
    assert read <= set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE))


def test_file_formats_lists_every_event_and_every_column():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "zoo" / "training").glob("*.py"))
    events = set(
        re.findall(r"""_emit\("(\w+)"|"event": "(\w+)"|_start_event\("(\w+)" if .* "(\w+)\"""", source)
    )
    names = {name for groups in events for name in groups if name}
    assert {"start", "resume", "step", "eval", "end", "diverged"} <= names
    columns = {field.name for field in dataclasses.fields(RunRecord)}
    listed = set()
    for row in re.findall(r"^\| (`[^|]*) \|", TEXT["docs/file-formats.md"], re.MULTILINE):
        listed |= set(re.findall(r"`(\w+)`", row))
    assert (names | columns) - listed == set()


def commands(command: click.Command, path: str) -> list[str]:
    """Every command below a command, ``zoo train``."""
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    inner = {name: command.get_command(context, name) for name in command.list_commands(context)}
    assert all(inner.values()), inner
    return [name for key, subcommands in inner.items() for name in commands(subcommands, f"{path} {key}")]


@pytest.mark.parametrize("kind", ["cell", "constraint", "optimizer", "penalty", "sampler", "task"])
def test_every_shipped_component_is_documented(kind):
    shipped = [record for record in plugins() if record.distribution == "recurrent-zoo"]
    assert [str(record) for record in shipped if record.status != "loaded"] == []
    provided = [text.partition(" ") for record in shipped for text in record.provides]
    assert undocumented(name for what, _, name in provided if what == kind) == []


def test_every_law_is_documented():
    kinds = ("BLOCK", "CELL", "CONSTRAINT", "OPTIMIZER", "PENALTY", "SAMPLER", "TASK")
    for checks in (getattr(zoo.testing, f"{kind}_CHECKS") for kind in kinds):
        assert undocumented((check.__name__ for check in checks), "  {}\n|- `{}`: ") == []


def test_every_public_name_is_documented():
    assert undocumented(f"zoo.{name}" for name in zoo.__all__) == []


def test_every_building_block_is_documented():
    assert undocumented((f"kernels.{name}" for name in kernels.__all__), "`{}`|`{}(") == []


def test_every_environment_variable_is_documented():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "zoo").rglob("*.py"))
    assert undocumented(sorted(set(re.findall(r"\bZOO_[A-Z_]*[A-Z]\b", source))), "`{}`|`{}=") == []


# The runner itself: a page that lies is caught, with the page, the line and the difference


GOOD = """\
```python
x = 2
print(x + 2)
```

```output
4
```
"""


CASES = {
    "right": (GOOD, ""),
    "wildcard": (GOOD.replace("4", "..."), ""),
    "wildcard in a line": (GOOD.replace("x = 2", "x = 202").replace("4", "2...4"), ""),
    "wildcard for no lines": (GOOD.replace("4", "...\n4\n..."), ""),
    "wildcard for lines": (GOOD.replace("x + 2", "'a\\nb\\n4\\nc'").replace("4\n`", "...\n4\n...\n`"), ""),
    "wildcard over lines": (GOOD.replace("x + 2", "'a\\nb'").replace("4", "a...b"), "the output differs"),
    "another output": (
        GOOD.replace("4", "5"),
        "line 6: the output differs\n--- the page shows\n+++ it printed",
    ),
    "something else": (GOOD.replace("4", "...\n5"), "the output differs"),
    "too much shown": (GOOD.replace("4", "4\n4"), "-4"),
    "printed and not shown": (GOOD.partition("```output")[0], "line 1: the output differs"),
    "exception": (GOOD.replace("print(x + 2)", "print(y)"), "line 1: the block raised"),
    "its line": (GOOD.replace("print(x + 2)", "print(y)"), 'File "<page.md>", line 3'),
    "syntax": (GOOD.replace("x = 2", "x ="), "SyntaxError"),
    "warning": ("```python\nimport warnings\nwarnings.warn('old')\n```", "UserWarning: old"),
    "output of nothing": ("text\n```output\n4\n```", "line 2: an output block must come right after"),
    "open end": ("```python\nx = 1", "line 1: this block is never closed"),
    "indented": ("- item\n  ```python\n  x\n  ```", "line 2: fences are"),
    "language": ("```rust\n```", "line 1: language 'rust' is unknown"),
    "no language": ("```\n```", "line 1: language '' is unknown"),
    "flag": ("```python norun\n```", "line 1: a python block has no flag 'norun'"),
    "not run": ("<!-- not run: it takes a day -->\n```python no-run\n1 / 0\n```", ""),
    "not run, no word": ("```python no-run\n```", "line 1: a no-run block needs"),
    "not run, no reason": ("<!-- not run: -->\n```python no-run\n```", "line 2: a no-run block needs"),
    "package": ("```python needs=math needs=no_such_package\n1 / 0\n```", ""),
    "package there": ("```python needs=math\n1 / 0\n```", "line 1: the block raised"),
    "package of a command": ("```console needs=no_such_package\n$ python -c '1 / 0'\n```", ""),
    "shell": ("```bash\npip install zoo\n```", "line 1: bash blocks are never run"),
    "no prompt": ("```console\nzoo cells\n```", "starts with a command"),
    "another program": ("```console\n$ ls\n```", "`ls` is neither zoo nor python"),
    "command": ("```console\n$ python -c 'print(1)'\n1\n$ python -c 'print(2)'\n```", ""),
    "command, another output": ("```console\n$ python -c 'print(1)'\n2\n```", "line 2: the output differs"),
    "two lines": ("```console\n$ X=3 python -c \\\n  'import os; print(os.environ[\"X\"])'\n3\n```", ""),
    "command fails": ("```console\n$ python -c '1 / 0'\n```", "line 2: `python -c '1 / 0'` exited with 1"),
    "must fail": ("```console fails\n$ python -c '1 / 0'\n...\nZeroDivisionError: ...\n```", ""),
    "must fail, does not": ("```console fails\n$ python -c 'pass'\n```", "exited with 0"),
    "file": ("```python file=mine.py\nx = 1\n```\n```python\nimport mine\nassert mine.x == 1\n```", ""),
}


@pytest.mark.parametrize(("page", "complaint"), CASES.values(), ids=CASES)
def test_runner(page, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")
    done = run_page(path)
    assert complaint in done.stdout
    assert done.stdout.startswith(f"{path}, line ") == bool(complaint)
    assert done.returncode == bool(complaint)


@pytest.mark.parametrize("seconds", [0.0, 7.26, 59.9, 59.96, 61, 3599.6, 7509])
def test_shown_seconds_match_times_of_slow_machines(seconds):
    shown = "finished at step 5 after ... s; best: loss 0.1..., ... s"
    printed = f"finished at step 5 after {duration(seconds)}; best: loss 0.12, {duration(seconds)}"
    assert runner.matches(shown, printed)
    assert not runner.matches(shown, printed.replace("; best", " today; best"))
    assert not runner.matches("after ... steps", f"after {duration(seconds)}")


def test_runner_runs_kernels_below_the_mark_as_plain_python(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # which a page replaces
    path = tmp_path / "page.md"
    block = "```python\nimport zoo\nprint(zoo.kernels.jit.is_pure_python())\n```\n\n```output\n{}\n```\n"
    path.write_text(block.format(False) + f"\n{runner.PLAIN_PYTHON}\n" + block.format(True), encoding="utf-8")
    runner.Page(path).run()
    assert not kernels.jit.is_pure_python()


def test_runner_writes_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "page.md"
    path.write_text(GOOD.replace("4", "5") + "```console\n$ python -c 'print(6)'\n?\n```\n", encoding="utf-8")
    assert run_page(path, "--write").returncode == 0
    assert path.read_text(encoding="utf-8") == GOOD + "```console\n$ python -c 'print(6)'\n6\n```\n"
    assert run_page(path).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the server forks")
@pytest.mark.parametrize(
    ("program", "variables", "is_forked"),
    [
        ("import zoo", {}, True),
        ("pass", {}, False),
        ("import zoo", {"PYTHONPATH": "plugins"}, False),
        ("import zoo", {"ZOO_PLUGINS": "vanilla"}, False),
        ("import zoo", {"NUMBA_OPT": "0"}, False),
    ],
)
def test_substitute_for_python_forks_where_a_new_process_is_the_same(program, variables, is_forked, server):
    python = command_server.substitute_python(server)
    program = f"{program}; import sys; print(sys.stdin.read(), sys.executable); sys.exit(sys.argv[1])"
    environment = {**os.environ, **runner.PLAIN, **server, **variables}
    command = [python, "-c", program, "7"]
    done = subprocess.run(command, env=environment, input="text", capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["text", python if is_forked else sys.executable]
    assert (done.stderr, done.returncode) == ("7\n", 1)
