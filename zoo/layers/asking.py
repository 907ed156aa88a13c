"""What can be traced, what a caller asks for, and what comes of it: names and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from zoo.arguments import short_repr
from zoo.compiler.intermediates import Intermediate, intermediates
from zoo.contracts import Cell
from zoo.contracts.names import did_you_mean
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.layers.layer import Array, Layer

Asked = bool | str | Iterable[str] | None
"""Nothing, everything, or names: ``"f"`` in every layer, ``"l0.f"`` in one."""

_EXPECTED = "True for everything, a name, or several names"


class Traces(Mapping[str, Array]):
    """What was traced, by name; says what there is where a name is missing.

    Args:
        arrays: Name to array.
        how: How one asks for it.
    """

    def __init__(self, arrays: Mapping[str, Array], how: str) -> None:
        self._arrays, self._how = dict(arrays), how

    def __getitem__(self, name: str) -> Array:
        try:
            return self._arrays[name]
        except KeyError:
            there = f"there are {', '.join(self._arrays)}" if self._arrays else "nothing was"
            raise UnknownNameError(
                f"{name!r} was not traced ({there}); ask for it with {self._how}."
                f"{did_you_mean(str(name), self._arrays)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: {value.shape}" for name, value in self._arrays.items()) + "}"


def values_traced(arrays: Mapping[str, Array]) -> Traces:
    """Traces of a forward pass."""
    return Traces(arrays, "forward(x, trace=[...])")


def gradients_traced(arrays: Mapping[str, Array]) -> Traces:
    """Traces of the way back."""
    return Traces(arrays, "backward(dy, trace_grads=[...])")


def traceable(cell: Cell) -> dict[str, Intermediate | None]:
    """What can be traced of a cell; without a ``step`` that can be read its states, and no more is known.

    Raises:
        DefinitionError: if its kernels are derived from a ``step`` that cannot be read.
    """
    if cell.has_step():
        try:
            return dict(intermediates(cell))
        except DefinitionError:
            if cell.is_derived():
                raise  # beside kernels of its own, a step need only run
    return dict.fromkeys(cell.states)


def names_of(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The full names of all that can be traced."""
    return tuple(layer.prefix + name for layer in layers for name in traceable(layer.cell))


def names_asked(asked: Any) -> bool | tuple[Any, ...]:
    """True for everything, or what should be names, none if nothing is asked for."""
    if asked is True or asked is False or asked is None:
        return bool(asked) or ()
    if isinstance(asked, str):
        return (asked,) if asked else ()
    # An array without axes can be looped over as little as a number.
    return tuple(asked) if isinstance(asked, Iterable) and getattr(asked, "shape", None) != () else (asked,)


def chosen(layers: Sequence[Layer], asked: Asked, argument: str, who: str) -> list[list[str]]:
    """Of each layer the names that are asked for.

    Args:
        layers: The layers.
        asked: What for; True for everything.
        argument: What the caller called it.
        who: Whose layers they are.

    Raises:
        UnknownNameError: if there is no such value.
        UsageError: if what is asked for is neither a name nor names.
    """
    names = names_asked(asked)
    if isinstance(names, bool):
        return [list(traceable(layer.cell)) for layer in layers]
    for name in names:
        _check_name(layers, name, argument, who)
    return [_asked_of(layer, names) for layer in layers]


def _asked_of(layer: Layer, names: Sequence[object]) -> list[str]:
    return [name for name in traceable(layer.cell) if name in names or layer.prefix + name in names]


def _check_name(layers: Sequence[Layer], name: object, argument: str, who: str) -> None:
    if not isinstance(name, str):
        raise UsageError(f"{who}: {argument} asks for {short_repr(name)}; expected {_EXPECTED}.")
    full = names_of(layers)
    short = tuple(dict.fromkeys(each for layer in layers for each in traceable(layer.cell)))
    if name not in full and name not in short:
        known = full if "." in name else short
        raise UnknownNameError(
            f"{who}: {argument} asks for {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}"
        )
