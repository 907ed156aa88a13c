"""The hooks: what a plugin may bring, one typed function for each kind of member.

A plugin is a module named by an entry point in the group ``zoo``::

    [project.entry-points.zoo]
    leaky = "zoo_leaky"

and in that module a hook hands over classes::

    @zoo.hookimpl
    def zoo_register_cells(register):
        register(Leaky)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pluggy

from zoo.base import Cell, Component, Modifier, Optimizer, Sampler, Task, Tracker

F = TypeVar("F", bound=Callable[..., Any])

hookspec = pluggy.HookspecMarker("zoo")
_mark = pluggy.HookimplMarker("zoo")


def hookimpl(function: F) -> F:
    """Mark a function of a plugin as a hook; its name says which one it is.

    zoo calls it with ``register``, to hand over classes::

        @zoo.hookimpl
        def zoo_register_cells(register):
            register(MyCell)
    """
    return _mark(function)


# A further kind of member is one row here and one hook below.
COMPONENT_CLASSES: tuple[type[Component], ...] = (Cell, Modifier, Optimizer, Sampler, Task, Tracker)


@hookspec
def zoo_register_cells(register: Callable[[type[Cell]], type[Cell]]) -> None:
    """Hand over cells: ``register(cls)`` for each class."""


@hookspec
def zoo_register_modifiers(register: Callable[[type[Modifier]], type[Modifier]]) -> None:
    """Hand over modifiers: ``register(cls)`` for each class."""


@hookspec
def zoo_register_optimizers(register: Callable[[type[Optimizer]], type[Optimizer]]) -> None:
    """Hand over optimizers: ``register(cls)`` for each class."""


@hookspec
def zoo_register_samplers(register: Callable[[type[Sampler]], type[Sampler]]) -> None:
    """Hand over samplers: ``register(cls)`` for each class."""


@hookspec
def zoo_register_tasks(register: Callable[[type[Task]], type[Task]]) -> None:
    """Hand over tasks: ``register(cls)`` for each class."""


@hookspec
def zoo_register_trackers(register: Callable[[type[Tracker]], type[Tracker]]) -> None:
    """Hand over trackers: ``register(cls)`` for each class."""


def hook_name(contract: type[Component]) -> str:
    """The hook that registers members of a contract, ``zoo_register_cells``."""
    return f"zoo_register_{contract.kind}s"
