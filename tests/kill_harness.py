"""A run killed with SIGKILL at random moments and resumed until it ends: is it the run that nobody killed?

    python tests/kill_harness.py --kills 40

trains a small model to the end in one process, then again and again in others that are killed: while they
start, while they train, and while they write. Compared are the last and the best checkpoint, to the bit, and
the log, line by line.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

LINES = [f"{n} and {n * n % 97} make {n + n * n % 97}\n" for n in range(150)]
# Everything that has a state takes part: two layers, an optimizer with slots, a schedule that remembers,
# clipping, and lines of progress that begin before a checkpoint and end after it.
SETTINGS = {
    "hidden": 12,
    "layers": 2,
    "batch": 4,
    "seq": 8,
    "steps": 200,
    "split": "80,20",
    "optimizer": "adam",
    "lr": 0.01,
    "schedule": "plateau",
    "clip": 0.5,
    "log-every": 7,
    "eval-every": 10,
    "save-every": 3,
    "sample-every": 100,
    "sample-length": 20,
}
DEADLINE = 300.0  # seconds for any one process
# A kill between the first checkpoint and the pointer to it is told as a missing pointer.
OF_THE_SESSION = ("start", "resume", "warning", "compiling", "compiled", "end")
OF_THE_CLOCK = ("seconds", "symbols_per_s")


def train(data: Path, out: Path, words: Path) -> subprocess.Popen[bytes]:
    """Begin the run in ``out``, or go on with it; its events go to the file ``words``."""
    flags = [text for name, value in SETTINGS.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "zoo", "train", "--data", str(data), *flags]
    command += ["--set", "patience=2", "--out", str(out), "--resume", "--json"]
    with words.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes], words: Path) -> None:
    """Wait for the end of a process that nobody kills."""
    code = process.wait(DEADLINE)
    assert code == 0, f"exit code {code}: {words.read_text(encoding='utf-8')[-2000:]}"


def uninterrupted(folder: Path) -> float:
    """Train in one process, in ``folder/whole``; the seconds that it took when nothing had to be compiled."""
    (folder / "text.txt").write_bytes("".join(LINES).encode())
    seconds = min(elapsed(killed, folder, name, [])[0] for name in ("whole", "again"))
    lines = [event["step"] for event in history(folder / "whole") if event["event"] == "step"]
    assert lines == log_steps(), f"lines of progress at {lines}"
    return seconds


def elapsed(work: Callable[..., Result], *arguments: Any) -> tuple[float, Result]:
    """The seconds that a call took, and its result."""
    started = time.monotonic()
    result = work(*arguments)
    return time.monotonic() - started, result


def killed(folder: Path, name: str, moments: list[tuple[float, bool]]) -> list[str]:
    """Train in ``folder/name``, killing a process at each moment, and let the last one come to its end.

    Args:
        folder: Where ``uninterrupted`` worked.
        name: Of the run directory.
        moments: Seconds after its start at which a process is killed, and whether to wait from then on until
            it is writing a file.

    Returns:
        What each killed process was doing; fewer than moments if one came to its end before its time.
    """
    out, words = folder / name, folder / "words"
    deeds: list[str] = []
    for seconds, writing in moments:
        process = train(folder / "text.txt", out, words)
        if not kill(process, out, seconds, writing):
            finish(process, words)
            return deeds
        deeds.append(deed(out, words))
    finish(train(folder / "text.txt", out, words), words)
    return deeds


def kill(process: subprocess.Popen[bytes], out: Path, seconds: float, writing: bool) -> bool:
    """Kill a process when its time has come; False if it ended before."""
    due = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() >= due and (not writing or temporaries(out)):
            process.kill()
            return process.wait() != 0
        time.sleep(0.0002 if writing else 0.002)
    return False


def temporaries(out: Path) -> list[Path]:
    """Files that are being written, or that a killed process left half written."""
    return list(out.rglob("*.zoo-tmp"))


def deed(out: Path, words: Path) -> str:
    """What a killed process was doing."""
    if temporaries(out):
        return "writing"
    return "training" if words.stat().st_size else "starting"


def compare(whole: Path, survivor: Path) -> None:
    """Raise ``AssertionError`` unless two run directories hold the same run."""
    for pointer in ("last.json", "best.json"):
        # With the digest of the checkpoint: parameters, slots, carried states, counters, configuration.
        found, expected = (
            json.loads((run / "checkpoints" / pointer).read_bytes()) for run in (survivor, whole)
        )
        assert found == expected, f"{pointer}: found {found}, expected {expected}"
        files = [(run / "checkpoints" / found["file"]).read_bytes() for run in (survivor, whole)]
        assert files[0] == files[1], f"{found['file']} differs"
    assert (survivor / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    assert history(survivor) == history(whole), "the log differs"
    assert not temporaries(survivor)


def log_steps() -> list[int]:
    """The steps that have a line of progress."""
    steps, every = int(str(SETTINGS["steps"])), int(str(SETTINGS["log-every"]))
    return sorted({*range(every, steps + 1, every), steps})


def history(run: Path) -> list[dict[str, Any]]:
    """The events of a run but for those that a session adds, without what a clock measured."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    own = [event for event in events if event["event"] not in OF_THE_SESSION]
    return [{name: value for name, value in event.items() if name not in OF_THE_CLOCK} for event in own]


def survive(folder: Path, kills: int, seed: int) -> Iterator[tuple[int, list[str]]]:
    """Kill run after run, each until it ends, and compare it with the one that nobody killed.

    Moments are uniform over the duration of a run; after one in four the next write is waited for.

    Args:
        folder: An empty directory.
        kills: How many in all.
        seed: Decides the moments.

    Yields:
        The number of runs that have ended so far, and what each killed process was doing.

    Raises:
        AssertionError: if a run is not the same, or fails.
    """
    rng, seconds, runs = random.Random(seed), uninterrupted(folder), 0
    deeds: list[str] = []
    while len(deeds) < kills:
        moments = [(rng.uniform(0, seconds), rng.random() < 0.25) for _ in range(kills - len(deeds))]
        took, done = elapsed(killed, folder, f"run-{runs}", moments)
        compare(folder / "whole", folder / f"run-{runs}")
        seconds = seconds if done else min(seconds, took)  # what else the machine does comes and goes
        deeds, runs = deeds + done, runs + 1
        yield runs, deeds


def main() -> None:
    """Kill as often as asked, and say what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=40, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for runs, deeds in survive(Path(folder), chosen.kills, chosen.seed):
            words = ", ".join(f"{number} while {deed}" for deed, number in sorted(Counter(deeds).items()))
            say = f"{runs} runs, {len(deeds)} kills ({words}): the same to the bit"
            print(say, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
