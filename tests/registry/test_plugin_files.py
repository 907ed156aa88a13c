"""Cells and plugins in single files, and the four things that mean a cell."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

import zoo
from zoo.registry import load_cell_file, load_loss_file, load_plugin_file, loader, plugins, resolve_cell
from zoo.registry.loader import Loader

CELL = '''
import zoo

@zoo.njit
def forward(params, x, state, slow):
    return x, state, ()

@zoo.njit
def backward(params, x, state, tape, dy, dlast, slow):
    return dy, dlast, params

class Mine(zoo.Cell):
    """A cell in a file."""
    card = zoo.Card(title="A test", authors="Nobody", year=2026, url="https://example.org")
    W = zoo.Param("H", "H")
    h = zoo.State("H")
    slow = zoo.Option(0.5)
    forward = forward
    backward = backward

class Base(zoo.Cell, abstract=True):
    pass

number = 3
'''
HOOK = """
@zoo.hookimpl
def zoo_register_cells(register):
    register(Mine)
"""


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    """A process without plugins that may write bytecode, and whose file modules are forgotten afterwards."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(loader, "LOADER", Loader(discover=lambda: (), environ={}))
    yield
    for name in [name for name in sys.modules if name.startswith("zoo_file_")]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_plugin_file_registers_components_of_hooks(write):
    path = write(CELL + HOOK)
    record = load_plugin_file(path)
    assert (record.name, record.status, record.provides) == (str(path), "loaded", ("cell mine",))
    assert plugins() == (record,)
    assert zoo.get_cell("mine", slow=0.1).slow == 0.1
    assert load_plugin_file(str(path)) is record  # again: nothing happens
    assert plugins() == (record,)


def test_plugin_file_may_use_the_decorator(write):
    record = load_plugin_file(write(CELL.replace("class Mine", "@zoo.register_cell\nclass Mine")))
    assert record.provides == ("cell mine",)


def test_kernels_of_file_have_source(write):
    path = write(CELL)
    cell = load_cell_file(f"{path}:Mine")
    assert sys.modules[cell.__module__].Mine is cell
    assert inspect.getsource(cell).startswith("class Mine(zoo.Cell):")
    assert Path(inspect.getfile(cell.kernel("forward").py_func)) == path
    assert len(cell.source_digest()) == 64
    assert not (path.parent / "__pycache__").exists()


def test_edited_file_is_read_anew(write):
    before = load_cell_file(f"{write(CELL)}:Mine")
    after = load_cell_file(f"{write(CELL.replace('0.5', '0.7'))}:Mine")
    assert (before().slow, after().slow) == (0.5, 0.7)
    assert load_cell_file(f"{write(CELL)}:Mine") is before


HELPERS = {"parts_of_mine.py": "SCALE = 2\n", "pkg_of_mine/__init__.py": "", "pkg_of_mine/deep.py": "K = 1\n"}


@pytest.fixture
def helpers(write, tmp_path, monkeypatch):
    """Modules in the folder of the file, which it can import."""
    (tmp_path / "pkg_of_mine").mkdir()
    for name, text in HELPERS.items():
        write(text, name)
    write("import parts_of_mine\nfrom pkg_of_mine.deep import K\n", "more_of_mine.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if "_of_mine" in name]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("imports", "reached"),
    [
        ("import parts_of_mine", ["parts_of_mine.py"]),
        ("from parts_of_mine import SCALE", ["parts_of_mine.py"]),
        ("from pkg_of_mine import deep", ["pkg_of_mine/__init__.py", "pkg_of_mine/deep.py"]),
        ("import pkg_of_mine.deep", ["pkg_of_mine/__init__.py", "pkg_of_mine/deep.py"]),
        ("import more_of_mine", list(HELPERS)),
        ("import json", []),
    ],
)
def test_digest_covers_imports_from_the_own_folder(write, helpers, imports, reached):
    cell = load_cell_file(f"{write(f'{imports}{chr(10)}{CELL}')}:Mine")
    digest = cell.source_digest()
    for name, text in HELPERS.items():
        write(f"# a comment\n{text}", name)
        assert cell.source_digest() == digest
        write(f"{text}x = 3\n", name)
        assert (cell.source_digest() != digest) == (name in reached)
        write(text, name)
    assert cell.source_digest() == digest


