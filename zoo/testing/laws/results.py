"""Laws about the results of a kernel: shapes, dtypes, memory, and what may change them.

``check_shapes`` and ``check_results_are_new`` call the kernels directly. A layer would hide wrong shapes and
dtypes, since it adds gradients into its own arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any
from unittest import SkipTest

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.compiler import kernels_of
from zoo.testing.assertions import assert_same, fail
from zoo.testing.trials import Case, Trial, inputs_of, law, make_trial, named_gradients, rebuild_layer, run

Shape = tuple[int, ...]
Expectation = tuple[str, Any, Shape]


@law(batch=(1, 9))
def check_shapes(case: Case) -> None:
    """Outputs, states and gradients have the declared shapes and the parameters' dtype, C-contiguous."""
    for what, array, shape in _results(make_trial(case)):
        _check_array(case.cell, what, array, shape, case.dtype)


@law(steps=(0, 0))
def check_empty_sequence(case: Case) -> None:
    """A sequence of zero steps has no outputs, and returns the states and their gradients unchanged."""
    trial = make_trial(case)
    results = run(trial)
    expected = {name: np.zeros_like(value) for name, value in results.items()}
    expected |= {f"last state {name}": value for name, value in trial.state.items()}
    expected |= {f"gradient of the initial state {name}": value for name, value in trial.dlast.items()}
    assert_same(
        case.cell,
        results,
        expected,
        "With T = 0 the time loop does not run; start from a copy of the state.",
    )


@law(steps=(0, 3))
def check_results_are_new(case: Case) -> None:
    """Results share no memory with arguments."""
    trial = make_trial(case)
    results = [(what, result) for what, result, _ in _results(trial)]
    for argument, array in inputs_of(trial):
        for what, result in results:
            if np.shares_memory(result, array):
                meaning = "A write to one changes the other; return `.copy()`."
                fail(case.cell, what, f"a view of {argument}", "an array of its own", meaning)


def _results(trial: Trial) -> Iterator[Expectation]:
    """The results of the first layer's kernels, each with its expected shape."""
    layer, kernels = trial.rnn.stack.directions[0], kernels_of(trial.cell)
    steps, batch = trial.x.shape[:2]
    arguments, dlast = _first_layer(trial)
    states = [(batch, *shape) for shape in layer.states.values()]
    params, *others = arguments
    is_dense = not trial.tokens
    y, last, tape = kernels.forward(kernels.forward_params(params, is_dense), *others, *kernels.options)
    yield "output y of forward", y, (steps, batch, layer.output_size)
    yield from _expect_group(trial.cell, "last state", last, layer.states, states)
    dy = np.ones((steps, batch, layer.output_size), trial.rnn.dtype)
    backward_arguments = tape, dy, dlast, *kernels.last_backward_arguments(needs_dx=True)
    dx, dstate, dparams = kernels.backward(
        kernels.backward_params(params, is_dense), *others, *backward_arguments
    )
    yield "gradient dx of the input", dx, (0, 0, 0) if trial.tokens else trial.x.shape
    yield from _expect_group(trial.cell, "gradient of the initial state", dstate, layer.states, states)
    yield from _expect_group(
        trial.cell, "gradient of parameter", dparams, layer.params, layer.params.values()
    )


def _first_layer(trial: Trial) -> tuple[tuple[Any, ...], tuple[Array, ...]]:
    """The arguments that both kernels of the first layer share, and the gradient of its last states."""
    layer = trial.rnn.stack.directions[0]
    buffers = {name: value.copy() for name, value in trial.rnn.buffers.items()}  # read-only to users

    def of(arrays: Arrays, names: Mapping[str, Shape]) -> tuple[Array, ...]:
        return tuple(arrays[name] for name in names)

    params = of(trial.rnn.layout.views(trial.theta) | buffers, layer.arrays)
    aux = (tuple(trial.inputs.values()),) if trial.inputs else ()
    return (params, trial.x, of(trial.state, layer.states), *aux), of(trial.dlast, layer.states)


def _expect_group(
    cell: Cell, what: str, arrays: Any, names: Mapping[str, Shape], shapes: Iterable[Shape]
) -> Iterator[Expectation]:
    """The arrays of a tuple, one for each name."""
    if not isinstance(arrays, tuple) or len(arrays) != len(names):
        size = len(arrays) if isinstance(arrays, tuple) else type(arrays).__name__
        meaning = "One array for each declaration, in the order of declaration; a tuple of one is `(h,)`."
        fail(cell, f"tuple of each {what}", f"{size} arrays", f"{len(names)}: {', '.join(names)}", meaning)
    for name, array, shape in zip(names, arrays, shapes, strict=True):
        yield f"{what} {name}", array, shape


