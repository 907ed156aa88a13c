"""Assert that a killed and resumed run or comparison equals the undisturbed one, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zoo

# Events of every process. A kill between the first checkpoint and the pointer to it is a warning.
SESSION_EVENTS = ("start", "resume", "warning", "compiling", "compiled")
TIME_FIELDS = ("seconds", "seconds_to_threshold", "symbols_per_s")

Event = dict[str, Any]


def compare_runs(whole: Path, survivor: Path) -> None:
    """Raise ``AssertionError`` unless two directories hold the same run: configuration, checkpoints and log.

    The survivor may have one more file: the checkpoint from which its last process resumed.
    """
    for pointer in ("last.json", "best.json"):
        # With the digest of the checkpoint: parameters, slots, states, counters, configuration.
        pointers = [json.loads((run / "checkpoints" / pointer).read_bytes()) for run in (survivor, whole)]
        assert pointers[0] == pointers[1], f"{pointer}: found {pointers[0]}, expected {pointers[1]}"
    _compare_checkpoints(whole / "checkpoints", survivor / "checkpoints", _resumed_from(survivor))
    assert (survivor / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    assert history(survivor) == history(whole), "the log differs"
    assert not temporaries(survivor), f"temporary files are left: {temporaries(survivor)}"


def compare_comparisons(whole: Path, survivor: Path) -> None:
    """Raise ``AssertionError`` unless two directories hold the same comparison: results and all runs."""
    for kind in ("runs", "sweep"):
        expected, actual = (
            [_timeless(vars(record)) for record in getattr(zoo.Comparison(path), kind)]
            for path in (whole, survivor)
        )
        assert actual == expected, f"{kind}: found {actual}, expected {expected}"
    runs = run_directories(whole)
    assert [run.relative_to(whole) for run in runs] == [
        run.relative_to(survivor) for run in run_directories(survivor)
    ]
    for run in runs:
        compare_runs(run, survivor / run.relative_to(whole))
    assert not temporaries(survivor), f"temporary files are left: {temporaries(survivor)}"


def run_directories(comparison: Path) -> list[Path]:
    """Run directories of a comparison."""
    return sorted(path.parent for path in comparison.glob("runs/*/*/*/config.json"))


def history(run: Path) -> list[Event]:
    """Events of a run without session events and times."""
    return [_timeless(event) for event in log(run) if event["event"] not in SESSION_EVENTS]


def log(run: Path) -> list[Event]:
    """All events of a run."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def resumptions(comparison: Path) -> int:
    """Number of times that runs of a comparison resumed from a checkpoint."""
    events = [event for run in run_directories(comparison) for event in log(run)]
    return sum(event["event"] == "resume" and event["step"] > 0 for event in events)


def temporaries(folder: Path) -> list[Path]:
    """Temporary files, also of killed processes."""
    return list(folder.rglob("*.zoo-tmp"))


def _compare_checkpoints(whole: Path, survivor: Path, resumed_from: int) -> None:
    expected, actual = ({path.name for path in run.glob("*.safetensors")} for run in (whole, survivor))
    surplus = actual - expected - {f"step-{resumed_from:08d}.safetensors"}
    assert not surplus, f"checkpoints that the undisturbed run does not keep: {sorted(surplus)}"
    assert expected <= actual, f"checkpoints are missing: {sorted(expected - actual)}"
    for name in sorted(expected):
        assert (survivor / name).read_bytes() == (whole / name).read_bytes(), f"{name} differs"


def _resumed_from(run: Path) -> int:
    return max((event["step"] for event in log(run) if event["event"] == "resume"), default=0)


def _timeless(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in TIME_FIELDS}
