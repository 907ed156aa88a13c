"""Compiled passes of a stack: all shards of a batch in one compiled function for each pass.

They call the same kernels as :mod:`zoo.layers.batch`, by the same machine code, so not a bit of the result
differs. In Python, a shard takes 20 us in the forward pass and 27 us in the backward pass, and threads wait
for each other: both passes over 100 steps of 16 sequences with 8 inputs and 64 units took 0.57 (vanilla),
1.13 (gru) and 1.41 ms (lstm) with two threads of an AMD EPYC (Zen 4). Compiled, they take 0.39, 0.93 and
1.18 ms. Tapes stay outside of Python until something other than the compiled backward pass reads them.

Compiled functions are called without a check of the types of their arguments. They take arrays that are
C-contiguous, aligned and writeable; with others, Python runs the pass.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from zoo.array_types import Array, Arrays
from zoo.compiler.background import Compilation
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.codegen.writer import as_tuple
from zoo.compiler.compiler_process import KernelCall
from zoo.compiler.second_compiler import FirstPassCompiler
from zoo.kernels.task_results import new_results, read_result, release_results, words_of
from zoo.layers.batch import BatchRun
from zoo.layers.direction import DirectionTape
from zoo.layers.kernel_calls import (
    ARRAY_FUNCTIONS,
    IMPORTS,
    PUT_GRADIENT,
    WORKER_CALL,
    ShardCounter,
    VarRef,
    backward_calls,
    emit_calls,
    forward_calls,
    has_compiled_kernels,
    is_plain,
    kernel_refs,
    resolve_calls,
)
from zoo.layers.sharding import run_shards, slice_states
from zoo.layers.stack import LayerTape, Stack, StackParams, states_by_layer
from zoo.layers.time_chunks import Segment

SHARDS_BEFORE_LOADING = 100
"""Shards of a kind that run in Python first: to load a compiled pass takes some milliseconds."""

SHARDS_BEFORE_COMPILING = 5_000
"""Shards that run in Python if nothing is stored and no other process compiles: to compile takes a second."""


class ForwardArguments(NamedTuple):
    """Arguments of the forward pass.

    Args:
        params: Prepared parameters of each layer.
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        initial_states: Initial states of each layer, ``(B, ...)``.
        options: Values of the cell's options.
        output_sizes: Output size of each layer.
        shard_rows: Rows of a shard; the last may have fewer.
        outputs: Destination of the outputs, ``(T, B, ·)``.
        final_states: Destination of the final states of each layer, ``(B, ...)``.
    """

    params: tuple[Any, ...]
    inputs: Array
    initial_states: tuple[tuple[Array, ...], ...]
    options: tuple[Any, ...]
    output_sizes: tuple[int, ...]
    shard_rows: int
    outputs: Array
    final_states: tuple[tuple[Array, ...], ...]


class BackwardArguments(NamedTuple):
    """Arguments of the backward pass.

    Args:
        params: Prepared parameters of each layer.
        like: Empty arrays of the types of the saved arrays of a shard.
        initial_states: As for :class:`ForwardArguments`.
        options: As for :class:`ForwardArguments`.
        shard_rows: As for :class:`ForwardArguments`.
        dy: Gradient of the outputs, ``(T, B, ·)``.
        dfinal: Gradient of the final states of each layer, ``(B, ...)``.
        needs_dx: Whether the gradient of the inputs of each layer is needed.
        dinputs: Destination of the gradient of the inputs, ``(T, B, I)``; None if it is not needed.
        dinitial: Destination of the gradient of the initial states of each layer, ``(B, ...)``.
        gradients: Destination of the gradients of the parameters: ``(1, P)`` for their sum, or
            ``(shards, P)``.
    """

    params: tuple[Any, ...]
    like: Any
    initial_states: tuple[tuple[Array, ...], ...]
    options: tuple[Any, ...]
    shard_rows: int
    dy: Array
    dfinal: tuple[tuple[Array, ...], ...]
    needs_dx: tuple[bool, ...]
    dinputs: Array | None
    dinitial: tuple[tuple[Array, ...], ...]
    gradients: Array


class SpecialisedPass(NamedTuple):
    """A pass for arguments of some types.

    Args:
        compilation: The compilation of its function ``(pool_state, count, results, addresses, arguments)``,
            which returns whether all shards succeeded.
        addresses: Addresses of the kernels, in the order of the calls.
    """

    compilation: Compilation
    addresses: tuple[int, ...]


class SavedTypes:
    """The types of the arrays that a forward pass saves for each shard, and functions for them.

    Args:
        like: Empty arrays of these types: the inputs of each layer, and their tapes.
    """

    def __init__(self, like: tuple[tuple[Any, ...], tuple[Any, ...]]) -> None:
        typeof: Any = numba.typeof  # Numba's own functions are untyped
        kind, results = typeof(like), types.int64[:, ::1]
        self.like, self.words = like, words_of(kind)  # words of the results of a shard
        self.calls = (
            KernelCall(read_result, (results, types.int64, kind)),
            KernelCall(release_results, (results, kind)),
        )

    @functools.cached_property
    def read(self) -> Callable[..., Any]:
        """As :func:`read_result`."""
        return self.calls[0].compile()

    @functools.cached_property
    def release(self) -> Callable[..., None]:
        """As :func:`release_results`."""
        return self.calls[1].compile()


class CompiledSegments(Sequence[list[Segment]]):
    """Segments of a compiled forward pass, one for each shard. Reading one makes Python objects of its tape.

    Args:
        stack: The layers.
        run: The batch.
        shards: The rows of each shard.
        saved: The types of the saved arrays.
    """

    def __init__(self, stack: Stack, run: BatchRun, shards: Sequence[slice], saved: SavedTypes) -> None:
        self.saved, self._release = saved, saved.release  # compiled before memory has to be released
        self.results = new_results(len(shards), saved.words)
        self._stack, self._run, self._shards = stack, run, shards

    @property
    def shard_rows(self) -> int:
        """Rows of a shard; the last may have fewer."""
        rows: int = self._shards[0].stop
        return rows

    def __del__(self) -> None:
        self._release(self.results, self.saved.like)

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        index = range(len(self))[index]
        rows, (time_slice,) = self._shards[index], self._run.segments
        inputs, tapes = self.saved.read(self.results, index, self.saved.like)
        state, layer_tapes = slice_states(self._run.state, rows), []
        for layer, x, tape in zip(self._stack.directions, inputs, tapes, strict=True):
            own = tuple([state[name] for name in layer.states])
            layer_tapes.append(LayerTape(None, None, [[DirectionTape(x, own, (), tape)]]))
        return [Segment(time_slice, rows, state, layer_tapes)]

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


class CompiledPasses:
    """The compiled passes of a stack.

    Args:
        stack: The layers.

    Attributes:
        shards: Counts the shards that run in Python first.
        in_background: Whether Python runs passes while another process compiles, or, if none can be started,
            ``SHARDS_BEFORE_COMPILING`` shards.
        first_pass_compiler: Compiles kernels in a second process before the first pass.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._is_supported = has_compiled_kernels(stack) and not stack.inputs
        self._options = stack.directions[0].kernels.options
        self._output_sizes = tuple([layer.output_size for layer in stack.directions])
        self.shards, self.in_background = ShardCounter(SHARDS_BEFORE_LOADING), True
        self.first_pass_compiler = FirstPassCompiler()
        self._forward: dict[Any, tuple[SpecialisedPass, SavedTypes]] = {}
        self._backward: dict[Any, SpecialisedPass] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledPasses, (self._stack,)  # compiled functions exist in one process only

    def forward(
        self, run: BatchRun, params: StackParams, shards: Sequence[slice], y: Array, threads: int
    ) -> tuple[CompiledSegments, Arrays] | None:
        """The segments of each shard, and the final states of the batch; None if Python has to run the pass.

        That is the case for the first shards, with dropout, lengths, gradient checkpointing and auxiliary
        inputs, for stacks that :func:`has_compiled_kernels` excludes, and if a kernel raises an error or
        returns arrays that do not fit. Python then raises that error. It replaces all results.

        Args:
            run: The batch.
            params: From :meth:`BatchRun.prepare`.
            shards: The rows of each shard.
            y: Destination of the outputs, ``(T, B, ·)``.
            threads: Maximum number of threads.
        """
        has_dropout = run.aux_inputs.noise_key is not None and run.aux_inputs.dropout > 0
        is_whole = len(run.segments) == 1 and run.lengths is None
        if not self._is_supported or not shards or not is_whole or has_dropout:
            return None
        kind, initial = run.x.dtype, run.state
        params_of_layers = [array for each in params for array in each.arrays]
        if not _are_ready(run.x, y, *initial.values(), *params_of_layers):
            return None
        if not self.shards.count(kind, len(shards)):
            return None
        final = _empty_states(initial)
        arguments = ForwardArguments(
            params=tuple([each.forward_params for each in params]),
            inputs=run.x,
            initial_states=states_by_layer(self._stack, initial),
            options=self._options,
            output_sizes=self._output_sizes,
            shard_rows=shards[0].stop,
            outputs=y,
            final_states=states_by_layer(self._stack, final),
        )
        if kind not in self._forward:
            generated = _generate_forward(self._stack, arguments)
            if generated is None:
                self.shards.restart(kind)  # the next ones may compile the kernels for these types
                return None
            call, addresses, saved = generated
            calls = *saved.calls, call
            self._forward[kind] = SpecialisedPass(self._compilation(calls, threads), addresses), saved
        compiled, saved = self._forward[kind]
        function = compiled.compilation.function(wait=not self.in_background, shards=len(shards))
        if function is None:
            return None
        segments = CompiledSegments(self._stack, run, shards, saved)
        passed = segments.results, compiled.addresses, arguments
        has_succeeded = _run(function, *passed, threads, run.product_size)
        return (segments, final) if has_succeeded else None

    def backward(
        self,
        run: BatchRun,
        params: StackParams,
        segments: Sequence[Sequence[Segment]],
        dy: Array,
        dfinal: Mapping[str, Array],
        dx: Array | None,
        out: Array,
        threads: int,
    ) -> Arrays | None:
        """The gradients of the initial states; None if Python has to run the pass, see :meth:`forward`.

        Args:
            run: The batch.
            params: From :meth:`BatchRun.prepare`.
            segments: From :meth:`forward`; Python has to run the pass if they are of a pass in Python.
            dy: Gradient of the outputs, ``(T, B, ·)``.
            dfinal: Gradients of the final states.
            dx: Destination of the gradient of x, ``(T, B, I)``; None if it is not needed.
            out: Destination of the gradient of the parameters: ``(P,)`` for their sum over the shards, or
                ``(shards, P)``.
            threads: Maximum number of threads.
        """
        kind, needs_dx = (run.x.dtype, dx is None), [] if dx is None else [dx]
        if run.x.dtype not in self._forward:
            return None
        if not _are_ready(dy, out, *needs_dx, *dfinal.values()) or out.dtype != dy.dtype:
            return None
        if not self.shards.count(kind, len(segments)):
            return None
        dinitial = _empty_states(run.state)
        # A tape of a pass in Python may have other arrays, but the pass can be compiled in the meantime.
        arguments = BackwardArguments(
            params=tuple([each.backward_params for each in params]),
            like=self._forward[run.x.dtype][1].like,
            initial_states=states_by_layer(self._stack, run.state),
            options=self._options,
            shard_rows=segments.shard_rows if isinstance(segments, CompiledSegments) else 0,
            dy=dy,
            dfinal=states_by_layer(self._stack, dfinal),
            needs_dx=(dx is not None, *[True] * (len(self._stack.directions) - 1)),
            dinputs=dx,
            dinitial=states_by_layer(self._stack, dinitial),
            gradients=out.reshape(-1, out.shape[-1]),
        )
        if kind not in self._backward:
            generated = _generate_backward(self._stack, arguments)
            if generated is None:
                self.shards.restart(kind)
                return None
            call, addresses = generated
            self._backward[kind] = SpecialisedPass(self._compilation((call,), threads), addresses)
        compiled = self._backward[kind]
        function = compiled.compilation.function(wait=not self.in_background, shards=len(segments))
        if function is None or not isinstance(segments, CompiledSegments):
            return None
        passed = segments.results, compiled.addresses, arguments
        has_succeeded = _run(function, *passed, threads, run.product_size)
        return dinitial if has_succeeded else None

    def _compilation(self, calls: tuple[KernelCall, ...], threads: int) -> Compilation:
        return Compilation([WORKER_CALL, *calls], threads, SHARDS_BEFORE_COMPILING)


