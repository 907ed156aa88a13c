"""Selective copying: reproduce the symbols at random positions in noise, in order.

Inputs are tokens: ``length`` steps of noise with symbols drawn from fourteen at ``count`` random steps, then
``count`` marks, whose targets are the symbols in order. The positions differ between examples, so no fixed
delay solves the task: the cell has to write to memory depending on its input.

Reference: A. Gu & T. Dao, *Mamba: Linear-Time Sequence Modeling with Selective State Spaces*, 2023,
https://arxiv.org/abs/2312.00752, section 4.1.1. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo

SYMBOLS = 14
NOISE, MARK = SYMBOLS, SYMBOLS + 1


class SelectiveCopying(zoo.Task):
    """The symbols at random positions in noise, to reproduce in order.

    Inputs are tokens: fourteen symbols, the noise, and the mark, at which the targets are.
    """

    family = "memory"
    card = zoo.Card(
        title="Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
        authors="Albert Gu and Tri Dao",
        year=2023,
        url="https://arxiv.org/abs/2312.00752",
        variant="This is selective copying, section 4.1.1, with 16 tokens in all and symbols at random "
        "positions.",
        deviations="There are 64 steps with 8 symbols by default, and theirs are 4096 with 16. Marks ask "
        "for the answer.",
        when_to_use="Use it to test whether the input decides what a cell stores: a recurrence that does "
        "not depend on the input, such as s4d or lru, cannot select by itself. Raise length and count to "
        "compare cells. Give it many steps, since the loss may be flat at first.",
    )
    threshold = 0.99
    threshold_source = "set here: nearly every symbol"
    length = zoo.Option(64, help="steps of noise and symbols", low=1)
    count = zoo.Option(8, help="symbols among them", low=1)

    input_size = SYMBOLS + 2
    output_size = SYMBOLS

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        if self.count > self.length:
            raise zoo.UsageError(
                f"{self.label()}: count={self.count}, length={self.length}; expected no more symbols "
                f"than steps."
            )
        symbols = rng.integers(0, SYMBOLS, self.count, size)
        positions = np.sort(rng.permutations(self.length, size)[:, : self.count], axis=1).T
        inputs = np.full((self.length + self.count, size), NOISE, np.int32)
        np.put_along_axis(inputs, positions, symbols, axis=0)
        inputs[self.length :] = MARK
        targets, weights = np.zeros_like(inputs), np.zeros(inputs.shape, np.float32)
        targets[self.length :], weights[self.length :] = symbols, 1
        return zoo.Batch(inputs, targets, weights)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / SYMBOLS


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(SelectiveCopying)
