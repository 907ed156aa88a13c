"""A step worked out in NumPy for every step of a sequence, some steps at once and all rows together.

What a step needs of the step before it, its states, is either known for all steps, because a kernel kept it,
or carried through a loop. Only what lies between a carried value before the step and after it is worked out
step by step; all else is a few calls of NumPy for many steps. The way back goes the other way, carrying
gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.compiler.graph import Level, Node, ancestors
from zoo.compiler.numbers import Numbers

Array = np.ndarray[Any, Any]

# Numbers of the largest array that is worked out at once: what follows finds it in a processor's cache.
MOST_NUMBERS = 2**18


class Sweep:
    """Values of a step over a sequence.

    Args:
        numbers: The layer's.
        outputs: What is wanted of every step.
        known: Leaves whose values are known for all steps.
        carried: Leaves whose values are not, and what each is in the next step that is worked out.
        reverse: Whether that is the step before.
    """

    def __init__(
        self,
        numbers: Numbers,
        outputs: Sequence[Node],
        known: Sequence[Node],
        carried: Mapping[Node, Node],
        reverse: bool = False,
    ) -> None:
        self.carried, self.reverse = dict(carried), reverse
        loop = _between(self.carried)
        bounds = {each for node in loop for each in node.inputs} | set(self.carried.values())
        self._early = [
            node for node in bounds if node.level != Level.ONCE and node not in (*loop, *self.carried)
        ]
        self._before = numbers.work(self._early, known)
        self._step = numbers.work(list(self.carried.values()), [*self._early, *self.carried])
        self._rest = numbers.work(outputs, [*known, *self.carried])
        every = [*self._before.nodes, *self._rest.nodes, *known, *self.carried]
        self._width = max([numbers.length(node) for node in every], default=1)

    def __call__(
        self, given: Mapping[Node, Array], start: Mapping[Node, Array], steps: int, batch: int
    ) -> Iterator[tuple[slice, list[Any]]]:
        """Some steps at a time, which they are and what was wanted of them, ``(steps, B, ...)``.

        Args:
            given: Values of the leaves that are known, ``(T, B, ...)``.
            start: Values of those that are carried, ``(B, ...)``, at the first step that is worked out.
            steps: ``T``.
            batch: ``B``.
        """
        now = dict(start)
        length = max(1, MOST_NUMBERS // (self._width * batch))
        parts = [slice(first, min(first + length, steps)) for first in range(0, steps, length)]
        for part in reversed(parts) if self.reverse else parts:
            found = {node: value[part] for node, value in given.items()}
            found |= self._course(found, now, part.stop - part.start)
            yield part, self._rest(found)

    def _course(self, found: Mapping[Node, Array], now: dict[Node, Array], steps: int) -> dict[Node, Array]:
        """What is carried, at each of some steps; now becomes what it is at the next."""
        if not self.carried:
            return {}
        courses = {node: np.empty((steps, *np.shape(value)), value.dtype) for node, value in now.items()}
        early = dict(zip(self._early, self._before(found), strict=True))
        for t in reversed(range(steps)) if self.reverse else range(steps):
            for node, course in courses.items():
                course[t] = now[node]
            values = self._step({**{node: value[t] for node, value in early.items()}, **now})
            for (node, course), value in zip(courses.items(), values, strict=True):
                now[node] = np.broadcast_to(value, course.shape[1:])
        return courses


def _between(carried: Mapping[Node, Node]) -> set[Node]:
    """What has to be worked out step by step."""
    found = set(carried)
    for node in ancestors(carried.values()):
        if any(each in found for each in node.inputs):
            found.add(node)
    return found - set(carried)
