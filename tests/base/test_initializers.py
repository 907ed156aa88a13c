"""Initial values of parameters, which depend on the seed and on the position of an array alone."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest

import zoo
from zoo.base.initializers import INITIALIZERS, initialize
from zoo.errors import UsageError
from zoo.layers import Recurrent

SHAPE = (60, 240)
MATRICES = ["fan_in_uniform", "glorot_uniform", "hidden_uniform", "lecun_normal", "orthogonal"]


def start(init, shape=SHAPE, seed=0, place=(0, 0)):
    declared = zoo.Param(*shape, init=init)
    declared.name = "W"
    return initialize(declared, shape, seed, place, "cell 'mine'")


@pytest.mark.parametrize("name", INITIALIZERS)
def test_shape_dtype_and_finiteness(name):
    for shape in ((7, 3), (3, 7), (5, 5), (1, 1), (2, 8)):
        value = start(name, shape)
        assert (value.shape, value.dtype) == (shape, np.float64), shape
        assert np.isfinite(value).all()


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "orthogonal"])
def test_initializers_of_vectors_and_blocks(name):
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


@pytest.mark.parametrize(
    "name", ["fan_in_uniform", "glorot_uniform", "hidden_uniform", "lecun_normal", "orthogonal"]
)
@pytest.mark.parametrize("lengths", [(40, 60), (60, 40), (50, 50), (30, 90)])
@pytest.mark.parametrize("stack", [(2,), (8,), (2, 3)])
def test_stack_starts_as_its_matrices(name, lengths, stack):
    """The scale of a matrix does not depend on the number of matrices."""
    matrices = start(name, (*stack, *lengths)).reshape(-1, *lengths)
    assert np.std(matrices) == pytest.approx(np.std(start(name, lengths)), rel=0.1)
    assert not np.allclose(matrices[0], matrices[1])
    if name == "orthogonal" and lengths != (30, 90):
        for matrix in matrices:
            gram = matrix @ matrix.T if lengths[0] <= lengths[1] else matrix.T @ matrix
            np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


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
    """The first diagonal entry would always have one sign without the sign correction."""
    signs = [np.sign(start("orthogonal", (3, 3), seed)[0, 0]) for seed in range(60)]
    assert 12 < signs.count(1.0) < 48


@pytest.mark.parametrize("name", MATRICES)
def test_seed_and_place_alone_decide(name):
    first = start(name, seed=3, place=(1, 2))
    np.random.default_rng().normal()
    np.testing.assert_array_equal(start(name, seed=3, place=(1, 2)), first)
    for seed, place in ((4, (1, 2)), (3, (0, 2)), (3, (1, 1))):
        assert not np.array_equal(start(name, seed=seed, place=place), first), (seed, place)


def test_model_starts_from_its_seed_in_either_dtype():
    double = Recurrent("vanilla", 5, 6, num_layers=2, dtype="float64", seed=9)
    single = Recurrent("vanilla", 5, 6, num_layers=2, dtype="float32", seed=9, threads=3)
    np.testing.assert_array_equal(single.theta, double.theta.astype(np.float32))
    assert not np.array_equal(
        double.theta, Recurrent("vanilla", 5, 6, num_layers=2, dtype="float64", seed=10).theta
    )


def test_custom_initializer():
    value = start(lambda rng, shape: rng.integers(0, 9, shape), (3, 4))
    np.testing.assert_array_equal(value, start(lambda rng, shape: rng.integers(0, 9, shape), (3, 4)))
    assert value.shape == (3, 4)


def start_complex(init, shape, seed=0, cell=None):
    declared = zoo.Param(*shape, init=init, complex=True)
    declared.name = "W"
    return initialize(declared, (2, *shape), seed, (0, 0), "cell 'mine'", cell)


@pytest.mark.parametrize("name", MATRICES)
def test_complex_initial_values_have_variance_of_real_ones(name):
    planes = start_complex(name, SHAPE)
    assert (planes.shape, planes.dtype) == ((2, *SHAPE), np.float64)
    np.testing.assert_allclose(planes[0] * math.sqrt(2), start(name), rtol=1e-14, atol=0)
    assert abs(planes[0] - planes[1]).max() > 0.01
    total = (planes**2).sum(axis=0).mean()
    assert total == pytest.approx((start(name) ** 2).mean(), rel=0.05)


def test_complex_constants_are_real():
    np.testing.assert_array_equal(start_complex("ones", (3, 2)), [np.ones((3, 2)), np.zeros((3, 2))])
    assert not start_complex("zeros", (3, 2)).any()
    np.testing.assert_array_equal(start_complex("ones", ()), [1, 0])


def test_custom_complex_initializer_receives_step_shape():
    shapes = []

    def init(rng, shape):
        shapes.append(shape)
        return np.exp(1j * np.arange(6).reshape(shape))

    angles = np.arange(6).reshape(2, 3)
    np.testing.assert_allclose(start_complex(init, (2, 3)), [np.cos(angles), np.sin(angles)])
    assert shapes == [(2, 3)]
    real = start_complex(lambda rng, shape: np.full(shape, 3.0), (4,))
    np.testing.assert_array_equal(real, [[3, 3, 3, 3], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("init", "words"),
    [
        (lambda rng, shape: np.zeros((2, *shape)), r"returned float64\(2, 4\); expected .* of shape \(4,\)"),
        (
            lambda rng, shape: np.full(shape, complex(0, np.inf)),
            "returned NaN or infinity; expected finite",
        ),
        ("orthogonal", r"has shape \(4,\); the initializer 'orthogonal' needs at least two"),
    ],
)
def test_invalid_complex_initializer_raises(init, words):
    with pytest.raises(UsageError, match=f"cell 'mine': parameter 'W'.*{words}"):
        start_complex(init, (4,))


def test_real_array_does_not_start_complex():
    with pytest.raises(UsageError, match=r"returned complex128\(4,\); expected finite numbers of shape"):
        start(lambda rng, shape: np.full(shape, 1j), (4,))


class Gained(zoo.Cell):
    """Has an option that says how large its weights are at first."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    gain = zoo.Option(2.0)
    W = zoo.Param("I", "H", init=lambda rng, shape, cell: np.full(shape, cell.gain))
    A = zoo.Buffer("H", init=lambda rng, shape, cell: -np.full(shape, cell.gain))
    h = zoo.State("H")

    def step(self, x, h):
        return np.tanh(x @ self.W + h * self.A)


