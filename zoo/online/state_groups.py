"""Groups of states that do not depend on each other, for which the influence of RTRL is a block matrix."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from zoo import kernels
from zoo.array_types import Array
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.passes.unit_groups import match_unit_groups
from zoo.kernels.jit import njit
from zoo.layers.parameters import ParameterLayout
from zoo.layers.stack import Stack
from zoo.online.state_vectors import StateVectors


class StateGroups:
    """The groups of a stack: its units, if no unit reads the states of others, else one group of all states.

    The states of a group depend on no state of another group, and each parameter changes the states of one
    group. A backward pass with the gradient 1 for one state of each group therefore yields the derivatives of
    all these states.

    Args:
        stack: The layers.

    Attributes:
        states: Positions of the states of each group in a vector of states, ``(G, C)``.
        params: Positions of the parameters of each group in theta, ``(G, M)``; ``P`` where a group has fewer.
        size: ``P``.
    """

    def __init__(self, stack: Stack) -> None:
        self._vectors, self.size = StateVectors(stack), ParameterLayout(stack.param_shapes).size
        units = _units(stack)
        states, params = units or (np.zeros(self._vectors.size, int), np.zeros(self.size, int))
        count = 1 + states.max()
        self.states = _positions_by_unit(states, count, -1)
        self.params = _positions_by_unit(params, count, self.size)
        self._is_missing = self.params == self.size
        self._is_whole = units is None

    def seeds(self, dtype: np.dtype[Any]) -> Array:
        """Gradients of one state of each group, ``(C, S)``."""
        groups, members = self.states.shape
        seeds = np.zeros((members, groups * members), dtype)
        seeds[np.arange(members), self.states] = 1
        return seeds

    def state_blocks(self, vectors: Array) -> Array:
        """The elements of vectors ``(..., C, S)`` by group, ``(..., G, C, C)``."""
        return np.ascontiguousarray(np.moveaxis(vectors[..., self.states], -2, -3))

    def param_blocks(self, gradients: Array) -> Array:
        """The elements of gradients ``(..., C, P)`` by group, ``(..., G, C, M)``."""
        if self._is_whole:
            # A view: with a copy, a step of an LSTM of 32 units took 1.9 times as long.
            return gradients[..., np.newaxis, :, :]
        blocks = np.moveaxis(np.take(gradients, self.params, axis=-1, mode="clip"), -2, -3)
        return np.where(self._is_missing[:, np.newaxis], 0, blocks)

    def gradient(self, values: Array) -> Array:
        """A gradient ``(P,)`` with values ``(G, M)``."""
        gradient = np.zeros(self.size + 1, values.dtype)
        gradient[self.params] = values
        return gradient[:-1]


@njit
def advance_blocks(state_jacobian: Array, influence: Array, param_jacobian: Array) -> None:
    """``influence[n] = state_jacobian[n] @ influence[n] + param_jacobian[n]`` for each n.

    Args:
        state_jacobian: ``ds' / ds``, ``(N, C, C)``.
        influence: ``(N, C, M)``.
        param_jacobian: ``ds' / dtheta``, ``(N, C, M)``; overwritten.
    """
    for n in range(influence.shape[0]):
        before, after = kernels.at_step(influence, n), kernels.at_step(param_jacobian, n)
        kernels.add_matmul(kernels.at_step(state_jacobian, n), kernels.pack(before), after)
        kernels.copy_into(after, before)


@lru_cache(maxsize=8)
def state_groups(stack: Stack) -> StateGroups:
    """The groups of a stack, computed once."""
    return StateGroups(stack)


def _units(stack: Stack) -> tuple[Array, Array] | None:
    """The unit of each state and of each parameter, -1 for none; None if units are connected."""
    layer, *others = stack.directions
    if others or not layer.cell.has_step():
        return None
    graph = step_graph_of(layer.cell)
    groups = match_unit_groups(graph, {"I": layer.input_size, "H": layer.hidden_size})
    if groups is None:
        return None
    states = {layer.prefix + name: units.ravel() for name, units in groups.states.items()}
    params = {layer.prefix + name: units.ravel() for name, units in groups.params.items()}
    params |= {name: states[state] for name, state in stack.learned.items()}
    continuous = [states[name] for name in stack.state_shapes if name in states]
    return np.concatenate(continuous), np.concatenate([params[name] for name in stack.param_shapes])


def _positions_by_unit(units: Array, count: int, missing: int) -> Array:
    """Positions of the elements of each unit, ``(count, M)``, filled with ``missing``."""
    positions = np.flatnonzero(units >= 0)
    order = positions[np.argsort(units[positions], kind="stable")]
    counts = np.bincount(units[order], minlength=count)
    table = np.full((count, counts.max(initial=1)), missing)
    table[units[order], np.arange(len(order)) - np.repeat(counts.cumsum() - counts, counts)] = order
    return table
