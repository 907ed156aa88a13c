"""``zoo new``: the new package is well formed, installs, loads, and passes its own tests."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import py_compile
import re
import shlex
import shutil
import string
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

import zoo
from zoo.base.names import check_component_name, snake_case
from zoo.cli.app import cli
from zoo.cli.commands.new import (
    check_target,
    class_name,
    module_name,
    package_files,
    package_names,
    write_directory,
)
from zoo.errors import CheckpointError, UsageError
from zoo.kernels import pure_python
from zoo.registry import load_cell_file, registry_of
from zoo.registry.hookspecs import CLASSES_BY_KIND, KINDS, hook_name
from zoo.registry.plugin_files import load_component_file
from zoo.testing import reference

ROOT = Path(zoo.__file__).parents[1]
FILES = [".gitignore", "README.md", "my_cells/__init__.py", "my_cells/my_cell.py", "pyproject.toml"]
FILES += ["test_my_cell.py"]
ALL = {kind: f"my_{kind}" for kind in KINDS}
# The longest and the shortest names: their lines must be well formed, too.
LONG = "p" * 64, {kind: kind[:3] + "x" * 61 for kind in KINDS}
SHORT = "a", {kind: chr(ord("b") + n) for n, kind in enumerate(KINDS)}


def run(*args: str) -> Result:
    runner = CliRunner(env={"ZOO_PLUGINS": ""})
    return runner.invoke(cli, ["new", *args], prog_name="zoo", catch_exceptions=False)


def process(*command: str, cwd: Path | None = None, **environ: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=os.environ | environ, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def file_names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def flags(names: dict[str, str]) -> list[str]:
    return [word for kind, name in names.items() for word in (f"--{kind}", name)]


def generate(folder: Path, project: str = "my-plugins", names: dict[str, str] | None = None) -> Path:
    files = package_files(package_names(project, ALL if names is None else names))
    write_directory(folder / project, {path: file.text for path, file in files.items()})
    return folder / project


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every test starts in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- what it writes and prints ------------------------------------------------------------------------


def test_writes_a_package_and_prints_next_steps(here):
    result = run("my-cells")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in here.iterdir()) == ["my-cells"]
    assert file_names(here / "my-cells") == FILES
    wrote, _, steps = result.output.partition("\nNext:\n")
    assert wrote.startswith("Wrote my-cells:\n")
    assert all(f"  {name} " in wrote for name in FILES)
    assert [line.strip() for line in steps.splitlines()] == [
        "pip install -e './my-cells[test]'",
        "zoo check my_cell",
        "pytest ./my-cells",
    ]


def test_cell_and_directory_flags(here):
    result = run("My.Cells", "--cell", "fast_weights", "--out", str(here / "a b"))
    assert f"pip install -e '{here}/a b[test]'\n  zoo check fast_weights\n" in result.output
    module = here / "a b" / "my_cells" / "fast_weights.py"
    assert "class FastWeights(zoo.Cell):" in module.read_text(encoding="utf-8")
    assert 'name = "My.Cells"' in (here / "a b" / "pyproject.toml").read_text(encoding="utf-8")


def test_empty_directory_is_used(here):
    (here / "my-cells").mkdir()
    assert run("my-cells").exit_code == 0
    assert file_names(here / "my-cells") == FILES


@given(st.sets(st.sampled_from(KINDS), min_size=1))
@settings(max_examples=10)
def test_each_component_has_a_module_a_test_and_an_entry_point(kinds):
    names = {kind: ALL[kind] for kind in kinds}
    files = package_files(package_names("my-plugins", names))
    modules = {f"my_plugins/{name}.py" for name in names.values()}
    tests = {f"test_{name}.py" for name in names.values()}
    others = {"pyproject.toml", "my_plugins/__init__.py", "README.md", ".gitignore"}
    assert files.keys() == modules | tests | others
    points = re.findall(r'^(\w+) = "my_plugins\.(\w+)"$', files["pyproject.toml"].text, re.MULTILINE)
    assert sorted(points) == sorted((name, name) for name in names.values())
    for kind, name in names.items():
        assert f"def {hook_name(kind)}(" in files[f"my_plugins/{name}.py"].text
        assert f"| {kind} `{name}` |" in files["README.md"].text


def test_flag_of_each_kind_and_next_steps(here):
    result = run("my-plugins", *flags(ALL))
    assert result.exit_code == 0, result.stderr
    steps = [line.strip() for line in result.output.partition("\nNext:\n")[2].splitlines()]
    assert steps[0] == "pip install -e './my-plugins[test]'"
    assert steps[1:-1] == ["zoo check block:my_block"]  # pytest checks all of them
    assert steps[-1] == "pytest ./my-plugins"


def test_imports_no_compiler(here):
    code = (
        "import sys; from zoo.cli.app import cli; cli(['new', 'my-cells'], standalone_mode=False);"
        "print(*{'numba', 'llvmlite', 'rich', 'zoo.compiler'} & {*sys.modules}, file=sys.stderr, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stderr, (here / "my-cells").is_dir()) == ("", True)


# ---- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 2, "PACKAGE is missing; expected `zoo new [OPTIONS] PACKAGE`."),
        (["my cells"], 2, "'my cells' is not a valid package name"),
        (["a/b"], 2, "--out sets the directory"),
        ([".."], 2, "'..' is not a valid package name"),
        ([""], 2, "PACKAGE is empty; give a value"),
        (["cells-"], 2, "starts and ends with a letter or digit"),
        (["zellén"], 2, "is not a valid package name"),
        (["cells\n"], 2, "'cells\\n' is not a valid package name"),
        (['x"]\nimport os\n["'], 2, "is not a valid package name"),
        (["$cell"], 2, "is not a valid package name"),
        (["3-cells"], 2, "would be the module '3_cells'; choose a name that starts with a letter"),
        (["lambda"], 2, "not a Python keyword"),
        (["c" * 65], 2, "at most 64 characters"),
        (["json"], 2, "would be the module 'json', which exists already ("),
        (["zoo"], 2, "which exists already ("),
        (["Zoo.Cells"], 2, "which exists already ("),
        (["recurrent_zoo"], 2, f"recurrent_zoo {zoo.__version__} is installed, and pip would replace it"),
        (["my-cells", "--cell", "MyCell"], 2, "the new cell: the name 'MyCell' cannot be registered"),
        (["my-cells", "--cell", "my-cell"], 2, "'my-cell' cannot be registered"),
        (["my-cells", "--cell", ""], 2, "--cell is empty"),
        (["my-cells", "--cell", "x(zoo.Cell): pass\n"], 2, "cannot be registered"),
        (["my-cells", "--cell", "none"], 2, "'none' would give the class None, a Python keyword"),
        (["my-cells", "--cell", "vanilla"], 2, "cell name 'vanilla' is taken: recurrent-zoo"),
        (["my-cells", "--cell", "any"], 2, "'any' would give the class Any, a name that its module imports"),
        (["my-cells", "--task", "callable"], 2, "would give the class Callable, a name that its module"),
        (["a", "--loss", "x", "--task", "x"], 2, "'x' is the name of a loss and a task; give each component"),
        (["test-x", "--task", "x"], 2, "would be the module 'test_x', the name of a test of the task 'x'"),
        (["my-cells", "--out", "a/b"], 2, "create it first"),
        (["my-cells", "--out", "."], 2, "is the directory you are in"),
    ],
)
def test_invalid_arguments_are_errors(args, code, words, here):
    result = run(*args)
    assert words in " ".join(result.stderr.split())
    assert result.exit_code == code
    assert list(here.iterdir()) == []  # what fails leaves nothing behind


@pytest.mark.parametrize("kind", KINDS)
def test_taken_name_of_each_kind_is_an_error(kind, here):
    registered = zoo.list_losses() if kind == "loss" else registry_of(CLASSES_BY_KIND[kind]).list()
    result = run("my-plugins", f"--{kind}", registered[0])
    words = f"Error: {kind} name {registered[0]!r} is taken: "
    assert (result.exit_code, result.stderr[: len(words)]) == (2, words)
    assert result.stderr.endswith(f" registered it; choose another with --{kind}.\n")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("project", "module"), [("My-Cells", "my_cells"), ("a.-_b", "a_b"), ("zoo_leaky2", "zoo_leaky2")]
)
def test_module_name_is_lower_snake_case(project, module):
    assert module_name(project) == module


@pytest.mark.parametrize(
    ("project", "cell"), [("my-cells", "my_cell"), ("cells", "cell"), ("supercells", "supercells")]
)
def test_default_cell_name_is_that_of_the_package(project, cell):
    assert [(each.kind, each.name) for each in package_names(project, {}).components] == [("cell", cell)]


@given(st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True))
@example("peephole_lstm")
@example("a_b_cd")
@example("a_1")
@example("my__cell_")
def test_class_name_follows_the_cell(cell):
    try:
        check_component_name(cell, "it")
    except TypeError:
        return  # a keyword
    if cell not in ("none", "true", "false"):
        assert snake_case(class_name(cell)) == cell


@given(st.text(max_size=20) | st.text(string.ascii_letters + string.digits + "-_.", max_size=70))
def test_names_are_identifiers_or_errors(project):
    try:
        module = module_name(project)
    except UsageError:
        return
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", module)
    compile(f"import {module}", "it", "exec")


# ---- whole or not at all ------------------------------------------------------------------------------


def test_nothing_is_overwritten(here):
    (here / "my-cells").mkdir()
    (here / "my-cells" / "thesis.tex").write_text("years of work", encoding="utf-8")
    result = run("my-cells")
    assert "Error: my-cells is not empty, and nothing is overwritten" in result.stderr
    assert result.exit_code == 2
    assert [path.name for path in here.rglob("*")] == ["my-cells", "thesis.tex"]


def test_existing_package_is_not_changed_and_the_error_names_the_lines_to_add(here):
    package = generate(here)
    before = {path: path.read_bytes() for path in package.rglob("*") if path.is_file()}
    result = run("my-plugins", "--loss", "focal", "--task", "count")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: my-plugins is not empty, and nothing is overwritten; choose another with --out. To add to "
        "the package there, copy my-plugins-new/my_plugins/focal.py to my-plugins/my_plugins, "
        "copy my-plugins-new/test_focal.py to my-plugins, "
        'write `focal = "my_plugins.focal"` below [project.entry-points.zoo] in my-plugins/pyproject.toml, '
        "copy my-plugins-new/my_plugins/count.py to my-plugins/my_plugins, "
        "copy my-plugins-new/test_count.py to my-plugins, "
        'write `count = "my_plugins.count"` below [project.entry-points.zoo] in my-plugins/pyproject.toml. '
        "This command writes the files to copy: "
        "`zoo new my-plugins --loss focal --task count --out my-plugins-new`.\n"
    )
    assert before == {path: path.read_bytes() for path in package.rglob("*") if path.is_file()}


def advised_command(result: Result) -> list[str]:
    return shlex.split(result.stderr.rstrip("`.\n").rpartition("`zoo new ")[2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("out", ["a b", "p", "."])
def test_advised_files_can_be_added(kind, out, here, monkeypatch):
    """Also for a command with the name of another package."""
    package = generate(here, "p", {"cell": "own"}).rename(here / out) if out != "." else generate(here, "p")
    if out == ".":
        monkeypatch.chdir(package)
    command = advised_command(run("other", f"--{kind}", "extra", "--out", out))
    assert run(*command).exit_code == 0
    new = Path(command[-1])
    assert command[0] == "p"
    assert "from p.extra import" in (new / "test_extra.py").read_text(encoding="utf-8")
    assert (new / "p" / "extra.py").is_file()


@pytest.mark.parametrize("file", ["my_plugins/focal.py", "test_focal.py"])
def test_component_that_the_package_has_gets_no_advice(file, here):
    (generate(here) / file).write_text("years of work", encoding="utf-8")
    result = run("my-plugins", "--loss", "focal")
    assert result.stderr == (
        "Error: my-plugins is not empty, and nothing is overwritten; choose another with --out. The package "
        "there already has focal; choose another name.\n"
    )


@pytest.mark.parametrize(
    "text", ["", "[project", "project = 1", "[project]\nname = 1", '[project]\nname="q"']
)
def test_directory_with_another_project_gets_no_advice(text, here):
    (generate(here, "p", {"cell": "own"}) / "pyproject.toml").write_text(text)
    assert run("p", "--loss", "focal").stderr.endswith("choose another with --out.\n")


def test_component_of_an_installed_package_is_written_elsewhere(here, monkeypatch):
    """The package was installed with ``pip install -e``."""
    source = generate(here, "p", {"cell": "own"})
    (here / "site" / "p-0.1.dist-info").mkdir(parents=True)
    record = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (here / "site" / "p-0.1.dist-info" / "direct_url.json").write_text(json.dumps(record))
    (here / "site" / "p-0.1.dist-info" / "METADATA").write_text("Name: p\nVersion: 0.1\n")
    monkeypatch.syspath_prepend(str(here / "site"))
    monkeypatch.syspath_prepend(str(source))
    refused = run("p", "--loss", "focal", "--out", "p").stderr
    assert "To add to the package there, copy" in refused
    result = run(*advised_command(run("p", "--loss", "focal")))
    assert "is not empty" not in result.stderr
    result = run("p", "--loss", "more", "--out", "elsewhere")
    assert result.output.partition("Next:\n")[2].splitlines() == [
        f"  copy elsewhere/p/more.py to {source}/p",
        f"  copy elsewhere/test_more.py to {source}",
        f'  write `more = "p.more"` below [project.entry-points.zoo] in {source}/pyproject.toml',
    ]
    source.rename(here / "q")
    result = run("p", "--loss", "focal")
    assert "p 0.1 is installed, and pip would replace it; choose another name." in result.stderr


def test_file_is_not_replaced(here):
    (here / "my-cells").write_text("years of work", encoding="utf-8")
    assert "Error: my-cells is a file; choose another directory" in run("my-cells").stderr
    assert (here / "my-cells").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("stop", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", range(len(FILES)))
def test_failure_leaves_nothing(here, monkeypatch, stop, at):
    texts = [file.text for file in package_files(package_names("my-cells", {})).values()]
    original = Path.write_text

    def write_text(self: Path, data: str, **how: str) -> int:
        if data == texts[at]:
            original(self, data[:9], **how)
            raise stop
        return original(self, data, **how)

    monkeypatch.setattr(Path, "write_text", write_text)
    assert run("my-cells").exit_code in (1, 130)
    assert list(here.iterdir()) == []


def test_directory_filled_meanwhile_is_kept(here, monkeypatch):
    target = here / "my-cells"
    original = Path.rmdir

    def rmdir(self: Path) -> None:
        (target / "thesis.tex").touch()
        original(self)

    target.mkdir()
    monkeypatch.setattr(Path, "rmdir", rmdir)
    with pytest.raises(CheckpointError, match=r"cannot write .*my-cells: directory not empty"):
        write_directory(target, {"a": "b"})
    assert [path.name for path in here.rglob("*")] == ["my-cells", "thesis.tex"]


def test_directory_that_permits_no_files_is_named(here, monkeypatch):
    def mkdir(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))  # the error in /proc

    monkeypatch.setattr(Path, "mkdir", mkdir)
    result = run("my-cells")
    assert result.exit_code == 1
    assert f"cannot write {here / 'my-cells'}: its directory permits no new files." in result.stderr
    assert "choose a directory that you can write to." in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_link_to_an_empty_directory_is_followed(here):
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    write_directory(here / "link", {"a": "b"})
    assert (here / "link").is_symlink()
    assert (here / "real" / "a").read_text(encoding="utf-8") == "b"
    with pytest.raises(UsageError, match="not empty"):
        check_target(here / "link")


# ---- what it wrote ------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("my-cells", {}), LONG, SHORT], ids=lambda names: names[0][:9])
def test_files_are_well_formed(here, names):
    package = generate(here, *names)
    for file in package.rglob("*.py"):
        py_compile.compile(str(file), doraise=True, cfile=str(here / "compiled"))
    for command in (
        ["check", "--no-cache"],
        ["check", "--no-cache", "--select=I"],
        ["format", "--no-cache", "--check"],
    ):
        process(sys.executable, "-m", "ruff", *command, "--isolated", ".", cwd=package)
    assert not any("$" in file.read_text(encoding="utf-8") for file in package.rglob("*") if file.is_file())


def test_files_pass_mypy(here):
    process(sys.executable, "-m", "mypy", "--config-file=", "--strict", ".", cwd=generate(here))


def test_modules_load_as_plugins(here):
    folder = generate(here) / "my_plugins"
    modules = [str(folder / f"{name}.py") for name in ALL.values()]
    script = (
        "import zoo.registry, sys\n"
        "for module in sys.argv[1:]:\n"
        "    record = zoo.registry.load_plugin_file(module)\n"
        "    print(record.status, *record.provides)\n"
    )
    printed = process(sys.executable, "-c", script, *modules, ZOO_PLUGINS="")
    assert printed.splitlines() == [f"loaded {kind} {name}" for kind, name in ALL.items()]


def test_step_equals_the_documented_equation(here):
    cell = load_cell_file(f"{generate(here) / 'my_plugins' / 'my_cell.py'}:MyCell")(leak=0.2)
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape) for name, shape in cell.param_shapes(3, 4).items()}
    x, h = rng.standard_normal((5, 2, 3)), rng.standard_normal((2, 4))
    y, last = reference.run_sequence(cell, arrays, x, {"h": h})
    for now, output in zip(x, y, strict=True):
        h = 0.8 * h + 0.2 * np.tanh(now @ arrays["Wx"] + h @ arrays["Wh"] + arrays["b"])
        np.testing.assert_allclose(output, h, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(last["h"], h, rtol=1e-12, atol=1e-14)


def test_loss_is_least_at_the_expectile(here):
    loss = load_component_file(f"{generate(here) / 'my_plugins' / 'my_loss.py'}:MY_LOSS").with_options(
        level=0.8
    )
    targets = np.random.default_rng(0).exponential(size=50)
    grid = np.linspace(0, 4, 801)
    with pure_python():
        means = [np.mean([loss.row_loss(np.array([o]), np.array([t]), 0.8) for t in targets]) for o in grid]
    best = grid[np.argmin(means)]
    # Newey & Powell 1987: 0.8 of the distances to an expectile lie above it.
    above, below = np.maximum(targets - best, 0).sum(), np.maximum(best - targets, 0).sum()
    assert 0.8 * above == pytest.approx(0.2 * below, rel=0.02)


def test_constraint_scales_columns_down_to_the_limit(here):
    path = generate(here) / "my_plugins" / "my_constraint.py"
    constraint = load_component_file(f"{path}:MyConstraint")(limit=2.0)
    values = np.random.default_rng(0).normal(size=(6, 20)) * np.linspace(0, 3, 20)
    before = values.copy()
    constraint.project(values, before)
    norms, now = np.linalg.norm(before, axis=0), np.linalg.norm(values, axis=0)
    np.testing.assert_allclose(now, np.minimum(norms, 2.0))
    np.testing.assert_allclose(values * norms, before * now, atol=1e-12)  # the direction stays
    with pytest.raises(
        UsageError, match=r"constraint 'my_constraint': b has the shape \(4,\); choose a matrix"
    ):
        constraint.check("b", (4,))


def test_task_asks_for_the_order_of_two_tokens(here):
    task = load_component_file(f"{generate(here) / 'my_plugins' / 'my_task.py'}:MyTask")(length=20)
    batch = task.batch(0, 200)
    for tokens, classes in zip(batch.inputs.T, batch.targets.T, strict=True):
        (first, second), marks = np.flatnonzero(tokens >= 4), tokens[tokens >= 4]
        assert 2 <= first < 4
        assert 10 <= second < 12
        assert classes[-1] == 2 * (marks[0] == 5) + (marks[1] == 5)
    assert {*batch.targets[-1].tolist()} == {0, 1, 2, 3}


# ---- installed ----------------------------------------------------------------------------------------


def test_source_distribution_holds_no_runs(here):
    """``zoo train`` and tests in the folder of the package leave files that nobody should upload."""
    package = generate(here)
    written = file_names(package)
    for left in ("runs/a/config.json", "my_plugins/__pycache__/my_cell.cpython-311.pyc", "notes.txt"):
        (package / left).parent.mkdir(parents=True, exist_ok=True)
        (package / left).write_text("{}", encoding="utf-8")
    process(
        *(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(here / "dist")), cwd=package
    )
    (archive,) = (here / "dist").iterdir()
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert names == {*written, "PKG-INFO"}


def wheel(source: Path, out: Path) -> Path:
    process(*(sys.executable, "-m", "build", "--wheel", "--no-isolation"), "--outdir", str(out), str(source))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def installed(package, tmp_path_factory):
    """A folder into which the package's wheel was installed, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    process(*pip, "--target", str(folder / "site"), str(wheel(package, folder / "dist")))
    return folder / "site"


