"""Functions to list, get, register and resolve components; the first call loads the plugins.

The functions of each kind, such as ``list_cells``, are typed names for the generic ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

from zoo.arguments import short_repr
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
from zoo.base.loss import Loss, loss_table
from zoo.base.names import did_you_mean, with_article
from zoo.base.set_options import parse_options
from zoo.errors import UnknownNameError, UsageError
from zoo.registry import composite_names, loader
from zoo.registry.entry_points import PluginRecord
from zoo.registry.hookspecs import CLASSES_BY_KIND
from zoo.registry.plugin_files import is_file_spec, load_cell_file, load_class_file
from zoo.registry.registry import Registry, Source, check_component
from zoo.registry.stack_names import is_stack, split_at_commas

C = TypeVar("C", bound=Component)
BlockType = TypeVar("BlockType", bound=type[Block])
CellType = TypeVar("CellType", bound=type[Cell])
ConstraintType = TypeVar("ConstraintType", bound=type[Constraint])
ModifierType = TypeVar("ModifierType", bound=type[Modifier])
OptimizerType = TypeVar("OptimizerType", bound=type[Optimizer])
PenaltyType = TypeVar("PenaltyType", bound=type[Penalty])
SamplerType = TypeVar("SamplerType", bound=type[Sampler])
TaskType = TypeVar("TaskType", bound=type[Task])
TrackerType = TypeVar("TrackerType", bound=type[Tracker])


def registry_of(base: type[C]) -> Registry[C]:
    """The registry of a base class, ``Cell``, ``Optimizer`` and so on, after loading the plugins.

    Raises:
        PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
    """
    return loader.LOADER.registry(base)


def plugins() -> tuple[PluginRecord, ...]:
    """The status of every plugin: the shipped ones, then the others by distribution, then files.

    Raises:
        PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
    """
    return loader.LOADER.plugins()


def foreign_plugins() -> tuple[PluginRecord, ...]:
    """The status of every plugin but the shipped ones, which it does not import.

    Raises:
        PluginError: under ``ZOO_STRICT_PLUGINS=1``, if a plugin failed.
    """
    return loader.LOADER.foreign_plugins()


def component_class(base: type[C], name: str) -> type[C]:
    """The class of a registered name; the name of a cell may include modifiers, ``lstm+zoneout``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: if a modifier does not suit the cell.
    """
    return composite_names.cell_class(name) if base is Cell else registry_of(base).cls(name)  # type: ignore[return-value]


def resolve(base: type[C], component: str | type[C] | C, options: dict[str, Any]) -> C:
    """The component that a name, a class or an instance denotes; and most kinds by ``"FILE.py:Class"``.

    Args:
        base: Base class of its kind.
        component: The name, class or instance.
        options: Values for its options; none with an instance, which has its options.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: if a file or class is missing, or an option is invalid.
        DefinitionError: if the class is not one of the kind.
        PluginError: if the file cannot be imported.
    """
    if isinstance(component, base):
        if options:
            raise UsageError(
                f"{component!r} has its options already; found {', '.join(options)} besides. Give the class."
            )
        return component.refreshed() if base in (Block, Cell) else component
    if isinstance(component, str):
        cls = _class_of(base, component)
    elif not isinstance(component, type):
        is_size = base is Cell and isinstance(component, int)
        advice = f" To give the size, write hidden_size={component}." if is_size else ""
        raise UsageError(
            f"{base.kind} is {short_repr(component)}; expected the name of {with_article(base.kind)}, "
            f"a class derived from zoo.{base.__name__}, or zoo.get_{base.kind}(...).{advice}"
        )
    else:
        check_component(component, base)
        cls = component
    return cls(**options)


def _class_of(base: type[C], spec: str) -> type[C]:
    # Only users name these kinds by file; a run directory may name the rest, and must not cause imports.
    if base is Cell and is_file_spec(spec):
        return load_cell_file(spec)  # type: ignore[return-value]
    is_file = base in (Block, Constraint, Modifier, Penalty, Task) and is_file_spec(spec)
    return load_class_file(spec, base) if is_file else component_class(base, spec)


def register(base: type[Component], cls: Any, override: bool) -> Any:
    """Register a class for this process and return it. In a plugin, use a hook instead.

    Args:
        base: Base class of its kind.
        cls: The class.
        override: Whether it may replace a component of the same name.

    Raises:
        DefinitionError: if ``cls`` is not a class of this kind.
        UsageError: if the name is taken.
    """
    return loader.LOADER.register(base.kind, cls, override)


@contextmanager
def given_classes(classes: Iterable[type[Component]]) -> Iterator[None]:
    """Register classes for a ``with`` statement, and the parts of composite cells, so that names denote them.

    Args:
        classes: Classes that a caller gave. They may be registered already.

    Raises:
        DefinitionError: if a class is abstract.
        UsageError: if two of them have one name, or a plugin has another class of this name.
    """
    by_name: dict[tuple[str, str], type[Component]] = {}
    with ExitStack() as stack:
        for cls in (part for each in classes for part in composite_names.component_parts(each)):
            check_component(cls, CLASSES_BY_KIND[cls.kind])
            if by_name.setdefault((cls.kind, cls.name), cls) is not cls:
                raise UsageError(
                    f"two {cls.kind} classes have the name {cls.name!r}; give one of them another, as in "
                    f'name = "other_{cls.name}".'
                )
        for (kind, _), cls in by_name.items():
            stack.enter_context(registry_of(CLASSES_BY_KIND[kind]).given(cls))
        yield


def modify(
    cell: str | type[Cell] | Cell, modifier: str | type[Modifier] | Modifier, /, **options: Any
) -> Cell:
    """Apply a modifier to a cell: ``modify("lstm", "zoneout", p=0.1)`` is the cell ``lstm+zoneout``.

    Args:
        cell: Name of a cell, ``"FILE.py:Class"``, a class, or a cell with its options chosen.
        modifier: Name of a modifier, ``"FILE.py:Class"``, a class, or a modifier with its options chosen.
        **options: Options of the modifier; none with an instance, which has its options.

    Raises:
        UnknownNameError: if the name of the cell or modifier is unknown.
        UsageError: if the modifier does not suit the cell, or an option is invalid.
        DefinitionError: if the equations of the cell are invalid.
    """
    from zoo.modifiers.modified_cell import modified_class

    inner, outer = resolve_cell(cell), resolve(Modifier, modifier, options)
    cls = modified_class(type(inner), type(outer))
    return cls(**inner.options, **{f"{outer.name}_{name}": value for name, value in outer.options.items()})


def list_blocks(pattern: str = "*") -> list[str]:
    """List the registered blocks by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Block).list(pattern)


