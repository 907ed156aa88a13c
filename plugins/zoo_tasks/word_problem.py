"""Word problem of a group: the product of all elements so far, at every step.

Inputs are elements of a finite group of permutations. The target at each step is the product of the elements
up to that step. Train on sequences of up to 20 elements, test on 21 to 100. The group determines how much
computation a step needs. Z60 is commutative. S3 and A4xZ5 are solvable and not commutative. A5 and S5 are not
solvable, and their word problems are complete for the complexity class NC1.

Reference: W. Merrill, J. Petty & A. Sabharwal, *The Illusion of State in State-Space Models*, ICML 2024,
https://arxiv.org/abs/2404.08819, and the code they published (https://github.com/jopetty/word-problem,
``src/generate_data.py``), with up to 20 elements. R. Grazzi, J. Siems, J. K. H. Franke, A. Zela, F. Hutter &
M. Pontil, *Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues*, 2024,
https://arxiv.org/abs/2411.12537, relate the groups to the eigenvalues of linear recurrences.

Memoryless baseline: the element itself, which is right at the first step and otherwise as good as a guess.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

import zoo
from zoo_tasks._length_generalisation import LengthGeneralisation

Array = np.ndarray[Any, Any]

GENERATORS = MappingProxyType(
    {  # the images of the points 0, 1, ...
        "Z2": ((1, 0),),
        "Z60": ((1, 2, 0, 4, 5, 6, 3, 8, 9, 10, 11, 7),),  # cycles of 3, 4 and 5 points
        "S3": ((1, 0, 2), (1, 2, 0)),
        "S4": ((1, 0, 2, 3), (1, 2, 3, 0)),
        "S5": ((1, 0, 2, 3, 4), (1, 2, 3, 4, 0)),
        "A4xZ5": ((1, 2, 0, 3, 4, 5, 6, 7, 8), (0, 2, 3, 1, 4, 5, 6, 7, 8), (0, 1, 2, 3, 5, 6, 7, 8, 4)),
        "A5": ((1, 2, 0, 3, 4), (0, 1, 3, 4, 2)),
    }
)


class WordProblem(LengthGeneralisation):
    """The product of the elements of a group so far, for sequences longer than in training.

    Inputs are tokens, one for each element of the group. The targets are elements too, one at each step.
    """

    card = zoo.Card(
        title="The Illusion of State in State-Space Models",
        authors="William Merrill and Jackson Petty and Ashish Sabharwal",
        year=2024,
        url="https://arxiv.org/abs/2404.08819",
        variant="Every step has a target, as in the code of the authors. The option group selects the group.",
        deviations="Sequences are drawn without end, where the paper splits a finite set. The test has "
        "longer sequences than training, and the paper has the same length. The default is S3, which trains "
        "in minutes. The paper has Z60, A4xZ5 and A5.",
        when_to_use="Use it to test state tracking, from easy to hard with the groups Z2, S3, A5 and S5. "
        "Linear recurrences whose eigenvalues are all positive cannot follow Z2 at all lengths (Grazzi and "
        "others 2024). The paper argues that diagonal state space models cannot follow A5. Recurrent "
        "networks with a nonlinearity, such as vanilla and lstm, can represent every group.",
    )
    group = zoo.Option("S3", help="the group", choices=tuple(GENERATORS))
    longest = zoo.Option(20, help="longest sequence of training", low=1)
    tested = zoo.Option(100, help="longest sequence of validation and test", low=2)

    @property
    def input_size(self) -> int:
        """The number of elements."""
        return len(multiplication_table(self.group))

    @property
    def output_size(self) -> int:
        """The number of elements."""
        return len(multiplication_table(self.group))

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        table = multiplication_table(self.group)
        inputs = rng.integers(0, len(table), self.steps(rng, part), size).astype(np.int32)
        targets = inputs.copy()
        for before, now in itertools.pairwise(targets):  # now holds the inputs of its step
            now[:] = table[before, now]
        return zoo.Batch(inputs, targets, np.ones(inputs.shape, np.float32))

    def baseline(self) -> float:
        """Repeat the input: right at the first step, and with the probability of a guess at the others."""
        guess, steps = 1 / self.output_size, np.arange(self.longest + 1, self.tested + 1)
        return float(guess + (1 - guess) * (1 / steps).mean())


@functools.cache
def multiplication_table(group: str) -> Array:
    """The table ``(N, N)`` of a group: the entry of a and b is the element "first a, then b".

    Elements are permutations in lexicographic order, so element 0 is the identity.
    """
    elements: list[tuple[int, ...]] = [tuple(range(len(GENERATORS[group][0])))]
    for element in elements:  # which grows
        for generator in GENERATORS[group]:
            product = tuple(generator[point] for point in element)
            if product not in elements:
                elements.append(product)
    numbers = {element: number for number, element in enumerate(sorted(elements))}
    return np.array(
        [[numbers[tuple(second[point] for point in first)] for second in numbers] for first in numbers],
        np.int32,
    )


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(WordProblem)
