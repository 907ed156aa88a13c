"""Measure the time of online gradients relative to BPTT, for a layer of 32 units.

    python tools/measure_online_gradients.py

Each number is a median of rounds in which BPTT, RTRL and UORO take turns on the same chunks.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

import zoo

UNITS, ROUNDS, STEPS_PER_ROUND = 32, 15, 10
SHAPES = ((1, 1), (25, 1), (25, 8))


def make_steps(cell: str, steps: int, batch: int) -> dict[str, Callable[[], object]]:
    """A function for each gradient that computes outputs and gradient of one chunk."""
    rnn = zoo.Recurrent(cell, UNITS, UNITS)
    x = np.random.default_rng(0).normal(size=(steps, batch, UNITS)).astype(np.float32)

    def online(gradient: zoo.RTRL | zoo.UORO) -> Callable[[], object]:
        return lambda: gradient.backward(gradient.forward(x))

    functions: dict[str, Callable[[], object]] = {
        "bptt": lambda: rnn.backward(rnn.forward(x)[0]),
        "rtrl": online(zoo.RTRL(rnn)),
        "uoro": online(zoo.UORO(rnn)),
    }
    rnn.compile_passes()
    rnn.tangents.compile_passes()
    for function in functions.values():
        for _ in range(30):  # compiles the kernels and the passes
            function()
    return functions


def measure(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of one step of each function."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            started = time.perf_counter()
            for _ in range(STEPS_PER_ROUND):
                function()
            seconds[name].append((time.perf_counter() - started) / STEPS_PER_ROUND)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main() -> int:
    """Print the table."""
    print("| cell | steps of a chunk | sequences | BPTT | RTRL | UORO |")
    print("|---|---|---|---|---|---|")
    for cell in ("vanilla", "lstm", "lru"):
        for steps, batch in SHAPES:
            seconds = measure(make_steps(cell, steps, batch))
            ratios = " | ".join(f"{seconds[name] / seconds['bptt']:.1f}" for name in ("rtrl", "uoro"))
            print(f"| `{cell}` | {steps} | {batch} | {seconds['bptt'] * 1e6:.0f} µs | {ratios} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
