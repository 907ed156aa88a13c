"""Tables of the results of a comparison, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo.comparison.resolve import TOLERANCE
from zoo.comparison.results import ComparisonResults, SummaryRow
from zoo.tables import TextTable

Info = Mapping[str, Any]

_NONE = "–"
_BARE = "without an embedding, a norm or a residual connection"
_SPARE = ("95 %", "symbols/s", "worst", "best", "training s", "s to", "steps to", "H")


def make_tables(results: ComparisonResults) -> list[TextTable]:
    """A table over all tasks, if there are several, then a table for each task."""
    tasks = list(dict.fromkeys(row.task for row in results.summary))
    each = [_task(task, results) for task in tasks]
    return [_overall(tasks, results), *each] if len(tasks) > 1 else each


def _overall(tasks: Sequence[str], results: ComparisonResults) -> TextTable:
    means = {(row.task, row.cell): row.mean for row in results.summary}
    counted = max((row.tasks for row in results.overall), default=0)
    left_out = (
        "" if counted == len(tasks) else f" {len(tasks) - counted} tasks that lack a cell do not count."
    )
    return TextTable(
        "All tasks",
        ("cell", "scope", "mean rank", "95 %", *tasks, "solved", "training s"),
        tuple(
            (
                row.cell,
                results.scope(row.cell) or _NONE,
                _digits(row.rank, ".2f"),
                _range(row.low, row.high, ".1f"),
                *(_score(means.get((task, row.cell))) for task in tasks),
                _fraction(row.solved, row.solvable),
                _seconds(row.seconds),
            )
            for row in results.overall
        ),
        tuple(range(2, 6 + len(tasks))),
        "mean rank: a cell's place on each task by its mean score, averaged over tasks; 1 is best. 95 %: a "
        "bootstrap interval of it over the seeds. Below the tasks are mean scores; solved: runs that solved "
        f"their task.{left_out}",
        (3, 5 + len(tasks)),
    )


def _task(task: str, results: ComparisonResults) -> TextTable:
    rows = [row for row in results.summary if row.task == task]
    task_info = results.section("tasks")[task]
    first, last = (
        ("cell", "scope", "H", "parameters", "lr"),
        ("steps to", "s to", "symbols/s", "training s", "rank"),
    )
    headings = (*first, task_info["metric"], "95 %", "worst", "best", "solved", *last)
    ranked = sorted(rows, key=lambda row: row.rank)
    return TextTable(
        _title(task, task_info),
        headings,
        tuple(_task_row(row, task_info, results.scope(row.cell) or _NONE) for row in ranked),
        tuple(range(2, len(headings))),
        _legend(task_info),
        tuple(map(headings.index, _SPARE)),
    )


def _task_row(row: SummaryRow, task_info: Info, scope: str) -> tuple[str, ...]:
    return (
        row.cell,
        scope,
        f"{row.hidden:,}",
        f"{row.parameters:,}",
        _digits(row.lr, "g"),
        _score(row.mean) + ("" if row.spread is None else f" ± {row.spread:.2g}"),
        _range(row.low, row.high, ".4g"),
        _score(row.worst),
        _score(row.best),
        _fraction(row.solved, row.seeds if task_info["threshold"] is not None else 0),
        _digits(row.steps_to_threshold, ",.0f"),
        _seconds(row.seconds_to_threshold),
        _digits(row.symbols_per_s, ",.0f"),
        _seconds(row.seconds),
        f"{row.rank:g}",
    )


def _title(task: str, task_info: Info) -> str:
    options = ", ".join(f"{name}={value}" for name, value in task_info["options"].items())
    return f"{task} ({options})" if options else task


def _legend(task_info: Info) -> str:
    """Metric, baseline, threshold and its source."""
    direction = "higher" if task_info["higher_is_better"] else "lower"
    words = [f"{task_info['metric']}, {direction} is better; without memory {_score(task_info['baseline'])}"]
    if task_info["threshold"] is not None:
        words.append(
            f"solved at {_score(task_info['threshold'])} ({task_info['threshold_source'].rstrip('.')})"
        )
    return "; ".join(words) + "."


def list_warnings(results: ComparisonResults) -> Iterator[str]:
    """Warnings about the results, a sentence each."""
    yield from _unfinished(results)
    yield from _off_budget(results)
    yield from _edge_of_grid(results)


def _unfinished(results: ComparisonResults) -> Iterator[str]:
    for record in (*results.sweep, *results.runs):
        if record.status != "finished":
            yield f"{record.path} {record.status}: {record.error}"


def _off_budget(results: ComparisonResults) -> Iterator[str]:
    """Cells whose parameters differ from the budget by more than `TOLERANCE`."""
    budget = results.section("plan")["size"].get("params")
    for row in results.summary if budget else ():
        if abs(row.parameters - budget) > TOLERANCE * budget:
            yield (
                f"{row.cell} on {row.task} has {row.parameters:,} parameters: its sizes come no "
                f"nearer to {budget:,}."
            )


def _edge_of_grid(results: ComparisonResults) -> Iterator[str]:
    """Pairs whose best learning rate is at an edge of the grid."""
    rates = results.section("plan")["rates"]
    for rate, words in ((rates[0], "smallest"), (rates[-1], "largest")) if len(rates) > 1 else ():
        pairs = [f"{row.cell} on {row.task}" for row in results.summary if row.lr == rate]
        if pairs:
            yield f"The {words} learning rate of the grid, {rate:g}, was chosen for {', '.join(pairs)}."


def describe_setup(results: ComparisonResults) -> Iterator[str]:
    """Describe settings, machine and versions in sentences."""
    plan, host = results.section("plan"), results.section("machine")
    yield f"Bare layers, {_length(plan)}: {_number(plan['seeds'], 'seed')}, {_size(plan)}, {_rates(plan)}."
    settings = plan["settings"]
    is_bidirectional, learns_state = map(settings.get, ("bidirectional", "learned_state"))
    layers = _number(settings["layers"], "bidirectional layer" if is_bidirectional else "layer")
    learned = ", initial states learned" if learns_state else ""
    clip = f"gradients clipped to {settings['clip']:g}" if settings["clip"] else "gradients not clipped"
    yield f"{layers} {_BARE}{learned}, {settings['dtype']}, {settings['optimizer']}, {clip}."
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
    return f"the learning rate of each cell and task chosen among {rates} by a short run of another seed"


def _workers(jobs: int | None) -> str:
    if jobs is None:
        return "another executor"
    return (
        f"{_number(jobs, 'process', 'processes')} at a time, of one thread each" if jobs else "in one process"
    )


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _fraction(count: int, whole: int) -> str:
    return f"{count}/{whole}" if whole else _NONE


def _score(value: float | None) -> str:
    return _digits(value, ".4g")


def _seconds(value: float | None) -> str:
    """Format a time with three digits."""
    return _NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _range(low: float | None, high: float | None, form: str) -> str:
    return _NONE if low is None or high is None else f"{low:{form}} to {high:{form}}"


def _digits(value: float | None, form: str) -> str:
    return _NONE if value is None else f"{value:{form}}"
