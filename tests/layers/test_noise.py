"""Noise: declared as data, drawn by position, and independent of the order and number of computations."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.base import Card
from zoo.kernels import pure_python
from zoo.layers.aux_inputs import draw_noise

CARD = Card(title="None", authors="Nobody", year=2026, url="https://example.org")
T, B, H = 6, 20, 4


class Leaky(zoo.Cell):
    """h' = h / 2 + x W, of which each unit is dropped by one noise and kept back by another."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform")
    u = zoo.Param("H", init="ones")
    h = zoo.State("H")
    drop = zoo.Noise("H", probability="p", per="sequence", help="zeros where h is not read")
    wait = zoo.Noise(probability=0.25, help="one number for all units")
    p = zoo.Option(0.75, help="chance that h is read", low=0.0, high=1.0)

    def step(self, x, h, drop, wait):
        new = drop * self.u * h / 2 + x @ self.W
        return wait * h + (1 - wait) * new


def layer(layers=2, threads=1, recompute=None, **options):
    return zoo.Recurrent(
        Leaky(**options),
        3,
        H,
        num_layers=layers,
        dtype="float64",
        seed=1,
        threads=threads,
        recompute=recompute,
    )


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(T, B, 3))


class Rate(zoo.Cell):
    """h' = h + 0.2 (tanh(h U + x W) - h) + xi: a rate model with private noise."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    h = zoo.State("H")
    xi = zoo.Noise("H", scale="sigma")
    sigma = zoo.Option(0.1, low=0.0)

    def step(self, x, h, xi):
        return h + 0.2 * (np.tanh(h @ self.U + x @ self.W) - h) + xi


def gaussian(scale=0.5, per="step", steps=(0, 50), rows=(0, 40), draw=(5, 7), layer=0):
    noise = zoo.Noise("H", scale=1.0, per=per)
    noise.name = "xi"
    return draw_noise(noise, scale, draw, layer, (slice(*steps), slice(*rows)), (6,), np.dtype(np.float64))


def drawn(name="drop", per="step", chance=0.3, draw=(5, 7), layer=0, steps=(0, 50), rows=(0, 40), shape=(6,)):
    noise = zoo.Noise("H", probability=0.5, per=per)
    noise.name = name
    return draw_noise(noise, chance, draw, layer, (slice(*steps), slice(*rows)), shape, np.dtype(np.float64))


def test_mask_is_bernoulli():
    noise = drawn()
    assert set(np.unique(noise)) == {0.0, 1.0}
    assert abs(noise.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / noise.size)
    for axis in range(3):  # no step, row or unit has a chance of its own
        others = tuple({0, 1, 2} - {axis})
        assert np.ptp(noise.mean(axis=others)) < 0.35
    assert not drawn(chance=0.0).any()
    assert drawn(chance=1.0).all()


@pytest.mark.parametrize("other", [{"name": "wait"}, {"draw": (6, 7)}, {"draw": (5, 8)}, {"layer": 1}])
def test_name_seed_step_and_layer_each_decide(other):
    agreement = (drawn() == drawn(**other)).mean()
    assert abs(agreement - (0.3**2 + 0.7**2)) < 0.02  # that of independent draws


def test_noise_depends_on_position_only():
    np.testing.assert_array_equal(drawn(steps=(10, 20), rows=(8, 16)), drawn()[10:20, 8:16])


def test_noise_of_sequence_concatenates_steps():
    noise = drawn(per="sequence")
    assert (noise == noise[0]).all()
    np.testing.assert_array_equal(drawn(per="sequence", steps=(30, 50)), noise[30:])


def test_plain_python_draws_the_same():
    with pure_python():
        plain = drawn(steps=(0, 5), rows=(0, 3))
    np.testing.assert_array_equal(plain, drawn(steps=(0, 5), rows=(0, 3)))


def test_noise_depends_on_key(x):
    rnn = layer()
    first = rnn.forward(x, noise=(0, 1))[0]
    np.testing.assert_array_equal(rnn.forward(x, noise=(0, 1))[0], first)
    assert (rnn.forward(x, noise=(0, 2))[0] != first).any()
    assert (rnn.forward(x, noise=(1, 1))[0] != first).any()


def test_noise_without_key_is_expectation(x):
    rnn = layer(p=0.5)
    given = {"drop": np.full((T, B, H), 0.5), "wait": np.full((T, B), 0.25)}
    np.testing.assert_array_equal(rnn.forward(x)[0], rnn.forward(x, **given)[0])


def test_given_noise_replaces_drawn_noise(x):
    rnn = layer(layers=1)
    noise = {
        name: draw_noise(declared, chance, (3, 4), 0, (slice(0, T), slice(0, B)), shape, rnn.dtype)
        for (name, declared), chance, shape in zip(
            rnn.cell.inputs.items(), (0.75, 0.25), ((H,), ()), strict=True
        )
    }
    expected = rnn.forward(x, noise=(3, 4))[0]
    np.testing.assert_array_equal(rnn.forward(x, **noise)[0], expected)
    np.testing.assert_array_equal(rnn.forward(x, noise=(3, 4), drop=noise["drop"])[0], expected)


def both_ways(rnn, x):
    y, last = rnn.forward(x, noise=(2, 9))
    dx, dstate = rnn.backward(np.ones_like(y))
    return {"y": y, "dx": dx, **last, **{f"d{name}": each for name, each in dstate.items()}, "grad": rnn.grad}


def test_threads_change_no_bit(x):
    actual, expected = both_ways(layer(threads=2), x), both_ways(layer(), x)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


@pytest.mark.parametrize("recompute", [1, 4])
def test_recomputed_segment_has_same_noise(x, recompute):
    actual, expected = both_ways(layer(recompute=recompute), x), both_ways(layer(), x)
    np.testing.assert_array_equal(actual["y"], expected["y"])
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_noise_of_sequence_depends_on_batch_index(x):
    whole = layer().forward(x, noise=(0, 0))[0]
    np.testing.assert_array_equal(layer().forward(x[:, :5], noise=(0, 0))[0], whole[:, :5])


def test_mean_of_draws_is_expectation_for_linear_step():
    rows = 4000
    alone = np.random.default_rng(1).normal(size=(3, 1, 3))
    rnn = layer(layers=1, p=1.0)  # the same noise at every step is not independent: the product has no mean
    y = rnn.forward(np.repeat(alone, rows, axis=1), noise=(0, 0))[0]
    expected = rnn.forward(alone)[0][:, 0]
    assert (np.abs(y.mean(axis=1) - expected) < 5 * y.std(axis=1) / np.sqrt(rows) + 1e-12).all()


def model(**settings):
    return zoo.LanguageModel("abcd", Leaky, hidden_size=H, num_layers=2, dtype="float64", **settings)


@pytest.fixture(scope="module")
def text():
    return np.random.default_rng(0).integers(0, 4, (2, 12, 9))


@pytest.mark.usefixtures("plain_python")
def test_language_model_draws_only_in_training(text):
    one = model()
    expected, _ = one.loss(*text)
    assert one.loss_and_grad(*text)[0] == expected
    assert one.loss_and_grad(*text, noise=(0, 1))[0] != expected
    assert one.loss(*text)[0] == expected
    assert one.sample("a", 10) == one.sample("a", 10)


@pytest.mark.parametrize("settings", [{"threads": 2}, {"recompute": 5}])
def test_its_gradient_does_not_depend_on_how_it_is_computed(text, settings):
    plain, other = model(threads=1), model(**settings)
    assert plain.loss_and_grad(*text, noise=(1, 2))[0] == other.loss_and_grad(*text, noise=(1, 2))[0]
    np.testing.assert_allclose(other.grad, plain.grad, rtol=1e-12, atol=1e-14)


def test_gradient_matches_loss_with_same_noise(text):
    one, eps = model(), 1e-6
    one.loss_and_grad(*text, noise=(1, 2))
    gradient, direction = one.grad.copy(), np.random.default_rng(0).normal(size=one.theta.size)
    start, losses = one.theta.copy(), []
    for sign in (1, -1):
        one.theta = start + sign * eps * direction
        losses.append(one.loss_and_grad(*text, noise=(1, 2))[0])
    assert (losses[0] - losses[1]) / (2 * eps) == pytest.approx(gradient @ direction, rel=1e-6)


@pytest.mark.parametrize("noise", [3, (1,), (1, -1), "ab", (0, True), [0, 1], (0, 2**64)])
def test_invalid_noise_key_raises(noise):
    with pytest.raises(zoo.UsageError, match=r"noise is .*; expected None for expectations, or"):
        layer().forward(np.ones((1, 1, 3)), noise=noise)


@pytest.mark.parametrize("probability", [1.5, -0.1, True, None])
def test_invalid_noise_probability_raises(probability):
    with pytest.raises(zoo.DefinitionError, match=r"the probability is .*; expected a number from 0 to 1"):
        zoo.Noise("H", probability=probability)


def test_invalid_noise_period_raises():
    with pytest.raises(zoo.DefinitionError, match="per is 'row'; expected one of step, sequence"):
        zoo.Noise("H", per="row")


@pytest.mark.parametrize("option", [zoo.Option(0.5, low=0.0), zoo.Option(1, low=0, high=1), None])
def test_noise_probability_must_name_a_probability_option(option):
    parts = {"q": option} if option is not None else {}
    with pytest.raises(
        zoo.DefinitionError, match="the probability of noise 'd' is 'q'; expected the name of an"
    ):
        type(
            "Wrong",
            (zoo.Cell,),
            {
                "__doc__": "Wrong.",
                "card": CARD,
                "W": zoo.Param("I", "H"),
                "h": zoo.State("H"),
                "d": zoo.Noise("H", probability="q"),
                "step": lambda self, x, h, d: d * h + x @ self.W,
                **parts,
            },
        )


# ---- Gaussian noise -----------------------------------------------------------------------------------


def test_moments_of_gaussian_noise():
    noise = gaussian(steps=(0, 200), rows=(0, 100)) / 0.5
    n = noise.size
    # Standard errors of the moments of n normal numbers: 1, 2, 15 and 96, divided by n, are their variances.
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((noise**power).mean() - moment) < 4.5 * np.sqrt(variance / n)
    assert 4 < np.abs(noise).max() < 7
    for axis in range(3):  # neighbours along every axis are uncorrelated
        first, second = np.split(np.moveaxis(noise, axis, 0)[: noise.shape[axis] // 2 * 2], 2)
        assert abs((first * second).mean()) < 4.5 / np.sqrt(first.size)


def test_gaussian_noise_depends_on_position_only():
    np.testing.assert_array_equal(gaussian(steps=(10, 20), rows=(8, 16)), gaussian()[10:20, 8:16])
    np.testing.assert_array_equal(gaussian(scale=1.0), 2 * gaussian())
    for other in ({"draw": (6, 7)}, {"draw": (5, 8)}, {"layer": 1}):
        assert abs(np.corrcoef(gaussian().ravel(), gaussian(**other).ravel())[0, 1]) < 0.05
    constant = gaussian(per="sequence")
    assert (constant == constant[0]).all()
    assert not gaussian(scale=0.0).any()
    with pure_python():
        plain = gaussian(steps=(0, 5), rows=(0, 3))
    np.testing.assert_allclose(plain, gaussian(steps=(0, 5), rows=(0, 3)), rtol=1e-14)


@pytest.mark.usefixtures("plain_python")
def test_private_noise_of_a_rate_model(x):
    def rate(**options):
        return zoo.Recurrent(Rate, 3, H, num_layers=2, dtype="float64", seed=1, **options)

    rnn = rate(threads=1)
    y, _ = rnn(x, noise=(3, 1))
    np.testing.assert_array_equal(rate(threads=3)(x, noise=(3, 1))[0], y)
    np.testing.assert_array_equal(rate(recompute=2)(x, noise=(3, 1))[0], y)
    parts, state = [], None
    first, _ = rnn(x[:4], noise=(3, 1))
    np.testing.assert_array_equal(first, y[:4])
    assert (rnn(x, noise=(3, 2))[0] != y).any()
    expected, _ = rnn(x, xi=np.zeros((T, B, H)))
    np.testing.assert_array_equal(rnn(x)[0], expected)
    quiet = zoo.Recurrent(Rate(sigma=0.0), 3, H, num_layers=2, dtype="float64", seed=1, threads=1)
    np.testing.assert_array_equal(quiet(x, noise=(3, 1))[0], expected)
    for t in range(3):
        output, state = rnn.step(x[t], state, noise=(3, t))
        parts.append(output)
    assert np.ptp(np.array(parts) - expected[:3]) > 0.1


@pytest.mark.usefixtures("plain_python")
def test_models_draw_noise_in_evaluation_on_request(x):
    model = zoo.SequenceModel(Rate, 3, 2, H, loss="squared_error", dtype="float64", threads=1)
    targets = np.zeros((T, B, 2))
    noisy, state = model.loss_and_grad(x, targets, noise=(0, 1))
    assert model.loss(x, targets, noise=(0, 1))[0] == noisy
    assert model.loss(x, targets)[0] != noisy
    outputs, _ = model.outputs(x, noise=(0, 1))
    np.testing.assert_array_equal(model.predict(x, noise=(0, 1))[0], outputs)
    loss, evaluated, last = model.evaluate_batch(x, targets, noise=(0, 1))
    np.testing.assert_array_equal(evaluated, outputs)
    np.testing.assert_array_equal(last["h"], state["h"])
    assert loss == pytest.approx(noisy, rel=1e-12)
    text = zoo.LanguageModel("ab", Rate, H, threads=1)
    tokens = np.zeros((T, B), int)
    assert (text.logits(tokens, noise=(0, 1))[0] != text.logits(tokens)[0]).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale": -1.0}, "the scale is -1.0; expected a number of zero or more, or the name of an option"),
        ({"scale": float("nan")}, "the scale is nan"),
        ({"scale": float("inf")}, "the scale is inf"),
        ({"scale": 1.0, "probability": 0.1}, "probability is 0.1 and scale is 1.0; expected a probability"),
    ],
)
def test_invalid_gaussian_declarations(arguments, words):
    with pytest.raises(zoo.DefinitionError, match=words):
        zoo.Noise("H", **arguments)


@pytest.mark.parametrize("option", [zoo.Option(1.0), zoo.Option(1, low=0), zoo.Option(1.0, low=-1.0)])
def test_scale_by_name_is_an_option_of_zero_or_more(option):
    with pytest.raises(zoo.DefinitionError, match=r"the scale of noise 'xi' is 's'; .* a float with low=0.0"):

        class Wrong(zoo.Cell):
            """A cell for tests."""

            W = zoo.Param("I", "H")
            h = zoo.State("H")
            xi = zoo.Noise("H", scale="s")
            s = option

            def step(self, x, h, xi):
                return x @ self.W + xi
