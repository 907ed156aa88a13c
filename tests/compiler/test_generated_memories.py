"""Steps with matrix memories of drawn forms: the compiler recognises them, and both passes are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import step_asserts as checks
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.passes.sequence_states import find_sequence_states

no_files = checks.no_files
DECAYS = {"one": "NONE", "number": "HEADS", "heads": "HEADS", "rows": "ROWS", "columns": "COLUMNS"}


@dataclass(frozen=True)
class Form:
    """The form of a memory ``(heads, K, D)`` with ``K = D + 1``."""

    heads: int
    decay: str
    writes: int
    has_probe: bool
    query_first: bool
    transposed: bool
    has_momentum: bool
    decays_first: bool


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """All forms that one kernel or another computes."""
    has_momentum = draw(st.booleans())
    decays = [name for name, kind in DECAYS.items() if not has_momentum or kind in ("NONE", "HEADS")]
    writes = 1 if has_momentum else draw(st.integers(1, 3))
    flags = (draw(st.booleans()) for _ in range(3))
    decays_first = draw(st.booleans())  # reads of the memory before the update read it after its decay
    heads, decay = draw(st.integers(1, 2)), draw(st.sampled_from(decays))
    return Form(heads, decay, writes, *flags, has_momentum, decays_first)


def cell_of(form: Form) -> zoo.Cell:
    """A cell with a memory of a form."""
    rows, n = f"H/{form.heads}+1", form.heads
    axes = (str(n), f"H/{n}", rows) if form.transposed else (str(n), rows, f"H/{n}")

    def new_states(self, x, M, P):
        def seen(memory):
            return memory.swapaxes(1, 2) if form.transposed else memory

        old = seen(M)
        _, K, D = old.shape
        parts, start = {}, 0
        for name, size in [(f"row {i}", K) for i in range(4)] + [("value", D), ("column", D), ("head", 1)]:
            parts[name] = (x @ self.W)[start : start + n * size].reshape(n, 1, size)
            start = start + n * size
        key, query, probe, row = (parts[f"row {i}"] for i in range(4))
        decay = {
            "one": 1.0,
            "number": 0.9,
            "heads": zoo.sigmoid(parts["head"]),
            "rows": zoo.sigmoid(row).swapaxes(1, 2),
            "columns": zoo.sigmoid(parts["column"]),
        }[form.decay]
        value = parts["value"]
        if form.has_probe:
            value = value - 0.3 * (probe @ (decay * old if form.decays_first else old))
        added = key.swapaxes(1, 2) * value
        for number in range(1, form.writes):
            added = added + (key + number * row).swapaxes(1, 2) * parts["column"]
        if form.has_momentum:
            P = 0.8 * seen(P) + added
            added = np.tanh(parts["head"]) * P
        new = decay * old + added
        before = decay * old if form.decays_first else old
        y = np.tanh(query @ (before if form.query_first else new)).reshape(-1)
        return zoo.Output(y, *map(seen, (new, P) if form.has_momentum else (new,)))

    def step(self, x, M):
        return new_states(self, x, M, None)

    members = {
        "__doc__": "A cell of a drawn form.",
        "W": zoo.Param("I", f"6H+{5 * n}", init="glorot_uniform"),
        "M": zoo.State(*axes),
        "step": step,
    }
    if form.has_momentum:
        members |= {"P": zoo.State(*axes), "step": new_states}
    return type("Drawn", (zoo.Cell,), members)()


@settings(max_examples=25, deadline=None)
@given(form=forms(), seed=st.integers(0, 99))
def test_memories_of_all_forms_equal_the_step_and_its_differences(form: Form, seed: int) -> None:
    cell = cell_of(form)
    memories = find_sequence_states(trace_step(cell)).memories
    assert memories.keys() == cell.states.keys()
    matched = memories["M"].attr
    assert (matched.has_probe, matched.query_first) == (form.has_probe, form.query_first)
    assert matched.transposed == form.transposed
    assert form.has_momentum or matched.decays.name == DECAYS[form.decay]
    with pytest.MonkeyPatch.context() as patch:
        checks.set_chunk(patch, 4)
        checks.check(checks.trial(cell, (3, 4), 9, 2, seed))
