"""Subtitle, tiles, configuration and versions of a run."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.report.blocks import KeyValue, KeyValues, Tile
from zoo.report.format import readable
from zoo.report.history import number
from zoo.report.run.run_data import RunData
from zoo.training.config import Config
from zoo.training.evaluation import bits

# Settings that a run resolves itself: they are not highlighted where they differ from the default.
_RESOLVED_BY_RUN = frozenset({"batch", "cell_options", "eval_every", "save_every", "seq", "split", "steps"})


def settings(config: Config) -> KeyValues:
    """All settings; those that are not the default are highlighted."""
    facts = tuple(
        KeyValue(readable(field.name), _value_text(value), marked=_differs_from_default(field, value))
        for field in dataclasses.fields(Config)
        for value in [getattr(config, field.name)]
    )
    return KeyValues("configuration", "Configuration", facts, "Bold is what is not the default.", wide=True)


def _differs_from_default(field: dataclasses.Field[Any], value: Any) -> bool:
    make_default = field.default_factory
    default = field.default if make_default is dataclasses.MISSING else make_default()
    return field.name not in _RESOLVED_BY_RUN and value not in (default, ())


def key_values(title: str, values: Mapping[str, Any]) -> KeyValues:
    """A block of names and values."""
    rows = tuple(KeyValue(readable(name), _value_text(value)) for name, value in values.items())
    return KeyValues(title.lower(), title, rows)


def versions(numbers: Mapping[str, Any], note: str) -> KeyValues:
    """The block of versions on which results depend."""
    return KeyValues(
        "versions", "Versions", tuple(KeyValue(name, str(value)) for name, value in numbers.items()), note
    )


def _value_text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {json.dumps(item)}" for name, item in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_value_text, value)) or "none"
    return f"{value:,}" if type(value) is int else str(value)


def subtitle(run: RunData) -> str:
    """The run in one line."""
    config = run.config
    layers = f"{config.layers} layer{'s' * (config.layers > 1)} of {config.hidden} units"
    if config.task is not None:
        source = f"the task {readable(config.task)}"
    else:
        text = run.start_event.get("text")
        source = str(text["name"]) if isinstance(text, dict) and "name" in text else ", ".join(config.data)
    return f"{config.cell_label}, {layers}, {config.dtype}, trained on {source}"


def tiles(run: RunData) -> Iterator[Tile]:
    """The tiles of a run."""
    yield from _best(run)
    yield Tile("steps", f"{_steps(run):,}", f"of {run.config.steps or 0:,}, {_end_reason(run)}")
    if type(run.start_event.get("parameters")) is int:
        yield Tile("parameters", f"{run.start_event['parameters']:,}")
    speeds = [speed for speed in run.history.points("step", "symbols_per_s")[1] if speed is not None]
    if speeds:
        what = "symbols" if run.config.task is None else "inputs"
        yield Tile("speed", f"{statistics.median(speeds):,.0f}", f"{what} a second, median")


def _best(run: RunData) -> Iterator[Tile]:
    """The best validation: its loss, or the score of a task."""
    best = [event for event in run.history.events_of("eval") if event.get("best") is True]
    if not best or (loss := number(best[-1].get("loss"))) is None:
        return
    event, step = best[-1], f"at step {best[-1]['step']:,}"
    score = number(event.get("score"))
    if score is None:
        yield Tile(f"best {event.get('part')} loss", f"{loss:.4g}", f"nats, {bits(loss):.4g} bits, {step}")
    else:
        solved = "solved, " if event.get("solved") is True else ""
        yield Tile(
            f"best {readable(str(event.get('metric')))}", f"{score:.4g}", f"{solved}validation, {step}"
        )


def _steps(run: RunData) -> int:
    return max((event["step"] for event in run.history.events), default=0)


def _end_reason(run: RunData) -> str:
    last = run.history.events[-1] if run.history.events else {}
    return {"end": str(last.get("reason")), "diverged": "diverged"}.get(str(last.get("event")), "not ended")
