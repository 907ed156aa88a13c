"""The report of a directory: make it, and write it as one self-contained HTML file.

Strings of runs (names, samples, errors) are JSON, and the scripts put them into text nodes: they are never
parsed as markup. A content security policy allows only the scripts and styles of this file.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import zoo
from zoo.arguments import as_instance, as_integer, as_path
from zoo.base import Task
from zoo.errors import UsageError
from zoo.report import palette
from zoo.report.blocks import ReportPage, to_json
from zoo.storage import RunDirectory, write_bytes
from zoo.storage.safe_read import exists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.model.checkpoint import CellClasses

SYMBOLS = 1000
"""Default length of the text for hidden units."""
MAX_SYMBOLS = 100_000
"""The largest length; the page then takes some megabytes."""

PAGE, RESULTS = "report.html", "results.json"


def make_report(
    path: str | Path,
    *,
    cell: CellClasses = None,
    symbols: int = SYMBOLS,
    task: type[Task] | None = None,
    data: str | Path | Sequence[str | Path] | None = None,
) -> ReportPage:
    """Make the report of a run or a comparison, as plain data.

    Args:
        path: The directory of a run or a comparison.
        cell: The class of the cell of a run, if it is not registered; several for several cells.
        symbols: Length of the text for hidden units; 0 to leave them out.
        task: The class of the task of a run, if it is not registered.
        data: The file of the training data of a run, if it was moved or renamed; several files of a text.

    Raises:
        UsageError: if the directory is neither, the length is negative or above 100,000, or ``data`` does not
            apply.
        CheckpointError: if a file in it is damaged.
    """
    as_integer(symbols, "report: symbols", 0, MAX_SYMBOLS)
    path = as_path(path, "report: path")
    if not path.is_dir():
        raise UsageError(_no_directory(path))
    files = [data] if isinstance(data, (str, Path)) else data or ()
    sources = [str(as_path(file, "report: data")) for file in files]
    if exists(path / RESULTS):
        if sources:
            raise UsageError(f"report: {path} is a comparison; `data` does not apply to it.")
        from zoo.report.comparison import comparison_report

        return comparison_report(path)
    if not RunDirectory(path).holds_run():
        raise UsageError(_neither(path))
    from zoo.report.run_page import run_report  # which imports the compiler

    return run_report(path, cell, symbols, task, sources)


def write_page(report: ReportPage, out: str | Path) -> Path:
    """Write a report atomically as one HTML file, and return its path.

    Raises:
        CheckpointError: if it cannot be written.
    """
    as_instance(report, "write_page: report", ReportPage, "what make_report returns")
    path = as_path(out, "report: out")
    write_bytes(path, html(report).encode(errors="backslashreplace"))  # a path may not be UTF-8
    return path


def _no_directory(path: Path) -> str:
    if not path.exists():
        return f"{path}: no such file or directory; `zoo runs` lists the runs."
    return f"report: {path} is a file; give the directory of a run or of a comparison."


def _neither(path: Path) -> str:
    if exists(path / "compare.json"):
        return f"report: the comparison in {path} has no results yet; `zoo compare` writes them as runs end."
    return (
        f"report: {path} holds neither a run (config.json) nor a comparison (results.json); `zoo runs` lists "
        f"both."
    )


SCRIPTS = (
    *("dom.js", "numbers.js", "scale.js", "controls.js", "marks.js", "axes.js", "levels.js"),
    *(
        "tip.js",
        "hover.js",
        "chart.js",
        "intervals.js",
        "table.js",
        "colours.js",
        "overview.js",
        "rows.js",
        "units.js",
    ),
    *("blocks.js", "page.js"),
)
STYLES = ("page.css", "charts.css", "text.css")


def html(report: ReportPage) -> str:
    """The HTML page of a report; deterministic."""
    style, script = f"{_themes()}\n{_concatenate(STYLES)}", _script()
    return Template(_asset("page.html")).substitute(
        title=escape(report.title),
        policy=(
            f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
            f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        data=_data(report),
        script=script,
        version=escape(zoo.__version__),
    )


def _themes() -> str:
    """CSS variables of both themes; dark by the system setting or the switch."""
    light, dark = palette.variables(0), palette.variables(1)
    return (
        f":root {{ color-scheme: light;\n{light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) "
        f"{{ color-scheme: dark;\n{dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark;\n{dark} }}"
    )


def _script() -> str:
    return f'"use strict";\n(() => {{\n{_concatenate(SCRIPTS)}\n}})();'


def _concatenate(names: tuple[str, ...]) -> str:
    return "\n".join(_asset(name if name.endswith(".css") else f"js/{name}") for name in names)


def _asset(name: str) -> str:
    return (files("zoo.report") / "assets" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(report: ReportPage) -> str:
    """The report as JSON that cannot end its script element."""
    style = {
        "series": len(palette.SERIES),
        "sequential": len(palette.SEQUENTIAL),
        "dashes": palette.DASHES,
        "markers": palette.MARKERS,
    }
    value = {**to_json(report), "style": style}
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
