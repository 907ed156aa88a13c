"""Calls of the kernels of a stack by address, for generated functions that run passes without Python.

One list of calls determines both the source of a generated function and the types that go from one kernel to
the next. Names of variables in these functions: ``inputs`` are the inputs of the first layer, ``x_n`` those
of layer n and ``x_L`` the outputs. ``initial_states``, ``aux``, ``dfinal`` and ``needs_dx`` have an element
for each layer, ``options`` one for each option of the cell. ``final_n``, ``tape_n``, ``dx_n``, ``dinitial_n``
and ``gradients_n`` are results of layer n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import types

from zoo.array_types import Array
from zoo.compiler.codegen.writer import as_tuple
from zoo.compiler.compiler_process import KernelCall
from zoo.kernels.address_calls import KernelRef
from zoo.kernels.jit import EXACT, Kernel, njit
from zoo.kernels.threadpool import worker_loop
from zoo.layers.stack import Stack

MAX_COMPILED_LAYERS = 8
"""With more layers, passes are plain Python: a call with hundreds of arrays compiles too long."""


@njit(fastmath=EXACT)  # adds the zeros too: -0 + 0 is 0, as in the interpreted step
def residual_sum(y: Array, x: Array) -> Array:
    """``y + x``, ``(T, B, H)``; tokens ``(T, B)`` are one-hot rows."""
    total = np.empty_like(y)
    for t in range(y.shape[0]):
        for b in range(y.shape[1]):
            for n in range(y.shape[2]):
                if x.ndim == 2:
                    total[t, b, n] = y[t, b, n] + y.dtype.type(x[t, b] == n)
                else:
                    total[t, b, n] = y[t, b, n] + x[t, b, n]
    return total


ARRAY_FUNCTIONS: dict[str, Any] = {"residual_sum": residual_sum}
"""Functions of arrays that generated functions call by name; they return the type of their first argument."""


WORKER_CALL = KernelCall(worker_loop, (types.int64[::1], types.int64))
"""The loop of the threads that run shards in compiled functions."""


class VarRef(NamedTuple):
    """A variable of a generated function, or an element of one that is a tuple."""

    name: str
    element: int | None = None

    def __str__(self) -> str:
        return self.name if self.element is None else f"{self.name}[{self.element}]"

    def type_in(self, types_by_name: dict[str, Any]) -> Any:
        """Its type."""
        kind = types_by_name[self.name]
        return kind if self.element is None else kind[self.element]


class Call(NamedTuple):
    """A call of a kernel by its address, or of an array function by its name.

    Args:
        kernel: Its name; an array function returns the type of its first argument.
        arguments: Its arguments.
        results: The variables that its results are assigned to.
        mismatch: Condition under which the results are invalid: a cell's own kernel might return anything.
    """

    kernel: str
    arguments: list[VarRef]
    results: list[str]
    mismatch: str = ""


def has_compiled_forward(stack: Stack) -> bool:
    """Whether generated functions can call the forward kernels of the stack one after the other.

    That is not the case with two directions, more than ``MAX_COMPILED_LAYERS`` layers, kernels that are not
    ``zoo.njit`` functions, and different cells of which one has options.
    """
    config, kernels = stack.config, [direction.kernels for direction in stack.directions]
    are_compiled = all(isinstance(each.forward, Kernel) for each in kernels)
    # Kernels of a cell of its own take the values of its options, of which there is one tuple.
    has_options = any(each.options for each in kernels) and not config.has_single_cell
    is_small = config.num_layers <= MAX_COMPILED_LAYERS
    return are_compiled and is_small and not config.bidirectional and not has_options


def has_compiled_kernels(stack: Stack) -> bool:
    """Whether generated functions can call the kernels of both passes: not with learned initial states."""
    are_compiled = all(isinstance(each.kernels.backward, Kernel) for each in stack.directions)
    return are_compiled and has_compiled_forward(stack) and not stack.config.learned_state


class ShardCounter:
    """Counts the shards that Python computes before a compiled function replaces it.

    Attributes:
        interpreted: Number of these shards, of each kind of batch.
    """

    def __init__(self, interpreted: int) -> None:
        self.interpreted = interpreted
        self._counts: Counter[Any] = Counter()

    def count(self, kind: Any, shards: int) -> bool:
        """Count these shards; whether Python has computed enough of this kind before them."""
        is_enough = self._counts[kind] >= self.interpreted
        self._counts[kind] += shards * (not is_enough)
        return is_enough

    def restart(self, kind: Any) -> None:
        """Let Python compute as many shards of this kind again."""
        self._counts[kind] = 0


def kernel_suffixes(stack: Stack) -> list[str]:
    """A suffix of the names of the kernels of each layer: empty if all have one cell, else its number."""
    cells = list(dict.fromkeys(stack.cells))
    return [f"_{cells.index(cell)}" if len(cells) > 1 else "" for cell in stack.cells]


def kernel_refs(stack: Stack, names: tuple[str, ...]) -> dict[str, Any]:
    """The kernels of these names of all layers, for calls by address; the suffix is part of a name."""
    return {
        f"{name}{suffix}": KernelRef(kernel)
        for direction, suffix in zip(stack.directions, kernel_suffixes(stack), strict=True)
        for name in names
        if (kernel := getattr(direction.kernels, name)) is not None
    }


def forward_calls(stack: Stack, params: Callable[[int], VarRef]) -> list[Call]:
    """The calls of the forward pass.

    Args:
        stack: The layers.
        params: The variable of the parameters of a layer, as its kernel takes them.
    """
    calls = []
    for n, suffix in enumerate(kernel_suffixes(stack)):
        is_residual = stack.layers[n].is_residual
        out = f"y_{n}" if is_residual else f"x_{n + 1}"
        states = range(len(stack.directions[n].states))
        mismatch = " or ".join(
            [
                f"{out}.shape != (inputs.shape[0], inputs.shape[1], output_sizes[{n}])",
                *(f"final_{n}[{k}].shape != initial_states[{n}][{k}].shape" for k in states),
            ]
        )
        results = [out, f"final_{n}", f"tape_{n}"]
        is_derived = stack.cells[n].is_derived()
        passed = [params(n), *_inputs_of_layer(stack, n), *_options(stack)]
        calls.append(Call(f"forward{suffix}", passed, results, "" if is_derived else mismatch))
        if is_residual:
            calls.append(Call("residual_sum", [VarRef(out), _x(n)], [f"x_{n + 1}"]))
    return calls


def backward_calls(stack: Stack, params: Callable[[int], VarRef], has_dinputs: bool) -> list[Call]:
    """The calls of the backward pass, from the last layer; it begins with the gradient ``dx_L``.

    Args:
        stack: The layers.
        params: As for :func:`forward_calls`.
        has_dinputs: Whether the gradient of the inputs is needed.
    """
    calls = []
    for n, suffix in reversed(list(enumerate(kernel_suffixes(stack)))):
        is_residual = stack.layers[n].is_residual and (n > 0 or has_dinputs)
        out = f"dy_{n}" if is_residual else f"dx_{n}"
        mismatch = f"{out}.shape != {_x(n)}.shape"
        needs_dx = [VarRef("needs_dx", n)] if stack.directions[n].kernels.accepts_needs_dx else []
        forward_results = [VarRef(f"tape_{n}"), VarRef(f"dx_{n + 1}"), VarRef("dfinal", n)]
        passed = [params(n), *_inputs_of_layer(stack, n), *forward_results, *_options(stack), *needs_dx]
        results = [out, f"dinitial_{n}", f"gradients_{n}"]
        is_checked = not stack.cells[n].is_derived() and (n > 0 or has_dinputs)
        calls.append(Call(f"backward{suffix}", passed, results, mismatch if is_checked else ""))
        if is_residual:
            calls.append(Call("residual_sum", [VarRef(out), VarRef(f"dx_{n + 1}")], [f"dx_{n}"]))
    return calls


def _x(n: int) -> VarRef:
    return VarRef("inputs") if n == 0 else VarRef(f"x_{n}")


def _inputs_of_layer(stack: Stack, n: int) -> list[VarRef]:
    """The arguments of both kernels of a layer after the parameters."""
    aux = ["aux"] if stack.cells[n].inputs else []
    return [_x(n), *(VarRef(name, n) for name in ("initial_states", *aux))]


def _options(stack: Stack) -> list[VarRef]:
    return [VarRef("options", n) for n in range(len(stack.directions[0].kernels.options))]


def resolve_calls(
    calls: list[Call], functions: dict[str, Any], kinds: dict[str, Any], dtype: Any
) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """Address of the machine code of each call of a kernel, and the types of all results, by name.

    Args:
        calls: The calls.
        functions: The kernels (:class:`KernelRef`) and array functions by name.
        kinds: Types of all other variables.
        dtype: Numba type of the elements of arrays.

    Returns:
        None if a kernel was not called from Python yet with these types, or does not return C-contiguous
        arrays of the dtype. Tapes and prepared parameters may hold anything.
    """
    addresses, known = [], dict(kinds)
    for kernel, arguments, results, _ in calls:
        passed = [variable.type_in(known) for variable in arguments]
        if not isinstance(functions[kernel], KernelRef):
            known[results[0]] = passed[0]
            continue
        code = functions[kernel].lookup(tuple(passed))
        if code is None:
            return None
        addresses.append(code.address)
        known.update(zip(results, [code.returns] if len(results) == 1 else code.returns, strict=True))
    results_by_name = {name: kind for name, kind in known.items() if name not in kinds}
    internal = "tape", "forward_params", "backward_params"
    copied = [kind for name, kind in results_by_name.items() if not name.startswith(internal)]
    return (tuple(addresses), results_by_name) if all(is_plain(kind, dtype) for kind in copied) else None


def is_plain(kind: Any, dtype: Any = None) -> bool:
    """Whether this is the type of a C-contiguous array of a dtype, or of plain tuples of such arrays.

    Args:
        kind: A Numba type.
        dtype: Numba type of the elements; None for any.
    """
    if isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple):
        parts: Any = kind  # Numba's own types are untyped
        return all(is_plain(part, dtype) for part in parts)
    return isinstance(kind, types.Array) and kind.layout == "C" and dtype in (None, kind.dtype)


def emit_calls(calls: list[Call], functions: dict[str, Any], numbers: Iterator[int]) -> Iterator[str]:
    """The lines of some calls; invalid results raise ValueError.

    Args:
        calls: The calls.
        functions: As for :func:`resolve_calls`.
        numbers: Indices of the addresses.
    """
    for kernel, arguments, results, mismatch in calls:
        passed = [str(variable) for variable in arguments]
        call = f"{kernel}({', '.join(passed)})"
        if isinstance(functions[kernel], KernelRef):
            call = f"call({kernel}, addresses[{next(numbers)}], {as_tuple(passed)})"
        yield f"{', '.join(results)} = {call}"
        if mismatch:
            yield from [
                f"if {mismatch}:",
                '    raise ValueError("a kernel returned an array of another shape")',
            ]


IMPORTS = """
import numpy as np

import zoo
from zoo import kernels
from zoo.kernels.address_calls import call
from zoo.kernels.batch_slicing import copy_all, copy_columns, flatten_into, put_columns, slice_rows
from zoo.kernels.bound_calls import bind_call
from zoo.kernels.threadpool import count_turns, parallel_for, pass_turn, wait_for_turn
"""
"""Imports of a generated module."""

# Each part of the gradient has a turn: a shard adds the first one while the shard before adds the second one.
# With one turn for all, sixteen threads would add sixteen gradients one after the other.
PUT_GRADIENT = """
size = gradients.shape[1]
if gradients.shape[0] > 1:
    shapes_match &= flatten_into(gradient_arrays, gradients[number], False, 0, size)
    return shapes_match
turns = count_turns(size)
for turn in range(turns):
    wait_for_turn(pool_state, number, turn)
    first_element, end_element = size * turn // turns, size * (turn + 1) // turns
    shapes_match &= flatten_into(gradient_arrays, gradients[0], number > 0, first_element, end_element)
    pass_turn(pool_state, number, turn)
return shapes_match
"""
"""Lines that write the gradient of a shard, or add it to the sum in shard order."""
