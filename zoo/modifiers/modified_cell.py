"""Classes of modified cells: ``lstm+zoneout`` is a cell like any other."""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from zoo.base import Card, Cell, Modifier, Option, Output
from zoo.base.card import UNPUBLISHED
from zoo.base.cell import count_formula
from zoo.base.component import check_importable
from zoo.base.names import MODIFIER_SEPARATOR, check_component_name
from zoo.compiler.frontend.symbolic import SymbolBase
from zoo.errors import UsageError
from zoo.modifiers.compose import ComposedCell, compose


class ModifiedCell(Cell, abstract=True):
    """A cell with a modifier; it has the options of both.

    The declarations depend on the options, so every instance has its own. The class has the declarations
    for the default options.
    """

    base: ClassVar[type[Cell]]
    modifier: ClassVar[type[Modifier]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        kinds = ("params", "buffers", "states", "inputs")
        vars(self).update({kind: MappingProxyType(getattr(self.composed.spec, kind)) for kind in kinds})
        vars(self)["parameter_formula"] = functools.partial(count_formula, self.params)
        vars(self)["state_formula"] = functools.partial(count_formula, self.states)

    @property
    def composed(self) -> ComposedCell:
        """The cell and the modifier with their options."""
        of_modifier = {
            name: self.options[prefixed(self.modifier, name)] for name in self.modifier.declared_options
        }
        of_cell = {name: self.options[name] for name in self.base.declared_options}
        return compose(self.base(**of_cell), self.modifier(**of_modifier))

    def step(self, x: Any, *arguments: Any) -> Any:
        """One step of one sequence: equations for symbolic arrays, values for NumPy arrays."""
        states = dict(zip(self.states, arguments, strict=False))
        inputs = dict(zip(self.inputs, arguments[len(states) :], strict=True))
        arrays = {name: vars(self)[name] for name in (*self.params, *self.buffers)}
        if isinstance(x, SymbolBase):
            return self.composed.step({**arrays, **inputs}, x, states)
        return self._evaluate(x, arrays, states, inputs)

    def _evaluate(self, x: Any, arrays: Any, states: Any, inputs: Any) -> Output:
        """Evaluate the traced equations on NumPy arrays."""
        from zoo.compiler.interpreter import evaluate_step

        declared = {**self.params, **self.buffers, **self.states}
        params, old_states = (
            {name: _to_storage(value, declared[name].complex) for name, value in group.items()}
            for group in (arrays, states)
        )
        y, new_states = evaluate_step(
            _equations(self._without_arrays()), np.asarray(x), params, old_states, inputs
        )
        states = (_from_storage(value, declared[name].complex) for name, value in new_states.items())
        return Output(y, *states)

    def _without_arrays(self) -> Cell:
        """This cell without the arrays of :meth:`with_arrays`."""
        return type(self)(**self.options)

    def __reduce__(self) -> tuple[Any, ...]:
        root, modifiers = _decompose(type(self))
        for cls in (root, *modifiers):
            check_importable(cls)
        return _rebuild, (root, modifiers, dict(self.options))

    @classmethod
    def named_functions(cls) -> tuple[Callable[..., Any], ...]:
        """The step of the cell that is modified."""
        return cls.base.step, *cls.base.named_functions()  # type: ignore[attr-defined]

    @classmethod
    def _check_name(cls) -> None:
        for name in cls.name.split(MODIFIER_SEPARATOR):
            check_component_name(name, cls.error_name())

    @classmethod
    def _check_step(cls) -> None:
        """Skip the check: the step takes any states and inputs."""

    @classmethod
    def source_digest(cls) -> str:
        """SHA-256 of the sources of the cell and the modifier; empty without a source."""
        both = cls.base.source_digest() + cls.modifier.source_digest()
        return hashlib.sha256(both.encode()).hexdigest() if both else ""


def modified_class(base: type[Cell], modifier: type[Modifier]) -> type[Cell]:
    """The class of a cell class with a modifier; the same two always give the same class.

    Raises:
        UsageError: if the modifier does not suit the cell, or the cell has it already.
        DefinitionError: if the equations of the cell cannot be read.
    """
    return _make_class(base, modifier)  # type: ignore[arg-type]  # to mypy, classes cannot be hashed


@functools.lru_cache(maxsize=256)
def _make_class(base: type[Cell], modifier: type[Modifier]) -> type[Cell]:
    if modifier.name in base.name.split(MODIFIER_SEPARATOR)[1:]:
        raise UsageError(f"{base.label()} has the modifier {modifier.name!r} already; leave one out.")
    spec = compose(base(), modifier()).spec
    options = {prefixed(modifier, name): option for name, option in modifier.declared_options.items()}
    if clash := sorted(set(options) & {*base.declared_options, *base.params, *base.states}):
        raise UsageError(f"modifier {modifier.name!r} does not suit {base.label()}: both have {clash[0]!r}.")
    arrays = {**spec.params, **spec.buffers, **spec.states, **spec.inputs}
    attributes = {
        "__doc__": _docstring(base, modifier),
        "__module__": base.__module__,
        "__qualname__": f"{base.__qualname__}+{modifier.__qualname__}",
        "name": f"{base.name}{MODIFIER_SEPARATOR}{modifier.name}",
        "family": base.family,
        "card": _card(base.card, modifier),
        "gates": base.gates,
        "base": base,
        "modifier": modifier,
        **base.declared_options,
        **{name: _rename_option(option, name) for name, option in options.items()},
        **arrays,
    }
    return type(f"{base.__name__}+{modifier.__name__}", (ModifiedCell,), attributes)


def prefixed(modifier: type[Modifier], option: str) -> str:
    """The name of a modifier's option in a modified cell: ``zoneout_p``."""
    return f"{modifier.name}_{option}"


def _rename_option(option: Option[Any], name: str) -> Option[Any]:
    duplicate = copy.copy(option)
    duplicate.name = name
    return duplicate


def _docstring(base: type[Cell], modifier: type[Modifier]) -> str:
    _, _, rest = (inspect.getdoc(base) or "").partition("\n\n")
    of_modifier = inspect.getdoc(modifier) or ""
    return f"{base.summary()} With {modifier.name}.\n\n{rest}\n\nModifier {modifier.name}: {of_modifier}"


def _card(card: Card, modifier: type[Modifier]) -> Card:
    source = modifier.card
    reference = f"{source.authors} ({source.year}), {source.title}, {source.url}"
    note = f"Modified by {modifier.name}: {reference if source.published else UNPUBLISHED}."
    return replace(card, variant=" ".join(filter(None, [card.variant, note])))


def _decompose(cls: type[Cell]) -> tuple[type[Cell], list[type[Modifier]]]:
    """The unmodified cell class, and the modifiers in order."""
    if not issubclass(cls, ModifiedCell):
        return cls, []
    root, modifiers = _decompose(cls.base)
    return root, [*modifiers, cls.modifier]


def _rebuild(root: type[Cell], modifiers: list[type[Modifier]], options: Mapping[str, Any]) -> Cell:
    """Rebuild a cell from its pickle or copy."""
    for modifier in modifiers:
        root = modified_class(root, modifier)
    return root(**options)


@functools.lru_cache(maxsize=64)
def _equations(cell: Cell) -> Any:
    from zoo.compiler.frontend.trace_step import trace_step

    return trace_step(cell)


def _to_storage(value: Any, is_complex: bool) -> Any:
    return np.stack([value.real, value.imag]) if is_complex else np.asarray(value)


def _from_storage(value: Any, is_complex: bool) -> Any:
    return value[0] + 1j * value[1] if is_complex else value
