"""Dyck words: predict the next brackets of a balanced word. Train on up to 40 brackets, test on 42 to 100.

At every bracket of a balanced word the network predicts which brackets may follow and whether the word may
end. Every bracket may open, the bracket opened last may close, and the word may end if none is open. One kind
of bracket needs a counter, two kinds need a stack. Words are drawn uniformly from all balanced words of their
length, by the cycle lemma (A. Dvoretzky & T. Motzkin 1947).

Reference: M. Suzgun, S. Gehrmann, Y. Belinkov & S. M. Shieber, *LSTM Networks Can Perform Dynamic Counting*,
2019, https://arxiv.org/abs/1906.03648, who train networks to predict which symbols may follow.

Memoryless baseline: the last bracket does not determine how many are open, so no word of the test is correct
throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_tasks._length_generalisation import LengthGeneralisation

Array = np.ndarray[Any, Any]


class Dyck(LengthGeneralisation):
    """The brackets that may come next in a balanced word, for words longer than in training.

    Inputs are tokens: the opening brackets of every kind, then the closing ones. Outputs are the
    probabilities that each bracket may follow and, last, that the word may end.
    """

    family = "counting"
    card = zoo.Card(
        title="LSTM Networks Can Perform Dynamic Counting",
        authors="Mirac Suzgun and Sebastian Gehrmann and Yonatan Belinkov and Stuart M. Shieber",
        year=2019,
        url="https://arxiv.org/abs/1906.03648",
        variant="The network predicts which symbols may follow in a Dyck word.",
        deviations="Words are drawn uniformly from those of their length. The loss is the binary "
        "cross-entropy. The end of the word is an output of its own.",
        when_to_use="Use it with kinds=1 to test counting, and with kinds=2 or more to test whether a cell "
        "works like a stack. A word is right only if all its symbols are, so the score stays at zero for a "
        "long time. The test has longer words than training.",
    )
    loss = "binary"
    metric = "sequence_accuracy"
    threshold = 0.9
    threshold_source = "set here: nine of ten longer words right at every bracket"
    kinds = zoo.Option(1, help="kinds of brackets", low=1)
    longest = zoo.Option(40, help="longest word of training", low=2)
    tested = zoo.Option(100, help="longest word of validation and test", low=4)

    @property
    def input_size(self) -> int:
        """A token for each bracket."""
        return 2 * self.kinds

    @property
    def output_size(self) -> int:
        """Each bracket, and the end."""
        return 2 * self.kinds + 1

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        steps = self.steps(rng, part, low=2, every=2)
        opens = balanced(rng, steps // 2, size)
        tokens, top, depth = bracket_tokens(opens, rng.integers(0, self.kinds, steps, size), self.kinds)
        targets = np.zeros((steps, size, self.output_size), np.float32)
        targets[:, :, : self.kinds] = 1
        for kind in range(self.kinds):
            targets[:, :, self.kinds + kind] = (depth > 0) & (top == kind)
        targets[:, :, -1] = depth == 0
        return zoo.Batch(tokens.astype(np.int32), targets, np.ones((steps, size), np.float32))

    def baseline(self) -> float:
        """Zero: a memoryless model predicts no word of the test correctly throughout."""
        return 0.0


def balanced(rng: zoo.TaskRng, pairs: int, size: int) -> Array:
    """The positions of opening brackets in random balanced words, ``(2 pairs, B)``.

    By the cycle lemma, exactly one rotation of a row with one extra opening bracket never closes a bracket
    that is not open. Without its first bracket it is a balanced word.
    """
    steps = 2 * pairs + 1
    rises = np.where(rng.permutations(steps, size) <= pairs, 1, -1)
    heights = rises.cumsum(axis=1)
    lowest = steps - 1 - heights[:, ::-1].argmin(axis=1)
    places = (lowest[:, None] + 1 + np.arange(1, steps)) % steps
    opens: Array = np.take_along_axis(rises, places, axis=1).T > 0
    return opens


def bracket_tokens(opens: Array, drawn: Array, kinds: int) -> tuple[Array, Array, Array]:
    """Tokens, the kind of the bracket opened last, and the number of open brackets after every step."""
    steps, size = opens.shape
    rows, stack = np.arange(size), np.zeros((steps + 1, size), np.int64)
    tokens, top, depth = (np.empty((steps, size), np.int64) for _ in range(3))
    height = np.zeros(size, np.int64)
    for t in range(steps):
        before = stack[height, rows]
        tokens[t] = np.where(opens[t], drawn[t], kinds + before)
        height = height + np.where(opens[t], 1, -1)
        stack[height, rows] = np.where(opens[t], drawn[t], stack[height, rows])
        top[t], depth[t] = stack[height, rows], height
    return tokens, top, depth


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Dyck)
