"""Files of a comparison for LaTeX and BibTeX, which begin with the command of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.arguments import missing_directory
from zoo.errors import UsageError
from zoo.storage import write_bytes

if TYPE_CHECKING:
    from zoo.comparison.results import Comparison


_LATEX_BEGINNING = "% made by: "


def write_latex(results: Comparison, path: Path) -> None:
    """Write the tables to a LaTeX file, or replace the file if this function wrote it.

    Raises:
        UsageError: see `check_latex`.
        CheckpointError: if the file cannot be written.
    """
    check_latex(path)
    write_with_command(results, path, results.table("latex"))


def check_latex(path: Path) -> None:
    """Check that `write_latex` may write a file.

    Raises:
        UsageError: if its directory does not exist, or the file exists and has another first line.
    """
    if not path.absolute().parent.is_dir():
        raise UsageError(missing_directory(path.parent))
    if not is_replaceable(path):
        raise UsageError(
            f"compare: {path} was not written by --latex, and would be overwritten; give another file, and "
            f"read it from yours with \\input."
        )


def is_replaceable(path: Path) -> bool:
    """Whether a file does not exist, or is one of `write_with_command`."""
    return not path.exists() or path.read_bytes().startswith(_LATEX_BEGINNING.encode())


def write_with_command(results: Comparison, path: Path, text: str) -> None:
    """Write a text for LaTeX or BibTeX after the command of the comparison.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    content = f"{_LATEX_BEGINNING}{results.metadata['command']}\n\n{text}\n"
    write_bytes(path, content.encode(errors="backslashreplace"))  # a path may be no UTF-8
