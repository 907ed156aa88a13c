"""Child processes of Python that exchange JSON objects with their parent, one per line.

The parent uses `ChildProcess`, the child `connect_to_parent`. The child sends messages on a copy of its
standard output. The original becomes standard error, so that no text that a library prints is read as a
message. Standard error is a temporary file, which never blocks and holds the cause of a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from zoo.errors import ZooError
from zoo.processes import describe_exit, python_command, python_environment

Message = dict[str, Any]
_MAX_LINE = 300  # characters of the last line of stderr in an error


class ChildDied(ZooError):
    """A child process ended before it answered; the message holds its exit code and last line of stderr."""


class ChildProcess:
    """A child process; leave the ``with`` block to kill it.

    Args:
        program: Text of the program, which imports and calls a function that uses `connect_to_parent`.
        *arguments: Its ``sys.argv[1:]``.
        environment: Its environment; None for `python_environment`.
        python: Its interpreter; None for this one.
        is_detached: Protect it from Ctrl-C, which is then left to the parent.
        is_batch: It receives no messages, and its own are read from a file with `messages`. A grandchild that
            holds a pipe open would block `receive`.
    """

    def __init__(
        self,
        program: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        python: str | None = None,
        is_detached: bool = False,
        is_batch: bool = False,
    ) -> None:
        with contextlib.ExitStack() as files:
            self._stderr = files.enter_context(tempfile.TemporaryFile())
            self._stdout = files.enter_context(tempfile.TemporaryFile()) if is_batch else None
            self.process = subprocess.Popen(
                python_command(program, *arguments, python=python),
                stdin=subprocess.DEVNULL if is_batch else subprocess.PIPE,
                stdout=self._stdout or subprocess.PIPE,
                stderr=self._stderr,
                env=python_environment() if environment is None else environment,
                **(_detached() if is_detached else {}),
            )
            self._files = files.pop_all()

    @property
    def pid(self) -> int:
        """Process number."""
        return self.process.pid

    def send(self, message: Message) -> None:
        """Send a message. If the child is dead, the next `receive` raises."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def receive(self) -> Message:
        """Wait for the next message.

        Raises:
            ChildDied: if the process ends before.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            last = self.last_line()
            raise ChildDied(f"{self.exit_status()}: {last}" if last else self.exit_status())
        message: Message = json.loads(line)
        return message

    def messages(self) -> list[Message]:
        """All messages of a batch child so far, without an incomplete last line."""
        assert self._stdout is not None
        self._stdout.seek(0)
        lines = self._stdout.read().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def stderr(self) -> str:
        """Everything that the child wrote to standard error."""
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace")

    def last_line(self) -> str:
        """The last line on standard error, shortened; empty if there is none."""
        self.process.wait()
        lines = (line.strip() for line in reversed(self.stderr().split("\n")))
        return next(filter(None, lines), "")[:_MAX_LINE]

    def exit_status(self) -> str:
        """Wait for the end of the process, and describe it."""
        return describe_exit(self.process.wait())

    def close_stdin(self) -> None:
        """Send no more messages. The child ends after the last one."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def wait(self, timeout: float) -> None:
        """Wait for the end of the process at most ``timeout`` seconds, then kill it."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """Kill the process and close its files. No other thread may be in `receive`."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None and self.process.stdout is not None:
            self.close_stdin()
            self.process.stdout.close()
        self._files.close()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def connect_to_parent() -> tuple[Iterator[Message], Callable[[Message], None]]:
    """Take over stdin and stdout in a child: the messages of the parent, and a function that sends one.

    Other code of this process then reads an empty stdin, and its stdout is stderr.
    """
    stdin = os.fdopen(os.dup(0), encoding="utf-8")
    stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)

    def send(message: Message) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent is dead, and stdin ends
            print(json.dumps(message), file=stdout, flush=True)

    return map(json.loads, stdin), send
