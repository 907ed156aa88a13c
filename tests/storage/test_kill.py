"""A writer killed at random moments: every checkpoint reported as saved is complete."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from zoo.storage import RunDirectory

KILLS = 12

WRITER = """
import sys
import numpy as np
from zoo.storage import Checkpoint, RunDirectory

run = RunDirectory(sys.argv[1])
run.create(resuming=True)
with run.lock():
    last = run.load_last(lambda sentence: sys.exit(f"reported: {sentence}"))
    step = last[0] if last else 0
    run.resumed_from = step if last else None
    run.truncate_log(step)
    while True:
        step += 1
        theta = np.random.default_rng(step).normal(size=50_000)
        run.append_log({"step": step})
        run.save(step, Checkpoint({"theta": theta}, {"step": step}), best=step % 5 == 0, keep=2)
        print(step, flush=True)
"""


def refuse(sentence: str) -> None:
    raise AssertionError(f"nothing should be reported, but: {sentence}")


def write_until_killed(path: Path, seconds: float) -> int:
    """Kill a writer that long after its first save; the last step that it said was saved."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        said = [writer.stdout.readline()]
        time.sleep(seconds)
        writer.kill()
        said += writer.stdout.read().splitlines()
        assert writer.stderr.read() == ""
    return max(int(line) for line in said if line.strip())


def test_killed_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(20240229)
    run = RunDirectory(tmp_path / "run")
    before = 0
    for _ in range(KILLS):
        said = write_until_killed(run.path, rng.uniform(0, 0.15))
        assert said > before  # it went on from the last one, and did not begin again
        last = run.load_last(refuse)
        assert last is not None
        step, checkpoint = last
        assert said <= step <= said + 1  # one more when it was killed before it could say so
        assert checkpoint.meta == {"step": step}
        expected = np.random.default_rng(step).normal(size=50_000)
        np.testing.assert_array_equal(checkpoint.arrays["theta"], expected)
        best = run.load_best(lambda _: None)
        assert best is not None
        assert best[0] % 5 == 0 or step < 5
        assert [record["step"] for record in run.read_log()][:step] == list(range(1, step + 1))
        before = step
    with run.lock():
        leftovers = [path.name for path in run.path.rglob("*") if path.name.endswith(".zoo-tmp")]
    assert leftovers == []
