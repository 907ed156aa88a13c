"""Building blocks for kernels: products, elementary functions, the softmax cross-entropy.

A kernel names them through this package, ``from zoo import kernels`` and then ``kernels.tanh(x)``; nothing is
imported, and no Numba, until a kernel compiles. All can be called from Python too, to try them out.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.kernels.elementary import exp, sigmoid, tanh
    from zoo.kernels.inputs import project, project_grads
    from zoo.kernels.jit import interpreted, njit
    from zoo.kernels.loss import cross_entropy, cross_entropy_grad
    from zoo.kernels.products import add_matmul, add_outer, pack, pack_transposed
    from zoo.kernels.random import uniform

_HOMES = {
    "add_matmul": "products",
    "add_outer": "products",
    "cross_entropy": "loss",
    "cross_entropy_grad": "loss",
    "exp": "elementary",
    "interpreted": "jit",
    "njit": "jit",
    "pack": "products",
    "pack_transposed": "products",
    "project": "inputs",
    "project_grads": "inputs",
    "sigmoid": "elementary",
    "tanh": "elementary",
    "uniform": "random",
}

__all__ = [
    "add_matmul",
    "add_outer",
    "cross_entropy",
    "cross_entropy_grad",
    "exp",
    "interpreted",
    "njit",
    "pack",
    "pack_transposed",
    "project",
    "project_grads",
    "sigmoid",
    "tanh",
    "uniform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.kernels' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.kernels.{_HOMES[name]}"), name)
