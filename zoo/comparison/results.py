"""Results of a comparison: records of runs, ``results.json``, ``results.csv``, and the reader.

A record is a function of the log of a run, so that a killed and resumed run has the same record.
This module imports no compiler: a report reads results without one.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.arguments import as_choice, as_integer, as_path, short_repr
from zoo.base.tracker import Event
from zoo.comparison.plan import BEST_CELL, Sizes, read_sizes, sizes_text
from zoo.comparison.records import OverallRow, RunGroup, RunRecord, SummaryRow, TargetRow, schema_of
from zoo.comparison.statistics import group_records, overall, summarize
from zoo.comparison.tables import keep_columns, make_tables
from zoo.errors import CheckpointError, UsageError
from zoo.storage import write_bytes, write_json
from zoo.storage.record_schema import MAX_BYTES, check_record, check_records, is_bounded_float
from zoo.storage.safe_read import exists, read_json
from zoo.storage.strict_json import quote
from zoo.tables import TextTable

if TYPE_CHECKING:
    from zoo.comparison.jobs import Job
    from zoo.training import TaskScore

FORMAT = 1
RECORD_FILE = "result.json"
"""The last file written into a run directory: a run that has it is done."""
_TASK_SCHEMA = {
    "name": "str",
    "summary": "str",
    "metric": "str",
    "higher_is_better": "bool",
    "threshold": "float | None",
    "baseline": "float | None",
    "threshold_source": "str",
}
"""Fields of a task, without its options."""

_BASELINE_SCHEMA = {
    "value": "bounded_float | None",
    "low": "bounded_float | None",
    "high": "bounded_float | None",
}

R = TypeVar("R", RunRecord, SummaryRow, TargetRow, OverallRow)


_NO_SCORE = math.nan, math.nan

_IDENTITY = ("task", "cell", "size", "seed", "lr", "hidden", "parameters", "steps", "path")


def make_record(
    job: Job, status: str, history: Sequence[Event] = (), tested: TaskScore | None = None, error: str = ""
) -> RunRecord:
    """Make the record of a run.

    A run that diverged has the score of its best validation. A score that is missing or not finite is None;
    see `with_worst_scores`.

    Args:
        job: The job.
        status: ``"finished"``, ``"diverged"`` or ``"failed"``.
        history: Events of its log.
        tested: Score of the model with the best validation on the test split, if the run was tested.
        error: Reason why the run did not finish, in a sentence.
    """
    metric, arguments, evals = job["metric"], job["train"], evaluations(history)
    best = next((event for event in reversed(evals) if event["best"]), None)
    reached = next((event for event in evals if event.get("solved")), None)
    valid_score = best.get("score") if best else None
    score, loss = (
        (tested.score, tested.loss) if tested else (valid_score, best["loss"]) if best else _NO_SCORE
    )
    time = UpdateTime(history)
    return RunRecord(
        task=job["task"],
        cell=job["cell"],
        seed=arguments.get("seed"),
        lr=arguments.get("lr"),
        hidden=arguments.get("hidden"),
        steps=arguments.get("steps"),
        parameters=job["parameters"],
        score=score if status != "failed" and is_bounded_float(score) else None,
        loss=loss if is_bounded_float(loss) else None,
        valid_score=valid_score,
        **metric,
        solved=bool(tested.solved if tested else best and best.get("solved")),
        seconds=time.seconds,
        steps_to_threshold=reached["step"] if reached else None,
        seconds_to_threshold=time.until(reached["step"]) if reached else None,
        symbols_per_s=time.speed,
        status=status,
        error=error,
        path=job["path"],
        size=job["size"],
        examples=tested.examples if tested else _validation_examples(history),
    )


def with_worst_scores(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The records, in which a run without a finite score has the worst score of its task and size.

    This is the score of the memoryless baseline, or of another run if that is worse. Runs that failed have no
    score.
    """
    scores: dict[tuple[str, int | None], list[float]] = {}
    for record in records:
        known = (score for score in (record.score, record.baseline) if score is not None)
        scores.setdefault((record.task, record.size), []).extend(known)
    return [
        dataclasses.replace(record, score=_worst(record, scores[record.task, record.size]))
        if record.score is None and record.status != "failed"
        else record
        for record in records
    ]


def _worst(record: RunRecord, scores: Iterable[float]) -> float | None:
    worst = min if record.higher_is_better else max
    return worst(scores, default=None)


def _validation_examples(history: Sequence[Event]) -> int | None:
    """The number of examples in a validation of a task; None for data sets and without a log."""
    config = history[0].get("config", {}) if history else {}
    if config.get("task") is None:
        return None
    examples: int = config["batch"] * config["eval_batches"]
    return examples


def evaluations(history: Iterable[Event]) -> list[Event]:
    """Events of the validations of a run."""
    return [event for event in history if event["event"] == "eval"]


