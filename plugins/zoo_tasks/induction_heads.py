"""Induction heads: recall the token that followed the only earlier occurrence of a trigger.

Inputs are random tokens with a trigger at a random step, and the trigger again at the last step. The target
at the last step is the token after the first trigger. A network has to recognise the trigger, store the next
token, and ignore everything else.

Reference: D. Y. Fu, T. Dao, K. K. Saab, A. W. Thomas, A. Rudra & C. Ré, *Hungry Hungry Hippos: Towards
Language Modeling with State Space Models*, ICLR 2023, https://arxiv.org/abs/2212.14052, and the code they
published (https://github.com/HazyResearch/safari, ``src/dataloaders/synthetics.py`` and
``configs/pipeline/induction_head.yaml``): 20 tokens, 30 steps. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import zoo


class InductionHeads(zoo.Task):
    """The token that followed the earlier occurrence of a trigger.

    Inputs are tokens, the last one of which is the trigger. The target is at the last step.
    """

    family = "memory"
    card = zoo.Card(
        title="Hungry Hungry Hippos: Towards Language Modeling with State Space Models",
        authors="Daniel Y. Fu and Tri Dao and Khaled K. Saab and Armin W. Thomas and Atri Rudra and "
        "Christopher Ré",
        year=2023,
        url="https://arxiv.org/abs/2212.14052",
        variant="There is one earlier trigger, and one token to recall.",
        deviations="There are 16 tokens with the trigger, and 64 steps. Fu and others have 20 tokens and 30 "
        "steps.",
        when_to_use="Use it to test whether the input decides what a cell stores, with much less to store "
        "than in associative_recall. Evaluate a trained network with a larger length to test whether it "
        "generalises.",
    )
    threshold = 0.99
    threshold_source = "set here: nearly every token"
    length = zoo.Option(64, help="steps before the last trigger", low=2)
    tokens = zoo.Option(16, help="different tokens, one of them the trigger", low=3)

    @property
    def input_size(self) -> int:
        """The tokens."""
        return self.tokens

    @property
    def output_size(self) -> int:
        """The tokens except the trigger."""
        return self.tokens - 1

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples."""
        trigger, rows = self.tokens - 1, np.arange(size)
        inputs = rng.integers(0, trigger, self.length + 1, size).astype(np.int32)
        first = rng.integers(0, self.length - 1, size)
        inputs[first, rows] = inputs[-1] = trigger
        targets, weights = np.zeros_like(inputs), np.zeros(inputs.shape, np.float32)
        targets[-1], weights[-1] = inputs[first + 1, rows], 1
        return zoo.Batch(inputs, targets, weights)

    def baseline(self) -> float:
        """A uniform guess."""
        return 1 / (self.tokens - 1)


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(InductionHeads)
