"""Rooms for the users of another library, of its name: importing one imports nothing of the library."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from zoo.errors import UsageError


def offered(room: str, home: str, names: Sequence[str], library: str, name: str) -> Any:
    """What a room offers under a name, for its ``__getattr__``: the first use imports the library.

    Args:
        room: The room, ``zoo.jax``; the library is called as its last part is, and so is the extra.
        home: The module in the room where everything is that it offers.
        names: What it offers.
        library: What people call the library.
        name: What is asked for.

    Raises:
        AttributeError: if the room does not offer it.
        UsageError: if the library is not installed.
    """
    if name not in names:
        raise AttributeError(f"module {room!r} has no attribute {name!r}")
    package = room.rpartition(".")[2]
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{room} needs {library}; pip install 'recurrent-zoo[{package}]' brings it.")
    return getattr(importlib.import_module(f"{room}.{home}"), name)
