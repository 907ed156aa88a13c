"""The public names: listed once, imported lazily, and declared in stubs for type checkers."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import get_origin

import public_stubs
import pytest

import zoo
import zoo.base
from zoo._lazy import attach
from zoo.errors import UsageError

OPTIONAL = {"zoo.darts", "zoo.jax", "zoo.sklearn", "zoo.sktime", "zoo.torch"}


@pytest.mark.parametrize("package", public_stubs.PACKAGES)
def test_stub_agrees_with_the_table(package: str) -> None:
    stub = public_stubs.stub_path(package).read_text(encoding="utf-8")
    assert stub == public_stubs.stub_text(package), "run python tests/support/public_stubs.py"


@pytest.mark.parametrize("package", public_stubs.PACKAGES)
def test_all_and_dir_list_the_exported_names(package: str) -> None:
    module = importlib.import_module(package)
    names = [name for names in module._EXPORTS.values() for name in names.split()]
    names += getattr(module, "_SUBMODULES", "").partition("|")[0].split()
    assert len(names) == len(set(names))
    assert module.__all__ == dir(module) == sorted(names)


@pytest.mark.parametrize("package", [name for name in public_stubs.PACKAGES if name not in OPTIONAL])
def test_every_public_name_resolves_to_its_definition(package: str) -> None:
    module = importlib.import_module(package)
    for name in getattr(module, "_SUBMODULES", "").replace("|", " ").split():
        assert getattr(module, name) is importlib.import_module(f"{package}.{name}")
    for source, names in module._EXPORTS.items():
        for name in names.split():
            value = getattr(module, name)
            assert value is getattr(importlib.import_module(f"{package}.{source}"), name)
            assert value.__doc__ or get_origin(value), f"{name} has no docstring, and is not a type alias"


@pytest.mark.parametrize("package", public_stubs.PACKAGES)
def test_other_names_do_not_exist(package: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018
    assert not hasattr(module, "__wrapped__")


def test_missing_library_is_named_with_its_extra() -> None:
    get_attribute, _, names = attach("zoo.nolibrary", {"estimators": "Estimator"}, library="NoLibrary")
    assert names == ["Estimator"]
    with pytest.raises(UsageError, match=r"^zoo\.nolibrary needs NoLibrary; pip install 'recurrent-zoo\[nol"):
        get_attribute("Estimator")


def test_every_name_in_the_reference_resolves_in_a_new_process() -> None:
    """The deepest first, since to resolve one may import the module of another."""
    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    names = sorted(set(re.findall(r"`(zoo(?:\.\w+)+)`", page)), key=lambda name: (-name.count("."), name))
    assert {"zoo.training.Config", "zoo.base.modifier.CellDeclarations", "zoo.train"} <= set(names)
    own = [
        name for name in names if ".".join(name.split(".")[:2]) not in OPTIONAL
    ]  # these need another library
    code = "import sys, zoo\nfor name in sys.argv[1:]:\n    exec(name)\n"
    process = subprocess.run([sys.executable, "-c", code, *own], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


def test_base_classes_are_listed_in_order() -> None:
    assert zoo.base.__all__ == sorted(zoo.base.__all__)
    assert all(hasattr(zoo.base, name) for name in zoo.base.__all__)


def test_star_import_works() -> None:
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


def test_errors_derive_from_zoo_error() -> None:
    errors = [name for name in zoo.__all__ if name.endswith("Error")]
    assert all(issubclass(getattr(zoo, name), zoo.ZooError) for name in errors)
    assert issubclass(zoo.ZooWarning, UserWarning)
    assert str(zoo.UnknownNameError("no cell 'x'")) == "no cell 'x'", "not its repr, as with other KeyErrors"
    builtin = {"DefinitionError": TypeError, "UsageError": ValueError, "UnknownNameError": KeyError}
    assert all(issubclass(getattr(zoo, name), base) for name, base in builtin.items())
