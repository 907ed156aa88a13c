"""The process of zoo or a peer: requests from the benchmark, and the server that answers them.

Messages are JSON objects, one a line. The process is started with the name of the library as its argument.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zoo.bench.peers import PEERS, SELF
from zoo.bench.peers.problem import Problem, UnsupportedProblemError, Variant, load, summary
from zoo.child_process import ChildDied, ChildProcess, Message, connect_to_parent
from zoo.errors import UsageError, ZooError

# Thread counts of libraries, some of which read them only at import.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC", "PJRT_NPROC")


class BenchError(ZooError):
    """A request to zoo or a peer failed."""


class PeerProcess(ChildProcess):
    """A process that runs training steps of one library, as a context manager.

    Args:
        name: ``"zoo"`` or the name of a peer.
        threads: Number of threads.
        python: The interpreter with its library; this one if None.

    Raises:
        UsageError: if its library is not installed.
    """

    def __init__(self, name: str, threads: int, python: str | None = None) -> None:
        self.name = name
        program = "from zoo.bench.peer_process import main; main()"
        super().__init__(program, name, environment=environment(threads), python=python)
        try:
            about = self.ask("describe")
        except BenchError as error:
            self.close()
            raise UsageError(import_error_message(name, str(error))) from None
        self.versions: dict[str, str] = about["versions"]
        self.cells: list[str] | None = about["cells"]
        self.can_sample: bool = about["samples"]

    def __enter__(self) -> PeerProcess:
        return self

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            BenchError: if it failed, or the process died.
        """
        self.send({"do": request, **arguments})
        try:
            answer = self.receive()
        except ChildDied:
            raise BenchError(self.last_line() or f"the process ended with {self.exit_status()}") from None
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def supports(self, cell: str) -> bool:
        """Whether it can run a cell."""
        return self.cells is None or cell in self.cells


def environment(threads: int) -> Mapping[str, str]:
    """This process's environment, with the number of threads for every library."""
    return {
        **os.environ,
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
    }


def installed_peers() -> tuple[str, ...]:
    """The peers whose libraries are installed here."""
    return tuple(name for name, peer in PEERS.items() if all(map(importlib.util.find_spec, peer.packages)))


def import_error_message(name: str, reason: str) -> str:
    """The message for a library that cannot be imported."""
    if name == SELF:
        return f"bench: zoo itself does not start: {reason}"
    return f"bench: {name} cannot be imported ({reason}); {PEERS[name].advice}"


TRIALS, MORE_TRIALS = 4, 12  # calls of each variant, and of those that may be the fastest
CLOSE = 1.5  # ratio to the least time
_MAX_MESSAGE = 300  # characters of a library's error message
Answer = dict[str, Any]


