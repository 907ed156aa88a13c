"""What a model held while it read something: a text, or examples of a task.

The picture is that of A. Karpathy, J. Johnson, L. Fei-Fei, "Visualizing and Understanding Recurrent
Networks", 2015, https://arxiv.org/abs/1506.02078.

Hidden units over what a model read: each in a byte a step, with what it follows.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.base import Task
from zoo.data import Vocabulary
from zoo.model import AnyModel
from zoo.report.blocks import Number, StateUnits, Units
from zoo.report.format import array_location
from zoo.report.history import number
from zoo.report.run.features import best_feature, example_features, text_features

Array = np.ndarray[Any, Any]

MAX_ACTIVATIONS = 32 * 2**20

"""Numbers that all states together may take, 256 MB: of a model of many units fewer steps are shown."""

_LINE_START_WINDOW = 300  # symbols, among which the text may begin after the end of a line

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Activations:
    """N steps of what a model read, and what it held after each.

    Args:
        what: What was read, in words.
        symbols: What stands for each step.
        surprise: Bits that each step cost; None where nothing was predicted.
        held: State to values, ``(units, N)``.
        names: Of the features.
        features: Standardised, ``(F, N)``.
    """

    what: str
    symbols: tuple[str, ...]
    surprise: tuple[Number, ...]
    held: Mapping[str, Array]
    names: tuple[str, ...]
    features: Array


def read_text(model: AnyModel, vocabulary: Vocabulary, tokens: Array, symbols: int, part: str) -> Activations:
    """The beginning of a part of a text, from the start of a line if one starts soon.

    Args:
        model: The model.
        vocabulary: Of the tokens.
        tokens: The part, ``(N,)``, at least two.
        symbols: How many to show.
        part: What the part is called.
    """
    start = _line_start(vocabulary, tokens[:_LINE_START_WINDOW])
    stop = min(len(tokens), start + symbols, max(start + 2, _max_steps(model)))
    targets = np.append(tokens[1:stop], 0)[:, None]
    counted = np.arange(stop)[:, None] < stop - 1
    held, costs = _run_model(model, tokens[:stop, None], targets, counted)
    text = [vocabulary[token] for token in tokens[start:stop]]
    names, features = text_features([symbol if isinstance(symbol, str) else chr(symbol) for symbol in text])
    bits = [None, *map(number, costs[:-1, 0].tolist())][start:]
    states = {name: values[start:, 0].T for name, values in held.items()}
    what = f"{len(text):,} symbols of the {part} text"
    return Activations(what, tuple(map(_display_symbol, text)), tuple(bits), states, names, features)


def read_examples(model: AnyModel, task: Task, symbols: int) -> Activations:
    """Examples of a task that are for validation, one after the other.

    Args:
        model: The model.
        task: The task.
        symbols: About how many steps to show, and at least one example.
    """
    length = len(task.batch(0, 1, 0, "valid").inputs)
    batch = task.batch(0, max(1, min(symbols, _max_steps(model)) // length), 0, "valid")
    counted = batch.weights > 0
    # A cost is that of a class; targets that do not count may be anything.
    held, costs = _run_model(model, batch.inputs, batch.targets, counted & (task.loss == "cross_entropy"))
    bits = map(number, _concatenate_examples(costs).tolist())
    names, features = example_features(batch.inputs, batch.weights)
    rows = batch.inputs.shape[1]
    what = f"{rows} example{'s' * (rows > 1)} of {words_of(task)}; ? is where an answer is asked for"
    states = {name: _concatenate_examples(values).T for name, values in held.items()}
    return Activations(
        what,
        tuple(_display_inputs(batch.inputs, counted.T.reshape(-1))),
        tuple(bits),
        states,
        names,
        features,
    )


def words_of(task: Task) -> str:
    """A task in words."""
    return f"the task {task.name.replace('_', ' ')}"


def _run_model(
    model: AnyModel, inputs: Array, targets: Array, counted: Array
) -> tuple[dict[str, Array], Array]:
    """Every state after every step, ``(T, B, units)``, and the bits that targets cost, ``(T, B)``.

    The outputs of one step are in memory at a time: those of 1,000 steps and 100,000 symbols took 2.9 GB.

    Args:
        model: The model.
        inputs: ``(T, B)`` or ``(T, B, I)``.
        targets: Classes, ``(T, B)``.
        counted: Where a target counts, ``(T, B)``; elsewhere its cost is NaN.
    """
    held: dict[str, Array] = {}
    costs, state = np.full(counted.shape, np.nan), None
    for step, rows in enumerate(counted):
        outputs, state = model.outputs(inputs[step : step + 1], state=state)
        if rows.any():
            costs[step, rows] = _bits(outputs[0][rows], targets[step][rows])
        for name, values in state.items():
            flat = values.reshape(len(values), -1)
            held.setdefault(name, np.empty((len(inputs), *flat.shape)))[step] = flat
    return held, costs


def _max_steps(model: AnyModel) -> int:
    """Steps of one row whose states may be held together."""
    return max(1, MAX_ACTIVATIONS // sum(math.prod(shape) for shape in model.stack.state_shapes.values()))


def _concatenate_examples(values: Array) -> Array:
    """Examples one after the other: ``(T, B, ...)`` as ``(B T, ...)``."""
    turned = values.swapaxes(0, 1)
    return turned.reshape(-1, *values.shape[2:])


def _bits(outputs: Array, targets: Array) -> Array:
    """What each target cost: ``(N, V)`` outputs before a softmax, ``(N,)`` targets."""
    logits = outputs.astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    nats = total - logits[np.arange(len(targets)), targets]
    bits: Array = np.round(nats / np.log(2), 2)
    return bits


def _line_start(vocabulary: Vocabulary, tokens: Array) -> int:
    """After the first end of a line, if there is one soon."""
    ends = [place for place, token in enumerate(tokens) if vocabulary[token] in ("\n", 10)]
    return ends[0] + 1 if ends and ends[0] + 1 < len(tokens) else 0


def _display_symbol(symbol: str | int) -> str:
    """A symbol as it can be read: bytes that are no ASCII in hexadecimal, control characters as pictures."""
    if isinstance(symbol, int) and symbol > 126:
        return f"\\x{symbol:02x}"
    text = symbol if isinstance(symbol, str) else chr(symbol)
    return "".join(
        chr(0x2400 + ord(each)) if ord(each) < 32 and each not in "\n\t" else each for each in text
    )


def _display_inputs(inputs: Array, counted: Array) -> list[str]:
    """The inputs of examples one after the other, each example on a line of its own."""
    few = inputs.ndim == 2 and inputs.max(initial=0) < len(_DIGITS)
    shown = [_input(value, few) for value in _concatenate_examples(inputs)]
    length = len(inputs)
    return [
        f"{text}{'?' if wanted else ''}{'' if few else ' '}{chr(10) if (place + 1) % length == 0 else ''}"
        for place, (text, wanted) in enumerate(zip(shown, counted, strict=True))
    ]


def _input(value: Array, few: bool) -> str:
    if few:
        return _DIGITS[int(value)]
    return "/".join(f"{each:.2g}" for each in np.atleast_1d(value).tolist())


MAX_BYTES = 600_000

"""For all units of all states together: with more, those that vary least are left out."""

_LEVELS = 127

_NOTE = (
    "Blue is above zero, orange below; each symbol has the colour of the unit after reading it. The overview "
    "has a line for each unit, and a click picks one. r is the correlation over what is shown. After "
    "Karpathy, Johnson & Fei-Fei 2015, https://arxiv.org/abs/1506.02078."
)


def units_block(seen: Activations) -> Units:
    """What the units of a model held while it read."""
    states = tuple(_states(seen.held, seen.features))
    title = f"Hidden units over {seen.what}"
    return Units("units", title, seen.symbols, seen.surprise, states, seen.names, _NOTE)


def _states(held: Mapping[str, Array], features: Array) -> Iterator[StateUnits]:
    length = next(iter(held.values())).shape[1]
    room = max(1, MAX_BYTES // length // len(held))
    for name, values in held.items():
        chosen = _most_varied(values, room)
        yield _state(name, values[chosen], chosen, len(values), features)


def _most_varied(values: Array, room: int) -> Array:
    """The numbers of as many units as there is room for, in order."""
    return np.sort(np.argsort(-values.std(axis=1), kind="stable")[:room])


def _state(name: str, values: Array, numbers: Array, total: int, features: Array) -> StateUnits:
    peaks = np.abs(values).max(axis=1)
    levels = np.rint(_LEVELS * values / np.where(peaks > 0, peaks, 1.0)[:, None]).astype(np.int8)
    nearest, correlations = best_feature(values, features)
    return StateUnits(
        name,
        array_location(name),
        tuple(int(number) for number in numbers),
        total,
        tuple(float(f"{peak:.4g}") for peak in peaks),
        tuple(float(f"{spread:.4g}") for spread in values.std(axis=1)),
        base64.b64encode(levels.tobytes()).decode(),
        tuple(int(feature) for feature in nearest),
        tuple(round(float(r), 3) for r in correlations),
    )
