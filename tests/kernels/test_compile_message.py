"""The message that compiling takes long."""

from __future__ import annotations

import os
import subprocess

import pytest

PLAIN = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
PROGRAM = """
import logging
from zoo.kernels import compile_message
compile_message.SECONDS = 0.0
{before}
import numpy as np
import zoo
rnn = zoo.Recurrent("vanilla", 2, 3)
for _ in range(2):
    rnn.forward(np.ones((2, 1, 2), "float32"))
"""


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_message_appears_once_and_not_from_the_cache_or_if_it_is_switched_off(forked_python, tmp_path):
    def run(before: str = "", message: str = "1") -> str:
        environment = {**os.environ, "ZOO_CACHE_DIR": str(tmp_path), "ZOO_COMPILE_MESSAGE": message}
        command = [forked_python, "-c", PROGRAM.format(before=before)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr

    def remove_one_kernel() -> None:
        (file,) = (tmp_path / "kernels").glob("forward-*.kernel")
        file.unlink()

    message = "compiling vanilla for this processor, once ..."
    lines = run().splitlines()
    assert lines.count(message) == 1
    assert len(lines) == len(set(lines))
    assert run() == ""
    remove_one_kernel()
    assert run() == f"{message}\n"
    remove_one_kernel()
    assert run(before="logging.getLogger('zoo.compile').setLevel('ERROR')") == ""
    remove_one_kernel()
    assert run(message="0") == ""
    assert run() == "", "the last process compiled a kernel"
