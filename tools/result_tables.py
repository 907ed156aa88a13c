"""Tables of the results of all cells, in Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from cell_results import Measured, Results, TaskFacts, tasks
from evaluate_cells import CELL_OPTIONS, all_pairs

from zoo.base import Cell
from zoo.cell_pages.cell_page import wrapped
from zoo.comparison.records import OverallRow
from zoo.registry import registry_of
from zoo.tables import TextTable

PROBLEMS: Mapping[str, str] = {
    "text": "predict text or symbols",
    "adding": "add numbers over 50 steps",
    "copying": "reproduce a sequence after a short delay",
    "selective_copying": "select inputs by their content",
    "dyck": "count, also on longer sequences than in training",
    "parity": "track a state that flips (parity), also on longer sequences",
    "associative_recall": "recall pairs",
}

# Tables of docs/results.md


def count_sentences(results: Results) -> list[str]:
    """The number of models that are measured, and of those that are not."""
    total = len({pair.spec for pair in all_pairs()})
    complete, partial = len(results.complete), len(results.models) - len(results.complete)
    more = f", and {partial} on some of them" if partial else ""
    lines = [f"{complete} of {total} models are measured on all six tasks and the text{more}."]
    dates = sorted({row.date for row in results.rows if row.date})
    if dates:
        days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        versions = [
            f"{title} {', '.join(sorted({getattr(row, title.lower()) for row in results.rows} - {''}))}"
            for title in ("zoo", "Numba")
        ]
        processors = ", ".join(sorted({row.processor for row in results.rows} - {""}))
        lines.append(f"The runs are from {days}, with {' and '.join(versions)}, on {processors}.")
    return lines


def some_names(names: Sequence[str], limit: int = 6) -> str:
    """The first names in code style, and the number of others."""
    quoted = [f"`{name}`" for name in names[:limit]]
    others = len(names) - limit
    quoted += [f"{others} other{'s' * (others > 1)}"] if others > 0 else []
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)


def is_higher_ranked(facts: TaskFacts, candidate: Measured, reference: Measured) -> bool:
    """Whether the mean score of ``candidate`` is better than the mean score of ``reference``."""
    score, other = candidate.mean or 0.0, reference.mean or 0.0
    return score > other if facts.higher_is_better else score < other


def linked(model: str, folder: str = "zoo") -> str:
    """A model in code style, with a link to the page of its cell.

    Args:
        model: The cell, or ``block(cell)``.
        folder: Address of the folder of these pages.

    Raises:
        UnknownNameError: if the cell does not exist.
    """
    cell = model.rpartition("(")[2].rstrip(")")
    return f"[`{model}`]({folder}/{registry_of(Cell).cls(cell).family}/{cell}.md)"


def best_table(results: Results) -> TextTable:
    """For each task, its threshold, how many models solve it, and the three best."""
    rows = []
    for facts in tasks().values():
        ranked = results.ranked(facts.name)
        solved = len(_solvers(results, facts.name))
        leaders = results.leaders(facts.name, 3)
        three = [f"{score_text(facts, each)} {linked(model)}" for model, each in leaders]
        rows.append(
            (
                f"{facts.title} ({facts.unit})",
                "–" if facts.threshold is None else f"{facts.threshold:g}",
                "–" if facts.threshold is None else f"{solved} of {len(ranked)}",
                *(three + ["–"] * 3)[:3],
            )
        )
    headings = ("task", "solved at", "solved by", "best", "second", "third")
    return TextTable("", headings, tuple(rows), right=(1, 2))


def score_text(facts: TaskFacts, measured: Measured | None) -> str:
    """A mean score, in bold if it reaches the threshold, with the verdict of the sweep."""
    if measured is None:
        return "–"
    if measured.mean is None:
        return "failed"
    lost = sum(row.score is None for row in measured.rows)
    diverged = sum(row.status == "diverged" for row in measured.rows)
    words = [f"*{measured.sweep}*"] if measured.sweep else []
    words += [f"({lost} of {len(measured.rows)} failed)"] if lost else []
    words += [f"({diverged} of {len(measured.rows)} diverged)"] if diverged else []
    return " ".join([facts.format(measured.mean, mark=True), *words])


def block_pairs(results: Results) -> list[tuple[str, str, tuple[Measured, Measured]]]:
    """Cells that are measured on a task both bare and in a block: cell, task, and both results."""
    pairs = []
    for pair, in_block in results.measured.items():
        bare = results.at(pair.cell, "bare", pair.task)
        if pair.block != "bare" and bare is not None and bare.summary and in_block.summary:
            pairs.append((pair.cell, pair.task, (bare, in_block)))
    return pairs


def block_lines(results: Results) -> list[str]:
    """A table with the scores of cells bare and in their blocks."""
    pairs = {(cell, task): both for cell, task, both in block_pairs(results)}
    rows = []
    for model, (cell, block) in results.models.items():
        if block != "bare" and any(name == cell for name, _ in pairs):
            texts = (
                " → ".join(facts.format(each.mean or 0, mark=True) for each in pairs[cell, facts.name])
                if (cell, facts.name) in pairs
                else "–"
                for facts in tasks().values()
            )
            rows.append((f"`{model}`", *texts))
    table = TextTable("", ("model", *(facts.title for facts in tasks().values())), tuple(rows))
    return table.markdown() if rows else ["No cell is measured both bare and in its block yet."]


def option_lines() -> list[str]:
    """The options that are not the defaults of the cells."""
    cells: dict[str, list[str]] = {}
    for cell, options in CELL_OPTIONS.items():
        text = " and ".join(f"`{name}={value}`" for name, value in options.items())
        cells.setdefault(text, []).append(cell)
    texts = [f"{text} of {some_names(names)}" for text, names in cells.items()]
    return wrapped(f"Options that are not the defaults: {', '.join(texts)}.")


def tasks_table() -> TextTable:
    """Budgets of the tasks."""
    rows = tuple(
        (f"`{facts.name}`", f"{facts.parameters:,}", facts.unit, facts.format(facts.baseline))
        for facts in tasks().values()
    )
    return TextTable("", ("task", "parameters", "score", "without memory"), rows, right=(1, 3))


# Tables of docs/results-tables.md


def ranking_table(results: Results) -> TextTable:
    """Mean ranks of the complete models."""
    rows = tuple(
        (
            linked(row.cell),
            f"{row.rank:.2f}" if row.rank is not None else "–",
            f"{row.low:.1f} to {row.high:.1f}" if row.low is not None else "–",
            _rank_gap(row),
            f"{row.solved}/{row.solvable}",
            *(
                score_text(facts, results.at(*results.models[row.cell], facts.name))
                for facts in tasks().values()
            ),
        )
        for row in results.ranking
    )
    headings = (
        "model",
        "mean rank",
        "95 %",
        "rank gap",
        "solved",
        *(facts.title for facts in tasks().values()),
    )
    return TextTable("", headings, rows, right=(1, 2, 3, 4))


def _rank_gap(row: OverallRow) -> str:
    """The difference to the best mean rank of the other models, in bold if it is clearly worse or better."""
    if row.rank_gap is None:
        return "–"
    if row.rank_gap_low is None or row.rank_gap_high is None:
        return f"{row.rank_gap:.1f}"
    text = f"{row.rank_gap:.1f} [{row.rank_gap_low:.1f}, {row.rank_gap_high:.1f}]"
    return f"**{text}**" if row.rank_gap_low > 0 or row.rank_gap_high < 0 else text


def task_table(results: Results, facts: TaskFacts) -> TextTable:
    """Every model on a task, the best first, and those without a score last."""
    ranked = [model for model, _ in results.ranked(facts.name)]
    failed = [
        pair.spec for pair, each in results.measured.items() if pair.task == facts.name and not each.summary
    ]
    rows = tuple(
        task_row(facts, model, results.at(*results.models[model], facts.name)) for model in [*ranked, *failed]
    )
    headings = (
        "rank", "model", "H", "parameters", "cell / block / readout", "learning rate", facts.unit, "sd",
        "95 %", "worst", "best", "solved", "remarks",
    )  # fmt: skip
    return TextTable("", headings, rows, right=(0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))


def task_row(facts: TaskFacts, model: str, measured: Measured | None) -> tuple[str, ...]:
    """The numbers of a model on a task."""
    if measured is None or measured.summary is None:
        return "–", f"`{model}`", *["–"] * 10, measured.status.replace("\n", " ") if measured else ""
    row, summary = measured.rows[0], measured.summary

    def score(value: float | None) -> str:
        return "–" if value is None else facts.format(value)

    parts = (row.cell_parameters, row.block_parameters, row.readout_parameters)
    lr = f"{row.lr:g}" if row.lr is not None else "–"
    interval = "–" if summary.low is None else f"{score(summary.low)} to {score(summary.high)}"
    return (
        f"{summary.rank:g}",
        f"`{model}`",
        f"{row.hidden}",
        f"{row.parameters:,}",
        " / ".join("–" if part is None else f"{part:,}" for part in parts),
        f"{lr} {measured.sweep}".strip(),
        facts.format(summary.mean or 0, mark=True),
        score(summary.spread),
        interval,
        score(summary.worst),
        score(summary.best),
        f"{summary.solved}/{len(measured.rows)}" if facts.threshold is not None else "–",
        measured.status.replace("\n", " "),
    )


def tables(results: Results) -> list[str]:
    """All tables, with headings."""
    lines = ["## All tasks", "", *wrapped(" ".join(count_sentences(results))), ""]
    lines += [*ranking_table(results).markdown(), ""]
    for facts in tasks().values():
        threshold = "" if facts.threshold is None else f" Solved at {facts.threshold:g}."
        baseline = f" Without memory: {facts.format(facts.baseline)}."
        about = f"About {facts.parameters:,} parameters.{baseline}{threshold}"
        lines += [f"## {facts.title[0].upper()}{facts.title[1:]}", "", about, ""]
        lines += [*task_table(results, facts).markdown(), ""]
    return lines[:-1]


# A table of another page


def candidates_table(results: Results) -> TextTable:
    """Three models for each kind of problem, for the guide on choosing a cell.

    Models that solve a task come first. Their scores on it differ by noise: on adding, the best of 119 has
    4.1e-06 and the second 6.4e-06, at a threshold of 0.01. They are ordered by the number of tasks that they
    solve, then by mean rank.
    """
    counts = Counter(model for name in PROBLEMS for model in _solvers(results, name))
    mean_ranks = {row.cell: row.rank for row in results.ranking if row.rank is not None}
    rows = []
    for name, problem in PROBLEMS.items():
        facts, ranked, solvers = tasks()[name], results.ranked(name), _solvers(results, name)
        solvers.sort(key=lambda model: (-counts[model], mean_ranks.get(model, math.inf)))
        others = [
            (model, each) for model, each in results.leaders(name, len(solvers) + 3) if model not in solvers
        ]
        texts = [linked(model, "../zoo") for model in solvers]
        texts += [f"{linked(model, '../zoo')} {facts.format(each.mean or 0)}" for model, each in others]
        if facts.threshold is None:
            solved = f"no threshold, {len(ranked)} measured, in {facts.unit}"
        else:
            solved = f"{len(solvers)} of {len(ranked)}, at {facts.unit} {facts.threshold:g}"
        rows.append(
            (
                problem,
                f"`{name}`",
                solved,
                ", ".join(texts[:3]) or "all are near the score without memory",
            )
        )
    return TextTable("", ("your problem", "task", "solved by", "candidates"), tuple(rows))


def _solvers(results: Results, task: str) -> list[str]:
    """The models whose mean score reaches the threshold of a task."""
    return [model for model, each in results.ranked(task) if tasks()[task].is_reached(each.mean or 0)]
