"""What the displays say, whatever they look like: facts of events in, short texts out.

``start`` is the first event of a session, ``"start"`` or ``"resume"``, which says what is trained on what.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

from zoo.cli.units import duration, short

Event = dict[str, Any]

_REASONS = {"no improvement": "stopped early, for want of improvement,"}


def noun(start: Event) -> str:
    """What the symbols of a run's text are: ``char`` or ``byte``."""
    return str(start["config"]["level"])


def header(start: Event) -> dict[str, str]:
    """What is known when a run begins, by heading."""
    return {
        "text": _text(start),
        "split": _split(start),
        "model": _model(start),
        "train": _train(start),
        "out": start["out"],
    }


def _text(start: Event) -> str:
    text, kind = start["text"], "bytes" if noun(start) == "byte" else "characters"
    different, digest = text["vocabulary"], text["sha256"][:12]
    return f"{text['name']}: {text['symbols']:,} {kind}, {different} different, sha256 {digest}"


def _split(start: Event) -> str:
    text = start["text"]
    return f"{text['train']:,} to train, {text['valid']:,} to validate, {text['test']:,} to test"


def _model(start: Event) -> str:
    config = start["config"]
    return (
        f"{start['cell']}: {config['hidden']} units, {config['layers']} layer{'s' * (config['layers'] > 1)}, "
        f"{start['parameters']:,} parameters, {config['dtype']}"
    )


def _train(start: Event) -> str:
    config = start["config"]
    rate = "" if config["lr"] is None else f" at {config['lr']:g}"
    schedule = "" if config["schedule"] == "constant" else f", {config['schedule']} schedule"
    return (
        f"{config['optimizer']}{rate}{schedule}: {config['steps']:,} steps of {config['batch']} × "
        f"{config['seq']} symbols, {start['threads']} thread{'s' * (start['threads'] > 1)}"
    )


def loss(event: Event, start: Event) -> str:
    """``loss 1.4321  2.066 bits/char``."""
    return f"loss {event['loss']:.4f}  {event['bits']:.3f} bits/{noun(start)}"


def speed(event: Event, start: Event) -> str:
    """``1.23M chars/s``."""
    return f"{short(event['symbols_per_s'])} {noun(start)}s/s"


def compiled(event: Event) -> str:
    """How long the kernels took, if they were compiled and not loaded; else nothing."""
    return f"compiled in {duration(event['seconds'])}; the next run loads it" if event["fresh"] else ""


def ending(event: Event, start: Event) -> str:
    """Why and where a run ended."""
    if event["reason"] == "finished" and start["event"] == "resume" and start["step"] == event["step"]:
        return f"nothing was left to do after step {event['step']:,}; --steps N goes further"
    reason = _REASONS.get(event["reason"], event["reason"])
    return f"{reason} at step {event['step']:,} after {duration(event['seconds'])}"


def best(event: Event, start: Event) -> str:
    """The lowest loss of a run, in nats and in bits."""
    if event["best"] is None:
        return "not validated yet"
    part = "validation" if start["text"]["valid"] > 1 else "training text"
    bits = event["best"] / math.log(2)
    place = f"at step {event['best_step']:,}"
    return f"{part} loss {event['best']:.4f} nats, {bits:.3f} bits/{noun(start)}, {place}"


def sample_command(start: Event, also: Sequence[str]) -> str:
    """What to type next."""
    return shlex.join(["zoo", "sample", start["out"], *also])
