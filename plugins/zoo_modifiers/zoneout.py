"""Zoneout: some units keep their previous value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

SAME = -1.0


class Zoneout(zoo.Modifier):
    """In training, random units of the states keep their previous value.

    Equations, for every state s of the cell::

        d  = one with probability p, else zero, drawn for every step, sequence and unit
        s' = d * s + (1 - d) * (new s)

    In evaluation d is p, its expectation. States of whole numbers do not change. Where the output is the
    first state, it is the state after zoneout.
    """

    card = zoo.Card(
        title="Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations",
        authors="David Krueger, Tegan Maharaj, János Kramár, Mohammad Pezeshki, Nicolas Ballas, Nan "
        "Rosemary Ke, Anirudh Goyal, Yoshua Bengio, Aaron Courville, Chris Pal",
        year=2016,
        url="https://arxiv.org/abs/1606.01305",
        variant="The hidden units, which are the first state, and the other states have probabilities of "
        "their own.",
        when_to_use="Use it to regularise a cell that overfits, in place of dropout on the states: units "
        "keep their value instead of losing it. With p_memory the memory of an LSTM has a probability of "
        "its own. In evaluation it draws nothing and uses the expectation.",
    )
    p = zoo.Option(0.1, help="probability that a unit keeps its value", low=0.0, high=1.0)
    p_memory = zoo.Option(SAME, help="the same for states after the first, -1 to use p", low=SAME, high=1.0)

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
