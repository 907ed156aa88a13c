"""A message when compiling takes more than two seconds, as the first use of a cell on a machine does.

It goes through the logger ``zoo.compile``, so that ``logging`` can redirect it or switch it off. Without any
configuration of ``logging`` it appears on stderr. Kernels that are loaded from disk cause none.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from typing import Any

from numba.core import event as numba_event

LOGGER = logging.getLogger("zoo.compile")
SECONDS = 2.0
_installed = False


class _Listener(numba_event.Listener):
    """Starts a timer when a thread begins to compile, and stops it at the end."""

    def __init__(self) -> None:
        self.local = threading.local()
        self.named: set[str] = set()

    def on_start(self, event: Any) -> None:
        """Start the timer; compiling a function compiles the functions that it calls, at a greater depth."""
        depth = self.local.depth = getattr(self.local, "depth", 0) + 1
        if depth == 1:
            name = _subject(event.data["dispatcher"].py_func.__module__)
            self.local.timer = threading.Timer(SECONDS, self._log, [name])
            self.local.timer.daemon = True
            self.local.timer.start()

    def on_end(self, event: Any) -> None:  # noqa: ARG002  # Numba's signature
        """Stop the timer."""
        self.local.depth -= 1
        if self.local.depth == 0:
            self.local.timer.cancel()

    def _log(self, name: str) -> None:
        if name not in self.named:
            self.named.add(name)
            LOGGER.warning("compiling %s for this processor, once ...", name)


def _subject(module: str) -> str:
    """Return the owner of a module: the name of a cell, or the kernels of zoo."""
    match = re.fullmatch(r"(?:_zoo_generated_|zoo_file_)(\w+?)(?:_decoder_loop)?_[0-9a-f]+", module)
    if match is not None:
        return match[1]
    return "kernels" if module.partition(".")[0] in ("zoo", "numba") else module.rpartition(".")[2]


def install() -> None:
    """Print the message from now on, unless ``ZOO_COMPILE_MESSAGE`` is ``0``."""
    global _installed
    if not _installed and os.environ.get("ZOO_COMPILE_MESSAGE") != "0":
        numba_event.register("numba:compile", _Listener())  # type: ignore[no-untyped-call]
    _installed = True
