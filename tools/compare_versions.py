"""Compare two versions of zoo: exact results, step times, start times and kernel sizes.

Record what a version computes, then compare two records. Every array is stored as a digest of its bits:

    python tools/compare_versions.py record before.json
    python tools/compare_versions.py record after.json
    python tools/compare_versions.py compare before.json after.json

``record`` continues a file that is not complete. ``time`` measures two installed versions in turn, each by
the Python interpreter of its own environment, so that a machine that slows down slows both. It starts them in
an empty directory, since Python imports modules of the working directory first:

    python tools/compare_versions.py time old/.venv/bin/python new/.venv/bin/python

The program uses only the public names of zoo that are fixed, so that it runs with old and new versions alike.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import hashlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

import zoo

Array = np.ndarray[Any, Any]
Digests = dict[str, str]

# T, B, I, H: below and beyond one vector of float32, one panel of weights, and the eight rows of one shard.
SHAPES = ((7, 3, 8, 12), (20, 9, 20, 40), (12, 18, 33, 72))
STACKS: dict[str, dict[str, Any]] = {
    "bidirectional": {"bidirectional": True},
    "dropout": {"dropout": 0.3},
    "learned_state": {"learned_state": True},
    "recompute": {"recompute": 3},
    "residual": {"residual": True},
    "threads": {"threads": 2},
}
STACKED_CELLS = (
    "gru",
    "lstm",
    "mamba",
    "vanilla",
    "lstm+zoneout",
    "gru+layer_norm",
    "lstm+recurrent_dropout",
    "lstm,gru",  # a cell for each layer
)
TEXT = "".join(
    f"{n} times {n} is {n * n}, and the square of {n + 1} is {(n + 1) ** 2}.\n" for n in range(300)
)
SMALL = {"hidden": 24, "batch": 8, "steps": 40, "log_every": 10, "eval_every": 20}
RUNS: dict[str, dict[str, Any]] = {
    "vanilla": {"cell": "vanilla"},
    "two layers": {"cell": "lstm", "layers": 2},
    "dropout": {"cell": "lstm", "layers": 2, "dropout": 0.2},
    "recompute": {"cell": "gru", "recompute": "sqrt"},
    "zoneout": {"cell": "gru+zoneout", "optimizer": "rmsprop"},
    "residual": {"cell": "mgu", "layers": 3, "residual": True},
    "plateau": {"cell": "gru", "schedule": "plateau", "optimizer": "nadam"},
    "bytes": {"cell": "rwkv4", "level": "byte", "optimizer": "adamw"},
    "copying": {"cell": "lstm", "task": "copying"},
    "adding": {"cell": "lem", "task": "adding", "optimizer": "lion"},
    "parity": {"cell": "gru+recurrent_dropout", "task": "parity"},
    "evidence": {"cell": "leaky_rnn", "task": "evidence", "dtype": "float64"},
    "cell for each layer": {"cell": ("lstm", "gru+zoneout"), "layers": 2},
    "both directions": {"cell": ("gru", "mgu"), "layers": 2, "task": "adding", "bidirectional": True},
    "learned states": {"cell": "lstm", "task": "copying", "learned_state": True},
}
TIMED_CELLS = ("vanilla", "lstm", "gru", "mgu", "lem", "mamba")
TIMED_SHAPES = ((64, 32, 65, 128), (128, 16, 65, 64), (25, 1, 65, 100))
COLD_CELLS = ("vanilla", "lstm", "mamba")


# --- exact results ------------------------------------------------------------------------------------


def digest(value: Array | None) -> str:
    """Shape, dtype and a digest of the bits of an array."""
    if value is None:
        return "none"
    bits = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
    return f"{value.dtype}{list(value.shape)} {bits}"


def digests(prefix: str, arrays: Mapping[str, Array | None]) -> Digests:
    """The digests of named arrays."""
    return {f"{prefix} {name}": digest(value) for name, value in arrays.items()}


def run_layer(cell: str, layers: int, dtype: str, tokens: bool, shape: Any, options: Any) -> Digests:
    """Run two sequences, of which the second continues the first, and both backward passes."""
    steps, batch, inputs, hidden = shape
    one_or_each = cell.split(",") if "," in cell else cell
    try:
        rnn = zoo.Recurrent(
            one_or_each, inputs, hidden, num_layers=layers, dtype=dtype, seed=1, **{"threads": 1, **options}
        )
    except zoo.errors.UsageError:
        return {"not available in this size": "true"}
    rng = np.random.default_rng(2)
    theta = rnn.theta + (rng.normal(size=rnn.theta.shape) / 20).astype(dtype)
    noise = (3, 4) if "dropout" in options or "+" in cell else None
    names = getattr(rnn.cell, "inputs", {})
    extra = {"dt": rng.uniform(0.5, 1.5, (steps, batch)).astype(dtype)} if "dt" in names else {}

    def sequence() -> Array:
        shape = (steps, batch) if tokens else (steps, batch, inputs)
        return rng.integers(inputs, size=shape) if tokens else rng.normal(size=shape).astype(dtype)

    y, state, tape = rnn.apply(theta, sequence(), None, noise=noise, **extra)
    later, last, later_tape = rnn.apply(theta, sequence(), state, noise=noise, **extra)
    results = digests("output", {"1": y, "2": later}) | digests("state", state) | digests("last", last)
    # A layer that reads backwards has no gradient that could be handed on from one sequence to the next.
    dx, dstate, dtheta = rnn.vjp(later_tape, rng.normal(size=later.shape).astype(dtype))
    results |= digests("gradient", {"x 2": dx, "theta 2": dtheta}) | digests("gradient 2", dstate)
    dx, dstate, dtheta = rnn.vjp(tape, rng.normal(size=y.shape).astype(dtype), dstate)
    return results | digests("gradient", {"x 1": dx, "theta 1": dtheta}) | digests("gradient 1", dstate)


def run_model(cell: str, layers: int, dtype: str) -> Digests:
    """Loss, gradient and a sample of a language model, before and after its training step is compiled."""
    model = zoo.LanguageModel("abcdefg", cell=cell, hidden_size=24, num_layers=layers, dtype=dtype, threads=1)
    tokens = np.random.default_rng(5).integers(7, size=(2, 12, 18))
    results, state = {}, None
    for call in range(4):
        loss, state = model.loss_and_grad(tokens[0], tokens[1], state=state)
        results[f"loss {call}"] = np.float64(loss).hex()
        results |= digests(f"call {call}", {"gradient": model.grad, **state})
        model.theta -= model.grad
    return results | {"sample": model.sample(length=40, seed=6)}


def run_training(name: str) -> Digests:
    """The final parameters of a training run."""
    settings = {**SMALL, **RUNS[name], "threads": 1}
    with tempfile.TemporaryDirectory() as folder:
        text, out = Path(folder) / "text.txt", Path(folder) / "run"
        text.write_text(TEXT, encoding="utf-8")
        data = None if "task" in settings else str(text)
        try:
            zoo.train(data, out=str(out), **settings)
        except zoo.errors.UsageError as error:  # an old version without a setting
            return {"not available": str(error)}
        whole = digest(zoo.load(out).theta)
        zoo.train(data, out=str(out), resume=True, **{**settings, "steps": 60})
        return {"parameters": whole, "parameters after a resume": digest(zoo.load(out).theta)}


def cases(pattern: str) -> Iterator[tuple[str, Callable[[], Digests]]]:
    """Every case by its name."""
    cells = [name for name in zoo.list_cells() if fnmatch(name, pattern)]
    for cell, layers, dtype in itertools.product(cells, (1, 2), ("float32", "float64")):
        for tokens, shape in itertools.product((False, True), SHAPES):
            kind = "tokens" if tokens else "dense"
            name = f"layer {cell} layers={layers} {dtype} {kind} TBIH={shape}"
            yield name, lambda c=(cell, layers, dtype, tokens, shape): run_layer(*c, {})
        yield f"model {cell} layers={layers} {dtype}", lambda c=(cell, layers, dtype): run_model(*c)
    for cell, (option, settings) in itertools.product(STACKED_CELLS, STACKS.items()):
        if fnmatch(cell, pattern):
            name = f"stack {cell} {option}"
            yield name, lambda c=cell, s=settings: run_layer(c, 2, "float32", False, SHAPES[1], s)
    for name, settings in RUNS.items():
        if fnmatch(",".join(np.atleast_1d(settings["cell"])), pattern):
            yield f"run {name}", lambda name=name: run_training(name)


def record(path: Path, pattern: str) -> None:
    """Record all cases in a file, or those that it lacks."""
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    started = time.perf_counter()
    for name, run in cases(pattern):
        if name not in results:
            results[name] = run()
            if time.perf_counter() - started > 20:
                save(path, results)
                started = time.perf_counter()
                print(f"{len(results)} cases, at {name}", flush=True)
    save(path, results)
    print(f"{path}: {len(results)} cases, {sum(map(len, results.values()))} values")


def save(path: Path, results: dict[str, Digests]) -> None:
    """Replace a record at once, so that a stopped program leaves a whole file."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(results, indent=0) + "\n", encoding="utf-8")
    temporary.replace(path)


