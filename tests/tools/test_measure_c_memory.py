"""The memory of exported models is read from the compiler, and the table of the guide has its cells."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import measure_c_memory
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "microcontroller.md"


def test_deepest_stack_adds_step_layer_and_helper() -> None:
    usage = (
        "model.c:1:2:clear\t8\tstatic\nmodel.c:2:2:layer_0\t100\tstatic\nmodel.c:3:2:layer_1\t60\tstatic\n"
    )
    usage += "model.c:4:2:model_init\t500\tstatic\nmodel.c:5:2:model_step\t16\tstatic\n"
    assert measure_c_memory.deepest_stack(usage) == 16 + 100 + 8


@pytest.mark.skipif(shutil.which("cc") is None or shutil.which("size") is None, reason="needs cc and size")
def test_weights_and_state_are_those_of_the_model(tmp_path: Path) -> None:
    memory = measure_c_memory.measure("vanilla", tmp_path)
    assert memory.weights == 4 * memory.parameters == 4 * (3 * 12 + 12 * 12 + 12 + 12 * 3 + 3)
    assert memory.state == 4 * 12
    assert 0 < memory.code < 5_000
    assert memory.stack >= 4 * 12


def test_table_of_the_guide_has_every_cell() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(measure_c_memory.CELLS)
