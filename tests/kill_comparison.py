"""A comparison whose workers and whose own process are killed at random moments: is it the one nobody killed?

    python tests/kill_comparison.py --kills 30

compares two cells, undisturbed, in one process; then again in processes that are killed: a worker, the one
that leads them, or by Ctrl-C, until it comes to its end. Scores, losses and steps are compared, and the last
checkpoint of every run, to the bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import zoo

LABELS = "plain=vanilla,again=vanilla"  # one cell under two labels: kernels are compiled once
SETTINGS = {"seeds": 2, "params": 1500, "steps": 240, "batch": 16, "lr_grid": [0.003, 0.03]}
TASK = {"copying": {"delay": 5, "length": 5}}
DEADLINE = 300.0  # seconds for any one process
OF_THE_CLOCK = ("seconds", "seconds_to_threshold", "symbols_per_s")
Events = list[dict[str, Any]]


def undisturbed(folder: Path) -> Path:
    """The comparison, in this process."""
    cells = LABELS.split(",")
    return zoo.compare(cells, "copying", options=TASK, out=folder / "whole", jobs=0, **SETTINGS).path


def begin(out: Path, words: Path) -> subprocess.Popen[bytes]:
    """Begin the comparison in ``out``, or go on with it, with two workers; events go to a file."""
    flags = ["--cells", LABELS, "--tasks", "copying", "--jobs", "2", "--json", "--out", str(out)]
    flags += [
        word for name, value in TASK["copying"].items() for word in ("--set", f"copying.{name}={value}")
    ]
    for name, value in SETTINGS.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        flags += [f"--{name.replace('_', '-')}", text]
    with words.open("wb") as file:
        command = [sys.executable, "-m", "zoo", "compare", *flags]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)


def heard(words: Path) -> Events:
    """The events so far; the last line may be torn."""
    lines = words.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]


def wait_for_steps(process: subprocess.Popen[bytes], words: Path, count: int) -> bool:
    """Wait until so many steps were told; False if the process ended before."""
    due = time.monotonic() + DEADLINE
    while process.poll() is None and time.monotonic() < due:
        if sum(event["event"] == "step" for event in heard(words)) >= count:
            return True
        time.sleep(0.01)
    return False


def kill(process: subprocess.Popen[bytes], words: Path, victim: str) -> None:
    """Kill a worker, or the process that leads them."""
    pids = [event["pid"] for event in heard(words) if event["event"] == "worker"]
    if victim == "worker":
        with suppress(ProcessLookupError):
            os.kill(pids[-1], signal.SIGKILL)
        return
    process.send_signal(signal.SIGINT if victim == "Ctrl-C" else signal.SIGKILL)
    code = process.wait(DEADLINE)
    if victim == "Ctrl-C":
        assert code in (0, 128 + signal.SIGINT), f"exit code {code}: {words.read_text()[-2000:]}"
        assert not any(map(is_alive, pids)), "a worker outlives the one that leads it"


def is_alive(pid: int) -> bool:
    """Whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def disturbed(folder: Path, kills: list[tuple[int, str]]) -> list[str]:
    """The comparison in ``folder/killed``, killed at moments told by the steps that were heard of.

    In the end it is finished in this process, where runs that were killed twice are tried again too.

    Args:
        folder: Where to.
        kills: After how many more steps who is killed; the last of them may not be a worker.

    Returns:
        Who was killed; fewer than were to be if it came to its end before.
    """
    out, words, done = folder / "killed", folder / "words", list[str]()
    process, steps = begin(out, words), 0
    for more, victim in kills:
        if process.poll() is not None:
            process, steps = begin(out, words), 0
        steps += more
        if not wait_for_steps(process, words, steps):
            break
        kill(process, words, victim)
        done.append(victim)
    process.wait(DEADLINE)
    zoo.compare(out=out, jobs=0)
    return done


def compare(whole: Path, survivor: Path) -> None:
    """Raise ``AssertionError`` unless two directories hold the same comparison."""
    for kind in ("runs", "sweep"):
        expected, found = (
            [_timeless(record) for record in getattr(zoo.Comparison(path), kind)]
            for path in (whole, survivor)
        )
        assert found == expected, f"{kind}: found {found}, expected {expected}"
    for path in sorted(whole.glob("runs/*/*/*/checkpoints/*")):
        other = survivor / path.relative_to(whole)
        assert other.read_bytes() == path.read_bytes(), f"{other} differs"


def _timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in OF_THE_CLOCK}


def resumptions(path: Path) -> int:
    """How many runs went on from a checkpoint."""
    logs = [file.read_text(encoding="utf-8").splitlines() for file in path.glob("runs/*/*/*/log.jsonl")]
    events = [json.loads(line) for log in logs for line in log]
    return sum(event["event"] == "resume" and event["step"] > 0 for event in events)


def main() -> None:
    """Kill as often as asked, and say what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    chosen = parser.parse_args()
    rng, done, resumed = random.Random(chosen.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as root:
        whole = undisturbed(Path(root))
        number = 0
        while done.total() < chosen.kills:
            folder = Path(root) / f"{number}"
            folder.mkdir()
            victims = [*rng.choices(("worker", "leader", "Ctrl-C"), k=5), rng.choice(("leader", "Ctrl-C"))]
            done.update(disturbed(folder, [(rng.randint(1, 25), victim) for victim in victims]))
            compare(whole, folder / "killed")
            resumed, number = resumed + resumptions(folder / "killed"), number + 1
            words = ", ".join(f"{count} of a {victim}" for victim, count in sorted(done.items()))
            say = f"{number} comparisons, kills: {words}; {resumed} runs went on: the same to the bit"
            print(say, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
