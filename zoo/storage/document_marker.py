"""Markers in a Markdown document between which a command writes its output.

The output stands between a line ``<!-- made by: ... -->`` and a line ``<!-- end of what was made -->``. A
document with several of them names each: ``<!-- text, made by: ... -->``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.arguments import missing_directory
from zoo.errors import UsageError
from zoo.storage.atomic import write_bytes

BEGINNING, END = "<!-- made by: ", "<!-- end of what was made -->"
_BEGINNING_LINE = re.compile(r"<!-- (?:[\w-]+, )?made by: ")


@dataclass(frozen=True)
class DocumentMarker:
    """A marked block of a document.

    Args:
        path: The file.
        name: Name of the block; empty where it is the only one.
        command: Name of the command for error messages, such as ``bench``.
    """

    path: Path
    name: str
    command: str

    @property
    def beginning(self) -> str:
        """Beginning of the first line of the block."""
        return block_beginning(self.name)

    def write(self, command: str, paragraphs: Sequence[str]) -> None:
        """Write paragraphs to a new file, or into the block if the file exists.

        Args:
            command: The command line that made them, for the first line of the block.
            paragraphs: Markdown; empty lines are added between them.

        Raises:
            UsageError: if the file has no such block.
            CheckpointError: if it cannot be written.
        """
        block = "\n\n".join([f"{self.beginning}{command} -->", *paragraphs, END]) + "\n"
        text = self.replace(self._text(), block) if self.path.exists() else block
        write_bytes(self.path, text.encode(errors="backslashreplace"))  # a path may be no UTF-8

    def check(self) -> None:
        """Check that `write` will find its block.

        Raises:
            UsageError: if the file exists and has no such block, or its directory does not exist.
        """
        if not self.path.absolute().parent.is_dir():
            raise UsageError(missing_directory(self.path.parent))
        if self.path.exists():
            self.replace(self._text(), "")

    def replace(self, text: str, block: str) -> str:
        """Return the text of a document with ``block`` in place of the marked one.

        Raises:
            UsageError: if the document has no such block, or several.
        """
        lines = text.splitlines(keepends=True)
        first = [n for n, line in enumerate(lines) if line.startswith(self.beginning)]
        others = [n for n, line in enumerate(lines) if line.strip() == END or _BEGINNING_LINE.match(line)]
        last = next((n for n in others if first and n > first[0]), None)
        if len(first) != 1 or last is None or lines[last].strip() != END:
            raise UsageError(
                f"{self.command}: {self.path} has no place for the tables; expected one line that begins "
                f"with {self.beginning.strip()} and, below it, one line {END}."
            )
        return "".join([*lines[: first[0]], block, *lines[last + 1 :]])

    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def block_beginning(name: str) -> str:
    """Beginning of the first line of a block; the name is empty where it is the only one."""
    return f"<!-- {name}, made by: " if name else BEGINNING


def marked_block(text: str, name: str) -> str:
    """A marked block of a document with its two markers; empty if the document has no whole block.

    Args:
        text: The document.
        name: Name of the block.
    """
    pattern = rf"^{re.escape(block_beginning(name))}.*?^{re.escape(END)}$"
    match = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    return match[0] if match else ""


def parse_marker(text: str, command: str) -> DocumentMarker:
    """Parse ``FILE`` or ``FILE#NAME``.

    Raises:
        UsageError: if the name is invalid.
    """
    path, sign, name = text.rpartition("#")
    if sign and not re.fullmatch(r"[\w-]+", name):
        raise UsageError(f"{command}: {text!r} names no place; write it as FILE or FILE#NAME.")
    return DocumentMarker(Path(path), name, command) if sign else DocumentMarker(Path(text), "", command)
