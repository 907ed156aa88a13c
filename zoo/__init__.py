"""zoo: recurrent cells, written once as their equations, trained on a CPU at the machine's own speed.

>>> import zoo
>>> zoo.list_optimizers()[:2]
['adagrad', 'adam']

Importing zoo loads no plugins and no compiler; a name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo import kernels, testing
    from zoo.contracts import Card, Cell, Chain, Optimizer, Option, Param, Sampler, Slot, State
    from zoo.errors import (
        CheckpointError,
        DataError,
        DefinitionError,
        PluginError,
        UnknownNameError,
        UsageError,
        ZooError,
        ZooWarning,
    )
    from zoo.kernels.jit import njit
    from zoo.layers import Recurrent
    from zoo.model import LanguageModel, load
    from zoo.registry import (
        get_cell,
        get_optimizer,
        get_sampler,
        hookimpl,
        list_cells,
        list_optimizers,
        list_samplers,
        register_cell,
        register_optimizer,
        register_sampler,
    )
    from zoo.training import Run, train

__version__ = "0.1.0"

# Public name -> the module that holds it. `import zoo` reads none: `zoo --help` must answer in a blink.
_HOMES = {
    "Card": "zoo.contracts",
    "Cell": "zoo.contracts",
    "Chain": "zoo.contracts",
    "CheckpointError": "zoo.errors",
    "DataError": "zoo.errors",
    "DefinitionError": "zoo.errors",
    "LanguageModel": "zoo.model",
    "Optimizer": "zoo.contracts",
    "Option": "zoo.contracts",
    "Param": "zoo.contracts",
    "PluginError": "zoo.errors",
    "Recurrent": "zoo.layers",
    "Run": "zoo.training",
    "Sampler": "zoo.contracts",
    "Slot": "zoo.contracts",
    "State": "zoo.contracts",
    "UnknownNameError": "zoo.errors",
    "UsageError": "zoo.errors",
    "ZooError": "zoo.errors",
    "ZooWarning": "zoo.errors",
    "get_cell": "zoo.registry",
    "get_optimizer": "zoo.registry",
    "get_sampler": "zoo.registry",
    "hookimpl": "zoo.registry",
    "list_cells": "zoo.registry",
    "list_optimizers": "zoo.registry",
    "list_samplers": "zoo.registry",
    "load": "zoo.model",
    "njit": "zoo.kernels.jit",
    "register_cell": "zoo.registry",
    "register_optimizer": "zoo.registry",
    "register_sampler": "zoo.registry",
    "train": "zoo.training",
}
_ROOMS = ("kernels", "testing")

__all__ = [
    "Card",
    "Cell",
    "Chain",
    "CheckpointError",
    "DataError",
    "DefinitionError",
    "LanguageModel",
    "Optimizer",
    "Option",
    "Param",
    "PluginError",
    "Recurrent",
    "Run",
    "Sampler",
    "Slot",
    "State",
    "UnknownNameError",
    "UsageError",
    "ZooError",
    "ZooWarning",
    "get_cell",
    "get_optimizer",
    "get_sampler",
    "hookimpl",
    "kernels",
    "list_cells",
    "list_optimizers",
    "list_samplers",
    "load",
    "njit",
    "register_cell",
    "register_optimizer",
    "register_sampler",
    "testing",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"zoo.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