def test_installed_package_is_discovered(installed):
    listing = process(sys.executable, "-m", "zoo", "plugins", PYTHONPATH=str(installed))
    rows = [line.split() for line in listing.splitlines()]
    for kind, name in ALL.items():
        assert [name, "my-plugins", "0.1.0", "loaded", kind, name] in rows
    modules = {"__init__.py", *(f"{name}.py" for name in ALL.values())}
    assert {path.name for path in installed.rglob("*.py")} == modules
    (distribution,) = importlib.metadata.distributions(name="my-plugins", path=[str(installed)])
    assert f"recurrent-zoo>={zoo.__version__}" in (distribution.requires or [])
    assert any("recurrent-zoo[testing]" in need and "test" in need for need in distribution.requires or [])


def test_installed_package_passes_its_tests(package, installed, tmp_path):
    for test in package.glob("test_*.py"):
        shutil.copy(test, tmp_path)
    options = ["-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    # Plain Python, the source of the kernels: compiling a cell eight times takes 12 s of a processor.
    # Installed kernels are compiled in test_example_plugin.py, a leaky step by the laws of leaky_rnn. The two
    # laws that are left out take 58 of the 74 s of a block.
    options += ["-k", "not check_large_sizes and not check_learns"]
    surroundings = {"PYTHONPATH": str(installed), "ZOO_TEST_EXAMPLES": "1", "NUMBA_DISABLE_JIT": "1"}
    printed = process(sys.executable, "-m", "pytest", *options, **surroundings)
    assert re.search(r"\d+ passed, 7 skipped, 6 deselected in ", printed), printed  # laws of compiled kernels
