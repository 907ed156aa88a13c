"""``zoo new``: write a plugin package with a component of any kind, from ``zoo/cli/templates``.

Names become code, so they are validated before any template is filled in.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
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
from zoo.errors import CheckpointError, DefinitionError, UsageError
from zoo.registry.hookspecs import CLASSES_BY_KIND, KINDS, plural
from zoo.registry.registry import Source
from zoo.tables import align

_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508, "Names"

_MODULE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class _KindCommands:
    """The commands for a new component of one kind; ``{name}`` is its name.

    Args:
        use: The command that uses it.
        check: The argument of ``zoo check``, by default ``KIND:NAME``; empty for a kind without laws.
        test: Description of its own test, ``test_KIND.py``; empty for the test of the kind's laws.
    """

    use: str
    check: str = "{kind}:{name}"
    test: str = ""


_COMMANDS = {
    "block": _KindCommands("zoo train --block {name}"),
    "cell": _KindCommands("zoo train --cell {name}", check="{name}"),
    "constraint": _KindCommands("zoo train --constraint PARAMETER={name}"),
    "loss": _KindCommands("zoo train --data FILE --loss {name}"),
    "modifier": _KindCommands(
        "zoo train --cell vanilla+{name}",
        check="vanilla+{name}",
        test="the laws of cells, for a cell with the modifier",
    ),
    "optimizer": _KindCommands("zoo train --optimizer {name}"),
    "penalty": _KindCommands("zoo train --penalty activity={name}"),
    "sampler": _KindCommands("zoo sample RUN --sampler {name}"),
    "task": _KindCommands("zoo train --task {name}"),
    "tracker": _KindCommands("zoo train --tracker {name}", check="", test="the output of the tracker"),
}

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
        return _COMMANDS[self.kind].use.format(name=self.name)

    @property
    def check(self) -> list[str]:
        """The command that checks its laws, as words; empty if its kind has none."""
        spec = _COMMANDS[self.kind].check.format(kind=self.kind, name=self.name)
        return ["zoo", "check", spec] if spec else []

    @property
    def test_template(self) -> str:
        """The template of its test."""
        return f"test_{self.kind}.py" if _COMMANDS[self.kind].test else "test_laws.py"

    @property
    def test_description(self) -> str:
        """A description of its test."""
        return _COMMANDS[self.kind].test or f"the laws that every {self.kind} obeys"


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
    name: `zoo new my-plugins --loss expectile --optimizer signum`. Each has a module and a test of its laws.
    The module holds a small example of the kind, whatever its name; replace its equations by yours. You can
    install the package, train with it and run its tests. Existing files are never overwritten.
    """
    target = expand_user(directory or project)
    chosen = {kind: name for kind, name in names.items() if name is not None}
    package = package_names(project, chosen)
    check_target(target, package)
    source = _installed_source(package)
    if source is None or directory is None:
        check_free(package)
    files = package_files(package)
    write_directory(target, {path: file.text for path, file in files.items()})
    echo(f"Wrote {target}:")
    echo("\n".join(indent(align([path, file.description] for path, file in files.items()))))
    echo("\nNext:")
    steps = _next_steps(target, package) if source is None else _steps_to_add(source, target, package)
    echo("\n".join(indent(steps)))


def _next_steps(target: Path, names: PackageNames) -> list[str]:
    package = target.as_posix() if target.is_absolute() else f"./{target.as_posix()}"
    check = [each.check for each in names.components if each.check][:1]  # pytest runs all of them
    commands = (["pip", "install", "-e", f"{package}[test]"], *check, ["pytest", package])
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
        source = _installed_source(names)
        advice = "" if source is None else f" To add to it, run `{_command_to_add(Path(project), names)}`."
        raise UsageError(
            f"package {project!r}: {project} {version} is installed, and pip would replace it; choose "
            f"another name.{advice}"
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
    """Advice for adding components to the package in a directory; empty if it holds none."""
    existing = _package_in(target)
    if names is None or existing is None:
        return ""
    names = dataclasses.replace(existing, components=names.components)
    for each in names.components:
        if (target / names.module / f"{each.name}.py").exists() or (target / f"test_{each.name}.py").exists():
            return f" The package there already has {each.name}; choose another name."
    new = _new_directory(target)
    steps = ", ".join(_steps_to_add(target, new, names))
    command = _command_to_add(target, names)
    return f" To add to the package there, {steps}. This command writes the files to copy: `{command}`."


def _package_in(directory: Path) -> PackageNames | None:
    """The package in a directory, without its components; None if there is none, or its module is missing."""
    from zoo.storage.safe_read import read_toml

    try:
        table: Any = read_toml(directory / "pyproject.toml")
        project = table["project"]["name"]
        names = PackageNames(project, module_name(project), ())
    except (CheckpointError, KeyError, TypeError, UsageError):
        return None
    return names if (directory / names.module).is_dir() else None


def _installed_source(names: PackageNames) -> Path | None:
    """The directory that a package of this name was installed from, as with `pip install -e`."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        origin = json.loads(metadata.distribution(names.project).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return None
    if "dir_info" not in origin:  # of PEP 610: from an archive or a repository
        return None
    source = Path(url2pathname(urlsplit(origin["url"]).path))
    existing = _package_in(source)
    return source if existing is not None and existing.module == names.module else None


def _new_directory(target: Path) -> Path:
    named = target if target.name not in ("", "..") else real_path(target)
    return named.with_name(f"{named.name}-new")


def _command_to_add(target: Path, names: PackageNames) -> str:
    """The command that writes components to copy into the package in a directory."""
    flags = [word for each in names.components for word in (f"--{each.kind}", each.name)]
    out = _new_directory(target).as_posix()
    return shlex.join(["zoo", "new", names.project, *flags, "--out", out])


def _steps_to_add(directory: Path, new: Path, names: PackageNames) -> list[str]:
    """The steps that add components from a new directory to the package in another one."""
    old_module, new_module = ((each / names.module).as_posix() for each in (directory, new))
    file = (directory / "pyproject.toml").as_posix()
    return [
        step
        for each in names.components
        for step in (
            f"copy {new_module}/{each.name}.py to {old_module}",
            f"copy {new.as_posix()}/test_{each.name}.py to {directory.as_posix()}",
            f'write `{each.name} = "{names.module}.{each.name}"` below [project.entry-points.zoo] in {file}',
        )
    ]


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
