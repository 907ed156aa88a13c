"""How long a cell takes to its first training step, in the first process that uses it and in the next."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping

from zoo.bench.contender import BenchError, environment
from zoo.bench.records import Start
from zoo.bench.settings import SYMBOLS, Settings
from zoo.processes import python_command

_HIDDEN = 128
_SCRIPT = f"""\
import sys
import zoo
model = zoo.LanguageModel(tuple(map(str, range({SYMBOLS}))), sys.argv[1], {_HIDDEN}, dtype=sys.argv[2])
model.loss_and_grad([[0], [1]], [[1], [2]])
print("done", flush=True)
"""


def measure_start(cell: str, settings: Settings) -> Start:
    """Compile and load time of a cell, in two processes with a cache of their own.

    Raises:
        BenchError: if such a process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {**environment(settings.threads), "ZOO_CACHE_DIR": folder}
        return Start(cell, *(_launch(cell, settings.dtype, surroundings) for _ in ("compiled", "loaded")))


def _launch(cell: str, dtype: str, surroundings: Mapping[str, str]) -> float:
    """Seconds from the launch of a process to the end of its first step."""
    started = time.perf_counter()
    with subprocess.Popen(
        python_command(_SCRIPT, cell, dtype), env=surroundings, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        seconds = time.perf_counter() - started
    if said.strip() != b"done":
        raise BenchError(f"bench: {cell} does not start in a new process; exit code {process.returncode}.")
    return seconds
