"""Measures of a reconstructed dynamical system: the distributions of its states and of its frequencies.

Trajectories of a chaotic system diverge, so a good reconstruction differs from the data after a few Lyapunov
times. The measures compare properties that last: how often each region is visited, and the frequencies.

The divergence of the states was introduced by G. Koppe et al. 2019, "Identifying nonlinear dynamical systems
via generative recurrent neural networks with applications to fMRI",
https://doi.org/10.1371/journal.pcbi.1007263. Both measures and their constants follow the code of F. Hess et
al. 2023, https://github.com/DurstewitzLab/GTF-shPLRNN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_integer, as_number, check_seed, counted, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.errors import UsageError

MAX_BINNED_VARIABLES = 5
"""Largest number of variables with bins: in more dimensions nearly every state has a bin of its own."""

EMPTY_BIN = 1e-5
"""Count that is added to each bin, so that the divergence is finite."""

MARGIN = 0.1
"""Margin of the bins around the data, in standard deviations."""

MAX_STATES = 10_000
"""States of each trajectory around which Gaussians are placed."""

CHUNK_ELEMENTS = 2**22
"""Distances that are computed at once."""


def state_space_divergence(
    data: ArrayLike,
    generated: ArrayLike,
    *,
    bins: int = 30,
    bandwidth: float = 1.0,
    samples: int = 1000,
    seed: int = 0,
) -> float:
    """The Kullback-Leibler divergence of the states that a model visits from the states of the data.

    With up to five variables, the states are counted in bins. The bins divide the range of the data and a
    tenth of a standard deviation on both sides. States outside of it do not count, so check first that the
    model is bounded. With more variables, both distributions are sums of Gaussians around the first 10,000
    states, and the divergence is a mean over random samples. Then scale the variables to variance one,
    because the bandwidth is the same for all.

    Values depend on the number of states and of bins, so compare only values of equal numbers. Two
    trajectories of the same system show the smallest value to expect. If a poor model has nearly this value,
    give fewer bins or more states.

    Args:
        data: States of the system, ``(T, N)``.
        generated: States of the model, ``(T', N)``, from a free run without its beginning.
        bins: Bins of each variable.
        bandwidth: Standard deviation of the Gaussians.
        samples: Random samples for more than five variables.
        seed: Seed of the samples.

    Returns:
        The divergence in nats. With bins it is zero or more, and infinite if no state of the model lies in
        them. The mean over random samples may be slightly negative.

    Raises:
        UsageError: if an argument does not fit.
    """
    owner = "state_space_divergence"
    data, generated = _series(owner, data, generated)
    bins = as_integer(bins, f"{owner}: bins", 1)
    bandwidth = _positive(bandwidth, f"{owner}: bandwidth")
    samples, seed = as_integer(samples, f"{owner}: samples", 1), check_seed(seed)
    if data.shape[1] <= MAX_BINNED_VARIABLES:
        states, total = min(len(data), len(generated)), bins ** data.shape[1]
        if total * EMPTY_BIN > states:
            raise UsageError(
                f"{owner}: bins is {bins:,}, which makes {total:,} bins of {data.shape[1]} variables, and a "
                f"series has {counted(states, 'state')}; give fewer bins, or more states."
            )
        return _binned_divergence(data, generated, bins)
    rng = np.random.default_rng(seed)
    data, generated = data[:MAX_STATES], generated[:MAX_STATES]
    drawn = data[rng.integers(0, len(data), samples)]
    drawn = drawn + bandwidth * rng.normal(size=drawn.shape)
    return float(np.mean(_log_density(drawn, data, bandwidth) - _log_density(drawn, generated, bandwidth)))


def _binned_divergence(data: Array, generated: Array, bins: int) -> float:
    """The divergence of two histograms, of which most bins are empty in both."""
    scale = _magnitude(data)
    data, generated = data / scale, generated / scale
    margin = MARGIN * data.std(axis=0, ddof=1)
    low, high = data.min(axis=0) - margin, data.max(axis=0) + margin
    indices = [_bin_indices(each, low, high, bins) for each in (data, generated)]
    if not len(indices[1]):
        return math.inf
    occupied, positions = np.unique(np.concatenate(indices), return_inverse=True)
    counts = [np.bincount(each, minlength=len(occupied)) for each in np.split(positions, [len(indices[0])])]
    total = float(bins) ** data.shape[1]
    p, q = ((each + EMPTY_BIN) / (each.sum() + EMPTY_BIN * total) for each in counts)
    empty = [EMPTY_BIN / (each.sum() + EMPTY_BIN * total) for each in counts]
    rest = (total - len(occupied)) * empty[0] * math.log(empty[0] / empty[1])
    return float(np.sum(p * np.log(p / q)) + rest)


def _bin_indices(states: Array, low: Array, high: Array, bins: int) -> Array:
    """The number of the bin of each state that lies in one."""
    width = np.where(high > low, high - low, 1)
    index = np.floor((states - low) / width * bins)
    inside = ((states >= low) & (states <= high)).all(axis=1)
    index = np.minimum(index[inside], bins - 1).astype(np.int64)
    numbers: Array = np.ravel_multi_index(tuple(index.T), (bins,) * states.shape[1])
    return numbers


def _log_density(points: Array, centres: Array, bandwidth: float) -> Array:
    """The logarithm of the mean of Gaussians around some centres, up to a constant, ``(points,)``."""
    result = np.empty(len(points))
    rows = max(1, CHUNK_ELEMENTS // len(centres))
    norms = (centres**2).sum(axis=1)
    for first in range(0, len(points), rows):
        part = points[first : first + rows]
        squares = (part**2).sum(axis=1)[:, None] - 2 * part @ centres.T + norms
        exponent = -squares / (2 * bandwidth**2)
        largest = exponent.max(axis=1)
        result[first : first + rows] = largest + np.log(np.exp(exponent - largest[:, None]).mean(axis=1))
    return result


def power_spectrum_error(data: ArrayLike, generated: ArrayLike, *, smoothing: float = 20.0) -> float:
    """The mean Hellinger distance of the power spectra of a model from the spectra of the data.

    Each variable is scaled to mean zero and variance one. Its spectrum is smoothed with a Gaussian over
    frequencies and divided by its sum.

    Args:
        data: States of the system, ``(T, N)``.
        generated: As many states of the model, ``(T, N)``, from a free run without its beginning.
        smoothing: Standard deviation of the Gaussian, in frequencies of the spectrum, ``1 / T`` each; zero
            for none.

    Returns:
        The mean distance over the variables, between 0 for equal spectra and 1 for disjoint ones. A variable
        that is constant in one of the series and varies in the other counts as 1.

    Raises:
        UsageError: if an argument does not fit, or ``smoothing`` is larger than T.
    """
    owner = "power_spectrum_error"
    data, generated = _series(owner, data, generated)
    smoothing = _positive(smoothing, f"{owner}: smoothing", or_zero=True)
    if data.shape != generated.shape:
        raise UsageError(
            f"{owner}: data has {len(data):,} steps and generated has {len(generated):,}; give as many, "
            f"because the frequencies depend on the number."
        )
    if smoothing > len(data):
        raise UsageError(
            f"{owner}: smoothing is {smoothing:g} frequencies, and {len(data):,} steps have "
            f"{len(data) // 2 + 1:,}; give a smaller one, or longer series."
        )
    spectra = [_power_spectrum(each, smoothing) for each in (data, generated)]
    distances = np.sqrt(np.sum((np.sqrt(spectra[0]) - np.sqrt(spectra[1])) ** 2, axis=0) / 2)
    is_constant = [each.sum(axis=0) == 0 for each in spectra]
    return float(np.mean(np.where(is_constant[0] != is_constant[1], 1.0, distances)))


def _power_spectrum(series: Array, smoothing: float) -> Array:
    """The spectrum of each variable with the sum one; zeros for a constant."""
    series = series / _magnitude(series)
    centred = series - series.mean(axis=0)
    is_constant = np.ptp(series, axis=0) == 0
    power = np.abs(np.fft.rfft(centred, axis=0)) ** 2
    if smoothing:
        power = _smooth(power, smoothing)
    total = power.sum(axis=0)
    result: Array = np.where(is_constant, 0, power / np.where(is_constant, 1, total))
    return result


def _smooth(power: Array, deviation: float) -> Array:
    """Convolve with a Gaussian, cut at four standard deviations; the ends are mirrored."""
    radius = int(4 * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    padded = np.pad(power, ((radius, radius), (0, 0)), mode="symmetric")
    columns = [np.convolve(column, weights / weights.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)


def _magnitude(series: Array) -> Array:
    """The largest magnitude of each variable; squares of a series divided by it do not overflow."""
    magnitude: Array = np.maximum(np.abs(series).max(axis=0), np.finfo(np.float64).tiny)
    return magnitude


def _positive(value: float, name: str, *, or_zero: bool = False) -> float:
    """A finite number above zero, or also zero."""
    number = as_number(value, name)
    if number < 0 or (number == 0 and not or_zero):
        raise UsageError(
            f"{name} is {value!r}; expected a number {'of zero or more' if or_zero else 'above zero'}."
        )
    return number


def _series(owner: str, *series: ArrayLike) -> tuple[Array, Array]:
    """Two series of the same variables, as float64."""
    arrays = []
    for name, given in zip(("data", "generated"), series, strict=True):
        array = as_array(given, f"{owner}: {name}")
        if array.ndim != 2 or array.dtype.kind not in "fiu" or min(array.shape) < 1 or len(array) < 2:
            raise UsageError(
                f"{owner}: {name} is {short_repr(given)}; expected numbers (T, N), at least two steps of at "
                f"least one variable."
            )
        if not np.isfinite(array).all():
            step, variable = np.argwhere(~np.isfinite(array))[0]
            raise UsageError(
                f"{owner}: {name} has {array[step, variable]} at step {step}, variable {variable}; expected "
                f"finite numbers. A model that diverges has no distribution of states."
            )
        arrays.append(array.astype(np.float64))
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise UsageError(
            f"{owner}: data has {arrays[0].shape[1]} variables and generated has {arrays[1].shape[1]}; give "
            f"the same variables."
        )
    return arrays[0], arrays[1]
