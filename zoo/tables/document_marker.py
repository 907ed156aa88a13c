"""The place in a document where what a command made stands.

It lies between a line ``<!-- made by: ... -->`` and a line ``<!-- end of what was made -->``. A document with
several of them gives each a name, ``<!-- text, made by: ... -->``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import UsageError

BEGINNING, END = "<!-- made by: ", "<!-- end of what was made -->"
_BEGINNING_LINE = re.compile(r"<!-- (?:[\w-]+, )?made by: ")


@dataclass(frozen=True)
class DocumentMarker:
    """A place in a document.

    Args:
        path: The file.
        name: The name of the place; empty where it is the only one.
        who: Of an error, as in ``bench``.
    """

    path: Path
    name: str
    who: str

    @property
    def beginning(self) -> str:
        """What its first line begins with."""
        return f"<!-- {self.name}, made by: " if self.name else BEGINNING

    def write(self, command: str, paragraphs: Sequence[str]) -> None:
        """Write paragraphs to a new file, or into the place if the file is there.

        Args:
            command: What made them; it stands in the first line.
            paragraphs: Markdown, to be parted by empty lines.

        Raises:
            UsageError: if the file has no such place.
            CheckpointError: if it cannot be written.
        """
        from zoo.storage.atomic import write_bytes

        block = "\n\n".join([f"{self.beginning}{command} -->", *paragraphs, END]) + "\n"
        text = self.replace(self._text(), block) if self.path.exists() else block
        write_bytes(self.path, text.encode(errors="backslashreplace"))  # a path may be no UTF-8

    def check(self) -> None:
        """Refuse a file without the place now, not after the work.

        Raises:
            UsageError: if the file is there and has no such place, or there is no directory for it.
        """
        if not self.path.absolute().parent.is_dir():
            raise UsageError(
                f"{self.who}: there is no directory {self.path.parent} to write {self.path.name} into."
            )
        if self.path.exists():
            self.replace(self._text(), "")

    def replace(self, text: str, block: str) -> str:
        """The text of a document with another block in the place.

        Raises:
            UsageError: if it has no such place, or several.
        """
        lines = text.splitlines(keepends=True)
        first = [n for n, line in enumerate(lines) if line.startswith(self.beginning)]
        others = [n for n, line in enumerate(lines) if line.strip() == END or _BEGINNING_LINE.match(line)]
        last = next((n for n in others if first and n > first[0]), None)
        if len(first) != 1 or last is None or lines[last].strip() != END:
            raise UsageError(
                f"{self.who}: {self.path} has no place for the tables; expected one line that begins with "
                f"{self.beginning.strip()} and, below it, one line {END}."
            )
        return "".join([*lines[: first[0]], block, *lines[last + 1 :]])

    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def parse_marker(text: str, who: str) -> DocumentMarker:
    """The place that ``FILE`` or ``FILE#NAME`` means.

    Raises:
        UsageError: if the name is none.
    """
    path, sign, name = text.rpartition("#")
    if sign and not re.fullmatch(r"[\w-]+", name):
        raise UsageError(f"{who}: {text!r} names no place; write it as FILE or FILE#NAME.")
    return DocumentMarker(Path(path), name, who) if sign else DocumentMarker(Path(text), "", who)
