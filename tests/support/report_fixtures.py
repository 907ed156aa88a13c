"""A run and a comparison to make reports of: one trained in plain Python, the other made up."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import zoo
from zoo.comparison.records import RunRecord
from zoo.comparison.results import FORMAT
from zoo.comparison.statistics import overall, summarize

TEXT = "\n".join(f'He said "number {n}", that is {n * n} (squared).' for n in range(120))


def train(folder: Path, **settings: Any) -> Path:
    """A run directory of twelve steps."""
    text = folder / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    sizes = {"hidden": 8, "batch": 4, "seq": 8, "steps": 12, "split": "90,5,5", "clip": 0.5}
    watched = {"log_every": 2, "eval_every": 6, "sample_every": 1, "sample_length": 30}
    with zoo.kernels.pure_python():
        return zoo.train(text, out=folder / "run", **{**sizes, **watched, **settings}).path


def log(path: Path, *events: dict[str, Any]) -> None:
    """Add events to the log of a run."""
    with (path / "log.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def analyses(steps: int = 3, lags: int = 12) -> list[dict[str, Any]]:
    """Analysis events as training writes them."""
    return [
        {
            "event": "analysis",
            "step": 10 * (n + 1),
            "saturation": {f"l{layer}.{gate}": [0.1 * n, 0.5] for layer in (0, 1) for gate in "ifo"},
            "gradient_by_lag": {
                f"l0.{state}": [0.5 ** (lag / (n + 1)) for lag in range(lags)] for state in "hc"
            },
        }
        for n in range(steps)
    ]


CELLS = ("vanilla", "lstm", "gru", "lem", "cornn", "s5", "mgu", "lstm+zoneout")
SCOPES = {"vanilla": "recurrence", "s5": "mixer"}
TASKS = {
    "copying": {"metric": "accuracy", "higher_is_better": True, "baseline": 0.1, "threshold": 0.99},
    "adding": {"metric": "squared error", "higher_is_better": False, "baseline": 0.167, "threshold": 0.01},
}
RATES = (0.001, 0.01)
HOSTILE = '</script><img src="x" onerror="document.title=1"><b>bold</b>'


def compare(folder: Path, cells: tuple[str, ...] = CELLS, seeds: int = 2) -> Path:
    """The directory of a comparison, with logs of its runs; the last one failed, with a hostile message."""
    numbers, runs = random.Random(0), []
    for task, facts in TASKS.items():
        for place, cell in enumerate(cells):
            skill = numbers.random()
            runs += [_run(folder, task, facts, cell, 8 * place + 8, skill, seed) for seed in range(seeds)]
    runs[-1] |= {"status": "failed", "score": None, "solved": False, "error": HOSTILE}
    results = {
        "format": FORMAT,
        "plan": {"cells": list(cells), "seeds": seeds, "lr": {"lstm": 0.003}},
        "runs": runs,
    }
    records = [RunRecord(**run) for run in runs]
    results["summary"] = list(map(vars, summarize(records)))
    results["overall"] = list(map(vars, overall(records)))
    results["sweep"] = [
        run | {"lr": lr, "score": run["score"] and run["score"] * 30 * lr} for run in runs for lr in RATES
    ]
    results["cells"] = {cell: {"name": cell, "scope": scope} for cell, scope in SCOPES.items()}
    words = {"summary": "Say again.", "threshold_source": "nobody, https://example.org.", "options": {}}
    results["tasks"] = {task: {"name": task, **facts, **words} for task, facts in TASKS.items()}
    results |= {
        "command": "zoo compare --cells lstm",
        "versions": {"zoo": "0"},
        "machine": {"processor": "slow"},
    }
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def _run(
    folder: Path, task: str, facts: dict[str, Any], cell: str, hidden: int, skill: float, seed: int
) -> dict[str, Any]:
    path = Path("runs") / task / cell / f"only-s{seed}"
    (folder / path).mkdir(parents=True)
    scores = [_score(facts, skill, 0.01 * seed, step / 10) for step in range(1, 11)]
    events = [
        {"event": "eval", "step": 20 * n, "loss": 1.0, "score": score} for n, score in enumerate(scores, 1)
    ]
    log(folder / path, *events)
    level, higher = facts["threshold"], facts["higher_is_better"]
    results = {
        "parameters": 100 * hidden,
        "hidden": hidden,
        "lr": 0.003,
        "steps": 200,
        "seconds": 5.0 * hidden + seed,
        "valid_score": None,
        "steps_to_threshold": None,
        "seconds_to_threshold": None,
        "symbols_per_s": None,
    }
    solved = scores[-1] >= level if higher else scores[-1] <= level
    ended = {"score": scores[-1], "loss": 1.0, "solved": solved, "status": "finished", "error": ""}
    return {"task": task, "cell": cell, "seed": seed, **facts, **results, **ended, "path": path.as_posix()}


def _score(facts: dict[str, Any], skill: float, luck: float, share: float) -> float:
    done = (skill + luck) / (1 + math.exp(-10 * (share - 0.5)))
    return facts["baseline"] + done * (facts["threshold"] - facts["baseline"])
