"""Random numbers: the same for ever, and random enough."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import UsageError
from zoo.kernels.jit import pure_python
from zoo.kernels.random import random_bits, random_uniform, splitmix64, uniform

WORD = 2**64
words = st.integers(0, WORD - 1) | st.sampled_from(
    [0, 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, WORD - 2, WORD - 1]
)

# First outputs of SplitMix64 started at 1234567, as published with many implementations of it.
PUBLISHED = (
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)
# (seed, counter): bits. Written down once; a change of any is a change of every text ever sampled.
GOLDEN = {
    (0, 0): 0xA706DD2F4D197E6F,
    (0, 1): 0xB382A305F4414F5E,
    (0, 2): 0x631A9154FBABF717,
    (1, 0): 0x5E41AB087439611E,
    (1, 1): 0xF18D6CE93D6CF1EE,
    (1234567, 1000): 0x0EBB695C9FEE7F18,
    (2**63 - 1, 2**31): 0xB0860912FF730889,
    (2**63, 2**63): 0xA71143CA540522A4,
    (WORD - 1, WORD - 1): 0x445018E305810B78,
}


def splitmix_output(state: int) -> int:
    """The finaliser in whole numbers, after the paper's text rather than the kernel."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ state // 2**shift) * factor % WORD
    return state ^ state // 2**31


def splitmix_stream(state: int, count: int) -> list[int]:
    """The generator as one would step it: add, then mix."""
    result = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % WORD
        result.append(splitmix_output(state))
    return result


def bits(seed: int, counter: int) -> int:
    return int(random_bits(np.uint64(seed), np.uint64(counter)))


def test_generator_gives_published_numbers():
    assert tuple(splitmix_stream(1234567, 5)) == PUBLISHED
    states = [(1234567 + step * 0x9E3779B97F4A7C15) % WORD for step in range(1, 6)]
    assert tuple(int(splitmix64(np.uint64(state))) for state in states) == PUBLISHED


@pytest.mark.parametrize(("key", "expected"), GOLDEN.items())
def test_uniform_golden_values(key, expected):
    assert bits(*key) == expected
    assert uniform(*key) == (expected >> 11) / 2**53


def test_counter_advances_generator_of_seed():
    for seed in (0, 1, 99, WORD - 1):
        (start,) = splitmix_stream(seed, 1)
        assert [bits(seed, counter) for counter in range(20)] == splitmix_stream(start, 20), f"seed {seed}"


@settings(deadline=None)
@given(words, words)
def test_kernel_equals_integer_arithmetic(seed, counter):
    start = splitmix_output((seed + 0x9E3779B97F4A7C15) % WORD)
    expected = splitmix_output((start + (counter + 1) * 0x9E3779B97F4A7C15) % WORD)
    assert bits(seed, counter) == expected
    with pure_python():
        assert bits(seed, counter) == expected, "as plain Python"


@settings(deadline=None)
@given(words, words)
def test_uniform_is_a_53_bit_fraction_below_one(seed, counter):
    number = uniform(seed, counter)
    assert type(number) is float
    assert 0.0 <= number <= 1.0 - 2.0**-53, number
    assert (number * 2**53).is_integer(), number
    assert number == random_uniform(np.uint64(seed), np.uint64(counter))


def test_one_signature_for_all_integers():
    for seed in (0, np.int32(5), np.uint64(WORD - 1), 2**63):
        uniform(seed, 3)
    assert len(random_uniform.signatures) <= 1, random_uniform.signatures


@pytest.mark.parametrize("wrong", [-1, WORD, 0.5, "7", None, np.float64(1.0)])
def test_invalid_seed_or_counter_raises(wrong):
    with pytest.raises(UsageError, match=r"seed is .*; expected an integer from 0 to 2\*\*64 - 1"):
        uniform(wrong, 0)
    with pytest.raises(UsageError, match="counter is "):
        uniform(0, wrong)


@functools.cache
def sequence(name: str) -> np.ndarray:
    return numbers(SEQUENCES[name])


def numbers(keys) -> np.ndarray:
    return np.array([uniform(seed, counter) for seed, counter in keys])


SEQUENCES = {
    "counters of seed 0": [(0, counter) for counter in range(20_000)],
    "counters of a large seed": [(WORD - 5, counter) for counter in range(20_000)],
    "neighbouring seeds": [(seed, 0) for seed in range(20_000)],
    "diagonal": [(n, n) for n in range(20_000)],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_uniform_fills_bins_evenly(name):
    """Chi-square over 64 bins, of the number and of its low bits: five deviations around its mean, 63."""
    result = sequence(name)
    for part, values in {"high bits": result, "low bits": result * 2**20 % 1.0}.items():
        counts = np.bincount((values * 64).astype(int), minlength=64)
        chi_square = ((counts - result.size / 64) ** 2).sum() / (result.size / 64)
        assert abs(chi_square - 63) < 5 * np.sqrt(2 * 63), f"{part}: chi-square {chi_square}"


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("lag", [1, 2, 64])
def test_successive_numbers_are_uncorrelated(name, lag):
    result = sequence(name)
    correlation = np.corrcoef(result[:-lag], result[lag:])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(result.size), correlation


def test_streams_of_neighbouring_seeds_are_uncorrelated():
    one, two = (numbers([(seed, counter) for counter in range(20_000)]) for seed in (41, 42))
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(one.size)
    assert not set(one) & set(two), "no number twice in 40,000"


def test_each_input_bit_flips_half_of_the_output():
    """Avalanche: over many pairs, each flipped bit changes 32 of 64 bits on average."""
    for flip in (0, 1, 17, 40, 63):
        moved = [bits(n, 7 * n) ^ bits(n ^ (1 << flip), 7 * n) for n in range(500)]
        moved += [bits(n, 7 * n) ^ bits(n, 7 * n ^ (1 << flip)) for n in range(500)]
        mean = np.mean([change.bit_count() for change in moved])
        assert abs(mean - 32) < 5 * 4 / np.sqrt(len(moved)), f"bit {flip}: {mean} bits change"
