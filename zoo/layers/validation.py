"""Validation of the arguments of layers: arrays are checked and converted for kernels once, here."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from zoo.arguments import as_integer, counted, dtype_and_shape, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.base import Cell, Input
from zoo.base.cell import CALL_ARGUMENTS
from zoo.base.names import did_you_mean, zoo_name
from zoo.errors import UsageError
from zoo.layers.states import GivenState, states_by_name
from zoo.registry.stack_names import MAX_LAYERS

PAD_TOKEN = -1
"""Token in the padding of a batch of tokens."""


def as_cells(cell: Cell | Sequence[Cell], num_layers: int) -> tuple[Cell, ...]:
    """The cell of each layer.

    Raises:
        UsageError: if the number of layers is invalid, or not the number of cells.
    """
    cells = (cell,) if isinstance(cell, Cell) else tuple(cell)
    layers = as_integer(num_layers, f"{cells_label(cells)}: num_layers", 1, MAX_LAYERS)
    if isinstance(cell, Cell):
        return cells * layers
    if layers not in (1, len(cells)) or not 1 <= len(cells) <= MAX_LAYERS:
        raise UsageError(
            f"num_layers is {layers} and there are {len(cells)} cells; expected a cell for each layer, or "
            f"one cell for all."
        )
    return cells


def cells_label(cells: tuple[Cell, ...]) -> str:
    """Name of the cells in error messages; as one, if all have one name."""
    if len({cell.name for cell in cells}) == 1:
        return cells[0].label()
    return f"cells {', '.join(repr(cell.name) for cell in cells)}"


DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}


def as_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64, from its name, a NumPy type or a dtype.

    Raises:
        UsageError: for anything else.
    """
    name = np.dtype(dtype).name if isinstance(dtype, (type, np.dtype)) else dtype
    if not isinstance(name, str) or name not in DTYPES:
        hint = ""
        if isinstance(name, str) and zoo_name(name) == "bf16":
            hint = " For matrix products in bfloat16, keep float32 and give `precision='bf16'`."
        raise UsageError(f"dtype is {short_repr(dtype)}; expected 'float32' or 'float64'.{hint}")
    return DTYPES[name]


def as_inputs(x: Any, input_size: int, dtype: np.dtype[Any], owner: str) -> Array:
    """Convert inputs to ``(T, B, I)`` of the dtype, or to int32 tokens ``(T, B)``, C-contiguous.

    Raises:
        UsageError: if x is neither.
    """
    x = as_array(x, f"{owner}: inputs")
    if x.ndim == 2 and x.dtype.kind in "iu":
        return as_tokens(x, input_size, f"{owner}: inputs")
    if x.ndim == 3 and x.dtype.kind == "f" and x.shape[2] == input_size and x.shape[1] > 0:
        return _kernel_ready(x, dtype)
    raise UsageError(
        f"{owner}: inputs are {dtype_and_shape(x)}; expected floats (T, B, {input_size}) or integer tokens "
        f"(T, B), time first, with at least one sequence in the batch.{convert_advice(x, 3)}"
    )


def as_step_inputs(
    x: Any, batch: int | None, input_size: int, dtype: np.dtype[Any], owner: str, reads: str = "both"
) -> Array:
    """Convert the inputs of one time step to ``(1, B, I)``, or tokens to ``(1, B)``, as kernels take them.

    Args:
        x: Floats ``(B, I)`` or integer tokens ``(B,)``.
        batch: ``B``; None for any number of sequences.
        input_size: ``I``.
        dtype: Of floats.
        owner: Owner, for messages.
        reads: The accepted inputs: ``"tokens"``, ``"numbers"`` or ``"both"``.

    Raises:
        UsageError: if x is something else.
    """
    x = as_array(x, f"{owner}: inputs")
    is_tokens = x.ndim == 1 and x.dtype.kind in "iu" and reads != "numbers"
    is_numbers = x.ndim == 2 and x.dtype.kind == "f" and x.shape[1] == input_size and reads != "tokens"
    if (is_tokens or is_numbers) and (len(x) > 0 if batch is None else len(x) == batch):
        if is_tokens:
            return as_tokens(x[np.newaxis], input_size, f"{owner}: inputs")
        return _kernel_ready(x[np.newaxis], dtype)
    numbers, tokens = f"floats (B, {input_size})", "integer tokens (B,)"
    expected = {"numbers": numbers, "tokens": tokens, "both": f"{numbers} or {tokens}"}[reads]
    count = "with at least one sequence in the batch" if batch is None else f"with B = {batch}"
    advice = convert_advice(x, 2)
    if x.dtype.kind == "f" and x.shape == (input_size,) and reads != "tokens":
        advice = " Add the axis of the batch, x[None]."
    raise UsageError(f"{owner}: inputs are {dtype_and_shape(x)}; expected {expected}, {count}.{advice}")


