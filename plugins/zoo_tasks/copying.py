"""Copying: reproduce ten symbols after a long delay.

Inputs are tokens: ``length`` symbols drawn from eight, ``delay - 1`` blanks, a mark that starts the answer,
and ``length`` blanks, at which the targets are the symbols in order. A sequence has ``delay + 2 length``
steps.

Reference: S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9(8), 1997, pose the
problem of remembering over a lag. This form comes from M. Arjovsky, A. Shah & Y. Bengio, *Unitary Evolution
Recurrent Neural Networks*, ICML 2016, https://arxiv.org/abs/1511.06464, section 4.1, and from the code they
published (https://github.com/amarshah/complex_RNN, ``memory_problem.py``): eight symbols, ten of them.

Memoryless baseline: a uniform guess, with an accuracy of 1/8. In the measure of the paper, the mean
cross-entropy over all steps, it is ``length * ln 8 / (delay + 2 length)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo

SYMBOLS = 8
BLANK, MARK = SYMBOLS, SYMBOLS + 1


class Copying(zoo.Task):
    """Ten symbols to reproduce after a long delay.

    Inputs are tokens: eight symbols, a blank, and a mark that starts the answer. Only the steps of the answer
    have weight.
    """

    family = "memory"
    card = zoo.Card(
        title="Unitary Evolution Recurrent Neural Networks",
        authors="Martin Arjovsky, Amar Shah, Yoshua Bengio",
        year=2015,
        url="https://arxiv.org/abs/1511.06464",
        variant="This is the copying memory problem of section 4.1, after Hochreiter and Schmidhuber 1997.",
        deviations="Only the steps of the answer count, and the blanks before it do not, so the loss is the "
        "loss of the paper times (delay + 2 length) / length. The delay is 10 by default, and theirs is 100 "
        "to 750.",
        when_to_use="Use it to test whether a cell keeps many symbols unchanged over a fixed delay. Set "
        "delay to 100 or more to compare with papers. The delay is the same in every sequence, so a cell "
        "may solve it by timing alone, and selective_copying is the test of writing by content.",
    )
    metric = "accuracy"
    threshold = 0.99
    threshold_source = "set here: nearly every symbol"
    delay = zoo.Option(10, help="steps from the last symbol to the mark that asks for them, T", low=1)
    length = zoo.Option(10, help="symbols to remember", low=1)

    input_size = SYMBOLS + 2
    output_size = SYMBOLS

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        symbols = rng.integers(0, SYMBOLS, self.length, size).astype(np.int32)
        blanks = np.full((self.delay, size), BLANK, np.int32)
        blanks[-1] = MARK
        inputs = np.concatenate([symbols, blanks, np.full_like(symbols, BLANK)])
        targets, weights = np.zeros_like(inputs), np.zeros(inputs.shape, np.float32)
        targets[-self.length :], weights[-self.length :] = symbols, 1
        return zoo.Batch(inputs, targets, weights)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / SYMBOLS


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Copying)
