"""Runs Python programs in forks of a process that has imported zoo and Numba, and has loaded the plugins.

A fresh process spends 0.8 s of a processor on this, two thirds of a short command. The tests in ``tests/cli``
start fresh processes, which find out whether a command imports all that it needs.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ADDRESS = "ZOO_TEST_COMMAND_SERVER"  # the environment variable with the path of the socket
PYTHON = "ZOO_TEST_PYTHON"  # the environment variable with the path of Python, for new processes

CLIENT = Path(__file__).with_name("forked_python.py")

OTHER_LIBRARIES = (
    *("zoo.bench.", "zoo.comparison.dask_", "zoo.darts.", "zoo.distributed.mpi", "zoo.jax."),
    *("zoo.sklearn.", "zoo.sktime.", "zoo.torch.", "zoo.__main__"),
)


@contextlib.contextmanager
def command_server(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Start a server; yield the environment variables of the processes that may use it.

    Args:
        environment: The environment of the server. Numba and NumPy read their variables in it.
    """
    if sys.platform != "linux":  # Windows has no fork, and libraries of macOS do not survive one
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder) / "socket")
        substitute = Path(folder) / "python"
        words = [sys.executable, "-I", "-S", str(CLIENT), address, sys.executable]
        substitute.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        substitute.chmod(0o700)
        server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, address, str(substitute)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield {ADDRESS: address, PYTHON: sys.executable}
        finally:
            server.kill()
            server.communicate()


def substitute_python(variables: Mapping[str, str]) -> str:
    """Path of the substitute for ``sys.executable``, given the environment variables of the server."""
    return str(Path(variables[ADDRESS]).with_name("python")) if ADDRESS in variables else sys.executable


def run_python(
    arguments: Sequence[str], environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``python -W error`` in a fork of the server, in the current directory.

    Args:
        arguments: ``-m``, a module and its arguments, or the path of a program and its arguments.
        environment: Its environment, with the variables of the server.
        timeout: Seconds.

    Raises:
        subprocess.TimeoutExpired: if it takes too long.
    """
    request = {
        "arguments": ["-W", "error", *arguments],
        "environment": dict(environment),
        "directory": str(Path.cwd()),
    }
    with tempfile.TemporaryFile() as output, Path(os.devnull).open() as empty:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(environment[ADDRESS])
            socket.send_fds(connection, [b"\n"], [empty.fileno(), output.fileno(), output.fileno()])
            with connection.makefile("rw", encoding="utf-8") as stream:
                print(json.dumps(request), file=stream, flush=True)
                try:
                    status = json.loads(stream.readline())
                except TimeoutError:
                    raise subprocess.TimeoutExpired(arguments, timeout) from None
        output.seek(0)
        return subprocess.CompletedProcess(arguments, status, output.read().decode("utf-8"))


class Server:
    """A process that has imported zoo, and forks a child for each request.

    Args:
        listener: The socket of requests.
        substitute: The path of the program that children use instead of ``sys.executable``.
    """

    def __init__(self, listener: socket.socket, substitute: str) -> None:
        self.listener, self.substitute = listener, substitute
        self.variables, self.path = variables_of_imports(os.environ), set(sys.path)

    def serve(self) -> list[str]:
        """Fork; return the arguments of Python in each child.

        Another fork waits for each child, because a child may send requests too.
        The server exits when its standard input is closed, which also happens when its parent is killed.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that wait
        while True:
            if 0 in select.select([self.listener, 0], [], [])[0]:
                sys.exit()
            connection, _ = self.listener.accept()
            with connection:
                if fork():
                    continue
                self.listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
                with connection.makefile("rw", encoding="utf-8") as stream:
                    request = json.loads(stream.readline())
                    status = None
                    if self.can_run(request):
                        if not (child := fork()):
                            break
                        status = wait(child, connection)
                    print(json.dumps(status), file=stream, flush=True)
                os._exit(0)
        os.setsid()
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.executable = self.substitute
        return request["arguments"]

    def can_run(self, request: dict[str, Any]) -> bool:
        """Whether a program of zoo would import the same in a new process, and load the same plugins."""
        environment = request["environment"]
        folders = {*self.path, request["directory"], ""}
        return (
            is_of_zoo(request["arguments"])
            and variables_of_imports(environment) == self.variables
            and folders.issuperset(environment.get("PYTHONPATH", "").split(os.pathsep))
        )


def is_of_zoo(arguments: list[str]) -> bool:
    """Whether arguments of ``python`` run the command line of zoo, a program that imports zoo, or a file."""
    option, *others = arguments[2:] if arguments[:2] == ["-W", "error"] else arguments
    if option == "-c":
        return "zoo" in others[0]
    return others[0] == "zoo" if option == "-m" else not option.startswith("-")


def variables_of_imports(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a new process reads while it imports Numba and loads the plugins of zoo."""
    prefixes = ("NUMBA_", "PYTHON", "ZOO_PLUGINS", "ZOO_STRICT")
    others = ("NUMBA_NUM_THREADS", "PYTHONPATH")
    return {
        name: value for name, value in environment.items() if name.startswith(prefixes) and name not in others
    }


def fork() -> int:
    """Fork this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # OpenBLAS ends its threads before a fork
        return os.fork()


def wait(child: int, connection: socket.socket) -> int:
    """Return the exit status of a child; kill it, and what it started, when the client has ended."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if select.select([connection], [], [], 0.005)[0]:
            os.killpg(child, signal.SIGKILL)
            os._exit(0)


def import_zoo() -> None:
    """Import the modules of zoo, except those for another library, and load the plugins."""
    import zoo

    for module in pkgutil.walk_packages(zoo.__path__, "zoo."):
        if not module.name.startswith(OTHER_LIBRARIES):
            importlib.import_module(module.name)
    zoo.list_cells()


def run_program(arguments: list[str]) -> None:
    """Run a program with the arguments of ``python``."""
    if arguments[:2] == ["-W", "error"]:
        del arguments[:2]
    else:
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
    if arguments[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *arguments[2:]], ""
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(arguments[1], vars(module))
    elif arguments[0] == "-m":
        sys.argv, sys.path[0] = arguments[1:], str(Path.cwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


def main() -> None:
    """Import, serve, and run one program in each child."""
    import_zoo()
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    gc.collect()
    gc.freeze()
    address, substitute = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, b"ready\n")
        arguments = Server(listener, substitute).serve()
    run_program(arguments)


if __name__ == "__main__":
    main()
