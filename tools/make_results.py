"""Write the figures, tables and pages that show the results of all cells.

    python tools/make_results.py            # from results/cells.csv and results/curves.csv
    python tools/make_results.py --check    # write nothing, and fail if a file is out of date

``tools/evaluate_cells.py`` measures the results. This program writes the marked parts of docs/results.md,
docs/results-tables.md and docs/howto/choose.md, docs/images/results.svg, and on the page of each cell a
section with a table and the learning curves. Cells and runs that are not measured yet are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cell_results import Results, read_results
from cell_section import CURVES_ENDING, cell_lines, has_curves
from paper_agreement import paper_table
from result_charts import PROGRAM, draw_best, draw_cell
from result_summary import facts_of
from result_tables import (
    best_table,
    block_lines,
    candidates_table,
    count_sentences,
    option_lines,
    tables,
    tasks_table,
)

from zoo.base import Block, Cell
from zoo.cell_pages.cell_page import wrapped
from zoo.cell_pages.pages import RESULTS_BLOCK, all_files, pending_changes, write_changes
from zoo.registry import registry_of
from zoo.storage.document_marker import END, DocumentMarker, block_beginning, marked_block

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RESULTS = ROOT / "results"
COMMAND = f"python {PROGRAM}"
FIGURE = "![Mean ranks with intervals, and scores on each task as bars](images/results.svg)"


def shipped_cells() -> list[type[Cell]]:
    """The cells of this repository."""
    registry = registry_of(Cell)
    names = (name for name in registry.list() if registry.source(name).distribution == "recurrent-zoo")
    return [registry.cls(name) for name in names]


def shipped_blocks() -> list[type[Block]]:
    """The blocks of this repository."""
    registry = registry_of(Block)
    names = (name for name in registry.list() if registry.source(name).distribution == "recurrent-zoo")
    return [registry.cls(name) for name in names]


def cell_blocks(results: Results, cells: Iterable[type[Cell]]) -> dict[str, str]:
    """The marked part of the page of each cell, by name."""
    beginning = f"{block_beginning(RESULTS_BLOCK)}{COMMAND} -->"
    return {cls.name: "\n".join([beginning, "", *cell_lines(results, cls.name), "", END]) for cls in cells}


def filled(page: Path, parts: Mapping[str, Sequence[str]]) -> str:
    """The text of a page with its marked parts replaced.

    Raises:
        UsageError: if the page has no such part.
    """
    text = page.read_text(encoding="utf-8")
    for name, lines in parts.items():
        marker = DocumentMarker(page, name, "make_results")
        text = marker.replace(text, "\n".join([f"{marker.beginning}{COMMAND} -->", "", *lines, "", END, ""]))
    return text


def documents(results: Results) -> dict[Path, str]:
    """The files that show the results, without the pages of cells."""
    bullets = [line for fact in facts_of(results) for line in wrapped_item(fact)]
    files = {
        DOCS / "results.md": filled(
            DOCS / "results.md",
            {
                "best": [FIGURE, "", *best_table(results).markdown()],
                "summary": bullets,
                "settings": [*option_lines(), "", *tasks_table().markdown()],
                "blocks": block_lines(results),
                "papers": paper_table(results).markdown(),
            },
        ),
        DOCS / "results-tables.md": filled(DOCS / "results-tables.md", {"tables": tables(results)}),
        DOCS / "howto" / "choose.md": filled(
            DOCS / "howto" / "choose.md", {"candidates": candidates_table(results).markdown()}
        ),
        DOCS / "images" / "results.svg": draw_best(results),
    }
    for cls in shipped_cells():
        if has_curves(results, cls.name):
            path = DOCS / "zoo" / cls.family / f"{cls.name}{CURVES_ENDING}"
            files[path] = draw_cell(results, cls.name)
    return files


def wrapped_item(text: str) -> list[str]:
    """The lines of an item of a list."""
    return [f"{'  ' if number else '- '}{line}" for number, line in enumerate(wrapped(text))]


def outdated(results: Results) -> list[Path]:
    """Files that differ from the results: to write or to remove."""
    files, cells = documents(results), shipped_cells()
    changed = [path for path, text in files.items() if _read(path) != text]
    pages = {cls.name: DOCS / "zoo" / cls.family / f"{cls.name}.md" for cls in cells}
    blocks = cell_blocks(results, cells).items()
    changed += [
        pages[name] for name, block in blocks if marked_block(_read(pages[name]), RESULTS_BLOCK) != block
    ]
    return changed + stale_curves(files)


def stale_curves(files: Iterable[Path]) -> list[Path]:
    """Learning curves of cells that have no results or no longer exist."""
    return sorted({*(DOCS / "zoo").glob(f"*/*{CURVES_ENDING}")} - {*files})


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def write(results: Results) -> None:
    """Write every file that shows the results."""
    files, cells = documents(results), shipped_cells()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)  # of a new family
        path.write_text(text, encoding="utf-8")
    for path in stale_curves(files):
        path.unlink()
    folder = DOCS / "zoo"
    pages = all_files(cells, shipped_blocks(), folder, cell_blocks(results, cells))
    write_changes(pending_changes(pages, folder, is_all=True), folder)


def main(arguments: list[str] | None = None) -> int:
    """Write all files, or compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    chosen = parser.parse_args(arguments)
    results = read_results(RESULTS)
    if not chosen.check:
        write(results)
        print(*count_sentences(results))
        return 0
    changed = outdated(results)
    for path in changed:
        print(f"{path.relative_to(ROOT)} is out of date: run {COMMAND}", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
