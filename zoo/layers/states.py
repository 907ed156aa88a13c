"""States by name: the form in which layers return them, and the forms in which callers may give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from zoo.arguments import dtype_and_shape
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.errors import UnknownNameError, UsageError

GivenState: TypeAlias = Mapping[str, ArrayLike] | tuple[ArrayLike, ...] | ArrayLike
"""``{"l0.h": (B, H)}``, or ``(h, c)``, or ``h`` if the cell has one state."""

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]


def full_name(name: object, names: Collection[str]) -> str | None:
    """The name of an array in a stack, ``"l0.h"`` for ``"h"`` if there is one layer with one direction.

    Args:
        name: The full or the short name.
        names: The names of all arrays.

    Returns:
        The full name; None if there is no such array.
    """
    if name in names:
        return str(name)
    full = f"l0.{name}"
    if full not in names or any(each.startswith(("l1.", "l0.reverse.")) for each in names):
        return None
    return full


def shapes_by_name(arrays: Mapping[str, Array]) -> str:
    """Text of the names and shapes, ``{l0.h: (2, 5)}``."""
    return "{" + ", ".join(f"{name}: {array.shape}" for name, array in arrays.items()) + "}"


class States(dict[str, Array]):
    """States by name: ``state["l0.h"]``, or ``state["h"]`` if there is one layer with one direction."""

    def __missing__(self, name: object) -> Array:
        full = full_name(name, self.keys())
        if full is None:
            raise UnknownNameError(f"unknown state {name!r}; there are {', '.join(self)}.")
        return self[full]

    def __contains__(self, name: object) -> bool:
        return full_name(name, self.keys()) is not None

    def __repr__(self) -> str:
        return shapes_by_name(self)

    def get(self, name: str, default: Any = None) -> Any:
        """The state, or the default if there is no such name."""
        return self[name] if full_name(name, self.keys()) else default


def read_only_states(arrays: Mapping[str, Array]) -> States:
    """States that share the memory of the arrays and cannot be written to."""
    states = States({name: value.view() for name, value in arrays.items()})
    for value in states.values():
        value.flags.writeable = False
    return states


def states_by_name(state: GivenState, shapes: Shapes, batch: int, owner: str) -> dict[str, Any]:
    """The arrays of a given state by full name, not yet checked.

    Args:
        state: A mapping with full or short names, a tuple with an array for each state of the cell, or the
            array of its only state. Arrays are ``(B, ...)``, or ``(L D, B, ...)`` in the order of layers and
            directions, as in PyTorch.
        shapes: Shape of each state, without the batch axis.
        batch: ``B``.
        owner: Owner of the state, for messages.

    Raises:
        UsageError: if names are missing or unknown, or the number of arrays is wrong.
    """
    if isinstance(state, Mapping):
        named = {full_name(name, shapes.keys()) or str(name): value for name, value in state.items()}
        if named.keys() != shapes.keys() or len(named) != len(state):
            short = {name: name.rpartition(".")[2] for name in shapes}
            if any(full_name(each, shapes) != name for name, each in short.items()):
                short = {name: name for name in shapes}
            unknown = [repr(name) for name in named if name not in shapes]
            missing = [repr(short[name]) for name in shapes if name not in named]
            problems = [f"unknown state {', '.join(unknown)}"] if unknown else []
            problems += [f"missing state {', '.join(missing)}"] if missing else []
            if len(named) != len(state):
                problems.append(f"{', '.join(map(repr, state))} name one state twice")
            raise UsageError(f"{owner}: {'; '.join(problems)}; the names are {', '.join(short.values())}.")
        return named
    owners: dict[str, list[str]] = {}
    for full in shapes:
        owners.setdefault(full.rpartition(".")[2], []).append(full)
    copies = max(map(len, owners.values()))
    if any(len(names) != copies for names in owners.values()):
        raise UsageError(
            f"{owner}: the state is a {type(state).__name__}, but the layers have different states; expected "
            f"a mapping with the names {list(shapes)}."
        )
    arrays = state if isinstance(state, tuple) else (state,)
    if len(arrays) != len(owners):
        raise UsageError(
            f"{owner}: the state is {len(arrays)} array{'s' * (len(arrays) != 1)}; expected a tuple "
            f"({', '.join(owners)}{',' * (len(owners) == 1)}), or a mapping with the names {list(shapes)}."
        )
    return {
        full: part
        for (name, names), array in zip(owners.items(), arrays, strict=True)
        for full, part in _split(
            as_array(array, f"{owner}: state {name!r}"), name, names, shapes, batch, owner
        )
    }


def _split(
    array: Array, name: str, names: list[str], shapes: Shapes, batch: int, owner: str
) -> list[tuple[str, Array]]:
    """The part of each layer and direction of ``(L D, B, ...)``; one may come without the first axis."""
    own = [(batch, *shapes[full]) for full in names]
    if len(names) == 1 and array.shape == own[0]:
        return [(names[0], array)]
    stacked = (len(names), *own[0])
    if array.shape != stacked or len(set(own)) > 1:
        expected = f"{own[0]} or {stacked}" if len(names) == 1 else f"{stacked}"
        advice = "" if len(set(own)) == 1 else f", or a mapping with the names {list(shapes)}"
        raise UsageError(f"{owner}: state {name!r} is {dtype_and_shape(array)}; expected {expected}{advice}.")
    return list(zip(names, array, strict=True))
