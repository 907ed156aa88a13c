"""Counting letters: a^n b^n, or with three letters a^n b^n c^n. Train on n up to 10, test on n from 11 to 50.

A word is a mark and then n of each letter. At every symbol the network predicts which symbols may follow.
After an a these are a and b, since n is unknown. After the first b the rest is determined: b until there are
n of them, then the mark that would begin the next word.

Reference: F. A. Gers & J. Schmidhuber, *LSTM Recurrent Networks Learn Simple Context-Free and
Context-Sensitive Languages*, IEEE Transactions on Neural Networks 12(6), 2001,
https://doi.org/10.1109/72.963769, which trains on n from 1 to 10 and tests how much larger n may become.

Memoryless baseline: a letter does not determine the count, so no word of the test is correct throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]


class Anbn(zoo.Task):
    """The letters that may follow in n letters a and n letters b, for larger n than in training.

    Inputs are tokens: the mark, then the letters. Outputs are the probabilities that each may follow. Words
    in a batch have different lengths, and padding has weight zero.
    """

    family = "counting"
    card = zoo.Card(
        title="LSTM Recurrent Networks Learn Simple Context-Free and Context-Sensitive Languages",
        authors="Felix A. Gers and Jürgen Schmidhuber",
        year=2001,
        url="https://doi.org/10.1109/72.963769",
        variant="The task is a^n b^n, and a^n b^n c^n with letters=3. In training, n is from 1 to 10.",
        deviations="A sequence is one word, where they have a stream of words. The loss is the binary "
        "cross-entropy. Validation has the odd numbers n above those of training, and the test has the even "
        "ones.",
        when_to_use="Use it to test whether a cell counts, and whether its counter works beyond the counts "
        "of training. A state that can grow without bound, as in an LSTM, can count. A word is right only "
        "if all its symbols are, so the score stays at zero for a long time.",
    )
    loss = "binary"
    metric = "sequence_accuracy"
    threshold = 0.9
    threshold_source = "set here: nine of ten longer words right at every letter"
    # By n: nothing is left for chance to divide.
    split_ranges = MappingProxyType(dict.fromkeys(("train", "valid", "test"), (0.0, 1.0)))
    letters = zoo.Option(2, help="letters, each n times", low=2, high=26)
    longest = zoo.Option(10, help="largest n of training", low=1)
    tested = zoo.Option(50, help="largest n of validation and test", low=3)

    @property
    def input_size(self) -> int:
        """The mark and the letters."""
        return self.letters + 1

    @property
    def output_size(self) -> int:
        """The mark and the letters."""
        return self.letters + 1

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        numbers = self._numbers(part)
        n = numbers[rng.integers(0, len(numbers), size)]
        time = np.arange(self.letters * n.max() + 1)[:, None]
        tokens = np.minimum((time + n - 1) // n, self.letters)  # 0 is the mark
        last = (time > 0) & (time % n == 0)  # after as many of a letter as there are of it
        follows = np.where(last, (tokens + 1) % (self.letters + 1), np.maximum(tokens, 1))
        targets = np.zeros((*tokens.shape, self.output_size), np.float32)
        np.put_along_axis(targets, follows[..., None], 1, axis=2)
        targets[:, :, 1:3] = np.where((tokens == 1)[..., None], 1, targets[:, :, 1:3])  # another a, or a b
        within = time <= self.letters * n
        return zoo.Batch(np.where(within, tokens, 0).astype(np.int32), targets, within.astype(np.float32))

    def _numbers(self, part: str) -> Array:
        """The numbers n of a part."""
        if self.tested < self.longest + 2:
            raise zoo.UsageError(
                f"{self.label()}: longest={self.longest}, tested={self.tested}; expected a test of n larger "
                f"by two at least, for validation and test have every other one."
            )
        above = np.arange(self.longest + 1, self.tested + 1)
        parts = {"valid": above[above % 2 == 1], "test": above[above % 2 == 0]}
        counts: Array = parts.get(part, np.arange(1, self.longest + 1))
        return counts

    def baseline(self) -> float:
        """Zero: a memoryless model predicts no word of the test correctly throughout."""
        return 0.0


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Anbn)
