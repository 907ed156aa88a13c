"""A model of a comparison: one cell for all layers, or a stack with a cell for each layer.

A stack has the options of all its layers, named ``l0.forget_bias``. To choose one, give this name, or
``forget_bias`` for all layers that have it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.base import Cell, Component
from zoo.base.block import PLACEMENT_OPTIONS
from zoo.base.names import did_you_mean
from zoo.errors import UsageError
from zoo.registry import is_stack, layer_names, resolve_cell, stack_name

_LAYER = re.compile(r"l[0-9]+\.")
"""The layer of an option."""


@dataclass(frozen=True)
class ModelInfo:
    """A model of a comparison, without its size and readout.

    Args:
        cells: The cell of all layers, or the cell of each layer of a stack.
        is_stack: Whether it is a stack, which may have one layer.
    """

    cells: tuple[Cell, ...]
    is_stack: bool = False

    @property
    def of_layers(self) -> Cell | list[Cell]:
        """The cell of all layers, or the list of the cell of each, as models take them."""
        return [*self.cells] if self.is_stack else self.cells[0]

    @property
    def name(self) -> str:
        """Name of the cell, or of the stack."""
        return stack_name([cell.name for cell in self.cells]) if self.is_stack else self.cells[0].name

    @property
    def summary(self) -> str:
        """One line that describes it."""
        return f"A stack of {len(self.cells)} layers." if self.is_stack else self.cells[0].summary()

    @property
    def scope(self) -> str:
        """Scope of the cell, or the scopes of the layers if they differ."""
        return ", ".join(dict.fromkeys(cell.card.scope for cell in self.cells))

    @property
    def is_published(self) -> bool:
        """Whether the card of every layer has a reference, unlike the cells of your own."""
        return all(cell.card.published for cell in self.cells)

    @property
    def is_in_block(self) -> bool:
        """Whether a layer is in a block."""
        return any(cell.is_in_block() for cell in self.cells)

    @property
    def digest(self) -> str:
        """SHA-256 of the sources."""
        if not self.is_stack:
            return self.cells[0].source_digest()
        return hashlib.sha256("".join(cell.source_digest() for cell in self.cells).encode()).hexdigest()

    @property
    def options(self) -> dict[str, Any]:
        """All options."""
        return self._named(cell.options for cell in self.cells)

    @property
    def stated_options(self) -> dict[str, Any]:
        """See `stated_options`."""
        return self._named(map(stated_options, self.cells))

    @property
    def customary_options(self) -> dict[str, Any]:
        """See `customary_options`."""
        return self._named(map(customary_options, self.cells))

    @property
    def fixed_size_options(self) -> dict[str, int]:
        """Options that are sizes and do not change with H."""
        return self._named(cell.fixed_size_options() for cell in self.cells)

    def _named(self, values: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Values of each layer by the name of the option, for a stack with the layer."""
        return {
            f"l{layer}.{name}" if self.is_stack else name: value
            for layer, layer_values in enumerate(values)
            for name, value in layer_values.items()
        }


def resolve_model_info(spec: str, options: Mapping[str, Any]) -> ModelInfo:
    """The model of a spec, a cell or a stack. Options that are not given have their customary values.

    Raises:
        UnknownNameError: if a cell is unknown.
        UsageError: if an option is unknown or its value is not allowed.
    """
    if not is_stack(spec):
        return ModelInfo((_with_options(resolve_cell(spec), options),))
    names = layer_names(spec)
    defaults = {name: resolve_cell(name) for name in dict.fromkeys(names)}
    layers = [defaults[name] for name in names]
    _check_options(spec, layers, options)
    return ModelInfo(
        tuple(_with_options(cell, _of_layer(options, cell, layer)) for layer, cell in enumerate(layers)),
        is_stack=True,
    )


def _with_options(cell: Cell, options: Mapping[str, Any]) -> Cell:
    return type(cell)(**{**customary_options(cell), **options})


def _of_layer(options: Mapping[str, Any], cell: Cell, layer: int) -> dict[str, Any]:
    """The chosen options of a layer. Those with its name come before those of all layers."""
    names = cell.declared_options
    for_all = {name: options[name] for name in names if name in options}
    return for_all | {name: options[f"l{layer}.{name}"] for name in names if f"l{layer}.{name}" in options}


def _check_options(spec: str, layers: Sequence[Cell], options: Mapping[str, Any]) -> None:
    for_all = dict.fromkeys(name for cell in layers for name in cell.declared_options)
    known = [*for_all, *ModelInfo(tuple(layers), is_stack=True).options]
    for name in options:
        if name not in known:
            listed = ", ".join(for_all) or "none"
            raise UsageError(
                f"stack {spec!r} has no option {name!r}; it has {listed}, for all layers or for one, as in "
                f"l0.NAME.{did_you_mean(name, known)}"
            )


def layer_options(options: Mapping[str, Any], layers: int) -> list[dict[str, Any]]:
    """All options of a stack as the options of each layer."""
    return [
        {name.partition(".")[2]: value for name, value in options.items() if name.startswith(f"l{layer}.")}
        for layer in range(layers)
    ]


def override_options(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Options with changes. A change for all layers of a stack replaces the value of each layer."""
    kept = {name: value for name, value in options.items() if _LAYER.sub("", name, count=1) not in changes}
    return {**kept, **changes}


def merge_layers(values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Values of options, with one entry for those that are equal in all layers that have the option.

    Args:
        values: Values by the name of an option.
        options: All options of the cell or stack.
    """
    merged = {}
    for name, value in values.items():
        option = _LAYER.sub("", name, count=1)
        same = [each for each in options if _LAYER.sub("", each, count=1) == option]
        is_common = all(each in values and values[each] == value for each in same)
        merged[option if is_common else name] = value
    return merged


def customary_options(component: Component) -> dict[str, Any]:
    """The values of options that a comparison uses in place of their defaults."""
    declared = component.declared_options.items()
    return {name: option.customary for name, option in declared if option.customary is not None}


def stated_options(component: Component) -> dict[str, Any]:
    """The options that tables and commands state: those without their default, or with a customary value."""
    customary = customary_options(component)
    return {
        name: component.options[name]
        for name, option in component.declared_options.items()
        if name not in PLACEMENT_OPTIONS and (component.options[name] != option.default or name in customary)
    }
