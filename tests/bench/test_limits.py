"""The speeds and the work of a step in the table of limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench_results import made
from hypothesis import given
from hypothesis import strategies as st

from zoo.bench.bench import normalise_by_peak
from zoo.bench.limits import MEMORY, nearest_level, probe_size, read_all, tanh_all
from zoo.bench.peers import zoo as zoo_peer
from zoo.bench.results import Demand
from zoo.bench.settings import Shape
from zoo.bench.tables import describe_setup, result_tables
from zoo.layers.sharding import shards

CACHES = st.lists(st.integers(1, 16), min_size=1, max_size=4).map(
    lambda steps: {f"L{n + 1}": 2**14 * 2 ** sum(steps[: n + 1]) for n in range(len(steps))}
)


@given(CACHES, st.integers(0, 2**40))
def test_the_nearest_level_is_the_smallest_cache_that_holds_an_array(caches, size) -> None:
    level = nearest_level(size, caches)
    holding = [capacity for capacity in caches.values() if size <= capacity]
    assert caches.get(level) == (min(holding) if holding else None)
    assert (level == MEMORY) == (not holding)


@given(CACHES, st.integers(1, 128))
def test_an_array_that_measures_a_level_exceeds_the_nearer_caches(caches, threads) -> None:
    nearer = 0
    for level, capacity in caches.items():
        size = probe_size(level, caches, threads)
        assert nearer < size <= max(capacity, 2 * nearer)
        nearer = capacity
    together = probe_size(MEMORY, caches, threads) * threads
    assert together <= 2**30
    assert together > nearer - threads or nearer >= 2**29


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 3))
def test_every_pass_reads_every_element(values, times) -> None:
    array = np.array(values, np.uint64)
    assert read_all(array, times) == (np.bitwise_xor.reduce(array) if times % 2 else 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_passes_of_functions_have_different_arguments(dtype) -> None:
    x = np.linspace(-3, 3, 17, dtype=dtype)
    for times in (1, 2, 4):
        np.testing.assert_allclose(tanh_all(x, times), np.tanh(x + times - 1), rtol=1e-6)


def problem(cell, steps=4, batch=3, hidden=8, dtype="float32", **settings):
    return zoo_peer.make_problem(cell, Shape(steps, batch, hidden, 5), dtype, 1, "dense", **settings)


# Products of the state with the matrices of the cell, in elements.
WEIGHTS = {
    "lstm": lambda h: 4 * h * h,
    "gru": lambda h: 3 * h * h,
    "vanilla": lambda h: h * h,  # hand-written kernels
    "exp_rnn": lambda h: h * h,  # the exponential of a matrix
    "indrnn": lambda h: 0 * h,
    "gla": lambda h: 0 * h,
}


@pytest.mark.parametrize("cell", WEIGHTS)
@pytest.mark.parametrize(("hidden", "dtype"), [(8, "float32"), (12, "float64")])
def test_weights_are_the_matrices_in_the_loop_over_time(cell, hidden, dtype) -> None:
    expected = WEIGHTS[cell](hidden) * np.dtype(dtype).itemsize
    assert zoo_peer.step_weight_bytes(problem(cell, hidden=hidden, dtype=dtype)) == expected


def test_weights_in_bf16_have_two_bytes(monkeypatch) -> None:
    given_problem = replace(problem("lstm"), precision="bf16")
    assert zoo_peer.step_weight_bytes(given_problem) == 4 * 8 * 8 * 2


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (7, 8), (4, 24), (3, 33)])
@pytest.mark.parametrize("measure", ["model", "layer", "stream"])
def test_each_shard_reads_the_weights_in_both_passes(steps, batch, measure) -> None:
    moved = zoo_peer.traffic(problem("lstm", steps, batch, measure=measure))
    weights = 4 * 8 * 8 * 4
    if measure == "stream":
        assert moved == {"weights": (weights, steps * weights)}
        return
    tape = steps * batch * 7 * 8 * 4  # four gates, the two states, and tanh of the memory
    assert moved["weights"] == (weights, 2 * steps * len(shards(batch)) * weights)
    assert moved["tape"] == (tape, 2 * tape)


def test_functions_of_both_passes_are_counted() -> None:
    # Five in the forward pass of an LSTM. The backward pass has their values.
    assert zoo_peer.function_count(problem("lstm")) == 12 * 5 * 8
    assert zoo_peer.function_count(problem("lstm", measure="stream")) == 12 * 5 * 8
    assert zoo_peer.function_count(problem("vanilla")) is None


def limited():
    """Results with other work than products at two of three shapes."""
    results = made()
    first, second, third = results.races
    work = Demand("functions", 2e-4, 1.0), Demand("weights", 1e-3, 2.0, "L2"), Demand("tape", 2e-3, 5.0, "L3")
    return replace(
        results,
        races=(
            replace(first, demands=work),
            replace(second, demands=(Demand("tape", 1e-3, 10.0, "L3"),)),
            third,
        ),
    )


def test_table_of_limits_has_fractions_of_the_least_time() -> None:
    (table,) = [each for each in result_tables(limited()) if each.title == "What limits zoo"]
    first, second = table.rows  # a shape without known work has no row
    assert first == ("lstm", "1×1×1", "0.50", "0.20", "0.50", "977 KiB L2", "0.40", "1.9 MiB L3")
    assert second == ("lstm", "2×2×2", "0.50", "", "", "", "0.10", "977 KiB L3")
    assert "What limits zoo" not in [each.title for each in result_tables(made())]


def test_all_shapes_use_the_highest_speeds_of_the_run() -> None:
    results = replace(limited(), races=normalise_by_peak(limited().races))
    speeds = [{demand.name: demand.speed for demand in timing.demands} for timing in results.races]
    assert speeds == [{"functions": 1.0, "weights": 2.0, "tape": 10.0}, {"tape": 10.0}, {}]
    (line,) = [line for line in describe_setup(results) if line.startswith("Highest speeds")]
    assert line == "Highest speeds: 2 GB/s from L2, 10 GB/s from L3, 1 billion tanh/s."
