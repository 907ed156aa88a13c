"""The page about the architecture is true, no modules import each other in a cycle, and names are clear."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


def test_named_files_exist():
    files = re.findall(r"\b(?:zoo|plugins|tests|tools)/[\w/]+(?:\.py|/)", PAGE)
    assert len(files) > 40
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_package_is_named():
    packages = {file.parent.name for file in (ROOT / "zoo").glob("*/__init__.py")}
    assert {name for name in packages if f"`zoo.{name}`" not in PAGE} == set()


def test_picture_has_every_package_and_no_other():
    packages = {file.parent.name for file in (ROOT / "zoo").glob("*/__init__.py")}
    texts = re.findall(r">([^<\n]+)</text>", (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8"))
    folders = set(re.findall(r"\b(\w+)/", " ".join(texts)))
    built_on_core = set(texts[texts.index("Built on the core, which never imports them") + 1 :])
    subpackages = {"frontend", "passes", "schedule", "codegen"}
    assert folders - subpackages | built_on_core == packages


def test_levels_equal_those_of_import_linter():
    (layers,) = (contract["layers"] for contract in CONTRACT["contracts"] if contract["type"] == "layers")
    checked = re.findall(r"zoo\.\w+", " ".join(layers))
    table = PAGE.partition("| level | packages |")[2].partition("\n\n")[0]
    named = re.findall(r"`(zoo\.\w+)`", table)
    assert [name for name in checked if name in named] == named


def test_no_import_cycles():
    """Imports in functions count; those under ``TYPE_CHECKING`` never run."""
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())
    files = {_module_name(file): file for file in sorted((ROOT / "zoo").rglob("*.py"))}
    imports = {name: set(_imports(_tree(file))) for name, file in files.items()}
    graph = {name: {_defining_module(used, files) for used in imports[name]} - {name, ""} for name in files}
    assert "zoo.registry.isolation" in graph["zoo.registry.loader"]  # an import in a function
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError with the modules of the cycle
    assert len(order) == len(files)


def test_class_names_have_one_meaning():
    """In other frameworks, adapters have the names of what they adapt."""
    files = defaultdict(list)
    for file in sorted((ROOT / "zoo").rglob("*.py")):
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.ClassDef):
                files[node.name].append(file.relative_to(ROOT / "zoo").as_posix())
    assert {name: places for name, places in files.items() if len(places) > 1} == {
        "Recurrent": ["layers/recurrent.py", "torch/recurrent.py"],
        "RecurrentFunction": ["jax/recurrent_function.py", "torch/autograd_functions.py"],
    }


def test_imports_by_name_are_described():
    """Import-linter does not see a module that is imported by its name."""
    by_name = {
        (file.relative_to(ROOT).as_posix(), module)
        for file in (ROOT / "zoo").rglob("*.py")
        for module in re.findall(r'import_module\("(zoo[.\w]*)"\)', file.read_text(encoding="utf-8"))
    }
    assert by_name == {
        ("zoo/_lazy.py", "zoo.base.names"),
        ("zoo/_lazy.py", "zoo.registry"),
        ("zoo/base/loss.py", "zoo.kernels.losses"),
        ("zoo/base/loss.py", "zoo.registry"),
        ("zoo/model/model.py", "zoo.training.fit"),
        ("zoo/model/sequence_model.py", "zoo.training.readout_fit"),
    }
    described = PAGE.partition("import a module further up by its name")[2].partition("| level |")[0]
    assert all(f"`{file}`" in described and f"`{module}`" in described for file, module in by_name)


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(node: ast.AST):
    """Names such as ``zoo.cli.format`` or ``zoo.errors.ZooError`` that the code imports."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        if isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child)


def _defining_module(name: str, files: dict[str, Path]) -> str:
    """The module of an imported name; empty for other packages."""
    return next((module for module in (name, name.rpartition(".")[0]) if module in files), "")
