"""What ``step`` returns when the output is no state."""

from __future__ import annotations

from typing import Any


class Output:
    """The output of a step beside the new states, ``return zoo.Output(y, h, c)``.

    Without it the first state is the output.

    Args:
        y: The output, a vector.
        *states: The new states, in the order of declaration.
    """

    def __init__(self, y: Any, *states: Any) -> None:
        self.y = y
        self.states = states
