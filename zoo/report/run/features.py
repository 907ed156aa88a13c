"""What a unit may follow in a text: numbers that can be told of each symbol, and how closely units go along.

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
MAX_INPUTS = 16  # of a task, that get a feature each


def _run_lengths(symbols: Symbols, grows: Callable[[str], bool]) -> list[int]:
    """How many symbols in a row have been such, up to each."""
    return list(accumulate(symbols, lambda count, symbol: count + 1 if grows(symbol) else 0, initial=0))[1:]


def _depth(symbols: Symbols) -> list[int]:
    """How many brackets are open after each symbol; a bracket that closes nothing is passed over."""
    step = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}
    return list(accumulate(symbols, lambda depth, symbol: max(0, depth + step.get(symbol, 0)), initial=0))[1:]


def _inside_quotes(symbols: Symbols) -> list[int]:
    return [count % 2 for count in accumulate(int(symbol == '"') for symbol in symbols)]


def _indent(symbols: Symbols) -> list[int]:
    """How far the line is indented, from the first symbol of its text on."""
    found, width, inside = [], 0, False
    for symbol in symbols:
        if symbol == "\n":
            width, inside = 0, False
        elif not inside:
            width, inside = (width + 1, False) if symbol == " " else (width, True)
        found.append(width)
    return found


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
    """The same of examples, one after the other: their time, their inputs, and where an answer is asked for.

    Args:
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        weights: How much each step counts, ``(T, B)``.
    """
    steps, rows = weights.shape
    found = {"time": np.tile(np.arange(steps), rows), "an answer is asked for": weights.T.reshape(-1) > 0}
    if inputs.ndim == 2:
        values = inputs.T.reshape(-1)
        found |= {f"input is {token}": values == token for token in np.unique(values)[:MAX_INPUTS]}
    else:
        columns = inputs.swapaxes(0, 1).reshape(rows * steps, -1).T
        found |= {f"input {place}": column for place, column in enumerate(columns[:MAX_INPUTS], 1)}
    return _varying({name: np.asarray(values, np.float64) for name, values in found.items()})


def _varying(found: dict[str, Array]) -> tuple[tuple[str, ...], Array]:
    kept = {name: _standardise(values) for name, values in found.items() if values.size and values.std() > 0}
    length = len(next(iter(found.values())))
    return tuple(kept), np.array(list(kept.values())).reshape(len(kept), length)


def best_feature(values: Array, features: Array) -> tuple[Array, Array]:
    """Which feature each unit follows most, and the correlation, from -1 to 1.

    Args:
        values: What units held, ``(U, N)``.
        features: Standardised, ``(F, N)``.

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
    """With mean zero and deviation one along the last axis, where it varies."""
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = centred.std(axis=-1, keepdims=True)
    standard: Array = centred / np.where(spread > 0, spread, 1.0)
    return standard
