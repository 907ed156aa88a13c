"""``zoo new``: write a plugin package with one cell, from the templates in ``zoo/cli/templates``.

Names become code, so they are validated before any template is filled in.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import secrets
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from string import Template

import click

import zoo
from zoo.arguments import expand_user, missing_directory, real_path
from zoo.cli.flags import Command, argument, option
from zoo.cli.terminal import echo, indent
from zoo.errors import DefinitionError, UsageError
from zoo.tables import align

_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508, "Names"

_MODULE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@click.command(cls=Command)
@argument("name", metavar="NAME")
@option("--cell", metavar="CELLNAME", help="Name of the cell.  [from the package]", shell_complete=None)
@option("--out", "directory", metavar="DIR", help="The directory to create.  [NAME]")
def command(name: str, cell: str | None, directory: str | None) -> None:
    """Write a plugin package with one cell as a starting point.

    NAME is the name of the package, for example my-cells. You can install the package, train its cell and run
    its test, which checks every law. Existing files are never overwritten.
    """
    target = expand_user(directory or name)
    names = package_names(name, cell)
    check_target(target)
    files = package_files(names)
    write_directory(target, {path: file.text for path, file in files.items()})
    echo(f"Wrote {target}:")
    echo("\n".join(indent(align([path, file.description] for path, file in files.items()))))
    echo("\nNext:")
    echo("\n".join(indent(_next_steps(target, names.cell))))


def _next_steps(target: Path, cell: str) -> list[str]:
    package = target.as_posix() if target.is_absolute() else f"./{target.as_posix()}"
    commands = (["pip", "install", "-e", f"{package}[test]"], ["zoo", "check", cell], ["pytest", package])
    return [shlex.join(words) for words in commands]


@dataclass(frozen=True)
class PackageNames:
    """The names of a package.

    Args:
        project: Name for pip, ``my-cells``.
        module: Name of the module, ``my_cells``.
        cell: Registry name of the cell, ``my_cell``.
        class_name: Class of the cell, ``MyCell``.
    """

    project: str
    module: str
    cell: str
    class_name: str


def package_names(project: str, cell: str | None = None) -> PackageNames:
    """Validate and complete the names of a new package.

    Args:
        project: Name of the package for pip.
        cell: Registry name of its cell; by default the name of the module with a last word ``cells`` replaced
            by ``cell``.

    Raises:
        UsageError: if the name of the package, module, cell or class is invalid or taken.
    """
    from zoo.base.names import check_component_name

    module = module_name(project)
    _check_free(project, module)
    cell = re.sub(r"(^|_)cells$", r"\1cell", module) if cell is None else cell
    try:
        check_component_name(cell, "the new cell")
    except DefinitionError as error:  # its name comes from the command line
        raise UsageError(str(error)) from None
    _check_cell_free(cell)
    return PackageNames(project, module, cell, class_name(cell))


def module_name(project: str) -> str:
    """The module of a package: ``My-Cells`` becomes ``my_cells``.

    Raises:
        UsageError: if the name of the package or of the module is invalid.
    """
    if not _PROJECT.fullmatch(project):
        raise UsageError(
            f"{project!r} is not a valid package name; a name has only the letters a to z, digits, '-', '_' "
            f"and '.', and starts and ends with a letter or digit, as in 'my-cells'. --out sets the "
            f"directory."
        )
    module = re.sub(r"[-_.]+", "_", project).lower()
    if not _MODULE.fullmatch(module) or keyword.iskeyword(module):
        raise UsageError(
            f"package {project!r} would be the module {module!r}; choose a name that starts with a letter, "
            f"has at most 64 characters and is not a Python keyword, as in 'my-cells'."
        )
    return module


def class_name(cell: str) -> str:
    """The class of a cell: ``peephole_lstm`` becomes ``PeepholeLstm``.

    Raises:
        UsageError: if the class would be a Python keyword.
    """
    from zoo.base.names import snake_case

    words = [word.capitalize() for word in cell.split("_")]
    name = "".join(words) if snake_case("".join(words)) == cell else "_".join(words)
    if keyword.iskeyword(name):
        raise UsageError(f"cell {cell!r} would be the class {name}, a Python keyword; choose another name.")
    return name


def _check_free(project: str, module: str) -> None:
    """Reject the name of an installed package or of an existing module."""
    try:
        version = metadata.version(project)
    except metadata.PackageNotFoundError:
        pass
    else:
        raise UsageError(
            f"package {project!r}: {project} {version} is installed, and pip would replace it; choose "
            f"another name."
        )
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin is not None:  # without an origin it is a folder
        raise UsageError(
            f"package {project!r} would be the module {module!r}, which exists already ({spec.origin}); "
            f"choose another name."
        )


def _check_cell_free(cell: str) -> None:
    from zoo.base import Cell
    from zoo.registry import registry_of

    registry = registry_of(Cell)
    if cell in registry:
        raise UsageError(
            f"cell name {cell!r} is taken: {registry.source(cell)} registered it; choose another with --cell."
        )


# Path in the package -> its template and a description.
_FILES = {
    "pyproject.toml": ("pyproject.toml", "the package, and the entry point by which zoo finds it"),
    "$module.py": ("module.py", "the cell $cell; change its equations into yours"),
    "test_$module.py": ("test.py", "the laws that every cell obeys"),
    "README.md": ("README.md", "what is in the package, and how to use it"),
    ".gitignore": ("gitignore", "the results that git ignores"),
}


@dataclass(frozen=True)
class PackageFile:
    """The text of a file and a one-line description."""

    text: str
    description: str


def package_files(names: PackageNames) -> dict[str, PackageFile]:
    """The files of a package by path, in reading order.

    Args:
        names: Valid names.
    """
    values = {**asdict(names), "zoo_version": zoo.__version__}

    def fill(text: str) -> str:
        return Template(text).substitute(values)

    return {
        fill(path): PackageFile(fill(_template(template)), fill(description))
        for path, (template, description) in _FILES.items()
    }


def _template(name: str) -> str:
    folder = resources.files("zoo.cli") / "templates"
    return (folder / f"{name}.template").read_text(encoding="utf-8")


def check_target(target: Path) -> None:
    """Check that a directory can be created; an empty one may exist.

    Raises:
        UsageError: if it is a file, not empty, or the current directory, or its parent does not exist.
    """
    if not real_path(target).parent.is_dir():
        raise UsageError(missing_directory(real_path(target).parent))
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; choose another directory with --out.")
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty, and nothing is overwritten; choose another with --out.")
    if target.is_dir() and target.samefile(Path.cwd()):
        raise UsageError(
            f"{target} is the directory you are in, which cannot be replaced; go one up and name it there."
        )


def write_directory(target: Path, texts: Mapping[str, str]) -> None:
    """Create a directory with files atomically: write them next to the target and rename.

    Args:
        target: The directory; it does not exist or is empty.
        texts: Text of each file by name.

    Raises:
        UsageError: as :func:`check_target`.
        CheckpointError: if it cannot be written.
    """
    check_target(target)
    target = real_path(target)  # a link to an empty directory stays a link
    temporary = target.parent / f".zoo-new-{secrets.token_hex(8)}"
    try:
        temporary.mkdir()
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()  # fails for a directory that has been filled meanwhile
        temporary.rename(target)
    except OSError as error:
        from zoo.storage.safe_read import cannot_write

        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after the rename it does not exist