class PeerServer:
    """The requests: each public method is one.

    Args:
        name: ``"zoo"`` or the name of a peer.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.module = importlib.import_module(f"zoo.bench.peers.{name.replace('.', '_')}")
        self.variant: Variant | None = None
        self.sample_symbols: Callable[[int], object] | None = None
        self.clock: Callable[[], float] = time.perf_counter

    def describe(self) -> Answer:
        """Versions, and the supported cells; None for all."""
        packages = ("numba", "numpy") if self.name == SELF else PEERS[self.name].packages
        cells = getattr(self.module, "CELLS", None)
        samples = hasattr(self.module, "sampler")
        return {
            "versions": {package: _version(package) for package in packages},
            "cells": cells and list(cells),
            "samples": samples,
        }

    def make_problem(
        self,
        cell: str,
        shape: str,
        dtype: str,
        precision: str | None,
        threads: int,
        inputs: str,
        path: str,
        measure: str = "model",
    ) -> Answer:
        """Write a problem to a file; for zoo only."""
        from zoo.bench.settings import parse_shape

        sizes = parse_shape(shape)
        problem = self.module.make_problem(cell, sizes, dtype, threads, inputs, precision, measure)
        problem.save(Path(path))
        flops, source = self.module.flops(problem)
        return {
            "flops": flops,
            "counted": source,
            "functions": self.module.function_count(problem),
            "traffic": self.module.traffic(problem),
        }

    def build(self, path: str, clock: str = "wall") -> Answer:
        """Prepare the training step of a problem in its fastest variant; or the reason why it has none."""
        self.clock = time.perf_counter if clock == "wall" else time.process_time
        problem = load(Path(path))
        started = time.perf_counter()
        try:
            variants = self._variants(problem)
        except UnsupportedProblemError as error:
            return {"unsupported": str(error)}
        loss, gradient = variants[0].check()
        first = time.perf_counter() - started
        self.variant = self._fastest(variants) if len(variants) > 1 else variants[0]
        if self.variant is not variants[0]:
            loss, gradient = self.variant.check()
        note = getattr(self.module, "NOTES", {}).get(problem.cell, "")
        remark = self.module.remark(problem) if hasattr(self.module, "remark") else ""
        gradients = {} if self.variant.gradients is None else self.variant.gradients()
        answer = {"way": self.variant.name, "note": note, "remark": remark}
        answer["gradients"] = {name: summary(gradient) for name, gradient in gradients.items()}
        return {"loss": loss, "gradient": gradient, "first_s": first, **answer}

    def _variants(self, problem: Problem) -> Sequence[Variant]:
        if not problem.is_stream:
            return self.module.build(problem)  # type: ignore[no-any-return]
        if not hasattr(self.module, "stream"):
            raise UnsupportedProblemError("it is not measured one time step in each call")
        return self.module.stream(problem)  # type: ignore[no-any-return]

    def run(self, calls: int) -> Answer:
        """Seconds of every call by the clock of ``build``, and the mean number of busy processors."""
        assert self.variant is not None
        seconds, step, clock = [], self.variant.run, self.clock
        began, busy_before = time.perf_counter(), time.process_time()
        for _ in range(calls):
            started = clock()
            step()
            seconds.append(clock() - started)
        busy = (time.process_time() - busy_before) / (time.perf_counter() - began)
        return {"seconds": seconds, "busy": busy}

    def _fastest(self, variants: Sequence[Variant]) -> Variant:
        """The variant with the least time in interleaved trials, most of them for those close to the least.

        On a busy machine, six trials of each took an ``einsum`` of 124 ms for faster than sums of 100 ms.
        """
        least = [math.inf] * len(variants)
        for trial in range(TRIALS + MORE_TRIALS):
            limit = CLOSE * min(least)
            for index, variant in enumerate(variants):
                if trial < TRIALS or least[index] <= limit:
                    started = self.clock()
                    variant.run()
                    least[index] = min(least[index], self.clock() - started)
        return variants[least.index(min(least))]

    def sampler(self, path: str) -> Answer:
        """Prepare sampling of one stream."""
        self.sample_symbols = self.module.sampler(load(Path(path)))
        return {}

    def sample(self, length: int) -> Answer:
        """Seconds to sample ``length`` symbols."""
        assert self.sample_symbols is not None
        started = time.perf_counter()
        self.sample_symbols(length)
        return {"seconds": time.perf_counter() - started}

    def peak(self, threads: int, dtype: str, precision: str | None = None) -> Answer:
        """Peak of the processor; for zoo only."""
        from zoo.bench.peak import measure_peak

        return {"gflops": measure_peak(threads, dtype, precision)}

    def bandwidth(self, size: int, threads: int) -> Answer:
        """Speed of reading arrays of some bytes, one for each thread; for zoo only."""
        from zoo.bench.limits import measure_bandwidth

        return {"speed": measure_bandwidth(size, threads)}

    def functions(self, threads: int, dtype: str) -> Answer:
        """Speed of expensive functions; for zoo only."""
        from zoo.bench.limits import measure_functions

        return {"speed": measure_functions(dtype, threads)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def serve(server: PeerServer, requests: Iterable[Message], send: Callable[[Message], None]) -> None:
    """Answer every request; errors are answers too."""
    for request in requests:
        try:
            answer = getattr(server, request.pop("do"))(**request)
        except ZooError as error:
            answer = {"error": str(error)}
        except Exception as error:  # whatever a library raises, the benchmark goes on without it
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:_MAX_MESSAGE]}"}
        send(answer)


def main() -> None:
    """Serve the contender that ``sys.argv`` names until the parent closes stdin."""
    requests, send = connect_to_parent()
    serve(PeerServer(sys.argv[1]), requests, send)
