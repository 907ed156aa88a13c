"""Runs Python programs in forks of a process that has imported NumPy and Numba.

A fresh process spends 0.5 s of a processor on these imports and on tables of types, a third of a short
command. No module of zoo is imported before the fork, so that a program still imports all that it needs.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ADDRESS = "ZOO_TEST_COMMAND_SERVER"  # the environment variable with the path of the socket


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
        server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, address],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield {ADDRESS: address}
        finally:
            server.kill()
            server.communicate()


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
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as connection:
        output = Path(folder) / "output"
        output.touch()
        connection.connect(environment[ADDRESS])
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "directory": str(Path.cwd()),
        }
        with connection.makefile("rw", encoding="utf-8") as stream:
            print(json.dumps(request | {"output": str(output), "timeout": timeout}), file=stream, flush=True)
            status = json.loads(stream.readline())
        if status is None:
            raise subprocess.TimeoutExpired(arguments, timeout)
        return subprocess.CompletedProcess(arguments, status, output.read_text(encoding="utf-8"))


def serve(listener: socket.socket) -> list[str]:
    """Fork a child for each request; return the arguments of the program in each child.

    Another fork waits for each child, because a child may send requests too.
    The server exits when its standard input is closed, which also happens when its parent is killed.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that wait
    while True:
        if 0 in select.select([listener, 0], [], [])[0]:
            sys.exit()
        connection, _ = listener.accept()
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            if fork():
                continue
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            request = json.loads(stream.readline())
            if not (child := fork()):
                break
            print(json.dumps(wait(child, request["timeout"])), file=stream, flush=True)
            os._exit(0)
    os.setsid()
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for descriptors, file, flags in (
        ((0,), os.devnull, os.O_RDONLY),
        ((1, 2), request["output"], os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(file, flags)
        for descriptor in descriptors:
            os.dup2(opened, descriptor)
        os.close(opened)
    return request["arguments"]


def fork() -> int:
    """Fork this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # OpenBLAS ends its threads before a fork
        return os.fork()


def wait(child: int, timeout: float) -> int | None:
    """Return the exit status of a child; kill it and return None after some seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def main() -> None:
    """Import, serve, and run one program in each child."""
    import numba  # noqa: F401
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        os.write(1, b"ready\n")
        arguments = serve(listener)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