def convert_advice(x: Array, axes: int) -> str:
    """Advice for integer features, which have this number of axes; empty for other arrays."""
    is_integer = x.ndim == axes and x.dtype.kind in "iub"
    return " Convert features to floats, x.astype('float32')." if is_integer else ""


def as_padded_batch(
    x: Any, lengths: Any, input_size: int, dtype: np.dtype[Any], owner: str
) -> tuple[Array, Array | None]:
    """Convert inputs to arrays for kernels, and lengths to int64 ``(B,)``, or None.

    The padding may hold anything, such as NaN or invalid tokens. It becomes zeros, or -1 among tokens.

    Raises:
        UsageError: if x is neither floats ``(T, B, I)`` nor tokens ``(T, B)``, or the lengths do not fit it.
    """
    if lengths is None:
        return as_inputs(x, input_size, dtype, owner), None
    x = as_array(x, f"{owner}: inputs")
    if x.ndim not in (2, 3) or x.shape[1] == 0:
        return as_inputs(x, input_size, dtype, owner), None  # raises an error
    lengths = as_lengths(lengths, x.shape[0], x.shape[1], owner)
    x = as_inputs(mask_padding(x, lengths), input_size, dtype, owner)
    return (mask_padding(x, lengths, PAD_TOKEN) if x.ndim == 2 else x), lengths


def as_padded_tokens(x: Any, lengths: Any, count: int, owner: str) -> tuple[Array, Array | None]:
    """As :func:`as_padded_batch` for a model that reads tokens alone, of which there are ``count``.

    Raises:
        UsageError: if x is not tokens ``(T, B)``, or the lengths do not fit it.
    """
    x = as_array(x, f"{owner}: inputs")
    if lengths is None or x.ndim != 2 or x.dtype.kind not in "iu":
        return as_tokens(x, count, f"{owner}: inputs"), None
    return as_padded_batch(x, lengths, count, np.dtype(np.float32), owner)


def as_lengths(lengths: Any, steps: int, batch: int, owner: str) -> Array:
    """Check the steps of each sequence, ``(B,)``.

    Raises:
        UsageError: if they are not integers from 0 to T, one for each sequence.
    """
    values = as_array(lengths, f"{owner}: lengths")
    if values.dtype.kind not in "iu" or values.shape != (batch,):
        advice = ""
        if values.shape == (steps,):
            advice = f" If the {steps} rows of the first axis are sequences, exchange the first two axes."
        raise UsageError(
            f"{owner}: lengths are {values.dtype}{values.shape}; expected integers ({batch},), the steps of "
            f"each sequence, for {counted(batch, 'sequence')} of {counted(steps, 'step')}.{advice}"
        )
    if values.min() < 0 or values.max() > steps:
        raise UsageError(
            f"{owner}: lengths run from {values.min()} to {values.max()}; expected 0 to {steps}, the number "
            f"of steps."
        )
    return values.astype(np.int64)


def mask_padding(array: Array, lengths: Array, fill: float = 0) -> Array:
    """A copy of ``(T, B, ...)`` with the padding of each sequence filled."""
    copy = array.copy()
    copy[np.arange(len(array))[:, np.newaxis] >= lengths] = fill
    return copy


