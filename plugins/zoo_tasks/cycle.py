"""Cycle navigation: where on a circle of five places does a walk end? Train on up to 40 moves, test on 41 to
500.

Each move stays, goes on or goes back; the walk begins at place 0. A finite automaton of five states solves
it.

Reference: G. Delétang et al., *Neural Networks and the Chomsky Hierarchy*, ICLR 2023,
https://arxiv.org/abs/2207.02098, section A.3, Cycle Navigation. Without memory: one of five, guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import zoo
from zoo_tasks._length_generalisation import CARD, LengthGeneralisation, with_query

QUERY = 3


class Cycle(LengthGeneralisation):
    """Where on a circle a walk ends, on longer walks than were learnt.

    Inputs are tokens: back, stay and on, and one that asks for the answer, the place where the walk ends.
    """

    card = dataclasses.replace(CARD, variant="Cycle Navigation (R)")
    places = zoo.Option(5, help="places on the circle", low=2)
    input_size = 4

    @property
    def output_size(self) -> int:
        """The places."""
        return self.places

    def draw_examples(self, rng: zoo.TaskRng, size: int, part: str) -> zoo.Batch:
        """Examples of one length."""
        moves = rng.integers(0, 3, self.steps(rng, part), size)
        return with_query(moves, (moves - 1).sum(axis=0) % self.places, QUERY)

    def baseline(self) -> float:
        """One of the places, guessed; after the 41 moves and more of the test all are as probable."""
        return 1 / self.places


@zoo.hookimpl
def zoo_register_tasks(register: Callable[[type[zoo.Task]], object]) -> None:
    """Register the task."""
    register(Cycle)
