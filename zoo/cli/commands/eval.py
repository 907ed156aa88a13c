"""``zoo eval``: measure a trained model on a text or on its task."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zoo.arguments import check_seed
from zoo.base import Task
from zoo.cli.checkpoints import LoadedModel
from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, TASK_FILE, file_cells, file_task, plugin_option, trained_task
from zoo.cli.flags import MAX_SEED, Command, argument, format_options, option
from zoo.cli.format import decimal
from zoo.cli.set_options import assign, component_target
from zoo.cli.terminal import echo, print_facts
from zoo.errors import UsageError, ZooWarning
from zoo.tables import align
from zoo.training import Config, evaluate_task
from zoo.training.config import TEST_BATCHES


def evaluate_on_task(
    trained: LoadedModel,
    config: Config,
    cls: type[Task],
    assignments: Sequence[str],
    part: str | None,
    batches: int,
    noise: int | None,
) -> dict[str, Any]:
    """Measure loss and score of a model on its task.

    Args:
        trained: The model.
        config: Configuration of its training.
        cls: Its task.
        assignments: Options that replace options of the run: ``"delay=100"``.
        part: ``train``, ``valid`` or ``test``; None for ``test``.
        batches: Number of batches of the size of training.
        noise: Seed of dropout and noise; None to draw none.

    Raises:
        UsageError: if an option is unknown, or the sizes of the task differ from the model.
    """
    _warn_of_change(trained, cls(**config.task_options))
    task = _task(cls, config, assignments)
    sizes = task.input_size, task.output_size
    if sizes != (trained.model.stack.input_size, trained.model.output_size):
        raise UsageError(
            f"{trained.source}: {task!r} has {sizes[0]} inputs and {sizes[1]} outputs; the model has "
            f"{trained.model.stack.input_size} and {trained.model.output_size}."
        )
    part = part or "test"
    score = evaluate_task(task, trained.model, part, batches, config.batch or 32, noise)
    return {
        "task": task.name,
        "options": dict(task.options),
        "part": part,
        "examples": score.examples,
        "noise": noise,
        "loss": score.loss,
        "metric": task.metric,
        "score": score.score,
        "higher_is_better": task.higher_is_better,
        "baseline": task.baseline(),
        "threshold": task.threshold,
        "solved": score.solved,
    }


def _task(cls: type[Task], config: Config, assignments: Sequence[str]) -> Task:
    changes = assign(assignments, [component_target("task", cls)])["task"]
    return cls(**{**config.task_options, **changes})


def _warn_of_change(trained: LoadedModel, task: Task) -> None:
    """Warn if the task generates other examples than in training."""
    if trained.sha256 and task.fingerprint() != trained.sha256:
        sentence = (
            f"{trained.source}: {task.label()} has changed since training; it gives other examples now."
        )
        warnings.warn(sentence, ZooWarning, stacklevel=3)


@click.command(cls=Command)
@argument("path", metavar="RUN", shell_complete=complete_runs)
@option(
    "--data",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="Another text, as for zoo train.  [the text of the run]",
)
@option("--glob", metavar="PATTERN", help="Files to read from a directory.  [as in training]")
@option(
    "--part",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Part of the text or the task.  [test, or the next of valid and train that the text has; all of "
    "another text]",
)
@option(
    "--on-unknown",
    type=click.Choice(["error", "skip"]),
    help="Characters that are not in the vocabulary: stop with an error, or skip them.  [error]",
)
@option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change an option of the task, for example delay=100; may be repeated.",
)
@option(
    "--eval-batches",
    "batches",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Batches of test examples of the task.  [{TEST_BATCHES}]",
)
@option(
    "--noise",
    type=int,
    most=MAX_SEED,
    metavar="SEED",
    help="Draw dropout and the noise of cells as in training, with this seed.  [no dropout; noise is its "
    "expectation]",
)
@option("--cell", **CELL_FILE)
@option("--task", **TASK_FILE)
@format_options
@plugin_option
def command(
    path: str,
    sources: Sequence[str],
    glob: str | None,
    part: str | None,
    on_unknown: str | None,
    assignments: Sequence[str],
    batches: int | None,
    noise: int | None,
    cell: str | None,
    task: str | None,
    form: str | None,
) -> None:
    """Evaluate a trained model on a text or on its task.

    RUN is a run directory, of which zoo uses the best model, or a .safetensors file. On a text, the loss is
    the mean cross-entropy in nats per token, with the batch size of training, so that the numbers are
    comparable. On a task, loss and score are means over batches of test examples, which are the same for
    every run.
    """
    from zoo.cli.checkpoints import evaluate_on_text, open_model

    trained, own = open_model(Path(path), file_cells(cell)), file_task(task)
    config = trained.config
    if noise is not None:
        check_seed(noise, "noise")
    if config is not None and config.task is not None:
        _check_flags(
            f"{path} was trained on the task {config.task!r}",
            part,
            data=sources,
            glob=glob,
            on_unknown=on_unknown,
        )

        cls = trained_task(config.task, own)
        facts = evaluate_on_task(trained, config, cls, assignments, part, batches or TEST_BATCHES, noise)
        lines = _score_report(facts)
    else:
        _check_flags(f"{path} is a text model", None, set=assignments, eval_batches=batches, task=task)
        facts = evaluate_on_text(trained, sources, glob, part, on_unknown or "error", noise)
        lines = _text_report(facts)
    if form is not None:
        print_facts({"run": path, **facts}, form)
    else:
        echo("\n".join(lines))


def _check_flags(reason: str, part: str | None, **given: Any) -> None:
    """Reject flags that do not apply to the training data of the model."""
    inapplicable = [name.replace("_", "-") for name, value in given.items() if value]
    if inapplicable or part == "all":
        raise UsageError(
            f"{reason}; --{inapplicable[0] if inapplicable else 'part all'} does not apply to it."
        )


def _score_report(facts: dict[str, Any]) -> list[str]:
    options = ", ".join(f"{name}={value!r}" for name, value in facts["options"].items())
    rows = [
        ("task", f"{facts['task']}({options}), {facts['part']} part: {facts['examples']:,} examples"),
        ("loss", decimal(facts["loss"])),
        (facts["metric"].replace("_", " "), f"{facts['score']:.4g}{', solved' if facts['solved'] else ''}"),
        ("without memory", f"{facts['baseline']:.4g}"),
    ]
    solved = [] if facts["threshold"] is None else [("solved at", f"{facts['threshold']:g}")]
    return align([*rows, *solved, *_noise_row(facts)])


def _text_report(facts: dict[str, Any]) -> list[str]:
    unit = "bits/byte" if facts["level"] == "byte" else "bits/char"
    part = "whole text" if facts["part"] == "all" else f"{facts['part']} part"
    skipped = f", {facts['skipped']:,} unknown ones left out" if facts["skipped"] else ""
    rows = [
        ("text", f"{facts['text']}, {part}: {facts['symbols']:,} symbols predicted{skipped}"),
        ("loss", f"{decimal(facts['loss'])} nats, {decimal(facts['bits'])} {unit}"),
        ("perplexity", f"{facts['perplexity']:.3f}"),
    ]
    return align([*rows, *_noise_row(facts)])


def _noise_row(facts: dict[str, Any]) -> list[tuple[str, str]]:
    return [] if facts["noise"] is None else [("noise", f"drawn with the seed {facts['noise']}")]