def as_tokens(tokens: Any, symbols: int, owner: str, noun: str = "tokens") -> Array:
    """Convert tokens to int32 ``(T, B)``, C-contiguous, and check that each is below ``symbols``.

    Args:
        tokens: The tokens.
        symbols: The number of symbols.
        owner: Owner and array, for messages.
        noun: Word for the integers in messages, ``"tokens"`` or ``"classes"``.

    Raises:
        UsageError: if they are not.
    """
    tokens = as_array(tokens, owner)
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or tokens.shape[1] == 0:
        raise UsageError(
            f"{owner} are {dtype_and_shape(tokens)}; expected integer {noun} (T, B), time first, with at "
            f"least one sequence in the batch."
        )
    # As unsigned integers, negative tokens are larger than any vocabulary: one comparison is enough.
    if tokens.size and np.maximum.reduce(tokens.view(_unsigned(tokens.dtype)), axis=None) >= symbols:
        wrong = tokens[(tokens < 0) | (tokens >= symbols)]
        is_one = wrong.min() == wrong.max()
        description = f"hold {wrong[0]}" if is_one else f"run from {tokens.min()} to {tokens.max()}"
        raise UsageError(f"{owner} {description}; expected {noun} from 0 to {symbols - 1}.")
    return _kernel_ready(tokens, np.dtype(np.int32))


@functools.cache
def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(dtype.str.replace("i", "u"))


def as_state(
    state: GivenState | None,
    shapes: Mapping[str, tuple[int, ...]],
    batch: int,
    dtype: np.dtype[Any],
    owner: str,
) -> dict[str, Array]:
    """Check states, or their gradients, ``(B, ...)``; zeros for None.

    Raises:
        UsageError: if a name is missing or unknown, or a shape does not fit.
    """
    if state is None:
        return {name: np.zeros((batch, *shape), dtype) for name, shape in shapes.items()}
    named = states_by_name(state, shapes, batch, owner)
    return {
        name: as_floats(named[name], (batch, *shape), dtype, f"{owner}: state {name!r}")
        for name, shape in shapes.items()
    }


def check_input_names(inputs: Iterable[str], function: str, arguments: Sequence[str], owner: str) -> None:
    """Check that no auxiliary input has the name of an argument of a function, which takes both by name.

    Args:
        inputs: Names of the auxiliary inputs of a stack.
        function: The name of the function.
        arguments: Names of its other arguments.
        owner: Beginning of the message.

    Raises:
        UsageError: if one has.
    """
    for name in inputs:
        if name in arguments:
            raise UsageError(
                f"{owner}: input {name!r} has the name of an argument of "
                f"`{function}({', '.join(arguments)})`; rename it."
            )


def as_aux_inputs(
    given: Mapping[str, Any],
    declared: Mapping[str, Input],
    shapes: Mapping[str, tuple[int, ...]],
    times_rows: tuple[int, int],
    dtype: np.dtype[Any],
    owner: str,
    lengths: Array | None = None,
) -> dict[str, Array]:
    """Check auxiliary inputs, ``(T, B, ...)``, of numbers or booleans.

    Raises:
        UsageError: if one is unknown, a shape does not fit, or a value is out of bounds.
    """
    check_aux_names(given, declared, owner)
    arrays = {}
    for name, value in given.items():
        label = f"{owner}: input {name!r}"
        shape = (*times_rows, *shapes[name])
        arrays[name] = as_floats(value, shape, dtype, label, allows_booleans=True, name=name)
        check_bounds(arrays[name], declared[name], label, lengths, is_boolean=is_boolean(value))
    return arrays


def is_boolean(value: Any) -> bool:
    """Whether an argument is an array of booleans."""
    return isinstance(value, np.ndarray) and value.dtype == bool


def exchange_advice(shape: tuple[int, ...], expected: tuple[int, ...], name: str) -> str:
    """Advice for an array whose axes of time and batch do not fit the inputs; empty for another mistake.

    The shapes are the same if the array has the batch first, or if the inputs have. The advice names both.

    Args:
        shape: The shape of the array.
        expected: The shape that fits the inputs, ``(T, B, ...)``.
        name: The name of the array.
    """
    if shape == expected or shape != (*expected[:2][::-1], *expected[2:]):
        return ""
    return (
        f" Time comes first: if the batch comes first in the inputs, give x.swapaxes(0, 1); if it does in "
        f"{name}, {name}.swapaxes(0, 1)."
    )


_FEW = 16  # numbers, such as those of one step, for which a set is faster than comparisons of arrays