def _check_array(cell: Cell, what: str, array: Any, shape: Shape, dtype: str) -> None:
    if not isinstance(array, np.ndarray):
        fail(cell, what, type(array).__name__, "an array", "Kernels return arrays and tuples of arrays.")
    if array.shape != shape:
        fail(
            cell,
            what,
            f"shape {array.shape}",
            f"shape {shape}",
            "Time comes first, then the batch, then features.",
        )
    if array.dtype != dtype:
        meaning = "A float64 constant promotes float32 arrays; write it as `h.dtype.type(0.5)`."
        fail(cell, what, f"dtype {array.dtype}", f"dtype {dtype}", meaning)
    if not array.flags.c_contiguous:
        meaning = "Another memory layout makes the next kernel compile anew; return a copy."
        fail(cell, what, f"strides {array.strides}", "a C-contiguous array", meaning)


@law()
def check_inputs_unchanged(case: Case) -> None:
    """Kernels do not write to parameters, inputs, initial states or incoming gradients."""
    meaning = "A kernel that wrote into it changes the caller's array; work on a copy, `h = h0.copy()`."
    trial = make_trial(case)
    before = {name: array.copy() for name, array in inputs_of(trial)}
    _run_in_place(trial)
    assert_same(case.cell, dict(inputs_of(trial)), before, meaning)


def _run_in_place(trial: Trial) -> None:
    """Run both passes on the caller's arrays, as models do; ``Recurrent.apply`` copies most of them."""
    rnn, arguments = trial.rnn, (trial.x, trial.state or None, trial.noise, trial.lengths, trial.inputs)
    arrays = {**rnn.arrays, **rnn.layout.views(trial.theta)}
    _, _, tape = rnn.functional.apply(arrays, *arguments, rnn.threads)
    rnn.functional.vjp(tape, trial.dy, trial.dlast, rnn.threads)


@law()
def check_deterministic(case: Case) -> None:
    """Repeated calls give bitwise equal results."""
    meaning = (
        "Kernels may use no random numbers, no clock, and no memory of earlier calls (np.empty is not zeros)."
    )
    trial = make_trial(case)
    first = run(trial)
    assert_same(case.cell, run(trial), first, meaning)


@law()
def check_tape_reusable(case: Case) -> None:
    """Two backward passes with one tape give bitwise equal gradients."""
    meaning = "The backward pass wrote into its tape; work on a copy, or on an array of its own."
    trial = make_trial(case)
    _, _, tape = trial.apply()

    def backward() -> Arrays:
        return named_gradients(trial.rnn, *trial.rnn.vjp(tape, trial.dy, trial.dlast))

    first = backward()
    assert_same(case.cell, backward(), first, meaning)


def _require_needs_dx(cell: Cell) -> None:
    if not kernels_of(cell).accepts_needs_dx:
        raise SkipTest("its backward pass has no parameter needs_dx")


@law(before=_require_needs_dx)
def check_needs_dx(case: Case) -> None:
    """With ``needs_dx=False``, only the gradient of the input may differ."""
    meaning = "With `needs_dx=False`, compute all other gradients as before."
    trial = make_trial(case)
    _, _, tape = trial.apply()
    expected = named_gradients(trial.rnn, *trial.rnn.vjp(tape, trial.dy, trial.dlast))
    actual = named_gradients(trial.rnn, *trial.rnn.vjp(tape, trial.dy, trial.dlast, needs_dx=False))
    assert_same(case.cell, actual, {name: expected[name] for name in actual}, meaning)


@law()
def check_two_tapes(case: Case) -> None:
    """A tape stays valid after another forward pass: the gradients do not change."""
    meaning = (
        "Values that the backward pass reads belong in the tape, not in a buffer that the next forward pass "
        "reuses."
    )
    trial = make_trial(case)
    other = make_trial(replace(case, seed=case.seed + 1))
    expected = run(trial)
    _, _, tape = trial.apply()
    other.apply()
    gradients = named_gradients(trial.rnn, *trial.rnn.vjp(tape, trial.dy, trial.dlast))
    assert_same(case.cell, gradients, {name: expected[name] for name in gradients}, meaning)


# The batch is cut into shards of at most eight rows, so nine or more rows make several shards.
@law(batch=(9, 20))
def check_threads(case: Case) -> None:
    """Results are bitwise equal for any number of threads, and in any thread."""
    meaning = "Shards of the batch run in parallel: kernels may not share a buffer or use the thread."
    trial = make_trial(case)
    alone = run(trial)
    for threads in (2, 3):
        together = replace(trial, rnn=rebuild_layer(trial.rnn, threads=threads))
        assert_same(case.cell, run(together), alone, f"With {threads} threads. {meaning}")
    # Those calls may compute every shard in this thread, if it is faster than the others wake.
    with ThreadPoolExecutor(1) as executor:
        elsewhere = executor.submit(copy_context().run, run, trial).result()
    assert_same(case.cell, elsewhere, alone, f"In another thread. {meaning}")