def _empty_states(state: Mapping[str, Array]) -> Arrays:
    """Arrays for other values of the states."""
    return {name: np.empty(value.shape, value.dtype) for name, value in state.items()}


def _are_ready(*arrays: Array) -> bool:
    """Whether compiled functions can take these arrays."""
    return all(array.flags.carray for array in arrays)


def _run(
    function: Callable[..., bool],
    results: Array,
    addresses: tuple[int, ...],
    arguments: NamedTuple,
    threads: int,
    product_size: int,
) -> bool:
    """Compute all shards; False if a kernel raised an error or its results do not fit."""
    passed = len(results), results, addresses, tuple(arguments)
    return run_shards(lambda pool_state: function(pool_state, *passed), len(results), threads, product_size)


def _layer_params(n: int) -> VarRef:
    return VarRef("params", n)


def _generate_forward(
    stack: Stack, arguments: ForwardArguments
) -> tuple[KernelCall, tuple[int, ...], SavedTypes] | None:
    """Generate the forward pass; None if a kernel was not called from Python yet with these types."""
    functions = {**kernel_refs(stack, ("forward",)), **ARRAY_FUNCTIONS}
    calls = forward_calls(stack, _layer_params)
    typeof: Any = numba.typeof  # Numba's own functions are untyped
    kinds = {name: typeof(each) for name, each in arguments._asdict().items()}
    resolved = resolve_calls(calls, functions, kinds, kinds["outputs"].dtype)
    if resolved is None:
        return None
    addresses, known = resolved
    layers = range(len(stack.directions))
    inputs = [kinds["inputs"], *(known[f"x_{n}"] for n in layers[1:])]
    tapes = [known[f"tape_{n}"] for n in layers]
    if not all(map(is_plain, tapes)) or not _have_lengths(
        known, "final", [len(each.states) for each in stack.directions]
    ):
        return None
    like = tuple(map(_empty_like, inputs)), tuple(map(_empty_like, tapes))
    body = [
        *_SLICE_INPUTS.split("\n")[1:-1],
        *emit_calls(calls, functions, itertools.count()),
        f"put_columns(x_{len(layers)}, outputs, first)",
        "shapes_match = True",
        *(f"shapes_match &= copy_all(final_{n}, final_states[{n}])" for n in layers),
        f"saved_inputs = {as_tuple(['inputs', *(f'x_{n}' for n in layers[1:])])}",
        f"store_result(results, number, (saved_inputs, {as_tuple([f'tape_{n}' for n in layers])}))",
        "return shapes_match",
    ]
    return _pass_call("forward", stack, functions, arguments, addresses, body), addresses, SavedTypes(like)


