"""Zoneout: some units keep their last value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

SAME = -1.0


class Zoneout(zoo.Modifier):
    """In training, units of the states keep their last value now and then, each by its own chance.

    Equations, for every state s of the cell::

        d  = one with chance p, else zero; new for every step, row and unit
        s' = d * s + (1 - d) * (what the cell makes of s)

    In evaluation d is p itself, the expectation. What only holds whole numbers is left alone. Where the
    output is the first state, it is the state after zoneout.
    """

    card = zoo.Card(
        title="Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations",
        authors="David Krueger, Tegan Maharaj, János Kramár, Mohammad Pezeshki, Nicolas Ballas, "
        "Nan Rosemary Ke, Anirudh Goyal, Yoshua Bengio, Aaron Courville, Chris Pal",
        year=2016,
        url="https://arxiv.org/abs/1606.01305",
        variant="A chance for the hidden units, the first state, and one for the other states.",
    )
    p = zoo.Option(0.1, help="probability that a unit keeps its value", low=0.0, high=1.0)
    p_memory = zoo.Option(SAME, help="the same for states after the first; -1 for p", low=SAME, high=1.0)

    def edit(self, spec: Any) -> None:
        """Declare the noise of each state."""
        for index, (name, state) in enumerate(spec.states.items()):
            if not state.discrete:
                probability = self.p if index == 0 or self.p_memory < 0 else self.p_memory
                sizes = [size.text for size in state.shape]
                spec.add(
                    f"zoneout_{name}",
                    zoo.Noise(*sizes, probability=probability, help=f"ones where {name} keeps its value"),
                )

    def step(self, ctx: Any, inner_step: Callable[..., Any], x: Any, states: Any) -> Any:
        """Run the step, and keep some of the states before it."""
        result = inner_step(x, states)
        for name in states:
            if (noise := f"zoneout_{name}") in ctx.arrays:
                keep = ctx[noise]
                result.states[name] = keep * states[name] + (1 - keep) * result.states[name]
        return result


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register zoneout."""
    register(Zoneout)
