"""Matrix memories with momentum: which steps have one. Both passes equal the step and its differences."""

from __future__ import annotations

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.compiler.explain import explain
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.passes.sequence_states import find_sequence_states

no_files = checks.no_files


class Heavy(zoo.Cell):
    """Fixed factors and no probe; both states are transposed, and the query reads M before the update."""

    W = zoo.Param("I", "3H", init="glorot_uniform")
    M = zoo.State("H", "H+1")
    P = zoo.State("H", "H+1")

    def step(self, x, M, P):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        P = 0.9 * P + zoo.outer(value, key)
        new = self.memory(M, P)
        return zoo.Output(self.read(M, new) @ query, new, P)

    def memory(self, M, P):
        return M + 0.5 * P

    def read(self, M, new):
        return M


class ReadsAfter(Heavy):
    """The query reads M after the update, and the output is a function of more than the read."""

    def read(self, M, new):
        return 2.0 * new


class TwoHeads(zoo.Cell):
    """The delta rule with trained factors of each head, whose momentum comes first among the states."""

    W = zoo.Param("I", "3H", init="glorot_uniform")
    G = zoo.Param("I", "6", init="glorot_uniform")
    P = zoo.State("2", "H/2", "H/2")
    M = zoo.State("2", "H/2", "H/2")

    def step(self, x, P, M):
        key, value, query = (part.reshape(2, 1, -1) for part in zoo.split(x @ self.W, 3))
        decay, keep, gain = (part.reshape(2, 1, 1) for part in zoo.split(zoo.sigmoid(x @ self.G), 3))
        read = (key @ M) * 0.5
        P = keep * P + key.swapaxes(1, 2) * (value - decay * read)
        M = gain * P + (1 - decay) * M
        return zoo.Output(np.tanh(query @ M).reshape(-1), P, M)


class Nesterov(Heavy):
    """The memory takes in the momentum and, once more, the outer product."""

    def step(self, x, M, P):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        pair = zoo.outer(value, key)
        P = 0.9 * P + pair
        M = M + 0.5 * P + pair
        return zoo.Output(M @ query, M, P)


class MomentumOfRows(Heavy):
    """The factor of the momentum varies along the rows."""

    a = zoo.Param("H", "1", init="ones")

    def memory(self, M, P):
        return M + self.a * P


class ReadsSumWithMomentum(Heavy):
    """The query reads the sum of the memory and its new momentum."""

    def step(self, x, M, P):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        P = 0.9 * P + zoo.outer(value, key)
        M = 0.8 * M + 0.5 * P
        return zoo.Output((M + 0.9 * P) @ query, M, P)


class ReadsSumWithOldMomentum(ReadsSumWithMomentum):
    """The query reads the sum of the new memory and its momentum before the step."""

    def step(self, x, M, P):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        new = 0.9 * P + zoo.outer(value, key)
        M = 0.8 * M + 0.5 * new
        return zoo.Output((M - P) @ query, M, new)


class ProbeAhead(ReadsSumWithMomentum):
    """The written value is corrected by a read of the memory and its momentum, as Nesterov's method does."""

    def step(self, x, M, P):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        P = 0.9 * P + zoo.outer(value - (M + 0.9 * P) @ key, key)
        M = 0.8 * M + P
        return zoo.Output(M @ query, M, P)


class DiscreteMomentum(Heavy):
    """The second state is discrete, so it has no gradient."""

    P = zoo.State("H", "H+1", discrete=True)


class ReadsMomentum(Heavy):
    """A query reads the momentum, too."""

    def read(self, M, new):
        return new

    def step(self, x, M, P):
        output = super().step(x, M, P)
        return zoo.Output(output.y + P.sum(axis=1), *output.states)


MATCHES = [
    ("titans", {}, (3, 4)),
    ("titans", {"heads": 2}, (3, 4)),
    (Heavy, {}, (2, 3)),
    (ReadsAfter, {}, (2, 3)),
    (TwoHeads, {}, (3, 4)),
]
OTHERS = [
    Nesterov,
    MomentumOfRows,
    ReadsMomentum,
    ReadsSumWithMomentum,
    ReadsSumWithOldMomentum,
    ProbeAhead,
    DiscreteMomentum,
]


def cell_of(name, options):
    return zoo.get_cell(name, **options) if isinstance(name, str) else name()


@pytest.mark.parametrize(("name", "options", "sizes"), MATCHES)
def test_a_memory_and_its_momentum_are_recognised(name, options, sizes) -> None:
    memories = find_sequence_states(trace_step(cell_of(name, options))).memories
    assert memories.keys() == {"M", "P"}
    assert memories["M"] is memories["P"]
    form = memories["M"].attr
    assert (form.state, form.momentum) == ("M", "P")
    assert form.query_first == (name is Heavy)
    assert not explain(cell_of(name, options)).step_by_step


def test_momentum_delta_net_is_recognised() -> None:
    memories = find_sequence_states(trace_step(zoo.get_cell("momentum_delta_net", heads=2))).memories
    assert {memory.attr.state: memory.attr.momentum for memory in memories.values()} == {"S": "P"}
    assert memories.keys() == {"S", "P"}


@pytest.mark.parametrize("cell", OTHERS)
def test_other_pairs_are_computed_step_by_step(cell) -> None:
    assert not find_sequence_states(trace_step(cell())).memories
    assert explain(cell()).step_by_step


@pytest.mark.parametrize(
    ("name", "options", "sizes"),
    [*MATCHES, *((cell, {}, (2, 3)) for cell in OTHERS if not cell.states["P"].discrete)],
)
def test_both_passes_equal_the_step_and_its_differences(name, options, sizes, monkeypatch) -> None:
    checks.set_chunk(monkeypatch, 4)
    checks.check(checks.trial(cell_of(name, options), sizes, 9, 2))
