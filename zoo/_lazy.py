"""Lazy public names: a package lists them once, and importing the package imports none of their modules.

The stub ``__init__.pyi`` next to the package declares the same names for type checkers. It is generated:
``python tests/support/public_stubs.py``.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # typing takes longer to import than zoo itself
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any


def attach(
    package: str, exports: Mapping[str, str], submodules: str = "", library: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make the ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Args:
        package: The package, ``__name__``.
        exports: From a module of the package to the names that it exports, separated by spaces.
        submodules: Public submodules, separated by spaces; those after a ``|`` are not in ``__all__``.
        library: The usual name of a library that the package needs; its module and the extra of zoo that
            installs it have the name of the package.
    """
    modules = {name: module for module, names in exports.items() for name in names.split()}
    public, _, hidden = submodules.partition("|")
    packages = {*public.split(), *hidden.split()}
    names = sorted([*modules, *public.split()])

    def get_attribute(name: str) -> Any:
        if name in packages:
            return importlib.import_module(f"{package}.{name}")
        if name not in modules:
            advice = "" if name.startswith("_") else _advice(package, name, names)
            raise AttributeError(f"module {package!r} has no attribute {name!r}{advice}")
        if library:
            _check_installed(package, library)
        value = getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        if not library:
            # Kernels look up names such as kernels.tanh: this function took 30 % of the time of plain Python.
            setattr(sys.modules[package], name, value)
        return value

    return get_attribute, lambda: names, names


_OTHER_NAMES = dict.fromkeys(
    ("check", "check_cell", "gradcheck"), "zoo.testing.check_cell(MyCell) checks a cell"
)
"""Names that readers try first, and the functions."""

_KINDS = ("cell", "optimizer", "sampler", "block", "modifier", "task")


def _advice(package: str, name: str, names: list[str]) -> str:
    """The function that gets a component of this name, or the nearest name."""
    spelling = importlib.import_module("zoo.base.names")
    if package == "zoo" and name in _OTHER_NAMES:
        return f"; {_OTHER_NAMES[name]}"
    if package == "zoo":
        registry = importlib.import_module("zoo.registry")
        for kind in _KINDS:
            for known in getattr(registry, f"list_{kind}s")():
                if known.replace("_", "") == name.replace("_", "").lower():
                    return f"; {name} is {spelling.with_article(kind)}: zoo.get_{kind}({known!r})"
    advice = spelling.did_you_mean(name, names)
    return f".{advice}" if advice else ""


def _check_installed(package: str, library: str) -> None:
    from importlib.util import find_spec  # not at the top, which `import zoo` runs

    from zoo.errors import UsageError
    from zoo.installation import install_hint

    extra = package.rpartition(".")[2]
    if find_spec(extra) is None:
        raise UsageError(f"{package} needs {library}; {install_hint(extra)} brings it.")


def require(module: str, user: str, extra: str) -> ModuleType:
    """Import a module of an optional library.

    Args:
        module: The module.
        user: The feature that needs it, for the error message.
        extra: The extra of zoo that installs it.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        from zoo.errors import UsageError
        from zoo.installation import install_hint

        library = module.partition(".")[0].replace("_", "-")
        raise UsageError(f"{user} needs {library}; {install_hint(extra)} brings it.") from None
