"""Errors in ``step``: one sentence with the class, the location, the expression and its replacement."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from zoo.compiler.frontend.numpy_functions import _FUNCTION_ADVICE, _UFUNC_ADVICE
from zoo.compiler.frontend.size_checks import check_shapes
from zoo.compiler.frontend.trace_step import trace_step

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
HAS_COLUMNS = sys.version_info >= (3, 11)
Step = Callable[..., Any]


def cell(step: Step, **members: Any) -> zoo.Cell:
    """A cell with two matrices, a state, and a step; a member that is None is left out."""
    arrays = {"W": zoo.Param("I", "H"), "U": zoo.Param("H", "H"), "h": zoo.State("H")}
    given = {**arrays, "step": step, **members}
    body = {name: value for name, value in given.items() if value is not None}
    return type("Wrong", (zoo.Cell,), {"__doc__": "A cell.", "card": CARD, **body})()


def complaint(tried: zoo.Cell) -> str:
    with pytest.raises(zoo.DefinitionError) as caught:
        trace_step(tried)
    return str(caught.value)


# A user's file, into which each case inserts its code; most steps begin with `a`.
FILE = """\
import functools, math, random, time
import numba
import numpy as np
import zoo
from numpy import random as numpy_random
from numpy.random import default_rng as seeded
from random import gauss

generator = seeded(0)
LARGE, SHORT, EMPTY = np.arange(65.0), np.ones(5), np.ones(0)
compiled = numba.njit(lambda a: a)

def step(self, x, h):
    a = x @ self.W + h @ self.U
    {statement}
    return a
