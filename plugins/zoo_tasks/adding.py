"""Adding: the sum of two marked numbers in a long sequence.

The inputs at every step are a number drawn from [0, 1) and a mark. The mark is one at one step of the first
half and at one step of the second half, else zero. The target at the last step is the sum of the two marked
numbers.

Reference: S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9(8), 1997,
https://doi.org/10.1162/neco.1997.9.8.1735, experiment 4; in the form of M. Arjovsky, A. Shah & Y. Bengio,
*Unitary Evolution Recurrent Neural Networks*, ICML 2016, https://arxiv.org/abs/1511.06464, section 4.2, and
the code they published (https://github.com/amarshah/complex_RNN, ``adding_problem.py``).

Without memory the best answer is 1, the mean, whose squared error is the variance of the sum, 1/6 = 0.167.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


class Adding(zoo.Task):
    """The sum of the two marked numbers of a sequence, after its last step.

    Inputs are a number drawn from [0, 1), and a mark that is one at two steps and zero at the others.
    """

    family = "memory"
    card = zoo.Card(
        title="Long Short-Term Memory",
        authors="Sepp Hochreiter and Jürgen Schmidhuber",
        year=1997,
        url="https://doi.org/10.1162/neco.1997.9.8.1735",
        variant="The form is that of Arjovsky, Shah and Bengio 2016 (arXiv:1511.06464, section 4.2), with "
        "numbers from 0 to 1 and a mark in each half.",
        deviations="Sequences have 50 steps by default, and theirs have 100 to 750.",
        when_to_use="Use it to test whether a cell keeps real numbers over a delay and ignores the rest of "
        "the input. Raise length to compare cells. The score is a squared error, and 0.167 is the error of "
        "guessing the mean.",
    )
    loss = "squared_error"
    metric = "squared_error"
    threshold = 0.01
    threshold_source = (
        "Hochreiter & Schmidhuber 1997, experiment 4: they stop at an average error below 0.01, of "
        "sums scaled to [0, 1]"
    )
    length = zoo.Option(50, help="steps of a sequence, T", low=4)

    input_size = 2
    output_size = 1

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        half, rows = self.length // 2, np.arange(size)
        inputs = np.zeros((self.length, size, 2))
        inputs[:, :, 0] = rng.uniform(self.length, size)
        first, second = rng.integers(0, half, size), rng.integers(half, self.length, size)
        inputs[first, rows, 1] = inputs[second, rows, 1] = 1
        targets, weights = np.zeros((self.length, size, 1)), np.zeros((self.length, size), np.float32)
        targets[-1, :, 0], weights[-1] = inputs[first, rows, 0] + inputs[second, rows, 0], 1
        return zoo.Batch(inputs, targets, weights)

    def baseline(self) -> float:
        """The variance of the sum of two numbers drawn from [0, 1)."""
        return 1 / 6


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Adding)
