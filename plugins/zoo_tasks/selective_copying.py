"""Selective copying: remember the symbols among noise, wherever they stand, then say them in their order.

Inputs, as tokens: ``length`` steps of noise, at ``count`` of which, drawn anew for every example, stand
symbols drawn from fourteen; then ``count`` marks, at each of which the next symbol is to be said. Since the
symbols stand anywhere, no fixed delay solves it: what is written to memory has to depend on what is read.

Reference: A. Gu & T. Dao, *Mamba: Linear-Time Sequence Modeling with Selective State Spaces*, 2023,
https://arxiv.org/abs/2312.00752, section 4.1.1. Without memory: one of fourteen, guessed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo

SYMBOLS = 14
NOISE, MARK = SYMBOLS, SYMBOLS + 1


class SelectiveCopying(zoo.Task):
    """The symbols that stand here and there in noise, said afterwards in their order.

    Inputs are tokens: fourteen symbols, the noise, and the mark at which an answer is asked for.
    """

    family = "memory"
    card = zoo.Card(
        title="Mamba: Linear-Time Sequence Modeling with Selective State Spaces",
        authors="Albert Gu and Tri Dao",
        year=2023,
        url="https://arxiv.org/abs/2312.00752",
        variant="selective copying, section 4.1.1: 16 tokens in all, symbols at random places",
        deviations="64 steps with 8 symbols by default, theirs 4096 with 16; marks ask for the answer.",
    )
    threshold = 0.99
    threshold_source = "set here: nearly every symbol"
    length = zoo.Option(64, help="steps of noise and symbols", low=1)
    count = zoo.Option(8, help="symbols among them", low=1)

    input_size = SYMBOLS + 2
    output_size = SYMBOLS

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Examples."""
        if self.count > self.length:
            raise zoo.UsageError(
                f"{self.label()}: count={self.count}, length={self.length}; expected no more symbols "
                f"than steps."
            )
        said = rng.integers(0, SYMBOLS, self.count, size)
        places = np.sort(rng.permutations(self.length, size)[:, : self.count], axis=1).T
        inputs = np.full((self.length + self.count, size), NOISE, np.int32)
        np.put_along_axis(inputs, places, said, axis=0)
        inputs[self.length :] = MARK
        targets, weights = np.zeros_like(inputs), np.zeros(inputs.shape, np.float32)
        targets[self.length :], weights[self.length :] = said, 1
        return zoo.Batch(inputs, targets, weights)

    def baseline(self) -> float:
        """One of fourteen, guessed."""
        return 1 / SYMBOLS


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(SelectiveCopying)
