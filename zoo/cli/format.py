"""Texts for numbers, and for events of a run in all displays.

``start`` is the first event of a session, ``"start"`` or ``"resume"``, with its configuration.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

Event = dict[str, Any]

_PREFIXES = ("", "k", "M", "G", "T")


def format_bytes(number: int) -> str:
    """Format a number of bytes: ``12.9 MB``, ``950 B``."""
    digits, prefix = _scaled(number)
    return f"{digits} {prefix}B"


def format_short(number: float) -> str:
    """Format a number with three digits and a letter: ``124k``, ``1.23M``, ``950``."""
    return "".join(_scaled(number))


def _scaled(number: float) -> tuple[str, str]:
    power = 0
    while number >= 999.5 and power < len(_PREFIXES) - 1:
        number, power = number / 1000, power + 1
    whole = power == 0 and number == int(number)
    decimals = 0 if whole or number >= 99.95 else 1 if number >= 9.995 else 2
    return f"{number:.{decimals}f}", _PREFIXES[power]


def clock(seconds: float) -> str:
    """Format seconds as a clock: ``0:41``, ``2:05:09``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Format seconds with a unit: ``4.2 s``, ``2:05 min``, ``2:05:09 h``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{clock(seconds)} {'h' if round(seconds) >= 3600 else 'min'}"


_REASONS = {"no improvement": "stopped early, for want of improvement,"}


def symbol_noun(start: Event) -> str:
    """Name of the input of one step: ``char`` or ``byte`` of a text, ``input`` of a task."""
    return "input" if "task" in start else str(start["config"]["level"])


def header(start: Event) -> dict[str, str]:
    """The header of a run: text by heading."""
    read = (
        {"task": _task(start), "score": _score(start)}
        if "task" in start
        else {"text": _text(start), "split": _split(start)}
    )
    return {
        **read,
        "model": _model(start),
        "train": _train(start),
        "out": start["out"],
    }


def _text(start: Event) -> str:
    text, kind = start["text"], "bytes" if symbol_noun(start) == "byte" else "characters"
    different, digest = text["vocabulary"], text["sha256"][:12]
    return f"{text['name']}: {text['symbols']:,} {kind}, {different} different, sha256 {digest}"


def _split(start: Event) -> str:
    text = start["text"]
    return f"{text['train']:,} to train, {text['valid']:,} to validate, {text['test']:,} to test"


def _task(start: Event) -> str:
    task = start["task"]
    options = ", ".join(f"{name}={value}" for name, value in task["options"].items())
    return f"{task['name']}{f' ({options})' if options else ''}: {task['inputs']} in, {task['outputs']} out"


def _score(start: Event) -> str:
    task = start["task"]
    better = "higher" if task["higher_is_better"] else "lower"
    solved = "" if task["threshold"] is None else f", solved at {task['threshold']:g}"
    return f"{_spaced(task['metric'])}, {better} is better: {task['baseline']:.4g} without memory{solved}"


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _model(start: Event) -> str:
    config = start["config"]
    options = [
        text
        for name, text in (("bidirectional", "both directions"), ("learned_state", "learned initial states"))
        if config.get(name)
    ]
    layers = f"{config['layers']} layer{'s' * (config['layers'] > 1)}"
    sizes = [f"{config['hidden']} units", layers, *options, f"{start['parameters']:,} parameters"]
    return f"{start['cell']}: {', '.join([*sizes, config['dtype']])}"


def _train(start: Event) -> str:
    config = start["config"]
    rate = "" if config["lr"] is None else f" at {config['lr']:g}"
    schedule = "" if config["schedule"] == "constant" else f", {config['schedule']} schedule"
    size = (
        f"{config['batch']} sequences" if "task" in start else f"{config['batch']} × {config['seq']} symbols"
    )
    return (
        f"{config['optimizer']}{rate}{schedule}: {config['steps']:,} steps of {size}, "
        f"{start['threads']} thread{'s' * (start['threads'] > 1)}"
    )


def decimal(number: float, decimals: int = 4) -> str:
    """Format a number with the given decimals, or with three significant digits if it is small.

    >>> decimal(0.43214), decimal(1e-6)
    ('0.4321', '1e-06')
    """
    is_small = 0 < abs(number) < 10 ** (2 - decimals)
    return f"{number:.3g}" if is_small else f"{number:.{decimals}f}"


def loss(event: Event, start: Event) -> str:
    """``loss 1.4321  2.066 bits/char``, or ``loss 0.4321  accuracy 0.912  solved``."""
    return "  ".join([f"loss {decimal(event['loss'])}", *_loss_details(event, start)])


def _loss_details(event: Event, start: Event) -> Iterator[str]:
    if "bits" in event:
        yield f"{decimal(event['bits'], 3)} bits/{symbol_noun(start)}"
    if "score" in event:
        yield f"{_spaced(event['metric'])} {event['score']:.4g}"
        yield from ["solved"] * event["solved"]


def speed(event: Event, start: Event) -> str:
    """``1.23M chars/s``."""
    return f"{format_short(event['symbols_per_s'])} {symbol_noun(start)}s/s"


def compiled(event: Event) -> str:
    """Compile time; empty if the kernels were loaded from the cache."""
    return f"compiled in {duration(event['seconds'])}; the next run loads it" if event["fresh"] else ""


def end_summary(event: Event, start: Event) -> str:
    """Why and at which step a run ended."""
    if event["reason"] == "finished" and start["event"] == "resume" and start["step"] == event["step"]:
        return f"nothing was left to do after step {event['step']:,}; --steps N goes further"
    reason = _REASONS.get(event["reason"], event["reason"])
    return f"{reason} at step {event['step']:,} after {duration(event['seconds'])}"


def best_loss(event: Event, start: Event) -> str:
    """The best loss of a run; of a text in nats and in bits."""
    if event["best"] is None:
        return "not validated yet"
    if "task" in start:
        return f"validation loss {decimal(event['best'])}, at step {event['best_step']:,}"
    part = "validation" if start["text"]["valid"] > 1 else "training text"
    bits = event["best"] / math.log(2)
    step = f"at step {event['best_step']:,}"
    return f"{part} loss {decimal(event['best'])} nats, {decimal(bits, 3)} bits/{symbol_noun(start)}, {step}"


def result(event: Event, start: Event, extra_flags: Sequence[str]) -> Iterator[str]:
    """The result of a run: why it ended, the best loss, and the next command, ``eval`` or ``sample``."""
    yield f"{end_summary(event, start)}; best: {best_loss(event, start)}"
    verb = "eval" if "task" in start else "sample"
    command = shlex.join(["zoo", verb, start["out"], *extra_flags])
    yield f"{'evaluate' if verb == 'eval' else verb} with: {command}"
