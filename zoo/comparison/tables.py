"""Tables of the results of a comparison, for terminals, documents and the page of a report."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.arguments import as_choice, counted
from zoo.base.card import SCOPES
from zoo.comparison.model_info import merge_layers
from zoo.comparison.plan import TOLERANCE
from zoo.comparison.rank_sentences import rank_conclusions, share_or_has
from zoo.comparison.specs import layers_of
from zoo.comparison.student import student_interval
from zoo.comparison.sweep import verdict
from zoo.errors import UsageError
from zoo.storage import write_bytes
from zoo.tables import Column, Number, Table, TableCell, TextTable
from zoo.training.config import REGULARISATION_SETTINGS, number_format
from zoo.training.rate_search import is_on_plateau

if TYPE_CHECKING:
    from zoo.comparison.results import Comparison, OverallRow, RunRecord, SummaryRow, TargetRow

Info = Mapping[str, Any]

_NONE = "–"
_NOTHING = TableCell(None, _NONE)
_PAPER_COLUMNS = ("scope", "options", "parameters", "lr", "95 %", "gain", "clear", "solved", "mean rank")
_LATEX_BEGINNING = "% made by: "
_BLOCKS = "in the block that the name of the cell shows, BLOCK(CELL)"
_LAYERS = {
    "Bare layers": (
        "without an embedding, a norm or a residual connection",
        "with an embedding of {}, without a norm or a residual connection",
    ),
    "Residual layers": (
        "with residual connections, without an embedding or a norm",
        "with residual connections and an embedding of {}, without a norm",
    ),
    "Layers in blocks": (f"without an embedding, {_BLOCKS}", f"with an embedding of {{}}, {_BLOCKS}"),
    "Bare layers and layers in blocks": (
        f"without an embedding, {_BLOCKS}, or else without a norm or a residual connection",
        f"with an embedding of {{}}, {_BLOCKS}, or else without a norm or a residual connection",
    ),
}
"""Kinds of layers, and the description of each, without and with an embedding."""
_SCOPE = Column("scope", help="; ".join(f"{scope}: {meaning}" for scope, meaning in SCOPES.items()))


def make_tables(results: Comparison) -> list[Table]:
    """A table over all tasks, if there are several, then the tables of each task."""
    each = [table for task in results.tasks for table in task_tables(results, task)]
    return [overall_table(results), *each] if len(results.tasks) > 1 else each


def keep_columns(tables: Sequence[Table], columns: Sequence[str] | None, form: str) -> list[TextTable]:
    """Tables as text with the cell, the scores, and the columns with the given headings.

    Args:
        tables: Tables of `make_tables`.
        columns: Headings; None for all columns, or in LaTeX for those that fit on a page of a paper.
        form: The format.

    Raises:
        UsageError: if no table has a column with a heading.
    """
    if columns is None:
        if form != "latex":
            return [table.as_text() for table in tables]
        columns = _PAPER_COLUMNS
    else:
        headings = tuple(dict.fromkeys(column.label for table in tables for column in table.columns))
        for column in columns:
            as_choice(column, "Comparison.table: a column", headings)
    return [
        table.as_text().select(
            index
            for index, column in enumerate(table.columns)
            if column.label in ("cell", "target") or column.heat or column.label in columns
        )
        for table in tables
    ]


def write_latex(results: Comparison, path: Path) -> None:
    """Write the tables to a LaTeX file, or replace the file if this function wrote it.

    Raises:
        UsageError: see `check_latex`.
        CheckpointError: if the file cannot be written.
    """
    check_latex(path)
    write_with_command(results, path, results.table("latex"))


def check_latex(path: Path) -> None:
    """Check that `write_latex` may write a file.

    Raises:
        UsageError: if its directory does not exist, or the file exists and has another first line.
    """
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path.parent}: no such file or directory; create it first.")
    if not is_replaceable(path):
        raise UsageError(
            f"compare: {path} was not written by --latex, and would be overwritten; give another file, and "
            f"read it from yours with \\input."
        )


def is_replaceable(path: Path) -> bool:
    """Whether a file does not exist, or is one of `write_with_command`."""
    return not path.exists() or path.read_bytes().startswith(_LATEX_BEGINNING.encode())


def write_with_command(results: Comparison, path: Path, text: str) -> None:
    """Write a text for LaTeX or BibTeX after the command of the comparison.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    content = f"{_LATEX_BEGINNING}{results.metadata['command']}\n\n{text}\n"
    write_bytes(path, content.encode(errors="backslashreplace"))  # a path may be no UTF-8


