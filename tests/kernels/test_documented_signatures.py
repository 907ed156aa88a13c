"""The signatures in docs/kernel-functions.md are those of the functions."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from zoo import kernels

PAGE = Path(__file__).parents[2] / "docs" / "kernel-functions.md"
ROWS = [
    line.split(" | ")[0] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
]
CALLS = [call for row in ROWS for call in re.findall(r"`kernels\.(\w+)\(([^)`]*)\)`", row)]


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[name for name, _ in CALLS])
def test_documented_arguments_are_the_parameters(name: str, arguments: str) -> None:
    function = getattr(kernels, name)
    parameters = list(inspect.signature(getattr(function, "py_func", function)).parameters)
    assert arguments.replace(" ", "").split(",") == parameters
