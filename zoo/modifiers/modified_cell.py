"""Modified cells as classes: ``lstm+zoneout`` is a cell like any other, made on the fly."""

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
from zoo.base.cell import formula_of
from zoo.base.component import check_importable
from zoo.base.names import JOIN, check_member_name
from zoo.compiler.frontend.symbolic import SymbolBase
from zoo.errors import UsageError
from zoo.modifiers.compose import Built, build


class Modified(Cell, abstract=True):
    """A cell made of another and a modifier; the options of both are its own.

    What it declares depends on its options, so every instance has declarations of its own; those of the
    class are for the defaults.
    """

    base: ClassVar[type[Cell]]
    modifier: ClassVar[type[Modifier]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        kinds = ("params", "buffers", "states", "inputs")
        vars(self).update({kind: MappingProxyType(getattr(self.built.parts, kind)) for kind in kinds})
        vars(self)["parameter_formula"] = functools.partial(formula_of, self.params)
        vars(self)["state_formula"] = functools.partial(formula_of, self.states)

    @property
    def built(self) -> Built:
        """The cell and the modifier with their options."""
        of_modifier = {
            name: self.options[prefixed(self.modifier, name)] for name in self.modifier.declared_options
        }
        of_cell = {name: self.options[name] for name in self.base.declared_options}
        return build(self.base(**of_cell), self.modifier(**of_modifier))

    def step(self, x: Any, *arguments: Any) -> Any:
        """One step of one row: equations for symbolic arrays, and their values for NumPy's."""
        states = dict(zip(self.states, arguments, strict=False))
        inputs = dict(zip(self.inputs, arguments[len(states) :], strict=True))
        arrays = {name: vars(self)[name] for name in (*self.params, *self.buffers)}
        if isinstance(x, SymbolBase):
            return self.built.step({**arrays, **inputs}, x, states)
        return self._numbers(x, arrays, states, inputs)

    def _numbers(self, x: Any, arrays: Any, states: Any, inputs: Any) -> Output:
        """The step on NumPy arrays, by the equations as they were read."""
        from zoo.compiler.interpreter import evaluate_step

        declared = {**self.params, **self.buffers, **self.states}
        params, before = (
            {name: _stored(value, declared[name].complex) for name, value in group.items()}
            for group in (arrays, states)
        )
        y, after = evaluate_step(_equations(self._plain()), np.asarray(x), params, before, inputs)
        seen = (_seen(value, declared[name].complex) for name, value in after.items())
        return Output(y, *seen)

    def _plain(self) -> Cell:
        """This cell without arrays bound to it."""
        return type(self)(**self.options)

    def __reduce__(self) -> tuple[Any, ...]:
        root, modifiers = _taken_apart(type(self))
        for cls in (root, *modifiers):
            check_importable(cls)
        return _again, (root, modifiers, dict(self.options))

    @classmethod
    def inner_steps(cls) -> tuple[Callable[..., Any], ...]:
        """The step of the cell that is modified."""
        return cls.base.step, *cls.base.inner_steps()  # type: ignore[attr-defined]

    @classmethod
    def _check_name(cls) -> None:
        for name in cls.name.split(JOIN):
            check_member_name(name, cls.who())

    @classmethod
    def _check_step(cls) -> None:
        """Its step takes what there is."""

    @classmethod
    def source_digest(cls) -> str:
        """SHA-256 of what states the cell and the modifier."""
        both = cls.base.source_digest() + cls.modifier.source_digest()
        return hashlib.sha256(both.encode()).hexdigest() if both else ""


def modified_class(base: type[Cell], modifier: type[Modifier]) -> type[Cell]:
    """The class of the cells that a modifier makes of those of a class; of the same two it is the same.

    Raises:
        UsageError: if the modifier makes no sense for the cell, or it has it already.
        DefinitionError: if the equations of the cell cannot be read.
    """
    return _made(base, modifier)  # type: ignore[arg-type]  # to mypy, classes cannot be hashed


@functools.lru_cache(maxsize=256)
def _made(base: type[Cell], modifier: type[Modifier]) -> type[Cell]:
    if modifier.name in base.name.split(JOIN)[1:]:
        raise UsageError(f"{base.label()} has the modifier {modifier.name!r} already; leave one out.")
    parts = build(base(), modifier()).parts
    options = {prefixed(modifier, name): option for name, option in modifier.declared_options.items()}
    if clash := sorted(set(options) & {*base.declared_options, *base.params, *base.states}):
        raise UsageError(f"modifier {modifier.name!r} does not suit {base.label()}: both have {clash[0]!r}.")
    arrays = {**parts.params, **parts.buffers, **parts.states, **parts.inputs}
    members = {
        "__doc__": _docstring(base, modifier),
        "__module__": base.__module__,
        "__qualname__": f"{base.__qualname__}+{modifier.__qualname__}",
        "name": f"{base.name}{JOIN}{modifier.name}",
        "family": base.family,
        "card": _card(base.card, modifier),
        "base": base,
        "modifier": modifier,
        **base.declared_options,
        **{name: _renamed(option, name) for name, option in options.items()},
        **arrays,
    }
    return type(f"{base.__name__}+{modifier.__name__}", (Modified,), members)


def prefixed(modifier: type[Modifier], option: str) -> str:
    """What an option of a modifier is called in a cell that has it: ``zoneout_p``."""
    return f"{modifier.name}_{option}"


def _renamed(option: Option[Any], name: str) -> Option[Any]:
    twin = copy.copy(option)
    twin.name = name
    return twin


def _docstring(base: type[Cell], modifier: type[Modifier]) -> str:
    """What the cell says of itself, and what the modifier does."""
    _, _, rest = (inspect.getdoc(base) or "").partition("\n\n")
    told = inspect.getdoc(modifier) or ""
    return f"{base.summary()} With {modifier.name}.\n\n{rest}\n\nModifier {modifier.name}: {told}"


def _card(card: Card, modifier: type[Modifier]) -> Card:
    source = modifier.card
    reference = f"{source.authors} ({source.year}), {source.title}, {source.url}"
    note = f"Modified by {modifier.name}: {reference if source.published else UNPUBLISHED}."
    return replace(card, variant=" ".join(filter(None, [card.variant, note])))


def _taken_apart(cls: type[Cell]) -> tuple[type[Cell], list[type[Modifier]]]:
    """The cell that was modified first, and its modifiers."""
    if not issubclass(cls, Modified):
        return cls, []
    root, modifiers = _taken_apart(cls.base)
    return root, [*modifiers, cls.modifier]


def _again(root: type[Cell], modifiers: list[type[Modifier]], options: Mapping[str, Any]) -> Cell:
    """A cell from what its pickle or copy holds."""
    for modifier in modifiers:
        root = modified_class(root, modifier)
    return root(**options)


@functools.lru_cache(maxsize=64)
def _equations(cell: Cell) -> Any:
    from zoo.compiler.frontend.trace_step import trace_step

    return trace_step(cell)


def _stored(value: Any, is_complex: bool) -> Any:
    return np.stack([value.real, value.imag]) if is_complex else np.asarray(value)


def _seen(value: Any, is_complex: bool) -> Any:
    return value[0] + 1j * value[1] if is_complex else value
