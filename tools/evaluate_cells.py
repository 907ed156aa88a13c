"""Train every cell, bare and in the block of its paper, on six tasks and one text.

    python tools/evaluate_cells.py results                            # continue, in two processes
    python tools/evaluate_cells.py results --cells lstm,gru --tasks adding --jobs 1
    python tools/evaluate_cells.py results --minutes 60               # stop after the pair that runs then
    python tools/evaluate_cells.py results --list                     # how much is done

Two files grow in the directory: ``cells.csv`` with a line for each run, and ``curves.csv`` with the
validations of each pair of cell and task, as means over the seeds. A pair is written when all of its runs
have ended, and is not trained again. So you can stop the command at any time, and continue on another
machine. All settings are below. They are the same for all cells, and were fixed before the first run.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from csv_rows import append_rows, read_rows

import zoo
from zoo.base import Cell, Task
from zoo.comparison.resolve import count_parts
from zoo.comparison.specs import find_cell, find_task
from zoo.errors import ZooError
from zoo.registry import registry_of

SETTINGS: Mapping[str, Any] = {
    "seeds": 3,
    "layers": 2,
    "steps": 2000,
    "lr_grid": (0.003, 0.01, 0.03),
    "sweep_rounds": 8,
}
"""The sweep begins at three learning rates, with runs of a fifth of the updates, and leaves the grid if the
best rate is at its edge. Networks of ten thousand parameters need higher rates than large ones: 63 of 84
pairs chose the highest of a grid that ended at 0.01."""
TASKS: Mapping[str, Mapping[str, Any]] = {
    "adding": {"params": 10_000},
    "copying": {"params": 10_000},
    "selective_copying": {"params": 10_000},
    "associative_recall": {"params": 20_000},
    "parity": {"params": 10_000},
    "dyck": {"params": 10_000},
    "text": {"params": 50_000},
}
CELL_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    **{
        name: {"forget_bias": 1.0}
        for name in (
            "lstm",
            "cifg_lstm",
            "lstm_projected",
            "mc_lstm",
            "peephole_lstm",
            "res_lstm",
            "wmc_lstm",
        )
    },
    "cfc": {"units": 32},
    "longhorn": {"rank": 2},
    "mamba": {"rank": 2},
    "rwkv6": {"rank": 8, "decay_rank": 8},
    "rwkv7": {"rank": 8},
    "s5": {"order": 64},
    "shallow_plrnn": {"units": 64},
}
"""Customary options that are not the defaults, see docs/compare.md, and sizes that fit the budget.