def overall_table(results: Comparison, with_solved: bool = False) -> Table:
    """The table over all tasks: a row for each cell, the best first, and a column for each task.

    Args:
        results: The comparison.
        with_solved: Whether the number of solved runs follows each score.
    """
    tasks, ranked = results.tasks, max((row.tasks for row in results.overall), default=0)
    left_out = "" if ranked == len(tasks) else f" {len(tasks) - ranked} tasks that lack a cell do not count."
    columns = (
        Column("cell"),
        _SCOPE,
        Column("mean rank", "number", "over the tasks; 1 is the best"),
        Column("95 %", "number", "interval of the mean rank, over tasks and seeds", spare=1),
        Column(
            "rank gap", "number", "mean rank less the best one of other cells, with its interval", spare=3
        ),
        *(Column(task, "number", "mean score over the seeds", heat=True) for task in tasks),
        Column("solved", "number", "runs that reached the threshold of their task"),
        Column("training s", "seconds", "time of all updates of all runs", spare=2),
    )
    legend = " ".join(
        [
            "mean rank: a cell's place on each task by its mean score, averaged over tasks; 1 is best. Below "
            f"the tasks are mean scores; solved: runs that solved their task.{left_out}",
            *rank_conclusions(results),
        ]
    )
    rows = tuple(tuple(_overall_row(results, row, with_solved)) for row in results.overall)
    return Table("cells-and-tasks", "All tasks", columns, rows, legend)


def _overall_row(results: Comparison, row: OverallRow, with_solved: bool) -> Iterator[TableCell]:
    yield from _name_and_scope(results, row.cell)
    yield _cell(row.rank, ".2f")
    yield _interval(row.rank, row.low, row.high, ".1f")
    gap = "" if row.rank_gap_low is None else f" [{row.rank_gap_low:.1f}, {row.rank_gap_high:.1f}]"
    yield TableCell(row.rank_gap, _digits(row.rank_gap, ".1f") + gap)
    rows_by_task = {each.task: each for each in results.summary if each.cell == row.cell}
    for task in results.tasks:
        each = rows_by_task.get(task)
        has_solved = with_solved and each and each.mean is not None and results.threshold(task) is not None
        solved = f" ({each.solved}/{each.seeds})" if each and has_solved else ""
        score = _NONE if each is None else _mean_text(each)
        yield TableCell(each.mean if each else None, score + solved, _shade(results, each))
    yield TableCell(row.solved, _fraction(row.solved, row.solvable))
    yield TableCell(row.seconds, _seconds(row.seconds))


def task_tables(results: Comparison, task: str) -> Iterator[Table]:
    """The table of a task, and of a data set with several targets the table of each target."""
    yield task_table(results, task)
    if rows := [row for row in results.targets if row.task == task]:
        yield _target_table(rows, task)


def _target_table(rows: Sequence[TargetRow], task: str) -> Table:
    targets = list(dict.fromkeys(row.target for row in rows))
    rows = sorted(rows, key=lambda row: targets.index(row.target))
    columns = (
        Column("target"),
        Column("cell"),
        Column(rows[0].metric, "number", "mean score over the seeds", heat=True),
        Column("best baseline", "text", "the best baseline of this target"),
        Column("its score", "number"),
        *_GAIN_COLUMNS,
    )
    texts = (
        (
            TableCell(row.target),
            TableCell(row.cell),
            _cell(row.mean, ".4g"),
            TableCell(row.best_baseline),
            _cell(row.baseline, ".4g"),
            *_gain_cells(row),
        )
        for row in rows
    )
    note = "Gain over the best baseline of each target, which may differ from the best one of all targets."
    return Table(f"{task}-targets", f"{task}: each target", columns, tuple(texts), note)