"""
LINE = 15

ONE_ROW = "a step sees one row"
NO_BOOL = r"step cannot branch on an array, .* write np\.where\(condition, a, b\) in place of `if`"
NO_NUMBERS = "an array has no numbers yet .* functions of NumPy in place of functions of `math`"
NO_LENGTH = (
    r"H has no value when zoo reads the equations.* np\.sqrt\(n\).* a size that must be known as an option"
)
LENGTHS_ALONE = "an expression of lengths alone has no value"
SIZES_DECIDE = "depends on the sizes.* make the choice an option"
RANDOM = "step uses random numbers, .* declare a zoo.Noise, .* or a zoo.Buffer"
CAUGHT = "step cannot branch on an array, .*; remove the `try` in step, which catches this error"
CHANGES = "step gives other equations when it is called a second time: random numbers"
NO_MEANING = "of booleans has no meaning"
NO_LOOP = r"an array of shape \(H,\) cannot be looped over or unpacked"
FOR_KERNELS = "the functions of zoo.kernels are for the numbers in a kernel"
NO_TENSOR = "(): argument \\'input\\' (position 1) must be Tensor, not SymbolicArray"
NUMPY_EYE = r"np\.eye\(n\) has a fixed size, so write zoo\.eye\(h\.shape\[-1\]\) for the size H$"
UNWRITTEN = "arrays cannot be written to"

# Code, with the quoted expression between guillemets, and the expected error.
# Python 3.12 and later know the columns of the parts of a formatted string.
FORMATTED = "text = f'«{h.mean():.2f}»'" if sys.version_info >= (3, 12) else "text = «f'{h.mean():.2f}'»"
WRONG = {
    # Truth.
    "if «a.sum() > 0»: a = h": NO_BOOL,
    "a = h if «a > 0» else a": NO_BOOL,
    "a = «a and h»": NO_BOOL,
    "a = «not a»": NO_BOOL,
    "a = «min(a, h)»": NO_BOOL,
    "a = «sorted([a, h])»": NO_BOOL,
    "a = «0.0 in a»": NO_BOOL,
    "a = a * «-(h > 0)»": f"np.negative {NO_MEANING}",
    "a = a * («(h > 0) - (a > 0)»)": f"np.subtract {NO_MEANING}",
    "a = a * «~h»": "`~` takes booleans such as h > 0; found numbers",
    "a = a * («(h > 0) & a»)": "`&` takes booleans",
    # Numbers.
    "a = a * «float(h[0])»": NO_NUMBERS,
    "a = a * «int(h[0])»": NO_NUMBERS,
    "a = «round(a)»": NO_NUMBERS,
    "a = «math.tanh(a)»": NO_NUMBERS,
    "a = «np.array([a, h])»": "put together with np.stack",
    "a = «np.sum([a, h], axis=0)»": "put together with np.stack",
    "a = «a + LARGE»": "an array of 65 numbers is in the equations, which may have up to 64; .* zoo.Buffer",
    "a = «a + EMPTY»": "an array of 0 numbers",
    "a = «a + None»": "found None where an array or a number is expected",
    "a = «np.where(a > 0, a, 'h')»": "found a str where an array or a number is expected",
    # Functions and methods.
    "a = «np.unique(a)»": r"np\.unique is not compiled; elementwise functions .* and these: all, .*where",
    "a = «np.sort(a)»": r"np\.sort is not compiled; write a \* zoo\.top_k\(a, k\), which keeps the k largest",
    "a = «np.pad(a, 1)»": r"np\.pad is not compiled; write np\.concatenate",
    "a = «np.linalg.pinv(self.U)»": r"np\.linalg\.pinv is not compiled; .* and these: .*linalg\.inv",
    "a = a @ «np.linalg.inv(self.U * h)»": r"np\.linalg\.inv is .* parameters alone, .*; found one",
    "a = a @ «np.linalg.solve(self.U * x.sum(), self.U)»": r"np\.linalg\.solve is .*depends on x",
    "a = a @ «zoo.expm(zoo.outer(h, h))»": r"zoo\.expm is compiled for a matrix that depends on parameters",
    "a = a @ «zoo.cayley(self.U * a)»": r"np\.linalg\.solve is compiled for a matrix that depends on param",
    "a = «np.linalg.solve(self.U, a)»": r"right-hand side depends .* write np\.linalg\.inv\(a\) @ b",
    "a = «np.linalg.solve(self.U, self.W)» + a": r"of shapes \(H, H\) and \(I, H\); expected a square matrix",
    "a = a @ «np.linalg.inv(self.W)»": r"np\.linalg\.inv takes one square matrix; found .* \(I, H\)",
    "a = a @ «zoo.expm(self.U[None])»": r"stack of matrices, write np\.stack\(\[zoo\.expm\(a\) for a in",
    "a = a @ «zoo.expm(self.U * 1j)».real": r"zoo\.expm of complex numbers is not compiled",
    "a = a @ «np.linalg.inv(self.U * 1j)».real": r"np\.linalg\.inv of complex numbers is not compiled",
    "a = «np.spacing(a)»": r"np\.spacing is not compiled; these are: absolute, .*tanh, and zoo's own",
    "a = a * («(a > 0) ^ (h > 0)»)": r"np\.bitwise_xor is not compiled; write a != b",
    "a = a * «np.logical_xor(a > 0, h > 0)»": r"np\.logical_xor is not compiled; write .* a != b for bool",
    "a = «a // 2»": r"np\.floor_divide is not compiled; write np\.floor\(a / b\)",
    "a = «np.maximum.reduce(a)»": r"np\.maximum\.reduce is not compiled",
    "a = «np.exp(a, where=a > 0)»": "np.exp is compiled without where; leave it out",
    "a = «a.sum(dtype=float)»": r"np\.sum is compiled as sum\(a, axis=None, keepdims=False\): .*'dtype'",
    "a = «a.sun»()": r"an array in `step` has no 'sun'; it has T, all, .*var\. Did you mean 'sum'\?",
    "a = «a.astype(int)»": "found astype to int",
    "a = «zoo.kernels.sigmoid(a)»": FOR_KERNELS,
    "a = «zoo.kernels.project(x, self.W, h)»": FOR_KERNELS,
    "a = «compiled(a)»": "a compiled function cannot take part in `step`",
    "a = «zoo.heaviside(a, 'triangel')»": "heaviside: surrogate is .* Did you mean 'triangle'",
    "a = «np.dot(a, self.U[None])»": r"np\.dot with an array of more than two axes",
    "a = «np.inner(self.U, a)»": r"np\.inner is compiled for vectors",
    "a = «np.linalg.norm(self.U, 2)»": "compiled for the Euclidean norm only",
    "a = «np.diag(self.U[None])»": r"np\.diag takes a vector or a matrix; found .* \(1, H, H\)",
    "a = «np.trace(a)»": r"take an array with at least two axes; found shape \(H,\)",
    "a = a * «np.trace(self.W)»": "the length of a diagonal, I or H, depends on the sizes",
    "a = «np.diagonal(self.U, axis1=0, axis2=0)»": "a diagonal goes along two axes; found axis 0 twice",
    "a = «np.einsum(a, [0], [0])»": r"compiled with subscripts in one string, such as 'ij,j->i'",
    "a = «np.einsum('...i,ij->...j', a, self.U)»": r"without `\.\.\.`; write a letter for each axis",
    "a = «np.einsum('i,ij->j', a)»": "are for 2 operands; found 1",
    "a = «np.einsum('ij,ij->j', a, self.U)»": r"'ij' of .* is for 2 axes; found an array of shape \(H,\)",
    "a = «np.einsum('i,ij->j', a, self.W)»": "'i' of 'i,ij->j' is H in one operand and I in another",
    "a = «np.einsum('i,ij->k', a, self.U)»": "repeats a letter or has one that no operand has",
    "a = «np.einsum('i,i!->i', a, a)»": "are not letters, commas and one '->'",
    "a = «np.triu(a.sum())»": "np.tril and np.triu take at least one axis; found a scalar",
    "a = «zoo.top_k(a, 0)» * a": r"top_k: k is 0; expected a positive integer, or a length such as h\.shape",
    "a = «zoo.top_k(a, h.shape[0] / 2)» * a": r"top_k: k is <array \(\)>; expected a positive integer",
    "a = «zoo.top_k(a, 2.5)» * a": r"top_k: k is 2\.5; expected",
    "a = «self.W(x)»": "step raised TypeError: an array is not callable",
    FORMATTED: "so the format '.2f' cannot print them; print the array without a format",
    "a = «a.reshape(-1, order='F')»": r"reshape is compiled without order; leave it out, and write a\.T\.",
    "a = «functools.lru_cache(np.tanh)(a)»": "cannot be a key of a dictionary or a cache; call the function",
    "text = «{a: 1}»": "cannot be a key",
    "a = a * («h == None»)": "found None where .*; write `is None` in place of `== None`",
    "a = «np.round(a)»": r"write np\.floor\(a \+ 0\.5\), which rounds halves up; NumPy .* even integer",
    # Writing.
    "«a[0]» = 1.0": f"{UNWRITTEN}; make a new one with np.concatenate or np.where",
    "«a += h»": rf"{UNWRITTEN}; write `a = a \+ b` in place of `a \+= b`",
    "a = «np.tanh(a, out=a)»": UNWRITTEN,
    # Shapes.
    "a = «x + a»": r"shapes \(I,\) and \(H,\) do not fit each other",
    "a = «x * self.W»": r"one of them 1; a product of a vector and a matrix is \(I,\) @ \(I, H\)$",
    "a = «self.W + x»": r"a product of a vector and a matrix is \(I,\) @ \(I, H\)$",
    "a = «x @ self.U» + h": r"\(I,\) @ \(H, H\): the last axis of the first must be H$",
    "a = «self.W @ x»": r"must be I; write the factors in the other order, \(I,\) @ \(I, H\)",
    "a = «h @ self.W.T.T» + h": r"must be I; write the factors in the other order, \(I, H\) @ \(H,\)",
    "a = (x @ self.W\n        + «h @ self.W»)": r"\(H,\) @ \(I, H\)",
    "a = «2.0 @ a»": r"takes no single numbers; write \* instead",
    "a = «a + SHORT»": r"shapes \(H,\) and \(5,\)",
    "a = «a.sum(axis=1)»": f"found axis 1 of an array with 1 axis; {ONE_ROW}",
    "a = «a[:, 0]»": rf"2 indices into an array of shape \(H,\); {ONE_ROW}",
    "n = «h.shape[1]»": f"step raised IndexError: tuple index out of range; {ONE_ROW}",
    "«rows, units» = h.shape": f"step raised ValueError: not enough values .*{ONE_ROW}",
    "«i, f» = zoo.split(self.U, 3)": "there are (more than 2|3) values for 2 names; write one name for each",
    "«i, f, g, o» = zoo.split(self.U, 3)": "there are 3 values for 4 names; write one name for each part",
    "a = «-zoo.split(a, 2)»": "bad operand type for unary -: 'list'; zoo.split and np.split return a list",
    "a = a + «np.eye(4) @ h»": rf"the last axis of the first must be H; {NUMPY_EYE}",
    "a = a + «h @ np.identity(4)»": rf"the last axis of the first must be 4; {NUMPY_EYE}",
    "a = a + «np.eye(4) * h»": rf"axes must be equal, or one of them 1; {NUMPY_EYE}",
    "a = «a.sum(axis='H')»": "the axis is a str; expected an integer",
    "a = «a.reshape(3, 7)»": r"\(H,\) cannot be reshaped to \(3, 7\)",
    "a = «a.reshape(x.shape[0], -1)»": r"cannot be reshaped to \(I, -1\) for every I and H",
    "a = «a.reshape(-1, -1)»": "only one length can be -1",
    "a = «zoo.split(a[:3], 2)»": "an axis of length 3 cannot be split into 2 equal parts",
    "a = «zoo.split(a, 0)»": "found 0 parts to split into",
    "a = «np.concatenate([a, self.W])»": "axis 0; they have 1 and 2 axes, add one",
    "a = «np.stack([a, x])»": r"shapes \(H,\) and \(I,\) cannot be stacked",
    "a = «np.squeeze(a, axis=0)»": "has not length 1",
    "a = «a.reshape(2, -1).transpose(0, 0)»": "are no order of 2 axes",
    # Indices.
    "a = «a[[0, 1]]»": "found a list as an index; expected integers, slices",
    "a = «a[a > 0]»": r"found an array as an index; .* np\.sum\(a \* mask\), with a mask such as",
    "a = «a[::2] + a»": r"shapes \(H // 2,\) and \(H,\) do not fit",
    "a = «a[::0]»": "the step of a slice is 0; expected an integer other than zero",
    "a = «a[:: h.shape[0]]»": "the step of a slice is H; expected an integer other than zero",
    "a = «a[:3][3::-1]»": "index 3 lies beyond an axis of length 3",
    "a = «a[:3][0:1:-1]»": "the slice from 0 to 1 of an axis of length 3 is empty",
    "a = «a[:3][4]»": "index 4 lies beyond an axis of length 3",
    "a = «a[:3][-4]»": "index -4 lies beyond an axis of length 3",
    "a = «a[:3][2:1]»": "the slice from 2 to 1 of an axis of length 3 is empty",
    "a = «a[..., ...]»": "one `...` only",
    "a = «a[: h.shape[0] / 2]»": "found an array where a length is expected; .* //",
    # Lengths.
    "for _ in «range(h.shape[0])»: a = np.tanh(a)": NO_LENGTH,
    "a = sum(«list(a)»)": NO_LOOP,
    "a = a * «sum(a)»": NO_LOOP,
    "a = np.stack([b * c for b, c in «zip(a, h)»])": NO_LOOP,
    "a = a * «len(a)»": r"the length of an array of shape \(H,\) depends on the sizes.* write h\.shape\[0\]",
    "del «a[0]»": UNWRITTEN,
    "«i, f» = a": r"divide it with zoo\.split",
    "a = sum(«list(a[0])»)": "a single number has no length",
    "a = a + «np.zeros(h.shape)»": NO_LENGTH,
    "a = a + «np.zeros(h.shape[0])»": NO_LENGTH,
    "a = a / «math.sqrt(h.shape[0])»": NO_LENGTH,
    "a = a + «np.arange(h.shape[0])»": LENGTHS_ALONE,
    "if «h.shape[0] % 2 == 0»: a = h": LENGTHS_ALONE,
    "if «x.shape == h.shape»: a = h": f"whether I == H {SIZES_DECIDE}",
    "if «h.shape[0] > 8»: a = h": f"whether H > 8 {SIZES_DECIDE}",
    "assert «a.shape == (16,)»": f"whether H == 16 {SIZES_DECIDE}, and remove an assertion",
    "a = a[: «h.shape[0] // x.shape[0]»]": "H cannot be divided by I for every I and H",
    # Complex numbers.
    "a = «np.tanh(a * 1j)»": r"np\.tanh of complex numbers is not compiled; take their \.real and \.imag",
    "a = «a * 1j > 0»": r"np\.greater of complex numbers",
    "a = «(a * 1j).max()»": r"np\.max of complex numbers",
    "a = «(a * 1j) ** 0.5»": "powers of complex numbers are compiled for the exponents",
    "a = «np.cumsum(1j * a, axis=2)»": "found axis 2 of an array with 1 axis",
    # Attributes.
    "a = x @ «self.Wq»": r"the class declares no 'Wq', did you mean 'W'; it declares W, U",
    "a = a / «self.hidden_size»": r"write h\.shape\[-1\] for this length$",
    "a = a / «self.I»": r"write x\.shape\[-1\] for this length$",
    "a = a[: «H»]": r"name 'H' is not defined; write h\.shape\[-1\] for the length H$",
    "a = a / «I»": r"name 'I' is not defined; write x\.shape\[-1\] for the length I$",
    "a = «a + self.h»": "the declaration of 'h' is used in place of its value; a state or input is the",
    # What varies.
    "«a = a + np.random.rand()»": RANDOM,
    "«a = a * np.random.rand(*h.shape)»": RANDOM,
    "«a = a + np.random.default_rng(0).normal()»": RANDOM,
    "«np.random.seed(0)»\n    a = a + np.random.normal()": RANDOM,
    "«a = a + np.random.RandomState(1).rand(3)»": RANDOM,
    "«rng = numpy_random.default_rng(0)»\n    a = a * rng.normal()": RANDOM,
    "«from numpy.random import default_rng»\n    a = a * default_rng(0).normal()": RANDOM,
    "«a = a + seeded(0).normal()»": RANDOM,
    "«a = a * generator.normal()»": RANDOM,
    "«a = a * random.random()»": RANDOM,
    "«a = a * random.Random(0).gauss(0, 1)»": RANDOM,
    "«a = a * gauss(0, 1)»": RANDOM,
    "try: a = a if «h[0] > 0» else -a\n    except Exception: pass": CAUGHT,
    "try: a = a * math.exp(«float(h[0])»)\n    except Exception: pass": "no numbers yet .*remove the `try`",
    "try: a = a + h if «x.shape[0] > 2» else a\n    except Exception: a = h": "sizes.*; remove the `try`",
    "a = «a * time.perf_counter()»": CHANGES,
    "self.t = getattr(self, 't', 0) + 1; a = «a * self.t»": CHANGES,
    # The author's own errors.
    "«raise ValueError('heads must divide H.\\nAnd more.')»": "step raised ValueError: heads must divide H$",
    "a = a * «undefined»": "step raised NameError: name 'undefined' is not defined$",
    "a = «sigmoid»(a)": r"NameError: name 'sigmoid' is not defined; did you mean zoo\.sigmoid\?$",
    "a = «cosh»(a)": r"name 'cosh' is not defined; did you mean np\.cosh\?$",
    "a = «functions»(a)": "name 'functions' is not defined$",
    "a = x @ «W»": r"name 'W' is not defined; did you mean self\.W\?$",
    "a = «np.tahn»(a)": r"has no attribute 'tahn'; did you mean tanh\?$",
    "a = «np.sigmoid»(a)": r"has no attribute 'sigmoid'; did you mean zoo\.sigmoid\?$",
    "a = «np.softplus»(a)": r"has no attribute 'softplus'; did you mean zoo\.softplus\?$",
    # The text of PyTorch, which the tests do not need.
    f"«raise TypeError('tanh{NO_TENSOR}')»": r"functions of PyTorch are not compiled; write np\.tanh$",
    f"«raise TypeError('softplus{NO_TENSOR}')»": r"of PyTorch are not compiled; write zoo\.softplus$",
    f"«raise TypeError('celu{NO_TENSOR}')»": "are not compiled; write the function of NumPy or zoo$",
    "a = «zoo.sigmod»(a)": r"module 'zoo' has no attribute 'sigmod'\. Did you mean 'sigmoid'\?$",
    # What is returned.
    "«return np.tile(a, 2)»": r"returns state 'h' with shape \(2 \* H,\); expected \(H,\), as it is declared",
    "«return a.sum()»": r"returns state 'h' with shape \(\)",
    "«return a * 1j»": "returns complex numbers for state 'h'; declare it with complex=True",
    "«return a, h»": r"step returns 2 values; expected `return zoo\.Output\(y, h\)`, an output and then the "
    "new states in the order of declaration$",
    "«return a, h, h»": "step returns 3 values; expected `return h`, the new states in",
    "«return zoo.Output(a)»": r"step returns 0 new states; expected `return zoo\.Output\(y, h\)`",
    "«return [a]»": "step returns a list; expected `return h`",
    "name = 'h'; «return name»": "step returns a str as state 'h'; expected an array",
    "«return zoo.Output(self.U * x[0], a)»": r"the output of step is an array of shape \(H, H\)",
    "«return zoo.Output(a * 1j, a)»": r"the output of step is complex numbers of shape \(H,\)",
    "«return zoo.Output(0.0, a)»": "the output of step is a float; expected a real vector",
}


def written(statement: str, directory: Path) -> Step:
    """The step of a user's file."""
    path = directory / "users.py"
    path.write_text(FILE.format(statement=statement), encoding="utf-8")
    members: dict[str, Any] = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), members)
    return members["step"]


