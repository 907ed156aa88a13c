"""Multi-query associative recall (MQAR): recall the value that followed a key.

Inputs are tokens: ``pairs`` keys, each followed by its value, then the keys again, each once, in random order
and with gaps between them. The target at each repeated key is its value. Gaps follow a power law, like the
gaps between repetitions in text. All other steps hold random tokens, or token 0 as an option.

Reference: S. Arora et al., *Zoology: Measuring and Improving Recall in Efficient Language Models*, ICLR 2024,
https://arxiv.org/abs/2312.04927, and the code they published (https://github.com/HazyResearch/zoology,
``zoology/data/multiquery_ar.py``). Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]


class AssociativeRecall(zoo.Task):
    """The value that followed a key, whenever the key is repeated.

    Inputs are tokens, the first half of them keys and the second half values.
    """

    family = "memory"
    card = zoo.Card(
        title="Zoology: Measuring and Improving Recall in Efficient Language Models",
        authors="Simran Arora and Sabri Eyuboglu and Aman Timalsina and Isys Johnson and Michael Poli and "
        "James Zou and Atri Rudra and Christopher Ré",
        year=2024,
        url="https://arxiv.org/abs/2312.04927",
        variant="This is multi-query associative recall, MQAR, with random tokens between the queries. "
        "random_tokens=False has token 0 in their place, as in the second figure of the paper.",
        deviations="There are 64 tokens by default, and theirs are 8192. Among random tokens, token 0 is a "
        "key like the others. Answers are values alone.",
        when_to_use="Use it to test recall by content, which language models need, and for which matrix "
        "memories such as delta_net and gla are made. Raise pairs and tokens until the cells differ. The "
        "state of a cell must be large enough for all pairs. Random tokens between the queries can put "
        "another value behind a key: with the default options the last value behind a key is the answer to "
        "92 % of the queries, so a model must also know which steps hold the pairs. With "
        "random_tokens=False or pairs = length / 4 there are no such tokens.",
    )
    threshold = 0.99
    threshold_source = "set here: nearly every value"
    tokens = zoo.Option(64, help="different tokens: as many keys as values", low=4)
    pairs = zoo.Option(4, help="keys, each with its value", low=1)
    length = zoo.Option(64, help="steps of a sequence", low=4)
    power = zoo.Option(
        0.01,
        help="exponent of the power law of gaps. With 1 all gaps are equally probable",
        low=1e-6,
        high=1.0,
    )
    random_tokens = zoo.Option(
        True, help="random tokens between the queries. False has token 0 there, which is then never a key"
    )

    @property
    def input_size(self) -> int:
        """Keys and values."""
        return 2 * (self.tokens // 2)

    @property
    def output_size(self) -> int:
        """Values."""
        return self.tokens // 2

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        self._check()
        half, stored = self.tokens // 2, 2 * self.pairs
        first = self._first_key()
        keys = first + rng.permutations(half - first, size)[:, : self.pairs].T
        values = rng.integers(0, half, self.pairs, size)
        queries = stored + 2 * self._gaps(rng, size)
        inputs = rng.integers(0, 2 * half if self.random_tokens else 1, self.length, size)
        inputs[0:stored:2], inputs[1:stored:2] = keys, half + values
        np.put_along_axis(inputs, queries, keys, axis=0)
        targets, weights = np.zeros((self.length, size), np.int32), np.zeros((self.length, size), np.float32)
        np.put_along_axis(targets, queries, values, axis=0)
        np.put_along_axis(weights, queries, 1, axis=0)
        return zoo.Batch(inputs.astype(np.int32), targets, weights)

    def _gaps(self, rng: zoo.TaskRng, size: int) -> Array:
        """Distinct positions of the queries, ``(pairs, B)``; near ones are more probable.

        Weighted sampling without replacement with exponential clocks (P. Efraimidis & P. Spirakis 2006).
        """
        space = self.length // 2 - self.pairs
        rates = np.arange(1, space + 1) ** (self.power - 1)
        clocks = -np.log1p(-rng.uniform(size, space)) / rates
        gaps: Array = clocks.argsort(axis=1, kind="stable")[:, : self.pairs].T
        return gaps

    def _first_key(self) -> int:
        return 0 if self.random_tokens else 1

    def _check(self) -> None:
        """Check that the sequence has room for all pairs and queries."""
        if self.pairs > self.tokens // 2 - self._first_key() or 4 * self.pairs > self.length:
            raise zoo.UsageError(
                f"{self.label()}: pairs={self.pairs}, tokens={self.tokens}, length={self.length}; expected "
                f"at least two tokens and four steps for each pair"
                f"{'' if self.random_tokens else ', and two more tokens with random_tokens=False'}."
            )

    def baseline(self) -> float:
        """A uniform guess of the value."""
        return 1 / (self.tokens // 2)


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(AssociativeRecall)
