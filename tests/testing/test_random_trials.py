"""The settings of random trials."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from random_trials import examples


def test_explicit_examples_are_tried_first():
    tried = []

    @examples(3)
    @given(st.integers(0, 9))
    @example(123)
    @example(456)
    def collect(number):
        tried.append(number)

    collect()
    assert set(tried[:2]) == {123, 456}
    assert all(number < 10 for number in tried[2:])
    assert len(tried) == 5