def test_two_files_of_one_name_are_two_modules(write, tmp_path):
    (tmp_path / "other").mkdir()
    first = load_cell_file(f"{write(CELL)}:Mine")
    second = load_cell_file(f"{write(CELL, 'other/mine.py')}:Mine")
    assert first is not second


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{}:Mien", zoo.UsageError, "has no class 'Mien'; its cells are Mine. Did you mean 'Mine'?"),
        ("{}:number", zoo.DefinitionError, "mine.py:number cannot be used: 3 is not a class"),
        ("{}:Base", zoo.DefinitionError, "is abstract"),
        ("{}:zoo", zoo.DefinitionError, "is not a class"),
        ("{}", zoo.UsageError, "mine.py' does not name a class in a file; write it as {}:MyCell."),
        ("{}:", zoo.UsageError, "mine.py:' does not name a class in a file; write it as {}:MyCell."),
        ("{}:a:Mine", zoo.UsageError, "does not name a class in a file; write it as path/to/file.py:MyCell."),
        ("nowhere.py:Mine", zoo.UsageError, "nowhere.py: no such file or directory"),
    ],
)
def test_invalid_file_specs_raise(write, text, error, message):
    path = write(CELL)
    with pytest.raises(error) as caught:
        resolve_cell(text.format(path))
    assert message.format(path) in str(caught.value)


def test_file_without_cells_raises(write):
    with pytest.raises(zoo.UsageError, match="has no class 'Mine'; it defines no cell"):
        load_cell_file(f"{write('x = 1')}:Mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import zoo\n\nnumpi.zeros(3)\n", "NameError: name 'numpi' is not defined (mine.py, line 3)"),
        (
            "import nowhere_to_be_found\n",
            "ModuleNotFoundError: No module named 'nowhere_to_be_found' (mine.py, line 1)",
        ),
        ("def f(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("import sys\nsys.exit(4)\n", "SystemExit: 4 (mine.py, line 2)"),
        ("x = '\0'\n", "source code string cannot contain null bytes"),
        ("import zoo\nclass A(zoo.Cell):\n    pass\n", "cell class A ("),
        ("import zoo\nclass A(zoo.Cell):\n    pass\n", "(mine.py, line 2)"),
    ],
)
@pytest.mark.parametrize("load", [lambda path: load_cell_file(f"{path}:A"), load_plugin_file])
def test_failing_import_names_line(write, load, text, message):
    before = set(sys.modules)
    with pytest.raises(zoo.PluginError) as caught:
        load(write(text))
    assert message in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "zoo_file" not in " ".join(set(sys.modules) - before)
    assert plugins() == ()


@pytest.mark.parametrize("sibling", ["parts_of_mine.py", "parts_of_mine/__init__.py"])
@pytest.mark.parametrize("load", [lambda path: load_cell_file(f"{path}:A"), load_plugin_file])
def test_import_from_own_folder_names_the_remedy(write, load, sibling, tmp_path):
    (tmp_path / sibling).parent.mkdir(exist_ok=True)
    write("x = 1\n", sibling)
    with pytest.raises(zoo.PluginError) as caught:
        load(write("from parts_of_mine import norm\n"))
    advice = f"parts_of_mine is in the folder of this file; add {tmp_path} to PYTHONPATH to import it"
    assert str(caught.value).endswith(f"(mine.py, line 1). {advice}")


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("import parts_of_mine\n", ["parts_of_mine.txt"]),
        ("import parts_of_mine\n", ["parts_of_mine.py", "__init__.py"]),  # a package imports `.parts_of_mine`
        ("import json.parts_of_mine\n", ["parts_of_mine.py", "json.py"]),
    ],
)
def test_other_missing_modules_get_no_advice(write, text, files):
    for name in files:
        write("", name)
    with pytest.raises(zoo.PluginError) as caught:
        load_plugin_file(write(text))
    assert str(caught.value).endswith("(mine.py, line 1)")


