"""Make the report of a run or comparison directory, and write its page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.arguments import as_instance, as_integer, as_path
from zoo.base import Task
from zoo.errors import UsageError
from zoo.report.blocks import Report
from zoo.report.page import html
from zoo.storage import RunDirectory, write_bytes
from zoo.storage.safe_read import exists

if TYPE_CHECKING:
    from zoo.model.checkpoint import CellClasses

SYMBOLS = 1000
"""Default length of the text for hidden units."""
MAX_SYMBOLS = 100_000
"""The largest length; the page then takes some megabytes."""

PAGE, RESULTS = "report.html", "results.json"


def make_report(
    path: str | Path,
    cell: CellClasses = None,
    symbols: int = SYMBOLS,
    task: type[Task] | None = None,
) -> Report:
    """Make the report of a run or a comparison, as plain data.

    Args:
        path: The directory of a run or a comparison.
        cell: The class of the cell of a run, if it is not registered; several for several cells.
        symbols: Length of the text for hidden units; 0 to leave them out.
        task: The class of the task of a run, if it is not registered.

    Raises:
        UsageError: if the directory is neither, or the length is negative or above 100,000.
        CheckpointError: if a file in it is damaged.
    """
    as_integer(symbols, "report: symbols", 0, MAX_SYMBOLS)
    path = as_path(path, "report: path")
    if not path.is_dir():
        raise UsageError(_no_directory(path))
    if exists(path / RESULTS):
        from zoo.report.comparison import comparison_report

        return comparison_report(path)
    if not RunDirectory(path).holds_run():
        raise UsageError(_neither(path))
    from zoo.report.run import run_report  # which imports the compiler

    return run_report(path, cell, symbols, task)


def write_page(report: Report, out: str | Path) -> Path:
    """Write a report atomically as one HTML file, and return its path.

    Raises:
        CheckpointError: if it cannot be written.
    """
    as_instance(report, "write_page: report", Report, "what make_report returns")
    path = as_path(out, "report: out")
    write_bytes(path, html(report).encode(errors="backslashreplace"))  # a path may not be UTF-8
    return path


def _no_directory(path: Path) -> str:
    problem = f"{path} is a file" if path.exists() else f"there is no directory {path}"
    return f"report: {problem}; give the directory of a run or of a comparison."


def _neither(path: Path) -> str:
    if exists(path / "compare.json"):
        return f"report: the comparison in {path} has no results yet; `zoo compare` writes them as runs end."
    return f"report: {path} holds neither a run (config.json) nor a comparison (results.json)."
