"""Measure the time to a loss: ``zoo train --auto`` against the plain recipe of PyTorch, on one text.

    python tools/time_to_loss.py input.txt --out times.json --python torch-venv/bin/python
    python tools/time_to_loss.py input.txt --out times.json --markdown docs/benchmarks.md

Two things are measured apart, so that other work on the machine does not decide the result. Updates to a loss
do not depend on the load: both train with a validation every 50 updates. Seconds of an update are measured in
turn: some updates of PyTorch, some of zoo, and so on. Seconds to a loss are their product, and those of zoo
include the trials of ``--auto``. Validations and the start of the programs do not count.

``--out`` stores every measurement, and a second call makes only the missing ones. The text is yours: tiny
Shakespeare is ``data/tinyshakespeare/input.txt`` in https://github.com/karpathy/char-rnn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo
from zoo.bench.machine import machine_info
from zoo.child_process import ChildProcess
from zoo.distributed.collectives import SINGLE_PROCESS
from zoo.storage.document_marker import DocumentMarker
from zoo.tables import TextTable
from zoo.training.schedules import Constant
from zoo.training.session import prepare_data
from zoo.training.state import TrainingState
from zoo.training.trainer import Trainer

CELLS = ("vanilla", "lstm", "gru")
HIDDEN, SHARE, SEED = 256, 90, 0
RECIPE = {"batch": 32, "seq": 64, "lr": 2e-3}
"""The plain recipe: Adam at a constant rate, and PyTorch's initial values."""

RECIPE_UPDATES, ZOO_UPDATES, EVERY = 3000, 2400, 50
LOSSES = (1.9, 1.7, 1.61)
ROUNDS, ROUND_UPDATES = 10, 10

Curve = Sequence[Sequence[float]]
"""Pairs of updates and validation losses."""


def updates_to(curve: Curve, loss: float) -> int | None:
    """Updates until the first validation with this loss or a lower one; None if there is none."""
    return next((int(updates) for updates, value in curve if value <= loss), None)


