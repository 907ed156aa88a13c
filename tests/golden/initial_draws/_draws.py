"""Types and conversions for the draws of official code."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import torch

Values = dict[str, Any]
Sizes = Any
"""Sizes ``I`` and ``H``, and the options of the cell, as attributes."""


@dataclass(frozen=True)
class Draw:
    """Initial values and defaults of a cell, from one run of official code, by the names of zoo.

    Args:
        arrays: Arrays of NumPy, PyTorch or JAX, in the shapes of zoo. Those that the code does not have are
            left out.
        options: Defaults of the options that the code has.
    """

    arrays: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


DrawCell = Callable[[Sizes], Draw]


def to_numpy(value: Any) -> np.ndarray:
    """Convert an array of PyTorch or JAX."""
    return value.detach().numpy() if torch.is_tensor(value) else np.array(value)


def defaults_of(function: Callable[..., Any]) -> Values:
    """Default values of the arguments of a function."""
    return {
        name: each.default
        for name, each in inspect.signature(function).parameters.items()
        if each.default is not inspect.Parameter.empty
    }


def jax_key() -> jax.Array:
    """A key of JAX from the generator of Python, which the script seeds."""
    return jax.random.key(random.getrandbits(31))
