"""A training step without Python in between: every layer, the readout and its loss, and all the way back.

The kernels are those that :mod:`zoo.model.objective` calls one after the other, by the same machine code, so
that not a bit of the result differs. For 25 symbols of one sequence Python took 45 of 114 us; and in a large
step, where its code and data have left the cache by the time a kernel ends, 0.2 ms a shard. Threads share
out the shards in compiled code too: for 16 rows of 25 symbols and 32 units, two that wait for each other in
Python took 0.27 ms, one alone 0.18, and two in compiled code 0.10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.kernels.jit import Kernel, is_interpreted
from zoo.layers.layer import Array, Arrays
from zoo.layers.segments import cut
from zoo.layers.shards import states_of
from zoo.layers.stack import Stack, Weights
from zoo.model.given import Given
from zoo.model.objective import Objective, Pass
from zoo.model.stream import MOST_LAYERS

if TYPE_CHECKING:
    from zoo.model.routes import Route

PATIENCE = 8
"""Shards that go the long way first: for a few steps it does not pay to compile for half a second or more."""


class Direct:
    """The short way of a model's shards, where there is one.

    Args:
        stack: The layers.
        weights: Their arrays.
        readout: ``Why (H, V)`` and ``by (V,)``.

    Attributes:
        patience: Shards of each kind that go the long way first.
    """

    def __init__(self, stack: Stack, weights: Weights, readout: tuple[Array, Array]) -> None:
        self._stack, self._weights, self._readout = stack, tuple(weights), readout
        self._is_open = _is_open(stack)
        self._takes_inputs, self._options = bool(stack.inputs), stack.layers[0].passes.options
        self._widths = tuple([layer.output_size for layer in stack.layers])
        self._nothing: tuple[tuple[Array, ...], ...] = ((),) * len(stack.layers)
        self._behind: dict[int, tuple[tuple[Array, ...], ...]] = {}
        self.patience = PATIENCE
        self._gone: Counter[Any] = Counter()
        self._routes: dict[Any, Route | None] = {}

    def loss_and_grad(
        self, objective: Objective, parts: Sequence[slice], out: Array, threads: int
    ) -> tuple[Array, Arrays] | None:
        """As that of the objective for all these shards; None if they have to go the long way.

        That is so where something is between two kernels (dropout, residual layers, segments), where a cell's
        kernels are no ``zoo.njit`` functions, for the first few shards, and if a kernel raises something or
        returns arrays that do not fit: on the long way, that is an error. The long way sets everything again.

        Args:
            objective: The loss of a batch.
            parts: Rows of the shards, which follow each other.
            out: Where their gradients go, ``(shards, P)``, or ``(1, P)`` for the sum in their order.
            threads: How many may work on them.

        Returns:
            The losses of each shard, ``(shards, T)``, and the last states of all their rows.
        """
        run = objective.run
        if not self._is_open or not parts or len(run.segments) > 1 or is_interpreted():
            return None
        if self._is_new(objective, len(parts)):
            return None
        (steps,) = run.segments
        rows = slice(parts[0].start, parts[-1].stop)
        told = self._told(run, rows)
        if told is None:
            return None
        read = run.read_steps(steps)
        places, before = None if isinstance(read, slice) else read, states_of(run.state, rows)
        targets, counts = cut(objective.targets, steps, rows)[read], run.counts_of(steps, rows)[read]
        losses = np.zeros((len(parts), steps.stop))
        part = losses if places is None else np.empty((len(parts), len(places)))
        after = {name: np.empty_like(value) for name, value in before.items()}
        size = parts[0].stop - parts[0].start
        given = Given(
            weights=self._weights,
            inputs=cut(run.inputs, steps, rows),
            before=self._by_layer(before),
            beside=told,
            options=self._options,
            readout=self._readout,
            targets=targets,
            counts=counts,
            places=places,
            binary=objective.binary,
            scale=1 / run.total,
            zeros=self._zeros(size),
            widths=self._widths,
            rows=size,
            losses=part,
            last=self._by_layer(after),
            out=out,
        )
        route = self._route((*_kind(objective), places is None), given)
        if route is None or not route.take(given, len(parts), threads):
            return None
        if places is not None:
            losses[:, places] = part
        return losses, after

    def _route(self, kind: Any, given: Given) -> Route | None:
        """The step for arguments of a kind."""
        if kind not in self._routes:
            from zoo.model.routes import route

            self._routes[kind] = route(self._stack, given)
        return self._routes[kind]

    def _told(self, run: Pass, rows: slice) -> tuple[tuple[Array, ...], ...] | None:
        """What each layer is told beside its input; None if something is dropped between two layers."""
        if not self._takes_inputs and (run.beside.draw is None or not run.beside.dropout):
            return self._nothing
        (steps,) = run.segments
        told = run.beside.part(steps, rows)
        dropped = any(each.mask is not None for each in told)
        return None if dropped else tuple([each.inputs[0] for each in told])

    def _zeros(self, batch: int) -> tuple[tuple[Array, ...], ...]:
        """What comes back from behind the last step; no kernel writes to it."""
        if batch not in self._behind:
            shapes, dtype = self._stack.state_shapes, self._readout[0].dtype
            zeros = {name: np.zeros((batch, *shape), dtype) for name, shape in shapes.items()}
            self._behind[batch] = self._by_layer(zeros)
        return self._behind[batch]

    def _is_new(self, objective: Objective, count: int) -> bool:
        """Whether too few shards of this kind went the long way; if so, these do."""
        kind = _kind(objective)
        is_new = self._gone[kind] < self.patience
        self._gone[kind] += count * is_new
        return is_new

    def _by_layer(self, state: Arrays) -> tuple[tuple[Array, ...], ...]:
        return tuple([tuple([state[name] for name in layer.states]) for layer in self._stack.layers])


def _kind(objective: Objective) -> tuple[Any, Any]:
    """The types of inputs and targets: in all else, the arguments of a model's steps are alike."""
    return objective.run.inputs.dtype, objective.targets.dtype


def _is_open(stack: Stack) -> bool:
    """Whether nothing lies between the kernels of a stack, and compiled code can call them."""
    passes = stack.layers[0].passes
    are_compiled = isinstance(passes.forward, Kernel) and isinstance(passes.backward, Kernel)
    are_plain = not any(floor.is_residual or len(floor.layers) > 1 for floor in stack.floors)
    return are_compiled and are_plain and len(stack.layers) <= MOST_LAYERS
