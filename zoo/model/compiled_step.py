"""The compiled training step: forward pass, readout, loss and backward pass in one compiled function.

It calls the same kernels as :mod:`zoo.model.batch_loss`, by the same machine code, so not a bit of the result
differs. A generated module calls them one after the other by address; one list of calls determines both its
source and the types that go from one kernel to the next.

Python took 45 of 114 us for 25 symbols of one sequence. In a large step it took 0.2 ms a shard, because its
code and data have left the cache by the time a kernel ends. Threads take shards in compiled code too: for 16
rows of 25 symbols and 32 units, two threads that wait for each other in Python took 0.27 ms, one alone 0.18,
and two in compiled code 0.10.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from zoo import kernels
from zoo.array_types import Array, Arrays
from zoo.compiler.background import Compilation
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.compiler_process import KernelCall
from zoo.compiler.second_compiler import FirstPassCompiler
from zoo.kernels.address_calls import KernelRef
from zoo.kernels.jit import is_pure_python, njit
from zoo.layers.batch import BatchRun
from zoo.layers.kernel_calls import (
    ARRAY_FUNCTIONS,
    IMPORTS,
    PUT_GRADIENT,
    WORKER_CALL,
    Call,
    ShardCounter,
    VarRef,
    backward_calls,
    emit_calls,
    forward_calls,
    has_compiled_kernels,
    kernel_refs,
    kernel_suffixes,
    resolve_calls,
)
from zoo.layers.sharding import run_shards, slice_states
from zoo.layers.stack import Stack, StackParams, states_by_layer
from zoo.layers.time_chunks import slice_batch
from zoo.model.batch_loss import BatchLoss

ArrayTuple = tuple[Any, ...]


class StepArguments(NamedTuple):
    """Arguments of the compiled step, common to all shards.

    Args:
        params: Parameters and buffers of each layer.
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        initial_states: Initial states of each layer, ``(B, ...)``.
        aux: Auxiliary inputs of each layer, ``(T, B, ...)``.
        options: Values of the cell's options.
        readout: ``Why (H, V)`` and ``by (V,)``.
        targets: Targets of the steps with a loss, ``(N, B)`` or ``(N, B, V)``.
        weights: Weights of those steps, ``(N, B)``.
        read_steps: Indices of those steps, ``(N,)``; None if they are all steps.
        loss_options: Values of the options of the loss.
        scale: Factor of the gradients.
        dfinal: Zero gradient with respect to the final states of each layer, for the rows of a shard.
        output_sizes: Output size of each layer.
        shard_rows: Rows of a shard; the last may have fewer.
        losses: Destination of the losses, summed for each step, ``(shards, N)``.
        final_states: Destination of the final states of each layer, ``(B, ...)``.
        gradients: Destination of the gradients: ``(shards, P)``, or ``(1, P)`` for their sum in shard order.
        dinputs: Destination of the gradient of the inputs, ``(T, B, I)``; None if it is not needed.
        needs_dx: Whether the gradient with respect to the inputs of each layer is needed.
    """

    params: tuple[ArrayTuple, ...]
    inputs: Any
    initial_states: tuple[ArrayTuple, ...]
    aux: tuple[ArrayTuple, ...]
    options: ArrayTuple
    readout: ArrayTuple
    targets: Any
    weights: Any
    read_steps: Any
    loss_options: tuple[float, ...]
    scale: float
    dfinal: tuple[ArrayTuple, ...]
    output_sizes: tuple[int, ...]
    shard_rows: int
    losses: Any
    final_states: tuple[ArrayTuple, ...]
    gradients: Any
    dinputs: Any
    needs_dx: tuple[bool, ...]


@njit
def gather_steps(y: Array, indices: Array) -> Array:
    """Some steps of ``y (T, B, H)``, ``(N, B, H)``."""
    steps = kernels.empty((indices.size, y.shape[1], y.shape[2]), y)
    for n in range(indices.size):
        kernels.copy_into(kernels.at_step(y, indices[n]), kernels.at_step(steps, n))
    return steps


@njit
def scatter_steps(steps: Array, indices: Array, like: Array) -> Array:
    """Steps ``(N, B, H)`` at their indices in an array of zeros with the shape of ``like``, ``(T, B, H)``."""
    whole = kernels.zeros(like.shape, like)
    for n in range(indices.size):
        kernels.copy_into(kernels.at_step(steps, n), kernels.at_step(whole, indices[n]))
    return whole


_EMPTY_INPUTS = {
    "empty_tokens": "kernels.empty((0, 0), inputs)",
    "empty_floats": "kernels.empty((0, 0, 0), gradients)",
}
"""Inputs of ``prepare_*``, by name: their number of axes selects code."""

_ARRAY_FUNCTIONS = {**ARRAY_FUNCTIONS, "gather_steps": gather_steps, "scatter_steps": scatter_steps}


class SpecialisedStep(NamedTuple):
    """The step for arguments of some types.

    Args:
        compilation: The compilation of its function ``(pool_state, count, addresses, arguments)``.
        addresses: Addresses of the kernels, in the order of the calls.
    """

    compilation: Compilation
    addresses: tuple[int, ...]

    def run(
        self, arguments: StepArguments, count: int, threads: int, product_size: int, *, wait: bool
    ) -> bool:
        """Compute ``count`` shards.

        Args:
            arguments: Arguments of the step.
            count: Number of shards.
            threads: Maximum number of threads.
            product_size: As for :func:`pool_threads`.
            wait: Whether to wait until the step is compiled.

        Returns:
            False if another process still compiles the step, if a kernel raised an error, or if its results
            do not fit.

        Raises:
            MemoryError: if the memory does not suffice for prepared parameters.
        """
        function = self.compilation.function(wait=wait)
        if function is None:
            return False
        passed = count, self.addresses, tuple(arguments)

        def work(pool_state: Array) -> bool:
            return function(pool_state, *passed)  # type: ignore[no-any-return]

        return run_shards(work, count, threads, product_size)


def generate_training_step(
    stack: Stack, readout_loss_and_grad: Any, arguments: StepArguments
) -> tuple[KernelCall, tuple[int, ...]] | None:
    """Generate the step for arguments of these types.

    Returns:
        The call of its function, to be compiled, and the addresses that it takes. None if a kernel was not
        called from Python yet with the types that the one before it returns, or does not return C-contiguous
        arrays.
    """
    names = "forward", "backward", "prepare_forward", "prepare_backward"
    readout = KernelRef(readout_loss_and_grad)
    functions = {"readout_loss_and_grad": readout, **kernel_refs(stack, names), **_ARRAY_FUNCTIONS}
    typeof: Any = numba.typeof  # Numba's own functions are untyped
    kinds = {name: typeof(each) for name, each in arguments._asdict().items()}
    has_dinputs = kinds["dinputs"] != types.none
    calls = _call_list(stack, kinds["read_steps"] == types.none, has_dinputs)
    preparation = _preparation(stack, kinds["inputs"].ndim == 2)
    known = {**kinds, "losses": typeof(arguments.losses[0]), **_empty_input_types(kinds)}
    resolved = resolve_calls([*preparation, *calls], functions, known, kinds["gradients"].dtype)
    if resolved is None:
        return None
    addresses, _ = resolved
    source = "\n".join(_emit_module(preparation, calls, functions, stack, has_dinputs))
    step = load_source(f"{stack.cell.name}_step", source, functions).run
    signature = (types.int64[::1], types.int64, typeof(addresses), typeof(tuple(arguments)))
    return KernelCall(step, signature), addresses


def _empty_input_types(kinds: dict[str, Any]) -> dict[str, Any]:
    """Types of ``_EMPTY_INPUTS``."""
    array: Any = types.Array  # Numba's own types are untyped
    return {
        "empty_tokens": array(types.int32, 2, "C"),
        "empty_floats": array(kinds["gradients"].dtype, 3, "C"),
    }


def _preparation(stack: Stack, reads_tokens: bool) -> list[Call]:
    """Calls of the functions that prepare parameters.

    The forward pass of the first layer reads its parameters first. They are prepared last, and are then in
    the cache.

    Args:
        stack: The layers.
        reads_tokens: Whether the first layer reads tokens.
    """
    calls = []
    for pass_name in ("backward", "forward"):
        for n, suffix in reversed(list(enumerate(kernel_suffixes(stack)))):
            if _has_preparation(stack, n, pass_name):
                empty_inputs = VarRef("empty_tokens" if reads_tokens and n == 0 else "empty_floats")
                needs_dx = [VarRef("needs_dx", n)] if pass_name == "backward" else []
                passed = [VarRef("params", n), empty_inputs, *needs_dx]
                calls.append(Call(f"prepare_{pass_name}{suffix}", passed, [f"{pass_name}_params_{n}"]))
    return calls


def _has_preparation(stack: Stack, n: int, pass_name: str) -> bool:
    return getattr(stack.directions[n].kernels, f"prepare_{pass_name}") is not None


def _call_list(stack: Stack, reads_all: bool, has_dinputs: bool) -> list[Call]:
    """All calls of a step, in order.

    Args:
        stack: The layers.
        reads_all: Whether all steps have a loss.
        has_dinputs: Whether the gradient of the inputs is needed.
    """
    y, dy = (f"{name}_{len(stack.layers)}" for name in ("x", "dx"))

    def params(pass_name: str, n: int) -> VarRef:
        is_prepared = _has_preparation(stack, n, pass_name)
        return VarRef(f"{pass_name}_params_{n}") if is_prepared else VarRef("params", n)

    def readout(y: str, dy: str) -> Call:
        loss = [VarRef(name) for name in ("targets", "weights", "loss_options", "losses", "scale")]
        return Call(
            "readout_loss_and_grad",
            [VarRef(y), VarRef("readout", 0), VarRef("readout", 1), *loss],
            [dy, "dWhy", "dby"],
        )

    readout_of_selected_steps = [
        Call("gather_steps", [VarRef(y), VarRef("read_steps")], ["y_read"]),
        readout("y_read", "dy_read"),
        Call("scatter_steps", [VarRef("dy_read"), VarRef("read_steps"), VarRef(y)], [dy]),
    ]
    return [
        *forward_calls(stack, functools.partial(params, "forward")),
        *([readout(y, dy)] if reads_all else readout_of_selected_steps),
        *backward_calls(stack, functools.partial(params, "backward"), has_dinputs),
    ]


def _emit_module(
    preparation: list[Call], calls: list[Call], functions: dict[str, Any], stack: Stack, has_dinputs: bool
) -> Iterator[str]:
    yield '"""A training step: forward pass of every layer, readout and loss, backward pass."""'
    yield from IMPORTS.split("\n")
    prepared = [name for call in preparation for name in call.results]
    common, fields = ", ".join(["pool_state", "addresses", *prepared]), ", ".join(StepArguments._fields)
    yield from ("", "@zoo.njit", f"def shard(number, _count, {common}, {fields}):")
    yield '    """One shard; False if the results of a kernel do not fit."""'
    numbers = itertools.count(len(preparation))
    shard_calls = emit_calls(calls, functions, numbers)
    body = *_SLICE_SHARD.split("\n")[1:-1], *shard_calls, *_emit_outputs(stack, has_dinputs)
    yield from [f"    {line}" for line in body]
    # A function of its own, because Numba releases an array after its last use: the caller holds these.
    yield from ("", "", "@zoo.njit", f"def run_shards({common}, count, arguments):")
    yield f"    code, data = bind_call(shard, ({common}), arguments)"
    yield "    return parallel_for(pool_state, count, code, data)"
    yield from ("", "", "@zoo.njit", "def run(pool_state, count, addresses, arguments):")
    yield '    """All shards; False if one failed."""'
    yield f"    {', '.join(StepArguments._fields)} = arguments"
    used = {argument.name for each in preparation for argument in each.arguments}
    yield from [f"    {name} = {empty}" for name, empty in _EMPTY_INPUTS.items() if name in used]
    yield from [f"    {line}" for line in emit_calls(preparation, functions, itertools.count())]
    yield f"    return run_shards({common}, count, arguments)"
    yield ""


_SLICE_SHARD = """
first = number * shard_rows
end = kernels.int_min(first + shard_rows, inputs.shape[1])
inputs = copy_columns(inputs, first, end)
aux = copy_columns(aux, first, end)
targets = copy_columns(targets, first, end)
weights = copy_columns(weights, first, end)
initial_states = slice_rows(initial_states, first, end)
final_states = slice_rows(final_states, first, end)
dfinal = slice_rows(dfinal, 0, end - first)
losses = losses[number]
"""


def _emit_outputs(stack: Stack, has_dinputs: bool) -> Iterator[str]:
    """Copy the final states and the gradients; ``shapes_match`` is False if shapes differ."""
    yield from ["put_columns(dx_0, dinputs, first)"] * has_dinputs
    layers = range(len(stack.directions))
    yield "shapes_match = True"
    yield from [f"shapes_match &= copy_all(final_{n}, final_states[{n}])" for n in layers]
    yield "gradient_arrays = " + " + ".join([f"gradients_{n}" for n in layers] + ["(dWhy, dby)"])
    yield from PUT_GRADIENT.split("\n")[1:-1]


# Time of the interpreted and of the compiled step of a model in us, one thread, float32, on an AMD EPYC with
# AVX-512 and two cores, each the minimum of many interleaved repetitions. Support for more kinds of stacks
# can gain no more.
#
#   T, B, V, H           vanilla        lstm          2 vanilla      2 vanilla, residual
#   64, 32, 65, 128      1779   1580    5423   4644   4096   3455    3935   3526   10 to 16 %
#   128, 16, 65, 64       752    654    1623   1492   1325   1157    1416   1244    8 to 13 %
#   25, 1, 65, 100         93     53     170    118    151     89     154     93   31 to 43 %
#
# Residual layers cost one more call between two kernels. Dropout would cost two; drawing its masks takes 2 %
# of a step. Gradient checkpointing and lengths run each segment with other rows, which the list of calls
# cannot express. Segments of recompute="sqrt" have at least 1,024 tokens, where the gain is about 10 %.
INTERPRETED_SHARDS = 8
"""Shards that the interpreted step computes first: to compile takes a second, too long for few steps."""


class CompiledStep:
    """The compiled training step of a model.

    Args:
        stack: The layers.
        params: Their parameters and buffers.
        readout: ``Why (H, V)`` and ``by (V,)``.

    Attributes:
        shards: Counts the shards that the interpreted step computes first.
        in_background: Whether another process compiles the step, if one can be started. The interpreted step
            computes in the meantime.
        first_pass_compiler: Compiles kernels in a second process before the first step.
    """

    def __init__(self, stack: Stack, params: StackParams, readout: tuple[Array, Array]) -> None:
        self._stack, self._readout = stack, readout
        self._params = tuple([each.arrays for each in params])
        self._is_supported = has_compiled_kernels(stack)
        self._has_inputs, self._options = bool(stack.inputs), stack.directions[0].kernels.options
        self._output_sizes = tuple([layer.output_size for layer in stack.directions])
        self._needs_dx_above = (True,) * (len(stack.directions) - 1)
        self._no_aux: tuple[tuple[Array, ...], ...] = ((),) * len(stack.directions)
        self._zero_states: dict[int, tuple[tuple[Array, ...], ...]] = {}
        self.shards, self.in_background = ShardCounter(INTERPRETED_SHARDS), False
        self.first_pass_compiler = FirstPassCompiler()
        self._steps: dict[Any, SpecialisedStep | None] = {}

    def loss_and_grad(
        self, batch_loss: BatchLoss, shards: Sequence[slice], out: Array, threads: int
    ) -> tuple[Array, Arrays] | None:
        """As ``BatchLoss.loss_and_grad`` for all these shards; None if the interpreted step has to do it.

        That is the case with dropout, lengths and gradient checkpointing, where a cell's kernels are not
        ``zoo.njit`` functions, for the first few shards, while another process compiles the step, and if a
        kernel raises an error or returns arrays that do not fit. The interpreted step then raises that error.
        It writes all results again.

        Args:
            batch_loss: The loss of a batch.
            shards: Rows of the shards, which follow each other.
            out: Destination of their gradients, ``(shards, P)``, or ``(1, P)`` for the sum in their order.
            threads: Maximum number of threads.

        Returns:
            The losses of each shard, ``(shards, T)``, and the final states of all their rows.
        """
        run, batch_run = batch_loss.run, batch_loss.run.batch_run
        is_whole = len(batch_run.segments) == 1 and batch_run.lengths is None
        if not self._is_supported or not shards or not is_whole or is_pure_python():
            return None
        if not self.shards.count(_batch_kind(batch_loss), len(shards)):
            return None
        (time_slice,) = batch_run.segments
        rows = slice(shards[0].start, shards[-1].stop)
        aux = self._aux_inputs(batch_run, rows)
        if aux is None:
            return None
        read = run.steps_with_loss(time_slice)
        read_steps, initial = None if isinstance(read, slice) else read, slice_states(batch_run.state, rows)
        targets, weights = (
            slice_batch(batch_loss.targets, time_slice, rows)[read],
            run.weights_of(time_slice, rows)[read],
        )
        losses = np.zeros((len(shards), time_slice.stop))
        read_losses = losses if read_steps is None else np.empty((len(shards), len(read_steps)))
        final = {name: np.empty_like(value) for name, value in initial.items()}
        shard_rows = shards[0].stop - shards[0].start
        whole: Any = batch_loss.dinputs  # of the rows of all processes
        has_all_rows = whole is None or rows == slice(0, whole.shape[1])
        dinputs = whole if has_all_rows else slice_batch(whole, time_slice, rows)
        arguments = StepArguments(
            params=self._params,
            inputs=slice_batch(batch_run.x, time_slice, rows),
            initial_states=states_by_layer(self._stack, initial),
            aux=aux,
            options=self._options,
            readout=self._readout,
            targets=targets,
            weights=weights,
            read_steps=read_steps,
            loss_options=batch_loss.options,
            scale=1 / run.total_weight,
            dfinal=self._zeros(shard_rows),
            output_sizes=self._output_sizes,
            shard_rows=shard_rows,
            losses=read_losses,
            final_states=states_by_layer(self._stack, final),
            gradients=out,
            dinputs=dinputs,
            needs_dx=(whole is not None, *self._needs_dx_above),
        )
        step = self._step_for(batch_loss, arguments, threads)
        product_size = self._stack.product_size(shard_rows, self._readout[0].size)
        wait = not self.in_background
        if step is None or not step.run(arguments, len(shards), threads, product_size, wait=wait):
            return None
        if dinputs is not None and dinputs is not whole:
            whole[:, rows] = dinputs
        if read_steps is not None:
            losses[:, read_steps] = read_losses
        return losses, final

    def _step_for(
        self, batch_loss: BatchLoss, arguments: StepArguments, threads: int
    ) -> SpecialisedStep | None:
        kind = *_batch_kind(batch_loss), arguments.read_steps is None
        if kind not in self._steps:
            generated = generate_training_step(self._stack, batch_loss.kernels.loss_and_grad, arguments)
            self._steps[kind] = generated and SpecialisedStep(
                Compilation([WORKER_CALL, generated[0]], threads), generated[1]
            )
        return self._steps[kind]

    def _aux_inputs(self, run: BatchRun, rows: slice) -> tuple[tuple[Array, ...], ...] | None:
        """Auxiliary inputs of each layer; None if there is dropout between two layers."""
        if not self._has_inputs and (run.aux_inputs.noise_key is None or not run.aux_inputs.dropout):
            return self._no_aux
        (time_slice,) = run.segments
        aux = run.aux_inputs.chunk(time_slice, rows)
        has_mask = any(each.mask is not None for each in aux)
        return None if has_mask else tuple([each.inputs[0] for each in aux])

    def _zeros(self, batch: int) -> tuple[tuple[Array, ...], ...]:
        """Zero gradient with respect to the final states; no kernel writes to it."""
        if batch not in self._zero_states:
            shapes, dtype = self._stack.state_shapes, self._readout[0].dtype
            zeros = {name: np.zeros((batch, *shape), dtype) for name, shape in shapes.items()}
            self._zero_states[batch] = states_by_layer(self._stack, zeros)
        return self._zero_states[batch]


def _batch_kind(batch_loss: BatchLoss) -> tuple[Any, Any]:
    """The types of inputs and targets: all other arguments of a model's steps have the same types."""
    return batch_loss.run.batch_run.x.dtype, batch_loss.targets.dtype