def test_fixed_plugin_file_can_be_reloaded(write):
    with pytest.raises(
        zoo.PluginError, match=r"plugin .*mine\.py cannot be loaded: it registers nothing; add a function"
    ):
        load_plugin_file(write(CELL))
    assert load_plugin_file(write(CELL + HOOK)).provides == ("cell mine",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.txt", "is not a Python file"),
        (".", "is not a Python file"),
        ("a.py", "no such file"),
    ],
)
def test_plugin_file_must_be_one(tmp_path, name, message):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(zoo.UsageError, match=message):
        load_plugin_file(tmp_path / name)


def test_directory_as_file_raises(tmp_path):
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(zoo.UsageError, match="no such file or directory"):
        load_plugin_file(tmp_path / "folder.py")


def test_file_cannot_take_registered_name(write):
    load_plugin_file(write(CELL + HOOK))
    with pytest.raises(
        zoo.PluginError,
        match=r"cell name 'mine' is taken: .*mine\.py registered it, and .*other\.py registers",
    ):
        load_plugin_file(write(CELL + HOOK, "other.py"))


def test_resolve_cell_accepts_four_forms(write):
    path = write(CELL + HOOK)
    load_plugin_file(path)
    mine = load_cell_file(f"{path}:Mine")
    instance = mine(slow=0.25)
    assert resolve_cell("mine", slow=0.25) == instance
    assert resolve_cell(f"{path}:Mine", slow=0.25) == instance
    assert resolve_cell(mine, slow=0.25) == instance
    assert resolve_cell(instance) is instance


def test_path_with_a_comma_is_one_cell(tmp_path):
    folder = tmp_path / "a,b"
    folder.mkdir()
    (folder / "mine.py").write_text(CELL, encoding="utf-8")
    assert resolve_cell(f"{folder / 'mine.py'}:Mine").name == "mine"


@pytest.mark.parametrize("name", ["lstm,gru", "2*lstm", "(lstm,gru)", "2*prenorm(lstm),prenorm(gru)"])
def test_stacks_of_the_command_line_are_lists_in_python(name):
    with pytest.raises(
        zoo.UsageError, match=r"is several layers; expected one cell.* take a list with a cell for each"
    ):
        resolve_cell(name)


def test_resolve_cell_rejects_other_values(write):
    mine = load_cell_file(f"{write(CELL)}:Mine")
    with pytest.raises(zoo.UsageError, match=r"Mine\(slow=0.5\) has its options already; found slow besides"):
        resolve_cell(mine(), slow=1.0)
    with pytest.raises(zoo.UsageError, match="cell is 7; expected the name of a cell"):
        resolve_cell(7)
    with pytest.raises(zoo.DefinitionError, match="is abstract"):
        resolve_cell(zoo.Cell)
    with pytest.raises(
        zoo.UnknownNameError,
        match=r"unknown cell 'mine'\. No cell is registered\.",
    ):
        resolve_cell("mine")


def test_loss_file_is_a_plugin_with_one_loss(write, own_registry):
    text = """
import zoo
from zoo.kernels.losses import BUILT_IN_LOSSES

kernels = BUILT_IN_LOSSES["absolute_error"]
MINE = zoo.Loss("mine", kernels.row_loss, kernels.row_loss_and_grad, block=kernels.block)
"""
    path = write(text)
    with pytest.raises(zoo.UnknownNameError):
        zoo.get_loss(f"{path}:MINE")  # the name in a run, which never loads a file
    assert load_loss_file(f"{path}:MINE") == zoo.get_loss("mine")
    record = load_plugin_file(f"{path}:MINE")  # again: nothing happens
    assert (record.provides, plugins()[-1]) == (("loss mine",), record)
    with pytest.raises(zoo.UsageError, match=r"has no loss 'MIEN'; its losses are .*Did you mean 'MINE'"):
        load_loss_file(f"{path}:MIEN")
    path = write(text.replace('"mine"', '"huber"'))
    with pytest.raises(zoo.PluginError, match="loss name 'huber' is taken"):
        load_loss_file(f"{path}:MINE")