def test_initializer_with_three_arguments_receives_cell():
    cell = Gained(gain=3.5)
    for declared, sign in ((Gained.W, 1), (Gained.A, -1)):
        value = initialize(declared, (2, 3), 0, (0, 0), "cell 'gained'", cell)
        np.testing.assert_array_equal(value, np.full((2, 3), sign * 3.5))


@pytest.mark.parametrize(
    "init",
    [
        lambda rng, shape, scale=2.0: np.full(shape, scale),
        lambda rng, shape, *, scale=2.0: np.full(shape, scale),
        functools.partial(lambda rng, shape, scale: np.full(shape, scale), scale=2.0),
        lambda rng, shape, *others: np.full(shape, 2.0 + len(others)),
    ],
)
def test_own_third_argument_of_initializer_is_not_passed(init):
    np.testing.assert_array_equal(start(init, (3,)), [2, 2, 2])


def test_initializer_error_names_buffer():
    declared = zoo.Buffer(3, init="orthogonl")
    declared.name = "A"
    with pytest.raises(UsageError, match="cell 'mine': buffer 'A' asks for the initializer 'orthogonl'"):
        initialize(declared, (3,), 0, (0, 0), "cell 'mine'")


@pytest.mark.parametrize(
    ("init", "shape", "words"),
    [
        ("orthogonl", (2, 2), r"asks for the initializer 'orthogonl'; .* Did you mean 'orthogonal'\?"),
        ("orthogonal", (4,), r"has shape \(4,\); the initializer 'orthogonal' needs at least two"),
        ("orthogonal", (), r"has shape \(\); the initializer 'orthogonal' needs at least two dimensions"),
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
        (
            lambda rng, shape: np.full(shape, np.nan),
            (2, 2),
            "returned NaN or infinity; expected finite numbers",
        ),
        (lambda rng, shape: np.full(shape, -np.inf), (2, 2), "returned NaN or infinity; expected finite"),
        (lambda rng, shape: None, (2, 2), "returned None; expected finite numbers"),
        (lambda shape: np.ones(shape), (2, 2), "cannot be called: too many positional arguments; expected a"),
        (lambda: np.ones(3), (2, 2), "cannot be called: too many positional arguments; expected a function"),
        (lambda rng, shape, cell, gain: 1, (2, 2), "cannot be called: missing a required argument: 'cell'"),
        (lambda rng, *, shape: 1, (2, 2), "cannot be called: too many positional arguments; expected a"),
        (lambda rng, shape: np.full(shape, "a"), (2, 2), "expected finite numbers"),
    ],
)
def test_invalid_initializer_raises(init, shape, words):
    with pytest.raises(UsageError, match=f"cell 'mine': parameter 'W'.*{words}"):
        start(init, shape)


