"""Initial values and option defaults of every shipped cell are those that its reference states."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import initial_distributions as distributions
import numpy as np
import pytest
from initial_values import CHOSEN, EXPECTED

import zoo
from zoo.registry import registry_of

INPUTS, HIDDEN, DRAWS = 32, 64, 8


@functools.lru_cache(maxsize=1)
def layers_of(cell):
    """Layers of all seeds, which draw all arrays of a cell."""
    return [zoo.Recurrent(cell, INPUTS, HIDDEN, dtype="float64", seed=seed) for seed in range(DRAWS)]


def draws_of(cell, name):
    """Draws of one parameter or buffer, as the step sees it: two planes are one complex array."""
    values = np.stack([{**rnn.params, **rnn.buffers}[f"l0.{name}"] for rnn in layers_of(cell)])
    declared = {**cell.params, **cell.buffers}[name]
    return values[:, 0] + 1j * values[:, 1] if declared.complex else values


def test_every_shipped_cell_has_expected_values():
    registry = registry_of(zoo.Cell)
    shipped = [name for name in registry.list() if registry.source(name).distribution == "recurrent-zoo"]
    assert list(EXPECTED) == shipped
    for name, expected in EXPECTED.items():
        assert expected.kind == CHOSEN or expected.source.startswith("https://"), name
        cell = zoo.get_cell(name)
        assert set(expected.arrays) == {*cell.params, *cell.buffers}, name
        assert set(expected.official) <= set(expected.arrays), name
        assert set(expected.official_options) <= set(expected.options), name
        if expected.official or expected.official_options:
            assert expected.deviation, name


@pytest.mark.parametrize("name", EXPECTED)
def test_option_defaults_match_reference(name):
    assert dict(zoo.get_cell(name).options) == dict(EXPECTED[name].options)


@pytest.mark.parametrize("name", EXPECTED)
def test_initial_values_match_reference(name):
    cell = zoo.get_cell(name)
    sizes = SimpleNamespace(I=INPUTS, H=HIDDEN, **cell.options)
    for array, distribution in EXPECTED[name].arrays.items():
        try:
            distribution(sizes)(draws_of(cell, array))
        except AssertionError as error:
            raise AssertionError(f"{name}, {array}: {error}") from error


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if expected.official])
def test_declared_differences_from_official_code_exist(name):
    """Otherwise zoo would have the official distribution, and the difference would not be one."""
    cell, expected = zoo.get_cell(name), EXPECTED[name]
    sizes = SimpleNamespace(I=INPUTS, H=HIDDEN, **cell.options)
    for array, distribution in expected.official.items():
        if distribution is not None:
            with pytest.raises(AssertionError):
                distribution(sizes)(draws_of(cell, array))
    for option, default in expected.official_options.items():
        assert default != expected.options[option]


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("distribution", "right", "wrong"),
    [
        (distributions.uniform(-2, 2), RNG.uniform(-2, 2, (8, 32, 64)), RNG.uniform(-1.9, 1.9, (8, 32, 64))),
        (distributions.uniform(-2, 2), RNG.uniform(-2, 2, (8, 64)), RNG.normal(0, 2 / 3**0.5, (8, 64))),
        (distributions.normal(0.5), RNG.normal(0, 0.5, (8, 32, 64)), RNG.normal(0, 0.53, (8, 32, 64))),
        (distributions.constant(1), np.ones((8, 3)), np.zeros((8, 3))),
        (distributions.exact(np.arange(3.0)), np.tile(np.arange(3.0), (8, 1)), np.tile([0.0, 1, 3], (8, 1))),
        (distributions.identity(2), np.tile(2 * np.eye(4), (8, 1, 1)), np.tile(np.eye(4), (8, 1, 1))),
        (
            distributions.orthonormal(),
            np.linalg.qr(RNG.normal(size=(8, 4, 4)))[0],
            RNG.normal(size=(8, 4, 4)) / 2,
        ),
        (
            distributions.columns(distributions.constant(0), distributions.constant(1)),
            np.tile([0.0, 1], (8, 1)),
            np.tile([1.0, 0], (8, 1)),
        ),
        (
            distributions.through(np.exp, distributions.uniform(0, 1)),
            np.log(RNG.uniform(0, 1, 999)),
            RNG.uniform(-3, 0, 999),
        ),
        (
            distributions.each(distributions.normal(1)),
            RNG.normal(size=(9, 99)) + 1j * RNG.normal(size=(9, 99)),
            RNG.normal(size=(9, 99)) + 0.7j * RNG.normal(size=(9, 99)),
        ),
    ],
)
def test_check_distinguishes_initial_distributions(distribution, right, wrong):
    distribution(right)
    with pytest.raises(AssertionError):
        distribution(wrong)
