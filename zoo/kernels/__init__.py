"""Building blocks for kernels: products, elementary functions, the softmax cross-entropy.

A kernel names them through this package, ``from zoo import kernels`` and then ``kernels.tanh(x)``; nothing is
imported, and no Numba, until a kernel compiles. All can be called from Python too, to try them out.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.kernels.array_views import row, rows_between, rows_of, sequence, steps_of, window
    from zoo.kernels.elementary import exp, exp_minus, log, log1p, sigmoid, softplus, tanh
    from zoo.kernels.error_function import erf
    from zoo.kernels.input_projection import (
        add_input_outer,
        add_rows,
        dense,
        project,
        project_grads,
        projection,
        projections,
    )
    from zoo.kernels.jit import interpreted, njit
    from zoo.kernels.linear_algebra import expm, expm_derivative, solve
    from zoo.kernels.matmul import (
        add_matmul,
        add_matmul_at,
        add_matmul_heads,
        add_outer,
        add_outer_at,
        add_outer_heads,
        pack,
        pack_heads,
        pack_heads_transposed,
        pack_transposed,
        span,
    )
    from zoo.kernels.random import random_uniform, uniform
    from zoo.kernels.sampling import (
        borrowed,
        copy_row,
        draw,
        input_panels,
        is_drawable,
        project_step,
        scores_of,
        weights_for,
    )
    from zoo.kernels.select import choose, largest, maximum, minimum
    from zoo.kernels.softmax_loss import cross_entropy, cross_entropy_grad

_HOMES = {
    "add_input_outer": "input_projection",
    "add_matmul": "matmul",
    "add_matmul_at": "matmul",
    "add_matmul_heads": "matmul",
    "add_outer": "matmul",
    "add_outer_at": "matmul",
    "add_outer_heads": "matmul",
    "add_rows": "input_projection",
    "borrowed": "sampling",
    "choose": "select",
    "copy_row": "sampling",
    "cross_entropy": "softmax_loss",
    "cross_entropy_grad": "softmax_loss",
    "dense": "input_projection",
    "draw": "sampling",
    "erf": "error_function",
    "exp": "elementary",
    "exp_minus": "elementary",
    "expm": "linear_algebra",
    "expm_derivative": "linear_algebra",
    "input_panels": "sampling",
    "interpreted": "jit",
    "is_drawable": "sampling",
    "largest": "select",
    "log": "elementary",
    "log1p": "elementary",
    "maximum": "select",
    "minimum": "select",
    "njit": "jit",
    "pack": "matmul",
    "pack_heads": "matmul",
    "pack_heads_transposed": "matmul",
    "pack_transposed": "matmul",
    "project": "input_projection",
    "project_grads": "input_projection",
    "projection": "input_projection",
    "projections": "input_projection",
    "project_step": "sampling",
    "random_uniform": "random",
    "row": "array_views",
    "rows_between": "array_views",
    "rows_of": "array_views",
    "scores_of": "sampling",
    "sequence": "array_views",
    "sigmoid": "elementary",
    "softplus": "elementary",
    "solve": "linear_algebra",
    "span": "matmul",
    "steps_of": "array_views",
    "tanh": "elementary",
    "uniform": "random",
    "weights_for": "sampling",
    "window": "array_views",
}

__all__ = [
    "add_input_outer",
    "add_matmul",
    "add_matmul_at",
    "add_matmul_heads",
    "add_outer",
    "add_outer_at",
    "add_outer_heads",
    "add_rows",
    "borrowed",
    "choose",
    "copy_row",
    "cross_entropy",
    "cross_entropy_grad",
    "dense",
    "draw",
    "erf",
    "exp",
    "exp_minus",
    "expm",
    "expm_derivative",
    "input_panels",
    "interpreted",
    "is_drawable",
    "largest",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "njit",
    "pack",
    "pack_heads",
    "pack_heads_transposed",
    "pack_transposed",
    "project",
    "project_grads",
    "project_step",
    "projection",
    "projections",
    "random_uniform",
    "row",
    "rows_between",
    "rows_of",
    "scores_of",
    "sequence",
    "sigmoid",
    "softplus",
    "solve",
    "span",
    "steps_of",
    "tanh",
    "uniform",
    "weights_for",
    "window",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.kernels' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.kernels.{_HOMES[name]}"), name)
