"""Sizes as polynomials: statements about all I and H hold for each."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.base.size_expr import SizeExpr
from zoo.compiler.frontend.symbolic import SymbolicLength, as_length, symbolic_length
from zoo.compiler.ir.dims import Dim, as_dim, dim_of, letter, product
from zoo.compiler.ir.graph import Graph

I, H = letter("I"), letter("H")  # noqa: E741 - the letter itself
ENVS = [{"I": i, "H": h} for i in (1, 2, 3, 7) for h in (1, 2, 5, 12)]
DIMS = st.recursive(
    st.sampled_from([I, H, *map(as_dim, (-2, 0, 1, 3))]),
    lambda dims: st.builds(lambda a, b, sign: a * b if sign else a - b, dims, dims, st.booleans()),
    max_leaves=5,
)


def values(dim: Dim) -> list[Fraction]:
    return [dim.evaluate(env) for env in ENVS]


@given(a=DIMS, b=DIMS)
def test_arithmetic_matches_evaluated_values(a: Dim, b: Dim) -> None:
    pairs = list(zip(values(a), values(b), strict=True))
    assert values(a + b) == [x + y for x, y in pairs]
    assert values(a - b) == [x - y for x, y in pairs]
    assert values(a * b) == [x * y for x, y in pairs]


@given(a=DIMS, b=DIMS, heads=st.integers(1, 9))
def test_quotients_of_options_match_fractions(a: Dim, b: Dim, heads: int) -> None:
    quotient = a.divide(letter("heads"))
    assert quotient is not None
    for env in ENVS:
        expected = a.evaluate(env) / heads + b.evaluate(env)
        assert (quotient + b).evaluate({**env, "heads": heads}) == expected


@given(a=DIMS, b=DIMS)
def test_equal_polynomials_are_equal_objects(a: Dim, b: Dim) -> None:
    assert a + b == b + a
    assert hash(a * b) == hash(b * a)
    assert a - a == as_dim(0)


@given(a=DIMS, b=DIMS)
def test_quotient_times_divisor_is_dividend(a: Dim, b: Dim) -> None:
    quotient = a.divide(b)
    if quotient is not None and b != as_dim(0):
        assert quotient * b == a
    if len(b.terms) == 1:
        assert (a * b).divide(b) == a


@given(a=DIMS, b=st.sampled_from([as_dim(2), as_dim(3), H, as_dim(2) * I]))
def test_floor_divide_matches_python(a: Dim, b: Dim) -> None:
    quotient = a.floor_divide(b)
    if quotient is not None:
        for result, x, y in zip(values(quotient), values(a), values(b), strict=True):
            assert result == x // y or result.denominator != 1


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (H, as_dim(2), "H // 2"),
        (H * as_dim(2) + as_dim(1), as_dim(2), "H"),
        (as_dim(7), as_dim(2), "3"),
        (as_dim(4) * H, H, "4"),
        (H, I, "None"),
        (H + I, H + I, "1"),
        (H, as_dim(0), "None"),
    ],
)
def test_floor_divide_examples(a: Dim, b: Dim, expected: str) -> None:
    assert str(a.floor_divide(b)) == expected


@given(dim=DIMS)
def test_signs_cover_all_values(dim: Dim) -> None:
    signs = {(value > 0) - (value < 0) for value in values(dim)}
    assert signs <= dim.signs()


@pytest.mark.parametrize(
    ("dim", "signs"),
    [
        (as_dim(0), {0}),
        (as_dim(-3), {-1}),
        (H, {1}),
        (H - as_dim(1), {0, 1}),
        (H - as_dim(2), {-1, 0, 1}),
        (as_dim(1) - H * I, {-1, 0}),
        (as_dim(0) - H, {-1}),
        (H - I, {-1, 0, 1}),
    ],
)
def test_signs_examples(dim: Dim, signs: set[int]) -> None:
    assert dim.signs() == signs


@given(dim=DIMS)
def test_str_is_python_code(dim: Dim) -> None:
    for env, value in zip(ENVS, values(dim), strict=True):
        assert eval(str(dim), {"__builtins__": {}}, dict(env)) == value


def test_str_of_fractions() -> None:
    half = H.divide(as_dim(2))
    assert half is not None
    assert str(half) == "H // 2"
    assert str(half + as_dim(1)) == "(H + 2) // 2"
    assert str(half * as_dim(3)) == "(3 * H) // 2"


def test_integer_and_letters_properties() -> None:
    assert (as_dim(0).integer, as_dim(5).integer, H.integer) == (0, 5, None)
    assert (H * I + as_dim(1)).letters == {"H", "I"}
    assert product([H, as_dim(2), I]) == as_dim(2) * H * I
    assert product([]) == as_dim(1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("4H", "4 * H"),
        ("I+H", "H + I"),
        ("H/heads", "H // 4"),
        ("2(H - 1)", "2 * H - 2"),
        ("heads", "4"),
        ("H/I", "None"),
    ],
)
def test_declared_size_with_options(size: str, expected: str) -> None:
    assert str(dim_of(SizeExpr(size), {"heads": 4, "rate": 0.5})) == expected


# Symbolic lengths.


def length(dim: Dim) -> int | SymbolicLength:
    return symbolic_length(Graph(), dim)


def test_constant_length_is_an_integer() -> None:
    assert length(as_dim(3)) == 3
    assert isinstance(length(as_dim(3)), int)
    assert isinstance(length(H) * 0, int)


@given(a=DIMS, b=DIMS)
def test_symbolic_length_arithmetic_matches_dims(a: Dim, b: Dim) -> None:
    first, second = length(a), length(b)
    assert as_length(first + second) == a + b
    assert as_length(first - second) == a - b
    assert as_length(first * second) == a * b
    assert as_length(-first) == as_dim(0) - a


def test_length_comparison_needs_one_result_for_all_sizes() -> None:
    n = length(H)
    assert n > 0
    assert n >= 1
    assert not n < 1
    assert n != 0
    assert n + 1 > n
    assert n == length(H)
    assert hash(n) == hash(length(H))
    assert repr(2 * n + 1) == "2 * H + 1"


def test_pickled_size_has_the_hash_of_its_new_process() -> None:
    size = letter("I") * letter("H")
    hash(size)
    code = (
        "import pickle; from zoo.compiler.ir.dims import letter; "
        f"print(letter('I') * letter('H') in {{pickle.loads({pickle.dumps(size)!r})}})"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
