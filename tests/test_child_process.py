"""JSON messages between a parent and a child process, and the errors of a dead child."""

from __future__ import annotations

import sys

import pytest

from zoo.child_process import ChildDied, ChildProcess

ECHO = """
from zoo.child_process import connect_to_parent
messages, send = connect_to_parent()
print('noise', input_is_empty := sys.stdin.read() == '')
for message in messages:
    if message == {'die': True}:
        sys.exit('out of paper')
    send(message)
"""
BATCH = """
import os
from zoo.child_process import connect_to_parent
_, send = connect_to_parent()
send({'a': 1})
os.write(2, b'last line')
"""


def test_messages_are_echoed_and_prints_are_not_messages():
    with ChildProcess(ECHO) as child:
        for message in ({"text": "é\n"}, {"values": [1.5, None]}):
            child.send(message)
            assert child.receive() == message
        child.close_stdin()
        child.wait(30.0)
        assert (child.exit_status(), child.stderr()) == ("exit code 0", "noise True\n")


def test_dead_child_raises_with_last_line():
    with ChildProcess(ECHO) as child:
        child.send({"die": True})
        with pytest.raises(ChildDied, match=r"^exit code 1: out of paper$"):
            child.receive()
        child.send({"text": "to nobody"})
        with pytest.raises(ChildDied):
            child.receive()


def test_batch_child_writes_messages_to_a_file():
    with ChildProcess(BATCH, is_batch=True) as child:
        assert child.exit_status() == "exit code 0"
        assert (child.messages(), child.last_line()) == ([{"a": 1}], "last line")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_wait_kills_after_timeout():
    with ChildProcess(ECHO) as child:
        child.wait(0.0)
        assert child.exit_status() == "signal 9 (Killed)"