@pytest.mark.parametrize("statement", WRONG)
def test_error_is_one_sentence_with_location(statement: str, tmp_path: Path) -> None:
    before, expression, _ = re.split("[«»]", statement)
    line = LINE + before.count("\n")
    text = complaint(cell(written(re.sub("[«»]", "", statement), tmp_path)))
    match = re.fullmatch(rf"cell class Wrong \([\w.]+\): users\.py:{line}, in `(.*?)`: (.*)[.?]", text)
    assert match, text
    assert re.search(WRONG[statement], match[2] + text[-1].strip(".")), text
    # Without columns (Python 3.10) all of the line is quoted.
    assert match[1] == expression if HAS_COLUMNS else expression in match[1]


# Cases with a class of their own.


COSINES, SINES = (f"np.{name}(np.pi / 2 * np.outer(np.arange(4), np.arange(4)))" for name in ("cos", "sin"))
REPLACED = {
    "np.append(a, h)": "np.concatenate([a, h])",
    "np.apply_along_axis(np.sum, 0, self.U)": "np.sum(self.U, axis=0)",
    "np.around(a)": "np.floor(a + 0.5)",
    "np.array_equal(a, h)": "np.all(a == h)",
    "np.array_split(a, [1])[0]": "np.split(a, [1])[0]",
    "np.convolve(a, h[:2], 'valid')": "h[0] * a[1:] + h[1] * a[:-1]",
    "np.correlate(a, h[:2])": "h[0] * a[:-1] + h[1] * a[1:]",
    "np.ediff1d(a)": "a[1:] - a[:-1]",
    "np.empty_like(a) * 0": "np.zeros_like(a)",
    "np.fix(a)": "np.sign(a) * np.floor(np.abs(a))",
    "np.isclose(a, h)": "np.abs(a - h) < 1e-5",
    "np.nansum(a)": "np.sum(np.where(np.isnan(a), 0.0, a))",
    "np.round(a)": "np.floor(a + 0.5)",
    "np.sinc(a)": "np.sin(np.pi * a) / (np.pi * a)",
    "zoo.top_k(np.arange(4) == np.argmax(a), 1)": "zoo.top_k(a, 1)",
    "zoo.top_k(np.arange(4) == np.argmin(a), 1)": "zoo.top_k(-a, 1)",
    "np.average(a, weights=h / np.sum(h))": "np.sum(a * h / np.sum(h))",
    "np.column_stack([a, h])": "np.stack([a, h], axis=1)",
    "np.count_nonzero(a > 0)": "np.sum(np.where(a > 0, 1.0, 0.0))",
    "np.diff(a)": "a[1:] - a[:-1]",
    "np.hsplit(a, 2)[0]": "np.split(a, 2)[0]",
    "np.kron(a, h)": "(a[:, None] * h[None, :]).reshape(-1)",
    "np.linalg.matrix_power(self.U, 2)": "self.U @ self.U",
    "np.linalg.multi_dot([self.U, self.U, a])": "self.U @ self.U @ a",
    "np.nan_to_num(a)": "np.where(np.isnan(a), 0.0, a)",
    "np.pad(a, (1, 0))": "np.concatenate([np.zeros_like(a[:1]), a])",
    "np.piecewise(a, [a < 0], [0.0, 1.0])": "np.where(a < 0, 0.0, 1.0)",
    "np.ptp(a)": "np.max(a) - np.min(a)",
    "np.select([a > 0, h > 0], [a, h], 0.5)": "np.where(a > 0, a, np.where(h > 0, h, 0.5))",
    "np.take(a, 1)": "a[1]",
    "np.take_along_axis(a, np.argmax(h)[None], 0)": "np.sum(a * zoo.top_k(h, 1))",
    "np.sum(np.sort(a)[-2:])": "np.sum(a * zoo.top_k(a, 2))",
    "np.sum(np.partition(a, 2)[2:])": "np.sum(a * zoo.top_k(a, 2))",
    "np.sum(a * (np.argsort(np.argsort(a)) >= 2))": "np.sum(a * zoo.top_k(a, 2))",
    "np.sum(a * (np.argsort(np.argpartition(a, 2)) >= 2))": "np.sum(a * zoo.top_k(a, 2))",
    "np.median(a)": "(np.sum(a * zoo.top_k(a, 3)) - np.sum(a * zoo.top_k(a, 1))) / 2",
    "np.quantile(a, 1 / 3)": "np.sum(a * zoo.top_k(a, 3)) - np.sum(a * zoo.top_k(a, 2))",
    "np.percentile(a, 100)": "np.sum(a * zoo.top_k(a, 1))",
    "np.searchsorted(np.cumsum(np.exp(a)), 1.5)": "np.sum(np.where(np.cumsum(np.exp(a)) < 1.5, 1.0, 0.0))",
    "np.fft.fft(a).real": f"a @ {COSINES}",
    "np.fft.ifft(a).imag": f"a @ {SINES} / 4",
    "np.fft.rfft(a).real": f"(a @ {COSINES})[:3]",
    "np.fft.irfft(a[:3], 4)[0]": "(a[0] + 2 * a[1] + a[2]) / 4",
    "np.tensordot(a, self.U, 1)": "a @ self.U",
    "np.vdot(a, h)": "np.sum(a * h)",
    "np.vsplit(self.U, 2)[0]": "np.split(self.U, 2, axis=0)[0]",
}


