"""Every derived cell against golden values, which another program computed from its own statement of it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from golden_values import CASES, HIDDEN, INPUTS, Golden, assert_close, assert_kernels_give, name_of
from law_options import compiled_kind, is_compiled, law_cell

import zoo
from zoo.kernels import pure_python
from zoo.testing import reference
from zoo.testing.trials import DENSE64


@pytest.fixture(params=CASES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


SHIPPED = [type(zoo.get_cell(name)) for name in zoo.list_cells()]
WITH_BUFFERS = [case for case in CASES if zoo.get_cell(name_of(case)).buffers]
DERIVED = [cell for cell in SHIPPED if cell.__module__.startswith("zoo_cells.") and cell.is_derived()]


def test_every_derived_cell_has_golden_values() -> None:
    assert {name_of(case) for case in CASES} == {cell.name for cell in DERIVED}


@pytest.mark.parametrize("cell", DERIVED, ids=lambda cell: cell.name)
def test_fact_sheets_are_complete(cell: type[zoo.Cell]) -> None:
    assert cell.__module__.endswith(f".{cell.name}")
    declared = [cell.params, cell.buffers, cell.states, cell.inputs, cell.declared_options]
    assert all(each.help for group in declared for each in group.values())
    text = cell.__doc__ or ""
    assert [name for name in (*cell.params, *cell.buffers, *cell.states) if f"``{name} (" not in text] == []


def test_golden_arrays_have_the_declared_shapes(golden: Golden) -> None:
    cell, sizes = golden.cell, (INPUTS, HIDDEN)
    for kind, axes, expected in (
        ("params", 0, cell.param_shapes(*sizes)),
        ("buffers", 0, cell.buffer_shapes(*sizes)),
        ("state", 1, cell.state_shapes(*sizes)),
        ("input", 2, cell.input_shapes(*sizes)),
    ):
        assert {name: value.shape[axes:] for name, value in golden.group(kind).items()} == expected


@pytest.mark.parametrize("golden", WITH_BUFFERS, indirect=True)
def test_fixed_buffers_have_golden_values(golden: Golden) -> None:
    one, other = (zoo.Recurrent(golden.cell, INPUTS, HIDDEN, dtype="float64", seed=seed) for seed in (0, 1))
    for name, value in golden.group("buffers", "l0.").items():
        if np.array_equal(one.buffers[name], other.buffers[name]):
            assert_close(one.buffers[name], value, name)


def test_step_has_golden_values(golden: Golden) -> None:
    arrays = golden.group("params") | golden.group("buffers")
    x, state, inputs = golden.arrays["x"], golden.group("state"), golden.group("input")
    y, last = reference.run_sequence(golden.cell, arrays, x, state, inputs)
    assert_close(y, golden.arrays["y"], "y")
    for name, expected in golden.group("last").items():
        assert_close(last[name], expected, name)


def test_derived_kernels_give_the_golden_values_and_gradients(golden: Golden) -> None:
    with contextlib.nullcontext() if laws_compile(golden.cell) else pure_python():
        assert_kernels_give(golden)


def laws_compile(cell: zoo.Cell) -> bool:
    """Whether the laws compile the same kernels. They compare them with the same source in plain Python."""
    return is_compiled(cell) and cell == law_cell(cell.name) and compiled_kind(cell.name) == DENSE64


def test_laws_compile_kernels_of_some_cases() -> None:
    assert any(laws_compile(Golden(case).cell) for case in CASES)
