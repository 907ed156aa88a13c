"""Notebooks of the tutorials: the same text, code and output as the pages."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path

import docs_runner
import make_notebooks
import pytest

ROOT = Path(__file__).parents[2]


def test_every_notebook_has_a_page() -> None:
    assert {path.stem for path in make_notebooks.NOTEBOOKS.iterdir()} == set(make_notebooks.PAGES)


@pytest.mark.parametrize("name", make_notebooks.PAGES)
def test_notebook_is_up_to_date(name: str) -> None:
    stored = (make_notebooks.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")
    assert make_notebooks.notebook(name) == stored, "make it again: python tools/make_notebooks.py"


@pytest.mark.parametrize("name", make_notebooks.PAGES)
def test_notebook_has_all_code_and_output_of_its_page(name: str) -> None:
    cells = json.loads(make_notebooks.notebook(name))["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    shown = [
        ("".join(cell["source"]), "".join(chain(*(out["text"] for out in cell["outputs"])))) for cell in code
    ]
    blocks = docs_runner.read_page((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    expected = []
    for block in blocks:
        if block.language == "python":
            expected.append((block.text.rstrip(), block.output.text if block.output else ""))
        elif block.language == "console":
            commands = docs_runner.commands(block)
            expected += [(f"!{command}", output) for _, command, output in commands]
    assert shown == expected
    text = "".join(chain(*(cell["source"] for cell in cells if cell["cell_type"] == "markdown")))
    assert "```" not in text
    assert "details>" not in text
    assert "](images/" not in text
    assert "](../images/" in text


@pytest.mark.parametrize("name", make_notebooks.PAGES)
def test_text_of_a_notebook_fits_a_notebook(name: str) -> None:
    """It does not link to itself, cells fold nothing, its links have targets, and all cells can run again."""
    cells = json.loads(make_notebooks.notebook(name))["cells"]
    text = "".join(chain(*(cell["source"] for cell in cells if cell["cell_type"] == "markdown")))
    assert "as a notebook" not in " ".join(text.split())
    assert f"{name}.ipynb" not in text
    assert "open the solution" not in text
    targets = re.findall(r"\]\((\.\./[^)#\s]+)", text)
    assert targets
    assert [each for each in targets if not (make_notebooks.NOTEBOOKS / each).exists()] == []
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert [each for each in code if " train " in each and "--resume" not in each and each[0] == "!"] == []
