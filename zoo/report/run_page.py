"""The report of a run: curves, diagnostics, hidden units, samples, cell and configuration."""

from __future__ import annotations

import dataclasses
import inspect
import re
import statistics
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.base import Cell, Task
from zoo.base.card import SCOPES
from zoo.base.component import printed_docstring
from zoo.base.data_kinds import DATA_KINDS
from zoo.base.metric import metric_text
from zoo.base.tracker import Event
from zoo.cell_pages.cell_tables import declaration_tables
from zoo.cell_pages.diagram import draw
from zoo.errors import DataError, DefinitionError
from zoo.model import AnyModel, LanguageModel
from zoo.model.checkpoint import CellClasses
from zoo.report import forecasts, labels
from zoo.report.activations import Activations, read_examples, read_text, unit_blocks
from zoo.report.blocks import (
    KeyValue,
    KeyValues,
    PageBlock,
    PageSection,
    Paragraphs,
    Picture,
    ReportPage,
    Samples,
    TextBlock,
    Tile,
    key_values,
    readable,
    value_text,
)
from zoo.report.history import number
from zoo.report.run_charts import SPEED_NOUNS, analysis_blocks, loss_charts, optimisation_charts
from zoo.report.run_data import Omissions, RunData
from zoo.tables import Column, Table, TableEntry
from zoo.training.config import Config, number_format
from zoo.training.evaluation import bits
from zoo.training.run_text import text_of_run
from zoo.training.task_dataset import prepare_task
from zoo.training.text_dataset import prepare_text

OrReason = Callable[[str, Callable[[], tuple[PageBlock, ...]]], tuple[PageBlock, ...]]


def run_report(
    path: Path,
    cell: CellClasses,
    symbols: int,
    task: type[Task] | None = None,
    data: Sequence[str] = (),
) -> ReportPage:
    """Make the report of a run, which may still be running.

    If a part cannot be made (the cell is not registered, the text is missing), the page gives the reason, and
    a warning is issued, one for each reason.

    Args:
        path: The run directory.
        cell: The class of the cell, if it is not registered; several for several cells.
        symbols: Length of the text for hidden units; 0 to leave them out.
        task: The class of the task, if it is not registered.
        data: The files of the training data, if they are not where they were.

    Raises:
        CheckpointError: if the configuration or the log is damaged.
        UsageError: if ``data`` is given for a run on a task, or has several files of a table.
    """
    run = RunData.open(path, cell, task, data)
    omissions = Omissions()
    sections = tuple(_sections(run, symbols, omissions.blocks_or_reason))
    omissions.warn()
    return ReportPage(path.resolve().name, subtitle(run), tuple(tiles(run)), sections)


def _sections(run: RunData, symbols: int, or_reason: OrReason) -> Iterator[PageSection]:
    yield PageSection("learning", "Learning", tuple(_learning_blocks(run)))
    if charts := tuple(optimisation_charts(run.history, run.config.clip)):
        yield PageSection("optimisation", "Optimisation", charts)
    yield PageSection("memory", "Memory", analysis_blocks(run.history))
    if run.config.data_kind == "table":
        yield PageSection(
            "forecasts", "Forecasts", or_reason("Forecasts", lambda: forecasts.forecast_blocks(run))
        )
    elif run.config.data_kind == "sequences":
        yield PageSection("labels", "Labels", or_reason("Labels", lambda: labels.label_blocks(run)))
    if symbols:
        units = or_reason("Hidden units", lambda: _units(run, symbols))
        yield PageSection("hidden-units", "Hidden units", units)
    if samples := run.history.events_of("sample"):
        yield PageSection("samples", "Samples", (_samples(samples),))
    yield PageSection("cell", "Cell", or_reason("The card of the cell", lambda: _cells_blocks(run)))
    yield PageSection("made-with", "Made with", tuple(_made_with(run)))


def _learning_blocks(run: RunData) -> Iterator[PageBlock]:
    for event in run.history.events:
        if event.get("event") in ("warning", "diverged", "resume"):
            yield TextBlock(f"Step {event['step']:,}: {_event_text(event)}", warning=True)
    charts = tuple(loss_charts(run.history))
    yield from charts or (TextBlock("The log holds no step yet."),)


def _event_text(event: Event) -> str:
    if event["event"] == "warning":
        return str(event.get("text"))
    if event["event"] == "resume":
        return "resumed."
    return f"diverged: loss {event.get('loss')}, norm of the gradient {event.get('grad_norm')}."


