"""Named arrays in one flat vector."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zoo.layers.parameters import ArrayViews, ParameterLayout

# Sizes from one up, since no declared size is zero; `()` is a single number.
SHAPES = st.dictionaries(
    st.text("abcWxh.0", min_size=1, max_size=6),
    st.lists(st.integers(1, 4), max_size=3).map(tuple),
    min_size=1,
    max_size=6,
)


@given(SHAPES)
def test_arrays_are_contiguous_in_vector(shapes):
    layout = ParameterLayout(shapes)
    places = list(layout.slots())
    assert [name for name, _, _ in places] == list(shapes)
    assert [shape for _, _, shape in places] == list(shapes.values())
    assert [place.start for _, place, _ in places] == [0, *(place.stop for _, place, _ in places)][:-1]
    assert places[-1][1].stop == layout.size == sum(math.prod(shape) for shape in shapes.values())


@given(SHAPES)
def test_views_share_memory_with_vector(shapes):
    layout = ParameterLayout(shapes)
    vector = np.arange(layout.size, dtype=np.float64)
    views = layout.views(vector)
    assert {name: view.shape for name, view in views.items()} == shapes
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in views.values()]), vector)
    for name, place, _ in layout.slots():
        assert views[name].flags.c_contiguous, name
        views[name][...] = -1
        assert (vector[place] == -1).all(), name
    assert (vector == -1).all()


@given(SHAPES, st.floats(-5, 5))
def test_fixed_mapping_assigns_in_place(shapes, value):
    layout = ParameterLayout(shapes)
    vector = np.zeros(layout.size)
    fixed = ArrayViews(layout.views(vector))
    before = dict(fixed)
    for name in fixed:
        fixed[name] = value
    assert (vector == value).all()
    assert all(fixed[name] is view for name, view in before.items())
    assert (list(fixed), len(fixed)) == (list(shapes), len(shapes))
