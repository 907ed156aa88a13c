"""The laws of cells and other components, and functions that check them.

Check in a program, in tests, or in a child process, which may crash::

    print(zoo.testing.check_cell("vanilla", on_fail="collect"))

    @zoo.testing.parametrize_cells(MyCell)  # pytest: one test for each law
    def test_cell(cell, check):
        check(cell)

    zoo.testing.check_in_child("my_cell.py:MyCell", timeout=120)

Install the testing extra, ``pip install "recurrent-zoo[testing]"``. ``ZOO_TEST_EXAMPLES`` is the number of
examples that Hypothesis generates for a law and a kind of input, 5 by default.
"""

from __future__ import annotations

from zoo._lazy import attach

# Lists of checks need NumPy, a compiler and the testing extra; a report needs none of them.
_EXPORTS = {
    "blocks": "BLOCK_CHECKS",
    "child": "check_in_child",
    "constraints": "CONSTRAINT_CHECKS",
    "laws": "CELL_CHECKS",
    "losses": "LOSS_CHECKS",
    "optimizers": "OPTIMIZER_CHECKS",
    "penalties": "PENALTY_CHECKS",
    "report": "GradientWarning Outcome Report StateWarning run_checks",
    "samplers": "SAMPLER_CHECKS",
    "suites": "check_block check_cell check_constraint check_loss check_optimizer check_penalty "
    "check_sampler check_task parametrize_blocks parametrize_cells parametrize_constraints "
    "parametrize_losses parametrize_optimizers parametrize_penalties parametrize_samplers "
    "parametrize_tasks",
    "tasks": "TASK_CHECKS",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)
