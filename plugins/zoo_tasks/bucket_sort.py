"""Bucket sort: sort a sequence of symbols.

Train on up to 40 symbols, test on 41 to 500. Counting the symbols solves it.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Bucket Sort, and ``tasks/cs/bucket_sort.py`` of their code.
Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_queries


class BucketSort(LengthGeneralisation):
    """A sequence of symbols in ascending order, for sequences longer than in training.

    Inputs are tokens: the symbols, and a query token for each symbol of the answer.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Bucket Sort, a context-sensitive task, with five symbols.",
        when_to_use="Use it to test several counters at once. States that can grow without bound, as in an "
        "LSTM, can count.",
    )
    symbols = zoo.Option(5, help="different symbols", low=2)

    @property
    def input_size(self) -> int:
        """The symbols and the query."""
        return self.symbols + 1

    @property
    def output_size(self) -> int:
        """The symbols."""
        return self.symbols

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        tokens = rng.integers(0, self.symbols, self.steps(rng, part), size)
        return with_queries(tokens, np.sort(tokens, axis=0), self.symbols)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / self.symbols


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(BucketSort)
