"""Exported JavaScript modules, run by one process of Node."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from zoo.export.exported_model import ExportedModel, exported_model
from zoo.export.js_model import js_module

NODE = shutil.which("node")

# A line is a call: the path of a module, the body of a function, and its argument. Numbers that JSON lacks
# are strings.
_SERVER = """
import { createInterface } from "node:readline";

const numbers = new Set(["NaN", "Infinity", "-Infinity"]);
const revive = (key, value) => numbers.has(value) ? Number(value) : value;
const plain = (key, value) => ArrayBuffer.isView(value) ? Array.from(value)
    : typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
for await (const line of createInterface({ input: process.stdin })) {
    const { path, code, given } = JSON.parse(line, revive);
    let result;
    try {
        const run = new Function("module", "given", code);
        result = { value: run(path === null ? null : await import(path), given) ?? null };
    } catch (error) {
        result = { error: `${error.name}: ${error.message}` };
    }
    console.log(JSON.stringify(result, plain));
}
"""

_STEPS = """
const model = new module.Model(), y = [];
for (const [name, values] of Object.entries(given.state)) model.state[name].set(values);
given.x.forEach((x, t) => y.push(model.step(x, ...given.aux.map((values) => values[t]))));
return { y, state: model.state };
"""


class JsError(Exception):
    """An error in JavaScript: its class and message."""


class Node:
    """A process that imports modules and calls functions.

    Args:
        folder: A folder for modules.
    """

    def __init__(self, folder: Path) -> None:
        script = folder / "server.mjs"
        script.write_text(_SERVER, encoding="ascii")
        self._folder, self._numbers = folder, itertools.count()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
        self._process: subprocess.Popen[str] = subprocess.Popen([str(NODE), str(script)], **pipes)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)

    def module(self, model: Any, tokens: bool | None = None, int8: bool = False) -> Path:
        """Write the module of a model, or of an exported model."""
        if not isinstance(model, ExportedModel):
            model = exported_model(zoo.export.int8_weights(model, tokens) if int8 else model, tokens)
        path = self._folder / f"model_{next(self._numbers)}.mjs"
        path.write_text(js_module(model, int8, path.name).source, encoding="ascii")
        return path

    def call(self, module: Path | None, code: str, given: Any = None) -> Any:
        """The result of a function of ``module`` and ``given`` with the body ``code``.

        Raises:
            JsError: if it throws an error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        path = None if module is None else str(module)
        line = json.dumps({"path": path, "code": code, "given": _plain(given)}, allow_nan=False)
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        if "error" in result:
            raise JsError(result["error"])
        return result["value"]

    def steps(self, module: Path, x: Any, aux: Any = (), state: Any = None) -> list[np.ndarray]:
        """The outputs of all steps of one sequence, and the states after the last, one after the other.

        Args:
            module: The module.
            x: Tokens ``(T,)`` or features ``(T, I)``.
            aux: Auxiliary inputs with a first axis of time, in order.
            state: States before the first step by the name of Python, if not the initial ones.
        """
        fields = {name.replace(".", "_"): np.ravel(value) for name, value in (state or {}).items()}
        rows = [np.reshape(each, (len(x), -1)) for each in aux]
        result = self.call(module, _STEPS, {"x": x, "aux": rows, "state": fields})
        states = [_numbers(values) for values in result["state"].values()]
        return [np.array([_numbers(row) for row in result["y"]]), np.concatenate([*states, np.empty(0)])]


def _numbers(values: list[Any]) -> np.ndarray:
    return np.array([float(value) for value in values])


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One process of Node for all tests."""
    if NODE is None:
        pytest.skip("Node is not installed")
    server = Node(tmp_path_factory.mktemp("node"))
    yield server
    server.close()


def _plain(value: Any) -> Any:
    """Arrays as lists, and numbers that JSON lacks as strings."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not np.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value
