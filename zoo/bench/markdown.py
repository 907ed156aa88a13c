"""Results as Markdown, and the place in a document where they stand."""

from __future__ import annotations

from pathlib import Path

from zoo.bench.records import Results
from zoo.bench.tables import Sheet, sheets, surroundings
from zoo.errors import UsageError

BEGINNING, END = "<!-- made by: ", "<!-- end of what was made -->"


def put(path: Path, results: Results) -> None:
    """Write the tables to a new file, or into the marked place of one that is there.

    The place lies between a line ``<!-- made by: ... -->`` and a line ``<!-- end of what was made -->``.

    Raises:
        UsageError: if the file has no such place.
        CheckpointError: if it cannot be written.
    """
    from zoo.storage.atomic import write_bytes

    block = _block(results)
    text = with_block(path.read_text(encoding="utf-8"), block, str(path)) if path.exists() else block
    write_bytes(path, text.encode())


def check_place(path: Path) -> None:
    """Refuse a file without a marked place now, not after the run.

    Raises:
        UsageError: if the file is there and has no such place.
    """
    if path.exists():
        with_block(path.read_text(encoding="utf-8"), "", str(path))


def with_block(text: str, block: str, name: str) -> str:
    """The text of a document with another block in the marked place.

    Raises:
        UsageError: if it has no such place, or several.
    """
    lines = text.splitlines(keepends=True)
    first = [n for n, line in enumerate(lines) if line.startswith(BEGINNING)]
    last = [n for n, line in enumerate(lines) if line.strip() == END]
    if len(first) != 1 or len(last) != 1 or first > last:
        raise UsageError(
            f"bench: {name} has no place for the tables; expected one line that begins with "
            f"{BEGINNING.strip()} and, below it, one line {END}."
        )
    return "".join([*lines[: first[0]], block, *lines[last[0] + 1 :]])


def _block(results: Results) -> str:
    parts = [
        f"{BEGINNING}{results.command} -->",
        "\n".join(f"{line}  " for line in surroundings(results)).rstrip(),
        *map(_table, sheets(results)),
        END,
    ]
    return "\n\n".join(parts) + "\n"


def _table(sheet: Sheet) -> str:
    rule = ["--:" if column in sheet.right else "---" for column in range(len(sheet.headings))]
    rows = [_row(sheet.headings), "|" + "|".join(rule) + "|", *map(_row, sheet.rows)]
    legend = [sheet.legend, ""] if sheet.legend else []
    return "\n".join([f"### {sheet.title}", "", *legend, *rows])


def _row(texts: tuple[str, ...]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