def task_table(results: Comparison, task: str) -> Table:
    """The table of a task: a row for each cell, and of a data set for each baseline, the best first."""
    info = results.section("tasks")[task]
    baselines = info["baselines"]
    columns = (
        Column("cell"),
        _SCOPE,
        *([_OPTIONS] if any(map(results.stated_options, results.cells)) else []),
        Column("H", "integer", "hidden units", spare=8 if baselines else 7),
        Column("parameters", "integer", "of all layers, the readout and an embedding"),
        *_part_columns(results),
        Column("lr", "number", "the chosen learning rate; edge or plateau if the sweep has not decided"),
        Column(info["metric"], "number", "mean score over the seeds ± standard deviation", heat=True),
        Column("95 %", "number", "Student's interval of the mean over three or more seeds", spare=9),
        *(_GAIN_COLUMNS if baselines else ()),
        Column("worst", "number", "score of the worst run", spare=2),
        Column("best", "number", "score of the best run", spare=3),
        *(() if baselines else _THRESHOLD_COLUMNS),
        Column("symbols/s", "number", "training speed", spare=1),
        Column("training s", "seconds", "time of all updates of a run", spare=7 if baselines else 6),
        Column("rank", "number", "1 is the best", spare=6 if baselines else 0),
    )
    summary = sorted((row for row in results.summary if row.task == task), key=lambda row: row.rank)
    scored = [(row.mean, _task_row(results, row)) for row in summary]
    if baselines:
        scored += [(each["value"], _baseline_row(name, each, info)) for name, each in baselines.items()]
        sign = -1 if info["higher_is_better"] else 1
        scored.sort(key=lambda pair: math.inf if pair[0] is None else sign * pair[0])
    rows = tuple(tuple(values.get(column.label, _NOTHING) for column in columns) for _, values in scored)
    customary = (
        f"{option} of {', '.join(cells)} is customary." for option, cells in customary_cells(results).items()
    )
    note = " ".join(
        [
            _legend(info),
            *_gain_sentences(summary, info),
            *_cell_sentences(results, summary),
            *_size_sentences(results, summary),
            *customary,
        ]
    )
    return Table(f"{task}-scores", _title(task, info), columns, rows, note)


_OPTIONS = Column(
    "options", help="options that are not the defaults, and those with a customary value", spare=10
)
_PART_COLUMNS = {
    "cell": Column("of cells", "integer", "parameters of the cells without their blocks", spare=2),
    "block": Column("of blocks", "integer", "parameters of the blocks around the cells", spare=2),
    "readout": Column("of readout", "integer", "parameters of the readout", spare=2),
    "embedding": Column("of embedding", "integer", "parameters of the embedding", spare=2),
}
"""Columns of the parameters by part of a model."""
_THRESHOLD_COLUMNS = (
    Column("solved", "number", "how many seeds reached the threshold in the test"),
    Column("steps to solve", "integer", "updates until a validation reached the threshold", spare=5),
    Column("s to solve", "seconds", "training time until a validation reached the threshold", spare=4),
)
_GAIN_COLUMNS = (
    Column("gain", "share", "over the best baseline, with a 95 % interval over the test part and the seeds"),
    Column("clear", "text", "whether the interval of the gain excludes 0"),
)


def _task_row(results: Comparison, row: SummaryRow) -> dict[str, TableCell]:
    """The cells of a row by heading."""
    deviation = "" if row.spread is None else f" ± {row.spread:.2g}"
    gain, clear = _gain_cells(row)
    has_failed = row.mean is None
    seeds = 0 if has_failed or results.threshold(row.task) is None else row.seeds
    name, scope = _name_and_scope(results, row.cell)
    options = _assignments(results, row.cell, results.stated_options(row.cell))
    return {
        "cell": name,
        "scope": scope,
        "options": TableCell(options, options or _NONE),
        "H": _cell(row.hidden, ","),
        "parameters": _cell(row.parameters, ","),
        **_parts(results, row),
        "lr": _NOTHING if has_failed else _rate(results, row),
        row.metric: TableCell(row.mean, _mean_text(row) + deviation, _shade(results, row)),
        "95 %": _interval(row.mean, row.low, row.high, ".4g"),
        "gain": gain,
        "clear": clear,
        "worst": _cell(row.worst, ".4g"),
        "best": _cell(row.best, ".4g"),
        "solved": TableCell(row.solved, _fraction(row.solved, seeds)),
        "steps to solve": _cell(row.steps_to_threshold, ",.0f"),
        "s to solve": TableCell(row.seconds_to_threshold, _seconds(row.seconds_to_threshold)),
        "symbols/s": _cell(row.symbols_per_s, ",.0f"),
        "training s": _NOTHING if has_failed else TableCell(row.seconds, _seconds(row.seconds)),
        "rank": _NOTHING if has_failed else _cell(row.rank, "g"),
    }


