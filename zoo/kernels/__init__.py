"""Building blocks for kernels: matrix products, elementary functions, the softmax cross-entropy.

Kernels write ``from zoo import kernels`` and then ``kernels.tanh(x)``. Numba is imported when the first
kernel compiles. You can also call every function from Python.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.kernels.array_views import as_rows, empty_sequence, flat_slice, row, rows_of_steps, slice_steps
    from zoo.kernels.elementary import exp, exp_diff, log, log1p, sigmoid, softplus, tanh
    from zoo.kernels.error_function import erf
    from zoo.kernels.input_projection import (
        add_column_sums,
        add_weight_gradient,
        project,
        project_all_or_buffer,
        project_at,
        project_backward,
        to_dense,
    )
    from zoo.kernels.jit import njit, pure_python
    from zoo.kernels.linear_algebra import expm, expm_derivative, solve
    from zoo.kernels.matmul import (
        add_matmul,
        add_matmul_heads,
        add_matmul_offset,
        add_matmul_ta,
        add_matmul_ta_heads,
        add_matmul_ta_offset,
        pack,
        pack_heads,
        pack_heads_transposed,
        pack_transposed,
        steps_per_gradient_block,
    )
    from zoo.kernels.random import random_uniform, uniform
    from zoo.kernels.sampling import (
        as_scores,
        copy_row,
        is_valid_logits,
        prepare_input_weights,
        project_step,
        sample_softmax,
        sampling_buffer,
        unowned,
    )
    from zoo.kernels.select_ops import maximum, minimum, row_max, select
    from zoo.kernels.softmax_loss import cross_entropy, cross_entropy_grad

_HOMES = {
    "add_column_sums": "input_projection",
    "add_matmul": "matmul",
    "add_matmul_heads": "matmul",
    "add_matmul_offset": "matmul",
    "add_matmul_ta": "matmul",
    "add_matmul_ta_heads": "matmul",
    "add_matmul_ta_offset": "matmul",
    "add_weight_gradient": "input_projection",
    "as_rows": "array_views",
    "as_scores": "sampling",
    "copy_row": "sampling",
    "cross_entropy": "softmax_loss",
    "cross_entropy_grad": "softmax_loss",
    "empty_sequence": "array_views",
    "erf": "error_function",
    "exp": "elementary",
    "exp_diff": "elementary",
    "expm": "linear_algebra",
    "expm_derivative": "linear_algebra",
    "flat_slice": "array_views",
    "is_valid_logits": "sampling",
    "log": "elementary",
    "log1p": "elementary",
    "maximum": "select_ops",
    "minimum": "select_ops",
    "njit": "jit",
    "pack": "matmul",
    "pack_heads": "matmul",
    "pack_heads_transposed": "matmul",
    "pack_transposed": "matmul",
    "prepare_input_weights": "sampling",
    "project": "input_projection",
    "project_all_or_buffer": "input_projection",
    "project_at": "input_projection",
    "project_backward": "input_projection",
    "project_step": "sampling",
    "pure_python": "jit",
    "random_uniform": "random",
    "row": "array_views",
    "row_max": "select_ops",
    "rows_of_steps": "array_views",
    "sample_softmax": "sampling",
    "sampling_buffer": "sampling",
    "select": "select_ops",
    "sigmoid": "elementary",
    "slice_steps": "array_views",
    "softplus": "elementary",
    "solve": "linear_algebra",
    "steps_per_gradient_block": "matmul",
    "tanh": "elementary",
    "to_dense": "input_projection",
    "uniform": "random",
    "unowned": "sampling",
}

__all__ = [
    "add_column_sums",
    "add_matmul",
    "add_matmul_heads",
    "add_matmul_offset",
    "add_matmul_ta",
    "add_matmul_ta_heads",
    "add_matmul_ta_offset",
    "add_weight_gradient",
    "as_rows",
    "as_scores",
    "copy_row",
    "cross_entropy",
    "cross_entropy_grad",
    "empty_sequence",
    "erf",
    "exp",
    "exp_diff",
    "expm",
    "expm_derivative",
    "flat_slice",
    "is_valid_logits",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "njit",
    "pack",
    "pack_heads",
    "pack_heads_transposed",
    "pack_transposed",
    "prepare_input_weights",
    "project",
    "project_all_or_buffer",
    "project_at",
    "project_backward",
    "project_step",
    "pure_python",
    "random_uniform",
    "row",
    "row_max",
    "rows_of_steps",
    "sample_softmax",
    "sampling_buffer",
    "select",
    "sigmoid",
    "slice_steps",
    "softplus",
    "solve",
    "steps_per_gradient_block",
    "tanh",
    "to_dense",
    "uniform",
    "unowned",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.kernels' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.kernels.{_HOMES[name]}"), name)