@pytest.mark.parametrize("value", [0, 3, -0.5, 1e-300, np.float32(0.25), np.int8(-3), np.float64(2)])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_number_initializes_all_elements(value, shape):
    np.testing.assert_array_equal(start(value, shape), np.full(shape, value, float))


@pytest.mark.parametrize("value", [0.5, 1, 1j, 0.5 - 2j, np.complex64(1 + 1j)])
def test_number_initializes_complex_array(value):
    planes = start_complex(value, (3,))
    np.testing.assert_array_equal(planes[0] + 1j * planes[1], np.full(3, value, complex))


@pytest.mark.parametrize("kind", [zoo.Param, zoo.Buffer])
@pytest.mark.parametrize(
    ("init", "words"),
    [
        (np.ones(4), r"is an array float64\(4,\)"),
        ([0.5, 0.5], r"is \[0.5, 0.5\]"),
        (None, "is None"),
        (True, "is True"),
        (np.nan, "is nan"),
        (-np.inf, "is -inf"),
        (10**400, "is 1000"),
        (1j, "is 1j"),
        (("uniform", 1), r"is \('uniform', 1\)"),
    ],
)
def test_invalid_initial_value_is_an_error_of_the_class(kind, init, words):
    noun = kind.kind
    with pytest.raises(
        zoo.DefinitionError, match=rf"cell class .*Mine .*initial value of {noun} 'b' {words}"
    ) as e:

        class Mine(zoo.Cell):
            """Declares an invalid initial value."""

            W = zoo.Param("I", "H")
            b = kind("H", init=init)
            h = zoo.State("H")

            def step(self, x, h):
                return x @ self.W + self.b

    assert all(example in str(e.value) for example in ('init="zeros"', "init=0.5", "np.full(shape, 0.5)"))


def test_laws_hold_for_initial_values_that_are_numbers(plain_python):
    class Mine(zoo.Cell):
        """Declares initial values as numbers."""

        W = zoo.Param("I", "H", init="glorot_uniform")
        b = zoo.Param("H", init=0.5)
        g = zoo.Buffer("H", init=2)
        h = zoo.State("H")

        def step(self, x, h):
            return np.tanh(x @ self.W + self.g * h + self.b)

    assert zoo.testing.check_cell(Mine).ok
    rnn = Recurrent(Mine, 3, 4)
    assert (rnn.params["l0.b"] == 0.5).all()
    assert (rnn.buffers["l0.g"] == 2).all()
    assert rnn.buffers["l0.g"].dtype == rnn.params["l0.b"].dtype == rnn.dtype
    assert (Recurrent(Mine, 3, 4, block="prenorm").params["l0.b"] == 0.5).all()