def _rate(results: Comparison, row: SummaryRow) -> TableCell:
    return TableCell(row.lr, " ".join(filter(None, (_digits(row.lr, "g"), sweep_verdict(results, row)))))


def _gain_cells(row: SummaryRow | TargetRow) -> tuple[TableCell, TableCell]:
    """The gain with its interval, and the verdict."""
    interval = "" if row.gain_low is None else f" [{row.gain_low:.1%}, {row.gain_high:.1%}]"
    return TableCell(row.gain, _digits(row.gain, ".1%") + interval), TableCell(_VERDICTS[_verdict(row)])


def _baseline_row(name: str, estimate: Info, info: Info) -> dict[str, TableCell]:
    """The cells of a baseline by heading."""
    score = TableCell(estimate["value"], _score(estimate["value"]))
    return {"cell": TableCell(name), "scope": TableCell("baseline"), info["metric"]: score}


_VERDICTS = {
    "Clearly better": "better",
    "Clearly worse": "worse",
    "Not clearly better or worse": "no",
    "Without an interval, since the test part is too small or runs have failed": _NONE,
}
"""Sentences about the gain, and their words in the column ``clear``."""


def _verdict(row: SummaryRow | TargetRow) -> str:
    """Whether a cell is better or worse than the best baseline, by the interval of its gain."""
    better, worse, unclear, unknown = _VERDICTS
    if row.gain_low is None or row.gain_high is None:
        return unknown
    return better if row.gain_low > 0 else worse if row.gain_high < 0 else unclear


def _gain_sentences(rows: Sequence[SummaryRow], info: Info) -> Iterator[str]:
    """The meaning of the gain, and the cells that are clearly better or worse than the best baseline."""
    if (best := info["baseline"]) is None or not info["baselines"]:
        return
    name = next((name for name, each in info["baselines"].items() if each["value"] == best), "")
    unit = (
        f"the difference in {info['metric']}"
        if info["higher_is_better"]
        else f"the share by which {info['metric']} is lower"
    )
    yield f"The best baseline is {name}, {_score(best)}. Gain over it: {unit}, with a 95 % interval."
    for sentence in _VERDICTS:
        if cells := ", ".join(row.cell for row in rows if _verdict(row) == sentence):
            yield f"{sentence}: {cells}."


def _cell_sentences(results: Comparison, rows: Sequence[SummaryRow]) -> Iterator[str]:
    """The best cell, and the cells that are clearly worse, by paired differences over the seeds."""
    if len(rows) < 2 or rows[0].mean is None:
        return
    best, *others = (
        {run.seed: run for run in results.runs_of(row.task) if run.cell == row.cell and run.score is not None}
        for row in rows
    )
    equal = [row.cell for row in rows if row.mean == rows[0].mean]
    if max(len(runs) for runs in (best, *others)) < 2:
        yield f"Cells: {share_or_has(equal, 'the best score')}. Verdicts need at least two seeds."
        return
    cells: dict[str, list[str]] = {}
    for row, runs in zip(rows[1:], others, strict=True):
        if row.cell in equal:
            continue
        differences = _paired_differences(best, runs)
        interval = student_interval(differences)
        word = "Clearly worse" if interval and interval[0] > 0 else "Not clearly different"
        word = word if interval else "Without a verdict"
        cells.setdefault(word, []).append(f"{row.cell} ({counted(len(differences), 'seed')})")
    verdicts = [f"{word}: {', '.join(names)}" for word, names in cells.items()]
    sentences = [share_or_has(equal, "the best mean"), *verdicts]
    yield f"Cells, by paired differences over the seeds: {'. '.join(sentences)}."
    if _is_near_baseline(results, rows[0]):
        yield "The best mean is near the score without memory, so the order of the cells may be chance."


def _is_near_baseline(results: Comparison, row: SummaryRow) -> bool:
    """Whether a mean is as near to the baseline as a run on a plateau; False for data sets."""
    info = results.section("tasks")[row.task]
    if info["baselines"] or row.mean is None:
        return False
    known = {name: info[name] for name in ("baseline", "threshold", "higher_is_better")}
    run = replace(results.runs_of(row.task)[0], score=row.mean, status="finished", **known)
    return run.baseline is not None and is_on_plateau([run])