def rows(measured: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Rows of the table: cell, loss, updates and seconds of PyTorch, those of zoo, and their ratio."""
    for cell, entry in measured["cells"].items():
        of_torch, of_zoo = entry["seconds"]
        trials = trial_updates(entry)
        last = entry["torch"][-1][1]
        for loss in (*LOSSES, last):
            theirs, ours = updates_to(entry["torch"], loss), updates_to(entry["zoo"]["curve"], loss)
            seconds = None if theirs is None else theirs * of_torch
            own_seconds = None if ours is None else (trials + ours) * of_zoo
            ratio = None if seconds is None or own_seconds is None else seconds / own_seconds
            label = f"{loss:.2f}" if loss in LOSSES else f"{loss:.3f} (PyTorch's last)"
            yield cell, label, _text(theirs), _text(seconds), _text(ours), _text(own_seconds), _text(ratio)


def trial_updates(entry: Mapping[str, Any]) -> int:
    """Updates of all trials."""
    return sum(trial["steps"] for trial in entry["zoo"]["trials"])


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"


def paragraphs(measured: Mapping[str, Any]) -> list[str]:
    """The measurement as Markdown: the machine, the times, and the choices of ``--auto``."""
    times = "cell", "loss", "PyTorch: updates", "s", "zoo: updates", "s", "times as fast"
    chosen = "cell", "`--auto` chose", "updates of trials", "ms of an update: PyTorch", "zoo"
    return [measured["about"], _table(times, rows(measured)), _table(chosen, choices(measured))]


def choices(measured: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Rows of the table of choices."""
    for cell, entry in measured["cells"].items():
        chosen = f"lr {entry['zoo']['lr']:g}, {entry['zoo']['batch']} streams"
        yield cell, chosen, f"{trial_updates(entry):,}", *(f"{1e3 * each:.1f}" for each in entry["seconds"])


def _table(headings: tuple[str, ...], lines: Iterator[tuple[str, ...]]) -> str:
    table = TextTable("", headings, tuple(lines), right=tuple(range(1, len(headings))))
    return "\n".join(table.markdown())


class TorchRecipe:
    """The recipe of PyTorch in a child process; see ``time_to_loss_torch.py``."""

    def __init__(self, text: Path, cell: str, threads: int, python: str | None) -> None:
        program = str(Path(__file__).with_name("time_to_loss_torch.py"))
        run = f"import runpy; runpy.run_path({program!r}, run_name='__main__')"
        self.child = ChildProcess(run, environment=dict(os.environ), python=python)
        sizes = {"cell": cell, "hidden": HIDDEN, "seed": SEED, "threads": threads, **RECIPE}
        self.child.send({"path": str(text), "share": SHARE / 100, **sizes})

    def __enter__(self) -> TorchRecipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.close()

    def train(self, updates: int) -> list[float]:
        """Make updates, and return the seconds of each."""
        self.child.send({"train": updates})
        seconds: list[float] = self.child.receive()["answer"]
        return seconds

    def loss(self) -> float:
        """The loss on the validation part."""
        self.child.send({"loss": True})
        return float(self.child.receive()["answer"])


def torch_curve(text: Path, cell: str, threads: int, python: str | None) -> Curve:
    """Validations of the plain recipe."""
    with TorchRecipe(text, cell, threads, python) as recipe:
        curve = list[tuple[int, float]]()
        for updates in range(EVERY, RECIPE_UPDATES + 1, EVERY):
            recipe.train(EVERY)
            curve.append((updates, recipe.loss()))
    return curve


def zoo_settings(cell: str, threads: int) -> dict[str, Any]:
    """Settings of the run of zoo: sizes and data are those of the recipe, and ``auto`` chooses the others."""
    sizes = {"cell": cell, "hidden": HIDDEN, "seq": RECIPE["seq"], "split": f"{SHARE},{100 - SHARE}"}
    return {**sizes, "seed": SEED, "threads": threads, "auto": True, "steps": ZOO_UPDATES}


def zoo_curve(text: Path, cell: str, threads: int) -> dict[str, Any]:
    """Validations and trials of ``zoo train --auto``, and its choice."""
    with tempfile.TemporaryDirectory() as folder:
        run = zoo.train(text, out=Path(folder) / "run", eval_every=EVERY, **zoo_settings(cell, threads))
        return of_run(run)


def of_run(run: zoo.Run) -> dict[str, Any]:
    """Curve, trials and choice of a run, for the table."""
    curve = [(event["step"], event["loss"]) for event in run.events("eval")]
    trials = next(run.events("start"))["trials"]
    return {"curve": curve, "trials": trials, "lr": run.config.lr, "batch": run.config.batch}


def seconds_in_turn(
    text: Path, cell: str, chosen: Mapping[str, Any], threads: int, python: str | None
) -> tuple[float, float]:
    """Median seconds of an update of PyTorch and of zoo, which take turns."""
    settings = {**zoo_settings(cell, threads), "batch": chosen["batch"], "lr": chosen["lr"], "auto": False}
    config, dataset = prepare_data(text, settings)
    model, optimizer = dataset.make_model(zoo.get_cell(cell), config), zoo.get_optimizer("adam")
    schedule = Constant()
    state = TrainingState(optimizer.init(model.theta), schedule.init())
    parts = model, optimizer, schedule, state, None, SINGLE_PROCESS
    trainer = Trainer(config, dataset, *parts, emit=lambda _: None)
    trainer.run_trial(ROUND_UPDATES)
    theirs, ours = list[float](), list[float]()
    with TorchRecipe(text, cell, threads, python) as recipe:
        recipe.train(ROUND_UPDATES)
        for _ in range(ROUNDS):
            theirs += recipe.train(ROUND_UPDATES)
            for _ in range(2 * ROUND_UPDATES):
                started = time.perf_counter()
                trainer.step()
                ours.append(time.perf_counter() - started)
    return statistics.median(theirs), statistics.median(ours)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("text", type=Path, help="the text")
    parser.add_argument("--out", type=Path, required=True, help="the measurements, JSON")
    parser.add_argument("--cells", default=",".join(CELLS), help="some of vanilla, lstm and gru, with commas")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", help="an interpreter with PyTorch")
    parser.add_argument("--markdown", type=Path, help="replace the block of the table in this page")
    given = parser.parse_args()
    measured = (
        json.loads(given.out.read_text())
        if given.out.exists()
        else {"about": about(given.threads), "cells": {}}
    )
    for cell in given.cells.split(","):
        entry = measured["cells"].setdefault(cell, {})
        for name in ("torch", "zoo", "seconds"):
            if name not in entry:
                entry[name] = measure(name, given.text, cell, entry, given.threads, given.python)
                given.out.write_text(json.dumps(measured))
    print(*paragraphs(measured), sep="\n\n")
    if given.markdown is not None:
        marker = DocumentMarker(given.markdown, "time-to-loss", "time_to_loss")
        marker.write("python tools/time_to_loss.py", paragraphs(measured))


def measure(
    name: str, text: Path, cell: str, entry: Mapping[str, Any], threads: int, python: str | None
) -> Any:
    """Make one of the three measurements of a cell."""
    if name == "torch":
        return torch_curve(text, cell, threads, python)
    if name == "zoo":
        return zoo_curve(text, cell, threads)
    return seconds_in_turn(text, cell, entry["zoo"], threads, python)


def about(threads: int) -> str:
    """The machine, the sizes and the date."""
    machine = machine_info()
    return (
        f"{time.strftime('%Y-%m-%d')}: {machine['processor']}, {threads} threads, float32, H={HIDDEN}, "
        f"T={RECIPE['seq']}."
    )


if __name__ == "__main__":
    main()
