"""Features of text and of examples, and their correlations with hidden units.

Units that follow the place in the line or the inside of quotes were found by A. Karpathy, J. Johnson and
L. Fei-Fei, "Visualizing and Understanding Recurrent Networks", 2015, https://arxiv.org/abs/1506.02078.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Symbols = Sequence[str]

_VOWELS = frozenset("aeiouAEIOU")
MAX_INPUTS = 16  # inputs of a task with a feature each


def _run_lengths(symbols: Symbols, grows: Callable[[str], bool]) -> list[int]:
    """Length of the current run of symbols for which ``grows`` is true."""
    return list(accumulate(symbols, lambda count, symbol: count + 1 if grows(symbol) else 0, initial=0))[1:]


def _depth(symbols: Symbols) -> list[int]:
    """Number of open brackets after each symbol; unmatched closing brackets are ignored."""
    step = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}
    return list(accumulate(symbols, lambda depth, symbol: max(0, depth + step.get(symbol, 0)), initial=0))[1:]


def _inside_quotes(symbols: Symbols) -> list[int]:
    return [count % 2 for count in accumulate(int(symbol == '"') for symbol in symbols)]


def _indent(symbols: Symbols) -> list[int]:
    """Indentation of the line, complete from the first symbol of its text on."""
    widths, width, inside = [], 0, False
    for symbol in symbols:
        if symbol == "\n":
            width, inside = 0, False
        elif not inside:
            width, inside = (width + 1, False) if symbol == " " else (width, True)
        widths.append(width)
    return widths


FEATURES: dict[str, Callable[[Symbols], Sequence[float]]] = {
    "place in the line": lambda symbols: _run_lengths(symbols, lambda symbol: symbol != "\n"),
    "place in the word": lambda symbols: _run_lengths(symbols, str.isalnum),
    "indentation": _indent,
    "inside quotes": _inside_quotes,
    "depth in brackets": _depth,
    "spaces in a row": lambda symbols: _run_lengths(symbols, lambda symbol: symbol == " "),
    "white space": lambda symbols: [symbol.isspace() for symbol in symbols],
    "end of the word": lambda symbols: [
        symbol.isalnum() and not after.isalnum()
        for symbol, after in zip(symbols, [*symbols[1:], ""], strict=True)
    ],
    "capital letter": lambda symbols: [symbol.isupper() for symbol in symbols],
    "vowel": lambda symbols: [symbol in _VOWELS for symbol in symbols],
    "digit": lambda symbols: [symbol.isdigit() for symbol in symbols],
    "punctuation": lambda symbols: [not symbol.isalnum() and not symbol.isspace() for symbol in symbols],
}


def text_features(symbols: Symbols) -> tuple[tuple[str, ...], Array]:
    """Names and standardised values ``(F, N)`` of the features that vary over a text."""
    return _varying({name: np.asarray(measure(symbols), np.float64) for name, measure in FEATURES.items()})


def example_features(inputs: Array, weights: Array) -> tuple[tuple[str, ...], Array]:
    """Features of concatenated examples: time, inputs, and the steps with a target; as `text_features`.

    Args:
        inputs: Tokens ``(T, B)`` or values ``(T, B, I)``.
        weights: Weight of each step in the loss, ``(T, B)``.
    """
    steps, rows = weights.shape
    features = {"time": np.tile(np.arange(steps), rows), "an answer is asked for": weights.T.reshape(-1) > 0}
    if inputs.ndim == 2:
        values = inputs.T.reshape(-1)
        features |= {f"input is {token}": values == token for token in np.unique(values)[:MAX_INPUTS]}
    else:
        columns = inputs.swapaxes(0, 1).reshape(rows * steps, -1).T
        features |= {f"input {number}": column for number, column in enumerate(columns[:MAX_INPUTS], 1)}
    return _varying({name: np.asarray(values, np.float64) for name, values in features.items()})


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
