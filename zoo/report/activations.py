"""Activations of hidden units over a text or over numeric inputs, and their best correlated features.

The visualisation is from A. Karpathy, J. Johnson, L. Fei-Fei, "Visualizing and Understanding Recurrent
Networks", 2015, https://arxiv.org/abs/1506.02078, and so are the features position in the line and inside
quotes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from zoo.analysis.target import inputs_of, run
from zoo.analysis.traces import gate_names
from zoo.array_types import Array
from zoo.base import Task
from zoo.data import Vocabulary
from zoo.model import AnyModel
from zoo.model.readout import readout_kernels
from zoo.report.blocks import Chart, StateUnits, Trace, Units, array_location, readable
from zoo.report.gate_figures import gate_label, merge_equal
from zoo.report.gates import means_chart
from zoo.report.history import number
from zoo.tables import Number
from zoo.training.evaluation import declared_aux, run_freely

Symbols = Sequence[str]

MAX_ACTIVATIONS = 32 * 2**20
"""Largest number of elements of all states, 128 MB in float32: many units are shown over fewer steps."""

_STEPS = 256  # traced together: all values of a step are in memory

_LINE_START_WINDOW = 300  # symbols searched for the end of a line, after which the text begins

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Activations:
    """Inputs of N steps and the states after each.

    Args:
        source: Description of the inputs.
        symbols: Text of each step; empty for numeric inputs.
        surprise: Cost of each step in bits; None without a prediction.
        states: Values ``(units, N)`` by name.
        feature_names: Names of the features.
        features: Standardised features, ``(F, N)``.
        traces: Numeric inputs.
        starts: First step of each example of numeric inputs.
        answers: Steps of numeric inputs with a target.
        gates: Gates at each step, ``(units, N)`` by name; empty for cells without gates.
    """

    source: str
    symbols: tuple[str, ...]
    surprise: tuple[Number, ...]
    states: Mapping[str, Array]
    feature_names: tuple[str, ...]
    features: Array
    traces: tuple[Trace, ...] = ()
    starts: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()
    gates: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class NumericExamples:
    """Numeric inputs of B examples.

    Args:
        source: Description of the examples.
        names: Names of the inputs.
        inputs: ``(T, B, I)``.
        lengths: Steps of each example, ``(B,)``; None if all have T.
        aux: Auxiliary inputs, ``(T, B, ...)``.
        weights: Weight of each step in the loss, ``(T, B)``; None without targets.
        classes: Targets that are classes, ``(T, B)``; None for others.
    """

    source: str
    names: tuple[str, ...]
    inputs: Array
    lengths: Array | None = None
    aux: Mapping[str, Array] = field(default_factory=dict)
    weights: Array | None = None
    classes: Array | None = None


def read_text(model: AnyModel, vocabulary: Vocabulary, tokens: Array, symbols: int, part: str) -> Activations:
    """Run the model on the beginning of a part of a text, if possible from the start of a line.

    Args:
        model: The model.
        vocabulary: The vocabulary.
        tokens: The part, ``(N,)``, at least two.
        symbols: Number of symbols to show.
        part: Name of the part.
    """
    start = _line_start(vocabulary, tokens[:_LINE_START_WINDOW])
    stop = min(len(tokens), start + symbols, max(start + 2, _max_steps(model)))
    targets = np.append(tokens[1:stop], 0)[:, None]
    weighted = np.arange(stop)[:, None] < stop - 1
    seen = _run_model(model, tokens[:stop, None], targets, weighted)
    text = [vocabulary[token] for token in tokens[start:stop]]
    names, features = text_features([symbol if isinstance(symbol, str) else chr(symbol) for symbol in text])
    bits = [None, *map(number, seen.costs[:-1, 0].tolist())][start:]
    states, gates = (
        {name: values[start:, 0].T for name, values in each.items()} for each in (seen.states, seen.gates)
    )
    source = f"{len(text):,} symbols of the {part} text"
    shown = tuple(map(_display_symbol, text))
    return Activations(source, shown, tuple(bits), states, names, features, gates=gates)


def read_examples(model: AnyModel, task: Task, symbols: int) -> Activations:
    """Run the model on validation examples of a task.

    Args:
        model: The model.
        task: The task.
        symbols: Approximate number of steps; at least one example is shown.
    """
    length = len(task.batch(0, 1, 0, "valid").inputs)
    batch = task.batch(0, example_count(model, symbols, length), 0, "valid")
    count = batch.inputs.shape[1]
    source = f"{count} example{'s' * (count > 1)} of the task {readable(task.name)}"
    classes = batch.targets if task.criterion.target == "class" else None
    if batch.inputs.ndim == 3:
        size = batch.inputs.shape[2]
        named = tuple(f"input {index}" for index in range(1, size + 1)) if size > 1 else ("input",)
        inputs = batch.inputs if batch.context is None else run_freely(model, batch)
        aux = declared_aux(model, batch)
        examples = NumericExamples(source, named, inputs, aux=aux, weights=batch.weights, classes=classes)
        return read_numeric(model, examples)
    weighted = batch.weights > 0
    # Only classes have a cost. Targets without weight may be invalid.
    seen = _run_model(model, batch.inputs, batch.targets, weighted & (classes is not None))
    bits = map(number, _concatenate_examples(seen.costs).tolist())
    names, features = example_features(batch.inputs, batch.weights)
    source = f"{source}; ? marks a step with a target"
    return Activations(
        source,
        tuple(_display_inputs(batch.inputs, weighted.T.reshape(-1))),
        tuple(bits),
        {name: _concatenate_examples(values).T for name, values in seen.states.items()},
        names,
        features,
        gates={name: _concatenate_examples(values).T for name, values in seen.gates.items()},
    )


def example_count(model: AnyModel, steps: int, length: int) -> int:
    """Number of examples of a length that have about a number of steps together, at least one."""
    return max(1, min(steps, _max_steps(model)) // length)


def read_numeric(model: AnyModel, examples: NumericExamples) -> Activations:
    """Run the model on examples with numeric inputs."""
    steps, count, _ = examples.inputs.shape
    lengths = np.full(count, steps) if examples.lengths is None else examples.lengths
    weights = np.zeros((steps, count)) if examples.weights is None else examples.weights
    costly = (weights > 0) & (examples.classes is not None)
    targets = weights if examples.classes is None else examples.classes
    seen = _run_model(model, examples.inputs, targets, costly, examples.aux)
    inside = (np.arange(steps)[:, None] < lengths).T.reshape(-1)
    values = _concatenate_examples(examples.inputs)[inside]
    names, features = example_features(examples.inputs, weights, examples.names, inside)
    shown = min(len(examples.names), MAX_INPUTS, max(1, _MAX_TRACE_VALUES // len(values)))
    return Activations(
        examples.source
        + ("" if shown == len(examples.names) else f", {shown} of {len(examples.names)} inputs"),
        (),
        tuple(map(number, _concatenate_examples(seen.costs)[inside].tolist())),
        {name: _concatenate_examples(each)[inside].T for name, each in seen.states.items()},
        names,
        features,
        tuple(
            Trace(name, tuple(float(f"{value:.4g}") for value in column))
            for name, column in zip(examples.names[:shown], values.T[:shown].tolist(), strict=True)
        ),
        tuple(np.concatenate([[0], np.cumsum(lengths)[:-1]]).tolist()),
        tuple(np.flatnonzero(weights.T.reshape(-1)[inside] > 0).tolist()),
        {name: _concatenate_examples(each)[inside].T for name, each in seen.gates.items()},
    )


_MAX_TRACE_VALUES = 100_000


class _ModelRun(NamedTuple):
    """Values at every step of a run.

    Args:
        states: States after each step, ``(T, B, units)`` by name.
        gates: Gates, ``(T, B, units)`` by name, those with equal values once.
        costs: Cost of each target in bits, ``(T, B)``; NaN where a target has no weight.
    """

    states: dict[str, Array]
    gates: dict[str, Array]
    costs: Array


def _run_model(
    model: AnyModel, inputs: Array, targets: Array, weighted: Array, aux: Mapping[str, Any] | None = None
) -> _ModelRun:
    """Run a model, and trace its states and gates.

    The outputs of one step at a time are in memory: those of 1,000 steps and 100,000 symbols took 2.9 GB.

    Args:
        model: The model.
        inputs: ``(T, B)`` or ``(T, B, I)``.
        targets: Classes, ``(T, B)``.
        weighted: Where a target has weight, ``(T, B)``.
        aux: Auxiliary inputs, ``(T, B, ...)``.
    """
    states, gates = [*model.stack.state_shapes], gate_names(model)
    values: dict[str, Array] = {}
    costs, state = np.full(weighted.shape, np.nan), None
    for start in range(0, len(inputs), _STEPS):
        steps = slice(start, start + _STEPS)
        aux_of_steps = {name: each[steps] for name, each in (aux or {}).items()}
        result = run(model, inputs_of(model, inputs[steps]), state, [*states, *gates], aux_of_steps)
        state = result.final
        for name, traced in result.traces.items():
            flat = traced.reshape(*traced.shape[:2], -1)
            whole = values.setdefault(name, np.empty((*weighted.shape, flat.shape[2]), flat.dtype))
            whole[steps] = flat
        costs[steps] = _costs(model, result.y, targets[steps], weighted[steps])
    return _ModelRun(
        {name: values[name] for name in states},
        merge_equal({name: values[name] for name in gates}),
        costs,
    )


def _costs(model: AnyModel, y: Array, targets: Array, weighted: Array) -> Array:
    """The cost of targets in bits, ``(T, B)``, from the outputs of the layers, ``(T, B, H)``."""
    costs, readout = np.full(weighted.shape, np.nan), (model.readout_weights(), model.params["by"])
    project = readout_kernels(model.criterion, model.config.precision).project
    for step, has_weight in enumerate(weighted):
        if has_weight.any():
            outputs = project(np.ascontiguousarray(y[step : step + 1, has_weight]), *readout)
            costs[step, has_weight] = _bits(outputs[0], targets[step][has_weight])
    return costs


def _max_steps(model: AnyModel) -> int:
    """Largest number of steps whose states may be in memory."""
    return max(1, MAX_ACTIVATIONS // sum(math.prod(shape) for shape in model.stack.state_shapes.values()))


def _concatenate_examples(values: Array) -> Array:
    """Concatenate examples over time: ``(T, B, ...)`` as ``(B T, ...)``."""
    batch_major = values.swapaxes(0, 1)
    return batch_major.reshape(-1, *values.shape[2:])


def _bits(outputs: Array, targets: Array) -> Array:
    """Cross-entropy in bits of ``(N, V)`` logits and ``(N,)`` targets."""
    logits = outputs.astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    nats = total - logits[np.arange(len(targets)), targets]
    bits: Array = np.round(nats / np.log(2), 2)
    return bits


def _line_start(vocabulary: Vocabulary, tokens: Array) -> int:
    """Index after the first end of a line; 0 if there is none."""
    ends = [index for index, token in enumerate(tokens) if vocabulary[token] in ("\n", 10)]
    return ends[0] + 1 if ends and ends[0] + 1 < len(tokens) else 0


def _display_symbol(symbol: str | int) -> str:
    """A readable symbol: bytes beyond ASCII in hexadecimal, control characters as pictures."""
    if isinstance(symbol, int) and symbol > 126:
        return f"\\x{symbol:02x}"
    text = symbol if isinstance(symbol, str) else chr(symbol)
    return "".join(
        chr(0x2400 + ord(each)) if ord(each) < 32 and each not in "\n\t" else each for each in text
    )


def _display_inputs(inputs: Array, weighted: Array) -> list[str]:
    """Texts of the tokens of concatenated examples, one example a line."""
    few = inputs.max(initial=0) < len(_DIGITS)
    shown = [_DIGITS[token] if few else f"{token}" for token in _concatenate_examples(inputs).tolist()]
    length = len(inputs)
    return [
        f"{text}{'?' if is_target else ''}{'' if few else ' '}{chr(10) if (index + 1) % length == 0 else ''}"
        for index, (text, is_target) in enumerate(zip(shown, weighted, strict=True))
    ]


MAX_BYTES = 600_000
"""Largest size of all units together: with more, those that vary least are left out."""

_LEVELS = 127

_NOTE = (
    "Blue is above zero, orange below; each symbol has the colour of the unit after reading it. The overview "
    "has a line for each unit. Click a line to choose its unit. r is the correlation over these symbols. "
    "After Karpathy, Johnson & Fei-Fei 2015, https://arxiv.org/abs/1506.02078."
)


_GATES_NOTE = (
    "A gate is a factor: no colour is 0, closed, and blue is 1, open. The overview has a line for each unit. "
    "Click a line to choose its unit. r is the correlation over these steps."
)


_NUMERIC_NOTE = (
    "The first line is the unit after reading each step, the others are the inputs. A dashed line begins a "
    "new example, and a tick marks a step with a target. The overview has a line for each unit, blue above "
    "zero and orange below. Click a line to choose its unit. r is the correlation over these steps."
)


def unit_blocks(activations: Activations) -> Iterator[Units | Chart]:
    """Yield the block of hidden units and, for cells with gates, the chart and the block of gates."""
    source, starts, gates = activations.source, activations.starts, activations.gates
    units = Units(
        "units",
        f"Hidden units over {source}",
        activations.symbols,
        activations.surprise,
        tuple(_states(activations.states, activations.features)),
        activations.feature_names,
        _NUMERIC_NOTE if activations.traces else _NOTE,
        activations.traces,
        starts,
        activations.answers,
    )
    yield units
    if gates:
        yield means_chart(gates, starts, source, "step" if activations.traces else "symbol")
        states = tuple(
            replace(state, label=gate_label(state.name))
            for state in _states(gates, activations.features, least_peak=1.0)
        )
        title = f"Gates over {source}"
        yield replace(units, name="gates", title=title, states=states, note=_GATES_NOTE, gates=True)


def _states(states: Mapping[str, Array], features: Array, least_peak: float = 0.0) -> Iterator[StateUnits]:
    length = next(iter(states.values())).shape[1]
    limit = max(1, MAX_BYTES // length // len(states))
    for name, values in states.items():
        finite = np.where(np.isfinite(values), values, 0.0)  # JSON and bytes have no NaN
        indices = _most_varied(finite, limit)
        yield _state(name, finite[indices].astype(np.float64), indices, len(values), features, least_peak)


def _most_varied(values: Array, limit: int) -> Array:
    """Sorted indices of the ``limit`` units that vary most."""
    return np.sort(np.argsort(-values.std(axis=1), kind="stable")[:limit])


def _state(
    name: str, values: Array, numbers: Array, total: int, features: Array, least_peak: float
) -> StateUnits:
    peaks = np.maximum(np.abs(values).max(axis=1), least_peak)
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


_VOWELS = frozenset("aeiouAEIOU")
MAX_INPUTS = 16  # inputs with a line and a feature each


def _run_lengths(text: str, grows: Callable[[str], bool]) -> list[int]:
    """Length of the current run of characters for which ``grows`` is true."""
    return list(accumulate(text, lambda count, char: count + 1 if grows(char) else 0, initial=0))[1:]


def _depth(text: str) -> list[int]:
    """Number of open brackets after each character; unmatched closing brackets are ignored."""
    step = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}
    return list(accumulate(text, lambda depth, char: max(0, depth + step.get(char, 0)), initial=0))[1:]


def _inside_quotes(text: str) -> list[int]:
    return [count % 2 for count in accumulate(int(char == '"') for char in text)]


def _indent(text: str) -> list[int]:
    """Indentation of the line, complete from the first character of its text on."""
    widths, width, inside = [], 0, False
    for char in text:
        if char == "\n":
            width, inside = 0, False
        elif not inside:
            width, inside = (width + 1, False) if char == " " else (width, True)
        widths.append(width)
    return widths


# A symbol may have several characters, such as the word ' "'. It has the value after its last character.
_FEATURES_AFTER: dict[str, Callable[[str], Sequence[float]]] = {
    "position in the line": lambda text: _run_lengths(text, lambda char: char != "\n"),
    "position in the word": lambda text: _run_lengths(text, str.isalnum),
    "indentation": _indent,
    "inside quotes": _inside_quotes,
    "open brackets": _depth,
    "spaces in a row": lambda text: _run_lengths(text, lambda char: char == " "),
    "white space": lambda text: [char.isspace() for char in text],
    "end of the word": lambda text: [
        char.isalnum() and not after.isalnum() for char, after in pairwise([*text, ""])
    ],
}

# Whether any character of a symbol is one.
_FEATURES_WITHIN: dict[str, Callable[[str], bool]] = {
    "capital letter": str.isupper,
    "vowel": _VOWELS.__contains__,
    "digit": str.isdigit,
    "punctuation": lambda char: not char.isalnum() and not char.isspace(),
}


def measure_text(symbols: Symbols) -> dict[str, Array]:
    """Each feature of a text at each of its symbols, ``(N,)`` float64, from the characters of the symbols."""
    text = "".join(symbols)
    ends = list(accumulate(map(len, symbols)))
    after = {
        name: np.array([0, *measure(text)], np.float64)[ends] for name, measure in _FEATURES_AFTER.items()
    }
    within = {
        name: np.array([any(map(holds, symbol)) for symbol in symbols], np.float64)
        for name, holds in _FEATURES_WITHIN.items()
    }
    return after | within


def text_features(symbols: Symbols) -> tuple[tuple[str, ...], Array]:
    """Names and standardised values ``(F, N)`` of the features that vary over a text."""
    return _varying(measure_text(symbols))


def example_features(
    inputs: Array, weights: Array, names: Sequence[str] = (), inside: Array | None = None
) -> tuple[tuple[str, ...], Array]:
    """Features of concatenated examples: time, inputs, and the steps with a target; as `text_features`.

    Args:
        inputs: Tokens ``(T, B)`` or values ``(T, B, I)``.
        weights: Weight of each step in the loss, ``(T, B)``.
        names: Names of the values.
        inside: Whether each concatenated step is not padding, ``(B T,)``; None for all.
    """
    steps, batch = weights.shape
    features = {"time": np.tile(np.arange(steps), batch), "step with a target": weights.T.reshape(-1) > 0}
    if inputs.ndim == 2:
        values = inputs.T.reshape(-1)
        features |= {f"input is {token}": values == token for token in np.unique(values)[:MAX_INPUTS]}
    else:
        columns = inputs.swapaxes(0, 1).reshape(batch * steps, -1).T[:MAX_INPUTS]
        features |= dict(zip(names, columns, strict=False))
    steps_inside = slice(None) if inside is None else inside
    return _varying({name: np.asarray(values, np.float64)[steps_inside] for name, values in features.items()})


def _varying(features: dict[str, Array]) -> tuple[tuple[str, ...], Array]:
    varying = {
        name: _standardise(values) for name, values in features.items() if values.size and values.std() > 0
    }
    length = len(next(iter(features.values())))
    return tuple(varying), np.array(list(varying.values())).reshape(len(varying), length)


def best_feature(values: Array, features: Array) -> tuple[Array, Array]:
    """The best correlated feature of each unit, and the correlation, from -1 to 1.

    Args:
        values: Activations, ``(U, N)``.
        features: Standardised features, ``(F, N)``.

    Returns:
        ``(U,)`` indices, -1 where a unit is constant or there are no features, and ``(U,)`` correlations.
    """
    moves = values.std(axis=1) > 0
    if not len(features) or not moves.any():
        return np.full(len(values), -1), np.zeros(len(values))
    units = np.where(moves[:, None], _standardise(values), 0.0)
    correlations = units @ features.T / values.shape[1]
    best = np.abs(correlations).argmax(axis=1)
    return np.where(moves, best, -1), correlations[np.arange(len(values)), best]


def _standardise(values: Array) -> Array:
    """Standardise along the last axis; constant rows become zero."""
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = centred.std(axis=-1, keepdims=True)
    standard: Array = centred / np.where(spread > 0, spread, 1.0)
    return standard