def check_bounds(
    array: Array,
    declared: Input,
    owner: str,
    lengths: Array | None = None,
    axes: tuple[str, ...] = ("step", "sequence"),
    *,
    is_boolean: bool = False,
) -> None:
    """Check that an auxiliary input is within its bounds, or one of its choices, except in padding.

    Args:
        array: The input, ``(T, B, ...)``.
        declared: Its declaration.
        owner: Beginning of the message.
        lengths: Steps of each sequence ``(B,)``; None if all have all steps.
        axes: Names of the first axes, for the message.
        is_boolean: Whether the numbers are those of booleans, which need no look at each.

    Raises:
        UsageError: if a number is not, or is NaN. Without bounds NaN passes, as it does in x.
    """
    if declared.low is None and declared.high is None and declared.choices is None:
        return
    if is_boolean and declared.allows(0) and declared.allows(1):
        return
    wrong = np.zeros(array.shape, bool)
    if declared.choices is not None:
        # A step of a small stream takes 10 us: a set of few numbers takes 0.2 to 1 us, and arrays 4 us.
        if array.size <= _FEW and set(declared.choices).issuperset(array.reshape(-1).tolist()):
            return
        wrong = array != declared.choices[0]
        for each in declared.choices[1:]:
            wrong &= array != each
    if declared.low is not None:
        wrong |= ~(array >= declared.low)  # NaN is also wrong
    if declared.high is not None:
        wrong |= ~(array <= declared.high)
    if lengths is not None:
        wrong = mask_padding(wrong, lengths)
    if wrong.any():
        index = np.unravel_index(int(wrong.argmax()), wrong.shape)
        position = " of ".join(f"{name} {number}" for name, number in zip(axes, index, strict=False))
        raise UsageError(
            f"{owner} is {array[index]:g} at {position}; expected {declared.expected('numbers')}."
        )


_NAMES_OF_STATES = ("hx", "h0", "hidden", "initial_state", "init_state")


def check_aux_names(
    given: Iterable[str],
    declared: Mapping[str, Input],
    owner: str,
    arguments: Sequence[str] = CALL_ARGUMENTS,
    state_advice: str = " Pass initial states as 'state'.",
) -> None:
    """Check the names of auxiliary inputs, which may be misspelt arguments of the call.

    Args:
        given: The names.
        declared: The auxiliary inputs.
        owner: Owner, for messages.
        arguments: Other arguments of the call.
        state_advice: Advice for names of states.

    Raises:
        UsageError: if one is unknown.
    """
    for name in given:
        if name in declared:
            continue
        known = f"auxiliary inputs are {', '.join(declared)}" if declared else "it has no auxiliary inputs"
        others = () if name in arguments else arguments
        advice = did_you_mean(name, [*declared, *others])
        if name in _NAMES_OF_STATES or (name == "state" and name not in arguments):
            advice = state_advice
        raise UsageError(f"{owner}: unknown argument {name!r}; {known}.{advice}")


def as_floats(
    value: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    owner: str,
    *,
    allows_booleans: bool = False,
    name: str = "",
) -> Array:
    """Convert real numbers of an exact shape to C-contiguous arrays of the dtype.

    Args:
        value: The numbers.
        shape: Their shape.
        dtype: Of the result.
        owner: Beginning of the message.
        allows_booleans: Whether True and False stand for one and zero, as in a mask.
        name: Name of the array, for advice if its first axes are time and batch.

    Raises:
        UsageError: if they have another shape or are not real numbers.
    """
    array = as_array(value, owner)
    is_real = array.dtype.kind in ("fiub" if allows_booleans else "fiu")
    if not is_real or array.shape != shape:
        if is_real and array.ndim:  # the dtype does not matter: it is converted
            advice = exchange_advice(array.shape, shape, name) if name else ""
            raise UsageError(f"{owner} has the shape {array.shape}; expected {shape}.{advice}")
        raise UsageError(f"{owner} is {dtype_and_shape(array)}; expected {dtype}{shape}.")
    return _kernel_ready(array, dtype)


def _kernel_ready(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array itself if kernels accept it, else a copy.

    To Numba, read-only and unaligned arrays have other types: kernels would be compiled again for each.
    """
    array = np.ascontiguousarray(array, dtype)
    return array if array.flags.carray else array.copy()