def compare(before: Path, after: Path) -> bool:
    """Print every value that differs between two records, and return whether none does."""
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    shared = [name for name in old if name in new]
    differing = [name for name in shared if old[name] != new[name]]
    for name in differing:
        keys = [key for key in {**old[name], **new[name]} if old[name].get(key) != new[name].get(key)]
        print(f"{name}: {', '.join(keys)}")
    for title, missing in (("second", old.keys() - new.keys()), ("first", new.keys() - old.keys())):
        if missing:
            print(f"{len(missing)} cases are missing in the {title} record, for example {min(missing)}")
    print(f"{len(shared)} cases compared, {len(differing)} differ")
    return not differing and old.keys() == new.keys()


# --- times --------------------------------------------------------------------------------------------


def timed_step(cell: str, shape: Any) -> Callable[[], Any]:
    """A training step of a language model."""
    steps, batch, symbols, hidden = shape
    model = zoo.LanguageModel(list(map(str, range(symbols))), cell=cell, hidden_size=hidden, threads=1)
    tokens = np.random.default_rng(0).integers(symbols, size=(2, steps, batch))
    return lambda: model.loss_and_grad(tokens[0], tokens[1])


def timed_layer(cell: str, shape: Any) -> Callable[[], Any]:
    """Both passes of a layer over dense input."""
    steps, batch, inputs, hidden = shape
    rnn = zoo.Recurrent(cell, inputs, hidden, threads=1)
    x = np.random.default_rng(0).normal(size=(steps, batch, inputs)).astype("float32")

    def work() -> Any:
        y, _ = rnn.forward(x)
        return rnn.backward(y)

    return work


