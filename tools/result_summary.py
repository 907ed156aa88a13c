"""Findings about the results of all cells, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from cell_results import Results, tasks
from paper_agreement import agreements
from result_tables import block_pairs, count_sentences, is_higher_ranked, some_names

from zoo.comparison.plan import TOLERANCE
from zoo.comparison.records import OverallRow

SWEEPS = ("edge", "plateau")


def facts_of(results: Results) -> list[str]:
    """Findings, a sentence or two each."""
    return [
        " ".join(count_sentences(results)),
        *_best_rank(results),
        *_solved_tasks(results),
        *_effect_of_blocks(results),
        *_agreement_with_papers(results),
        _undecided_rates(results),
        *_distance_to_budgets(results),
    ]


def _best_rank(results: Results) -> Iterator[str]:
    if len(results.ranking) > 1:
        best, *others = results.ranking
        worse = [row.cell for row in others if row.rank_gap_low is not None and row.rank_gap_low > 0]
        close = [row.cell for row in others if row.cell not in worse]
        not_worse = f" The other {len(close)} are not, for example {some_names(close[:6])}." if close else ""
        rank = rank_with_interval(best)
        yield (
            f"`{best.cell}` has the best mean rank, {rank}. {len(worse)} of {len(others)} other models are "
            f"clearly worse.{not_worse}"
        )


def rank_with_interval(row: OverallRow) -> str:
    """A mean rank: ``1.29 (95 % interval 1.14 to 1.43)``."""
    interval = "" if row.low is None else f" (95 % interval {row.low:.2f} to {row.high:.2f})"
    return f"{row.rank:.2f}{interval}"


def _solved_tasks(results: Results) -> Iterator[str]:
    solvers = {
        facts.title: [model for model, each in results.ranked(facts.name) if facts.is_reached(each.mean or 0)]
        for facts in tasks().values()
        if facts.threshold is not None and results.ranked(facts.name)
    }
    if solved := [f"{title} ({some_names(models)})" for title, models in solvers.items() if models]:
        yield f"Tasks that models solve: {', '.join(solved)}."
    if unsolved := [title for title, models in solvers.items() if not models]:
        yield f"Tasks that no model solves: {', '.join(unsolved)}."


def _effect_of_blocks(results: Results) -> Iterator[str]:
    if pairs := block_pairs(results):
        better = sum(is_higher_ranked(tasks()[task], in_block, bare) for _, task, (bare, in_block) in pairs)
        yield (
            f"In {better} of {len(pairs)} pairs of cell and task, the cell is better in its block."
            f"{_effect_on_ranks(results)}"
        )


def _effect_on_ranks(results: Results) -> str:
    """The models that have a clearly better or worse mean rank than their bare cells."""
    complete = set(results.complete)
    effects = [
        (model, results.rank_difference(model, cell)[1])
        for model, (cell, block) in results.models.items()
        if block != "bare" and {model, cell} <= complete
    ]
    better = [model for model, interval in effects if interval and interval[1] < 0]
    worse = [model for model, interval in effects if interval and interval[0] > 0]
    texts = [
        f"{some_names(models)} {'have' if len(models) > 1 else 'has'} a clearly {word} mean rank"
        for word, models in (("better", better), ("worse", worse))
        if models
    ]
    clear = f"{' and '.join(texts)} than the bare cell" if texts else "no mean rank is clearly different"
    return f" Of {len(effects)} models in a block, {clear}." if effects else ""


def _agreement_with_papers(results: Results) -> Iterator[str]:
    if verdicts := list(agreements(results)):
        agreeing = sum(each.agrees for each in verdicts)
        agree = f"{agreeing} [agree{'s' * (agreeing == 1)}](#agreement-with-papers)"
        larger = sum(not each.agrees and each.is_repeated is True for each in verdicts)
        more = f" {larger} more agree{'s' * (larger == 1)} with a larger budget." if larger else ""
        yield f"Of {len(verdicts)} results of papers, {agree}.{more}"


def _distance_to_budgets(results: Results) -> Iterator[str]:
    """The pairs whose numbers of parameters are far from the budget."""
    distances = [
        (abs(each.rows[0].parameters - budget) / budget, pair)
        for pair, each in results.measured.items()
        if each.rows[0].parameters and (budget := tasks()[pair.task].parameters)
    ]
    if far := [(distance, pair) for distance, pair in distances if distance > TOLERANCE]:
        distance, pair = max(far, key=lambda item: item[0])
        share, largest = f"{100 * TOLERANCE:.0f} %", f"{100 * distance:.0f} %"
        yield (
            f"In {len(far)} pairs, the number of parameters differs from the budget by more than {share}, "
            f"because the sizes of these models come in large steps. The largest difference is {largest}, of "
            f"`{pair.spec}` on {tasks()[pair.task].title}."
        )


def _undecided_rates(results: Results) -> str:
    counts = {word: sum(each.sweep == word for each in results.measured.values()) for word in SWEEPS}
    return (
        f"In {sum(counts.values())} of {len(results.measured)} pairs of model and task, the sweep has not "
        f"decided the learning rate ({', '.join(f'`{word}`: {count}' for word, count in counts.items())})."
    )