def _units(run: RunData, symbols: int) -> tuple[PageBlock, ...]:
    if run.model is None:
        return (TextBlock("There is no checkpoint yet, and so no model whose units could be shown."),)
    if run.model.config.bidirectional:
        text = "The layers are bidirectional, so no unit has a value after each step of an input."
        return (TextBlock(text),)
    result = _ACTIVATIONS[run.config.data_kind](run, run.model, symbols)
    return (result,) if isinstance(result, TextBlock) else tuple(unit_blocks(result))


def _text_activations(run: RunData, model: AnyModel, symbols: int) -> Activations | TextBlock:
    if "-" in run.sources:
        raise DataError(
            "the text came from standard input, which is not read again; name its file with `data=FILE`."
        )
    if not isinstance(model, LanguageModel):
        return TextBlock("The model does not read a text.")
    run.check_sources()
    config = replace(run.config, data=run.sources)
    corpus = text_of_run(run.directory.path, config, model.vocab)
    if corpus.sha256 != run.digest:
        raise DataError(f"the text {' '.join(run.sources)} has changed since training; restore it.")
    _, text = prepare_text(config, corpus, model.vocab)
    part = text.parts.valid if text.has_validation else text.parts.train
    name = "validation" if text.has_validation else "training"
    return read_text(model, text.corpus.vocabulary, part, symbols, name)


def _task_activations(run: RunData, model: AnyModel, symbols: int) -> Activations | TextBlock:
    _, dataset = prepare_task(run.config, run.task)
    if dataset.metadata()["sha256"] != run.digest:
        raise DataError(
            f"the task {run.config.task!r} has changed since training; it gives other examples now."
        )
    if not isinstance(model, LanguageModel):
        return read_examples(model, dataset.task, symbols)
    tokens = dataset.task.batch(0, 1, 0, "valid").inputs[:symbols, 0]
    return read_text(model, model.vocab, tokens, symbols, "validation")


def _table_activations(run: RunData, model: AnyModel, symbols: int) -> Activations | TextBlock:  # noqa: ARG001
    assert run.forecaster is not None  # there is a model
    return forecasts.window_activations(run.forecaster, symbols)


def _sequence_activations(run: RunData, model: AnyModel, symbols: int) -> Activations | TextBlock:  # noqa: ARG001
    assert run.predictor is not None  # there is a model
    return labels.sequence_activations(run.predictor, symbols)


_ACTIVATIONS: dict[str, Callable[[RunData, AnyModel, int], Activations | TextBlock]] = {
    "text": _text_activations,
    "task": _task_activations,
    "table": _table_activations,
    "sequences": _sequence_activations,
}


def _samples(events: list[Event]) -> Samples:
    steps = tuple(int(event["step"]) for event in events)
    return Samples("sample", "What the model wrote", steps, tuple(str(event.get("text")) for event in events))


def _made_with(run: RunData) -> Iterator[PageBlock]:
    yield settings(run.config)
    for kind in DATA_KINDS:
        if isinstance(values := run.start_event.get(kind), dict):
            yield key_values(kind.capitalize(), values)
    if run.checkpoint and isinstance(values := run.checkpoint.meta.get("versions"), dict):
        yield key_values("Versions", values, "Of the process that wrote the best checkpoint.")


def _cells_blocks(run: RunData) -> tuple[PageBlock, ...]:
    """The blocks of the different cells of a run, each with anchors of its own."""
    first, *others = run.cells
    return (
        *cell_blocks(first),
        *(
            block if isinstance(block, TextBlock) else replace(block, name=f"{cell.name}-{block.name}")
            for cell in others
            for block in cell_blocks(cell)
        ),
    )


def cell_blocks(cell: Cell) -> tuple[PageBlock, ...]:
    """The blocks of a cell."""
    description = Paragraphs("equations", f"What {cell.name} is", tuple(_document(cell)))
    return (description, _card(cell), *_picture(cell), *_tables(cell))


def _document(cell: Cell) -> Iterator[TextBlock]:
    """The docstring as paragraphs and preformatted equations."""
    for block in re.split(r"\n\s*\n", inspect.getdoc(cell) or ""):
        if block.startswith("    "):
            yield TextBlock(textwrap.dedent(block), fixed=True)
        elif block.strip():
            yield TextBlock(printed_docstring(" ".join(block.split())))