def _generate_backward(
    stack: Stack, arguments: BackwardArguments
) -> tuple[KernelCall, tuple[int, ...]] | None:
    """Generate the backward pass; None if a kernel was not called from Python yet with these types."""
    functions = {**kernel_refs(stack, ("backward",)), **ARRAY_FUNCTIONS}
    has_dinputs, layers = arguments.dinputs is not None, range(len(stack.directions))
    calls = backward_calls(stack, _layer_params, has_dinputs)
    typeof: Any = numba.typeof  # Numba's own functions are untyped
    kinds = {name: typeof(each) for name, each in arguments._asdict().items()}
    inputs, tapes = kinds["like"]
    names = ["inputs", *(f"x_{n}" for n in layers[1:])]
    known = {**kinds, **dict(zip(names, inputs, strict=True)), f"dx_{len(layers)}": kinds["dy"]}
    known |= {f"tape_{n}": kind for n, kind in enumerate(tapes)}
    resolved = resolve_calls(calls, functions, known, kinds["dy"].dtype)
    if resolved is None:
        return None
    counts = [(len(each.states), len(each.params)) for each in stack.directions]
    for name, lengths in zip(("dinitial", "gradients"), zip(*counts, strict=True), strict=True):
        if not _have_lengths(resolved[1], name, lengths):
            return None
    body = [
        "saved_inputs, tapes = load_result(results, number, like)",
        *(f"{name} = saved_inputs[{n}]" for n, name in enumerate(names)),
        *(f"tape_{n} = tapes[{n}]" for n in layers),
        *_SLICE_GRADIENTS.split("\n")[1:-1],
        f"dx_{len(layers)} = copy_columns(dy, first, end)",
        *emit_calls(calls, functions, itertools.count()),
        *["put_columns(dx_0, dinputs, first)"] * has_dinputs,
        "shapes_match = True",
        *(f"shapes_match &= copy_all(dinitial_{n}, dinitial[{n}])" for n in layers),
        "gradient_arrays = " + " + ".join(f"gradients_{n}" for n in layers),
        *PUT_GRADIENT.split("\n")[1:-1],
    ]
    addresses, _ = resolved
    return _pass_call("backward", stack, functions, arguments, addresses, body), addresses