class UpdateTime:
    """Training time of a run, without compilation, validation and saving.

    Args:
        history: Events of the log. A ``step`` event has the time of all updates since the previous one.
    """

    def __init__(self, history: Iterable[Event]) -> None:
        self._steps = [event for event in history if event["event"] == "step"]

    @property
    def seconds(self) -> float:
        """Time of all updates."""
        return self.until(math.inf)

    @property
    def speed(self) -> float | None:
        """Symbols per second."""
        symbols = math.fsum(_seconds(event) * event["symbols_per_s"] for event in self._steps)
        return symbols / self.seconds if self.seconds > 0 else None

    def until(self, step: float) -> float:
        """Time of the updates up to a step that has a ``step`` event."""
        return math.fsum(_seconds(event) for event in self._steps if event["step"] <= step)


def _seconds(event: Event) -> float:
    return float(event["seconds"])


def write_record(folder: Path, record: RunRecord) -> None:
    """Mark a run as done; raises `CheckpointError`."""
    write_json(folder / RECORD_FILE, {"format": FORMAT, "record": vars(record)})


_REQUIRED = {field.name for field in dataclasses.fields(RunRecord) if field.default is dataclasses.MISSING}
"""Fields of all records; older ones lack the others."""


def read_record(root: Path, job: Job) -> RunRecord | None:
    """Read the record of a run; None if the run is not done.

    Raises:
        CheckpointError: if it cannot be read, or belongs to another run.
    """
    path = root / job["path"] / RECORD_FILE
    if not exists(path):
        return None
    raw, expected = read_json(path).get("record"), make_record(job, "expected")
    if not isinstance(raw, dict) or not _REQUIRED <= raw.keys() <= vars(expected).keys():
        raise CheckpointError(f"{path} is not the result of a run of this version of zoo.")
    checked = check_record(raw, schema_of(RunRecord), str(path))
    record = RunRecord(**_with_size(checked, job["size"]))
    for name in _IDENTITY:
        value = getattr(record, name)
        if value != getattr(expected, name):
            raise CheckpointError(
                f"{path} is of another run: {name} is {short_repr(value)}, "
                f"expected {short_repr(getattr(expected, name))}. Remove the run, {path.parent}, or all runs "
                f"of this cell on this task, {path.parent.parent}; zoo trains what is missing."
            )
    return record


def _with_size(values: dict[str, Any], size: int | None) -> dict[str, Any]:
    """The fields of a record with the only size of its comparison, if it is older and lacks the size."""
    return {**values, "size": size} if values["size"] is None else values


_WRITERS: Mapping[str, Callable[[TextTable], str]] = {
    "text": TextTable.plain_text,
    "markdown": TextTable.markdown_section,
    "html": TextTable.html,
    "csv": TextTable.csv,
    "latex": TextTable.latex,
}

RESULTS_FILE, TABLE_FILE = "results.json", "results.csv"


