"""Complex matrix memories: which steps have one, and that both passes equal the step and its differences."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.compiler.compile import plan_kernels
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.ir.memory_ops import Decays, Rotations
from zoo.compiler.passes.matrix_memory import find_matrix_memories
from zoo.kernels import pure_python

no_files = checks.no_files

DECAYS = {"none": Decays.NONE, "number": Decays.HEADS, "head": Decays.HEADS, "row": Decays.ROWS}
DECAYS |= {"input": Decays.HEADS}
ROTATIONS = {
    "none": Rotations.NONE,
    "number": Rotations.FIXED,
    "buffer": Rotations.FIXED,
    "plane": Rotations.FIXED,
}
ROTATIONS |= {
    "parameter": Rotations.TRAINED,
    "input": Rotations.TRAINED,
    "back": Rotations.TRAINED,
    "spelled": Rotations.TRAINED,
}
READS = ("matmul", "sum", "einsum", "imaginary", "conjugate")


@dataclass(frozen=True)
class Form:
    """Names of the parts of a cell."""

    decay: str = "head"
    rotation: str = "buffer"
    read: str = "matmul"
    query_first: bool = False
    has_probe: bool = False
    transposed: bool = False
    after_update: bool = False


# The parameters and buffers of the parts.
DECLARED = {
    "head": {"a": zoo.Param("2", init="ones")},
    "row": {"b": zoo.Param("2", "3", init="ones")},
    "buffer": {"theta": zoo.Buffer("3", init="ones")},
    "plane": {"factor": zoo.Buffer("2", "3", init="ones", complex=True)},
    **{name: {"angle": zoo.Param("2", "3", init="ones")} for name in ("parameter", "back", "spelled")},
}


class Complex(zoo.Cell):
    """Two memories ``(3, 2)``, or transposed ``(2, 3)``, written in the form of a subclass."""

    form = Form()
    W = zoo.Param("I", "44", init="glorot_uniform")
    S = zoo.State("2", "3", "2", complex=True)

    def step(self, x, S):
        form = self.form
        key, query, value, rate, angle, gate, extra = np.split(x @ self.W, (12, 24, 28, 32, 38, 40))
        key, query = _complex(key), _complex(query)
        S = S.swapaxes(1, 2) if form.transposed else S
        factor = self._decay(zoo.sigmoid(gate)) * self._rotation(angle.reshape(2, 3))
        factor = factor if np.ndim(factor) == 0 else factor[:, :, None]
        if form.has_probe:
            value = value + rate * _read(form.read, np.conj(key), S).reshape(-1)
        pairs = key[:, :, None] * value.reshape(2, 1, 2)
        new = factor * (S + pairs) if form.after_update else factor * S - pairs / 2
        y = _read(form.read, query, S if form.query_first else new).reshape(-1)
        return zoo.Output(y * zoo.sigmoid(extra), new.swapaxes(1, 2) if form.transposed else new)

    def _decay(self, gate):
        name = self.form.decay
        if name == "head":
            return zoo.sigmoid(self.a)[:, None]
        if name == "row":
            return zoo.sigmoid(self.b)
        return gate[:, None] if name == "input" else {"none": 1.0, "number": 0.5}[name]

    def _rotation(self, angle):
        name = self.form.rotation
        if name in ("buffer", "plane"):
            return np.exp(1j * self.theta)[None] if name == "buffer" else self.factor
        if name == "input":
            return np.exp(2j * angle)
        if name == "parameter":
            return np.exp(1j * self.angle)
        if name == "back":
            return np.conj(np.exp(1j * self.angle))
        if name == "spelled":
            return np.cos(self.angle) - 1j * np.sin(self.angle)
        return {"none": 1.0, "number": 0.6 - 0.8j}[name]


def _complex(numbers):
    pairs = numbers.reshape(2, 3, 2)
    return pairs[..., 0] + 1j * pairs[..., 1]


def _read(name, query, S):
    if name == "sum":
        return np.sum(query[:, :, None] * S, axis=1).real
    if name == "einsum":
        return np.einsum("hk,hkd->hd", query, S).real
    if name == "imaginary":
        return (query[:, None] @ S).imag / 2
    if name == "conjugate":
        return (np.conj(query)[:, None] @ S).real
    return (query[:, None] @ S).real


def cell_of(form: Form) -> zoo.Cell:
    """A cell with a step of this form."""
    declared = {"S": zoo.State("2", "2", "3", complex=True)} if form.transposed else {}
    declared |= {**DECLARED.get(form.decay, {}), **DECLARED.get(form.rotation, {})}
    return type("Complex", (Complex,), {"__doc__": "A form.", "form": form, **declared})()


def form_of(cell):
    (memory,) = find_matrix_memories(trace_step(cell)).memories.values()
    return memory.attr


def forms():
    """Forms in which every pair of parts occurs."""
    rng = np.random.default_rng(0)
    lists = [list(DECAYS), list(ROTATIONS), READS, *([(False, True)] * 4)]
    missing = {
        frozenset(((i, a), (j, b)))
        for i, j in itertools.combinations(range(len(lists)), 2)
        for a in lists[i]
        for b in lists[j]
    }
    while missing:
        candidates = [tuple(each[rng.integers(len(each))] for each in lists) for _ in range(50)]
        pairs = [
            {frozenset(pair) for pair in itertools.combinations(enumerate(each), 2)} for each in candidates
        ]
        best = max(range(50), key=lambda n: len(pairs[n] & missing))
        if pairs[best] & missing:
            missing -= pairs[best]
            yield Form(*candidates[best])


FORMS = list(forms())


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_both_passes_equal_the_step_and_its_differences(form, monkeypatch) -> None:
    checks.set_chunk(monkeypatch, 2)
    cell = cell_of(form)
    memory = form_of(cell)
    decays = Decays.ROWS if form.rotation == "plane" else DECAYS[form.decay]
    assert (memory.decays, memory.rotations) == (decays, ROTATIONS[form.rotation])
    assert (memory.query_first, memory.has_probe) == (form.query_first, form.has_probe)
    checks.check(checks.trial(cell, (3, 4), 5, 2), tokens=False)


class Recognised(Complex):
    """A matrix memory. Each subclass changes one part, so that it is none."""

    def factor(self):
        return 0.5 * np.exp(1j * self.theta)[None]

    def value(self, pairs):
        return pairs

    def read(self, query, S):
        return (query[:, None] @ S).real

    theta = zoo.Buffer("3", init="ones")

    def step(self, x, S):
        key, query, value, _ = np.split(x @ self.W, (12, 24, 28))
        pairs = _complex(key)[:, :, None] * value.reshape(2, 1, 2)
        S = self.factor()[:, :, None] * S + self.value(pairs)
        return zoo.Output(self.read(_complex(query), S).reshape(-1), S)


class TrainedParts(Recognised):
    """The angle of a trained complex number has no derivative at zero."""

    trained = zoo.Param("2", "3", init="ones", complex=True)

    def factor(self):
        return self.trained * np.exp(1j * self.theta)[None]


class ComplexValue(Recognised):
    """The value is complex, so an update is the sum of two outer products of a complex and a real vector."""

    def value(self, pairs):
        return pairs * (0.5 + 1j * np.array([1.0, 2.0]))


class TwoQueries(Recognised):
    """The output needs the real and the imaginary part."""

    def read(self, query, S):
        return np.absolute(query[:, None] @ S)


class Mixed(Recognised):
    """Real and imaginary parts decay at different rates."""

    def step(self, x, S):
        return super().step(x, S + 0.1 * S.real)


def test_complex_values_are_two_outer_products(monkeypatch) -> None:
    checks.set_chunk(monkeypatch, 2)
    assert form_of(Recognised()).writes == 1
    assert form_of(ComplexValue()).writes == 2
    checks.check(checks.trial(ComplexValue(), (3, 4), 5, 2), tokens=False)


def test_other_forms_stay_as_they_are() -> None:
    assert form_of(Recognised()).rotations is Rotations.FIXED
    for cell in (TrainedParts, TwoQueries, Mixed):
        assert not find_matrix_memories(trace_step(cell())).memories, cell
        checks.check(checks.trial(cell(), (3, 4), 3, 2), tokens=False)


def layer_of(cell, recompute=None):
    return zoo.Recurrent(cell, 3, 4, dtype="float64", seed=1, threads=1, recompute=recompute)


def results_of(rnn, lengths):
    """Outputs, last states and all gradients of 37 steps of three sequences, with an initial state."""
    rng = np.random.default_rng(5)
    x, state = rng.normal(size=(37, 3, 3)), {"l0.S": rng.normal(size=(3, 2, 2, 3, 2))}
    y, last = rnn.forward(x, state, lengths=lengths)
    dx, dbefore = rnn.backward(rng.normal(size=y.shape), {"l0.S": rng.normal(size=state["l0.S"].shape)})
    return {"y": y, "last": last["l0.S"], "dx": dx, "dbefore": dbefore["l0.S"], "grad": rnn.grad.copy()}


@pytest.mark.parametrize("lengths", [None, [37, 1, 20]])
def test_layers_equal_the_steps_one_by_one(lengths, monkeypatch) -> None:
    cell = cell_of(Form("input", "parameter", has_probe=True))
    with monkeypatch.context() as patch, pure_python():
        patch.setattr("zoo.compiler.compile.find_sequence_states", lambda step_graph: step_graph)
        baseline = cell_of(cell.form)  # another class has its own kernels
        expected = results_of(layer_of(baseline), lengths)
        assert not plan_kernels(baseline).gradient.step_graph.memories
    assert form_of(cell).has_probe
    for recompute in (None, 5, 16, "sqrt"):
        for name, value in results_of(layer_of(cell, recompute), lengths).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-11, err_msg=name)
