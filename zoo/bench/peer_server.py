"""One contender in a process of its own: reads requests from stdin, one JSON object a line, and answers each.

Its argument is the name of the contender (zoo/bench/peer_process.py starts it).
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zoo.bench.peers import OURSELVES, PEERS
from zoo.bench.problem import Way, load
from zoo.child_process import Message, connect_to_parent
from zoo.errors import ZooError

TRIALS = 3  # calls by which the quickest way is chosen
_LONGEST = 300  # letters of what a library complains about
Answer = dict[str, Any]


class Contender:
    """What a process can be asked: each public method is a request.

    Args:
        name: ``"zoo"`` or the name of a peer.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.module = importlib.import_module(
            "zoo.bench.peers.own" if name == OURSELVES else f"zoo.bench.peers.{name.replace('.', '_')}"
        )
        self.way: Way | None = None
        self.draw: Callable[[int], object] | None = None

    def hello(self) -> Answer:
        """Versions, and the cells it can compute: None for all."""
        packages = ("numba", "numpy") if self.name == OURSELVES else PEERS[self.name].packages
        cells = getattr(self.module, "CELLS", None)
        samples = hasattr(self.module, "sampler")
        return {
            "versions": {package: _version(package) for package in packages},
            "cells": cells and list(cells),
            "samples": samples,
        }

    def pose(self, cell: str, shape: list[int], dtype: str, threads: int, path: str) -> Answer:
        """Write a problem to a file; only zoo can."""
        from zoo.bench.settings import Shape

        problem = self.module.pose(cell, Shape(*shape), dtype, threads)
        problem.save(Path(path))
        flops, source = self.module.flops(problem)
        return {"flops": flops, "counted": source}

    def build(self, path: str) -> Answer:
        """Make the training step of a problem ready, in the quickest of the ways there are."""
        problem = load(Path(path))
        started = time.perf_counter()
        ways = self.module.build(problem)
        loss, gradient = ways[0].check()
        first = time.perf_counter() - started
        self.way = min(ways, key=_least) if len(ways) > 1 else ways[0]
        if self.way is not ways[0]:
            loss, gradient = self.way.check()
        note = getattr(self.module, "NOTES", {}).get(problem.cell, "")
        remark = self.module.remark(problem) if hasattr(self.module, "remark") else ""
        facts = {"way": self.way.name, "note": note, "remark": remark}
        return {"loss": loss, "gradient": gradient, "first_s": first, **facts}

    def run(self, calls: int) -> Answer:
        """Seconds of every call, and how many processors were busy on average."""
        assert self.way is not None
        seconds, work, began = [], self.way.run, time.process_time()
        for _ in range(calls):
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds, "busy": (time.process_time() - began) / sum(seconds)}

    def sampler(self, path: str) -> Answer:
        """Make the sampling of one stream ready."""
        self.draw = self.module.sampler(load(Path(path)))
        return {}

    def sample(self, length: int) -> Answer:
        """Seconds to draw ``length`` symbols."""
        assert self.draw is not None
        started = time.perf_counter()
        self.draw(length)
        return {"seconds": time.perf_counter() - started}

    def peak(self, threads: int, dtype: str) -> Answer:
        """What the processor can do at most; only zoo knows."""
        from zoo.bench.machine import measure_peak

        return {"gflops": measure_peak(threads, dtype)}


def _least(way: Way) -> float:
    def seconds() -> float:
        started = time.perf_counter()
        way.run()
        return time.perf_counter() - started

    return min(seconds() for _ in range(TRIALS + 1))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def serve(contender: Contender, requests: Iterable[Message], send: Callable[[Message], None]) -> None:
    """Answer every request; what goes wrong is an answer too."""
    for request in requests:
        try:
            answer = getattr(contender, request.pop("do"))(**request)
        except ZooError as error:
            answer = {"error": str(error)}
        except Exception as error:  # whatever a library raises, the run goes on without it
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"}
        send(answer)


def main() -> None:
    """Serve the contender that ``sys.argv`` names until the parent closes stdin."""
    requests, send = connect_to_parent()
    serve(Contender(sys.argv[1]), requests, send)
