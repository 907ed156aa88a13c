"""Mean ranks over tasks, and the intervals of the paired bootstrap over tasks and seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.comparison import rank_bootstrap, rank_permutations
from zoo.comparison.rank_bootstrap import MIN_TASKS_OF_PAIR, draw_ranks, mean_costs, rank_costs
from zoo.comparison.rank_permutations import RankPermutations, min_tasks, min_tasks_with_reference

SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, np.nan])  # equal scores and failed runs are frequent


@st.composite
def cost_tables(draw, tasks=(1, 5), seeds=(1, 4), cells=(2, 5)):
    """Costs of each task, with the same cells and other seeds."""
    width = draw(st.integers(*cells))
    return [
        np.array(
            draw(st.lists(st.lists(SCORES, min_size=width, max_size=width), min_size=rows, max_size=rows))
        )
        for rows in draw(st.lists(st.integers(*seeds), min_size=tasks[0], max_size=tasks[1]))
    ]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    for module in (rank_bootstrap, rank_permutations):
        monkeypatch.setattr(module, "DRAWS", 300)


def test_equal_costs_share_ranks():
    assert rank_costs(np.array([3.0, 1.0, 1.0, 2.0])).tolist() == [4.0, 1.5, 1.5, 3.0]
    assert rank_costs(np.array([[np.inf, 0.0, np.inf], [1.0, 2.0, 3.0]])).tolist() == [
        [2.5, 1, 2.5],
        [1, 2, 3],
    ]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.inf]), min_size=1, max_size=9))
def test_a_rank_counts_the_cells_with_lower_and_with_equal_costs(costs):
    row = np.array(costs)
    expected = [(row < cost).sum() + ((row == cost).sum() + 1) / 2 for cost in row]
    assert rank_costs(row[None])[0].tolist() == expected


def test_means_leave_out_runs_without_a_score():
    costs = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    assert mean_costs(costs).tolist() == [[2.0, 5.0, np.inf]]
    counts = np.array([[2, 0], [1, 1], [0, 2]])
    assert mean_costs(costs, counts).tolist() == [
        [1.0, 5.0, np.inf],  # the second cell has the mean of all of its seeds
        [2.0, 5.0, np.inf],
        [3.0, 5.0, np.inf],
    ]


@settings(max_examples=40, deadline=None)
@given(cost_tables())
def test_intervals_contain_the_value_itself(costs):
    draws = draw_ranks(costs)
    last = len(draws.sums) - 1
    for value, interval in (
        (draws.rank(0), draws.interval(0)),
        (draws.permutations.rank_gap(0), draws.permutations.rank_gap_interval(0)),
        (draws.permutations.difference(0, last), draws.difference_interval(0, last)),
        (draws.permutations.difference(0, last), draws.permutations.reference_interval(0, last)),
    ):
        assert interval is None or interval[0] <= value <= interval[1]
    assert np.all(draws.drawn.sum(axis=1) == draws.sums.sum()), "all draws have the same sum of ranks"
    assert len(costs) <= draws.drawn.min() <= draws.drawn.max() <= len(costs) * (last + 1)


@settings(max_examples=20, deadline=None)
@given(cost_tables(), st.randoms(use_true_random=False))
def test_the_order_of_cells_changes_nothing(costs, random):
    order = random.sample(range(costs[0].shape[1]), costs[0].shape[1])
    draws, permuted = draw_ranks(costs), draw_ranks([table[:, order] for table in costs])
    for new, old in enumerate(order):
        assert permuted.interval(new) == draws.interval(old)
        assert permuted.permutations.rank_gap_interval(new) == draws.permutations.rank_gap_interval(old)
        assert permuted.permutations.reference_interval(new, 0) == draws.permutations.reference_interval(
            old, order[0]
        )


@settings(max_examples=20, deadline=None)
@given(cost_tables(tasks=(6, 8), seeds=(2, 4), cells=(1, 4)))
def test_a_cell_that_is_always_better_is_concluded_better(costs):
    with_best = [np.insert(table, 0, -1.0, axis=1) for table in costs]
    draws, pair = draw_ranks(with_best), draw_ranks([table[:, :2] for table in with_best])
    assert draws.interval(0) == (1.0, 1.0)
    assert all(draws.difference_interval(cell, 0)[0] > 0 for cell in range(1, len(draws.sums)))
    assert pair.permutations.rank_gap_interval(0)[1] < 0 < pair.permutations.rank_gap_interval(1)[0]


@settings(max_examples=20, deadline=None)
@given(cost_tables(tasks=(6, 7), seeds=(2, 4), cells=(1, 3)))
def test_equal_cells_are_not_different(costs):
    draws = draw_ranks([np.concatenate((table, table[:, :1]), axis=1) for table in costs])
    assert draws.difference_interval(0, len(draws.sums) - 1) == (0.0, 0.0)


def test_pairing_narrows_the_interval_of_a_difference():
    """Both cells do better with some seeds than with others, and one of them is always a little better."""
    rng = np.random.default_rng(0)
    luck = rng.normal(size=(MIN_TASKS_OF_PAIR, 3, 1))
    paired = [table + np.array([0.0, 0.01]) for table in luck]
    unpaired = [np.stack((table[:, 0], np.roll(table[:, 1], 1)), axis=1) for table in paired]
    assert draw_ranks(paired).difference_interval(0, 1) == (-1.0, -1.0)
    low, high = draw_ranks(unpaired).difference_interval(0, 1)
    assert low < high


@given(st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_pairing_reduces_the_variance_of_a_difference(seed):
    """Scores of the same seed are correlated, so their difference varies less than the one of other seeds."""
    rng = np.random.default_rng(seed)
    luck = 10 * rng.permuted(np.tile(np.arange(4.0), (5, 1)), axis=1)[:, :, None]
    paired = list(luck + rng.normal(size=(5, 4, 2)))
    unpaired = [np.stack((table[:, 0], np.roll(table[:, 1], 1)), axis=1) for table in paired]
    drawn, others = (
        mean_costs(np.concatenate(each), rng.multinomial(20, np.full(20, 0.05), 300))
        for each in (paired, unpaired)
    )
    assert np.diff(drawn, axis=1).var() < np.diff(others, axis=1).var()


@pytest.mark.parametrize(
    ("tasks", "seeds", "has_interval"),
    [(1, 2, False), (1, 3, True), (2, 2, False), (2, 3, True), (3, 1, True), (3, 2, True)],
)
def test_few_tasks_and_seeds_have_no_interval(tasks, seeds, has_interval):
    draws = draw_ranks([np.tile([0.0, 1.0], (seeds, 1))] * tasks)
    assert (draws.interval(0) is not None) is has_interval


@pytest.mark.parametrize("cells", range(2, 7))
def test_a_verdict_needs_as_many_tasks_as_a_permutation_test(cells):
    """One of K equal cells is first on all tasks and another one last in (K (K - 1))^(1 - T) of cases."""
    fewest = min_tasks(cells)
    chances = [1 / (cells * (cells - 1)) ** (tasks - 1) for tasks in (fewest - 1, fewest)]
    assert chances[1] < 0.05 <= chances[0]
    for tasks in (fewest - 1, fewest):
        draws = draw_ranks([np.arange(cells)[None] * 1.0] * tasks)
        interval = draws.permutations.rank_gap_interval(cells - 1)
        assert (interval is not None) is (tasks == fewest)
    assert interval[0] > 0
    for tasks in (MIN_TASKS_OF_PAIR - 1, MIN_TASKS_OF_PAIR):
        draws = draw_ranks([np.arange(cells)[None] * 1.0] * tasks)
        assert (draws.difference_interval(0, 1) is not None) is (tasks == MIN_TASKS_OF_PAIR)


@settings(max_examples=20, deadline=None)
@given(cost_tables(tasks=(3, 6), cells=(3, 5)))
def test_thecritical_difference_is_one_of_all_pairs(costs):
    """Every interval has this width, where it is not cut at the largest possible difference."""
    draws = draw_ranks(costs)
    largest = len(draws.sums) - 1
    widths = []
    for cell in range(len(draws.sums)):
        interval, gap = draws.permutations.rank_gap_interval(cell), draws.permutations.rank_gap(cell)
        widths += [abs(end - gap) for end in interval if abs(end) < largest]
    assert np.ptp(widths) < 1e-9 if widths else True


@settings(max_examples=20, deadline=None)
@given(cost_tables(tasks=(2, 7), cells=(2, 5)))
def test_a_reference_chosen_before_has_narrower_intervals_than_the_best_cell(costs):
    """They hold for fewer pairs of cells. With two cells there is one pair, and both intervals are equal."""
    draws = draw_ranks(costs)
    best = int(draws.sums.argmin())
    for cell in range(len(draws.sums)):
        narrow, wide = (
            draws.permutations.reference_interval(cell, best),
            draws.permutations.rank_gap_interval(cell),
        )
        if cell != best and wide:
            assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]
            assert narrow == wide or len(draws.sums) > 2


@pytest.mark.parametrize("cells", range(2, 8))
def test_a_verdict_on_a_reference_needs_as_many_tasks_as_a_permutation_test(cells):
    """The reference is first and another cell last on all tasks in 2 K^-T (K - 1)^(1 - T) of cases."""
    fewest = min_tasks_with_reference(cells)
    first_and_last = [2 / cells**tasks / (cells - 1) ** (tasks - 1) for tasks in (fewest - 1, fewest)]
    assert first_and_last[1] < 0.05 <= first_and_last[0]
    for tasks in (fewest - 1, fewest):
        draws = draw_ranks([np.arange(cells)[None] * 1.0] * tasks)
        interval = draws.permutations.reference_interval(cells - 1, 0)
        assert (interval is not None) is (tasks == fewest)


@pytest.mark.parametrize(
    "ranks", [[(1, 2, 3)] * 3, [(1, 2, 3)] * 5, [(1, 2.5, 2.5)] * 4, [(1, 2, 3, 4)] * 2, [(1, 2, 3, 4)] * 3]
)
def test_permutations_agree_with_all_orders_of_the_cells(ranks, monkeypatch):
    """At most 5 % of all orders have a larger difference to the reference, and more have one as large."""
    monkeypatch.setattr(rank_permutations, "DRAWS", 20_000)
    orders = [np.array(list(itertools.permutations(task_ranks))) for task_ranks in ranks]
    sums = orders[0]
    for task_orders in orders[1:]:
        sums = (sums[:, None] + task_orders).reshape(-1, sums.shape[1])
    differences = np.abs(sums[:, 1:] - sums[:, :1]).max(axis=1)
    margin = RankPermutations(np.array(ranks, float)).critical_difference_to_reference
    assert np.mean(differences > margin) <= 0.05 < np.mean(differences >= margin)


def test_tasks_are_drawn_from_three_on():
    """The order of the cells depends on the task alone, so only drawn tasks change a mean rank."""
    first, second = np.tile([0.0, 1.0], (3, 1)), np.tile([1.0, 0.0], (3, 1))
    assert draw_ranks([first, second]).interval(0) == (1.5, 1.5)
    assert draw_ranks([first, second, first]).interval(0) == (1.0, 2.0)


@pytest.mark.parametrize(("cells", "tasks", "luck"), [(2, 6, 1.0), (4, 3, 0.0), (10, 7, 1.0)])
def test_equal_cells_are_rarely_clearly_worse(cells, tasks, luck):
    """Cells with the same distribution of scores, on each task (no luck) or on average over tasks.

    tests/tools/test_measure_verdicts.py has more cells and repetitions, of ranks without scores.
    """
    rng = np.random.default_rng(1)
    verdicts, on_reference = [], []
    for _ in range(60):
        noise = rng.normal(size=(tasks, 3, cells)) / 2
        draws = draw_ranks(list(luck * rng.normal(size=(tasks, 1, cells)) + noise))
        intervals = [draws.permutations.rank_gap_interval(cell) for cell in range(cells)]
        verdicts.append(any(interval and interval[0] > 0 for interval in intervals))
        intervals = [draws.permutations.reference_interval(cell, 0) for cell in range(1, cells)]
        on_reference.append(any(not low <= 0 <= high for low, high in intervals))
    assert np.mean(verdicts) <= 0.15, "5 %: 9 of 60 have a probability of 0.3 %"
    assert np.mean(on_reference) <= 0.15


def test_the_interval_covers_the_mean_rank_over_all_tasks():
    """Eight equal cells, on as many tasks and seeds as in the results of the cells that ship."""
    rng = np.random.default_rng(1)
    covered, plain = [], []
    for _ in range(80):
        skill, luck = rng.normal(size=(7, 1, 8)), rng.normal(size=(7, 3, 1))
        draws = draw_ranks(list(skill + luck + rng.normal(size=(7, 3, 8)) / 2))
        low, high = draws.interval(0)
        covered.append(low <= 4.5 <= high)
        below, above = np.quantile(draws.drawn[:, 0], (0.025, 0.975))
        plain.append(below <= 4.5 <= above)
    assert np.mean(covered) > 0.88
    assert np.mean(covered) > np.mean(plain), "percentiles of seven tasks are too narrow"
