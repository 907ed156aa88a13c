"""Cells that are made of another cell and a component that changes it: a modifier or a block."""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from zoo.base import Buffer, Card, Cell, Component, Input, Option, Output, Param, State
from zoo.base.card import UNPUBLISHED, unique_entries
from zoo.base.cell import count_formula
from zoo.base.component import check_importable
from zoo.compiler.frontend.symbolic import SymbolBase, SymbolicLength


class Declarations(Protocol):
    """The arrays that the composition declares, by name."""

    @property
    def params(self) -> dict[str, Param]:
        """Parameters."""

    @property
    def buffers(self) -> dict[str, Buffer]:
        """Buffers."""

    @property
    def states(self) -> dict[str, State]:
        """States."""

    @property
    def inputs(self) -> dict[str, Input]:
        """Auxiliary inputs."""


class Composition(Protocol):
    """A cell and a component that changes it, and what they declare together."""

    @property
    def spec(self) -> Declarations:
        """Their declarations."""

    def step(
        self, arrays: Mapping[str, Any], x: Any, states: Mapping[str, Any], lengths: Mapping[str, Any]
    ) -> Any:
        """One step on symbolic arrays: the output, and the new states in the order of ``states``.

        Args:
            arrays: Parameters, buffers and auxiliary inputs by name.
            x: The input.
            states: States before the step by name.
            lengths: Symbolic lengths in place of the values of options.
        """


class CompositeCell(Cell, abstract=True):
    """A cell and a component that changes it; it has the options of both.

    The declarations depend on the options, so every instance has its own. The class has the declarations
    for the default options.
    """

    base: ClassVar[type[Cell]]
    component: ClassVar[type[Component]]
    compose_class: ClassVar[Callable[..., type[Cell]]]
    """The function ``(base, component)`` that makes the class."""
    composed: Composition
    """The cell and the component with their options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.composed = self._compose()
        self.declare(self.composed.spec)

    def _compose(self) -> Composition:
        raise NotImplementedError

    def declare(self, spec: Declarations) -> None:
        """Set the declarations of this instance."""
        for kind in ("params", "buffers", "states", "inputs"):
            vars(self)[kind] = MappingProxyType(getattr(spec, kind))
        vars(self)["parameter_formula"] = functools.partial(count_formula, self.params)
        vars(self)["state_formula"] = functools.partial(count_formula, self.states)

    @classmethod
    def code_version(cls) -> Hashable:
        """The code of the cell and of the component."""
        return cls.base.code_version(), cls.component.code_version()

    @classmethod
    def restarting_modifier(cls) -> str:
        """As of the inner cell."""
        return cls.base.restarting_modifier()

    @classmethod
    def prefix(cls) -> str:
        """Prefix of the names of the component's options, ``"zoneout_"``."""
        return f"{cls.component.name}_"

    def base_cell(self) -> Cell:
        """The inner cell with its options."""
        return self.base(**{name: self.options[name] for name in self.base.declared_options})

    def component_options(self) -> dict[str, Any]:
        """The options of the component under its own names."""
        return {name: self.options[f"{self.prefix()}{name}"] for name in self.component.declared_options}

    def step(self, x: Any, *arguments: Any) -> Any:
        """One step of one sequence: equations for symbolic arrays, values for NumPy arrays."""
        states = dict(zip(self.states, arguments, strict=False))
        inputs = dict(zip(self.inputs, arguments[len(states) :], strict=True))
        arrays = {name: vars(self)[name] for name in (*self.params, *self.buffers)}
        if isinstance(x, SymbolBase):
            options = self.options.items()
            lengths = {name: value for name, value in options if isinstance(value, SymbolicLength)}
            return self.composed.step({**arrays, **inputs}, x, states, lengths)
        return self._evaluate(x, arrays, states, inputs)

    def _evaluate(self, x: Any, arrays: Any, states: Any, inputs: Any) -> Output:
        """Evaluate the traced equations on NumPy arrays."""
        from zoo.compiler.frontend.trace_step import step_graph_of
        from zoo.compiler.interpreter import evaluate_step

        declared = {**self.params, **self.buffers, **self.states}
        params, old_states = (
            {name: _to_storage(value, declared[name].complex) for name, value in group.items()}
            for group in (arrays, states)
        )
        y, new_states = evaluate_step(
            step_graph_of(self._without_arrays()), np.asarray(x), params, old_states, inputs
        )
        states = (_from_storage(value, declared[name].complex) for name, value in new_states.items())
        return Output(y, *states)

    def _without_arrays(self) -> Cell:
        """This cell without the arrays of :meth:`with_arrays`."""
        return type(self)(**self.options)

    def __reduce__(self) -> tuple[Any, ...]:
        root, additions = _decompose(type(self))
        for cls in (root, *(component for _, component in additions)):
            check_importable(cls)
        return _rebuild, (root, additions, dict(self.options))

    @classmethod
    def named_functions(cls) -> Mapping[Callable[..., Any], str]:
        """The step of the inner cell."""
        return {cls.base.step: "", **cls.base.named_functions()}  # type: ignore[attr-defined]  # composing checks that there is a step

    @classmethod
    def _check_step(cls) -> None:
        """Skip the check: the step takes any states and inputs."""

    @classmethod
    def bibtex(cls) -> str:
        """The BibTeX entries of the cell and of the component."""
        return "\n\n".join(unique_entries([cls.base.bibtex(), cls.component.bibtex()]))

    @classmethod
    def source_digest(cls) -> str:
        """SHA-256 of the sources of the cell and the component; empty without a source."""
        both = cls.base.source_digest() + cls.component.source_digest()
        return hashlib.sha256(both.encode()).hexdigest() if both else ""