class Comparison:
    """Results of a comparison directory: the lists ``runs``, ``sweep``, ``summary``, ``overall`` and
    ``targets``, and ``metadata``, as ``results.json`` holds them. Every record is checked.

    Args:
        path: The directory.
        reference: Label of the cell with which tables compare the others, or ``"best"`` for the best cell of
            each table; None for the reference of ``zoo compare``. It does not change ``metadata``, where the
            plan and the command have the reference of ``zoo compare``.

    Attributes:
        path: The directory.
        reference: Label of the cell with which the others are compared; None for the best one of each table.
        metadata: All but the records: ``command``, ``plan``, ``cells``, ``tasks``, ``machine``, ``versions``
            and others.
        runs: Records of the runs.
        sweep: Records of the short runs of the learning rate sweep.
        summary: Rows for each task, size and cell: mean, standard deviation, rank and so on over the seeds.
        overall: Rows for each size and cell: its mean rank over the tasks, the best first.
        targets: Rows for each size, cell and target of data sets with several targets.

    Raises:
        CheckpointError: if the results are missing, damaged, or from another version.
        UsageError: if ``reference`` is none of the cells.
    """

    def __init__(self, path: str | Path, reference: str | None = None) -> None:
        self.path = as_path(path, "Comparison: path")
        file = self.path / RESULTS_FILE
        stored: dict[str, Any] = read_json(file, max_bytes=MAX_BYTES)
        tasks = stored.get("tasks")
        if stored.get("format") != FORMAT or type(stored.get("plan")) is not dict or type(tasks) is not dict:
            raise CheckpointError(f"{file} is not a results file of this version of zoo.")

        self._sizes = _plan_sizes(stored["plan"], f"{file}, plan")
        size = self._sizes.numbers[0] if len(self._sizes.numbers) == 1 else None

        def read(name: str, kind: type[R]) -> list[R]:
            rows = check_records(stored.pop(name, None), schema_of(kind), f"{file}, {name}")
            return [kind(**_with_size(row, size)) for row in rows]

        self.runs, self.sweep = read("runs", RunRecord), read("sweep", RunRecord)
        self.summary, self.overall = read("summary", SummaryRow), read("overall", OverallRow)
        stored.setdefault("targets", [])  # older files lack it
        self.targets = read("targets", TargetRow)
        stored["tasks"] = {name: _check_task(task, f"{file}, tasks") for name, task in tasks.items()}
        for task in (*(row.task for row in self.summary), *(row.task for row in self.targets), *self.tasks):
            if task not in tasks:
                raise CheckpointError(f"{file}, tasks lacks {quote(task)}, which a record names.")
        self.metadata: Mapping[str, Any] = stored
        self._cells = list(dict.fromkeys(run.cell for run in self.runs))
        self._runs_by_group = group_records(self.runs)
        self.reference: str | None = check_record(self.plan, {"reference": "str | None"}, f"{file}, plan")[
            "reference"
        ]
        if reference is not None:
            as_choice(reference, "Comparison: reference", (*self.cells, BEST_CELL))
            self._compare_with(reference if reference in self.cells else None)

    def _compare_with(self, reference: str | None) -> None:
        """Compute the differences to another reference cell, or to none."""
        self.reference = reference
        self.summary, self.overall = summarize(self.runs, reference), overall(self.runs, reference)

    def __repr__(self) -> str:
        return f"Comparison({str(self.path)!r})"

    def at_size(self, size: int) -> Comparison:
        """The results at one of several sizes, with the tables and the verdicts of this size alone.

        >>> for size in comparison.sizes:
        ...     print(comparison.at_size(size).table())

        Args:
            size: One of ``sizes``.

        Raises:
            UsageError: if it is none of them.
        """
        size = as_integer(size, "Comparison.at_size: size")
        if size not in self.sizes:
            listed = ", ".join(map(str, self.sizes))
            raise UsageError(f"Comparison.at_size: size is {size}; expected one of {listed}.")
        view = copy.copy(self)
        view._sizes = Sizes(self._sizes.kind, (size,))
        view.runs, view.sweep = (
            [run for run in records if run.group.size == size] for records in (self.runs, self.sweep)
        )
        view._runs_by_group = group_records(view.runs)
        view.summary = [row for row in self.summary if row.group.size == size]
        view.overall = [row for row in self.overall if (row.size or 0) == size]
        view.targets = [row for row in self.targets if row.group.size == size]
        view.metadata = {**self.metadata, "plan": {**self.plan, "size": view._sizes.to_json()}}
        return view

    @property
    def sizes(self) -> list[int]:
        """The sizes in ascending order: budgets of parameters, or numbers of hidden units."""
        return sorted({group.size for group in self._runs_by_group})

    @property
    def has_several_sizes(self) -> bool:
        """Whether there is more than one size."""
        return len(self.sizes) > 1

    def size_text(self, sizes: Iterable[int]) -> str:
        """Sizes with their unit, ``4,000 params`` or ``16 and 32 hidden``."""
        return sizes_text(self._sizes.kind, sizes)

    def group_text(self, group: RunGroup) -> str:
        """``gru on copying``, with the size if there are several."""
        is_one = len(self._sizes.numbers) < 2  # by the plan: some sizes may have no run yet
        at_size = "" if is_one else f" at {self.size_text([group.size])}"
        return f"{group.cell} on {group.task}{at_size}"

    @property
    def plan(self) -> Mapping[str, Any]:
        """The plan: cells, tasks, sizes and settings."""
        return self.section("plan")

    @property
    def cells(self) -> list[str]:
        """Labels of the cells of all sizes, in the order of the runs."""
        return list(self._cells)

    @property
    def tasks(self) -> list[str]:
        """Labels of the tasks, in the order of the runs."""
        return list(dict.fromkeys(run.task for run in self.runs))

    @property
    def failures(self) -> list[RunRecord]:
        """Records of the runs, sweep included, that did not finish."""
        return [record for record in (*self.sweep, *self.runs) if record.status != "finished"]

    def runs_of(self, task: str) -> list[RunRecord]:
        """Runs of a task, at least one."""
        return [run for run in self.runs if run.task == task]

    def runs_of_group(self, group: RunGroup) -> list[RunRecord]:
        """Runs of a cell on a task at one size."""
        return list(self._runs_by_group.get(group, ()))

    def scope(self, cell: str) -> str:
        """Scope of a cell: bare recurrence or whole mixer; empty in results of old versions."""
        return str(self._cell_info(cell).get("scope", ""))

    def is_published(self, cell: str) -> bool:
        """Whether a cell has a reference, unlike a cell of your own; True in results of old versions."""
        return self._cell_info(cell).get("published") is not False

    def registered_name(self, cell: str) -> str:
        """The name of a cell in the registry, which differs from its label in ``label=name``."""
        return str(self._cell_info(cell).get("name", cell))

    def options(self, cell: str) -> Mapping[str, Any]:
        """All options of a cell; empty in results of old versions."""
        return _mapping(self._cell_info(cell).get("options"))

    def stated_options(self, cell: str) -> Mapping[str, Any]:
        """Options of a cell that are not their defaults or have a customary value; empty in old results."""
        return _mapping(self._cell_info(cell).get("stated_options"))

    def customary_options(self, cell: str) -> Mapping[str, Any]:
        """Values of options that comparisons use in place of their defaults; empty in old results."""
        return _mapping(self._cell_info(cell).get("customary_options"))

    def fixed_size_options(self, cell: str) -> Mapping[str, int]:
        """Options of a cell that do not change with H; empty in results of old versions."""
        return _mapping(self._cell_info(cell).get("fixed_size_options"))

    def parameter_parts(self, group: RunGroup) -> Mapping[str, int]:
        """The parameters of cells, blocks, readout and an embedding; empty if no cell has a block."""
        counts = _mapping(_mapping(self.section("parameters").get(group.task)).get(group.cell))
        return _mapping(counts.get(str(group.size), counts))  # older results have one size, without its name

    def _cell_info(self, cell: str) -> Mapping[str, Any]:
        return _mapping(self.section("cells").get(cell))

    def threshold(self, task: str) -> float | None:
        """The score that counts as solved, if there is one."""
        value: float | None = self.section("tasks")[task]["threshold"]
        return value

    def section(self, name: str) -> Mapping[str, Any]:
        """An object of the metadata; empty if it is missing."""
        return _mapping(self.metadata.get(name))

    def table(self, form: str = "text", columns: Sequence[str] | None = None) -> str:
        """The tables in a format.

        Args:
            form: ``"text"``, ``"markdown"``, ``"html"``, ``"csv"``, or ``"latex"`` with the package booktabs.
            columns: Headings of the columns to keep, in addition to the cell and the scores. None for all,
                or for ``"latex"`` scope, options, parameters, lr, 95 %, gain, clear, solved and mean
                rank.

        Raises:
            UsageError: if the format or a heading is unknown.
        """
        write = _WRITERS[as_choice(form, "Comparison.table: form", tuple(_WRITERS))]
        return "\n\n".join(map(write, keep_columns(make_tables(self), columns, form)))

    def _repr_html_(self) -> str:
        return self.table("html")