if hasattr(np, "cumulative_sum"):  # NumPy 2.1
    REPLACED |= {"np.cumulative_sum(a)": "np.cumsum(a)", "np.cumulative_prod(a)": "np.cumprod(a)"}
UFUNCS = {name: getattr(np, name) for name in _UFUNC_ADVICE if hasattr(np, name)}
UNARY = "arcsinh cbrt deg2rad degrees isinf rad2deg radians rint signbit tan trunc"
BINARY = "arctan2 copysign divmod floor_divide fmax fmin fmod logaddexp2 logical_xor vecdot"
OPERANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(UNARY.split(), ("a",)),
    **dict.fromkeys(BINARY.split(), ("a", "h")),
    **dict.fromkeys(("arccos", "arcsin", "arctanh"), ("np.tanh(a)",)),
    "arccosh": ("1 + np.exp(a)",),
    "bitwise_xor": ("(a > 0)", "(h > 0)"),
    "ldexp": ("(a > 0) * 1", "(h > 0) * 1"),
    "matvec": ("self.U", "h"),
    "vecmat": ("h", "self.U"),
}
"""Expressions of the operands of each function."""


def ufunc_cases() -> Iterator[tuple[str, str]]:
    """Each function of the table with operands, and the expression that replaces it."""
    for name, operands in OPERANDS.items():
        if name in UFUNCS:
            words = dict(zip("ab", operands, strict=False))
            replacement = re.sub(
                r"(?<![\w.])[ab]\b",
                lambda match, words=words: f"({words[match[0]]})",
                _UFUNC_ADVICE[name].expression,
            )
            first = "[0]" if UFUNCS[name].nout == 2 else ""
            yield f"np.{name}({', '.join(operands)}){first}", f"({replacement}){first}"


