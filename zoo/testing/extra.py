"""What the testing extra brings, imported when it is needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from zoo.errors import UsageError


def need(module: str) -> ModuleType:
    """A module of the testing extra.

    Raises:
        UsageError: if it is not installed, saying how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f'zoo.testing needs {module}, which is not installed: pip install "recurrent-zoo[testing]"'
        ) from None
