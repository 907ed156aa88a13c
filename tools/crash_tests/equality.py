"""Whether a run or comparison that was killed and resumed equals the undisturbed one, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zoo

# Events that a session adds. A kill between the first checkpoint and the pointer to it is a warning.
OF_THE_SESSION = ("start", "resume", "warning", "compiling", "compiled")
OF_THE_CLOCK = ("seconds", "seconds_to_threshold", "symbols_per_s")

Event = dict[str, Any]


def compare_runs(whole: Path, survivor: Path) -> None:
    """Raise ``AssertionError`` unless two directories hold the same run: configuration, checkpoints and log.

    The survivor may keep one file more: the checkpoint that its last session resumed from.
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
        expected, found = (
            [_timeless(record) for record in getattr(zoo.Comparison(path), kind)]
            for path in (whole, survivor)
        )
        assert found == expected, f"{kind}: found {found}, expected {expected}"
    runs = run_directories(whole)
    assert [run.relative_to(whole) for run in runs] == [
        run.relative_to(survivor) for run in run_directories(survivor)
    ]
    for run in runs:
        compare_runs(run, survivor / run.relative_to(whole))
    assert not temporaries(survivor), f"temporary files are left: {temporaries(survivor)}"


def run_directories(comparison: Path) -> list[Path]:
    """The directories of the runs of a comparison."""
    return sorted(path.parent for path in comparison.glob("runs/*/*/*/config.json"))


def history(run: Path) -> list[Event]:
    """The events of a run but for those that a session adds, without what a clock measured."""
    return [_timeless(event) for event in log(run) if event["event"] not in OF_THE_SESSION]


def log(run: Path) -> list[Event]:
    """All events of a run."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def resumptions(comparison: Path) -> int:
    """How many times a run of a comparison went on from a checkpoint."""
    events = [event for run in run_directories(comparison) for event in log(run)]
    return sum(event["event"] == "resume" and event["step"] > 0 for event in events)


def temporaries(folder: Path) -> list[Path]:
    """Files that are being written, or that a killed process left half written."""
    return list(folder.rglob("*.zoo-tmp"))


def _compare_checkpoints(whole: Path, survivor: Path, resumed_from: int) -> None:
    expected, found = ({path.name for path in run.glob("*.safetensors")} for run in (whole, survivor))
    surplus = found - expected - {f"step-{resumed_from:08d}.safetensors"}
    assert not surplus, f"checkpoints that the undisturbed run does not keep: {sorted(surplus)}"
    assert expected <= found, f"checkpoints are missing: {sorted(expected - found)}"
    for name in sorted(expected):
        assert (survivor / name).read_bytes() == (whole / name).read_bytes(), f"{name} differs"


def _resumed_from(run: Path) -> int:
    return max((event["step"] for event in log(run) if event["event"] == "resume"), default=0)


def _timeless(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in OF_THE_CLOCK}
