"""``zoo new``: write a plugin package with a component of any kind, from ``zoo/cli/templates``.

Names become code, so they are validated before any template is filled in.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import secrets
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any

import click

import zoo
from zoo.arguments import expand_user, missing_directory, real_path
from zoo.base.loss import Loss
from zoo.base.names import with_article
from zoo.cli.flags import Command, argument, option
from zoo.cli.terminal import echo, indent
from zoo.errors import DefinitionError, UsageError
from zoo.registry.hookspecs import CLASSES_BY_KIND, KINDS, plural
from zoo.registry.registry import Source
from zoo.tables import align

_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508, "Names"

_MODULE = re.compile(r"[a-z][a-z0-9_]{0,63}")

_USES = {
    "block": "zoo train --block {name}",
    "cell": "zoo train --cell {name}",
    "constraint": "zoo train --constraint PARAMETER={name}",
    "loss": "zoo train --loss {name}",
    "modifier": "zoo train --cell vanilla+{name}",
    "optimizer": "zoo train --optimizer {name}",
    "penalty": "zoo train --penalty activity={name}",
    "sampler": "zoo sample RUN --sampler {name}",
    "task": "zoo train --task {name}",
    "tracker": "zoo train --tracker {name}",
}
"""The command that uses a component, for each kind."""

_CHECKS = {"cell": "{name}", "modifier": "vanilla+{name}", "tracker": ""}
"""The argument of `zoo check`, for the kinds where it is not ``KIND:NAME``; empty without laws."""


_OWN_TESTS = {
    "modifier": "the laws of cells, for a cell with the modifier",
    "tracker": "the output of the tracker",
}
"""Descriptions of the tests of the kinds without laws of their own, which have a template each."""

_ORDERED_KINDS = sorted(KINDS)


@dataclass(frozen=True)
class NewComponent:
    """A component of a new package.

    Args:
        kind: ``"cell"``, ``"loss"`` and so on.
        name: Registry name, and name of its module: ``my_cell``.
    """

    kind: str
    name: str

    @property
    def symbol(self) -> str:
        """The class ``MyCell``, or the constant ``FOCAL`` for a loss, which is an object."""
        return self.name.upper() if self.kind == Loss.kind else class_name(self.name)

    @property
    def use(self) -> str:
        """The command that uses it."""
        return _USES[self.kind].format(name=self.name)

    @property
    def check(self) -> list[str]:
        """The command that checks its laws, as words; empty if its kind has none."""
        spec = _CHECKS.get(self.kind, "{kind}:{name}").format(kind=self.kind, name=self.name)
        return ["zoo", "check", spec] if spec else []

    @property
    def test_template(self) -> str:
        """The template of its test."""
        return f"test_{self.kind}.py" if self.kind in _OWN_TESTS else "test_laws.py"

    @property
    def test_description(self) -> str:
        """A description of its test."""
        return _OWN_TESTS.get(self.kind, f"the laws that every {self.kind} obeys")


@dataclass(frozen=True)
class PackageNames:
    """The names of a package.

    Args:
        project: Name for pip, ``my-cells``.
        module: Name of the package in Python, ``my_cells``.
        components: Its components, each in a module.
    """

    project: str
    module: str
    components: tuple[NewComponent, ...]


def _kind_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each kind of component."""
    for kind in reversed(_ORDERED_KINDS):
        help_text = f"Add {with_article(kind)} with this name."
        if kind == "cell":
            help_text += "  [from the package, if it has no other component]"
        command = option(f"--{kind}", kind, metavar="NAME", help=help_text, shell_complete=None)(command)
    return command


@click.command(cls=Command)
@argument("project", metavar="PACKAGE")
@_kind_options
@option("--out", "directory", metavar="DIR", help="The directory to create.  [PACKAGE]")
def command(project: str, directory: str | None, **names: str | None) -> None:
    """Write a plugin package with a component of any kind.

    PACKAGE is the name of the package, for example my-cells. It has one cell, or the components that options
    name: `zoo new my-plugins --loss focal --optimizer lion2`. Each has a module, with equations to replace by
    yours, and a test of its laws. You can install the package, train with it and run its tests. Existing
    files are never overwritten.
    """
    target = expand_user(directory or project)
    chosen = {kind: name for kind, name in names.items() if name is not None}
    package = package_names(project, chosen)
    check_target(target, package)
    check_free(package)
    files = package_files(package)
    write_directory(target, {path: file.text for path, file in files.items()})
    echo(f"Wrote {target}:")
    echo("\n".join(indent(align([path, file.description] for path, file in files.items()))))
    echo("\nNext:")
    echo("\n".join(indent(_next_steps(target, package))))


def _next_steps(target: Path, names: PackageNames) -> list[str]:
    package = target.as_posix() if target.is_absolute() else f"./{target.as_posix()}"
    checks = (each.check for each in names.components if each.check)
    commands = (["pip", "install", "-e", f"{package}[test]"], *checks, ["pytest", package])
    return [shlex.join(words) for words in commands]


def package_names(project: str, chosen: Mapping[str, str]) -> PackageNames:
    """Validate and complete the names of a new package.

    Args:
        project: Name of the package for pip.
        chosen: Name of a component by kind. Without any, the package has a cell with the name of the module,
            a last word ``cells`` replaced by ``cell``.

    Raises:
        UsageError: if the name of the package, a module, component or class is invalid or taken.
    """
    module = module_name(project)
    names = chosen or {"cell": re.sub(r"(^|_)cells$", r"\1cell", module)}
    components = tuple(NewComponent(kind, names[kind]) for kind in _ORDERED_KINDS if kind in names)
    for component in components:
        _check_component(component)
        if module == f"test_{component.name}":
            raise UsageError(
                f"package {project!r} would be the module {module!r}, the name of a test of the "
                f"{component.kind} {component.name!r}; choose another name."
            )
        same = [each.kind for each in components if each.name == component.name]
        if len(same) > 1:
            raise UsageError(
                f"{component.name!r} is the name of {' and '.join(map(with_article, same))}; give each "
                f"component another name, since its module has the same name."
            )
    return PackageNames(project, module, components)


