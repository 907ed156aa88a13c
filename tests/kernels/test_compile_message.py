"""The message that compiling takes long."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
PROGRAM = """
import logging
from zoo.kernels import compile_message
compile_message.SECONDS = {seconds}
{before}
import numpy as np
import zoo
rnn = zoo.Recurrent("vanilla", 2, 3)
for _ in range(2):
    rnn.forward(np.ones((2, 1, 2), "float32"))
"""


def run(folder, before: str = "", seconds: float = 0.0, message: str = "1") -> str:
    environment = {**os.environ, "ZOO_CACHE_DIR": str(folder), "ZOO_COMPILE_MESSAGE": message}
    program = PROGRAM.format(before=before, seconds=seconds)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_message_appears_once_and_not_from_the_cache(tmp_path):
    lines = run(tmp_path).splitlines()
    assert lines.count("compiling vanilla for this processor, once ...") == 1
    assert len(lines) == len(set(lines))
    assert run(tmp_path) == ""


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
@pytest.mark.parametrize(
    "arguments",
    [
        {"before": "logging.getLogger('zoo.compile').setLevel('ERROR')"},
        {"message": "0"},
    ],
)
def test_message_can_be_switched_off(arguments, tmp_path):
    assert run(tmp_path, **arguments) == ""
