"""A contender as the process that asks sees it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from zoo.bench.peers import OURSELVES, PEERS
from zoo.child_process import ChildDied, ChildProcess
from zoo.errors import UsageError, ZooError

# What tells a library how many threads to use; several read it only when they are imported.
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC", "PJRT_NPROC")


class BenchError(ZooError):
    """A contender did not do what it was asked; the message is its own."""


class Contender:
    """A process that computes training steps; leave the ``with`` block to end it.

    Args:
        name: ``"zoo"`` or the name of a peer.
        threads: Threads that it may use.
        python: The interpreter that has its library; this one if None.

    Raises:
        UsageError: if its library is not installed.
    """

    def __init__(self, name: str, threads: int, python: str | None = None) -> None:
        self.name = name
        self._process = ChildProcess(
            "from zoo.bench.peer_server import main; main()",
            name,
            environment=environment(threads),
            python=python,
        )
        try:
            about = self.ask("hello")
        except BenchError as error:
            self.close()
            raise UsageError(missing(name, str(error))) from None
        self.versions: dict[str, str] = about["versions"]
        self.cells: list[str] | None = about["cells"]
        self.samples: bool = about["samples"]

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            BenchError: if it failed, or the process died.
        """
        self._process.send({"do": what, **arguments})
        try:
            answer = self._process.receive()
        except ChildDied:
            reason = self._process.last_line() or f"the process ended with {self._process.exit_status()}"
            raise BenchError(reason) from None
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def has(self, cell: str) -> bool:
        """Whether it can compute a cell."""
        return self.cells is None or cell in self.cells

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def environment(threads: int) -> Mapping[str, str]:
    """This process's environment, with the number of threads for every library."""
    return {
        **os.environ,
        **dict.fromkeys(_COUNTS, str(threads)),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}",
    }


def installed_peers() -> tuple[str, ...]:
    """The peers whose libraries this interpreter has."""
    return tuple(name for name, peer in PEERS.items() if all(map(_found, peer.packages)))


def missing(name: str, reason: str) -> str:
    """The sentence for a contender that cannot start."""
    if name == OURSELVES:
        return f"bench: zoo itself does not start: {reason}"
    return f"bench: {name} cannot be imported ({reason}); {PEERS[name].advice}"


def _found(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