EDGES: dict[str, list[tuple[float, ...]]] = {
    "arccos": [(-1.0,), (-0.9999,), (0.9999,), (1.0,)],
    "arccosh": [(1.0,), (1.0001,), (1e3,)],
    "arcsin": [(-1.0,), (-0.9999,), (0.9999,), (1.0,)],
    "arcsinh": [(-1e3,), (-1e-5,), (0.0,), (1e-5,), (1e3,)],
    "arctan2": [(0.0, -1.0), (1e-3, -1.0), (-1e-3, -1.0), (-1.0, 0.0), (1.0, 0.0), (0.0, 1.0)],
    "arctanh": [(-1.0,), (1e-5,), (1.0,)],
    "cbrt": [(-8.0,), (0.0,)],
}


@pytest.mark.parametrize("name", EDGES)
def test_replacement_at_the_edges_of_a_function(name: str) -> None:
    for operands in EDGES[name]:
        values = [np.float32(each) for each in operands]
        scope = {"np": np, **dict(zip("ab", values, strict=False))}
        with np.errstate(divide="ignore"):
            actual = eval(_UFUNC_ADVICE[name].expression, scope)
            expected = UFUNCS[name](*map(np.float64, values))
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7 if expected == 0 else 0)


REPLACED |= dict(ufunc_cases())