_SLICE_INPUTS = """
first = number * shard_rows
end = kernels.int_min(first + shard_rows, inputs.shape[1])
inputs = copy_columns(inputs, first, end)
initial_states = slice_rows(initial_states, first, end)
final_states = slice_rows(final_states, first, end)
"""

_SLICE_GRADIENTS = """
first = number * shard_rows
end = kernels.int_min(first + shard_rows, dy.shape[1])
initial_states = slice_rows(initial_states, first, end)
dfinal = slice_rows(dfinal, first, end)
dinitial = slice_rows(dinitial, first, end)
"""


def _pass_call(
    name: str,
    stack: Stack,
    functions: dict[str, Any],
    arguments: Any,
    addresses: tuple[int, ...],
    body: list[str],
) -> KernelCall:
    """The function of a pass for these arguments, given the lines for one shard."""
    source = "\n".join(_emit_pass(name, arguments._fields, body))
    module = load_source(f"{stack.cell.name}_{name}", source, functions)
    typeof: Any = numba.typeof  # Numba's own functions are untyped
    own = types.int64[::1], types.int64, types.int64[:, ::1], typeof(addresses)
    return KernelCall(module.run, (*own, typeof(tuple(arguments))))


def _emit_pass(name: str, fields: tuple[str, ...], body: list[str]) -> Iterator[str]:
    yield f'"""The {name} pass of every layer, for all shards of a batch."""'
    yield from IMPORTS.split("\n")
    yield "from zoo.kernels.task_results import load_result, store_result"
    yield from ("", "", "@zoo.njit")
    yield f"def shard(number, _count, pool_state, results, addresses, {', '.join(fields)}):"
    yield '    """One shard; False if the results of a kernel do not fit."""'
    yield from [f"    {line}" for line in body]
    yield from ("", "", "@zoo.njit", "def run(pool_state, count, results, addresses, arguments):")
    yield '    """All shards; False if one failed."""'
    yield "    code, data = bind_call(shard, (pool_state, results, addresses), arguments)"
    yield "    return parallel_for(pool_state, count, code, data)"
    yield ""


def _have_lengths(kinds: Mapping[str, Any], name: str, lengths: Sequence[int]) -> bool:
    """Whether the results of each layer with this name have these numbers of arrays."""
    return [len(kinds[f"{name}_{n}"]) for n in range(len(lengths))] == list(lengths)


def _empty_like(kind: Any) -> Any:
    """Empty arrays of a plain Numba type, in tuples."""
    if isinstance(kind, types.BaseTuple):
        parts: Any = kind  # Numba's own types are untyped
        return tuple(map(_empty_like, parts))
    return np.empty((0,) * kind.ndim, numba.np.numpy_support.as_dtype(kind.dtype))
