"""Make Jupyter notebooks of tutorials: ``docs/notebooks/*.ipynb``.

    python tools/make_notebooks.py

The pages are written in Markdown, and the tests run their code and compare its output. A notebook is the
same page in another format. Each ``python`` block becomes a code cell with the output that the page shows,
and each command of a ``console`` block a cell with ``!``. A test compares the notebooks with the pages.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "docs" / "notebooks"
PAGES = ("rnn-from-scratch", "bptt", "lstm-from-scratch")

Cell = dict[str, Any]

_FENCE = re.compile(r"^```(python|output|console)\b[^\n]*\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|#)([^)\s]+)\)")
_HEAD = """\
*This notebook was made from [this page]({page}) of the documents of zoo, and shows the same outputs. To run
it, install zoo in the environment of the notebook. Its images and links lead to other files of zoo, so
leave it in the folder `docs/notebooks` of a clone.*"""
_ABOUT_NOTEBOOK = re.compile(r"\s+You can also download this page as\s+\[a notebook\]\([^)]*\)\.")


def notebook(name: str) -> str:
    """The notebook of a page as JSON."""
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    cells = list(_cells(page))
    title, rest = cells[0]["source"].split("\n\n", 1)
    cells[0]["source"] = f"{title}\n\n{_HEAD.format(page=f'../{name}.md')}\n\n{rest}"
    content = {
        "cells": [
            {**cell, "id": f"cell-{number}", "source": cell["source"].splitlines(keepends=True)}
            for number, cell in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _cells(page: str) -> Iterator[Cell]:
    """The cells of a page in order; ``source`` is one string."""
    code: Cell | None = None
    count, start = 0, 0
    for fence in _FENCE.finditer(page):
        if text := _markdown(page[start : fence.start()]):
            if code:
                yield code
            code = None
            yield {"cell_type": "markdown", "metadata": {}, "source": text}
        start = fence.end()
        language, body = fence.groups()
        if language == "output":
            assert code is not None, f"an output without code: {body!r}"
            yield {**code, "outputs": [_stream(body)]}
            code = None
            continue
        if code:
            yield code
            code = None
        for source, shown in [(body.rstrip(), "")] if language == "python" else _commands(body):
            if code:
                yield code
            count += 1
            code = {"cell_type": "code", "execution_count": count, "metadata": {}, "source": source}
            code["outputs"] = [_stream(shown)] if shown else []
    if code:
        yield code
    if text := _markdown(page[start:]):
        yield {"cell_type": "markdown", "metadata": {}, "source": text}


def _stream(text: str) -> dict[str, Any]:
    return {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}


def _commands(body: str) -> Iterator[tuple[str, str]]:
    """Commands of a console block, and what is shown below each."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:[^\n]*\\\n)*[^\n]*\n", part)
        assert command is not None
        yield "!" + command[0].rstrip(), part[command.end() :]


def _markdown(text: str) -> str:
    """Text between code; cells cannot be folded, and relative links start from the folder of notebooks."""
    text = _ABOUT_NOTEBOOK.sub("", text).replace("open the solution", "read the solution below it")
    text = text.replace("<details>\n<summary>Solution</summary>\n", "**Solution**\n").replace(
        "</details>\n", ""
    )
    text = re.sub(r"^<!-- .*? -->\n", "", text, flags=re.MULTILINE)
    return _LINK.sub(r"](../\1)", text).strip()


def main() -> int:
    """Write all notebooks."""
    NOTEBOOKS.mkdir(exist_ok=True)
    for name in PAGES:
        (NOTEBOOKS / f"{name}.ipynb").write_text(notebook(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
