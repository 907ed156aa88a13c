"""The names in a new package. They become code, so each is checked before any text is made from it."""

from __future__ import annotations

import importlib.util
import keyword
import re
from dataclasses import dataclass
from importlib import metadata

from zoo.contracts import Cell
from zoo.contracts.names import check_member_name, snake_case
from zoo.errors import UsageError
from zoo.registry import registry_of

_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508, "Names"
_MODULE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Names:
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


def package_names(project: str, cell: str | None = None) -> Names:
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
    check_member_name(cell, "the new cell")
    _check_cell_free(cell)
    return Names(project, module, cell, class_name(cell))


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
