"""Measures of reconstructed systems, compared with full histograms, SciPy and properties of a divergence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.analysis import power_spectrum_error, state_space_divergence

ndimage = pytest.importorskip("scipy.ndimage")


def series(seed, steps, variables, scale=1.0):
    """A random walk that returns to zero."""
    rng = np.random.default_rng(seed)
    values = np.empty((steps, variables))
    state = rng.normal(size=variables)
    for step in range(steps):
        state = 0.9 * state + scale * rng.normal(size=variables)
        values[step] = state
    return values


def full_histograms(data, generated, bins):
    """The divergence by the formula, over all bins."""
    margin = 0.1 * data.std(axis=0, ddof=1)
    edges = [
        np.linspace(*each, bins + 1) for each in zip(data.min(0) - margin, data.max(0) + margin, strict=True)
    ]
    p, q = (np.histogramdd(each, edges)[0] + 1e-5 for each in (data, generated))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum(p * np.log(p / q)))


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 6), st.integers(5, 60), st.integers(2, 60))
def test_divergence_equals_full_histograms(seed, variables, bins, steps, others):
    data, generated = series(seed, steps, variables), series(seed + 1, others, variables, 0.5)
    generated[0] = data[0]  # one state within the bins
    actual = state_space_divergence(data, generated, bins=bins)
    assert actual == pytest.approx(full_histograms(data, generated, bins), rel=1e-9, abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(1, 7))
def test_divergence_is_zero_for_equal_states_and_grows_with_a_shift(seed, variables):
    data = series(seed, 100, variables)
    options = {"bins": 5, "bandwidth": 0.5, "samples": 200}
    assert abs(state_space_divergence(data, data, **options)) < 1e-12
    values = [state_space_divergence(data, data + shift, **options) for shift in (0.5, 1.5)]
    assert 0 < values[0] < values[1]


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(6, 8), st.sampled_from([0.3, 1.0]))
def test_divergence_of_gaussians_equals_dense_formula(seed, variables, bandwidth):
    data, generated = series(seed, 20, variables), series(seed + 1, 30, variables)
    rng = np.random.default_rng(seed)
    drawn = data[rng.integers(0, 20, 50)]
    drawn = drawn + bandwidth * rng.normal(size=drawn.shape)

    def log_density(centres):
        squares = ((drawn[:, None] - centres) ** 2).sum(axis=-1)
        return np.logaddexp.reduce(-squares / (2 * bandwidth**2), axis=1) - math.log(len(centres))

    expected = np.mean(log_density(data) - log_density(generated))
    actual = state_space_divergence(data, generated, bandwidth=bandwidth, samples=50, seed=seed)
    assert actual == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_divergence_is_infinite_if_no_state_lies_in_the_bins():
    data = series(0, 50, 3)
    assert state_space_divergence(data, data + 100) == math.inf


def test_divergence_counts_a_constant_variable():
    data = np.column_stack([series(0, 50, 1), np.full(50, 2.0)])
    assert state_space_divergence(data, data) == 0
    assert state_space_divergence(data, data + np.array([0, 1])) == math.inf


@settings(max_examples=30)
@given(st.integers(0, 99), st.integers(1, 3), st.integers(20, 90), st.sampled_from([0, 0.7, 2.0, 5.0, 20.0]))
def test_spectrum_error_equals_scipy(seed, variables, steps, smoothing):
    data, generated = series(seed, steps, variables), series(seed + 1, steps, variables)

    def spectrum(values):
        standard = (values - values.mean(0)) / values.std(0)
        power = np.abs(np.fft.rfft(standard, axis=0)) ** 2
        if smoothing:
            power = ndimage.gaussian_filter1d(power, smoothing, axis=0)
        return power / power.sum(0)

    p, q = spectrum(data), spectrum(generated)
    expected = np.mean(np.sqrt(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2, axis=0)) / math.sqrt(2))
    assert power_spectrum_error(data, generated, smoothing=smoothing) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scale_of_bins_and_spectra_does_not_matter(scale):
    data, generated = series(0, 60, 2), series(1, 60, 2)
    for measure in (state_space_divergence, power_spectrum_error):
        assert measure(scale * data, scale * generated) == pytest.approx(measure(data, generated), rel=1e-9)


@settings(max_examples=30)
@given(st.integers(0, 99), st.floats(0.1, 10), st.floats(-5, 5))
def test_spectrum_error_ignores_scale_and_shift(seed, scale, shift):
    data = series(seed, 60, 2)
    assert power_spectrum_error(data, scale * data + shift) < 1e-6


def test_spectrum_error_of_slow_and_fast_sines_is_one():
    times = np.arange(256)[:, None]
    slow, fast = np.sin(2 * np.pi * times / 64), np.sin(2 * np.pi * times / 4)
    assert power_spectrum_error(slow, fast, smoothing=0) == pytest.approx(1, abs=1e-6)
    assert power_spectrum_error(slow, 0 * fast, smoothing=0) == 1
    assert power_spectrum_error(0 * slow, 0 * fast) == 0


DATA = series(0, 20, 2)
WRONG = [
    ({"data": DATA[:, 0]}, "data is .*; expected numbers"),
    ({"data": DATA[:1]}, "at least two steps"),
    ({"generated": "abc"}, "generated is 'abc'; expected numbers"),
    ({"generated": DATA[:, :1]}, "data has 2 variables and generated has 1"),
    ({"generated": np.where(np.arange(40).reshape(20, 2) == 7, np.nan, DATA)}, "nan at step 3, variable 1"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG)
@pytest.mark.parametrize("measure", [state_space_divergence, power_spectrum_error])
def test_wrong_series_raise(measure, changed, message):
    with pytest.raises(zoo.UsageError, match=f"^{measure.__name__}: .*{message}"):
        measure(**{"data": DATA, "generated": DATA, **changed})


def test_wrong_settings_raise():
    for wrong, message in [
        ({"bins": 0}, "bins is 0"),
        (
            {"bins": 5000},
            "bins is 5,000, which makes 25,000,000 bins of 2 variables, and a series has 20 states",
        ),
        ({"bandwidth": 0}, "bandwidth is 0; expected a number above zero"),
        ({"samples": 1.5}, "samples is 1.5"),
        ({"seed": -1}, "seed is -1"),
    ]:
        with pytest.raises(zoo.UsageError, match=message):
            state_space_divergence(DATA, DATA, **wrong)
    with pytest.raises(zoo.UsageError, match="smoothing is -1; expected a number of zero or more"):
        power_spectrum_error(DATA, DATA, smoothing=-1)
    with pytest.raises(zoo.UsageError, match="smoothing is 21 frequencies, and 20 steps have 11"):
        power_spectrum_error(DATA, DATA, smoothing=21)
    with pytest.raises(zoo.UsageError, match="data has 20 steps and generated has 19"):
        power_spectrum_error(DATA, DATA[1:])
