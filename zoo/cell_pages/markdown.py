"""Docstrings as Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

WIDTH = 120


def prose(text: str) -> str:
    """A line of a docstring with its code and with Markdown characters escaped."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if odd % 2 else _escaped(part) for odd, part in enumerate(parts))


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`\[\]])", r"\\\1", text).replace("<", "&lt;")


def document(docstring: str) -> Iterator[str]:
    """The lines of a docstring: paragraphs, and literal blocks after a double colon."""
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.splitlines()
        if lines[0].startswith("    "):
            yield from ("```text", *textwrap.dedent(block).splitlines(), "```", "")
        else:
            paragraph = re.sub(r"::$", ":", " ".join(line.strip() for line in lines))
            yield from (*wrapped(prose(paragraph)), "")


def wrapped(text: str) -> list[str]:
    """The lines of a paragraph."""
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def link(text: str, url: str) -> str:
    """A link, with the parentheses of the address escaped."""
    return f"[{_escaped(text)}]({url.replace('(', '%28').replace(')', '%29')})"
