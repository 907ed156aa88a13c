"""``zoo new``: write a plugin package with one cell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

import click

from zoo.arguments import expand_user
from zoo.cli.flags import argument, option
from zoo.cli.terminal import echo
from zoo.tables import align


@click.command()
@argument("name", metavar="NAME")
@option("--cell", metavar="CELLNAME", help="What its cell is called.  [after the package]")
@option("--dir", "directory", metavar="DIR", help="The directory to make.  [NAME]")
def command(name: str, cell: str | None, directory: str | None) -> None:
    """Write a plugin package with one cell, to start from.

    NAME is that of the package, as in my-cells. It is complete: it can be installed, the cell trains, and its
    test tries every law. Nothing that exists is overwritten.
    """
    from zoo.cli.new_package import check_target, package_files, package_names, write_directory

    target = expand_user(directory or name)
    names = package_names(name, cell)
    check_target(target)
    files = package_files(names)
    write_directory(target, {path: file.text for path, file in files.items()})
    _print_indented(f"Wrote {target}:", align([path, file.description] for path, file in files.items()))
    _print_indented("\nNext:", _next_steps(target, names.cell))


def _print_indented(heading: str, lines: Iterable[str]) -> None:
    echo("\n".join([heading, *(f"  {line}" for line in lines)]))


def _next_steps(target: Path, cell: str) -> list[str]:
    package = target.as_posix() if target.is_absolute() else f"./{target.as_posix()}"
    commands = (["pip", "install", "-e", f"{package}[test]"], ["zoo", "check", cell], ["pytest", package])
    return [shlex.join(words) for words in commands]
