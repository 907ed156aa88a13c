"""Which pictures there are, and their files."""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.arguments import as_choice, as_instance, as_path
from zoo.errors import UsageError
from zoo.report.blocks import Chart, Report, Table, Units
from zoo.storage import write_bytes
from zoo.storage.failures import cannot_write

ENDINGS = ("png", "svg")
_DOTS_PER_INCH = 200
# No date and no random names: the same report gives the same files.
_SETTINGS = {"svg.hashsalt": "zoo", "axes.spines.top": False, "axes.spines.right": False, "font.size": 9}


def check_figures(ending: str) -> None:
    """Refuse what could not be drawn.

    Raises:
        UsageError: if the ending is another, or matplotlib is not installed.
    """
    as_choice(ending, "report: the ending of figures", ENDINGS)
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("report: figures need matplotlib; pip install 'recurrent-zoo[report]' brings it.")


def write_figures(report: Report, directory: str | Path, ending: str = "svg") -> list[Path]:
    """Write every chart, heat map and text with hidden units of a report as a file.

    Args:
        report: From :func:`make_report`.
        directory: Where the files go; it is made if it is not there.
        ending: ``"svg"`` or ``"png"``.

    Returns:
        The files.

    Raises:
        UsageError: if the ending is another, or matplotlib is not installed.
        CheckpointError: if a file cannot be written.
    """
    as_instance(report, "write_figures: report", Report, "what make_report returns")
    check_figures(ending)
    matplotlib: Any = importlib.import_module("matplotlib")
    folder = as_path(directory, "write_figures: directory")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    files = []
    with matplotlib.rc_context(_SETTINGS):
        for name, figure in _figures(report):
            files.append(folder / f"{_file_name(name)}.{ending}")
            write_bytes(files[-1], _drawn(figure, ending))
    return files


def _figures(report: Report) -> Iterator[tuple[str, Any]]:
    """Names and figures; a chart with groups gives one for each."""
    from zoo.report.figures import charts, heat, text

    for block in (block for section in report.sections for block in section.blocks):
        if isinstance(block, Chart):
            for group in dict.fromkeys(series.group for series in block.series):
                yield "-".join(filter(None, (block.name, group))), charts.draw(block, group)
        elif isinstance(block, Table) and sum(column.heat for column in block.columns) > 1:
            yield block.name, heat.draw(block)
        elif isinstance(block, Units):
            yield from text.draw(block)


def _drawn(figure: Any, ending: str) -> bytes:
    data = io.BytesIO()
    metadata = {"Date": None} if ending == "svg" else {"Software": None}
    figure.savefig(data, format=ending, dpi=_DOTS_PER_INCH, metadata=metadata)
    return data.getvalue()


def _file_name(name: str) -> str:
    """A name that is one anywhere: of tasks and states, which files may call what they like."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip(".-")[:100] or "figure"