def list_cells(pattern: str = "*") -> list[str]:
    """List the registered cells by name; the pattern matches a name, ``"*lstm"``, or ``"gated/*"``."""
    return registry_of(Cell).list(pattern)


def list_constraints(pattern: str = "*") -> list[str]:
    """List the registered constraints by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Constraint).list(pattern)


def list_modifiers(pattern: str = "*") -> list[str]:
    """List the registered modifiers by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Modifier).list(pattern)


def list_losses(pattern: str = "*") -> list[str]:
    """List the losses by name: the built-in ones, and those of plugins and of this process."""
    return _losses().list(pattern)


def loss_source(name: str) -> Source:
    """The source of a loss: zoo for a built-in one, else the plugin or the program that registered it."""
    return _losses().source(name)


def _losses() -> Registry[Any]:
    return registry_of(cast(Any, Loss))  # a loss is no class


def list_optimizers(pattern: str = "*") -> list[str]:
    """List the registered optimizers by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Optimizer).list(pattern)


def list_penalties(pattern: str = "*") -> list[str]:
    """List the registered penalties by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Penalty).list(pattern)


def list_samplers(pattern: str = "*") -> list[str]:
    """List the registered samplers by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Sampler).list(pattern)


def list_tasks(pattern: str = "*") -> list[str]:
    """List the registered tasks by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Task).list(pattern)


def list_trackers(pattern: str = "*") -> list[str]:
    """List the registered trackers by name; the pattern matches a name, or ``"family/*"``."""
    return registry_of(Tracker).list(pattern)


def get_block(name: str, /, **options: Any) -> Block:
    """Get a registered block with its options: ``get_block("mamba", expand=2)``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Block, name)(**options)


def get_cell(name: str, /, **options: Any) -> Cell:
    """Get a registered cell: ``get_cell("leaky", leak=0.1)``, ``get_cell("lstm+zoneout", zoneout_p=0.1)``.

    Raises:
        UnknownNameError: if the name of the cell or of a modifier is unknown.
        UsageError: for an unknown option, an invalid value, or a modifier that does not suit the cell.
    """
    return component_class(Cell, name)(**options)


def get_constraint(name: str, /, **options: Any) -> Constraint:
    """Get a registered constraint with its options: ``get_constraint("dale", excitatory=0.8)``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Constraint, name)(**options)


