"""Draw the figures of the documents: ``docs/images/*.svg``.

    python tools/make_figures.py                        # draw all from the stored measurements
    python tools/make_figures.py --measure gradient-lag # measure again, store, then draw all
    python tools/make_figures.py --measure speed --out intel.json  # add a file of `zoo bench --json`

A figure of a measurement is drawn from ``docs/images/NAME.json``, which also holds the command that measured
it. So drawing takes a second, needs no library, and gives equal bytes everywhere. A test draws all figures
and compares them with the files.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cell_results import read_results
from result_charts import draw_best
from svg_charts import Axis, Canvas, Plot

import zoo
from zoo.training.schedules import Constant, Cosine, Plateau, Schedule, StepDecay

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"

Data = Mapping[str, Any]
CELLS = {"vanilla": 1990, "lstm": 1997, "gru": 2014, "janet": 2018, "lem": 2021}
COMPARE = (
    "zoo compare --cells vanilla,lstm,gru,janet,lem --tasks adding --params 10000 --seeds 3 --steps 1500 "
    "--lr-grid 0.001,0.003,0.01,0.03,0.1 --sweep-steps 1500 --schedule constant --jobs 1"
)


def measured(name: str) -> Data:
    """The stored measurement of a figure."""
    data: Data = json.loads((IMAGES / f"{name}.json").read_text(encoding="utf-8"))
    return data


# Learning curves


def measure_curves(out: Path | None) -> Data:
    """Compare five cells on the adding task, or read a comparison that the same command made."""
    if out is None:
        out = Path(tempfile.mkdtemp()) / "adding"
        subprocess.run([sys.executable, "-m", *shlex.split(COMPARE), "--out", str(out)], check=True)
    cells = {}
    for cell in CELLS:
        runs = [zoo.Run(path) for path in sorted((out / "runs" / "adding" / cell).glob("lr*"))]
        scores = [[event["loss"] for event in run.history if event["event"] == "eval"] for run in runs]
        steps = [event["step"] for event in runs[0].history if event["event"] == "eval"]
        cells[cell] = {"lr": runs[0].config.lr, **summary(steps, scores)}
    return {"made by": COMPARE, "cells": cells}


ERROR = Axis("squared error", 5e-5, 0.5, [1e-4, 1e-3, 1e-2, 1e-1], log=True)


def draw_ranges(plot: Plot, curves: Mapping[str, Data]) -> None:
    """Draw medians and ranges on the adding task, with names at the ends of the curves."""
    plot.horizontal(1 / 6, "best score without memory", below=True)
    plot.horizontal(0.01, "solved")
    for colour, data in enumerate(curves.values()):
        plot.band(data["steps"], data["low"], data["high"], colour)
    for colour, data in enumerate(curves.values()):
        plot.curve(data["steps"], data["median"], colour)
    ends = {name: plot.at(data["steps"][-1], data["median"][-1]) for name, data in curves.items()}
    height = 0.0
    for name, (x, y) in sorted(ends.items(), key=lambda pair: pair[1][1]):
        height = max(height + 18, y)
        plot.canvas.text((x + 10, height), name, f"fill-{list(curves).index(name)}")


def draw_curves() -> str:
    """Validation error of five cells on the adding task against training steps."""
    data = measured("curves")["cells"]
    canvas = Canvas(760, 380, "Validation error of five cells on the adding task, by training step")
    x = Axis("training step", 0, 1500, range(0, 1501, 250))
    plot = Plot(canvas, (70, 58), 540, 262, x, ERROR)
    title = "Adding two numbers in a sequence of 50 steps: five cells of 10,000 parameters"
    canvas.text((380, 20), title, "title", "middle")
    note = "median and range of 3 seeds; the best of 5 learning rates for each cell"
    canvas.text((740, 42), note, "note", "end")
    draw_ranges(plot, {f"{cell} ({CELLS[cell]})": curves for cell, curves in data.items()})
    return canvas.svg()


# The cells of the tutorial


def tutorial_cells() -> dict[str, type[zoo.Cell]]:
    """The versions of the cell on the page docs/tutorial.md, in order."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    names = iter(("plain", "gate", "final"))
    classes: dict[str, type[zoo.Cell]] = {}
    namespace: dict[str, Any] = {"__name__": "tutorial"}
    for block in re.findall(r"^```python file=my_cell.py\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(block, namespace)  # code of this repository, which the tests run too
        classes[next(names)] = namespace["MyCell"]
    return classes


def measure_tutorial() -> Data:
    """Train the cells of the tutorial and the LSTM on the adding task with 200 steps, three seeds each."""
    cells: dict[str, type[zoo.Cell] | str] = {**tutorial_cells(), "lstm": "lstm"}
    curves = {}
    for name, cell in cells.items():
        scores = []
        for seed in range(3):
            out = Path(tempfile.mkdtemp()) / "run"
            run = zoo.train(
                task="adding", task_options={"length": 200}, cell=cell, hidden=32, lr=0.01, steps=1000,
                eval_every=50, seed=seed, threads=1, out=out,
            )  # fmt: skip
            scores.append([event["loss"] for event in run.history if event["event"] == "eval"])
        curves[name] = summary(range(50, 1001, 50), scores)
    return {"made by": "python tools/make_figures.py --measure tutorial", "cells": curves}


def summary(steps: Sequence[int], scores: Sequence[Sequence[float]]) -> Data:
    """Median and range over seeds, for each step."""
    low, median, high = np.quantile(scores, [0, 0.5, 1], axis=0)
    return {"steps": list(steps), "low": rounded(low), "median": rounded(median), "high": rounded(high)}


def draw_tutorial() -> str:
    """Validation error of the cells of the tutorial against training steps."""
    names = {"plain": "plain", "gate": "with a gate", "final": "final cell", "lstm": "lstm"}
    canvas = Canvas(760, 340, "Validation error of the cells of the tutorial on the adding task")
    canvas.text((370, 20), "Adding two numbers in a sequence of 200 steps, 32 units", "title", "middle")
    canvas.text((740, 42), "median and range of 3 seeds, learning rate 0.01", "note", "end")
    x = Axis("training step", 0, 1000, range(0, 1001, 200))
    plot = Plot(canvas, (70, 58), 540, 222, x, ERROR)
    draw_ranges(plot, {names[name]: data for name, data in measured("tutorial")["cells"].items()})
    return canvas.svg()


# Speed

LIBRARIES = {
    "zoo": "zoo",
    "jax": "JAX (lax.scan)",
    "torch": "PyTorch (nn.RNN, nn.LSTM, nn.GRU)",
}
SPEED_CELLS = ("vanilla", "lstm", "gru")
SPEED_SHAPES = ("64x32x128", "64x64x512")
BENCH = (
    f"zoo bench --cells {','.join(SPEED_CELLS)} --shapes {','.join(SPEED_SHAPES)} --peers torch,jax "
    "--seconds 1.2 --no-compile --json"
)


def measure_speed(out: Path | None) -> Data:
    """Measure both kinds of input on this machine, or read a file of ``zoo bench --json`` of any machine.

    A measurement replaces the stored one of the same processor and kind of input, and the others stay.
    """
    if out is None:
        commands = [
            [sys.executable, "-m", *shlex.split(BENCH), "--inputs", kind] for kind in ("tokens", "dense")
        ]
        texts = [subprocess.check_output(line, text=True) for line in commands]  # progress stays visible
    else:
        texts = [out.read_text(encoding="utf-8")]
    path = IMAGES / "speed.json"
    stored = json.loads(path.read_text(encoding="utf-8"))["machines"] if path.exists() else []
    for text in texts:
        results = json.loads(text)
        for remark in results["remarks"]:
            print(remark, file=sys.stderr)  # a busy machine: the person at it decides
        machine = speed_of(results)
        stored = [each for each in stored if speed_key(each) != speed_key(machine)] + [machine]
    stored.sort(key=lambda each: (each["processor"], each["inputs"] == "dense"))
    return {"made by": "python tools/make_figures.py --measure speed", "machines": stored}


def speed_of(results: Data) -> Data:
    """The machine and the least milliseconds of a training step, from ``zoo bench --json``.

    Raises:
        ValueError: if a cell, a shape or a library is missing.
    """
    times: dict[str, dict[str, dict[str, float]]] = {}
    for race in results["races"]:
        steps = {step["contender"]: step["least_s"] for step in race["steps"]}
        if race["cell"] in SPEED_CELLS and race["shape"] in SPEED_SHAPES:
            missing = [library for library in LIBRARIES if steps.get(library) is None]
            if missing:
                raise ValueError(f"{race['cell']} {race['shape']} has no time of {', '.join(missing)}")
            values = {library: float(f"{1e3 * steps[library]:.3g}") for library in LIBRARIES}
            times.setdefault(race["cell"], {})[race["shape"]] = values
    if any(set(times.get(cell, {})) != set(SPEED_SHAPES) for cell in SPEED_CELLS):
        raise ValueError(f"expected {', '.join(SPEED_CELLS)} with the shapes {', '.join(SPEED_SHAPES)}")
    settings = {name: results["settings"][name] for name in ("threads", "dtype", "inputs")}
    processor = results["machine"]["processor"]
    about = {"processor": processor, **settings, "date": results["date"], "made by": results["command"]}
    return {**about, "milliseconds": times}


def speed_key(machine: Data) -> tuple[str, str]:
    """The processor and the kind of input."""
    return machine["processor"], machine["inputs"]


def draw_speed() -> str:
    """Times of a training step of zoo, JAX and PyTorch: a row for each processor and kind of input."""
    machines = measured("speed")["machines"]
    names = " and ".join(dict.fromkeys(machine["processor"] for machine in machines))
    height = 275
    canvas = Canvas(
        760,
        60 + height * len(machines),
        f"Milliseconds of a training step of zoo, JAX and PyTorch on {names}",
    )
    canvas.text((380, 22), f"One training step on {names}: less is better", "title", "middle")
    for row, machine in enumerate(machines):
        draw_speed_row(canvas, 20 + height * row, machine)
    for bar, name in enumerate(LIBRARIES.values()):
        x, y = 88 + (0, 80, 220)[bar], 34 + height * len(machines)
        canvas.rectangle((x, y), 14, 14, f"fill-{(2, 0, 1)[bar]}")
        canvas.text((x + 20, y + 7), name)
    return canvas.svg()


def draw_speed_row(canvas: Canvas, top: float, machine: Data) -> None:
    """Draw the bars of one processor and kind of input, a panel for each shape."""
    kind = {"tokens": "token input", "dense": "dense input"}[machine["inputs"]]
    title = f"{machine['processor']}, {kind}, {machine['dtype']}, {machine['threads']} threads"
    canvas.text((88, top + 24), title)
    for panel, shape in enumerate(SPEED_SHAPES):
        left = 88 + 360 * panel
        steps, batch, hidden = shape.split("x")
        canvas.text((left, top + 44), f"{steps} time steps, {batch} sequences, {hidden} units", "note")
        times = {cell: machine["milliseconds"][cell][shape] for cell in SPEED_CELLS}
        longest = max(max(of_cell.values()) for of_cell in times.values())
        for row, (cell, of_cell) in enumerate(times.items()):
            canvas.text((left - 10, top + 64 + 76 * row + 30), cell, "", "end")
            for bar, library in enumerate(LIBRARIES):
                y, length = top + 64 + 76 * row + 20 * bar, 185 * of_cell[library] / longest
                canvas.rectangle((left, y), length, 17, f"fill-{(2, 0, 1)[bar]}")
                canvas.text((left + length + 6, y + 9), f"{of_cell[library]:.3g} ms", "note")


# Gradients over time


def gradient_norms(rnn: zoo.Recurrent, x: np.ndarray[Any, Any]) -> list[float]:
    """Norms of the gradient of the last output at the input 0, 1, ... steps before, relative to the first."""
    y, _ = rnn.forward(x)
    dy = np.zeros_like(y)
    dy[-1] = 1
    dx, _ = rnn.backward(dy)
    norms = np.linalg.norm(dx, axis=(1, 2))[::-1]
    return rounded(norms / norms[0])


def measure_gradient_lag() -> Data:
    """Measure as on the page docs/bptt.md: an orthogonal matrix times a gain, and the LSTM's forget bias."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4, 3))
    orthogonal = np.linalg.qr(rng.normal(size=(32, 32)))[0]
    curves = {}
    rnn = zoo.Recurrent("vanilla", input_size=3, hidden_size=32, dtype="float64")
    for gain in (0.5, 1.0, 1.5, 2.0):
        rnn.fill({"l0.Whh": gain * orthogonal})
        curves[f"gain {gain}"] = gradient_norms(rnn, x)
    lstm = zoo.Recurrent("lstm", input_size=3, hidden_size=32, dtype="float64")
    for bias in (0, 1, 3):
        lstm.params["l0.b"][32:64] = bias
        curves[f"forget bias {bias}"] = gradient_norms(lstm, x)
    return {"made by": "python tools/make_figures.py --measure gradient-lag", "curves": curves}


def draw_gradient_lag() -> str:
    """Gradient against lag: the vanilla cell at four gains, the LSTM at three forget biases."""
    curves = measured("gradient-lag")["curves"]
    canvas = Canvas(800, 360, "Norm of the gradient against lag, for a vanilla network and an LSTM")
    x = Axis("lag (time steps)", 0, 60, range(0, 61, 10))
    y = Axis(
        "",
        1e-8,
        1e4,
        [1e-8, 1e-6, 1e-4, 1e-2, 1, 100, 1e4],
        log=True,
        names=["1e-8", "1e-6", "1e-4", "0.01", "1", "100", "1e4"],
    )
    canvas.text((16, 20), "norm of the gradient that reaches the input, relative to lag 0", "note")
    titles = {"gain": "vanilla, by gain of the recurrent matrix", "forget bias": "lstm, by forget bias"}
    for panel, (kind, title) in enumerate(titles.items()):
        plot = Plot(canvas, (64 + 380 * panel, 68), 300, 236, x, y, title)
        shown = {name: values for name, values in curves.items() if name.startswith(kind)}
        for colour, (name, values) in enumerate(shown.items()):
            lags = [lag for lag, value in enumerate(values[:61]) if value >= 1e-8]
            plot.curve(lags, [values[lag] for lag in lags], colour)
            end, level = plot.at(lags[-1], values[lags[-1]])
            canvas.text((end + 6, level - 6 * (lags[-1] < 60)), name.rpartition(" ")[2], f"fill-{colour}")
    return canvas.svg()


def measure_gradient_check() -> Data:
    """Relative error of a directional derivative by central differences, in two precisions."""
    steps = np.logspace(-9, 0, 37)
    curves = {}
    for dtype in ("float64", "float32"):
        rng = np.random.default_rng(0)
        rnn = zoo.Recurrent("vanilla", input_size=3, hidden_size=32, dtype=dtype)
        x = rng.normal(size=(64, 4, 3)).astype(dtype)
        y, _ = rnn.forward(x)
        dy = rng.normal(size=y.shape).astype(dtype)
        rnn.backward(dy)
        direction = rng.normal(size=rnn.theta.size)
        slope = rnn.grad.astype("float64") @ direction
        errors = []
        for step in steps:
            up, down = (
                (dy * rnn.apply((rnn.theta + sign * step * direction).astype(dtype), x)[0]).sum(
                    dtype="float64"
                )
                for sign in (1, -1)
            )
            errors.append(abs((up - down) / (2 * step) / slope - 1))
        curves[dtype] = rounded(errors)
    return {
        "made by": "python tools/make_figures.py --measure gradient-check",
        "steps": rounded(steps),
        "curves": curves,
    }


def draw_gradient_check() -> str:
    """Error of a measured derivative against the step of the central difference."""
    data = measured("gradient-check")
    canvas = Canvas(
        620, 340, "Relative error of a derivative that is measured by central differences, by step"
    )
    ticks = [1e-9, 1e-7, 1e-5, 1e-3, 1e-1]
    x = Axis("step eps of the central difference", 1e-9, 1, ticks, log=True)
    y = Axis(
        "relative error",
        1e-13,
        10,
        [1e-12, 1e-9, 1e-6, 1e-3, 1],
        log=True,
        names=["1e-12", "1e-9", "1e-6", "0.001", "1"],
    )
    plot = Plot(canvas, (64, 48), 520, 232, x, y)
    for colour, errors in enumerate(data["curves"].values()):
        plot.curve(data["steps"], errors, colour)
    for colour, name in enumerate(data["curves"]):
        canvas.text((300, 66 + 19 * colour), name, f"fill-{colour}")
    canvas.text(plot.at(1.3e-9, 3e-12), "rounding: grows as eps shrinks", "note")
    canvas.text(plot.at(1e-3, 3e-9), "curvature: error ~ eps²", "note")
    return canvas.svg()


# Diagrams


def draw_unrolled() -> str:
    """A recurrent network as a loop, and the same network unrolled over four time steps."""
    canvas = Canvas(760, 275, "A recurrent network as a loop, and unrolled over four time steps")
    canvas.text((105, 24), "as a loop", "title", "middle")
    canvas.text((480, 24), "unrolled: one copy for each time step, with the same weights", "title", "middle")

    def column(x: float, index: str) -> None:
        canvas.box((x, 235), 60, 34, f"x_{{{index}}}")
        canvas.box((x, 150), 60, 40, f"h_{{{index}}}", "box")
        canvas.box((x, 65), 60, 34, f"y_{{{index}}}")
        canvas.arrow([(x, 218), (x, 171)], 0)
        canvas.arrow([(x, 130), (x, 83)], 2)

    column(90, "t")
    canvas.arrow([(120, 158), (160, 158), (160, 108), (105, 108), (105, 129)], 1)
    canvas.math((64, 197), "W_{xh}", colour=0)
    canvas.math((64, 106), "W_{hy}", colour=2)
    canvas.math((182, 134), "W_{hh}", colour=1)
    canvas.text((222, 150), "=", "title", "middle")
    canvas.box((267, 150), 50, 40, "h_{-1}")
    for step in range(4):
        x = 368 + 112 * step
        column(x, str(step))
        canvas.arrow([(x - 82 + 7 * (step == 0), 150), (x - 31, 150)], 1)
        canvas.math((x - 56, 134), "W_{hh}", colour=1)
        canvas.math((x + 24, 197), "W_{xh}", colour=0)
        canvas.math((x + 24, 106), "W_{hy}", colour=2)
    canvas.arrow([(734, 150), (756, 150)], 1)
    return canvas.svg()


def draw_two_paths() -> str:
    """The two gradients that meet in a hidden state."""
    canvas = Canvas(700, 310, "Two gradients meet in a hidden state: from its output and from the next step")
    canvas.text((20, 24), "forward", "title")
    canvas.arrow([(85, 24), (125, 24)])
    canvas.text((160, 24), "backward", "title")
    canvas.arrow([(278, 24), (238, 24)], 1, "dashed")
    for x, index in ((150, "t"), (520, "t+1")):
        canvas.box((x, 190), 76, 46, f"h_{{{index}}}")
        canvas.box((x, 80), 76, 36, f"y_{{{index}}}")
        canvas.arrow([(x - 12, 167), (x - 12, 99)])
        canvas.box((x, 270), 76, 36, f"x_{{{index}}}")
        canvas.arrow([(x, 252), (x, 214)])
    canvas.arrow([(188, 178), (481, 178)])
    canvas.arrow([(40, 190), (111, 190)])
    canvas.arrow([(558, 190), (630, 190)])
    canvas.arrow([(162, 99), (162, 166)], 0, "dashed")
    canvas.arrow([(481, 202), (189, 202)], 1, "dashed")
    canvas.math((174, 132), "dy_{t} W_{hy}^{T}", "start", 0)
    canvas.math((335, 220), "da_{t+1} W_{hh}^{T}", "middle", 1)
    canvas.math((335, 160), "W_{hh}", "middle")
    canvas.math((250, 258), "dh_{t}  =  dy_{t} W_{hy}^{T}  +  da_{t+1} W_{hh}^{T}", "start")
    return canvas.svg()


def draw_lstm_step() -> str:
    """One step of an LSTM: the memory cell, the gates that multiply it, and its gradient."""
    canvas = Canvas(760, 372, "One step of an LSTM: the memory cell, its gates, and its gradient")
    canvas.text((20, 24), "forward", "title")
    canvas.arrow([(85, 24), (125, 24)])
    canvas.text((160, 24), "gradient of the memory cell", "title")
    canvas.arrow([(408, 24), (368, 24)], 1, "dashed")
    cell, candidate, gates, sums, bottom = 84, 158, 232, 288, 340
    canvas.box((60, cell), 64, 40, "c_{t-1}", "box")
    canvas.box((700, cell), 64, 40, "c_{t}", "box")
    canvas.box((700, 196), 64, 40, "h_{t}", "box")
    for middle, sign in (((190, cell), "×"), ((360, cell), "+"), ((360, candidate), "×"), ((590, 196), "×")):
        canvas.box(middle, 30, 30, sign)
    canvas.arrow([(92, cell - 8), (174, cell - 8)])
    canvas.arrow([(205, cell - 8), (344, cell - 8)])
    canvas.arrow([(375, cell - 8), (667, cell - 8)])
    canvas.arrow([(667, cell + 8), (376, cell + 8)], 1, "dashed")
    canvas.arrow([(345, cell + 8), (206, cell + 8)], 1, "dashed")
    canvas.arrow([(175, cell + 8), (93, cell + 8)], 1, "dashed")
    canvas.math((280, cell + 26), "dc_{t}", colour=1)
    canvas.math((132, cell + 26), "dc_{t} f_{t}", colour=1)
    canvas.box((590, 138), 56, 30, "tanh")
    canvas.arrow([(590, cell - 8), (590, 122)])
    canvas.arrow([(590, 153), (590, 180)])
    canvas.arrow([(605, 196), (667, 196)])
    canvas.arrow([(360, candidate - 15), (360, cell + 16)])
    columns = {"f": 190, "i": 316, "g": 404, "o": 500}
    for name, x in columns.items():
        canvas.box((x, gates), 58, 30, f"{name}_{{t}}", "box")
        canvas.box((x, sums), 58, 30, "tanh" if name == "g" else "σ")
        canvas.arrow([(x, sums - 15), (x, gates + 16)])
        canvas.arrow([(x, bottom - 10), (x, sums + 16)])
    canvas.arrow([(190, gates - 15), (190, cell + 16)])
    canvas.arrow([(316, gates - 15), (316, candidate), (344, candidate)])
    canvas.arrow([(404, gates - 15), (404, candidate), (376, candidate)])
    canvas.arrow([(500, gates - 15), (500, 196), (574, 196)])
    canvas.path([(136, bottom - 10), (500, bottom - 10)], "edge")
    canvas.box((90, bottom - 10), 92, 40, "x_{t} , h_{t-1}", "box")
    canvas.math((520, bottom - 10), "a = x_{t} W_{x} + h_{t-1} W_{h} + b", "start")
    return canvas.svg()


def draw_truncation() -> str:
    """Windows of truncated back-propagation through time."""
    canvas = Canvas(720, 190, "Windows of a text: the state crosses the border, the gradient does not")
    letters = "to be, or not to be: that is"
    width, left = 23, 38
    for place, letter in enumerate(letters):
        x = left + width * place
        canvas.rectangle((x, 40), width - 3, 28, "box", radius=3)
        canvas.text((x + width / 2 - 1.5, 54), letter, "code", "middle")
    size = 7
    for window in range(4):
        start = left + width * size * window
        end = start + width * size - 3
        canvas.text(((start + end) / 2, 22), f"window {window + 1}: one update", "note", "middle")
        canvas.arrow([(start - 22 if window else start, 92), (end - 6, 92)], 2)
        canvas.arrow([(end - 4, 122), (start + 4, 122)], 1, "dashed")
        if window:
            canvas.path([(start - 1.5, 32), (start - 1.5, 140)], "edge dashed")
    canvas.path([(38, 165), (60, 165)], "curve stroke-2")
    canvas.text((67, 165), "forward pass: the state is carried into the next window")
    canvas.path([(448, 165), (470, 165)], "curve stroke-1 dashed")
    canvas.text((477, 165), "backward pass: stops at the border")
    return canvas.svg()


def draw_layers() -> str:
    """Two bidirectional layers over three time steps, with the names of their states."""
    canvas = Canvas(
        720, 330, "Two bidirectional layers over three time steps: each reads both directions below it"
    )
    columns = {0: 200, 1: 370, 2: 540}
    for step, x in columns.items():
        canvas.box((x, 300), 60, 32, f"x_{{{step}}}")
        canvas.box((x, 30), 60, 32, f"y_{{{step}}}")
        canvas.arrow([(x - 12, 283), (x - 34, 262)])
        canvas.arrow([(x + 12, 283), (x + 34, 262)])
        canvas.arrow([(x - 40, 98), (x - 14, 48)])
        canvas.arrow([(x + 40, 98), (x + 14, 48)])
        for start in (-40, 40):
            for end in (-40, 40):
                canvas.arrow([(x + start, 218), (x + end, 142)])
    for layer, y in ((0, 240), (1, 120)):
        canvas.text((20, y - 9), f"l{layer}.h", "code fill-0")
        canvas.text((20, y + 9), f"l{layer}.reverse.h", "code fill-1")
        for x in (200, 370):
            canvas.arrow([(x - 14, y - 10), (x + 103, y - 10)], 0)
            canvas.arrow([(x + 184, y + 10), (x + 67, y + 10)], 1)
        for x in columns.values():
            canvas.rectangle((x - 66, y - 20), 52, 40, "box", radius=5)
            canvas.rectangle((x + 14, y - 20), 52, 40, "box", radius=5)
            canvas.text((x - 40, y), "→", "fill-0", "middle")
            canvas.text((x + 40, y), "←", "fill-1", "middle")
    canvas.text((610, 31), "(T, B, 2H)", "code note")
    canvas.text((610, 300), "(T, B, I)", "code note")
    return canvas.svg()


def draw_schedules() -> str:
    """Factors of the learning rate: the four schedules, with a warm-up of 50 updates."""
    canvas = Canvas(720, 320, "Factor of the learning rate over 500 updates, for four schedules")
    canvas.text((330, 20), "Factor of --lr, with a warm-up of 50 updates", "title", "middle")
    x = Axis("update", 0, 500, range(0, 501, 100))
    plot = Plot(canvas, (60, 50), 470, 210, x, Axis("", 0, 1.05, [0, 0.5, 1]))
    schedules: dict[str, Schedule] = {
        "constant": Constant(warmup=50),
        "step, period=200": StepDecay(warmup=50, period=200, gamma=0.5),
        "cosine": Cosine(warmup=50, total=500),
        "plateau, patience=3": Plateau(warmup=50),
    }
    for colour, (name, schedule) in enumerate(schedules.items()):
        state, factors = schedule.init(), []
        for update in range(1, 501):
            factors.append(schedule.factor(state, update))
            if update % 25 == 0:  # a validation, whose loss falls up to update 300
                state = schedule.observe(state, max(500 - update, 200))
        plot.curve(range(1, 501), factors, colour)
        canvas.text((545, 70 + 22 * colour), name, f"fill-{colour}")
    canvas.text((545, 170), "(no better loss after 300)", "note")
    return canvas.svg()


# Learning rates for several hidden sizes

WIDTHS = (32, 128, 256)
WIDTH_CELLS = ("vanilla", "lstm", "gru")
WIDTH_RATES = tuple(2.0**power for power in range(-8, -1))


def measure_base_hidden() -> Data:
    """Train three cells of three sizes at seven learning rates with three seeds: 378 runs."""
    settings = {"steps": 300, "batch": 16, "seq": 64, "schedule": "cosine", "eval_every": 300, "threads": 1}
    losses: dict[str, dict[str, dict[str, list[float]]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for cell, base, hidden in itertools.product(WIDTH_CELLS, (None, WIDTHS[0]), WIDTHS):
            curve = []
            for lr in WIDTH_RATES:
                of_seeds = []
                for seed in range(3):
                    out = Path(directory) / f"{cell}-{base}-{hidden}-{lr}-{seed}"
                    run = zoo.train(
                        "builtin:pydoc",
                        cell=cell, hidden=hidden, lr=lr, base_hidden=base, seed=seed, out=out, **settings,
                    )  # fmt: skip
                    of_seeds += [event["loss"] for event in run.history if event["event"] == "eval"]
                curve.append(float(np.median(of_seeds)))
            losses.setdefault(cell, {}).setdefault(str(base), {})[str(hidden)] = rounded(curve)
    command = "python tools/make_figures.py --measure base-hidden"
    return {
        "made by": command,
        "text": "builtin:pydoc",
        "optimizer": "adam",
        "rates": WIDTH_RATES,
        "seeds": 3,
        "settings": settings,
        "losses": losses,
    }


def draw_base_hidden() -> str:
    """Validation loss against the learning rate for three sizes, without and with ``base_hidden``."""
    losses = measured("base-hidden")["losses"]
    canvas = Canvas(860, 640, "Validation loss against learning rate for three hidden sizes of three cells")
    names = [f"1/{round(1 / rate)}" for rate in WIDTH_RATES]
    x = Axis("learning rate", WIDTH_RATES[0], WIDTH_RATES[-1], WIDTH_RATES, log=True, names=names)
    y = Axis("", 1.5, 3.5, [1.5, 2, 2.5, 3, 3.5])
    rows = {"None": "one learning rate for all parameters", str(WIDTHS[0]): f"--base-hidden {WIDTHS[0]}"}
    for row, (base, title) in enumerate(rows.items()):
        canvas.text((20, 22 + 312 * row), f"{title}: validation loss (nats)", "title")
        for panel, cell in enumerate(WIDTH_CELLS):
            plot = Plot(canvas, (50 + 275 * panel, 60 + 312 * row), 240, 200, x, y, cell)
            for colour, curve in enumerate(losses[cell][base].values()):
                plot.curve(WIDTH_RATES, curve, colour)
                best = int(np.argmin(curve))
                at, level = plot.at(WIDTH_RATES[best], curve[best])
                canvas.rectangle((at - 4, level - 4), 8, 8, f"fill-{colour}")
        for colour, width in enumerate(WIDTHS):
            left, level = 530 + 105 * colour, 22 + 312 * row
            canvas.path([(left, level), (left + 22, level)], f"curve stroke-{colour}")
            canvas.text((left + 29, level), f"H = {width}")
    return canvas.svg()


FIGURES: dict[str, Callable[[], str]] = {
    "layers": draw_layers,
    "results": lambda: draw_best(read_results(ROOT / "results")),
    "schedules": draw_schedules,
    "curves": draw_curves,
    "tutorial": draw_tutorial,
    "speed": draw_speed,
    "unrolled": draw_unrolled,
    "two-paths": draw_two_paths,
    "gradient-check": draw_gradient_check,
    "lstm-step": draw_lstm_step,
    "truncation": draw_truncation,
    "gradient-lag": draw_gradient_lag,
    "base-hidden": draw_base_hidden,
}
MEASUREMENTS: dict[str, Callable[..., Data]] = {
    "curves": measure_curves,
    "tutorial": measure_tutorial,
    "speed": measure_speed,
    "gradient-lag": measure_gradient_lag,
    "gradient-check": measure_gradient_check,
    "base-hidden": measure_base_hidden,
}


def rounded(values: Sequence[float] | np.ndarray[Any, Any]) -> list[float]:
    """Three significant digits: enough for a picture, and small in a file."""
    return [float(f"{value:.3g}") for value in values]


def store(name: str, out: Path | None) -> None:
    """Measure again, and write the file that the figure is drawn from."""
    measure = MEASUREMENTS[name]
    data = measure(out) if name in ("curves", "speed") else measure()
    text = json.dumps(data, separators=(",", ":")).replace('],"', '],\n"').replace('},"', '},\n"')
    (IMAGES / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for, and draw all figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--measure", action="append", default=[], choices=sorted(MEASUREMENTS))
    parser.add_argument(
        "--out", type=Path, help="for curves, a finished comparison; for speed, a file of `zoo bench --json`"
    )
    options = parser.parse_args(arguments)
    for name in options.measure:
        store(name, options.out)
    for name, draw in FIGURES.items():
        (IMAGES / f"{name}.svg").write_text(draw(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