def test_every_replacement_of_a_function_is_tested() -> None:
    tested = {name for each in REPLACED for name in re.findall(r"np\.[\w.]+", each)}
    expected = {*_FUNCTION_ADVICE, *(f"np.{name}" for name in UFUNCS)}
    assert {each for each in expected if hasattr(np, each.split(".")[1])} <= tested


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated:DeprecationWarning")  # in NumPy 2.5
@pytest.mark.parametrize(("function", "replacement"), REPLACED.items())
def test_advised_function_equals_the_one_that_is_not_compiled(function: str, replacement: str) -> None:
    members = {"W": zoo.Param("I", 4), "U": zoo.Param(4, 4), "h": zoo.State(4)}

    def step_of(expression: str) -> Step:
        result = f"zoo.Output(a, a + np.sum({expression}))"
        source = f"def step(self, x, h):\n    a = x @ self.W + h @ self.U\n    return {result}"
        scope: dict[str, Any] = {"np": np, "zoo": zoo}
        exec(source, scope)
        return scope["step"]

    assert re.search(r": np\..* is not compiled; write ", complaint(cell(step_of(function), **members)))
    trace_step(cell(step_of(replacement), **members))
    rng = np.random.default_rng(0)
    arrays = types.SimpleNamespace(U=rng.normal(size=(4, 4)))
    a, h = rng.normal(size=(2, 4))
    a[0] = np.nan if "isnan" in replacement else a[0]
    scope = {"np": np, "zoo": zoo, "self": arrays, "a": a, "h": h}
    expected, actual = (np.asarray(eval(text, scope), float) for text in (function, replacement))
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)


