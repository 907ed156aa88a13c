"""The results of one cell, for its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cell_results import Measured, Results, TaskFacts, tasks
from evaluate_cells import SETTINGS
from paper_agreement import reproduced_models
from result_tables import linked, score_text, some_names

from zoo.cell_pages.cell_page import wrapped
from zoo.tables import TextTable

CURVES_ENDING = "-results.svg"
"""Ending of the names of learning curves, next to the pages of cells."""

SWEEP_NOTE = (
    "*edge*: a better learning rate may lie beyond the swept ones. *plateau*: no learning rate was better "
    "than the score without memory, or the runs at the chosen rate are not, so the rate may be chosen by "
    "chance."
)
RANK_NOTE = (
    "Models near the score without memory share a rank, the mean of their ranks, since their order would be "
    "random."
)
DIVERGED_NOTE = (
    "A run that diverges has the score of its best validation before. Without a validation it has the score "
    "without memory."
)
NO_LEADER_NOTE = "A dash in the last column means that no model is clearly better than that score."
NOT_MEASURED_NOTE = "A dash in another column means that the model is not measured yet."
CURVES_NOTE = (
    "The lines show validation scores against updates, as means over the seeds. The band contains the middle "
    "80 % of all other models."
)


def cell_lines(results: Results, cell: str, folder: str = "../..") -> list[str]:
    """The results of a cell for its page.

    Args:
        results: All results.
        cell: Name of the cell.
        folder: Address of the folder of the documents.
    """
    if not any(name == cell for name, _ in results.models.values()):
        measure = f"`python tools/evaluate_cells.py results --cells {cell}`"
        return wrapped(
            f"`{cell}` is not among [the results]({folder}/results.md) yet. {measure} measures it on six "
            f"tasks and a text.{_reproductions(cell, folder)}"
        )
    lines = [*wrapped(_introduction(results, cell, folder)), "", *_table(results, cell).markdown(), ""]
    if notes := " ".join(_notes(results, cell)):
        lines += [*wrapped(notes), ""]
    if has_curves(results, cell):
        lines += [*wrapped(CURVES_NOTE), ""]
        lines += [f"![Learning curves of {cell} on six tasks and a text]({cell}{CURVES_ENDING})"]
    return lines if lines[-1] else lines[:-1]


def has_curves(results: Results, cell: str) -> bool:
    """Whether a cell has validations."""
    return any(each.points for each in _measured(results, cell))


def _reproductions(cell: str, folder: str) -> str:
    """A sentence about longer runs of the cell; empty if there are none."""
    models = [model for model in reproduced_models() if cell in (model, model.rpartition("(")[2].rstrip(")"))]
    if not models:
        return ""
    return (
        f" [Published results, repeated]({folder}/reproductions.md) has longer runs of {some_names(models)}."
    )


def _introduction(results: Results, cell: str, folder: str) -> str:
    options = dict.fromkeys(row.options for each in _measured(results, cell) for row in each.rows)
    chosen = " and ".join(f"`{text}`" for text in " ".join(options).split())
    return (
        f"Mean test scores of {SETTINGS['seeds']} seeds after {SETTINGS['steps']:,} updates of two layers, "
        f"with equal parameters for all cells ([protocol]({folder}/results.md#protocol))"
        f"{f' and the options {chosen}' if chosen else ''}. Bold scores reach the threshold of the task. "
        f"Ranks are among all models in "
        f"[the tables]({folder}/results-tables.md).{_reproductions(cell, folder)}"
    )


def _table(results: Results, cell: str) -> TextTable:
    """Scores and ranks of a cell, bare and in its block, and the best model of each task."""
    blocks = [block for name, block in results.models.values() if name == cell]
    by_task = [
        (facts, [results.at(cell, block, facts.name) for block in blocks]) for facts in tasks().values()
    ]
    rows = tuple(_row(results, facts, own) for facts, own in by_task if any(own))
    names = ["bare" if block == "bare" else f"in `{block}`" for block in blocks]
    headings = ("task", *(text for name in names for text in (name, "rank")), "best of all")
    return TextTable("", headings, rows, right=tuple(range(1, len(headings) - 1)))


def _row(results: Results, facts: TaskFacts, own: Sequence[Measured | None]) -> tuple[str, ...]:
    count = len(results.ranked(facts.name))
    texts: list[str] = []
    for each in own:
        rank = f"{each.summary.rank:g} of {count}" if each and each.summary else "–"
        texts += [score_text(facts, each), rank]
    leaders = results.leaders(facts.name, 1)
    best = "".join(f"{score_text(facts, each)} {linked(model, '..')}" for model, each in leaders) or "–"
    return f"{facts.title} ({facts.unit})", *texts, best


def _notes(results: Results, cell: str) -> Iterator[str]:
    """Explanations of the words and signs in the table of a cell."""
    measured = {pair: each for pair, each in results.measured.items() if pair.cell == cell}
    if any(each.sweep for each in measured.values()):
        yield SWEEP_NOTE
    if any(row.status == "diverged" for each in measured.values() for row in each.rows):
        yield DIVERGED_NOTE
    if any(
        each.mean is not None and not tasks()[pair.task].leaves_baseline(each.mean)
        for pair, each in measured.items()
    ):
        yield RANK_NOTE
    rows = _table(results, cell).rows
    if any(row[-1] == "–" for row in rows):
        yield NO_LEADER_NOTE
    if any("–" in row[:-1] for row in rows):
        yield NOT_MEASURED_NOTE


def _measured(results: Results, cell: str) -> list[Measured]:
    return [each for pair, each in results.measured.items() if pair.cell == cell]
