"""With what a run was made: its settings, its text, and the versions on which its numbers depend.

What one looks for first: what the run is, how good it became, how far it came.
"""

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

# What a run settles if it was left open: that it is not the default says nothing.
_RESOLVED_BY_RUN = frozenset({"batch", "cell_options", "eval_every", "save_every", "seq", "split", "steps"})


def settings(config: Config) -> KeyValues:
    """Every setting; those that are not the default stand out."""
    facts = tuple(
        KeyValue(readable(field.name), _value_text(value), marked=_differs_from_default(field, value))
        for field in dataclasses.fields(Config)
        for value in [getattr(config, field.name)]
    )
    return KeyValues("configuration", "Configuration", facts, "Bold is what is not the default.", wide=True)


def _differs_from_default(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether somebody chose a value, as far as can be told."""
    made = field.default_factory
    default = field.default if made is dataclasses.MISSING else made()
    return field.name not in _RESOLVED_BY_RUN and value not in (default, ())


def key_values(title: str, found: Mapping[str, Any]) -> KeyValues:
    """What a run says of its text or its task."""
    facts = tuple(KeyValue(readable(name), _value_text(value)) for name, value in found.items())
    return KeyValues(title.lower(), title, facts)


def versions(found: Mapping[str, Any], note: str) -> KeyValues:
    """Versions on which numbers depend."""
    return KeyValues(
        "versions", "Versions", tuple(KeyValue(name, str(value)) for name, value in found.items()), note
    )


def _value_text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {json.dumps(item)}" for name, item in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
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
    return f"{config.cell}, {layers}, {config.dtype}, trained on {source}"


def tiles(run: RunData) -> Iterator[Tile]:
    """The numbers at the top."""
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