def _paired_differences(best: Mapping[Any, RunRecord], others: Mapping[Any, RunRecord]) -> list[float]:
    """The amount by which each run of the best cell is better than the run of another one with its seed."""
    pairs = ((run, others[seed]) for seed, run in best.items() if seed in others)
    return [
        (first.score or 0.0) - (second.score or 0.0)
        if first.higher_is_better
        else (second.score or 0.0) - (first.score or 0.0)
        for first, second in pairs
    ]


def _size_sentences(results: Comparison, rows: Sequence[SummaryRow]) -> Iterator[str]:
    """The numbers of parameters at one hidden size, if they differ."""
    sizes = [row.parameters for row in rows]
    if "hidden" in results.plan.get("size", {}) and not is_one_size(sizes):
        yield (
            f"The cells have {min(sizes):,} to {max(sizes):,} parameters; `--params` compares them at about "
            f"equal numbers."
        )


def is_one_size(sizes: Sequence[int]) -> bool:
    """Whether numbers of parameters differ by no more than the tolerance of ``--params`` on both sides."""
    return max(sizes) * (1 - TOLERANCE) <= min(sizes) * (1 + TOLERANCE)


def _parts(results: Comparison, row: SummaryRow) -> dict[str, TableCell]:
    """The parameters by part of the model, if a cell has a block."""
    counts = results.metadata.get("parameters", {}).get(row.task, {}).get(row.cell, {})
    return {_PART_COLUMNS[part].label: _cell(count, ",") for part, count in counts.items()}


def _part_columns(results: Comparison) -> list[Column]:
    """The columns of the parts that a model of the comparison has."""
    counts_by_task = results.metadata.get("parameters", {}).values()
    parts = {
        part for counts_by_cell in counts_by_task for counts in counts_by_cell.values() for part in counts
    }
    return [column for part, column in _PART_COLUMNS.items() if part in parts]


def _name_and_scope(results: Comparison, cell: str) -> tuple[TableCell, TableCell]:
    scope = results.scope(cell)
    return TableCell(cell), TableCell(scope, scope or _NONE)


def _shade(results: Comparison, row: SummaryRow | None) -> float | None:
    """Position of a mean between the worst of the task, 0, and the best, 1."""
    if row is None or row.mean is None:
        return None
    means = [each.mean for each in results.summary if each.task == row.task and each.mean is not None]
    low, high = min(means), max(means)
    position = (row.mean - low) / (high - low) if high > low else 1.0
    is_higher_better = results.section("tasks")[row.task]["higher_is_better"]
    return round(position if is_higher_better or high == low else 1.0 - position, 3)


def _title(task: str, info: Info) -> str:
    options = ", ".join(f"{name}={_option_text(value)}" for name, value in info["options"].items())
    return f"{task} ({options})" if options else task


def _option_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value}"


def _legend(info: Info) -> str:
    direction = "higher" if info["higher_is_better"] else "lower"
    parts = [f"{info['metric']}, {direction} is better"]
    if info["baseline"] is not None and not info["baselines"]:
        parts.append(f"without memory {_score(info['baseline'])}")
    if info["threshold"] is not None:
        source = info["threshold_source"].rstrip(".")
        parts.append(f"solved at {_score(info['threshold'])}{f' ({source})' if source else ''}")
    return "; ".join(parts) + "."


def list_warnings(results: Comparison) -> Iterator[str]:
    """Warnings about the results, a sentence each."""
    for records in _group_failures(results):
        others = f" and {counted(len(records) - 1, 'other run')}" if len(records) > 1 else ""
        yield f"{records[0].path}{others} {records[0].status}: {records[0].error}"
    yield from _solved_in_validation_only(results)
    yield from _off_budget(results)
    yield from _fixed_sizes(results)
    yield from _uncustomary_options(results)
    yield from _undecided_rates(results)


def _group_failures(results: Comparison) -> list[list[RunRecord]]:
    """The runs that did not finish: those of one cell on one task that failed for one reason together."""
    groups: dict[tuple[str, ...], list[RunRecord]] = {}
    for run in results.failures:
        groups.setdefault((run.task, run.cell, run.status, run.error), []).append(run)
    return list(groups.values())


def _solved_in_validation_only(results: Comparison) -> Iterator[str]:
    """Runs that reach the threshold in a validation, and not in the test."""
    for row in results.summary:
        runs = [run for run in results.runs_of(row.task) if run.cell == row.cell]
        count = sum(run.steps_to_threshold is not None and not run.solved for run in runs)
        if count:
            yield (
                f"{row.cell} on {row.task}: {counted(count, 'run')} reached the threshold in a validation "
                f"and not in the test; 'steps to solve' counts such runs, 'solved' does not."
            )