def _check_component(component: NewComponent) -> None:
    """Reject the name of a component that is invalid, taken, or a class that its module imports."""
    from zoo.base.names import check_component_name

    kind, name = component.kind, component.name
    try:
        check_component_name(name, f"the new {kind}")
    except DefinitionError as error:  # its name comes from the command line
        raise UsageError(str(error)) from None
    texts = _template(f"{kind}.py") + _template(component.test_template)
    imported = ", ".join(re.findall(r"^from \S+ import ([\w, ]+)$", texts, re.MULTILINE)).split(", ")
    if component.symbol in imported:
        raise UsageError(
            f"the name {name!r} would give the class {component.symbol}, a name that its module imports; "
            f"choose another name."
        )
    if source := _source(kind, name):
        raise UsageError(
            f"{kind} name {name!r} is taken: {source} registered it; choose another with --{kind}."
        )


def _source(kind: str, name: str) -> Source | None:
    """The source that registered a component; None if the name is free."""
    from zoo.registry import list_losses, registry_of
    from zoo.registry.api import loss_source

    if kind == Loss.kind:
        return loss_source(name) if name in list_losses() else None
    registry = registry_of(CLASSES_BY_KIND[kind])
    return registry.source(name) if name in registry else None


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


def class_name(component: str) -> str:
    """The class of a component: ``peephole_lstm`` becomes ``PeepholeLstm``.

    Raises:
        UsageError: if the class would be a Python keyword.
    """
    from zoo.base.names import snake_case

    words = [word.capitalize() for word in component.split("_")]
    name = "".join(words) if snake_case("".join(words)) == component else "_".join(words)
    if keyword.iskeyword(name):
        raise UsageError(
            f"the name {component!r} would give the class {name}, a Python keyword; choose another name."
        )
    return name


def check_free(names: PackageNames) -> None:
    """Check that no package with the name is installed, and no module has its name.

    Raises:
        UsageError: if the name is taken.
    """
    project, module = names.project, names.module
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
    module, components = names.module, names.components
    values = {
        "project": names.project,
        "module": module,
        "zoo_version": zoo.__version__,
        "entry_points": "\n".join(f'{each.name} = "{module}.{each.name}"' for each in components),
        "rows": "\n".join(
            f"| {each.kind} `{each.name}` | `{module}/{each.name}.py` | `test_{each.name}.py` "
            f"| `{each.use}` |"
            for each in components
        ),
        "checks": "\n".join(shlex.join(each.check) for each in components if each.check),
    }
    files = {
        "pyproject.toml": PackageFile(
            _fill("pyproject.toml", values), "the package, and the entry points by which zoo finds it"
        ),
        f"{module}/__init__.py": PackageFile(_fill("init.py", values), "the package in Python"),
    }
    for each in components:
        own = values | {
            "kind": each.kind,
            "Kind": each.kind.capitalize(),
            "kinds": plural(each.kind),
            "name": each.name,
            "symbol": each.symbol,
            "instance": each.symbol if each.kind == Loss.kind else f"{each.symbol}()",
        }
        files[f"{module}/{each.name}.py"] = PackageFile(
            _fill(f"{each.kind}.py", own), f"the {each.kind} {each.name}; change its code into yours"
        )
        files[f"test_{each.name}.py"] = PackageFile(_fill(each.test_template, own), each.test_description)
    return files | {
        "README.md": PackageFile(_fill("README.md", values), "the content of the package, and how to use it"),
        ".gitignore": PackageFile(_fill("gitignore", values), "the results that git ignores"),
    }


def _fill(template: str, values: Mapping[str, str]) -> str:
    return Template(_template(template)).substitute(values)


def _template(name: str) -> str:
    folder = resources.files("zoo.cli") / "templates"
    return (folder / f"{name}.template").read_text(encoding="utf-8")


def check_target(target: Path, names: PackageNames | None = None) -> None:
    """Check that a directory can be created; an empty one may exist.

    Args:
        target: The directory.
        names: The new package, for advice if the directory holds a package already.

    Raises:
        UsageError: if it is a file, not empty, or the current directory, or its parent does not exist.
    """
    if not real_path(target).parent.is_dir():
        raise UsageError(missing_directory(real_path(target).parent))
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; choose another directory with --out.")
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(
            f"{target} is not empty, and nothing is overwritten; choose another with --out."
            f"{_advice_to_add(target, names)}"
        )
    if target.is_dir() and target.samefile(Path.cwd()):
        raise UsageError(
            f"{target} is the directory you are in, which cannot be replaced; go one up and name it there."
        )


def _advice_to_add(target: Path, names: PackageNames | None) -> str:
    """The steps that add components to an existing package."""
    if names is None or not (target / "pyproject.toml").is_file():
        return ""
    files = [f"{names.module}/{each.name}.py and test_{each.name}.py" for each in names.components]
    lines = [f'`{each.name} = "{names.module}.{each.name}"`' for each in names.components]
    return (
        f" To add to the package there, copy {' and '.join(files)} from the new one, and write "
        f"{' and '.join(lines)} below [project.entry-points.zoo] in {(target / 'pyproject.toml').as_posix()}."
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
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()  # fails for a directory that has been filled meanwhile
        temporary.rename(target)
    except OSError as error:
        from zoo.storage.safe_read import cannot_write

        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after the rename it does not exist
