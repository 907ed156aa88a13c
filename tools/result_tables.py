"""Sentences and tables of the results of all cells, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cell_results import Measured, Results, TaskFacts, tasks
from evaluate_cells import CELL_OPTIONS, SETTINGS, all_pairs
from reproduce import CLAIMS, is_reproduced, label_of
from reproduce import Row as Reproduction
from reproduce import read as read_reproductions

from zoo.base import Cell
from zoo.cell_pages.cell_page import wrapped
from zoo.comparison.results import OverallRow
from zoo.registry import registry_of
from zoo.tables import TextTable

REPRODUCTIONS = Path(__file__).parents[1] / "results" / "reproductions.csv"
CURVES_ENDING = "-results.svg"
"""Ending of the names of learning curves, next to the pages of cells."""
SWEEPS = ("edge", "plateau")

PROBLEMS: Mapping[str, str] = {
    "text": "predict text or symbols",
    "adding": "add numbers over 50 steps",
    "copying": "reproduce a sequence after a short delay",
    "selective_copying": "select inputs by their content",
    "dyck": "count, also on longer sequences than in training",
    "parity": "track a state that flips (parity), also on longer sequences",
    "associative_recall": "recall pairs",
}
EXPECTED: Mapping[str, Mapping[str, bool]] = {
    "adding-lstm": {"lstm": True, "vanilla": False},
    "adding-linear": {"glu(lru)": True, "lru": False},
    "copying": {"urnn": True},
    "selective-copying": {"mamba(mamba)": True, "glu(s4d)": False, "glu(s5)": False, "glu(lru)": False},
    "recall": {"deltanet(delta_net)": True},
    "parity-nonlinear": {"gru": True, "lstm": True, "vanilla": True},
    "parity-positive": {
        "mamba(mamba)": False,
        "retnet(gla)": False,
        "retnet(retnet)": False,
        "deltanet(delta_net)": False,
        "deltanet(gated_delta_net)": False,
        "griffin(rg_lru)": False,
    },
    "parity-negative": {"deltanet(gated_delta_product)": True},
    "counting": {"lstm": True, "gru": False},
}
"""Whether models solve the task of a claim of ``tools/reproduce.py``, according to its paper."""


# Sentences and tables of docs/results.md


def count_sentences(results: Results) -> list[str]:
    """How many models are measured, and by whom."""
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


def facts_of(results: Results) -> list[str]:
    """Findings, a sentence or two each."""
    lines = [" ".join(count_sentences(results))]
    if results.ranking:
        best, *others = results.ranking
        close = [row.cell for row in others if row.low is not None and row.low <= (best.high or 0)]
        overlap = f" The intervals of {some_names(close)} overlap with its interval." if close else ""
        lines.append(f"`{best.cell}` has the best mean rank, {rank_with_interval(best)}.{overlap}")
    solvers = {
        facts.title: [model for model, each in results.ranked(facts.name) if facts.is_reached(each.mean or 0)]
        for facts in tasks().values()
        if facts.threshold is not None and results.ranked(facts.name)
    }
    if solved := [f"{title} ({some_names(models)})" for title, models in solvers.items() if models]:
        lines.append(f"Tasks that models solve: {', '.join(solved)}.")
    if unsolved := [title for title, models in solvers.items() if not models]:
        lines.append(f"Tasks that no model solves: {', '.join(unsolved)}.")
    if pairs := block_pairs(results):
        better = sum(is_better(tasks()[task], *both) for _, task, both in pairs)
        lines.append(f"In {better} of {len(pairs)} pairs of cell and task, the cell is better in its block.")
    if verdicts := [row[-2:] for row in paper_table(results).rows]:
        agreeing = sum(agrees == "yes" for agrees, _ in verdicts)
        agree = f"{agreeing} [agree{'s' * (agreeing == 1)}](#agreement-with-papers)"
        lines.append(f"Of {len(verdicts)} results of papers, {agree}.")
        if larger := sum(agrees != "yes" and repeated == "yes" for agrees, repeated in verdicts):
            lines[-1] += f" {larger} more agree{'s' * (larger == 1)} with a larger budget."
    counts = {word: sum(each.sweep == word for each in results.measured.values()) for word in SWEEPS}
    lines.append(
        f"In {sum(counts.values())} of {len(results.measured)} pairs of model and task, the sweep has not "
        f"decided the learning rate ({', '.join(f'`{word}`: {count}' for word, count in counts.items())})."
    )
    return lines


def rank_with_interval(row: OverallRow) -> str:
    """A mean rank: ``1.29 (95 % interval 1.14 to 1.43)``."""
    interval = "" if row.low is None else f" (95 % interval {row.low:.2f} to {row.high:.2f})"
    return f"{row.rank:.2f}{interval}"


def some_names(names: Sequence[str], limit: int = 6) -> str:
    """The first names in code style, and the number of others."""
    quoted = [f"`{name}`" for name in names[:limit]]
    others = len(names) - limit
    quoted += [f"{others} other{'s' * (others > 1)}"] if others > 0 else []
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)


def is_better(facts: TaskFacts, first: Measured, second: Measured) -> bool:
    """Whether the second mean score is better."""
    before, after = first.mean or 0.0, second.mean or 0.0
    return after > before if facts.higher_is_better else after < before


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
    """For each task, its baseline and threshold, how many models solve it, and the three best."""
    rows = []
    for facts in tasks().values():
        ranked = results.ranked(facts.name)
        solved = sum(facts.is_reached(each.mean or 0) for _, each in ranked)
        leaders = results.leaders(facts.name, 3)
        three = [f"{score_text(facts, each)} {linked(model)}" for model, each in leaders]
        rows.append(
            (
                f"{facts.title} ({facts.unit})",
                facts.format(facts.baseline),
                "–" if facts.threshold is None else f"{facts.threshold:g}",
                "–" if facts.threshold is None else f"{solved} of {len(ranked)}",
                *(three + ["–"] * 3)[:3],
            )
        )
    headings = ("task", "without memory", "solved at", "solved by", "best", "second", "third")
    return TextTable("", headings, tuple(rows), right=(1, 2, 3))


def score_text(facts: TaskFacts, measured: Measured | None) -> str:
    """A mean score, in bold if it reaches the threshold, with the verdict of the sweep."""
    if measured is None:
        return "–"
    if measured.mean is None:
        return "failed"
    lost = sum(row.score is None for row in measured.rows)
    words = [f"*{measured.sweep}*"] if measured.sweep else []
    words += [f"({lost} of {len(measured.rows)} failed)"] if lost else []
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


def paper_table(results: Results) -> TextTable:
    """Results of papers, and whether the measured models agree."""
    runs: dict[tuple[str, str], list[Reproduction]] = {}
    for run in read_reproductions(REPRODUCTIONS):
        runs.setdefault((run.claim, run.model), []).append(run)
    rows = []
    for claim in CLAIMS:
        text = f"{claim.claim} [{claim.paper}]({claim.url})"
        for model, solves in EXPECTED.get(claim.name, {}).items():
            own = results.at(*results.models.get(model, ("", "")), claim.task)
            if own is None or own.summary is None:
                continue
            facts, solved = tasks()[claim.task], own.summary.solved
            agrees = 2 * solved > len(own.rows) if solves else solved == 0
            repeated = [
                is_reproduced(each, runs[claim.name, label_of(each)])
                for each in claim.models
                if each.spec == model and (claim.name, label_of(each)) in runs
            ]
            rows.append(
                (
                    text,
                    f"`{model}`",
                    facts.title,
                    "solved" if solves else "not solved",
                    score_text(facts, own),
                    f"{solved}/{len(own.rows)}",
                    "yes" if agrees else "**no**",
                    "–" if not repeated else "yes" if all(repeated) else "**no**",
                )
            )
            text = ""  # once for a claim
    headings = (
        "published result",
        "model",
        "task",
        "published",
        "score",
        "solved",
        "agrees",
        "agrees with [a larger budget](reproductions.md)",
    )
    return TextTable("", headings, tuple(rows), right=(5,))


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
            f"{row.low:.2f} to {row.high:.2f}" if row.low is not None else "–",
            f"{row.solved}/{row.solvable}",
            *(
                score_text(facts, results.at(*results.models[row.cell], facts.name))
                for facts in tasks().values()
            ),
        )
        for row in results.ranking
    )
    headings = ("model", "mean rank", "95 %", "solved", *(facts.title for facts in tasks().values()))
    return TextTable("", headings, rows, right=(1, 2, 3))


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


# Parts of other pages


def candidates_table(results: Results) -> TextTable:
    """The three best models for each kind of problem, for the guide on choosing a cell."""
    rows = []
    for name, problem in PROBLEMS.items():
        facts, ranked, leaders = tasks()[name], results.ranked(name), results.leaders(name, 3)
        scores = ", ".join(facts.format(each.mean or 0, mark=True) for _, each in leaders)
        goal = "" if facts.threshold is None else f", the threshold is {facts.threshold:g}"
        rows.append(
            (
                problem,
                ", ".join(linked(model, "../zoo") for model, _ in leaders) or "–",
                f"{facts.unit} {scores}{goal}" if leaders else "all are near the score without memory",
                f"{len(ranked)}",
            )
        )
    return TextTable("", ("your problem", "best models", "measured", "of"), tuple(rows), right=(3,))


def cell_lines(results: Results, cell: str, folder: str = "../..") -> list[str]:
    """The results of a cell for its page."""
    blocks = [block for name, block in results.models.values() if name == cell]
    if not blocks:
        measure = f"`python tools/evaluate_cells.py results --cells {cell}`"
        return wrapped(
            f"`{cell}` is not among [the results]({folder}/results.md) yet. {measure} measures it on six "
            "tasks and a text."
        )
    intro = (
        f"Mean test scores of {SETTINGS['seeds']} seeds after {SETTINGS['steps']:,} updates of two layers, "
        f"with equal parameters for all cells ([protocol]({folder}/results.md#protocol)). Bold scores reach "
        f"the threshold of the task. Ranks are among all models that are measured so far, in "
        f"[the tables]({folder}/results-tables.md)."
    )
    rows = []
    for facts in tasks().values():
        ranked = results.ranked(facts.name)
        own = [results.at(cell, block, facts.name) for block in blocks]
        if not any(own):
            continue
        texts: list[str] = []
        for each in own:
            rank = f"{each.summary.rank:g} of {len(ranked)}" if each and each.summary else "–"
            texts += [score_text(facts, each), rank]
        leaders = results.leaders(facts.name, 1)
        best = "".join(f"{score_text(facts, each)} {linked(model, '..')}" for model, each in leaders) or "–"
        rows.append((f"{facts.title} ({facts.unit})", *texts, best))
    names = ["bare" if block == "bare" else f"in `{block}`" for block in blocks]
    headings = ("task", *(text for name in names for text in (name, "rank")), "best of all")
    table = TextTable("", headings, tuple(rows), right=tuple(range(1, len(headings) - 1)))
    lines = [*wrapped(intro), "", *table.markdown(), ""]
    if any(row.sweep for pair, each in results.measured.items() if pair.cell == cell for row in each.rows):
        lines += [*wrapped(SWEEP_NOTE), ""]
    if has_curves(results, cell):
        lines += [*wrapped(CURVES_NOTE), ""]
        lines += [f"![Learning curves of {cell} on six tasks and a text]({cell}{CURVES_ENDING})"]
    return lines if lines[-1] else lines[:-1]


SWEEP_NOTE = (
    "*edge*: a better learning rate may lie beyond the swept ones. *plateau*: no learning rate was better "
    "than the score without memory, so the rate may be chosen by chance."
)
CURVES_NOTE = (
    "The lines show validation scores against updates, as means over the seeds. The band contains the middle "
    "80 % of all other models."
)


def has_curves(results: Results, cell: str) -> bool:
    """Whether a cell has validations."""
    return any(each.points for pair, each in results.measured.items() if pair.cell == cell)
