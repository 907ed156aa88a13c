"""Laws about pure functions: arguments stay unchanged, and results depend on the arguments alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace

from zoo.base import Cell
from zoo.testing.assertions import assert_same
from zoo.testing.trials import (
    Arrays,
    Case,
    Trial,
    for_all,
    inputs_of,
    make_trial,
    named_gradients,
    rebuild_layer,
    run,
)


def check_inputs_unchanged(cell: Cell) -> None:
    """Kernels do not write to parameters, inputs, initial states or incoming gradients."""
    meaning = "A kernel that wrote into it changes the caller's array; work on a copy, `h = h0.copy()`."

    def law(case: Case) -> None:
        trial = make_trial(case)
        before = {name: array.copy() for name, array in inputs_of(trial)}
        _run_in_place(trial)
        assert_same(cell, dict(inputs_of(trial)), before, meaning)

    for_all(cell, law)


def _run_in_place(trial: Trial) -> None:
    """Run both passes on the caller's arrays, as models do; ``Recurrent.apply`` copies most of them."""
    rnn, arguments = trial.rnn, (trial.x, trial.state or None, trial.noise, trial.lengths, trial.inputs)
    arrays = {**rnn.arrays, **rnn.layout.views(trial.theta)}
    _, _, tape = rnn.functional.apply(arrays, *arguments, rnn.threads)
    rnn.functional.vjp(tape, trial.dy, trial.dlast, rnn.threads)


def check_deterministic(cell: Cell) -> None:
    """Repeated calls give bitwise equal results."""
    meaning = (
        "Kernels may use no random numbers, no clock, and no memory of earlier calls (np.empty is not zeros)."
    )

    def law(case: Case) -> None:
        trial = make_trial(case)
        first = run(trial)
        assert_same(cell, run(trial), first, meaning)

    for_all(cell, law)


def check_tape_reusable(cell: Cell) -> None:
    """Two backward passes with one tape give bitwise equal gradients."""
    meaning = "The backward pass wrote into its tape; work on a copy, or on an array of its own."

    def law(case: Case) -> None:
        trial = make_trial(case)
        _, _, tape = trial.apply()

        def backward() -> Arrays:
            return named_gradients(trial.rnn, *trial.rnn.vjp(tape, trial.dy, trial.dlast))

        first = backward()
        assert_same(cell, backward(), first, meaning)

    for_all(cell, law)


def check_two_tapes(cell: Cell) -> None:
    """A tape stays valid after another forward pass: the gradients do not change."""
    meaning = (
        "What the backward pass needs belongs in the tape, not in a buffer that the next forward pass reuses."
    )

    def law(case: Case) -> None:
        trial = make_trial(case)
        other = make_trial(replace(case, seed=case.seed + 1))
        expected = run(trial)
        _, _, tape = trial.apply()
        other.apply()
        gradients = named_gradients(trial.rnn, *trial.rnn.vjp(tape, trial.dy, trial.dlast))
        assert_same(cell, gradients, {name: expected[name] for name in gradients}, meaning)

    for_all(cell, law)


def check_threads(cell: Cell) -> None:
    """Results are bitwise equal for any number of threads, and in any thread."""
    meaning = "Shards of the batch run in parallel: kernels may not share a buffer or use the thread."

    def law(case: Case) -> None:
        trial = make_trial(case)
        alone = run(trial)
        for threads in (2, 3):
            together = replace(trial, rnn=rebuild_layer(trial.rnn, threads=threads))
            assert_same(cell, run(together), alone, f"With {threads} threads. {meaning}")
        # Those calls may compute every shard in this thread, if it is faster than the others wake.
        with ThreadPoolExecutor(1) as executor:
            elsewhere = executor.submit(copy_context().run, run, trial).result()
        assert_same(cell, elsewhere, alone, f"In another thread. {meaning}")

    # The batch is cut into shards of eight rows, so nine or more rows make several shards.
    for_all(cell, law, batch=(9, 20))
