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
    from zoo import analysis, convert, data, export, kernels, report, testing
    from zoo import base as base
    from zoo import jax as jax
    from zoo import sklearn as sklearn
    from zoo import torch as torch
    from zoo import training as training
    from zoo.base import (
        Batch,
        Buffer,
        Card,
        Cell,
        Chain,
        Input,
        Modifier,
        Noise,
        Optimizer,
        Option,
        Output,
        Param,
        Sampler,
        State,
        StateSlot,
        Task,
        TaskRng,
        Tracker,
    )
    from zoo.comparison import Comparison, compare
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
    from zoo.functions import (
        cayley,
        cumax,
        cumsum,
        erf,
        exp,
        exp_diff,
        expm,
        eye,
        gelu,
        hard_sigmoid,
        heaviside,
        layer_norm,
        leaky_relu,
        log,
        log_sigmoid,
        outer,
        relu,
        roll,
        sigmoid,
        silu,
        softmax,
        softplus,
        split,
        sqrt,
        stop_gradient,
        tanh,
        top_k,
    )
    from zoo.kernels.jit import njit
    from zoo.layers import Recurrent
    from zoo.model import LanguageModel, SequenceModel, load
    from zoo.registry import (
        get_cell,
        get_modifier,
        get_optimizer,
        get_sampler,
        get_task,
        get_tracker,
        hookimpl,
        list_cells,
        list_modifiers,
        list_optimizers,
        list_samplers,
        list_tasks,
        list_trackers,
        modify,
        register_cell,
        register_modifier,
        register_optimizer,
        register_sampler,
        register_task,
        register_tracker,
    )
    from zoo.training import Run, train

__version__ = "0.1.0"

# Public name -> the module that holds it. `import zoo` reads none: `zoo --help` must answer in a blink.
_HOMES = {
    "Batch": "zoo.base",
    "Buffer": "zoo.base",
    "Card": "zoo.base",
    "Cell": "zoo.base",
    "Chain": "zoo.base",
    "CheckpointError": "zoo.errors",
    "Comparison": "zoo.comparison",
    "DataError": "zoo.errors",
    "DefinitionError": "zoo.errors",
    "TaskRng": "zoo.base",
    "Input": "zoo.base",
    "LanguageModel": "zoo.model",
    "Modifier": "zoo.base",
    "Noise": "zoo.base",
    "Optimizer": "zoo.base",
    "Option": "zoo.base",
    "Output": "zoo.base",
    "Param": "zoo.base",
    "PluginError": "zoo.errors",
    "Recurrent": "zoo.layers",
    "Run": "zoo.training",
    "Sampler": "zoo.base",
    "SequenceModel": "zoo.model",
    "StateSlot": "zoo.base",
    "State": "zoo.base",
    "Task": "zoo.base",
    "Tracker": "zoo.base",
    "UnknownNameError": "zoo.errors",
    "UsageError": "zoo.errors",
    "ZooError": "zoo.errors",
    "ZooWarning": "zoo.errors",
    "compare": "zoo.comparison",
    "cayley": "zoo.functions",
    "cumax": "zoo.functions",
    "cumsum": "zoo.functions",
    "erf": "zoo.functions",
    "exp": "zoo.functions",
    "exp_diff": "zoo.functions",
    "expm": "zoo.functions",
    "eye": "zoo.functions",
    "gelu": "zoo.functions",
    "get_cell": "zoo.registry",
    "get_modifier": "zoo.registry",
    "get_optimizer": "zoo.registry",
    "get_sampler": "zoo.registry",
    "get_task": "zoo.registry",
    "get_tracker": "zoo.registry",
    "hard_sigmoid": "zoo.functions",
    "heaviside": "zoo.functions",
    "hookimpl": "zoo.registry",
    "layer_norm": "zoo.functions",
    "leaky_relu": "zoo.functions",
    "list_cells": "zoo.registry",
    "list_modifiers": "zoo.registry",
    "list_optimizers": "zoo.registry",
    "list_samplers": "zoo.registry",
    "list_tasks": "zoo.registry",
    "list_trackers": "zoo.registry",
    "load": "zoo.model",
    "log": "zoo.functions",
    "log_sigmoid": "zoo.functions",
    "modify": "zoo.registry",
    "njit": "zoo.kernels.jit",
    "outer": "zoo.functions",
    "register_cell": "zoo.registry",
    "register_modifier": "zoo.registry",
    "register_optimizer": "zoo.registry",
    "register_sampler": "zoo.registry",
    "register_task": "zoo.registry",
    "register_tracker": "zoo.registry",
    "relu": "zoo.functions",
    "roll": "zoo.functions",
    "sigmoid": "zoo.functions",
    "silu": "zoo.functions",
    "softmax": "zoo.functions",
    "softplus": "zoo.functions",
    "split": "zoo.functions",
    "sqrt": "zoo.functions",
    "stop_gradient": "zoo.functions",
    "tanh": "zoo.functions",
    "top_k": "zoo.functions",
    "train": "zoo.training",
}
_ROOMS = ("analysis", "convert", "data", "export", "kernels", "report", "testing")
# Rooms for the users of another library, of its name: not in __all__, lest a star import hides the library.
_GUESTS = ("jax", "sklearn", "torch")
# Modules of which the reference lists single names, as in `zoo.training.Config`.
_SUBMODULES = ("base", "training")

__all__ = [
    "Batch",
    "Buffer",
    "Card",
    "Cell",
    "Chain",
    "CheckpointError",
    "Comparison",
    "DataError",
    "DefinitionError",
    "Input",
    "LanguageModel",
    "Modifier",
    "Noise",
    "Optimizer",
    "Option",
    "Output",
    "Param",
    "PluginError",
    "Recurrent",
    "Run",
    "Sampler",
    "SequenceModel",
    "State",
    "StateSlot",
    "Task",
    "TaskRng",
    "Tracker",
    "UnknownNameError",
    "UsageError",
    "ZooError",
    "ZooWarning",
    "analysis",
    "cayley",
    "compare",
    "convert",
    "cumax",
    "cumsum",
    "data",
    "erf",
    "exp",
    "exp_diff",
    "expm",
    "export",
    "eye",
    "gelu",
    "get_cell",
    "get_modifier",
    "get_optimizer",
    "get_sampler",
    "get_task",
    "get_tracker",
    "hard_sigmoid",
    "heaviside",
    "hookimpl",
    "kernels",
    "layer_norm",
    "leaky_relu",
    "list_cells",
    "list_modifiers",
    "list_optimizers",
    "list_samplers",
    "list_tasks",
    "list_trackers",
    "load",
    "log",
    "log_sigmoid",
    "modify",
    "njit",
    "outer",
    "register_cell",
    "register_modifier",
    "register_optimizer",
    "register_sampler",
    "register_task",
    "register_tracker",
    "relu",
    "report",
    "roll",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "stop_gradient",
    "tanh",
    "testing",
    "top_k",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in (*_ROOMS, *_GUESTS, *_SUBMODULES):
        return importlib.import_module(f"zoo.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
