"""The sentences below the table of a task: the meaning of its scores, and the verdicts on its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo.arguments import counted
from zoo.base.metric import metric_text
from zoo.comparison.number_text import score_text
from zoo.comparison.plan import TOLERANCE
from zoo.comparison.rank_sentences import holders_text
from zoo.comparison.verdicts import (
    BETTER,
    UNCLEAR,
    WORSE,
    paired_difference,
    verdict,
    verdict_sentences,
)
from zoo.training.rate_search import is_on_plateau

if TYPE_CHECKING:
    from zoo.comparison.records import RunGroup, RunRecord, SummaryRow
    from zoo.comparison.results import Comparison


Info = Mapping[str, Any]


_GAIN_TEXTS = {
    BETTER: "Clearly better",
    WORSE: "Clearly worse",
    UNCLEAR: "Not clearly better or worse",
    None: "Without an interval, since the test part is too small or runs have failed",
}
"""Sentences about the gain by its verdict."""


UNFINISHED_MARK = "†"
"""After a score that counts a run that did not finish."""

_UNFINISHED = {
    "diverged": "Each counts with its best checkpoint before that, or else with the worst score of the task.",
    "failed": "They have no score.",
}
"""The score of a run by its status."""


def has_unfinished_runs(results: Comparison, group: RunGroup) -> bool:
    """Whether a run of a group diverged or failed."""
    return any(run.status in _UNFINISHED for run in results.runs_of_group(group))


def unfinished_sentences(results: Comparison, tasks: Sequence[str]) -> Iterator[str]:
    """The numbers of runs of each cell that diverged or failed, and their scores."""
    runs = [run for run in results.runs if run.task in tasks]
    totals = Counter(run.group for run in runs)
    for status, score in _UNFINISHED.items():
        counts = Counter(run.group for run in runs if run.status == status)
        if counts:
            each = [f"{counts[group]} of {totals[group]} of {results.group_text(group)}" for group in counts]
            yield f"Runs that {status}: {', '.join(each)}. {score}"


def gain_sentences(rows: Sequence[SummaryRow], info: Info) -> Iterator[str]:
    """The meaning of the gain, and the cells that are clearly better or worse than the best baseline."""
    if (best := info["baseline"]) is None or not info["baselines"]:
        return
    name = next((name for name, each in info["baselines"].items() if each["value"] == best), "")
    unit = (
        f"the difference in {metric_text(info['metric'])} in percentage points"
        if info["higher_is_better"]
        else f"the share by which {metric_text(info['metric'])} is lower"
    )
    yield f"The best baseline is {name}, {score_text(best)}. Gain over it: {unit}, with a 95 % interval."
    yield from verdict_sentences(
        {row.cell: verdict(row.gain_low, row.gain_high) for row in rows}, _GAIN_TEXTS
    )


def cell_sentences(results: Comparison, rows: Sequence[SummaryRow]) -> Iterator[str]:
    """The cells that are clearly better or worse than the reference cell, or else than the best cell.

    Verdicts come from paired differences over the seeds.

    Args:
        results: The comparison.
        rows: The rows of a task at one size, the best first.
    """
    if len(rows) < 2 or rows[0].mean is None:
        return
    by_cell = {
        row.cell: [run for run in results.runs_of_group(row.group) if run.score is not None] for row in rows
    }
    have_verdicts = max(map(len, by_cell.values())) > 1
    if results.reference:
        reference, left_out = results.reference, [results.reference]
        yield (
            f"difference: the score less the score of {reference} with the same seed, as a mean over the "
            f"seeds with a 95 % interval."
        )
    else:
        reference, left_out = rows[0].cell, [row.cell for row in rows if row.mean == rows[0].mean]
        best = holders_text(left_out, "the best mean" if have_verdicts else "the best score")
        yield f"Cells{', by paired differences over the seeds' * have_verdicts}: {best}."
    if not by_cell.get(reference):
        yield f"{reference} has no score on {rows[0].task}, so there is no difference."
    elif not have_verdicts:
        yield "Verdicts need at least two seeds."
    else:
        yield from _paired_verdicts(by_cell, reference, left_out)
    if have_verdicts and is_near_baseline(results, rows[0]):
        problem = "The best mean is near the score without memory or worse"
        yield f"{problem}, so the order of the cells may be chance."


def _paired_verdicts(
    runs: Mapping[str, Sequence[RunRecord]], reference: str, left_out: Sequence[str]
) -> Iterator[str]:
    """The cells by their paired differences to a reference cell.

    Args:
        runs: The runs with a score by cell.
        reference: One of the cells.
        left_out: Cells that are not compared.
    """
    verdicts = {}
    for cell in runs:
        if cell not in left_out:
            difference = paired_difference(runs[cell], runs[reference])
            seeds = counted(difference.seeds, "seed") + ", all differences are equal" * difference.is_constant
            higher_is_better = runs[reference][0].higher_is_better
            verdicts[f"{cell} ({seeds})"] = verdict(difference.low, difference.high, higher_is_better)
    yield from verdict_sentences(verdicts)


def is_near_baseline(results: Comparison, row: SummaryRow) -> bool:
    """Whether a mean is as near to the memoryless baseline as a run on a plateau, or worse than it.

    False for data sets, whose baselines are other methods.
    """
    info = results.section("tasks")[row.task]
    # A failed run lacks the number of examples, and damaged files have means without runs.
    scored = [run for run in results.runs_of_group(row.group) if run.score is not None]
    if info["baselines"] or row.mean is None or not scored:
        return False
    known = {name: info[name] for name in ("baseline", "threshold", "higher_is_better")}
    known |= {"score": row.mean, "solved": row.solved > 0, "status": "finished"}
    run = replace(scored[0], **known)
    return run.baseline is not None and is_on_plateau([run])


def parameter_sentences(results: Comparison, rows: Sequence[SummaryRow]) -> Iterator[str]:
    """The numbers of parameters at one hidden size, if they differ."""
    parameters = [row.parameters for row in rows]
    if "hidden" in results.plan.get("size", {}) and not have_similar_parameters(parameters):
        yield (
            f"The cells have {min(parameters):,} to {max(parameters):,} parameters; `--params` compares them "
            f"at about equal numbers."
        )


def have_similar_parameters(parameters: Sequence[int]) -> bool:
    """Whether numbers of parameters differ by no more than the tolerance of ``--params`` on both sides."""
    return max(parameters) * (1 - TOLERANCE) <= min(parameters) * (1 + TOLERANCE)


def customary_cells(results: Comparison) -> dict[str, list[str]]:
    """The cells whose options have their customary values, by option, ``forget_bias=1.0``."""
    cells: dict[str, dict[str, None]] = {}
    for cell in results.cells:
        stated = results.stated_options(cell)
        for name, value in results.customary_options(cell).items():
            if stated[name] == value:
                cells.setdefault(f"{name.rpartition('.')[2]}={value}", {})[cell] = None
    return {option: [*labels] for option, labels in cells.items()}


def customary_sentences(results: Comparison) -> Iterator[str]:
    """The options with customary values, and the differences from the reference cell that include them.

    A class of your own that lacks an option which the reference has differs from it in more than its
    equations. Cells with a reference in the literature are different networks anyway.
    """
    for option, cells in customary_cells(results).items():
        yield f"{option} of {', '.join(cells)} is customary."
        name, reference = option.partition("=")[0], results.reference
        without = [
            cell
            for cell in results.cells
            if not results.is_published(cell)
            and name not in {each.rpartition(".")[2] for each in results.options(cell)}
        ]
        if reference in cells and without:
            have = "does" if len(without) == 1 else "do"
            yield (
                f"{', '.join(without)} {have} not have the option {name}, so differences from {reference} "
                f"include its effect."
            )
        elif reference in without:
            yield (
                f"{reference} does not have the option {name}, so the differences of {', '.join(cells)} "
                f"include its effect."
            )


def legend_text(info: Info) -> str:
    """The metric of a task, its direction, and the scores without memory and at the threshold."""
    direction = "higher" if info["higher_is_better"] else "lower"
    parts = [f"{metric_text(info['metric'])}, {direction} is better"]
    if info["baseline"] is not None and not info["baselines"]:
        parts.append(f"without memory {score_text(info['baseline'])}")
    if info["threshold"] is not None:
        source = info["threshold_source"].rstrip(".")
        parts.append(f"solved at {score_text(info['threshold'])}{f' ({source})' if source else ''}")
    return "; ".join(parts) + "."
