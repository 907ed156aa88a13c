"""The public names: one table, read lazily, and the same to a type checker."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import zoo
import zoo.base
import zoo.kernels


def imported_for_checkers(module: ModuleType) -> dict[str, str]:
    """What a type checker sees: the names imported under ``if TYPE_CHECKING``, with their modules."""
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    assert [ast.unparse(block.test) for block in blocks] == ["TYPE_CHECKING"]
    return {
        alias.asname or alias.name: str(node.module)
        for node in blocks[0].body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def table(module: ModuleType) -> dict[str, str]:
    """What running programs see: the lazy table."""
    if module is zoo:
        return zoo._HOMES | dict.fromkeys((*zoo._ROOMS, *zoo._GUESTS, *zoo._SUBMODULES), "zoo")
    return {name: f"zoo.kernels.{home}" for name, home in zoo.kernels._HOMES.items()}


@pytest.mark.parametrize("module", [zoo, zoo.kernels], ids=["zoo", "zoo.kernels"])
def test_one_table(module: ModuleType) -> None:
    guests = (*zoo._GUESTS, *zoo._SUBMODULES) if module is zoo else ()
    assert module.__all__ == sorted(table(module).keys() - set(guests)), "sorted, and nothing missing"
    assert imported_for_checkers(module) == table(module)


@pytest.mark.parametrize("module", [zoo, zoo.kernels], ids=["zoo", "zoo.kernels"])
def test_every_name_resolves_to_what_its_home_defines(module: ModuleType) -> None:
    for name, home in table(module).items():
        found = getattr(module, name)
        if home == "zoo":
            assert found is importlib.import_module(f"zoo.{name}")
        else:
            assert found is getattr(importlib.import_module(home), name)
        assert found.__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("module", [zoo, zoo.kernels], ids=["zoo", "zoo.kernels"])
def test_other_names_do_not_exist(module: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018
    assert not hasattr(module, "__wrapped__")


def test_every_name_in_the_reference_resolves_in_a_new_process() -> None:
    """The deepest first, since to resolve one may import the module of another."""
    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    names = sorted(set(re.findall(r"`(zoo(?:\.\w+)+)`", page)), key=lambda name: (-name.count("."), name))
    assert {"zoo.training.Config", "zoo.base.cell_editor.CellSpec", "zoo.train"} <= set(names)
    own = [name for name in names if name.split(".")[1] not in zoo._GUESTS]  # these need another library
    code = "import sys, zoo\nfor name in sys.argv[1:]:\n    exec(name)\n"
    found = subprocess.run([sys.executable, "-c", code, *own], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


def test_dir_lists_the_public_names() -> None:
    assert dir(zoo) == zoo.__all__


def test_the_contracts_room_lists_itself() -> None:
    assert zoo.base.__all__ == sorted(zoo.base.__all__)
    assert all(hasattr(zoo.base, name) for name in zoo.base.__all__)


def test_a_star_import_works() -> None:
    space: dict[str, object] = {}
    exec("from zoo import *", space)
    assert set(zoo.__all__) <= set(space)


HEAVY = (
    "click",
    "filelock",
    "hypothesis",
    "llvmlite",
    "numba",
    "numpy",
    "pluggy",
    "pytest",
    "rich",
    "safetensors",
)


@pytest.mark.parametrize(
    ("statement", "light"),
    [
        ("import zoo", HEAVY),
        ("import zoo; zoo.Cell, zoo.Option, zoo.Card, zoo.Optimizer, zoo.Sampler, zoo.ZooError", HEAVY),
        ("import zoo; zoo.njit, zoo.kernels", HEAVY),
        ("import zoo; zoo.kernels.njit(lambda x: x)", HEAVY),
        ("import zoo; zoo.list_cells(), zoo.get_cell('vanilla')", ("numba", "llvmlite", "click", "rich")),
    ],
)
def test_imports_stay_light(statement: str, light: tuple[str, ...]) -> None:
    code = f"import sys; {statement}; print(sorted({set(light)!r} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stdout + run.stderr


def test_the_errors_of_zoo_are_of_one_family() -> None:
    errors = [name for name in zoo.__all__ if name.endswith("Error")]
    assert all(issubclass(getattr(zoo, name), zoo.ZooError) for name in errors)
    assert issubclass(zoo.ZooWarning, UserWarning)
    assert str(zoo.UnknownNameError("no cell 'x'")) == "no cell 'x'", "not its repr, as with other KeyErrors"
    builtin = {"DefinitionError": TypeError, "UsageError": ValueError, "UnknownNameError": KeyError}
    assert all(issubclass(getattr(zoo, name), base) for name, base in builtin.items())
