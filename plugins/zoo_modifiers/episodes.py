"""Episodes: sequences of which several follow each other in one row of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo


class Episodes(zoo.Modifier):
    """A row of the batch holds several episodes, and each one starts from the initial states.

    Equations, for each state s::

        s = initial s where episode_start = 1, else s    before the step of the cell

    ``episode_start`` is an auxiliary input, ``(T, B)``: true or 1 at the first step of an episode, and false
    or 0 elsewhere. Other numbers are errors. Outputs and gradients equal those of separate episodes. The
    initial states are zero. With ``learned=True`` they are parameters that start at zero. States of whole
    numbers and states of a block always restart at zero. The modifier surrounds all others, so that it covers
    their states.
    """

    card = zoo.Card(
        title="Reinforcement Learning with Long Short-Term Memory",
        authors="Bram Bakker",
        year=2001,
        url="https://papers.neurips.cc/paper/2001/hash/a38b16173474ba8b1a95bcbc30d3b8a5-Abstract.html",
        variant="The paper trains on one episode at a time. Here several episodes share a row of a batch, as "
        "in the rollouts of https://sb3-contrib.readthedocs.io/en/v2.3.0/modules/ppo_recurrent.html",
        when_to_use="Use it for reinforcement learning, where environments end at different steps of a "
        "rollout, and for short sequences that you join to long rows instead of padding them.",
    )
    is_outermost = restarts_states = True
    learned = zoo.Option(False, help="whether the initial states are parameters")

    def edit(self, spec: Any) -> None:
        """Declare the starts of episodes, and the initial states if they are parameters."""
        starts = zoo.Input(between_steps=True, choices=(0, 1), help="whether an episode starts")
        spec.add("episode_start", starts)
        for name, state in spec.states.items():
            if self.learned and not state.discrete:
                sizes = [size.text for size in state.shape]
                help = f"{name} before the first step of an episode"
                spec.add(f"initial_{name}", zoo.Param(*sizes, help=help, complex=state.complex))

    def step(self, ctx: Any, inner_step: Callable[..., Any], x: Any, states: Any) -> Any:
        """Run the step, from the initial states where an episode starts."""
        starts = ctx["episode_start"] > 0
        before = {name: _zero_where(starts, value) for name, value in states.items()}
        for name in before:
            if (initial := f"initial_{name}") in ctx.arrays:
                before[name] = before[name] + np.where(starts, ctx[initial], 0)
        return inner_step(x, before)

    def block_states(self, ctx: Any, states: Any) -> Any:
        """States of a block start from zero too."""
        starts = ctx["episode_start"] > 0
        return {name: _zero_where(starts, value) for name, value in states.items()}


def _zero_where(starts: Any, state: Any) -> Any:
    """Zero where an episode starts, else the state.

    A vector is selected, so that infinite and undefined numbers end with their episode. A product keeps the
    kernels of matrix memories for chunks of time steps.
    """
    return np.where(starts, 0, state) if len(state.shape) <= 1 else np.where(starts, 0, 1) * state


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register episodes."""
    register(Episodes)