def both(self: Any, x: Any, h: Any) -> Any:
    return x @ self.W + h @ self.U


def test_too_few_new_states_raise() -> None:
    def step(self: Any, x: Any, h: Any, c: Any) -> Any:
        return both(self, x, h) * c

    assert complaint(cell(step, c=zoo.State("H"))).endswith(
        "in `return both(self, x, h) * c`: step returns an array; expected `return h, c`, the new states in "
        "the order of declaration."
    )


def test_missing_return_raises() -> None:
    def step(self: Any, x: Any, h: Any) -> None:
        both(self, x, h)

    line = step.__code__.co_firstlineno
    assert f"test_source_errors.py:{line}, in step: step returns None; expected" in complaint(cell(step))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (zoo.State("H", "H"), "State(H, H); return zoo.Output(y, S)"),
        (zoo.State("H", complex=True), "State(H) of complex numbers; return zoo.Output(y, S)"),
    ],
)
def test_first_state_must_be_a_vector(state: zoo.State, message: str) -> None:
    def step(self: Any, x: Any, S: Any) -> Any:
        return S * (x @ self.W)

    text = complaint(cell(step, h=None, U=None, S=state))
    assert f"the first state 'S' would be the output, and it is no real vector but {message}" in text


def test_unused_declaration_raises() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        _unused = h @ self.U
        return np.tanh(x @ self.W + h)

    assert "nothing that step returns depends on parameter 'U'; use self.U, or remove" in complaint(
        cell(step)
    )
    assert "depends on buffer 'K'" in complaint(cell(both, K=zoo.Buffer("H", init="ones")))


def test_empty_array_raises() -> None:
    text = complaint(cell(lambda self, x, h: both(self, x, h) * h[:0].sum()))
    assert "step has an array of shape (0,), which is empty; leave it out" in text


def test_location_of_an_empty_array() -> None:
    text = complaint(cell(lambda self, x, h: both(self, x, h) + h[2:2].sum()))
    expression = "`h[2:2]`" if HAS_COLUMNS else "in `text = complaint"
    assert expression in text
    assert text.endswith(": step has an array of shape (0,), which is empty; leave it out.")


def test_location_is_in_the_users_helper() -> None:
    def helper(a: Any) -> Any:
        return np.linalg.inv(a)

    line = helper.__code__.co_firstlineno + 1
    text = complaint(cell(lambda self, x, h: helper(h)))
    assert re.search(rf"test_source_errors\.py:{line}, in `(return )?np\.linalg\.inv\(a\)`: ", text)


def test_location_skips_the_standard_library() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        return h * statistics.fmean(both(self, x, h))

    line = step.__code__.co_firstlineno + 1
    assert f"test_source_errors.py:{line}, in `" in complaint(cell(step))


def test_long_expression_is_shortened(tmp_path: Path) -> None:
    text = complaint(cell(written(f"a = np.sort({' + '.join(['a * h'] * 20)})", tmp_path)))
    match = re.search("in `(.*)`: np.sort is not compiled", text)
    assert match
    assert match[1].endswith("…")
    assert 90 < len(match[1]) <= 100


def test_location_without_source_names_the_function() -> None:
    members: dict[str, Any] = {"np": np}
    exec("def deeper(a):\n    return np.sort(a)\n\ndef step(self, x, h):\n    return deeper(h)", members)
    assert ": <string>:2, in deeper: np.sort is not compiled" in complaint(cell(members["step"]))


def test_cause_is_kept_for_the_users_exceptions() -> None:
    with pytest.raises(zoo.DefinitionError) as caught:
        trace_step(cell(lambda self, x, h: h / self.hidden))
    assert isinstance(caught.value.__cause__, AttributeError)
    with pytest.raises(zoo.DefinitionError) as caught:
        trace_step(cell(lambda self, x, h: float(h)))
    assert caught.value.__cause__ is None


def test_hasattr_in_step_is_allowed() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        return both(self, x, h) if not hasattr(h, "cpu") and not hasattr(self, "gate") else h

    trace_step(cell(step))


def test_array_of_an_earlier_trace_raises() -> None:
    kept: list[Any] = []

    def step(self: Any, x: Any, h: Any) -> Any:
        kept.append(h)
        return both(self, x, h) + kept[0]

    trace_step(cell(step))
    assert "an array of an earlier reading of the equations is used" in complaint(cell(step))


@pytest.mark.parametrize("name", ["W", "U", "c"])
def test_assigned_declaration_raises(name: str) -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        setattr(self, name, 0.5 * getattr(self, name))
        return both(self, x, h) * self.c

    kind = "buffer" if name == "c" else "parameter"
    text = f"in step: step assigns to {kind} {name!r}; use a local variable, `{name} = ...`."
    assert complaint(cell(step, c=zoo.Buffer("H"))).endswith(text)