def _off_budget(results: Comparison) -> Iterator[str]:
    budget = results.section("plan")["size"].get("params")
    for row in results.summary if budget else ():
        if abs(row.parameters - budget) > TOLERANCE * budget:
            yield (
                f"{row.cell} on {row.task} has {row.parameters:,} parameters, the number nearest to "
                f"{budget:,} that its sizes allow."
            )


_TIMES = ("delay", "k", "stride", "width")
"""Options that count time steps, such as the window of a convolution. They need not grow with H."""


def _fixed_sizes(results: Comparison) -> Iterator[str]:
    """Cells with arrays that stay as large as they are when H changes."""
    cells = list[str]()
    for cell in results.cells:
        sizes = results.fixed_sizes(cell).items()
        kept = {name: size for name, size in sizes if re.split(r"[_.]", name)[-1] not in _TIMES}
        cells += [f"{cell} ({_assignments(results, cell, kept, ', ')})"] * bool(kept)
    if cells:
        yield (
            f"These sizes do not change with H, and may be too large or too small at this one: "
            f"{', '.join(cells)}. Set them with `--set CELL.OPTION=N`."
        )


def _uncustomary_options(results: Comparison) -> Iterator[str]:
    """Cells without the customary value of an option in any of their rows."""
    for cell in results.cells:
        name, own = results.registered_name(cell), results.stated_options(cell)
        rows = [each for each in results.cells if results.registered_name(each) == name]
        customary = {
            option: value
            for option, value in results.customary_options(cell).items()
            if all(results.stated_options(each).get(option) != value for each in rows)
        }
        if customary:
            chosen = _assignments(results, cell, {option: own[option] for option in customary}, ", ")
            others = {option: value for option, value in own.items() if option not in customary}
            yield (
                f"{cell} has {chosen}, and {_assignments(results, cell, customary, ', ')} is customary. "
                f"Compare with it too: `{_flags(results, cell, f'{cell}-customary', others)}`."
            )


def _flags(results: Comparison, cell: str, label: str, options: Mapping[str, Any]) -> str:
    """The flags that add a cell under a label, with some options."""
    words = ["--cells", f"{label}={results.registered_name(cell)}"]
    for name, value in merge_layers(options, results.options(cell)).items():
        words += ["--set", f"{label}.{name}={value}"]
    return shlex.join(words)


def customary_cells(results: Comparison) -> dict[str, list[str]]:
    """The cells whose options have their customary values, by option, ``forget_bias=1.0``."""
    cells: dict[str, dict[str, None]] = {}
    for cell in results.cells:
        stated = results.stated_options(cell)
        for name, value in results.customary_options(cell).items():
            if stated[name] == value:
                cells.setdefault(f"{name.rpartition('.')[2]}={value}", {})[cell] = None
    return {option: [*labels] for option, labels in cells.items()}


def _assignments(results: Comparison, cell: str, options: Mapping[str, Any], separator: str = " ") -> str:
    """Options as ``NAME=VALUE``; those that are equal in all layers of a stack once."""
    merged = merge_layers(options, results.options(cell))
    return separator.join(f"{name}={value}" for name, value in merged.items())


def sweep_verdict(results: Comparison, row: SummaryRow) -> str:
    """``"plateau"`` or ``"edge"`` if the sweep of a row has not decided its learning rate; else empty."""
    swept = [record for record in results.sweep if (record.task, record.cell) == (row.task, row.cell)]
    return verdict(swept, row.lr)


def _undecided_rates(results: Comparison) -> Iterator[str]:
    """Pairs whose sweep has not decided."""
    sentences = {
        "edge": "The best learning rate of the sweep is at its edge for {}; a better one may lie beyond, "
        "so raise `--sweep-rounds`, or give other rates with `--lr-grid`.",
        "plateau": "No learning rate of the sweep is clearly better than the memoryless baseline for {}; "
        "their rates may be chosen by chance.",
    }
    for word, sentence in sentences.items():
        if pairs := pairs_with_verdict(results, word):
            yield sentence.format(", ".join(pairs))


def pairs_with_verdict(results: Comparison, word: str) -> list[str]:
    """The pairs of a cell and a task whose sweep ended with ``"edge"`` or ``"plateau"``, as texts."""
    return [f"{row.cell} on {row.task}" for row in results.summary if sweep_verdict(results, row) == word]