These sizes do not change with H, and their defaults suit 128 units. Within 10,000 parameters, ``cfc`` would
have 6 units and a backbone of 128, ``s5`` would have 8 outputs of 256 poles, and ``rwkv6`` would have 10
units. With these options, the cells have 26, 37 and 19 units. The rank of ``mamba`` and ``longhorn`` is
H / 16, rounded up, as in the code of their authors.
"""
FILES = "cells.csv", "curves.csv"
Results: TypeAlias = "tuple[list[Row], list[Point]]"


@dataclass(frozen=True)
class Pair:
    """A cell, its block and a task.

    Args:
        cell: Name of the cell.
        block: Name of the block, ``"bare"`` for none.
        task: Name of the task.
    """

    cell: str
    block: str
    task: str

    @property
    def spec(self) -> str:
        """The name of the cell with its block."""
        return self.cell if self.block == "bare" else f"{self.block}({self.cell})"


@dataclass(frozen=True)
class Row:
    """A run, a line of ``cells.csv``.

    Args:
        cell: Name of the cell.
        block: Name of the block, ``"bare"`` for none.
        task: Name of the task.
        options: Options of the cell that are not its defaults, ``rank=8 decay_rank=8``.
        seed: The seed; empty for a pair that failed before a run.
        hidden: Hidden units of a layer.
        parameters: All parameters.
        cell_parameters: Those of the cells.
        block_parameters: Those of the blocks.
        readout_parameters: Those of the readout.
        lr: The learning rate that the sweep chose.
        sweep: ``edge`` or ``plateau`` if the sweep has not decided.
        metric: Metric of the task.
        score: Test score of the checkpoint with the best validation.
        loss: Its test loss.
        solved: Whether the test score reaches the threshold of the task.
        steps: Updates.
        seconds: Time of the updates.
        status: ``finished``, ``diverged`` or ``failed``.
        error: The message of a failure.
        processor: The processor.
        zoo: Version of zoo.
        numba: Version of Numba.
        date: Day of the run.
    """

    cell: str
    block: str
    task: str
    options: str = ""
    seed: int | None = None
    hidden: int | None = None
    parameters: int | None = None
    cell_parameters: int | None = None
    block_parameters: int | None = None
    readout_parameters: int | None = None
    lr: float | None = None
    sweep: str = ""
    metric: str = ""
    score: float | None = None
    loss: float | None = None
    solved: bool | None = None
    steps: int | None = None
    seconds: float | None = None
    status: str = ""
    error: str = ""
    processor: str = ""
    zoo: str = ""
    numba: str = ""
    date: str = ""


@dataclass(frozen=True)
class Point:
    """A validation, a line of ``curves.csv``.

    Args:
        cell: Name of the cell.
        block: Name of the block, ``"bare"`` for none.
        task: Name of the task.
        step: Updates.
        loss: Mean validation loss over the seeds.
        score: Mean score over the seeds.
    """

    cell: str
    block: str
    task: str
    step: int
    loss: float
    score: float | None


def all_pairs(cells: Sequence[str] | None = None) -> Iterator[Pair]:
    """All pairs, cell by cell: the bare cell on all tasks, then the cell in the block of its paper.

    Args:
        cells: Names of cells, in their order, each once; None for all cells.
    """
    for cell in zoo.list_cells() if cells is None else dict.fromkeys(cells):
        block = registry_of(Cell).cls(cell).card.block
        for around in ("bare", block) if block else ("bare",):
            for task in TASKS:
                yield Pair(cell, around, task)


def options_of(cell: str) -> str:
    """The options of a cell that are not its defaults, ``rank=8 decay_rank=8``."""
    return " ".join(f"{name}={value}" for name, value in CELL_OPTIONS.get(cell, {}).items())


def measure(pair: Pair, settings: Mapping[str, Any]) -> tuple[list[Row], list[Point]]:
    """Compare the pair with nothing: sweep its learning rate and train it with every seed."""
    folder = Path(tempfile.mkdtemp(prefix="zoo-evaluation-")).resolve()
    try:
        options = {"cell": dict(CELL_OPTIONS.get(pair.cell, {}))}
        try:
            comparison = zoo.compare(
                {"cell": pair.spec}, [pair.task], options=options, jobs=0, out=folder / "run", **settings
            )
        except (ZooError, MemoryError, ArithmeticError) as error:
            day = datetime.date.today().isoformat()
            failed = {"status": "failed", "error": without_folder(str(error), folder), "date": day}
            return [Row(**asdict(pair), options=options_of(pair.cell), **failed)], []
        return list(rows_of(pair, comparison)), list(points_of(pair, comparison))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def without_folder(message: str, folder: Path) -> str:
    """An error message without its last sentence, if this names a file in the folder, which is deleted."""
    return message.partition(f" {folder}")[0]


def rows_of(pair: Pair, comparison: zoo.Comparison) -> Iterator[Row]:
    """The lines of a pair."""
    from zoo.comparison.sweep import sweep_verdict

    host, versions = comparison.section("machine"), comparison.section("versions")
    (summary,) = comparison.summary
    parts = count_parameters(pair, summary.hidden, comparison.section("plan")["settings"])
    for run in comparison.runs:
        yield Row(
            **asdict(pair),
            **parts,
            options=options_of(pair.cell),
            seed=run.seed,
            hidden=run.hidden,
            parameters=run.parameters,
            lr=run.lr,
            sweep=sweep_verdict(comparison, summary),
            metric=run.metric,
            score=_rounded(run.score),
            loss=_rounded(run.loss),
            solved=run.solved,
            steps=run.steps,
            seconds=round(run.seconds, 2),
            status=run.status,
            error=without_folder(run.error, comparison.path),
            processor=str(host["processor"]),
            zoo=str(versions["zoo"]),
            numba=str(versions["numba"]),
            date=str(comparison.metadata["date"])[:10],
        )


def count_parameters(pair: Pair, hidden: int, settings: Mapping[str, Any]) -> dict[str, int]:
    """Parameters of the cells, the blocks and the readout.

    Args:
        pair: The pair.
        hidden: Hidden units of a layer.
        settings: Settings of the comparison.
    """
    _, model = find_cell(pair.spec, CELL_OPTIONS.get(pair.cell, {}))
    _, task = find_task(pair.task, {})
    counts = count_parts(model.of_layers, task, hidden, settings)
    return {f"{part}_parameters": count for part, count in counts.items()}


def points_of(pair: Pair, comparison: zoo.Comparison) -> Iterator[Point]:
    """The validations of a pair, as means over the seeds that have all of them."""
    histories = [
        {
            event["step"]: event
            for event in zoo.Run(comparison.path / run.path).history
            if event["event"] == "eval"
        }
        for run in comparison.runs
        if run.status == "finished"
    ]
    for step in sorted(histories[0]) if histories else ():
        events = [history[step] for history in histories if step in history]
        if len(events) == len(histories):
            loss = sum(event["loss"] for event in events) / len(events)
            scores = [event["score"] for event in events if event.get("score") is not None]
            score = sum(scores) / len(scores) if scores else None
            yield Point(**asdict(pair), step=step, loss=_rounded(loss), score=_rounded(score))


def _rounded(value: float | None) -> Any:
    return None if value is None else float(f"{value:.5g}")


def done(folder: Path) -> set[Pair]:
    """The pairs in ``cells.csv``.

    Raises:
        ValueError: if a pair was measured with other options, or the file has other columns.
    """
    rows = read_rows(folder / FILES[0], Row)
    for row in rows:
        if row.options != (now := options_of(row.cell)):
            raise ValueError(
                f"{folder / FILES[0]}: {row.cell} was measured with the options {row.options!r}, and "
                f"CELL_OPTIONS has {now!r}; remove its lines to measure it again"
            )
    return {Pair(row.cell, row.block, row.task) for row in rows}


def remove_points(file: Path, pair: Pair) -> None:
    """Remove the validations of a pair that was stopped before its runs were written."""
    if not file.exists():
        return
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    beginning = f"{pair.cell},{pair.block},{pair.task},"
    if any(line.startswith(beginning) for line in lines):
        file.write_text("".join(line for line in lines if not line.startswith(beginning)), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Train what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", help="only these cells, in this order, with commas between them")
    parser.add_argument("--blocks", help="only these blocks; bare for none")
    parser.add_argument("--tasks", help=f"only these tasks, of {', '.join(TASKS)}")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--minutes", type=float, help="begin no pair after this time")
    parser.add_argument("--list", action="store_true", help="print what is done and exit")
    chosen = parser.parse_args(arguments)
    for names, known in ((chosen.cells, zoo.list_cells()), (chosen.tasks, registry_of(Task).list())):
        if unknown := sorted(set((names or "").split(",")) - {""} - set(known)):
            parser.error(f"unknown name {unknown[0]!r}")
    selected = [
        pair
        for pair in all_pairs(chosen.cells.split(",") if chosen.cells else None)
        for names in [{"block": chosen.blocks, "task": chosen.tasks}]
        if all(not given or getattr(pair, kind) in given.split(",") for kind, given in names.items())
    ]
    finished = done(chosen.folder)
    missing = [pair for pair in selected if pair not in finished]
    print(f"{len(selected) - len(missing)} of {len(selected)} pairs are done", flush=True)
    if chosen.list:
        return 0
    train(chosen.folder, missing, chosen.jobs, chosen.minutes)
    return 0


def end_with_parent() -> None:
    """End this process when its parent has ended: a pair takes up to an hour, and nobody would write it."""

    def wait() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def train(folder: Path, pairs: Sequence[Pair], jobs: int, minutes: float | None) -> None:
    """Train pairs in processes, and write each one when it has ended."""
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    waiting = iter(pairs)
    with ProcessPoolExecutor(jobs, max_tasks_per_child=20, initializer=end_with_parent) as pool:

        def submit(pair: Pair) -> Future[Results]:
            return pool.submit(measure, pair, {**SETTINGS, **TASKS[pair.task]})

        running = {submit(pair): pair for pair in itertools.islice(waiting, jobs)}
        while running:
            future = next(as_completed(running))
            pair = running.pop(future)
            rows, points = future.result()  # raises BrokenProcessPool if a process was killed
            remove_points(folder / FILES[1], pair)
            append_rows(folder / FILES[1], points, Point)
            append_rows(folder / FILES[0], rows, Row)  # last: it marks the pair as done
            scores = ", ".join("–" if row.score is None else f"{row.score:.4g}" for row in rows)
            print(f"{pair.spec} on {pair.task}: {rows[0].status} {scores}", flush=True)
            if time.monotonic() < end and (following := next(waiting, None)) is not None:
                running[submit(following)] = following


if __name__ == "__main__":
    sys.exit(main())
