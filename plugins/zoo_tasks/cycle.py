"""Cycle navigation: the last position of a walk on a circle of five.

Train on up to 40 moves, test on 41 to 500. Each move is forward, backward or none. The walk begins at
position 0. A finite automaton of five states solves it.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Cycle Navigation. Memoryless baseline: a uniform guess.
"""

from __future__ import annotations

from collections.abc import Callable

import zoo
from zoo_tasks._length_generalisation import REFERENCE, LengthGeneralisation, with_query

QUERY = 3


class Cycle(LengthGeneralisation):
    """The last position of a walk on a circle, for walks longer than in training.

    Inputs are tokens: backward, stay, forward, and a query token. The target at
    the query is the last position.
    """

    card = zoo.Card(
        **REFERENCE,
        variant="This is Cycle Navigation, a regular language.",
        when_to_use="Use it to test whether a cell follows a small automaton over sequences that are longer "
        "than in training. A cell that only averages its inputs cannot solve it. Long walks fail first if "
        "the state drifts.",
    )
    places = zoo.Option(5, help="places on the circle", low=2)
    input_size = 4

    @property
    def output_size(self) -> int:
        """The number of positions."""
        return self.places

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Draw examples of one length."""
        moves = rng.integers(0, 3, self.steps(rng, part), size)
        return with_query(moves, (moves - 1).sum(axis=0) % self.places, QUERY)

    def baseline(self) -> float:
        """A uniform guess: after 41 moves or more all positions are about equally probable."""
        return 1 / self.places


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Cycle)