def get_modifier(name: str, /, **options: Any) -> Modifier:
    """Get a registered modifier with its options: ``get_modifier("zoneout", p=0.1)``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Modifier, name)(**options)


def get_loss(name: str, /, *, class_weights: Sequence[float] | None = None, **options: Any) -> Loss:
    """Get a loss with its options chosen: ``get_loss("huber", delta=0.5)``.

    Raises:
        UnknownNameError: if no loss has this name.
        UsageError: for an unknown option or an invalid value.
    """
    return find_loss(name).with_options(class_weights=class_weights, **options)


def named_loss(text: str, options: Mapping[str, Any] | None = None, of_target: str = "") -> Loss:
    """A loss by its name, which options may follow, as in ``huber:0.5`` or ``huber:delta=0.5``.

    Args:
        text: The name, or the name, a colon, and a number or ``name=value`` with commas between them.
        options: Options by name, without a number.
        of_target: The column, for messages; empty for the loss of all targets or of labels.

    Raises:
        UsageError: if the loss is unknown, or an option is unknown or invalid.
    """
    name, colon, parameter = text.partition(":")
    loss = get_loss(name, **(options or {}))
    if not colon:
        return loss
    owner = f"loss of {of_target!r} is {text!r}" if of_target else f"loss is {text!r}"
    if options:
        raise UsageError(f"{owner} and loss_options are given; give the option once.")
    if len(loss.options) > 1 and "=" not in parameter:
        example = f"{name}:{','.join(f'{key}={each.default}' for key, each in loss.options.items())}"
        raise UsageError(f"{owner}; {name} has several options; name them, as in {example!r}.")
    return loss.with_options(**parse_options(loss, parameter, owner))


LOSS_SYNONYMS = {
    "mse": "squared_error",
    "l2": "squared_error",
    "mae": "absolute_error",
    "l1": "absolute_error",
    "bce": "binary",
    "ce": "cross_entropy",
    "smooth_l1": "huber",
    "pinball": "quantile",
}
"""Names of losses in other libraries, for the error message."""


def find_loss(loss: Any) -> Loss:
    """Convert the name of a loss to the loss; an unknown name loads the foreign plugins first.

    No shipped plugin registers a loss, and the import of all of them takes 0.4 s.

    Raises:
        UnknownNameError: if no loss has this name.
        UsageError: if it is neither a name nor a loss.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise UsageError(f"loss is {short_repr(loss)}; expected the name of a loss or a zoo.Loss.")
    if loss not in loss_table():
        foreign_plugins()
    table = loss_table()
    if loss not in table:
        known_as = LOSS_SYNONYMS.get(loss.lower())
        advice = f" {loss!r} is called {known_as!r}." if known_as else did_you_mean(loss, table)
        advice = advice or " A loss in a file is registered by --plugin FILE.py:NAME, or zoo.register_loss."
        raise UnknownNameError(f"loss is {short_repr(loss)}; expected one of {', '.join(table)}.{advice}")
    return table[loss]


def get_optimizer(name: str, /, **options: Any) -> Optimizer:
    """Get a registered optimizer with its options: ``get_optimizer("adam", lr=2e-3)``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Optimizer, name)(**options)


def get_penalty(name: str, /, **options: Any) -> Penalty:
    """Get a registered penalty with its options: ``get_penalty("l2", factor=1e-3)``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Penalty, name)(**options)


def get_sampler(name: str, /, **options: Any) -> Sampler:
    """Get a registered sampler with its options: ``get_sampler("top_k", k=40)``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Sampler, name)(**options)


def get_task(name: str, /, **options: Any) -> Task:
    """Get a registered task with its options: ``get_task("copying", delay=100)``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Task, name)(**options)


def get_tracker(name: str, /, **options: Any) -> Tracker:
    """Get a registered tracker with its options: ``get_tracker("tensorboard", dir="events")``.

    Raises:
        UnknownNameError: if the name is unknown.
        UsageError: for an unknown option or an invalid value.
    """
    return component_class(Tracker, name)(**options)


def register_block(cls: BlockType, *, override: bool = False) -> BlockType:
    """Register a block class for this process; usable as a decorator. See ``register``."""
    return register(Block, cls, override)  # type: ignore[no-any-return]


def register_cell(cls: CellType, *, override: bool = False) -> CellType:
    """Register a cell class for this process; usable as a decorator. See ``register``."""
    return register(Cell, cls, override)  # type: ignore[no-any-return]


def register_constraint(cls: ConstraintType, *, override: bool = False) -> ConstraintType:
    """Register a constraint class for this process; usable as a decorator. See ``register``."""
    return register(Constraint, cls, override)  # type: ignore[no-any-return]