def serve() -> None:
    """Answer requests of the measuring process: one JSON object a line."""
    works: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        kind, cell, shape, calls = json.loads(line)
        key = json.dumps((kind, cell, shape))
        if key not in works:
            works[key] = {"model": timed_step, "layer": timed_layer}[kind](cell, shape)
            for _ in range(10):  # a model compiles its training step after some calls
                works[key]()
        seconds = []
        for _ in range(calls):
            started = time.perf_counter()
            works[key]()
            seconds.append(time.perf_counter() - started)
        print(json.dumps(min(seconds)), flush=True)


def measure_steps(interpreters: list[str], rounds: int) -> None:
    """Print the times of training steps of two versions, measured in turn, and their ratio."""
    program, pipes = str(Path(__file__).resolve()), {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    place = {"cwd": empty_directory(), "env": environment()}
    servers = [
        subprocess.Popen([python, program, "serve"], text=True, **pipes, **place) for python in interpreters
    ]

    def ask(server: subprocess.Popen[str], request: Any) -> float:
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps(request), file=server.stdin, flush=True)
        return float(json.loads(server.stdout.readline()))

    ratios = []
    for kind, cell, shape in itertools.product(("model", "layer"), TIMED_CELLS, TIMED_SHAPES):
        times = np.array([[ask(server, (kind, cell, shape, 5)) for server in servers] for _ in range(rounds)])
        ratio = float(np.median(times[:, 1] / times[:, 0]))
        ratios.append(ratio)
        old, new = times.min(axis=0) * 1e3
        print(
            f"{kind:6} {cell:8} TBIH={shape!s:20} {old:9.3f} ms {new:9.3f} ms   new/old {ratio:.3f}",
            flush=True,
        )
    print(f"median of all ratios {statistics.median(ratios):.3f}, largest {max(ratios):.3f}")
    for server in servers:
        server.terminate()