def _kind_of_layers(results: Comparison) -> str:
    parts = results.metadata.get("parameters", {})  # counted if a cell has a block
    if not parts:
        return "Residual layers" if results.section("plan")["settings"].get("residual") else "Bare layers"
    has_bare = any(not count["block"] for counts in parts.values() for count in counts.values())
    return "Bare layers and layers in blocks" if has_bare else "Layers in blocks"


def _describe_layers(kind: str, settings: Info) -> str:
    without, embedded = _LAYERS[kind]
    size = settings.get("embedding")  # plans of older versions lack it
    return without if size is None else embedded.format(size)


def _residual_exception(plan: Info) -> str:
    """Name the cells whose own name has the modifier residual; empty without one."""
    labels = [
        str(cell["label"])
        for cell in plan.get("cells", ())
        if any("residual" in layer.split("+")[1:] for layer in layers_of(cell.get("spec", "")))
    ]
    return f", except for the residual connections of {', '.join(labels)}" if labels else ""


def describe_setup(results: Comparison) -> Iterator[str]:
    """Describe settings, machine and versions in sentences."""
    plan, host = results.section("plan"), results.section("machine")
    kind = _kind_of_layers(results)
    yield f"{kind}, {_length(plan)}: {counted(plan['seeds'], 'seed')}, {_size(plan)}, {_rates(plan)}."
    settings = plan["settings"]
    is_bidirectional, learns_state = map(settings.get, ("bidirectional", "learned_state"))
    layers = counted(settings["layers"], "bidirectional layer" if is_bidirectional else "layer")
    learned = ", initial states learned" if learns_state else ""
    clip = f"gradients clipped to {settings['clip']:g}" if settings["clip"] else "gradients not clipped"
    rules = [
        f"{name.replace('param_groups', 'parameter groups')} {', '.join(settings[name])}"
        for name in REGULARISATION_SETTINGS
        if settings.get(name)  # plans of older versions lack them
    ]
    yield ", ".join(
        [
            f"{layers} {_describe_layers(kind, settings)}{_residual_exception(plan)}{learned}",
            number_format(settings),
            settings["optimizer"],
            *rules,
            f"{clip}.",
        ]
    )
    yield (
        f"{results.metadata['date']}: {host['processor']}, {host['processors']} processors, "
        f"{host['system']}; {_workers(results.metadata['jobs'])}."
    )
    yield ", ".join(f"{name} {number}" for name, number in results.section("versions").items()) + "."


def _size(plan: Info) -> str:
    ((kind, number),) = plan["size"].items()
    return f"about {number:,} parameters each" if kind == "params" else f"{number:,} hidden units each"


def _length(plan: Info) -> str:
    ((kind, number),) = plan["length"].items()
    return f"{number:,} steps" if kind == "steps" else f"as many steps as take {number:g} s"


def _rates(plan: Info) -> str:
    rates = ", ".join(f"{rate:g}" for rate in plan["rates"])
    if len(plan["rates"]) == 1:
        return f"learning rate {rates}"
    text = f"the learning rate of each cell and task chosen among {rates} by a short run of another seed"
    if rounds := plan.get("sweep_rounds"):
        text += f", and in up to {counted(rounds, 'round')} by longer runs or among further rates"
    return text


def _workers(jobs: int | None) -> str:
    if jobs is None:
        return "another executor"
    return (
        f"{counted(jobs, 'process', 'processes')} at a time, of one thread each" if jobs else "in one process"
    )


def _fraction(count: int, whole: int) -> str:
    return f"{count}/{whole}" if whole else _NONE


def _mean_text(row: SummaryRow) -> str:
    return "failed" if row.mean is None else _score(row.mean)


def _score(value: float | None) -> str:
    return _digits(value, ".4g")


def _seconds(value: float | None) -> str:
    """Format a time with three digits."""
    return _NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _interval(value: Number, low: float | None, high: float | None, form: str) -> TableCell:
    """An interval, which is sorted by the value in it."""
    return TableCell(value, _NONE if low is None or high is None else f"{low:{form}} to {high:{form}}")


def _cell(value: Number, form: str) -> TableCell:
    return TableCell(value, _digits(value, form))


def _digits(value: float | None, form: str) -> str:
    return _NONE if value is None else f"{value:{form}}"
