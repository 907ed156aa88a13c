"""The laws of a cell, one function each, by subject.

A law is a plain function of a cell that raises AssertionError where it is broken; the first line of its
docstring is the law. They need no pytest.
"""

from __future__ import annotations

from collections.abc import Callable

from zoo.base import Cell
from zoo.testing.laws.declarations import (
    check_help,
    check_initialisation,
    check_parameter_count,
    check_well_formed,
)
from zoo.testing.laws.gradients import (
    check_directional_derivative,
    check_input_gradient,
    check_parameter_gradients,
    check_state_gradient,
    check_vjp_linear,
)
from zoo.testing.laws.kernels import (
    check_compiles_once,
    check_jit_equals_python,
    check_large_sizes,
    check_step_agrees,
)
from zoo.testing.laws.model import check_learns, check_save_load, check_softmax
from zoo.testing.laws.numerics import check_finite, check_float32, check_nan
from zoo.testing.laws.results import (
    check_deterministic,
    check_empty_sequence,
    check_inputs_unchanged,
    check_needs_dx,
    check_results_are_new,
    check_shapes,
    check_tape_reusable,
    check_threads,
    check_two_tapes,
)
from zoo.testing.laws.sequence import (
    check_directions,
    check_layers,
    check_lengths,
    check_rows_independent,
    check_rows_permute,
    check_split,
    check_tokens,
)

CELL_CHECKS: tuple[Callable[[Cell], None], ...] = (
    *(check_well_formed, check_help, check_parameter_count, check_initialisation),
    *(check_shapes, check_empty_sequence),
    *(check_inputs_unchanged, check_results_are_new, check_deterministic, check_tape_reusable),
    *(check_needs_dx, check_two_tapes, check_threads, check_finite),
    *(check_parameter_gradients, check_input_gradient, check_state_gradient),
    *(check_directional_derivative, check_large_sizes, check_vjp_linear),
    *(check_split, check_rows_independent, check_rows_permute, check_tokens),
    *(check_lengths, check_directions, check_layers),
    *(check_float32, check_nan, check_softmax),
    *(check_step_agrees, check_jit_equals_python, check_compiles_once),
    *(check_save_load, check_learns),
)
"""All laws of a cell. If the first one fails, the others are skipped."""

__all__ = ["CELL_CHECKS", *(check.__name__ for check in CELL_CHECKS)]
