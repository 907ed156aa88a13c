"""``zoo cache``: the compiled kernels on disk."""

from __future__ import annotations

from collections.abc import Callable

import click

from zoo.cli.flags import Command, argument
from zoo.cli.format import format_bytes
from zoo.cli.terminal import echo
from zoo.kernels.cache_dir import (
    cache_directory,
    cache_limit,
    cached_files,
    clear_cache,
    generated_files,
)


def _info() -> None:
    kernels, modules = cached_files(), generated_files()
    total = sum(file.stat().st_size for file in [*kernels, *modules])
    size = f"{format_bytes(total)}{f' of {format_bytes(limit)}' if (limit := cache_limit()) else ''}"
    echo(f"{_counts(len(kernels), len(modules))}, {size}, in {cache_directory() / 'kernels'}")
    echo("`zoo cache clear` removes them; what is needed is compiled again.")
    echo("ZOO_CACHE_DIR moves the directory, and ZOO_CACHE_MB limits its size in megabytes.")


def _clear() -> None:
    modules = len(generated_files())
    echo(f"Removed {_counts(clear_cache(), modules)} from {cache_directory() / 'kernels'}.")


def _counts(kernels: int, modules: int) -> str:
    derived = f" and {modules} derived modules" if modules else ""
    return f"{kernels} compiled kernels{derived}"


def _path() -> None:
    echo(str(cache_directory()))


ACTIONS: dict[str, Callable[[], None]] = {"info": _info, "clear": _clear, "path": _path}


@click.command(cls=Command)
@argument("action", type=click.Choice(list(ACTIONS)), default="info")
def command(action: str) -> None:
    """Show or clear the compiled kernels on disk.

    \b
    info   number, size and directory of the kernels (the default)
    clear  remove them; the next run compiles the kernels that it needs
    path   print only the directory, for scripts
    """  # noqa: D301 - click reads the backspace, and prints what a raw string has there
    ACTIONS[action]()
