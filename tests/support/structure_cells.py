"""Cells whose output is one expression in the input, states and parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import zoo

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")

# Shapes of states (lower case) and parameters (upper case) by name, and an expression in them and x.
Case = tuple[dict[str, str], Callable[[Any], Any]]


def structure_cell(shapes: dict[str, str], expression: Any) -> zoo.Cell:
    """A cell whose output is an expression, and whose states depend on it and on themselves."""
    states = [name for name in shapes if name.islower()]
    params = [name for name in shapes if name.isupper()]

    def step(self: Any, x: Any, *values: Any) -> Any:
        before = dict(zip(states, values, strict=True))
        y = expression(SimpleNamespace(x=x, **before, **{name: getattr(self, name) for name in params}))
        moved = np.mean(y * y) * self.shift
        return zoo.Output(y.reshape(-1), *(np.tanh(0.7 * value + moved) for value in values))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    step.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in ("self", "x", *states)])
    return type(
        "Structure",
        (zoo.Cell,),
        {
            "__doc__": "One expression.",
            "card": CARD,
            "shift": zoo.Param(),
            **{name: zoo.Param(*shapes[name].split()) for name in params},
            **{name: zoo.State(*shapes[name].split()) for name in states},
            "step": step,
        },
    )()
