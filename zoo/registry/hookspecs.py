"""The hooks of a plugin, one for each kind of component.

A plugin is a module named by an entry point in the group ``zoo``::

    [project.entry-points.zoo]
    leaky = "zoo_leaky"

and in that module a hook registers classes, or losses::

    @zoo.hookimpl
    def zoo_register_cells(register):
        register(Leaky)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pluggy

from zoo.base import (
    Block,
    Cell,
    Component,
    Constraint,
    Modifier,
    Optimizer,
    Penalty,
    Sampler,
    Task,
    Tracker,
)
from zoo.base.loss import Loss

F = TypeVar("F", bound=Callable[..., Any])

hookspec = pluggy.HookspecMarker("zoo")
_mark = pluggy.HookimplMarker("zoo")


def hookimpl(function: F) -> F:
    """Mark a function of a plugin as the hook of its name.

    zoo calls it with ``register``, a function that registers a class::

        @zoo.hookimpl
        def zoo_register_cells(register):
            register(MyCell)
    """
    return _mark(function)


# Another kind of component is one entry here and one hook below.
COMPONENT_CLASSES: tuple[type[Component], ...] = (
    Block,
    Cell,
    Constraint,
    Modifier,
    Optimizer,
    Penalty,
    Sampler,
    Task,
    Tracker,
)
CLASSES_BY_KIND: dict[str, type[Component]] = {base.kind: base for base in COMPONENT_CLASSES}
KINDS: tuple[str, ...] = (*(base.kind for base in COMPONENT_CLASSES), Loss.kind)


@hookspec
def zoo_register_blocks(register: Callable[[type[Block]], type[Block]]) -> None:
    """Register blocks: ``register(cls)`` for each class."""


@hookspec
def zoo_register_cells(register: Callable[[type[Cell]], type[Cell]]) -> None:
    """Register cells: ``register(cls)`` for each class."""


@hookspec
def zoo_register_constraints(register: Callable[[type[Constraint]], type[Constraint]]) -> None:
    """Register constraints: ``register(cls)`` for each class."""


@hookspec
def zoo_register_losses(register: Callable[[Loss], Loss]) -> None:
    """Register losses: ``register(loss)`` for each."""


@hookspec
def zoo_register_modifiers(register: Callable[[type[Modifier]], type[Modifier]]) -> None:
    """Register modifiers: ``register(cls)`` for each class."""


@hookspec
def zoo_register_optimizers(register: Callable[[type[Optimizer]], type[Optimizer]]) -> None:
    """Register optimizers: ``register(cls)`` for each class."""


@hookspec
def zoo_register_penalties(register: Callable[[type[Penalty]], type[Penalty]]) -> None:
    """Register penalties: ``register(cls)`` for each class."""


@hookspec
def zoo_register_samplers(register: Callable[[type[Sampler]], type[Sampler]]) -> None:
    """Register samplers: ``register(cls)`` for each class."""


@hookspec
def zoo_register_tasks(register: Callable[[type[Task]], type[Task]]) -> None:
    """Register tasks: ``register(cls)`` for each class."""


@hookspec
def zoo_register_trackers(register: Callable[[type[Tracker]], type[Tracker]]) -> None:
    """Register trackers: ``register(cls)`` for each class."""


def plural(kind: str) -> str:
    """The plural of a kind of component: ``"cells"``, ``"losses"``, ``"penalties"``."""
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def hook_name(kind: str) -> str:
    """The hook that registers components of a kind, ``zoo_register_cells``."""
    return f"zoo_register_{plural(kind)}"
