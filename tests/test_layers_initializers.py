"""How parameters start: by name or by a function of the cell's own, from the seed and the place alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

import zoo
from zoo.errors import UsageError
from zoo.layers import Recurrent
from zoo.layers.initializers import NAMES, initialize

SHAPE = (60, 240)
MATRICES = ["fan_in_uniform", "glorot_uniform", "hidden_uniform", "lecun_normal", "orthogonal"]


def start(init, shape=SHAPE, seed=0, place=(0, 0)):
    declared = zoo.Param(*shape, init=init)
    declared.name = "W"
    return initialize(declared, shape, seed, place, "cell 'mine'")


@pytest.mark.parametrize("name", NAMES)
def test_shape_dtype_and_finiteness(name):
    for shape in ((7, 3), (3, 7), (5, 5), (1, 1), (2, 8)):
        value = start(name, shape)
        assert (value.shape, value.dtype) == (shape, np.float64), shape
        assert np.isfinite(value).all()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "orthogonal"])
def test_vectors_and_blocks_have_a_start_too(name):
    assert start(name, (9,)).shape == (9,)
    assert start(name, (2, 3, 4)).shape == (2, 3, 4)


def test_constants():
    assert (start("zeros") == 0).all()
    assert (start("ones") == 1).all()
    assert start("zeros", ()).shape == ()


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("glorot_uniform", math.sqrt(6 / (60 + 240))),
        ("hidden_uniform", 1 / math.sqrt(240)),
        ("fan_in_uniform", 1 / math.sqrt(60)),
    ],
)
def test_uniform_within_its_limit(name, limit):
    value = start(name)
    assert abs(value).max() <= limit
    assert abs(value).max() > 0.999 * limit  # 14,400 draws come that near
    assert abs(value.mean()) < 4 * limit / math.sqrt(3 * value.size)  # four standard errors
    assert value.std() == pytest.approx(limit / math.sqrt(3), rel=0.02)


def test_normal_with_its_deviation():
    value = start("lecun_normal")
    assert value.std() == pytest.approx(1 / math.sqrt(60), rel=0.02)
    assert abs(value.mean()) < 4 * value.std() / math.sqrt(value.size)
    # The fourth moment of a normal distribution is 3 times the square of its variance; a uniform's is 1.8.
    assert (value**4).mean() == pytest.approx(3 * value.var() ** 2, rel=0.1)


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (5, 1), (1, 1)])
def test_orthogonal_rows_or_columns(shape):
    value = start("orthogonal", shape)
    gram = value.T @ value if shape[0] >= shape[1] else value @ value.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-13)


def test_stacked_gates_are_orthogonal_block_by_block_and_differ():
    blocks = np.split(start("orthogonal", (8, 32)), 4, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-13)
    assert not np.array_equal(blocks[0], blocks[1])


def test_orthogonal_matrices_are_drawn_uniformly():
    """Without the sign correction the first diagonal entry would always have one sign."""
    signs = [np.sign(start("orthogonal", (3, 3), seed)[0, 0]) for seed in range(60)]
    assert 12 < signs.count(1.0) < 48


@pytest.mark.parametrize("name", MATRICES)
def test_seed_and_place_alone_decide(name):
    first = start(name, seed=3, place=(1, 2))
    np.random.default_rng().normal()
    np.testing.assert_array_equal(start(name, seed=3, place=(1, 2)), first)
    for seed, place in ((4, (1, 2)), (3, (0, 2)), (3, (1, 1))):
        assert not np.array_equal(start(name, seed=seed, place=place), first), (seed, place)


def test_a_model_starts_from_its_seed_in_either_dtype():
    double = Recurrent("vanilla", 5, 6, 2, dtype="float64", seed=9)
    single = Recurrent("vanilla", 5, 6, 2, dtype="float32", seed=9, threads=3)
    np.testing.assert_array_equal(single.theta, double.theta.astype(np.float32))
    assert not np.array_equal(double.theta, Recurrent("vanilla", 5, 6, 2, dtype="float64", seed=10).theta)


def test_a_function_of_the_cells_own():
    value = start(lambda rng, shape: rng.integers(0, 9, shape), (3, 4))
    np.testing.assert_array_equal(value, start(lambda rng, shape: rng.integers(0, 9, shape), (3, 4)))
    assert value.shape == (3, 4)


@pytest.mark.parametrize(
    ("init", "shape", "words"),
    [
        ("orthogonl", (2, 2), r"asks for the initializer 'orthogonl'; .* Did you mean 'orthogonal'\?"),
        ("orthogonal", (4,), r"has shape \(4,\); the initializer 'orthogonal' needs a matrix"),
        ("orthogonal", (2, 3, 4), "needs a matrix"),
        (
            "glorot_uniform",
            (),
            r"has shape \(\); the initializer 'glorot_uniform' needs at least one dimension",
        ),
        (
            lambda rng, shape: np.zeros(3),
            (2, 2),
            r"returned float64\(3,\); expected finite numbers of shape \(2, 2\)",
        ),
        (lambda rng, shape: np.full(shape, np.nan), (2, 2), "expected finite numbers"),
        (lambda rng, shape: np.full(shape, -np.inf), (2, 2), "expected finite numbers"),
        (lambda rng, shape: None, (2, 2), r"returned object\(\)"),
        (lambda rng, shape: np.full(shape, "a"), (2, 2), "expected finite numbers"),
    ],
)
def test_what_is_no_start(init, shape, words):
    with pytest.raises(UsageError, match=f"cell 'mine': parameter 'W'.*{words}"):
        start(init, shape)
