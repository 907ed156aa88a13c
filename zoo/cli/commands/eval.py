"""``zoo eval``: measure a trained model on a text, a table, labelled sequences or its task."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from zoo.arguments import check_seed, counted
from zoo.base import Cell, Noise, Task
from zoo.base.metric import metric_text
from zoo.base.set_options import assign, component_target
from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, TASK_FILE, file_cells, file_task, plugin_option, trained_task
from zoo.cli.eval_model import LoadedModel
from zoo.cli.flags import MAX_SEED, Command, argument, format_options, option
from zoo.cli.format import decimal, score_lines
from zoo.cli.terminal import echo, print_facts
from zoo.cli.weights import WEIGHTS, with_weights
from zoo.errors import UsageError, ZooWarning
from zoo.tables import align
from zoo.training import Config, evaluate_task
from zoo.training.config import TEST_BATCHES
from zoo.training.defaults import KIND_DEFAULTS


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
    if sizes != (trained.model.input_size, trained.model.output_size):
        raise UsageError(
            f"{trained.source}: {task!r} has {sizes[0]} inputs and {sizes[1]} outputs; the model has "
            f"{trained.model.input_size} and {trained.model.output_size}."
        )
    part, batch = part or "test", config.batch or KIND_DEFAULTS["task"].batch
    score = evaluate_task(task, trained.model, part, batches, batch, noise)
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
    help="Another text or table, as for zoo train.  [the data of the run]",
)
@option("--glob", metavar="PATTERN", help="Files to read from a directory.  [as in training]")
@option(
    "--part",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Part of the data or the task. Of another table, test is the rows after those of training and "
    "validation.  [test, or the next of valid and train that the data have; all of other texts and "
    "sequences]",
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
@option("--weights", **WEIGHTS)
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
    weights: str | None,
    cell: str | None,
    task: str | None,
    form: str | None,
) -> None:
    """Evaluate a trained model on its data, on other data or its task.

    RUN is a run directory, of which zoo uses the best model, or a .safetensors file. On a text, the loss is
    the mean cross-entropy in nats per token. Every symbol except the first one counts: batches of the shape
    of training, and then the symbols that fill no batch, which the validation in training skips. On a table,
    zoo prints the errors of all forecasts of a part and of the baselines. On a task, loss and score are means
    over test examples. All runs of a task have the same test examples.
    """
    from zoo.cli.eval_model import open_model

    classes, own = file_cells(cell), file_task(task)
    trained = open_model(Path(path), classes)
    if noise is not None:
        _check_noise(trained, noise)
    config = trained.config or Config()
    options = _Options(classes, own, sources, glob, part, on_unknown, assignments, batches, noise, weights)
    facts, lines = _EVALUATIONS[config.data_kind](trained, config, options)
    if options.is_quantized:
        facts, lines = {"weights": weights, **facts}, [*lines, "weights quantized to int8"]
    if form is not None:
        print_facts({"run": path, **facts}, form)
    else:
        echo("\n".join(lines))


def _check_noise(trained: LoadedModel, seed: int) -> None:
    """Check the seed of ``--noise``, and that the model draws something."""
    check_seed(seed, "noise")
    declared = [each for cell in trained.model.cells for each in cell.inputs.values()]
    if not trained.model.stack.dropout and not any(isinstance(each, Noise) for each in declared):
        raise UsageError(f"{trained.source} has neither dropout nor noise; leave out --noise.")


class _Options(NamedTuple):
    """The flags of the command; None or empty if they are not given."""

    cells: list[type[Cell]] | None
    task: type[Task] | None
    data: Sequence[str]
    glob: str | None
    part: str | None
    on_unknown: str | None
    set: Sequence[str]
    eval_batches: int | None
    noise: int | None
    weights: str | None

    @property
    def is_quantized(self) -> bool:
        """Whether ``--weights int8`` is given."""
        return self.weights == "int8"

    def with_weights(self, model: Any) -> Any:
        """The model, quantized if ``--weights int8`` is given."""
        return with_weights(model, self.weights)

    def check(self, reason: str, *inapplicable: str) -> None:
        """Raise an error if a flag is given that does not apply to the data of the model."""
        given = [name for name in inapplicable if getattr(self, name) not in (None, ())]
        if given:
            raise UsageError(f"{reason}; --{given[0].replace('_', '-')} does not apply to it.")


_Evaluation = tuple[dict[str, Any], list[str]]
"""Facts, and the lines that show them."""


def _on_task(trained: LoadedModel, config: Config, options: _Options) -> _Evaluation:
    reason = f"{trained.source} was trained on the task {config.task!r}"
    options.check(reason, "data", "glob", "on_unknown")
    if options.part == "all":
        raise UsageError(f"{reason}; --part all does not apply to it.")
    cls = trained_task(config.task or "", options.task)
    batches = options.eval_batches or TEST_BATCHES
    trained = replace(trained, model=options.with_weights(trained.model))
    facts = evaluate_on_task(trained, config, cls, options.set, options.part, batches, options.noise)
    return facts, _score_report(facts)


def _on_text(trained: LoadedModel, _: Config, options: _Options) -> _Evaluation:
    from zoo.cli.eval_model import evaluate_on_text

    options.check(f"{trained.source} is a text model", "set", "eval_batches", "task")
    trained = replace(trained, model=options.with_weights(trained.model))
    facts = evaluate_on_text(
        trained, options.data, options.glob, options.part, options.on_unknown or "error", options.noise
    )
    return facts, _text_report(facts)


def _on_table(trained: LoadedModel, config: Config, options: _Options) -> _Evaluation:
    from zoo.data.training_files import check_training_files
    from zoo.forecasting import Forecaster

    reason = f"{trained.source} was trained on the table {' '.join(config.data)}"
    options.check(reason, "glob", "on_unknown", "set", "eval_batches", "task", "noise")
    if len(options.data) > 1:
        raise UsageError(f"{reason}; --data takes one table.")
    forecaster = options.with_weights(Forecaster.load(trained.source, options.cells))
    data = options.data[0] if options.data else None
    if data is None:
        check_training_files(trained.source, [forecaster.data])
    facts = forecaster.evaluate(data, options.part)
    return dict(facts), list(score_lines(facts))


def _on_sequences(trained: LoadedModel, config: Config, options: _Options) -> _Evaluation:
    from zoo.classification import Predictor
    from zoo.data.training_files import check_training_files

    reason = f"{trained.source} was trained on the sequences {' '.join(config.data)}"
    options.check(reason, "glob", "on_unknown", "set", "eval_batches", "task", "noise")
    if len(options.data) > 1:
        raise UsageError(f"{reason}; --data takes one file.")
    data = options.data[0] if options.data else None
    loaded = options.with_weights(Predictor.load(trained.source, options.cells))
    predictor, other = loaded.opened(data)
    advice = (
        ""
        if other is None
        else (
            f"The baselines of other data need it: restore it, or print the predictions alone, `zoo predict "
            f"{trained.source} --data {data}`."
        )
    )
    check_training_files(trained.source, [predictor.data], advice)
    facts = predictor.evaluate(other, options.part)
    return facts, list(score_lines(facts))


_EVALUATIONS: dict[str, Callable[[LoadedModel, Config, _Options], _Evaluation]] = {
    "text": _on_text,
    "task": _on_task,
    "table": _on_table,
    "sequences": _on_sequences,
}


def _score_report(facts: dict[str, Any]) -> list[str]:
    options = ", ".join(f"{name}={value!r}" for name, value in facts["options"].items())
    task = f"{facts['task']} ({options})" if options else facts["task"]
    rows = [
        ("task", f"{task}, {facts['part']} part: {facts['examples']:,} examples"),
        ("loss", decimal(facts["loss"])),
        (metric_text(facts["metric"]), f"{facts['score']:.4g}{', solved' if facts['solved'] else ''}"),
        ("without memory", f"{facts['baseline']:.4g}"),
    ]
    solved = [] if facts["threshold"] is None else [("solved at", f"{facts['threshold']:g}")]
    return align([*rows, *solved, *_noise_row(facts)])


def _text_report(facts: dict[str, Any]) -> list[str]:
    noun = {"tokenizer": "token"}.get(facts["level"], facts["level"])
    per_byte = facts.get("bits_per_byte")
    bytes_too = "" if per_byte in (None, facts["bits"]) else f", {decimal(per_byte)} bits/byte"
    part = "whole text" if facts["part"] == "all" else f"{facts['part']} part"
    skipped = f", {facts['skipped']:,} unknown ones left out" if facts["skipped"] else ""
    symbols = counted(facts["part_symbols"], "symbol")
    rows = [
        ("text", f"{facts['text']}, {part}: mean loss of {facts['symbols']:,} of {symbols}{skipped}"),
        ("loss", f"{decimal(facts['loss'])} nats, {decimal(facts['bits'])} bits/{noun}{bytes_too}"),
        ("perplexity", f"{facts['perplexity']:.3f} per {noun}"),
    ]
    return align([*rows, *_noise_row(facts)])


def _noise_row(facts: dict[str, Any]) -> list[tuple[str, str]]:
    return [] if facts["noise"] is None else [("noise", f"drawn with the seed {facts['noise']}")]