def test_printing_in_step_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        print(f"h is {h}", h.T.reshape((-1,), order="C"))  # noqa: T201 - as users do
        return both(self, x, h)

    trace_step(cell(step))
    assert "h is <array (H,)> <array (H,)>" in capsys.readouterr().out


def test_random_step_raises() -> None:
    choices = iter((0, 1, 0, 1))

    def step(self: Any, x: Any, h: Any) -> Any:
        a = both(self, x, h)
        return (a, np.tanh(a))[next(choices)] + np.tanh(a) + a

    assert CHANGES in complaint(cell(step))


class Settings:
    """An object with an attribute that has the name of a module."""

    random = 2.0


def draw() -> float:
    return float(np.random.default_rng(0).normal())


DRAWN = draw()


def test_location_of_random_numbers_is_in_the_users_helper() -> None:
    class Drawn(zoo.Cell):
        """A cell with random numbers in a function that a method calls."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")

        def scale(self, a: Any) -> Any:
            return a * draw()

        def step(self, x: Any, h: Any) -> Any:
            return self.scale(x @ self.W) + h

    assert "in `return float(np.random.default_rng(0).normal())`: step uses random numbers" in complaint(
        Drawn()
    )


def test_names_of_random_modules_are_allowed() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        return np.tanh(both(self, x, h)) * Settings.random * self.random * DRAWN

    trace_step(cell(step, random=zoo.Option(2.0)))


def test_caught_error_of_an_unknown_attribute_is_allowed() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        with contextlib.suppress(AttributeError):
            h = h.detach()
        return both(self, x, h)

    trace_step(cell(step))


def test_constants_raise_no_warnings() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        return both(self, x, h) + np.minimum(1.0, 1.0 / np.zeros_like(h))

    trace_step(cell(step))


@pytest.mark.parametrize("size", ["H / I", "I / (H + 1)"])
def test_non_polynomial_size_raises(size: str) -> None:
    text = complaint(cell(lambda self, x, h: both(self, x, h), V=zoo.Param(size)))
    assert f"size {size!r} of parameter 'V' cannot be compiled for every I and H" in text


# Sizes that do not fit the step.


def halves(self: Any, x: Any, h: Any) -> Any:
    a = both(self, x, h)
    return np.concatenate([a[: h.shape[0] // 2], h[h.shape[0] // 2 :]])


def five(self: Any, x: Any, h: Any) -> Any:
    return both(self, x, h) * h[:5].sum()


def fewer(self: Any, x: Any, h: Any) -> Any:
    return both(self, x, h) * np.mean(h[3:] * h[:-3])


@pytest.mark.parametrize(
    ("step", "good", "bad", "what"),
    [
        (halves, (1, 6), (1, 5), r"of shape \(H // 2,\)"),
        (five, (1, 5), (1, 4), "cuts from 0 to 5 of an axis of length H"),
        (fewer, (1, 3), (1, 2), r"(of shape \(H - 3,\)|cuts from)"),
    ],
)
def test_invalid_sizes_raise(step: Step, good: tuple[int, int], bad: tuple[int, int], what: str) -> None:
    tried = cell(step)
    check_shapes(trace_step(tried), *good)
    zoo.Recurrent(tried, *good)
    for refuse in (lambda: check_shapes(trace_step(tried), *bad), lambda: zoo.Recurrent(tried, *bad)):
        sizes = rf"for I={bad[0]}, H={bad[1]}; choose other sizes, for example H={good[1]}\."
        pattern = rf"cell 'wrong': test_source_errors\.py:\d+, in `.*`: step .*{what}.* {sizes}"
        with pytest.raises(zoo.UsageError, match=pattern):
            refuse()


# The command line.

IN_A_FILE = '''
import numpy as np
import zoo


def gate(a):
    if a > 0:
        return a
    return np.tanh(a)


class Mine(zoo.Cell):
    """A cell with an `if`."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    W = zoo.Param("I", "H", help="input to hidden")
    U = zoo.Param("H", "H", help="hidden to hidden")
    h = zoo.State("H", help="hidden units")

    def step(self, x, h):
        return gate(x @ self.W + h @ self.U)
'''


def zoo_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zoo", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", [("check",), ("train", "--steps", "2", "--cell"), ("show", "--source")])
def test_command_line_reports_the_error(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(IN_A_FILE, encoding="utf-8")
    result = zoo_command(*command, "mine.py:Mine", cwd=tmp_path)
    text = result.stdout + result.stderr
    assert result.returncode != 0
    assert "Traceback" not in text
    quoted = "a > 0" if HAS_COLUMNS else "if a > 0:"
    assert f"mine.py:7, in `{quoted}`: step cannot branch on an array" in " ".join(text.split())


def test_command_line_reports_a_wrong_signature(tmp_path: Path) -> None:
    text = IN_A_FILE.replace("step(self, x, h)", "step(self, x, state)")
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    result = zoo_command("check", "mine.py:Mine", cwd=tmp_path)
    text = " ".join((result.stdout + result.stderr).split())
    assert result.returncode != 0
    assert "Traceback" not in text
    assert "step(self, x, state) does not take what the class declares; expected step(self, x, h)" in text