def lengths_of(component: Component, lengths: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The symbolic lengths of a component that is a part of a composite cell, by its own names.

    Args:
        component: The inner cell, the modifier or the block.
        lengths: Symbolic lengths of the composite cell, by its names of options.
        prefix: Prefix of the names of its options.
    """
    return {name: lengths[prefix + name] for name in component.options if prefix + name in lengths}


def renamed_options(component: type[Component], prefix: str) -> dict[str, Option[Any]]:
    """Copies of the options of a component, with a prefix before their names."""
    renamed = {}
    for name, option in component.declared_options.items():
        duplicate = copy.copy(option)
        duplicate.name = f"{prefix}{name}"
        renamed[duplicate.name] = duplicate
    return renamed


def composite_docstring(base: type[Cell], component: type[Component], note: str) -> str:
    """Join the docstrings of a cell and a component.

    Args:
        base: The cell.
        component: The component.
        note: Words that follow the summary of the cell, ``"With zoneout"``.
    """
    _, _, rest = (inspect.getdoc(base) or "").partition("\n\n")
    component_text = f"{component.kind.capitalize()} {component.name}: {inspect.getdoc(component) or ''}"
    return f"{base.summary()} {note}.\n\n{rest}\n\n{component_text}"


def composite_card(card: Card, component: type[Component], note: str) -> Card:
    """The card of a cell; its variant ends with ``note`` and the source of a component."""
    source = component.card
    reference = f"{source.authors} ({source.year}), {source.title}, {source.url}"
    text = f"{note}: {reference if source.published else UNPUBLISHED}."
    return replace(card, variant=" ".join(filter(None, [card.variant, text])))


Addition = tuple[Callable[..., type[Cell]], type[Component]]
"""The function ``compose_class`` of a composite cell, and the component that it adds."""


def _decompose(cls: type[Cell]) -> tuple[type[Cell], list[Addition]]:
    """The innermost cell class, and the components around it with the functions that add them, in order."""
    if not issubclass(cls, CompositeCell):
        return cls, []
    root, additions = _decompose(cls.base)
    return root, [*additions, (cls.compose_class, cls.component)]


def _rebuild(root: type[Cell], additions: list[Addition], options: Mapping[str, Any]) -> Cell:
    """Rebuild a cell from its pickle or copy."""
    for compose_class, component in additions:
        root = compose_class(root, component)
    return root(**options)


def _to_storage(value: Any, is_complex: bool) -> Any:
    return np.stack([value.real, value.imag]) if is_complex else np.asarray(value)


def _from_storage(value: Any, is_complex: bool) -> Any:
    return value[0] + 1j * value[1] if is_complex else value
