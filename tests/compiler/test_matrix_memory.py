"""Matrix memories: which steps have one, and that both passes equal the step and its differences."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.cli.show_graph import graph_lines
from zoo.compiler.explain import explain
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.passes.matrix_memory import find_matrix_memories

no_files = checks.no_files


class Plain(zoo.Cell):
    """A memory without decay, transposed, so that the query sums over columns."""

    W = zoo.Param("I", "3H", init="glorot_uniform")
    S = zoo.State("H", "H+1")

    def before(self, S):
        """The memory before the update."""
        return S

    def read(self, S, query):
        return S @ query

    def step(self, x, S):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        S = zoo.outer(value, key) + self.before(S)
        return zoo.Output(self.read(S, query), S)


class Early(Plain):
    """The query reads the memory before the step and a weighted part of the update, as in RWKV-6."""

    def step(self, x, S):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        pair = zoo.outer(value, key)
        return zoo.Output((S + 0.5 * pair) @ query, zoo.sigmoid(key) * S + pair)


class ReadTwice(Plain):
    """Two queries."""

    def read(self, S, query):
        return S @ query + S.sum(axis=1)


class FullDecay(Plain):
    """Every element has a factor of its own."""

    A = zoo.Param("H", "H+1", init="ones")

    def before(self, S):
        return zoo.sigmoid(self.A) * S


class Columns(Plain):
    """A decay for each column: the axis over which the query does not sum."""

    def before(self, S):
        return zoo.sigmoid(self.a) * S

    a = zoo.Param("H", "1", init="ones")


class RowsAndColumns(Plain):
    """The decay of an element is a product of one for its row and one for its column."""

    a = zoo.Param("H", "1", init="ones")

    def step(self, x, S):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        S = zoo.sigmoid(self.a) * (zoo.sigmoid(key) * S) + zoo.outer(value, key)
        return zoo.Output(S @ query, S)


class RowsThenColumns(RowsAndColumns):
    """Two updates, of which one has a decay for each row and the other one for each column."""

    def step(self, x, S):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        S = zoo.sigmoid(self.a) * S + zoo.outer(value, key)
        S = zoo.sigmoid(key) * S + zoo.outer(value - S @ key, key)
        return zoo.Output(S @ query, S)


class Squashed(Plain):
    """The memory is no affine function of the one before."""

    def before(self, S):
        return np.tanh(S)


class Corrected(zoo.Cell):
    """The gated delta rule as identity minus rank one, in one expression, with a factor for each row."""

    W = zoo.Param("I", "3H", init="glorot_uniform")
    a = zoo.Param("H", init="ones")
    beta = zoo.Param("2", init="ones")
    S = zoo.State("2", "H/2", "H/2")
    h = zoo.State("3H")

    def step(self, x, S, h):
        h = np.tanh(x @ self.W + 0.5 * h)
        key, value, query = (part.reshape(2, -1) for part in zoo.split(h, 3))
        decay, beta = zoo.sigmoid(self.a).reshape(2, -1, 1), self.beta[:, None]
        read = np.einsum("hk,hkd->hd", key / 2, S)
        S = decay * S - key[:, :, None] * (beta * read / 3)[:, None] + value[:, None] * key[:, :, None]
        y = np.tanh(np.einsum("hk,hkd->hd", query, S).reshape(-1))
        return zoo.Output(y, S, self.next_state(h, y))

    def next_state(self, h, y):
        return h


class CorrectedColumns(Corrected):
    """The delta rule with a decay for each column, and a step that begins with another update."""

    def step(self, x, S, h):
        h = np.tanh(x @ self.W + 0.5 * h)
        key, value, query = (part.reshape(2, -1) for part in zoo.split(h, 3))
        S = 0.9 * S + query[:, :, None] * value[:, None]
        read = np.einsum("hk,hkd->hd", key, S)
        decay = zoo.sigmoid(value + self.a.reshape(2, -1))[:, None]
        S = decay * S + key[:, :, None] * (value - self.beta[:, None] * read)[:, None]
        return zoo.Output(np.einsum("hk,hkd->hd", query, S).reshape(-1), S, h)


class PermutedRead(Corrected):
    """The written value has the elements of the read in another order."""

    def step(self, x, S, h):
        h = np.tanh(x @ self.W + 0.5 * h)
        key, value, query = (part.reshape(2, -1) for part in zoo.split(h, 3))
        read = np.einsum("hk,hkd->hd", key, S) * self.beta[:, None] * zoo.sigmoid(self.a).reshape(2, -1)
        S = 0.9 * S + key[:, :, None] * (value - read.T.reshape(2, -1))[:, None]
        return zoo.Output(np.einsum("hk,hkd->hd", query, S).reshape(-1), S, h)


class TransposedRead(Corrected):
    """The read is transposed twice, which changes nothing."""

    def step(self, x, S, h):
        h = np.tanh(x @ self.W + 0.5 * h)
        key, value, query = (part.reshape(2, 1, -1) for part in zoo.split(h, 3))
        read = (key @ S).swapaxes(1, 2)
        decay = zoo.sigmoid(self.a).reshape(2, -1, 1)
        S = decay * S + key.swapaxes(1, 2) * (self.beta[:, None, None] * value - read.swapaxes(1, 2))
        return zoo.Output((query @ S).reshape(-1), S, h)


class HeadsLast(Corrected):
    """The heads are the last axis of what the query reads: no reshape of the vectors of each head."""

    def step(self, x, S, h):
        h = np.tanh(x @ self.W + 0.5 * h)
        key, value, query = (part.reshape(2, -1) for part in zoo.split(h, 3))
        S = (
            zoo.sigmoid(self.a).reshape(2, -1, 1) * S
            + (self.beta[:, None] * value)[:, None] * key[:, :, None]
        )
        return zoo.Output((S.transpose(1, 2, 0) * query.T[:, None]).sum(0).reshape(-1), S, h)


class ThreeKeys(Plain):
    """Three outer products with keys of their own, of which one erases; the query reads the memory before."""

    def step(self, x, S):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        erased = zoo.outer(S @ np.tanh(key), zoo.sigmoid(query) * key)
        new = 0.9 * S - erased + zoo.outer(value, key) + zoo.outer(np.tanh(value), query)
        return zoo.Output(S @ query, new)


class ReadsBetween(Plain):
    """Two corrections in one step, each of what the memory returns at that time; then an addition."""

    def step(self, x, S):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        for factor in (1.0, 0.5):
            S = zoo.sigmoid(query) * S + zoo.outer(value - factor * (S @ key), key)
        new = S + zoo.outer(value, query)
        return zoo.Output(self.read(self.read_state(S, new), query), new)

    def read_state(self, S, new):
        return new


class QueryBetween(ReadsBetween):
    """The query reads the memory between two updates."""

    def read_state(self, S, new):
        return S


class ReadsTwiceBefore(ThreeKeys):
    """Two values are read before the update and written under different keys."""

    def step(self, x, S):
        key, value, query = zoo.split(x @ self.W, 3)
        key, query = np.concatenate([key, key[:1]]), np.concatenate([query, query[:1]])
        new = S - zoo.outer(S @ key, key) + zoo.outer(value - S @ query, query)
        return zoo.Output(new @ query, new)


class NeverWritten(Plain):
    """The memory decays, and nothing is added."""

    def step(self, x, S):
        _, value, query = zoo.split(x @ self.W, 3)
        S = 0.9 * S
        return zoo.Output(S @ np.concatenate([query, query[:1]]) + value, S)


class BeforeRecurrence(Plain):
    """The value that the query reads enters another state, and depends on the input alone."""

    u = zoo.Param("H", init="ones")
    h = zoo.State("H")

    def step(self, x, S, h):
        key, value, query = zoo.split(x @ self.W, 3)
        S = 0.9 * S + zoo.outer(value, np.concatenate([key, key[:1]]))
        h = np.tanh(S @ np.concatenate([query, query[:1]]) + self.u * h)
        return zoo.Output(h, S, h)


class FeedsBack(Corrected):
    """The value that the query reads enters the state that writes it, so steps follow one another."""

    def next_state(self, h, y):
        return h + y[0]


def cell_of(name, **options):
    return zoo.get_cell(name, **options) if isinstance(name, str) else name()


@functools.cache
def form_of(name, **options):
    graph = find_matrix_memories(trace_step(cell_of(name, **options)))
    memories = find_matrix_memories(graph).memories  # again: one memory may enter the query of another
    return {state: node.attr for state, node in memories.items()}


@pytest.mark.parametrize(
    ("name", "state", "decays", "has_probe", "query_first", "transposed"),
    [
        ("gla", "S", "ROWS", False, False, False),
        ("delta_net", "S", "NONE", True, False, False),
        ("gated_delta_net", "S", "HEADS", True, False, False),
        ("matrix_lstm", "C", "HEADS", False, False, False),
        (Plain, "S", "NONE", False, False, True),
        (Early, "S", "ROWS", False, True, True),
        (Corrected, "S", "ROWS", True, False, False),
        (Columns, "S", "COLUMNS", False, False, True),
        ("gsa", "K", "COLUMNS", False, False, False),
        ("gsa", "V", "ROWS", False, False, False),
    ],
)
def test_memories_are_recognised(name, state, decays, has_probe, query_first, transposed) -> None:
    form = form_of(name)[state]
    expected = (decays, has_probe, query_first, transposed)
    assert (form.decays.name, form.has_probe, form.query_first, form.transposed) == expected


@pytest.mark.parametrize(
    ("name", "options", "state", "updates", "writes", "decays", "has_probe", "query_first"),
    [
        ("rwkv7", {}, "S", 1, 2, "ROWS", True, False),
        ("mamba3", {}, "h", 1, 2, "HEADS", False, False),
        ("gated_delta_product", {"corrections": 1}, "S", 1, 1, "HEADS", True, False),
        ("gated_delta_product", {"corrections": 3}, "S", 4, 1, "HEADS", True, False),
        (ThreeKeys, {}, "S", 1, 3, "HEADS", True, True),
        (ReadsBetween, {}, "S", 2, 2, "ROWS", True, False),
        ("delta_net", {}, "S", 1, 1, "NONE", True, False),
        (CorrectedColumns, {}, "S", 2, 1, "COLUMNS", True, False),
    ],
)
def test_updates_are_recognised(
    name, options, state, updates, writes, decays, has_probe, query_first
) -> None:
    form = form_of(name, **options)[state]
    expected = (updates, writes, decays, has_probe, query_first)
    assert (form.updates, form.writes, form.decays.name, form.has_probe, form.query_first) == expected


OTHERS = [
    FeedsBack,
    HeadsLast,
    PermutedRead,
    NeverWritten,
    ReadTwice,
    ReadsTwiceBefore,
    QueryBetween,
    FullDecay,
    RowsAndColumns,
    RowsThenColumns,
    Squashed,
    "lstm",
    "s5",
    "mamba",
]
"""Cells whose steps are computed one by one."""


@pytest.mark.parametrize("name", OTHERS)
def test_other_states_stay_as_they_are(name) -> None:
    assert not form_of(name)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (FeedsBack, "its operands depend on another state, and that state on the result of the query"),
        (HeadsLast, "a sum over it is neither over its rows nor over its columns, with heads in front"),
        (NeverWritten, "its update adds nothing"),
        (ReadTwice, "more than one query reads it, or a state of its shape that depends on it"),
        (ReadsTwiceBefore, "an update depends on several sums over it"),
        (QueryBetween, "the query reads it between two updates"),
        (FullDecay, "step takes sigmoid of it, before it is updated or read"),
        (PermutedRead, "the axes of the read of a probe are permuted before it is written"),
        (RowsAndColumns, "its decay varies along its rows and its columns"),
        (RowsThenColumns, "one update has a decay for each row, and another one for each column"),
        (Squashed, "step takes tanh of it, before it is updated or read"),
    ],
)
def test_explanation_has_the_reason_why_a_matrix_is_no_memory(cell, reason) -> None:
    explanation = explain(cell())
    assert explanation.step_by_step == (f"S is not a matrix memory: {reason}.",)
    assert reason in " ".join(" ".join(graph_lines(explanation, 2, 4)).split())


@pytest.mark.parametrize("name", ["gla", "mamba", "lstm", "matrix_lstm", "slstm(lstm)", "rwkv(rwkv7)"])
def test_explanation_omits_vectors_and_states_of_other_forms(name) -> None:
    assert not explain(zoo.get_cell(name)).step_by_step


@pytest.mark.parametrize(
    ("name", "options", "sizes", "steps", "batch"),
    [
        ("gla", {"heads": 2}, (3, 8), 5, 2),
        ("delta_net", {}, (2, 3), 11, 1),
        ("gated_delta_net", {"heads": 2}, (3, 6), 5, 2),
        ("matrix_lstm", {"heads": 2}, (2, 6), 5, 2),
        (Plain, {}, (3, 5), 5, 2),
        (Early, {}, (2, 4), 5, 2),
        (Corrected, {}, (2, 6), 5, 2),
        (HeadsLast, {}, (2, 6), 5, 2),
        (FeedsBack, {}, (2, 4), 5, 1),
        (BeforeRecurrence, {}, (2, 3), 5, 2),
        ("rwkv(rwkv7)", {"heads": 1, "rank": 1}, (2, 2), 5, 1),
        ("rwkv7", {"heads": 2, "rank": 2}, (3, 4), 5, 2),
        ("mamba3", {"order": 8, "heads": 2}, (3, 4), 5, 2),
        ("gated_delta_product", {"heads": 2, "corrections": 3}, (3, 4), 5, 2),
        (ThreeKeys, {}, (2, 3), 5, 2),
        (ReadsBetween, {}, (2, 3), 5, 2),
        (QueryBetween, {}, (2, 3), 5, 2),
        (Columns, {}, (2, 3), 9, 2),
        (CorrectedColumns, {}, (2, 6), 5, 2),
        (PermutedRead, {}, (2, 6), 5, 2),
        (TransposedRead, {}, (2, 6), 5, 2),
        ("gsa", {"heads": 2, "slots": 3}, (3, 4), 9, 2),
        (ReadsTwiceBefore, {}, (2, 3), 5, 2),
    ],
)
def test_both_passes_equal_the_step_and_its_differences(
    name, options, sizes, steps, batch, monkeypatch
) -> None:
    assert bool(form_of(name, **options)) == (name not in OTHERS)
    checks.set_chunk(monkeypatch, 4)
    checks.check(checks.trial(cell_of(name, **options), sizes, steps, batch))


# The shape of a buffer, the decay of a memory with two heads (2, 3, 2), and the kind of decay.
FIXED_DECAYS = {
    "heads": ("2", lambda g: g[:, None, None], "HEADS"),
    "heads with all axes": ("2 1 1", lambda g: g, "HEADS"),
    "some heads": ("4", lambda g: g[1:3, None, None], "HEADS"),
    "heads backwards": ("2", lambda g: g[::-1, None, None], "HEADS"),
    "function of heads": ("2", lambda g: np.exp(-g)[:, None, None], "HEADS"),
    "one for all": ("1", lambda g: g[0], "HEADS"),
    "number": ("1", lambda g: 0.5 + 0 * g[0], "HEADS"),
    "rows": ("2 3", lambda g: g[:, :, None], "ROWS"),
    "rows of both heads": ("3", lambda g: g[:, None], "ROWS"),
    "rows in a vector": ("6", lambda g: g.reshape(2, 3, 1), "ROWS"),
    "transposed rows": ("3 2", lambda g: g.T[:, :, None], "ROWS"),
    "some rows": ("2 5", lambda g: g[:, 1:4, None], "ROWS"),
}


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("name", FIXED_DECAYS)
def test_fixed_decays_may_be_any_array(name, heads, monkeypatch) -> None:
    shape, decay, kind = FIXED_DECAYS[name]

    class Fixed(zoo.Cell):
        """A memory whose decay is a buffer; with one head, it is the first of two."""

        W = zoo.Param("I", str(heads * 8), init="glorot_uniform")
        g = zoo.Buffer(*shape.split(), init=lambda rng, shape: rng.uniform(0.2, 1, shape))
        S = zoo.State(heads, 3, 2)

        def step(self, x, S):
            row = (x @ self.W).reshape(heads, 8)
            key, value, query = row[:, :3, None], row[:, None, 3:5], row[:, 5:, None]
            fixed = decay(self.g)
            S = (fixed[:heads] if fixed.ndim == 3 else fixed) * S + key * value
            return zoo.Output(np.sum(S * query, axis=1).reshape(-1), S)

    form = form_of(Fixed)["S"]
    assert (form.has_fixed_decay, form.decays.name) == (True, kind)
    checks.set_chunk(monkeypatch, 4)
    checks.check(checks.trial(Fixed(), (2, 2), 9, 2), tokens=False)
