"""A substitute for ``sys.executable``, which runs Python in a fork of the command server.

A new process spends 0.7 s of a processor on importing zoo and loading the plugins. This program connects the
fork to its own standard input, output and error, and ends with its exit status. Killing this program kills
the fork. Where a fork would differ from a new process, this program becomes a new process.

    python forked_python.py SOCKET PYTHON ARGUMENT ...
"""

import json
import os
import signal
import socket
import sys


def main() -> None:
    """Send the request, and end as the fork does."""
    address, python, *arguments = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"\n"], [0, 1, 2])
        stream = connection.makefile("rw", encoding="utf-8")
        directory = os.getcwd()  # noqa: PTH109 - pathlib takes 20 ms
        request = {"arguments": arguments, "environment": dict(os.environ), "directory": directory}
        print(json.dumps(request), file=stream, flush=True)
        status = json.loads(stream.readline())
    if status is None:
        os.execv(python, [python, *arguments])
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main()
