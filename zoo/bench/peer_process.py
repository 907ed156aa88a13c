"""The process of zoo or a peer, seen from the benchmark."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from zoo.bench.peers import PEERS, SELF
from zoo.child_process import ChildDied, ChildProcess
from zoo.errors import UsageError, ZooError

# Thread counts of libraries, some of which read them only at import.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC", "PJRT_NPROC")


class BenchError(ZooError):
    """A request to zoo or a peer failed."""


class PeerProcess:
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
        self._process = ChildProcess(
            "from zoo.bench.peer_server import main; main()",
            name,
            environment=environment(threads),
            python=python,
        )
        try:
            about = self.ask("describe")
        except BenchError as error:
            self.close()
            raise UsageError(import_error_message(name, str(error))) from None
        self.versions: dict[str, str] = about["versions"]
        self.cells: list[str] | None = about["cells"]
        self.can_sample: bool = about["samples"]

    def ask(self, request: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            BenchError: if it failed, or the process died.
        """
        self._process.send({"do": request, **arguments})
        try:
            answer = self._process.receive()
        except ChildDied:
            reason = self._process.last_line() or f"the process ended with {self._process.exit_status()}"
            raise BenchError(reason) from None
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def supports(self, cell: str) -> bool:
        """Whether it can run a cell."""
        return self.cells is None or cell in self.cells

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


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
    return tuple(name for name, peer in PEERS.items() if all(map(_is_installed, peer.packages)))


def import_error_message(name: str, reason: str) -> str:
    """The message for a library that cannot be imported."""
    if name == SELF:
        return f"bench: zoo itself does not start: {reason}"
    return f"bench: {name} cannot be imported ({reason}); {PEERS[name].advice}"


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