def _plan_sizes(plan: Mapping[str, Any], where: str) -> Sizes:
    """The sizes of a plan; none if it lacks them.

    Raises:
        CheckpointError: if they are damaged.
    """
    stored = plan.get("size")
    if stored is None:
        return Sizes("params", ())
    try:
        sizes = read_sizes(stored)
    except (ValueError, AttributeError):
        sizes = Sizes("", ())
    if sizes.kind not in ("params", "hidden") or not all(type(size) is int for size in sizes.numbers):
        raise CheckpointError(
            f"{where}: size is {short_repr(stored)}; expected integers by params or hidden."
        )
    return sizes


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _check_task(task: Any, where: str) -> dict[str, Any]:
    info = check_record(task, _TASK_SCHEMA, where)
    if not isinstance(task.get("options"), dict):
        raise CheckpointError(f"{where}, {quote(info['name'])}: options is not an object.")
    baselines = task.get("baselines", {})
    if not isinstance(baselines, dict):
        raise CheckpointError(f"{where}, {quote(info['name'])}: baselines is not an object.")
    checked = {
        name: check_record(values, _BASELINE_SCHEMA, f"{where}, {quote(name)}")
        for name, values in baselines.items()
    }
    return {**info, "options": task["options"], "baselines": checked}


def write_results(
    folder: Path,
    metadata: Mapping[str, Any],
    runs: Sequence[RunRecord],
    sweep: Sequence[RunRecord],
    summary: Sequence[SummaryRow],
    overall: Sequence[OverallRow],
    targets: Sequence[TargetRow] = (),
) -> None:
    """Write ``results.json`` and ``results.csv``, see `Comparison`; raises `CheckpointError`."""
    records = {"runs": runs, "sweep": sweep, "summary": summary, "overall": overall, "targets": targets}
    rows = {name: [vars(row) for row in each] for name, each in records.items()}
    write_json(folder / RESULTS_FILE, {"format": FORMAT, **metadata, **rows})
    headings = tuple(vars(runs[0])) if runs else ()
    texts = (("" if value is None else str(value) for value in vars(run).values()) for run in runs)
    table = TextTable("", headings, tuple(map(tuple, texts))).csv()
    write_bytes(folder / TABLE_FILE, table.encode("utf-8", "backslashreplace"))  # a lone surrogate
