"""The checks of arguments that other modules share."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.arguments import (
    as_directory,
    as_fraction,
    as_integer,
    as_number,
    is_number,
    missing_directory,
    short_repr,
)
from zoo.errors import UsageError


@pytest.mark.parametrize("value", [0, -3, 2.5, 10**300, np.float64(1)])
def test_finite_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [True, math.nan, math.inf, -math.inf, 10**400, "1", None, 1j, np.ones(1)])
def test_everything_else(value):
    assert not is_number(value)


@pytest.mark.parametrize("value", [0, 0.25, np.float32(0.5), np.int8(0), np.nextafter(1, 0)])
def test_fractions_become_floats(value):
    assert (type(as_fraction(value, "share")), as_fraction(value, "share")) == (float, float(value))


@pytest.mark.parametrize("value", [1, 1.0, -1e-9, np.float32(1), math.nan, math.inf, False, "0.5", None, 1j])
def test_values_that_are_no_fractions_raise(value):
    with pytest.raises(
        UsageError, match=r"^share is .*; expected a number from 0 up to, not including, 1\.$"
    ):
        as_fraction(value, "share")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "expected an integer."),
        ({"low": 1}, "expected an integer of at least 1."),
        ({"high": 9}, "expected an integer of at most 9."),
        ({"low": 1, "high": 9}, "expected an integer from 1 to 9."),
        ({"low": 1, "expected": "a positive integer, or None"}, "expected a positive integer, or None."),
    ],
)
def test_errors_state_the_range_of_integers(limits, words):
    with pytest.raises(UsageError, match=rf"^size is 2\.5; {words}$"):
        as_integer(2.5, "size", **limits)


@pytest.mark.parametrize(
    "value", [3, np.int8(3), np.float16(3), np.float32(3), np.longdouble(3), Fraction(3)]
)
def test_real_numbers_become_floats(value):
    assert (type(as_number(value, "rate")), as_number(value, "rate")) == (float, 3.0)


@pytest.mark.parametrize(
    "value", [10**400, Fraction(10**400), np.float32("inf"), math.nan, True, "3", 1j, None]
)
def test_numbers_that_no_float_holds_raise(value):
    with pytest.raises(UsageError, match=r"^rate is .*; expected a finite number\.$"):
        as_number(value, "rate")


@given(st.lists(st.sampled_from(["a", "b.txt"]), max_size=4), st.integers(0, 4))
def test_directory_below_a_file_is_named(tmp_path_factory, names, depth):
    """Whatever part of the path is a file, the message names it."""
    folder = tmp_path_factory.mktemp("out")
    above = folder.joinpath(*["x"] * depth)
    above.mkdir(parents=True, exist_ok=True)
    file = above / "file"
    file.write_text("a file")
    path = file.joinpath(*names)
    with pytest.raises(UsageError, match=r"^out is .*(a file|is a file); give a directory\.$") as error:
        as_directory(path, "out")
    if path != file:
        assert short_repr(str(file)) in str(error.value)
    assert missing_directory(path) == f"{file} is a file, not a directory; choose another name."
    absent = above / "no" / "such"
    assert as_directory(absent, "out") == absent
    assert missing_directory(absent) == f"{absent}: no such file or directory; create it first."


@pytest.mark.skipif(os.name != "posix", reason="devices are files on POSIX systems")
@pytest.mark.parametrize("names", [(), ("x",), ("x", "y")])
def test_directory_below_a_device_is_an_error(names):
    with pytest.raises(UsageError, match=r"^out is '/dev/null.* a file; give a directory\.$"):
        as_directory(Path("/dev/null", *names), "out")
