"""What all tests share."""

from __future__ import annotations

import signal

from hypothesis import settings

# Started in the background by a shell, tests inherit an ignored SIGINT, and so would every process of theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Compiling makes a first example slow, and machines differ: examples are counted, not timed.
# Derandomised, since a red run should be one that can be repeated.
settings.register_profile("zoo", deadline=None, derandomize=True, database=None)
settings.load_profile("zoo")
