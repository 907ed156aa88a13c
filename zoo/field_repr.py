"""Representations in one line: arrays as dtype and shape, long values shortened."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from zoo.arguments import dtype_and_shape, short_repr

T = TypeVar("T")


def one_line_repr(cls: type[T]) -> type[T]:
    """Decorate a data class or named tuple: ``Batch(inputs=float32(20, 3, 5), ...)`` at the prompt."""

    def __repr__(self: Any) -> str:
        return repr_of(self, {name: getattr(self, name) for name in _field_names(self)})

    cls.__repr__ = __repr__  # type: ignore[method-assign]
    return cls


def repr_of(value: object, attributes: Mapping[str, object]) -> str:
    """The class of an object and some attributes, in one line."""
    texts = (f"{name}={_text(attribute)}" for name, attribute in attributes.items())
    return f"{type(value).__name__}({', '.join(texts)})"


_LONGEST = 100  # characters of an attribute


def _text(value: Any) -> str:
    text = dtype_and_shape(value) if hasattr(value, "dtype") else short_repr(value)
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}...{text[-half:]}"


def _field_names(value: Any) -> Iterable[str]:
    if isinstance(value, tuple):
        return value._fields  # type: ignore[attr-defined,no-any-return]  # a named tuple
    return [field.name for field in dataclasses.fields(value) if field.repr]
