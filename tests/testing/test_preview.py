"""The preview of the laws of a cell lists the kernels that they compile."""

from __future__ import annotations

import broken_cells
import numba
import pytest

import zoo
from zoo.compiler.compiler_process import CompilerProcess, KernelCall
from zoo.compiler.second_compiler import list_kernels
from zoo.registry import get_cell
from zoo.testing import suites
from zoo.testing.laws.preview import call_kernels

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


class Own(zoo.Cell):
    """A cell that no other test compiles."""

    W, U = zoo.Param("I", "H", init="glorot_uniform"), zoo.Param("H", "H", init="orthogonal")
    h = zoo.State("H")

    def step(self, x, h):
        return 0.875 * h + zoo.sigmoid(x @ self.W + h @ self.U)


@pytest.mark.parametrize("cell", [Own, "lstm", "gla", "mamba+zoneout"])
def test_laws_compile_the_listed_kernels(cell: type[zoo.Cell] | str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = cell() if isinstance(cell, type) else get_cell(cell)
    monkeypatch.setattr(KernelCall, "is_missing", True)
    calls = list_kernels(lambda: call_kernels(cell))
    monkeypatch.undo()
    names = [call.kernel.__name__ for call in calls]
    # Dense and tokens, float64 and float32; the readout has one version for each dtype.
    assert [names.count(name) for name in ("forward", "backward", "readout_loss_and_grad")] == [4, 4, 2]
    if isinstance(cell, Own):
        assert suites.check_cell(cell).ok
        for call in calls:
            assert call.types in call.kernel.signatures, call


def test_check_starts_a_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[KernelCall]] = []
    monkeypatch.setattr("zoo.compiler.second_compiler.can_start_process", lambda threads: threads > 1)
    monkeypatch.setattr(suites, "available_processors", lambda: 2)
    monkeypatch.setattr(KernelCall, "is_missing", True)
    monkeypatch.setattr(CompilerProcess, "start", started.append)
    monkeypatch.setattr(suites, "run_checks", lambda *_, **__: zoo.testing.Report("", ()))
    suites.check_cell("vanilla")
    (calls,) = started
    assert {"forward", "backward"} <= {call.kernel.__name__ for call in calls}


@pytest.mark.parametrize("name", broken_cells.BROKEN)
def test_preview_of_a_broken_cell_raises_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KernelCall, "is_missing", True)
    list_kernels(lambda: call_kernels(broken_cells.BROKEN[name]()))
