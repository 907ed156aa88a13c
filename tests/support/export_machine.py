"""Exported C programs, compiled without a warning and called from Python."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_asserts import CC, Arrays

import zoo
from zoo.export.exported_model import exported_model

needs_compiler = pytest.mark.skipif(CC is None, reason="there is no C compiler")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic", "-O1")


def build(folder: Path, *options: object) -> None:
    """Compile all sources in a folder."""
    command = [str(CC), *STRICT, *map(str, sorted(folder.glob("*.c"))), *map(str, options), "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


class Machine:
    """An exported model as a shared library.

    Args:
        model: The model.
        folder: An empty folder.
        tokens: Whether the input is tokens.
        options: Other arguments of ``zoo.export.to_c``.
    """

    def __init__(self, model: Any, folder: Path, tokens: bool | None = None, **options: Any) -> None:
        self.files = zoo.export.to_c(model, folder / "model.c", tokens=tokens, **options)
        build(folder, "-shared", "-fPIC", "-o", folder / "model.so")
        self.library, self.subject = ctypes.CDLL(str(folder / "model.so")), exported_model(model, tokens)

    def start(self) -> np.ndarray:
        """The states before the first step, in the order of the struct."""
        state = np.full(self.files.sizes["states"] // self.subject.dtype.itemsize, np.nan, self.subject.dtype)
        self.library.model_init(pointer(state))
        return state

    def run(self, x: np.ndarray, state: np.ndarray, inputs: Any = ()) -> tuple[np.ndarray, np.ndarray]:
        """The outputs of all steps of one sequence, and the state after the last."""
        y, state = np.empty((len(x), self.subject.output_size), self.subject.dtype), state.copy()
        aux = [value.reshape(len(x), -1).copy() for value in dict(inputs).values()]
        for t in range(len(x)):
            given = ctypes.c_int(int(x[t])) if self.subject.tokens else pointer(x[t])
            self.library.model_step(
                pointer(state), given, *(pointer(value[t]) for value in aux), pointer(y[t])
            )
        return y, state

    def run_sequence(self, x: np.ndarray) -> np.ndarray:
        """The outputs of a sequence of a model with bidirectional layers."""
        work = np.empty(len(x) * self.files.sizes["work"] // self.subject.dtype.itemsize, self.subject.dtype)
        y = np.empty((len(x), self.subject.output_size), self.subject.dtype)
        given = np.ascontiguousarray(x, np.int32 if self.subject.tokens else self.subject.dtype)
        self.library.model_sequence(pointer(given), ctypes.c_size_t(len(x)), pointer(work), pointer(y))
        return y


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    """The address of an array."""
    return ctypes.c_void_p(array.ctypes.data)


def flat(states: Iterable[np.ndarray] | Arrays) -> np.ndarray:
    """States of one sequence, one after the other."""
    return np.concatenate([value.ravel() for value in states])
