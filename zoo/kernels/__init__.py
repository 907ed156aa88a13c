"""Building blocks for kernels: products, elementary functions, the softmax cross-entropy.

A kernel names them through this package, ``from zoo import kernels`` and then ``kernels.tanh(x)``; nothing is
imported, and no Numba, until a kernel compiles. All can be called from Python too, to try them out.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.kernels.choices import choose, largest, maximum, minimum
    from zoo.kernels.elementary import exp, exp_minus, sigmoid, softplus, tanh
    from zoo.kernels.heads import add_matmul_heads, add_outer_heads, pack_heads, pack_heads_transposed
    from zoo.kernels.inputs import (
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
    from zoo.kernels.logarithms import log, log1p
    from zoo.kernels.loss import cross_entropy, cross_entropy_grad
    from zoo.kernels.memory import sequence
    from zoo.kernels.products import (
        add_matmul,
        add_matmul_at,
        add_outer,
        add_outer_at,
        pack,
        pack_transposed,
        span,
    )
    from zoo.kernels.random import random_uniform, uniform
    from zoo.kernels.special import erf
    from zoo.kernels.stream import (
        borrowed,
        copy_row,
        draw,
        input_panels,
        is_drawable,
        project_step,
        scores_of,
        weights_for,
    )
    from zoo.kernels.views import row, rows_between, rows_of, steps_of, window

_HOMES = {
    "add_input_outer": "inputs",
    "add_matmul": "products",
    "add_matmul_at": "products",
    "add_matmul_heads": "heads",
    "add_outer": "products",
    "add_outer_at": "products",
    "add_outer_heads": "heads",
    "add_rows": "inputs",
    "borrowed": "stream",
    "choose": "choices",
    "copy_row": "stream",
    "cross_entropy": "loss",
    "cross_entropy_grad": "loss",
    "dense": "inputs",
    "draw": "stream",
    "erf": "special",
    "exp": "elementary",
    "exp_minus": "elementary",
    "expm": "linear_algebra",
    "expm_derivative": "linear_algebra",
    "input_panels": "stream",
    "interpreted": "jit",
    "is_drawable": "stream",
    "largest": "choices",
    "log": "logarithms",
    "log1p": "logarithms",
    "maximum": "choices",
    "minimum": "choices",
    "njit": "jit",
    "pack": "products",
    "pack_heads": "heads",
    "pack_heads_transposed": "heads",
    "pack_transposed": "products",
    "project": "inputs",
    "project_grads": "inputs",
    "projection": "inputs",
    "projections": "inputs",
    "project_step": "stream",
    "random_uniform": "random",
    "row": "views",
    "rows_between": "views",
    "rows_of": "views",
    "scores_of": "stream",
    "sequence": "memory",
    "sigmoid": "elementary",
    "softplus": "elementary",
    "solve": "linear_algebra",
    "span": "products",
    "steps_of": "views",
    "tanh": "elementary",
    "uniform": "random",
    "weights_for": "stream",
    "window": "views",
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
