"""Measure the flash, RAM and stack that exported C models need, and write the table of a page.

    python tools/measure_c_memory.py
    python tools/measure_c_memory.py --page docs/howto/microcontroller.md

Each cell is exported as a model with 3 inputs, 12 hidden units and 3 outputs in float32, and compiled with
``cc -std=c99 -Os``. Flash is code and constants, from ``size``. RAM is the state of one sequence. Stack is
the largest sum of frames from ``step`` down, from ``-fstack-usage``. The mathematical library is not
included. The flash with int8 weights is measured on a second export.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import zoo
from zoo.storage.document_marker import DocumentMarker
from zoo.tables import TextTable

CELLS = ("indrnn", "fastrnn", "vanilla", "min_gru", "mgu", "gru", "lstm", "lem")
INPUTS, HIDDEN, OUTPUTS = 3, 12, 3


class Memory(NamedTuple):
    """Bytes that one model needs."""

    cell: str
    parameters: int
    weights: int
    code: int
    flash: int
    int8_flash: int
    state: int
    stack: int


def measure(cell: str, folder: Path) -> Memory:
    """Export a model of a cell with int8 weights and without, compile both, and read the sizes."""
    model = zoo.SequenceModel(cell, INPUTS, OUTPUTS, hidden_size=HIDDEN)
    zoo.export.to_c(model, folder / "model.c", weights="int8", force=True)
    int8_flash = compiled_size(folder)
    sizes = zoo.export.to_c(model, folder / "model.c", force=True).sizes
    flash, weights = compiled_size(folder), sizes["weights"]
    stack = deepest_stack((folder / "model.su").read_text(encoding="utf-8"))
    return Memory(cell, model.theta.size, weights, flash - weights, flash, int8_flash, sizes["states"], stack)


def compiled_size(folder: Path) -> int:
    """Compile ``model.c``, and return the bytes of its code and constants."""
    subprocess.run(["cc", "-std=c99", "-Os", "-fstack-usage", "-c", "model.c"], cwd=folder, check=True)
    sizes = subprocess.run(["size", "model.o"], cwd=folder, check=True, capture_output=True, text=True).stdout
    text, data = map(int, sizes.splitlines()[1].split()[:2])
    return text + data


def deepest_stack(usage: str) -> int:
    """Return the largest stack of ``model_step``: its frame, the deepest layer, and the deepest helper."""
    frames = {}
    for line in usage.splitlines():
        place, size, _ = line.split("\t")
        frames[place.rpartition(":")[2]] = int(size)
    layers = [size for name, size in frames.items() if name.startswith("layer_")]
    helpers = [size for name, size in frames.items() if not name.startswith(("layer_", "model_"))]
    return frames["model_step"] + max(layers, default=0) + max(helpers, default=0)


def paragraphs_of(rows: Sequence[Memory]) -> list[str]:
    """Return a sentence with the compiler, and the table in Markdown."""
    version = subprocess.run(["cc", "--version"], check=True, capture_output=True, text=True).stdout
    sentence = f"{INPUTS} inputs, {HIDDEN} hidden units, {OUTPUTS} outputs, float32: "
    sentence += f"{version.splitlines()[0]}, -Os, {platform.machine()}."
    headings = "cell", "parameters", "weights", "code", "flash", "flash, int8", "RAM (state)", "stack"
    texts = [(f"`{row.cell}`", *(f"{number:,}" for number in row[1:])) for row in rows]
    table = TextTable("", headings, tuple(texts), right=tuple(range(1, len(headings))))
    return [sentence, "\n".join(table.markdown())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all cells; print the table or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="page for the table")
    page = parser.parse_args(arguments).page
    with tempfile.TemporaryDirectory() as folder:
        paragraphs = paragraphs_of([measure(cell, Path(folder)) for cell in CELLS])
    if page is None:
        print("\n\n".join(paragraphs))
    else:
        DocumentMarker(page, "", "measure_c_memory").write("python tools/measure_c_memory.py", paragraphs)


if __name__ == "__main__":
    main()
