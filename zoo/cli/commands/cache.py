"""``zoo cache``: the compiled kernels on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import click

from zoo.base.names import did_you_mean_component
from zoo.cli.component_lookup import cell_classes, plugin_option
from zoo.cli.flags import Command, argument, option
from zoo.cli.format import format_bytes
from zoo.cli.terminal import echo
from zoo.errors import UsageError
from zoo.kernels.cache_dir import (
    cache_directory,
    cache_limit,
    cached_files,
    clear_cache,
    generated_files,
)
from zoo.registry import list_cells

_FILE_ACTIONS = ("export", "import")


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


def _build(names: Sequence[str], dtypes: Sequence[str], precision: str | None) -> None:
    from zoo.training.config import number_format
    from zoo.training.kernel_build import build_kernels

    logging.getLogger("zoo.compile").setLevel(logging.ERROR)  # the lines below show the progress
    cells = [cls() for name in names for cls in cell_classes(name)]
    jobs = [(cell, dtype) for cell in cells for dtype in dtypes]
    for number, (cell, dtype) in enumerate(jobs, 1):
        before, started = len(cached_files()), time.perf_counter()
        build_kernels(cell, dtype, precision)
        kernels = len(cached_files()) - before
        seconds = time.perf_counter() - started
        numbers = number_format({"dtype": dtype, "precision": precision})
        echo(f"{number}/{len(jobs)}  {cell.name}  {numbers}  {kernels} kernels compiled in {seconds:.1f} s")


def _export(file: str) -> None:
    from zoo.storage.kernel_archive import export_kernels

    counts = export_kernels(file)
    echo(f"Wrote {counts.kernels} kernels, {format_bytes(counts.size)}, to {file}.")


def _import(file: str) -> None:
    from zoo.storage.kernel_archive import import_kernels

    counts = import_kernels(file)
    stored = f"; {counts.already_stored} were there already" if counts.already_stored else ""
    new = counts.kernels - counts.already_stored
    echo(f"Imported {new} kernels into {cache_directory() / 'kernels'}{stored}.")


@click.command(cls=Command)
@argument("action", type=click.Choice(["info", "clear", "path", "build", *_FILE_ACTIONS]), default="info")
@argument("file", required=False, metavar="[FILE]")
@option(
    "--cell",
    "cells",
    multiple=True,
    metavar="NAME",
    help="build: the cell, or several with commas between them; may be repeated.",
)
@option("--all", "all_cells", is_flag=True, help="build: all registered cells.")
@option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["float32", "float64"]),
    help="build: the dtype; may be repeated.  [float32]",
)
@option(
    "--precision",
    type=click.Choice(["float32", "bf16"]),
    help="build: the precision of matrix products.  [that of --dtype]",
)
@plugin_option
def command(
    action: str,
    file: str | None,
    cells: Sequence[str],
    all_cells: bool,
    dtypes: Sequence[str],
    precision: str | None,
) -> None:
    """Show, clear, build or copy the compiled kernels on disk.

    \b
    info         number, size and directory of the kernels (the default)
    clear        remove them; the next run compiles the kernels that it needs
    path         print only the directory, for scripts
    build        compile the kernels of training, samples and steppers, on tokens and on numbers
    export FILE  write all kernels to an archive
    import FILE  add the kernels of an archive

    An archive is for machines with the same processor and the same versions of zoo, Python and its
    packages. `import` checks them, and the digest of every file. Kernels are machine code, and the digests do
    not prove their origin: import an archive only if you trust its author as you trust a program.
    """  # noqa: D301 - click reads the backspace, and prints what a raw string has there
    if (file is not None) != (action in _FILE_ACTIONS):
        needed = "needs a FILE" if file is None else f"takes no FILE, and {file!r} is given"
        hint = ""
        if action == "build" and file is not None:
            known = list_cells()
            near = "" if file in known else did_you_mean_component(file, known)
            hint = f" Name a cell with a flag: `zoo cache build --cell {file}`.{near}"
        raise UsageError(f"zoo cache {action} {needed}.{hint}")
    if action != "build" and (cells or all_cells or dtypes or precision):
        raise UsageError(
            f"--cell, --all, --dtype and --precision are for `zoo cache build`, not for {action}."
        )
    if action == "build":
        if bool(cells) == all_cells:
            raise UsageError("zoo cache build needs one of --cell NAME and --all.")
        _build(list_cells() if all_cells else cells, dtypes or ("float32",), precision)
    elif file is not None:
        {"export": _export, "import": _import}[action](file)
    else:
        {"info": _info, "clear": _clear, "path": _path}[action]()
