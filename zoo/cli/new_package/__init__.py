"""The names in a new package. They become code, so each is checked before any text is made from it.

The files of a new package, made from the templates beside this module.

A directory that appears whole or not at all, and never in the place of somebody's files.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from string import Template

import zoo
from zoo.arguments import real_path
from zoo.base import Cell
from zoo.base.names import check_component_name, snake_case
from zoo.errors import UsageError
from zoo.registry import registry_of

_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508, "Names"

_MODULE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class PackageNames:
    """All names in a package.

    Args:
        project: What pip installs, ``my-cells``.
        module: What Python imports, ``my_cells``.
        cell: What zoo calls the cell, ``my_cell``.
        class_name: Its class, ``MyCell``.
    """

    project: str
    module: str
    cell: str
    class_name: str


def package_names(project: str, cell: str | None = None) -> PackageNames:
    """The names of a new package, checked.

    Args:
        project: Name of the package, as pip will know it.
        cell: Registry name of its cell; by default the module's, a last word ``cells`` made ``cell``.

    Raises:
        UsageError: if no package can be called so, nothing can be imported under the name, or it is taken.
        DefinitionError: if no cell can be called so.
    """
    module = module_name(project)
    _check_free(project, module)
    cell = re.sub(r"(^|_)cells$", r"\1cell", module) if cell is None else cell
    check_component_name(cell, "the new cell")
    _check_cell_free(cell)
    return PackageNames(project, module, cell, class_name(cell))


def module_name(project: str) -> str:
    """The module of a package: ``My-Cells`` becomes ``my_cells``.

    Raises:
        UsageError: if no package can be called so, or Python could not import the module.
    """
    if not _PROJECT.fullmatch(project):
        raise UsageError(
            f"{project!r} cannot name a package; a name is letters, digits, '-', '_' and '.', and starts and "
            f"ends with a letter or digit, as in 'my-cells'. --dir says where the package goes."
        )
    module = re.sub(r"[-_.]+", "_", project).lower()
    if not _MODULE.fullmatch(module) or keyword.iskeyword(module):
        raise UsageError(
            f"package {project!r} would be the module {module!r}; choose a name that starts with a letter, "
            f"is at most 64 long and no Python keyword, as in 'my-cells'."
        )
    return module


def class_name(cell: str) -> str:
    """The class whose registry name is ``cell``: ``peephole_lstm`` becomes ``PeepholeLstm``.

    Raises:
        UsageError: if the class would be a keyword of Python.
    """
    words = [word.capitalize() for word in cell.split("_")]
    name = "".join(words) if snake_case("".join(words)) == cell else "_".join(words)
    if keyword.iskeyword(name):
        raise UsageError(f"cell {cell!r} would be the class {name}, a Python keyword; choose another name.")
    return name


def _check_free(project: str, module: str) -> None:
    """Refuse what would replace an installed package, or be hidden by a module that is there."""
    try:
        version = metadata.version(project)
    except metadata.PackageNotFoundError:
        pass
    else:
        raise UsageError(
            f"package {project!r}: {project} {version} is installed, and pip would replace it; choose "
            f"another name."
        )
    found = importlib.util.find_spec(module)
    if found is not None and found.origin is not None:  # without an origin it is a mere folder
        raise UsageError(
            f"package {project!r} would be the module {module!r}, which there is already ({found.origin}); "
            f"choose another name."
        )


def _check_cell_free(cell: str) -> None:
    registry = registry_of(Cell)
    if cell in registry.list():
        raise UsageError(
            f"cell name {cell!r} is taken: {registry.source(cell)} registered it; choose another with --cell."
        )


# Path in the package -> its template, and what the file is. Both texts are filled in.
_FILES = {
    "pyproject.toml": ("pyproject.toml", "the package, and the entry point by which zoo finds it"),
    "$module.py": ("module.py", "the cell $cell; change its equations into yours"),
    "test_$module.py": ("test.py", "the laws that every cell obeys"),
    "README.md": ("README.md", "what is in the package, and how to use it"),
}


@dataclass(frozen=True)
class PackageFile:
    """The text of a file, and what it is, in one line."""

    text: str
    about: str


def package_files(names: PackageNames) -> dict[str, PackageFile]:
    """Every file of a package under its path, in the order in which one reads them.

    Args:
        names: Checked names: they are filled in as they are.
    """
    values = {**asdict(names), "zoo_version": zoo.__version__}

    def fill(text: str) -> str:
        return Template(text).substitute(values)

    return {
        fill(path): PackageFile(fill(_template(template)), fill(about))
        for path, (template, about) in _FILES.items()
    }


def _template(name: str) -> str:
    folder = resources.files("zoo.cli.new_package") / "templates"
    return (folder / f"{name}.template").read_text(encoding="utf-8")


def check_target(target: Path) -> None:
    """Refuse a place where a new directory cannot stand; an empty directory is no obstacle.

    Raises:
        UsageError: if something is there, there is nothing to put it in, or it is the current directory.
    """
    if not real_path(target).parent.is_dir():
        raise UsageError(f"{target}: there is no directory {real_path(target).parent}; make it first.")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; choose another directory with --dir.")
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty, and nothing is overwritten; choose another with --dir.")
    if target.is_dir() and target.samefile(Path.cwd()):
        raise UsageError(
            f"{target} is the directory you are in, which cannot be replaced; go one up and name it there."
        )


def write_directory(target: Path, texts: Mapping[str, str]) -> None:
    """Make a directory with files, all of them or, if anything fails, none.

    They are written beside the target, under a name of nobody else's, and renamed into place.

    Args:
        target: Where; nothing, or an empty directory.
        texts: Text of each file under its name.

    Raises:
        UsageError: as :func:`check_target`.
        OSError: what the system does not grant.
    """
    check_target(target)
    target = real_path(target)  # a link to an empty directory stays a link
    beside = target.parent / f".zoo-new-{secrets.token_hex(8)}"
    try:
        beside.mkdir()
        for name, text in texts.items():
            (beside / name).write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()  # refuses a directory that has been filled meanwhile
        beside.rename(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


__all__ = ["PackageFile", "PackageNames", "check_target", "package_files", "package_names", "write_directory"]
