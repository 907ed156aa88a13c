"""The place in a document where what a command made stands.

It lies between a line ``<!-- made by: ... -->`` and a line ``<!-- end of what was made -->``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo.errors import UsageError

BEGINNING, END = "<!-- made by: ", "<!-- end of what was made -->"


def put_block(path: Path, command: str, paragraphs: Sequence[str], who: str) -> None:
    """Write paragraphs to a new file, or into the marked place of one that is there.

    Args:
        path: The file.
        command: What made them; it stands in the first line of the place.
        paragraphs: Markdown, to be parted by empty lines.
        who: Of an error, as in ``bench``.

    Raises:
        UsageError: if the file has no such place.
        CheckpointError: if it cannot be written.
    """
    from zoo.storage.atomic import write_bytes

    block = "\n\n".join([f"{BEGINNING}{command} -->", *paragraphs, END]) + "\n"
    text = with_block(path.read_text(encoding="utf-8"), block, str(path), who) if path.exists() else block
    write_bytes(path, text.encode())


def check_place(path: Path, who: str) -> None:
    """Refuse a file without a marked place now, not after the work.

    Raises:
        UsageError: if the file is there and has no such place, or there is no directory for it.
    """
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{who}: there is no directory {path.parent} to write {path.name} into.")
    if path.exists():
        with_block(path.read_text(encoding="utf-8"), "", str(path), who)


def with_block(text: str, block: str, name: str, who: str) -> str:
    """The text of a document with another block in the marked place.

    Raises:
        UsageError: if it has no such place, or several.
    """
    lines = text.splitlines(keepends=True)
    first = [n for n, line in enumerate(lines) if line.startswith(BEGINNING)]
    last = [n for n, line in enumerate(lines) if line.strip() == END]
    if len(first) != 1 or len(last) != 1 or first > last:
        raise UsageError(
            f"{who}: {name} has no place for the tables; expected one line that begins with "
            f"{BEGINNING.strip()} and, below it, one line {END}."
        )
    return "".join([*lines[: first[0]], block, *lines[last[0] + 1 :]])
