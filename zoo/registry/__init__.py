"""The registry of cells, losses, modifiers, optimizers, samplers, tasks and trackers.

All components, the shipped ones included, are registered through the entry-point group ``zoo`` (see
:mod:`zoo.registry.hookspecs`). Plugins are loaded at the first look-up, never by ``import zoo``. Nothing here
imports Numba.
"""

from zoo.registry.api import (
    find_loss,
    get_cell,
    get_loss,
    get_modifier,
    get_optimizer,
    get_sampler,
    get_task,
    get_tracker,
    list_cells,
    list_losses,
    list_modifiers,
    list_optimizers,
    list_samplers,
    list_tasks,
    list_trackers,
    loss_source,
    modify,
    plugins,
    register_cell,
    register_loss,
    register_modifier,
    register_optimizer,
    register_sampler,
    register_task,
    register_tracker,
    registry_of,
    resolve_cell,
    resolve_task,
    resolve_tracker,
)
from zoo.registry.composite_names import cell_class, with_modifiers
from zoo.registry.entry_points import PluginRecord
from zoo.registry.hookspecs import hookimpl
from zoo.registry.plugin_files import load_cell_file, load_class_file, load_plugin_file
from zoo.registry.registry import Registry, Source

__all__ = [
    "PluginRecord",
    "Registry",
    "Source",
    "cell_class",
    "find_loss",
    "get_cell",
    "get_loss",
    "get_modifier",
    "get_optimizer",
    "get_sampler",
    "get_task",
    "get_tracker",
    "hookimpl",
    "list_cells",
    "list_losses",
    "list_modifiers",
    "list_optimizers",
    "list_samplers",
    "list_tasks",
    "list_trackers",
    "load_cell_file",
    "load_class_file",
    "load_plugin_file",
    "loss_source",
    "modify",
    "plugins",
    "register_cell",
    "register_loss",
    "register_modifier",
    "register_optimizer",
    "register_sampler",
    "register_task",
    "register_tracker",
    "registry_of",
    "resolve_cell",
    "resolve_task",
    "resolve_tracker",
    "with_modifiers",
]