def register_loss(loss: Loss, *, override: bool = False) -> Loss:
    """Register a loss under its name, for this process. In a plugin, use a hook instead.

    Args:
        loss: The loss.
        override: Whether it may replace another loss of this name.

    Raises:
        DefinitionError: if it is not a loss.
        UsageError: if the name is taken.
    """
    return loader.LOADER.register(Loss.kind, loss, override)  # type: ignore[no-any-return]


def register_modifier(cls: ModifierType, *, override: bool = False) -> ModifierType:
    """Register a modifier class for this process; usable as a decorator. See ``register``."""
    return register(Modifier, cls, override)  # type: ignore[no-any-return]


def register_optimizer(cls: OptimizerType, *, override: bool = False) -> OptimizerType:
    """Register an optimizer class for this process; usable as a decorator. See ``register``."""
    return register(Optimizer, cls, override)  # type: ignore[no-any-return]


def register_penalty(cls: PenaltyType, *, override: bool = False) -> PenaltyType:
    """Register a penalty class for this process; usable as a decorator. See ``register``."""
    return register(Penalty, cls, override)  # type: ignore[no-any-return]


def register_sampler(cls: SamplerType, *, override: bool = False) -> SamplerType:
    """Register a sampler class for this process; usable as a decorator. See ``register``."""
    return register(Sampler, cls, override)  # type: ignore[no-any-return]


def register_task(cls: TaskType, *, override: bool = False) -> TaskType:
    """Register a task class for this process; usable as a decorator. See ``register``."""
    return register(Task, cls, override)  # type: ignore[no-any-return]


def register_tracker(cls: TrackerType, *, override: bool = False) -> TrackerType:
    """Register a tracker class for this process; usable as a decorator. See ``register``."""
    return register(Tracker, cls, override)  # type: ignore[no-any-return]


def resolve_cell(cell: str | type[Cell] | Cell, /, **options: Any) -> Cell:
    """The cell that a name, ``"FILE.py:Class"``, a class or an instance denotes. See :func:`resolve`.

    Raises:
        UsageError: if it is a list. Only ``zoo.train``, the models and ``zoo.Recurrent`` take a cell for each
            layer.
    """
    if isinstance(cell, (list, tuple)):
        raise UsageError(
            f"cell is a {type(cell).__name__} of {len(cell)}; expected one cell, which all layers have. Only "
            f"zoo.train, the models and zoo.Recurrent take a cell for each layer."
        )
    name = cell if isinstance(cell, str) and not is_file_spec(cell) else ""
    if name != "()" and (is_stack(name) or len(split_at_commas(name)) > 1):
        raise UsageError(
            f"cell {cell!r} is several layers; expected one cell, which all layers have. Only zoo.train, the "
            f"models and zoo.Recurrent take a list with a cell for each layer."
        )
    return resolve(Cell, cell, options)


def resolve_cell_in_block(
    cell: str | type[Cell] | Cell, block: str | type[Block] | Block | None, /, **options: Any
) -> Cell:
    """The cell that a name, ``"FILE.py:Class"``, a class or an instance denotes, within a block.

    Args:
        cell: The cell.
        block: The block; None for none.
        **options: Options of the cell, and of the block with its name in front, ``mamba_expand``.

    Raises:
        UsageError: if the block does not suit the cell, an option is invalid, or the cell is a list.
    """
    if block is None:
        return resolve_cell(cell, **options)
    resolved_block = resolve_block(block)
    if isinstance(cell, Cell):
        return composite_names.in_block(resolve_cell(cell, **options), resolved_block)
    cls = composite_names.in_block_class(type(resolve_cell(cell)), type(resolved_block))
    if resolved_block.is_bare():
        return cls(**options)
    return cls(
        **{
            **{f"{resolved_block.name}_{name}": value for name, value in resolved_block.options.items()},
            **options,
        }
    )


def resolve_block(block: str | type[Block] | Block, /, **options: Any) -> Block:
    """The block that a name, ``"FILE.py:Class"``, a class or an instance denotes. See :func:`resolve`."""
    return resolve(Block, block, options)


def resolve_task(task: str | type[Task] | Task, /, **options: Any) -> Task:
    """The task that a name, ``"FILE.py:Class"``, a class or an instance denotes. See :func:`resolve`."""
    return resolve(Task, task, options)


def resolve_tracker(tracker: str | type[Tracker] | Tracker, /, **options: Any) -> Tracker:
    """The tracker that a name, a class or an instance denotes. See :func:`resolve`."""
    return resolve(Tracker, tracker, options)