COLD = (
    "import sys, zoo, numpy as np; r = zoo.Recurrent(sys.argv[1], 8, 16, threads=1);"
    "y, _ = r.forward(np.ones((4, 2, 8), 'float32')); r.backward(y)"
)


def measure_starts(interpreters: list[str], rounds: int, cold_rounds: int) -> None:
    """Print the smallest times of starts and of first compilations in turn, and the bytes of the kernels."""
    commands = {
        "import zoo": ["-c", "import zoo"],
        "zoo --help": ["-m", "zoo", "--help"],
        "zoo cells": ["-m", "zoo", "cells"],
    }
    for name, arguments in commands.items():
        times = [[clocked([python, *arguments], {}) for python in interpreters] for _ in range(rounds)]
        old, new = np.min(times, axis=0)
        print(f"{name:24} {old:6.2f} s {new:6.2f} s   new/old {new / old:.3f}", flush=True)
    for cell in COLD_CELLS:
        starts = [[cold_start(python, cell) for python in interpreters] for _ in range(cold_rounds)]
        old, new = np.min(starts, axis=0)[:, 0]
        sizes = [size for _, size in starts[0]]
        print(
            f"compile {cell:16} {old:6.2f} s {new:6.2f} s   new/old {new / old:.3f}   "
            f"kernels {sizes[0]:,} B {sizes[1]:,} B",
            flush=True,
        )


def cold_start(python: str, cell: str) -> tuple[float, int]:
    """The wall time of the first two passes of a cell with an empty cache, and the bytes of its kernels."""
    with tempfile.TemporaryDirectory() as cache:
        seconds = clocked([python, "-c", COLD, cell], {"ZOO_CACHE_DIR": cache})
        return seconds, sum(file.stat().st_size for file in Path(cache).rglob("*.kernel"))


def clocked(command: list[str], variables: dict[str, str]) -> float:
    """The wall time of a command in an empty directory, in seconds."""
    folder, started = empty_directory(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=environment() | variables)
    return time.perf_counter() - started


@functools.cache
def empty_directory() -> str:
    """A directory without modules, in which Python finds the installed zoo alone."""
    folder = tempfile.mkdtemp()
    atexit.register(Path(folder).rmdir)
    return folder


def environment() -> dict[str, str]:
    """The environment without ``PYTHONPATH``, which would replace both installed versions by one."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="record the exact results of the installed version")
    recording.add_argument("file", type=Path)
    recording.add_argument("--cells", default="*", metavar="PATTERN", help="only cells of these names")
    comparing = commands.add_parser("compare", help="compare two records; exit with 1 if they differ")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    timing = commands.add_parser("time", help="measure two installed versions in turn")
    timing.add_argument("old", help="Python interpreter of the old version's environment")
    timing.add_argument("new", help="Python interpreter of the new version's environment")
    timing.add_argument("--rounds", type=int, default=9, help="how often each version is measured [9]")
    timing.add_argument("--cold-rounds", type=int, default=3, help="how often it compiles all kernels [3]")
    commands.add_parser("serve")
    chosen = parser.parse_args()
    if chosen.command == "record":
        record(chosen.file, chosen.cells)
    elif chosen.command == "compare":
        return 0 if compare(chosen.before, chosen.after) else 1
    elif chosen.command == "time":
        # Absolute, but not resolved: an environment's interpreter is a link to that of the system.
        interpreters = [str(Path(python).absolute()) for python in (chosen.old, chosen.new)]
        measure_starts(interpreters, chosen.rounds, chosen.cold_rounds)
        measure_steps(interpreters, chosen.rounds)
    else:
        serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