def _picture(cell: Cell) -> Iterator[PageBlock]:
    if cell.has_step():
        try:
            yield Picture("step", f"One step of {cell.name}", draw(cell))
        except DefinitionError as error:
            yield TextBlock(f"The step cannot be drawn: {error}", warning=True)


def _card(cell: Cell) -> KeyValues:
    card = cell.card
    facts = [
        KeyValue("reference", card.title if card.published else card.citation(), link=card.url),
        KeyValue("authors", card.authors),
        KeyValue("year", f"{card.year or ''}"),
        KeyValue("scope", f"{card.scope}: {SCOPES[card.scope]}"),
        *(KeyValue(name, getattr(card, name)) for name in ("variant", "deviations", "trainability")),
    ]
    return KeyValues("card", f"Card of {cell.name}", tuple(fact for fact in facts if fact.text))


def _tables(cell: Cell) -> Iterator[Table]:
    for index, table in enumerate(declaration_tables(type(cell))):
        if table.rows:
            columns = tuple(map(Column, table.headings))
            rows = tuple(tuple(map(TableEntry, row)) for row in table.rows)
            yield Table(f"arrays-{index}", table.title, columns, rows, wide=False)


# Settings that a run resolves itself: they are not highlighted where they differ from the default.
_RESOLVED_BY_RUN = frozenset({"batch", "cell_options", "eval_every", "save_every", "seq", "split", "steps"})


def settings(config: Config) -> KeyValues:
    """All settings; those that are not the default are highlighted."""
    facts = tuple(
        KeyValue(readable(field.name), value_text(value), marked=_differs_from_default(field, value))
        for field in dataclasses.fields(Config)
        for value in [getattr(config, field.name)]
    )
    return KeyValues("configuration", "Configuration", facts, "Bold settings are not defaults.", wide=True)


def _differs_from_default(field: dataclasses.Field[Any], value: Any) -> bool:
    make_default = field.default_factory
    default = field.default if make_default is dataclasses.MISSING else make_default()
    return field.name not in _RESOLVED_BY_RUN and value not in (default, ())


def subtitle(run: RunData) -> str:
    """The run in one line."""
    config = run.config
    layers = f"{config.layers} layer{'s' * (config.layers > 1)} of {config.hidden} units"
    if config.task is not None:
        source = f"the task {readable(config.task)}"
    else:
        data = run.start_event.get(config.data_kind)
        source = str(data["name"]) if isinstance(data, dict) and "name" in data else ", ".join(config.data)
    return f"{config.cell_label}, {layers}, {number_format(vars(config))}, trained on {source}"


def tiles(run: RunData) -> Iterator[Tile]:
    """The tiles of a run."""
    yield from _best(run)
    steps = max((event["step"] for event in run.history.events), default=0)
    yield Tile("steps", f"{steps:,}", f"of {run.config.steps or 0:,}, {_end_reason(run)}")
    if type(run.start_event.get("parameters")) is int:
        yield Tile("parameters", f"{run.start_event['parameters']:,}")
    speeds = [speed for speed in run.history.points("step", "symbols_per_s")[1] if speed is not None]
    if speeds:
        noun = SPEED_NOUNS[run.config.data_kind]
        yield Tile("speed", f"{statistics.median(speeds):,.0f}", f"{noun} a second, median")


def _best(run: RunData) -> Iterator[Tile]:
    """The best validation: its loss, or the score of a task."""
    best = [event for event in run.history.events_of("eval") if event.get("best") is True]
    if not best or (loss := number(best[-1].get("loss"))) is None:
        return
    event, step = best[-1], f"at step {best[-1]['step']:,}"
    score = number(event.get("score"))
    if score is None:
        yield Tile(f"best {event.get('part')} loss", f"{loss:.4g}", f"nats, {_bits(event, loss)}, {step}")
    else:
        solved = "solved, " if event.get("solved") is True else ""
        yield Tile(
            f"best {metric_text(str(event.get('metric')))}", f"{score:.4g}", f"{solved}validation, {step}"
        )


def _bits(event: Event, loss: float) -> str:
    """A loss in bits, of a byte where a token has several."""
    per_byte = number(event.get("bits_per_byte"))
    return f"{bits(loss):.4g} bits" if per_byte is None else f"{per_byte:.4g} bits/byte"


def _end_reason(run: RunData) -> str:
    last = run.history.events[-1] if run.history.events else {}
    return {"end": str(last.get("reason")), "diverged": "diverged"}.get(str(last.get("event")), "not ended")
